/* compact.h: Ψ = H Q Hᵀ + R exactly, where the prior is levels of bounded reach and footprints are
 * local: most observations share nothing, and along one axis Ψ is banded (compact.md).
 *
 * No FFT enters: correlations are added up grid point by grid point. */
#ifndef SKY_ALGORITHMS_COMPACT_H
#define SKY_ALGORITHMS_COMPACT_H

#include "skyflux/problem.h"

typedef struct sky_compact sky_compact;

/* Ψ's factor. SKY_E_RANGE: Q is not levels, a level's model has no bounded support (exponential,
 * Matérn), or there are offsets, which join all observations; SKY_E_NOMEM says what the band and
 * `held` bytes need; SKY_E_NOT_SPD. p must outlive *out. */
SKY_NODISCARD sky_status sky_compact_create(sky_context *ctx, const sky_problem *p, double held,
                                            sky_compact **out);
void sky_compact_free(sky_compact *c); /* NULL-safe */
/* v [count*n_obs] = Ψ⁻¹ v, vectors one after another. */
SKY_NODISCARD sky_status sky_compact_solve(sky_context *ctx, const sky_compact *c, size_t count,
                                           double *v);
double sky_compact_logdet(const sky_compact *c);
/* *trace = tr(R Ψ⁻¹), so that n_obs - *trace are the DOFS. The factor is gone afterwards. */
SKY_NODISCARD sky_status sky_compact_trace(sky_context *ctx, sky_compact *c, double *trace);
/* Share of the lower triangle of Ψ that the band holds. */
double sky_compact_share(const sky_compact *c);

#endif
