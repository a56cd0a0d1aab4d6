/* vprm_share.h: how much of each cell is vegetation of a class: from a land-cover map and a table
 * of its codes, or from rasters of fractions. */
#ifndef SKY_JOB_VPRM_SHARE_H
#define SKY_JOB_VPRM_SHARE_H

#include "algorithms/sink/vprm_sets.h"
#include "grids/grid.h"

#define SKY_VPRM_NO_FLUX "none" /* class of codes without vegetation flux: water, built, bare */

/* share [set->n*cells] of a cell's area by exact areas. classes: CSV of columns code, class. NaN
 * where less than half of a cell is on the map. SKY_E_RANGE names a code without a row, a class
 * that the set lacks. */
SKY_NODISCARD sky_status sky_vprm_share_landcover(sky_context *ctx, const char *landcover,
                                                  const char *classes, const sky_vprm_set *set,
                                                  const sky_grid *grid, double *share);
/* fractions: "CLASS=FILE" of rasters 0..1. SKY_E_RANGE: outside of it, or more than 1 in all. */
SKY_NODISCARD sky_status sky_vprm_share_rasters(sky_context *ctx, const char *const *fractions,
                                                size_t n, const sky_vprm_set *set,
                                                const sky_grid *grid, double *share);

#endif
