/* fuse.c: correlated best linear unbiased estimate (fuse.md).
 *
 *   S = B + T - C - Cᵀ,  x̂ = x_B + (B - C) S⁺ (x_T - x_B),  P̂ = B - (B - C) S⁺ (B - C)ᵀ
 *
 * S⁺ from the eigenvectors of S scaled to a unit diagonal, so that a large city beside a small
 * park, or another unit, changes no rank. Fixed loops, BLAS on one thread: same bits everywhere. */
#include "algorithms/fusion/fuse.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

typedef struct work {
  double *scale; /* [n] √S_ii, 1 where it is 0 */
  double *V, *w; /* [n*n] eigenvectors, one a row (LAPACK: column), [n] values, ascending */
  double *G;     /* [n] (B - C) diag(1/scale) V_k of one eigenvector */
} work;

static sky_status check(sky_context *ctx, const char *name, const double *v, size_t n,
                        size_t step) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(v[i]) || (step > 0 && i % step == 0 && v[i] < 0))
      return sky_fail(ctx, SKY_E_RANGE, "fusion: %s[%zu] = %g (expected a finite number%s)", name,
                      i, v[i], step > 0 && i % step == 0 ? " >= 0" : "");
  return SKY_OK;
}

static double element(const double *C, size_t n, size_t i, size_t k) {
  return C == NULL ? 0.0 : C[i * n + k];
}

/* V holds S scaled, then its eigenvectors. */
static sky_status decompose(sky_context *ctx, size_t n, const double *B, const double *T,
                            const double *C, work *s) {
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k <= i; k++) /* one triangle, mirrored: symmetric to the last bit */
      s->V[i * n + k] = s->V[k * n + i] =
          B[i * n + k] + T[i * n + k] - element(C, n, i, k) - element(C, n, k, i);
  for (size_t i = 0; i < n; i++)
    s->scale[i] = s->V[i * n + i] > 0 ? sqrt(s->V[i * n + i]) : 1.0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++)
      s->V[i * n + k] /= s->scale[i] * s->scale[k];
  const lapack_int info =
      LAPACKE_dsyev(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, s->V, (lapack_int)n, s->w);
  if (info != 0)
    return sky_fail(ctx, SKY_E_INTERNAL, "fusion: eigenvalues of %zu totals: LAPACK says %d", n,
                    (int)info);
  return SKY_OK;
}

/* Σ_k over the eigenvectors kept: u_k = V_k·d/scale, x += G_k u_k/w_k, P -= G_k G_kᵀ/w_k. */
static void combine(size_t n, const double *x_B, const double *B, const double *x_T,
                    const double *C, work *s, sky_fusion *out) {
  const double least = SKY_FUSE_RANK_TOLERANCE * s->w[n - 1];
  memcpy(out->x, x_B, n * sizeof *x_B);
  memcpy(out->P, B, n * n * sizeof *B);
  for (size_t k = 0; k < n; k++) {
    const double *v = s->V + k * n;
    double *g = s->G;
    if (!(s->w[k] > least)) continue;
    out->rank++;
    sky_acc u = {0, 0};
    for (size_t i = 0; i < n; i++)
      sky_acc_add(&u, v[i] * (x_T[i] - x_B[i]) / s->scale[i]);
    for (size_t i = 0; i < n; i++) {
      sky_acc sum = {0, 0};
      for (size_t j = 0; j < n; j++)
        sky_acc_add(&sum, (B[i * n + j] - element(C, n, i, j)) * v[j] / s->scale[j]);
      g[i] = sky_acc_value(&sum);
    }
    const double along = sky_acc_value(&u) / s->w[k];
    out->chi2 += sky_acc_value(&u) * along;
    for (size_t i = 0; i < n; i++) {
      out->x[i] += g[i] * along;
      for (size_t j = 0; j < n; j++)
        out->P[i * n + j] -= g[i] * g[j] / s->w[k];
    }
  }
  out->birge = out->rank > 0 ? sqrt(out->chi2 / (double)out->rank) : 0;
}

sky_status sky_fuse(sky_context *ctx, size_t n, const double *x_B, const double *B,
                    const double *x_T, const double *T, const double *C, sky_fusion *out) {
  work s = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(check(ctx, "x_B", x_B, n, 0));
  SKY_TRY(check(ctx, "x_T", x_T, n, 0));
  SKY_TRY(check(ctx, "B", B, n * n, n + 1));
  SKY_TRY(check(ctx, "T", T, n * n, n + 1));
  if (C != NULL) SKY_TRY(check(ctx, "C", C, n * n, 0));
  out->n = n;
  SKY_GO_ALLOC(out->x, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(out->P, SKY_NEW0(ctx, double, n *n));
  if (n == 0) return SKY_OK;
  SKY_GO_ALLOC(s.scale, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(s.w, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(s.V, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(s.G, SKY_NEW(ctx, double, n));
  sky_blas_single();
  SKY_GO(decompose(ctx, n, B, T, C, &s));
  combine(n, x_B, B, x_T, C, &s, out);
cleanup:
  sky_free(s.scale);
  sky_free(s.w);
  sky_free(s.V);
  sky_free(s.G);
  if (st != SKY_OK) sky_fusion_free(out);
  return st;
}

void sky_fusion_free(sky_fusion *f) {
  if (f == NULL) return;
  sky_free(f->x);
  sky_free(f->P);
  memset(f, 0, sizeof *f);
}
