/* trace.h: tr(I - A⁻¹) and log|A| of a symmetric A >= I by stochastic Lanczos quadrature. */
#ifndef SKY_ALGORITHMS_TRACE_H
#define SKY_ALGORITHMS_TRACE_H

#include "algorithms/inversion/obs_operator.h"

#define SKY_TRACE_PROBES 16

typedef struct sky_estimate { /* value ± half: 95 % interval (Student's t over the probes) */
  double value, half;
} sky_estimate;

/* Random signs drawn from `seed`; *steps: Lanczos steps taken. SKY_E_CANCELLED. */
SKY_NODISCARD sky_status sky_trace_estimate(sky_obs_operator *op, uint64_t seed, sky_estimate *dofs,
                                            sky_estimate *logdet, size_t *steps);
#endif
