/* band_rows.c: see band_rows.h. A row x with L xᵀ = bᵀ solves x Lᵀ = b, tile after tile. */
#include "algorithms/inversion/band_rows.h"

#include <cblas.h>

#include "algorithms/inversion/cholesky.h"

#define T SKY_BAND_TILE
#define ROW_BLOCK 128 /* right-hand sides of one BLAS call */

static int width_of(const sky_band *L, size_t i) {
  return (int)(L->n - i * T < T ? L->n - i * T : T);
}

static void solve_diagonal(const sky_band *L, size_t i, CBLAS_TRANSPOSE trans, int rows,
                           double *X) {
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, trans, CblasNonUnit, rows, width_of(L, i), 1.0,
              sky_band_element(L, i * T, i * T), T, X + i * T, (int)L->n);
}

static void forward_block(const sky_band *L, size_t from, int rows, double *X) {
  const int n = (int)L->n;
  for (size_t i = from / T; i < L->tiles; i++) {
    const size_t first = L->first[i] > from / T ? L->first[i] : from / T;
    for (size_t j = first; j < i; j++)
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, width_of(L, i), T, -1.0, X + j * T,
                  n, sky_band_element(L, i * T, j * T), T, 1.0, X + i * T, n);
    solve_diagonal(L, i, CblasTrans, rows, X);
  }
}

static void backward_block(const sky_band *L, int rows, double *X) {
  const int n = (int)L->n;
  for (size_t i = L->tiles; i-- > 0;) {
    solve_diagonal(L, i, CblasNoTrans, rows, X);
    for (size_t j = L->first[i]; j < i; j++)
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, T, width_of(L, i), -1.0,
                  X + i * T, n, sky_band_element(L, i * T, j * T), T, 1.0, X + j * T, n);
  }
}

void sky_band_forward_rows(sky_context *ctx, const sky_band *L, size_t m, size_t from, double *X) {
  sky_blas_single();
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t k = 0; k < m; k += ROW_BLOCK)
    forward_block(L, from, (int)(m - k < ROW_BLOCK ? m - k : ROW_BLOCK), X + k * L->n);
}

void sky_band_backward_rows(sky_context *ctx, const sky_band *L, size_t m, double *X) {
  sky_blas_single();
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t k = 0; k < m; k += ROW_BLOCK)
    backward_block(L, (int)(m - k < ROW_BLOCK ? m - k : ROW_BLOCK), X + k * L->n);
}
