/* osse_prior.h: the prior that truths of an experiment come from, the stated one or another
 * (osse.md §1). Private to the experiments. */
#ifndef SKY_ALGORITHMS_OSSE_PRIOR_H
#define SKY_ALGORITHMS_OSSE_PRIOR_H

#include "algorithms/inversion/osse.h"

/* out: p with sd x prior_factor and spatial correlation of length x length_factor; what does not
 * change is p's own, which must outlive it. SKY_E_RANGE: the prior has no length to change. */
SKY_NODISCARD sky_status sky_osse_prior_make(sky_context *ctx, const sky_problem *p,
                                             const sky_osse_plan *plan, sky_problem *out);
/* What is not p's own; zeroes. */
void sky_osse_prior_free(const sky_problem *p, sky_problem *out);

#endif
