/* wind.h: wind near the ground from a meteorological file (ERA5 and alike; NetCDF). */
#ifndef SKY_READ_WIND_H
#define SKY_READ_WIND_H

#include "skyflux/context.h"

/* East and north component, m s-1, at n places (degrees) and times (s since 1970): linear in time,
 * bilinear between the centres of cells, those at the rim also half a cell beyond. NaN outside the
 * grid, before the first and after the last step, and where a neighbour has no value.
 *
 * Variables u10 | 10u | u100 | 100u and their v on one geographic grid, time first; two steps are
 * held at a time. SKY_E_FORMAT: no such variables, a projected grid, times that do not ascend;
 * SKY_E_RANGE: values beyond ±150 m s-1. */
SKY_NODISCARD sky_status sky_wind_read(sky_context *ctx, const char *path, size_t n,
                                       const double *time, const double *lon, const double *lat,
                                       double *east, double *north);

#endif
