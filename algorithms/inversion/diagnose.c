/* diagnose.c: leave-one-out, influence, innovation tests, eigenvalues and chi2 criteria from the
 * dense dual (diagnose.md). */
#include "algorithms/inversion/diagnose.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/posterior.h"
#include "algorithms/inversion/select.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

/* ---- observation by observation -------------------------------------------------------------- */

static void fill_observations(const sky_problem *p, const sky_dual *d, sky_diagnosis *out) {
  const size_t n = d->n;
  const sky_noise noise = sky_problem_noise(p);
  sky_acc square = {0, 0}, chi2 = {0, 0};
  for (size_t i = 0; i < n; i++) {
    const double inverse = d->inverse[i * n + i];
    out->loo_error[i] = d->w[i] / inverse;
    out->loo_sd[i] = 1 / sqrt(inverse);
    out->influence[i] = 1 - sky_noise_row(&noise, i, d->inverse + i * n);
    out->innovation[i] = d->d[i] / sqrt(d->psi[i * n + i]);
    out->n_outlier += fabs(out->innovation[i]) > SKY_OUTLIER;
    sky_acc_add(&square, out->loo_error[i] * out->loo_error[i]);
    sky_acc_add(&chi2, d->w[i] * d->w[i] / inverse);
  }
  out->dofs = sky_sum(out->influence, n);
  out->loo_rms = sqrt(sky_acc_value(&square) / (double)n);
  out->loo_chi2 = sky_acc_value(&chi2) / (double)n;
}

/* ---- eigenvalues and criteria ---------------------------------------------------------------- */

static sky_status fill_eigenvalues(sky_context *ctx, const sky_problem *p, const sky_dual *d,
                                   sky_diagnosis *out) {
  const size_t n = d->n;
  for (size_t i = 0; i < n; i++)
    if (p->r_sd[i] == 0) return SKY_OK; /* an infinite eigenvalue: none is reported */
  const sky_noise noise = sky_problem_noise(p);
  double *M = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(M, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(out->eigenvalue, SKY_NEW(ctx, double, n));
  memcpy(M, d->G, n * n * sizeof *M);
  for (int side = 0; side < 2; side++) { /* R^-½ G, then its transpose again */
    for (size_t i = 0; i < n; i++)
      sky_noise_whiten(&noise, M + i * n);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < i; j++) {
        const double m = M[i * n + j];
        M[i * n + j] = M[j * n + i];
        M[j * n + i] = m;
      }
  }
  const lapack_int info =
      LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'N', 'U', (lapack_int)n, M, (lapack_int)n, out->eigenvalue);
  if (info != 0)
    SKY_GO(sky_fail(ctx, SKY_E_NOT_SPD, "eigenvalues of %zu observations: LAPACK says %d", n,
                    (int)info));
  for (size_t i = 0; i < n / 2; i++) { /* rising -> falling */
    const double t = out->eigenvalue[i];
    out->eigenvalue[i] = out->eigenvalue[n - 1 - i];
    out->eigenvalue[n - 1 - i] = t;
  }
  while (out->n_above < n && out->eigenvalue[out->n_above] > 1)
    out->n_above++;
cleanup:
  sky_free(M);
  return st;
}

/* var(Jb) = 2Σa², var(Jo) = 2Σ(1-a)², a = λ/(1+λ), for a problem as specified. Without eigenvalues
 * Σa² = tr((Ψ⁻¹G)²) is not formed and the half-widths are NaN. */
static void fill_criteria(const sky_problem *p, const sky_dual *d, sky_diagnosis *out) {
  const size_t n = d->n;
  const sky_noise noise = sky_problem_noise(p);
  const double jo = sky_noise_variance(&noise, d->w, 1);
  sky_acc a2 = {0, 0}, rest2 = {0, 0};
  const double chi2 = sky_dot(d->d, d->w, n), rest = (double)n - out->dofs;
  out->jo_per_rest = jo / rest;
  out->jb_per_dofs = (chi2 - jo) / out->dofs;
  out->chi2_per_obs = chi2 / (double)n;
  out->chi2_half = 2 * sqrt(2 / (double)n);
  out->jb_half = out->jo_half = NAN;
  if (out->eigenvalue == NULL) return;
  for (size_t i = 0; i < n; i++) {
    const double lambda = sky_variance(out->eigenvalue[i]), a = lambda / (1 + lambda);
    sky_acc_add(&a2, a * a);
    sky_acc_add(&rest2, (1 - a) * (1 - a));
  }
  out->jb_half = 2 * sqrt(2 * sky_acc_value(&a2)) / out->dofs;
  out->jo_half = 2 * sqrt(2 * sky_acc_value(&rest2)) / rest;
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* d_Bᵀ Ψ_BB⁻¹ d_B; L [n*n], e [n]: scratch */
static sky_status innovation_chi2(sky_context *ctx, const sky_dual *d, size_t n,
                                  const size_t *index, double *L, double *e, double *chi2) {
  for (size_t i = 0; i < n; i++) {
    e[i] = d->d[index[i]];
    for (size_t j = 0; j < n; j++)
      L[i * n + j] = d->psi[index[i] * d->n + index[j]];
  }
  SKY_TRY(sky_cholesky(ctx, n, L));
  sky_cholesky_forward(ctx, n, L, 1, e);
  *chi2 = sky_dot(e, e, n);
  return SKY_OK;
}

static sky_status fill_groups(sky_context *ctx, const sky_dual *d, const int32_t *overpass,
                              sky_diagnosis *out) {
  const size_t n = d->n;
  size_t *index = NULL;
  double *L = NULL, *e = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(index, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(e, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(L, SKY_NEW(ctx, double, n *n));
  for (size_t g = 0; g < out->n_group; g++) {
    sky_group_fit *fit = &out->group[g];
    fit->n = sky_select_label(n, overpass, (int32_t)g, true, index);
    SKY_GO(sky_heldout_predict(ctx, d, fit->n, index, NULL, NULL, &fit->heldout));
    SKY_GO(innovation_chi2(ctx, d, fit->n, index, L, e, &fit->innovation_chi2));
  }
cleanup:
  sky_free(index);
  sky_free(L);
  sky_free(e);
  return st;
}

/* ---- the whole ------------------------------------------------------------------------------- */

sky_status sky_diagnose(sky_context *ctx, const sky_problem *p, size_t n_group,
                        const int32_t *overpass, sky_diagnosis *out) {
  const size_t n = p->n_obs;
  sky_dual d = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_dual_room(ctx, p, "the diagnosis", 2));
  SKY_GO(sky_dual_make(ctx, p, &d));
  out->n = n;
  out->n_group = n_group;
  SKY_GO_ALLOC(out->loo_error, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(out->loo_sd, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(out->influence, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(out->innovation, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(out->group, SKY_NEW0(ctx, sky_group_fit, n_group));
  fill_observations(p, &d, out);
  SKY_GO(fill_eigenvalues(ctx, p, &d, out));
  fill_criteria(p, &d, out);
  SKY_GO(fill_groups(ctx, &d, overpass, out));
cleanup:
  sky_dual_free(&d);
  if (st != SKY_OK) sky_diagnosis_free(out);
  return st;
}

void sky_diagnosis_free(sky_diagnosis *d) {
  if (d == NULL) return;
  sky_free(d->loo_error);
  sky_free(d->loo_sd);
  sky_free(d->influence);
  sky_free(d->innovation);
  sky_free(d->eigenvalue);
  sky_free(d->group);
  memset(d, 0, sizeof *d);
}

/* ---- zones ----------------------------------------------------------------------------------- */

sky_status sky_smoothing_error(sky_context *ctx, const sky_problem *p, size_t n_zone,
                               const double *W, const double *zone_A, double *var) {
  const size_t m = p->n_state;
  const sky_covariance q = sky_problem_covariance(p);
  double *v = NULL, *qv = NULL, *work = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(v, SKY_NEW(ctx, double, n_zone *m));
  SKY_GO_ALLOC(qv, SKY_NEW(ctx, double, n_zone *m));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, n_zone *m));
  for (size_t i = 0; i < n_zone * m; i++)
    v[i] = zone_A[i] - W[i];
  sky_blas_single();
  sky_covariance_apply(ctx, &q, v, n_zone, work, qv);
  for (size_t z = 0; z < n_zone; z++)
    var[z] = sky_variance(sky_dot(v + z * m, qv + z * m, m));
cleanup:
  sky_free(v);
  sky_free(qv);
  sky_free(work);
  return st;
}

sky_status sky_sector_kernel(sky_context *ctx, size_t n, size_t n_state, const double *W,
                             const double *zone_A, double *M) {
  double *L = SKY_NEW(ctx, double, n *n);
  if (L == NULL) return SKY_E_NOMEM;
  sky_gram(ctx, n, n_state, W, W, L);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      M[i * n + j] = sky_dot(zone_A + i * n_state, W + j * n_state, n_state);
  const sky_status st = sky_cholesky(ctx, n, L);
  if (st == SKY_OK) { /* rows of M WWᵀ = (W A) Wᵀ */
    sky_cholesky_forward_rows(ctx, n, L, n, M);
    sky_cholesky_backward_rows(ctx, n, L, n, M);
  }
  sky_free(L);
  return st == SKY_OK ? SKY_OK : sky_fail_in(ctx, st, "sectors are not independent: ");
}
