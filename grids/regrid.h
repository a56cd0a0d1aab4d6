/* regrid.h: conservative regridding with a closed mass audit (design law 3).
 *
 * Of one CRS: weights are products of 1-D overlaps (x, and ellipsoidal-zone in y for geographic
 * grids); no weight matrix is held. A geographic source is shifted by ±360° where needed; grids
 * that are sky_grid_equal map cell to cell. Between two CRSs every source cell near the target is
 * projected and cut by the target's cells (clip.h); a cell without an image in one piece is
 * SKY_E_COVERAGE. */
#ifndef SKY_GRIDS_REGRID_H
#define SKY_GRIDS_REGRID_H

#include "grids/grid.h"

typedef struct sky_audit {
  double in;       /* source total over valid cells */
  double gross;    /* the same of absolute values: the scale of the tolerance */
  double out;      /* total that arrived in the target */
  double outside;  /* total of source outside the target grid */
  double lost;     /* total on target cells blanked by min_valid (intensive only) */
  double nodata;   /* number of source cells that were nodata (their mass is unknown) */
  double residual; /* in - out - outside - lost */
} sky_audit;

/* |residual| <= tolerance * gross or SKY_E_MASS, in the log in any case (INFO). */
SKY_NODISCARD sky_status sky_audit_check(sky_context *ctx, const char *what, const char *unit,
                                         const sky_audit *a, double tolerance);

/* The whole of `inner` lies in `outer`, in any two systems (sky_grid_contains for one). */
SKY_NODISCARD sky_status sky_grid_covers(sky_context *ctx, const sky_grid *outer,
                                         const sky_grid *inner, bool *covers);

/* Extensive quantity (amount per cell, footprint sensitivity): source cells are split by area
 * fraction. NaN source cells are nodata. out [cells of dst] is overwritten. */
SKY_NODISCARD sky_status sky_regrid_extensive(sky_context *ctx, const sky_grid *src,
                                              const double *amount, const sky_grid *dst,
                                              double *out, sky_audit *audit);
/* Intensive quantity (flux density, mole fraction): area-weighted mean over valid source; out is
 * NaN where less than min_valid of the cell's area is covered by valid source. fraction (may be
 * NULL): valid area fraction of each target cell. audit: integrals (value × m2; between projected
 * grids of one CRS plane m2). */
SKY_NODISCARD sky_status sky_regrid_intensive(sky_context *ctx, const sky_grid *src,
                                              const double *value, const sky_grid *dst,
                                              double min_valid, double *out, double *fraction,
                                              sky_audit *audit);

/* The map of one source cell onto dst, for sparse rows: returns the number of target cells (<=
 * cap), their index and the area fraction of the source cell inside each. */
typedef struct sky_splitter sky_splitter;
SKY_NODISCARD sky_status sky_splitter_create(sky_context *ctx, const sky_grid *src,
                                             const sky_grid *dst, sky_splitter **out);
void sky_splitter_free(sky_splitter *s);
/* Onto several grids of one CRS: the further ones lie in the first, on its edges, and replace its
 * cells. of[p][cell]: number of a target cell, SIZE_MAX for a replaced one; it must outlive the
 * splitter. */
SKY_NODISCARD sky_status sky_splitter_create_parts(sky_context *ctx, const sky_grid *src,
                                                   const sky_grid *part, size_t *const *of,
                                                   size_t n_parts, sky_splitter **out);
size_t sky_splitter_max(const sky_splitter *s); /* at least the largest count of any source cell */
size_t sky_splitter_map(const sky_splitter *s, size_t src_cell, size_t *dst_cell, double *fraction);

/* Fraction of a source cell outside dst; of one CRS from the two boxes alone (a check on the
 * parts).
 */
double sky_splitter_outside(const sky_splitter *s, size_t src_cell);
/* sky_regrid_extensive by way of a splitter; n_dst: number of target cells. */
SKY_NODISCARD sky_status sky_splitter_extensive(sky_context *ctx, const sky_splitter *s,
                                                const double *amount, size_t n_dst, double *out,
                                                sky_audit *audit);

#endif
