/* info_raster.h: what `skyflux info` says about a raster. */
#ifndef SKY_CLI_INFO_RASTER_H
#define SKY_CLI_INFO_RASTER_H

#include <cjson/cJSON.h>

#include "src/read/enhancement.h"

/* A column enhancement (its unit tells, or options), or any other raster. */
SKY_NODISCARD sky_status sky_info_raster(sky_context *ctx, const char *path,
                                         const sky_enhancement_options *options, cJSON **out);
#endif
