/* mosaic.h: a raster of any size: one COG, or a folder of them behind a VRT.
 *
 * A grid of at most `side` cells a side is one file at the path asked for. A larger one is cut into
 * pieces, counted from the north-west corner and fixed by the grid and the side alone: "out.tif"
 * becomes "out.vrt" over "out/piece_ROW_COLUMN.tif", with relative paths. Pieces have the overviews
 * of the whole; the VRT joins them exactly, level by level ("out/overview_N.vrt").
 *
 * Pieces are written and finished one by one as their blocks come. Shards write whole pieces, each
 * its own; the one that links them makes the same bytes as one run. */
#ifndef SKY_WRITE_MOSAIC_H
#define SKY_WRITE_MOSAIC_H

#include "src/engine/journal.h"
#include "src/write/cog_stream.h"

#define SKY_MOSAIC_SIDE 65536 /* cells */

typedef struct sky_mosaic sky_mosaic;

/* As sky_cog_open; side: a multiple of 512 (0: SKY_MOSAIC_SIDE). With a stamp, pieces that an
 * earlier run finished and logs that it left are taken over. */
SKY_NODISCARD sky_status sky_mosaic_open(sky_context *ctx, const char *path, const sky_grid *grid,
                                         const sky_field *field, const sky_cog_options *options,
                                         size_t side, sky_shard shard, sky_mosaic **out);
/* Whether a block belongs to this shard and is not there yet; any thread. */
bool sky_mosaic_wants(sky_mosaic *m, size_t column, size_t band);
/* As sky_cog_put; blocks of other shards' pieces are ignored. Finishes a piece with its last
 * block. */
SKY_NODISCARD sky_status sky_mosaic_put(sky_context *ctx, sky_mosaic *m, size_t column, size_t band,
                                        const void *pixels, size_t stride);
/* Finishes the pieces of this shard, also those of nodata only; unless this is a shard of several,
 * links all pieces. Frees m. */
SKY_NODISCARD sky_status sky_mosaic_finish(sky_context *ctx, sky_mosaic *m);
void sky_mosaic_abort(sky_mosaic *m); /* NULL-safe; finished pieces stay if there is a stamp */
/* What is written in the end: "out.tif" or "out.vrt"; owned by m. */
const char *sky_mosaic_path(const sky_mosaic *m);

/* After all shards are finished: the VRT over their pieces. SKY_E_COVERAGE names what is missing or
 * of another run. */
SKY_NODISCARD sky_status sky_mosaic_link(sky_context *ctx, const char *path, const sky_grid *grid,
                                         const sky_field *field, const sky_cog_options *options,
                                         size_t side);
#endif
