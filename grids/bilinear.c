/* bilinear.c: see bilinear.h. */
#include "grids/bilinear.h"

#include <string.h>

#include "grids/projection.h"
#include "src/core/memory.h"

#define LEAST_WEIGHT 0.01

void sky_bilinear_free(sky_bilinear *b) {
  if (b == NULL) return;
  sky_free(b->cell);
  sky_free(b->weight);
  memset(b, 0, sizeof *b);
}

static double centre(const double *edge, size_t i) {
  return 0.5 * (edge[i] + edge[i + 1]);
}

/* The two cells whose centres lie around v, and the weight of the second. */
static bool place(const double *edge, size_t n, double v, size_t at[2], double *second) {
  if (!(v >= edge[0] && v <= edge[n])) return false;
  size_t low = 0, high = n;
  while (high - low > 1) { /* the cell that holds v */
    const size_t middle = low + (high - low) / 2;
    if (edge[middle] <= v)
      low = middle;
    else
      high = middle;
  }
  if (v < centre(edge, low)) low = low > 0 ? low - 1 : 0;
  at[0] = low;
  at[1] = low + 1 < n ? low + 1 : low;
  const double from = centre(edge, low), to = centre(edge, at[1]);
  *second = to > from && v > from ? (v - from) / (to - from) : 0;
  return true;
}

static bool weigh(const sky_grid *src, double x, double y, size_t cell[4], double weight[4]) {
  size_t ix[2], iy[2];
  double wx, wy;
  if (src->geographic) {
    const double middle = 0.5 * (src->x_edge[0] + src->x_edge[src->nx]);
    x -= 360 * nearbyint((x - middle) / 360);
  }
  if (!place(src->x_edge, src->nx, x, ix, &wx) || !place(src->y_edge, src->ny, y, iy, &wy))
    return false;
  for (size_t k = 0; k < 4; k++) {
    cell[k] = iy[k / 2] * src->nx + ix[k % 2];
    weight[k] = (k % 2 == 0 ? 1 - wx : wx) * (k / 2 == 0 ? 1 - wy : wy);
  }
  return true;
}

sky_status sky_bilinear_create(sky_context *ctx, const sky_grid *src, const sky_grid *dst,
                               sky_bilinear *out) {
  const bool same = sky_grid_same_system(src, dst);
  sky_projection t = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  out->n = sky_grid_cells(dst);
  SKY_GO_ALLOC(out->cell, SKY_NEW(ctx, size_t, 4 * out->n));
  SKY_GO_ALLOC(out->weight, SKY_NEW(ctx, double, 4 * out->n));
  if (!same) SKY_GO(sky_projection_open(ctx, sky_grid_system(dst), sky_grid_system(src), &t));
  for (size_t c = 0; c < out->n; c++) {
    double x, y, to_x, to_y;
    sky_grid_centre(dst, c, &x, &y);
    to_x = x;
    to_y = y;
    if ((!same && !sky_project(&t, PJ_FWD, x, y, &to_x, &to_y)) ||
        !weigh(src, to_x, to_y, out->cell + 4 * c, out->weight + 4 * c))
      SKY_GO(sky_fail(ctx, SKY_E_COVERAGE,
                      "the cell at %.6g, %.6g is outside the grid of edges %.6g,%.6g,%.6g,%.6g", x,
                      y, src->x_edge[0], src->y_edge[0], src->x_edge[src->nx],
                      src->y_edge[src->ny]));
  }
cleanup:
  sky_projection_close(&t);
  if (st != SKY_OK) sky_bilinear_free(out);
  return st;
}

void sky_bilinear_apply(const sky_bilinear *b, const double *value, int threads, double *out) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (size_t c = 0; c < b->n; c++) {
    double sum = 0, weight = 0;
    for (size_t k = 4 * c; k < 4 * c + 4; k++) {
      const double v = value[b->cell[k]];
      if (isnan(v) || b->weight[k] == 0) continue;
      sum += b->weight[k] * v;
      weight += b->weight[k];
    }
    out[c] = weight >= LEAST_WEIGHT ? sum / weight : (double)NAN;
  }
}
