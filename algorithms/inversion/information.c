/* information.c: linear Gaussian inversion from ready-made normal equations (information.md).
 *
 *   S = (γF + Sa⁻¹)⁻¹, x̂ = x0 + γ S g, A = I - S Sa⁻¹ = γ S F                Rodgers 2000, ch. 4
 *
 * With Λ = Sa^½ the matrix that is factored is I + γ Λ F Λ: its eigenvalues are >= 1 whatever the
 * units of the elements are, and an element without prior uncertainty simply stays. */
#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define SYMMETRY_TOLERANCE 1e-8 /* of √(F_ii F_jj) */

static sky_status check_information(sky_context *ctx, const sky_information_problem *p) {
  const size_t n = p->n;
  if (n == 0) return sky_fail(ctx, SKY_E_NODATA, "information: no state elements");
  if (!(p->gamma > 0) || !isfinite(p->gamma))
    return sky_fail(ctx, SKY_E_RANGE, "information: gamma = %g (expected a number > 0)", p->gamma);
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(p->g[i]) || !isfinite(p->x0[i]))
      return sky_fail(ctx, SKY_E_RANGE, "information: element %zu: g = %g, x0 = %g is not finite",
                      i, p->g[i], p->x0[i]);
    if (!(p->x_sd[i] >= 0) || !isfinite(p->x_sd[i]))
      return sky_fail(ctx, SKY_E_RANGE, "information: x_sd[%zu] = %g (expected a number >= 0)", i,
                      p->x_sd[i]);
    for (size_t j = 0; j <= i; j++) {
      const double a = p->F[i * n + j], b = p->F[j * n + i];
      const double size = sqrt(fabs(p->F[i * n + i] * p->F[j * n + j]));
      if (!(fabs(a - b) <= SYMMETRY_TOLERANCE * size))
        return sky_fail(ctx, SKY_E_RANGE,
                        "information: F[%zu,%zu] = %g but F[%zu,%zu] = %g (expected a symmetric "
                        "matrix)",
                        i, j, a, j, i, b);
    }
  }
  return SKY_OK;
}

/* M = I + γΛFΛ; symmetric: of the mean of F and Fᵀ. */
static void scaled_information(const sky_information_problem *p, bool symmetric, double *M) {
  const size_t n = p->n;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      const double f = p->F[i * n + j], ft = p->F[j * n + i];
      M[i * n + j] =
          (i == j) + p->gamma * p->x_sd[i] * (symmetric ? 0.5 * (f + ft) : f) * p->x_sd[j];
    }
}

/* S [n*n] = Λ M⁻¹ Λ. Cholesky inverts the symmetric mean; files hold F with the rounding of float32
 * sums, so one Newton–Schulz step X <- X (2I - M X) then inverts F as it stands (error² of the
 * asymmetry, <= 1e-16). work, T: [n*n]. */
static sky_status posterior_covariance(sky_context *ctx, const sky_information_problem *p,
                                       double *work, double *T, double *S) {
  const size_t n = p->n;
  scaled_information(p, true, work);
  const sky_status st = sky_cholesky(ctx, n, work);
  if (st != SKY_OK) return sky_fail_in(ctx, st, "information matrix: ");
  for (size_t i = 0; i < n * n; i++)
    T[i] = i % (n + 1) == 0;
  sky_cholesky_forward_rows(ctx, n, work, n, T);
  sky_gram(ctx, n, n, T, T, S);

  scaled_information(p, false, work);
  sky_product(ctx, n, n, n, work, S, T);
  for (size_t i = 0; i < n * n; i++)
    T[i] = (i % (n + 1) == 0 ? 2 : 0) - T[i];
  sky_product(ctx, n, n, n, S, T, work);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      S[i * n + j] = p->x_sd[i] * work[i * n + j] * p->x_sd[j];
  return SKY_OK;
}

static void fill_state(const sky_information_problem *p, const double *S, const double *A,
                       sky_posterior *out) {
  const size_t n = p->n;
  sky_acc jb = {0, 0};
  for (size_t i = 0; i < n; i++) {
    const double step = p->gamma * sky_dot(S + i * n, p->g, n);
    out->x[i] = p->x0[i] + step;
    out->sd[i] = sqrt(sky_variance(S[i * n + i]));
    out->ak[i] = A[i * n + i];
    if (p->x_sd[i] > 0) sky_acc_add(&jb, (step / p->x_sd[i]) * (step / p->x_sd[i]));
  }
  out->dofs = sky_sum(out->ak, n);
  out->jb = sky_acc_value(&jb);
  out->jo = out->chi2 = out->neg_log_evidence = NAN;
}

/* aᵀ K R Kᵀ a = γ (Sa)ᵀ F (Sa) with R = So/γ; SW, FW: [n_zone*n] scratch. */
static void fill_zones(sky_context *ctx, const sky_information_problem *p,
                       const sky_functionals *zones, const double *S, const double *A, double *SW,
                       double *FW, sky_posterior *out) {
  const size_t n = p->n, nz = zones->n_zone;
  sky_product(ctx, nz, n, n, zones->W, S, SW);
  sky_gram(ctx, nz, n, zones->W, SW, out->zone_cov);
  sky_product(ctx, nz, n, n, zones->W, A, out->zone_A);
  sky_product(ctx, nz, n, n, SW, p->F, FW);
  for (size_t z = 0; z < nz; z++) {
    sky_acc prior = {0, 0};
    for (size_t i = 0; i < n; i++) {
      const double e = zones->W[z * n + i] * p->x_sd[i];
      sky_acc_add(&prior, e * e);
    }
    out->prior_sd[z] = sky_acc_value(&prior);
    out->zone_noise_var[z] = p->gamma * sky_dot(SW + z * n, FW + z * n, n);
  }
}

static sky_status solve_zones(sky_context *ctx, const sky_information_problem *p,
                              const sky_functionals *zones, const double *S, const double *A,
                              double *identity, sky_posterior *out) {
  const size_t n = p->n;
  const double one = 1;
  const sky_covariance prior = {.n_cell = n, .n_time = 1, .sd = p->x_sd, .E = identity, .D = &one};
  double *SW = NULL, *FW = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(SW, SKY_NEW(ctx, double, zones->n_zone *n));
  SKY_GO_ALLOC(FW, SKY_NEW(ctx, double, zones->n_zone *n));
  memset(identity, 0, n * n * sizeof *identity);
  for (size_t i = 0; i < n; i++)
    identity[i * n + i] = 1;
  fill_zones(ctx, p, zones, S, A, SW, FW, out);
  SKY_GO(sky_zone_inventory(ctx, zones, &prior, out));
  sky_posterior_zones(zones, n, p->x0, out);
cleanup:
  sky_free(SW);
  sky_free(FW);
  return st;
}

sky_status sky_information_solve(sky_context *ctx, const sky_information_problem *p,
                                 const sky_functionals *zones, double *cov, double *kernel,
                                 sky_posterior *out) {
  const size_t n = p->n, nz = zones != NULL ? zones->n_zone : 0;
  double *work = NULL, *T = NULL, *S = NULL, *A = NULL;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(check_information(ctx, p));
  if (nz > 0) SKY_TRY(sky_zone_inventory_check(ctx, zones, n, false));
  const double need = ((double)n * (double)n * 5 + 6.0 * (double)nz * (double)n) * 8 +
                      sky_posterior_bytes(n, 0, 0, nz);
  if (need > (double)sky_context_memory(ctx))
    return sky_fail(ctx, SKY_E_NOMEM,
                    "inversion of %zu elements and %zu zones needs %.0f MB, the memory budget is "
                    "%.0f MB (--memory)",
                    n, nz, ceil(need / 1e6), (double)sky_context_memory(ctx) / 1e6);
  SKY_GO(sky_posterior_alloc(ctx, n, 0, 0, nz, out));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(T, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(S, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(A, SKY_NEW(ctx, double, n *n));
  SKY_GO(posterior_covariance(ctx, p, work, T, S));
  sky_product(ctx, n, n, n, S, p->F, A);
  for (size_t i = 0; i < n * n; i++)
    A[i] *= p->gamma;
  fill_state(p, S, A, out);
  if (nz > 0) SKY_GO(solve_zones(ctx, p, zones, S, A, work, out));
  if (cov != NULL) memcpy(cov, S, n * n * sizeof *S);
  if (kernel != NULL) memcpy(kernel, A, n * n * sizeof *A);
cleanup:
  sky_free(work);
  sky_free(T);
  sky_free(S);
  sky_free(A);
  if (st != SKY_OK) sky_posterior_free(out);
  return st;
}
