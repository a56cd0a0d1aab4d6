/* cmd_indices.c: `skyflux indices`: the season of EVI and LSWI on a grid, from surface reflectance
 * (src/job/indices.h). */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/grid_args.h"
#include "src/cli/values.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/job/indices.h"
#include "src/write/json_out.h"

typedef struct indices_args {
  sky_grid_args grid;
  sky_indices_options opt;
} indices_args;

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  indices_args *a = user;
  double v = 0;
  if (sky_grid_args_take(&a->grid, name, value)) return SKY_OK;
  if (strcmp(name, "out") == 0) {
    a->opt.out = value;
    return SKY_OK;
  }
  const struct {
    const char *name;
    double low, high, *to;
  } numbers[] = {{"min-valid", 0, 1, &a->opt.min_valid},
                 {"smoothing", 1e-6, 1e9, &a->opt.penalty},
                 {"every", 0.25, 366, &a->opt.every}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (strcmp(name, numbers[i].name) != 0) continue;
    SKY_TRY(sky_cli_number(ctx, name, value, numbers[i].low, numbers[i].high, &v));
    *numbers[i].to = v;
  }
  return SKY_OK;
}

static sky_status print_json(sky_context *ctx, const indices_args *a, const sky_indices_result *r) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "out", a->opt.out);
  cJSON_AddNumberToObject(o, "composites", (double)r->composites);
  cJSON_AddNumberToObject(o, "steps", (double)r->steps);
  cJSON_AddNumberToObject(o, "cells", (double)r->cells);
  cJSON_AddNumberToObject(o, "cells_seen", (double)r->seen);
  cJSON_AddNumberToObject(o, "pixels", (double)r->pixels);
  cJSON_AddNumberToObject(o, "pixels_good", (double)r->good);
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

sky_status sky_cmd_indices(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      SKY_GRID_OPTIONS,
      {"min-valid", 0, "SHARE", "of a cell that a composite must see (0.1)"},
      {"smoothing", 0, "PENALTY", "of the season's second differences (1)"},
      {"every", 0, "DAYS", "between the steps of the season (8)"},
      {"out", 'o', "OUT.nc", "write this NetCDF"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "indices", "MOD09A1.nc... (--like RASTER | --box W,S,E,N --cell SIZE) -o OUT.nc",
      "the season of EVI and LSWI on a grid, without gaps, from MODIS surface reflectance",
      "skyflux indices MOD09A1.A2022*.nc --box 9,46,14,50 --cell 0.01 -o season.nc", OPTIONS};
  indices_args a = {.opt = {.min_valid = 0.1, .penalty = 1, .every = 8}};
  sky_cli_common common = {0};
  sky_grid grid = {0};
  sky_indices_result r;
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common));
  if (common.help_shown) return SKY_OK;
  if (common.n_args < 1)
    return sky_fail(ctx, SKY_E_USAGE, "indices: expected composites of surface reflectance");
  if (a.opt.out == NULL) return sky_fail(ctx, SKY_E_USAGE, "indices: option -o is needed");
  SKY_TRY(sky_grid_args_make(ctx, &a.grid, NULL, &grid));
  a.opt.files = common.args;
  a.opt.n_file = (size_t)common.n_args;
  a.opt.grid = &grid;
  sky_status st = sky_indices_make(ctx, &a.opt, &r);
  if (st == SKY_OK && common.json)
    st = print_json(ctx, &a, &r);
  else if (st == SKY_OK)
    printf("%s: %zu steps of %zu composites, %zu of %zu cells, %zu good pixels of %zu\n", a.opt.out,
           r.steps, r.composites, r.seen, r.cells, r.good, r.pixels);
  sky_grid_free(&grid);
  return st;
}
