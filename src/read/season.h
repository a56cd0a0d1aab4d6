/* season.h: a series of EVI and LSWI on a grid (`skyflux indices`, or any NetCDF with variables evi
 * and lswi over time, y, x), and the ranges of each cell over it. */
#ifndef SKY_READ_SEASON_H
#define SKY_READ_SEASON_H

#include "grids/grid.h"

typedef struct sky_season {
  sky_grid grid;
  size_t n;                                        /* steps, 2 at least */
  double *time;                                    /* [n] s since 1970, ascending */
  double *evi, *lswi;                              /* [n*cells] -1..1; NaN nodata */
  double *evi_min, *evi_max, *lswi_min, *lswi_max; /* [cells] over all steps; NaN: never seen */
} sky_season;

SKY_NODISCARD sky_status sky_season_read(sky_context *ctx, const char *path, sky_season *out);
void sky_season_free(sky_season *s); /* NULL-safe, zeroes */

/* Both indices at a time, straight between the steps around it; SKY_E_COVERAGE outside of the
 * series. */
SKY_NODISCARD sky_status sky_season_at(sky_context *ctx, const sky_season *s, double time,
                                       double *evi, double *lswi);

#endif
