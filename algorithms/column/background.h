/* background.h: what a sounding would be without the sources that are looked for, with its 1-sigma.
 * Pure functions on the soundings of one granule; any consistent unit of the column. */
#ifndef SKY_ALGORITHMS_BACKGROUND_H
#define SKY_ALGORITHMS_BACKGROUND_H

#include "algorithms/column/clean.h"

/* q-quantile of x [n] (type 7) and its error by order statistics:
 * σ = [x(q+δ) - x(q-δ)]/2, δ = sqrt(q(1-q)/n)  (Conover 1999, ch. 3). work [n]. NaN for n = 0. */
void sky_background_percentile(size_t n, const double *x, double q, double *work, double *value,
                               double *sigma);
/* The same for every overpass of a set: all soundings of it get the value of its used ones. Less
 * than `least` of them: NaN. */
SKY_NODISCARD sky_status sky_background_overpass(sky_context *ctx, const sky_clean_set *s, double q,
                                                 size_t least, double *value, double *sigma);

typedef struct sky_upwind_options {
  double near, far;  /* m; 2e4, 1.5e5 */
  double half_angle; /* degrees; 30 */
  size_t least;      /* soundings in the sector; 5 */
} sky_upwind_options;
#define SKY_UPWIND_OPTIONS ((sky_upwind_options){2e4, 1.5e5, 30, 5})
/* Median of the used soundings of the overpass that lie upwind of each sounding, at near..far and
 * within half_angle of where its wind (east, north, m s-1) comes from; σ = 1.2533·s/√n, s = 1.4826
 * MAD (error of a median of normal values). NaN without a wind or with fewer than `least`. */
SKY_NODISCARD sky_status sky_background_upwind(sky_context *ctx, const sky_clean_set *s,
                                               const double *wind_east, const double *wind_north,
                                               const sky_upwind_options *opt, double *value,
                                               double *sigma);

typedef struct sky_smooth_options {
  double sigma_pixels; /* of the swath; 10, kernel ±25 (Kuhlmann et al. 2021, GMD 14) */
  double sigma_metres; /* where soundings have no place in a swath; 5e4, to 3 σ */
  double plume;        /* soundings above mean + plume·(local sd) are masked, repeatedly; 2 */
  int rounds;          /* 3 */
} sky_smooth_options;
#define SKY_SMOOTH_OPTIONS ((sky_smooth_options){10, 5e4, 2, 3})
/* Masked normalised convolution (localmean.h) on line and pixel, or with Gaussian weights of
 * distance where these are NULL; σ = sd/√n with the local sd and effective number. */
SKY_NODISCARD sky_status sky_background_smooth(sky_context *ctx, const sky_clean_set *s,
                                               const int32_t *line, const int32_t *pixel,
                                               const sky_smooth_options *opt, double *value,
                                               double *sigma);

/* Mole fraction at the edge of a domain as the particles of one receptor saw it: exit [n] shares of
 * particles that left through each place of the curtains, vmr [n] the curtain (NaN: none).
 *     value = Σ exit·vmr / Σ exit,  covered = Σ exit,
 *     σ² = Σ exit (vmr - value)²/Σ exit · (1 - covered)² + curtain²
 * : particles that did not leave saw something of the same spread; curtain: error of the curtain
 * itself. false when nothing left. */
bool sky_background_curtain(size_t n, const double *exit, const double *vmr, double curtain,
                            double *value, double *sigma, double *covered);
#endif
