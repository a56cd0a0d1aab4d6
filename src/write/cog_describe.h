/* cog_describe.h: what a raster file says about itself, as GDAL writes it. */
#ifndef SKY_WRITE_COG_DESCRIBE_H
#define SKY_WRITE_COG_DESCRIBE_H

#include "src/write/cog_tile.h"
#include "src/write/crs.h"

#define SKY_COG_RAT_COUNT 1 /* column of the attribute table */

/* What the pixels turned out to be. */
typedef struct sky_cog_facts {
  sky_tile_stats stats;
  uint64_t cells;
  const uint64_t *class_pixels; /* [n_classes] */
} sky_cog_facts;

/* A classic TIFF of one empty tile with geokeys, metadata, nodata, colours …, and the text of its
 * .aux.xml (NULL if there is none); malloc'd. */
SKY_NODISCARD sky_status sky_cog_describe(sky_context *ctx, const char *path, const sky_grid *grid,
                                          const sky_field *field, const sky_cog_options *options,
                                          const sky_pixel_format *format, int predictor,
                                          const sky_cog_facts *facts, uint8_t **pattern,
                                          size_t *pattern_bytes, char **sidecar);
/* The same for a dataset (GDALDatasetH) of one band that the caller made; false: GDAL says why. */
bool sky_cog_describe_dataset(void *dataset, const sky_grid *grid, const sky_crs *crs,
                              const sky_field *field, const sky_cog_options *options, double nodata,
                              const sky_cog_facts *facts);
/* SKY_E_UNITS, SKY_E_SIZE, SKY_E_FORMAT: what no GeoTIFF can hold. */
SKY_NODISCARD sky_status sky_cog_check(sky_context *ctx, const char *path, const sky_grid *grid,
                                       const sky_field *field, const sky_cog_options *options);

#endif
