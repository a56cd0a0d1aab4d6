/* resample.h: a file's cells onto another grid, tile by tile; behind raster_source.h.
 *
 * The value of a target cell is summed in one order, source rows from north to south, each from
 * west to east, so that it depends neither on the tile it is asked for in, nor on the file's
 * blocks, nor on the pieces that the source is read in. The audit is kept for blocks of SKY_BAND
 * cells a side of the target. */
#ifndef SKY_ENGINE_RESAMPLE_H
#define SKY_ENGINE_RESAMPLE_H

#include "src/engine/raster_file.h"

#define SKY_BAD_TEXT 256

typedef struct sky_resampled_block {
  sky_source_audit audit;
  char bad[SKY_BAD_TEXT]; /* why some source under it could not be read; empty: it could */
} sky_resampled_block;

/* A tile of the target, rows of tile.nx, southernmost first; start with {0}. */
typedef struct sky_resampled {
  sky_window tile;
  size_t room, block_room; /* cells, blocks */
  double *value;           /* NaN: nodata; classes as doubles, too */
  double *valid;           /* share of the cell with valid source */
  size_t columns;          /* of blocks */
  sky_resampled_block *block;
} sky_resampled;

SKY_NODISCARD sky_status sky_resampled_start(sky_context *ctx, sky_resampled *r,
                                             const sky_window *tile, const sky_grid *target);
void sky_resampled_free(sky_resampled *r); /* NULL-safe */
/* The block of a cell of the tile, by the tile's row and column. */
sky_resampled_block *sky_resampled_block_of(const sky_resampled *r, size_t row, size_t column);
/* A cell is kept: it has enough valid source. */
static inline bool sky_resampled_kept(double valid, double min_valid) {
  return valid > 0 && valid >= min_valid - 1e-9;
}

typedef struct sky_separable sky_separable;

/* Of one CRS. file and target must outlive the result. */
SKY_NODISCARD sky_status sky_separable_create(sky_context *ctx, sky_raster_file *file,
                                              const sky_raster_input *in, const sky_grid *target,
                                              sky_separable **out);
void sky_separable_free(sky_separable *s); /* NULL-safe */
size_t sky_separable_bytes(const sky_separable *s, size_t tile_x, size_t tile_y);
SKY_NODISCARD sky_status sky_separable_load(sky_context *ctx, sky_separable *s,
                                            const sky_window *tile, sky_resampled *out);

typedef struct sky_across sky_across;

/* Between two systems. */
SKY_NODISCARD sky_status sky_across_create(sky_context *ctx, sky_raster_file *file,
                                           const sky_raster_input *in, const sky_grid *target,
                                           sky_across **out);
void sky_across_free(sky_across *s); /* NULL-safe */
size_t sky_across_bytes(const sky_across *s, size_t tile_x, size_t tile_y);
SKY_NODISCARD sky_status sky_across_load(sky_context *ctx, sky_across *s, const sky_window *tile,
                                         sky_resampled *out);

#endif
