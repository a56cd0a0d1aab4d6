/* zone.c: zones: their longitudes, areas and cells.
 *
 * The area of a ring is ∮ x dZ (Green), Z the ellipsoid's area between parallels (grid.c): an edge
 * is a straight line in longitude and latitude, along which ∫ x dZ = xa ΔZ + (xb - xa) ∫ t dZ/dφ dφ
 * and the smooth second integral is taken by Gauss-Legendre on pieces of at most 2° (error below
 * rounding). On projected grids see geodesic.h. Fractions of cells
 * come from cover.c.
 *
 * Invariants: fractions in (0, 1]; a partition of the plane sums to 1 in every cell within 1e-12.
 */
#include "grids/zone.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/grid_area.h"
#include "grids/cover.h"
#include "grids/geodesic.h"
#include "grids/longitude.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define DEG (M_PI / 180.0)
#define BOUNDARY 1e-12 /* relative width of a ring for contains() */
#define PANEL 2.0      /* degrees of latitude of one quadrature panel */

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
    sky_free(zone->parent);
    sky_free(zone->defect);
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
  return fabs(d) > 180 + 1e-9 && fabs(d) < 360 - 1e-9 ? -360 * nearbyint(d / 360) : 0;
}

sky_status sky_ring_unwrap(sky_context *ctx, const sky_ring *in, double near, sky_ring *out) {
  sky_ring r = {.n = in->n, .hole = in->hole};
  r.x = SKY_NEW(ctx, double, in->n + 3);
  r.y = SKY_NEW(ctx, double, in->n + 3);
  if (r.x == NULL || r.y == NULL) {
    ring_free(&r);
    return SKY_E_NOMEM;
  }
  double turn = 0, mean = 0;
  for (size_t i = 0; i < in->n; i++) {
    if (i > 0) turn += edge_turn(in->x[i - 1], in->x[i]);
    r.x[i] = in->x[i] + turn;
    r.y[i] = in->y[i];
    mean += in->y[i] / (double)in->n;
  }
  sky_longitudes(r.n, r.x, near, r.x);
  if (in->n > 0) {
    turn += edge_turn(in->x[in->n - 1], in->x[0]);
    if (turn != 0) { /* it runs around a pole: close it there */
      const double pole = mean < 0 ? -90 : 90, end = r.x[0] + turn;
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
      return sky_fail(ctx, SKY_E_RANGE, "ring %zu has %zu vertices, at least 3 needed", i, in->n);
    if (geographic) {
      SKY_TRY(sky_ring_unwrap(ctx, in, sky_longitude(zone->ring[0].x[0]), r));
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
        return sky_fail(ctx, SKY_E_RANGE, "ring %zu vertex %zu is not finite", i, k);
      s->west = fmin(s->west, r->x[k]);
      s->east = fmax(s->east, r->x[k]);
      s->south = fmin(s->south, r->y[k]);
      s->north = fmax(s->north, r->y[k]);
    }
  }
  return SKY_OK;
}

/* Area of the whole zone on the ellipsoid: closed form, or with a system's way to longitude and
 * latitude. */
static sky_status shape_area(sky_context *ctx, const shape *s, const sky_projection *t,
                             double *total) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < s->n; i++) {
    const sky_ring *r = &s->ring[i];
    double area = s->area[i] * DEG;
    if (t != NULL && !sky_straight_area(t, r->x, r->y, r->n, &area))
      return sky_fail(ctx, SKY_E_RANGE, "a zone has a point off the Earth");
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

static sky_status reserve(sky_context *ctx, size_t more, size_t *capacity, sky_coverage *out) {
  if (out->n + more <= *capacity) return SKY_OK;
  const size_t grown = 2 * *capacity + more;
  size_t *cell = sky_realloc(ctx, out->cell, out->n, grown, sizeof *cell);
  if (cell == NULL) return SKY_E_NOMEM;
  out->cell = cell;
  double *fraction = sky_realloc(ctx, out->fraction, out->n, grown, sizeof *fraction);
  if (fraction == NULL) return SKY_E_NOMEM;
  out->fraction = fraction;
  *capacity = grown;
  return SKY_OK;
}

/* Spans and edge cells of a band in the order of their cells. */
static sky_status append(sky_context *ctx, const sky_grid *g, size_t iy0, const sky_cover_part *p,
                         size_t *capacity, sky_coverage *out) {
  size_t k = 0, more = p->n_edge;
  for (size_t i = 0; i < p->n_span; i++)
    more += p->span[i].x1 - p->span[i].x0;
  SKY_TRY(reserve(ctx, more, capacity, out));
  for (size_t i = 0; i <= p->n_span; i++) {
    const sky_span *s = i < p->n_span ? &p->span[i] : NULL;
    for (; k < p->n_edge; k++) {
      const sky_edge_cell *e = &p->edge[k];
      if (s != NULL && (e->row > s->row || (e->row == s->row && e->x > s->x0))) break;
      out->cell[out->n] = (iy0 + e->row) * g->nx + e->x;
      out->fraction[out->n++] = e->fraction;
    }
    for (size_t x = s != NULL ? s->x0 : 0; s != NULL && x < s->x1; x++) {
      out->cell[out->n] = (iy0 + s->row) * g->nx + x;
      out->fraction[out->n++] = 1;
    }
  }
  return SKY_OK;
}

typedef struct cell_share {
  size_t cell;
  double fraction;
} cell_share;

static int by_cell(const void *a, const void *b) {
  const size_t i = ((const cell_share *)a)->cell, k = ((const cell_share *)b)->cell;
  return (i > k) - (i < k);
}

/* A zone that meets the grid under several turns: cells in order, each once. */
static sky_status merge_turns(sky_context *ctx, sky_coverage *c) {
  cell_share *share = SKY_NEW(ctx, cell_share, c->n);
  if (share == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < c->n; i++)
    share[i] = (cell_share){c->cell[i], c->fraction[i]};
  qsort(share, c->n, sizeof *share, by_cell);
  size_t n = 0;
  for (size_t i = 0; i < c->n; i++) {
    if (n > 0 && c->cell[n - 1] == share[i].cell) {
      c->fraction[n - 1] = fmin(1, c->fraction[n - 1] + share[i].fraction);
    } else {
      c->cell[n] = share[i].cell;
      c->fraction[n++] = share[i].fraction;
    }
  }
  c->n = n;
  sky_free(share);
  return SKY_OK;
}

static sky_status cover(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                        sky_coverage *out) {
  const sky_zones one = {.n = 1, .zone = (sky_zone *)zone};
  sky_cover_part part = {0};
  sky_cover *all = NULL;
  size_t capacity = 0, most = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_cover_create(ctx, &one, grid, &all));
  for (size_t band = sky_cover_bands(all); band-- > 0;) {
    const uint32_t *list;
    const size_t n = sky_cover_band_shapes(all, band, &list);
    sky_window rows;
    sky_cover_band_rows(all, band, &rows);
    most = n > most ? n : most;
    for (size_t i = 0; i < n; i++) {
      SKY_GO(sky_cover_find(ctx, all, list[i], band, 0, grid->nx, &part));
      SKY_GO(append(ctx, grid, rows.iy0, &part, &capacity, out));
    }
  }
  if (most > 1) SKY_GO(merge_turns(ctx, out));
cleanup:
  sky_cover_part_free(&part);
  sky_cover_free(all);
  return st;
}

/* Sum of fraction × cell area; projected cell areas are computed for the window only. */
static sky_status area_inside(sky_context *ctx, const sky_grid *g, sky_coverage *c) {
  if (c->n == 0) return SKY_OK;
  size_t x0 = SIZE_MAX, x1 = 0;
  for (size_t k = 0; k < c->n; k++) {
    const size_t ix = c->cell[k] % g->nx;
    x0 = ix < x0 ? ix : x0;
    x1 = ix > x1 ? ix : x1;
  }
  const size_t y0 = c->cell[0] / g->nx, nx = x1 - x0 + 1;
  sky_grid part = {.geographic = g->geographic, .nx = nx, .ny = c->cell[c->n - 1] / g->nx - y0 + 1};
  memcpy(part.crs, g->crs, sizeof part.crs);
  part.x_edge = g->x_edge + x0;
  part.y_edge = g->y_edge + y0;
  double *area = SKY_NEW(ctx, double, nx *part.ny);
  if (area == NULL) return SKY_E_NOMEM;
  sky_status st = sky_grid_areas(ctx, &part, area);
  sky_acc sum = {0, 0};
  for (size_t k = 0; k < c->n && st == SKY_OK; k++)
    sky_acc_add(&sum,
                c->fraction[k] * area[(c->cell[k] / g->nx - y0) * nx + c->cell[k] % g->nx - x0]);
  c->area_in = sky_acc_value(&sum);
  sky_free(area);
  return st;
}

/* areas: also the zone's area and the part of it inside the grid. */
static sky_status zone_cover(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                             bool areas, sky_coverage *out) {
  sky_coverage c = {0};
  sky_status st = SKY_OK;
  if (areas) st = sky_zone_area(ctx, zone, grid, &c.area_zone);
  if (st == SKY_OK) st = cover(ctx, zone, grid, &c);
  if (st == SKY_OK && areas) st = area_inside(ctx, grid, &c);
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

static sky_status zone_area(sky_context *ctx, const sky_zone *zone, const sky_projection *t,
                            double *area) {
  shape s;
  sky_status st = shape_make(ctx, zone, t == NULL, &s);
  if (st == SKY_OK) st = shape_area(ctx, &s, t, area);
  shape_free(&s);
  return st == SKY_OK ? st : sky_fail_in(ctx, st, "zone '%s': ", zone->id != NULL ? zone->id : "");
}

sky_status sky_zones_area(sky_context *ctx, const sky_zones *zones, const sky_grid *grid,
                          double *area) {
  sky_projection t = {0};
  sky_status st = SKY_OK;
  if (!grid->geographic) st = sky_projection_open(ctx, grid->crs, SKY_LONLAT, &t);
  for (size_t z = 0; z < zones->n && st == SKY_OK; z++)
    st = zone_area(ctx, &zones->zone[z], grid->geographic ? NULL : &t, &area[z]);
  if (!grid->geographic) sky_projection_close(&t);
  return st;
}

sky_status sky_zone_area(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                         double *area) {
  const sky_zones one = {.n = 1, .zone = (sky_zone *)zone};
  return sky_zones_area(ctx, &one, grid, area);
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
