/* lognormal.h: a posterior of positive fluxes, x = exp(z), z ~ N(μ, Q_z) (lognormal.md).
 *
 * The problem's x0 and x_sd are mean and sd of x: s² = ln(1 + (x_sd/x0)²), μ = ln x0 - s²/2 (the
 * prior median is x0 exp(-s²/2)), and its correlations are those of z. */
#ifndef SKY_ALGORITHMS_LOGNORMAL_H
#define SKY_ALGORITHMS_LOGNORMAL_H

#include "algorithms/inversion/hmc.h"
#include "skyflux/problem.h"

typedef struct sky_lognormal {
  size_t n_state, n_background;
  double *mode;    /* [n_state] exp(ẑ), ẑ the mode of the density of z: the MAP-median */
  double *log_sd;  /* [n_state] Laplace sd of z */
  double *b;       /* [n_background] */
  double jb, jo;   /* at the mode, in z */
  double gradient; /* √(gᵀM⁻¹g) left: the distance to the mode in posterior sd */
  size_t n_iteration;
} sky_lognormal;

/* Mode by Gauss–Newton with a line search. SKY_E_RANGE: x0 <= 0 with its index; SKY_E_NODATA where
 * it does not settle; dense in the unknowns (control.h). */
SKY_NODISCARD sky_status sky_lognormal_solve(sky_context *ctx, const sky_problem *p,
                                             sky_lognormal *out);
void sky_lognormal_free(sky_lognormal *l); /* NULL-safe, zeroes */
/* Draws by HMC whitened with the Laplace approximation; W [n_zone*n_state]. */
SKY_NODISCARD sky_status sky_lognormal_sample(sky_context *ctx, const sky_problem *p,
                                              const double *W, size_t n_zone,
                                              const sky_sampling *how, sky_lognormal *mode,
                                              sky_sampled *out);

#endif
