/* georeference.h: the grid of an open raster, and whether two rasters share one. */
#ifndef SKY_ENGINE_GEOREFERENCE_H
#define SKY_ENGINE_GEOREFERENCE_H

#include <gdal.h>

#include "grids/grid.h"

/* north_up: line 0 of the file is the northernmost. SKY_E_FORMAT without a CRS, without
 * georeference, or rotated; SKY_E_RANGE for a CRS that is neither geographic nor in metres. path is
 * for messages. */
SKY_NODISCARD sky_status sky_gdal_grid(sky_context *ctx, const char *path, GDALDatasetH data,
                                       sky_grid *out, bool *north_up);

/* Same CRS and edges within 1e-6 of a cell; SKY_E_COVERAGE names both files and what differs. */
SKY_NODISCARD sky_status sky_gdal_same_grid(sky_context *ctx, const char *path_a, GDALDatasetH a,
                                            const sky_grid *g, const char *path_b, GDALDatasetH b,
                                            const sky_grid *h);
#endif
