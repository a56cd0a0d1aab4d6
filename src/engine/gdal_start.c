/* gdal_start.c: one-time set-up of GDAL. */
#include "src/engine/gdal_start.h"

#include <cpl_conv.h>
#include <cpl_error.h>
#include <gdal.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CACHE_BYTES                                                             \
  ((GIntBig)64 << 20) /* our tiles are written once; a larger block cache idles \
                       */

/* Drivers that would call HDF5 or netCDF-C outside the lane. */
static const char *const lane_drivers[] = {"netCDF", "HDF5", "HDF5Image", "BAG", "KEA"};

static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start(void) {
  CPLSetErrorHandler(CPLQuietErrorHandler);
  GDALAllRegister();
  for (size_t i = 0; i < sizeof lane_drivers / sizeof lane_drivers[0]; i++) {
    GDALDriverH driver = GDALGetDriverByName(lane_drivers[i]);
    if (driver == NULL) continue;
    GDALDeregisterDriver(driver);
    GDALDestroyDriver(driver);
  }
  GDALSetCacheMax64(CACHE_BYTES);
}

sky_status sky_gdal_start(sky_context *ctx) {
  if (pthread_once(&started, start) != 0 || GDALGetDriverCount() == 0) {
    return sky_fail(ctx, SKY_E_INTERNAL, "GDAL has no drivers");
  }
  return SKY_OK;
}

sky_status sky_gdal_fail(sky_context *ctx, sky_status status, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  const char *why = CPLGetLastErrorMsg();
  size_t n = strlen(why); /* our messages end without a period */
  while (n > 0 && (why[n - 1] == '.' || why[n - 1] == '\n'))
    n--;
  if (n == 0) return sky_fail(ctx, status, "%s", text);
  return sky_fail(ctx, status, "%s: %.*s", text, (int)n, why);
}
