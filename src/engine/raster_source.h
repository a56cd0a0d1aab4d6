/* raster_source.h: one thread's handle on one band: native blocks in, values or classes out.
 *
 * A tile of the grid is loaded by reading the file's own blocks that it meets, past GDAL's block
 * cache, into a buffer of the file's type that is used again; blocks of SKY_BAND cells a side are
 * then converted from it. Nodata is a mask: the band's nodata value, its mask band or alpha, and
 * NaN.
 *
 * On a target grid other than the file's own, the tile's cells are made from the file's by area,
 * exactly: no weight matrix is held, what a cell gets does not depend on the tile, and the mass
 * that came, went and was left is kept block by block. */
#ifndef SKY_ENGINE_RASTER_SOURCE_H
#define SKY_ENGINE_RASTER_SOURCE_H

#include "grids/cover.h"
#include "src/core/sum.h"

typedef enum sky_pixel_kind {
  SKY_PIXEL_VALUE, /* double, masked = NaN; scale and offset of the band applied */
  SKY_PIXEL_CLASS  /* int32_t, masked = SKY_PIXEL_NODATA; whole numbers only */
} sky_pixel_kind;

#define SKY_PIXEL_NODATA INT32_MIN /* not a legal class */

/* What a cell of another grid gets from the cells of the file. SKY_PIXEL_CLASS is always sampled as
 * a class; this says how values are. */
typedef enum sky_sampling {
  SKY_SAMPLE_INTENSIVE, /* mean of the valid cells by true area: densities, mole fractions */
  SKY_SAMPLE_EXTENSIVE, /* sum; each cell is shared out by area: amounts per cell */
  SKY_SAMPLE_CLASS      /* the class at the centre, where the file's cells are as large or larger;
                           else the one with the largest area, of equal ones the smallest */
} sky_sampling;

typedef struct sky_raster_input {
  const char *path; /* owned by the caller */
  int band;         /* from 1 */
  sky_pixel_kind kind;
  sky_sampling sampling; /* onto another grid */
  double min_valid;      /* there, share of a cell's area with valid source that it must have */
} sky_raster_input;

/* What became of the source under some cells of a target grid: of values × m2 (intensive; plane m2
 * between grids of one projection) or of values (extensive); all 0 for classes. Source cells that
 * the target's outline cuts count in full, the part beyond it is outside. */
typedef struct sky_source_audit {
  sky_acc in, gross, out, outside, lost; /* gross: of absolute values; lost: to min_valid */
  sky_acc nodata;                        /* source cells without data */
} sky_source_audit;

/* What the file says; for messages and for planning. */
typedef struct sky_raster_facts {
  const char *type;        /* GDAL's name, static */
  const char *unit;        /* of the band, "" if it states none */
  bool masked, has_nodata; /* any mask; a nodata value */
  double nodata;           /* if has_nodata */
  double scale, offset;    /* 1 and 0 if there are none */
  size_t block_x, block_y; /* native */
  size_t pixel_bytes;      /* with its mask */
  bool native;             /* read block by block; false: through the driver's own windows (VRT) */
  bool bytes;              /* can be seen as bytes, see sky_source_byte_rows */
} sky_raster_facts;

typedef struct sky_source sky_source;

/* target: the grid to deliver on, which must outlive the result, as must in->path; NULL: the file's
 * own. All windows are windows of that grid. */
SKY_NODISCARD sky_status sky_source_open(sky_context *ctx, const sky_raster_input *in,
                                         const sky_grid *target, sky_source **out);
void sky_source_close(sky_source *s); /* NULL-safe */
const sky_grid *sky_source_grid(const sky_source *s);
const sky_raster_facts *sky_source_facts(const sky_source *s);
/* Memory of a handle that loads tiles of such a size. */
size_t sky_source_bytes(const sky_source *s, size_t tile_x, size_t tile_y);
SKY_NODISCARD sky_status sky_source_same_grid(sky_context *ctx, const sky_source *a,
                                              const sky_source *b);

/* Read a tile. A native block that cannot be read is no error here: sky_source_bad tells. */
SKY_NODISCARD sky_status sky_source_load(sky_context *ctx, sky_source *s, const sky_window *tile);
/* The first reason why cells of the window (inside the tile) could not be read; NULL: all were. */
const char *sky_source_bad(const sky_source *s, const sky_window *w);
/* Cells of a window of at most SKY_BAND a side inside the tile: out[row*SKY_BAND + column], row 0
 * the southernmost, double or int32_t by the input's kind. SKY_E_RANGE names the pixel that is no
 * class. */
SKY_NODISCARD sky_status sky_source_convert(sky_context *ctx, const sky_source *s,
                                            const sky_window *w, void *out);
/* Of resampled sources only: the share of each such cell with valid source,
 * out[row*SKY_BAND + column]; and the audit of the block of the raster engine that the window is.
 */
bool sky_source_resampled(const sky_source *s);
void sky_source_valid(const sky_source *s, const sky_window *w, double *out);
const sky_source_audit *sky_source_audit_of(const sky_source *s, const sky_window *w);

/* Classes of one byte where they lie: row r from `first + r * stride` on, row 0 the southernmost;
 * nodata: their masked code, none of 0..255 if there is none. If facts.bytes, of a window inside
 * the tile, until the next load. */
typedef struct sky_byte_rows {
  const uint8_t *first;
  ptrdiff_t stride;
  int nodata;
} sky_byte_rows;
sky_byte_rows sky_source_byte_rows(const sky_source *s, const sky_window *w);
#endif
