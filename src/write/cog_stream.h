/* cog_stream.h: a Cloud Optimized GeoTIFF written block by block, from any thread, in any order.
 *
 * Blocks are those of the raster engine (raster_pass.h): SKY_BAND cells a side, counted from the
 * north-west corner. Four of them fill a tile of 512 x 512 pixels; whoever fills it makes its share
 * of every overview and compresses it, once, into a scratch file beside the output. Finishing lays
 * the compressed tiles out: directories first, then the smallest overview, the full resolution
 * last. The bytes depend on the pixels and the description only, not on threads or order.
 *
 * Overviews by field kind, each level from the cells of the full resolution: mean of the valid
 * cells, sum of the valid cells, or most frequent class (ties: the smallest code).
 * Memory: when blocks come row by row, two rows of tiles and what the threads work on.
 *
 * With a stamp the scratch file (".tiles.NAME") outlives kill -9, a full disk and abort; opening
 * the same target with the same stamp goes on from it. Peak disk use is twice the file. */
#ifndef SKY_WRITE_COG_STREAM_H
#define SKY_WRITE_COG_STREAM_H

#include "src/engine/raster_source.h"
#include "src/write/cog.h"
#include "src/write/style.h"

typedef enum sky_cog_type {                      /* nodata unless told otherwise */
                            SKY_COG_FLOAT32 = 0, /* NaN, always */
                            SKY_COG_UINT8,       /* 255 */
                            SKY_COG_UINT16,      /* 65535 */
                            SKY_COG_INT16,       /* -32768 */
                            SKY_COG_INT32        /* INT32_MIN */
} sky_cog_type;

typedef enum sky_cog_codec { SKY_COG_DEFLATE = 0, SKY_COG_ZSTD } sky_cog_codec;

/* Zero is the default of everything. What it points to must outlive the stream. */
typedef struct sky_cog_options {
  sky_cog_type type;
  sky_cog_codec codec;
  int level;             /* of the codec; 0: DEFLATE (1-12) 6, ZSTD (1-22) 3 for floats, else 5 */
  sky_pixel_kind pixels; /* what put gets: double with NaN, or int32_t with SKY_PIXEL_NODATA */
  bool has_nodata;
  double nodata; /* of integers, if has_nodata */
  /* "KEY=VALUE" for the default metadata domain (provenance), NULL-terminated. */
  const char *const *tags;
  /* Legend of SKY_FIELD_CLASS: colour table (uint8), category names (codes 0 to 255) and attribute
   * table with pixel counts in NAME.aux.xml, QGIS style. Codes ascending. */
  const sky_class_style *classes;
  size_t n_classes;
  const char *stamp;      /* all that the pixels follow from, as text; NULL: no resume */
  bool fresh;             /* ignore an earlier scratch file */
  bool no_style;          /* no NAME.qml */
  int levels;             /* overviews; 0: until the smallest fits in a tile, 9 at most */
  uint64_t classic_limit; /* bytes from which the file is a BigTIFF; 0: 2^32 */
} sky_cog_options;

#define SKY_COG_LOG ".tiles." /* "dir/x.tif" -> "dir/.tiles.x.tif", the scratch file */

typedef struct sky_cog sky_cog;

/* grid and field (its value is not used) must outlive the stream. Errors: SKY_E_UNITS, SKY_E_FORMAT
 * (cells not equally spaced, unknown CRS, an option that does not go with the type), SKY_E_SIZE,
 * SKY_E_DISK. A scratch file with another stamp is replaced. */
SKY_NODISCARD sky_status sky_cog_open(sky_context *ctx, const char *path, const sky_grid *grid,
                                      const sky_field *field, const sky_cog_options *options,
                                      sky_cog **out);
/* Whether the block is there, from this run or an earlier one; any thread. */
bool sky_cog_has(sky_cog *c, size_t column, size_t band);
/* One block: pixels[row*stride + column], row 0 the southernmost of the block; any thread. A block
 * that is there is not written again. pixels NULL: nodata. SKY_E_RANGE names the cell whose value
 * the type cannot hold. */
SKY_NODISCARD sky_status sky_cog_put(sky_context *ctx, sky_cog *c, size_t column, size_t band,
                                     const void *pixels, size_t stride);
/* Blocks that were never put are nodata. Writes the file and its sidecars, all or none, and frees
 * c; the threads of ctx compress what is left. */
SKY_NODISCARD sky_status sky_cog_finish(sky_context *ctx, sky_cog *c);
/* Frees c and leaves no output; the scratch file stays if there is a stamp. NULL-safe. */
void sky_cog_abort(sky_cog *c);

/* Memory of a stream that is written row by row by this many threads, for the budget. */
size_t sky_cog_bytes(const sky_grid *grid, sky_cog_type type, int threads);

#endif
