/* cmd_sink.c: `skyflux sink`: what the ecosystems of zones hold and take up, from two land-cover
 * maps (src/job/sink_table.h). */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/job/sink_table.h"
#include "src/read/zones_ogr.h"
#include "src/write/json_out.h"

#define ALLOWED_MAX 64

typedef struct sink_args {
  const char *id, *name, *out;
  sky_sink_options sink;
  const char *allowed[ALLOWED_MAX];
} sink_args;

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
  } texts[] = {{"id", &a->id},
               {"name", &a->name},
               {"legend", &a->sink.legend},
               {"factors", &a->sink.factors},
               {"pools", &a->sink.pools},
               {"soil", &a->sink.soil},
               {"out", &a->out}};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (strcmp(name, texts[i].name) != 0) continue;
    *texts[i].to = value;
    return SKY_OK;
  }
  if (strcmp(name, "years") == 0) return parse_years(ctx, value, a->sink.years);
  if (strcmp(name, "accuracy") == 0) {
    double *p = &a->sink.accuracy;
    if (sky_number_parse(value, p, NULL) && *p > 0 && *p <= 1) return SKY_OK;
    return sky_fail(ctx, SKY_E_USAGE, "--accuracy: '%s' is not above 0 and at most 1 (e.g. 0.85)",
                    value);
  }
  if (a->sink.n_allowed == ALLOWED_MAX)
    return sky_fail(ctx, SKY_E_USAGE, "--allow-unverified: more than %d rows", ALLOWED_MAX);
  a->allowed[a->sink.n_allowed++] = value;
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, const sink_args *a, const sky_cli_common *common) {
  const sky_sink_options *o = &a->sink;
  const char *missing = a->id == NULL        ? "--id"
                        : o->legend == NULL  ? "--legend"
                        : !(o->years[0] > 0) ? "--years"
                                             : NULL;
  if (common->n_args != 3)
    return sky_fail(ctx, SKY_E_USAGE, "sink: expected two maps and a file of zones, got %d files",
                    common->n_args);
  if (missing != NULL) return sky_fail(ctx, SKY_E_USAGE, "sink: option %s is needed", missing);
  if ((o->factors == NULL) == (o->pools == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: give either --factors (see skyflux list sink-sets) or --pools FILE.csv");
  if (o->pools != NULL && o->soil != NULL)
    return sky_fail(ctx, SKY_E_USAGE, "sink: --soil goes with --factors; --pools has its own soil");
  return SKY_OK;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void add_number(cJSON *o, const char *key, double v) {
  cJSON_AddItemToObject(o, key, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static cJSON *row_json(const sky_sink *s, const sky_sink_row *row) {
  cJSON *o = cJSON_CreateObject();
  double v[SKY_SINK_NUMBERS];
  char reason[SKY_SINK_REASON];
  sky_sink_numbers(s, row, v);
  cJSON_AddStringToObject(o, "zone_id", s->zones.zone[row->zone].id);
  cJSON_AddStringToObject(o, "zone_name", s->zones.zone[row->zone].name);
  add_number(o, "class", row->cls == s->n_class ? NAN : (double)s->set.cls[row->cls].id);
  cJSON_AddStringToObject(o, "class_name", sky_sink_row_class(s, row));
  for (size_t i = 0; i < SKY_SINK_NUMBERS; i++)
    add_number(o, sky_sink_number_names[i], v[i]);
  cJSON_AddStringToObject(o, "stock_label", sky_sink_stock_label(s, row));
  cJSON_AddStringToObject(o, "uptake_label", sky_sink_uptake_label(s, row));
  cJSON_AddStringToObject(o, "reason", sky_sink_reason(s, row->zone, reason));
  return o;
}

static sky_status print_json(sky_context *ctx, const sky_sink *s) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddItemToObject(o, "years", cJSON_CreateDoubleArray(s->opt.years, 2));
  cJSON_AddStringToObject(o, "legend", s->legend.name);
  cJSON_AddStringToObject(o, "set", s->set.name);
  add_number(o, "accuracy", s->opt.accuracy);
  cJSON *factors = cJSON_AddArrayToObject(o, "factors");
  for (size_t i = 0; i < s->set.n_factor; i++) {
    const sky_sink_factor *f = &s->set.factor[i];
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
  for (size_t i = 0; i < s->n_zone * (s->n_class + 1); i++)
    if (sky_sink_row_shown(s, &s->rows[i])) cJSON_AddItemToArray(rows, row_json(s, &s->rows[i]));
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

static void print_table(const sky_sink *s) {
  char head[2][32];
  for (int i = 0; i < 2; i++)
    snprintf(head[i], sizeof head[i], "%.15g, ha", s->opt.years[i]);
  printf("%-16s %-18s %13s %13s %12s  %27s  %27s\n", "zone", "class", head[0], head[1],
         "change, ha", "stock change, t C", "removal, t C/yr");
  for (size_t i = 0; i < s->n_zone * (s->n_class + 1); i++) {
    const sky_sink_row *row = &s->rows[i];
    if (!sky_sink_row_shown(s, row)) continue;
    double v[SKY_SINK_NUMBERS];
    sky_sink_numbers(s, row, v);
    printf("%-16s %-18s %13.1f %13.1f %12.1f", s->zones.zone[row->zone].id,
           sky_sink_row_class(s, row), v[SKY_SINK_AREA_1], v[SKY_SINK_AREA_2], v[SKY_SINK_CHANGE]);
    print_estimate(v[SKY_SINK_STOCK_CHANGE], v[SKY_SINK_STOCK_SD]);
    print_estimate(v[SKY_SINK_REMOVAL], v[SKY_SINK_REMOVAL_SD]);
    char text[SKY_SINK_REASON];
    const char *reason = row->cls == s->n_class ? sky_sink_reason(s, row->zone, text) : "";
    printf("  %s%s%s\n", sky_sink_uptake_label(s, row), *reason != '\0' ? "; " : "", reason);
  }
  printf(
      "\nstock change: %s; positive = the land gains carbon\nremoval: positive = uptake, %.9g t "
      "CO2 per t C; without loss data a gain is gross growth, not a net sink\n",
      isnan(s->opt.accuracy) ? "map difference, not area estimate (map error unknown: --accuracy)"
                             : "map difference, not area estimate (interval with map error)",
      SKY_CO2_PER_C);
  if (s->opt.pools != NULL) {
    printf("pools: %s\n", s->opt.pools);
    return;
  }
  if (s->opt.soil == NULL && s->set.stocks) printf("soil carbon: not computed (give --soil)\n");
  printf("factors:\n");
  for (size_t i = 0; i < s->set.n_factor; i++) {
    const sky_sink_factor *f = &s->set.factor[i];
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
  sink_args args = {.sink.accuracy = NAN};
  sky_cli_common common = {0};
  sky_sink s = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &args, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, &args, &common));
  args.sink.allowed = args.allowed;
  args.sink.maps[0] = common.args[0];
  args.sink.maps[1] = common.args[1];
  args.sink.zones = common.args[2];
  const sky_zones_options zones = {.id = args.id, .name = args.name};
  sky_status st = sky_sink_open(ctx, &args.sink, &s);
  if (st == SKY_OK) st = sky_zones_read(ctx, args.sink.zones, &zones, s.grid, &s.zones);
  s.n_zone = s.zones.n;
  if (st == SKY_OK) st = sky_sink_make(ctx, &s);
  if (st == SKY_OK && args.out != NULL) st = sky_sink_write_csv(ctx, &s, args.out);
  if (st == SKY_OK && common.json) st = print_json(ctx, &s);
  if (st == SKY_OK && !common.json) print_table(&s);
  sky_sink_close(&s);
  return st;
}
