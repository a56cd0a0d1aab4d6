/* raster_file.h: one thread's handle on one band of a file, on the file's own grid; behind
 * raster_source.h. */
#ifndef SKY_ENGINE_RASTER_FILE_H
#define SKY_ENGINE_RASTER_FILE_H

#include "src/engine/raster_source.h"

typedef struct sky_raster_file sky_raster_file;

/* Cells of the file as it stores them; start with {0}. Windows count as everywhere. */
typedef struct sky_raster_tile {
  sky_window window;
  char *value, *mask;     /* lines as the file has them */
  size_t value_n, mask_n; /* pixels that there is room for */
  size_t n_bad, bad_capacity;
  struct sky_bad_block *bad;
} sky_raster_tile;
void sky_raster_tile_free(sky_raster_tile *t); /* NULL-safe */

SKY_NODISCARD sky_status sky_raster_file_open(sky_context *ctx, const sky_raster_input *in,
                                              sky_raster_file **out);
/* Rows are classes from now on, whatever the input's kind. */
void sky_raster_file_as_classes(sky_raster_file *f);
void sky_raster_file_close(sky_raster_file *f); /* NULL-safe */
const sky_grid *sky_raster_file_grid(const sky_raster_file *f);
const sky_raster_facts *sky_raster_file_facts(const sky_raster_file *f);
const sky_raster_input *sky_raster_file_input(const sky_raster_file *f);
bool sky_raster_file_north_up(const sky_raster_file *f);
SKY_NODISCARD sky_status sky_raster_file_same_grid(sky_context *ctx, const sky_raster_file *a,
                                                   const sky_raster_file *b);

SKY_NODISCARD sky_status sky_raster_file_load(sky_context *ctx, sky_raster_file *f,
                                              const sky_window *w, sky_raster_tile *t);
/* The first reason why cells of a window could not be read; NULL: all were. */
const char *sky_raster_file_bad(const sky_raster_file *f, const sky_raster_tile *t,
                                const sky_window *w);
/* nx cells of row iy from column ix0 on, double or int32_t by the input's kind; inside the tile.
 * SKY_E_RANGE names the pixel that is no class. */
SKY_NODISCARD sky_status sky_raster_file_row(sky_context *ctx, const sky_raster_file *f,
                                             const sky_raster_tile *t, size_t iy, size_t ix0,
                                             size_t nx, void *out);
/* See sky_source_byte_rows. */
sky_byte_rows sky_raster_file_byte_rows(const sky_raster_file *f, const sky_raster_tile *t,
                                        const sky_window *w);
#endif
