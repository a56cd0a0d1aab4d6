/* sink_args.c: see sink_args.h. One table of options: what it is called, what its value is, and
 * where it goes. */
#include "src/cli/sink_args.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "src/cli/shard_command.h"
#include "src/cli/values.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/job/sink_measures.h"

typedef enum value_kind {
  HEADING,
  WORD,
  INPUT,  /* a file */
  NUMBER, /* of low to high, above 0 */
  FLAG,
  YEARS,
  LEGEND,
  ALLOW, /* any number of them */
  /* Options on which the table of -o does not depend: */
  OUTPUT,
  BESIDE, /* a word */
  TILE,
  SHARD,
  FRESH
} value_kind;

typedef struct sink_option {
  sky_cli_option cli;
  value_kind kind;
  size_t at; /* of the member of sky_sink_args */
  double low, high;
} sink_option;

#define AT(member) offsetof(sky_sink_args, member)
#define GROUP(help) \
  { {"", 0, NULL, help}, HEADING, 0, 0, 0 }
#define TEXT(kind, name, member, arg, help) \
  { {name, 0, arg, help}, kind, AT(member), 0, 0 }
#define REAL(name, member, low, high, arg, help) \
  { {name, 0, arg, help}, NUMBER, AT(member), low, high }

static const sink_option options[] = {
    GROUP("maps and zones"),
    TEXT(WORD, "id", id, "FIELD", "attribute of the zones that names them"),
    TEXT(WORD, "name", name, "FIELD", "attribute with a readable name (default: the id)"),
    TEXT(WORD, "level", level, "FIELD",
         "attribute with the zones' level (region, county, project)"),
    TEXT(YEARS, "years", sink.years, "Y1,Y2,...", "years of the maps"),
    TEXT(LEGEND, "legend", sink.legend, "NAME",
         "what the classes mean: skyflux list legends, or FILE.csv"),
    TEXT(INPUT, "fractions", sink.fractions, "FILE.csv",
         "class fractions instead of maps: columns year, class, file, band, unit"),
    TEXT(FLAG, "persistence", sink.persistence, NULL,
         "a class that is back at the next date never left (three dates)"),
    GROUP("carbon"),
    TEXT(WORD, "factors", sink.factors, "SET", "carbon factors: skyflux list sink-sets"),
    TEXT(INPUT, "climate", sink.climate, "FILE", "map of climates, instead of --factors"),
    TEXT(INPUT, "climate-sets", sink.climate_sets, "FILE.csv",
         "factors of each climate: columns code, set"),
    TEXT(WORD, "soil", sink.soil, "TYPE",
         "soil type of the reference stock: HAC, LAC, SAN, POD, VOL, WET"),
    TEXT(INPUT, "soil-map", sink.soil_map, "FILE", "map of soils, instead of --soil"),
    TEXT(INPUT, "soil-types", sink.soil_types, "FILE.csv", "type of each soil: columns code, type"),
    TEXT(WORD, "tillage", sink.tillage, "WAY",
         "of cropland: 'reduced tillage', 'no-till' (default: full)"),
    TEXT(WORD, "input", sink.input, "WAY",
         "of cropland: low, 'high without manure', 'high with manure'"),
    TEXT(WORD, "grazing", sink.grazing, "WAY",
         "of grassland: 'high intensity grazing', 'severely degraded', improved"),
    TEXT(INPUT, "plots", sink.plots, "FILE.csv",
         "plots of an inventory, instead of the biomass of the factors"),
    TEXT(INPUT, "biomass", sink.local.biomass, "FILE",
         "raster of above-ground biomass, t/ha, instead of the factors'"),
    TEXT(WORD, "biomass-sd", sink.local.biomass_sd, "SD",
         "its standard deviation: a share, or a raster"),
    TEXT(INPUT, "soil-carbon", sink.local.soil, "FILE",
         "raster of soil carbon, t C/ha, instead of the factors'"),
    TEXT(WORD, "soil-carbon-sd", sink.local.soil_sd, "SD",
         "its standard deviation: a share, or a raster"),
    TEXT(INPUT, "forest-age", sink.local.ages, "FILE",
         "ages of forest: raster of 1 (to 20 years), 2, 3 (primary), or .csv shares"),
    TEXT(INPUT, "pools", sink.pools, "FILE.csv",
         "your own carbon pools by map code, instead of --factors"),
    TEXT(INPUT, "override", sink.overrides, "FILE.csv",
         "your own values of factor rows: columns key, value, sd, source"),
    TEXT(ALLOW, "allow-unverified", allowed, "KEY",
         "accept one factor or legend row that nobody verified"),
    GROUP("errors"),
    REAL("accuracy", sink.accuracy, 0, 1, "P", "overall accuracy of each map, e.g. 0.85"),
    REAL("map-correlation", sink.correlation, 0, 1, "R",
         "share of a map's errors that the next map repeats (default: 0)"),
    TEXT(INPUT, "reference", sink.reference, "FILE.csv",
         "sample of true classes: areas are estimated, not counted"),
    REAL("places", sink.places, 1, INFINITY, "N",
         "independent places that a zone is made of: adds their own deviation"),
    GROUP("written beside the table"),
    TEXT(OUTPUT, "areas", areas, "FILE.csv", "the area tensor: zone, classes, climate, soil"),
    TEXT(OUTPUT, "rasters", rasters, "PREFIX",
         "PREFIX_stock.tif, _stock_change.tif and _removal.tif"),
    TEXT(OUTPUT, "yearly", yearly, "FILE.csv",
         "carbon of single years from all transitions before them"),
    TEXT(BESIDE, "flux-years", flux_years, "YEARS",
         "of --yearly, e.g. 2005,2010-2020 (default: between the maps)"),
    TEXT(BESIDE, "management", management, "FILE.csv",
         "of --yearly, by date: columns year, tillage, input, grazing"),
    TEXT(OUTPUT, "spread", spread, "FILE.csv",
         "removal and stock change by each set of --compare, and their range"),
    TEXT(BESIDE, "compare", compare, "SET,SET,...", "factor sets to be set beside each other"),
    TEXT(OUTPUT, "indicators", indicators, "FILE.csv", "the indicators of T/CI 231; needs --gwp"),
    TEXT(BESIDE, "gwp", gwp, "SET", "potentials for t CO2e: SAR, AR4, AR5, AR6, AR6_GWP20"),
    TEXT(BESIDE, "measures", measures, "FILE.csv",
         "rice, wetlands, coasts, fires, projects of the zones, for --indicators"),
    GROUP("the run"),
    TEXT(TILE, "tile", sink.pass.tile, "N",
         "side of the tiles, cells (1024); no result depends on it"),
    TEXT(SHARD, "shard", sink.pass.shard, "I/N",
         "do this share of the work; -o is a shard for skyflux merge"),
    TEXT(FRESH, "fresh", sink.pass.fresh, NULL, "discard what a stopped run has left"),
    {{"out", 'o', "OUT.csv", "write the table"}, OUTPUT, AT(out), 0, 0}};
#define N_OPTIONS (sizeof options / sizeof options[0])

/* ---- values --------------------------------------------------------------------------------- */

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

static sky_status allow(sky_context *ctx, sky_sink_args *a, const char *key) {
  if (a->sink.n_allowed == SKY_SINK_ALLOWED)
    return sky_fail(ctx, SKY_E_USAGE, "--allow-unverified: more than %d rows", SKY_SINK_ALLOWED);
  a->allowed[a->sink.n_allowed++] = key;
  return SKY_OK;
}

static sky_status take(sky_context *ctx, sky_sink_args *a, const sink_option *o,
                       const char *value) {
  void *to = (char *)a + o->at;
  switch (o->kind) {
    case HEADING:
      return SKY_OK;
    case NUMBER:
      return parse_above(ctx, o->cli.name, value, o->low, o->high, to);
    case YEARS:
      return parse_years(ctx, value, &a->sink);
    case ALLOW:
      return allow(ctx, a, value);
    case FLAG:
    case FRESH:
      *(bool *)to = true;
      return SKY_OK;
    case TILE:
      return sky_cli_tile(ctx, value, to);
    case SHARD:
      return sky_shard_parse(ctx, value, to);
    case WORD:
    case INPUT:
    case LEGEND:
    case OUTPUT:
    case BESIDE:
      break;
  }
  *(const char **)to = value;
  return SKY_OK;
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  sky_sink_args *a = user;
  size_t i = 0;
  while (strcmp(options[i].cli.name, name) != 0)
    i++;
  const sink_option *o = &options[i];
  if (o->kind < OUTPUT) {
    const bool file = o->kind == INPUT || (o->kind == LEGEND && sky_sink_legend_is_file(value));
    if (a->words == NULL) a->words = cJSON_CreateArray();
    if (!sky_shard_word(a->words, name, value, file)) return SKY_E_NOMEM;
  }
  return take(ctx, a, o, value);
}

/* ---- what goes together --------------------------------------------------------------------- */

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
  if (o->pools != NULL && (o->plots != NULL || o->overrides != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "sink: --%s goes with --factors or --climate-sets",
                    o->plots != NULL ? "plots" : "override");
  if (o->pools != NULL && (o->soil != NULL || o->soil_map != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "sink: --soil goes with --factors; --pools has its own soil");
  return SKY_OK;
}

/* What is known of single zones. */
static sky_status check_local(sky_context *ctx, const sky_sink_args *a) {
  const sky_sink_options *o = &a->sink;
  if (!sky_local_any(&o->local)) return sky_local_check(ctx, &o->local);
  if (o->pools != NULL || o->plots != NULL || a->rasters != NULL)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --%s does not go with --biomass, --soil-carbon or --forest-age",
                    o->pools != NULL   ? "pools"
                    : o->plots != NULL ? "plots"
                                       : "rasters");
  if (o->fractions != NULL && sky_local_rasters(&o->local))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --biomass, --soil-carbon and a raster of --forest-age need a map of "
                    "classes, not --fractions");
  return sky_local_check(ctx, &o->local);
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

static sky_status check_indicators(sky_context *ctx, const sky_sink_args *a) {
  sky_sink_gwp gwp;
  if ((a->compare == NULL) != (a->spread == NULL) || (a->spread != NULL && a->sink.pools != NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --compare SETS and --spread FILE.csv go together, and not with --pools");
  if (a->yearly == NULL && (a->flux_years != NULL || a->management != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "sink: --%s goes with --yearly",
                    a->management != NULL ? "management" : "flux-years");
  if (a->yearly != NULL &&
      (a->sink.pools != NULL || a->sink.reference != NULL || sky_local_any(&a->sink.local)))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --yearly is of factor sets: not with --pools, --reference, --biomass, "
                    "--soil-carbon or --forest-age");
  if (a->management != NULL &&
      (a->sink.tillage != NULL || a->sink.input != NULL || a->sink.grazing != NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: give either --management or --tillage, --input and --grazing");
  if (a->measures != NULL && a->indicators == NULL)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --measures go into the table of --indicators, which "
                    "is missing");
  if (a->gwp != NULL && a->indicators == NULL)
    return sky_fail(ctx, SKY_E_USAGE, "sink: --gwp goes with --indicators, which is missing");
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

/* What class fractions do not go with: they have no single class, climate or accuracy. */
static sky_status check_fractions(sky_context *ctx, const sky_sink_args *a, int files) {
  const sky_sink_options *o = &a->sink;
  const char *other = o->n_date > 0          ? "--years"
                      : o->legend != NULL    ? "--legend"
                      : o->pools != NULL     ? "--pools"
                      : o->climate != NULL   ? "--climate"
                      : o->soil_map != NULL  ? "--soil-map"
                      : o->reference != NULL ? "--reference"
                      : o->persistence       ? "--persistence"
                      : !isnan(o->accuracy)  ? "--accuracy"
                      : a->rasters != NULL   ? "--rasters"
                                             : NULL;
  if (a->id == NULL) return sky_fail(ctx, SKY_E_USAGE, "sink: option --id is needed");
  if (other != NULL)
    return sky_fail(ctx, SKY_E_USAGE, "sink: %s does not go with --fractions", other);
  if (files == 1) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE,
                  "sink: with --fractions expected a file of zones alone, got %d files", files);
}

static sky_status check_maps(sky_context *ctx, const sky_sink_args *a,
                             const sky_cli_common *common) {
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
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, const sky_sink_args *a,
                             const sky_cli_common *common) {
  const sky_sink_options *o = &a->sink;
  SKY_TRY(o->fractions != NULL ? check_fractions(ctx, a, common->n_args)
                               : check_maps(ctx, a, common));
  if ((o->factors != NULL) + (o->pools != NULL) + (o->climate_sets != NULL) != 1)
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: give either --factors (see skyflux list sink-sets), --pools FILE.csv or "
                    "--climate with --climate-sets");
  SKY_TRY(check_pairs(ctx, o));
  SKY_TRY(check_local(ctx, a));
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

/* ---- all ------------------------------------------------------------------------------------ */

sky_status sky_sink_args_parse(sky_context *ctx, int argc, char **argv, sky_sink_args *a,
                               sky_cli_common *common) {
  sky_cli_option cli[N_OPTIONS + 1];
  for (size_t i = 0; i < N_OPTIONS; i++)
    cli[i] = options[i].cli;
  cli[N_OPTIONS] = (sky_cli_option){NULL, 0, NULL, NULL};
  const sky_cli_spec spec = {"sink", "MAP1 MAP2 [MAP3...] ZONES [options]",
                             "carbon of ecosystems from land-cover maps, by zone",
                             "skyflux sink lc1.tif lc2.tif zones.gpkg --id code --years "
                             "2001,2015 --legend clcd --pools p.csv",
                             cli};
  SKY_TRY(sky_cli_parse(ctx, &spec, argc, argv, handle, a, common));
  if (common->help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, a, common));
  a->sink.allowed = a->allowed;
  for (size_t d = 0; d < a->sink.n_date; d++)
    a->sink.maps[d] = common->args[d];
  a->sink.zones = common->args[a->sink.n_date];
  return SKY_OK;
}

void sky_sink_args_free(sky_sink_args *a) {
  cJSON_Delete(a->words);
  sky_free(a->stamp);
  sky_free(a->journal);
}
