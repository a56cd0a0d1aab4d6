/* gdal_start.h: GDAL as skyflux uses it, started once per process.
 *
 * The drivers that call libhdf5 or libnetcdf are taken out, because those libraries belong to the
 * I/O lane (core/lane.h): .nc and .h5 are read by our own code only. GDAL's error messages are
 * quiet; they are picked up by sky_gdal_fail. Thread-safe, may be called often. */
#ifndef SKY_ENGINE_GDAL_START_H
#define SKY_ENGINE_GDAL_START_H

#include "skyflux/context.h"

SKY_NODISCARD sky_status sky_gdal_start(sky_context *ctx);

/* sky_fail with ": <GDAL's last message>" behind the text. */
sky_status sky_gdal_fail(sky_context *ctx, sky_status status, const char *fmt, ...)
    SKY_PRINTF(3, 4);

#endif
