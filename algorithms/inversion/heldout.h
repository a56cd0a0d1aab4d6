/* heldout.h: prediction of observations from all others, in closed form (diagnose.md §1). */
#ifndef SKY_ALGORITHMS_HELDOUT_H
#define SKY_ALGORITHMS_HELDOUT_H

#include "algorithms/inversion/dual.h"

typedef struct sky_heldout {
  size_t n;
  double chi2;        /* eᵀ C⁻¹ e of the prediction errors e with their covariance C; E = n */
  double rms;         /* of e */
  double log_density; /* of the observations under the prediction */
  size_t inside68, inside95; /* |e_i| within 0.994 and 1.960 √C_ii */
} sky_heldout;

/* Observations index [n] (1 <= n < all) left out of d: e = (Ψ⁻¹_BB)⁻¹ w_B, C = (Ψ⁻¹_BB)⁻¹, the
 * covariance of y - prediction. error [n] = e, sd [n] = √C_ii; both may be NULL. */
SKY_NODISCARD sky_status sky_heldout_predict(sky_context *ctx, const sky_dual *d, size_t n,
                                             const size_t *index, double *error, double *sd,
                                             sky_heldout *out);
#endif
