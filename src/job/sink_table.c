/* sink_table.c: see sink_table.h. Maps -> area tensor -> stock change and uptake -> table. */
#include "src/job/sink_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/job.h"
#include "src/write/json_out.h"

#define HECTARE 1e4
#define TONNE 1e3

void sky_sink_close(sky_sink *s) {
  sky_raster_close(s->map[0]);
  sky_raster_close(s->map[1]);
  sky_legend_free(&s->legend);
  sky_free(s->seen);
  sky_free(s->code);
  sky_zones_free(&s->zones);
  sky_free(s->area);
  sky_tensor_free(&s->tensor);
  sky_free(s->shown);
  sky_free(s->changed);
  sky_sink_set_free(&s->set);
  sky_free(s->rows);
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
  *s = (sky_sink){.opt = *opt};
  SKY_GO(sky_raster_open(ctx, opt->maps[0], &s->map[0]));
  SKY_GO(sky_raster_open(ctx, opt->maps[1], &s->map[1]));
  SKY_GO(sky_raster_same_grid(ctx, s->map[0], s->map[1]));
  SKY_GO(read_legend(ctx, opt->legend, &s->legend));
  s->grid = sky_raster_grid(s->map[0]);
cleanup:
  if (st != SKY_OK) sky_sink_close(s);
  return st;
}

/* Class index of a legend row: the row itself with a pool table, the ecosystem class otherwise. */
static uint16_t class_of(const sky_sink *s, size_t row) {
  const int number = s->legend.row[row].number;
  if (number == 0) return SKY_TENSOR_NODATA;
  return s->opt.pools != NULL ? (uint16_t)row : (uint16_t)(number - 1);
}

static sky_status read_map(sky_context *ctx, sky_sink *s, int which, size_t row0, size_t rows,
                           size_t column0, size_t columns, uint16_t *out) {
  SKY_TRY(sky_raster_classes(ctx, s->map[which], row0, rows, column0, columns, s->code));
  int32_t last = SKY_CLASS_NODATA;
  uint16_t last_class = SKY_TENSOR_NODATA;
  for (size_t k = 0; k < rows * columns; k++) {
    if (s->code[k] != last) {
      last = s->code[k];
      last_class = SKY_TENSOR_NODATA;
      if (last != SKY_CLASS_NODATA) {
        const size_t row = sky_legend_find(&s->legend, last);
        if (row == SIZE_MAX)
          return sky_fail(ctx, SKY_E_RANGE, "%s: class %d has no row in legend %s",
                          sky_raster_path(s->map[which]), (int)last, s->legend.name);
        s->seen[row] = true;
        last_class = class_of(s, row);
      }
    }
    out[k] = last_class;
  }
  return SKY_OK;
}

static sky_status read_both(sky_context *ctx, void *user, size_t row0, size_t rows, size_t column0,
                            size_t columns, uint16_t *from, uint16_t *to) {
  sky_sink *s = user;
  if (rows * columns > s->code_capacity) {
    sky_free(s->code);
    s->code_capacity = 0;
    s->code = SKY_NEW(ctx, int32_t, rows * columns);
    if (s->code == NULL) return SKY_E_NOMEM;
    s->code_capacity = rows * columns;
  }
  SKY_TRY(read_map(ctx, s, 0, row0, rows, column0, columns, from));
  return read_map(ctx, s, 1, row0, rows, column0, columns, to);
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

/* Classes that occur in zones first..last-1, and those that change. */
static void find_classes(const sky_sink *s, size_t first, size_t last, bool *present,
                         bool *changed) {
  for (size_t z = first; z < last; z++) {
    for (size_t i = 0; i < s->n_class; i++) {
      for (size_t j = 0; j < s->n_class; j++) {
        if (!(sky_tensor_at(&s->tensor, z, i, j) > 0)) continue;
        present[i] = present[j] = true;
        if (i != j && changed != NULL) changed[i] = changed[j] = true;
      }
    }
  }
}

/* present: in any zone, also those that are not in the table. */
static sky_status read_set(sky_context *ctx, sky_sink *s, const bool *present) {
  const sky_sink_options *o = &s->opt;
  if (o->pools == NULL) {
    const sky_sink_need need = {.present = present,
                                .changed = s->changed,
                                .soil = o->soil,
                                .allowed = o->allowed,
                                .n_allowed = o->n_allowed};
    return sky_sink_set_builtin(ctx, o->factors, &need, &s->set);
  }
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, o->pools, &t));
  const sky_status st = sky_sink_set_from_table(ctx, t, o->pools, &s->legend, present, &s->set);
  sky_table_free(t);
  return st;
}

sky_status sky_sink_make(sky_context *ctx, sky_sink *s) {
  bool *present = NULL;
  sky_status st = SKY_OK;
  s->n_class = s->opt.pools != NULL ? s->legend.n : SKY_SINK_CLASSES;
  SKY_GO_ALLOC(s->seen, SKY_NEW0(ctx, bool, s->legend.n));
  SKY_GO_ALLOC(s->shown, SKY_NEW0(ctx, bool, s->n_class));
  SKY_GO_ALLOC(s->changed, SKY_NEW0(ctx, bool, s->n_class));
  SKY_GO_ALLOC(present, SKY_NEW0(ctx, bool, s->n_class));
  SKY_GO_ALLOC(s->area, SKY_NEW(ctx, double, s->n_zone));
  SKY_GO_ALLOC(s->rows, SKY_NEW(ctx, sky_sink_row, s->n_zone * (s->n_class + 1)));
  for (size_t z = 0; z < s->n_zone; z++)
    SKY_GO(sky_zone_area(ctx, &s->zones.zone[z], s->grid, &s->area[z]));
  SKY_GO(sky_tensor_make(ctx, s->grid, &s->zones, s->n_class, read_both, s, &s->tensor));
  find_classes(s, 0, s->n_zone, s->shown, s->changed);
  find_classes(s, 0, s->zones.n, present, NULL);
  SKY_GO(check_legend(ctx, s));
  SKY_GO(read_set(ctx, s, present));
  sky_tensor of_table = s->tensor;
  of_table.n_zone = s->n_zone;
  SKY_GO(sky_sink_compute(ctx, &of_table, &s->set, s->opt.years[1] - s->opt.years[0],
                          s->opt.accuracy, s->rows));
cleanup:
  sky_free(present);
  return st;
}

/* ---- labels --------------------------------------------------------------------------------- */

bool sky_sink_row_shown(const sky_sink *s, const sky_sink_row *row) {
  const sky_tensor *t = &s->tensor;
  const bool any = t->inside[row->zone] - t->nodata[row->zone] > 0;
  return row->cls == s->n_class || (any && s->shown[row->cls]);
}

const char *sky_sink_row_class(const sky_sink *s, const sky_sink_row *row) {
  return row->cls == s->n_class ? "all" : s->set.cls[row->cls].name;
}

const char *sky_sink_stock_label(const sky_sink *s, const sky_sink_row *row) {
  if (!s->set.stocks) return "no data: the set has no stocks";
  if (row->cls < s->n_class && !s->changed[row->cls]) return "no change of class";
  return isnan(s->opt.accuracy) ? "map difference, not area estimate; map error not in the interval"
                                : "map difference, not area estimate; interval with map error";
}

const char *sky_sink_uptake_label(const sky_sink *s, const sky_sink_row *row) {
  bool growth = false, net = false;
  for (size_t i = 0; i < s->n_class; i++) {
    if (row->cls != s->n_class && row->cls != i) continue;
    growth |= s->set.cls[i].pool[SKY_POOL_GROWTH].n > 0;
    net |= s->set.cls[i].pool[SKY_POOL_NET_FLUX].n > 0;
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
  const sky_sink_pool *p = s->set.cls[i].pool;
  return p[SKY_POOL_GROWTH].n == 0 && p[SKY_POOL_GROWTH_YOUNG].n == 0 &&
         p[SKY_POOL_NET_FLUX].n == 0;
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

/* Where everything comes from, as comments above the header. */
static sky_status put_sources(sky_context *ctx, const sky_sink *s, sky_text *t) {
  const sky_sink_options *o = &s->opt;
  const char *const inputs[] = {o->maps[0], o->maps[1], o->zones};
  sky_text_put(t, "# skyflux " SKYFLUX_VERSION " sink\n");
  for (int i = 0; i < 3; i++) {
    char hex[65];
    if (inputs[i] == NULL) continue;
    SKY_TRY(sky_file_sha256(ctx, inputs[i], hex));
    sky_text_printf(t, "# input %s sha256 %s\n", sky_file_base(inputs[i]), hex);
  }
  sky_text_printf(t, "# years %.15g to %.15g, legend %s, %s %s", o->years[0], o->years[1],
                  sky_file_base(o->legend), o->pools != NULL ? "pools" : "factors",
                  o->pools != NULL ? sky_file_base(o->pools) : o->factors);
  if (o->soil != NULL) sky_text_printf(t, ", soil %s", o->soil);
  if (!isnan(o->accuracy)) sky_text_printf(t, ", accuracy %.15g", o->accuracy);
  sky_text_put(t, "\n");
  for (size_t i = 0; i < s->set.n_factor && o->pools == NULL; i++) {
    const sky_sink_factor *f = &s->set.factor[i];
    sky_text_printf(t, "# factor %s = %.9g +- %.4g %s%s\n", f->key, f->value, f->sd, f->unit,
                    f->verified ? "" : " (not verified)");
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
    sky_text_printf(t, ",%d,", (int)s->set.cls[row->cls].id);
    sky_text_csv(t, sky_sink_row_class(s, row));
  }
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
  sky_text_put(&t, "zone_id,zone_name,class,class_name");
  for (size_t i = 0; i < SKY_SINK_NUMBERS; i++)
    sky_text_printf(&t, ",%s", sky_sink_number_names[i]);
  sky_text_put(&t, ",stock_label,uptake_label,reason\n");
  for (size_t i = 0; i < s->n_zone * (s->n_class + 1); i++)
    if (sky_sink_row_shown(s, &s->rows[i])) put_row(s, &s->rows[i], &t);
  const size_t length = t.length;
  char *text = sky_text_take(&t);
  if (st == SKY_OK && text == NULL) st = SKY_E_NOMEM;
  if (st == SKY_OK) st = sky_file_write_text(ctx, path, text, length);
  sky_free(text);
  return st;
}
