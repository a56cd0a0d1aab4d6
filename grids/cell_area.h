/* cell_area.h: true areas of the cells of a large regular grid, window by window, at speed. */
#ifndef SKY_GRIDS_CELL_AREA_H
#define SKY_GRIDS_CELL_AREA_H

#include "grids/cover.h"

typedef struct sky_cell_area sky_cell_area;

/* For one thread. grid: cells of equal width and height; it must outlive the result. */
SKY_NODISCARD sky_status sky_cell_area_create(sky_context *ctx, const sky_grid *grid,
                                              sky_cell_area **out);
void sky_cell_area_free(sky_cell_area *c); /* NULL-safe */

/* Areas on the WGS 84 ellipsoid, m2, of the columns ix0..ix0+nx-1 of a band's rows (ix0 a multiple
 * of SKY_BAND, nx at most that): area[row*SKY_BAND + column], row 0 the southernmost. Geographic
 * grids: all cells of a row are equal and only the first one is set. NaN: the cell has no place on
 * Earth. What a cell gets depends on the grid and the cell alone. Within 1e-9 of the geodesic
 * polygon of the cell. */
SKY_NODISCARD sky_status sky_cell_area_find(sky_context *ctx, sky_cell_area *c, size_t band,
                                            size_t ix0, size_t nx, double *area);

#endif
