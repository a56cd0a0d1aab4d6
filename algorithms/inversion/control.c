/* control.c: square root of the prior and the preconditioned Hessian (control.md). */
#include "algorithms/inversion/control.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

void sky_control_free(sky_control *c) {
  if (c == NULL) return;
  sky_free(c->C);
  sky_free(c->F);
  memset(c, 0, sizeof *c);
}

double sky_control_bytes(const sky_problem *p) {
  const double n = (double)(p->n_state + p->n_background);
  return 8 * (7 * n * n + n * (double)p->n_obs);
}

static sky_status check(sky_context *ctx, const sky_problem *p) {
  SKY_TRY(sky_problem_check_elements(ctx, p));
  for (size_t i = 0; i < p->n_obs; i++)
    if (!(p->r_sd[i] > 0))
      return sky_fail(ctx, SKY_E_RANGE, "problem: r_sd[%zu] = %g (expected > 0 for sampling)", i,
                      p->r_sd[i]);
  const double n = (double)(p->n_state + p->n_background), need = sky_control_bytes(p);
  if (need <= (double)sky_context_memory(ctx)) return SKY_OK;
  return sky_fail(ctx, SKY_E_NOMEM,
                  "a posterior of %.0f unknowns that are not negative holds 7 matrices of %.0f x "
                  "%.0f: it needs "
                  "%.0f MB, the memory budget is %.0f MB (--memory)",
                  n, n, n, ceil(need / 1e6), (double)sky_context_memory(ctx) / 1e6);
}

/* Kronecker: S (L_D ⊗ L_E). */
static sky_status root_kronecker(sky_context *ctx, const sky_problem *p, const double *sd,
                                 sky_control *out) {
  const size_t nc = p->n_cell, nt = p->n_time, n = out->n;
  sky_status st = SKY_OK;
  double *E = NULL, *D = NULL;
  SKY_GO_ALLOC(E, SKY_NEW(ctx, double, nc *nc));
  SKY_GO_ALLOC(D, SKY_NEW(ctx, double, nt *nt));
  memcpy(E, p->E, nc * nc * sizeof *E);
  memcpy(D, p->D, nt * nt * sizeof *D);
  st = sky_cholesky(ctx, nc, E);
  if (st == SKY_OK) st = sky_cholesky(ctx, nt, D);
  if (st != SKY_OK) {
    st = sky_fail_in(ctx, st, "prior correlations: ");
    goto cleanup;
  }
  for (size_t i = 0; i < p->n_state; i++)
    for (size_t j = 0; j <= i; j++)
      if (j % nc <= i % nc)
        out->C[i * n + j] = sd[i] * D[i / nc * nt + j / nc] * E[i % nc * nc + j % nc];
cleanup:
  sky_free(E);
  sky_free(D);
  return st;
}

/* Low rank + diagonal: the Cholesky factor of the dense Q, its rows scaled to sd. An element
 * without variance has no covariance; a 1 in its place keeps the rest definite and is scaled away.
 */
static sky_status root_low_rank(sky_context *ctx, const sky_problem *p, const double *sd,
                                sky_control *out) {
  const size_t m = p->n_state, n = out->n;
  double *Q = SKY_NEW0(ctx, double, m *m);
  if (Q == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < m; i++) {
    for (size_t k = 0; k < p->q_rank; k++)
      for (size_t j = 0; j <= i; j++)
        Q[i * m + j] += p->q_sign[k] * p->q_factor[k * m + i] * p->q_factor[k * m + j];
    Q[i * m + i] += p->q_var[i];
  }
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j <= i; j++)
      if (p->x_sd[i] == 0 || p->x_sd[j] == 0) Q[i * m + j] = i == j;
  sky_status st = sky_cholesky(ctx, m, Q);
  if (st != SKY_OK) st = sky_fail_in(ctx, st, "prior covariance: ");
  for (size_t i = 0; st == SKY_OK && i < m; i++)
    for (size_t j = 0; j <= i; j++)
      out->C[i * n + j] = p->x_sd[i] == 0 ? 0 : Q[i * m + j] * (sd[i] / p->x_sd[i]);
  sky_free(Q);
  return st;
}

static sky_status information(sky_context *ctx, const sky_problem *p, sky_control *out) {
  const size_t n = p->n_obs, all = out->n;
  const sky_noise noise = sky_problem_noise(p);
  double *rows = SKY_NEW0(ctx, double, all *n); /* (R^-½ [H B])ᵀ */
  if (rows == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      rows[(size_t)p->col[k] * n + i] = p->val[k];
  sky_offsets_columns(p, rows + p->n_state * n);
  for (size_t k = 0; k < all; k++)
    sky_noise_whiten(&noise, rows + k * n);
  sky_gram(ctx, all, n, rows, rows, out->F);
  sky_free(rows);
  return SKY_OK;
}

sky_status sky_control_build(sky_context *ctx, const sky_problem *p, const double *sd,
                             sky_control *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(check(ctx, p));
  out->n_state = p->n_state;
  out->n = p->n_state + p->n_background;
  if (sd == NULL) sd = p->x_sd;
  SKY_GO_ALLOC(out->C, SKY_NEW0(ctx, double, out->n * out->n));
  SKY_GO_ALLOC(out->F, SKY_NEW(ctx, double, out->n * out->n));
  SKY_GO(p->q_var != NULL ? root_low_rank(ctx, p, sd, out) : root_kronecker(ctx, p, sd, out));
  for (size_t g = 0; g < p->n_background; g++)
    out->C[(p->n_state + g) * (out->n + 1)] = p->b_sd[g];
  SKY_GO(information(ctx, p, out));
cleanup:
  if (st != SKY_OK) sky_control_free(out);
  return st;
}

sky_status sky_control_hessian(sky_context *ctx, const sky_control *c, const double *scale,
                               double *L) {
  const size_t n = c->n;
  sky_status st = SKY_OK;
  double *A = NULL, *AF = NULL; /* A = (S C)ᵀ */
  SKY_GO_ALLOC(A, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(AF, SKY_NEW(ctx, double, n *n));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      A[j * n + i] = c->C[i * n + j] * (scale != NULL ? scale[i] : 1);
  sky_product(ctx, n, n, n, A, c->F, AF);
  sky_gram(ctx, n, n, AF, A, L);
  for (size_t i = 0; i < n; i++)
    L[i * n + i] += 1;
  SKY_GO(sky_cholesky(ctx, n, L));
cleanup:
  sky_free(A);
  sky_free(AF);
  return st;
}

double sky_control_residual(const sky_problem *p, const double *v, double *r) {
  const sky_noise noise = sky_problem_noise(p);
  for (size_t i = 0; i < p->n_obs; i++) {
    double sum = p->y[i];
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      sum -= p->val[k] * v[p->col[k]];
    sky_acc offset = {0, 0};
    sky_offsets_add(p, i, v + p->n_state, &offset);
    sum -= sky_acc_value(&offset);
    r[i] = sum;
  }
  sky_noise_whiten(&noise, r);
  return sky_dot(r, r, p->n_obs);
}

void sky_control_adjoint(const sky_problem *p, double *r, double *out) {
  const sky_noise noise = sky_problem_noise(p);
  sky_noise_whiten_transposed(&noise, r);
  memset(out, 0, (p->n_state + p->n_background) * sizeof *out);
  for (size_t i = 0; i < p->n_obs; i++) {
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      out[p->col[k]] += p->val[k] * r[i];
    sky_offsets_scatter(p, i, r[i], out + p->n_state);
  }
}
