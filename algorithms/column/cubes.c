/* cubes.c: see cubes.h. */
#include "algorithms/column/cubes.h"

#include <math.h>
#include <stdlib.h>

#define DEG (3.14159265358979323846 / 180)

sky_vec3 sky_direction(double lat, double lon) {
  const double c = cos(lat * DEG);
  return (sky_vec3){c * cos(lon * DEG), c * sin(lon * DEG), sin(lat * DEG)};
}

double sky_great_circle(sky_vec3 a, sky_vec3 b) {
  const double dx = a.x - b.x, dy = a.y - b.y, dz = a.z - b.z;
  const double half = sqrt(dx * dx + dy * dy + dz * dz) / 2;
  return 2 * SKY_EARTH_RADIUS * asin(half < 1 ? half : 1);
}

sky_placed sky_cube_place(int32_t pass, double lat, double lon, double edge, size_t row) {
  const sky_vec3 v = sky_direction(lat, lon);
  const double scale = SKY_EARTH_RADIUS / edge;
  return (sky_placed){pass, (int32_t)floor(v.x * scale), (int32_t)floor(v.y * scale),
                      (int32_t)floor(v.z * scale), row};
}

static int compare_cube(const sky_placed *a, const sky_placed *b) {
  if (a->pass != b->pass) return a->pass < b->pass ? -1 : 1;
  if (a->x != b->x) return a->x < b->x ? -1 : 1;
  if (a->y != b->y) return a->y < b->y ? -1 : 1;
  return (a->z > b->z) - (a->z < b->z);
}
static int compare_placed(const void *a, const void *b) {
  const sky_placed *p = a, *q = b;
  const int order = compare_cube(p, q);
  return order != 0 ? order : (p->row > q->row) - (p->row < q->row);
}

void sky_placed_sort(sky_placed *p, size_t n) {
  qsort(p, n, sizeof *p, compare_placed);
}

int sky_placed_same(const sky_placed *a, const sky_placed *b) {
  return compare_cube(a, b) == 0;
}

/* First of the sorted n that does not stand before the key. */
static size_t lower_bound(const sky_placed *p, size_t n, const sky_placed *key) {
  size_t low = 0;
  while (n > 0) {
    const size_t half = n / 2;
    if (compare_cube(&p[low + half], key) < 0) {
      low += half + 1;
      n -= half + 1;
    } else {
      n = half;
    }
  }
  return low;
}

size_t sky_placed_near(const sky_placed *p, size_t n, size_t at, size_t *out) {
  size_t count = 0;
  for (int dx = -1; dx <= 1; ++dx) {
    for (int dy = -1; dy <= 1; ++dy) { /* three cubes along z are one run */
      const sky_placed first = {p[at].pass, p[at].x + dx, p[at].y + dy, p[at].z - 1, 0};
      for (size_t k = lower_bound(p, n, &first);
           k < n && p[k].pass == first.pass && p[k].x == first.x && p[k].y == first.y &&
           p[k].z <= first.z + 2;
           ++k)
        out[count++] = p[k].row;
    }
  }
  return count;
}
