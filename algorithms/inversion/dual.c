/* dual.c: Ψ = H Q Hᵀ + B Σ_b Bᵀ + R, its factor, its inverse and Ψ⁻¹d, dense (dual.h). */
#include "algorithms/inversion/dual.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/offsets.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836

double sky_dual_bytes(const sky_problem *p, size_t squares) {
  const sky_functionals none = {.totals_only = true};
  const double n = (double)p->n_obs;
  return sky_problem_bytes(p, &none) + (5 + (double)squares) * n * n * 8;
}

sky_status sky_dual_room(sky_context *ctx, const sky_problem *p, const char *what, size_t squares) {
  const double need = sky_dual_bytes(p, squares), budget = (double)sky_context_memory(ctx);
  if (need <= budget) return SKY_OK;
  return sky_fail(
      ctx, SKY_E_NOMEM,
      "%s of %zu observations and %zu unknowns holds %zu matrices of %zu x %zu: it needs "
      "%.0f MB, the memory budget is %.0f MB (--memory)",
      what, p->n_obs, p->n_state, 5 + squares, p->n_obs, p->n_obs, ceil(need / 1e6), budget / 1e6);
}

sky_status sky_dual_factor(sky_context *ctx, const sky_noise *r, sky_dual *d) {
  const size_t n = d->n;
  double *rows = SKY_NEW0(ctx, double, n *n); /* L⁻¹, transposed: row i solves L x = e_i */
  if (rows == NULL) return SKY_E_NOMEM;
  memcpy(d->psi, d->G, n * n * sizeof *d->psi);
  for (size_t i = 0; i < n; i++) {
    sky_noise_covariance(r, i, d->psi + i * n);
    for (size_t j = 0; j < i; j++)
      d->psi[j * n + i] = d->psi[i * n + j];
  }
  memcpy(d->L, d->psi, n * n * sizeof *d->L);
  const sky_status st = sky_cholesky(ctx, n, d->L);
  if (st == SKY_OK) {
    for (size_t i = 0; i < n; i++)
      rows[i * n + i] = 1;
    sky_cholesky_forward_rows(ctx, n, d->L, n, rows);
    sky_gram(ctx, n, n, rows, rows, d->inverse);
    memcpy(d->w, d->d, n * sizeof *d->w);
    sky_cholesky_forward(ctx, n, d->L, 1, d->w);
    sky_cholesky_backward(ctx, n, d->L, 1, d->w);
  }
  sky_free(rows);
  return st == SKY_OK ? SKY_OK : sky_fail_in(ctx, st, "observation-space covariance: ");
}

sky_status sky_dual_make(sky_context *ctx, const sky_problem *p, sky_dual *out) {
  const size_t n = p->n_obs;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_problem_check(ctx, p));
  SKY_TRY(sky_dual_room(ctx, p, "the dense picture", 0));
  out->n = n;
  SKY_GO_ALLOC(out->G, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(out->psi, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(out->L, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(out->inverse, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(out->d, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(out->w, SKY_NEW(ctx, double, n));
  sky_problem_observe(ctx, p, p->x0, p->b0, out->d);
  for (size_t i = 0; i < n; i++)
    out->d[i] = p->y[i] - out->d[i];
  SKY_GO(sky_problem_gram(ctx, p, out->G));
  for (size_t i = 0; i < n; i++) {
    sky_offsets_covariance(p, i, out->G + i * n);
    for (size_t j = 0; j < i; j++)
      out->G[j * n + i] = out->G[i * n + j];
  }
  const sky_noise noise = sky_problem_noise(p);
  SKY_GO(sky_dual_factor(ctx, &noise, out));
cleanup:
  if (st != SKY_OK) sky_dual_free(out);
  return st;
}

sky_status sky_dual_zones(sky_context *ctx, const sky_problem *p, size_t n_zone, const double *W,
                          double *HQW, double *prior) {
  const size_t m = p->n_state;
  const sky_covariance q = sky_problem_covariance(p);
  double *QW = NULL, *work = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(QW, SKY_NEW(ctx, double, n_zone *m));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, n_zone *m));
  sky_blas_single();
  sky_covariance_apply(ctx, &q, W, n_zone, work, QW);
  sky_gram(ctx, n_zone, m, W, QW, prior);
  for (size_t z = 0; z < n_zone; z++)
    sky_problem_observe(ctx, p, QW + z * m, NULL, HQW + z * p->n_obs);
cleanup:
  sky_free(QW);
  sky_free(work);
  return st;
}

double sky_dual_evidence(const sky_dual *d) {
  return 0.5 *
         (sky_dot(d->d, d->w, d->n) + sky_cholesky_logdet(d->n, d->L) + (double)d->n * LOG_2PI);
}

void sky_dual_free(sky_dual *d) {
  if (d == NULL) return;
  sky_free(d->G);
  sky_free(d->psi);
  sky_free(d->L);
  sky_free(d->inverse);
  sky_free(d->d);
  sky_free(d->w);
  memset(d, 0, sizeof *d);
}
