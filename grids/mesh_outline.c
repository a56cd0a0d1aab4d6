/* mesh_outline.c: the cells of a mesh as polygons.
 *
 * Invariant: the polygons tile the mesh's box, also after their vertices have been moved to another
 * system: neighbours share every vertex of their common edge, a coarse cell those of the finer
 * cells beside it, too. */
#include <math.h>

#include "grids/mesh.h"
#include "src/core/memory.h"

/* Cells of a patch along one cell of the base, in x or y. */
static size_t ratio(double base, double patch) {
  return (size_t)fmax(1, nearbyint(base / patch));
}

static size_t multiple(size_t a, size_t b) { /* least common */
  size_t x = a, y = b;
  while (y != 0) {
    const size_t rest = x % y;
    x = y;
    y = rest;
  }
  return a / x * b;
}

/* Pieces of the edges of a base cell. */
static size_t pieces_of(const sky_mesh *m, double step) {
  const double dx = sky_grid_dx(&m->patch[0]), dy = sky_grid_dy(&m->patch[0]);
  size_t n = 1;
  if (isinf(step)) return 1; /* straight edges stay straight: corners suffice */
  for (size_t p = 1; p < m->n_patch; p++) {
    n = multiple(n, ratio(dx, sky_grid_dx(&m->patch[p])));
    n = multiple(n, ratio(dy, sky_grid_dy(&m->patch[p])));
  }
  return n * (size_t)fmax(1, ceil(fmax(dx, dy) / (step * (double)n)));
}

/* The box from column ix0 to ix1 and row iy0 to iy1 of g, counter-clockwise, each interval of g in
 * nx or ny pieces. */
static sky_status add_box(sky_context *ctx, const sky_grid *g, size_t ix0, size_t ix1, size_t iy0,
                          size_t iy1, size_t nx, size_t ny, char *id, sky_zone *zone) {
  *zone = (sky_zone){.id = id, .geographic = g->geographic};
  zone->ring = SKY_NEW0(ctx, sky_ring, 1);
  if (id == NULL || zone->ring == NULL) return SKY_E_NOMEM;
  zone->n_rings = 1;
  sky_ring *r = zone->ring;
  const size_t wide = (ix1 - ix0) * nx, high = (iy1 - iy0) * ny;
  r->x = SKY_NEW(ctx, double, 2 * (wide + high));
  r->y = SKY_NEW(ctx, double, 2 * (wide + high));
  if (r->x == NULL || r->y == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < 2 * (wide + high); k++, r->n++) {
    /* Steps from the south-west corner along x and along y. */
    const size_t i = k < wide              ? k
                     : k < wide + high     ? wide
                     : k < 2 * wide + high ? 2 * wide + high - k
                                           : 0;
    const size_t j = k < wide              ? 0
                     : k < wide + high     ? k - wide
                     : k < 2 * wide + high ? high
                                           : 2 * (wide + high) - k;
    const double *x = g->x_edge + ix0 + i / nx, *y = g->y_edge + iy0 + j / ny;
    r->x[r->n] = i % nx == 0 ? *x : x[0] + (x[1] - x[0]) * (double)(i % nx) / (double)nx;
    r->y[r->n] = j % ny == 0 ? *y : y[0] + (y[1] - y[0]) * (double)(j % ny) / (double)ny;
  }
  return SKY_OK;
}

sky_status sky_mesh_outlines(sky_context *ctx, const sky_mesh *m, double step, sky_zones *zones) {
  const sky_grid *base = &m->patch[0];
  const size_t pieces = pieces_of(m, step), n = zones->n + m->n_cell + 1;
  sky_zone *grown = sky_realloc(ctx, zones->zone, zones->n, n, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  zones->zone = grown;
  for (size_t p = 0; p < m->n_patch; p++) {
    const sky_grid *g = &m->patch[p];
    const size_t rx = ratio(sky_grid_dx(base), sky_grid_dx(g));
    const size_t ry = ratio(sky_grid_dy(base), sky_grid_dy(g));
    const size_t nx = pieces < rx ? 1 : pieces / rx, ny = pieces < ry ? 1 : pieces / ry;
    for (size_t c = m->first[p]; c < m->first[p + 1]; c++) {
      const size_t ix = m->grid_cell[c] % g->nx, iy = m->grid_cell[c] / g->nx;
      SKY_TRY(add_box(ctx, g, ix, ix + 1, iy, iy + 1, nx, ny, sky_sprintf(ctx, "cell %zu", c),
                      &zones->zone[zones->n++]));
    }
  }
  return add_box(ctx, base, 0, base->nx, 0, base->ny, pieces, pieces, sky_strdup(ctx, "mesh"),
                 &zones->zone[zones->n++]);
}
