/* cmd_info.c: `skyflux info`: what is this file, in our words.
 *
 * Product files are opened in a worker process first, so that a damaged file is a message and not a
 * crash. What no reader takes is tried as gridded soundings, as footprints, then as a file of
 * surface fluxes; what is no NetCDF or HDF5 file as a raster. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/reading_args.h"
#include "src/cli/info_raster.h"
#include "src/cli/values.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/core/units.h"
#include "src/read/footprint.h"
#include "src/read/granule.h"
#include "src/read/level3.h"
#include "src/read/nc.h"
#include "src/read/product.h"
#include "src/write/json_out.h"

#define DEFAULT_TIMEOUT 60.0 /* s */

typedef struct info_args {
  sky_selection sel;
  sky_reading_args reading;
  double timeout;
  sky_enhancement_options raster;
} info_args;

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  info_args *a = user;
  bool taken;
  SKY_TRY(sky_reading_args_take(ctx, &a->reading, &a->sel, name, value, &taken));
  if (taken) return SKY_OK;
  if (strcmp(name, "gas") == 0) {
    a->raster.gas = value;
  } else if (strcmp(name, "unit") == 0) {
    a->raster.unit = value;
  } else if (strcmp(name, "timeout") == 0) {
    return sky_cli_above(ctx, name, value, &a->timeout);
  } else {
    double box[4];
    SKY_TRY(sky_cli_box(ctx, value, box));
    sky_selection_set_box(&a->sel, box);
  }
  return SKY_OK;
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static void add_time(cJSON *o, const char *key, double seconds) {
  char text[32];
  sky_time_format(seconds, text, sizeof text);
  cJSON_AddItemToObject(o, key, text[0] != '\0' ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static void add_bbox(cJSON *o, const double box[4]) {
  if (isnan(box[0])) {
    cJSON_AddItemToObject(o, "bbox", cJSON_CreateNull());
  } else {
    cJSON_AddItemToObject(o, "bbox", cJSON_CreateDoubleArray(box, 4));
  }
}

static void add_gas(cJSON *o, const sky_granule_gas *g, bool has_box) {
  const sky_species *gas = sky_species_find(g->gas);
  const double box[4] = {g->west, g->south, g->east, g->north};
  cJSON_AddNumberToObject(o, "soundings", (double)g->soundings);
  cJSON_AddNumberToObject(o, "good", (double)g->good);
  cJSON_AddStringToObject(o, "units", gas != NULL ? gas->column_unit : "1");
  add_time(o, "time_start", g->time_start);
  add_time(o, "time_end", g->time_end);
  add_bbox(o, box);
  cJSON *dropped = cJSON_AddObjectToObject(o, "dropped");
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_BOX; ++k) {
    if (g->drops[k] == 0) continue;
    cJSON_AddNumberToObject(dropped, sky_drop_name((sky_drop)k), (double)g->drops[k]);
  }
  if (has_box) cJSON_AddNumberToObject(o, "outside_box", (double)g->drops[SKY_DROP_BOX]);
}

static cJSON *granule_json(const char *path, const sky_granule_summary *s, bool has_box) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", path);
  cJSON_AddStringToObject(o, "product", s->product);
  if (s->harmonised) cJSON_AddBoolToObject(o, "harmonised", true);
  cJSON *gases = cJSON_AddArrayToObject(o, "gases");
  for (size_t g = 0; g < s->n_gases; ++g) {
    cJSON_AddItemToArray(gases, cJSON_CreateString(s->gas[g].gas));
  }
  add_gas(o, &s->gas[0], has_box);
  if (s->n_gases > 1) {
    cJSON *by_gas = cJSON_AddObjectToObject(o, "by_gas");
    for (size_t g = 0; g < s->n_gases; ++g) {
      add_gas(cJSON_AddObjectToObject(by_gas, s->gas[g].gas), &s->gas[g], has_box);
    }
  }
  return o;
}

/* --- table -------------------------------------------------------------------------------------
 */

static void print_gas(const sky_granule_gas *g, bool has_box) {
  char start[32], end[32];
  sky_time_format(g->time_start, start, sizeof start);
  sky_time_format(g->time_end, end, sizeof end);
  const sky_species *gas = sky_species_find(g->gas);
  printf("  %-5s %10zu soundings%s, %zu good, in %s\n", g->gas, g->soundings,
         has_box ? " in the box" : "", g->good, gas != NULL ? gas->column_unit : "1");
  if (g->soundings > 0) {
    printf("        time %s to %s\n", start, end);
    printf("        box  %.4f,%.4f,%.4f,%.4f\n", g->west, g->south, g->east, g->north);
  }
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_BOX; ++k) {
    if (g->drops[k] > 0) printf("  %16zu dropped: %s\n", g->drops[k], sky_drop_name((sky_drop)k));
  }
  if (has_box) printf("  %16zu outside the box\n", g->drops[SKY_DROP_BOX]);
}

static void print_granule(const char *path, const sky_granule_summary *s, const info_args *a) {
  const sky_reader *r = sky_declared_find(a->reading.declared, s->product);
  printf("%s\n  %s%s%s%s\n", path, s->harmonised ? "harmonised soundings of " : "", s->product,
         r != NULL ? ": " : "", r != NULL ? r->title : "");
  for (size_t g = 0; g < s->n_gases; ++g)
    print_gas(&s->gas[g], a->sel.has_box);
}

/* --- other files -------------------------------------------------------------------------------
 */

static cJSON *footprint_json(const char *path, const sky_footprints *f) {
  const sky_grid *g = &f->grid;
  const double box[4] = {g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny]};
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", path);
  cJSON_AddStringToObject(o, "product", "footprint");
  cJSON_AddStringToObject(o, "format", f->format);
  cJSON_AddNumberToObject(o, "receptors", (double)f->n_receptors);
  cJSON_AddNumberToObject(o, "rows", (double)f->n_rows);
  cJSON_AddStringToObject(o, "units", "mol mol-1 / (mol m-2 s-1)");
  double first = NAN, last = NAN;
  for (size_t i = 0; i < f->n_receptors; ++i) {
    first = fmin(first, f->time[i]);
    last = fmax(last, f->time[i]);
  }
  add_time(o, "time_start", first);
  add_time(o, "time_end", last);
  add_bbox(o, box);
  return o;
}

/* Root variables whose unit is a surface flux. */
static sky_status flux_json(sky_context *ctx, const char *path, cJSON **out) {
  sky_nc *f = NULL;
  char **names = NULL;
  size_t n = 0;
  sky_status st = SKY_OK;
  cJSON *list = cJSON_CreateArray();
  *out = NULL;
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(sky_nc_variables(ctx, f, &names, &n));
  for (size_t i = 0; i < n; ++i) {
    sky_nc_var info;
    double factor;
    SKY_GO(sky_nc_info(ctx, f, names[i], &info));
    if (info.ndims < 2 || info.units[0] == '\0') continue;
    if (sky_units_flux(ctx, info.units, "co2", &factor) != SKY_OK) continue;
    cJSON *v = cJSON_CreateObject();
    cJSON_AddStringToObject(v, "name", names[i]);
    cJSON_AddStringToObject(v, "units", info.units);
    cJSON_AddItemToArray(list, v);
  }
  sky_error_clear(ctx);
  if (cJSON_GetArraySize(list) > 0) {
    *out = cJSON_CreateObject();
    cJSON_AddStringToObject(*out, "file", path);
    cJSON_AddStringToObject(*out, "product", "flux");
    cJSON_AddItemToObject(*out, "variables", list);
    list = NULL;
  }
cleanup:
  cJSON_Delete(list);
  sky_file_list_free(names, n);
  sky_nc_close(f);
  return st;
}

static bool holds_footprints(sky_context *ctx, const char *path) {
  static const char *const NAMES[] = {"fp", "srr", "foot"};
  sky_nc *f;
  bool found = false;
  if (sky_nc_open(ctx, path, &f) != SKY_OK) return false;
  for (size_t i = 0; i < 3; ++i)
    found = found || sky_nc_has(f, NAMES[i]);
  sky_nc_close(f);
  return found;
}

/* What `skyflux grid` wrote. */
static sky_status level3_json(sky_context *ctx, const char *path, cJSON **out) {
  sky_level3 l;
  sky_level3_file *sums = NULL;
  SKY_TRY(sky_level3_open(ctx, path, &l, &sums));
  const double box[4] = {l.grid.x_edge[0], l.grid.y_edge[0], l.grid.x_edge[l.grid.nx],
                         l.grid.y_edge[l.grid.ny]};
  double first = NAN, last = NAN;
  for (size_t i = 0; i < l.n_granule; i++) {
    first = fmin(first, l.granule[i].start);
    last = fmax(last, l.granule[i].end);
  }
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", path);
  cJSON_AddStringToObject(o, "product", "gridded soundings");
  cJSON_AddStringToObject(o, "gas", l.gas);
  cJSON_AddStringToObject(o, "crs", l.grid.crs);
  cJSON_AddNumberToObject(o, "columns", (double)l.grid.nx);
  cJSON_AddNumberToObject(o, "rows", (double)l.grid.ny);
  cJSON_AddItemToObject(o, l.grid.geographic ? "bbox" : "extent", cJSON_CreateDoubleArray(box, 4));
  add_time(o, "time_start", first);
  add_time(o, "time_end", last);
  cJSON_AddNumberToObject(o, "granules", (double)l.n_granule);
  cJSON_AddNumberToObject(
      o, "soundings", (double)(l.total.n - l.total.outside - l.total.crossed - l.total.degenerate));
  cJSON_AddNumberToObject(o, "soundings outside the grid", (double)l.total.outside);
  cJSON_AddNumberToObject(o, "cells with soundings", (double)sky_level3_cells(sums));
  *out = o;
  sky_level3_free(&l);
  sky_level3_close(sums);
  return SKY_OK;
}

/* The file is none of our products (message in ctx): gridded, footprints or fluxes? */
static sky_status describe_other(sky_context *ctx, const char *path, cJSON **out) {
  char *message = sky_strdup(ctx, sky_error(ctx));
  if (message == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  bool gridded = false;
  *out = NULL;
  if (sky_level3_recognise(ctx, path, &gridded) == SKY_OK && gridded) {
    st = level3_json(ctx, path, out);
  } else if (holds_footprints(ctx, path)) {
    sky_footprints f = {0};
    st = sky_footprints_read(ctx, path, &f);
    if (st == SKY_OK) *out = footprint_json(path, &f);
    sky_footprints_free(&f);
  } else if (flux_json(ctx, path, out) != SKY_OK || *out == NULL) {
    st = sky_fail(ctx, SKY_E_FORMAT,
                  "%s; nor footprints (fp, srr, foot), nor a variable in a surface flux unit",
                  message);
  }
  sky_free(message);
  return st;
}

static void print_other(const cJSON *o) {
  for (const cJSON *v = o->child; v != NULL; v = v->next) {
    if (cJSON_IsString(v)) {
      const bool file = strcmp(v->string, "file") == 0;
      const bool bare = file || strcmp(v->string, "product") == 0;
      printf("%s%s%s%s\n", file ? "" : "  ", bare ? "" : v->string, bare ? "" : " ",
             v->valuestring);
    } else if (cJSON_IsNumber(v)) {
      printf("  %.10g %s\n", v->valuedouble, v->string);
    } else if (cJSON_IsArray(v) && cJSON_IsNumber(v->child)) {
      printf("  ");
      for (const cJSON *x = v->child; x != NULL; x = x->next)
        printf("%.10g%s", x->valuedouble, x->next != NULL ? "," : "");
      printf(" %s\n", v->string);
    }
  }
  const cJSON *variable;
  cJSON_ArrayForEach(variable, cJSON_GetObjectItem(o, "variables")) {
    printf("  %s [%s]\n", cJSON_GetObjectItem(variable, "name")->valuestring,
           cJSON_GetObjectItem(variable, "units")->valuestring);
  }
}

/* --- the command -------------------------------------------------------------------------------
 */

static sky_status describe(sky_context *ctx, const char *path, const info_args *a, bool json,
                           cJSON *all) {
  sky_granule_summary s;
  cJSON *other = NULL;
  sky_status st = sky_granule_describe(ctx, path, a->reading.product, &a->sel, a->timeout, &s);
  if (st == SKY_OK) {
    if (json) cJSON_AddItemToArray(all, granule_json(path, &s, a->sel.has_box));
    if (!json) print_granule(path, &s, a);
    return SKY_OK;
  }
  const bool unknown = st == SKY_E_FORMAT && strstr(sky_error(ctx), "no known product") != NULL;
  const bool foreign = st == SKY_E_FORMAT && strstr(sky_error(ctx), "not a NetCDF file") != NULL;
  if (!unknown && !foreign) return st;
  st = unknown ? describe_other(ctx, path, &other) : sky_info_raster(ctx, path, &a->raster, &other);
  if (st == SKY_E_READ && foreign) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: neither a NetCDF or HDF5 file nor a raster", path);
  }
  SKY_TRY(st);
  if (json) {
    cJSON_AddItemToArray(all, other);
  } else {
    print_other(other);
    cJSON_Delete(other);
  }
  return SKY_OK;
}

static sky_status print_json(sky_context *ctx, const cJSON *all, int n_args) {
  const cJSON *shown = n_args == 1 ? cJSON_GetArrayItem(all, 0) : all;
  if (shown == NULL) return SKY_OK;
  char *text = sky_json_text(ctx, shown, true);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status describe_all(sky_context *ctx, const info_args *a, const sky_cli_common *common) {
  cJSON *all = cJSON_CreateArray();
  sky_status last = SKY_OK;
  int failed = 0;
  for (int i = 0; i < common->n_args; ++i) {
    const sky_status st = describe(ctx, common->args[i], a, common->json, all);
    if (st == SKY_OK) continue;
    last = st;
    ++failed;
    if (common->n_args > 1) sky_log(ctx, SKY_LOG_ERROR, "%s", sky_error(ctx));
  }
  const sky_status printed = common->json ? print_json(ctx, all, common->n_args) : SKY_OK;
  cJSON_Delete(all);
  if (printed != SKY_OK) return printed;
  if (failed == 0 || common->n_args == 1) return last;
  return sky_fail(ctx, failed < common->n_args ? SKY_E_PARTIAL : last,
                  "%d of %d files could not be described", failed, common->n_args);
}

sky_status sky_cmd_info(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"box", 0, "W,S,E,N", "count inside this box only, edges inclusive"},
      SKY_READING_OPTIONS,
      {"gas", 0, "GAS", "of an enhancement raster that does not name it"},
      {"unit", 0, "UNIT", "of an enhancement raster that states none, e.g. 'ppm m'"},
      {"timeout", 0, "S", "seconds until a file counts as damaged (60)"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "info", "FILE... [options]", "what is this file: product, gases, counts, units, bounds",
      "skyflux info --box=-125,24,-66,50 --json S5P_BLND.nc", OPTIONS};
  info_args a = {.sel = {.start = NAN, .end = NAN}, .timeout = DEFAULT_TIMEOUT};
  sky_cli_common common = {0};
  sky_status st = sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common);
  if (st == SKY_OK && !common.help_shown) {
    if (common.n_args == 0) st = sky_fail(ctx, SKY_E_USAGE, "info: no file given");
    if (st == SKY_OK) st = sky_reading_args_check(ctx, &a.reading, &a.sel);
    if (st == SKY_OK) st = describe_all(ctx, &a, &common);
  }
  sky_reading_args_free(&a.reading);
  return st;
}
