/* grid_area.h: true areas of a grid's cells and of polygons. */
#ifndef SKY_GRIDS_GRID_AREA_H
#define SKY_GRIDS_GRID_AREA_H

#include "grids/grid.h"

/* Area of every cell on the WGS 84 ellipsoid, m2, [ny*nx]. Geographic: closed form (authalic
 * latitude, Snyder 1987 Eq. 3-12). Projected: the density of true area integrated over the cell
 * (cell_area.h) if the cells are of one size, else the geodesic polygon of the densified outline.
 */
SKY_NODISCARD sky_status sky_grid_areas(sky_context *ctx, const sky_grid *g, double *area);
/* Signed geodesic area (m2, counter-clockwise positive) of a polygon of n vertices in `crs`. */
SKY_NODISCARD sky_status sky_polygon_area(sky_context *ctx, const char *crs, const double *x,
                                          const double *y, size_t n, double *area);

#endif
