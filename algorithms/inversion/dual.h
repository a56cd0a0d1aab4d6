/* dual.h: the observation-space picture of a problem, held dense: what geostatistics, tuning,
 * diagnostics and observing-system experiments start from (bayes.md §1). */
#ifndef SKY_ALGORITHMS_DUAL_H
#define SKY_ALGORITHMS_DUAL_H

#include "algorithms/inversion/noise.h"

typedef struct sky_dual {
  size_t n;        /* observations */
  double *G;       /* [n*n] H Q Hᵀ + B Σ_b Bᵀ, both triangles */
  double *psi;     /* [n*n] Ψ = G + R, both triangles */
  double *L;       /* [n*n] lower: its Cholesky factor; the upper triangle is not used */
  double *inverse; /* [n*n] Ψ⁻¹, both triangles */
  double *d, *w;   /* [n] y - H x0 - B b0, and Ψ⁻¹ of it */
} sky_dual;

/* Bytes of a problem with the five dense matrices of its observations and `squares` more. */
double sky_dual_bytes(const sky_problem *p, size_t squares);
/* SKY_E_NOMEM, with sizes and limit, if they do not fit the budget; what: "the tuning" … */
SKY_NODISCARD sky_status sky_dual_room(sky_context *ctx, const sky_problem *p, const char *what,
                                       size_t squares);
/* Checks the problem and the memory budget (5 arrays of n*n beside the problem) first. */
SKY_NODISCARD sky_status sky_dual_make(sky_context *ctx, const sky_problem *p, sky_dual *out);
/* psi, L, inverse, w again for another R or another G; d stays. */
SKY_NODISCARD sky_status sky_dual_factor(sky_context *ctx, const sky_noise *r, sky_dual *d);
/* Zone by zone [n_zone*n]: rows (H Q a)ᵀ; prior [n_zone*n_zone] = W Q Wᵀ. */
SKY_NODISCARD sky_status sky_dual_zones(sky_context *ctx, const sky_problem *p, size_t n_zone,
                                        const double *W, double *HQW, double *prior);
/* ½ (dᵀΨ⁻¹d + log|Ψ| + n log 2π) */
double sky_dual_evidence(const sky_dual *d);
void sky_dual_free(sky_dual *d); /* NULL-safe, zeroes */

#endif
