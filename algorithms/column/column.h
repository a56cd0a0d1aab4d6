/* column.h: the retrieval's column operator and super-observations. Pure functions.
 *
 * X = X_a + Σ_k w_k ak_k (c_k - c_a,k)                            Rodgers & Connor 2003, Eq. 15
 * Super-observation of n soundings with single-sounding error σ, correlation ρ and representation
 * (transport) error σ_t:  σ_s² = σ² [ (1-ρ)/n + ρ ] + σ_t²     Chen et al. 2023, ACP 23, 5945 */
#ifndef SKY_ALGORITHMS_COLUMN_H
#define SKY_ALGORITHMS_COLUMN_H

#include <stddef.h>

/* Σ_k w_k c_k. In both: levels whose weight is 0 or NaN are skipped, NaN elsewhere stays NaN. */
double sky_column_mean(size_t n_levels, const double *weight, const double *profile);
double sky_column_apply(size_t n_levels, double prior, const double *weight, const double *ak,
                        const double *prior_profile, const double *profile);
/* σ: root mean square of the n single-sounding errors. n = 0 gives NaN. */
double sky_superobs_sigma(size_t n, const double *sigma, double correlation, double representation);
/* Quantile by linear interpolation of order statistics (type 7, Hyndman & Fan 1996); sorts work.
 * NaN for n = 0, a NaN among x, or q outside 0..1. */
double sky_quantile(size_t n, const double *x, double q, double *work);

#endif
