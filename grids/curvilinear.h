/* curvilinear.h: grids whose cells are quadrilaterals on the ground, and their amounts on a mesh.
 *
 * Edges are straight in longitude and latitude (quad.h), areas are those of the ellipsoid. */
#ifndef SKY_GRIDS_CURVILINEAR_H
#define SKY_GRIDS_CURVILINEAR_H

#include "grids/mesh.h"

typedef struct sky_curvilinear {
  size_t nx, ny;
  double *lon, *lat; /* [ny*nx*4] degrees; corners of cell iy*nx+ix, around it in either sense */
  double *area;      /* [ny*nx] m2 */
} sky_curvilinear;

/* Copies the corners. SKY_E_FORMAT names the cell whose edges cross, or that has no area. */
SKY_NODISCARD sky_status sky_curvilinear_from_corners(sky_context *ctx, size_t nx, size_t ny,
                                                      const double *lon, const double *lat,
                                                      sky_curvilinear *out);
/* lon, lat [ny*nx] of the centres: a corner is the mean of the four centres around it on the
 * sphere; at the rim centres are mirrored outwards first. SKY_E_FORMAT also for less than 2 x 2. */
SKY_NODISCARD sky_status sky_curvilinear_from_centres(sky_context *ctx, size_t nx, size_t ny,
                                                      const double *lon, const double *lat,
                                                      sky_curvilinear *out);
void sky_curvilinear_free(sky_curvilinear *c); /* NULL-safe, zeroes */

/* As sky_mesh_regrid_extensive; one cell after the other, no weights are held. SKY_E_COVERAGE names
 * the cell that the system of the mesh cannot hold in one piece. */
SKY_NODISCARD sky_status sky_curvilinear_extensive(sky_context *ctx, const sky_curvilinear *src,
                                                   const double *amount, const sky_mesh *m,
                                                   double *out, sky_audit *audit);

#endif
