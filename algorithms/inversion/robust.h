/* robust.h: observations that do not fit: Huber's loss in place of least squares (diagnose.md §4).
 */
#ifndef SKY_ALGORITHMS_ROBUST_H
#define SKY_ALGORITHMS_ROBUST_H

#include "algorithms/inversion/geostat.h"

/* p->r_sd such that the least-squares solution with it is the minimum of
 * ½ (x-x0)ᵀQ⁻¹(x-x0) + Σ ρ_k((y-Hx)_i/r_i), ρ_k quadratic up to k and linear beyond: residuals
 * beyond k r_i get a larger r_sd (iteratively reweighted least squares). Errors correlated along a
 * track: the loss is on the own part of each (noise.md §4), and the shares of p->track fall as r_sd
 * grows. *n_changed: how many. p is as it was unless SKY_OK. SKY_E_RANGE: k not > 0, an r_sd of 0,
 * a share of 1, or no convergence in 500 rounds. drift: the mean is unknown along it and minimised
 * over as well, x0 is not looked at; NULL: the mean is x0. */
SKY_NODISCARD sky_status sky_huber_apply(sky_context *ctx, double k, const sky_drift *drift,
                                         sky_problem *p, size_t *n_changed, size_t *rounds);
#endif
