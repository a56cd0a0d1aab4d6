/* osse_run.c: members of a linear Gaussian experiment, all solved with one factorisation (osse.md).
 *
 * Member k: x = x0 + Q^½ z (Q of the plan, osse_prior.h), b = b0 + Σ_b^½ z', e = noise; d = H(x -
 * x0) + B(b - b0) + e, w = Ψ⁻¹d; the estimate of a zone is its prior + (HQa)ᵀw, Jb = wᵀGw, Jo =
 * |R^½w|². */
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/osse_prior.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

/* ---- draws of the state ---------------------------------------------------------------------- */

typedef struct root { /* A = F Fᵀ, positive semi-definite; rows of F as given, columns rank */
  size_t n, rank;
  double *F; /* [n*n], columns beyond rank are 0 */
} root;

/* Pivoted Cholesky: a covariance may be singular (shares that add up to one). */
static sky_status make_root(sky_context *ctx, size_t n, const double *A, const char *name,
                            root *r) {
  lapack_int *pivot = NULL, rank = 0;
  double *L = NULL;
  sky_status st = SKY_OK;
  r->n = n;
  SKY_GO_ALLOC(pivot, SKY_NEW(ctx, lapack_int, n));
  SKY_GO_ALLOC(L, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(r->F, SKY_NEW0(ctx, double, n *n));
  memcpy(L, A, n * n * sizeof *L);
  sky_blas_single();
  /* column-major 'U' of a symmetric row-major matrix: row i of Lᵀ, as in cholesky.c */
  if (LAPACKE_dpstrf(LAPACK_COL_MAJOR, 'U', (lapack_int)n, L, (lapack_int)n, pivot, &rank, -1) < 0)
    SKY_GO(sky_fail(ctx, SKY_E_NOT_SPD, "osse: %s has no square root", name));
  r->rank = (size_t)rank;
  for (size_t i = 0; i < n; i++) /* row i of the factor belongs to row pivot[i] of A */
    for (size_t j = 0; j <= i && j < r->rank; j++)
      r->F[((size_t)pivot[i] - 1) * n + j] = L[i * n + j];
cleanup:
  sky_free(pivot);
  sky_free(L);
  return st;
}

typedef struct sampler {
  const sky_problem *p;
  root space, time, whole; /* whole: low rank + diagonal, formed */
  double *z, *half;        /* [n_state] */
} sampler;

static void free_sampler(sampler *s) {
  sky_free(s->space.F);
  sky_free(s->time.F);
  sky_free(s->whole.F);
  sky_free(s->z);
  sky_free(s->half);
}

static sky_status whole_root(sky_context *ctx, const sky_problem *p, root *r) {
  const size_t m = p->n_state;
  if (m > SKY_DENSE_CELL_LIMIT)
    return sky_fail(ctx, SKY_E_SIZE,
                    "osse: %zu unknowns of a low-rank prior exceed the limit of %d for drawing", m,
                    SKY_DENSE_CELL_LIMIT);
  const double need = 24.0 * (double)m * (double)m, budget = (double)sky_context_memory(ctx);
  if (need > budget)
    return sky_fail(
        ctx, SKY_E_NOMEM,
        "osse: drawing %zu unknowns of a low-rank prior holds 3 matrices of %zu x %zu: it "
        "needs %.0f MB, the memory budget is %.0f MB (--memory)",
        m, m, m, ceil(need / 1e6), budget / 1e6);
  double *Q = SKY_NEW0(ctx, double, m *m);
  if (Q == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < m; i++) {
    Q[i * m + i] = p->q_var[i];
    for (size_t k = 0; k < p->q_rank; k++) {
      const double f = p->q_sign[k] * p->q_factor[k * m + i];
      for (size_t j = 0; j < m; j++)
        Q[i * m + j] += f * p->q_factor[k * m + j];
    }
  }
  const sky_status st = make_root(ctx, m, Q, "the prior covariance", r);
  sky_free(Q);
  return st;
}

static sky_status make_sampler(sky_context *ctx, const sky_problem *p, sampler *s) {
  sky_status st = SKY_OK;
  SKY_TRY(sky_problem_check_elements(ctx, p));
  s->p = p;
  SKY_GO_ALLOC(s->z, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(s->half, SKY_NEW(ctx, double, p->n_state));
  if (p->q_var != NULL) return whole_root(ctx, p, &s->whole);
  SKY_GO(make_root(ctx, p->n_cell, p->E, "the spatial correlation", &s->space));
  SKY_GO(make_root(ctx, p->n_time, p->D, "the temporal correlation", &s->time));
cleanup:
  return st;
}

/* dx [n_state] ~ N(0, Q) */
static void draw_state(sampler *s, uint64_t seed, uint64_t stream, double *dx) {
  const sky_problem *p = s->p;
  const int nc = (int)p->n_cell, nt = (int)p->n_time, m = (int)p->n_state;
  for (size_t i = 0; i < p->n_state; i++)
    s->z[i] = sky_rng_normal(seed, stream, i);
  if (p->q_var != NULL) {
    cblas_dgemv(CblasRowMajor, CblasNoTrans, m, m, 1, s->whole.F, m, s->z, 1, 0, dx, 1);
    return;
  }
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, nt, nc, nc, 1, s->z, nc, s->space.F, nc, 0,
              s->half, nc);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, nt, nc, nt, 1, s->time.F, nt, s->half, nc,
              0, dx, nc);
  for (size_t i = 0; i < p->n_state; i++)
    dx[i] *= p->x_sd[i];
}

/* ---- members --------------------------------------------------------------------------------- */

typedef struct experiment {
  const sky_problem *p;
  const sky_osse_plan *plan;
  size_t nz;
  const double *W;
  sky_dual d;
  sky_problem drawn; /* p with the prior that truths come from */
  sampler sampler;
  double *HQW, *cov;     /* [nz*n], [nz*nz] */
  double *total, *truth; /* [nz] */
  double *dx, *db, *w;   /* [n_state], [n_background], [n] */
  double dofs;           /* n - tr(R Ψ⁻¹) */
} experiment;

void sky_osse_noise(const sky_problem *p, const sky_osse_plan *plan, uint64_t stream, double *out) {
  const double rho = plan->noise_correlation, fresh = sqrt(1 - rho * rho);
  const sky_noise r = sky_problem_noise(p);
  double u = 0;
  for (size_t i = 0; i < p->n_obs; i++) {
    const double z = sky_rng_normal(plan->seed, stream, i);
    u = i == 0 ? z : rho * u + fresh * z;
    out[i] = plan->noise_factor * u;
  }
  sky_noise_colour(&r, out);
}

/* Four streams of random numbers a member: state, offsets, noise, spare. */
static void draw_innovation(sky_context *ctx, experiment *e, uint64_t member) {
  const sky_problem *p = e->p;
  const uint64_t seed = e->plan->seed, stream = 4 * member;
  draw_state(&e->sampler, seed, stream, e->dx);
  for (size_t k = 0; k < p->n_background; k++)
    e->db[k] = p->b_sd[k] * sky_rng_normal(seed, stream + 1, k);
  sky_problem_observe(ctx, p, e->dx, p->n_background > 0 ? e->db : NULL, e->d.d);
  sky_osse_noise(p, e->plan, stream + 2, e->w);
  for (size_t i = 0; i < p->n_obs; i++)
    e->d.d[i] += e->w[i];
}

/* All but the member's own numbers is shared: only Ψ⁻¹d is solved again. */
static sky_status solve_member(sky_context *ctx, experiment *e, sky_osse *out) {
  const sky_problem *p = e->p;
  const size_t n = p->n_obs;
  memcpy(e->w, e->d.d, n * sizeof *e->w);
  sky_cholesky_forward(ctx, n, e->d.L, 1, e->w);
  sky_cholesky_backward(ctx, n, e->d.L, 1, e->w);
  const sky_noise r = sky_problem_noise(p);
  const double chi2 = sky_dot(e->d.d, e->w, n), jo = sky_noise_variance(&r, e->w, 1);
  for (size_t z = 0; z < e->nz; z++) { /* both relative to the prior total */
    e->total[z] = sky_dot(e->HQW + z * n, e->w, n);
    e->truth[z] = sky_dot(e->W + z * p->n_state, e->dx, p->n_state);
  }
  return sky_osse_add(ctx, out, e->total, e->cov, e->truth, chi2 - jo, jo, e->dofs);
}

/* Of the zones: WQWᵀ - (HQWᵀ)ᵀΨ⁻¹HQWᵀ */
static sky_status zone_covariance(sky_context *ctx, experiment *e) {
  const size_t n = e->p->n_obs, nz = e->nz;
  double *half = SKY_NEW(ctx, double, nz *n); /* L⁻¹HQa */
  sky_status st = SKY_OK;
  if (half == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_dual_zones(ctx, e->p, nz, e->W, e->HQW, e->cov));
  for (size_t z = 0; z < nz; z++) {
    memcpy(half + z * n, e->HQW + z * n, n * sizeof *half);
    sky_cholesky_forward(ctx, n, e->d.L, 1, half + z * n);
  }
  for (size_t a = 0; a < nz; a++)
    for (size_t b = 0; b <= a; b++)
      e->cov[a * nz + b] = e->cov[b * nz + a] =
          e->cov[a * nz + b] - sky_dot(half + a * n, half + b * n, n);
  for (size_t z = 0; z < nz; z++)
    if (!(sky_variance(e->cov[z * nz + z]) > 0))
      SKY_GO(sky_fail(ctx, SKY_E_RANGE, "osse: zone %zu has no uncertainty to be tested", z));
cleanup:
  sky_free(half);
  return st;
}

static sky_status prepare(sky_context *ctx, experiment *e) {
  const sky_problem *p = e->p;
  sky_status st = SKY_OK;
  SKY_GO(sky_dual_make(ctx, p, &e->d));
  SKY_GO(sky_osse_prior_make(ctx, p, e->plan, &e->drawn));
  SKY_GO(make_sampler(ctx, &e->drawn, &e->sampler));
  SKY_GO_ALLOC(e->HQW, SKY_NEW(ctx, double, e->nz * p->n_obs));
  SKY_GO_ALLOC(e->cov, SKY_NEW(ctx, double, e->nz * e->nz));
  SKY_GO_ALLOC(e->total, SKY_NEW(ctx, double, e->nz));
  SKY_GO_ALLOC(e->truth, SKY_NEW(ctx, double, e->nz));
  SKY_GO_ALLOC(e->dx, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(e->db, SKY_NEW(ctx, double, p->n_background));
  SKY_GO_ALLOC(e->w, SKY_NEW(ctx, double, p->n_obs));
  SKY_GO(zone_covariance(ctx, e));
  const sky_noise r = sky_problem_noise(p);
  sky_acc left = {0, 0};
  for (size_t i = 0; i < p->n_obs; i++)
    sky_acc_add(&left, sky_noise_row(&r, i, e->d.inverse + i * p->n_obs));
  e->dofs = (double)p->n_obs - sky_acc_value(&left);
cleanup:
  return st;
}

sky_status sky_osse_check(sky_context *ctx, const sky_osse_plan *plan) {
  if (plan->members < 20)
    return sky_fail(ctx, SKY_E_RANGE, "osse: %zu members (expected 20 or more)", plan->members);
  if (!(plan->noise_factor > 0) || !isfinite(plan->noise_factor))
    return sky_fail(ctx, SKY_E_RANGE, "osse: noise factor %g (expected a number > 0)",
                    plan->noise_factor);
  if (!(fabs(plan->noise_correlation) < 1))
    return sky_fail(ctx, SKY_E_RANGE, "osse: noise correlation %g (expected -1 < r < 1)",
                    plan->noise_correlation);
  if (!(plan->prior_factor > 0) || !isfinite(plan->prior_factor))
    return sky_fail(ctx, SKY_E_RANGE, "osse: prior factor %g (expected a number > 0)",
                    plan->prior_factor);
  if (!(plan->length_factor > 0) || !isfinite(plan->length_factor))
    return sky_fail(ctx, SKY_E_RANGE, "osse: length factor %g (expected a number > 0)",
                    plan->length_factor);
  return SKY_OK;
}

sky_status sky_osse_run(sky_context *ctx, const sky_problem *p, size_t n_zone, const double *W,
                        const sky_osse_plan *plan, sky_osse *out) {
  experiment e = {.p = p, .drawn = *p, .plan = plan, .nz = n_zone, .W = W};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_osse_check(ctx, plan));
  sky_progress_begin(ctx, "osse", plan->members + p->n_time);
  SKY_GO(sky_osse_begin(ctx, n_zone, p->n_obs, out));
  SKY_GO(prepare(ctx, &e));
  for (uint64_t k = 0; k < plan->members; k++) {
    draw_innovation(ctx, &e, k);
    SKY_GO(solve_member(ctx, &e, out));
    SKY_GO(sky_progress_step(ctx, 1));
  }
  sky_osse_finish(out);
cleanup:
  sky_progress_end(ctx);
  sky_dual_free(&e.d);
  free_sampler(&e.sampler);
  sky_osse_prior_free(p, &e.drawn);
  double *const all[] = {e.HQW, e.cov, e.total, e.truth, e.dx, e.db, e.w};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    sky_free(all[i]);
  if (st != SKY_OK) sky_osse_free(out);
  return st;
}
