/* super.h: the mean of many soundings as one observation. Pure functions.
 *
 * n soundings with single-sounding errors of root mean square σ, mutual correlation ρ and
 * representation (transport) error σ_t:
 *     σ_s² = σ² [ (1-ρ)/n + ρ ] + σ_t²                       Chen et al. 2023, ACP 23, 5945
 * However many soundings there are, σ_s does not fall below its floor sqrt(ρ σ² + σ_t²). */
#ifndef SKY_ALGORITHMS_SUPER_H
#define SKY_ALGORITHMS_SUPER_H

#include <stddef.h>

/* σ_s of soundings with errors sigma [n]; NaN for n = 0. */
double sky_superobs_sigma(size_t n, const double *sigma, double correlation, double representation);
/* What it tends to for many soundings of error σ. */
double sky_superobs_floor(double sigma, double correlation, double representation);

#endif
