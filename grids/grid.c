/* grid.c: rectilinear grids.
 *
 * Invariants: edges strictly ascending; geographic latitudes within ±90; a geographic grid never
 * spans more than 360° of longitude, so no place on Earth lies in two cells. */
#include "grids/grid.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/interval.h"
#include "grids/projection.h"
#include "src/core/memory.h"

#define REGULAR_TOLERANCE 1e-3 /* of a cell: float32 noise of real axes */
#define SAME_TOLERANCE 1e-4    /* of a cell: two float32 spellings of one grid */

/* ---- coordinate systems -------------------------------------------------------------------- */

static bool is_geographic_type(PJ_TYPE type) {
  return type == PJ_TYPE_GEOGRAPHIC_2D_CRS || type == PJ_TYPE_GEOGRAPHIC_3D_CRS;
}

/* Projected systems must count in metres, because cell sizes and distances do. */
static sky_status check_metres(sky_context *ctx, PJ_CONTEXT *pc, const PJ *crs, const char *name) {
  const PJ_TYPE type = proj_get_type(crs);
  const bool flat = type != PJ_TYPE_VERTICAL_CRS && type != PJ_TYPE_GEOCENTRIC_CRS;
  PJ *cs = flat ? proj_crs_get_coordinate_system(pc, crs) : NULL;
  double factor = 0;
  const bool known =
      cs != NULL && proj_cs_get_axis_info(pc, cs, 0, NULL, NULL, NULL, &factor, NULL, NULL, NULL);
  proj_destroy(cs);
  if (!known || fabs(factor - 1) > 1e-12)
    return sky_fail(ctx, SKY_E_RANGE, "crs '%s' is neither geographic nor projected in metres",
                    name);
  return SKY_OK;
}

sky_status sky_crs_is_geographic(sky_context *ctx, const char *crs, bool *out) {
  PJ_CONTEXT *pc = proj_context_create();
  proj_log_level(pc, PJ_LOG_NONE);
  PJ *pj = proj_create(pc, crs);
  sky_status st = SKY_OK;
  if (pj == NULL) {
    st = sky_fail(ctx, SKY_E_RANGE, "crs '%s' is not known to PROJ (expected e.g. 'EPSG:4326')",
                  crs);
  } else {
    *out = is_geographic_type(proj_get_type(pj));
    if (!*out) st = check_metres(ctx, pc, pj, crs);
  }
  proj_destroy(pj);
  proj_context_destroy(pc);
  return st;
}

static sky_status set_crs(sky_context *ctx, const char *crs, sky_grid *g) {
  if (strlen(crs) >= sizeof g->crs)
    return sky_fail(ctx, SKY_E_RANGE, "crs '%s' is longer than %zu characters", crs,
                    sizeof g->crs - 1);
  SKY_TRY(sky_crs_is_geographic(ctx, crs, &g->geographic));
  memcpy(g->crs, crs, strlen(crs) + 1);
  return SKY_OK;
}

bool sky_grid_same_system(const sky_grid *a, const sky_grid *b) {
  return (a->geographic && b->geographic) || strcmp(a->crs, b->crs) == 0;
}

/* ---- construction -------------------------------------------------------------------------- */

void sky_grid_free(sky_grid *g) {
  if (g == NULL) return;
  sky_free(g->x_edge);
  sky_free(g->y_edge);
  memset(g, 0, sizeof *g);
}

static sky_status allocate(sky_context *ctx, size_t nx, size_t ny, sky_grid *g) {
  /* a mistyped cell must not take the machine: copies of the edges are held beside the work */
  const double need = 4.0 * (double)sizeof(double) * ((double)nx + (double)ny);
  if (need > (double)sky_context_memory(ctx))
    return sky_fail(ctx, SKY_E_NOMEM,
                    "grid of %zu x %zu cells: its edges need %.0f MB; the memory budget is %.0f MB",
                    nx, ny, need / 1e6, (double)sky_context_memory(ctx) / 1e6);
  g->nx = nx;
  g->ny = ny;
  g->x_edge = SKY_NEW(ctx, double, nx + 1);
  g->y_edge = SKY_NEW(ctx, double, ny + 1);
  return g->x_edge != NULL && g->y_edge != NULL ? SKY_OK : SKY_E_NOMEM;
}

static void divide(double low, double high, size_t n, double *edge) {
  for (size_t i = 0; i <= n; i++)
    edge[i] = low + (high - low) * ((double)i / (double)n);
  edge[n] = high;
}

static sky_status cell_count(sky_context *ctx, const char *axis, double extent, double cell,
                             size_t *n) {
  if (!(cell > 0) || !(extent > 0))
    return sky_fail(ctx, SKY_E_RANGE, "grid %s: extent %g and cell %g must be positive", axis,
                    extent, cell);
  const double count = nearbyint(extent / cell);
  if (count < 1 || count > 1e9 || fabs(count * cell - extent) > 1e-6 * cell)
    return sky_fail(ctx, SKY_E_RANGE, "grid %s: cell %g does not divide the extent %g", axis, cell,
                    extent);
  *n = (size_t)count;
  return SKY_OK;
}

sky_status sky_grid_from_box(sky_context *ctx, const char *crs, double west, double south,
                             double east, double north, double dx, double dy, sky_grid *out) {
  sky_status st = SKY_OK;
  sky_grid g = {0};
  size_t nx = 0, ny = 0;
  SKY_GO(set_crs(ctx, crs, &g));
  if (g.geographic && west > east) east += 360;
  if (g.geographic && (south < -90 || north > 90 || east - west > 360 * (1 + 1e-12))) {
    st = sky_fail(ctx, SKY_E_RANGE,
                  "box %g,%g,%g,%g: latitudes must lie in -90..90 and longitudes span at most 360",
                  west, south, east, north);
    goto cleanup;
  }
  SKY_GO(cell_count(ctx, "x", east - west, dx, &nx));
  SKY_GO(cell_count(ctx, "y", north - south, dy, &ny));
  SKY_GO(allocate(ctx, nx, ny, &g));
  divide(west, east, nx, g.x_edge);
  divide(south, north, ny, g.y_edge);
  *out = g;
  return SKY_OK;
cleanup:
  sky_grid_free(&g);
  return st;
}

/* Centres in ascending order without jumps of a turn; *flip tells whether they descended. */
static sky_status order_axis(sky_context *ctx, const char *axis, bool longitude, const double *c,
                             size_t n, double *v, bool *flip) {
  if (n < 2)
    return sky_fail(ctx, SKY_E_FORMAT, "%s axis: %zu centre, at least 2 are needed", axis, n);
  size_t falls = 0;
  for (size_t i = 1; i < n; i++)
    falls += c[i] < c[i - 1];
  *flip = 2 * falls > n - 1;
  for (size_t i = 0; i < n; i++)
    v[i] = *flip ? c[n - 1 - i] : c[i];
  double turn = 0;
  for (size_t i = 1; i < n; i++) {
    if (longitude && v[i] + turn < v[i - 1] - 180) turn += 360;
    v[i] += turn;
    if (!(v[i] > v[i - 1]))
      return sky_fail(ctx, SKY_E_FORMAT, "%s axis: centre %zu is %.9g after %.9g, not monotonic",
                      axis, i, v[i], v[i - 1]);
  }
  return SKY_OK;
}

static void edges_of_centres(const double *v, size_t n, double *edge) {
  const double step = (v[n - 1] - v[0]) / (double)(n - 1);
  bool regular = true;
  for (size_t i = 0; i < n && regular; i++)
    regular = fabs(v[i] - (v[0] + step * (double)i)) <= REGULAR_TOLERANCE * step;
  if (regular) {
    divide(v[0] - 0.5 * step, v[n - 1] + 0.5 * step, n, edge);
    return;
  }
  for (size_t i = 1; i < n; i++)
    edge[i] = 0.5 * (v[i - 1] + v[i]);
  edge[0] = v[0] - (edge[1] - v[0]);
  edge[n] = v[n - 1] + (v[n - 1] - edge[n - 1]);
}

/* Where the first and last cell would overlap around the globe, both end midway across the seam. */
static void close_seam(const double *v, size_t n, double *edge) {
  const double over = edge[n] - edge[0] - 360;
  if (over <= 0) return;
  const double seam = 0.5 * (v[n - 1] + v[0] + 360);
  edge[n] = seam;
  edge[0] = seam - 360;
}

sky_status sky_grid_from_centres(sky_context *ctx, const char *crs, const double *x, size_t nx,
                                 const double *y, size_t ny, sky_grid *out, bool *flip_x,
                                 bool *flip_y) {
  sky_status st = SKY_OK;
  sky_grid g = {0};
  double *v = NULL;
  SKY_GO(set_crs(ctx, crs, &g));
  SKY_GO(allocate(ctx, nx, ny, &g));
  SKY_GO_ALLOC(v, SKY_NEW(ctx, double, nx > ny ? nx : ny));
  SKY_GO(order_axis(ctx, g.geographic ? "longitude" : "x", g.geographic, x, nx, v, flip_x));
  if (g.geographic && v[nx - 1] - v[0] >= 360) {
    st = sky_fail(ctx, SKY_E_FORMAT, "longitude axis: centres span %.9g°, more than a turn",
                  v[nx - 1] - v[0]);
    goto cleanup;
  }
  edges_of_centres(v, nx, g.x_edge);
  if (g.geographic) close_seam(v, nx, g.x_edge);
  SKY_GO(order_axis(ctx, g.geographic ? "latitude" : "y", false, y, ny, v, flip_y));
  if (g.geographic && (v[0] < -90 || v[ny - 1] > 90)) {
    st = sky_fail(ctx, SKY_E_FORMAT, "latitude axis: %.9g..%.9g is outside -90..90", v[0],
                  v[ny - 1]);
    goto cleanup;
  }
  edges_of_centres(v, ny, g.y_edge);
  if (g.geographic) {
    g.y_edge[0] = fmax(g.y_edge[0], -90);
    g.y_edge[ny] = fmin(g.y_edge[ny], 90);
    if (!(g.y_edge[0] < g.y_edge[1]) || !(g.y_edge[ny - 1] < g.y_edge[ny])) {
      st = sky_fail(ctx, SKY_E_FORMAT, "latitude axis: a cell at the pole has no area");
      goto cleanup;
    }
  }
  sky_free(v);
  *out = g;
  return SKY_OK;
cleanup:
  sky_free(v);
  sky_grid_free(&g);
  return st;
}

sky_status sky_grid_copy(sky_context *ctx, const sky_grid *g, sky_grid *out) {
  sky_grid c = *g;
  c.x_edge = c.y_edge = NULL;
  if (allocate(ctx, g->nx, g->ny, &c) != SKY_OK) {
    sky_grid_free(&c);
    return SKY_E_NOMEM;
  }
  memcpy(c.x_edge, g->x_edge, (g->nx + 1) * sizeof *c.x_edge);
  memcpy(c.y_edge, g->y_edge, (g->ny + 1) * sizeof *c.y_edge);
  *out = c;
  return SKY_OK;
}

/* ---- comparison and lookup ----------------------------------------------------------------- */

double sky_grid_dx(const sky_grid *g) {
  return (g->x_edge[g->nx] - g->x_edge[0]) / (double)g->nx;
}
double sky_grid_dy(const sky_grid *g) {
  return (g->y_edge[g->ny] - g->y_edge[0]) / (double)g->ny;
}

/* Multiple of 360 that brings x nearest to target. */
static double turn_to(double x, double target) {
  return 360 * nearbyint((target - x) / 360);
}

static bool same_axis(const double *a, const double *b, size_t n, double shift) {
  for (size_t i = 0; i <= n; i++) {
    const double cell = i < n ? a[i + 1] - a[i] : a[n] - a[n - 1];
    if (!(fabs(a[i] - b[i] - shift) <= SAME_TOLERANCE * cell)) return false;
  }
  return true;
}

bool sky_grid_equal(const sky_grid *a, const sky_grid *b) {
  if (a->nx != b->nx || a->ny != b->ny || !sky_grid_same_system(a, b)) return false;
  const double shift = a->geographic ? turn_to(b->x_edge[0], a->x_edge[0]) : 0;
  return same_axis(a->x_edge, b->x_edge, a->nx, shift) && same_axis(a->y_edge, b->y_edge, a->ny, 0);
}

bool sky_grid_contains(const sky_grid *outer, const sky_grid *inner) {
  if (!sky_grid_same_system(outer, inner)) return false;
  const double tx = SAME_TOLERANCE * sky_grid_dx(outer), ty = SAME_TOLERANCE * sky_grid_dy(outer);
  const double ow = outer->x_edge[0] - tx, oe = outer->x_edge[outer->nx] + tx;
  double iw = inner->x_edge[0], ie = inner->x_edge[inner->nx];
  if (outer->geographic) {
    if (oe - ow - 2 * tx >= 360 - tx) {
      iw = ow;
      ie = iw;
    } else {
      const double shift = 360 * ceil((ow - iw) / 360);
      iw += shift;
      ie += shift;
    }
  }
  return iw >= ow && ie <= oe && inner->y_edge[0] >= outer->y_edge[0] - ty &&
         inner->y_edge[inner->ny] <= outer->y_edge[outer->ny] + ty;
}

/* Interval of ascending edges that holds v; SIZE_MAX outside. */
static size_t find_interval(const double *edge, size_t n, double v) {
  return v >= edge[0] && v <= edge[n] ? sky_interval(edge, n, v) : SIZE_MAX;
}

size_t sky_grid_find(const sky_grid *g, double x, double y) {
  const size_t iy = find_interval(g->y_edge, g->ny, y);
  if (iy == SIZE_MAX || !isfinite(x)) return SIZE_MAX;
  size_t ix = find_interval(g->x_edge, g->nx, x);
  if (ix == SIZE_MAX && g->geographic)
    ix = find_interval(g->x_edge, g->nx, x + 360 * ceil((g->x_edge[0] - x) / 360));
  return ix == SIZE_MAX ? SIZE_MAX : iy * g->nx + ix;
}

void sky_grid_centre(const sky_grid *g, size_t cell, double *x, double *y) {
  const size_t ix = cell % g->nx, iy = cell / g->nx;
  *x = 0.5 * (g->x_edge[ix] + g->x_edge[ix + 1]);
  *y = 0.5 * (g->y_edge[iy] + g->y_edge[iy + 1]);
}

double sky_grid_distance(const sky_grid *g, size_t a, size_t b) {
  double xa, ya, xb, yb;
  sky_grid_centre(g, a, &xa, &ya);
  sky_grid_centre(g, b, &xb, &yb);
  return g->geographic ? sky_distance(xa, ya, xb, yb) : hypot(xb - xa, yb - ya);
}

sky_status sky_grid_from_lonlat(sky_context *ctx, const sky_grid *g, size_t n, const double *lon,
                                const double *lat, double *x, double *y) {
  if (g->geographic) {
    if (x != lon) memmove(x, lon, n * sizeof *x);
    if (y != lat) memmove(y, lat, n * sizeof *y);
    return SKY_OK;
  }
  sky_projection t = {0};
  SKY_TRY(sky_projection_open(ctx, g->crs, SKY_LONLAT, &t));
  for (size_t i = 0; i < n; i++) { /* a point that the system cannot hold lies in no cell */
    if (!sky_project(&t, PJ_INV, lon[i], lat[i], &x[i], &y[i])) x[i] = y[i] = NAN;
  }
  sky_projection_close(&t);
  return SKY_OK;
}
