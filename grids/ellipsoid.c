/* ellipsoid.c: see ellipsoid.h.
 *
 * Area between two parallels on the ellipsoid, per radian of longitude (Snyder 1987, USGS PP 1395,
 * Eq. 3-12 times a²/2), with s = sin(latitude):
 *     Z(s) = b²/2 [ s/(1 - e²s²) + atanh(e s)/e ]
 * Differences Z(s2) - Z(s1) are formed from s2 - s1 = 2 cos(mean) sin(half difference), so that the
 * area of a small cell keeps all its digits. */
#include "grids/ellipsoid.h"

#include <math.h>

#define DEG (M_PI / 180.0)
#define EARTH_RADIUS 6371008.8 /* m, mean radius (IUGG) */

double sky_ellipsoid_band(double south_deg, double north_deg) {
  const double e2 = SKY_WGS84_F * (2 - SKY_WGS84_F), e = sqrt(e2);
  const double b = SKY_WGS84_A * (1 - SKY_WGS84_F);
  const double s1 = sin(south_deg * DEG), s2 = sin(north_deg * DEG);
  const double ds =
      2 * cos(0.5 * (south_deg + north_deg) * DEG) * sin(0.5 * (north_deg - south_deg) * DEG);
  const double rational = ds * (1 + e2 * s1 * s2) / ((1 - e2 * s1 * s1) * (1 - e2 * s2 * s2));
  return 0.5 * b * b * (rational + atanh(e * ds / (1 - e2 * s1 * s2)) / e);
}

double sky_ellipsoid_zone(double lat_deg) {
  return sky_ellipsoid_band(0, lat_deg);
}

double sky_distance(double lon1, double lat1, double lon2, double lat2) {
  const double u = sin(0.5 * (lat2 - lat1) * DEG), v = sin(0.5 * (lon2 - lon1) * DEG);
  const double h = u * u + cos(lat1 * DEG) * cos(lat2 * DEG) * v * v;
  return 2 * EARTH_RADIUS * asin(fmin(1, sqrt(h)));
}
