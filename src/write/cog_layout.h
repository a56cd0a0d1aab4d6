/* cog_layout.h: compressed tiles -> the bytes of a Cloud Optimized GeoTIFF. */
#ifndef SKY_WRITE_COG_LAYOUT_H
#define SKY_WRITE_COG_LAYOUT_H

#include "src/write/cog_log.h"

typedef struct sky_layout_level {
  size_t nx, ny;         /* pixels */
  size_t tiles;          /* row by row from the north-west */
  sky_tile_record *tile; /* [tiles] in the scratch file */
} sky_layout_level;

/* Writes path's part (file.h), which the caller commits. pattern: a classic little-endian TIFF of
 * one tile with all tags but those of size and place, as GDAL wrote it. BigTIFF if the file would
 * be larger than classic_limit bytes. level[0] is the full resolution. */
SKY_NODISCARD sky_status sky_cog_layout(sky_context *ctx, const char *path, const uint8_t *pattern,
                                        size_t pattern_bytes, const sky_layout_level *level,
                                        size_t n_levels, uint64_t classic_limit,
                                        const sky_tile_log *scratch);
#endif
