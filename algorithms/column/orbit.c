/* orbit.c: see orbit.h and orbit.md. */
#include "algorithms/column/orbit.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "algorithms/column/cubes.h"
#include "src/core/memory.h"

#define PI 3.14159265358979323846
#define DEG (PI / 180.0)
#define SIDEREAL_DAY 86164.1 /* s */
#define LEAST 50             /* sightings */
#define LONGEST 172800.0     /* s that one plane is taken to stay */
#define LEAST_ARC 0.02       /* of the middle eigenvalue, for each sighting */
#define SHORTEST_PERIOD 85.0 /* min */
#define LONGEST_PERIOD 112.0
#define COARSE 0.1 /* min, step of the search; then FINE around its best */
#define FINE 0.005
#define SAMPLE 1000       /* sightings that the search looks at */
#define CONCENTRATED 0.95 /* mean resultant length of the phases */
#define MOST_ALONG 3.0    /* degrees, s of what is still one orbit */
#define MOST_ACROSS 8.0

typedef struct track {
  size_t n;
  double *time, *x, *y, *z;      /* s from the first; direction in axes that do not turn */
  double *phase;                 /* rad, within the plane */
  double *along, *across, *work; /* degrees */
  uint8_t *keep;
  double normal[3], middle; /* of the plane; middle eigenvalue */
} track;

static void track_free(track *t) {
  double *const arrays[] = {t->time, t->x, t->y, t->z, t->phase, t->along, t->across, t->work};
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    sky_free(arrays[k]);
  sky_free(t->keep);
}

static sky_status track_make(sky_context *ctx, const sky_sighting *s, size_t n, track *t) {
  double **const array[] = {&t->time,  &t->x,     &t->y,      &t->z,
                            &t->phase, &t->along, &t->across, &t->work};
  sky_status st = SKY_OK;
  double first = INFINITY;
  for (size_t k = 0; k < sizeof array / sizeof *array; k++)
    SKY_GO_ALLOC(*array[k], SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(t->keep, SKY_NEW(ctx, uint8_t, n));
  t->n = n;
  for (size_t i = 0; i < n; i++)
    first = fmin(first, s[i].time);
  for (size_t i = 0; i < n; i++) {
    t->time[i] = s[i].time - first;
    const sky_vec3 r = sky_direction(s[i].lat, s[i].lon + 360.0 * t->time[i] / SIDEREAL_DAY);
    t->x[i] = r.x;
    t->y[i] = r.y;
    t->z[i] = r.z;
    t->keep[i] = 1;
  }
cleanup:
  return st;
}

/* Normal of the plane through the kept directions; returns how many there are, 0 without one. */
static size_t fit_plane(track *t) {
  double c[9] = {0}, value[3];
  size_t kept = 0;
  for (size_t i = 0; i < t->n; i++) {
    if (!t->keep[i]) continue;
    const double r[3] = {t->x[i], t->y[i], t->z[i]};
    for (size_t a = 0; a < 3; a++)
      for (size_t b = 0; b < 3; b++)
        c[3 * a + b] += r[a] * r[b];
    kept++;
  }
  if (LAPACKE_dsyev(LAPACK_COL_MAJOR, 'V', 'U', 3, c, 3, value) != 0) return 0;
  memcpy(t->normal, c, sizeof t->normal);
  t->middle = value[1];
  return kept;
}

static double spread(track *t, const double *v, double *median) {
  double scale;
  memcpy(t->work, v, t->n * sizeof *v);
  sky_robust(t->n, t->work, median, &scale);
  return scale;
}

/* False where the directions are no arc. */
static bool find_plane(track *t) {
  for (int round = 0; round < 10; round++) {
    const size_t kept = fit_plane(t);
    bool same = true;
    double median;
    if (kept < LEAST / 2 || t->middle < LEAST_ARC * (double)kept) return false;
    for (size_t i = 0; i < t->n; i++) {
      const double c = t->x[i] * t->normal[0] + t->y[i] * t->normal[1] + t->z[i] * t->normal[2];
      t->across[i] = asin(fmax(-1.0, fmin(1.0, c))) / DEG;
    }
    const double limit = fmax(4.0 * spread(t, t->across, &median), 1.0);
    for (size_t i = 0; i < t->n; i++) {
      const uint8_t keep = fabs(t->across[i]) <= limit;
      same = same && keep == t->keep[i];
      t->keep[i] = keep;
    }
    if (same) break;
  }
  return true;
}

/* Angle from the ascending node. */
static void find_phases(track *t) {
  const double *n = t->normal, flat = hypot(n[0], n[1]);
  const double a[2] = {flat > 0 ? -n[1] / flat : 1.0, flat > 0 ? n[0] / flat : 0.0};
  const double b[3] = {-n[2] * a[1], n[2] * a[0], n[0] * a[1] - n[1] * a[0]};
  for (size_t i = 0; i < t->n; i++)
    t->phase[i] =
        atan2(t->x[i] * b[0] + t->y[i] * b[1] + t->z[i] * b[2], t->x[i] * a[0] + t->y[i] * a[1]);
}

/* Mean resultant of the kept phases at a pace (rad s-1), and its direction. */
static double resultant(const track *t, double pace, double *direction) {
  const size_t stride = (t->n + SAMPLE - 1) / SAMPLE;
  double re = 0.0, im = 0.0, n = 0.0;
  for (size_t i = 0; i < t->n; i += stride) {
    if (!t->keep[i]) continue;
    const double angle = t->phase[i] - pace * t->time[i];
    re += cos(angle);
    im += sin(angle);
    n += 1.0;
  }
  *direction = atan2(im, re);
  return n > 0 ? hypot(re, im) / n : 0.0;
}

/* Periods [first, first + count*step] in min, forwards and backwards; keeps the best. */
static void search(const track *t, double first, int count, double step, double *best,
                   double *period, double *direction) {
  for (int k = 0; k <= count; k++)
    for (int sense = -1; sense <= 1; sense += 2) {
      double at;
      const double minutes = sense * (first + k * step);
      const double r = resultant(t, 2.0 * PI / (60.0 * minutes), &at);
      if (!(r > *best)) continue;
      *best = r;
      *period = minutes;
      *direction = at;
    }
}

/* Distances along the track; false where nothing goes around at an even pace. */
static bool find_pace(track *t) {
  double best = 0.0, period = NAN, direction = NAN, median;
  search(t, SHORTEST_PERIOD, (int)lround((LONGEST_PERIOD - SHORTEST_PERIOD) / COARSE), COARSE,
         &best, &period, &direction);
  if (!(best > 0.0)) return false;
  search(t, fabs(period) - COARSE, (int)lround(2.0 * COARSE / FINE), FINE, &best, &period,
         &direction);
  if (best < CONCENTRATED) return false;
  for (size_t i = 0; i < t->n; i++)
    t->along[i] =
        remainder(t->phase[i] - 2.0 * PI * t->time[i] / (60.0 * period) - direction, 2.0 * PI) /
        DEG;
  spread(t, t->along, &median);
  for (size_t i = 0; i < t->n; i++)
    t->along[i] = remainder(t->along[i] - median, 360.0);
  return true;
}

sky_status sky_orbit_test(sky_context *ctx, const sky_sighting *s, size_t n, uint8_t *bad,
                          bool *judged) {
  track t = {0};
  double median, first = INFINITY, last = -INFINITY;
  sky_status st = SKY_OK;
  *judged = false;
  for (size_t i = 0; i < n; i++) {
    first = fmin(first, s[i].time);
    last = fmax(last, s[i].time);
  }
  if (n < LEAST || last - first > LONGEST) return SKY_OK;
  SKY_GO(track_make(ctx, s, n, &t));
  if (!find_plane(&t)) goto cleanup;
  find_phases(&t);
  if (!find_pace(&t)) goto cleanup;
  const double along = spread(&t, t.along, &median), across = spread(&t, t.across, &median);
  *judged = along <= MOST_ALONG && across <= MOST_ACROSS;
  for (size_t i = 0; i < n && *judged; i++)
    if (fabs(t.along[i]) > fmax(3.0 * along, 2.5) || fabs(t.across[i]) > fmax(4.0 * across, 4.5))
      bad[s[i].row] = 1;
cleanup:
  track_free(&t);
  return st;
}
