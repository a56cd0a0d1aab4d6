/* posterior.h: what both solvers share: the result's memory and the derived numbers of a zone. */
#ifndef SKY_ALGORITHMS_POSTERIOR_H
#define SKY_ALGORITHMS_POSTERIOR_H

#include "skyflux/problem.h"

/* Zeroed arrays of the given sizes; on failure out is empty. */
SKY_NODISCARD sky_status sky_posterior_alloc(sky_context *ctx, size_t n_state, size_t n_obs,
                                             size_t n_background, size_t n_zone,
                                             sky_posterior *out);
/* Bytes that sky_posterior_alloc takes. */
double sky_posterior_bytes(size_t n_state, size_t n_obs, size_t n_background, size_t n_zone);

/* Totals and the derived columns of every zone. Already there: x, ak, zone_cov, zone_A,
 * zone_noise_var, zone_inventory_var, and the prior variance in prior_sd (which becomes the sd). */
void sky_posterior_zones(const sky_functionals *zones, const double *x0, sky_posterior *out);

/* A variance that rounding made slightly negative is 0; NaN stays NaN. */
static inline double sky_variance(double v) {
  return v < 0 ? 0 : v;
}

#endif
