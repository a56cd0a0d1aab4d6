/* band.c: see band.h. Right-looking Cholesky of tiles; every tile sees its updates in the order of
 * the columns, on any number of threads. */
#include "algorithms/inversion/band.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define T SKY_BAND_TILE

static size_t tiles_of(size_t n) {
  return (n + T - 1) / T;
}

/* First tile of a row of tiles: that of the row of it that begins first. */
static size_t first_tile(size_t n, const size_t *first, size_t i) {
  size_t least = i;
  for (size_t row = i * T; row < n && row < (i + 1) * T; row++)
    if (first[row] / T < least) least = first[row] / T;
  return least;
}

double sky_band_bytes(size_t n, const size_t *first) {
  double count = 0;
  for (size_t i = 0; i < tiles_of(n); i++)
    count += (double)(i + 1 - first_tile(n, first, i));
  return count * T * T * sizeof(double);
}

static double *tile(const sky_band *b, size_t i, size_t j) {
  return b->data + (b->start[i] + j - b->first[i]) * T * T;
}

sky_status sky_band_create(sky_context *ctx, size_t n, const size_t *first, double held,
                           sky_band *out) {
  const double need = sky_band_bytes(n, first) + held, budget = (double)sky_context_memory(ctx);
  sky_status st = SKY_OK;
  *out = (sky_band){.n = n, .tiles = tiles_of(n)};
  if (need > budget)
    return sky_fail(ctx, SKY_E_NOMEM,
                    "a solution by the banded covariance of %zu observations needs %.0f MB, the "
                    "memory budget is "
                    "%.0f MB (--memory)",
                    n, ceil(need / 1e6), budget / 1e6);
  SKY_GO_ALLOC(out->first, SKY_NEW(ctx, size_t, out->tiles));
  SKY_GO_ALLOC(out->start, SKY_NEW0(ctx, size_t, out->tiles + 1));
  for (size_t i = 0; i < out->tiles; i++) {
    out->first[i] = first_tile(n, first, i);
    out->start[i + 1] = out->start[i] + i + 1 - out->first[i];
  }
  SKY_GO_ALLOC(out->data, SKY_NEW0(ctx, double, out->start[out->tiles] * T * T));
  for (size_t row = n; row < out->tiles * T; row++)
    *sky_band_element(out, row, row) = 1;
cleanup:
  if (st != SKY_OK) sky_band_free(out);
  return st;
}

void sky_band_free(sky_band *b) {
  if (b == NULL) return;
  sky_free(b->first);
  sky_free(b->start);
  sky_free(b->data);
  memset(b, 0, sizeof *b);
}

double *sky_band_element(const sky_band *b, size_t row, size_t col) {
  return tile(b, row / T, col / T) + row % T * T + col % T;
}

/* Rows of tiles below k that reach back to it: list, and how many. */
static size_t rows_below(const sky_band *b, size_t k, size_t *list) {
  size_t count = 0;
  for (size_t i = k + 1; i < b->tiles; i++)
    if (b->first[i] <= k) list[count++] = i;
  return count;
}

static void eliminate(sky_context *ctx, const sky_band *b, size_t k, size_t count,
                      const size_t *list) {
  const int threads = sky_context_threads(ctx);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t q = 0; q < count; q++)
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, T, T, 1.0,
                tile(b, k, k), T, tile(b, list[q], k), T);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t pair = 0; pair < count * count; pair++) {
    const size_t q = pair / count, r = pair % count;
    if (r < q)
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, T, T, T, -1.0, tile(b, list[q], k), T,
                  tile(b, list[r], k), T, 1.0, tile(b, list[q], list[r]), T);
    else if (r == q)
      cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, T, T, -1.0, tile(b, list[q], k), T, 1.0,
                  tile(b, list[q], list[q]), T);
  }
}

sky_status sky_band_cholesky(sky_context *ctx, sky_band *b) {
  size_t *list = SKY_NEW(ctx, size_t, b->tiles);
  if (list == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  sky_blas_single();
  for (size_t k = 0; st == SKY_OK && k < b->tiles; k++) {
    /* column-major 'U' is the lower triangle of the row-major tile */
    const lapack_int info = LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', T, tile(b, k, k), T);
    if (info != 0)
      st = sky_fail(ctx, SKY_E_NOT_SPD,
                    "row %zu of %zu has no positive pivot: the matrix is not positive definite",
                    k * T + (size_t)(info > 0 ? info - 1 : 0), b->n);
    else
      eliminate(ctx, b, k, rows_below(b, k, list), list);
    if (st == SKY_OK && sky_cancelled(ctx))
      st = sky_fail(ctx, SKY_E_CANCELLED, "cancelled in the factorisation");
  }
  sky_free(list);
  return st;
}

void sky_band_solve(const sky_band *b, size_t m, double *X) {
  const int width = (int)m;
  sky_blas_single();
  for (int backward = 0; backward < 2; backward++)
    for (size_t step = 0; step < b->tiles; step++) {
      const size_t i = backward ? b->tiles - 1 - step : step;
      const int rows = (int)(b->n - i * T < T ? b->n - i * T : T);
      double *x = X + i * T * m;
      if (backward) /* L_ij is known with row i: what it takes from row j, after row i is done */
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, rows, width,
                    1.0, tile(b, i, i), T, x, width);
      for (size_t j = b->first[i]; j < i; j++)
        cblas_dgemm(CblasRowMajor, backward ? CblasTrans : CblasNoTrans, CblasNoTrans,
                    backward ? T : rows, width, backward ? rows : T, -1.0, tile(b, i, j), T,
                    backward ? x : X + j * T * m, width, 1.0, backward ? X + j * T * m : x, width);
      if (!backward)
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, rows, width,
                    1.0, tile(b, i, i), T, x, width);
    }
}

/* Column j of tiles, those of later columns being done (Takahashi, Fagan & Chin 1973): with S the
 * rows below, Y = L_Sj L_jj⁻¹, Z_Sj = -Z_SS Y, Z_jj = (L_jj L_jjᵀ)⁻¹ - Yᵀ Z_Sj. Y [count tiles]. */
static void invert_column(sky_context *ctx, const sky_band *b, size_t j, size_t count,
                          const size_t *list, double *Y) {
  const int threads = sky_context_threads(ctx);
  double *jj = tile(b, j, j);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t q = 0; q < count; q++) {
    memcpy(Y + q * T * T, tile(b, list[q], j), T * T * sizeof *Y);
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, T, T, 1.0, jj, T,
                Y + q * T * T, T);
  }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t q = 0; q < count; q++)
    for (size_t r = 0; r < count; r++) {
      const bool stored = list[q] >= list[r];
      cblas_dgemm(CblasRowMajor, stored ? CblasNoTrans : CblasTrans, CblasNoTrans, T, T, T, -1.0,
                  stored ? tile(b, list[q], list[r]) : tile(b, list[r], list[q]), T, Y + r * T * T,
                  T, r == 0 ? 0.0 : 1.0, tile(b, list[q], j), T);
    }
  (void)LAPACKE_dpotri(LAPACK_COL_MAJOR, 'U', T, jj, T); /* fails for a zero pivot only */
  for (size_t row = 0; row < T; row++)
    for (size_t col = row + 1; col < T; col++)
      jj[row * T + col] = jj[col * T + row];
  for (size_t q = 0; q < count; q++)
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, T, T, T, -1.0, Y + q * T * T, T,
                tile(b, list[q], j), T, 1.0, jj, T);
}

sky_status sky_band_inverse(sky_context *ctx, sky_band *b) {
  size_t *list = NULL, most = 0;
  double *Y = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(list, SKY_NEW(ctx, size_t, b->tiles));
  for (size_t j = 0; j < b->tiles; j++) {
    const size_t count = rows_below(b, j, list);
    if (count > most) most = count;
  }
  SKY_GO_ALLOC(Y, SKY_NEW(ctx, double, most *T *T));
  sky_blas_single();
  for (size_t j = b->tiles; j-- > 0;)
    invert_column(ctx, b, j, rows_below(b, j, list), list, Y);
cleanup:
  sky_free(list);
  sky_free(Y);
  return st;
}

double sky_band_logdet(const sky_band *b) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < b->n; i++)
    sky_acc_add(&sum, 2 * log(*sky_band_element(b, i, i)));
  return sky_acc_value(&sum);
}
