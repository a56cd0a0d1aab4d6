/* cmd_regrid.c: `skyflux regrid`: rasters onto another grid, conservatively. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/grid_args.h"
#include "src/cli/values.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/engine/raster_source.h"
#include "src/job/regrid.h"
#include "src/write/json_out.h"

typedef struct regrid_args {
  const char *kind;
  sky_grid_args grid;
  sky_regrid_options opt;
} regrid_args;

static const char *const kinds[] = {
    [SKY_SAMPLE_INTENSIVE] = "intensive",
    [SKY_SAMPLE_EXTENSIVE] = "extensive",
    [SKY_SAMPLE_CLASS] = "class",
};

static sky_status parse_kind(sky_context *ctx, const char *text, regrid_args *a) {
  int i;
  a->kind = text;
  SKY_TRY(sky_cli_word(ctx, "kind", text, kinds, 3, &i));
  a->opt.sampling = (sky_sampling)i;
  return SKY_OK;
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  regrid_args *a = user;
  double number = NAN;
  const sky_cli_text_option texts[] = {{"out", &a->opt.out}, {"unit", &a->opt.unit}};
  if (sky_cli_text(texts, sizeof texts / sizeof *texts, name, value)) return SKY_OK;
  if (sky_grid_args_take(&a->grid, name, value)) return SKY_OK;
  if (strcmp(name, "kind") == 0) return parse_kind(ctx, value, a);
  const bool good = sky_number_parse(value, &number, NULL);
  if (strcmp(name, "min-valid") == 0) {
    a->opt.min_valid = number;
    if (good && number >= 0 && number <= 1) return SKY_OK;
    return sky_fail(ctx, SKY_E_USAGE, "--min-valid: '%s' is not a share from 0 to 1", value);
  }
  if (strcmp(name, "band") == 0) {
    a->opt.band = good && number >= 1 && number <= 65535 ? (int)number : 0;
    if (a->opt.band == number) return SKY_OK;
    return sky_fail(ctx, SKY_E_USAGE, "--band: '%s' is not a number from 1 to 65535", value);
  }
  return sky_cli_tile(ctx, value, &a->opt.pass.tile);
}

static sky_status check_args(sky_context *ctx, const regrid_args *a, const sky_cli_common *common) {
  if (common->n_args < 1) return sky_fail(ctx, SKY_E_USAGE, "regrid: expected a raster");
  if (a->kind == NULL)
    return sky_fail(ctx, SKY_E_USAGE,
                    "regrid: option --kind is needed: intensive (densities, mole fractions), "
                    "extensive (amounts per cell) or class");
  if (a->opt.out == NULL) return sky_fail(ctx, SKY_E_USAGE, "regrid: option -o is needed");
  if (sky_grid_args_check(ctx, &a->grid) != SKY_OK)
    return sky_fail_in(ctx, SKY_E_USAGE, "regrid: ");
  const char *dot = strrchr(a->opt.out, '.');
  if (dot == NULL || (strcmp(dot, ".tif") != 0 && strcmp(dot, ".tiff") != 0))
    return sky_fail(ctx, SKY_E_USAGE, "regrid: -o %s does not end in .tif or .tiff", a->opt.out);
  for (int i = 0; i < common->n_args; i++)
    if (sky_file_same(common->args[i], a->opt.out))
      return sky_fail(ctx, SKY_E_USAGE, "regrid: -o %s is one of the inputs", a->opt.out);
  return SKY_OK;
}

/* ---- the target ----------------------------------------------------------------------------- */

static sky_status grid_of(sky_context *ctx, const char *path, sky_grid *out) {
  const sky_raster_input in = {.path = path, .band = 1, .kind = SKY_PIXEL_VALUE};
  sky_source *s = NULL;
  SKY_TRY(sky_source_open(ctx, &in, NULL, &s));
  const sky_status st = sky_grid_copy(ctx, sky_source_grid(s), out);
  sky_source_close(s);
  return st;
}

/* The box around all rasters, which must be of one system (that of *first, freed by the caller). */
static sky_status source_box(sky_context *ctx, const sky_regrid_options *opt, sky_grid *first,
                             double box[4]) {
  for (size_t i = 0; i < opt->n_file; i++) {
    sky_grid g = {0};
    SKY_TRY(grid_of(ctx, opt->files[i], &g));
    const double own[4] = {g.x_edge[0], g.y_edge[0], g.x_edge[g.nx], g.y_edge[g.ny]};
    const bool same = i == 0 || sky_grid_same_system(first, &g);
    for (int k = 0; k < 4; k++)
      box[k] = i == 0 ? own[k] : k < 2 ? fmin(box[k], own[k]) : fmax(box[k], own[k]);
    if (i == 0) {
      *first = g;
      continue;
    }
    sky_grid_free(&g);
    if (!same)
      return sky_fail(ctx, SKY_E_USAGE,
                      "regrid: --box W,S,E,N is needed: %s and %s have different systems",
                      opt->files[0], opt->files[i]);
  }
  return SKY_OK;
}

static void say_grid(sky_context *ctx, const char *name, const sky_grid *g) {
  sky_log(ctx, SKY_LOG_INFO, "grid %s: %s, %zu x %zu cells, edges %.9g,%.9g,%.9g,%.9g", name,
          g->crs, g->nx, g->ny, g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny]);
}

static sky_status make_target(sky_context *ctx, const regrid_args *a, sky_grid *out) {
  sky_grid first = {0};
  sky_grid_extent own = {0};
  const bool around = a->grid.like == NULL && a->grid.box == NULL;
  sky_status st = around ? source_box(ctx, &a->opt, &first, own.box) : SKY_OK;
  own.crs = first.crs;
  if (st == SKY_OK) st = sky_grid_args_make(ctx, &a->grid, around ? &own : NULL, out);
  if (st == SKY_OK && (around || a->grid.preset != NULL))
    say_grid(ctx, a->grid.preset != NULL ? a->grid.preset : "of the rasters", out);
  sky_grid_free(&first);
  return st;
}

/* ---- output --------------------------------------------------------------------------------- */

static sky_status print_json(sky_context *ctx, const regrid_args *a, const sky_regrid_result *r) {
  const sky_grid *g = a->opt.target;
  const double edges[4] = {g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny]};
  const struct {
    const char *name;
    double value;
  } audit[] = {{"in", r->audit.in},
               {"out", r->audit.out},
               {"outside", r->audit.outside},
               {"lost_to_nodata", r->audit.lost},
               {"residual", r->audit.residual},
               {"source_cells_without_data", r->audit.nodata}};
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "out", a->opt.out);
  cJSON_AddStringToObject(o, "kind", kinds[a->opt.sampling]);
  cJSON *grid = cJSON_AddObjectToObject(o, "grid");
  cJSON_AddStringToObject(grid, "crs", g->crs);
  cJSON_AddItemToObject(grid, "box", cJSON_CreateDoubleArray(edges, 4));
  cJSON_AddNumberToObject(grid, "nx", (double)g->nx);
  cJSON_AddNumberToObject(grid, "ny", (double)g->ny);
  if (a->opt.sampling != SKY_SAMPLE_CLASS) {
    cJSON *m = cJSON_AddObjectToObject(o, "audit");
    cJSON_AddStringToObject(m, "unit", r->unit);
    cJSON_AddBoolToObject(m, "times_m2", a->opt.sampling == SKY_SAMPLE_INTENSIVE);
    for (size_t i = 0; i < sizeof audit / sizeof audit[0]; i++)
      cJSON_AddNumberToObject(m, audit[i].name, audit[i].value);
  }
  cJSON_AddNumberToObject(o, "valid_cells", r->valid);
  cJSON *b = cJSON_AddObjectToObject(o, "blocks");
  cJSON_AddNumberToObject(b, "read", (double)(r->report.blocks - r->report.unread));
  cJSON_AddNumberToObject(b, "unread", (double)r->report.unread);
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status regrid(sky_context *ctx, const regrid_args *a, bool json) {
  sky_regrid_result r;
  SKY_TRY(sky_regrid_rasters(ctx, &a->opt, &r));
  if (json) SKY_TRY(print_json(ctx, a, &r));
  if (r.report.unread == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_PARTIAL, "%zu of %zu blocks could not be read; they are nodata in %s",
                  r.report.unread, r.report.blocks, a->opt.out);
}

sky_status sky_cmd_regrid(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"kind", 0, "KIND", "intensive (means by area), extensive (sums) or class"},
      {"like", 0, "RASTER", "onto the grid of this raster"},
      {"preset", 0, "NAME", "onto a preset's grid around --box (skyflux list grids)"},
      {"box", 0, "W,S,E,N",
       "its edges: degrees for a preset, else as --crs (default: the rasters')"},
      {"cell", 0, "SIZE", "its cells: 0.25, 0.3125,0.25, 500 m or 1 km"},
      {"crs", 0, "CRS", "system of --box (EPSG:4326; without --box the rasters')"},
      {"min-valid", 0, "SHARE", "of a cell's area that must have data (0: any)"},
      {"band", 0, "N", "of the rasters (1)"},
      {"unit", 0, "UNIT", "of the values (default: what the first raster says, else 1)"},
      {"tile", 0, "N", "side of the tiles, cells (256); no result depends on it"},
      {"out", 'o', "OUT.tif", "write this GeoTIFF"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "regrid", "RASTER... --kind KIND (--like RASTER | --cell SIZE [--box W,S,E,N]) -o OUT.tif",
      "rasters onto another grid, by exact areas, with a closed mass audit",
      "skyflux regrid emissions.tif --kind extensive --box=-10,35,30,60 --cell 0.25 -o out.tif",
      OPTIONS};
  regrid_args a = {.opt = {.band = 1, .pass = {.tile = SKY_BAND}}};
  sky_cli_common common = {0};
  sky_grid target = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, &a, &common));
  a.opt.files = common.args;
  a.opt.n_file = (size_t)common.n_args;
  SKY_TRY(make_target(ctx, &a, &target));
  a.opt.target = &target;
  const sky_status st = regrid(ctx, &a, common.json);
  sky_grid_free(&target);
  return st;
}
