/* flux.h: gridded flux inventories -> mol m-2 s-1 on their own grid.
 *
 * One reader for lon/lat NetCDF flux files (openghg `flux`, EDGAR `emi_*`, GEPA `emissions_*`,
 * HEMCO `EmisCH4_*`): the variable, or the sum of all variables that match a pattern, with its
 * unit. The spacing of the axes is compared with the source resolution that the file itself states
 * (history/comment/attributes such as "0.1x0.1 degrees", "5.3x5.1" in the name is not a statement);
 * a file decimated to every n-th cell is refused as a prior.
 *
 * Cells may be quadrilaterals (a curvilinear grid, gridded.h): then `cells` holds them, and `grid`
 * only counts them; sky_job_flux_to_mesh carries either onto a mesh. */
#ifndef SKY_READ_FLUX_H
#define SKY_READ_FLUX_H

#include "grids/curvilinear.h"

typedef struct sky_flux_options {
  const char *gas;      /* required */
  const char *variable; /* name or pattern with '*'; NULL = the only flux-like variable */
  const char *units;    /* used when the file states none; NULL = error then */
  double start, end; /* s since 1970: mean over the parts of time steps inside; NaN = open. A file
                        of one step stands for all times */
  bool as_prior;     /* refuse decimated files (SKY_E_COVERAGE) */
  double stated_dx, stated_dy; /* NaN, or the source resolution in degrees from the job */
} sky_flux_options;

typedef struct sky_flux {
  sky_grid grid;
  sky_curvilinear cells; /* nx = 0: those of grid */
  char gas[8];
  double *area;        /* [cells] m2, of the ellipsoid */
  double *flux;        /* [cells] mol m-2 s-1; NaN nodata */
  double total;        /* kg yr-1 of the gas over the grid (365.2425 d), exact cell areas */
  double stated_total; /* kg yr-1 as the file states it (total_emi_*, else NaN) */
  size_t n_sectors;
  char **sector;        /* variable names summed */
  double *sector_total; /* [n_sectors] kg yr-1 */
  size_t n_times;       /* time steps averaged */
  double time_start;    /* first step; NaN if the file has no time */
  char title[160], units[128];
} sky_flux;

SKY_NODISCARD sky_status sky_flux_read(sky_context *ctx, const char *path,
                                       const sky_flux_options *opt, sky_flux *out);
/* The variables that sky_flux_read would sum up; new, freed one by one. */
SKY_NODISCARD sky_status sky_flux_names(sky_context *ctx, const char *path,
                                        const sky_flux_options *opt, char ***names, size_t *n);
void sky_flux_free(sky_flux *f);

#define SKY_SECONDS_PER_YEAR (365.2425 * 86400.0)

#endif
