/* nearby.h: a G with Gᵀ G near Ψ⁻¹: triangular, from every observation's nearest neighbours, times
 * a symmetric matrix that takes in the offsets (nearby.md): what the iteration is preconditioned
 * with where the prior is levels. */
#ifndef SKY_ALGORITHMS_NEARBY_H
#define SKY_ALGORITHMS_NEARBY_H

#include "skyflux/problem.h"

typedef struct sky_nearby sky_nearby;

/* *out = NULL where the prior is not levels, it does not fit the budget beside `held` bytes or
 * would cost more than it saves (the reason stands in the log). p must outlive *out. */
SKY_NODISCARD sky_status sky_nearby_create(sky_context *ctx, const sky_problem *p, double held,
                                           sky_nearby **out);
void sky_nearby_free(sky_nearby *g); /* NULL-safe */
double sky_nearby_bytes(const sky_nearby *g);

/* out [count*n_obs] = G v, Gᵀ v (v is overwritten there): vectors one after another; same bits for
 * any thread count. */
void sky_nearby_apply(sky_context *ctx, const sky_nearby *g, const double *v, size_t count,
                      double *out);
void sky_nearby_transpose_apply(sky_context *ctx, const sky_nearby *g, double *v, size_t count,
                                double *out);
/* v [count*n_obs] = G⁻¹ v */
void sky_nearby_solve(sky_context *ctx, const sky_nearby *g, size_t count, double *v);
double sky_nearby_logdet(const sky_nearby *g); /* of Gᵀ G */
/* *trace = tr(G R Gᵀ) */
SKY_NODISCARD sky_status sky_nearby_noise(sky_context *ctx, const sky_nearby *g, double *trace);

#endif
