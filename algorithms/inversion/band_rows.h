/* band_rows.h: triangular solves with a factor in a profile (band.h), right-hand sides as rows.
 *
 * Same bits for any thread count: a block of rows belongs to one thread. */
#ifndef SKY_ALGORITHMS_BAND_ROWS_H
#define SKY_ALGORITHMS_BAND_ROWS_H

#include "algorithms/inversion/band.h"

/* X [m*n]: every row x becomes L⁻¹ x. All elements before `from` are zero, and are not looked at.
 */
void sky_band_forward_rows(sky_context *ctx, const sky_band *L, size_t m, size_t from, double *X);
/* Every row x becomes L⁻ᵀ x. */
void sky_band_backward_rows(sky_context *ctx, const sky_band *L, size_t m, double *X);

#endif
