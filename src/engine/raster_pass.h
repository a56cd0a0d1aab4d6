/* raster_pass.h: one pass over any number of rasters on one grid, tile by tile, in parallel.
 *
 * The grid is cut into fixed blocks of SKY_BAND x SKY_BAND cells, counted from the north-west
 * corner. Threads take tiles (rectangles of blocks), read them with handles of their own and map
 * each block to a part; the parts are merged one by one in the order of the blocks, row by row.
 * So nothing depends on the number of threads or the size of the tiles. What cannot be read is
 * reported, the blocks that it touches are mapped as unread, and the rest is done.
 *
 * Finished parts may be kept in a journal (journal.h), from which a run that was killed is resumed;
 * a shard of the blocks leaves nothing but its journal, and joined shards are merged as if they had
 * just been computed: the same parts in the same order. */
#ifndef SKY_ENGINE_RASTER_PASS_H
#define SKY_ENGINE_RASTER_PASS_H

#include "src/engine/journal.h"
#include "src/engine/raster_set.h"

#define SKY_TILE 1024 /* cells a side by default */

typedef struct sky_raster_block {
  size_t index;        /* in merge order */
  size_t band, column; /* of blocks, from the north-west */
  sky_window window;
  const void *const *pixel;        /* [inputs] as sky_source_convert writes them; NULL: unread */
  const sky_source *const *source; /* [inputs] loaded, for what else they know of the window */
} sky_raster_block;

/* What a pass does. All but map may be NULL; without merge, map leaves no parts. */
typedef struct sky_raster_kernel {
  void *user;
  /* Memory for the plan: of the whole kernel, of one worker, of one block's part. */
  size_t fixed_bytes, worker_bytes, part_bytes;
  bool unconverted; /* map takes the pixels from the sources: those of a block are not set */
  sky_status (*start)(sky_context *ctx, void *user, void **worker); /* in each thread */
  void (*stop)(void *worker);
  /* Whether a window of the grid is worth reading; any thread. */
  bool (*wanted)(void *user, const sky_window *w);
  /* *part may stay NULL: nothing to merge. */
  sky_status (*map)(sky_context *ctx, void *user, void *worker, const sky_raster_block *block,
                    void **part);
  /* One call at a time, ascending by block; takes the part over. */
  sky_status (*merge)(sky_context *ctx, void *user, size_t block, void *part);
  void (*drop)(void *part);              /* of parts that are not merged */
  size_t (*part_size)(const void *part); /* its memory; NULL: part_bytes */
  /* A part as bytes and back, both needed for a journal; any thread. */
  sky_status (*pack)(sky_context *ctx, void *user, const void *part, sky_text *to);
  sky_status (*unpack)(sky_context *ctx, void *user, const char *bytes, size_t n, void **part);
} sky_raster_kernel;

typedef struct sky_raster_report {
  size_t blocks, unread; /* mapped, now or in a journal */
  size_t tile_x, tile_y; /* cells */
  int threads;           /* used, within the memory budget */
} sky_raster_report;

/* How a pass is done; no result depends on it. */
typedef struct sky_pass_options {
  size_t tile; /* wished side, cells, a multiple of SKY_BAND (0: SKY_TILE); made larger where the
                * files' own blocks are, smaller where --memory asks for it */
  const char *journal; /* finished parts are kept there, and resumed from it; NULL: nowhere. It is
                        * left behind, unless the pass fails for a reason that will not go away */
  bool fresh;          /* discard what is in it */
  const char *stamp;   /* lines on which the parts depend, beside the rasters; NULL: none */
  sky_shard shard;     /* of the blocks; they are not merged: the journal is all that is left */
  const char *const *join; /* [n_join] shards: nothing is read, their parts are merged */
  size_t n_join;
} sky_pass_options;

/* options NULL: the defaults. SKY_E_NOMEM if even one block row does not fit; unread blocks are
 * logged and no failure here. */
SKY_NODISCARD sky_status sky_raster_pass(sky_context *ctx, sky_raster_set *set, const char *task,
                                         const sky_pass_options *options,
                                         const sky_raster_kernel *kernel,
                                         sky_raster_report *report);
#endif
