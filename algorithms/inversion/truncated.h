/* truncated.h: exact HMC draws of a linear Gaussian posterior cut at bounds (truncated.md).
 *
 * x ~ N(x̂, P) given lower <= x <= upper, x̂ and P those of the problem without bounds. */
#ifndef SKY_ALGORITHMS_TRUNCATED_H
#define SKY_ALGORITHMS_TRUNCATED_H

#include "algorithms/inversion/sampling.h"
#include "skyflux/problem.h"

/* A Gaussian: mean [n], covariance P = T Tᵀ with T [n*k] rows. */
typedef struct sky_gaussian {
  size_t n, k;
  const double *mean, *T, *P; /* P [n*n] */
} sky_gaussian;

/* Draws of g between its bounds (±INFINITY = none); mode [n] (between the bounds) is where chains
 * start, each after its own scatter. An element of zero variance must lie between its bounds at its
 * mean. W [n_zone*n]. out->mode is a copy of mode. SKY_E_RANGE with the index. */
SKY_NODISCARD sky_status sky_truncated_draw(sky_context *ctx, const sky_gaussian *g,
                                            const double *lower, const double *upper,
                                            const double *mode, const double *W, size_t n_zone,
                                            const sky_sampling *how, sky_sampled *out);
/* The posterior of a problem; its mode is that of bounded.h. Dense in the unknowns (control.h). */
SKY_NODISCARD sky_status sky_truncated_sample(sky_context *ctx, const sky_problem *p,
                                              const double *lower, const double *upper,
                                              const double *W, size_t n_zone,
                                              const sky_sampling *how, sky_sampled *out);

#endif
