/* fuse.h: the best linear estimate from bottom-up and top-down totals whose errors may be
 * correlated (fuse.md). Pure functions. */
#ifndef SKY_ALGORITHMS_FUSE_H
#define SKY_ALGORITHMS_FUSE_H

#include "skyflux/context.h"

/* Eigenvalues of S, scaled to a unit diagonal, below this share of the largest count as zero:
 * totals that are sums of others (a city of its counties) make S singular up to rounding. */
#define SKY_FUSE_RANK_TOLERANCE 1e-10

typedef struct sky_fusion {
  size_t n, rank; /* rank: of S */
  double *x, *P;  /* [n], [n*n] */
  double chi2;    /* (x_T - x_B)ᵀ S⁺ (x_T - x_B), expectation rank */
  double birge;   /* √(chi2/rank); 0 where the rank is 0 */
} sky_fusion;

/* x_B, B: bottom-up estimates and covariance; x_T, T: top-down; C [n*n] = E[ε_B ε_Tᵀ], NULL =
 * independent. All finite and in one unit; covariances symmetric, row-major. SKY_E_RANGE names what
 * is not finite or has a negative variance, SKY_E_INTERNAL a failed decomposition. */
SKY_NODISCARD sky_status sky_fuse(sky_context *ctx, size_t n, const double *x_B, const double *B,
                                  const double *x_T, const double *T, const double *C,
                                  sky_fusion *out);
void sky_fusion_free(sky_fusion *f); /* NULL-safe, zeroes */

#endif
