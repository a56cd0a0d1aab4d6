/* bounded.h: the most probable state between bounds, of a linear Gaussian problem (bounded.md).
 *
 * x = argmin ½[(x - x0)ᵀQ⁻¹(x - x0) + |b - b0|²/b_sd² + |y - Hx - Bb|²/r_sd²],  lower <= x <=
 * upper. Q is never inverted: the unknowns are the multipliers λ of the bounds, x = x̂ + P λ. A
 * mode, not a mean: the total of a mode is biased where many elements lie at a bound (truncated.h).
 */
#ifndef SKY_ALGORITHMS_BOUNDED_H
#define SKY_ALGORITHMS_BOUNDED_H

#include "skyflux/problem.h"

typedef struct sky_bounded {
  size_t n_state, n_background;
  double *x;      /* [n_state] the mode */
  double *lambda; /* [n_state] multipliers, 1/x units: > 0 at lower, < 0 at upper, 0 between */
  double *b;      /* [n_background] */
  size_t n_lower, n_upper; /* elements at their bound */
  double jb, jo;           /* cost terms at the mode; J = (jb + jo)/2 */
  /* Largest violation of the optimality conditions, all in prior sd of an element: stationarity
   * |x - x0 - Q(Hᵀw + λ)| with w = R⁻¹(y - Hx - Bb), bounds, and signs of λ x_sd² . */
  double kkt_residual;
  size_t n_iteration;
} sky_bounded;

/* lower, upper [n_state], ±INFINITY = none, lower < upper. An element with x_sd = 0 stays at x0,
 * which must lie between its bounds. SKY_E_RANGE with the index, also for r_sd = 0; SKY_E_NOMEM
 * beyond the budget (three arrays [n_obs*n_state]); SKY_E_NOT_SPD if the sets do not settle. */
SKY_NODISCARD sky_status sky_bounded_solve(sky_context *ctx, const sky_problem *p,
                                           const double *lower, const double *upper,
                                           sky_bounded *out);
double sky_bounded_bytes(const sky_problem *p); /* that a solve holds, for budgets */
void sky_bounded_free(sky_bounded *b);          /* NULL-safe, zeroes */

#endif
