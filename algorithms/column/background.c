/* background.c: see background.h and background.md. */
#include "algorithms/column/background.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/column/column.h"
#include "algorithms/column/cubes.h"
#include "algorithms/column/localmean.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define DEG (3.14159265358979323846 / 180)

static void fill_nan(size_t n, double *a, double *b) {
  for (size_t i = 0; i < n; ++i)
    a[i] = b[i] = NAN;
}

/* --- percentile --------------------------------------------------------------------------------
 */

static double clamp(double v) {
  return v < 0 ? 0 : v > 1 ? 1 : v;
}

void sky_background_percentile(size_t n, const double *x, double q, double *work, double *value,
                               double *sigma) {
  *value = *sigma = NAN;
  if (n == 0) return;
  const double delta = sqrt(q * (1 - q) / (double)n);
  *value = sky_quantile(n, x, q, work);
  *sigma =
      (sky_quantile(n, x, clamp(q + delta), work) - sky_quantile(n, x, clamp(q - delta), work)) / 2;
}

typedef struct member { /* of an overpass */
  int32_t pass;
  size_t row;
} member;

static int compare_members(const void *a, const void *b) {
  const member *p = a, *q = b;
  if (p->pass != q->pass) return p->pass < q->pass ? -1 : 1;
  return (p->row > q->row) - (p->row < q->row);
}

sky_status sky_background_overpass(sky_context *ctx, const sky_clean_set *s, double q, size_t least,
                                   double *value, double *sigma) {
  member *m = NULL;
  double *x = NULL, *work = NULL, v, e;
  sky_status st = SKY_OK;
  fill_nan(s->n, value, sigma);
  SKY_GO_ALLOC(m, SKY_NEW(ctx, member, s->n));
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, s->n));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, s->n));
  for (size_t i = 0; i < s->n; ++i)
    m[i] = (member){s->overpass[i], i};
  qsort(m, s->n, sizeof *m, compare_members);
  for (size_t a = 0, b; a < s->n; a = b) {
    size_t used = 0;
    for (b = a; b < s->n && m[b].pass == m[a].pass; ++b)
      if (s->use[m[b].row]) x[used++] = s->x[m[b].row];
    if (used < least) continue;
    sky_background_percentile(used, x, q, work, &v, &e);
    for (size_t k = a; k < b; ++k) {
      value[m[k].row] = v;
      sigma[m[k].row] = e;
    }
  }
cleanup:
  sky_free(m);
  sky_free(x);
  sky_free(work);
  return st;
}

/* --- neighbours --------------------------------------------------------------------------------
 */

static sky_status place_used(sky_context *ctx, const sky_clean_set *s, double edge, sky_placed **p,
                             size_t **rows, size_t *n) {
  *n = 0;
  *p = SKY_NEW(ctx, sky_placed, s->n);
  *rows = SKY_NEW(ctx, size_t, s->n);
  if (*p == NULL || *rows == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < s->n; ++i)
    if (s->use[i]) (*p)[(*n)++] = sky_cube_place(s->overpass[i], s->lat[i], s->lon[i], edge, i);
  sky_placed_sort(*p, *n);
  return SKY_OK;
}

/* --- upwind ------------------------------------------------------------------------------------
 */

/* j stands upwind of i. */
static bool is_upwind(const sky_clean_set *s, const sky_upwind_options *opt, double east,
                      double north, size_t i, size_t j) {
  const double dy = s->lat[j] - s->lat[i];
  const double dx = remainder(s->lon[j] - s->lon[i], 360) * cos((s->lat[i] + s->lat[j]) / 2 * DEG);
  const double d = sqrt(dx * dx + dy * dy), speed = sqrt(east * east + north * north);
  const double metres = d * DEG * SKY_EARTH_RADIUS;
  if (metres < opt->near || metres > opt->far || speed == 0) return false;
  return -(dx * east + dy * north) / (d * speed) >= cos(opt->half_angle * DEG);
}

sky_status sky_background_upwind(sky_context *ctx, const sky_clean_set *s, const double *wind_east,
                                 const double *wind_north, const sky_upwind_options *opt,
                                 double *value, double *sigma) {
  sky_placed *p = NULL;
  size_t *rows = NULL, n = 0;
  double *x = NULL;
  sky_status st = SKY_OK;
  fill_nan(s->n, value, sigma);
  SKY_GO(place_used(ctx, s, opt->far, &p, &rows, &n));
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, n));
  for (size_t a = 0, b; a < n; a = b) {
    const size_t near = sky_placed_near(p, n, a, rows);
    for (b = a; b < n && sky_placed_same(&p[a], &p[b]); ++b) {
      const size_t i = p[b].row;
      size_t used = 0;
      if (!isfinite(wind_east[i]) || !isfinite(wind_north[i])) continue;
      for (size_t k = 0; k < near; ++k)
        if (is_upwind(s, opt, wind_east[i], wind_north[i], i, rows[k])) x[used++] = s->x[rows[k]];
      if (used < opt->least) continue;
      double scale;
      sky_robust(used, x, &value[i], &scale);
      sigma[i] = 1.2533141373155 * scale / sqrt((double)used); /* √(π/2) */
    }
  }
cleanup:
  sky_free(p);
  sky_free(rows);
  sky_free(x);
  return st;
}

/* --- smoothing ---------------------------------------------------------------------------------
 */

/* Soundings above the local mean by more than the plume's threshold leave the mask; the first mask
 * is `use`. Returns how many left. */
static size_t mask_plumes(const sky_clean_set *s, double plume, const double *mean,
                          const double *sd, uint8_t *keep) {
  size_t left = 0;
  for (size_t i = 0; i < s->n; ++i) {
    if (!keep[i] || !(s->x[i] > mean[i] + plume * sd[i])) continue;
    keep[i] = 0;
    ++left;
  }
  return left;
}

typedef struct swath { /* lines of one granule as a field */
  size_t nx, ny;
  double *x, *mean, *variance, *count; /* [ny*nx] */
} swath;

static void swath_free(swath *w) {
  sky_free(w->x);
  sky_free(w->mean);
  sky_free(w->variance);
  sky_free(w->count);
}

static sky_status swath_alloc(sky_context *ctx, size_t n, const int32_t *line, const int32_t *pixel,
                              swath *w) {
  sky_status st = SKY_OK;
  for (size_t i = 0; i < n; ++i) {
    if (line[i] < 0 || pixel[i] < 0) continue;
    if ((size_t)pixel[i] >= w->nx) w->nx = (size_t)pixel[i] + 1;
    if ((size_t)line[i] >= w->ny) w->ny = (size_t)line[i] + 1;
  }
  double **const field[] = {&w->x, &w->mean, &w->variance, &w->count};
  for (int k = 0; k < 4; ++k)
    SKY_GO_ALLOC(*field[k], SKY_NEW(ctx, double, w->nx * w->ny));
cleanup:
  return st;
}

#define KERNEL_REACH 2.5 /* half a kernel in its σ */

static sky_status smooth_swath(sky_context *ctx, const sky_clean_set *s, const int32_t *line,
                               const int32_t *pixel, const sky_smooth_options *opt,
                               const uint8_t *keep, swath *w, double *value, double *sd,
                               double *sigma) {
  for (size_t k = 0; k < w->nx * w->ny; ++k)
    w->x[k] = NAN;
  for (size_t i = 0; i < s->n; ++i)
    if (keep[i] && line[i] >= 0 && pixel[i] >= 0)
      w->x[(size_t)line[i] * w->nx + (size_t)pixel[i]] = s->x[i];
  SKY_TRY(sky_local_mean(ctx, w->nx, w->ny, w->x, opt->sigma_pixels,
                         (size_t)(KERNEL_REACH * opt->sigma_pixels), w->mean, w->variance,
                         w->count));
  for (size_t i = 0; i < s->n; ++i) {
    if (line[i] < 0 || pixel[i] < 0) continue;
    const size_t k = (size_t)line[i] * w->nx + (size_t)pixel[i];
    value[i] = w->mean[k];
    sd[i] = sqrt(w->variance[k]);
    sigma[i] = w->count[k] > 1 ? sd[i] / sqrt(w->count[k]) : NAN;
  }
  return SKY_OK;
}

#define DISTANCE_REACH 3.0 /* σ */

static void smooth_one(const sky_clean_set *s, size_t i, const size_t *rows, size_t n,
                       const uint8_t *keep, const sky_vec3 *at, double width, double *value,
                       double *sd, double *sigma) {
  double w_sum = 0, w2_sum = 0, mean = 0, square = 0;
  for (size_t k = 0; k < n; ++k) {
    const size_t j = rows[k];
    const double d = keep[j] ? sky_great_circle(at[i], at[j]) / width : DISTANCE_REACH + 1;
    if (d > DISTANCE_REACH) continue;
    const double w = exp(-d * d / 2), before = mean; /* West 1979: weighted, one pass */
    w_sum += w;
    w2_sum += w * w;
    mean += w / w_sum * (s->x[j] - mean);
    square += w * (s->x[j] - before) * (s->x[j] - mean);
  }
  if (!(w_sum > 0)) return;
  const double count = w_sum * w_sum / w2_sum;
  value[i] = mean;
  sd[i] = sqrt(fmax(square, 0) / w_sum);
  sigma[i] = count > 1 ? sd[i] / sqrt(count) : NAN;
}

typedef struct scatter {
  sky_placed *p;
  size_t *rows, n;
  sky_vec3 *at; /* [s->n] */
} scatter;

static sky_status scatter_alloc(sky_context *ctx, const sky_clean_set *s, double width,
                                scatter *c) {
  SKY_TRY(place_used(ctx, s, DISTANCE_REACH * width, &c->p, &c->rows, &c->n));
  c->at = SKY_NEW(ctx, sky_vec3, s->n);
  if (c->at == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < s->n; ++i)
    c->at[i] = sky_direction(s->lat[i], s->lon[i]);
  return SKY_OK;
}

static void smooth_scatter(const sky_clean_set *s, const scatter *c, double width,
                           const uint8_t *keep, double *value, double *sd, double *sigma) {
  for (size_t a = 0, b; a < c->n; a = b) {
    const size_t near = sky_placed_near(c->p, c->n, a, c->rows);
    for (b = a; b < c->n && sky_placed_same(&c->p[a], &c->p[b]); ++b)
      smooth_one(s, c->p[b].row, c->rows, near, keep, c->at, width, value, sd, sigma);
  }
}

sky_status sky_background_smooth(sky_context *ctx, const sky_clean_set *s, const int32_t *line,
                                 const int32_t *pixel, const sky_smooth_options *opt, double *value,
                                 double *sigma) {
  swath w = {0};
  scatter c = {0};
  uint8_t *keep = NULL;
  double *sd = NULL;
  sky_status st = SKY_OK;
  fill_nan(s->n, value, sigma);
  SKY_GO_ALLOC(sd, SKY_NEW(ctx, double, s->n));
  SKY_GO_ALLOC(keep, SKY_NEW(ctx, uint8_t, s->n));
  memcpy(keep, s->use, s->n);
  if (line != NULL)
    SKY_GO(swath_alloc(ctx, s->n, line, pixel, &w));
  else
    SKY_GO(scatter_alloc(ctx, s, opt->sigma_metres, &c));
  for (int round = 0; round < opt->rounds; ++round) {
    fill_nan(s->n, value, sigma);
    fill_nan(s->n, value, sd);
    if (line != NULL)
      SKY_GO(smooth_swath(ctx, s, line, pixel, opt, keep, &w, value, sd, sigma));
    else
      smooth_scatter(s, &c, opt->sigma_metres, keep, value, sd, sigma);
    if (round + 1 < opt->rounds && mask_plumes(s, opt->plume, value, sd, keep) == 0) break;
  }
cleanup:
  swath_free(&w);
  sky_free(c.p);
  sky_free(c.rows);
  sky_free(c.at);
  sky_free(keep);
  sky_free(sd);
  return st;
}

/* --- curtain -----------------------------------------------------------------------------------
 */

bool sky_background_curtain(size_t n, const double *exit, const double *vmr, double curtain,
                            double *value, double *sigma, double *covered) {
  sky_acc share = {0, 0}, sum = {0, 0}, square = {0, 0};
  for (size_t k = 0; k < n; ++k) {
    if (!(exit[k] > 0) || isnan(vmr[k])) continue;
    sky_acc_add(&share, exit[k]);
    sky_acc_add(&sum, exit[k] * vmr[k]);
  }
  *covered = sky_acc_value(&share);
  *value = *sigma = NAN;
  if (!(*covered > 0)) return false;
  *value = sky_acc_value(&sum) / *covered;
  for (size_t k = 0; k < n; ++k)
    if (exit[k] > 0 && !isnan(vmr[k]))
      sky_acc_add(&square, exit[k] * (vmr[k] - *value) * (vmr[k] - *value));
  const double rest = *covered < 1 ? 1 - *covered : 0;
  *sigma = sqrt(sky_acc_value(&square) / *covered * rest * rest + curtain * curtain);
  return true;
}
