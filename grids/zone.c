/* zone.c: exact coverage of grid cells by polygons.
 *
 * Method: Green's theorem cell by cell. Every polygon edge is cut at the rows and columns it
 * crosses; a piece inside a cell adds the area to its right in that cell and the full width of its
 * height to all cells further right in the row. One running sum along the row then gives every
 * cell's covered area, interior cells included, without building a clipped polygon. Signed by ring
 * orientation, so holes and further parts need no special case.
 *
 * Heights are measured in Z, the ellipsoid's area between parallels (grid.c), so that areas are
 * true; an edge is a straight line in longitude and latitude, along which ∫ x dZ = xa ΔZ + (xb -
 * xa) ∫ t dZ/dφ dφ and the smooth second integral is taken by Gauss-Legendre on pieces of at most
 * 2° (error below rounding). Projected grids use plane areas inside a cell and geodesic areas for
 * totals.
 *
 * Invariants: fractions in (0, 1]; a partition of the plane sums to 1 in every cell within 1e-12.
 */
#include "grids/zone.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define DEG (M_PI / 180.0)
#define NOISE 1e-12         /* coverage below this is rounding, not area */
#define BOUNDARY 1e-12      /* relative width of a ring for contains() */
#define BLOCK_CELLS 4194304 /* cells of one band of rows held at once */
#define PANEL 2.0           /* degrees of latitude of one quadrature panel */
#define OUTLINE_STEP 2000.0 /* m, densification before geodesic areas */

/* ---- ownership ----------------------------------------------------------------------------- */

static void ring_free(sky_ring *r) {
  sky_free(r->x);
  sky_free(r->y);
  memset(r, 0, sizeof *r);
}

void sky_zones_free(sky_zones *z) {
  if (z == NULL) return;
  for (size_t i = 0; i < z->n; i++) {
    sky_zone *zone = &z->zone[i];
    for (size_t k = 0; k < zone->n_rings; k++)
      ring_free(&zone->ring[k]);
    sky_free(zone->ring);
    sky_free(zone->id);
    sky_free(zone->name);
    sky_free(zone->level);
  }
  sky_free(z->zone);
  memset(z, 0, sizeof *z);
}

void sky_coverage_free(sky_coverage *c) {
  if (c == NULL) return;
  sky_free(c->cell);
  sky_free(c->fraction);
  memset(c, 0, sizeof *c);
}

/* ---- longitudes ---------------------------------------------------------------------------- */

/* An edge over more than half a turn crosses the antimeridian; one over a whole turn is a frame of
 * the world map (Antarctica's) and stays. */
static double edge_turn(double from, double to) {
  const double d = to - from;
  return fabs(d) > 180 && fabs(d) < 360 - 1e-9 ? -360 * nearbyint(d / 360) : 0;
}

sky_status sky_ring_unwrap(sky_context *ctx, const sky_ring *in, double near, sky_ring *out) {
  sky_ring r = {.n = in->n, .hole = in->hole};
  r.x = SKY_NEW(ctx, double, in->n + 3);
  r.y = SKY_NEW(ctx, double, in->n + 3);
  if (r.x == NULL || r.y == NULL) {
    ring_free(&r);
    return SKY_E_NOMEM;
  }
  double turn = in->n > 0 ? 360 * nearbyint((near - in->x[0]) / 360) : 0, mean = 0;
  for (size_t i = 0; i < in->n; i++) {
    if (i > 0) turn += edge_turn(in->x[i - 1], in->x[i]);
    r.x[i] = in->x[i] + turn;
    r.y[i] = in->y[i];
    mean += in->y[i] / (double)in->n;
  }
  if (in->n > 0) {
    const double end = in->x[0] + turn + edge_turn(in->x[in->n - 1], in->x[0]);
    if (fabs(end - r.x[0]) > 180) { /* it runs around a pole: close it there */
      const double pole = mean < 0 ? -90 : 90;
      const double x[3] = {end, end, r.x[0]}, y[3] = {r.y[0], pole, pole};
      memcpy(r.x + r.n, x, sizeof x);
      memcpy(r.y + r.n, y, sizeof y);
      r.n += 3;
    }
  }
  *out = r;
  return SKY_OK;
}

/* ---- integrals along an edge --------------------------------------------------------------- */

static double height(bool geographic, double ya, double yb) {
  return geographic ? sky_ellipsoid_band(ya, yb) : yb - ya;
}

/* dZ/dφ per radian, m2: meridian radius times radius of the parallel. */
static double height_slope(double lat_deg) {
  const double e2 = SKY_WGS84_F * (2 - SKY_WGS84_F), b = SKY_WGS84_A * (1 - SKY_WGS84_F);
  const double s = sin(lat_deg * DEG), w = 1 - e2 * s * s;
  return b * b * cos(lat_deg * DEG) / (w * w);
}

/* ∫ t dZ, t = 0 at ya and 1 at yb. */
static double moment(bool geographic, double ya, double yb) {
  if (!geographic) return 0.5 * (yb - ya);
  static const double node[5] = {-0.90617984593866399, -0.53846931010568309, 0, 0.53846931010568309,
                                 0.90617984593866399};
  static const double weight[5] = {0.23692688505618909, 0.47862867049936647, 0.56888888888888889,
                                   0.47862867049936647, 0.23692688505618909};
  const size_t panels = (size_t)fmax(1, ceil(fabs(yb - ya) / PANEL));
  const double half = 0.5 / (double)panels;
  double sum = 0;
  for (size_t p = 0; p < panels; p++) {
    const double middle = (2 * (double)p + 1) * half;
    for (size_t k = 0; k < 5; k++) {
      const double t = middle + half * node[k];
      sum += weight[k] * t * height_slope(ya + t * (yb - ya));
    }
  }
  return sum * half * (yb - ya) * DEG;
}

/* ∮ (x - x0) dZ of a ring: area in the units of x times Z, counter-clockwise positive. */
static double ring_area(const sky_ring *r, bool geographic) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < r->n; i++) {
    const size_t k = i + 1 < r->n ? i + 1 : 0;
    const double xa = r->x[i] - r->x[0], xb = r->x[k] - r->x[0];
    if (r->y[i] == r->y[k]) continue;
    sky_acc_add(&sum, xa * height(geographic, r->y[i], r->y[k]));
    if (xa != xb) sky_acc_add(&sum, (xb - xa) * moment(geographic, r->y[i], r->y[k]));
  }
  return sky_acc_value(&sum);
}

/* ---- cutting edges into cells -------------------------------------------------------------- */

/* Rows iy0..iy0+ny-1 and columns ix0..ix0+nx-1 of the grid with their sums. inside: area right of
 * the pieces in a cell; beyond[i]: height that covers column i and all further ones. */
typedef struct window {
  const sky_grid *grid;
  size_t ix0, nx, iy0, ny;
  double *inside; /* [ny*nx] */
  double *beyond; /* [ny*(nx+1)] */
} window;

static double clamp_between(double v, double a, double b) {
  return a <= b ? fmin(fmax(v, a), b) : fmin(fmax(v, b), a);
}

/* Column of the window that holds x, for edges ascending; caller guarantees west <= x <= east. */
static size_t column_of(const double *edge, size_t n, double x) {
  size_t low = 0, high = n;
  while (high - low > 1) {
    const size_t mid = low + (high - low) / 2;
    if (x >= edge[mid])
      low = mid;
    else
      high = mid;
  }
  return low;
}

/* A piece inside one row: hand it to the columns that it crosses. */
static void add_in_row(const window *w, size_t row, double sign, double xa, double ya, double xb,
                       double yb) {
  const bool geographic = w->grid->geographic;
  const double *edge = w->grid->x_edge + w->ix0;
  double *inside = w->inside + row * w->nx, *beyond = w->beyond + row * (w->nx + 1);
  while (ya != yb) {
    /* Next piece: up to the nearest column edge in the direction of travel. */
    double x = xb, y = yb;
    size_t column = SIZE_MAX; /* SIZE_MAX: left of the window; nx: right of it */
    if (xa < edge[0] || (xa == edge[0] && xb < xa)) {
      if (xb > edge[0]) x = edge[0];
    } else if (xa > edge[w->nx] || (xa == edge[w->nx] && xb >= xa)) {
      column = w->nx;
      if (xb < edge[w->nx]) x = edge[w->nx];
    } else {
      column = column_of(edge, w->nx, xa);
      if (xa == edge[column] && xb < xa) column--;
      x = clamp_between(xb, edge[column], edge[column + 1]);
    }
    if (x != xb) y = clamp_between(ya + (x - xa) / (xb - xa) * (yb - ya), ya, yb);
    if (y != ya && column != w->nx) {
      const double dz = sign * height(geographic, ya, y);
      if (column == SIZE_MAX) {
        beyond[0] += dz;
      } else {
        inside[column] += (edge[column + 1] - xa) * dz;
        if (x != xa) inside[column] -= sign * (x - xa) * moment(geographic, ya, y);
        beyond[column + 1] += dz;
      }
    }
    if (x == xb) break;
    xa = x;
    ya = y;
  }
}

static void add_edge(const window *w, double sign, double xa, double ya, double xb, double yb) {
  const double *edge = w->grid->y_edge + w->iy0;
  const double low = fmin(ya, yb), high = fmax(ya, yb);
  if (ya == yb || high <= edge[0] || low >= edge[w->ny]) return;
  size_t row = low <= edge[0] ? 0 : column_of(edge, w->ny, low);
  for (; row < w->ny && edge[row] < high; row++) {
    /* Cut exactly at the row's edges, so that full rows sum to the row's height. */
    const double y0 = clamp_between(ya, edge[row], edge[row + 1]);
    const double y1 = clamp_between(yb, edge[row], edge[row + 1]);
    const double slope = (xb - xa) / (yb - ya);
    const double x0 = y0 == ya ? xa : clamp_between(xa + (y0 - ya) * slope, xa, xb);
    const double x1 = y1 == yb ? xb : clamp_between(xa + (y1 - ya) * slope, xa, xb);
    add_in_row(w, row, sign, x0, y0, x1, y1);
  }
}

/* sign: right-of-edge areas are counted, which is minus the area of a counter-clockwise ring. */
static void add_ring(const window *w, const sky_ring *r, double area, double shift) {
  const double sign = (area > 0) != r->hole ? -1 : 1;
  for (size_t i = 0; i < r->n; i++) {
    const size_t k = i + 1 < r->n ? i + 1 : 0;
    add_edge(w, sign, r->x[i] + shift, r->y[i], r->x[k] + shift, r->y[k]);
  }
}

/* ---- the zone over the grid ---------------------------------------------------------------- */

typedef struct shape { /* a zone's rings, unwrapped, with their signed areas */
  size_t n;
  sky_ring *ring;
  double *area;
  double west, east, south, north;
} shape;

static void shape_free(shape *s) {
  for (size_t i = 0; i < s->n && s->ring != NULL; i++)
    ring_free(&s->ring[i]);
  sky_free(s->ring);
  sky_free(s->area);
}

static sky_status shape_make(sky_context *ctx, const sky_zone *zone, bool geographic, shape *s) {
  memset(s, 0, sizeof *s);
  s->west = s->south = INFINITY;
  s->east = s->north = -INFINITY;
  s->ring = SKY_NEW0(ctx, sky_ring, zone->n_rings);
  s->area = SKY_NEW(ctx, double, zone->n_rings);
  if (s->ring == NULL || s->area == NULL) return SKY_E_NOMEM;
  s->n = zone->n_rings;
  for (size_t i = 0; i < s->n; i++) {
    const sky_ring *in = &zone->ring[i];
    sky_ring *r = &s->ring[i];
    if (in->n < 3)
      return sky_fail(ctx, SKY_E_RANGE, "zone '%s': ring %zu has %zu vertices, at least 3 needed",
                      zone->id != NULL ? zone->id : "", i, in->n);
    if (geographic) {
      const double near = i == 0 ? in->x[0] : s->ring[0].x[0];
      SKY_TRY(sky_ring_unwrap(ctx, in, near, r));
    } else {
      *r = (sky_ring){.n = in->n, .hole = in->hole, .x = SKY_NEW(ctx, double, in->n)};
      r->y = SKY_NEW(ctx, double, in->n);
      if (r->x == NULL || r->y == NULL) return SKY_E_NOMEM;
      memcpy(r->x, in->x, in->n * sizeof *r->x);
      memcpy(r->y, in->y, in->n * sizeof *r->y);
    }
    s->area[i] = ring_area(r, geographic);
    for (size_t k = 0; k < r->n; k++) {
      if (!isfinite(r->x[k]) || !isfinite(r->y[k]))
        return sky_fail(ctx, SKY_E_RANGE, "zone '%s': ring %zu vertex %zu is not finite",
                        zone->id != NULL ? zone->id : "", i, k);
      s->west = fmin(s->west, r->x[k]);
      s->east = fmax(s->east, r->x[k]);
      s->south = fmin(s->south, r->y[k]);
      s->north = fmax(s->north, r->y[k]);
    }
  }
  return SKY_OK;
}

/* Area of the whole zone on the ellipsoid: closed form, or geodesic after densification. */
static sky_status shape_area(sky_context *ctx, const shape *s, const sky_grid *g, double *total) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < s->n; i++) {
    const sky_ring *r = &s->ring[i];
    double area = fabs(s->area[i]) * DEG;
    if (!g->geographic) {
      sky_ring d = {0};
      sky_status st = sky_ring_densify(ctx, r, OUTLINE_STEP, &d);
      if (st == SKY_OK) st = sky_polygon_area(ctx, g->crs, d.x, d.y, d.n, &area);
      ring_free(&d);
      if (st != SKY_OK) return st;
    }
    sky_acc_add(&sum, r->hole ? -fabs(area) : fabs(area));
  }
  *total = sky_acc_value(&sum);
  return SKY_OK;
}

sky_status sky_ring_densify(sky_context *ctx, const sky_ring *in, double step, sky_ring *out) {
  size_t n = 0;
  for (size_t i = 0; i < in->n; i++) {
    const size_t k = i + 1 < in->n ? i + 1 : 0;
    const double pieces = ceil(hypot(in->x[k] - in->x[i], in->y[k] - in->y[i]) / step);
    if (!(pieces < 1e8))
      return sky_fail(ctx, SKY_E_RANGE, "an edge of a polygon is %g steps of %g long", pieces,
                      step);
    n += pieces < 1 ? 1 : (size_t)pieces;
  }
  sky_ring r = {.hole = in->hole, .x = SKY_NEW(ctx, double, n), .y = SKY_NEW(ctx, double, n)};
  if (r.x == NULL || r.y == NULL) {
    ring_free(&r);
    return SKY_E_NOMEM;
  }
  for (size_t i = 0; i < in->n; i++) {
    const size_t k = i + 1 < in->n ? i + 1 : 0;
    const double dx = in->x[k] - in->x[i], dy = in->y[k] - in->y[i];
    const size_t pieces = (size_t)fmax(1, ceil(hypot(dx, dy) / step));
    for (size_t p = 0; p < pieces; p++, r.n++) {
      const double f = (double)p / (double)pieces;
      r.x[r.n] = in->x[i] + f * dx;
      r.y[r.n] = in->y[i] + f * dy;
    }
  }
  *out = r;
  return SKY_OK;
}

/* Range of intervals of edge[0..n] that [low, high] meets; false if none. */
static bool meets(const double *edge, size_t n, double low, double high, size_t *first,
                  size_t *last) {
  if (!(high > edge[0] && low < edge[n])) return false;
  *first = low <= edge[0] ? 0 : column_of(edge, n, low);
  *last = high >= edge[n] ? n - 1 : column_of(edge, n, high);
  return true;
}

/* Shifts by whole turns under which the shape can meet the grid. */
static void turns(const shape *s, const sky_grid *g, int *first, int *last) {
  *first = *last = 0;
  if (!g->geographic) return;
  *first = (int)ceil((g->x_edge[0] - s->east) / 360);
  *last = (int)floor((g->x_edge[g->nx] - s->west) / 360);
}

/* Rows and columns of the grid that the shape can touch under any shift. */
static bool window_of(const shape *s, const sky_grid *g, window *w) {
  size_t y0, y1, x0 = SIZE_MAX, x1 = 0;
  if (s->n == 0 || !meets(g->y_edge, g->ny, s->south, s->north, &y0, &y1)) return false;
  int first, last;
  turns(s, g, &first, &last);
  for (int k = first; k <= last; k++) {
    size_t a, b;
    if (!meets(g->x_edge, g->nx, s->west + 360.0 * k, s->east + 360.0 * k, &a, &b)) continue;
    x0 = a < x0 ? a : x0;
    x1 = b > x1 ? b : x1;
  }
  if (x0 == SIZE_MAX) return false;
  *w = (window){.grid = g, .ix0 = x0, .nx = x1 - x0 + 1, .iy0 = y0, .ny = y1 - y0 + 1};
  return true;
}

static sky_status append_row(sky_context *ctx, const window *w, size_t row, size_t *capacity,
                             sky_coverage *out) {
  const sky_grid *g = w->grid;
  const size_t iy = w->iy0 + row;
  const double band = height(g->geographic, g->y_edge[iy], g->y_edge[iy + 1]);
  if (out->n + w->nx > *capacity) {
    const size_t grown = 2 * *capacity + w->nx;
    size_t *cell = sky_realloc(ctx, out->cell, out->n, grown, sizeof *cell);
    if (cell == NULL) return SKY_E_NOMEM;
    out->cell = cell;
    double *fraction = sky_realloc(ctx, out->fraction, out->n, grown, sizeof *fraction);
    if (fraction == NULL) return SKY_E_NOMEM;
    out->fraction = fraction;
    *capacity = grown;
  }
  double beyond = 0;
  for (size_t i = 0; i < w->nx; i++) {
    const size_t ix = w->ix0 + i;
    beyond += w->beyond[row * (w->nx + 1) + i];
    const double width = g->x_edge[ix + 1] - g->x_edge[ix];
    const double f = (w->inside[row * w->nx + i] + beyond * width) / (band * width);
    if (!(f > NOISE)) continue;
    out->cell[out->n] = iy * g->nx + ix;
    out->fraction[out->n++] = f > 1 - NOISE ? 1 : f;
  }
  return SKY_OK;
}

/* Sum of fraction × cell area; projected cell areas are computed for the window only. */
static sky_status area_inside(sky_context *ctx, const window *w, sky_coverage *c) {
  const sky_grid *g = w->grid;
  sky_grid part = {.geographic = g->geographic, .nx = w->nx, .ny = w->ny};
  memcpy(part.crs, g->crs, sizeof part.crs);
  part.x_edge = g->x_edge + w->ix0;
  part.y_edge = g->y_edge + w->iy0;
  double *area = SKY_NEW(ctx, double, w->nx * w->ny);
  if (area == NULL) return SKY_E_NOMEM;
  sky_status st = sky_grid_areas(ctx, &part, area);
  sky_acc sum = {0, 0};
  for (size_t k = 0; k < c->n && st == SKY_OK; k++) {
    const size_t iy = c->cell[k] / g->nx - w->iy0, ix = c->cell[k] % g->nx - w->ix0;
    sky_acc_add(&sum, c->fraction[k] * area[iy * w->nx + ix]);
  }
  c->area_in = sky_acc_value(&sum);
  sky_free(area);
  return st;
}

static sky_status cover(sky_context *ctx, const shape *s, const window *all, sky_coverage *out) {
  const size_t rows = BLOCK_CELLS / (all->nx + 1) + 1;
  const size_t held = rows < all->ny ? rows : all->ny;
  window w = *all;
  size_t capacity = 0;
  int first, last;
  sky_status st = SKY_OK;
  turns(s, all->grid, &first, &last);
  SKY_GO_ALLOC(w.inside, SKY_NEW(ctx, double, held *w.nx));
  SKY_GO_ALLOC(w.beyond, SKY_NEW(ctx, double, held *(w.nx + 1)));
  for (size_t done = 0; done < all->ny; done += w.ny) {
    w.iy0 = all->iy0 + done;
    w.ny = all->ny - done < held ? all->ny - done : held;
    memset(w.inside, 0, w.ny * w.nx * sizeof *w.inside);
    memset(w.beyond, 0, w.ny * (w.nx + 1) * sizeof *w.beyond);
    for (int k = first; k <= last; k++)
      for (size_t i = 0; i < s->n; i++)
        add_ring(&w, &s->ring[i], s->area[i], 360.0 * k);
    for (size_t row = 0; row < w.ny; row++)
      SKY_GO(append_row(ctx, &w, row, &capacity, out));
  }
cleanup:
  sky_free(w.inside);
  sky_free(w.beyond);
  return st;
}

/* areas: also the zone's area and the part of it inside the grid. */
static sky_status zone_cover(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                             bool areas, sky_coverage *out) {
  sky_coverage c = {0};
  shape s;
  window w;
  sky_status st = shape_make(ctx, zone, grid->geographic, &s);
  if (st == SKY_OK && areas) st = shape_area(ctx, &s, grid, &c.area_zone);
  if (st == SKY_OK && window_of(&s, grid, &w)) {
    st = cover(ctx, &s, &w, &c);
    if (st == SKY_OK && areas) st = area_inside(ctx, &w, &c);
  }
  shape_free(&s);
  if (st != SKY_OK) {
    sky_coverage_free(&c);
    return st;
  }
  *out = c;
  return SKY_OK;
}

sky_status sky_zone_coverage(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                             sky_coverage *out) {
  return zone_cover(ctx, zone, grid, true, out);
}

sky_status sky_zone_fractions(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                              sky_coverage *out) {
  return zone_cover(ctx, zone, grid, false, out);
}

sky_status sky_zone_area(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                         double *area) {
  shape s;
  sky_status st = shape_make(ctx, zone, grid->geographic, &s);
  if (st == SKY_OK) st = shape_area(ctx, &s, grid, area);
  shape_free(&s);
  return st;
}

/* ---- points -------------------------------------------------------------------------------- */

static bool on_edge(double x, double y, double xa, double ya, double xb, double yb) {
  const double dx = xb - xa, dy = yb - ya, l2 = dx * dx + dy * dy;
  const double t = l2 > 0 ? fmin(1, fmax(0, ((x - xa) * dx + (y - ya) * dy) / l2)) : 0;
  const double scale = fmax(1, fmax(fabs(x), fabs(y)));
  return hypot(x - xa - t * dx, y - ya - t * dy) <= BOUNDARY * scale;
}

static bool contains_at(const sky_zone *zone, double x, double y) {
  bool inside = false;
  for (size_t r = 0; r < zone->n_rings; r++) {
    const sky_ring *ring = &zone->ring[r];
    for (size_t i = 0; i < ring->n; i++) {
      const size_t k = i + 1 < ring->n ? i + 1 : 0;
      const double xa = ring->x[i], ya = ring->y[i], xb = ring->x[k], yb = ring->y[k];
      if (on_edge(x, y, xa, ya, xb, yb)) return true;
      if ((ya > y) != (yb > y) && x < xa + (y - ya) / (yb - ya) * (xb - xa)) inside = !inside;
    }
  }
  return inside;
}

bool sky_zone_contains(const sky_zone *zone, double x, double y) {
  if (!zone->geographic) return contains_at(zone, x, y);
  for (int k = -2; k <= 2; k++)
    if (contains_at(zone, x + 360.0 * k, y)) return true;
  return false;
}
