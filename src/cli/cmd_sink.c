/* cmd_sink.c: `skyflux sink`: what the ecosystems of zones hold and take up, from land-cover
 * maps of two dates or more (src/job/sink_table.h). */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/shard_command.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/job/sink_indicators.h"
#include "src/job/sink_rasters.h"
#include "src/job/sink_spread.h"
#include "src/read/zones_ogr.h"
#include "src/write/json_out.h"

#define ALLOWED_MAX 64

typedef struct sink_args {
  const char *id, *name, *level, *out, *areas, *measures, *gwp, *indicators, *rasters, *compare,
      *spread;
  cJSON *words; /* all that the result depends on */
  char *stamp, *journal;
  sky_sink_options sink;
  const char *allowed[ALLOWED_MAX];
} sink_args;

/* ---- options -------------------------------------------------------------------------------- */

static sky_status parse_years(sky_context *ctx, const char *text, sky_sink_options *o) {
  const char *at = text;
  for (o->n_date = 0; o->n_date < SKY_TENSOR_DATES; at++) {
    double *year = &o->years[o->n_date];
    if (!sky_number_parse(at, year, &at) || !(*year >= 1900 && *year <= 2200)) break;
    if (o->n_date > 0 && *year <= year[-1]) break;
    if (++o->n_date >= 2 && *at == '\0') return SKY_OK;
    if (*at != ',') break;
  }
  return sky_fail(ctx, SKY_E_USAGE,
                  "--years: '%s' is not 2 to %d years in ascending order (1900 to 2200, e.g. "
                  "2001,2015)",
                  text, SKY_TENSOR_DATES);
}

static sky_status parse_above(sky_context *ctx, const char *name, const char *text, double low,
                              double high, double *out) {
  if (sky_number_parse(text, out, NULL) && *out > 0 && *out >= low && *out <= high) return SKY_OK;
  if (isfinite(high))
    return sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' is not above %g and at most %g (e.g. 0.85)", name,
                    text, low, high);
  return sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' is not a number of at least %g", name, text, low);
}

/* Options on which the table of -o does not depend. */
static bool handle_execution(sky_context *ctx, sink_args *a, const char *name, const char *value,
                             sky_status *st) {
  *st = SKY_OK;
  if (strcmp(name, "tile") == 0)
    *st = sky_cli_tile(ctx, value, &a->sink.pass.tile);
  else if (strcmp(name, "shard") == 0)
    *st = sky_shard_parse(ctx, value, &a->sink.pass.shard);
  else if (strcmp(name, "fresh") == 0)
    a->sink.pass.fresh = true;
  else if (strcmp(name, "areas") == 0)
    a->areas = value;
  else if (strcmp(name, "rasters") == 0)
    a->rasters = value;
  else if (strcmp(name, "compare") == 0)
    a->compare = value;
  else if (strcmp(name, "spread") == 0)
    a->spread = value;
  else if (strcmp(name, "measures") == 0)
    a->measures = value;
  else if (strcmp(name, "gwp") == 0)
    a->gwp = value;
  else if (strcmp(name, "indicators") == 0)
    a->indicators = value;
  else if (strcmp(name, "out") == 0)
    a->out = value;
  else
    return false;
  return true;
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  sink_args *a = user;
  sky_status st;
  const struct {
    const char *name, **to;
    bool file;
  } texts[] = {{"id", &a->id, false},
               {"name", &a->name, false},
               {"level", &a->level, false},
               {"legend", &a->sink.legend, sky_sink_legend_is_file(value != NULL ? value : "")},
               {"factors", &a->sink.factors, false},
               {"pools", &a->sink.pools, true},
               {"soil", &a->sink.soil, false},
               {"tillage", &a->sink.tillage, false},
               {"input", &a->sink.input, false},
               {"grazing", &a->sink.grazing, false},
               {"climate", &a->sink.climate, true},
               {"climate-sets", &a->sink.climate_sets, true},
               {"soil-map", &a->sink.soil_map, true},
               {"soil-types", &a->sink.soil_types, true},
               {"plots", &a->sink.plots, true},
               {"reference", &a->sink.reference, true}};
  bool file = false;
  if (handle_execution(ctx, a, name, value, &st)) return st;
  if (a->words == NULL) a->words = cJSON_CreateArray();
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    file |= texts[i].file && strcmp(name, texts[i].name) == 0;
  if (!sky_shard_word(a->words, name, value, file)) return SKY_E_NOMEM;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (strcmp(name, texts[i].name) != 0) continue;
    *texts[i].to = value;
    return SKY_OK;
  }
  if (strcmp(name, "years") == 0) return parse_years(ctx, value, &a->sink);
  if (strcmp(name, "accuracy") == 0) return parse_above(ctx, name, value, 0, 1, &a->sink.accuracy);
  if (strcmp(name, "map-correlation") == 0)
    return parse_above(ctx, name, value, 0, 1, &a->sink.correlation);
  if (strcmp(name, "persistence") == 0) {
    a->sink.persistence = true;
    return SKY_OK;
  }
  if (strcmp(name, "places") == 0)
    return parse_above(ctx, name, value, 1, INFINITY, &a->sink.places);
  if (a->sink.n_allowed == ALLOWED_MAX)
    return sky_fail(ctx, SKY_E_USAGE, "--allow-unverified: more than %d rows", ALLOWED_MAX);
  a->allowed[a->sink.n_allowed++] = value;
  return SKY_OK;
}

static sky_status check_pairs(sky_context *ctx, const sky_sink_options *o) {
  if ((o->climate == NULL) != (o->climate_sets == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --climate and --climate-sets go together: --%s is "
                    "missing",
                    o->climate == NULL ? "climate" : "climate-sets");
  if ((o->soil_map == NULL) != (o->soil_types == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --soil-map and --soil-types go together: --%s is "
                    "missing",
                    o->soil_map == NULL ? "soil-map" : "soil-types");
  if (o->soil_map != NULL && o->soil != NULL)
    return sky_fail(ctx, SKY_E_USAGE, "sink: give either --soil or --soil-map");
  if ((o->tillage != NULL || o->input != NULL || o->grazing != NULL) && o->soil == NULL &&
      o->soil_map == NULL)
    return sky_fail(
        ctx, SKY_E_USAGE,
        "sink: --tillage, --input and --grazing are of soils: give --soil or --soil-map");
  if (o->pools != NULL && o->plots != NULL)
    return sky_fail(ctx, SKY_E_USAGE, "sink: --plots go with --factors or --climate-sets");
  if (o->pools != NULL && (o->soil != NULL || o->soil_map != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "sink: --soil goes with --factors; --pools has its own soil");
  return SKY_OK;
}

static sky_status check_errors(sky_context *ctx, const sky_sink_options *o) {
  if (o->reference != NULL && (o->n_date != 2 || !isnan(o->accuracy)))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --reference is a sample of one change: give two maps, "
                    "and no --accuracy");
  if (o->correlation > 0 && isnan(o->accuracy))
    return sky_fail(ctx, SKY_E_USAGE, "sink: --map-correlation needs --accuracy");
  if (o->persistence && o->n_date < 3)
    return sky_fail(ctx, SKY_E_USAGE, "sink: --persistence needs maps of three dates or more");
  return SKY_OK;
}

static sky_status check_indicators(sky_context *ctx, const sink_args *a) {
  sky_sink_gwp gwp;
  if ((a->compare == NULL) != (a->spread == NULL) || (a->spread != NULL && a->sink.pools != NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --compare SETS and --spread FILE.csv go together, and not with --pools");
  if (a->measures != NULL && a->indicators == NULL)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --measures go into the table of --indicators, which "
                    "is missing");
  if (a->indicators == NULL) return SKY_OK;
  if (a->sink.pools != NULL)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --indicators are of the 11 classes; --pools go by code");
  if (a->gwp == NULL)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --indicators are in t CO2e, too: --gwp says by which potentials (SAR, "
                    "AR4, AR5, AR6, AR6_GWP20)");
  return sky_sink_gwp_find(ctx, a->gwp, &gwp);
}

static sky_status check_args(sky_context *ctx, const sink_args *a, const sky_cli_common *common) {
  const sky_sink_options *o = &a->sink;
  const char *missing = a->id == NULL       ? "--id"
                        : o->legend == NULL ? "--legend"
                        : o->n_date == 0    ? "--years"
                                            : NULL;
  if (common->n_args < 3)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: expected two maps or more and a file of zones, got %d files",
                    common->n_args);
  if (missing != NULL) return sky_fail(ctx, SKY_E_USAGE, "sink: option %s is needed", missing);
  if ((size_t)common->n_args != o->n_date + 1)
    return sky_fail(ctx, SKY_E_USAGE, "sink: --years has %zu years for %d maps", o->n_date,
                    common->n_args - 1);
  if ((o->factors != NULL) + (o->pools != NULL) + (o->climate_sets != NULL) != 1)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: give either --factors (see skyflux list sink-sets), --pools FILE.csv or "
                    "--climate with --climate-sets");
  SKY_TRY(check_pairs(ctx, o));
  SKY_TRY(check_errors(ctx, o));
  SKY_TRY(check_indicators(ctx, a));
  if (a->rasters != NULL && (o->persistence || o->reference != NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --rasters show the maps as they are, not with "
                    "--persistence or --reference");
  return o->pass.shard.shards > 0 && a->out == NULL
             ? sky_fail(ctx, SKY_E_USAGE, "sink: --shard needs -o")
             : SKY_OK;
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
  add_number(o, "class", row->cls == s->n_class ? NAN : (double)s->set->cls[row->cls].id);
  cJSON_AddStringToObject(o, "class_name", sky_sink_row_class(s, row));
  add_number(o, "year_1", s->opt.years[row->period]);
  add_number(o, "year_2", s->opt.years[row->period + 1]);
  for (size_t i = 0; i < SKY_SINK_NUMBERS; i++)
    add_number(o, sky_sink_number_names[i], v[i]);
  cJSON_AddStringToObject(o, "stock_label", sky_sink_stock_label(s, row));
  cJSON_AddStringToObject(o, "uptake_label", sky_sink_uptake_label(s, row));
  cJSON_AddStringToObject(o, "reason", sky_sink_reason(s, row->zone, reason));
  return o;
}

static sky_status print_json(sky_context *ctx, const sky_sink *s) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddItemToObject(o, "years", cJSON_CreateDoubleArray(s->opt.years, (int)s->opt.n_date));
  cJSON_AddStringToObject(o, "legend", s->legend.name);
  cJSON_AddStringToObject(o, "set", s->set->name);
  add_number(o, "accuracy", s->opt.accuracy);
  cJSON *factors = cJSON_AddArrayToObject(o, "factors");
  for (size_t i = 0; i < s->sites.n_factor; i++) {
    const sky_sink_factor *f = s->sites.factor[i];
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
  for (size_t i = 0; i < s->n_row; i++)
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
  printf("%-16s %-18s %11s %13s %13s %12s  %27s  %27s\n", "zone", "class", "years", "before, ha",
         "after, ha", "change, ha", "stock change, t C", "removal, t C/yr");
  for (size_t i = 0; i < s->n_row; i++) {
    const sky_sink_row *row = &s->rows[i];
    if (!sky_sink_row_shown(s, row)) continue;
    double v[SKY_SINK_NUMBERS];
    sky_sink_numbers(s, row, v);
    const double *years = s->opt.years + row->period;
    printf("%-16s %-18s %5.15g-%-5.15g %13.1f %13.1f %12.1f", s->zones.zone[row->zone].id,
           sky_sink_row_class(s, row), years[0], years[1], v[SKY_SINK_AREA_1], v[SKY_SINK_AREA_2],
           v[SKY_SINK_CHANGE]);
    print_estimate(v[SKY_SINK_STOCK_CHANGE], v[SKY_SINK_STOCK_SD]);
    print_estimate(v[SKY_SINK_REMOVAL], v[SKY_SINK_REMOVAL_SD]);
    char text[SKY_SINK_REASON];
    const char *reason = row->cls == s->n_class ? sky_sink_reason(s, row->zone, text) : "";
    printf("  %s%s%s\n", sky_sink_uptake_label(s, row), *reason != '\0' ? "; " : "", reason);
  }
  printf(
      "\nstock change: %s; positive = the land gains carbon\nremoval: positive = uptake, %.9g t "
      "CO2 per t C; without loss data a gain is gross growth, not a net sink\n",
      s->reference.n_class > 0 ? "area estimate from a reference sample"
      : isnan(s->opt.accuracy) ? "map difference, not area estimate (map error unknown: --accuracy)"
                               : "map difference, not area estimate (interval with map error)",
      SKY_CO2_PER_C);
  if (s->opt.pools != NULL) {
    printf("pools: %s\n", s->opt.pools);
    return;
  }
  if (s->opt.soil == NULL && s->opt.soil_map == NULL && s->stocks)
    printf("soil carbon: not computed (give --soil)\n");
  printf("factors:\n");
  for (size_t i = 0; i < s->sites.n_factor; i++) {
    const sky_sink_factor *f = s->sites.factor[i];
    printf("  %s = %.9g ± %.4g %s%s%s\n", f->key, f->value, f->sd, f->unit,
           f->sd > 0 ? "" : ", no error published", f->verified ? "" : ", not verified");
  }
}

/* ---- the command ---------------------------------------------------------------------------- */

/* The stamp of what is computed, and the journal beside the output. */
static sky_status make_journal(sky_context *ctx, sink_args *a, const sky_cli_common *common) {
  for (int i = 0; i < common->n_args; i++)
    if (!sky_shard_word(a->words, NULL, common->args[i], true)) return SKY_E_NOMEM;
  a->stamp = sky_shard_stamp(ctx, "sink", a->words);
  if (a->stamp == NULL) return SKY_E_NOMEM;
  a->sink.pass.stamp = a->stamp;
  if (a->out == NULL || a->sink.pass.n_join > 0) return SKY_OK;
  a->journal = sky_sprintf(ctx, "%s.journal", a->out);
  a->sink.pass.journal = a->journal;
  return a->journal != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status write_indicators(sky_context *ctx, const sink_args *a, const sky_sink *s) {
  sky_zone_measures m = {0};
  sky_sink_gwp gwp;
  SKY_TRY(sky_sink_gwp_find(ctx, a->gwp, &gwp));
  if (a->measures != NULL) SKY_TRY(sky_zone_measures_read(ctx, a->measures, s, &m));
  const sky_status st =
      sky_sink_write_indicators(ctx, s, a->measures != NULL ? &m : NULL, &gwp, a->indicators);
  sky_zone_measures_free(&m);
  return st;
}

static sky_status write_all(sky_context *ctx, const sink_args *a, bool json, const sky_sink *s) {
  if (a->out != NULL) SKY_TRY(sky_sink_write_csv(ctx, s, a->out));
  if (a->areas != NULL) SKY_TRY(sky_sink_write_areas(ctx, s, a->areas));
  if (a->rasters != NULL) SKY_TRY(sky_sink_write_rasters(ctx, s, a->rasters, NULL, 0));
  if (a->spread != NULL) SKY_TRY(sky_sink_write_spread(ctx, s, a->compare, a->spread));
  if (a->indicators != NULL) SKY_TRY(write_indicators(ctx, a, s));
  if (json) return print_json(ctx, s);
  print_table(s);
  return SKY_OK;
}

static sky_status sink(sky_context *ctx, sink_args *a, const sky_cli_common *common, bool json,
                       sky_sink *s) {
  const sky_zones_options zones = {.id = a->id, .name = a->name, .level_attribute = a->level};
  SKY_TRY(sky_sink_open(ctx, &a->sink, s));
  SKY_TRY(sky_zones_read(ctx, a->sink.zones, &zones, s->grid, &s->zones));
  s->n_zone = s->zones.n;
  const bool shard = a->sink.pass.shard.shards > 0;
  sky_status st = sky_sink_make(ctx, s);
  if (st == SKY_OK)
    st = shard ? sky_journal_save(ctx, a->journal, a->out)
               : write_all(ctx, a, json || common->json, s);
  /* Once all areas are there, what fails is no matter of going on. */
  if (a->journal != NULL && (st == SKY_OK || s->areas.inside != NULL)) unlink(a->journal);
  return st;
}

/* a: out and shards to be joined are set, if there are any. */
static sky_status run_sink(sky_context *ctx, int argc, char **argv, bool json, sink_args *a) {
  static const sky_cli_option OPTIONS[] = {
      {"id", 0, "FIELD", "attribute of the zones that names them"},
      {"name", 0, "FIELD", "attribute with a readable name (default: the id)"},
      {"level", 0, "FIELD", "attribute with the zones' level (region, county, project)"},
      {"years", 0, "Y1,Y2,...", "years of the maps"},
      {"legend", 0, "NAME", "what the classes mean: skyflux list legends, or FILE.csv"},
      {"factors", 0, "SET", "carbon factors: skyflux list sink-sets"},
      {"soil", 0, "TYPE", "soil type of the reference stock: HAC, LAC, SAN, POD, VOL, WET"},
      {"tillage", 0, "WAY", "of cropland: 'reduced tillage', 'no-till' (default: full)"},
      {"input", 0, "WAY", "of cropland: low, 'high without manure', 'high with manure'"},
      {"grazing", 0, "WAY",
       "of grassland: 'high intensity grazing', 'severely degraded', improved"},
      {"climate", 0, "FILE", "map of climates, instead of --factors"},
      {"climate-sets", 0, "FILE.csv", "factors of each climate: columns code, set"},
      {"soil-map", 0, "FILE", "map of soils, instead of --soil"},
      {"soil-types", 0, "FILE.csv", "type of each soil: columns code, type"},
      {"plots", 0, "FILE.csv", "plots of an inventory, instead of the biomass of the factors"},
      {"pools", 0, "FILE.csv", "your own carbon pools by map code, instead of --factors"},
      {"accuracy", 0, "P", "overall accuracy of each map, e.g. 0.85"},
      {"map-correlation", 0, "R", "share of a map's errors that the next map repeats (default: 0)"},
      {"reference", 0, "FILE.csv", "sample of true classes: areas are estimated, not counted"},
      {"persistence", 0, NULL, "a class that is back at the next date never left (three dates)"},
      {"places", 0, "N", "independent places that a zone is made of: adds their own deviation"},
      {"allow-unverified", 0, "KEY", "accept one factor or legend row that nobody verified"},
      {"areas", 0, "FILE.csv", "write the area tensor, too: zone, classes, climate, soil"},
      {"rasters", 0, "PREFIX", "write PREFIX_stock.tif, _stock_change.tif and _removal.tif, too"},
      {"compare", 0, "SET,SET,...", "factor sets to be set beside each other, for --spread"},
      {"spread", 0, "FILE.csv", "write the removal by each set of --compare, and their range, too"},
      {"indicators", 0, "FILE.csv", "write the indicators of T/CI 231, too; needs --gwp"},
      {"gwp", 0, "SET", "potentials for t CO2e: SAR, AR4, AR5, AR6, AR6_GWP20"},
      {"measures", 0, "FILE.csv",
       "rice, wetlands, coasts, projects of the zones, for --indicators"},
      {"tile", 0, "N", "side of the tiles, cells (1024); no result depends on it"},
      {"shard", 0, "I/N", "do this share of the work; -o is a shard for skyflux merge"},
      {"fresh", 0, NULL, "discard what a stopped run has left"},
      {"out", 'o', "OUT.csv", "write the table"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {"sink", "MAP1 MAP2 [MAP3...] ZONES [options]",
                                    "carbon of ecosystems from land-cover maps, by zone",
                                    "skyflux sink lc1.tif lc2.tif zones.gpkg --id code --years "
                                    "2001,2015 --legend clcd --pools p.csv",
                                    OPTIONS};
  sky_cli_common common = {0};
  sky_sink s = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, a, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, a, &common));
  SKY_TRY(make_journal(ctx, a, &common));
  a->sink.allowed = a->allowed;
  for (size_t d = 0; d < a->sink.n_date; d++)
    a->sink.maps[d] = common.args[d];
  a->sink.zones = common.args[a->sink.n_date];
  const sky_status st = sink(ctx, a, &common, json, &s);
  sky_sink_close(&s);
  return st;
}

static void args_free(sink_args *a) {
  cJSON_Delete(a->words);
  sky_free(a->stamp);
  sky_free(a->journal);
}

sky_status sky_cmd_sink(sky_context *ctx, int argc, char **argv) {
  sink_args args = {.sink = {.accuracy = NAN, .places = NAN}};
  const sky_status st = run_sink(ctx, argc, argv, false, &args);
  args_free(&args);
  return st;
}

sky_status sky_sink_merge(sky_context *ctx, int argc, char **argv, const char *const *shards,
                          size_t n, const char *out, bool json) {
  sink_args args = {.out = out, .sink = {.accuracy = NAN, .places = NAN}};
  args.sink.pass.join = shards;
  args.sink.pass.n_join = n;
  const sky_status st = run_sink(ctx, argc, argv, json, &args);
  args_free(&args);
  return st;
}
