/* footprint.h: footprint files -> sparse rows on their own grid.
 *
 * Accepted: openghg/ACRG `fp` (any dimension order, by name), PARIS `srr`, STILT `_foot.nc`. Values
 * are (mol/mol)/(mol m-2 s-1); "ppm (umol-1 m2 s)" is numerically the same. A row is one receptor
 * and one flux-time layer: files without backward time have one layer with flux_time = NaN
 * ("integrated"). Rows keep the file's order of receptors. */
#ifndef SKY_READ_FOOTPRINT_H
#define SKY_READ_FOOTPRINT_H

#include "grids/mesh.h"

typedef struct sky_footprints {
  sky_grid grid;   /* of rows on a mesh: its base, and cells are those of the mesh */
  char format[16]; /* "openghg", "paris", "stilt" */
  bool column;     /* already a column integral (no per-level kernel to apply) */
  size_t n_receptors;
  double *time;      /* [n_receptors] start of the period, s since 1970 */
  double *period;    /* [n_receptors] s; 0 if instantaneous or unknown */
  double *lon, *lat; /* [n_receptors] release position; NaN unknown */
  double *outside;   /* [n_receptors] fraction of particles that left through the sides; NaN */
  size_t n_rows;
  size_t *receptor;  /* [n_rows] */
  double *flux_time; /* [n_rows] start of the flux layer, s since 1970; NaN integrated */
  size_t *rowptr;    /* [n_rows+1] */
  int32_t *col;      /* [nnz] cell of grid, ascending inside a row */
  double *val;       /* [nnz] */
  double *sum;       /* [n_rows] sum over this grid's cells (compensated) */
  size_t receptor_capacity, row_capacity, value_capacity; /* allocated items; 0 = not known */
} sky_footprints;

/* receptors: for STILT the position is in the file's path (YYYYMMDDHHMM_long_lati_zagl); when it is
 * not, NaN. Zero cells are not stored; negative or NaN values are SKY_E_RANGE (fill = 0). */
SKY_NODISCARD sky_status sky_footprints_read(sky_context *ctx, const char *path,
                                             sky_footprints *out);
/* Append b to a, which may be zeroed: same grid by sky_grid_equal, else SKY_E_COVERAGE naming both
 * spacings; both column-integrated or neither, else SKY_E_FORMAT. */
SKY_NODISCARD sky_status sky_footprints_append(sky_context *ctx, sky_footprints *a,
                                               const sky_footprints *b);
void sky_footprints_free(sky_footprints *f);

/* Split rows onto a mesh by conservative sums. outside[row] gets the sensitivity that
 * lies outside the mesh; Σ before = Σ after + outside to 1e-12 or SKY_E_MASS. Logs both sums. */
SKY_NODISCARD sky_status sky_footprints_to_mesh(sky_context *ctx, const sky_footprints *f,
                                                const sky_mesh *mesh, sky_footprints *out,
                                                double *outside);
#endif
