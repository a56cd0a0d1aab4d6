/* posterior.h: what both solvers share: the result's memory and the derived numbers of a zone. */
#ifndef SKY_ALGORITHMS_POSTERIOR_H
#define SKY_ALGORITHMS_POSTERIOR_H

#include "algorithms/inversion/bayes.h"

/* Zeroed arrays of the given sizes; on failure out is empty. */
SKY_NODISCARD sky_status sky_posterior_alloc(sky_context *ctx, size_t n_state, size_t n_obs,
                                             size_t n_background, size_t n_zone,
                                             sky_posterior *out);
/* Bytes that sky_posterior_alloc takes. */
double sky_posterior_bytes(size_t n_state, size_t n_obs, size_t n_background, size_t n_zone);

/* Layers that fit the cells; an inventory covariance that is whole. */
SKY_NODISCARD sky_status sky_zone_inventory_check(sky_context *ctx, const sky_functionals *zones,
                                                  size_t n_cell, bool low_rank);
/* zone_inventory_var and zone_inventory_cov from zone_A; adds what other layers do to
 * zone_noise_var; zone_null_sd (zeroed before) gets twice the covariance of both parts. Holds four
 * arrays of [n_zone*n_state]. */
SKY_NODISCARD sky_status sky_zone_inventory(sky_context *ctx, const sky_functionals *zones,
                                            const sky_covariance *prior, sky_posterior *out);
/* Totals and the derived columns of every zone. Already there: x, ak, zone_cov, zone_A,
 * zone_noise_var, zone_inventory_var, zone_null_sd (sky_zone_inventory; becomes the sd), and the
 * prior variance in prior_sd (which becomes the sd). */
void sky_posterior_zones(const sky_functionals *zones, size_t n_cell, const double *x0,
                         sky_posterior *out);

/* SKY_E_RANGE, naming what it is, where a number of the answer left the range of double. */
SKY_NODISCARD sky_status sky_answer_finite(sky_context *ctx, const char *what, double value);

/* How much of element i is the zone's, whose row is a. */
static inline double sky_zone_share(const sky_functionals *zones, const double *a, size_t i) {
  if (a[i] == 0) return 0;
  return zones->whole != NULL ? a[i] / zones->whole[i] : 1;
}
/* A variance that rounding made slightly negative is 0; NaN stays NaN. */
static inline double sky_variance(double v) {
  return v < 0 ? 0 : v;
}

#endif
