/* axis.c: overlaps of two axes.
 *
 * An edge of `over` is placed on `under` as (interval, part of it), the part rounded to 2^-m. With
 * the coordinates' noise u = 2^-52 max|edge| and intervals of width w, 2^-m is the power of two
 * next above NOISES u / w: rounding cannot be seen, a real difference of coordinates stays. Parts
 * are multiples of 2^-m, so that the shares of an interval sum to 1 without rounding. */
#include "grids/axis.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "src/core/memory.h"

#define DEG (M_PI / 180.0)
#define NOISES 64.0
#define REGULAR 1e-9 /* of an interval */
#define CLOSED 1e-9  /* shares this near to 1 or 0 are that */

typedef struct place { /* 0 <= in < 1; index n: the end of the axis */
  size_t index;
  double in;
} place;

typedef struct ruler { /* an axis to place edges on */
  const sky_axis *axis;
  double step; /* of parts */
} ruler;

sky_axis sky_axis_x(const sky_grid *g) {
  return (sky_axis){g->geographic ? SKY_AXIS_LONGITUDE : SKY_AXIS_PLANE, g->nx, g->x_edge};
}
sky_axis sky_axis_y(const sky_grid *g) {
  return (sky_axis){g->geographic ? SKY_AXIS_LATITUDE : SKY_AXIS_PLANE, g->ny, g->y_edge};
}

static double mean_width(const sky_axis *a) {
  return (a->edge[a->n] - a->edge[0]) / (double)a->n;
}

double sky_axis_measure(const sky_axis *a, size_t i) {
  if (a->kind == SKY_AXIS_LATITUDE) return sky_ellipsoid_band(a->edge[i], a->edge[i + 1]);
  const double mean = mean_width(a);
  double width = a->edge[i + 1] - a->edge[i];
  if (fabs(width - mean) <= REGULAR * mean) width = mean;
  return a->kind == SKY_AXIS_LONGITUDE ? width * DEG : width;
}

/* Longitudes are taken for as noisy as they are two turns away, so that no turn changes anything.
 */
static double largest(const sky_axis *a) {
  const double ends = fmax(fabs(a->edge[0]), fabs(a->edge[a->n]));
  return a->kind == SKY_AXIS_LONGITUDE ? fmax(ends, 900) : ends;
}

static ruler ruler_for(const sky_axis *over, const sky_axis *under) {
  const double noise = ldexp(fmax(largest(over), largest(under)), -52) / mean_width(under);
  return (ruler){under, ldexp(1, (int)fmin(-4, ceil(log2(NOISES * noise) - 1e-6)))};
}

static place place_of(const ruler *r, double v) {
  const double *e = r->axis->edge;
  size_t low = 0, high = r->axis->n;
  if (!(v > e[0])) return (place){0, 0};
  if (!(v < e[high])) return (place){high, 0};
  const double guess = (v - e[0]) / (e[high] - e[0]) * (double)high;
  if (guess < (double)high && e[(size_t)guess] <= v && v < e[(size_t)guess + 1]) {
    low = (size_t)guess;
  } else {
    while (high - low > 1) {
      const size_t mid = low + (high - low) / 2;
      *(v >= e[mid] ? &low : &high) = mid;
    }
  }
  const double in = nearbyint((v - e[low]) / (e[low + 1] - e[low]) / r->step) * r->step;
  return in >= 1 ? (place){low + 1, 0} : (place){low, in};
}

/* Turns under which low..high may meet the axis: of the shifts 360 k. */
static void turns(const sky_axis *a, double low, double high, int *first, int *last) {
  *first = *last = 0;
  if (a->kind != SKY_AXIS_LONGITUDE) return;
  *first = (int)ceil((a->edge[0] - high) / 360);
  *last = (int)floor((a->edge[a->n] - low) / 360);
}

/* Latitude of a place that came from v. */
static double latitude_at(const sky_axis *a, const place *p, double v) {
  if (p->in == 0) return a->edge[p->index];
  return fmin(fmax(v, a->edge[p->index]), a->edge[p->index + 1]);
}

/* Share of interval i between two places, which came from `low` and `high`. */
static double share_between(const sky_axis *a, size_t i, const place *from, const place *to,
                            double low, double high) {
  const bool begins = i == from->index && from->in > 0, ends = i == to->index;
  if (i < from->index || i > to->index || (ends && to->in == 0)) return 0;
  if (!begins && !ends) return 1;
  if (a->kind != SKY_AXIS_LATITUDE) return (ends ? to->in : 1) - (begins ? from->in : 0);
  const double south = begins ? latitude_at(a, from, low) : a->edge[i];
  const double north = ends ? latitude_at(a, to, high) : a->edge[i + 1];
  return sky_ellipsoid_band(south, north) / sky_ellipsoid_band(a->edge[i], a->edge[i + 1]);
}

/* Items of low..high; NULL arrays only count them. Turns descend: later ones lie further east. */
static size_t find_items(const ruler *r, double low, double high, size_t *index, double *share) {
  int first, last;
  size_t n = 0;
  turns(r->axis, low, high, &first, &last);
  for (int k = last; k >= first; k--) {
    const double a = low + 360.0 * k, b = high + 360.0 * k;
    const place from = place_of(r, a), to = place_of(r, b);
    for (size_t i = from.index; i < to.index + (to.in > 0); i++, n++) {
      if (index == NULL) continue;
      index[n] = i;
      share[n] = share_between(r->axis, i, &from, &to, a, b);
    }
  }
  return n;
}

static size_t find_centre(const ruler *r, double middle) {
  int first, last;
  turns(r->axis, middle, middle, &first, &last);
  for (int k = last; k >= first; k--) {
    const double v = middle + 360.0 * k;
    if (v < r->axis->edge[0] || v > r->axis->edge[r->axis->n]) continue;
    const place p = place_of(r, v);
    if (p.index < r->axis->n) return p.index;
    if (k == first) return r->axis->n - 1; /* the far end belongs to the last interval */
  }
  return SIZE_MAX;
}

/* What of each interval of `under` no interval of `over` takes, with its first item. */
static sky_status find_rest(sky_context *ctx, const sky_axis *under, sky_axis_overlap *o) {
  double *left = SKY_NEW(ctx, double, under->n);
  if (left == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < under->n; i++)
    left[i] = 1;
  for (size_t k = 0; k < o->start[o->n]; k++)
    left[o->index[k]] -= o->share[k];
  for (size_t k = 0; k < o->start[o->n]; k++) {
    double *rest = &left[o->index[k]];
    o->rest[k] = *rest > CLOSED ? *rest : 0;
    *rest = 0;
  }
  sky_free(left);
  return SKY_OK;
}

sky_status sky_axis_overlap_make(sky_context *ctx, const sky_axis *over, const sky_axis *under,
                                 sky_axis_overlap *out) {
  const ruler r = ruler_for(over, under);
  sky_status st = SKY_OK;
  sky_axis_overlap o = {.n = over->n};
  size_t items = 0;
  for (size_t j = 0; j < over->n; j++)
    items += find_items(&r, over->edge[j], over->edge[j + 1], NULL, NULL);
  SKY_GO_ALLOC(o.start, SKY_NEW(ctx, size_t, o.n + 1));
  SKY_GO_ALLOC(o.index, SKY_NEW(ctx, size_t, items));
  SKY_GO_ALLOC(o.share, SKY_NEW(ctx, double, items));
  SKY_GO_ALLOC(o.rest, SKY_NEW(ctx, double, items));
  SKY_GO_ALLOC(o.covered, SKY_NEW(ctx, double, o.n));
  SKY_GO_ALLOC(o.centre, SKY_NEW(ctx, size_t, o.n));
  o.start[0] = 0;
  for (size_t j = 0; j < o.n; j++) {
    const double low = over->edge[j], high = over->edge[j + 1];
    const size_t at = o.start[j], n = find_items(&r, low, high, o.index + at, o.share + at);
    double covered = 0;
    for (size_t k = at; k < at + n; k++)
      covered += o.share[k] * sky_axis_measure(under, o.index[k]);
    covered /= sky_axis_measure(over, j);
    o.covered[j] = covered > 1 - CLOSED ? 1 : covered;
    o.centre[j] = find_centre(&r, 0.5 * (low + high));
    o.start[j + 1] = at + n;
    if (n > o.longest) o.longest = n;
  }
  SKY_GO(find_rest(ctx, under, &o));
  *out = o;
  return SKY_OK;
cleanup:
  sky_axis_overlap_free(&o);
  return st;
}

void sky_axis_overlap_free(sky_axis_overlap *o) {
  if (o == NULL) return;
  sky_free(o->start);
  sky_free(o->index);
  sky_free(o->share);
  sky_free(o->rest);
  sky_free(o->covered);
  sky_free(o->centre);
  memset(o, 0, sizeof *o);
}

void sky_axis_overlap_inside(const sky_axis *over, const sky_axis *under, size_t from, size_t to,
                             double *share) {
  const ruler r = ruler_for(over, under);
  const double low = over->edge[from], high = over->edge[to];
  int first, last;
  turns(under, low, high, &first, &last);
  memset(share, 0, under->n * sizeof *share);
  for (int k = last; k >= first; k--) {
    const double a = low + 360.0 * k, b = high + 360.0 * k;
    const place start = place_of(&r, a), end = place_of(&r, b);
    for (size_t i = start.index; i < end.index + (end.in > 0); i++)
      share[i] += share_between(under, i, &start, &end, a, b);
  }
}
