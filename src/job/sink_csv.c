/* sink_csv.c: the rows of a sink in reporting units, and its tables (sink_table.h). */
#include <math.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/sink_table.h"
#include "src/write/json_out.h"

#define HECTARE 1e4
#define TONNE 1e3

/* ---- numbers of a row in reporting units ----------------------------------------------------- */

const char *const sky_sink_number_names[SKY_SINK_NUMBERS] = {
    [SKY_SINK_AREA_1] = "area_1_ha",
    [SKY_SINK_AREA_2] = "area_2_ha",
    [SKY_SINK_CHANGE] = "change_ha",
    /* carbon of the land, positive = gain, over the period */
    [SKY_SINK_STOCK_CHANGE] = "stock_change_t_c",
    [SKY_SINK_STOCK_SD] = "stock_sd_t_c",
    [SKY_SINK_STOCK_LOW] = "stock_low_t_c",
    [SKY_SINK_STOCK_HIGH] = "stock_high_t_c",
    [SKY_SINK_BIOMASS_T] = "biomass_t_c",
    [SKY_SINK_DEAD_T] = "dead_organic_t_c",
    [SKY_SINK_SOIL_T] = "soil_t_c",
    [SKY_SINK_SOIL_UNKNOWN] = "soil_unknown_ha",
    /* the same as a flux to the atmosphere, over the period */
    [SKY_SINK_STOCK_FLUX] = "stock_flux_t_co2",
    /* uptake: removal positive, then as a flux to the atmosphere */
    [SKY_SINK_REMOVAL] = "removal_t_c_yr",
    [SKY_SINK_REMOVAL_SD] = "removal_sd_t_c_yr",
    [SKY_SINK_REMOVAL_LOW] = "removal_low_t_c_yr",
    [SKY_SINK_REMOVAL_HIGH] = "removal_high_t_c_yr",
    [SKY_SINK_UPTAKE_FLUX] = "uptake_flux_t_co2_yr",
    [SKY_SINK_UPTAKE_FLUX_SD] = "uptake_flux_sd_t_co2_yr",
    [SKY_SINK_ZONE_AREA] = "zone_area_ha",
    [SKY_SINK_COVERED] = "covered_fraction",
    [SKY_SINK_NODATA] = "nodata_ha",
};

static double opposite(double v) { /* without a minus in front of zero */
  return v == 0 ? 0 : -v;
}

void sky_sink_numbers(const sky_sink *s, const sky_sink_row *row, double v[SKY_SINK_NUMBERS]) {
  const size_t z = row->zone;
  const sky_sink_estimate *stock = &row->stock, *uptake = &row->uptake;
  v[SKY_SINK_AREA_1] = row->area[0] / HECTARE;
  v[SKY_SINK_AREA_2] = row->area[1] / HECTARE;
  v[SKY_SINK_CHANGE] = (row->area[1] - row->area[0]) / HECTARE;
  v[SKY_SINK_STOCK_CHANGE] = stock->value / TONNE;
  v[SKY_SINK_STOCK_SD] = stock->sd / TONNE;
  v[SKY_SINK_STOCK_LOW] = stock->low / TONNE;
  v[SKY_SINK_STOCK_HIGH] = stock->high / TONNE;
  v[SKY_SINK_BIOMASS_T] = row->biomass / TONNE;
  v[SKY_SINK_DEAD_T] = row->dead / TONNE;
  v[SKY_SINK_SOIL_T] = row->soil / TONNE;
  v[SKY_SINK_SOIL_UNKNOWN] = row->soil_unknown / HECTARE;
  v[SKY_SINK_STOCK_FLUX] = opposite(stock->value) * SKY_CO2_PER_C / TONNE;
  v[SKY_SINK_REMOVAL] = opposite(uptake->value) / TONNE;
  v[SKY_SINK_REMOVAL_SD] = uptake->sd / TONNE;
  v[SKY_SINK_REMOVAL_LOW] = opposite(uptake->high) / TONNE;
  v[SKY_SINK_REMOVAL_HIGH] = opposite(uptake->low) / TONNE;
  v[SKY_SINK_UPTAKE_FLUX] = uptake->value * SKY_CO2_PER_C / TONNE;
  v[SKY_SINK_UPTAKE_FLUX_SD] = uptake->sd * SKY_CO2_PER_C / TONNE;
  v[SKY_SINK_ZONE_AREA] = s->area[z] / HECTARE;
  v[SKY_SINK_COVERED] = sky_sink_covered(s, z);
  v[SKY_SINK_NODATA] = s->tensor.nodata[z] / HECTARE;
  for (int i = SKY_SINK_STOCK_CHANGE; i <= SKY_SINK_UPTAKE_FLUX_SD && sky_sink_empty(s, z); i++)
    v[i] = NAN; /* nothing is known, which is not zero */
}

/* ---- CSV ------------------------------------------------------------------------------------ */

static void put_number(sky_text *t, double v) {
  char text[32] = "";
  if (!isnan(v)) sky_number_text(v, text);
  sky_text_printf(t, ",%s", text);
}

static sky_status put_input(sky_context *ctx, const char *path, sky_text *t) {
  char hex[65];
  if (path == NULL) return SKY_OK;
  SKY_TRY(sky_file_sha256(ctx, path, hex));
  sky_text_printf(t, "# input %s sha256 %s\n", sky_file_base(path), hex);
  return SKY_OK;
}

static sky_status put_inputs(sky_context *ctx, const sky_sink *s, sky_text *t) {
  const sky_sink_options *o = &s->opt;
  const sky_local_options *l = &o->local;
  const char *const beside[] = {l->biomass, l->soil,         l->ages,      o->fractions,
                                o->climate, o->climate_sets, o->soil_map,  o->soil_types,
                                o->plots,   o->reference,    o->overrides, o->zones};
  const size_t n = o->n_date + sizeof beside / sizeof beside[0];
  sky_text_put(t, "# skyflux " SKYFLUX_VERSION " sink\n");
  for (size_t d = 0; d < 2; d++)
    for (size_t c = 0; c < s->fractions.n; c++)
      SKY_TRY(put_input(ctx, s->fractions.band[d][c].path, t));
  for (size_t i = 0; i < n; i++) {
    const char *path = i < o->n_date ? o->maps[i] : beside[i - o->n_date];
    SKY_TRY(put_input(ctx, path, t));
  }
  return SKY_OK;
}

/* Where everything comes from, as comments above the header. */
static sky_status put_sources(sky_context *ctx, const sky_sink *s, sky_text *t) {
  const sky_sink_options *o = &s->opt;
  SKY_TRY(put_inputs(ctx, s, t));
  sky_text_put(t, "# years");
  for (size_t d = 0; d < o->n_date; d++)
    sky_text_printf(t, "%s%.15g", d > 0 ? " to " : " ", o->years[d]);
  sky_text_printf(t, ", legend %s, %s %s", sky_file_base(o->legend),
                  o->pools != NULL ? "pools" : "factors",
                  o->pools != NULL     ? sky_file_base(o->pools)
                  : o->factors != NULL ? o->factors
                                       : "by climate");
  if (o->soil != NULL) sky_text_printf(t, ", soil %s", o->soil);
  if (o->soil_map != NULL) sky_text_put(t, ", soil by map");
  if (o->tillage != NULL) sky_text_printf(t, ", tillage %s", o->tillage);
  if (o->input != NULL) sky_text_printf(t, ", input %s", o->input);
  if (o->grazing != NULL) sky_text_printf(t, ", grazing %s", o->grazing);
  if (!isnan(o->accuracy)) sky_text_printf(t, ", accuracy %.15g", o->accuracy);
  if (o->correlation > 0) sky_text_printf(t, ", correlation %.15g", o->correlation);
  if (o->persistence) sky_text_put(t, ", changes that revert left out");
  if (!isnan(o->places)) sky_text_printf(t, ", %.15g independent places a zone", o->places);
  sky_text_put(t, "\n");
  for (size_t i = 0; i < s->sites.n_factor && o->pools == NULL; i++) {
    const sky_sink_factor *f = s->sites.factor[i];
    sky_text_printf(t, "# factor %s = %.9g +- %.4g %s%s%s%s\n", f->key, f->value, f->sd, f->unit,
                    f->sd > 0 || f->own ? "" : ", no error published", f->own ? ", from " : "",
                    f->own        ? f->source
                    : f->verified ? ""
                                  : " (not verified)");
  }
  sky_local_put(s->local, s->n_zone, t);
  return SKY_OK;
}

static void put_row(const sky_sink *s, const sky_sink_row *row, sky_text *t) {
  const sky_zone *zone = &s->zones.zone[row->zone];
  double v[SKY_SINK_NUMBERS];
  char reason[SKY_SINK_REASON];
  sky_sink_numbers(s, row, v);
  sky_text_csv(t, zone->id);
  sky_text_put(t, ",");
  sky_text_csv(t, zone->name);
  if (row->cls == s->n_class)
    sky_text_put(t, ",,all");
  else {
    sky_text_printf(t, ",%d,", (int)s->set->cls[row->cls].id);
    sky_text_csv(t, sky_sink_row_class(s, row));
  }
  sky_text_printf(t, ",%.15g,%.15g", s->opt.years[row->period], s->opt.years[row->period + 1]);
  for (size_t i = 0; i < SKY_SINK_NUMBERS; i++)
    put_number(t, v[i]);
  sky_text_put(t, ",");
  sky_text_csv(t, sky_sink_stock_label(s, row));
  sky_text_printf(t, ",%s,%s\n", sky_sink_uptake_label(s, row),
                  sky_sink_reason(s, row->zone, reason));
}

sky_status sky_sink_write_csv(sky_context *ctx, const sky_sink *s, const char *path) {
  sky_text t = {.ctx = ctx};
  sky_status st = put_sources(ctx, s, &t);
  sky_text_put(&t, "zone_id,zone_name,class,class_name,year_1,year_2");
  for (size_t i = 0; i < SKY_SINK_NUMBERS; i++)
    sky_text_printf(&t, ",%s", sky_sink_number_names[i]);
  sky_text_put(&t, ",stock_label,uptake_label,reason\n");
  for (size_t i = 0; i < s->n_row; i++)
    if (sky_sink_row_shown(s, &s->rows[i])) put_row(s, &s->rows[i], &t);
  const size_t length = t.length;
  char *text = sky_text_take(&t);
  if (st == SKY_OK && text == NULL) st = SKY_E_NOMEM;
  if (st == SKY_OK) st = sky_file_write_text(ctx, path, text, length);
  sky_free(text);
  return st;
}

/* ---- the areas ------------------------------------------------------------------------------ */

static void put_code(sky_text *t, int32_t code) {
  if (code == SKY_TENSOR_ANY)
    sky_text_put(t, ",");
  else
    sky_text_printf(t, ",%d", (int)code);
}

static void put_stratum(const sky_sink *s, const sky_stratum *a, sky_text *t) {
  const size_t last = s->n_period;
  sky_text_csv(t, s->zones.zone[a->zone].id);
  for (size_t d = 0; d <= last; d++)
    sky_text_printf(t, ",%d", (int)s->set->cls[a->cls[d]].id);
  sky_text_printf(t, ",%s,%s", sky_ipcc_category(s->set->cls[a->cls[0]].number),
                  sky_ipcc_category(s->set->cls[a->cls[last]].number));
  put_code(t, s->areas.place[a->place].climate);
  put_code(t, s->areas.place[a->place].soil);
  put_number(t, a->area / HECTARE);
  sky_text_put(t, "\n");
}

sky_status sky_sink_write_areas(sky_context *ctx, const sky_sink *s, const char *path) {
  sky_text t = {.ctx = ctx};
  sky_status st = put_inputs(ctx, s, &t);
  sky_text_put(&t, "zone_id");
  for (size_t d = 0; d < s->opt.n_date; d++)
    sky_text_printf(&t, ",class_%.15g", s->opt.years[d]);
  sky_text_put(&t, ",ipcc_first,ipcc_last,climate,soil,area_ha\n");
  for (size_t k = 0; k < s->areas.n; k++)
    if (s->areas.stratum[k].zone < s->n_zone) put_stratum(s, &s->areas.stratum[k], &t);
  for (size_t z = 0; z < s->n_zone; z++) {
    if (!(s->areas.nodata[z] > 0)) continue;
    sky_text_csv(&t, s->zones.zone[z].id);
    for (size_t d = 0; d < s->opt.n_date + 4; d++)
      sky_text_put(&t, ",");
    put_number(&t, s->areas.nodata[z] / HECTARE);
    sky_text_put(&t, "\n");
  }
  const size_t length = t.length;
  char *text = sky_text_take(&t);
  if (st == SKY_OK && text == NULL) st = SKY_E_NOMEM;
  if (st == SKY_OK) st = sky_file_write_text(ctx, path, text, length);
  sky_free(text);
  return st;
}
