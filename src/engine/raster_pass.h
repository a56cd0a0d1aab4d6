/* raster_pass.h: one pass over any number of rasters on one grid, tile by tile, in parallel.
 *
 * The grid is cut into fixed blocks of SKY_BAND x SKY_BAND cells, counted from the north-west
 * corner. Threads take tiles (rectangles of blocks), read them with handles of their own and map
 * each block to a part; the parts are merged one by one in the order of the blocks, row by row.
 * So nothing depends on the number of threads or the size of the tiles. What cannot be read is
 * reported, the blocks that it touches are mapped as unread, and the rest is done. */
#ifndef SKY_ENGINE_RASTER_PASS_H
#define SKY_ENGINE_RASTER_PASS_H

#include "src/engine/raster_source.h"

#define SKY_TILE 1024 /* cells a side by default */

typedef struct sky_raster_set sky_raster_set;

/* Opens all inputs once, to be read on the target grid; NULL: on that of the first input, which all
 * must share (SKY_E_COVERAGE names what differs). The paths and the target must outlive the set. */
SKY_NODISCARD sky_status sky_raster_set_open(sky_context *ctx, const sky_raster_input *inputs,
                                             size_t n, const sky_grid *target,
                                             sky_raster_set **out);
void sky_raster_set_close(sky_raster_set *s); /* NULL-safe */
const sky_grid *sky_raster_set_grid(const sky_raster_set *s);
size_t sky_raster_set_count(const sky_raster_set *s);
const sky_raster_facts *sky_raster_set_facts(const sky_raster_set *s, size_t input);

typedef struct sky_raster_block {
  size_t index;        /* in merge order */
  size_t band, column; /* of blocks, from the north-west */
  sky_window window;
  const void *const *pixel;        /* [inputs] as sky_source_convert writes them; NULL: unread */
  const sky_source *const *source; /* [inputs] loaded, for what else they know of the window */
} sky_raster_block;

/* What a pass does. All but map and merge may be NULL. */
typedef struct sky_raster_kernel {
  void *user;
  size_t worker_bytes; /* memory of one worker, for the plan */
  sky_status (*start)(sky_context *ctx, void *user, void **worker); /* in each thread */
  void (*stop)(void *worker);
  /* Whether a window of the grid is worth reading; any thread. */
  bool (*wanted)(void *user, const sky_window *w);
  /* *part may stay NULL: nothing to merge. */
  sky_status (*map)(sky_context *ctx, void *user, void *worker, const sky_raster_block *block,
                    void **part);
  /* One call at a time, ascending by block; takes the part over. */
  sky_status (*merge)(sky_context *ctx, void *user, size_t block, void *part);
  void (*drop)(void *part); /* of parts that are not merged after a failure */
} sky_raster_kernel;

typedef struct sky_raster_report {
  size_t blocks, unread; /* mapped */
  size_t tile_x, tile_y; /* cells */
  int threads;           /* used, within the memory budget */
} sky_raster_report;

/* How a pass is done; no result depends on it. */
typedef struct sky_pass_options {
  size_t tile; /* wished side, cells, a multiple of SKY_BAND (0: SKY_TILE); made larger where the
                * files' own blocks are, smaller where --memory asks for it */
} sky_pass_options;

/* options NULL: the defaults. SKY_E_NOMEM if even one block row does not fit; unread blocks are
 * logged and no failure here. */
SKY_NODISCARD sky_status sky_raster_pass(sky_context *ctx, sky_raster_set *set, const char *task,
                                         const sky_pass_options *options,
                                         const sky_raster_kernel *kernel,
                                         sky_raster_report *report);
#endif
