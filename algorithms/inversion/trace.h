/* trace.h: degrees of freedom, of zones too, and log|Ψ| by random probes (iterate.md). */
#ifndef SKY_ALGORITHMS_TRACE_H
#define SKY_ALGORITHMS_TRACE_H

#include "algorithms/inversion/obs_operator.h"

#define SKY_TRACE_PROBES 16

typedef struct sky_estimate { /* value ± half: 95 % interval (Student's t over the probes) */
  double value, half;
} sky_estimate;

typedef struct sky_traces {
  sky_estimate dofs;   /* tr((H Q Hᵀ + B Σ_b Bᵀ) Ψ⁻¹): of state and offsets together */
  sky_estimate logdet; /* log|Ψ| */
  sky_estimate *zone;  /* [n_zone] of the caller: Σ share_i A_ii */
  size_t products;
} sky_traces;

/* Random signs drawn from `seed`, one system solved for each, with op->near where it is there. All
 * are NaN, with a warning, where a solution has not settled. SKY_E_CANCELLED. */
SKY_NODISCARD sky_status sky_trace_estimate(sky_obs_operator *op, uint64_t seed,
                                            const sky_functionals *zones, sky_traces *out);
#endif
