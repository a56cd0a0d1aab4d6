/* raster.h: a raster of classes (land cover) or amounts (a proxy), read in strips through GDAL.
 *
 * Rows are counted from the south, as everywhere (grids/grid.h), whatever the file's order. Nodata
 * is a mask: a pixel is masked by the file's nodata value, its mask band, or NaN. One handle must
 * not be used by two threads at once. */
#ifndef SKY_READ_RASTER_H
#define SKY_READ_RASTER_H

#include "grids/grid.h"

#define SKY_CLASS_NODATA INT32_MIN /* not a legal class */

typedef struct sky_raster sky_raster;

/* The first band. Classes of floating-point files are accepted where every value is a whole number.
 * A file without a nodata value is said: all its pixels count. SKY_E_MISSING, SKY_E_READ;
 * SKY_E_FORMAT without a CRS, without georeference, or rotated; SKY_E_RANGE for a CRS that is
 * neither geographic nor in metres. */
SKY_NODISCARD sky_status sky_raster_open(sky_context *ctx, const char *path, sky_raster **out);
void sky_raster_close(sky_raster *r); /* NULL-safe */
const sky_grid *sky_raster_grid(const sky_raster *r);
const char *sky_raster_path(const sky_raster *r);
int sky_raster_bands(const sky_raster *r); /* of the file, without alpha */

/* Classes of a window, [rows*columns], row 0 the southernmost; masked pixels are SKY_CLASS_NODATA.
 * SKY_E_RANGE names the pixel whose value is not a whole number of 32 bits. */
SKY_NODISCARD sky_status sky_raster_classes(sky_context *ctx, sky_raster *r, size_t row0,
                                            size_t rows, size_t column0, size_t columns,
                                            int32_t *out);

/* Amounts (with the file's scale and offset) of the pixels around a grid of any CRS, row 0 the
 * southernmost; masked pixels are NaN. *window is their grid, both freed by the caller.
 * SKY_E_COVERAGE: none. */
SKY_NODISCARD sky_status sky_raster_amounts(sky_context *ctx, sky_raster *r, const sky_grid *where,
                                            sky_grid *window, double **out);

/* Both have the same CRS and edges within 1e-6 of a cell; SKY_E_COVERAGE names both files and what
 * differs. */
SKY_NODISCARD sky_status sky_raster_same_grid(sky_context *ctx, const sky_raster *a,
                                              const sky_raster *b);
#endif
