/* met.h: hourly 2-m temperature and downward shortwave at the surface (ERA5, ERA5-Land; NetCDF).
 *
 * Variables t2m | 2t and ssrd | msdwswrf | avg_sdswrf; files that state no unit have ERA5's (K,
 * J m-2), which the log says. ssrd is accumulated: over the hour that ends at the time of the step
 * (ERA5), or since 00 UTC (ERA5-Land: the value of 00 UTC is that of the whole day before).
 * Temperature is that of the hour's end; the mean of its two ends is taken where the hour before is
 * in the file. */
#ifndef SKY_READ_MET_H
#define SKY_READ_MET_H

#include "grids/grid.h"

typedef enum sky_accumulation {
  SKY_ACCUMULATED_AUTO = 0, /* as the values are: see sky_met_read */
  SKY_ACCUMULATED_HOUR,
  SKY_ACCUMULATED_DAY
} sky_accumulation;

typedef struct sky_met {
  sky_grid grid;
  size_t n;          /* hours */
  double *end;       /* [n] s since 1970; each begins 3600 s earlier, and where the last one ends */
  double *t2m;       /* [n*cells] K, NaN nodata */
  double *shortwave; /* [n*cells] W m-2, >= 0, NaN nodata */
  bool by_day;       /* radiation was accumulated since 00 UTC */
  size_t nodata;     /* values that are NaN, of both */
} sky_met;

/* AUTO: by day if the radiation of no cell ever falls from one hour of a UTC day to the next; that
 * needs 24 hours, else SKY_E_USAGE asks for it. By day the first hour of a file is dropped unless
 * it begins a UTC day. SKY_E_FORMAT: steps that are not hours without a gap; SKY_E_RANGE: values
 * that are no temperature (180..340 K) or radiation (0..1500 W m-2), or do not rise within the day.
 */
SKY_NODISCARD sky_status sky_met_read(sky_context *ctx, const char *path, sky_accumulation how,
                                      sky_met *out);
void sky_met_free(sky_met *m); /* NULL-safe, zeroes */

#endif
