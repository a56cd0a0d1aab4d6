/* Gradient and Fisher information of the (restricted) likelihood against finite differences, by
 * length, time length, sector and sensor. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/hyper.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

enum { CELLS = 7, TIMES = 5, OBS = 30, STATE = CELLS * TIMES, MOST = 6 };

typedef struct bed {
  sky_context *ctx;
  sky_problem p;
  int32_t sector[STATE], sensor[OBS];
  sky_hyper_choice choice;
} bed;

static void fill_bed(bed *b, sky_correlation_kind kind) {
  memset(b, 0, sizeof *b);
  b->ctx = fixture_context(2);
  fixture_problem(b->ctx, 4, CELLS, TIMES, OBS, 2, &b->p);
  b->p.xc = fixture_new(b->ctx, CELLS);
  b->p.yc = fixture_new(b->ctx, CELLS);
  for (size_t i = 0; i < CELLS; i++) {
    b->p.xc[i] = 10 * (double)i + (double)(i % 3);
    b->p.yc[i] = 7 * (double)(i % 2);
  }
  b->p.space = b->p.time = (sky_correlation){kind, 0.8};
  b->p.length_km = 33;
  b->p.length_steps = 2.3;
  sky_problem_correlate(b->ctx, &b->p);
  for (size_t i = 0; i < STATE; i++)
    b->sector[i] = i % CELLS > 3;
  for (size_t i = 0; i < OBS; i++)
    b->sensor[i] = i % 4 == 1;
  b->choice = (sky_hyper_choice){.length = true,
                                 .time = true,
                                 .sigma_q = true,
                                 .sigma_r = true,
                                 .n_sector = 2,
                                 .sector = b->sector,
                                 .n_sensor = 2,
                                 .sensor = b->sensor};
}

static void free_bed(bed *b) {
  sky_problem_free(&b->p);
  sky_context_free(b->ctx);
}

static double likelihood(bed *b, const double *theta) {
  double nll;
  assert_int_equal(sky_hyper_evaluate(b->ctx, &b->p, &b->choice, theta, &nll, NULL, NULL), SKY_OK);
  return nll;
}

static void check_gradient(bed *b) {
  double theta[MOST] = {0.1, -0.2, 0.15, -0.1, 0.2, 0.05}, g[MOST], F[MOST * MOST], nll;
  assert_int_equal(sky_hyper_evaluate(b->ctx, &b->p, &b->choice, theta, &nll, g, F), SKY_OK);
  for (size_t k = 0; k < MOST; k++) {
    const double h = 1e-4, at = theta[k];
    double f[4];
    for (int i = 0; i < 4; i++) { /* fourth order: -2h, -h, h, 2h */
      theta[k] = at + h * (i < 2 ? i - 2 : i - 1);
      f[i] = likelihood(b, theta);
    }
    theta[k] = at;
    const double slope = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
    assert_true(fabs(slope - g[k]) < 2e-7 * (1 + fabs(slope)));
  }
  for (size_t i = 0; i < MOST; i++)
    for (size_t j = 0; j < MOST; j++) {
      assert_true(F[i * MOST + j] == F[j * MOST + i]);
      assert_true(F[i * MOST + i] > 0 &&
                  fabs(F[i * MOST + j]) <= sqrt(F[i * MOST + i] * F[j * MOST + j]) * (1 + 1e-12));
    }
}

static void test_gradient(void **state) {
  (void)state;
  double X[2 * STATE];
  for (size_t i = 0; i < STATE; i++) {
    X[i] = 1;
    X[STATE + i] = sin((double)i);
  }
  const sky_drift drift = {.n = 2, .X = X};
  for (int model = SKY_CORR_SPHERICAL; model <= SKY_CORR_MATERN; model++)
    for (int restricted = 0; restricted < 2; restricted++) {
      bed b;
      fill_bed(&b, (sky_correlation_kind)model);
      b.choice.drift = restricted ? &drift : NULL;
      check_gradient(&b);
      free_bed(&b);
    }
}

/* The mean of the squared gradient over draws of y is the Fisher information. */
static void test_fisher_is_the_variance_of_the_gradient(void **state) {
  (void)state;
  enum { DRAWS = 300 };
  const double theta[1] = {0};
  double F[1], g[1], nll, mean = 0, square = 0;
  sky_context *ctx = fixture_context(2);
  const sky_hyper_choice choice = {.sigma_q = true};
  for (uint64_t k = 0; k < DRAWS; k++) {
    sky_problem p;
    fixture_problem(ctx, 1, CELLS, TIMES, OBS, 0, &p);
    sky_problem other;
    fixture_problem(ctx, 100 + k, CELLS, TIMES, OBS, 0, &other);
    for (size_t i = 0; i < OBS; i++) { /* another truth and noise, the same H */
      double sum = 0, seen = 0;
      for (size_t c = p.rowptr[i]; c < p.rowptr[i + 1]; c++) {
        sum += p.val[c] * other.x_true[p.col[c]];
        seen += other.val[c] * other.x_true[other.col[c]];
      }
      p.y[i] = sum + other.y[i] - seen;
    }
    assert_int_equal(sky_hyper_evaluate(ctx, &p, &choice, theta, &nll, g, F), SKY_OK);
    mean += g[0] / DRAWS;
    square += g[0] * g[0] / DRAWS;
    sky_problem_free(&p);
    sky_problem_free(&other);
  }
  assert_true(fabs(mean) < 3.3 * sqrt(F[0] / DRAWS));
  assert_true(fabs(square / F[0] - 1) < 3.3 * sqrt(3.0 / DRAWS));
  sky_context_free(ctx);
}

static void test_a_tuned_problem_is_at_rest(void **state) {
  (void)state;
  bed b;
  sky_tuning *t = malloc(sizeof *t);
  assert_non_null(t);
  fill_bed(&b, SKY_CORR_EXPONENTIAL);
  b.choice.length = b.choice.time = false;
  b.choice.n_sector = b.choice.n_sensor = 0;
  assert_int_equal(sky_hyper_tune(b.ctx, &b.p, &b.choice, t), SKY_OK);
  assert_true(t->nll <= t->nll_given && t->decrement < 1e-5);
  const double before = t->param[0].value;
  assert_true(isnan(t->param[0].given)); /* unlike x_sd: a factor */
  sky_hyper_apply(b.ctx, &b.choice, t, &b.p);
  assert_int_equal(sky_hyper_tune(b.ctx, &b.p, &b.choice, t), SKY_OK);
  assert_true(t->iterations == 0 && fabs(t->param[0].value - 1) < 1e-9 && before > 0);
  b.choice.sigma_q = b.choice.sigma_r = false;
  assert_int_equal(sky_hyper_tune(b.ctx, &b.p, &b.choice, t), SKY_E_RANGE);
  b.choice.sigma_q = true;
  b.choice.n_sector = 3; /* the third has no members */
  assert_int_equal(sky_hyper_tune(b.ctx, &b.p, &b.choice, t), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(b.ctx), "sigma_q of sector 2 has no given value"));
  free(t);
  free_bed(&b);
}

static void test_every_allocation_fails(void **state) {
  (void)state;
  bed b;
  sky_tuning *t = malloc(sizeof *t);
  assert_non_null(t);
  fill_bed(&b, SKY_CORR_EXPONENTIAL);
  b.choice.max_iterations = 1;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st == SKY_E_NOMEM && nth < 500; nth++) {
    sky_memory_fail_at(b.ctx, nth);
    st = sky_hyper_tune(b.ctx, &b.p, &b.choice, t);
  }
  sky_memory_fail_at(b.ctx, 0);
  assert_true(st == SKY_OK || st == SKY_E_RANGE);
  free(t);
  free_bed(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradient),
                                     cmocka_unit_test(test_fisher_is_the_variance_of_the_gradient),
                                     cmocka_unit_test(test_a_tuned_problem_is_at_rest),
                                     cmocka_unit_test(test_every_allocation_fails)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
