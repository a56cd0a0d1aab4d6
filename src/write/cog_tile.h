/* cog_tile.h: the pixels of one tile: stored in the file's type, described, and made smaller.
 *
 * Everything goes through rows of doubles in which NaN is nodata, so that the five types need one
 * loop each way. */
#ifndef SKY_WRITE_COG_TILE_H
#define SKY_WRITE_COG_TILE_H

#include "src/write/cog_stream.h"

#define SKY_COG_TILE 512 /* pixels a side; two blocks of the raster engine */
#define SKY_COG_LEVELS 9 /* overviews that one tile holds whole cells of: 512 = 2^9 */

typedef struct sky_pixel_format {
  sky_cog_type type;
  double nodata;
  bool whole; /* values must be whole numbers: classes */
} sky_pixel_format;

size_t sky_pixel_bytes(sky_cog_type type);
const char *sky_pixel_name(sky_cog_type type);                       /* "uint16" */
void sky_pixel_limits(sky_cog_type type, double *low, double *high); /* finite values */

double sky_pixel_nodata(const sky_cog_options *o); /* of the file */

/* n values -> pixels, rounded to the nearest (half to even); returns n, or the index of the first
 * value that the format cannot hold. */
size_t sky_pixel_store(const sky_pixel_format *f, const double *value, size_t n, void *pixel);
void sky_pixel_load(const sky_pixel_format *f, const void *pixel, size_t n, double *value);
void sky_pixel_fill(const sky_pixel_format *f, size_t n, void *pixel); /* nodata */
bool sky_pixel_empty(const sky_pixel_format *f, const void *pixel, size_t n);

typedef struct sky_tile_stats {
  uint64_t n;       /* valid */
  double min, max;  /* meaningless if n is 0 */
  double mean, ssd; /* sum of squared deviations from the mean */
} sky_tile_stats;

/* nx x ny pixels with rows of SKY_COG_TILE. */
void sky_tile_describe(const sky_pixel_format *f, const void *pixel, size_t nx, size_t ny,
                       sky_tile_stats *out);
/* Chan, Golub & LeVeque 1983 over any number of tiles, in their order. */
sky_tile_stats sky_tile_stats_merge(const sky_tile_stats *s, size_t n);

/* Workspace of sky_tile_reduce for one thread. */
typedef struct sky_tile_work {
  double *sum, *value; /* [256*256] */
  uint32_t *count;     /* [256*256] */
  /* Classes: the codes below each cell, ascending, with their pixels; two sets, used in turns. */
  double *code[2];
  uint32_t *codes[2], *start[2];
} sky_tile_work;
SKY_NODISCARD sky_status sky_tile_work_create(sky_context *ctx, bool classes, sky_tile_work *w);
void sky_tile_work_free(sky_tile_work *w);

/* Takes the cells of one overview: value[ny*nx], NaN where no cell below is valid. */
typedef sky_status (*sky_tile_emit)(sky_context *ctx, void *user, int level, const double *value,
                                    size_t nx, size_t ny);
/* Levels 1 (2 x 2 pixels) to `levels` of a tile. */
SKY_NODISCARD sky_status sky_tile_reduce(sky_context *ctx, sky_field_kind kind,
                                         const sky_pixel_format *f, const void *pixel, size_t nx,
                                         size_t ny, int levels, sky_tile_work *w,
                                         sky_tile_emit emit, void *user);
#endif
