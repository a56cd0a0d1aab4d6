/* trace.c: stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017, SIAM J. Matrix Anal. Appl. 38,
 * 1075): zᵀ f(A) z / n = e₁ᵀ f(T) e₁ for a random vector z of signs, E = tr f(A) / n. */
#include "algorithms/inversion/trace.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

#define MOST_STEPS 400
#define CHECK_EVERY 10
#define SETTLED 1e-4   /* Gauss and Gauss–Radau agree to this, relative, in every probe */
#define T_975 2.131449 /* Student's t with 15 degrees of freedom */
#define NODE (1 - 1e-9)

typedef struct probe {
  double alpha[MOST_STEPS], beta[MOST_STEPS]; /* beta[i] between steps i and i+1 */
  double dofs, logdet;
} probe;

/* e₁ᵀ f(T) e₁ of the tridiagonal T of m steps; Z: scratch [m*m]. */
static bool quadrature(const double *alpha, const double *beta, size_t m, double *Z, double *dofs,
                       double *logdet) {
  double d[MOST_STEPS + 1], e[MOST_STEPS + 1];
  memcpy(d, alpha, m * sizeof *d);
  memcpy(e, beta, (m - 1) * sizeof *e);
  if (LAPACKE_dstev(LAPACK_COL_MAJOR, 'V', (int)m, d, e, Z, (int)m) != 0) return false;
  *dofs = *logdet = 0;
  for (size_t i = 0; i < m; i++) {
    const double weight = Z[i * m] * Z[i * m], theta = d[i] > 1 ? d[i] : 1;
    *dofs += weight * (1 - 1 / theta);
    *logdet += weight * log(theta);
  }
  return true;
}

/* Gauss, and Gauss–Radau with its node at 1 on the other side; true when both have settled. */
static bool evaluate(probe *p, size_t m, double *Z, bool *settled) {
  double alpha[MOST_STEPS + 1], dofs, logdet;
  if (!quadrature(p->alpha, p->beta, m, Z, &p->dofs, &p->logdet)) return false;
  memcpy(alpha, p->alpha, m * sizeof *alpha);
  double pivot = alpha[0] - NODE; /* of T - node: the last one is 1/((T - node)⁻¹)_mm */
  for (size_t i = 1; i < m; i++)
    pivot = alpha[i] - NODE - p->beta[i - 1] * p->beta[i - 1] / pivot;
  alpha[m] = NODE + (pivot > 0 ? p->beta[m - 1] * p->beta[m - 1] / pivot : 0);
  if (!quadrature(alpha, p->beta, m + 1, Z, &dofs, &logdet)) return false;
  *settled =
      fabs(dofs - p->dofs) <= SETTLED * p->dofs && fabs(logdet - p->logdet) <= SETTLED * p->logdet;
  p->dofs = 0.5 * (p->dofs + dofs);
  p->logdet = 0.5 * (p->logdet + logdet);
  return true;
}

static sky_estimate summarise(const probe *p, size_t offset, double n) {
  double v[SKY_TRACE_PROBES], var = 0;
  for (size_t k = 0; k < SKY_TRACE_PROBES; k++)
    v[k] = n * *(const double *)(const void *)((const char *)&p[k] + offset);
  const double mean = sky_sum(v, SKY_TRACE_PROBES) / SKY_TRACE_PROBES;
  for (size_t k = 0; k < SKY_TRACE_PROBES; k++)
    var += (v[k] - mean) * (v[k] - mean) / (SKY_TRACE_PROBES - 1);
  return (sky_estimate){mean, T_975 * sqrt(var / SKY_TRACE_PROBES)};
}

/* One step of all probes: v becomes the next vector, w the one before. */
static void advance(size_t n, probe *p, size_t step, double *v, double *before, double *w) {
  p->alpha[step] = cblas_ddot((int)n, v, 1, w, 1);
  cblas_daxpy((int)n, -p->alpha[step], v, 1, w, 1);
  if (step > 0) cblas_daxpy((int)n, -p->beta[step - 1], before, 1, w, 1);
  p->beta[step] = cblas_dnrm2((int)n, w, 1);
  memcpy(before, v, n * sizeof *v);
  for (size_t i = 0; i < n; i++)
    v[i] = p->beta[step] > 0 ? w[i] / p->beta[step] : 0;
}

sky_status sky_trace_estimate(sky_obs_operator *op, uint64_t seed, sky_estimate *dofs,
                              sky_estimate *logdet, size_t *steps) {
  const size_t n = op->p->n_obs, all = SKY_TRACE_PROBES;
  sky_context *ctx = op->ctx;
  probe *p = NULL;
  double *v = NULL, *before = NULL, *w = NULL, *Z = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(p, SKY_NEW0(ctx, probe, all));
  SKY_GO_ALLOC(v, SKY_NEW(ctx, double, all *n));
  SKY_GO_ALLOC(before, SKY_NEW0(ctx, double, all *n));
  SKY_GO_ALLOC(w, SKY_NEW(ctx, double, all *n));
  SKY_GO_ALLOC(Z, SKY_NEW(ctx, double, (MOST_STEPS + 1) * (MOST_STEPS + 1)));
  for (size_t k = 0; k < all; k++)
    for (size_t i = 0; i < n; i++)
      v[k * n + i] = (sky_rng_uniform(seed, k, i) < 0.5 ? -1 : 1) / sqrt((double)n);
  const size_t most = n < MOST_STEPS ? n : MOST_STEPS;
  bool settled = false;
  size_t m = 0;
  while (m < most && !settled) {
    sky_obs_operator_apply(op, v, all, w);
    for (size_t k = 0; k < all; k++)
      advance(n, &p[k], m, v + k * n, before + k * n, w + k * n);
    m++;
    if (sky_cancelled(ctx)) SKY_GO(sky_fail(ctx, SKY_E_CANCELLED, "cancelled in the iteration"));
    if (m % CHECK_EVERY != 0 && m < most) continue;
    settled = true;
    for (size_t k = 0; k < all; k++) {
      bool one = false;
      if (!evaluate(&p[k], m, Z, &one))
        SKY_GO(sky_fail(ctx, SKY_E_INTERNAL, "eigenvalues of a tridiagonal matrix not found"));
      settled = settled && one;
    }
  }
  *steps = m;
  *dofs = summarise(p, offsetof(probe, dofs), (double)n);
  *logdet = summarise(p, offsetof(probe, logdet), (double)n);
cleanup:
  sky_free(p);
  sky_free(v);
  sky_free(before);
  sky_free(w);
  sky_free(Z);
  return st;
}
