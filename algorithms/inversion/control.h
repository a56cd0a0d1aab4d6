/* control.h: a problem in its control variable: x = x0 + C u, Q = C Cᵀ, u ~ N(0, I) (control.md).
 *
 * Offsets of the background follow the state as further elements. Dense: [n*n] for
 * n = n_state + n_background. Nothing is inverted but I + CᵀFC, whose eigenvalues are >= 1. */
#ifndef SKY_ALGORITHMS_CONTROL_H
#define SKY_ALGORITHMS_CONTROL_H

#include "skyflux/problem.h"

typedef struct sky_control {
  size_t n, n_state;
  double *C; /* [n*n] lower triangle, zeros above */
  double *F; /* [n*n] = [H B]ᵀ R⁻¹ [H B] */
} sky_control;

/* sd [n_state]: of the Gaussian variable, with the problem's correlations; NULL = x_sd. SKY_E_RANGE
 * for r_sd = 0; SKY_E_NOT_SPD where correlations (or a low-rank Q) have no Cholesky factor;
 * SKY_E_NOMEM beyond the budget. */
SKY_NODISCARD sky_status sky_control_build(sky_context *ctx, const sky_problem *p, const double *sd,
                                           sky_control *out);
/* Bytes of the control and of what its users hold beside it, for budgets. */
double sky_control_bytes(const sky_problem *p);
void sky_control_free(sky_control *c); /* NULL-safe, zeroes */
/* L [n*n] (lower) with L Lᵀ = I + Cᵀ S F S C, S = diag(scale [n]); scale NULL = 1. */
SKY_NODISCARD sky_status sky_control_hessian(sky_context *ctx, const sky_control *c,
                                             const double *scale, double *L);
/* r [n_obs] = R^-½ (y - H x - B b) with v = (x, b); |r|² is returned. */
double sky_control_residual(const sky_problem *p, const double *v, double *r);
/* out [n] = [H B]ᵀ R^-½ᵀ r; r is overwritten. */
void sky_control_adjoint(const sky_problem *p, double *r, double *out);

#endif
