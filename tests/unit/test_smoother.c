/* Filter and smoother against the batch solution of the same AR(1) problem (test x). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/smoother.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

enum { CELLS = 9, TIMES = 8, OBS = 60, STATE = CELLS * TIMES };

static void fill(sky_context *ctx, sky_problem *p, sky_posterior *batch) {
  fixture_problem(ctx, 11, CELLS, TIMES, OBS, 0, p);
  for (size_t i = 0; i < TIMES; i++) /* a longer memory than the fixture's, still AR(1) */
    for (size_t j = 0; j < TIMES; j++)
      p->D[i * TIMES + j] = exp(-fabs((double)i - (double)j) / 3);
  assert_int_equal(sky_problem_solve(ctx, p, NULL, batch), SKY_OK);
  assert_int_equal(sky_smoother_span(p), 2);
}

static double miss(const sky_posterior *batch, const double *x, const double *sd) {
  const double a = fixture_difference(STATE, x, batch->x);
  const double b = fixture_difference(STATE, sd, batch->sd);
  return a > b ? a : b;
}

static void test_smoother_is_the_batch(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior batch;
  double x[STATE], sd[STATE];
  fill(ctx, &p, &batch);
  for (size_t lag = 2; lag <= TIMES; lag++) {
    assert_int_equal(sky_smoother_solve(ctx, &p, lag, false, x, sd), SKY_OK);
    assert_true(miss(&batch, x, sd) < 1e-10);
  }
  sky_posterior_free(&batch);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static size_t step_of(const sky_problem *p, size_t i) {
  return (size_t)p->col[p->rowptr[i + 1] - 1] / CELLS;
}

/* Tracks of two overpasses a step, one observation blind: R of a step is full. */
static void test_correlated_errors(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior plain, batch;
  int32_t overpass[OBS];
  double along[OBS], x[STATE], sd[STATE];
  fill(ctx, &p, &plain);
  const size_t blind = 13, last = p.rowptr[blind + 1];
  for (size_t i = 0; i < OBS; i++) {
    overpass[i] = (int32_t)(2 * step_of(&p, i) + i % 2);
    along[i] = (double)(i * 17 % 29);
  }
  for (size_t k = p.rowptr[blind]; k < last; k++)
    p.val[k] = 0;
  assert_int_equal(sky_track_create(ctx, OBS, overpass, along, 9, 0.8, &p.track), SKY_OK);
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &batch), SKY_OK);
  assert_true(fixture_difference(STATE, batch.x, plain.x) > 1e-3); /* R matters */
  for (size_t lag = 2; lag <= TIMES; lag++) {
    assert_int_equal(sky_smoother_solve(ctx, &p, lag, false, x, sd), SKY_OK);
    assert_true(miss(&batch, x, sd) < 1e-10);
  }
  /* the same row without elements */
  const size_t cut = last - p.rowptr[blind];
  memmove(p.col + p.rowptr[blind], p.col + last, (p.rowptr[OBS] - last) * sizeof *p.col);
  memmove(p.val + p.rowptr[blind], p.val + last, (p.rowptr[OBS] - last) * sizeof *p.val);
  for (size_t i = blind; i < OBS; i++)
    p.rowptr[i + 1] -= cut;
  assert_int_equal(sky_smoother_solve(ctx, &p, TIMES, false, x, sd), SKY_OK);
  assert_true(miss(&batch, x, sd) < 1e-10);
  sky_track_free(p.track);
  overpass[3] = overpass[4] = 99; /* over two steps */
  assert_int_not_equal(step_of(&p, 3), step_of(&p, 4));
  assert_int_equal(sky_track_create(ctx, OBS, overpass, along, 9, 0.8, &p.track), SKY_OK);
  assert_int_equal(sky_smoother_solve(ctx, &p, TIMES, false, x, sd), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "observations 3 and 4 of one track are of the steps"));
  sky_posterior_free(&plain);
  sky_posterior_free(&batch);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* All lags: equal to the batch at the full lag, nearer with every step, sd never below. */
static void test_fixed_lag(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  sky_posterior batch;
  double x[STATE], sd[STATE], before = INFINITY;
  fill(ctx, &p, &batch);
  for (size_t lag = 2; lag < TIMES; lag++) {
    assert_int_equal(sky_smoother_solve(ctx, &p, lag, true, x, sd), SKY_OK);
    double excess = 0;
    for (size_t i = 0; i < STATE; i++) {
      assert_true(sd[i] >= batch.sd[i] * (1 - 1e-10));
      excess += sd[i] - batch.sd[i];
    }
    assert_true(excess <= before);
    assert_true(lag == TIMES - 1 || miss(&batch, x, sd) > 1e-6);
    before = excess;
  }
  assert_true(miss(&batch, x, sd) < 1e-10);
  sky_posterior_free(&batch);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* Offsets and totals are the batch's for every lag; fluxes for the full one. */
static void test_totals(void **state) {
  (void)state;
  enum { ZONES = 3, GROUPS = 4 };
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior batch;
  double x[STATE], sd[STATE], b[GROUPS], b_sd[GROUPS], total[ZONES], cov[ZONES * ZONES];
  double W[ZONES * STATE];
  fixture_problem(ctx, 13, CELLS, TIMES, OBS, GROUPS, &p);
  assert_int_equal(p.n_background, GROUPS);
  p.rowptr[OBS] = p.rowptr[OBS - 1]; /* one observation of the offsets alone */
  for (size_t i = 0; i < TIMES; i++)
    for (size_t j = 0; j < TIMES; j++)
      p.D[i * TIMES + j] = exp(-fabs((double)i - (double)j) / 3);
  for (size_t i = 0; i < ZONES * STATE; i++)
    W[i] = i / STATE == 0 ? 1 : i % CELLS % 3 == i / STATE ? 0.5 + (double)(i % 2) : 0;
  const sky_functionals zones = {.n_zone = ZONES, .W = W};
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &batch), SKY_OK);
  for (size_t lag = sky_smoother_span(&p); lag <= TIMES; lag++) {
    sky_smoothed s = {.x = x, .sd = sd, .b = b, .b_sd = b_sd, .total = total, .cov = cov};
    assert_int_equal(sky_smoother_totals(ctx, &p, lag, ZONES, W, &s), SKY_OK);
    assert_true(fixture_difference(ZONES, total, batch.total) < 1e-11);
    assert_true(fixture_difference(ZONES * ZONES, cov, batch.zone_cov) < 1e-10);
    assert_true(fixture_difference(GROUPS, b, batch.b) < 1e-10);
    assert_true(fixture_difference(GROUPS, b_sd, batch.b_post_sd) < 1e-10);
    assert_true(fabs(s.chi2 - batch.chi2) < 1e-10 * batch.chi2);
    assert_true(fabs(s.neg_log_evidence - batch.neg_log_evidence) <
                1e-10 * fabs(batch.neg_log_evidence));
    assert_true((miss(&batch, x, sd) < 1e-10) == (lag >= TIMES - 1));
  }
  sky_posterior_free(&batch);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_refusals(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  sky_posterior batch;
  double x[STATE], sd[STATE];
  fill(ctx, &p, &batch);
  assert_int_equal(sky_smoother_solve(ctx, &p, 1, false, x, sd), SKY_E_RANGE); /* < span */
  p.D[2] = p.D[2 * TIMES] = 0.1;
  assert_int_equal(sky_smoother_solve(ctx, &p, 3, false, x, sd), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "D[0,2] = 0.1"));
  p.D[2] = p.D[2 * TIMES] = exp(-2.0 / 3);
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st == SKY_E_NOMEM && nth < 200; nth++) {
    sky_memory_fail_at(ctx, nth);
    st = sky_smoother_solve(ctx, &p, 3, false, x, sd);
  }
  sky_memory_fail_at(ctx, 0);
  assert_int_equal(st, SKY_OK);
  assert_true(miss(&batch, x, sd) < 1e-10);
  sky_posterior_free(&batch);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_smoother_is_the_batch), cmocka_unit_test(test_totals),
      cmocka_unit_test(test_fixed_lag), cmocka_unit_test(test_correlated_errors),
      cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
