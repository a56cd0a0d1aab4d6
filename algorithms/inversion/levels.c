/* levels.c: see levels.h and levels.md.
 *
 * A field of one level lives in a padded array px x py, transformed in place: rows of real numbers
 * become rows of hx = px/2+1 complex ones. Rows beyond ny are zero before and not looked at after a
 * convolution, so their row transforms are left out. One thread transforms one field. */
#include "algorithms/inversion/levels.h"

#include <cblas.h>
#include <fftw3.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/matern.h"
#include "algorithms/inversion/sparse.h"
#include "src/core/lane.h"
#include "src/core/memory.h"

#define FIELDS_AT_ONCE 16 /* that threads share, at least */
#define POINT_TILE 256    /* grid points of one mixing product */
#define ROW_GROUP 8       /* rows of H that are written side by side */
#define NEGLIGIBLE 1e-12  /* negative share of a spectrum that is rounding */
#define EDGE 1e-12        /* share of a cell whose edges meet those of a grid up to rounding */
#define MOST_PADDING 32   /* times the padding that the support asks for, */
#define LONG 37.0         /* exp(-LONG) is below the rounding of 1 */
#define MOST_POINTS 3e5   /* while the padded grid stays below this */
#define TAPER_LENGTHS 4   /* where a model without bounds is cut: lengths, */
#define TAPER_POINTS 24   /* and at most so many grid points */

typedef struct level {
  size_t nx, ny, ng, px, py, hx;
  double *sd; /* [n_field*ng], or NULL: sigma */
  double sigma;
  double *spectrum; /* [py*hx] >= 0, divided by px*py */
  double clipped;
  sky_level given; /* as stated, without its scale */
  bool same;       /* cell c is grid point c: W is the identity */
  size_t *rowptr;  /* W [n_mesh x ng] */
  int32_t *col;
  double *val;
  sky_sparse W;
  fftw_plan rows_forward, columns_forward, columns_backward, rows_backward;
} level;

struct sky_levels {
  size_t n_mesh, n_sector, n_time, n_field, n_state; /* n_field = n_time*n_sector */
  double *mix;                                       /* [n_field²] D ⊗ M */
  double *variance;                                  /* [n_state] */
  size_t n_level;
  level *level;
  size_t batch; /* vectors at once */
  int threads;
  size_t padded;  /* doubles of the largest padded field */
  double *buffer; /* [threads*padded] */
  double *grid, *mixed, *cells;
};

/* ---- grids ---------------------------------------------------------------------------------- */

/* The next length that FFTW likes: 2^a 3^b 5^c 7^d, even. */
static size_t good_length(size_t n) {
  for (n += n % 2;; n += 2) {
    size_t rest = n;
    for (size_t f = 2; f <= 7; f++)
      while (rest % f == 0)
        rest /= f;
    if (rest == 1) return n;
  }
}

static bool compact(sky_correlation model) {
  return model.kind == SKY_CORR_NONE || model.kind == SKY_CORR_SPHERICAL ||
         model.kind == SKY_CORR_GASPARI_COHN;
}

static double support(const sky_level *s) {
  switch (s->model.kind) {
    case SKY_CORR_NONE:
      return 0;
    case SKY_CORR_SPHERICAL:
    case SKY_CORR_GASPARI_COHN:
      return s->length;
    case SKY_CORR_MATERN:
      return sky_matern_reach(s->model.nu, exp(-LONG)) * s->length;
    default:
      return LONG * s->length;
  }
}

/* Wrapped copies must not reach the grid: n + support, at most 2n. A compact model keeps a spectrum
 * without negative values if its support fits into half the period, too. */
static size_t padded_length(const sky_level *s, size_t n, double spacing, size_t factor) {
  const double reach = ceil(support(s) / spacing);
  const double least = reach < (double)n ? (double)n + reach : 2 * (double)n;
  const double want = compact(s->model) ? fmax(least, fmin(2 * reach, (double)factor * least))
                                        : (double)factor * least;
  return good_length((size_t)want);
}

/* ---- area averaging ------------------------------------------------------------------------- */

static double overlap(double a0, double a1, double b0, double b1) {
  return fmax(0, fmin(a1, b1) - fmax(a0, b0));
}

/* First grid index that a cell edge reaches into, kept inside the grid. */
static size_t first_point(double edge, double origin, double spacing, size_t n) {
  const double f = floor((edge - origin) / spacing);
  return f <= 0 ? 0 : f >= (double)n ? n : (size_t)f;
}

/* Weights of one cell; returns how many, writes them where col is there. */
static size_t cell_weights(const sky_level *s, const double b[4], int32_t *col, double *val) {
  const double area = (b[2] - b[0]) * (b[3] - b[1]);
  size_t k = 0;
  for (size_t iy = first_point(b[1], s->y0, s->dy, s->ny); iy < s->ny; iy++) {
    const double y0 = s->y0 + (double)iy * s->dy;
    if (y0 >= b[3]) break;
    const double high = overlap(b[1], b[3], y0, y0 + s->dy);
    for (size_t ix = first_point(b[0], s->x0, s->dx, s->nx); ix < s->nx; ix++) {
      const double x0 = s->x0 + (double)ix * s->dx;
      if (x0 >= b[2]) break;
      const double w = high * overlap(b[0], b[2], x0, x0 + s->dx) / area;
      if (w <= EDGE) continue;
      if (col != NULL) {
        col[k] = (int32_t)(iy * s->nx + ix);
        val[k] = w >= 1 - EDGE ? 1 : w;
      }
      k++;
    }
  }
  return k;
}

static sky_status fill_weights(sky_context *ctx, const sky_levels_spec *spec, const sky_level *s,
                               level *l) {
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(l->rowptr, SKY_NEW0(ctx, size_t, spec->n_mesh + 1));
  for (size_t c = 0; c < spec->n_mesh; c++)
    l->rowptr[c + 1] = l->rowptr[c] + cell_weights(s, spec->bounds + 4 * c, NULL, NULL);
  SKY_GO_ALLOC(l->col, SKY_NEW(ctx, int32_t, l->rowptr[spec->n_mesh]));
  SKY_GO_ALLOC(l->val, SKY_NEW(ctx, double, l->rowptr[spec->n_mesh]));
  for (size_t c = 0; c < spec->n_mesh; c++)
    cell_weights(s, spec->bounds + 4 * c, l->col + l->rowptr[c], l->val + l->rowptr[c]);
  SKY_GO(sky_sparse_create(ctx, spec->n_mesh, l->ng, l->rowptr, l->col, l->val, false, &l->W));
  l->same = l->ng == spec->n_mesh && l->rowptr[l->ng] == l->ng;
  for (size_t c = 0; l->same && c < l->ng; c++)
    l->same = l->rowptr[c] == c && (size_t)l->col[c] == c && l->val[c] == 1;
cleanup:
  return st;
}

/* ---- transforms ----------------------------------------------------------------------------- */

/* Plans depend on the lengths only; they run on any 64-byte aligned array. */
static bool make_plans(level *l, double *data) {
  const int px = (int)l->px, py = (int)l->py, hx = (int)l->hx, ny = (int)l->ny;
  fftw_complex *c = (fftw_complex *)(void *)data;
  sky_lane_lock();
  l->rows_forward =
      fftw_plan_many_dft_r2c(1, &px, ny, data, NULL, 1, 2 * hx, c, NULL, 1, hx, FFTW_ESTIMATE);
  l->columns_forward =
      fftw_plan_many_dft(1, &py, hx, c, NULL, hx, 1, c, NULL, hx, 1, FFTW_FORWARD, FFTW_ESTIMATE);
  l->columns_backward =
      fftw_plan_many_dft(1, &py, hx, c, NULL, hx, 1, c, NULL, hx, 1, FFTW_BACKWARD, FFTW_ESTIMATE);
  l->rows_backward =
      fftw_plan_many_dft_c2r(1, &px, ny, c, NULL, 1, hx, data, NULL, 1, 2 * hx, FFTW_ESTIMATE);
  sky_lane_unlock();
  return l->rows_forward != NULL && l->columns_forward != NULL && l->columns_backward != NULL &&
         l->rows_backward != NULL;
}

static void free_plans(level *l) {
  fftw_plan all[] = {l->rows_forward, l->columns_forward, l->columns_backward, l->rows_backward};
  sky_lane_lock();
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (all[i] != NULL) fftw_destroy_plan(all[i]);
  sky_lane_unlock();
}

static void convolve(const level *l, double *data) {
  fftw_complex *c = (fftw_complex *)(void *)data;
  memset(data + l->ny * 2 * l->hx, 0, (l->py - l->ny) * 2 * l->hx * sizeof *data);
  fftw_execute_dft_r2c(l->rows_forward, data, c);
  fftw_execute_dft(l->columns_forward, c, c);
  for (size_t i = 0; i < l->py * l->hx; i++) {
    data[2 * i] *= l->spectrum[i];
    data[2 * i + 1] *= l->spectrum[i];
  }
  fftw_execute_dft(l->columns_backward, c, c);
  fftw_execute_dft_c2r(l->rows_backward, c, data);
}

/* Model at the wrapped lags -> its spectrum in l, and the correlation that the clipped spectrum
 * stands for in data. */
static sky_status transform_model(sky_context *ctx, const sky_level *s, level *l, double *data) {
  fftw_complex *c = (fftw_complex *)(void *)data;
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t iy = 0; iy <= l->py / 2; iy++) { /* four wrapped places have one lag */
    double *row = data + iy * 2 * l->hx, *other = data + (l->py - iy) % l->py * 2 * l->hx;
    for (size_t ix = 0; ix <= l->px / 2; ix++) {
      const size_t back = (l->px - ix) % l->px;
      const double x = (double)ix * s->dx, y = (double)iy * s->dy;
      row[ix] = row[back] = other[ix] = other[back] =
          sky_correlation_value(s->model, hypot(x, y), s->length);
    }
  }
  sky_lane_lock();
  fftw_plan there = fftw_plan_dft_r2c_2d((int)l->py, (int)l->px, data, c, FFTW_ESTIMATE);
  fftw_plan back = fftw_plan_dft_c2r_2d((int)l->py, (int)l->px, c, data, FFTW_ESTIMATE);
  sky_lane_unlock();
  const bool planned = there != NULL && back != NULL;
  if (planned) {
    double negative = 0;
    const double size = (double)l->px * (double)l->py;
    fftw_execute(there);
    for (size_t i = 0; i < l->py * l->hx; i++) {
      const size_t ix = i % l->hx;
      const double q = data[2 * i] / size, twice = ix == 0 || 2 * ix == l->px ? 1 : 2;
      if (q < 0) negative -= twice * q;
      l->spectrum[i] = q > 0 ? q : 0;
      data[2 * i] = l->spectrum[i];
      data[2 * i + 1] = 0;
    }
    l->clipped = negative; /* the trace of a correlation, divided by its size, is 1 */
    fftw_execute(back);
  }
  sky_lane_lock();
  if (there != NULL) fftw_destroy_plan(there);
  if (back != NULL) fftw_destroy_plan(back);
  sky_lane_unlock();
  return planned ? SKY_OK : sky_fail(ctx, SKY_E_INTERNAL, "FFTW made no plan");
}

/* ---- variance ------------------------------------------------------------------------------- */

static double field_sd(const level *l, size_t field, size_t point) {
  return l->sd != NULL ? l->sd[field * l->ng + point] : l->sigma;
}

static double lag_value(const level *l, const double *kernel, int32_t a, int32_t b) {
  const int32_t nx = (int32_t)l->nx;
  const size_t dx = (size_t)labs((long)(a % nx) - (long)(b % nx));
  const size_t dy = (size_t)labs((long)(a / nx) - (long)(b / nx));
  return kernel[dy * 2 * l->hx + dx];
}

/* variance += diag(W C Wᵀ): W_k C_k W_kᵀ of one cell is a small double sum. */
static void add_variance(sky_context *ctx, sky_levels *lv, const level *l, const double *kernel) {
#pragma omp parallel for schedule(dynamic, 64) num_threads(sky_context_threads(ctx))
  for (size_t c = 0; c < lv->n_mesh; c++)
    for (size_t f = 0; f < lv->n_field; f++) {
      double sum = 0;
      for (size_t a = l->rowptr[c]; a < l->rowptr[c + 1]; a++)
        for (size_t b = l->rowptr[c]; b < l->rowptr[c + 1]; b++)
          sum += l->val[a] * l->val[b] * field_sd(l, f, (size_t)l->col[a]) *
                 field_sd(l, f, (size_t)l->col[b]) * lag_value(l, kernel, l->col[a], l->col[b]);
      lv->variance[f * lv->n_mesh + c] += lv->mix[f * lv->n_field + f] * sum;
    }
}

/* ---- making and freeing --------------------------------------------------------------------- */

static sky_status check_level(sky_context *ctx, size_t k, const sky_level *s, size_t n_field) {
  const struct {
    const char *key;
    double value;
  } positive[] = {{"dx", s->dx}, {"dy", s->dy}, {"length", s->length}, {"sigma", s->sigma}};
  for (size_t i = 0; i < sizeof positive / sizeof positive[0]; i++)
    if (!(positive[i].value > 0 && isfinite(positive[i].value)))
      return sky_fail(ctx, SKY_E_RANGE, "level %zu: %s: %g (expected a number > 0)", k,
                      positive[i].key, positive[i].value);
  if (s->model.kind == SKY_CORR_MATERN && !(s->model.nu > 0 && s->model.nu <= SKY_MATERN_MOST))
    return sky_fail(ctx, SKY_E_RANGE,
                    "level %zu: smoothness: %g (expected a number above 0, at most %g)", k,
                    s->model.nu, SKY_MATERN_MOST);
  if (s->nx == 0 || s->ny == 0 || s->nx > INT32_MAX / 16 || s->ny > INT32_MAX / 16 ||
      s->nx * s->ny > INT32_MAX / 16)
    return sky_fail(ctx, SKY_E_RANGE, "level %zu: grid of %zu x %zu points (expected 1..%d)", k,
                    s->nx, s->ny, INT32_MAX / 16);
  if (!isfinite(s->x0) || !isfinite(s->y0))
    return sky_fail(ctx, SKY_E_RANGE, "level %zu: corner %g, %g (expected finite numbers)", k,
                    s->x0, s->y0);
  for (size_t i = 0; s->scale != NULL && i < n_field * s->nx * s->ny; i++)
    if (!(s->scale[i] >= 0 && isfinite(s->scale[i])))
      return sky_fail(ctx, SKY_E_RANGE, "level %zu: scale[%zu] = %g (expected a number >= 0)", k, i,
                      s->scale[i]);
  return SKY_OK;
}

static sky_status check_bounds(sky_context *ctx, const sky_levels_spec *spec) {
  for (size_t c = 0; c < spec->n_mesh; c++) {
    const double *b = spec->bounds + 4 * c;
    if (!(b[2] > b[0] && b[3] > b[1] && isfinite(b[0] + b[1] + b[2] + b[3])))
      return sky_fail(ctx, SKY_E_RANGE,
                      "levels: cell %zu reaches from %g, %g to %g, %g (expected west < east, south "
                      "< north)",
                      c, b[0], b[1], b[2], b[3]);
  }
  return SKY_OK;
}

/* Padding grows until the spectrum has no negative part that counts, or is large enough. */
static sky_status fill_spectrum(sky_context *ctx, size_t k, const sky_level *s, sky_levels *lv) {
  level *l = &lv->level[k];
  double *kernel = NULL;
  sky_status st = SKY_OK;
  for (size_t factor = 1; factor <= MOST_PADDING; factor *= 2) {
    sky_free(kernel);
    sky_free(l->spectrum);
    l->px = padded_length(s, s->nx, s->dx, factor);
    l->py = padded_length(s, s->ny, s->dy, factor);
    l->hx = l->px / 2 + 1;
    l->spectrum = NULL;
    SKY_GO_ALLOC(kernel, SKY_NEW0(ctx, double, l->py * 2 * l->hx));
    SKY_GO_ALLOC(l->spectrum, SKY_NEW(ctx, double, l->py * l->hx));
    SKY_GO(transform_model(ctx, s, l, kernel));
    if (l->clipped <= NEGLIGIBLE || 4.0 * (double)(l->px * l->py) > MOST_POINTS) break;
  }
  if (l->clipped > NEGLIGIBLE)
    sky_log(ctx, SKY_LOG_WARN,
            "level %zu: %.2g of the variance stood in negative eigenvalues, which were set to 0", k,
            l->clipped);
  add_variance(ctx, lv, l, kernel);
cleanup:
  sky_free(kernel);
  return st;
}

static sky_status fill_level(sky_context *ctx, const sky_levels_spec *spec, size_t k,
                             sky_levels *lv) {
  const sky_level *s = &spec->level[k];
  level *l = &lv->level[k];
  sky_status st = SKY_OK;
  SKY_TRY(check_level(ctx, k, s, lv->n_field));
  l->given = *s;
  l->given.scale = NULL;
  l->nx = s->nx;
  l->ny = s->ny;
  l->ng = s->nx * s->ny;
  l->sigma = s->sigma;
  if (s->scale != NULL) {
    SKY_GO_ALLOC(l->sd, SKY_NEW(ctx, double, lv->n_field * l->ng));
    for (size_t i = 0; i < lv->n_field * l->ng; i++)
      l->sd[i] = s->sigma * s->scale[i];
  }
  SKY_GO(fill_weights(ctx, spec, s, l));
  SKY_GO(fill_spectrum(ctx, k, s, lv));
  if (l->py * 2 * l->hx > lv->padded) lv->padded = l->py * 2 * l->hx;
cleanup:
  return st;
}

static void fill_mix(const sky_levels_spec *spec, sky_levels *lv) {
  const size_t ns = lv->n_sector, nf = lv->n_field;
  for (size_t a = 0; a < nf; a++)
    for (size_t b = 0; b < nf; b++) {
      const size_t sa = a % ns, sb = b % ns;
      const double m = spec->M != NULL ? spec->M[sa * ns + sb] : sa == sb;
      lv->mix[a * nf + b] = spec->D[a / ns * lv->n_time + b / ns] * m;
    }
}

sky_status sky_levels_create(sky_context *ctx, const sky_levels_spec *spec, sky_levels **out) {
  sky_levels *lv = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  if (spec->n_mesh == 0 || spec->n_time == 0 || spec->n_sector == 0 || spec->n_level == 0)
    return sky_fail(ctx, SKY_E_RANGE, "levels: %zu cells, %zu times, %zu sectors, %zu levels",
                    spec->n_mesh, spec->n_time, spec->n_sector, spec->n_level);
  SKY_TRY(check_bounds(ctx, spec));
  SKY_GO_ALLOC(lv, SKY_NEW0(ctx, sky_levels, 1));
  lv->n_mesh = spec->n_mesh;
  lv->n_sector = spec->n_sector;
  lv->n_time = spec->n_time;
  lv->n_field = spec->n_time * spec->n_sector;
  lv->n_state = lv->n_field * lv->n_mesh;
  lv->n_level = spec->n_level;
  lv->batch = (FIELDS_AT_ONCE + lv->n_field - 1) / lv->n_field;
  lv->threads = sky_context_threads(ctx);
  SKY_GO_ALLOC(lv->mix, SKY_NEW(ctx, double, lv->n_field * lv->n_field));
  SKY_GO_ALLOC(lv->variance, SKY_NEW0(ctx, double, lv->n_state));
  SKY_GO_ALLOC(lv->level, SKY_NEW0(ctx, level, lv->n_level));
  fill_mix(spec, lv);
  size_t points = 0;
  for (size_t k = 0; k < lv->n_level; k++) {
    SKY_GO(fill_level(ctx, spec, k, lv));
    if (lv->level[k].ng > points) points = lv->level[k].ng;
  }
  lv->padded = (lv->padded + 7) / 8 * 8; /* every thread's part starts on 64 bytes */
  SKY_GO_ALLOC(lv->buffer, SKY_NEW0(ctx, double, (size_t)lv->threads * lv->padded));
  SKY_GO_ALLOC(lv->grid, SKY_NEW(ctx, double, lv->batch * lv->n_field * points));
  SKY_GO_ALLOC(lv->mixed, SKY_NEW(ctx, double, lv->batch * lv->n_field * points));
  SKY_GO_ALLOC(lv->cells, SKY_NEW(ctx, double, lv->batch * lv->n_state));
  for (size_t k = 0; k < lv->n_level; k++)
    if (!make_plans(&lv->level[k], lv->buffer)) {
      st = sky_fail(ctx, SKY_E_INTERNAL, "FFTW made no plan");
      goto cleanup;
    }
  *out = lv;
cleanup:
  if (st != SKY_OK) sky_levels_free(lv);
  return st;
}

void sky_levels_free(sky_levels *lv) {
  if (lv == NULL) return;
  for (size_t k = 0; lv->level != NULL && k < lv->n_level; k++) {
    level *l = &lv->level[k];
    free_plans(l);
    sky_sparse_free(&l->W);
    sky_free(l->sd);
    sky_free(l->spectrum);
    sky_free(l->rowptr);
    sky_free(l->col);
    sky_free(l->val);
  }
  sky_free(lv->level);
  sky_free(lv->mix);
  sky_free(lv->variance);
  sky_free(lv->buffer);
  sky_free(lv->grid);
  sky_free(lv->mixed);
  sky_free(lv->cells);
  sky_free(lv);
}

double sky_levels_clipped(const sky_levels *lv, size_t k) {
  return lv->level[k].clipped;
}

const double *sky_levels_variance(const sky_levels *lv) {
  return lv->variance;
}

size_t sky_levels_count(const sky_levels *lv) {
  return lv->n_level;
}

void sky_levels_view(const sky_levels *lv, size_t k, sky_level_view *out) {
  const level *l = &lv->level[k];
  const sky_level *s = &l->given;
  const bool bounded = compact(s->model) && l->clipped <= NEGLIGIBLE;
  const double most = TAPER_POINTS * fmax(s->dx, s->dy);
  const double taper = bounded ? 0 : fmin(TAPER_LENGTHS * s->length, most);
  const double reach = bounded ? support(s) : taper;
  *out = (sky_level_view){.nx = l->nx,
                          .ny = l->ny,
                          .reach_x = (size_t)ceil(reach / s->dx),
                          .reach_y = (size_t)ceil(reach / s->dy),
                          .x0 = s->x0,
                          .y0 = s->y0,
                          .dx = s->dx,
                          .dy = s->dy,
                          .length = s->length,
                          .taper = taper,
                          .model = s->model,
                          .sigma = l->sigma,
                          .sd = l->sd,
                          .rowptr = l->rowptr,
                          .col = l->col,
                          .val = l->val};
}

const double *sky_levels_mix(const sky_levels *lv, size_t *n_field, size_t *n_mesh) {
  *n_field = lv->n_field;
  *n_mesh = lv->n_mesh;
  return lv->mix;
}

double sky_levels_bytes(const sky_levels *lv) {
  double count = (double)lv->n_field * (double)lv->n_field + (double)lv->n_state +
                 (double)lv->threads * (double)lv->padded + (double)(lv->batch * lv->n_state);
  double points = 0, bytes = 0;
  for (size_t k = 0; k < lv->n_level; k++) {
    const level *l = &lv->level[k];
    count += (double)(l->py * l->hx) + (l->sd != NULL ? (double)(lv->n_field * l->ng) : 0);
    points = fmax(points, (double)l->ng);
    bytes += (double)l->rowptr[lv->n_mesh] * 12 + (double)lv->n_mesh * 8 +
             sky_sparse_bytes(l->ng, l->rowptr[lv->n_mesh], false);
  }
  return bytes + 8 * (count + 2 * (double)(lv->batch * lv->n_field) * points);
}

/* ---- products ------------------------------------------------------------------------------- */

static double *own_buffer(const sky_levels *lv, int thread) {
  return lv->buffer + (size_t)thread * lv->padded;
}

static int workers(sky_context *ctx, const sky_levels *lv) {
  const int threads = sky_context_threads(ctx);
  return threads < lv->threads ? threads : lv->threads;
}

/* A constant sd is part of the mixing. */
static void scale_fields(sky_context *ctx, const sky_levels *lv, const level *l, size_t count,
                         double *grid) {
  if (l->sd == NULL) return;
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t f = 0; f < count * lv->n_field; f++)
    for (size_t g = 0; g < l->ng; g++)
      grid[f * l->ng + g] *= l->sd[f % lv->n_field * l->ng + g];
}

/* out = (D ⊗ M) in at every grid point, times a constant variance */
static void mix_fields(sky_context *ctx, const sky_levels *lv, const level *l, size_t count,
                       const double *in, double *out) {
  const double variance = l->sd == NULL ? l->sigma * l->sigma : 1;
  const size_t ng = l->ng;
  const size_t tiles = (ng + POINT_TILE - 1) / POINT_TILE, nf = lv->n_field;
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t j = 0; j < count * tiles; j++) {
    const size_t from = j % tiles * POINT_TILE, offset = j / tiles * nf * ng + from;
    const size_t width = ng - from < POINT_TILE ? ng - from : POINT_TILE;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)nf, (int)width, (int)nf, variance,
                lv->mix, (int)nf, in + offset, (int)ng, 0.0, out + offset, (int)ng);
  }
}

static void convolve_fields(sky_context *ctx, const sky_levels *lv, const level *l, size_t count,
                            double *grid) {
  const int threads = workers(ctx, lv);
  const size_t fields = count * lv->n_field;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (int thread = 0; thread < threads; thread++) {
    double *data = own_buffer(lv, thread);
    for (size_t f = (size_t)thread; f < fields; f += (size_t)threads) {
      double *field = grid + f * l->ng;
      for (size_t iy = 0; iy < l->ny; iy++) {
        memcpy(data + iy * 2 * l->hx, field + iy * l->nx, l->nx * sizeof *data);
        memset(data + iy * 2 * l->hx + l->nx, 0, (2 * l->hx - l->nx) * sizeof *data);
      }
      convolve(l, data);
      for (size_t iy = 0; iy < l->ny; iy++)
        memcpy(field + iy * l->nx, data + iy * 2 * l->hx, l->nx * sizeof *data);
    }
  }
}

/* The field of the cells on the grid, scaled: v itself where nothing is to be done. */
static const double *to_grid(sky_context *ctx, const sky_levels *lv, const level *l,
                             const double *v, size_t count) {
  if (l->same && l->sd == NULL) return v;
  if (l->same)
    memcpy(lv->grid, v, count * lv->n_state * sizeof *v);
  else
    sky_sparse_transpose_apply(ctx, &l->W, v, count * lv->n_field, lv->grid);
  scale_fields(ctx, lv, l, count, lv->grid);
  return lv->grid;
}

static void apply_level(sky_context *ctx, const sky_levels *lv, const level *l, const double *v,
                        size_t count, double *out) {
  const double *cells = lv->mixed;
  mix_fields(ctx, lv, l, count, to_grid(ctx, lv, l, v, count), lv->mixed);
  convolve_fields(ctx, lv, l, count, lv->mixed);
  scale_fields(ctx, lv, l, count, lv->mixed);
  if (!l->same) {
    sky_sparse_apply(ctx, &l->W, lv->mixed, count * lv->n_field, lv->cells);
    cells = lv->cells;
  }
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < count * lv->n_state; i++)
    out[i] += cells[i];
}

void sky_levels_apply(sky_context *ctx, const sky_levels *lv, const double *v, size_t count,
                      double *out) {
  sky_blas_single();
  memset(out, 0, count * lv->n_state * sizeof *out);
  for (size_t first = 0; first < count; first += lv->batch) {
    const size_t width = count - first < lv->batch ? count - first : lv->batch;
    for (size_t k = 0; k < lv->n_level; k++)
      apply_level(ctx, lv, &lv->level[k], v + first * lv->n_state, width,
                  out + first * lv->n_state);
  }
}

/* data (rows of the padded field) = Σ over the elements of one row of H: what they send to field f.
 */
static void gather_row(const sky_levels *lv, const level *l, size_t f, size_t n, const int32_t *col,
                       const double *val, double *data) {
  memset(data, 0, l->ny * 2 * l->hx * sizeof *data);
  for (size_t k = 0; k < n; k++) {
    const size_t from = (size_t)col[k] / lv->n_mesh, c = (size_t)col[k] % lv->n_mesh;
    const double h = lv->mix[f * lv->n_field + from] * val[k];
    for (size_t w = l->rowptr[c]; w < l->rowptr[c + 1]; w++) {
      const size_t g = (size_t)l->col[w];
      data[g / l->nx * 2 * l->hx + g % l->nx] += h * l->val[w] * field_sd(l, from, g);
    }
  }
}

/* One row of H: column i of out, with stride n_row. */
static void answer_row(const sky_levels *lv, size_t t, size_t n, const int32_t *col,
                       const double *val, double *data, size_t n_row, double *out) {
  for (size_t s = 0; s < lv->n_sector; s++)
    for (size_t k = 0; k < lv->n_level; k++) {
      const level *l = &lv->level[k];
      const size_t f = t * lv->n_sector + s;
      gather_row(lv, l, f, n, col, val, data);
      convolve(l, data);
      for (size_t c = 0; c < lv->n_mesh; c++) {
        double sum = k > 0 ? out[(s * lv->n_mesh + c) * n_row] : 0;
        for (size_t w = l->rowptr[c]; w < l->rowptr[c + 1]; w++) {
          const size_t g = (size_t)l->col[w];
          sum += l->val[w] * field_sd(l, f, g) * data[g / l->nx * 2 * l->hx + g % l->nx];
        }
        out[(s * lv->n_mesh + c) * n_row] = sum;
      }
    }
}

void sky_levels_rows(sky_context *ctx, const sky_levels *lv, size_t t, size_t n_row,
                     const size_t *rowptr, const int32_t *col, const double *val, double *out) {
  const int threads = workers(ctx, lv);
  const size_t groups = (n_row + ROW_GROUP - 1) / ROW_GROUP;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (int thread = 0; thread < threads; thread++)
    for (size_t g = (size_t)thread; g < groups; g += (size_t)threads)
      for (size_t i = g * ROW_GROUP; i < n_row && i < (g + 1) * ROW_GROUP; i++)
        answer_row(lv, t, rowptr[i + 1] - rowptr[i], col + rowptr[i], val + rowptr[i],
                   own_buffer(lv, thread), n_row, out + i);
}
