/* mesh.h: patches of regular grids, the finer one replacing the coarser below it.
 *
 * patch[0] is the base grid. A further patch lies on edges of the base, its cells divide the base
 * cells, and patches do not overlap; its edges are moved by that float noise onto the base's, so
 * that sums over a patch and over the base cells below it agree. A mesh cell is a cell of the base
 * that no patch replaces, or a cell of a patch: base first (iy*nx + ix order), then each patch in
 * its order. A mesh without patches numbers its cells as its grid does. */
#ifndef SKY_GRIDS_MESH_H
#define SKY_GRIDS_MESH_H

#include "grids/regrid.h"
#include "grids/zone.h"

typedef struct sky_mesh {
  size_t n_patch;  /* >= 1 */
  sky_grid *patch; /* [n_patch] one CRS */
  char **id;       /* [n_patch]; "" for the base */
  size_t n_cell;
  size_t *first;     /* [n_patch+1] mesh cells first[p]..first[p+1]-1 are of patch p */
  size_t *grid_cell; /* [n_cell] cell of its patch */
  size_t *below;     /* [n_cell] cell of the base that holds it (itself for the base) */
  size_t **of;       /* [n_patch][cells of patch] mesh cell, or SIZE_MAX where replaced */
} sky_mesh;

/* Copies the grids; a geographic patch may stand whole turns of longitude away from the base.
 * SKY_E_RANGE names the patch that is not on the base's edges (1e-6 of a cell), does not divide its
 * cells, leaves it, overlaps another or has the id of another. */
SKY_NODISCARD sky_status sky_mesh_create(sky_context *ctx, const sky_grid *base,
                                         const sky_grid *patches, const char *const *ids,
                                         size_t n_patches, sky_mesh *out);
void sky_mesh_free(sky_mesh *m); /* NULL-safe, zeroes */

/* True area of every mesh cell, m2. */
SKY_NODISCARD sky_status sky_mesh_areas(sky_context *ctx, const sky_mesh *m, double *area);
void sky_mesh_centre(const sky_mesh *m, size_t cell, double *x, double *y);
double sky_mesh_distance(const sky_mesh *m, size_t a, size_t b);
/* Exact coverage of mesh cells, ascending; area_zone and area_in as on the base. */
SKY_NODISCARD sky_status sky_mesh_coverage(sky_context *ctx, const sky_zone *zone,
                                           const sky_mesh *m, sky_coverage *out);
/* Appends the cells as polygons, in their order, and last the box of the base. Edges are cut into
 * pieces of at most `step` (m or degrees) that neighbours share, so that they still tile the box
 * when the vertices are moved to another system; INFINITY: corners only. */
SKY_NODISCARD sky_status sky_mesh_outlines(sky_context *ctx, const sky_mesh *m, double step,
                                           sky_zones *zones);
/* Source cells onto mesh cells (regrid.h); the mesh must outlive it. */
SKY_NODISCARD sky_status sky_mesh_splitter(sky_context *ctx, const sky_grid *src, const sky_mesh *m,
                                           sky_splitter **out);
/* Amounts of a grid split over mesh cells; the audit closes over the mesh. */
SKY_NODISCARD sky_status sky_mesh_regrid_extensive(sky_context *ctx, const sky_grid *src,
                                                   const double *amount, const sky_mesh *m,
                                                   double *out, sky_audit *audit);
/* Intensive mesh values as area-weighted means on the base grid (NaN cells left out, NaN if none is
 * left; area: of the mesh cells), and on patch p (p = 0: NaN where it is replaced). */
void sky_mesh_to_base(const sky_mesh *m, const double *area, const double *value, double *out);
void sky_mesh_to_patch(const sky_mesh *m, size_t p, const double *value, double *out);

#endif
