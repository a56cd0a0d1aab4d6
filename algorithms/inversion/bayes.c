/* bayes.c: exact linear Gaussian inversion in observation space (bayes.md).
 *
 *   Ψ = H Q Hᵀ + B Σ_b Bᵀ + R,  Ψ w = d = y - H x0 - B b0                     Rodgers 2000, ch. 4
 *   x̂ = x0 + Q Hᵀ w,  b̂ = b0 + Σ_b Bᵀ w,  P = Q - Q Hᵀ Ψ⁻¹ H Q,  A = Q Hᵀ Ψ⁻¹ H
 *
 * H Q is never held whole: its block of one time step t is S_t E Σ_s D_ts (H_s S_s)ᵀ or, where
 * Q = F diag(s) Fᵀ + diag(v), F_t diag(s) (H F)ᵀ + diag(v_t) H_tᵀ, or what levels answer; dense in
 * [cell, obs], it is made once for Ψ and once for P and A. Units are free but consistent. No
 * constant is added to any diagonal, so results do not depend on the units. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define OBS_TILE 128
#define ROUNDING 1e-9 /* of a prior variance, relative to the sum of its parts' sizes */
#define LOG_2PI 1.8378770664093454836

typedef struct solver {
  sky_context *ctx;
  const sky_problem *p;
  sky_posterior *out;
  size_t *start; /* [n_obs*(n_time+1)] first element of every row's part at each time step */
  double *psi;   /* [n_obs*n_obs] lower: Ψ, then its factor L */
  sky_covariance q;
  double *mixed; /* [n_cell*n_obs] time-mixed Hᵀ, see hq_kronecker */
  double *hf;    /* [q_rank*n_obs] diag(s) (H F)ᵀ */
  double *hq;    /* [n_cell*n_obs] (H Q)ᵀ of one time step, then L⁻¹ and Ψ⁻¹ of it */
  double *d, *w; /* [n_obs] */
  double *u, *qu, *work; /* [n_state] Hᵀw, Q Hᵀ w, scratch */
} solver;

/* ---- checks --------------------------------------------------------------------------------- */

static sky_status check_values(sky_context *ctx, const char *name, const double *v, size_t n,
                               bool is_sd) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(v[i]) || (is_sd && v[i] < 0))
      return sky_fail(ctx, SKY_E_RANGE, "problem: %s[%zu] = %g (expected a finite number%s)", name,
                      i, v[i], is_sd ? " >= 0" : "");
  return SKY_OK;
}

static sky_status check_jacobian(sky_context *ctx, const sky_problem *p) {
  for (size_t i = 0; i < p->n_obs; i++)
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++) {
      if (p->col[k] < 0 || (size_t)p->col[k] >= p->n_state ||
          (k > p->rowptr[i] && p->col[k] <= p->col[k - 1]))
        return sky_fail(
            ctx, SKY_E_RANGE,
            "problem: row %zu of H has column %d (expected ascending columns in 0..%zu)", i,
            p->col[k], p->n_state - 1);
    }
  return check_values(ctx, "H", p->val, p->rowptr[p->n_obs], false);
}

/* The only form whose E and D are there. */
static bool kronecker(const sky_problem *p) {
  return p->q_var == NULL && p->levels == NULL;
}

/* x_sd belongs to the operator: it is looked at, so that both agree. */
static sky_status check_levels(sky_context *ctx, const sky_problem *p) {
  const double *var = sky_levels_variance(p->levels);
  for (size_t i = 0; i < p->n_state; i++)
    if (fabs(p->x_sd[i] * p->x_sd[i] - var[i]) > ROUNDING * var[i])
      return sky_fail(ctx, SKY_E_RANGE,
                      "problem: x_sd[%zu] = %g is not the root of the variance %g that the levels "
                      "state",
                      i, p->x_sd[i], var[i]);
  return SKY_OK;
}

/* Low rank + diagonal: every variance must be one, and be the square of x_sd. */
static sky_status check_low_rank(sky_context *ctx, const sky_problem *p) {
  const size_t m = p->n_state;
  if (p->q_rank > INT32_MAX || (p->q_rank > 0 && (p->q_factor == NULL || p->q_sign == NULL)))
    return sky_fail(ctx, SKY_E_RANGE, "problem: q_rank = %zu without q_factor and q_sign",
                    p->q_rank);
  SKY_TRY(check_values(ctx, "q_factor", p->q_factor, p->q_rank * m, false));
  SKY_TRY(check_values(ctx, "q_var", p->q_var, m, true));
  for (size_t r = 0; r < p->q_rank; r++)
    if (p->q_sign[r] != 1 && p->q_sign[r] != -1)
      return sky_fail(ctx, SKY_E_RANGE, "problem: q_sign[%zu] = %g (expected 1 or -1)", r,
                      p->q_sign[r]);
  for (size_t i = 0; i < m; i++) {
    double var = p->q_var[i], size = p->q_var[i];
    for (size_t r = 0; r < p->q_rank; r++) {
      const double f2 = p->q_factor[r * m + i] * p->q_factor[r * m + i];
      var += p->q_sign[r] * f2;
      size += f2;
    }
    if (var < -ROUNDING * size)
      return sky_fail(ctx, SKY_E_RANGE,
                      "problem: the prior variance of unknown %zu is %g (expected >= 0: factors of "
                      "sign -1 outweigh the rest)",
                      i, var);
    if (fabs(p->x_sd[i] * p->x_sd[i] - var) > ROUNDING * size)
      return sky_fail(
          ctx, SKY_E_RANGE,
          "problem: x_sd[%zu] = %g is not the root of the variance %g that q_factor and "
          "q_var state",
          i, p->x_sd[i], var);
  }
  return SKY_OK;
}

static sky_status check_covariance(sky_context *ctx, const sky_problem *p) {
  if (p->levels != NULL) return check_levels(ctx, p);
  if (p->q_var != NULL) return check_low_rank(ctx, p);
  SKY_TRY(check_values(ctx, "E", p->E, p->n_cell * p->n_cell, false));
  return check_values(ctx, "D", p->D, p->n_time * p->n_time, false);
}

sky_status sky_problem_check(sky_context *ctx, const sky_problem *p) {
  if (kronecker(p) && p->n_cell > SKY_DENSE_CELL_LIMIT)
    return sky_fail(ctx, SKY_E_SIZE,
                    "problem: %zu cells per time step exceed the limit of %d for a dense spatial "
                    "covariance; choose a coarser grid or a smaller box",
                    p->n_cell, SKY_DENSE_CELL_LIMIT);
  if (p->n_state != p->n_cell * p->n_time || p->n_state > INT32_MAX)
    return sky_fail(ctx, SKY_E_RANGE, "problem: %zu unknowns are not %zu cells x %zu times",
                    p->n_state, p->n_cell, p->n_time);
  if (p->n_obs == 0 || p->n_state == 0)
    return sky_fail(ctx, SKY_E_NODATA, "problem: %zu observations, %zu unknowns: nothing to invert",
                    p->n_obs, p->n_state);
  SKY_TRY(check_values(ctx, "y", p->y, p->n_obs, false));
  SKY_TRY(check_values(ctx, "r_sd", p->r_sd, p->n_obs, true));
  SKY_TRY(check_values(ctx, "x0", p->x0, p->n_state, false));
  SKY_TRY(check_values(ctx, "x_sd", p->x_sd, p->n_state, true));
  SKY_TRY(check_covariance(ctx, p));
  if (p->track != NULL && sky_track_size(p->track) != p->n_obs)
    return sky_fail(ctx, SKY_E_RANGE, "problem: a track of %zu places (expected %zu)",
                    sky_track_size(p->track), p->n_obs);
  SKY_TRY(check_jacobian(ctx, p));
  return sky_offsets_check(ctx, p);
}

double sky_problem_bytes(const sky_problem *p, size_t n_zone) {
  const double n = (double)p->n_obs, c = (double)p->n_cell, nt = (double)p->n_time, m = c * nt;
  const double nz = (double)n_zone, nb = (double)p->n_background, r = (double)p->q_rank;
  const double given = (2 * m + 2 * n) * 8 + (double)p->rowptr[p->n_obs] * 12;
  const double prior = p->levels != NULL  ? sky_levels_bytes(p->levels) / 8
                       : p->q_var != NULL ? r * (m + n + 1) + m
                                          : c * c + nt * nt + c * n;
  const double own = n * n + c * n + 2 * n + 3 * m + n * (nt + 1);
  const double extra = n * nb + 6 * nz * m + n * nz;
  return given + (prior + own + extra) * 8 +
         sky_posterior_bytes(p->n_state, p->n_obs, p->n_background, n_zone);
}

static sky_status check_memory(sky_context *ctx, const sky_problem *p, size_t n_zone) {
  const double need = sky_problem_bytes(p, n_zone);
  if (need <= (double)sky_context_memory(ctx)) return SKY_OK;
  return sky_fail(
      ctx, SKY_E_NOMEM,
      "inversion of %zu observations, %zu cells x %zu times and %zu zones needs %.0f MB, "
      "the memory budget is %.0f MB (--memory)",
      p->n_obs, p->n_cell, p->n_time, n_zone, ceil(need / 1e6),
      (double)sky_context_memory(ctx) / 1e6);
}

/* ---- H -------------------------------------------------------------------------------------- */

/* Columns ascend in a row, so the elements of one time step are one run. */
static void index_steps(solver *s) {
  const sky_problem *p = s->p;
  for (size_t i = 0; i < p->n_obs; i++) {
    size_t k = p->rowptr[i];
    for (size_t t = 0; t <= p->n_time; t++) {
      while (k < p->rowptr[i + 1] && (size_t)p->col[k] < t * p->n_cell)
        k++;
      s->start[i * (p->n_time + 1) + t] = k;
    }
  }
}

static size_t step_begin(const solver *s, size_t i, size_t t) {
  return s->start[i * (s->p->n_time + 1) + t];
}

void sky_problem_observe(sky_context *ctx, const sky_problem *p, const double *x, const double *b,
                         double *out) {
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < p->n_obs; i++) {
    sky_acc sum = {0, 0};
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      sky_acc_add(&sum, p->val[k] * x[p->col[k]]);
    if (b != NULL) sky_offsets_add(p, i, b, &sum);
    out[i] = sky_acc_value(&sum);
  }
}

void sky_problem_transpose(const sky_problem *p, const double *v, size_t stride, double *out) {
  memset(out, 0, p->n_state * sizeof *out);
  for (size_t i = 0; i < p->n_obs; i++)
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      out[p->col[k]] += p->val[k] * v[i * stride];
}

/* Rows of H are mixed over time by D, then over space by E. */
static void hq_kronecker(solver *s, size_t t) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, nc = p->n_cell;
  const int threads = sky_context_threads(s->ctx);
  memset(s->mixed, 0, nc * n * sizeof *s->mixed);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (size_t i = 0; i < n; i++)
    for (size_t q = 0; q < p->n_time; q++) {
      const double mix = p->D[t * p->n_time + q];
      for (size_t k = step_begin(s, i, q); k < step_begin(s, i, q + 1); k++)
        s->mixed[(p->col[k] - q * nc) * n + i] += mix * p->x_sd[p->col[k]] * p->val[k];
    }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t j = 0; j < n; j += OBS_TILE) {
    const size_t width = n - j < OBS_TILE ? n - j : OBS_TILE;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)nc, (int)width, (int)nc, 1.0, p->E,
                (int)nc, s->mixed + j, (int)n, 0.0, s->hq + j, (int)n);
    for (size_t c = 0; c < nc; c++)
      cblas_dscal((int)width, p->x_sd[t * nc + c], s->hq + c * n + j, 1);
  }
}

/* hf = diag(s) (H F)ᵀ */
static void observe_factors(solver *s) {
  const sky_problem *p = s->p;
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(s->ctx))
  for (size_t r = 0; r < p->q_rank; r++)
    for (size_t i = 0; i < p->n_obs; i++) {
      sky_acc sum = {0, 0};
      for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
        sky_acc_add(&sum, p->val[k] * p->q_factor[r * p->n_state + (size_t)p->col[k]]);
      s->hf[r * p->n_obs + i] = p->q_sign[r] * sky_acc_value(&sum);
    }
}

static void hq_low_rank(solver *s, size_t t) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, nc = p->n_cell;
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(s->ctx))
  for (size_t j = 0; j < n; j += OBS_TILE) {
    const size_t width = n - j < OBS_TILE ? n - j : OBS_TILE;
    for (size_t c = 0; c < nc; c++)
      memset(s->hq + c * n + j, 0, width * sizeof *s->hq);
    if (p->q_rank > 0)
      cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)nc, (int)width, (int)p->q_rank, 1.0,
                  p->q_factor + t * nc, (int)p->n_state, s->hf + j, (int)n, 0.0, s->hq + j, (int)n);
    for (size_t i = j; i < j + width; i++)
      for (size_t k = step_begin(s, i, t); k < step_begin(s, i, t + 1); k++)
        s->hq[((size_t)p->col[k] - t * nc) * n + i] += p->q_var[p->col[k]] * p->val[k];
  }
}

/* hq [cell, obs] = (H Q)ᵀ of time step t */
static void hq_step(solver *s, size_t t) {
  const sky_problem *p = s->p;
  if (p->levels != NULL)
    sky_levels_rows(s->ctx, p->levels, t, p->n_obs, p->rowptr, p->col, p->val, s->hq);
  else if (p->q_var != NULL)
    hq_low_rank(s, t);
  else
    hq_kronecker(s, t);
}

/* ---- Ψ and the mean ------------------------------------------------------------------------- */

/* psi (lower) += H_t (H Q)ᵀ_t; row i of Ψ belongs to one thread. */
static void gram_step(solver *s, size_t t) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs;
#pragma omp parallel for schedule(dynamic, 16) num_threads(sky_context_threads(s->ctx))
  for (size_t i = 0; i < n; i++)
    for (size_t k = step_begin(s, i, t); k < step_begin(s, i, t + 1); k++)
      cblas_daxpy((int)(i + 1), p->val[k], s->hq + (p->col[k] - t * p->n_cell) * n, 1,
                  s->psi + i * n, 1);
}

static void add_noise(solver *s) {
  const sky_problem *p = s->p;
  const sky_noise noise = sky_problem_noise(p);
  for (size_t i = 0; i < p->n_obs; i++) {
    double *row = s->psi + i * p->n_obs;
    sky_noise_covariance(&noise, i, row);
    sky_offsets_covariance(p, i, row);
  }
}

/* psi (lower) = H Q Hᵀ */
static sky_status gram_all(solver *s) {
  const sky_problem *p = s->p;
  memset(s->psi, 0, p->n_obs * p->n_obs * sizeof *s->psi);
  for (size_t t = 0; t < p->n_time; t++) {
    hq_step(s, t);
    gram_step(s, t);
    SKY_TRY(sky_progress_step(s->ctx, 1));
  }
  return SKY_OK;
}

static sky_status factor_psi(solver *s) {
  SKY_TRY(gram_all(s));
  add_noise(s);
  const sky_status st = sky_cholesky(s->ctx, s->p->n_obs, s->psi);
  return st == SKY_OK ? SKY_OK : sky_fail_in(s->ctx, st, "observation-space covariance: ");
}

static void solve_mean(solver *s) {
  const sky_problem *p = s->p;
  sky_posterior *out = s->out;
  const size_t n = p->n_obs;
  sky_problem_observe(s->ctx, p, p->x0, p->b0, out->simulated_prior);
  for (size_t i = 0; i < n; i++)
    s->d[i] = s->w[i] = p->y[i] - out->simulated_prior[i];
  sky_cholesky_forward(s->ctx, n, s->psi, 1, s->w);
  sky_cholesky_backward(s->ctx, n, s->psi, 1, s->w);

  sky_problem_transpose(p, s->w, 1, s->u);
  sky_covariance_apply(s->ctx, &s->q, s->u, 1, s->work, s->qu);
  for (size_t i = 0; i < p->n_state; i++)
    out->x[i] = p->x0[i] + s->qu[i];
  out->jb = sky_dot(s->u, s->qu, p->n_state);

  sky_offsets_sums(p, s->w, 1, out->b);
  for (size_t g = 0; g < p->n_background; g++) {
    const double step = p->b_sd[g] * p->b_sd[g] * out->b[g];
    out->jb += step * out->b[g];
    out->b[g] = p->b0[g] + step;
  }
  sky_problem_observe(s->ctx, p, out->x, out->b, out->simulated);
  for (size_t i = 0; i < n; i++)
    out->residual[i] = p->y[i] - out->simulated[i];
  const sky_noise noise = sky_problem_noise(p);
  out->jo = sky_noise_variance(&noise, s->w, 1); /* R w = y - H x̂ - B b̂, also where r_sd is 0 */
  out->chi2 = sky_dot(s->d, s->w, n);
  out->neg_log_evidence = 0.5 * (out->chi2 + sky_cholesky_logdet(n, s->psi) + (double)n * LOG_2PI);
}

/* ---- uncertainty ---------------------------------------------------------------------------- */

/* Posterior sd and averaging kernel of the cells of one time step:
 * P_ii = Q_ii - |L⁻¹ (HQ)_i|²,  A_ii = (HQ)_iᵀ Ψ⁻¹ H_i. */
static void uncertainty_step(solver *s, size_t t) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, nc = p->n_cell;
  double *sd = s->out->sd + t * nc, *ak = s->out->ak + t * nc;
  hq_step(s, t);
  sky_cholesky_forward_rows(s->ctx, n, s->psi, nc, s->hq);
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(s->ctx))
  for (size_t c = 0; c < nc; c++) {
    double prior = p->x_sd[t * nc + c] * p->x_sd[t * nc + c];
    if (kronecker(p)) prior = prior * p->D[t * p->n_time + t] * p->E[c * nc + c];
    sd[c] = sqrt(sky_variance(prior - sky_dot(s->hq + c * n, s->hq + c * n, n)));
  }
  sky_cholesky_backward_rows(s->ctx, n, s->psi, nc, s->hq);
  for (size_t i = 0; i < n; i++)
    for (size_t k = step_begin(s, i, t); k < step_begin(s, i, t + 1); k++) {
      const size_t c = p->col[k] - t * nc;
      ak[c] += p->val[k] * s->hq[c * n + i];
    }
}

/* Posterior sd of the offsets and their DOFS: C = L⁻¹ B, P_gg = σ²(1 - σ²|C_g|²). */
static sky_status uncertainty_background(solver *s) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, nb = p->n_background;
  sky_posterior *out = s->out;
  if (nb == 0) return SKY_OK;
  double *C = SKY_NEW(s->ctx, double, nb *n);
  if (C == NULL) return SKY_E_NOMEM;
  sky_offsets_columns(p, C);
  sky_cholesky_forward_rows(s->ctx, n, s->psi, nb, C);
  sky_acc dofs = {0, 0};
  for (size_t g = 0; g < nb; g++) {
    const double ak = p->b_sd[g] * p->b_sd[g] * sky_dot(C + g * n, C + g * n, n);
    out->b_post_sd[g] = p->b_sd[g] * sqrt(sky_variance(1 - ak));
    sky_acc_add(&dofs, ak);
  }
  out->dofs_background = sky_acc_value(&dofs);
  sky_free(C);
  return SKY_OK;
}

/* ---- zones ---------------------------------------------------------------------------------- */

/* Z [n_obs*n_zone] = H QW, QW [n_zone*n_state] */
static void observe_zones(const solver *s, size_t nz, const double *QW, double *Z) {
  const sky_problem *p = s->p;
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(s->ctx))
  for (size_t i = 0; i < p->n_obs; i++)
    for (size_t z = 0; z < nz; z++) {
      sky_acc sum = {0, 0};
      for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
        sky_acc_add(&sum, p->val[k] * QW[z * p->n_state + p->col[k]]);
      Z[i * nz + z] = sky_acc_value(&sum);
    }
}

/* cov -= ZᵀZ with Z = L⁻¹HQWᵀ */
static void reduce_covariance(solver *s, size_t nz, const double *Z, double *cov) {
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(s->ctx))
  for (size_t a = 0; a < nz; a++)
    for (size_t b = 0; b <= a; b++) {
      sky_acc sum = {0, 0};
      for (size_t i = 0; i < s->p->n_obs; i++)
        sky_acc_add(&sum, Z[i * nz + a] * Z[i * nz + b]);
      cov[a * nz + b] -= sky_acc_value(&sum);
      cov[b * nz + a] = cov[a * nz + b];
    }
}

/* aᵀ K (R + B Σ_b Bᵀ) Kᵀ a with k = Kᵀa = Ψ⁻¹HQa, one column of K; sums: scratch [n_background] */
static double noise_variance(const sky_problem *p, const double *k, size_t stride, double *sums) {
  const sky_noise noise = sky_problem_noise(p);
  sky_acc sum = {sky_noise_variance(&noise, k, stride), 0};
  sky_offsets_sums(p, k, stride, sums);
  for (size_t g = 0; g < p->n_background; g++) {
    const double e = p->b_sd[g] * sums[g];
    sky_acc_add(&sum, e * e);
  }
  return sky_acc_value(&sum);
}

static sky_status solve_zones(solver *s, const sky_functionals *zones) {
  const sky_problem *p = s->p;
  sky_posterior *out = s->out;
  const size_t nz = zones->n_zone, n = p->n_obs, m = p->n_state;
  double *QW = NULL, *Z = NULL, *work = NULL, *sums = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(QW, SKY_NEW(s->ctx, double, nz *m));
  SKY_GO_ALLOC(work, SKY_NEW(s->ctx, double, nz *m));
  SKY_GO_ALLOC(Z, SKY_NEW(s->ctx, double, nz *n));
  SKY_GO_ALLOC(sums, SKY_NEW(s->ctx, double, nz * p->n_background));

  sky_covariance_apply(s->ctx, &s->q, zones->W, nz, work, QW);
  sky_gram(s->ctx, nz, m, zones->W, QW, out->zone_cov);
  for (size_t z = 0; z < nz; z++)
    out->prior_sd[z] = out->zone_cov[z * nz + z];
  observe_zones(s, nz, QW, Z);
  sky_cholesky_forward(s->ctx, n, s->psi, nz, Z);
  reduce_covariance(s, nz, Z, out->zone_cov);
  sky_cholesky_backward(s->ctx, n, s->psi, nz, Z);
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(s->ctx))
  for (size_t z = 0; z < nz; z++) {
    sky_problem_transpose(p, Z + z, nz, out->zone_A + z * m);
    out->zone_noise_var[z] = noise_variance(p, Z + z, nz, sums + z * p->n_background);
  }
  SKY_GO(sky_zone_inventory(s->ctx, zones, &s->q, out));
  sky_posterior_zones(zones, p->n_cell, p->x0, out);
cleanup:
  sky_free(QW);
  sky_free(work);
  sky_free(Z);
  sky_free(sums);
  return st;
}

/* ---- H Q Hᵀ alone ---------------------------------------------------------------------------- */

/* What hq_step works with. */
static sky_status alloc_rows(solver *s) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(s->start, SKY_NEW(s->ctx, size_t, n * (p->n_time + 1)));
  SKY_GO_ALLOC(s->mixed, SKY_NEW(s->ctx, double, kronecker(p) ? p->n_cell *n : 0));
  SKY_GO_ALLOC(s->hf, SKY_NEW(s->ctx, double, p->q_rank *n));
  SKY_GO_ALLOC(s->hq, SKY_NEW(s->ctx, double, p->n_cell *n));
cleanup:
  return st; /* what is there is freed by free_rows */
}

static void free_rows(solver *s) {
  sky_free(s->start);
  sky_free(s->mixed);
  sky_free(s->hf);
  sky_free(s->hq);
}

sky_status sky_problem_gram(sky_context *ctx, const sky_problem *p, double *G) {
  const size_t n = p->n_obs;
  solver s = {.ctx = ctx, .p = p, .psi = G};
  sky_status st = SKY_OK;
  sky_blas_single();
  SKY_GO(alloc_rows(&s));
  index_steps(&s);
  observe_factors(&s);
  SKY_GO(gram_all(&s));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++)
      G[j * n + i] = G[i * n + j];
cleanup:
  free_rows(&s);
  return st;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static sky_status run_solver(solver *s, const sky_functionals *zones) {
  const sky_problem *p = s->p;
  index_steps(s);
  observe_factors(s);
  SKY_TRY(factor_psi(s));
  solve_mean(s);
  for (size_t t = 0; t < p->n_time; t++) {
    uncertainty_step(s, t);
    SKY_TRY(sky_progress_step(s->ctx, 1));
  }
  s->out->dofs = sky_sum(s->out->ak, p->n_state);
  SKY_TRY(uncertainty_background(s));
  return zones != NULL && zones->n_zone > 0 ? solve_zones(s, zones) : SKY_OK;
}

sky_status sky_problem_solve(sky_context *ctx, const sky_problem *p, const sky_functionals *zones,
                             sky_posterior *out) {
  const size_t nz = zones != NULL ? zones->n_zone : 0;
  solver s = {.ctx = ctx, .p = p, .out = out};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_problem_check(ctx, p));
  if (nz > 0) SKY_TRY(sky_zone_inventory_check(ctx, zones, p->n_cell, !kronecker(p)));
  SKY_TRY(check_memory(ctx, p, nz));
  const size_t n = p->n_obs, m = p->n_state;
  s.q = sky_problem_covariance(p);
  sky_blas_single();
  sky_progress_begin(ctx, "invert", 2 * p->n_time);
  SKY_GO(sky_posterior_alloc(ctx, m, n, p->n_background, nz, out));
  SKY_GO_ALLOC(s.psi, SKY_NEW(ctx, double, n *n));
  SKY_GO(alloc_rows(&s));
  SKY_GO_ALLOC(s.d, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(s.w, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(s.u, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(s.qu, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(s.work, SKY_NEW(ctx, double, m));
  SKY_GO(run_solver(&s, zones));
cleanup:
  sky_progress_end(ctx);
  sky_free(s.psi);
  free_rows(&s);
  sky_free(s.d);
  sky_free(s.w);
  sky_free(s.u);
  sky_free(s.qu);
  sky_free(s.work);
  if (st != SKY_OK) sky_posterior_free(out);
  return st;
}
