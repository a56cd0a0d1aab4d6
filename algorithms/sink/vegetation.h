/* vegetation.h: indices of surface reflectance, and their season without gaps.
 *
 *   EVI  = 2.5 (NIR - R) / (NIR + 6 R - 7.5 B + 1)        Huete et al. 2002
 *   LSWI = (NIR - SWIR) / (NIR + SWIR)                    Xiao et al. 2004
 *   season: min Σ w (y - z)² + penalty Σ (Δ² z)²          Whittaker 1923, Eilers 2003 */
#ifndef SKY_ALGORITHMS_SINK_VEGETATION_H
#define SKY_ALGORITHMS_SINK_VEGETATION_H

#include "skyflux/context.h"

/* Surface reflectances 0..1; NaN where a band is missing or outside its valid range -0.01..1.6 (as
 * MOD09A1 states it), where a denominator is not above 0, or where the index is outside -1..1. */
double sky_evi(double red, double nir, double blue);
double sky_lswi(double nir, double swir);

/* Why a pixel of MOD09A1 (collection 6.1) is not used, by its state word (sur_refl_state_500m) and
 * quality word (sur_refl_qc_500m). */
typedef enum sky_modis_flag {
  SKY_MODIS_GOOD = 0,
  SKY_MODIS_CLOUD,   /* state bits 0-1: cloudy or mixed; bit 10: internal cloud algorithm */
  SKY_MODIS_SHADOW,  /* bit 2 */
  SKY_MODIS_AEROSOL, /* bits 6-7: high */
  SKY_MODIS_SNOW,    /* bit 12: MOD35 snow or ice; bit 15: internal snow mask */
  SKY_MODIS_BAND,    /* quality word: band 1, 2, 3 or 6 is not of the highest quality (0) */
  SKY_MODIS_FLAGS
} sky_modis_flag;
sky_modis_flag sky_modis_quality(uint32_t state, uint32_t quality);

/* One series: n nodes equally spaced, y NaN where nothing was seen, w the weight of each (>= 0).
 * z [n]; work [4*n]. Gaps are filled by the same fit; with one value z is that value, without any
 * NaN. penalty > 0. */
void sky_season_fit(const double *y, const double *w, size_t n, double penalty, double *z,
                    double *work);

#endif
