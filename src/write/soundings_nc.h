/* soundings_nc.h: harmonised soundings -> CF-1.11 NetCDF (read back by read/granule.h).
 * Dims sounding, level, corner, granule, reason; values in the field's units (ppm, ppb, hPa), exact to
 * float64. */
#ifndef SKY_WRITE_SOUNDINGS_NC_H
#define SKY_WRITE_SOUNDINGS_NC_H
#include "skyflux/soundings.h"
SKY_NODISCARD sky_status sky_soundings_write(sky_context *ctx, const char *path,
                                             const sky_soundings *s, const char *const *attrs);
#endif
