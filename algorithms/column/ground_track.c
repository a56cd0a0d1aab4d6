/* ground_track.c: see ground_track.h and column.md.
 *
 * With unit vectors p_i, their mean direction c and the regression of p on time in the plane at c,
 * v ∝ (I - ccᵀ) Σ (t_i - t̄) p_i, the track is the great circle through c along v, and a place
 * along it the angle of its foot: tan a_i = p_i·v / p_i·c. */
#include "algorithms/column/ground_track.h"

#include <math.h>

#include "algorithms/column/cubes.h"

#define DEGREE 0.0174532925199432958 /* rad */
#define ONE_PLACE 1.0                /* m; places this near are one */

static double dot(sky_vec3 a, sky_vec3 b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

static void add(double factor, sky_vec3 p, sky_vec3 *sum) {
  sum->x += factor * p.x;
  sum->y += factor * p.y;
  sum->z += factor * p.z;
}

/* To length 1; the length it had. 0 stays 0. */
static double normalise(sky_vec3 *v) {
  const double length = sqrt(dot(*v, *v));
  if (length > 0) *v = (sky_vec3){v->x / length, v->y / length, v->z / length};
  return length;
}

static sky_vec3 mean_direction(size_t n, const double *lon, const double *lat) {
  sky_vec3 c = {0, 0, 0};
  for (size_t i = 0; i < n; i++)
    add(1, sky_direction(lat[i], lon[i]), &c);
  normalise(&c);
  return c;
}

void sky_mean_place(size_t n, const double *lon, const double *lat, double *mean_lon,
                    double *mean_lat) {
  const sky_vec3 c = mean_direction(n, lon, lat);
  *mean_lon = atan2(c.y, c.x) / DEGREE;
  *mean_lat = atan2(c.z, hypot(c.x, c.y)) / DEGREE;
}

bool sky_ground_track(size_t n, const double *lon, const double *lat, const double *time,
                      double *along) {
  const sky_vec3 c = mean_direction(n, lon, lat);
  sky_vec3 v = {0, 0, 0};
  double mean = 0, spread = 0, apart = 0;
  for (size_t i = 0; i < n; i++)
    mean += (time[i] - time[0]) / (double)n;
  for (size_t i = 0; i < n; i++) {
    const double late = time[i] - time[0] - mean;
    const sky_vec3 p = sky_direction(lat[i], lon[i]);
    add(late, p, &v);
    spread += late * late;
    apart = fmax(apart, sky_great_circle(p, c));
  }
  add(-dot(v, c), c, &v);
  /* How far one standard deviation of time moves. */
  const double root = sqrt(spread * (double)n), length = normalise(&v);
  if (apart > ONE_PLACE && !(root > 0 && SKY_EARTH_RADIUS * length / root > ONE_PLACE))
    return false;
  for (size_t i = 0; i < n; i++) {
    const sky_vec3 p = sky_direction(lat[i], lon[i]);
    along[i] = apart > ONE_PLACE ? SKY_EARTH_RADIUS * atan2(dot(p, v), dot(p, c)) : 0;
  }
  return true;
}
