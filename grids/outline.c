/* outline.c: boundary following on the cell lattice.
 *
 * Every inside cell owns the edges towards outside cells, directed so that the inside is on the
 * left. Turning left first at each vertex keeps to the same cell, so corner contacts do not join
 * rings. A ring is started at its lowest, then leftmost vertex, which it passes once. */
#include "grids/outline.h"

#include <string.h>

#include "src/core/memory.h"

enum { EAST = 0, NORTH = 1, WEST = 2, SOUTH = 3 };

typedef struct lattice {
  const sky_grid *grid;
  size_t columns; /* vertices per row */
  uint8_t *out;   /* [vertices] bit d: an untraced edge leaves in direction d */
} lattice;

static bool is_inside(const sky_grid *g, const bool *inside, size_t ix, size_t iy) {
  return ix < g->nx && iy < g->ny && inside[iy * g->nx + ix]; /* -1 wraps to a huge index */
}

static void mark_edges(lattice *l, const bool *inside) {
  const sky_grid *g = l->grid;
  for (size_t iy = 0; iy < g->ny; iy++)
    for (size_t ix = 0; ix < g->nx; ix++) {
      uint8_t *low = l->out + iy * l->columns + ix, *high = low + l->columns;
      if (!is_inside(g, inside, ix, iy)) continue;
      if (!is_inside(g, inside, ix, iy - 1)) low[0] |= 1u << EAST;
      if (!is_inside(g, inside, ix + 1, iy)) low[1] |= 1u << NORTH;
      if (!is_inside(g, inside, ix, iy + 1)) high[1] |= 1u << WEST;
      if (!is_inside(g, inside, ix - 1, iy)) high[0] |= 1u << SOUTH;
    }
}

/* Follow the ring that starts at vertex v; x, y hold every vertex where it turns. */
static size_t follow(lattice *l, size_t v, double *x, double *y) {
  const ptrdiff_t step[4] = {1, (ptrdiff_t)l->columns, -1, -(ptrdiff_t)l->columns};
  size_t n = 0;
  int d = 0;
  while (!(l->out[v] >> d & 1))
    d++;
  int before = -1;
  for (;;) {
    if (d != before) {
      x[n] = l->grid->x_edge[v % l->columns];
      y[n++] = l->grid->y_edge[v / l->columns];
    }
    l->out[v] = (uint8_t)(l->out[v] & ~(1u << d));
    v = (size_t)((ptrdiff_t)v + step[d]);
    before = d;
    static const int turn[3] = {1, 0, 3}; /* left, straight, right */
    int k = 0;
    while (k < 3 && !(l->out[v] >> ((before + turn[k]) % 4) & 1))
      k++;
    if (k == 3) return n;
    d = (before + turn[k]) % 4;
  }
}

static double twice_area(const double *x, const double *y, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    const size_t k = i + 1 < n ? i + 1 : 0;
    sum += x[i] * y[k] - x[k] * y[i];
  }
  return sum;
}

void sky_rings_free(sky_ring *rings, size_t n_rings) {
  for (size_t i = 0; rings != NULL && i < n_rings; i++) {
    sky_free(rings[i].x);
    sky_free(rings[i].y);
  }
  sky_free(rings);
}

static sky_status add_ring(sky_context *ctx, const double *x, const double *y, size_t n,
                           sky_ring **rings, size_t *n_rings) {
  sky_ring *grown = sky_realloc(ctx, *rings, *n_rings, *n_rings + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  *rings = grown;
  sky_ring *r = &grown[*n_rings];
  *r = (sky_ring){.n = n, .hole = twice_area(x, y, n) < 0.0};
  (*n_rings)++;
  r->x = SKY_NEW(ctx, double, n);
  r->y = SKY_NEW(ctx, double, n);
  if (r->x == NULL || r->y == NULL) return SKY_E_NOMEM;
  memcpy(r->x, x, n * sizeof *x);
  memcpy(r->y, y, n * sizeof *y);
  return SKY_OK;
}

sky_status sky_outline(sky_context *ctx, const sky_grid *grid, const bool *inside, sky_ring **rings,
                       size_t *n_rings) {
  lattice l = {.grid = grid, .columns = grid->nx + 1};
  const size_t vertices = l.columns * (grid->ny + 1);
  double *x = NULL, *y = NULL;
  sky_status st = SKY_OK;
  *rings = NULL;
  *n_rings = 0;
  SKY_GO_ALLOC(l.out, SKY_NEW0(ctx, uint8_t, vertices));
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, 2 * vertices)); /* a ring passes a vertex at most twice */
  SKY_GO_ALLOC(y, SKY_NEW(ctx, double, 2 * vertices));
  mark_edges(&l, inside);
  for (size_t v = 0; v < vertices; v++)
    while (l.out[v] != 0) {
      const size_t n = follow(&l, v, x, y);
      SKY_GO(add_ring(ctx, x, y, n, rings, n_rings));
    }
cleanup:
  sky_free(l.out);
  sky_free(x);
  sky_free(y);
  if (st != SKY_OK) {
    sky_rings_free(*rings, *n_rings);
    *rings = NULL;
    *n_rings = 0;
  }
  return st;
}
