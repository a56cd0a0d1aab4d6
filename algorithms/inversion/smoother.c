/* smoother.c: Kalman filter and Rauch–Tung–Striebel smoother over a window of time steps.
 *
 *   u_(t+1) = ρ u_t + q, q ~ N(0, (1-ρ²) E), x_t = x0_t + S_t u_t       (D = AR(1), stationary)
 *   window z_t = (u_t, u_(t-1), … u_(t-k)): an observation of step t sees z_t alone
 *   analysis  z += P Hᵀ(HPHᵀ+R)⁻¹(d - Hz);  P -= P Hᵀ(HPHᵀ+R)⁻¹ H P
 *   smoother  z_t += C (ẑ_(t+1) - F z_t), C = P_t Fᵀ (F P_t Fᵀ + Q)⁻¹        Rauch et al. 1965
 *
 * The window at step t has min(t, k)+1 blocks: it grows, and at full length the oldest leaves.
 * Behind it may stand what does not change in time: offsets b, and totals of the state, T_t =
 * T_(t-1) + w_tᵀ S_t u_t, added up as the steps come (smoother.md). */
#include "algorithms/inversion/smoother.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define AR1_CLOSE 1e-10

size_t sky_smoother_span(const sky_problem *p) {
  size_t span = 0;
  for (size_t i = 0; i < p->n_obs; i++) {
    if (p->rowptr[i + 1] == p->rowptr[i]) continue;
    const size_t first = (size_t)p->col[p->rowptr[i]] / p->n_cell;
    const size_t last = (size_t)p->col[p->rowptr[i + 1] - 1] / p->n_cell;
    if (last - first > span) span = last - first;
  }
  return span;
}

typedef struct filter {
  sky_context *ctx;
  const sky_problem *p;
  size_t lag, nc, most; /* most = (lag+1)*nc + extra, the longest window and what is behind */
  size_t n_zone, extra; /* extra = n_background + n_zone */
  const double *W;      /* [n_zone*n_state] */
  double chi2, logdet;
  double rho, *d;       /* [n_obs] y - H x0 */
  size_t *step;         /* [n_obs] at which an observation is assimilated */
  double **mean, **cov; /* [n_time] after analysis: [w], [w*w] with w = window_size(t) */
  double *PH, *S, *H;   /* [most*r], [r*r], [r*most], r = most rows of a step */
  double *z, *P;        /* forecast [most], [most*most] */
  double *x, *sd;
} filter;

static size_t window_size(const filter *f, size_t t) {
  return ((t < f->lag ? t : f->lag) + 1) * f->nc;
}

/* With what stands behind the window. */
static size_t full_size(const filter *f, size_t t) {
  return window_size(f, t) + f->extra;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static sky_status check_model(sky_context *ctx, const sky_problem *p, size_t lag, bool offsets) {
  const size_t nt = p->n_time, span = sky_smoother_span(p);
  if (p->q_var != NULL || (p->n_background > 0 && !offsets))
    return sky_fail(ctx, SKY_E_RANGE, "smoother: a low-rank prior or offsets have no AR(1) form");
  const double rho = nt > 1 ? p->D[1] : 0;
  for (size_t i = 0; i < nt; i++)
    for (size_t j = 0; j < nt; j++) {
      const double want = pow(rho, i > j ? (double)(i - j) : (double)(j - i));
      if (!(fabs(p->D[i * nt + j] - want) <= AR1_CLOSE) || !(fabs(rho) < 1))
        return sky_fail(ctx, SKY_E_RANGE,
                        "smoother: D[%zu,%zu] = %g, but AR(1) has %g (expected exponential in "
                        "time)",
                        i, j, p->D[i * nt + j], want);
    }
  for (size_t i = 0; i < p->n_obs; i++)
    if (!(p->r_sd[i] > 0))
      return sky_fail(ctx, SKY_E_RANGE, "smoother: r_sd[%zu] = %g (expected > 0)", i, p->r_sd[i]);
  if (lag < span)
    return sky_fail(ctx, SKY_E_RANGE,
                    "smoother: lag %zu is shorter than the %zu steps that footprints reach back",
                    lag, span);
  return SKY_OK;
}

/* The last step that a row sees; an empty one goes with those of its track, which its error tells
 * of, or with the first: it sees offsets at most. */
static size_t last_step(const sky_problem *p, size_t i) {
  if (p->rowptr[i + 1] == p->rowptr[i]) return SIZE_MAX;
  return (size_t)p->col[p->rowptr[i + 1] - 1] / p->n_cell;
}

static sky_status set_steps(filter *f) {
  const sky_problem *p = f->p;
  for (size_t i = 0; i < p->n_obs; i++)
    f->step[i] = last_step(p, i);
  for (size_t i = 0; p->track != NULL && i < p->n_obs; i++) {
    const size_t own = last_step(p, i);
    for (size_t k = 0; k < p->n_obs && own != SIZE_MAX; k++) {
      if (sky_track_overpass(p->track, k) != sky_track_overpass(p->track, i)) continue;
      if (f->step[k] == SIZE_MAX) f->step[k] = own;
      if (f->step[k] != own)
        return sky_fail(f->ctx, SKY_E_RANGE,
                        "smoother: observations %zu and %zu of one track are of the steps %zu and "
                        "%zu, which their correlated errors would link (expected one)",
                        i, k, own, f->step[k]);
    }
  }
  for (size_t i = 0; i < p->n_obs; i++)
    if (f->step[i] == SIZE_MAX) f->step[i] = 0;
  return SKY_OK;
}

/* ---- filter ---------------------------------------------------------------------------------- */

/* T += w_tᵀ S_t u_t of the new step, in z and on both sides of P [n*n]; T stands from `first` on.
 */
static void add_totals(filter *f, size_t t, size_t n, size_t first) {
  const double *sd = f->p->x_sd + t * f->nc;
  for (size_t k = 0; k < f->n_zone; k++) {
    const double *w = f->W + k * f->p->n_state + t * f->nc;
    for (size_t c = 0; c < f->nc; c++) {
      if (w[c] == 0) continue;
      f->z[first + k] += w[c] * sd[c] * f->z[c];
      cblas_daxpy((int)n, w[c] * sd[c], f->P + c * n, 1, f->P + (first + k) * n, 1);
    }
  }
  for (size_t k = 0; k < f->n_zone; k++) {
    const double *w = f->W + k * f->p->n_state + t * f->nc;
    for (size_t c = 0; c < f->nc; c++)
      if (w[c] != 0) cblas_daxpy((int)n, w[c] * sd[c], f->P + c, (int)n, f->P + first + k, (int)n);
  }
}

/* Forecast of step t from the analysis before: z, P [n*n]. Block 0 is the new step. */
static void forecast(filter *f, size_t t) {
  const size_t nc = f->nc, w = window_size(f, t), n = full_size(f, t), keep = w - nc;
  const double fresh = t > 0 ? 1 - f->rho * f->rho : 1, rho = f->rho;
  memset(f->z, 0, n * sizeof *f->z);
  memset(f->P, 0, n * n * sizeof *f->P);
  for (size_t i = 0; i < nc; i++)
    for (size_t j = 0; j < nc; j++)
      f->P[i * n + j] = fresh * f->p->E[i * nc + j];
  if (t == 0) {
    for (size_t g = 0; f->extra > 0 && g < f->p->n_background; g++)
      f->P[(w + g) * (n + 1)] = f->p->b_sd[g] * f->p->b_sd[g];
    add_totals(f, t, n, n - f->n_zone);
    return;
  }
  const double *m = f->mean[t - 1], *C = f->cov[t - 1];
  const size_t v = window_size(f, t - 1), before = full_size(f, t - 1);
  memcpy(f->z + nc, m, keep * sizeof *m);
  for (size_t i = 0; i < nc; i++) {
    f->z[i] = rho * m[i];
    for (size_t j = 0; j < nc; j++)
      f->P[i * n + j] += rho * rho * C[i * before + j];
    for (size_t j = 0; j < keep; j++)
      f->P[i * n + nc + j] = f->P[(nc + j) * n + i] = rho * C[i * before + j];
    for (size_t s = 0; s < f->extra; s++)
      f->P[i * n + w + s] = f->P[(w + s) * n + i] = rho * C[i * before + v + s];
  }
  for (size_t i = 0; i < keep; i++) {
    memcpy(f->P + (nc + i) * n + nc, C + i * before, keep * sizeof *C);
    for (size_t s = 0; s < f->extra; s++)
      f->P[(nc + i) * n + w + s] = f->P[(w + s) * n + nc + i] = C[i * before + v + s];
  }
  for (size_t s = 0; s < f->extra; s++) {
    f->z[w + s] = m[v + s];
    memcpy(f->P + (w + s) * n + w, C + (v + s) * before + v, f->extra * sizeof *C);
  }
  add_totals(f, t, n, n - f->n_zone);
}

/* Columns of B in one row of the filter, behind its window. */
static void offset_columns(const sky_problem *p, size_t i, double *row) {
  const size_t groups = p->n_background - p->n_regressor;
  if (p->group != NULL && p->group[i] >= 0) row[p->group[i]] = 1;
  for (size_t k = 0; k < p->n_regressor; k++)
    row[groups + k] = p->regressor[k * p->n_obs + i];
}

/* Rows of H S of step t against the window and the offsets, dense [r*n]; returns r. */
static size_t window_rows(filter *f, size_t t, size_t *index) {
  const sky_problem *p = f->p;
  const size_t nc = f->nc, w = window_size(f, t), n = full_size(f, t);
  size_t r = 0;
  for (size_t i = 0; i < p->n_obs; i++) {
    if (f->step[i] != t) continue;
    double *row = f->H + r * n;
    memset(row, 0, n * sizeof *row);
    if (f->extra > 0) offset_columns(p, i, row + w);
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++) {
      const size_t c = (size_t)p->col[k];
      row[(t - c / nc) * nc + c % nc] = p->val[k] * p->x_sd[c];
    }
    index[r++] = i;
  }
  return r;
}

/* z, P -> mean[t], cov[t]: HP [r*n] through L of S = HPHᵀ + R. */
static sky_status analyse(filter *f, size_t t, size_t *index) {
  const size_t w = full_size(f, t), r = window_rows(f, t, index);
  const sky_noise noise = sky_problem_noise(f->p);
  double *innovation = f->S + r * r; /* room for it is behind S */
  memcpy(f->mean[t], f->z, w * sizeof *f->z);
  memcpy(f->cov[t], f->P, w * w * sizeof *f->P);
  if (r == 0) return SKY_OK;
  sky_product(f->ctx, r, w, w, f->H, f->P, f->PH);
  sky_gram(f->ctx, r, w, f->PH, f->H, f->S);
  for (size_t i = 0; i < r; i++) {
    for (size_t j = 0; j <= i; j++)
      f->S[i * r + j] += sky_noise_element(&noise, index[i], index[j]);
    innovation[i] = f->d[index[i]] - cblas_ddot((int)w, f->H + i * w, 1, f->z, 1);
  }
  SKY_TRY(sky_cholesky(f->ctx, r, f->S));
  sky_cholesky_forward(f->ctx, r, f->S, w, f->PH);
  sky_cholesky_forward(f->ctx, r, f->S, 1, innovation);
  f->chi2 += cblas_ddot((int)r, innovation, 1, innovation, 1);
  f->logdet += sky_cholesky_logdet(r, f->S);
  cblas_dgemv(CblasRowMajor, CblasTrans, (int)r, (int)w, 1, f->PH, (int)w, innovation, 1, 1,
              f->mean[t], 1);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)w, (int)w, (int)r, -1, f->PH, (int)w,
              f->PH, (int)w, 1, f->cov[t], (int)w);
  return SKY_OK;
}

/* ---- results --------------------------------------------------------------------------------- */

/* Block b of the window of step t is step t-b. */
static void take_block(filter *f, size_t t, size_t b) {
  const size_t nc = f->nc, w = full_size(f, t), s = (t - b) * nc;
  for (size_t c = 0; c < nc; c++) {
    const size_t i = b * nc + c;
    f->x[s + c] = f->p->x0[s + c] + f->p->x_sd[s + c] * f->mean[t][i];
    f->sd[s + c] = f->p->x_sd[s + c] * sqrt(sky_variance(f->cov[t][i * w + i]));
  }
}

/* mean[t], cov[t] given all observations, from those of t+1 (already smoothed). C = P Fᵀ Pf⁻¹:
 * cross [v*w] = P Fᵀ, then L⁻¹ of its transpose on both sides. */
static sky_status smooth(filter *f, size_t t, double *cross, double *gain, double *change) {
  const size_t nc = f->nc, v = window_size(f, t), w = window_size(f, t + 1), keep = w - nc;
  const double *C = f->cov[t];
  forecast(f, t + 1); /* F z in z, F P Fᵀ + Q in P */
  for (size_t i = 0; i < v; i++) {
    for (size_t j = 0; j < nc; j++)
      cross[i * w + j] = f->rho * C[i * v + j];
    memcpy(cross + i * w + nc, C + i * v, keep * sizeof *C);
  }
  memcpy(gain, cross, v * w * sizeof *gain);
  memcpy(change, f->P, w * w * sizeof *change);
  SKY_TRY(sky_cholesky(f->ctx, w, f->P));
  sky_cholesky_forward_rows(f->ctx, w, f->P, v, gain);
  sky_cholesky_backward_rows(f->ctx, w, f->P, v, gain);
  for (size_t i = 0; i < w; i++)
    f->z[i] = f->mean[t + 1][i] - f->z[i];
  for (size_t i = 0; i < w * w; i++)
    change[i] = f->cov[t + 1][i] - change[i];
  cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)v, (int)w, 1, gain, (int)w, f->z, 1, 1, f->mean[t],
              1);
  sky_product(f->ctx, v, w, w, gain, change, cross);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)v, (int)v, (int)w, 1, cross, (int)w,
              gain, (int)w, 1, f->cov[t], (int)v);
  return SKY_OK;
}

static sky_status smooth_all(filter *f) {
  const size_t m2 = f->most * f->most;
  double *cross = SKY_NEW(f->ctx, double, m2), *gain = SKY_NEW(f->ctx, double, m2);
  double *change = SKY_NEW(f->ctx, double, m2);
  const size_t nt = f->p->n_time;
  sky_status st = cross != NULL && gain != NULL && change != NULL ? SKY_OK : SKY_E_NOMEM;
  for (size_t t = nt; t-- > 0 && st == SKY_OK;) {
    if (t + 1 < nt) st = smooth(f, t, cross, gain, change);
    if (st == SKY_OK) take_block(f, t, 0);
  }
  sky_free(cross);
  sky_free(gain);
  sky_free(change);
  return st;
}

/* A step is final when it is the oldest of a full window, or the data end. */
static void take_fixed_lag(filter *f) {
  const size_t nt = f->p->n_time;
  for (size_t s = 0; s < nt; s++) {
    const size_t t = s + f->lag < nt ? s + f->lag : nt - 1;
    take_block(f, t, t - s);
  }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static sky_status alloc_filter(filter *f, size_t **index) {
  const size_t nt = f->p->n_time;
  size_t rows = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(f->step, SKY_NEW(f->ctx, size_t, f->p->n_obs));
  SKY_GO(set_steps(f));
  SKY_GO_ALLOC(*index, SKY_NEW0(f->ctx, size_t, f->p->n_obs + nt));
  for (size_t t = 0; t < nt; t++) {
    size_t r = 0;
    for (size_t i = 0; i < f->p->n_obs; i++)
      r += f->step[i] == t;
    if (r > rows) rows = r;
  }
  SKY_GO_ALLOC(f->mean, (double **)sky_calloc(f->ctx, nt, sizeof *f->mean));
  SKY_GO_ALLOC(f->cov, (double **)sky_calloc(f->ctx, nt, sizeof *f->cov));
  for (size_t t = 0; t < nt; t++) {
    const size_t w = full_size(f, t);
    SKY_GO_ALLOC(f->mean[t], SKY_NEW(f->ctx, double, w));
    SKY_GO_ALLOC(f->cov[t], SKY_NEW(f->ctx, double, w *w));
  }
  SKY_GO_ALLOC(f->d, SKY_NEW(f->ctx, double, f->p->n_obs));
  SKY_GO_ALLOC(f->PH, SKY_NEW(f->ctx, double, f->most *rows));
  SKY_GO_ALLOC(f->H, SKY_NEW(f->ctx, double, f->most *rows));
  SKY_GO_ALLOC(f->S, SKY_NEW(f->ctx, double, rows *(rows + 1)));
  SKY_GO_ALLOC(f->z, SKY_NEW(f->ctx, double, f->most));
  SKY_GO_ALLOC(f->P, SKY_NEW(f->ctx, double, f->most * f->most));
cleanup:
  return st;
}

static void free_filter(filter *f) {
  for (size_t t = 0; t < f->p->n_time; t++) {
    if (f->mean != NULL) sky_free(f->mean[t]);
    if (f->cov != NULL) sky_free(f->cov[t]);
  }
  sky_free(f->step);
  sky_free(f->mean);
  sky_free(f->cov);
  sky_free(f->d);
  sky_free(f->PH);
  sky_free(f->H);
  sky_free(f->S);
  sky_free(f->z);
  sky_free(f->P);
}

static double bytes_held(const sky_problem *p, size_t most) {
  return ((double)p->n_time + 4) * (double)most * (double)most * 8;
}

double sky_smoother_bytes(const sky_problem *p, size_t lag, size_t n_zone) {
  const size_t held = lag < p->n_time ? lag : p->n_time - 1;
  return bytes_held(p, (held + 1) * p->n_cell + p->n_background + n_zone);
}

/* The filter over all steps; f: ctx, p, x, sd, and what stands behind the window. */
static sky_status run_filter(filter *f, size_t lag) {
  const sky_problem *p = f->p;
  size_t *index = NULL;
  sky_status st = SKY_OK;
  f->nc = p->n_cell;
  f->lag = lag < p->n_time ? lag : p->n_time - 1;
  f->most = (f->lag + 1) * f->nc + f->extra;
  f->rho = p->n_time > 1 ? p->D[1] : 0;
  const double need = bytes_held(p, f->most);
  if (need > (double)sky_context_memory(f->ctx))
    return sky_fail(f->ctx, SKY_E_NOMEM,
                    "smoother: %zu windows of %zu unknowns need %.0f MB, the memory budget is %.0f "
                    "MB (--memory)",
                    p->n_time, f->most, ceil(need / 1e6), (double)sky_context_memory(f->ctx) / 1e6);
  sky_blas_single();
  SKY_GO(alloc_filter(f, &index));
  sky_problem_observe(f->ctx, p, p->x0, p->b0, f->d);
  for (size_t i = 0; i < p->n_obs; i++)
    f->d[i] = p->y[i] - f->d[i];
  for (size_t t = 0; t < p->n_time; t++) {
    forecast(f, t);
    SKY_GO(analyse(f, t, index));
  }
cleanup:
  sky_free(index);
  return st;
}

sky_status sky_smoother_solve(sky_context *ctx, const sky_problem *p, size_t lag, bool fixed_lag,
                              double *x, double *sd) {
  filter f = {.ctx = ctx, .p = p, .x = x, .sd = sd};
  sky_status st = SKY_OK;
  SKY_TRY(sky_problem_check_elements(ctx, p));
  SKY_TRY(check_model(ctx, p, lag, false));
  SKY_GO(run_filter(&f, lag));
  if (fixed_lag)
    take_fixed_lag(&f);
  else
    SKY_GO(smooth_all(&f));
cleanup:
  free_filter(&f);
  return st;
}

/* Offsets and totals behind the last window: they have seen everything. */
static void take_totals(const filter *f, sky_smoothed *out) {
  const sky_problem *p = f->p;
  const size_t last = p->n_time - 1, n = full_size(f, last), w = window_size(f, last);
  const double *m = f->mean[last], *C = f->cov[last];
  for (size_t g = 0; g < p->n_background; g++) {
    out->b[g] = p->b0[g] + m[w + g];
    out->b_sd[g] = sqrt(sky_variance(C[(w + g) * (n + 1)]));
  }
  for (size_t a = 0; a < f->n_zone; a++) {
    const size_t i = w + p->n_background + a;
    out->total[a] = sky_dot(f->W + a * p->n_state, p->x0, p->n_state) + m[i];
    for (size_t b = 0; b <= a; b++)
      out->cov[a * f->n_zone + b] = out->cov[b * f->n_zone + a] =
          C[i * n + w + p->n_background + b];
  }
  out->chi2 = f->chi2;
  out->neg_log_evidence = 0.5 * (f->chi2 + f->logdet + (double)p->n_obs * log(2 * M_PI));
}

sky_status sky_smoother_totals(sky_context *ctx, const sky_problem *p, size_t lag, size_t n_zone,
                               const double *W, sky_smoothed *out) {
  filter f = {.ctx = ctx,
              .p = p,
              .x = out->x,
              .sd = out->sd,
              .W = W,
              .n_zone = n_zone,
              .extra = p->n_background + n_zone};
  sky_status st = SKY_OK;
  SKY_TRY(sky_problem_check_elements(ctx, p));
  SKY_TRY(check_model(ctx, p, lag, true));
  SKY_GO(run_filter(&f, lag));
  take_fixed_lag(&f);
  take_totals(&f, out);
cleanup:
  free_filter(&f);
  return st;
}
