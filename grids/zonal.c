/* zonal.c: kernels of zonal statistics.
 *
 * Cells in the zone wholly come as spans and are summed in four lanes, the span's sums with
 * compensation; cells on the outline are few and come one by one. Classes are counted in whole
 * numbers (areas in fixed point), which are exact in any order; four copies of each counter, by
 * column, keep neighbours of one class from waiting for each other. */
#include "grids/zonal.h"

#include <math.h>
#include <string.h>

/* Vectors of 128 bits, which every machine has; two of them are the four lanes. */
typedef double v2 __attribute__((vector_size(16)));
typedef int64_t i2 __attribute__((vector_size(16)));
typedef uint64_t u2 __attribute__((vector_size(16)));

#define FIXED_BITS 46 /* of the largest cell; 2^16 cells then stay below 2^63 */

static double area_at(const sky_zonal_block *b, size_t row, size_t x) {
  return b->area[row * SKY_BAND + (b->by_row ? 0 : x)];
}

/* ---- sizes ---------------------------------------------------------------------------------- */

double sky_zonal_fix(const double *area, size_t nx, size_t ny, bool by_row, uint64_t *fixed) {
  const size_t n = by_row ? 1 : nx;
  double most = 0;
  for (size_t r = 0; r < ny; r++)
    for (size_t i = 0; i < n; i++)
      most = fmax(most, area[r * SKY_BAND + i]);
  int exponent = 0;
  frexp(most, &exponent); /* most < 2^exponent */
  const double scale = ldexp(1, FIXED_BITS - exponent);
  for (size_t r = 0; r < ny; r++) {
    for (size_t i = 0; i < n; i++) {
      const double a = area[r * SKY_BAND + i];
      fixed[r * SKY_BAND + i] = isnan(a) ? 0 : (uint64_t)(a * scale + 0.5);
    }
  }
  return 1 / scale;
}

#define LANES_SUM(v) (((v)[0][0] + (v)[0][1]) + ((v)[1][0] + (v)[1][1]))

/* Four at a time; the last ones are filled up. */
static inline void load4(v2 to[2], const double *x, size_t n, double filling) {
  if (n >= 4) {
    memcpy(to, x, 2 * sizeof *to);
    return;
  }
  to[0] = to[1] = (v2){filling, filling};
  memcpy(to, x, n * sizeof *x);
}

static double plain_sum(const double *x, size_t n) {
  v2 sum[2] = {{0, 0}, {0, 0}}, v[2];
  for (size_t i = 0; i < n; i += 4) {
    load4(v, x + i, n - i, 0);
    sum[0] += v[0];
    sum[1] += v[1];
  }
  return LANES_SUM(sum);
}

sky_zonal_size sky_zonal_cover(const sky_zonal_block *b, const sky_cover_part *c) {
  sky_acc cells = {0, 0}, area = {0, 0};
  for (size_t k = 0; k < c->n_span; k++) {
    const sky_span *s = &c->span[k];
    const double n = s->x1 - s->x0;
    sky_acc_add(&cells, n);
    sky_acc_add(&area, b->by_row ? n * b->area[s->row * SKY_BAND]
                                 : plain_sum(b->area + s->row * SKY_BAND + s->x0, s->x1 - s->x0));
  }
  for (size_t k = 0; k < c->n_edge; k++) {
    const sky_edge_cell *e = &c->edge[k];
    sky_acc_add(&cells, e->fraction);
    sky_acc_add(&area, e->fraction * area_at(b, e->row, e->x));
  }
  return (sky_zonal_size){sky_acc_value(&cells), sky_acc_value(&area)};
}

/* ---- values --------------------------------------------------------------------------------- */

typedef struct span_sums {
  double cells, area, sum, integral, min, max;
} span_sums;

/* Where `mask`, x takes the value of y. */
#define TAKE(x, mask, y) ((x) = (v2)(((mask) & (i2)(y)) | (~(mask) & (i2)(x))))

/* a: NULL where all cells have one area. */
static span_sums sums_of(const double *v, const double *a, size_t n) {
  v2 sum[2] = {{0, 0}, {0, 0}}, area[2] = {{0, 0}, {0, 0}}, integral[2] = {{0, 0}, {0, 0}};
  v2 low[2] = {{INFINITY, INFINITY}, {INFINITY, INFINITY}}, high[2] = {-low[0], -low[1]}, x[2],
     w[2];
  i2 count[2] = {{0, 0}, {0, 0}};
  for (size_t i = 0; i < n; i += 4) {
    load4(x, v + i, n - i, NAN);
    if (a != NULL) load4(w, a + i, n - i, 0);
    for (int h = 0; h < 2; h++) {
      const i2 good = (i2)(x[h] == x[h]), less = (i2)(x[h] < low[h]), more = (i2)(x[h] > high[h]);
      const v2 z = (v2)(good & (i2)x[h]);
      count[h] -= good;
      sum[h] += z;
      TAKE(low[h], less, x[h]);
      TAKE(high[h], more, x[h]);
      if (a == NULL) continue;
      area[h] += (v2)(good & (i2)w[h]);
      integral[h] += w[h] * z;
    }
  }
  return (span_sums){(double)LANES_SUM(count),
                     LANES_SUM(area),
                     LANES_SUM(sum),
                     LANES_SUM(integral),
                     fmin(fmin(low[0][0], low[0][1]), fmin(low[1][0], low[1][1])),
                     fmax(fmax(high[0][0], high[0][1]), fmax(high[1][0], high[1][1]))};
}

/* Σ w (v - mean)²; w: NULL = 1. */
static double squares_of(const double *v, const double *w, size_t n, double mean) {
  v2 sum[2] = {{0, 0}, {0, 0}}, x[2], f[2] = {{1, 1}, {1, 1}};
  for (size_t i = 0; i < n; i += 4) {
    load4(x, v + i, n - i, NAN);
    if (w != NULL) load4(f, w + i, n - i, 0);
    for (int h = 0; h < 2; h++) {
      const v2 d = (v2)((i2)(x[h] == x[h]) & (i2)(x[h] - mean));
      sum[h] += f[h] * (d * d);
    }
  }
  return LANES_SUM(sum);
}

static double squares_block(const sky_zonal_block *b, const sky_cover_part *c, const double *value,
                            sky_zonal_weight weight, double mean) {
  sky_acc m2 = {0, 0};
  const bool by_area = weight == SKY_WEIGHT_AREA;
  for (size_t k = 0; k < c->n_span; k++) {
    const sky_span *s = &c->span[k];
    const size_t at = s->row * SKY_BAND + s->x0, n = s->x1 - s->x0;
    const double *w = by_area && !b->by_row ? b->area + at : NULL;
    const double factor = by_area && b->by_row ? b->area[s->row * SKY_BAND] : 1;
    sky_acc_add(&m2, factor * squares_of(value + at, w, n, mean));
  }
  for (size_t k = 0; k < c->n_edge; k++) {
    const sky_edge_cell *e = &c->edge[k];
    const double d = value[e->row * SKY_BAND + e->x] - mean;
    if (isnan(d)) continue;
    sky_acc_add(&m2, e->fraction * (by_area ? area_at(b, e->row, e->x) : 1) * d * d);
  }
  return sky_acc_value(&m2);
}

void sky_zonal_value_block(const sky_zonal_block *b, const sky_cover_part *c, const double *value,
                           sky_zonal_weight weight, bool squares, sky_zonal_values *out) {
  sky_acc cells = {0, 0}, area = {0, 0}, sum = {0, 0}, integral = {0, 0};
  double low = INFINITY, high = -INFINITY;
  for (size_t k = 0; k < c->n_span; k++) {
    const sky_span *s = &c->span[k];
    const size_t at = s->row * SKY_BAND + s->x0;
    span_sums p = sums_of(value + at, b->by_row ? NULL : b->area + at, s->x1 - s->x0);
    if (p.cells == 0) continue;
    if (b->by_row) {
      const double a = b->area[s->row * SKY_BAND];
      p.area = a * p.cells;
      p.integral = a * p.sum;
    }
    sky_acc_add(&cells, p.cells);
    sky_acc_add(&area, p.area);
    sky_acc_add(&sum, p.sum);
    sky_acc_add(&integral, p.integral);
    low = fmin(low, p.min);
    high = fmax(high, p.max);
  }
  for (size_t k = 0; k < c->n_edge; k++) {
    const sky_edge_cell *e = &c->edge[k];
    const double v = value[e->row * SKY_BAND + e->x];
    if (isnan(v)) continue;
    const double a = e->fraction * area_at(b, e->row, e->x);
    sky_acc_add(&cells, e->fraction);
    sky_acc_add(&area, a);
    sky_acc_add(&sum, e->fraction * v);
    sky_acc_add(&integral, a * v);
    low = fmin(low, v);
    high = fmax(high, v);
  }
  *out = (sky_zonal_values){.valid = {sky_acc_value(&cells), sky_acc_value(&area)},
                            .sum = sky_acc_value(&sum),
                            .integral = sky_acc_value(&integral),
                            .min = low,
                            .max = high};
  if (!squares || !(out->valid.cells > 0)) return;
  const double mean =
      weight == SKY_WEIGHT_AREA ? out->integral / out->valid.area : out->sum / out->valid.cells;
  out->m2 = squares_block(b, c, value, weight, mean);
}

typedef struct by_sums {
  sky_acc by, by_value;
} by_sums;

static void add_by(by_sums *s, double weight, double value, double by) {
  if (isnan(value) || isnan(by)) return;
  sky_acc_add(&s->by, weight * by);
  sky_acc_add(&s->by_value, weight * by * value);
}

void sky_zonal_by_block(const sky_zonal_block *b, const sky_cover_part *c, const double *value,
                        const double *by, sky_zonal_weight weight, sky_zonal_values *out) {
  by_sums s = {{0, 0}, {0, 0}};
  const bool by_area = weight == SKY_WEIGHT_AREA;
  for (size_t k = 0; k < c->n_span; k++) {
    const size_t row = c->span[k].row;
    for (size_t x = c->span[k].x0; x < c->span[k].x1; x++)
      add_by(&s, by_area ? area_at(b, row, x) : 1, value[row * SKY_BAND + x],
             by[row * SKY_BAND + x]);
  }
  for (size_t k = 0; k < c->n_edge; k++) {
    const sky_edge_cell *e = &c->edge[k];
    const size_t at = e->row * SKY_BAND + e->x;
    add_by(&s, e->fraction * (by_area ? area_at(b, e->row, e->x) : 1), value[at], by[at]);
  }
  out->by = sky_acc_value(&s.by);
  out->by_value = sky_acc_value(&s.by_value);
}

void sky_zonal_total_start(sky_zonal_total *t) {
  *t = (sky_zonal_total){.min = INFINITY, .max = -INFINITY};
}

void sky_zonal_total_add(sky_zonal_total *t, const sky_zonal_values *v, sky_zonal_weight weight) {
  if (!(v->valid.cells > 0)) return;
  const bool by_area = weight == SKY_WEIGHT_AREA;
  const double w = sky_acc_value(by_area ? &t->area : &t->cells);
  const double u = by_area ? v->valid.area : v->valid.cells;
  sky_acc_add(&t->m2, v->m2);
  if (w > 0) {
    const double d = (by_area ? v->integral : v->sum) / u - sky_zonal_total_mean(t, weight);
    sky_acc_add(&t->m2, d * d * (w * u / (w + u)));
  }
  sky_acc_add(&t->cells, v->valid.cells);
  sky_acc_add(&t->area, v->valid.area);
  sky_acc_add(&t->sum, v->sum);
  sky_acc_add(&t->integral, v->integral);
  sky_acc_add(&t->by, v->by);
  sky_acc_add(&t->by_value, v->by_value);
  t->min = fmin(t->min, v->min);
  t->max = fmax(t->max, v->max);
}

double sky_zonal_total_mean(const sky_zonal_total *t, sky_zonal_weight weight) {
  const bool by_area = weight == SKY_WEIGHT_AREA;
  const double w = sky_acc_value(by_area ? &t->area : &t->cells);
  return w > 0 ? sky_acc_value(by_area ? &t->integral : &t->sum) / w : NAN;
}

double sky_zonal_total_variance(const sky_zonal_total *t, sky_zonal_weight weight) {
  const double w = sky_acc_value(weight == SKY_WEIGHT_AREA ? &t->area : &t->cells);
  return w > 0 ? fmax(0, sky_acc_value(&t->m2)) / w : NAN;
}

/* ---- classes -------------------------------------------------------------------------------- */

void sky_zonal_class_block(const sky_zonal_block *b, const sky_cover_part *c, const uint32_t *id,
                           size_t n, uint64_t *scratch, sky_zonal_size *size) {
  u2 *counter = (u2 *)(void *)scratch; /* [n][4] of count, area */
  for (size_t k = 0; k < c->n_span; k++) {
    const sky_span *s = &c->span[k];
    const uint32_t *row = id + s->row * SKY_BAND;
    const uint64_t *fixed = b->fixed + s->row * SKY_BAND;
    if (b->by_row) {
      const u2 one = {1, fixed[0]};
      for (size_t x = s->x0; x < s->x1; x++)
        counter[4 * row[x] + (x & 3)] += one;
    } else {
      for (size_t x = s->x0; x < s->x1; x++)
        counter[4 * row[x] + (x & 3)] += (u2){1, fixed[x]};
    }
  }
  for (size_t i = 0; i < n; i++) {
    u2 *lane = counter + 4 * i;
    const u2 all = lane[0] + lane[1] + lane[2] + lane[3];
    size[i] = (sky_zonal_size){(double)all[0], (double)all[1] * b->unit};
    lane[0] = lane[1] = lane[2] = lane[3] = (u2){0, 0};
  }
  for (size_t k = 0; k < c->n_edge; k++) {
    const sky_edge_cell *e = &c->edge[k];
    sky_zonal_size *at = &size[id[e->row * SKY_BAND + e->x]];
    at->cells += e->fraction;
    at->area += e->fraction * area_at(b, e->row, e->x);
  }
}
