/* geodesic.c: areas on the ellipsoid.
 *
 * Between geodesics by Karney (2013, doi:10.1007/s00190-012-0578-z), through PROJ. Between edges
 * that are straight in a projection by Green's theorem: with Z the ellipsoid's area between the
 * equator and a latitude, per radian (Snyder 1987, Eq. 3-12), a ring encloses |∮ (Z - Z0) dλ - w
 * (Zp - Z0)|, where w = ∮ dλ is a whole turn around a pole with Z = Zp and 0 else. On pieces of at
 * most PIECE metres λ and Z are parabolas along the edge (error: the fourth power of the piece over
 * the Earth's radius); near a pole, where λ is no such thing, pieces are halved. */
#include "grids/geodesic.h"

#include <geodesic.h>
#include <math.h>

#include "grids/ellipsoid.h"
#include "src/core/sum.h"

#define DEG (M_PI / 180.0)
#define PIECE 4000.0  /* m */
#define TURN_MAX 0.05 /* degrees of longitude of half a piece */
#define PIECE_MIN 0.1 /* m */

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

/* ---- edges that are straight in a projection ------------------------------------------------ */

typedef struct place {
  double x, y, lon, lat; /* lon without jumps along the ring */
} place;

typedef struct path {
  const sky_projection *t;
  double lat0;
  sky_acc area, turn; /* ∮ (Z - Z0) dλ, ∮ dλ; degrees */
} path;

static bool go(const path *p, const place *from, double x, double y, place *to) {
  to->x = x;
  to->y = y;
  if (!sky_project(p->t, PJ_FWD, x, y, &to->lon, &to->lat)) return false;
  to->lon += 360 * nearbyint((from->lon - to->lon) / 360);
  return true;
}

static bool add_pieces(path *p, const place *a, const place *b) {
  place m, end = *b; /* the end may be a turn away from where it stands in the ring */
  if (!go(p, a, 0.5 * (a->x + b->x), 0.5 * (a->y + b->y), &m)) return false;
  end.lon += 360 * nearbyint((m.lon - end.lon) / 360);
  const double length = hypot(b->x - a->x, b->y - a->y);
  const double turn = fmax(fabs(m.lon - a->lon), fabs(end.lon - m.lon));
  if (length > PIECE || (turn > TURN_MAX && length > PIECE_MIN))
    return add_pieces(p, a, &m) && add_pieces(p, &m, &end);
  const double z[3] = {sky_ellipsoid_band(p->lat0, a->lat), sky_ellipsoid_band(p->lat0, m.lat),
                       sky_ellipsoid_band(p->lat0, end.lat)};
  const double first = m.lon - a->lon, second = end.lon - m.lon, all = end.lon - a->lon;
  /* Simpson's rule of z dλ/dt, exact for parabolas: dλ/dt = 3 first - second, all, 3 second - first
   */
  sky_acc_add(&p->area,
              (z[0] * (3 * first - second) + 4 * z[1] * all + z[2] * (3 * second - first)) / 6);
  sky_acc_add(&p->turn, all);
  return true;
}

bool sky_straight_area(const sky_projection *t, const double *x, const double *y, size_t n,
                       double *area) {
  path p = {.t = t};
  place a = {0}, b, first;
  if (n == 0 || !go(&p, &a, x[0], y[0], &first)) return false;
  p.lat0 = first.lat;
  a = first;
  double mean = 0;
  for (size_t i = 0; i < n; i++, a = b) {
    const size_t k = i + 1 < n ? i + 1 : 0;
    if (!go(&p, &a, x[k], y[k], &b) || !add_pieces(&p, &a, &b)) return false;
    mean += b.lat / (double)n;
  }
  const double turns = nearbyint(sky_acc_value(&p.turn) / 360);
  const double beyond = turns == 0 ? 0 : sky_ellipsoid_band(p.lat0, mean < 0 ? -90 : 90);
  *area = fabs(sky_acc_value(&p.area) - 360 * turns * beyond) * DEG;
  return true;
}
