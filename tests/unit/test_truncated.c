/* Truncated Gaussians against closed forms, and the bounded mode against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/bounded.h"
#include "algorithms/inversion/truncated.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

#define PI 3.14159265358979323846
#define SIGMAS 4.0 /* Monte-Carlo errors that a moment may be off */

static double density(double z) {
  return isinf(z) ? 0 : exp(-0.5 * z * z) / sqrt(2 * PI);
}

static double cumulated(double z) {
  return 0.5 * erfc(-z / sqrt(2));
}

/* E x = m + s (φ(α) - φ(β))/Z, Var x = s² (1 + (αφ(α) - βφ(β))/Z - ((φ(α) - φ(β))/Z)²). */
static void test_one_dimension(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  const struct {
    double mean, sd, low, high;
  } cases[] = {
      {1, 1, 0, INFINITY},  {-2, 1, 0, INFINITY},   {3, 2, -INFINITY, 2},         {0.5, 3, -1, 1.5},
      {10, 1, 0, INFINITY}, {-4, 0.5, 0, INFINITY}, {2, 1.5, -INFINITY, INFINITY}};
  const sky_sampling how = {.n_chain = 4, .n_draw = 4000, .n_warmup = 50, .seed = 7};
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    const double m = cases[k].mean, s = cases[k].sd, low = cases[k].low, high = cases[k].high;
    const double P = s * s, W = 2, a = (low - m) / s, b = (high - m) / s;
    const double Z = a > 0 ? cumulated(-a) - cumulated(-b) : cumulated(b) - cumulated(a);
    const double shift = (density(a) - density(b)) / Z;
    const double ends = (isinf(a) ? 0 : a * density(a)) - (isinf(b) ? 0 : b * density(b));
    const double mean = m + s * shift, var = P * (1 + ends / Z - shift * shift);
    const double mode = fmin(fmax(m, low), high);
    const sky_gaussian g = {1, 1, &m, &s, &P};
    sky_sampled got;
    assert_int_equal(sky_truncated_draw(ctx, &g, &low, &high, &mode, &W, 1, &how, &got), SKY_OK);
    const double error = got.summary[0].mc_error / W;
    assert_true(error < 0.05 * sqrt(var));
    assert_true(fabs(got.mean[0] - mean) < SIGMAS * error);
    assert_true(fabs(got.sd[0] / sqrt(var) - 1) < 0.05);
    assert_true(fabs(got.summary[0].mean - W * got.mean[0]) < 1e-10 * fabs(W * mean) + 1e-12);
    assert_int_equal(got.summary[0].verdict, SKY_CHAINS_CONVERGED);
    for (size_t i = 0; i < how.n_chain * how.n_draw; i++)
      assert_true(got.zone[i] >= W * low && got.zone[i] <= W * high);
    sky_sampled_free(&got);
  }
  sky_context_free(ctx);
}

/* Two unit normals of correlation ρ in the positive quadrant (Rosenbaum 1961): P = ¼ + asin ρ/2π,
 * E x = (1 + ρ)/(2√(2π) P), E x² = 1 + ρ√(1-ρ²)/(2πP), E xy = ρ + √(1-ρ²)/(2πP). */
static void test_quadrant(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  const double rhos[] = {-0.9, -0.5, 0, 0.6, 0.95};
  const double mean[2] = {0, 0}, low[2] = {0, 0}, high[2] = {INFINITY, INFINITY}, mode[2] = {0, 0};
  const double W[4] = {1, 1, 1, -1};
  const sky_sampling how = {.n_chain = 4, .n_draw = 8000, .n_warmup = 50, .seed = 3};
  for (size_t k = 0; k < sizeof rhos / sizeof rhos[0]; k++) {
    const double r = rhos[k], c = sqrt(1 - r * r), in = 0.25 + asin(r) / (2 * PI);
    const double T[4] = {1, 0, r, c}, P[4] = {1, r, r, 1};
    const double first = (1 + r) / (2 * sqrt(2 * PI) * in);
    const double second = 1 + r * c / (2 * PI * in), mixed = r + c / (2 * PI * in);
    const double sum_sd = sqrt(2 * (second + mixed) - 4 * first * first);
    const double difference_sd = sqrt(2 * (second - mixed));
    const sky_gaussian g = {2, 2, mean, T, P};
    sky_sampled got;
    assert_int_equal(sky_truncated_draw(ctx, &g, low, high, mode, W, 2, &how, &got), SKY_OK);
    assert_true(fabs(got.summary[0].mean - 2 * first) < SIGMAS * got.summary[0].mc_error);
    assert_true(fabs(got.summary[1].mean) < SIGMAS * got.summary[1].mc_error);
    assert_true(fabs(got.summary[0].sd / sum_sd - 1) < 0.04);
    assert_true(fabs(got.summary[1].sd / difference_sd - 1) < 0.04);
    sky_sampled_free(&got);
  }
  sky_context_free(ctx);
}

static void test_same_for_any_threads(void **state) {
  (void)state;
  const sky_sampling how = {.n_chain = 3, .n_draw = 40, .n_warmup = 5, .seed = 11};
  sky_sampled got[3];
  for (int k = 0; k < 3; k++) {
    sky_context *ctx = fixture_context(1 + k);
    sky_problem p;
    fixture_problem(ctx, 5, 6, 3, 20, 2, &p);
    double *low = fixture_new(ctx, p.n_state), *high = fixture_new(ctx, p.n_state);
    double *W = fixture_new(ctx, p.n_state);
    for (size_t i = 0; i < p.n_state; i++) {
      low[i] = i % 2 == 0 ? 1.5 : -INFINITY;
      high[i] = i % 3 == 0 ? 4 : INFINITY;
      W[i] = 1;
    }
    assert_int_equal(sky_truncated_sample(ctx, &p, low, high, W, 1, &how, &got[k]), SKY_OK);
    sky_free(low);
    sky_free(high);
    sky_free(W);
    sky_problem_free(&p);
    sky_context_free(ctx);
  }
  for (int k = 1; k < 3; k++) {
    assert_memory_equal(got[0].zone, got[k].zone, 3 * 40 * sizeof(double));
    assert_memory_equal(got[0].mean, got[k].mean, got[0].n_state * sizeof(double));
  }
  for (int k = 0; k < 3; k++)
    sky_sampled_free(&got[k]);
}

/* Without active bounds the draws are the exact posterior; sd and mean of the total to MC error. */
static void test_without_bounds(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  const sky_sampling how = {.n_chain = 4, .n_draw = 2000, .n_warmup = 10, .seed = 2};
  for (int form = 0; form < 2; form++) {
    sky_problem p;
    if (form == 0)
      fixture_problem(ctx, 9, 6, 3, 20, 2, &p);
    else
      fixture_low_rank(ctx, 9, 6, 3, 20, 2, &p);
    double *low = fixture_new(ctx, p.n_state), *high = fixture_new(ctx, p.n_state);
    double *W = fixture_new(ctx, p.n_state);
    for (size_t i = 0; i < p.n_state; i++) {
      low[i] = -INFINITY;
      high[i] = INFINITY;
      W[i] = 1;
    }
    const sky_functionals zones = {.n_zone = 1, .W = W};
    sky_posterior exact;
    sky_sampled got;
    sky_bounded mode;
    assert_int_equal(sky_problem_solve(ctx, &p, &zones, &exact), SKY_OK);
    assert_int_equal(sky_bounded_solve(ctx, &p, low, high, &mode), SKY_OK);
    assert_true(fixture_difference(p.n_state, mode.x, exact.x) < 1e-11);
    assert_true(fixture_difference(p.n_background, mode.b, exact.b) < 1e-11);
    assert_true(fabs(mode.jb - exact.jb) < 1e-9 * exact.jb);
    assert_true(fabs(mode.jo - exact.jo) < 1e-9 * exact.jo);
    assert_true(mode.kkt_residual < 1e-9);
    assert_int_equal(sky_truncated_sample(ctx, &p, low, high, W, 1, &how, &got), SKY_OK);
    assert_true(fabs(got.summary[0].mean - exact.total[0]) < SIGMAS * got.summary[0].mc_error);
    assert_true(fabs(got.summary[0].sd / exact.total_sd[0] - 1) < 0.04);
    sky_sampled_free(&got);
    sky_bounded_free(&mode);
    sky_posterior_free(&exact);
    sky_free(low);
    sky_free(high);
    sky_free(W);
    sky_problem_free(&p);
  }
  sky_context_free(ctx);
}

/* Two-sided bounds with offsets: no small step inside the bounds lowers J, found by its own formula
 * with a dense Q⁻¹. */
static void test_bounded_two_sided(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  fixture_problem(ctx, 21, 6, 3, 25, 2, &p);
  const size_t m = p.n_state, all = m + 2;
  double *low = fixture_new(ctx, m), *high = fixture_new(ctx, m);
  for (size_t i = 0; i < m; i++) {
    low[i] = 2.5;
    high[i] = 3.5;
  }
  sky_bounded got;
  assert_int_equal(sky_bounded_solve(ctx, &p, low, high, &got), SKY_OK);
  assert_true(got.n_lower > 0 && got.n_upper > 0 && got.n_lower + got.n_upper < m);
  assert_true(got.kkt_residual < 1e-9);
  double *Q = fixture_dense_Q(ctx, &p, p.x_sd, p.E, p.D), *H = fixture_dense_H(ctx, &p);
  double *inverse = fixture_new(ctx, m * m), *gradient = fixture_new(ctx, all);
  fixture_inverse(m, Q, inverse);
  double jb = 0, jo = 0;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < m; j++) {
      gradient[i] += inverse[i * m + j] * (got.x[j] - p.x0[j]);
      jb += (got.x[i] - p.x0[i]) * inverse[i * m + j] * (got.x[j] - p.x0[j]);
    }
  for (size_t g = 0; g < 2; g++) {
    gradient[m + g] = (got.b[g] - p.b0[g]) / (p.b_sd[g] * p.b_sd[g]);
    jb += gradient[m + g] * (got.b[g] - p.b0[g]);
  }
  for (size_t i = 0; i < p.n_obs; i++) {
    double r = p.y[i] - (p.group[i] >= 0 ? got.b[p.group[i]] : 0);
    for (size_t j = 0; j < m; j++)
      r -= H[i * m + j] * got.x[j];
    const double w = r / (p.r_sd[i] * p.r_sd[i]);
    jo += r * w;
    for (size_t j = 0; j < m; j++)
      gradient[j] -= H[i * m + j] * w;
    if (p.group[i] >= 0) gradient[m + (size_t)p.group[i]] -= w;
  }
  assert_true(fabs(got.jb - jb) < 1e-9 * jb && fabs(got.jo - jo) < 1e-9 * jo);
  for (size_t i = 0; i < all; i++) {
    const bool at_low = i < m && got.x[i] == 2.5, at_high = i < m && got.x[i] == 3.5;
    if (at_low)
      assert_true(gradient[i] > 0);
    else if (at_high)
      assert_true(gradient[i] < 0);
    else
      assert_true(fabs(gradient[i]) < 1e-9);
    if (i < m) assert_true(fabs(gradient[i] - got.lambda[i]) < 1e-8);
  }
  sky_free(low);
  sky_free(high);
  sky_free(Q);
  sky_free(H);
  sky_free(inverse);
  sky_free(gradient);
  sky_bounded_free(&got);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_refusals(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  fixture_problem(ctx, 21, 3, 2, 5, 0, &p);
  double low[6] = {0}, high[6] = {9, 9, 9, 9, 9, 9}, W[6] = {1, 1, 1, 1, 1, 1};
  sky_sampling how = {.n_chain = 2, .n_draw = 10, .n_warmup = 1, .seed = 1};
  sky_bounded mode;
  sky_sampled got;
  high[2] = 0;
  assert_int_equal(sky_bounded_solve(ctx, &p, low, high, &mode), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "bounds[2]"));
  high[2] = 9;
  p.x_sd[3] = 0;
  low[3] = p.x0[3] + 1;
  assert_int_equal(sky_bounded_solve(ctx, &p, low, high, &mode), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "x0[3]"));
  low[3] = 0;
  assert_int_equal(sky_truncated_sample(ctx, &p, low, high, W, 1, &how, &got), SKY_OK);
  assert_true(got.mean[3] == p.x0[3] && got.sd[3] == 0); /* it cannot move */
  sky_sampled_free(&got);
  how.n_draw = 3;
  assert_int_equal(sky_truncated_sample(ctx, &p, low, high, W, 1, &how, &got), SKY_E_RANGE);
  how.n_draw = 10;
  p.r_sd[1] = 0;
  assert_int_equal(sky_bounded_solve(ctx, &p, low, high, &mode), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "r_sd[1]"));
  p.r_sd[1] = 1;
  for (uint64_t n = 1; n <= 40; n++) { /* a failed allocation is an error, not a crash */
    sky_memory_fail_at(ctx, n);
    const sky_status st = sky_truncated_sample(ctx, &p, low, high, W, 1, &how, &got);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
    sky_sampled_free(&got);
  }
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_dimension),     cmocka_unit_test(test_quadrant),
      cmocka_unit_test(test_without_bounds),    cmocka_unit_test(test_same_for_any_threads),
      cmocka_unit_test(test_bounded_two_sided), cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
