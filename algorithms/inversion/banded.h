/* banded.h: Ψ = H Q Hᵀ + R + B Σ_b Bᵀ factorised as a band and a small matrix of the offsets, where
 * compact.h gives its elements (compact.md). */
#ifndef SKY_ALGORITHMS_BANDED_H
#define SKY_ALGORITHMS_BANDED_H

#include "skyflux/problem.h"

typedef struct sky_banded sky_banded;

/* Ψ's factor. SKY_E_RANGE: Q is not levels, or a level's model has no bounded support (exponential,
 * Matérn); SKY_E_NOMEM says what the band and `held` bytes need; SKY_E_NOT_SPD. p must outlive
 * *out. */
SKY_NODISCARD sky_status sky_banded_create(sky_context *ctx, const sky_problem *p, double held,
                                           sky_banded **out);
void sky_banded_free(sky_banded *b); /* NULL-safe */
/* v [count*n_obs] = Ψ⁻¹ v, vectors one after another. */
SKY_NODISCARD sky_status sky_banded_solve(sky_context *ctx, const sky_banded *b, size_t count,
                                          double *v);
double sky_banded_logdet(const sky_banded *b);
/* Share of the lower triangle that the band holds. */
double sky_banded_share(const sky_banded *b);
/* Bytes that it holds and multiplications of its factor, found without an element. */
SKY_NODISCARD sky_status sky_banded_plan(sky_context *ctx, const sky_problem *p, double *bytes,
                                         double *work);

typedef struct sky_banded_dofs { /* exact */
  double state, offsets;         /* tr(H Q Hᵀ Ψ⁻¹), tr(B Σ_b Bᵀ Ψ⁻¹) */
  double *zone;                  /* [n_zone] of the caller: Σ share_i A_ii */
  double *b_var;                 /* [n_background] of the caller: posterior variance of b */
} sky_banded_dofs;
/* The factor is gone afterwards. */
SKY_NODISCARD sky_status sky_banded_inform(sky_context *ctx, sky_banded *b,
                                           const sky_functionals *zones, sky_banded_dofs *out);

#endif
