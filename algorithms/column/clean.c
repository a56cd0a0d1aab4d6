/* clean.c: see clean.h and clean.md. */
#include "algorithms/column/clean.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/column/cubes.h"
#include "algorithms/column/orbit.h"
#include "src/core/memory.h"

#define DEG (3.14159265358979323846 / 180)

/* --- median ------------------------------------------------------------------------------------
 */

static void swap(double *a, double *b) {
  const double t = *a;
  *a = *b;
  *b = t;
}

/* The k-th smallest moves to x[k], smaller ones before it (Hoare 1961, median of three). */
static double select_kth(size_t n, double *x, size_t k) {
  size_t low = 0, high = n - 1;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (x[mid] < x[low]) swap(&x[mid], &x[low]);
    if (x[high] < x[low]) swap(&x[high], &x[low]);
    if (x[high] < x[mid]) swap(&x[high], &x[mid]);
    const double pivot = x[mid];
    size_t i = low, j = high;
    for (;;) {
      while (x[i] < pivot)
        ++i;
      while (x[j] > pivot)
        --j;
      if (i >= j) break;
      swap(&x[i++], &x[j--]);
    }
    if (k <= j)
      high = j;
    else
      low = j + 1;
  }
  return x[k];
}

double sky_median(size_t n, double *x) {
  if (n == 0) return NAN;
  const double upper = select_kth(n, x, n / 2);
  if (n % 2 == 1) return upper;
  double lower = x[0];
  for (size_t i = 1; i < n / 2; ++i)
    if (x[i] > lower) lower = x[i];
  return lower + (upper - lower) / 2;
}

void sky_robust(size_t n, double *x, double *median, double *scale) {
  *median = sky_median(n, x);
  for (size_t i = 0; i < n; ++i)
    x[i] = fabs(x[i] - *median);
  *scale = SKY_MAD_TO_SIGMA * sky_median(n, x);
}

/* --- outliers ----------------------------------------------------------------------------------
 */

static bool is_outlier(const sky_clean_set *s, double threshold, size_t i, double median,
                       double scale) {
  const double width = s->sigma[i] > scale ? s->sigma[i] : scale;
  return fabs(s->x[i] - median) > threshold * width;
}

typedef struct overpass { /* soundings of one overpass in order of place and in order of time */
  const sky_placed *place;
  const sky_sighting *order;
  size_t n;
} overpass;

/* The 2·least+1 soundings around order[k]; no more than there are. */
static size_t gather_in_time(const overpass *o, size_t k, size_t least, const double *x,
                             double *out) {
  const size_t all = 2 * least + 1 < o->n ? 2 * least + 1 : o->n;
  size_t first = k > least ? k - least : 0;
  if (first + all > o->n) first = o->n - all;
  for (size_t j = 0; j < all; ++j)
    out[j] = x[o->order[first + j].row];
  return all;
}

/* Cubes with enough soundings around them; the others are left as sparse (2 in bad). */
static void test_cubes(const sky_clean_set *s, const sky_outlier_options *opt, const overpass *o,
                       size_t *rows, double *work, uint8_t *bad) {
  double median = NAN, scale = NAN;
  for (size_t a = 0, b; a < o->n; a = b) {
    for (b = a + 1; b < o->n && sky_placed_same(&o->place[a], &o->place[b]);)
      ++b;
    const size_t near = sky_placed_near(o->place, o->n, a, rows);
    for (size_t k = 0; k < near; ++k)
      work[k] = s->x[rows[k]];
    if (near >= opt->least) sky_robust(near, work, &median, &scale);
    for (size_t k = a; k < b; ++k) {
      const size_t i = o->place[k].row;
      bad[i] = near < opt->least ? 2 : is_outlier(s, opt->threshold, i, median, scale);
    }
  }
}

static void test_sparse(const sky_clean_set *s, const sky_outlier_options *opt, const overpass *o,
                        double *work, uint8_t *bad) {
  double median = NAN, scale = NAN;
  for (size_t k = 0; k < o->n; ++k) {
    const size_t i = o->order[k].row;
    if (bad[i] != 2) continue;
    const size_t near = gather_in_time(o, k, opt->least, s->x, work);
    bad[i] = near < opt->least ? 3 : 0;
    if (near < opt->least) continue;
    sky_robust(near, work, &median, &scale);
    bad[i] = is_outlier(s, opt->threshold, i, median, scale);
  }
}

/* Those of an overpass that is too small (3 in bad), among the nearest in latitude of all. */
static void test_lonely(const sky_clean_set *s, const sky_outlier_options *opt, sky_sighting *order,
                        size_t n, double *work, uint8_t *bad) {
  double median = NAN, scale = NAN;
  for (size_t k = 0; k < n; ++k)
    order[k].time = s->lat[order[k].row];
  sky_sightings_sort(order, n);
  const overpass all = {NULL, order, n};
  for (size_t k = 0; k < n; ++k) {
    const size_t i = order[k].row;
    if (bad[i] != 3) continue;
    const size_t near = gather_in_time(&all, k, opt->least, s->x, work);
    bad[i] = 0;
    if (near < opt->least) continue;
    sky_robust(near, work, &median, &scale);
    bad[i] = is_outlier(s, opt->threshold, i, median, scale);
  }
}

sky_status sky_clean_outliers(sky_context *ctx, const sky_clean_set *s,
                              const sky_outlier_options *opt, uint8_t *bad) {
  sky_placed *p = NULL;
  sky_sighting *order = NULL;
  double *work = NULL;
  size_t *rows = NULL;
  size_t n = 0;
  sky_status st = SKY_OK;
  memset(bad, 0, s->n);
  SKY_GO_ALLOC(p, SKY_NEW(ctx, sky_placed, s->n));
  SKY_GO_ALLOC(order, SKY_NEW(ctx, sky_sighting, s->n));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, s->n + 2 * opt->least + 1));
  for (size_t i = 0; i < s->n; ++i) {
    if (!s->use[i] || !isfinite(s->x[i]) || !isfinite(s->lat[i]) || !isfinite(s->lon[i])) continue;
    p[n++] = sky_cube_place(s->overpass[i], s->lat[i], s->lon[i], opt->reach, i);
  }
  SKY_GO_ALLOC(rows, SKY_NEW(ctx, size_t, n));
  sky_placed_sort(p, n);
  for (size_t a = 0, b; a < n; a = b) {
    for (b = a + 1; b < n && p[b].pass == p[a].pass;)
      ++b;
    for (size_t k = a; k < b; ++k)
      order[k] = (sky_sighting){s->time[p[k].row], 0, 0, p[k].row};
    sky_sightings_sort(order + a, b - a);
    const overpass o = {p + a, order + a, b - a};
    test_cubes(s, opt, &o, rows, work, bad);
    test_sparse(s, opt, &o, work, bad);
  }
  test_lonely(s, opt, order, n, work, bad);
cleanup:
  sky_free(p);
  sky_free(order);
  sky_free(work);
  sky_free(rows);
  return st;
}

/* --- positions ---------------------------------------------------------------------------------
 */

static sky_vec3 unit(sky_vec3 v) {
  const double r = sqrt(v.x * v.x + v.y * v.y + v.z * v.z);
  return r > 0 ? (sky_vec3){v.x / r, v.y / r, v.z / r} : v;
}

/* 0 right, 1 wrong, -1 no corners. */
static int outside_corners(const sky_clean_set *s, size_t i) {
  if (s->corner_lat == NULL) return -1;
  sky_vec3 c[4], sum = {0, 0, 0};
  for (int k = 0; k < 4; ++k) {
    c[k] = sky_direction(s->corner_lat[4 * i + (size_t)k], s->corner_lon[4 * i + (size_t)k]);
    sum = (sky_vec3){sum.x + c[k].x, sum.y + c[k].y, sum.z + c[k].z};
  }
  if (!isfinite(sum.x) || !isfinite(sum.z)) return -1;
  const sky_vec3 centroid = unit(sum);
  double reach = 0;
  for (int k = 0; k < 4; ++k)
    reach = fmax(reach, sky_great_circle(c[k], centroid));
  return sky_great_circle(sky_direction(s->lat[i], s->lon[i]), centroid) > reach;
}

#define NEAR_IN_TIME 10 /* soundings before and after */
#define NEAR_SPREAD 8
#define NEAR_FLOOR 5e5     /* m */
#define GROUND_SPEED 7.7e3 /* m s-1, no satellite's nadir is faster */

/* Distances from the soundings nearest in time beyond what the satellite covers in between. */
static void test_track(const sky_sighting *order, size_t n, double *d, double *work, uint8_t *bad) {
  double median = NAN, scale = NAN;
  for (size_t k = 0; k < n; ++k) {
    const size_t a = k > NEAR_IN_TIME ? k - NEAR_IN_TIME : 0;
    const size_t b = k + NEAR_IN_TIME + 1 < n ? k + NEAR_IN_TIME + 1 : n;
    const sky_vec3 own = sky_direction(order[k].lat, order[k].lon);
    double away[2 * NEAR_IN_TIME + 1];
    for (size_t j = a; j < b; ++j)
      away[j - a] = sky_great_circle(own, sky_direction(order[j].lat, order[j].lon)) -
                    GROUND_SPEED * fabs(order[j].time - order[k].time);
    d[k] = work[k] = sky_median(b - a, away);
  }
  sky_robust(n, work, &median, &scale);
  for (size_t k = 0; k < n; ++k)
    if (d[k] - median > fmax(NEAR_SPREAD * scale, NEAR_FLOOR)) bad[order[k].row] = 1;
}

typedef struct passing { /* for sorting by overpass, then time */
  int32_t pass;
  sky_sighting at;
} passing;

static int compare_sightings(const void *a, const void *b) {
  const sky_sighting *p = a, *q = b;
  if (p->time != q->time) return p->time < q->time ? -1 : 1;
  return (p->row > q->row) - (p->row < q->row);
}
static int compare_passings(const void *a, const void *b) {
  const passing *p = a, *q = b;
  if (p->pass != q->pass) return p->pass < q->pass ? -1 : 1;
  return compare_sightings(&p->at, &q->at);
}

sky_status sky_clean_positions(sky_context *ctx, const sky_clean_set *s, uint8_t *bad) {
  passing *p = NULL;
  sky_sighting *order = NULL;
  double *d = NULL, *work = NULL;
  size_t n = 0;
  sky_status st = SKY_OK;
  memset(bad, 0, s->n);
  SKY_GO_ALLOC(p, SKY_NEW(ctx, passing, s->n));
  SKY_GO_ALLOC(order, SKY_NEW(ctx, sky_sighting, s->n));
  SKY_GO_ALLOC(d, SKY_NEW(ctx, double, s->n));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, s->n));
  for (size_t i = 0; i < s->n; ++i) {
    if (!s->use[i]) continue;
    const int corners = outside_corners(s, i);
    if (corners >= 0)
      bad[i] = (uint8_t)corners;
    else if (isfinite(s->time[i]) && isfinite(s->lat[i]) && isfinite(s->lon[i]))
      p[n++] = (passing){s->overpass[i], {s->time[i], s->lat[i], s->lon[i], i}};
  }
  qsort(p, n, sizeof *p, compare_passings);
  for (size_t k = 0; k < n; ++k)
    order[k] = p[k].at;
  for (size_t a = 0, b; a < n; a = b) {
    for (b = a + 1; b < n && p[b].pass == p[a].pass;)
      ++b;
    if (b - a > 2 * NEAR_IN_TIME) test_track(order + a, b - a, d, work, bad);
  }
  bool judged; /* where there is no orbit, the overpasses have been looked at */
  SKY_GO(sky_orbit_test(ctx, order, n, bad, &judged));
cleanup:
  sky_free(p);
  sky_free(order);
  sky_free(d);
  sky_free(work);
  return st;
}

/* --- duplicates --------------------------------------------------------------------------------
 */

void sky_sightings_sort(sky_sighting *s, size_t n) {
  qsort(s, n, sizeof *s, compare_sightings);
}

static bool same_place(const sky_sighting *a, const sky_sighting *b) {
  const double dy = a->lat - b->lat;
  if (fabs(dy) > SKY_SAME_PLACE) return false; /* most pairs end here */
  const double dx = remainder(a->lon - b->lon, 360.0) * cos(a->lat * DEG);
  return dx * dx + dy * dy <= SKY_SAME_PLACE * SKY_SAME_PLACE;
}

size_t sky_clean_duplicates(const sky_sighting *a, size_t n_a, const sky_sighting *b, size_t n_b,
                            uint8_t *lost) {
  size_t first = 0, count = 0;
  for (size_t j = 0; j < n_b; ++j) {
    if (lost[b[j].row]) continue;
    while (first < n_a && a[first].time < b[j].time - SKY_SAME_TIME)
      ++first;
    for (size_t i = first; i < n_a && a[i].time <= b[j].time + SKY_SAME_TIME; ++i) {
      if ((a == b && a[i].row >= b[j].row) || !same_place(&a[i], &b[j])) continue;
      lost[b[j].row] = 1;
      ++count;
      break;
    }
  }
  return count;
}

int sky_version_compare(const char *a, const char *b) {
  while (*a != '\0' && *b != '\0') {
    if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
      a += strspn(a, "0");
      b += strspn(b, "0");
      const size_t n_a = strspn(a, "0123456789"), n_b = strspn(b, "0123456789");
      if (n_a != n_b) return n_a < n_b ? -1 : 1;
      const int order = strncmp(a, b, n_a);
      if (order != 0) return order;
      a += n_a;
      b += n_b;
    } else {
      if (*a != *b) return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
      ++a;
      ++b;
    }
  }
  return (*a != '\0') - (*b != '\0');
}
