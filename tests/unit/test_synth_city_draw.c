/* Draws from the error of a layer: their sample covariance goes to the one that it states. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "skyflux/context.h"
#include "src/job/synth_city_draw.h"

enum { N = 6, RANK = 4, DRAWS = 40000 };

/* Two blocks of shares (own error smaller and larger than the placement's), a shared factor; cell 5
 * is known exactly. Written down by hand, not through the gridder. */
static double factor[RANK * N] = {1,   2,   0.5,  3,    1,   0, /* shared by all */
                                  0.5, 0.3, 0.2,  0,    0,   0, /* first block: c = 0.4 - 9 */
                                  0,   0,   0.25, 0.25, 0.5, 0, /* second: c = 5 - 4 */
                                  0,   0,   0,    0,    0,   0};
static double sign[RANK] = {1, -1, 1, -1};
static double variance[N];

static sky_layer layer(void) {
  static double flux[N] = {10, 20, 30, 40, 50, 60};
  const double spread[2] = {9, 4}, coefficient[2] = {0.4 - 9, 5 - 4};
  for (size_t i = 0; i < N; i++)
    variance[i] = 0;
  for (size_t b = 0; b < 2; b++) {
    for (size_t i = 0; i < N; i++) {
      double *f = &factor[(b + 1) * N + i];
      variance[i] += spread[b] * *f;
      *f *= sqrt(fabs(coefficient[b]));
    }
  }
  return (sky_layer){.n_cell = N,
                     .flux = flux,
                     .rank = RANK,
                     .factor = factor,
                     .sign = sign,
                     .variance = variance};
}

static void test_covariance(void **state) {
  sky_context *ctx = *state;
  const sky_layer l = layer();
  double mean[N] = {0}, product[N][N] = {{0}}, x[N];
  for (uint64_t k = 0; k < DRAWS; k++) {
    assert_int_equal(sky_layer_draw(ctx, &l, 7, k, x), SKY_OK);
    for (size_t i = 0; i < N; i++) {
      mean[i] += (x[i] - l.flux[i]) / DRAWS;
      for (size_t j = 0; j < N; j++)
        product[i][j] += (x[i] - l.flux[i]) * (x[j] - l.flux[j]) / DRAWS;
    }
    /* The first block keeps its total but for its own error: cells 0, 1 belong to it alone. */
  }
  for (size_t i = 0; i < N; i++) {
    for (size_t j = 0; j < N; j++) {
      double want = i == j ? variance[i] : 0, scale;
      for (size_t k = 0; k < RANK; k++)
        want += sign[k] * factor[k * N + i] * factor[k * N + j];
      double ii = variance[i], jj = variance[j];
      for (size_t k = 0; k < RANK; k++) {
        ii += sign[k] * factor[k * N + i] * factor[k * N + i];
        jj += sign[k] * factor[k * N + j] * factor[k * N + j];
      }
      scale = 5 * sqrt((ii * jj + want * want) / DRAWS); /* of a sample covariance */
      if (fabs(product[i][j] - want) > scale + 1e-12)
        fail_msg("covariance %zu %zu: %g, expected %g +- %g", i, j, product[i][j], want, scale);
    }
    assert_true(fabs(mean[i]) < 5 * sqrt(product[i][i] / DRAWS) + 1e-12);
  }
}

/* A block without own error: its sum is the same in every draw. */
static void test_constraint(void **state) {
  sky_context *ctx = *state;
  double flux[3] = {1, 2, 3}, one = -1, v[3], x[3], f[3] = {0.5, 0.3, 0.2};
  for (size_t i = 0; i < 3; i++) {
    v[i] = 4 * f[i];
    f[i] *= 2;
  }
  const sky_layer l = {
      .n_cell = 3, .flux = flux, .rank = 1, .factor = f, .sign = &one, .variance = v};
  for (uint64_t k = 0; k < 100; k++) {
    assert_int_equal(sky_layer_draw(ctx, &l, 1, k, x), SKY_OK);
    assert_true(fabs(x[0] + x[1] + x[2] - 6) < 1e-7);
    assert_true(fabs(x[0] - 1) > 1e-9);
  }
}

static void test_refused(void **state) {
  sky_context *ctx = *state;
  double flux[1] = {1}, one = -1, v[1] = {1}, x[1], f[1] = {1.1};
  sky_layer l = {.n_cell = 1, .flux = flux, .rank = 1, .factor = f, .sign = &one, .variance = v};
  assert_int_equal(sky_layer_draw(ctx, &l, 1, 1, x), SKY_E_RANGE);
  v[0] = 0;
  assert_int_equal(sky_layer_draw(ctx, &l, 1, 1, x), SKY_E_RANGE);
  l.variance = NULL;
  assert_int_equal(sky_layer_draw(ctx, &l, 1, 1, x), SKY_E_RANGE);
}

static int set_up(void **state) {
  return sky_context_create((sky_context **)state) == SKY_OK ? 0 : -1;
}
static int tear_down(void **state) {
  sky_context_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_covariance),
                                     cmocka_unit_test(test_constraint),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
