/* cholesky.c: tiled Cholesky A = L Lᵀ and its triangular solves (cholesky.md).
 *
 * Right-looking tile algorithm (Buttari et al. 2009, Parallel Computing 35, 38): every tile is
 * updated by tasks whose dependencies fix their order, and each task is one single-threaded BLAS or
 * LAPACK call of a fixed shape. So the bits depend on the matrix only, not on who ran which task.
 */
#include "algorithms/inversion/cholesky.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "src/core/sum.h"

#define ROW_TILE 128 /* right-hand sides or rows of one BLAS call */

static pthread_once_t blas_once = PTHREAD_ONCE_INIT;

static void blas_single(void) {
  openblas_set_num_threads(1);
}

/* Once, because OpenBLAS may not change its thread count while another thread computes. */
void sky_blas_single(void) {
  pthread_once(&blas_once, blas_single);
}

const char *sky_blas_core(void) {
  return openblas_get_corename();
}

static int tile_size(size_t n, size_t start, size_t tile) {
  return (int)(n - start < tile ? n - start : tile);
}

/* ---- factorisation -------------------------------------------------------------------------- */

enum { RUNNING = 0, NOT_SPD = 1, CANCELLED = 2 };

typedef struct factor { /* shared by all tasks of one factorisation */
  sky_context *ctx;
  size_t n;
  double *A;
  size_t pivot; /* failing row; written once, by the task that sets state */
  double pivot_value;
  atomic_int state; /* RUNNING, or why the remaining tasks do nothing */
} factor;

static double *tile_at(const factor *f, size_t i, size_t j) {
  return f->A + i * SKY_CHOLESKY_TILE * f->n + j * SKY_CHOLESKY_TILE;
}

static int tile_rows(const factor *f, size_t i) {
  return tile_size(f->n, i * SKY_CHOLESKY_TILE, SKY_CHOLESKY_TILE);
}

static void factor_diagonal(factor *f, size_t k) {
  if (atomic_load(&f->state) != RUNNING) return;
  if (sky_cancelled(f->ctx)) {
    atomic_store(&f->state, CANCELLED);
    return;
  }
  double *a = tile_at(f, k, k);
  const int rows = tile_rows(f, k), ld = (int)f->n;
  /* Row-major lower is column-major upper: LAPACK works in place, without a transposed copy. */
  const int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', rows, a, ld);
  size_t bad = info > 0 ? (size_t)info - 1 : (size_t)rows;
  /* LAPACK lets NaN and infinity pass its pivot test, so look at what came out. */
  for (size_t i = 0; i < bad; i++)
    if (!isfinite(a[i * f->n + i])) bad = i;
  if (bad == (size_t)rows) return;
  f->pivot = k * SKY_CHOLESKY_TILE + bad;
  f->pivot_value = a[bad * f->n + bad];
  atomic_store(&f->state, NOT_SPD);
}

static void factor_column(factor *f, size_t i, size_t k) {
  if (atomic_load(&f->state) != RUNNING) return;
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, tile_rows(f, i),
              tile_rows(f, k), 1.0, tile_at(f, k, k), (int)f->n, tile_at(f, i, k), (int)f->n);
}

static void factor_update(factor *f, size_t i, size_t j, size_t k) {
  if (atomic_load(&f->state) != RUNNING) return;
  const int ld = (int)f->n;
  if (i == j)
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, tile_rows(f, i), tile_rows(f, k), -1.0,
                tile_at(f, i, k), ld, 1.0, tile_at(f, i, i), ld);
  else
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, tile_rows(f, i), tile_rows(f, j),
                tile_rows(f, k), -1.0, tile_at(f, i, k), ld, tile_at(f, j, k), ld, 1.0,
                tile_at(f, i, j), ld);
}

/* One thread makes the tasks of all tiles; the first element of a tile stands for it in depend().
 */
static void factor_tasks(factor *f) {
  const size_t tiles = (f->n + SKY_CHOLESKY_TILE - 1) / SKY_CHOLESKY_TILE;
  for (size_t k = 0; k < tiles; k++) {
#pragma omp task firstprivate(k) depend(inout : *tile_at(f, k, k))
    factor_diagonal(f, k);
    for (size_t i = k + 1; i < tiles; i++) {
#pragma omp task firstprivate(i, k) depend(in : *tile_at(f, k, k)) depend(inout : *tile_at(f, i, k))
      factor_column(f, i, k);
    }
    for (size_t i = k + 1; i < tiles; i++)
      for (size_t j = k + 1; j <= i; j++) {
#pragma omp task firstprivate(i, j, k) depend(in                                      \
                                              : *tile_at(f, i, k), *tile_at(f, j, k)) \
    depend(inout                                                                      \
           : *tile_at(f, i, j))
        factor_update(f, i, j, k);
      }
  }
}

sky_status sky_cholesky(sky_context *ctx, size_t n, double *A) {
  factor f = {.ctx = ctx, .n = n, .A = A};
  sky_blas_single();
  if (n > INT32_MAX) return sky_fail(ctx, SKY_E_SIZE, "cholesky: %zu rows exceed 2^31-1", n);
#pragma omp parallel num_threads(sky_context_threads(ctx))
#pragma omp master /* the others take tasks at the closing barrier */
  factor_tasks(&f);
  switch (atomic_load(&f.state)) {
    case NOT_SPD:
      return sky_fail(ctx, SKY_E_NOT_SPD,
                      "matrix of %zu rows is not positive definite: pivot %zu is %g", n, f.pivot,
                      f.pivot_value);
    case CANCELLED:
      return sky_fail(ctx, SKY_E_CANCELLED, "cancelled in the factorisation");
    default:
      return SKY_OK;
  }
}

double sky_cholesky_logdet(size_t n, const double *L) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    sky_acc_add(&sum, log(L[i * n + i]));
  return 2 * sky_acc_value(&sum);
}

/* ---- triangular solves ---------------------------------------------------------------------- */

static void solve_columns(sky_context *ctx, CBLAS_TRANSPOSE trans, size_t n, const double *L,
                          size_t m, double *X) {
  sky_blas_single();
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t j = 0; j < m; j += ROW_TILE)
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, trans, CblasNonUnit, (int)n,
                tile_size(m, j, ROW_TILE), 1.0, L, (int)n, X + j, (int)m);
}

void sky_cholesky_forward(sky_context *ctx, size_t n, const double *L, size_t m, double *X) {
  solve_columns(ctx, CblasNoTrans, n, L, m, X);
}

void sky_cholesky_backward(sky_context *ctx, size_t n, const double *L, size_t m, double *X) {
  solve_columns(ctx, CblasTrans, n, L, m, X);
}

/* A row x with L xᵀ = bᵀ solves x Lᵀ = b: the triangle acts from the right. */
static void solve_rows(sky_context *ctx, CBLAS_TRANSPOSE trans, size_t n, const double *L, size_t m,
                       double *X) {
  sky_blas_single();
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < m; i += ROW_TILE)
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, trans, CblasNonUnit,
                tile_size(m, i, ROW_TILE), (int)n, 1.0, L, (int)n, X + i * n, (int)n);
}

void sky_cholesky_forward_rows(sky_context *ctx, size_t n, const double *L, size_t m, double *X) {
  solve_rows(ctx, CblasTrans, n, L, m, X);
}

void sky_cholesky_backward_rows(sky_context *ctx, size_t n, const double *L, size_t m, double *X) {
  solve_rows(ctx, CblasNoTrans, n, L, m, X);
}

/* ---- products ------------------------------------------------------------------------------- */

static void gram_tile(size_t n, size_t k, size_t i, size_t j, const double *U, const double *V,
                      double *C) {
  const int rows = tile_size(n, i, ROW_TILE), cols = tile_size(n, j, ROW_TILE);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, cols, (int)k, 1.0, U + i * k, (int)k,
              V + j * k, (int)k, 0.0, C + i * n + j, (int)n);
  for (size_t r = i; r < i + (size_t)rows; r++)
    for (size_t c = j; c < j + (size_t)cols && c < r; c++)
      C[c * n + r] = C[r * n + c];
}

void sky_gram(sky_context *ctx, size_t n, size_t k, const double *U, const double *V, double *C) {
  sky_blas_single();
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < n; i += ROW_TILE)
    for (size_t j = 0; j <= i; j += ROW_TILE)
      gram_tile(n, k, i, j, U, V, C);
}

void sky_product(sky_context *ctx, size_t m, size_t k, size_t n, const double *A, const double *B,
                 double *C) {
  sky_blas_single();
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < m; i += ROW_TILE)
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, tile_size(m, i, ROW_TILE), (int)n,
                (int)k, 1.0, A + i * k, (int)k, B, (int)n, 0.0, C + i * n, (int)n);
}
