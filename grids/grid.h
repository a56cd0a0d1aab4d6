/* grid.h: a rectilinear grid and its cells.
 *
 * Axes are edges, ascending: row 0 is the southernmost (smallest y), cell index = iy*nx + ix.
 * Geographic grids have edges in degrees (WGS 84); projected grids in metres. */
#ifndef SKY_GRIDS_GRID_H
#define SKY_GRIDS_GRID_H

#include "skyflux/context.h"

typedef struct sky_grid {
  char crs[256];   /* "EPSG:4326", "+proj=aea … +type=crs" (what PROJ and GDAL both accept) */
  bool geographic; /* edges in degrees */
  size_t nx, ny;
  double *x_edge; /* [nx+1] ascending */
  double *y_edge; /* [ny+1] ascending */
} sky_grid;

/* Whether a system counts in degrees (else in metres). SKY_E_RANGE for one that PROJ does not know
 * or that counts in anything else. */
SKY_NODISCARD sky_status sky_crs_is_geographic(sky_context *ctx, const char *crs, bool *out);
/* Regular grid from its box; nx, ny from cell sizes that must divide the box (1e-6 of a cell), else
 * SKY_E_RANGE. A geographic box with west > east crosses the antimeridian. */
SKY_NODISCARD sky_status sky_grid_from_box(sky_context *ctx, const char *crs, double west,
                                           double south, double east, double north, double dx,
                                           double dy, sky_grid *out);
/* From cell centres as files give them (ascending or descending, float noise): spacing is taken as
 * regular if every centre is within 1e-3 of a cell of it, then edges are exact; otherwise edges lie
 * midway and the outer ones mirror. Latitude edges beyond ±90 are closed at the pole; longitude
 * edges that would overlap around the globe are closed midway across the seam. *flip_x, *flip_y
 * tell whether the file's axis descends. SKY_E_FORMAT for < 2 centres, a non-monotonic axis (a
 * 0..360 longitude axis that wraps is unwrapped first), centres more than a turn apart or latitudes
 * beyond the pole. */
SKY_NODISCARD sky_status sky_grid_from_centres(sky_context *ctx, const char *crs, const double *x,
                                               size_t nx, const double *y, size_t ny, sky_grid *out,
                                               bool *flip_x, bool *flip_y);
SKY_NODISCARD sky_status sky_grid_copy(sky_context *ctx, const sky_grid *g, sky_grid *out);
void sky_grid_free(sky_grid *g); /* NULL-safe, zeroes */

static inline size_t sky_grid_cells(const sky_grid *g) {
  return g->nx * g->ny;
}
/* Mean spacing along x and y. */
double sky_grid_dx(const sky_grid *g);
double sky_grid_dy(const sky_grid *g);
/* Both count in one coordinate system; all geographic ones are the same. */
bool sky_grid_same_system(const sky_grid *a, const sky_grid *b);
/* Same CRS and edges within 1e-4 of a cell (two float32 spellings of one axis differ by up to
 * 2e-5), a whole turn of longitude apart at most. */
bool sky_grid_equal(const sky_grid *a, const sky_grid *b);
/* inner lies inside outer (1e-4 of a cell of outer), after a shift by 360° if needed. */
bool sky_grid_contains(const sky_grid *outer, const sky_grid *inner);

/* Cell that holds (x, y); lower edges inclusive, the last upper edge too; longitudes are unwrapped
 * by 360. SIZE_MAX outside. */
size_t sky_grid_find(const sky_grid *g, double x, double y);

void sky_grid_centre(const sky_grid *g, size_t cell, double *x, double *y);
/* Distance of two cell centres, m: great-circle if geographic, Euclidean if projected. */
double sky_grid_distance(const sky_grid *g, size_t a, size_t b);

/* Longitude and latitude (degrees, WGS 84) -> coordinates of the grid's CRS; geographic grids keep
 * them. NaN where the projection has no value. */
SKY_NODISCARD sky_status sky_grid_from_lonlat(sky_context *ctx, const sky_grid *g, size_t n,
                                              const double *lon, const double *lat, double *x,
                                              double *y);

#endif
