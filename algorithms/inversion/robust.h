/* robust.h: observations that do not fit: Huber's loss in place of least squares (diagnose.md §4).
 */
#ifndef SKY_ALGORITHMS_ROBUST_H
#define SKY_ALGORITHMS_ROBUST_H

#include "algorithms/inversion/dual.h"

/* r_sd [n_obs] such that the least-squares solution with it is the minimum of
 * ½ (x-x0)ᵀQ⁻¹(x-x0) + Σ ρ_k((y-Hx)_i/r_i), ρ_k quadratic up to k and linear beyond: residuals
 * beyond k r_i get a larger r_sd (iteratively reweighted least squares). *n_changed: how many.
 * SKY_E_RANGE: k not > 0, a p->r_sd of 0, or no convergence in 500 rounds. */
SKY_NODISCARD sky_status sky_huber_weights(sky_context *ctx, const sky_problem *p, double k,
                                           double *r_sd, size_t *n_changed, size_t *rounds);
#endif
