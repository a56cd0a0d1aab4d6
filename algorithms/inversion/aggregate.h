/* aggregate.h: what a coarser state would cost (diagnose.md §3; Kaminski et al. 2001; Turner &
 * Jacob 2015). */
#ifndef SKY_ALGORITHMS_AGGREGATE_H
#define SKY_ALGORITHMS_AGGREGATE_H

#include "skyflux/problem.h"

typedef struct sky_aggregation {
  size_t n_block;           /* blocks of one time step */
  double *error_sd;         /* [n_obs] √diag R_agg, R_agg = H(I-ΓΓ*) Q (I-ΓΓ*)ᵀ Hᵀ */
  double mean_variance;     /* of R_agg's diagonal */
  double dofs, dofs_coarse; /* of the state; coarse: with R + R_agg */
} sky_aggregation;

/* block [n_cell] 0..n_block-1: cells that would be one unknown; Γ* is their mean, Γ gives each the
 * block's value. Every block has members. */
SKY_NODISCARD sky_status sky_aggregation_error(sky_context *ctx, const sky_problem *p,
                                               size_t n_block, const int32_t *block,
                                               sky_aggregation *out);
void sky_aggregation_free(sky_aggregation *a); /* NULL-safe, zeroes */

#endif
