/* geodesic.h: areas on the ellipsoid of polygons and cells given in a coordinate system. */
#ifndef SKY_GRIDS_GEODESIC_H
#define SKY_GRIDS_GEODESIC_H

#include "grids/grid.h"
#include "grids/projection.h"

/* Signed geodesic area (m2, counter-clockwise positive) of a polygon given in the system of t (to
 * SKY_LONLAT); false if a vertex has no longitude and latitude. */
bool sky_geodesic_area(const sky_projection *t, const double *x, const double *y, size_t n,
                       double *area);
/* Area (m2, positive) that a ring encloses whose edges are straight in the system of t, to 1e-12;
 * false if an edge has a point without longitude and latitude. */
bool sky_straight_area(const sky_projection *t, const double *x, const double *y, size_t n,
                       double *area);
/* Signed geodesic area of a cell, its outline densified. */
bool sky_geodesic_cell(const sky_projection *t, const sky_grid *g, size_t ix, size_t iy,
                       double *area);

#endif
