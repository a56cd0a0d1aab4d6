/* The column operator against hand values, and its controls: a reversed kernel must differ. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "algorithms/column/column.h"
#include "algorithms/column/super.h"

/* Five levels; index 0 is the surface. Weights sum to 1. */
static const double W[] = {0.15, 0.25, 0.25, 0.25, 0.10};
static const double AK[] = {0.6, 0.8, 1.0, 1.1, 1.3};
static const double CA[] = {410, 405, 400, 395, 390};

static void test_prior_profile_gives_prior(void **state) {
  (void)state;
  assert_true(sky_column_apply(5, 400.25, W, AK, CA, CA) == 400.25);
}

static void test_hand_values(void **state) {
  (void)state;
  const double c[] = {430, 410, 401, 395, 389};
  /* 0.15*0.6*20 + 0.25*0.8*5 + 0.25*1*1 + 0 + 0.10*1.3*(-1) = 1.8 + 1 + 0.25 - 0.13 = 2.92 */
  assert_true(fabs(sky_column_apply(5, 400.25, W, AK, CA, c) - 403.17) < 1e-12);
  /* 61.5 + 101.25 + 100 + 98.75 + 39 */
  assert_true(fabs(sky_column_mean(5, W, CA) - 400.5) < 1e-12);
}

/* With a kernel of 1 and the prior column as prior, the column of the profile comes out. */
static void test_perfect_kernel(void **state) {
  (void)state;
  const double c[] = {430, 410, 401, 395, 389}, one[] = {1, 1, 1, 1, 1};
  const double column = sky_column_mean(5, W, c);
  assert_true(fabs(sky_column_apply(5, sky_column_mean(5, W, CA), W, one, CA, c) - column) < 1e-12);
}

static void test_reversed_kernel_differs(void **state) {
  (void)state;
  const double c[] = {430, 410, 401, 395, 389};
  double reversed[5];
  for (int k = 0; k < 5; k++)
    reversed[k] = AK[4 - k];
  /* 0.15*1.3*20 + 0.25*1.1*5 + 0.25*1*1 + 0 - 0.10*0.6 = 3.9 + 1.375 + 0.25 - 0.06 = 5.465 */
  const double value = sky_column_apply(5, 400.25, W, reversed, CA, c);
  assert_true(fabs(value - 405.715) < 1e-12);
  assert_true(fabs(value - 403.17) > 1);
}

/* Levels padded above a top have weight 0 or NaN; what stands there does not matter. NaN inside
 * does. */
static void test_padding_and_gaps(void **state) {
  (void)state;
  const double w[] = {0.5, 0.5, 0, NAN}, ak[] = {1, 1, NAN, 7}, ca[] = {1, 2, NAN, NAN};
  double c[] = {3, 2, NAN, 9};
  assert_true(sky_column_apply(4, 10, w, ak, ca, c) == 11);
  assert_true(sky_column_mean(4, w, c) == 2.5);
  c[1] = NAN;
  assert_true(isnan(sky_column_apply(4, 10, w, ak, ca, c)));
  assert_true(isnan(sky_column_mean(4, w, c)));
}

static void test_superobs_limits(void **state) {
  (void)state;
  const double sigma[] = {9, 12, 15};
  assert_true(isnan(sky_superobs_sigma(0, sigma, 0.3, 0)));
  /* the correlated part does not average out: between σ/√n and σ */
  const double rms = sqrt((81 + 144 + 225) / 3.0);
  double last = 0;
  for (int k = 0; k <= 4; k++) {
    const double s = sky_superobs_sigma(3, sigma, k / 4.0, 0);
    assert_true(s > last);
    last = s;
  }
  assert_true(fabs(sky_superobs_sigma(3, sigma, 0, 0) - rms / sqrt(3)) < 1e-13);
  assert_true(fabs(last - rms) < 1e-13);
  double many[4000];
  for (int k = 0; k < 4000; k++)
    many[k] = 8;
  const double floor = sky_superobs_floor(8, 0.25, 3); /* sqrt(16 + 9) */
  assert_true(floor == 5);
  assert_true(sky_superobs_sigma(4000, many, 0.25, 3) > floor);
  assert_true(sky_superobs_sigma(4000, many, 0.25, 3) < floor + 2e-3);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_prior_profile_gives_prior),
                                     cmocka_unit_test(test_hand_values),
                                     cmocka_unit_test(test_perfect_kernel),
                                     cmocka_unit_test(test_reversed_kernel_differs),
                                     cmocka_unit_test(test_padding_and_gaps),
                                     cmocka_unit_test(test_superobs_limits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
