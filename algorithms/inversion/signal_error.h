/* signal_error.h: an inversion whose error grows with the signal (signal_error.md).
 *
 *   y_i ~ N(μ_i + μ_bc,i, ε_i²),  μ = H_x x,  μ_bc = H_b b,  ε_i² = error_i² + (σ μ_i)²
 *   x_j ~ N(x_mean, x_sd²) cut at 0,  b_k ~ N(b_mean, b_sd²) cut at 0,  σ uniform between two
 * limits
 *
 * x scales fluxes and b boundary curtains, so H_x and H_b are in the unit of y. */
#ifndef SKY_ALGORITHMS_SIGNAL_ERROR_H
#define SKY_ALGORITHMS_SIGNAL_ERROR_H

#include "algorithms/inversion/hmc.h"

typedef struct sky_signal_model {
  size_t n_obs, n_x, n_b;
  const double *y, *error; /* [n_obs] */
  const double *Hx, *Hb;   /* [n_obs*n_x], [n_obs*n_b] row-major */
  double x_mean, x_sd, b_mean, b_sd, sigma_low, sigma_high;
} sky_signal_model;

/* All [n_obs]; log_likelihood holds every observation's own term. */
typedef struct sky_signal_forward {
  double *mu, *mu_bc, *epsilon, *log_likelihood;
} sky_signal_forward;

void sky_signal_simulate(const sky_signal_model *m, const double *x, const double *b, double sigma,
                         const sky_signal_forward *out);
/* ln of the density of (ln x, ln b, logit σ) without the likelihood: priors, normalised, and the
 * Jacobians of the logarithms and of the logit. */
double sky_signal_log_prior(const sky_signal_model *m, const double *x, const double *b,
                            double sigma);
/* rows [n_chain*n_draw*(n_x + n_b + 1)]: x, b, σ of every draw. HMC in the logarithms, whitened
 * with the Fisher information at their mode. SKY_E_RANGE for a model that is not one; SKY_E_NODATA
 * where the mode is not found. */
SKY_NODISCARD sky_status sky_signal_sample(sky_context *ctx, const sky_signal_model *m,
                                           const sky_sampling *how, double *rows,
                                           sky_hmc_report *report);

#endif
