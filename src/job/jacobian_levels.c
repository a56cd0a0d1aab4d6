/* jacobian_levels.c: see jacobian_levels.h. */
#include "src/job/jacobian_levels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/job/correlation.h"

#define KM 1e3           /* m */
#define FLOAT_NOISE 1e-6 /* of a cell */

enum { X0, Y0, DX, DY, NX, NY, SIGMA, LENGTH };

void sky_jacobian_levels_free(sky_jacobian_levels *l) {
  if (l == NULL) return;
  for (size_t k = 0; k < SKY_LEVELS_MOST; k++)
    sky_free(l->scale[k]);
  sky_free(l->width);
  memset(l, 0, sizeof *l);
}

static size_t patch_of(const sky_mesh *m, size_t cell) {
  size_t p = m->n_patch - 1;
  while (cell < m->first[p])
    p--;
  return p;
}

/* Edges of cells, those of each layer, are square and in km, or levels cannot be averaged over
 * them. */
static sky_status cell_widths(sky_context *ctx, const sky_mesh *m, size_t n, double *width) {
  for (size_t c = 0; c < n; c++) {
    const sky_grid *g = &m->patch[patch_of(m, c % m->n_cell)];
    const double dx = fabs(g->x_edge[1] - g->x_edge[0]), dy = fabs(g->y_edge[1] - g->y_edge[0]);
    if (g->geographic)
      return sky_fail(ctx, SKY_E_COVERAGE,
                      "inversions.levels: need a projected grid, and %s counts in degrees", g->crs);
    if (fabs(dx - dy) > FLOAT_NOISE * dx)
      return sky_fail(ctx, SKY_E_COVERAGE,
                      "inversions.levels: cells of %g x %g m are not square (expected one edge)",
                      dx, dy);
    width[c] = dx / KM;
  }
  return SKY_OK;
}

static sky_status set_grid(sky_context *ctx, const sky_grid *base, const sky_node *item, size_t k,
                           sky_jacobian_levels *l) {
  const double cell = sky_node_number(item, "cell");
  const double west = fmin(base->x_edge[0], base->x_edge[base->nx]);
  const double east = fmax(base->x_edge[0], base->x_edge[base->nx]);
  const double south = fmin(base->y_edge[0], base->y_edge[base->ny]);
  const double north = fmax(base->y_edge[0], base->y_edge[base->ny]);
  const double nx = round((east - west) / cell), ny = round((north - south) / cell);
  if (nx < 1 || ny < 1 || fabs(nx * cell - (east - west)) > FLOAT_NOISE * cell ||
      fabs(ny * cell - (north - south)) > FLOAT_NOISE * cell)
    return sky_fail(ctx, SKY_E_JOB,
                    "inversions.levels[%zu].cell: %g m does not divide the box of %g x %g m", k,
                    cell, east - west, north - south);
  const double number[SKY_LEVEL_NUMBERS] = {west / KM,
                                            south / KM,
                                            cell / KM,
                                            cell / KM,
                                            nx,
                                            ny,
                                            sqrt(sky_node_number(item, "share")),
                                            sky_node_number(item, "length") / KM};
  for (size_t i = 0; i < SKY_LEVEL_NUMBERS; i++)
    l->number[i][k] = number[i];
  l->points[k] = (size_t)(nx * ny);
  return SKY_OK;
}

/* The mesh cell that holds a point (m). */
static size_t cell_at(const sky_mesh *m, double x, double y) {
  for (size_t p = m->n_patch; p-- > 0;) {
    const sky_grid *g = &m->patch[p];
    const double fx = (x - g->x_edge[0]) / (g->x_edge[1] - g->x_edge[0]);
    const double fy = (y - g->y_edge[0]) / (g->y_edge[1] - g->y_edge[0]);
    if (!(fx >= 0 && fx < (double)g->nx && fy >= 0 && fy < (double)g->ny)) continue;
    const size_t cell = m->of[p][(size_t)fy * g->nx + (size_t)fx];
    if (cell != SIZE_MAX) return cell;
  }
  return SIZE_MAX;
}

/* Sd of every layer and step at the points of level k: the root mean square over the cells whose
 * centres lie at the point, by their area, or that of the cell that holds a point without any. */
static sky_status set_scale(sky_context *ctx, const sky_jacobian *j, size_t k,
                            sky_jacobian_levels *l) {
  const size_t n = l->points[k], nx = (size_t)l->number[NX][k], cells = j->mesh.n_cell,
               fields = j->n_time * j->n_layer;
  const double x0 = l->number[X0][k], y0 = l->number[Y0][k], d = l->number[DX][k];
  double *scale = NULL, *area = NULL;
  size_t *at = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(scale, SKY_NEW0(ctx, double, n *fields));
  l->scale[k] = scale;
  SKY_GO_ALLOC(area, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(at, SKY_NEW(ctx, size_t, cells));
  for (size_t c = 0; c < cells; c++) {
    double x, y;
    sky_mesh_centre(&j->mesh, c, &x, &y);
    at[c] = (size_t)((y / KM - y0) / d) * nx + (size_t)((x / KM - x0) / d);
    area[at[c]] += l->width[c] * l->width[c];
  }
  for (size_t t = 0; t < fields; t++) {
    for (size_t c = 0; c < cells; c++) {
      const double sd = j->x_sd[t * cells + c] * l->width[c];
      scale[t * n + at[c]] += sd * sd / area[at[c]];
    }
    for (size_t i = 0; i < n; i++) {
      const double x = (x0 + ((double)(i % nx) + 0.5) * d) * KM;
      const double y = (y0 + ((double)(i / nx) + 0.5) * d) * KM;
      scale[t * n + i] =
          area[i] > 0 ? sqrt(scale[t * n + i]) : j->x_sd[t * cells + cell_at(&j->mesh, x, y)];
    }
  }
cleanup:
  sky_free(area);
  sky_free(at);
  return st;
}

sky_status sky_jacobian_levels_make(sky_context *ctx, const sky_jacobian *j,
                                    sky_jacobian_levels *out) {
  static const char *const names[SKY_LEVEL_NUMBERS] = {"level_x0",    "level_y0",    "level_dx",
                                                       "level_dy",    "level_nx",    "level_ny",
                                                       "level_sigma", "level_length"};
  const sky_node *list = sky_node_get(j->inversion, "levels");
  const size_t n = sky_node_count(list);
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  if (n == 0) return SKY_OK;
  if (n > SKY_LEVELS_MOST)
    return sky_fail(ctx, SKY_E_JOB, "inversions.levels: %zu levels (expected 1..%d)", n,
                    SKY_LEVELS_MOST);
  memcpy(out->name, names, sizeof names);
  SKY_GO_ALLOC(out->width, SKY_NEW(ctx, double, j->n_cell));
  SKY_GO(cell_widths(ctx, &j->mesh, j->n_cell, out->width));
  for (size_t k = 0; k < n; k++) {
    const sky_node *item = sky_node_item(list, k);
    const size_t used = strlen(out->models);
    sky_correlation model;
    char name[SKY_CORRELATION_TEXT];
    SKY_GO(set_grid(ctx, &j->mesh.patch[0], item, k, out));
    SKY_GO(set_scale(ctx, j, k, out));
    SKY_GO(sky_job_correlation(ctx, item, &model));
    sky_correlation_format(model, name);
    snprintf(out->models + used, sizeof out->models - used, "%s%s", k > 0 ? " " : "", name);
    snprintf(out->scale_name[k], sizeof out->scale_name[k], "level_scale%zu", k);
    snprintf(out->dim_name[k], sizeof out->dim_name[k], "point%zu", k);
  }
  out->n = n;
cleanup:
  if (st != SKY_OK) sky_jacobian_levels_free(out);
  return st;
}
