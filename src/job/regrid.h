/* regrid.h: rasters onto another grid, into one GeoTIFF, with a closed audit. */
#ifndef SKY_JOB_REGRID_H
#define SKY_JOB_REGRID_H

#include "grids/regrid.h"
#include "src/engine/raster_pass.h"

#define SKY_REGRID_TOLERANCE 1e-6 /* of the audit, design law 3 */

typedef struct sky_regrid_options {
  char **files; /* several are one mosaic */
  size_t n_file;
  int band;
  sky_sampling sampling;
  double min_valid; /* share of a cell's area with valid source that it must have */
  const char *out;  /* GeoTIFF */
  const char *unit; /* NULL: that of the first file */
  const sky_grid *target;
  sky_pass_options pass;
} sky_regrid_options;

typedef struct sky_regrid_result {
  sky_audit audit;    /* values × m2, or values; 0 for classes */
  double valid, area; /* target cells with a value; area of all cells, by valid fraction (cells) */
  char unit[64];      /* of the file written */
  sky_raster_report report;
} sky_regrid_result;

/* Where several files have values for a cell: their mean by area (intensive), their sum
 * (extensive), the class of the one that covers most of it, of equal ones the first. SKY_E_MASS if
 * the audit does not close, SKY_E_NODATA if no cell got a value; both leave no file. Blocks that
 * cannot be read are nodata and counted in the report. */
SKY_NODISCARD sky_status sky_regrid_rasters(sky_context *ctx, const sky_regrid_options *opt,
                                            sky_regrid_result *out);

#endif
