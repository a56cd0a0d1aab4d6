/* cubes.h: soundings sorted into cubes of the space around the globe: neighbourhoods on the sphere
 * without poles or an antimeridian. Pure functions. */
#ifndef SKY_ALGORITHMS_CUBES_H
#define SKY_ALGORITHMS_CUBES_H

#include <stddef.h>
#include <stdint.h>

#define SKY_EARTH_RADIUS 6371008.8 /* m, mean */

typedef struct sky_vec3 {
  double x, y, z;
} sky_vec3;
sky_vec3 sky_direction(double lat, double lon);  /* degrees -> unit vector */
double sky_great_circle(sky_vec3 a, sky_vec3 b); /* m */

typedef struct sky_placed { /* a row in its cube; pass: rows of different overpasses never meet */
  int32_t pass, x, y, z;
  size_t row;
} sky_placed;
/* edge: of a cube, m; at least a few hundred. */
sky_placed sky_cube_place(int32_t pass, double lat, double lon, double edge, size_t row);
void sky_placed_sort(sky_placed *p, size_t n);
/* a and b stand in the same cube (and overpass). */
int sky_placed_same(const sky_placed *a, const sky_placed *b);
/* Rows of the 27 cubes around that of p[at], in order of cube, then row; out has room for n. All
 * within one edge of any place in the middle cube are among them. */
size_t sky_placed_near(const sky_placed *p, size_t n, size_t at, size_t *out);

#endif
