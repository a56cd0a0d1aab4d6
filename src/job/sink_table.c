/* sink_table.c: see sink_table.h. Maps -> area tensor -> stock change and uptake -> table. */
#include "src/job/sink_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/job.h"
#include "src/job/sink_areas.h"
#include "src/write/json_out.h"

#define HECTARE 1e4
#define TONNE 1e3

void sky_sink_close(sky_sink *s) {
  sky_raster_close(s->map);
  sky_legend_free(&s->legend);
  sky_free(s->seen);
  sky_zones_free(&s->zones);
  sky_free(s->area);
  sky_strata_free(&s->areas);
  sky_tensor_free(&s->tensor);
  sky_free(s->shown);
  sky_free(s->changed);
  sky_sites_free(&s->sites);
  sky_free(s->rows);
  sky_free(s->change);
  sky_reference_free(&s->reference);
  memset(s, 0, sizeof *s);
}

/* ---- maps ----------------------------------------------------------------------------------- */

bool sky_sink_legend_is_file(const char *legend) {
  const size_t n = strlen(legend);
  return n >= 4 && strcmp(legend + n - 4, ".csv") == 0;
}

static sky_status read_legend(sky_context *ctx, const char *name, sky_legend *out) {
  if (!sky_sink_legend_is_file(name)) return sky_legend_builtin(ctx, name, out);
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, name, &t));
  const sky_status st = sky_legend_from_table(ctx, t, name, out);
  sky_table_free(t);
  return st;
}

sky_status sky_sink_open(sky_context *ctx, const sky_sink_options *opt, sky_sink *s) {
  sky_status st = SKY_OK;
  sky_raster *other = NULL;
  *s = (sky_sink){.opt = *opt};
  SKY_GO(sky_raster_open(ctx, opt->maps[0], &s->map));
  for (size_t d = 1; d < opt->n_date; d++) {
    SKY_GO(sky_raster_open(ctx, opt->maps[d], &other));
    SKY_GO(sky_raster_same_grid(ctx, s->map, other));
    sky_raster_close(other);
    other = NULL;
  }
  SKY_GO(read_legend(ctx, opt->legend, &s->legend));
  s->grid = sky_raster_grid(s->map);
cleanup:
  sky_raster_close(other);
  if (st != SKY_OK) sky_sink_close(s);
  return st;
}

/* Legend rows that the maps show and nobody has verified. */
static sky_status check_legend(sky_context *ctx, const sky_sink *s) {
  sky_text refused = {.ctx = ctx};
  size_t n = 0;
  for (size_t i = 0; i < s->legend.n; i++) {
    const sky_legend_row *row = &s->legend.row[i];
    char key[128];
    bool good = !s->seen[i] || row->verified;
    snprintf(key, sizeof key, "legend:%s:%d", s->legend.name, (int)row->low);
    for (size_t k = 0; k < s->opt.n_allowed && !good; k++)
      good = strcmp(s->opt.allowed[k], key) == 0;
    if (good) continue;
    sky_text_printf(&refused, "%s'%s'", n++ > 0 ? ", " : "", key);
  }
  char *list = sky_text_take(&refused);
  sky_status st = SKY_OK;
  if (n > 0 && list == NULL)
    st = SKY_E_NOMEM;
  else if (n > 0)
    st = sky_fail(ctx, SKY_E_RANGE,
                  "legend rows that nobody verified (%zu): allow each with --allow-unverified (in "
                  "a job: allow_unverified) or give your own legend: %s",
                  n, list);
  sky_free(list);
  return st;
}

/* ---- from areas to rows --------------------------------------------------------------------- */

/* Classes that occur in the zones of the table, and those that change there. */
static void find_classes(sky_sink *s) {
  for (size_t k = 0; k < s->areas.n; k++) {
    const sky_stratum *a = &s->areas.stratum[k];
    if (a->zone >= s->n_zone || !(a->area > 0)) continue;
    for (size_t d = 0; d < s->areas.n_date; d++)
      s->shown[a->cls[d]] = true;
    for (size_t d = 0; d + 1 < s->areas.n_date; d++)
      if (a->cls[d] != a->cls[d + 1]) s->changed[a->cls[d]] = s->changed[a->cls[d + 1]] = true;
  }
}

/* Class of a cell of the sample: of the table's classes, by number, or by code with pools. */
static sky_status sample_class(sky_context *ctx, const sky_sink *s, const sky_table *t, size_t row,
                               const char *column, size_t *out) {
  const size_t c = sky_table_find(t, column);
  double id = 0;
  if (c == SIZE_MAX)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", s->opt.reference, column);
  SKY_TRY(sky_table_number(ctx, t, row, c, &id));
  for (*out = 0; *out < s->n_class; ++*out)
    if (id == (s->opt.pools != NULL ? s->legend.row[*out].low : (double)*out + 1)) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "%s:%d: %s '%s' is not a class of the table", s->opt.reference,
                  sky_table_line(t, row), column, sky_table_cell(t, row, c));
}

static sky_status read_units(sky_context *ctx, sky_sink *s, const sky_table *t, size_t row) {
  static const char *const columns[4] = {"map_1", "map_2", "true_1", "true_2"};
  const size_t c = sky_table_find(t, "units");
  size_t cls[4];
  double units = 1;
  for (size_t i = 0; i < 4; i++)
    SKY_TRY(sample_class(ctx, s, t, row, columns[i], &cls[i]));
  if (c != SIZE_MAX) SKY_TRY(sky_table_number(ctx, t, row, c, &units));
  if (!(units > 0))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: units %g, expected above 0", s->opt.reference,
                    sky_table_line(t, row), units);
  sky_reference_add(&s->reference, cls[0], cls[1], cls[2], cls[3], units);
  s->shown[cls[2]] = s->shown[cls[3]] = s->changed[cls[2]] = s->changed[cls[3]] = true;
  return SKY_OK;
}

static sky_status read_reference(sky_context *ctx, sky_sink *s) {
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, s->opt.reference, &t));
  sky_status st = sky_reference_create(ctx, s->n_class, &s->reference);
  for (size_t row = 0; row < sky_table_rows(t) && st == SKY_OK; row++)
    st = read_units(ctx, s, t, row);
  sky_table_free(t);
  if (st == SKY_OK) sky_reference_finish(&s->reference);
  return st;
}

static sky_status make_areas(sky_context *ctx, sky_sink *s) {
  const sky_areas_options opt = {.maps = s->opt.maps,
                                 .n_map = s->opt.n_date,
                                 .climate = s->opt.climate,
                                 .soil = s->opt.soil_map,
                                 .grid = s->grid,
                                 .legend = &s->legend,
                                 .by_code = s->opt.pools != NULL,
                                 .persistence = s->opt.persistence,
                                 .pass = s->opt.pass};
  return sky_sink_areas(ctx, &opt, &s->zones, s->seen, &s->areas);
}

static sky_status make_sites(sky_context *ctx, sky_sink *s) {
  const sky_site_options opt = {.factors = s->opt.factors,
                                .pools = s->opt.pools,
                                .soil = s->opt.soil,
                                .plots = s->opt.plots,
                                .overrides = s->opt.overrides,
                                .tillage = s->opt.tillage,
                                .input = s->opt.input,
                                .grazing = s->opt.grazing,
                                .climate_sets = s->opt.climate_sets,
                                .soil_types = s->opt.soil_types,
                                .legend = &s->legend,
                                .also = s->reference.n_class > 0 ? s->changed : NULL,
                                .allowed = s->opt.allowed,
                                .n_allowed = s->opt.n_allowed};
  SKY_TRY(sky_sites_make(ctx, &s->areas, s->n_zone, &opt, &s->sites));
  s->set = &s->sites.site[0].set;
  for (size_t i = 0; i < s->sites.n; i++)
    s->stocks = s->stocks || s->sites.site[i].set.stocks;
  return SKY_OK;
}

/* The sites of one period, of the zones of the table. */
typedef struct period_sites {
  size_t n;
  sky_tensor *tensor;
  sky_sink_site *site;
} period_sites;

static void period_free(period_sites *p) {
  for (size_t i = 0; i < p->n && p->tensor != NULL; i++)
    sky_tensor_free(&p->tensor[i]);
  sky_free(p->tensor);
  sky_free(p->site);
}

/* period_free it in any case. */
static sky_status period_make(sky_context *ctx, const sky_sink *s, size_t period, period_sites *p) {
  *p = (period_sites){.n = s->sites.n};
  p->tensor = SKY_NEW0(ctx, sky_tensor, p->n);
  p->site = SKY_NEW0(ctx, sky_sink_site, p->n);
  if (p->tensor == NULL || p->site == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n; i++) {
    const sky_site *site = &s->sites.site[i];
    SKY_TRY(sky_tensor_make(ctx, &s->areas, s->sites.of_place, i, period, &p->tensor[i]));
    p->tensor[i].n_zone = s->n_zone;
    p->site[i] = (sky_sink_site){&p->tensor[i], &site->set, site->factor};
  }
  return SKY_OK;
}

static sky_sink_how how_of(const sky_sink *s, double years) {
  return (sky_sink_how){.years = years,
                        .accuracy = s->opt.accuracy,
                        .places = s->opt.places,
                        .correlation = s->opt.correlation,
                        .reference = s->reference.n_class > 0 ? &s->reference : NULL};
}

/* Rows of one period; those of the last stand first. */
static sky_status fill_period(sky_context *ctx, sky_sink *s, size_t period, const period_sites *p) {
  const size_t rows = s->n_zone * (s->n_class + 1);
  const double *years = s->opt.years + period;
  const sky_sink_how how = how_of(s, years[1] - years[0]);
  sky_sink_row *out = s->rows + (s->n_period - 1 - period) * rows;
  SKY_TRY(sky_sink_compute(ctx, p->site, p->n, &how, out));
  for (size_t i = 0; i < rows; i++)
    out[i].period = period;
  return SKY_OK;
}

static sky_status fill_periods(sky_context *ctx, sky_sink *s) {
  period_sites now = {0}, before = {0};
  const sky_sink_how how = how_of(s, 1); /* uptake knows no period */
  sky_status st = SKY_OK;
  for (size_t p = 0; p < s->n_period && st == SKY_OK; p++) {
    period_free(&before);
    before = now;
    st = period_make(ctx, s, p, &now);
    if (st == SKY_OK) st = fill_period(ctx, s, p, &now);
  }
  if (st == SKY_OK && s->n_period > 1) {
    s->change = SKY_NEW(ctx, sky_sink_estimate, s->n_zone * (s->n_class + 1));
    st = s->change == NULL
             ? SKY_E_NOMEM
             : sky_sink_uptake_change(ctx, before.site, now.site, now.n, &how, s->change);
  }
  period_free(&before);
  period_free(&now);
  return st;
}

sky_status sky_sink_make(sky_context *ctx, sky_sink *s) {
  sky_status st = SKY_OK;
  s->n_class = s->opt.pools != NULL ? s->legend.n : SKY_SINK_CLASSES;
  s->n_period = s->opt.n_date - 1;
  s->n_row = s->n_period * s->n_zone * (s->n_class + 1);
  SKY_GO_ALLOC(s->seen, SKY_NEW0(ctx, bool, s->legend.n));
  SKY_GO_ALLOC(s->shown, SKY_NEW0(ctx, bool, s->n_class));
  SKY_GO_ALLOC(s->changed, SKY_NEW0(ctx, bool, s->n_class));
  SKY_GO_ALLOC(s->area, SKY_NEW(ctx, double, s->n_zone));
  SKY_GO_ALLOC(s->rows, SKY_NEW(ctx, sky_sink_row, s->n_row));
  for (size_t z = 0; z < s->n_zone; z++)
    SKY_GO(sky_zone_area(ctx, &s->zones.zone[z], s->grid, &s->area[z]));
  SKY_GO(make_areas(ctx, s));
  if (s->opt.pass.shard.shards > 0) goto cleanup;
  find_classes(s);
  SKY_GO(check_legend(ctx, s));
  if (s->opt.reference != NULL) SKY_GO(read_reference(ctx, s));
  SKY_GO(make_sites(ctx, s));
  SKY_GO(sky_tensor_make(ctx, &s->areas, NULL, 0, s->n_period - 1, &s->tensor));
  SKY_GO(fill_periods(ctx, s));
cleanup:
  return st;
}

/* ---- labels --------------------------------------------------------------------------------- */

bool sky_sink_row_shown(const sky_sink *s, const sky_sink_row *row) {
  const sky_tensor *t = &s->tensor;
  const bool any = t->inside[row->zone] - t->nodata[row->zone] > 0;
  return row->cls == s->n_class || (any && s->shown[row->cls]);
}

const char *sky_sink_row_class(const sky_sink *s, const sky_sink_row *row) {
  return row->cls == s->n_class ? "all" : s->set->cls[row->cls].name;
}

const char *sky_sink_stock_label(const sky_sink *s, const sky_sink_row *row) {
  if (!s->stocks) return "no data: the set has no stocks";
  if (row->cls < s->n_class && !s->changed[row->cls]) return "no change of class";
  if (s->reference.n_class > 0)
    return "area estimate from a reference sample (Olofsson et al. 2014)";
  return isnan(s->opt.accuracy) ? "map difference, not area estimate; map error not in the interval"
                                : "map difference, not area estimate; interval with map error";
}

const char *sky_sink_uptake_label(const sky_sink *s, const sky_sink_row *row) {
  bool growth = false, net = false;
  for (size_t i = 0; i < s->n_class; i++) {
    if (row->cls != s->n_class && row->cls != i) continue;
    for (size_t k = 0; k < s->sites.n; k++) {
      growth |= s->sites.site[k].set.cls[i].pool[SKY_POOL_GROWTH].n > 0;
      net |= s->sites.site[k].set.cls[i].pool[SKY_POOL_NET_FLUX].n > 0;
    }
  }
  if (growth) return "gross growth";
  if (net) return "net coefficient of the literature";
  return s->opt.pools != NULL ? "no gain given" : "no gain at tier 1";
}

/* Share of a zone that lies in the maps, with or without a class. */
static double covered_fraction(const sky_sink *s, size_t zone) {
  return s->area[zone] > 0 ? s->tensor.inside[zone] / s->area[zone] : 0;
}

bool sky_sink_empty(const sky_sink *s, size_t zone) {
  return !(s->tensor.inside[zone] - s->tensor.nodata[zone] > 0);
}

const char *sky_sink_reason(const sky_sink *s, size_t zone, char out[SKY_SINK_REASON]) {
  const double covered = covered_fraction(s, zone);
  if (!(s->tensor.inside[zone] > 0)) return "outside the maps";
  if (sky_sink_empty(s, zone)) return "no class at both dates";
  if (covered >= SKY_ZONE_COMPLETE) return "";
  snprintf(out, SKY_SINK_REASON, "only %.3g %% of the zone lies in the maps", 100 * covered);
  return out;
}

bool sky_sink_no_gain(const sky_sink *s, size_t i) {
  for (size_t k = 0; k < s->sites.n; k++) {
    const sky_sink_pool *p = s->sites.site[k].set.cls[i].pool;
    if (p[SKY_POOL_GROWTH].n + p[SKY_POOL_GROWTH_YOUNG].n + p[SKY_POOL_NET_FLUX].n > 0)
      return false;
  }
  return true;
}

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
  v[SKY_SINK_COVERED] = covered_fraction(s, z);
  v[SKY_SINK_NODATA] = s->tensor.nodata[z] / HECTARE;
}

/* ---- CSV ------------------------------------------------------------------------------------ */

static void put_number(sky_text *t, double v) {
  char text[32] = "";
  if (!isnan(v)) sky_number_text(v, text);
  sky_text_printf(t, ",%s", text);
}

static sky_status put_inputs(sky_context *ctx, const sky_sink *s, sky_text *t) {
  const sky_sink_options *o = &s->opt;
  const char *const beside[] = {o->climate, o->climate_sets, o->soil_map,  o->soil_types,
                                o->plots,   o->reference,    o->overrides, o->zones};
  const size_t n = o->n_date + sizeof beside / sizeof beside[0];
  sky_text_put(t, "# skyflux " SKYFLUX_VERSION " sink\n");
  for (size_t i = 0; i < n; i++) {
    const char *path = i < o->n_date ? o->maps[i] : beside[i - o->n_date];
    char hex[65];
    if (path == NULL) continue;
    SKY_TRY(sky_file_sha256(ctx, path, hex));
    sky_text_printf(t, "# input %s sha256 %s\n", sky_file_base(path), hex);
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
    sky_text_printf(t, "# factor %s = %.9g +- %.4g %s%s%s\n", f->key, f->value, f->sd, f->unit,
                    f->own ? ", from " : "",
                    f->own        ? f->source
                    : f->verified ? ""
                                  : " (not verified)");
  }
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
