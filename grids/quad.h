/* quad.h: exact overlap of quadrilaterals (satellite pixels, cells of curvilinear grids) with the
 * cells of a grid.
 *
 * Edges are straight in the coordinates of the grid: in longitude and latitude for geographic ones
 * (as the zones' are), in metres for projected ones. Corners run around the quadrilateral, in
 * either sense. Pure and thread-safe: a sky_quad_grid is not changed by its users. */
#ifndef SKY_GRIDS_QUAD_H
#define SKY_GRIDS_QUAD_H

#include "grids/grid.h"

typedef enum sky_quad_measure {
  SKY_QUAD_AREA = 0,  /* true area on the WGS 84 ellipsoid */
  SKY_QUAD_PLANAR = 1 /* area in the plane of the coordinates, as HARP's bin_spatial */
} sky_quad_measure;

typedef enum sky_quad_shape {
  SKY_QUAD_CONVEX = 0,
  SKY_QUAD_CONCAVE = 1,
  SKY_QUAD_CROSSED = 2,   /* two edges cross: the corners are not in order; no overlap is given */
  SKY_QUAD_DEGENERATE = 3 /* no area, or a corner that is no place; no overlap is given */
} sky_quad_shape;

typedef struct sky_overlap {
  size_t cell;
  double area;     /* m2 (planar geographic: square degrees; projected: m2 of the projection) */
  double fraction; /* of the cell's area */
} sky_overlap;

/* Start with {0}; append, and set n = 0 to use the room again. */
typedef struct sky_overlaps {
  sky_overlap *item;
  size_t n, capacity;
  double *work; /* of the clipping */
  size_t work_size;
} sky_overlaps;
void sky_overlaps_free(sky_overlaps *o); /* NULL-safe, zeroes */
SKY_NODISCARD sky_status sky_overlaps_room(sky_context *ctx, sky_overlaps *o, size_t more);

typedef struct sky_quad_grid sky_quad_grid;

/* grid must outlive the result. SKY_QUAD_AREA on a projected grid: fractions are those of the plane
 * (scale is constant over a cell), areas are left in it; multiply by sky_grid_areas for true ones.
 */
SKY_NODISCARD sky_status sky_quad_grid_create(sky_context *ctx, const sky_grid *grid,
                                              sky_quad_measure measure, sky_quad_grid **out);
void sky_quad_grid_free(sky_quad_grid *q); /* NULL-safe */
/* Area of a cell in the measure of sky_overlap.area. */
double sky_quad_cell_area(const sky_quad_grid *q, size_t cell);

/* Kind of the quadrilateral, and its area in the plane (square coordinate units, positive). */
sky_quad_shape sky_quad_classify(const sky_quad_grid *q, const double x[4], const double y[4],
                                 double *planar_area);

/* Rows row0..row1-1 of the grid that it reaches; none if they are equal. */
void sky_quad_rows(const sky_quad_grid *q, const double x[4], const double y[4], size_t *row0,
                   size_t *row1);

/* Append the overlaps with cells of rows row0..row1-1, cells ascending by row (twice the same cell
 * if the grid meets the quadrilateral under two whole turns). x, y: coordinates of the grid
 * (sky_grid_from_lonlat); longitudes may be given in any turn, a quadrilateral that crosses the
 * antimeridian or holds a pole is understood. What a cell gets does not depend on row0 and row1.
 *
 * Poleward of 80°, a straight line of longitude and latitude is no longer nearly the shortest one:
 * there, edges over more than 1° of longitude are great circles (SKY_QUAD_AREA only). */
SKY_NODISCARD sky_status sky_quad_overlap(sky_context *ctx, const sky_quad_grid *q,
                                          const double x[4], const double y[4], size_t row0,
                                          size_t row1, sky_overlaps *out);
/* The same for what sky_quad_classify has called convex or concave. */
SKY_NODISCARD sky_status sky_quad_overlap_sound(sky_context *ctx, const sky_quad_grid *q,
                                                const double x[4], const double y[4], size_t row0,
                                                size_t row1, sky_overlaps *out);

#endif
