/* bilinear.h: values at the cell centres of one grid, between the cell centres of another.
 *
 * For states that vary smoothly (temperature, radiation) from a coarser grid. In the outer half
 * cells of the source the outermost centres count. */
#ifndef SKY_GRIDS_BILINEAR_H
#define SKY_GRIDS_BILINEAR_H

#include "grids/grid.h"

typedef struct sky_bilinear {
  size_t n;       /* cells of the target */
  size_t *cell;   /* [4*n] cells of the source */
  double *weight; /* [4*n] sum to 1 */
} sky_bilinear;

/* SKY_E_COVERAGE names the first cell of dst whose centre is outside src. Longitudes are unwrapped.
 */
SKY_NODISCARD sky_status sky_bilinear_create(sky_context *ctx, const sky_grid *src,
                                             const sky_grid *dst, sky_bilinear *out);
void sky_bilinear_free(sky_bilinear *b); /* NULL-safe, zeroes */

/* out [n]. A source cell that is NaN is left out, and the others' weights are scaled; NaN where
 * less than a hundredth of the weight is left. */
void sky_bilinear_apply(const sky_bilinear *b, const double *value, int threads, double *out);

#endif
