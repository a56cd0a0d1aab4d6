/* geodesic.c: areas on the ellipsoid (Karney 2013, doi:10.1007/s00190-012-0578-z), through PROJ. */
#include "grids/geodesic.h"

#include <geodesic.h>
#include <math.h>

#define OUTLINE_STEP 2000.0 /* m, densification of projected outlines */
#define OUTLINE_MAX 64      /* pieces of one cell side at most */

bool sky_geodesic_area(const sky_projection *t, const double *x, const double *y, size_t n,
                          double *area) {
  struct geod_geodesic geod;
  struct geod_polygon polygon;
  double perimeter = 0;
  geod_init(&geod, SKY_WGS84_A, SKY_WGS84_F);
  geod_polygon_init(&polygon, 0);
  for (size_t i = 0; i < n; i++) {
    double lon, lat;
    if (!sky_project(t, PJ_FWD, x[i], y[i], &lon, &lat)) return false;
    geod_polygon_addpoint(&geod, &polygon, lat, lon);
  }
  geod_polygon_compute(&geod, &polygon, 0, 1, area, &perimeter);
  return true;
}

bool sky_geodesic_cell(const sky_projection *t, const sky_grid *g, size_t ix, size_t iy,
                      double *area) {
  const double x[4] = {g->x_edge[ix], g->x_edge[ix + 1], g->x_edge[ix + 1], g->x_edge[ix]};
  const double y[4] = {g->y_edge[iy], g->y_edge[iy], g->y_edge[iy + 1], g->y_edge[iy + 1]};
  const double longest = fmax(x[1] - x[0], y[2] - y[1]);
  const size_t m = (size_t)fmin(OUTLINE_MAX, fmax(1, ceil(longest / OUTLINE_STEP)));
  double px[4 * OUTLINE_MAX], py[4 * OUTLINE_MAX];
  for (size_t side = 0; side < 4; side++) {
    const size_t next = (side + 1) % 4;
    for (size_t k = 0; k < m; k++) {
      const double f = (double)k / (double)m;
      px[side * m + k] = x[side] + f * (x[next] - x[side]);
      py[side * m + k] = y[side] + f * (y[next] - y[side]);
    }
  }
  return sky_geodesic_area(t, px, py, 4 * m, area);
}
