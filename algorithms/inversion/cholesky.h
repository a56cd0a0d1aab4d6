/* cholesky.h: our own tiled Cholesky (OpenMP tasks on 256-tiles, BLAS single-threaded inside a
 * tile): LAPACK's speed with bits that do not depend on the thread count (design law 6). */
#ifndef SKY_ALGORITHMS_CHOLESKY_H
#define SKY_ALGORITHMS_CHOLESKY_H

#include "skyflux/context.h"

#define SKY_CHOLESKY_TILE 256

/* From here on every BLAS call of this process runs on its calling thread. Each function below
 * calls it; whoever uses CBLAS directly does so first. */
void sky_blas_single(void);
/* The processor whose kernels BLAS uses: results of two are equal to rounding, not in every bit. */
const char *sky_blas_core(void);

/* A [n*n] row-major, lower triangle used, overwritten with L (A = L Lᵀ). SKY_E_NOT_SPD names the
 * pivot (also where the input holds NaN or infinity); SKY_E_CANCELLED. The upper triangle stays. */
SKY_NODISCARD sky_status sky_cholesky(sky_context *ctx, size_t n, double *A);
/* X [n*m] row-major: L X = B (forward) or Lᵀ X = B (backward), in place, blocked over columns. */
void sky_cholesky_forward(sky_context *ctx, size_t n, const double *L, size_t m, double *X);
void sky_cholesky_backward(sky_context *ctx, size_t n, const double *L, size_t m, double *X);
/* The same for m right-hand sides stored as the rows of X [m*n]. */
void sky_cholesky_forward_rows(sky_context *ctx, size_t n, const double *L, size_t m, double *X);
void sky_cholesky_backward_rows(sky_context *ctx, size_t n, const double *L, size_t m, double *X);
/* log|A| = 2 Σ log L_ii, compensated. */
double sky_cholesky_logdet(size_t n, const double *L);

/* C [n*n] = U Vᵀ with U, V [n*k] where the result is known to be symmetric: lower tiles are
 * computed, the upper triangle is their mirror. Deterministic for any thread count. */
void sky_gram(sky_context *ctx, size_t n, size_t k, const double *U, const double *V, double *C);
/* C [m*n] = A B with A [m*k], B [k*n], all row-major, by fixed row tiles. C is neither A nor B. */
void sky_product(sky_context *ctx, size_t m, size_t k, size_t n, const double *A, const double *B,
                 double *C);
#endif
