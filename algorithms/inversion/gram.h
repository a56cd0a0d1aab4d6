/* gram.h: H Q Hᵀ as a profile, and what an averaging kernel needs of its inverse (bayes.md §2). */
#ifndef SKY_ALGORITHMS_GRAM_H
#define SKY_ALGORITHMS_GRAM_H

#include "algorithms/inversion/band.h"
#include "algorithms/inversion/rows.h"

/* psi += H Q Hᵀ, rows and columns by place; its profile holds r->first. One progress step for each
 * time step. */
SKY_NODISCARD sky_status sky_gram_fill(sky_rows *r, sky_band *psi);
/* ak [n_state] = the diagonal of Q Hᵀ Z H with Z = Ψ⁻¹ in the profile (sky_band_inverse). One
 * progress step for each time step. */
SKY_NODISCARD sky_status sky_gram_kernel(sky_rows *r, const sky_band *Z, double *ak);
double sky_gram_kernel_bytes(const sky_problem *p); /* that it allocates */

#endif
