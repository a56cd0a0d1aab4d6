/* gridded.h: a NetCDF variable on a grid, whatever the order of its dimensions.
 *
 * Dimensions are told apart by name: lon|longitude|x|rlon, lat|latitude|y|rlat, time, and those of
 * curvilinear grids, i|ni|nx|west_east, j|nj|ny|south_north; others must have size 1. rlon and rlat
 * are those of a rotated pole (CF grid mapping), taken as metres of a plate carrée. The grid is
 * ascending; sky_gridded_at finds the value of a grid cell in the file's own order. */
#ifndef SKY_READ_GRIDDED_H
#define SKY_READ_GRIDDED_H

#include "grids/curvilinear.h"
#include "src/read/nc.h"

typedef struct sky_gridded {
  sky_grid grid;
  sky_nc_var info;
  bool has_time;
  size_t n_time;                          /* 1 without a time dimension */
  char time_dim[64];                      /* "" without */
  size_t stride_time, stride_y, stride_x; /* elements between neighbours in the file */
  bool flip_x, flip_y;                    /* the file's axis descends */
  double spacing_x, spacing_y;            /* mean distance of the file's centres */
} sky_gridded;

/* Shape and grid of a variable. Geographic unless its dimensions are x and y, then the global
 * attribute `crs` names the system. SKY_E_FORMAT names the dimensions that were found. */
SKY_NODISCARD sky_status sky_gridded_open(sky_context *ctx, sky_nc *f, const char *var,
                                          sky_gridded *out);
void sky_gridded_free(sky_gridded *g); /* NULL-safe, zeroes */

/* Also where the cells are quadrilaterals: dimensions without axes that say where they are (no
 * coordinate variables, or x and y of an unnamed system), but longitudes and latitudes of both
 * dimensions. Then cells->nx > 0, with corners by the CF attribute `bounds` (or <name>_bnds,
 * <name>_bounds), else from the centres, which the log says; g->grid counts cells, in a system that
 * is none. Else *cells is zero. Errors name the cell whose edges cross or that has no area. */
SKY_NODISCARD sky_status sky_gridded_open_cells(sky_context *ctx, sky_nc *f, const char *var,
                                                sky_gridded *g, sky_curvilinear *cells);

/* Index into the file's values of time step t and cell of g->grid. */
static inline size_t sky_gridded_at(const sky_gridded *g, size_t t, size_t cell) {
  const size_t ix = cell % g->grid.nx, iy = cell / g->grid.nx;
  return t * g->stride_time + (g->flip_y ? g->grid.ny - 1 - iy : iy) * g->stride_y +
         (g->flip_x ? g->grid.nx - 1 - ix : ix) * g->stride_x;
}

/* Shape and strides alone, and the positions of its dimensions; for sky_gridded_open. */
SKY_NODISCARD sky_status sky_gridded_shape(sky_context *ctx, sky_nc *f, const char *var,
                                           sky_gridded *out, int *x, int *y);

/* True if a variable of this shape has both horizontal dimensions. */
bool sky_gridded_suits(const sky_nc_var *info);

/* All values in the file's order; refused when they do not fit the memory budget. */
SKY_NODISCARD sky_status sky_gridded_values(sky_context *ctx, sky_nc *f, const char *var,
                                            const sky_nc_var *info, double **out);

#endif
