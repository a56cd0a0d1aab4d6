/* cover.c: exact coverage of windows by zones.
 *
 * Green's theorem row by row, as in zone.c: each edge is cut at the rows and columns that it
 * crosses; a piece inside a cell covers the area to its right there, and its whole height in all
 * cells further right. Two things make the result free of the window and the interior cheap:
 *
 *  - Heights are whole numbers. Within a row, the height of a point is G(t), the share of the row's
 *    area below it, rounded to 2^-50; a piece's height is the difference of its ends. Such
 *    differences sum without error, in whatever order and from whatever column the pieces are
 *    added, so that cells inside have coverage 1 exactly and need no memory.
 *  - Cuts depend on the edge's own ends only, never on where the walk began.
 *
 * G(t) = ∫ g, with g the area density of the row: 1 on projected grids. On geographic ones
 * g ∝ cos φ / (1 - e² sin² φ)² (Snyder 1987, Eq. 3-12 differentiated), taken as its Taylor series
 * about the middle of the row, of the degree at which the remainder is below rounding.
 *
 * Within a cell, the area right of a piece that runs from (xl, yl) to (xr, yr) is
 *     (x_right - xl) ΔG - (xr - xl) ∫ s dG,   s = 0 at yl and 1 at yr,
 * the integral by Gauss-Legendre, exact for the series. */
#include "grids/cover.h"

#include <math.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/interval.h"
#include "grids/longitude.h"
#include "src/core/memory.h"

#define DEG (M_PI / 180.0)
#define NOISE 1e-12                      /* coverage below this is rounding, as in zone.c */
#define UNIT (1.0 / 1125899906842624.0)  /* 2^-50, the step of heights */
#define FULL ((int64_t)1125899906842624) /* height of a row */
#define TERMS_MAX 32                     /* of a row's series */
#define NODES_MAX 17                     /* of the quadrature */

/* A side of a ring, with the zone on its left. */
typedef struct side {
  double xa, ya, xb, yb;
} side;

typedef struct shape {
  size_t zone;
  double west, east, south, north;
  size_t band0, bands; /* that it may touch */
  size_t *start;       /* [bands+1] into side */
  side *side;
} shape;

struct sky_cover_event {
  uint32_t row, x;
  int64_t height; /* of the piece, in UNIT */
  double inside;  /* area right of it in its cell, in cells */
};

struct sky_cover {
  const sky_grid *grid;
  const double *x; /* edges of the columns: the grid's, or `turned` on geographic grids */
  double *turned;  /* the grid's in the spelling of longitude.h */
  const sky_zone *zone;
  size_t n_zone, n_shape, shape_capacity;
  shape *shape;
  bool *inside;    /* [n_zone] */
  size_t *first;   /* [bands+1] into near */
  uint32_t *near;  /* shapes of each band */
  size_t terms;    /* of a row's series */
  double *density; /* [ny*terms], in powers of t - 1/2 */
  size_t nodes;    /* of the quadrature on 0..1 */
  double node[NODES_MAX], weight[NODES_MAX];
};

/* ---- ownership ------------------------------------------------------------------------------ */

void sky_cover_part_free(sky_cover_part *p) {
  if (p == NULL) return;
  sky_free(p->span);
  sky_free(p->edge);
  sky_free(p->event);
  sky_free(p->sorted);
  memset(p, 0, sizeof *p);
}

void sky_cover_free(sky_cover *c) {
  if (c == NULL) return;
  for (size_t i = 0; i < c->n_shape; i++) {
    sky_free(c->shape[i].start);
    sky_free(c->shape[i].side);
  }
  sky_free(c->shape);
  sky_free(c->turned);
  sky_free(c->inside);
  sky_free(c->first);
  sky_free(c->near);
  sky_free(c->density);
  sky_free(c);
}

/* ---- the area within a row ------------------------------------------------------------------ */

/* c = a b, series of n terms. */
static void multiply(size_t n, const double *a, const double *b, double *c) {
  for (size_t k = 0; k < n; k++) {
    c[k] = 0;
    for (size_t i = 0; i <= k; i++)
      c[k] += a[i] * b[k - i];
  }
}

/* Taylor series of the density about the row's middle in u = t - 1/2, so that it integrates to 1.
 */
static void row_series(size_t n, double south, double north, double *g) {
  const double e2 = SKY_WGS84_F * (2 - SKY_WGS84_F), h = (north - south) * DEG;
  const double middle = 0.5 * (south + north) * DEG;
  double s[TERMS_MAX] = {0}, c[TERMS_MAX] = {0}, w[TERMS_MAX] = {0}, v[TERMS_MAX] = {0};
  double factor = 1;
  const double turn[4] = {sin(middle), cos(middle), -sin(middle), -cos(middle)};
  for (size_t k = 0; k < n; k++) {
    s[k] = factor * turn[k % 4];
    c[k] = factor * turn[(k + 1) % 4];
    factor *= h / (double)(k + 1);
  }
  multiply(n, s, s, w); /* w = 1 - e² sin² */
  for (size_t k = 0; k < n; k++)
    w[k] = (k == 0 ? 1 : 0) - e2 * w[k];
  for (size_t k = 0; k < n; k++) { /* v = 1/w */
    double sum = k == 0 ? 1 : 0;
    for (size_t i = 1; i <= k; i++)
      sum -= w[i] * v[k - i];
    v[k] = sum / w[0];
  }
  multiply(n, v, v, w);
  multiply(n, w, c, g);
  double whole = 0, power = 0.5; /* ∫ over -1/2..1/2 */
  for (size_t k = 0; k < n; k += 2, power *= 0.25)
    whole += 2 * g[k] * power / (double)(k + 1);
  for (size_t k = 0; k < n; k++)
    g[k] /= whole;
}

/* Terms that leave a remainder below rounding also in the row at the pole, where the density starts
 * from zero. */
static size_t terms_needed(double h) {
  size_t n = 2;
  for (double bound = h; n < TERMS_MAX && bound > 1e-18; n++)
    bound *= h / (double)n;
  return n;
}

/* Gauss-Legendre on 0..1 by Newton's method. */
static void quadrature(size_t n, double *node, double *weight) {
  for (size_t i = 0; i < n; i++) {
    double x = cos(M_PI * ((double)i + 0.75) / ((double)n + 0.5)), slope = 1;
    for (int step = 0; step < 50; step++) {
      double p = 1, q = 0;
      for (size_t k = 1; k <= n; k++) {
        const double r = q;
        q = p;
        p = ((2 * (double)k - 1) * x * q - ((double)k - 1) * r) / (double)k;
      }
      slope = (double)n * (x * p - q) / (x * x - 1);
      const double move = p / slope;
      x -= move;
      if (fabs(move) < 1e-16) break;
    }
    node[i] = 0.5 * (1 - x);
    weight[i] = 1 / ((1 - x * x) * slope * slope);
  }
}

static sky_status make_rows(sky_context *ctx, sky_cover *c) {
  const sky_grid *g = c->grid;
  c->terms = 1;
  if (g->geographic) {
    double h = 0;
    for (size_t iy = 0; iy < g->ny; iy++)
      h = fmax(h, g->y_edge[iy + 1] - g->y_edge[iy]);
    c->terms = terms_needed(h * DEG);
    c->density = SKY_NEW(ctx, double, g->ny * c->terms);
    if (c->density == NULL) return SKY_E_NOMEM;
    double south = INFINITY, north = -INFINITY;
    for (size_t i = 0; i < c->n_shape; i++) {
      south = fmin(south, c->shape[i].south);
      north = fmax(north, c->shape[i].north);
    }
    for (size_t iy = 0; iy < g->ny; iy++)
      if (g->y_edge[iy + 1] >= south && g->y_edge[iy] <= north)
        row_series(c->terms, g->y_edge[iy], g->y_edge[iy + 1], c->density + iy * c->terms);
  }
  c->nodes = (c->terms + 2) / 2; /* exact to degree 2 nodes - 1 >= terms */
  quadrature(c->nodes, c->node, c->weight);
  return SKY_OK;
}

/* The row of a piece with what its integrals need. */
typedef struct row_area {
  double y0, y1;
  size_t terms, nodes;
  const double *density, *node, *weight;
} row_area;

static double density_at(const row_area *r, double u) {
  double g = r->density[r->terms - 1];
  for (size_t k = r->terms - 1; k-- > 0;)
    g = g * u + r->density[k];
  return g;
}

/* Height of y in UNIT. */
static int64_t height_at(const row_area *r, double y) {
  if (y <= r->y0) return 0;
  if (y >= r->y1) return FULL;
  const double u = (y - r->y0) / (r->y1 - r->y0) - 0.5;
  if (r->density == NULL) return llrint((u + 0.5) * (double)FULL);
  double up = 0, down = 0;
  for (size_t k = r->terms; k-- > 0;) {
    const double a = r->density[k] / (double)(k + 1);
    up = up * u + a;
    down = down * -0.5 + a;
  }
  return llrint((up * u + 0.5 * down) * (double)FULL);
}

/* ∫ s dG along a piece from ya to yb. */
static double moment(const row_area *r, double ya, double yb) {
  const double scale = 1 / (r->y1 - r->y0), dt = (yb - ya) * scale;
  if (r->density == NULL) return 0.5 * dt;
  const double ua = (ya - r->y0) * scale - 0.5;
  double sum = 0;
  for (size_t k = 0; k < r->nodes; k++)
    sum += r->weight[k] * r->node[k] * density_at(r, ua + r->node[k] * dt);
  return sum * dt;
}

/* ---- edges into bands ----------------------------------------------------------------------- */

size_t sky_cover_bands(const sky_cover *c) {
  return (c->grid->ny + SKY_BAND - 1) / SKY_BAND;
}

void sky_cover_band_rows(const sky_cover *c, size_t band, sky_window *rows) {
  const size_t end = c->grid->ny - band * SKY_BAND;
  rows->ny = end < SKY_BAND ? end : SKY_BAND;
  rows->iy0 = end - rows->ny;
}

static size_t clamped_row(const sky_grid *g, double y) {
  if (y <= g->y_edge[0]) return 0;
  return y >= g->y_edge[g->ny] ? g->ny - 1 : sky_interval(g->y_edge, g->ny, y);
}

static size_t band_of_row(const sky_grid *g, size_t iy) {
  return (g->ny - 1 - iy) / SKY_BAND;
}

/* Bands of a side: northern first; false if it lies beside the grid or has no height. */
static bool bands_of(const sky_grid *g, const side *e, size_t *first, size_t *last) {
  const double low = fmin(e->ya, e->yb), high = fmax(e->ya, e->yb);
  if (low == high || high <= g->y_edge[0] || low >= g->y_edge[g->ny]) return false;
  *first = band_of_row(g, clamped_row(g, high));
  *last = band_of_row(g, clamped_row(g, low));
  return true;
}

/* The sides of a ring in the sense that has the zone on the left, moved by `shift`. */
static side side_of(const sky_ring *r, bool reverse, size_t i, double shift) {
  const size_t k = i + 1 < r->n ? i + 1 : 0, a = reverse ? k : i, b = reverse ? i : k;
  return (side){r->x[a] + shift, r->y[a], r->x[b] + shift, r->y[b]};
}

static bool runs_clockwise(const sky_ring *r) {
  double sum = 0;
  for (size_t i = 0; i < r->n; i++) {
    const size_t k = i + 1 < r->n ? i + 1 : 0;
    sum += (r->x[i] - r->x[0]) * (r->y[k] - r->y[0]) - (r->x[k] - r->x[0]) * (r->y[i] - r->y[0]);
  }
  return sum < 0;
}

static sky_status fill_bands(sky_context *ctx, const sky_grid *g, const sky_ring *ring, size_t n,
                             double shift, shape *s) {
  size_t first, last;
  s->start = SKY_NEW0(ctx, size_t, s->bands + 2);
  if (s->start == NULL) return SKY_E_NOMEM;
  for (int filling = 0; filling < 2; filling++) { /* count, then store */
    size_t *at = s->start + 1;                    /* at[b]: count, then next free of band b */
    if (filling) {
      for (size_t b = 0, sum = 0; b <= s->bands; b++) {
        const size_t count = at[b];
        at[b] = sum;
        sum += count;
      }
      s->side = SKY_NEW(ctx, side, at[s->bands]);
      if (s->side == NULL) return SKY_E_NOMEM;
    }
    for (size_t r = 0; r < n; r++) {
      const bool reverse = runs_clockwise(&ring[r]) != ring[r].hole;
      for (size_t i = 0; i < ring[r].n; i++) {
        const side e = side_of(&ring[r], reverse, i, shift);
        if (!bands_of(g, &e, &first, &last)) continue;
        for (size_t b = first; b <= last; b++) {
          size_t *slot = &at[b - s->band0];
          if (filling) s->side[*slot] = e;
          (*slot)++;
        }
      }
    }
  }
  return SKY_OK; /* start[b] is now the beginning of band b, start[b+1] its end */
}

static bool meets(double low, double high, const double *edge, size_t n) {
  return high > edge[0] && low < edge[n];
}

static sky_status add_shape(sky_context *ctx, sky_cover *c, const sky_ring *ring, size_t n,
                            const shape *box, double shift) {
  const sky_grid *g = c->grid;
  shape s = *box;
  s.west += shift;
  s.east += shift;
  if (!meets(s.west, s.east, c->x, g->nx) || !meets(s.south, s.north, g->y_edge, g->ny))
    return SKY_OK;
  if (c->n_shape == UINT32_MAX) return sky_fail(ctx, SKY_E_SIZE, "too many zones");
  if (c->n_shape == c->shape_capacity) {
    const size_t grown = 2 * c->shape_capacity + 64;
    shape *p = sky_realloc(ctx, c->shape, c->n_shape, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    c->shape = p;
    c->shape_capacity = grown;
  }
  s.band0 = band_of_row(g, clamped_row(g, s.north));
  s.bands = band_of_row(g, clamped_row(g, s.south)) - s.band0 + 1;
  shape *kept = &c->shape[c->n_shape++];
  *kept = s;
  return fill_bands(ctx, g, ring, n, shift, kept);
}

static sky_status add_zone(sky_context *ctx, sky_cover *c, size_t zone, sky_ring *ring) {
  const sky_zone *z = &c->zone[zone];
  const sky_grid *g = c->grid;
  shape box = {zone, INFINITY, -INFINITY, INFINITY, -INFINITY, 0, 0, NULL, NULL};
  if (z->n_rings == 0) return SKY_OK;
  for (size_t r = 0; r < z->n_rings; r++) {
    if (z->ring[r].n < 3)
      return sky_fail(ctx, SKY_E_RANGE, "zone '%s': ring %zu has %zu vertices, at least 3 needed",
                      z->id != NULL ? z->id : "", r, z->ring[r].n);
    if (g->geographic)
      SKY_TRY(sky_ring_unwrap(ctx, &z->ring[r], sky_longitude(z->ring[0].x[0]), &ring[r]));
    else
      ring[r] = z->ring[r];
    for (size_t i = 0; i < ring[r].n; i++) {
      if (!isfinite(ring[r].x[i]) || !isfinite(ring[r].y[i]))
        return sky_fail(ctx, SKY_E_RANGE, "zone '%s': ring %zu vertex %zu is not finite",
                        z->id != NULL ? z->id : "", r, i);
      box.west = fmin(box.west, ring[r].x[i]);
      box.east = fmax(box.east, ring[r].x[i]);
      box.south = fmin(box.south, ring[r].y[i]);
      box.north = fmax(box.north, ring[r].y[i]);
    }
  }
  const double *x = c->x, *y = g->y_edge;
  int first = 0, last = 0;
  if (g->geographic) {
    first = (int)ceil((x[0] - box.east) / 360);
    last = (int)floor((x[g->nx] - box.west) / 360);
  }
  for (int k = first; k <= last; k++) {
    SKY_TRY(add_shape(ctx, c, ring, z->n_rings, &box, 360.0 * k));
    c->inside[zone] |= box.south >= y[0] && box.north <= y[g->ny] && box.west + 360.0 * k >= x[0] &&
                       box.east + 360.0 * k <= x[g->nx];
  }
  if (g->geographic && x[g->nx] - x[0] >= 360 * (1 - 1e-12)) /* around the globe */
    c->inside[zone] = box.south >= y[0] && box.north <= y[g->ny];
  return SKY_OK;
}

static sky_status add_zones(sky_context *ctx, sky_cover *c) {
  size_t most = 0;
  for (size_t z = 0; z < c->n_zone; z++)
    most = c->zone[z].n_rings > most ? c->zone[z].n_rings : most;
  sky_ring *ring = SKY_NEW0(ctx, sky_ring, most);
  if (ring == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  for (size_t z = 0; z < c->n_zone && st == SKY_OK; z++) {
    st = add_zone(ctx, c, z, ring);
    for (size_t r = 0; r < most; r++) {
      if (c->grid->geographic) {
        sky_free(ring[r].x);
        sky_free(ring[r].y);
      }
      ring[r] = (sky_ring){0};
    }
  }
  sky_free(ring);
  return st;
}

static sky_status index_bands(sky_context *ctx, sky_cover *c) {
  const size_t bands = sky_cover_bands(c);
  c->first = SKY_NEW0(ctx, size_t, bands + 2);
  if (c->first == NULL) return SKY_E_NOMEM;
  size_t *at = c->first + 1;
  for (size_t i = 0; i < c->n_shape; i++)
    for (size_t b = 0; b < c->shape[i].bands; b++)
      at[c->shape[i].band0 + b]++;
  for (size_t b = 0, sum = 0; b <= bands; b++) {
    const size_t count = at[b];
    at[b] = sum;
    sum += count;
  }
  c->near = SKY_NEW(ctx, uint32_t, at[bands]);
  if (c->near == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < c->n_shape; i++)
    for (size_t b = 0; b < c->shape[i].bands; b++)
      c->near[at[c->shape[i].band0 + b]++] = (uint32_t)i;
  return SKY_OK;
}

sky_status sky_cover_create(sky_context *ctx, const sky_zones *zones, const sky_grid *grid,
                            sky_cover **out) {
  sky_status st = SKY_OK;
  sky_cover *c;
  SKY_GO_ALLOC(c, SKY_NEW0(ctx, sky_cover, 1));
  c->grid = grid;
  c->zone = zones->zone;
  c->n_zone = zones->n;
  c->x = grid->x_edge;
  if (grid->geographic) {
    SKY_GO_ALLOC(c->turned, SKY_NEW(ctx, double, grid->nx + 1));
    sky_longitudes(grid->nx + 1, grid->x_edge, sky_longitude(grid->x_edge[0]), c->turned);
    c->x = c->turned;
  }
  SKY_GO_ALLOC(c->inside, SKY_NEW0(ctx, bool, zones->n));
  SKY_GO(add_zones(ctx, c));
  SKY_GO(make_rows(ctx, c));
  SKY_GO(index_bands(ctx, c));
  *out = c;
  return SKY_OK;
cleanup:
  sky_cover_free(c);
  return st;
}

size_t sky_cover_band_shapes(const sky_cover *c, size_t band, const uint32_t **list) {
  *list = c->near + c->first[band];
  return c->first[band + 1] - c->first[band];
}

size_t sky_cover_zone(const sky_cover *c, uint32_t i) {
  return c->shape[i].zone;
}

bool sky_cover_near(const sky_cover *c, uint32_t i, size_t ix0, size_t nx) {
  const double *x = c->x;
  return c->shape[i].east > x[ix0] && c->shape[i].west < x[ix0 + nx];
}

bool sky_cover_inside(const sky_cover *c, size_t zone) {
  return c->inside[zone];
}

/* ---- the coverage of a window --------------------------------------------------------------- */

typedef struct walk {
  sky_context *ctx;
  const double *x; /* edges of the window's columns */
  size_t nx;
  int64_t left[SKY_BAND]; /* height of what passes left of the window */
  size_t n_event;
  sky_cover_part *part;
} walk;

static sky_status grow(sky_context *ctx, void **p, size_t *capacity, size_t n, size_t size) {
  if (n < *capacity) return SKY_OK;
  const size_t grown = 2 * *capacity + 256;
  void *q = sky_realloc(ctx, *p, n, grown, size);
  if (q == NULL) return SKY_E_NOMEM;
  *p = q;
  *capacity = grown;
  return SKY_OK;
}

static sky_status add_event(walk *w, const sky_cover_event *e) {
  sky_cover_part *p = w->part;
  if (w->n_event == p->event_capacity) {
    size_t capacity = p->event_capacity;
    SKY_TRY(grow(w->ctx, (void **)&p->event, &capacity, w->n_event, sizeof *p->event));
    sky_free(p->sorted);
    p->sorted = SKY_NEW(w->ctx, sky_cover_event, capacity);
    p->event_capacity = p->sorted != NULL ? capacity : 0;
    if (p->sorted == NULL) return SKY_E_NOMEM;
  }
  p->event[w->n_event++] = *e;
  return SKY_OK;
}

/* A piece inside one row, from west to east; sign: of what lies right of it. */
static sky_status add_piece(walk *w, const row_area *area, uint32_t row, int sign, double x0,
                            double y0, double x1, double y1) {
  const double *x = w->x;
  if (x0 >= x[w->nx]) return SKY_OK;
  const int64_t end = height_at(area, y1);
  int64_t at = height_at(area, y0);
  double xl = x0, yl = y0;
  size_t column = 0;
  if (x0 < x[0]) {
    if (x1 <= x[0]) {
      w->left[row] += sign * (end - at);
      return SKY_OK;
    }
    yl = y0 + (x[0] - x0) / (x1 - x0) * (y1 - y0);
    const int64_t cut = height_at(area, yl);
    w->left[row] += sign * (cut - at);
    at = cut;
    xl = x[0];
  } else {
    column = sky_interval(x, w->nx, x0);
  }
  for (bool last = false; column < w->nx && !last; column++) {
    last = x1 <= x[column + 1];
    const double xr = last ? x1 : x[column + 1];
    const double yr = last ? y1 : y0 + (xr - x0) / (x1 - x0) * (y1 - y0);
    const int64_t next = last ? end : height_at(area, yr);
    if (next != at) {
      const double width = x[column + 1] - x[column];
      double inside = (x[column + 1] - xl) * ((double)(next - at) * UNIT);
      if (xr != xl) inside -= (xr - xl) * moment(area, yl, yr);
      SKY_TRY(add_event(
          w, &(sky_cover_event){row, (uint32_t)column, sign * (next - at), sign * inside / width}));
    }
    at = next;
    xl = xr;
    yl = yr;
  }
  return SKY_OK;
}

static double clamp_between(double v, double a, double b) {
  return a <= b ? fmin(fmax(v, a), b) : fmin(fmax(v, b), a);
}

/* A side, cut at the rows of the window. */
static sky_status add_side(walk *w, const sky_cover *c, const sky_window *rows, const side *e) {
  const double *y = c->grid->y_edge + rows->iy0;
  const double low = fmin(e->ya, e->yb), high = fmax(e->ya, e->yb);
  if (high <= y[0] || low >= y[rows->ny] || fmin(e->xa, e->xb) >= w->x[w->nx]) return SKY_OK;
  const double slope = (e->xb - e->xa) / (e->yb - e->ya);
  row_area area = {.terms = c->terms, .nodes = c->nodes, .node = c->node, .weight = c->weight};
  for (size_t r = low <= y[0] ? 0 : sky_interval(y, rows->ny, low); r < rows->ny && y[r] < high;
       r++) {
    area.y0 = y[r];
    area.y1 = y[r + 1];
    if (c->density != NULL) area.density = c->density + (rows->iy0 + r) * c->terms;
    const double ya = clamp_between(e->ya, y[r], y[r + 1]);
    const double yb = clamp_between(e->yb, y[r], y[r + 1]);
    const double xa =
        ya == e->ya ? e->xa : clamp_between(e->xa + (ya - e->ya) * slope, e->xa, e->xb);
    const double xb =
        yb == e->yb ? e->xb : clamp_between(e->xa + (yb - e->ya) * slope, e->xa, e->xb);
    if (ya == yb) continue;
    /* The zone lies left of an upward side, so that what is right of it is taken away. */
    if (xa <= xb)
      SKY_TRY(add_piece(w, &area, (uint32_t)r, -1, xa, ya, xb, yb));
    else
      SKY_TRY(add_piece(w, &area, (uint32_t)r, 1, xb, yb, xa, ya));
  }
  return SKY_OK;
}

/* Events by row, then column; those of one cell keep the order of the outline. Returns where each
 * row starts. */
static void sort_events(walk *w, size_t ny, size_t start[SKY_BAND + 1]) {
  const sky_cover_event *in = w->part->event;
  sky_cover_event *out = w->part->sorted;
  size_t at[SKY_BAND + 1] = {0};
  for (size_t i = 0; i < w->n_event; i++)
    at[in[i].row + 1]++;
  for (size_t r = 0; r < ny; r++)
    at[r + 1] += at[r];
  memcpy(start, at, (ny + 1) * sizeof *start);
  for (size_t i = 0; i < w->n_event; i++) {
    size_t k = at[in[i].row]++;
    for (; k > start[in[i].row] && out[k - 1].x > in[i].x; k--)
      out[k] = out[k - 1];
    out[k] = in[i];
  }
}

static sky_status add_span(walk *w, uint32_t row, size_t x0, size_t x1) {
  sky_cover_part *p = w->part;
  if (p->n_span > 0) {
    sky_span *last = &p->span[p->n_span - 1];
    if (last->row == row && last->x1 == x0) {
      last->x1 = (uint32_t)x1;
      return SKY_OK;
    }
  }
  SKY_TRY(grow(w->ctx, (void **)&p->span, &p->span_capacity, p->n_span, sizeof *p->span));
  p->span[p->n_span++] = (sky_span){row, (uint32_t)x0, (uint32_t)x1};
  return SKY_OK;
}

static sky_status add_edge_cell(walk *w, uint32_t row, size_t x, double fraction) {
  sky_cover_part *p = w->part;
  SKY_TRY(grow(w->ctx, (void **)&p->edge, &p->edge_capacity, p->n_edge, sizeof *p->edge));
  p->edge[p->n_edge++] = (sky_edge_cell){row, (uint32_t)x, fraction};
  return SKY_OK;
}

/* Cells x0..x1-1 that no piece enters: an outline that runs along the row may still cut them. */
static sky_status add_run(walk *w, uint32_t row, size_t x0, size_t x1, int64_t height) {
  const double f = (double)height * UNIT;
  if (x0 == x1 || !(f > NOISE)) return SKY_OK;
  if (f > 1 - NOISE) return add_span(w, row, x0, x1);
  for (size_t x = x0; x < x1; x++)
    SKY_TRY(add_edge_cell(w, row, x, f));
  return SKY_OK;
}

static sky_status sweep_row(walk *w, uint32_t row, const sky_cover_event *e,
                            const sky_cover_event *end) {
  int64_t height = w->left[row];
  size_t x = 0;
  while (e < end) {
    const uint32_t column = e->x;
    SKY_TRY(add_run(w, row, x, column, height));
    double f = (double)height * UNIT;
    for (; e < end && e->x == column; e++) {
      f += e->inside;
      height += e->height;
    }
    if (f > 1 - NOISE)
      SKY_TRY(add_span(w, row, column, column + 1));
    else if (f > NOISE)
      SKY_TRY(add_edge_cell(w, row, column, f));
    x = column + 1;
  }
  return add_run(w, row, x, w->nx, height);
}

sky_status sky_cover_find(sky_context *ctx, const sky_cover *c, uint32_t which, size_t band,
                          size_t ix0, size_t nx, sky_cover_part *out) {
  const shape *s = &c->shape[which];
  walk w = {.ctx = ctx, .x = c->x + ix0, .nx = nx, .part = out};
  sky_window rows;
  size_t start[SKY_BAND + 1];
  sky_cover_band_rows(c, band, &rows);
  out->n_span = out->n_edge = 0;
  if (band < s->band0 || band >= s->band0 + s->bands) return SKY_OK;
  for (size_t i = s->start[band - s->band0]; i < s->start[band - s->band0 + 1]; i++)
    SKY_TRY(add_side(&w, c, &rows, &s->side[i]));
  sort_events(&w, rows.ny, start);
  for (size_t r = 0; r < rows.ny; r++)
    SKY_TRY(sweep_row(&w, (uint32_t)r, out->sorted + start[r], out->sorted + start[r + 1]));
  return SKY_OK;
}
