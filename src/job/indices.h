/* indices.h: composites of surface reflectance -> the season of EVI and LSWI on a grid, without
 * gaps: what VPRM reads (src/read/season.h). */
#ifndef SKY_JOB_INDICES_H
#define SKY_JOB_INDICES_H

#include "grids/grid.h"

typedef struct sky_indices_options {
  char **files; /* MOD09A1 composites; several of one time are tiles */
  size_t n_file;
  const sky_grid *grid;
  double min_valid; /* share of a cell's area with good pixels that a composite must have */
  double penalty;   /* of the season's second differences (vegetation.h) */
  double every;     /* days between its steps */
  const char *out;  /* NetCDF */
} sky_indices_options;

typedef struct sky_indices_result {
  size_t composites, steps, cells, seen; /* seen: cells with a value in any composite */
  size_t pixels, good;
} sky_indices_result;

SKY_NODISCARD sky_status sky_indices_make(sky_context *ctx, const sky_indices_options *opt,
                                          sky_indices_result *out);

#endif
