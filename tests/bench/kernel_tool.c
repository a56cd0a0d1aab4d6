/* What the parts of an inversion reach of the machine's limits, as one line of JSON: dense
 * factorisations against a plain dgemm, sparse products against a triad, on the same threads.
 *
 *   kernel_tool PROBLEM.nc THREADS */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "algorithms/inversion/band.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/sparse.h"
#include "skyflux/problem.h"
#include "src/core/memory.h"

enum { ORDER = 3072, TILE = 512, VECTORS = 8, TRIAD = 12000000, TIMES = 3 };

static int threads;

/* CPU time of a thread, so that a busy machine weighs little. */
static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / threads;
}

static double *filled(sky_context *ctx, size_t n) {
  double *v = SKY_NEW(ctx, double, n);
  for (size_t i = 0; v != NULL && i < n; i++)
    v[i] = 1 + 1e-3 * (double)(i % 97);
  if (v == NULL) exit(1);
  return v;
}

/* Best of a few, GB/s: a = b + s c. */
static double triad(sky_context *ctx) {
  double *a = filled(ctx, TRIAD), *b = filled(ctx, TRIAD), *c = filled(ctx, TRIAD), best = 1e9;
  for (int k = 0; k < TIMES; k++) {
    const double start = seconds();
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < TRIAD; i++)
      a[i] = b[i] + 3.0 * c[i];
    best = fmin(best, seconds() - start);
  }
  sky_free(a);
  sky_free(b);
  sky_free(c);
  return 24e-9 * TRIAD / best;
}

/* GFlop/s, one product a thread. */
static double dgemm(sky_context *ctx) {
  const size_t n = (size_t)TILE * TILE, all = (size_t)threads * n;
  double *a = filled(ctx, all), *b = filled(ctx, all), *c = filled(ctx, all), best = 1e9;
  for (int k = 0; k < TIMES; k++) {
    const double start = seconds();
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int q = 0; q < threads; q++)
      for (int again = 0; again < 4; again++)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, TILE, TILE, TILE, 1.0,
                    a + (size_t)q * n, TILE, b + (size_t)q * n, TILE, 0.0, c + (size_t)q * n, TILE);
    best = fmin(best, seconds() - start);
  }
  sky_free(a);
  sky_free(b);
  sky_free(c);
  return 8e-9 * pow(TILE, 3) * threads / best;
}

/* GFlop/s of ORDER³/3. */
static double factor(sky_context *ctx, bool banded) {
  double best = 1e9;
  double *A = filled(ctx, (size_t)ORDER * ORDER);
  size_t *first = SKY_NEW0(ctx, size_t, ORDER);
  for (int k = 0; first != NULL && k < TIMES; k++) {
    sky_band b = {0};
    if (banded && sky_band_create(ctx, ORDER, first, 0, &b) != SKY_OK) exit(1);
    for (size_t i = 0; i < ORDER; i++)
      for (size_t j = 0; j <= i; j++)
        *(banded ? sky_band_element(&b, i, j) : &A[i * ORDER + j]) = i == j ? 2 * ORDER : 1;
    const double start = seconds();
    if ((banded ? sky_band_cholesky(ctx, &b) : sky_cholesky(ctx, ORDER, A)) != SKY_OK) exit(1);
    best = fmin(best, seconds() - start);
    sky_band_free(&b);
  }
  sky_free(A);
  sky_free(first);
  return 1e-9 * pow(ORDER, 3) / 3 / best;
}

/* GB/s of values, indices and vectors that one pass must move. */
static double sparse(sky_context *ctx, const sky_sparse *H, bool transposed, size_t count) {
  const double nnz = (double)H->rowptr[H->n_row];
  double *x = filled(ctx, count * H->n_col), *y = filled(ctx, count * H->n_row), best = 1e9;
  for (int k = 0; k < TIMES; k++) {
    const double start = seconds();
    if (transposed)
      sky_sparse_transpose_apply(ctx, H, y, count, x);
    else
      sky_sparse_apply(ctx, H, x, count, y);
    best = fmin(best, seconds() - start);
  }
  sky_free(x);
  sky_free(y);
  return 1e-9 * (12 * nnz + 8 * (double)count * (double)(H->n_row + H->n_col)) / best;
}

/* ms of one Q v */
static double prior(sky_context *ctx, const sky_problem *p) {
  double *v = filled(ctx, VECTORS * p->n_state), *q = filled(ctx, VECTORS * p->n_state);
  double best = 1e9;
  for (int k = 0; p->levels != NULL && k < TIMES; k++) {
    const double start = seconds();
    sky_levels_apply(ctx, p->levels, v, VECTORS, q);
    best = fmin(best, seconds() - start);
  }
  sky_free(v);
  sky_free(q);
  return p->levels != NULL ? 1e3 * best / VECTORS : NAN;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "kernel_tool PROBLEM.nc THREADS\n");
    return 2;
  }
  threads = atoi(argv[2]);
  if (threads < 1) return 2;
  sky_context *ctx;
  sky_problem p = {0};
  sky_sparse H = {0};
  if (sky_context_create(&ctx) != SKY_OK) return 1;
  sky_context_set_threads(ctx, threads);
  if (sky_problem_read(ctx, argv[1], &p) != SKY_OK ||
      sky_sparse_create(ctx, p.n_obs, p.n_state, p.rowptr, p.col, p.val, false, &H) != SKY_OK) {
    fprintf(stderr, "%s\n", sky_error(ctx));
    return 1;
  }
  sky_blas_single();
  const double gemm = dgemm(ctx), stream = triad(ctx);
  const double dense = factor(ctx, false), band = factor(ctx, true);
  const double rows = sparse(ctx, &H, false, VECTORS), cols = sparse(ctx, &H, true, VECTORS);
  const double row = sparse(ctx, &H, false, 1), col = sparse(ctx, &H, true, 1);
  printf(
      "{\"threads\": %d, \"dgemm_gflops\": %.1f, \"triad_gb_s\": %.1f, \"cholesky_of_dgemm\": "
      "%.2f, \"band_of_dgemm\": %.2f, \"H_of_triad\": %.2f, \"Ht_of_triad\": %.2f, "
      "\"H_8_of_triad\": %.2f, \"Ht_8_of_triad\": %.2f, \"prior_ms_per_vector\": %.1f}\n",
      threads, gemm, stream, dense / gemm, band / gemm, row / stream, col / stream, rows / stream,
      cols / stream, prior(ctx, &p));
  sky_sparse_free(&H);
  sky_problem_free(&p);
  sky_context_free(ctx);
  return 0;
}
