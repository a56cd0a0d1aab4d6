/* cover.h: exact coverage of windows of a large grid by many zones, as spans and edge cells.
 *
 * The zones' edges are put in bands of SKY_BAND rows once; the coverage of a window of one band is
 * then found from the edges of that band alone. It has two parts: runs of cells that lie in the
 * zone wholly, and the cells on its outline with the covered fraction of their area. What a cell
 * gets does not depend on the window that it is asked for in: not by one bit.
 *
 * Bands are counted from the north, because rasters are. */
#ifndef SKY_GRIDS_COVER_H
#define SKY_GRIDS_COVER_H

#include "grids/zone.h"

#define SKY_BAND 256 /* rows; also the side of the blocks of the raster engine */

/* Cells of a grid; row 0 is the southernmost of the window, as everywhere. */
typedef struct sky_window {
  size_t ix0, iy0, nx, ny;
} sky_window;

typedef struct sky_span { /* columns x0..x1-1 of the window */
  uint32_t row, x0, x1;
} sky_span;

typedef struct sky_edge_cell {
  uint32_t row, x;
  double fraction; /* of the cell's area, in (0, 1) */
} sky_edge_cell;

typedef struct sky_cover_event sky_cover_event;

/* The coverage of one window by one shape, rows ascending; the buffers are used again. Start with
 * {0}. */
typedef struct sky_cover_part {
  size_t n_span, n_edge;
  sky_span *span;
  sky_edge_cell *edge;
  size_t span_capacity, edge_capacity, event_capacity;
  sky_cover_event *event, *sorted;
} sky_cover_part;
void sky_cover_part_free(sky_cover_part *p); /* NULL-safe */

typedef struct sky_cover sky_cover;

/* grid and zones must outlive the result. A geographic zone is there once for every whole turn
 * under which it meets the grid: those are its shapes. Errors as sky_zone_coverage. */
SKY_NODISCARD sky_status sky_cover_create(sky_context *ctx, const sky_zones *zones,
                                          const sky_grid *grid, sky_cover **out);
void sky_cover_free(sky_cover *c); /* NULL-safe */

size_t sky_cover_bands(const sky_cover *c);
/* Rows of a band: iy0 and ny of *rows are set. */
void sky_cover_band_rows(const sky_cover *c, size_t band, sky_window *rows);
/* Shapes that may touch a band, ascending by zone. */
size_t sky_cover_band_shapes(const sky_cover *c, size_t band, const uint32_t **shape);
/* A shape's zone, and whether it may touch columns ix0..ix0+nx-1. */
size_t sky_cover_zone(const sky_cover *c, uint32_t shape);
bool sky_cover_near(const sky_cover *c, uint32_t shape, size_t ix0, size_t nx);
/* The box of a zone lies in the grid as a whole. */
bool sky_cover_inside(const sky_cover *c, size_t zone);

/* Coverage of the columns ix0..ix0+nx-1 of a band; rows of *out count from the band's southernmost.
 * Thread-safe for different parts. */
SKY_NODISCARD sky_status sky_cover_find(sky_context *ctx, const sky_cover *c, uint32_t shape,
                                        size_t band, size_t ix0, size_t nx, sky_cover_part *out);

#endif
