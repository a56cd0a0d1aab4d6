/* enhancement.h: rasters of column enhancement (EMIT L2B, Carbon Mapper L3A and the like): the
 * amount of a gas above its background, in ppm m as matched filters give it, brought to mol m-2.
 *
 * A column of 1 ppm m is a layer of pure gas of 1 um: by the ideal gas law 1e-6 p/(R T) mol m-2.
 * The product fixes no p and T; the default is 1013.25 hPa and 273.15 K (22.414 L mol-1, what
 * public plume pipelines use: CH4 7.16e-7 kg m-2), at 298 K it is 6.56e-7. Noise is symmetric about
 * zero, so negative values are values; nodata is a mask. */
#ifndef SKY_READ_ENHANCEMENT_H
#define SKY_READ_ENHANCEMENT_H

#include "src/read/raster.h"

#define SKY_ENHANCEMENT_PRESSURE 101325.0  /* Pa */
#define SKY_ENHANCEMENT_TEMPERATURE 273.15 /* K */

typedef struct sky_enhancement_options { /* zero: as said */
  const char *gas;                       /* NULL: what the file or its name tells */
  const char *unit;                      /* of a file that states none */
  double pressure, temperature;          /* Pa, K: where the gas is; 0: the default */
} sky_enhancement_options;

typedef struct sky_enhancement {
  sky_grid grid;
  double *value;   /* [cells] mol m-2, row 0 southernmost, NaN nodata */
  char gas[8];     /* "ch4", …; "" where nothing tells */
  char unit[64];   /* as stated */
  char layer[128]; /* description of the band, may be "" */
  double factor;   /* mol m-2 per stated unit */
  size_t valid, negative;
} sky_enhancement;

/* The first band. SKY_E_UNITS: the unit is missing or no column amount (ppm m, mol m-2, kg m-2 …);
 * the errors of sky_raster_open. */
SKY_NODISCARD sky_status sky_enhancement_read(sky_context *ctx, const char *path,
                                              const sky_enhancement_options *options,
                                              sky_enhancement *out);
void sky_enhancement_free(sky_enhancement *e); /* NULL-safe, zeroes */

/* Σ value·cell area, kg of the gas, over the valid cells (true areas). */
SKY_NODISCARD sky_status sky_enhancement_mass(sky_context *ctx, const sky_enhancement *e,
                                              double *kg);
#endif
