/* cmd_vprm.c: `skyflux vprm`: hourly photosynthesis and respiration of vegetation (src/job/vprm.h).
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/values.h"
#include "src/core/memory.h"
#include "src/core/timeutil.h"
#include "src/job/vprm.h"
#include "src/write/json_out.h"
#include "src/write/result_table.h"

#define FRACTIONS_MAX 32
#define ZONE_COLUMNS 10

typedef struct vprm_args {
  const char *accumulated, *table;
  const char *fraction[FRACTIONS_MAX];
  sky_vprm_options opt;
} vprm_args;

static sky_status parse_accumulated(sky_context *ctx, const char *text, sky_accumulation *out) {
  static const char *const words[] = {"auto", "hour", "day"};
  int i;
  SKY_TRY(sky_cli_word(ctx, "accumulated", text, words, 3, &i));
  *out = (sky_accumulation)i;
  return SKY_OK;
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  vprm_args *a = user;
  const sky_cli_text_option texts[] = {{"season", &a->opt.season},
                                       {"landcover", &a->opt.landcover},
                                       {"classes", &a->opt.classes},
                                       {"set", &a->opt.set},
                                       {"parameters", &a->opt.parameters},
                                       {"zones", &a->opt.zones},
                                       {"id", &a->opt.zone.id},
                                       {"name", &a->opt.zone.name},
                                       {"map", &a->opt.map},
                                       {"table", &a->table},
                                       {"out", &a->opt.out}};
  if (sky_cli_text(texts, sizeof texts / sizeof *texts, name, value)) return SKY_OK;
  if (strcmp(name, "accumulated") == 0) return parse_accumulated(ctx, value, &a->opt.accumulated);
  if (a->opt.n_fraction == FRACTIONS_MAX)
    return sky_fail(ctx, SKY_E_USAGE, "--fraction: more than %d classes", FRACTIONS_MAX);
  a->fraction[a->opt.n_fraction++] = value;
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, const vprm_args *a, const sky_cli_common *common) {
  const sky_vprm_options *o = &a->opt;
  const char *missing = o->season == NULL ? "--season" : o->out == NULL ? "-o" : NULL;
  if (common->n_args < 1)
    return sky_fail(ctx, SKY_E_USAGE, "vprm: expected files of hourly temperature and radiation");
  if (missing != NULL) return sky_fail(ctx, SKY_E_USAGE, "vprm: option %s is needed", missing);
  if ((o->set == NULL) == (o->parameters == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "vprm: give either --set NAME (pyvprm-modis, pyvprm-sentinel2, eu2007, "
                    "hilton2013) or --parameters FILE.csv");
  if ((o->landcover == NULL) == (o->n_fraction == 0) ||
      (o->landcover == NULL) != (o->classes == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "vprm: give the vegetation either by --landcover MAP --classes CODES.csv or by "
                    "--fraction CLASS=RASTER, one a class");
  if ((o->zones == NULL) != (o->zone.id == NULL))
    return sky_fail(ctx, SKY_E_USAGE, "vprm: --zones FILE and --id FIELD go together");
  if (a->table != NULL && o->zones == NULL)
    return sky_fail(ctx, SKY_E_USAGE, "vprm: --table needs --zones FILE --id FIELD");
  if (a->table != NULL) SKY_TRY(sky_result_check_path(ctx, a->table));
  return SKY_OK;
}

/* ---- results -------------------------------------------------------------------------------- */

static void fill_row(sky_result_cell *c, const sky_zone *zone, const sky_vprm_zone *v,
                     double days) {
  const double hectares = v->area / 1e4;
  const double numbers[] = {hectares,     v->covered,           days,
                            v->total.gpp, v->total.respiration, v->total.nee};
  *c++ = (sky_result_cell){zone->id, NAN};
  *c++ = (sky_result_cell){zone->name, NAN};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    *c++ = (sky_result_cell){NULL, numbers[i]};
  *c++ = (sky_result_cell){"t CO2", NAN};
  *c = (sky_result_cell){v->reason, NAN};
}

static sky_status put_table(sky_context *ctx, const vprm_args *a, const sky_vprm_result *r,
                            bool json, cJSON **out) {
  static const sky_result_column COLUMNS[ZONE_COLUMNS] = {
      {"zone_id", SKY_CELL_TEXT},        {"zone_name", SKY_CELL_TEXT},
      {"zone_area_ha", SKY_CELL_NUMBER}, {"covered", SKY_CELL_NUMBER},
      {"days", SKY_CELL_NUMBER},         {"gpp", SKY_CELL_NUMBER},
      {"respiration", SKY_CELL_NUMBER},  {"nee", SKY_CELL_NUMBER},
      {"unit", SKY_CELL_TEXT},           {"reason", SKY_CELL_TEXT}};
  sky_result_cell *cell = NULL;
  const sky_zone **zone = NULL;
  char *note = NULL, *text = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(cell, SKY_NEW(ctx, sky_result_cell, r->zones.n * ZONE_COLUMNS));
  SKY_GO_ALLOC(zone, SKY_NEW(ctx, const sky_zone *, r->zones.n));
  SKY_GO_ALLOC(note,
               sky_sprintf(ctx,
                           "skyflux %s vprm, parameters %s; totals of the period over the covered "
                           "part; nee to the atmosphere positive",
                           SKYFLUX_VERSION, r->set));
  for (size_t z = 0; z < r->zones.n; z++) {
    fill_row(cell + z * ZONE_COLUMNS, &r->zones.zone[z], &r->zone[z], (double)r->hours / 24);
    zone[z] = &r->zones.zone[z];
  }
  const sky_result_table t = {.name = "vprm",
                              .notes = (const char *const *)&note,
                              .n_note = 1,
                              .n_column = ZONE_COLUMNS,
                              .n_row = r->zones.n,
                              .column = COLUMNS,
                              .cell = cell,
                              .crs = r->crs,
                              .zone = zone};
  if (a->table != NULL) SKY_GO(sky_result_write(ctx, a->table, &t));
  if (json) {
    *out = sky_result_json(&t);
    if (*out == NULL) st = SKY_E_NOMEM;
  } else if (a->table == NULL) {
    SKY_GO_ALLOC(text, sky_result_csv(ctx, &t));
    fputs(text, stdout);
  }
cleanup:
  sky_free(text);
  sky_free(note);
  sky_free(cell);
  sky_free(zone);
  return st;
}

static void add_flux(cJSON *o, const char *name, const sky_vprm_flux *f, double scale,
                     const char *unit) {
  cJSON *m = cJSON_AddObjectToObject(o, name);
  cJSON_AddNumberToObject(m, "gpp", f->gpp * scale);
  cJSON_AddNumberToObject(m, "respiration", f->respiration * scale);
  cJSON_AddNumberToObject(m, "nee", f->nee * scale);
  cJSON_AddStringToObject(m, "unit", unit);
}

static sky_status print_json(sky_context *ctx, const vprm_args *a, const sky_vprm_result *r,
                             cJSON *zones) {
  char start[24], end[24];
  cJSON *o = cJSON_CreateObject();
  sky_time_format(r->start, start, sizeof start);
  sky_time_format(r->end, end, sizeof end);
  cJSON_AddStringToObject(o, "out", a->opt.out);
  cJSON_AddStringToObject(o, "parameters", r->set);
  cJSON_AddStringToObject(o, "start", start);
  cJSON_AddStringToObject(o, "end", end);
  cJSON_AddNumberToObject(o, "hours", (double)r->hours);
  cJSON_AddNumberToObject(o, "cells", (double)r->cells);
  cJSON_AddNumberToObject(o, "cells_valid", (double)r->valid);
  cJSON_AddNumberToObject(o, "area_m2", r->area);
  add_flux(o, "mean", &r->mean, 1e6, "umol m-2 s-1");
  add_flux(o, "total", &r->total, 1, "t CO2");
  if (zones != NULL) cJSON_AddItemToObject(o, "zones", zones);
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static void print_text(const vprm_args *a, const sky_vprm_result *r) {
  fprintf(
      a->opt.zones != NULL && a->table == NULL ? stderr : stdout,
      "%s: %zu hours, %zu of %zu cells; mean GPP %.4g, respiration %.4g, NEE %.4g umol m-2 s-1\n",
      a->opt.out, r->hours, r->valid, r->cells, r->mean.gpp * 1e6, r->mean.respiration * 1e6,
      r->mean.nee * 1e6);
}

static sky_status vprm(sky_context *ctx, const vprm_args *a, bool json) {
  sky_vprm_result r;
  cJSON *zones = NULL;
  SKY_TRY(sky_vprm_make(ctx, &a->opt, &r));
  sky_status st = a->opt.zones != NULL ? put_table(ctx, a, &r, json, &zones) : SKY_OK;
  if (st == SKY_OK && json)
    st = print_json(ctx, a, &r, zones);
  else if (st == SKY_OK)
    print_text(a, &r);
  sky_vprm_result_free(&r);
  return st;
}

sky_status sky_cmd_vprm(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"season", 0, "FILE", "EVI and LSWI over time (skyflux indices); the fluxes have its grid"},
      {"landcover", 0, "RASTER", "map of classes, with --classes"},
      {"classes", 0, "FILE.csv", "columns code, class: of the parameters for each code, or none"},
      {"fraction", 0, "CLASS=RASTER", "or shares of a class, 0..1; once a class"},
      {"set", 0, "NAME", "pyvprm-modis, pyvprm-sentinel2, eu2007; hilton2013 (N. America)"},
      {"parameters", 0, "FILE.csv", "your own parameters instead (docs/vprm.md)"},
      {"accumulated", 0, "HOW", "radiation: over the hour (ERA5), since 00 UTC (day), or auto"},
      {"zones", 0, "FILE", "polygons: totals of each"},
      {"id", 0, "FIELD", "attribute of the zones that names them"},
      {"name", 0, "FIELD", "attribute with their name in words"},
      {"table", 0, "OUT", "zones to a .csv, .gpkg or .parquet (default: CSV to the terminal)"},
      {"map", 0, "OUT.tif", "mean NEE of the period as a GeoTIFF"},
      {"out", 'o', "OUT.nc", "write hourly GPP, respiration and NEE"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "vprm", "MET.nc... --season FILE --landcover RASTER --classes FILE --set NAME -o OUT.nc",
      "hourly photosynthesis and respiration of vegetation (VPRM), from EVI, LSWI and ERA5",
      "skyflux vprm era5.nc --season s.nc --landcover m.tif --classes c.csv --set eu2007 -o nee.nc",
      OPTIONS};
  vprm_args a = {.opt = {.zone = {.keep_defects = true}}};
  sky_cli_common common = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, &a, &common));
  a.opt.met = common.args;
  a.opt.n_met = (size_t)common.n_args;
  a.opt.fractions = a.fraction;
  return vprm(ctx, &a, common.json);
}
