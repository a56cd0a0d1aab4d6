/* problem_check.c: are the arrays of a problem usable? The first that is not is named (bayes.h). */
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/offsets.h"
#include "src/core/memory.h"

#define HALF_ROUND_KM 20015.1 /* half of a great circle */
#define INDEFINITE 1e-8       /* an eigenvalue of E below minus this is no rounding */
#define ROUNDING 1e-9         /* of a prior variance, relative to the sum of its parts' sizes */

sky_status sky_problem_check_values(sky_context *ctx, const char *name, const double *v, size_t n,
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
  return sky_problem_check_values(ctx, "H", p->val, p->rowptr[p->n_obs], false);
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
  SKY_TRY(sky_problem_check_values(ctx, "q_factor", p->q_factor, p->q_rank * m, false));
  SKY_TRY(sky_problem_check_values(ctx, "q_var", p->q_var, m, true));
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

/* On the sphere the exponential is a covariance of great-circle distance, and so is what is one in
 * space and reaches no further than half a great circle (Gneiting 2013, Bernoulli 19, 1327, §4).
 * Smoother Matern models are not, at long lengths. */
static bool safe_on_sphere(const sky_problem *p) {
  double reach = 1;
  for (size_t s = 0; p->sector_reach != NULL && s < p->n_sector; s++)
    reach = fmax(reach, p->sector_reach[s]);
  switch (p->space.kind) {
    case SKY_CORR_NONE:
    case SKY_CORR_EXPONENTIAL:
      return true;
    case SKY_CORR_SPHERICAL:
    case SKY_CORR_GASPARI_COHN:
      return reach * p->length_km <= HALF_ROUND_KM;
    case SKY_CORR_MATERN:
      return p->space.nu <= 0.5;
    default:
      return false;
  }
}

static const char *model_name(sky_correlation_kind kind) {
  static const char *const name[] = {"none",     "spherical",    "exponential", "matern32",
                                     "matern52", "gaspari-cohn", "matern"};
  return name[kind];
}

/* Whether E is positive semi-definite on these cells, where its model does not say so. */
static sky_status check_sphere(sky_context *ctx, const sky_problem *p) {
  const size_t n = p->n_cell;
  if (!p->geographic || p->length_km == 0 || safe_on_sphere(p)) return SKY_OK;
  double *A = SKY_NEW(ctx, double, n *n);
  if (A == NULL) return SKY_E_NOMEM;
  memcpy(A, p->E, n * n * sizeof *A);
  for (size_t i = 0; i < n; i++)
    A[i * n + i] += INDEFINITE;
  const sky_status st = sky_cholesky(ctx, n, A);
  sky_free(A);
  if (st != SKY_E_NOT_SPD) return st;
  return sky_fail(ctx, st,
                  "problem: the prior covariance has a negative eigenvalue: %s in great-circle "
                  "distance with a length of %g km is no covariance on these %zu cells (expected a "
                  "shorter length, exponential, or spherical or gaspari-cohn up to %.0f km)",
                  model_name(p->space.kind), p->length_km, n, HALF_ROUND_KM);
}

static sky_status check_covariance(sky_context *ctx, const sky_problem *p) {
  if (p->levels != NULL) return check_levels(ctx, p);
  if (p->q_var != NULL) return check_low_rank(ctx, p);
  SKY_TRY(sky_problem_check_values(ctx, "E", p->E, p->n_cell * p->n_cell, false));
  SKY_TRY(sky_problem_check_values(ctx, "D", p->D, p->n_time * p->n_time, false));
  return check_sphere(ctx, p);
}

sky_status sky_problem_check(sky_context *ctx, const sky_problem *p) {
  if (sky_problem_is_kronecker(p) && p->n_cell > SKY_DENSE_CELL_LIMIT)
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
  SKY_TRY(sky_problem_check_values(ctx, "y", p->y, p->n_obs, false));
  SKY_TRY(sky_problem_check_values(ctx, "r_sd", p->r_sd, p->n_obs, true));
  SKY_TRY(sky_problem_check_values(ctx, "x0", p->x0, p->n_state, false));
  SKY_TRY(sky_problem_check_values(ctx, "x_sd", p->x_sd, p->n_state, true));
  SKY_TRY(check_covariance(ctx, p));
  if (p->track != NULL && sky_track_size(p->track) != p->n_obs)
    return sky_fail(ctx, SKY_E_RANGE, "problem: a track of %zu places (expected %zu)",
                    sky_track_size(p->track), p->n_obs);
  SKY_TRY(check_jacobian(ctx, p));
  return sky_offsets_check(ctx, p);
}

sky_status sky_problem_check_elements(sky_context *ctx, const sky_problem *p) {
  if (p->levels != NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "problem: this method takes a prior with elements (Kronecker or low rank + "
                    "diagonal), not one of levels");
  return sky_problem_check(ctx, p);
}
