/* cmd_sink.c: `skyflux sink`: what the ecosystems of zones hold and take up, from two land-cover
 * maps.
 *
 * Maps -> area tensor -> stock change and uptake. Signs: a stock change is positive where the land
 * gains carbon, a removal positive where it takes up; every column named flux is to the atmosphere.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/sink/stock.h"
#include "src/cli/commands.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/text.h"
#include "src/read/raster.h"
#include "src/read/zones_ogr.h"
#include "src/write/json_out.h"

#define ALLOWED_MAX 64
#define HECTARE 1e4
#define TONNE 1e3

typedef struct sink_args {
  const char *id, *name, *legend, *factors, *pools, *soil, *out;
  double years[2], accuracy;
  const char *allowed[ALLOWED_MAX];
  size_t n_allowed;
} sink_args;

/* All of one run. */
typedef struct sink_run {
  sink_args args;
  char **files; /* map 1, map 2, zones */
  sky_raster *map[2];
  sky_legend legend;
  bool *seen;    /* [legend rows] a pixel has it */
  int32_t *code; /* window buffer */
  size_t code_capacity;
  sky_zones zones;
  size_t n_class;
  bool *present, *changed; /* [n_class] */
  sky_tensor tensor;
  sky_sink_set set;
  sky_sink_row *rows;
} sink_run;

static void run_free(sink_run *r) {
  sky_raster_close(r->map[0]);
  sky_raster_close(r->map[1]);
  sky_legend_free(&r->legend);
  sky_free(r->seen);
  sky_free(r->code);
  sky_zones_free(&r->zones);
  sky_free(r->present);
  sky_free(r->changed);
  sky_tensor_free(&r->tensor);
  sky_sink_set_free(&r->set);
  sky_free(r->rows);
}

/* ---- options -------------------------------------------------------------------------------- */

static sky_status parse_years(sky_context *ctx, const char *text, double years[2]) {
  const char *rest = NULL;
  const bool good = sky_number_parse(text, &years[0], &rest) && *rest == ',' &&
                    sky_number_parse(rest + 1, &years[1], NULL);
  if (good && years[0] >= 1900 && years[1] <= 2200 && years[0] < years[1]) return SKY_OK;
  return sky_fail(
      ctx, SKY_E_USAGE,
      "--years: '%s' is not two years in ascending order (1900 to 2200, e.g. 2001,2015)", text);
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  sink_args *a = user;
  const struct {
    const char *name, **to;
  } texts[] = {{"id", &a->id},           {"name", &a->name},   {"legend", &a->legend},
               {"factors", &a->factors}, {"pools", &a->pools}, {"soil", &a->soil},
               {"out", &a->out}};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (strcmp(name, texts[i].name) != 0) continue;
    *texts[i].to = value;
    return SKY_OK;
  }
  if (strcmp(name, "years") == 0) return parse_years(ctx, value, a->years);
  if (strcmp(name, "accuracy") == 0) {
    if (sky_number_parse(value, &a->accuracy, NULL) && a->accuracy > 0 && a->accuracy <= 1)
      return SKY_OK;
    return sky_fail(ctx, SKY_E_USAGE, "--accuracy: '%s' is not above 0 and at most 1 (e.g. 0.85)",
                    value);
  }
  if (a->n_allowed == ALLOWED_MAX)
    return sky_fail(ctx, SKY_E_USAGE, "--allow-unverified: more than %d rows", ALLOWED_MAX);
  a->allowed[a->n_allowed++] = value;
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, const sink_args *a, const sky_cli_common *common) {
  const char *missing = a->id == NULL        ? "--id"
                        : a->legend == NULL  ? "--legend"
                        : !(a->years[0] > 0) ? "--years"
                                             : NULL;
  if (common->n_args != 3)
    return sky_fail(ctx, SKY_E_USAGE, "sink: expected two maps and a file of zones, got %d files",
                    common->n_args);
  if (missing != NULL) return sky_fail(ctx, SKY_E_USAGE, "sink: option %s is needed", missing);
  if ((a->factors == NULL) == (a->pools == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: give either --factors (see skyflux list sink-sets) or --pools FILE.csv");
  if (a->pools != NULL && a->soil != NULL)
    return sky_fail(ctx, SKY_E_USAGE, "sink: --soil goes with --factors; --pools has its own soil");
  return SKY_OK;
}

/* ---- maps ----------------------------------------------------------------------------------- */

static sky_status read_legend(sky_context *ctx, const char *name, sky_legend *out) {
  const size_t n = strlen(name);
  if (n < 4 || strcmp(name + n - 4, ".csv") != 0) return sky_legend_builtin(ctx, name, out);
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, name, &t));
  const sky_status st = sky_legend_from_table(ctx, t, name, out);
  sky_table_free(t);
  return st;
}

/* Class index of a legend row: the row itself with a pool table, the ecosystem class otherwise. */
static uint16_t class_of(const sink_run *r, size_t row) {
  const int number = r->legend.row[row].number;
  if (number == 0) return SKY_TENSOR_NODATA;
  return r->args.pools != NULL ? (uint16_t)row : (uint16_t)(number - 1);
}

static sky_status read_map(sky_context *ctx, sink_run *r, int which, size_t row0, size_t rows,
                           size_t column0, size_t columns, uint16_t *out) {
  SKY_TRY(sky_raster_classes(ctx, r->map[which], row0, rows, column0, columns, r->code));
  int32_t last = SKY_CLASS_NODATA;
  uint16_t last_class = SKY_TENSOR_NODATA;
  for (size_t k = 0; k < rows * columns; k++) {
    if (r->code[k] != last) {
      last = r->code[k];
      last_class = SKY_TENSOR_NODATA;
      if (last != SKY_CLASS_NODATA) {
        const size_t row = sky_legend_find(&r->legend, last);
        if (row == SIZE_MAX)
          return sky_fail(ctx, SKY_E_RANGE, "%s: class %d has no row in legend %s",
                          sky_raster_path(r->map[which]), (int)last, r->legend.name);
        r->seen[row] = true;
        last_class = class_of(r, row);
      }
    }
    out[k] = last_class;
  }
  return SKY_OK;
}

static sky_status read_both(sky_context *ctx, void *user, size_t row0, size_t rows, size_t column0,
                            size_t columns, uint16_t *from, uint16_t *to) {
  sink_run *r = user;
  if (rows * columns > r->code_capacity) {
    sky_free(r->code);
    r->code_capacity = 0;
    r->code = SKY_NEW(ctx, int32_t, rows * columns);
    if (r->code == NULL) return SKY_E_NOMEM;
    r->code_capacity = rows * columns;
  }
  SKY_TRY(read_map(ctx, r, 0, row0, rows, column0, columns, from));
  return read_map(ctx, r, 1, row0, rows, column0, columns, to);
}

/* Legend rows that the maps show and nobody has verified. */
static sky_status check_legend(sky_context *ctx, const sink_run *r) {
  sky_text refused = {.ctx = ctx};
  size_t n = 0;
  for (size_t i = 0; i < r->legend.n; i++) {
    const sky_legend_row *row = &r->legend.row[i];
    char key[128];
    bool good = !r->seen[i] || row->verified;
    snprintf(key, sizeof key, "legend:%s:%d", r->legend.name, (int)row->low);
    for (size_t k = 0; k < r->args.n_allowed && !good; k++)
      good = strcmp(r->args.allowed[k], key) == 0;
    if (good) continue;
    sky_text_printf(&refused, "%s'%s'", n++ > 0 ? ", " : "", key);
  }
  char *list = sky_text_take(&refused);
  sky_status st = SKY_OK;
  if (n > 0 && list == NULL)
    st = SKY_E_NOMEM;
  else if (n > 0)
    st = sky_fail(
        ctx, SKY_E_RANGE,
        "legend rows that nobody verified (%zu): allow each with --allow-unverified or give your "
        "own legend: %s",
        n, list);
  sky_free(list);
  return st;
}

static sky_status make_tensor(sky_context *ctx, sink_run *r) {
  const sky_zones_options opt = {.id = r->args.id, .name = r->args.name};
  SKY_TRY(sky_raster_open(ctx, r->files[0], &r->map[0]));
  SKY_TRY(sky_raster_open(ctx, r->files[1], &r->map[1]));
  SKY_TRY(sky_raster_same_grid(ctx, r->map[0], r->map[1]));
  SKY_TRY(read_legend(ctx, r->args.legend, &r->legend));
  const sky_grid *grid = sky_raster_grid(r->map[0]);
  SKY_TRY(sky_zones_read(ctx, r->files[2], &opt, grid, &r->zones));
  r->n_class = r->args.pools != NULL ? r->legend.n : SKY_SINK_CLASSES;
  r->seen = SKY_NEW0(ctx, bool, r->legend.n);
  r->present = SKY_NEW0(ctx, bool, r->n_class);
  r->changed = SKY_NEW0(ctx, bool, r->n_class);
  if (r->seen == NULL || r->present == NULL || r->changed == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_tensor_make(ctx, grid, &r->zones, r->n_class, read_both, r, &r->tensor));
  for (size_t z = 0; z < r->zones.n; z++) {
    for (size_t i = 0; i < r->n_class; i++) {
      for (size_t j = 0; j < r->n_class; j++) {
        if (!(sky_tensor_at(&r->tensor, z, i, j) > 0)) continue;
        r->present[i] = r->present[j] = true;
        if (i != j) r->changed[i] = r->changed[j] = true;
      }
    }
  }
  return check_legend(ctx, r);
}

static sky_status make_rows(sky_context *ctx, sink_run *r) {
  const sink_args *a = &r->args;
  if (a->pools != NULL) {
    sky_table *t = NULL;
    SKY_TRY(sky_table_read(ctx, a->pools, &t));
    const sky_status st =
        sky_sink_set_from_table(ctx, t, a->pools, &r->legend, r->present, &r->set);
    sky_table_free(t);
    SKY_TRY(st);
  } else {
    const sky_sink_need need = {.present = r->present,
                                .changed = r->changed,
                                .soil = a->soil,
                                .allowed = a->allowed,
                                .n_allowed = a->n_allowed};
    SKY_TRY(sky_sink_set_builtin(ctx, a->factors, &need, &r->set));
  }
  r->rows = SKY_NEW(ctx, sky_sink_row, r->zones.n * (r->n_class + 1));
  if (r->rows == NULL) return SKY_E_NOMEM;
  return sky_sink_compute(ctx, &r->tensor, &r->set, a->years[1] - a->years[0], a->accuracy,
                          r->rows);
}

/* ---- labels --------------------------------------------------------------------------------- */

/* Classes that occur, in zones that have any; the zone itself always. */
static bool shown(const sink_run *r, const sky_sink_row *row) {
  const sky_tensor *t = &r->tensor;
  const bool any = t->inside[row->zone] - t->nodata[row->zone] > 0;
  return row->cls == r->n_class || (any && r->present[row->cls]);
}

static const char *class_name(const sink_run *r, const sky_sink_row *row) {
  return row->cls == r->n_class ? "all" : r->set.cls[row->cls].name;
}

static const char *stock_label(const sink_run *r, const sky_sink_row *row) {
  if (!r->set.stocks) return "no data: the set has no stocks";
  if (row->cls < r->n_class && !r->changed[row->cls]) return "no change of class";
  return isnan(r->args.accuracy)
             ? "map difference, not area estimate; map error not in the interval"
             : "map difference, not area estimate; interval with map error";
}

static const char *uptake_label(const sink_run *r, const sky_sink_row *row) {
  bool growth = false, net = false;
  for (size_t i = 0; i < r->n_class; i++) {
    if (row->cls != r->n_class && row->cls != i) continue;
    growth |= r->set.cls[i].pool[SKY_POOL_GROWTH].n > 0;
    net |= r->set.cls[i].pool[SKY_POOL_NET_FLUX].n > 0;
  }
  if (growth) return "gross growth";
  if (net) return "net coefficient of the literature";
  return r->args.pools != NULL ? "no gain given" : "no gain at tier 1";
}

static const char *reason(const sink_run *r, size_t zone) {
  const sky_tensor *t = &r->tensor;
  if (!(t->inside[zone] > 0)) return "outside the maps";
  if (!(t->inside[zone] - t->nodata[zone] > 0)) return "no class at both dates";
  return "";
}

/* ---- numbers of a row in reporting units ----------------------------------------------------- */

#define N_NUMBERS 21
static const char *const number_names[N_NUMBERS] = {
    "area_1_ha", "area_2_ha", "change_ha",
    /* carbon of the land, positive = gain, over the period */
    "stock_change_t_c", "stock_sd_t_c", "stock_low_t_c", "stock_high_t_c", "biomass_t_c",
    "dead_organic_t_c", "soil_t_c", "soil_unknown_ha",
    /* the same as a flux to the atmosphere, over the period */
    "stock_flux_t_co2",
    /* uptake: removal positive, then as a flux to the atmosphere */
    "removal_t_c_yr", "removal_sd_t_c_yr", "removal_low_t_c_yr", "removal_high_t_c_yr",
    "uptake_flux_t_co2_yr", "uptake_flux_sd_t_co2_yr", "zone_area_ha", "covered_fraction",
    "nodata_ha"};

static double opposite(double v) { /* without a minus in front of zero */
  return v == 0 ? 0 : -v;
}

static void row_numbers(const sink_run *r, const sky_sink_row *row, double v[N_NUMBERS]) {
  const sky_tensor *t = &r->tensor;
  const sky_sink_estimate *s = &row->stock, *u = &row->uptake;
  const double values[N_NUMBERS] = {
      row->area[0] / HECTARE,
      row->area[1] / HECTARE,
      (row->area[1] - row->area[0]) / HECTARE,
      s->value / TONNE,
      s->sd / TONNE,
      s->low / TONNE,
      s->high / TONNE,
      row->biomass / TONNE,
      row->dead / TONNE,
      row->soil / TONNE,
      row->soil_unknown / HECTARE,
      opposite(s->value) * SKY_CO2_PER_C / TONNE,
      opposite(u->value) / TONNE,
      u->sd / TONNE,
      opposite(u->high) / TONNE,
      opposite(u->low) / TONNE,
      u->value * SKY_CO2_PER_C / TONNE,
      u->sd * SKY_CO2_PER_C / TONNE,
      t->zone[row->zone] / HECTARE,
      t->zone[row->zone] > 0 ? t->inside[row->zone] / t->zone[row->zone] : 0,
      t->nodata[row->zone] / HECTARE};
  memcpy(v, values, sizeof values);
}

/* ---- CSV ------------------------------------------------------------------------------------ */

static void put_text(sky_text *t, const char *text) {
  if (strpbrk(text, ",\"\n\r") == NULL) {
    sky_text_put(t, text);
    return;
  }
  sky_text_put(t, "\"");
  for (; *text != '\0'; text++)
    sky_text_printf(t, *text == '"' ? "\"\"" : "%c", *text);
  sky_text_put(t, "\"");
}

static void put_number(sky_text *t, double v) {
  char text[32] = "";
  if (!isnan(v)) sky_number_text(v, text);
  sky_text_printf(t, ",%s", text);
}

/* Where everything comes from, as comments above the header. */
static sky_status put_sources(sky_context *ctx, const sink_run *r, sky_text *t) {
  const sink_args *a = &r->args;
  sky_text_put(t, "# skyflux " SKYFLUX_VERSION " sink\n");
  for (int i = 0; i < 3; i++) {
    char hex[65];
    SKY_TRY(sky_file_sha256(ctx, r->files[i], hex));
    sky_text_printf(t, "# input %s sha256 %s\n", sky_file_base(r->files[i]), hex);
  }
  sky_text_printf(t, "# years %.15g to %.15g, legend %s, %s %s", a->years[0], a->years[1],
                  sky_file_base(a->legend), a->pools != NULL ? "pools" : "factors",
                  a->pools != NULL ? sky_file_base(a->pools) : a->factors);
  if (a->soil != NULL) sky_text_printf(t, ", soil %s", a->soil);
  if (!isnan(a->accuracy)) sky_text_printf(t, ", accuracy %.15g", a->accuracy);
  sky_text_put(t, "\n");
  for (size_t i = 0; i < r->set.n_factor && a->pools == NULL; i++) {
    const sky_sink_factor *f = &r->set.factor[i];
    sky_text_printf(t, "# factor %s = %.9g +- %.4g %s%s\n", f->key, f->value, f->sd, f->unit,
                    f->verified ? "" : " (not verified)");
  }
  return SKY_OK;
}

static void put_row(const sink_run *r, const sky_sink_row *row, sky_text *t) {
  const sky_zone *zone = &r->zones.zone[row->zone];
  double v[N_NUMBERS];
  row_numbers(r, row, v);
  put_text(t, zone->id);
  sky_text_put(t, ",");
  put_text(t, zone->name);
  if (row->cls == r->n_class)
    sky_text_put(t, ",,all");
  else {
    sky_text_printf(t, ",%d,", (int)r->set.cls[row->cls].id);
    put_text(t, class_name(r, row));
  }
  for (size_t i = 0; i < N_NUMBERS; i++)
    put_number(t, v[i]);
  sky_text_put(t, ",");
  put_text(t, stock_label(r, row));
  sky_text_printf(t, ",%s,%s\n", uptake_label(r, row), reason(r, row->zone));
}

static sky_status write_csv(sky_context *ctx, const sink_run *r) {
  sky_text t = {.ctx = ctx};
  sky_status st = put_sources(ctx, r, &t);
  sky_text_put(&t, "zone_id,zone_name,class,class_name");
  for (size_t i = 0; i < N_NUMBERS; i++)
    sky_text_printf(&t, ",%s", number_names[i]);
  sky_text_put(&t, ",stock_label,uptake_label,reason\n");
  for (size_t i = 0; i < r->zones.n * (r->n_class + 1); i++)
    if (shown(r, &r->rows[i])) put_row(r, &r->rows[i], &t);
  const size_t length = t.length;
  char *text = sky_text_take(&t);
  if (st == SKY_OK && text == NULL) st = SKY_E_NOMEM;
  if (st == SKY_OK) st = sky_file_write_text(ctx, r->args.out, text, length);
  sky_free(text);
  return st;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void add_number(cJSON *o, const char *key, double v) {
  cJSON_AddItemToObject(o, key, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static cJSON *row_json(const sink_run *r, const sky_sink_row *row) {
  cJSON *o = cJSON_CreateObject();
  double v[N_NUMBERS];
  row_numbers(r, row, v);
  cJSON_AddStringToObject(o, "zone_id", r->zones.zone[row->zone].id);
  cJSON_AddStringToObject(o, "zone_name", r->zones.zone[row->zone].name);
  add_number(o, "class", row->cls == r->n_class ? NAN : (double)r->set.cls[row->cls].id);
  cJSON_AddStringToObject(o, "class_name", class_name(r, row));
  for (size_t i = 0; i < N_NUMBERS; i++)
    add_number(o, number_names[i], v[i]);
  cJSON_AddStringToObject(o, "stock_label", stock_label(r, row));
  cJSON_AddStringToObject(o, "uptake_label", uptake_label(r, row));
  cJSON_AddStringToObject(o, "reason", reason(r, row->zone));
  return o;
}

static sky_status print_json(sky_context *ctx, const sink_run *r) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddItemToObject(o, "years", cJSON_CreateDoubleArray(r->args.years, 2));
  cJSON_AddStringToObject(o, "legend", r->legend.name);
  cJSON_AddStringToObject(o, "set", r->set.name);
  add_number(o, "accuracy", r->args.accuracy);
  cJSON *factors = cJSON_AddArrayToObject(o, "factors");
  for (size_t i = 0; i < r->set.n_factor; i++) {
    const sky_sink_factor *f = &r->set.factor[i];
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "key", f->key);
    cJSON_AddStringToObject(item, "source", f->source);
    cJSON_AddStringToObject(item, "unit", f->unit);
    add_number(item, "value", f->value);
    add_number(item, "sd", f->sd);
    cJSON_AddBoolToObject(item, "verified", f->verified);
    cJSON_AddItemToArray(factors, item);
  }
  cJSON *rows = cJSON_AddArrayToObject(o, "rows");
  for (size_t i = 0; i < r->zones.n * (r->n_class + 1); i++)
    if (shown(r, &r->rows[i])) cJSON_AddItemToArray(rows, row_json(r, &r->rows[i]));
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

/* ---- table ---------------------------------------------------------------------------------- */

static void print_estimate(double value, double sd) {
  if (isnan(value))
    printf("  %13s   %-11s", "no data", "");
  else
    printf("  %13.5g ± %-11.3g", value, sd);
}

static void print_table(const sink_run *r) {
  char head[2][32];
  for (int i = 0; i < 2; i++)
    snprintf(head[i], sizeof head[i], "%.15g, ha", r->args.years[i]);
  printf("%-16s %-18s %13s %13s %12s  %27s  %27s\n", "zone", "class", head[0], head[1],
         "change, ha", "stock change, t C", "removal, t C/yr");
  for (size_t i = 0; i < r->zones.n * (r->n_class + 1); i++) {
    const sky_sink_row *row = &r->rows[i];
    if (!shown(r, row)) continue;
    double v[N_NUMBERS];
    row_numbers(r, row, v);
    printf("%-16s %-18s %13.1f %13.1f %12.1f", r->zones.zone[row->zone].id, class_name(r, row),
           v[0], v[1], v[2]);
    print_estimate(v[3], v[4]);
    print_estimate(v[12], v[13]);
    printf("  %s%s%s\n", uptake_label(r, row),
           row->cls == r->n_class && *reason(r, row->zone) ? "; " : "",
           row->cls == r->n_class ? reason(r, row->zone) : "");
  }
  printf(
      "\nstock change: %s; positive = the land gains carbon\nremoval: positive = uptake, %.9g t "
      "CO2 per t C; without loss data a gain is gross growth, not a net sink\n",
      isnan(r->args.accuracy) ? "map difference, not area estimate (map error unknown: --accuracy)"
                              : "map difference, not area estimate (interval with map error)",
      SKY_CO2_PER_C);
  if (r->args.pools != NULL) {
    printf("pools: %s\n", r->args.pools);
    return;
  }
  if (r->args.soil == NULL && r->set.stocks) printf("soil carbon: not computed (give --soil)\n");
  printf("factors:\n");
  for (size_t i = 0; i < r->set.n_factor; i++) {
    const sky_sink_factor *f = &r->set.factor[i];
    printf("  %s = %.9g ± %.4g %s%s%s\n", f->key, f->value, f->sd, f->unit,
           f->sd > 0 ? "" : ", no error published", f->verified ? "" : ", not verified");
  }
}

/* ---- the command ---------------------------------------------------------------------------- */

sky_status sky_cmd_sink(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"id", 0, "FIELD", "attribute of the zones that names them"},
      {"name", 0, "FIELD", "attribute with a readable name (default: the id)"},
      {"years", 0, "Y1,Y2", "years of the two maps"},
      {"legend", 0, "NAME", "what the classes mean: skyflux list legends, or FILE.csv"},
      {"factors", 0, "SET", "carbon factors: skyflux list sink-sets"},
      {"soil", 0, "TYPE", "soil type of the reference stock: HAC, LAC, SAN, POD, VOL, WET"},
      {"pools", 0, "FILE.csv", "your own carbon pools by map code, instead of --factors"},
      {"accuracy", 0, "P", "overall accuracy of each map, e.g. 0.85"},
      {"allow-unverified", 0, "KEY", "accept one factor or legend row that nobody verified"},
      {"out", 'o', "OUT.csv", "write the table"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {"sink", "MAP1 MAP2 ZONES [options]",
                                    "carbon of ecosystems from two land-cover maps, by zone",
                                    "skyflux sink lc1.tif lc2.tif zones.gpkg --id code --years "
                                    "2001,2015 --legend clcd --pools p.csv",
                                    OPTIONS};
  sink_run r = {.args = {.accuracy = NAN}};
  sky_cli_common common = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &r.args, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, &r.args, &common));
  r.files = common.args;
  sky_status st = make_tensor(ctx, &r);
  if (st == SKY_OK) st = make_rows(ctx, &r);
  if (st == SKY_OK && r.args.out != NULL) st = write_csv(ctx, &r);
  if (st == SKY_OK && common.json) st = print_json(ctx, &r);
  if (st == SKY_OK && !common.json) print_table(&r);
  run_free(&r);
  return st;
}
