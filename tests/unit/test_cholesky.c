/* Tiled Cholesky: right, the same bits for every thread count, and it names the failing pivot. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/cholesky.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

/* A = G Gᵀ/n + I with G random: symmetric positive definite, dense. */
static double *spd(sky_context *ctx, size_t n) {
  double *G = fixture_new(ctx, n * n), *A = fixture_new(ctx, n * n);
  for (size_t i = 0; i < n * n; i++)
    G[i] = sky_rng_normal(7, n, i) / sqrt((double)n);
  sky_gram(ctx, n, n, G, G, A);
  for (size_t i = 0; i < n; i++)
    A[i * n + i] += 1;
  sky_free(G);
  return A;
}

static double *copy(sky_context *ctx, const double *a, size_t n) {
  double *c = fixture_new(ctx, n);
  memcpy(c, a, n * sizeof *a);
  return c;
}

static void check_factor(size_t n) {
  sky_context *ctx = fixture_context(2);
  double *A = spd(ctx, n), *L = copy(ctx, A, n * n), *back = fixture_new(ctx, n * n);
  assert_int_equal(sky_cholesky(ctx, n, L), SKY_OK);
  for (size_t i = 0; i < n; i++)
    for (size_t j = i + 1; j < n; j++) {
      assert_true(L[i * n + j] == A[i * n + j]); /* the upper triangle is left alone */
      L[i * n + j] = 0;
    }
  sky_gram(ctx, n, n, L, L, back);
  assert_true(fixture_difference(n * n, back, A) < 1e-13);
  sky_free(A);
  sky_free(L);
  sky_free(back);
  sky_context_free(ctx);
}

static void test_factor(void **state) {
  (void)state;
  const size_t sizes[] = {1, 2, 17, 255, 256, 257, 600};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    check_factor(sizes[i]);
}

static void test_known_values(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  double A[9] = {4, 0, 0, 12, 37, 0, -16, -43, 98};
  assert_int_equal(sky_cholesky(ctx, 3, A), SKY_OK);
  const double L[9] = {2, 0, 0, 6, 1, 0, -8, 5, 3};
  for (int i = 0; i < 9; i++)
    assert_true(A[i] == L[i]);
  assert_true(fabs(sky_cholesky_logdet(3, A) - log(36)) < 1e-15);
  double b[3] = {2, 7, 0}, rows[6] = {2, 7, 0, 0, 1, 8};
  sky_cholesky_forward(ctx, 3, A, 1, b); /* 2x=2, 6x+y=7, -8x+5y+3z=0 */
  assert_true(b[0] == 1 && b[1] == 1 && b[2] == 1);
  sky_cholesky_forward_rows(ctx, 3, A, 2, rows);
  assert_true(rows[0] == 1 && rows[1] == 1 && rows[2] == 1);
  assert_true(rows[3] == 0 && rows[4] == 1 && rows[5] == 1);
  double c[3] = {-6, 11, 6}; /* Lᵀ(2,1,2) = (4+6-16, 1+10, 6) */
  sky_cholesky_backward(ctx, 3, A, 1, c);
  assert_true(c[0] == 2 && c[1] == 1 && c[2] == 2);
  double r[3] = {-6, 11, 6};
  sky_cholesky_backward_rows(ctx, 3, A, 1, r);
  assert_true(r[0] == 2 && r[1] == 1 && r[2] == 2);
  sky_context_free(ctx);
}

/* One factor and its solves, with a given number of threads. */
static void run_all(int threads, size_t n, size_t m, const double *A, double *L, double *X,
                    double *Y, double *C) {
  sky_context *ctx = fixture_context(threads);
  memcpy(L, A, n * n * sizeof *A);
  for (size_t i = 0; i < n * m; i++)
    X[i] = Y[i] = sky_rng_normal(8, 0, i);
  assert_int_equal(sky_cholesky(ctx, n, L), SKY_OK);
  sky_cholesky_forward(ctx, n, L, m, X);
  sky_cholesky_backward(ctx, n, L, m, X);
  sky_cholesky_forward_rows(ctx, n, L, m, Y);
  sky_cholesky_backward_rows(ctx, n, L, m, Y);
  sky_gram(ctx, m, n, Y, Y, C);
  sky_context_free(ctx);
}

static void test_threads_same_bits(void **state) {
  (void)state;
  const size_t n = 700, m = 300; /* neither is a multiple of a tile */
  const int threads[] = {1, 2, 3, 5};
  sky_context *ctx = fixture_context(1);
  double *A = spd(ctx, n);
  double *L[2], *X[2], *Y[2], *C[2];
  for (int k = 0; k < 2; k++) {
    L[k] = fixture_new(ctx, n * n);
    X[k] = fixture_new(ctx, n * m);
    Y[k] = fixture_new(ctx, n * m);
    C[k] = fixture_new(ctx, m * m);
  }
  for (size_t t = 0; t < 4; t++) {
    const int k = t > 0;
    run_all(threads[t], n, m, A, L[k], X[k], Y[k], C[k]);
    if (t == 0) continue;
    assert_memory_equal(L[0], L[1], n * n * sizeof(double));
    assert_memory_equal(X[0], X[1], n * m * sizeof(double));
    assert_memory_equal(Y[0], Y[1], n * m * sizeof(double));
    assert_memory_equal(C[0], C[1], m * m * sizeof(double));
  }
  for (int k = 0; k < 2; k++) {
    sky_free(L[k]);
    sky_free(X[k]);
    sky_free(Y[k]);
    sky_free(C[k]);
  }
  sky_free(A);
  sky_context_free(ctx);
}

/* The message must name the row; the same for one and for many threads. */
static void check_pivot(size_t n, size_t row, size_t col, double value, size_t pivot) {
  char expected[64];
  snprintf(expected, sizeof expected, "pivot %zu ", pivot);
  for (int threads = 1; threads <= 3; threads += 2) {
    sky_context *ctx = fixture_context(threads);
    double *A = spd(ctx, n);
    A[row * n + col] = value;
    assert_int_equal(sky_cholesky(ctx, n, A), SKY_E_NOT_SPD);
    assert_non_null(strstr(sky_error(ctx), expected));
    sky_free(A);
    sky_context_free(ctx);
  }
}

static void test_failing_pivot(void **state) {
  (void)state;
  check_pivot(40, 11, 11, -1, 11);
  check_pivot(520, 300, 300, 0, 300);
  check_pivot(520, 519, 519, -5, 519);
  check_pivot(1, 0, 0, 0, 0);
}

static void test_nan_and_infinity_fail(void **state) {
  (void)state;
  check_pivot(40, 0, 0, NAN, 0);
  check_pivot(520, 300, 300, NAN, 300);
  check_pivot(520, 400, 3, NAN, 400);
  check_pivot(520, 400, 3, INFINITY, 400);
  check_pivot(520, 270, 270, INFINITY, 270);
}

static void test_cancelled(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  double *A = spd(ctx, 300);
  sky_cancel(ctx);
  assert_int_equal(sky_cholesky(ctx, 300, A), SKY_E_CANCELLED);
  sky_free(A);
  sky_context_free(ctx);
}

static void test_product(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  const size_t m = 150, k = 33, n = 41;
  double *A = fixture_new(ctx, m * k), *B = fixture_new(ctx, k * n);
  double *C = fixture_new(ctx, m * n), *want = fixture_new(ctx, m * n);
  for (size_t i = 0; i < m * k; i++)
    A[i] = sky_rng_normal(9, 0, i);
  for (size_t i = 0; i < k * n; i++)
    B[i] = sky_rng_normal(9, 1, i);
  sky_product(ctx, m, k, n, A, B, C);
  fixture_multiply(m, k, n, false, A, false, B, want);
  assert_true(fixture_difference(m * n, C, want) < 1e-14);
  sky_free(A);
  sky_free(B);
  sky_free(C);
  sky_free(want);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_factor),
                                     cmocka_unit_test(test_known_values),
                                     cmocka_unit_test(test_threads_same_bits),
                                     cmocka_unit_test(test_failing_pivot),
                                     cmocka_unit_test(test_nan_and_infinity_fail),
                                     cmocka_unit_test(test_cancelled),
                                     cmocka_unit_test(test_product)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
