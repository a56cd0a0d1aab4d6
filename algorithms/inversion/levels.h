/* levels.h: a prior covariance as an operator on a multi-scale mesh,
 *
 *   Q = Σ_k W_k C_k W_kᵀ,  C_k = S_k (D ⊗ M ⊗ E_k) S_k                            (levels.md)
 *
 * D [n_time²] over time, M [n_sector²] over sectors, E_k stationary on the regular projected grid
 * of level k by zero-padded FFT, W_k the area averaging from that grid to the mesh cells. Positive
 * semi-definite by construction. State index = (t*n_sector + sector)*n_mesh + cell. Lengths in one
 * unit, e.g. km. */
#ifndef SKY_ALGORITHMS_LEVELS_H
#define SKY_ALGORITHMS_LEVELS_H

#include "skyflux/problem.h"

typedef struct sky_level { /* what the caller states; copied */
  size_t nx, ny;           /* grid points, index = iy*nx + ix */
  double x0, y0, dx, dy;   /* lower-left corner of the grid, spacing > 0 */
  sky_correlation model;
  double length; /* of the model, > 0 */
  double sigma;  /* sd of the field */
  /* [n_time*n_sector*ny*nx] relative sd that multiplies sigma, or NULL = 1 */
  const double *scale;
} sky_level;

typedef struct sky_levels_spec {
  size_t n_mesh, n_sector, n_time;
  const double *bounds; /* [n_mesh*4] cells: west, south, east, north */
  const double *D;      /* [n_time²] symmetric, positive semi-definite */
  const double *M;      /* [n_sector²] likewise, or NULL = identity */
  size_t n_level;
  const sky_level *level;
} sky_levels_spec;

/* A cell takes from a level the mean of its field over the cell (0 where the grid does not reach).
 * SKY_E_RANGE names the level, key and value. Holds the FFT plans and scratch: one caller at a time
 * per object. sky_levels_free is NULL-safe. */
SKY_NODISCARD sky_status sky_levels_create(sky_context *ctx, const sky_levels_spec *spec,
                                           sky_levels **out);
void sky_levels_free(sky_levels *lv);

/* Sum of the negative eigenvalues of level k's circulant that were set to 0, relative to the
 * trace: how far E_k may be from the model (0 for the compact models). */
double sky_levels_clipped(const sky_levels *lv, size_t k);
double sky_levels_bytes(const sky_levels *lv);
/* diag Q, [n_state]; owned by lv. */
const double *sky_levels_variance(const sky_levels *lv);

/* A level as arrays of lv: what compact.c adds up. Its model has a bounded support, or is to be
 * multiplied with the Gaspari–Cohn function of length `taper`, which leaves it semi-definite. */
typedef struct sky_level_view {
  size_t nx, ny, reach_x, reach_y; /* grid points; two farther apart are not correlated */
  double x0, y0, dx, dy, length;
  double taper; /* 0: the model is bounded, and what is applied is the model (no clipping) */
  sky_correlation model;
  double sigma;         /* sd where sd is NULL */
  const double *sd;     /* [n_field*nx*ny] or NULL */
  const size_t *rowptr; /* W: [n_mesh+1] */
  const int32_t *col;
  const double *val;
} sky_level_view;

size_t sky_levels_count(const sky_levels *lv);
void sky_levels_view(const sky_levels *lv, size_t k, sky_level_view *out);
/* D ⊗ M [n_field²], n_field = n_time*n_sector, and the cells of the mesh. */
const double *sky_levels_mix(const sky_levels *lv, size_t *n_field, size_t *n_mesh);

/* out [count*n_state] = Q v, same bits for any thread count. */
void sky_levels_apply(sky_context *ctx, const sky_levels *lv, const double *v, size_t count,
                      double *out);
/* out [n_cell*n_row] = (H Q)ᵀ of time step t, n_cell = n_sector*n_mesh, H in compressed rows. */
void sky_levels_rows(sky_context *ctx, const sky_levels *lv, size_t t, size_t n_row,
                     const size_t *rowptr, const int32_t *col, const double *val, double *out);
#endif
