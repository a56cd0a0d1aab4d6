/* cmd_footprint.c: `skyflux footprint`: what footprint files hold, and their sums before and after
 * a grid. Several files are joined in the given order; they must share one grid. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/values.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/read/footprint.h"
#include "src/write/json_out.h"

#define UNITS "(mol/mol)/(mol/m2/s)"

typedef struct footprint_args {
  bool has_box, has_cell;
  double box[4], cell[2];
} footprint_args;

/* "0.5" or "0.352,0.234": degrees (metres for projected footprints). */
static sky_status parse_cell(sky_context *ctx, const char *text, double cell[2]) {
  const char *rest = NULL;
  bool good = sky_number_parse(text, &cell[0], &rest);
  if (good && *rest == ',')
    good = sky_number_parse(rest + 1, &cell[1], NULL);
  else if (good)
    good = sky_number_parse(text, &cell[1], NULL);
  if (good && cell[0] > 0 && cell[1] > 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--cell: '%s' is not a cell size above 0 (expected D or DX,DY)",
                  text);
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  footprint_args *a = user;
  if (strcmp(name, "box") == 0) {
    a->has_box = true;
    return sky_cli_box(ctx, value, a->box);
  }
  a->has_cell = true;
  return parse_cell(ctx, value, a->cell);
}

/* Footprints as read, and on the grid that was asked for. */
typedef struct result {
  sky_footprints file, mesh;
  bool has_mesh;
  double *outside; /* [rows] */
} result;

static void result_free(result *r) {
  sky_footprints_free(&r->file);
  sky_footprints_free(&r->mesh);
  sky_free(r->outside);
}

static sky_status read_files(sky_context *ctx, char **paths, int n, sky_footprints *out) {
  for (int i = 0; i < n; ++i) {
    sky_footprints one = {0};
    SKY_TRY(sky_footprints_read(ctx, paths[i], &one));
    sky_status st = sky_footprints_append(ctx, out, &one);
    sky_footprints_free(&one);
    if (st != SKY_OK) return sky_fail_in(ctx, st, "%s: ", paths[i]);
  }
  return SKY_OK;
}

static sky_status put_on_mesh(sky_context *ctx, const footprint_args *a, result *r) {
  sky_grid grid = {0};
  sky_mesh mesh = {0};
  if (!a->has_box && !a->has_cell) return SKY_OK;
  if (!a->has_box || !a->has_cell)
    return sky_fail(ctx, SKY_E_USAGE, "footprint: --box and --cell belong together");
  SKY_TRY(sky_grid_from_box(ctx, r->file.grid.crs, a->box[0], a->box[1], a->box[2], a->box[3],
                            a->cell[0], a->cell[1], &grid));
  r->outside = SKY_NEW(ctx, double, r->file.n_rows);
  sky_status st = r->outside == NULL ? SKY_E_NOMEM : SKY_OK;
  if (st == SKY_OK) st = sky_mesh_create(ctx, &grid, NULL, NULL, 0, &mesh);
  if (st == SKY_OK) st = sky_footprints_to_mesh(ctx, &r->file, &mesh, &r->mesh, r->outside);
  r->has_mesh = st == SKY_OK;
  sky_mesh_free(&mesh);
  sky_grid_free(&grid);
  return st;
}

/* --- JSON ----------------------------------------------------------------------------------- */

static void add_number(cJSON *o, const char *key, double v) {
  cJSON_AddItemToObject(o, key, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static void add_time(cJSON *o, const char *key, double seconds) {
  char text[32];
  sky_time_format(seconds, text, sizeof text);
  cJSON_AddItemToObject(o, key, text[0] != '\0' ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static void add_grid(cJSON *o, const char *key, const sky_grid *g) {
  const double box[4] = {g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny]};
  cJSON *j = cJSON_AddObjectToObject(o, key);
  cJSON_AddStringToObject(j, "crs", g->crs);
  cJSON_AddNumberToObject(j, "nx", (double)g->nx);
  cJSON_AddNumberToObject(j, "ny", (double)g->ny);
  cJSON_AddNumberToObject(j, "dx", sky_grid_dx(g));
  cJSON_AddNumberToObject(j, "dy", sky_grid_dy(g));
  cJSON_AddItemToObject(j, "bbox", cJSON_CreateDoubleArray(box, 4));
}

static cJSON *row_json(const result *r, size_t row) {
  const sky_footprints *f = &r->file;
  const size_t k = f->receptor[row];
  cJSON *o = cJSON_CreateObject();
  cJSON_AddNumberToObject(o, "receptor", (double)k);
  add_time(o, "time", f->time[k]);
  cJSON_AddNumberToObject(o, "period_s", f->period[k]);
  add_number(o, "lon", f->lon[k]);
  add_number(o, "lat", f->lat[k]);
  add_number(o, "left_domain", f->outside[k]);
  add_time(o, "flux_time", f->flux_time[row]);
  cJSON_AddNumberToObject(o, "cells", (double)(f->rowptr[row + 1] - f->rowptr[row]));
  cJSON_AddNumberToObject(o, "sum", f->sum[row]);
  if (r->has_mesh) {
    cJSON_AddNumberToObject(o, "sum_on_mesh", r->mesh.sum[row]);
    cJSON_AddNumberToObject(o, "outside", r->outside[row]);
    cJSON_AddNumberToObject(o, "residual", f->sum[row] - r->mesh.sum[row] - r->outside[row]);
  }
  return o;
}

static sky_status print_json(sky_context *ctx, const result *r) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "format", r->file.format);
  cJSON_AddBoolToObject(o, "column", r->file.column);
  cJSON_AddStringToObject(o, "units", UNITS);
  cJSON_AddNumberToObject(o, "receptors", (double)r->file.n_receptors);
  add_grid(o, "grid", &r->file.grid);
  if (r->has_mesh) add_grid(o, "mesh", &r->mesh.grid);
  cJSON_AddNumberToObject(o, "sum", sky_sum(r->file.sum, r->file.n_rows));
  if (r->has_mesh) {
    cJSON_AddNumberToObject(o, "sum_on_mesh", sky_sum(r->mesh.sum, r->mesh.n_rows));
    cJSON_AddNumberToObject(o, "outside", sky_sum(r->outside, r->mesh.n_rows));
  }
  cJSON *rows = cJSON_AddArrayToObject(o, "rows");
  for (size_t i = 0; i < r->file.n_rows; ++i)
    cJSON_AddItemToArray(rows, row_json(r, i));
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  printf("%s\n", text);
  sky_free(text);
  return SKY_OK;
}

/* --- table ---------------------------------------------------------------------------------- */

static void print_grid(const char *what, const sky_grid *g) {
  printf("  %-4s %zu x %zu cells of %.6g x %.6g, %.6g,%.6g,%.6g,%.6g (%s)\n", what, g->nx, g->ny,
         sky_grid_dx(g), sky_grid_dy(g), g->x_edge[0], g->y_edge[0], g->x_edge[g->nx],
         g->y_edge[g->ny], g->crs);
}

static void print_table(const result *r) {
  const sky_footprints *f = &r->file;
  printf("%s footprints%s: %zu receptors, %zu rows, in %s\n", f->format,
         f->column ? ", column-integrated" : "", f->n_receptors, f->n_rows, UNITS);
  print_grid("grid", &f->grid);
  if (r->has_mesh) print_grid("mesh", &r->mesh.grid);
  printf("%9s  %-20s  %-20s  %12s", "receptor", "time", "flux time", "sum");
  if (r->has_mesh) printf("  %12s  %12s  %9s", "on mesh", "outside", "residual");
  putchar('\n');
  for (size_t i = 0; i < f->n_rows; ++i) {
    char time[32], flux_time[32];
    sky_time_format(f->time[f->receptor[i]], time, sizeof time);
    sky_time_format(f->flux_time[i], flux_time, sizeof flux_time);
    printf("%9zu  %-20s  %-20s  %12.9g", f->receptor[i], time[0] != '\0' ? time : "unknown",
           flux_time[0] != '\0' ? flux_time : "integrated", f->sum[i]);
    if (r->has_mesh)
      printf("  %12.9g  %12.9g  %9.2g", r->mesh.sum[i], r->outside[i],
             f->sum[i] - r->mesh.sum[i] - r->outside[i]);
    putchar('\n');
  }
}

/* --- the command ---------------------------------------------------------------------------- */

sky_status sky_cmd_footprint(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"box", 0, "W,S,E,N", "put the rows on a mesh over this box (with --cell)"},
      {"cell", 0, "D[,D]", "cell size of the mesh, in the footprints' own coordinates"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "footprint", "FILE... [options]",
      "what a footprint file holds; its sums before and after a grid",
      "skyflux footprint --box=-11,49,3,61 --cell=1 THW-column_NAME.nc", OPTIONS};
  footprint_args a = {0};
  sky_cli_common common = {0};
  result r = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common));
  if (common.help_shown) return SKY_OK;
  if (common.n_args == 0) return sky_fail(ctx, SKY_E_USAGE, "footprint: no file given");
  sky_status st = read_files(ctx, common.args, common.n_args, &r.file);
  if (st == SKY_OK) st = put_on_mesh(ctx, &a, &r);
  if (st == SKY_OK && common.json) st = print_json(ctx, &r);
  if (st == SKY_OK && !common.json) print_table(&r);
  result_free(&r);
  return st;
}
