/* Matérn correlations: closed forms, limits, slopes by differences, positive definiteness. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/matern.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

static void close_to(double got, double want, double relative) {
  if (fabs(got - want) > relative * fabs(want)) fail_msg("%.17g is not %.17g", got, want);
}

static sky_correlation of(sky_correlation_kind kind) {
  return (sky_correlation){kind, 0};
}

static void test_closed_forms(void **state) {
  (void)state;
  const struct {
    double nu;
    sky_correlation_kind same;
  } forms[] = {{0.5, SKY_CORR_EXPONENTIAL}, {1.5, SKY_CORR_MATERN32}, {2.5, SKY_CORR_MATERN52}};
  for (size_t k = 0; k < 3; k++) {
    const sky_correlation general = {SKY_CORR_MATERN, forms[k].nu};
    for (int i = 0; i < 4000; i++) {
      const double length = 3, d = length * exp(-18 + 0.006 * i); /* up to s = 400 */
      close_to(sky_correlation_value(general, d, length),
               sky_correlation_value(of(forms[k].same), d, length), 1e-14);
      close_to(sky_correlation_slope(general, d, length),
               sky_correlation_slope(of(forms[k].same), d, length), 1e-14);
    }
  }
}

static void test_limits(void **state) {
  (void)state;
  for (double nu = 1e-3; nu <= SKY_MATERN_MOST; nu *= 1.7) {
    double before = 1;
    assert_true(sky_matern(nu, 0) == 1 && sky_matern_slope(nu, 0) == 0);
    assert_true(sky_matern(nu, INFINITY) == 0 && sky_matern_slope(nu, INFINITY) == 0);
    assert_true(sky_matern(nu, 1e300) == 0 && sky_matern_slope(nu, 1e300) == 0);
    assert_true(isnan(sky_matern(nu, NAN)) && isnan(sky_matern_slope(nu, NAN)));
    assert_true(sky_matern(nu, DBL_MIN) <= 1 && sky_matern(nu, 5e-324) > 0);
    for (double s = 1e-300; s < 3000; s *= 3) { /* falls, stays inside 0 … 1 */
      const double value = sky_matern(nu, s), slope = sky_matern_slope(nu, s);
      assert_true(value >= 0 && value <= before * (1 + 1e-13));
      assert_true(slope >= 0 && isfinite(slope));
      before = value;
    }
    assert_true(before == 0);
    const double reach = sky_matern_reach(nu, 1e-16);
    assert_true(sky_matern(nu, reach) <= 1e-16 && sky_matern(nu, reach * 0.999) > 1e-16);
  }
  assert_true(isnan(sky_matern(NAN, 1)));
}

static void test_slope_is_the_derivative(void **state) {
  (void)state;
  for (double nu = 0.07; nu < 60; nu *= 1.6)
    for (double d = 1e-3; d < 60; d *= 2.3) {
      const sky_correlation m = {SKY_CORR_MATERN, nu};
      const double h = 1e-3; /* of log length; fourth order */
      double f[4];
      for (int i = 0; i < 4; i++)
        f[i] = sky_correlation_value(m, d, 2 * exp(h * (i < 2 ? i - 2 : i - 1)));
      const double want = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
      const double got = sky_correlation_slope(m, d, 2);
      if (fabs(got - want) > 1e-7 * fabs(want) + 1e-11 * (1 + nu))
        fail_msg("nu %g, d %g: %.12g, by differences %.12g", nu, d, got, want);
    }
}

static double plane(const void *user, size_t i, size_t j) {
  const double *xy = user;
  return hypot(xy[2 * i] - xy[2 * j], xy[2 * i + 1] - xy[2 * j + 1]);
}

static void test_positive_definite(void **state) {
  (void)state;
  enum { N = 150 };
  double xy[2 * N];
  sky_context *ctx = fixture_context(2);
  double *C = fixture_new(ctx, N * N), *again = fixture_new(ctx, N * N);
  for (size_t i = 0; i < 2 * N; i++)
    xy[i] = 20 * sky_rng_uniform(1, 0, i);
  for (double nu = 0.1; nu < 3; nu *= 1.4) {
    const sky_correlation m = {SKY_CORR_MATERN, nu};
    sky_correlation_matrix(ctx, m, 3, plane, xy, N, C);
    sky_context_set_threads(ctx, 5);
    sky_correlation_matrix(ctx, m, 3, plane, xy, N, again);
    sky_context_set_threads(ctx, 2);
    assert_memory_equal(C, again, N * N * sizeof *C);
    assert_int_equal(sky_cholesky(ctx, N, C), SKY_OK);
  }
  sky_free(C);
  sky_free(again);
  sky_context_free(ctx);
}

static void test_names(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_correlation m = {SKY_CORR_NONE, 0}, back = m;
  char text[SKY_CORRELATION_TEXT];
  for (double nu = 1e-17; nu < SKY_MATERN_MOST; nu *= 7.3) {
    sky_correlation_format((sky_correlation){SKY_CORR_MATERN, nu}, text);
    assert_int_equal(sky_correlation_parse(ctx, text, &back), SKY_OK);
    assert_true(back.kind == SKY_CORR_MATERN && back.nu == nu);
  }
  sky_correlation_format(of(SKY_CORR_GASPARI_COHN), text);
  assert_string_equal(text, "gaspari-cohn");
  const struct {
    const char *text, *word;
  } bad[] = {{"matern", "smoothness"},      {"matern(0)", "smoothness 0"},
             {"matern(-2)", "-2"},          {"matern(nan)", "'nan'"},
             {"matern(inf)", "'inf'"},      {"matern(100.5)", "at most 100"},
             {"matern()", "not known"},     {"matern(1.5)x", "not known"},
             {"none(1)", "no smoothness"},  {"matern32(1.5)", "no smoothness"},
             {"mattern(1.5)", "'mattern'"}, {"", "not known"}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    assert_int_equal(sky_correlation_parse(ctx, bad[k].text, &m), SKY_E_JOB);
    if (strstr(sky_error(ctx), bad[k].word) == NULL)
      fail_msg("'%s': %s", bad[k].text, sky_error(ctx));
  }
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closed_forms), cmocka_unit_test(test_limits),
      cmocka_unit_test(test_slope_is_the_derivative), cmocka_unit_test(test_positive_definite),
      cmocka_unit_test(test_names)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
