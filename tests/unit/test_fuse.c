/* The fused estimate against closed forms and numpy (tests/golden/fusion.gold has the larger case).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/fusion/fuse.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

static bool near(double a, double b, double relative) {
  return fabs(a - b) <= relative * fabs(b);
}

/* One number, prior the inventory: the posterior comes back; as if independent, the claimed
 * variance is 1/(2 - A) of the posterior's. */
static void test_scalar(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  const double B = 4, R = 1, A = B / (B + R), P = (1 - A) * B, C = B * (1 - A), xb = 10, xt = 12;
  sky_fusion f;
  assert_int_equal(sky_fuse(ctx, 1, &xb, &B, &xt, &P, &C, &f), SKY_OK);
  assert_true(near(f.x[0], xt, 1e-14) && near(f.P[0], P, 1e-13));
  assert_true(f.rank == 1 && near(f.chi2, 4 / (B - P), 1e-13) &&
              near(f.birge, sqrt(f.chi2), 1e-15));
  sky_fusion_free(&f);
  assert_int_equal(sky_fuse(ctx, 1, &xb, &B, &xt, &P, NULL, &f), SKY_OK);
  assert_true(near(f.P[0] / P, 1 / (2 - A), 1e-13));
  sky_fusion_free(&f);
  sky_context_free(ctx);
}

/* Independent errors: inverse-variance weights, whatever the unit. */
static void test_inverse_variance(void **state) {
  (void)state;
  enum { N = 3 };
  sky_context *ctx = fixture_context(1);
  const double unit[] = {1, 1e-9, 3.6e12}, vb[N] = {4, 9, 1e-6}, vt[N] = {1, 25, 1e6};
  const double b[N] = {10, -3, 7}, t[N] = {12, 5, -400};
  for (size_t u = 0; u < 3; u++) {
    double xb[N], xt[N], B[N * N] = {0}, T[N * N] = {0};
    for (size_t i = 0; i < N; i++) {
      xb[i] = b[i] * unit[u];
      xt[i] = t[i] * unit[u];
      B[i * (N + 1)] = vb[i] * unit[u] * unit[u];
      T[i * (N + 1)] = vt[i] * unit[u] * unit[u];
    }
    sky_fusion f;
    assert_int_equal(sky_fuse(ctx, N, xb, B, xt, T, NULL, &f), SKY_OK);
    assert_int_equal(f.rank, N);
    for (size_t i = 0; i < N; i++) {
      const double w = vt[i] / (vb[i] + vt[i]);
      assert_true(near(f.x[i], (w * b[i] + (1 - w) * t[i]) * unit[u], 1e-12));
      assert_true(
          near(f.P[i * (N + 1)], vb[i] * vt[i] / (vb[i] + vt[i]) * unit[u] * unit[u], 1e-9));
    }
    sky_fusion_free(&f);
  }
  sky_context_free(ctx);
}

/* A city of three counties with a park in one: singular covariances, and sums that stay sums. */
static void test_sums_close(void **state) {
  (void)state;
  enum { N = 5, M = 4, CITY = 3, PARK = 4 };
  static const double W[N * M] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1};
  sky_context *ctx = fixture_context(1);
  double cells_B[M * M], cells_T[M * M], WB[N * M], WT[N * M], B[N * N], T[N * N];
  const double b[M] = {100, 200, 50, 30}, t[M] = {140, 170, 55, 20};
  double xb[N], xt[N];
  for (size_t i = 0; i < M; i++)
    for (size_t k = 0; k < M; k++) {
      cells_B[i * M + k] = 0.04 * b[i] * b[k] + (i == k ? 100 : 0);
      cells_T[i * M + k] = i == k ? 64 : -10;
    }
  fixture_multiply(N, M, M, false, W, false, cells_B, WB);
  fixture_multiply(N, M, N, false, WB, true, W, B);
  fixture_multiply(N, M, M, false, W, false, cells_T, WT);
  fixture_multiply(N, M, N, false, WT, true, W, T);
  fixture_multiply(N, M, 1, false, W, false, b, xb);
  fixture_multiply(N, M, 1, false, W, false, t, xt);
  sky_fusion f, cells;
  assert_int_equal(sky_fuse(ctx, N, xb, B, xt, T, NULL, &f), SKY_OK);
  assert_int_equal(f.rank, M);
  assert_true(near(f.x[0] + f.x[1] + f.x[2], f.x[CITY], 1e-12));
  double sum = 0;
  for (size_t i = 0; i < 3; i++)
    for (size_t k = 0; k < 3; k++)
      sum += f.P[i * N + k];
  assert_true(near(sum, f.P[CITY * (N + 1)], 1e-10));
  assert_int_equal(sky_fuse(ctx, M, b, cells_B, t, cells_T, NULL, &cells), SKY_OK);
  assert_true(near(f.x[PARK], cells.x[3], 1e-10) && near(f.chi2, cells.chi2, 1e-10));
  assert_true(near(f.P[PARK * (N + 1)], cells.P[3 * (M + 1)], 1e-10));
  sky_fusion_free(&f);
  sky_fusion_free(&cells);
  sky_context_free(ctx);
}

static void test_edges(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_fusion f;
  const double x[] = {1, 2}, y[] = {3, 4}, zero[4] = {0}, bad[] = {1, 0, 0, -1};
  assert_int_equal(sky_fuse(ctx, 0, NULL, NULL, NULL, NULL, NULL, &f), SKY_OK);
  sky_fusion_free(&f);
  assert_int_equal(sky_fuse(ctx, 2, x, zero, y, zero, NULL, &f), SKY_OK);
  assert_true(f.rank == 0 && f.x[0] == 1 && f.x[1] == 2 && f.birge == 0); /* nothing to weigh by */
  sky_fusion_free(&f);
  assert_int_equal(sky_fuse(ctx, 2, x, bad, y, zero, NULL, &f), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "B[3] = -1"));
  const double hole[] = {1, NAN};
  assert_int_equal(sky_fuse(ctx, 2, x, zero, hole, zero, NULL, &f), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "x_T[1]"));
  assert_null(f.x);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scalar), cmocka_unit_test(test_inverse_variance),
      cmocka_unit_test(test_sums_close), cmocka_unit_test(test_edges)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
