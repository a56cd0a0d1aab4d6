/* reflectance.h: one 8-day composite of MODIS surface reflectance (MOD09A1, MYD09A1 as NetCDF: the
 * product's variables with dimensions y and x of the sinusoidal grid) -> EVI and LSWI of its good
 * pixels. Reflectances are 0..1, or the product's integers with their scale_factor. */
#ifndef SKY_READ_REFLECTANCE_H
#define SKY_READ_REFLECTANCE_H

#include "algorithms/sink/vegetation.h"
#include "grids/grid.h"

typedef struct sky_reflectance {
  sky_grid grid;
  double time;                     /* s since 1970: the middle of the composite */
  double *evi, *lswi;              /* [cells]; NaN where not good */
  size_t by_flag[SKY_MODIS_FLAGS]; /* pixels; GOOD: used */
  size_t nodata;                   /* pixels without bands or without a word of quality */
  size_t implausible;              /* good, but without an index (vegetation.h) */
} sky_reflectance;

/* SKY_E_FORMAT: not sinusoidal on the MODIS sphere, a band missing; SKY_E_UNITS: integers without
 * their scale. */
SKY_NODISCARD sky_status sky_reflectance_read(sky_context *ctx, const char *path,
                                              sky_reflectance *out);
void sky_reflectance_free(sky_reflectance *r); /* NULL-safe, zeroes */

#endif
