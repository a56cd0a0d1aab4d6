/* Correlation models and the Kronecker product against explicit matrices. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/covariance.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

static double gap(const void *user, size_t i, size_t j) {
  return *(const double *)user * fabs((double)i - (double)j);
}

static void test_models(void **state) {
  (void)state;
  for (int m = SKY_CORR_NONE; m <= SKY_CORR_EXPONENTIAL; m++) {
    assert_true(sky_correlation_value((sky_correlation){(sky_correlation_kind)m, 0}, 0, 5) == 1);
    assert_true(
        isnan(sky_correlation_value((sky_correlation){(sky_correlation_kind)m, 0}, NAN, 5)));
  }
  assert_true(sky_correlation_value((sky_correlation){SKY_CORR_NONE, 0}, 1e-9, 5) == 0);
  assert_true(sky_correlation_value((sky_correlation){SKY_CORR_SPHERICAL, 0}, 5, 5) == 0);
  assert_true(sky_correlation_value((sky_correlation){SKY_CORR_SPHERICAL, 0}, 2.5, 5) == 0.3125);
  assert_true(sky_correlation_value((sky_correlation){SKY_CORR_EXPONENTIAL, 0}, 5, 5) == exp(-1));
}

static void test_matrix(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(3);
  double spacing = 1, C[49];
  sky_correlation_matrix(ctx, (sky_correlation){SKY_CORR_SPHERICAL, 0}, 3, gap, &spacing, 7, C);
  for (size_t i = 0; i < 7; i++)
    for (size_t j = 0; j < 7; j++)
      assert_true(C[i * 7 + j] == sky_correlation_value((sky_correlation){SKY_CORR_SPHERICAL, 0},
                                                        fabs((double)i - (double)j), 3));
  spacing = 0; /* all cells at one place: without correlation still the identity */
  sky_correlation_matrix(ctx, (sky_correlation){SKY_CORR_NONE, 0}, 3, gap, &spacing, 7, C);
  for (size_t i = 0; i < 49; i++)
    assert_true(C[i] == (i % 8 == 0));
  sky_context_free(ctx);
}

static void test_names(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_correlation m = {SKY_CORR_NONE, 0};
  assert_int_equal(sky_correlation_parse(ctx, "spherical", &m), SKY_OK);
  assert_int_equal(m.kind, SKY_CORR_SPHERICAL);
  assert_int_equal(sky_correlation_parse(ctx, "exponential", &m), SKY_OK);
  assert_int_equal(m.kind, SKY_CORR_EXPONENTIAL);
  assert_int_equal(sky_correlation_parse(ctx, "none", &m), SKY_OK);
  assert_int_equal(m.kind, SKY_CORR_NONE);
  assert_int_equal(sky_correlation_parse(ctx, "Gaussian", &m), SKY_E_JOB);
  assert_non_null(strstr(sky_error(ctx), "Gaussian"));
  assert_non_null(strstr(sky_error(ctx), "spherical"));
  sky_context_free(ctx);
}

static void apply(int threads, const sky_problem *p, const double *v, size_t count, double *out) {
  sky_context *ctx = fixture_context(threads);
  double *work = fixture_new(ctx, count * p->n_state);
  sky_kronecker_apply(ctx, p->n_cell, p->n_time, p->D, p->E, p->x_sd, v, count, work, out);
  sky_free(work);
  sky_context_free(ctx);
}

static void test_kronecker(void **state) {
  (void)state;
  enum { COUNT = 70 }; /* 70 vectors x 4 times: more rows than one tile */
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  fixture_problem(ctx, 1, 13, 4, 6, 0, &p);
  const size_t size = COUNT * p.n_state;
  double *Q = fixture_dense_Q(ctx, &p, p.x_sd, p.E, p.D), *v = fixture_new(ctx, size);
  double *want = fixture_new(ctx, size), *one = fixture_new(ctx, size),
         *many = fixture_new(ctx, size);
  for (size_t i = 0; i < size; i++)
    v[i] = sky_rng_normal(2, 0, i);
  fixture_multiply(COUNT, p.n_state, p.n_state, false, v, false, Q, want);
  apply(1, &p, v, COUNT, one);
  assert_true(fixture_difference(size, one, want) < 1e-14);
  for (int threads = 2; threads <= 5; threads += 3) {
    apply(threads, &p, v, COUNT, many);
    assert_memory_equal(one, many, size * sizeof(double));
  }
  /* negative control: time and space exchanged is another matrix */
  sky_kronecker_apply(ctx, p.n_time, p.n_cell, p.E, p.D, p.x_sd, v, COUNT, want, many);
  assert_true(fixture_difference(size, many, one) > 0.1);
  sky_free(Q);
  sky_free(v);
  sky_free(want);
  sky_free(one);
  sky_free(many);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_models), cmocka_unit_test(test_matrix),
                                     cmocka_unit_test(test_names),
                                     cmocka_unit_test(test_kronecker)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
