/* cholesky.h: our own tiled Cholesky (OpenMP tasks on 256-tiles, BLAS single-threaded inside a
 * tile): LAPACK's speed with bits that do not depend on the thread count (design law 6). */
#ifndef SKY_ALGORITHMS_CHOLESKY_H
#define SKY_ALGORITHMS_CHOLESKY_H

#include "skyflux/context.h"

#define SKY_CHOLESKY_TILE 256

/* A [n*n] row-major, lower triangle used, overwritten with L (A = L Lᵀ). SKY_E_NOT_SPD names the pivot. */
SKY_NODISCARD sky_status sky_cholesky(sky_context *ctx, size_t n, double *A);
/* X [n*m] row-major: L X = B (forward) or Lᵀ X = B (backward), in place, blocked over columns. */
void sky_cholesky_forward(sky_context *ctx, size_t n, const double *L, size_t m, double *X);
void sky_cholesky_backward(sky_context *ctx, size_t n, const double *L, size_t m, double *X);
/* log|A| = 2 Σ log L_ii, compensated. */
double sky_cholesky_logdet(size_t n, const double *L);
/* C [n*n] lower = A Aᵀ-like symmetric product of rows: C = U Vᵀ with U,V [n*k] (result known
 * symmetric), tiled, deterministic; both triangles are filled. */
void sky_gram(sky_context *ctx, size_t n, size_t k, const double *U, const double *V, double *C);
#endif
