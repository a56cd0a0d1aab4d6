/* ring_transform.c: edges under a transformation.
 *
 * A straight edge becomes an arc. It is halved until the image of its middle lies within three
 * tolerances of the middle of the chord, d; the arc is then a parabola to the fourth order of the
 * edge's length over the Earth's radius. One more vertex at 4/3 d above the chord's middle keeps
 * the parabola's area, (2/3) d times the chord, and stays within d/3 of the arc. */
#include "src/read/ring_transform.h"

#include <math.h>

#include "grids/longitude.h"
#include "src/core/memory.h"

#define DEG (M_PI / 180.0)
#define METRES_PER_DEGREE 111320.0
#define LONGEST                                                                                  \
  4000.0               /* m: longer chords are halved even if their middle fits: arcs may be odd \
                        */
#define STRAIGHT 1e-10 /* d over the chord that no area shows */
#define DEPTH_MAX 24   /* halvings; where a transformation jumps they find no end */
#define PIECES_MAX 1000000 /* of one edge: more where the system has no such place */

typedef struct point {
  double x, y;
} point;

typedef struct bender {
  sky_context *ctx;
  const sky_ring_transform *t;
  size_t n, capacity, most; /* of this edge */
  point *out;
} bender;

static sky_status fail_point(sky_context *ctx, double x, double y) {
  return sky_fail(ctx, SKY_E_COVERAGE,
                  "point %.9g, %.9g cannot be transformed to the crs of the grid", x, y);
}

/* In place; n points. */
static sky_status project(const bender *b, size_t n, const double *from_x, const double *from_y,
                          double *x, double *y) {
  if (n > INT32_MAX) return sky_fail(b->ctx, SKY_E_SIZE, "a ring of %zu vertices", n);
  for (size_t i = 0; i < n; i++) {
    x[i] = from_x[i];
    y[i] = from_y[i];
  }
  const int ok = OCTTransform(b->t->to, (int)n, x, y, NULL);
  for (size_t i = 0; i < n; i++) {
    if (!ok || !isfinite(x[i]) || !isfinite(y[i])) return fail_point(b->ctx, from_x[i], from_y[i]);
    if (b->t->from_geographic && b->t->to_geographic)
      x[i] += 360 * nearbyint((from_x[i] - x[i]) / 360);
  }
  return SKY_OK;
}

static point middle(point a, point b) {
  return (point){0.5 * (a.x + b.x), 0.5 * (a.y + b.y)};
}

/* p in the turn next to a point. */
static point beside(const bender *b, point p, point next) {
  if (b->t->to_geographic && !b->t->from_geographic) p.x += 360 * nearbyint((next.x - p.x) / 360);
  return p;
}

static double metres(const bender *b, point from, point to) {
  const double dx = to.x - from.x, dy = to.y - from.y;
  if (!b->t->to_geographic) return hypot(dx, dy);
  return METRES_PER_DEGREE * hypot(dx * cos(from.y * DEG), dy);
}

static sky_status put(bender *b, point p) {
  if (b->n == b->capacity) {
    const size_t grown = 2 * b->capacity + 16;
    point *q = sky_realloc(b->ctx, b->out, b->n, grown, sizeof *q);
    if (q == NULL) return SKY_E_NOMEM;
    b->out = q;
    b->capacity = grown;
  }
  b->out[b->n++] = p;
  return SKY_OK;
}

/* The vertices between a and c (images A, C), whose middle has the image M. */
static sky_status bend(bender *b, point a, point A, point c, point C, point M, int depth) {
  M = beside(b, M, A);
  C = beside(b, C, A);
  const point chord = middle(A, C);
  const double d = metres(b, chord, M), length = metres(b, A, C);
  if (depth == DEPTH_MAX) return SKY_OK;
  if (b->n > b->most) return fail_point(b->ctx, a.x, a.y);
  if (d <= 3 * SKY_RING_TOLERANCE && length <= LONGEST) {
    if (d <= STRAIGHT * length) return SKY_OK;
    return put(b,
               (point){chord.x + 4.0 / 3 * (M.x - chord.x), chord.y + 4.0 / 3 * (M.y - chord.y)});
  }
  const point m = middle(a, c), between[2] = {middle(a, m), middle(m, c)};
  point image[2];
  for (int i = 0; i < 2; i++)
    SKY_TRY(project(b, 1, &between[i].x, &between[i].y, &image[i].x, &image[i].y));
  SKY_TRY(bend(b, a, A, m, M, image[0], depth + 1));
  SKY_TRY(put(b, M));
  return bend(b, m, M, c, C, image[1], depth + 1);
}

/* xy: [4*n] room for images of the vertices and of the edges' middles. */
static sky_status bend_ring(bender *b, const sky_ring *r, double *xy) {
  const size_t n = r->n;
  double *x = xy, *y = xy + n, *mx = xy + 2 * n, *my = xy + 3 * n;
  for (size_t i = 0; i < n; i++) {
    const size_t k = i + 1 < n ? i + 1 : 0;
    x[i] = 0.5 * (r->x[i] + r->x[k]);
    y[i] = 0.5 * (r->y[i] + r->y[k]);
  }
  SKY_TRY(project(b, n, x, y, mx, my));
  SKY_TRY(project(b, n, r->x, r->y, x, y));
  for (size_t i = 0; i < n; i++) {
    const size_t k = i + 1 < n ? i + 1 : 0;
    b->most = b->n + PIECES_MAX;
    SKY_TRY(put(b, (point){x[i], y[i]}));
    SKY_TRY(bend(b, (point){r->x[i], r->y[i]}, (point){x[i], y[i]}, (point){r->x[k], r->y[k]},
                 (point){x[k], y[k]}, (point){mx[i], my[i]}, 0));
  }
  return SKY_OK;
}

sky_status sky_ring_transform_apply(sky_context *ctx, const sky_ring_transform *t, sky_ring *ring) {
  sky_status st = SKY_OK;
  bender b = {.ctx = ctx, .t = t};
  sky_ring r = {.hole = ring->hole};
  double *xy;
  SKY_GO_ALLOC(xy, SKY_NEW(ctx, double, 4 * ring->n));
  SKY_GO(bend_ring(&b, ring, xy));
  SKY_GO_ALLOC(r.x, SKY_NEW(ctx, double, b.n));
  SKY_GO_ALLOC(r.y, SKY_NEW(ctx, double, b.n));
  r.n = b.n;
  for (size_t i = 0; i < b.n; i++) {
    r.x[i] = b.out[i].x;
    r.y[i] = b.out[i].y;
  }
  sky_free(ring->x);
  sky_free(ring->y);
  *ring = r;
  r.x = r.y = NULL;
cleanup:
  sky_free(r.x);
  sky_free(r.y);
  sky_free(b.out);
  sky_free(xy);
  return st;
}
