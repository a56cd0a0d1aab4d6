/* Reasons, the FDR by itself, and simulation: z of the general test has sd 1 where the inventory's
 * own covariance is not the prior's; the two naive forms do not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/fusion/compare.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

static void test_fdr(void **state) {
  (void)state;
  /* Benjamini & Hochberg 1995, Table 1: 15 p-values, 4 rejected at 5 % */
  const double p[] = {0.0201, 0.0001, 0.7590, 0.0004, 0.0095, 0.0278, 0.0298, 0.0344,
                      0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.0019, 1.0000};
  double q[17], with_gaps[17];
  size_t order[17], rejected = 0;
  sky_fdr_adjust(15, p, q, order);
  for (size_t i = 0; i < 15; i++)
    rejected += q[i] <= 0.05;
  assert_int_equal(rejected, 4);
  assert_true(fabs(q[1] - 0.0015) < 1e-15 && fabs(q[4] - 0.0095 * 15 / 4) < 1e-15);
  assert_true(q[14] == 1);
  /* rows that are not tested do not count */
  with_gaps[0] = with_gaps[16] = NAN;
  memcpy(with_gaps + 1, p, sizeof p);
  double q2[17];
  sky_fdr_adjust(17, with_gaps, q2, order);
  assert_true(isnan(q2[0]) && isnan(q2[16]));
  assert_memory_equal(q, q2 + 1, 15 * sizeof *q);
  sky_fdr_adjust(0, p, q, order);
}

static void test_reasons(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  char long_text[601];
  for (size_t i = 0; i < 600; i++)
    long_text[i] = "\xe5\x8c\xba"[i % 3]; /* 区, 3 bytes each */
  long_text[600] = '\0';
  const sky_comparison rows[] = {{.comparable = false, .why_not = "no footprints"},
                                 {.comparable = false},
                                 {.comparable = false, .why_not = long_text},
                                 {.comparable = true,
                                  .top_down = 12,
                                  .bottom_up_seen = 10,
                                  .prior_sd = 5,
                                  .post_sd = 4.9,
                                  .null_var = 4,
                                  .response = 0,
                                  .change = INFINITY},
                                 {.comparable = true,
                                  .top_down = 16,
                                  .bottom_up_seen = 10,
                                  .prior_sd = 5,
                                  .post_sd = 1,
                                  .null_var = 4,
                                  .response = 0.9},
                                 {.comparable = true,
                                  .top_down = 4,
                                  .bottom_up_seen = 10,
                                  .prior_sd = 5,
                                  .post_sd = 1,
                                  .null_var = 4,
                                  .response = 0.9}};
  sky_comparison t[6];
  memcpy(t, rows, sizeof rows);
  for (size_t i = 0; i < 6; i++)
    t[i].chi2_per_obs = i < 5 ? 1.21 : 1; /* one row, one inversion */
  assert_int_equal(sky_compare(ctx, 6, t), SKY_OK);
  assert_string_equal(t[0].reason, "no footprints");
  assert_string_equal(t[1].reason, "no reason given");
  assert_int_equal(strlen(t[2].reason), 357); /* 119 whole characters of 359 bytes */
  assert_non_null(strstr(t[3].reason, "would show no plausible change of its emission"));
  assert_non_null(strstr(t[3].reason, "falls by 4 %"));
  assert_non_null(strstr(t[4].reason, "0.006 t/yr above"));
  assert_non_null(strstr(t[4].reason, "inflated by 1.10"));
  assert_int_equal(t[4].verdict, SKY_VERDICT_HIGHER);
  assert_non_null(strstr(t[5].reason, "0.006 t/yr below"));
  assert_null(strstr(t[5].reason, "inflated"));
  assert_int_equal(t[5].verdict, SKY_VERDICT_LOWER);
  t[3].change = 5000; /* kg; errors are inflated by 1.1 */
  t[3].top_down = 5012, t[3].bottom_up_seen = 5010;
  assert_int_equal(sky_compare(ctx, 6, t), SKY_OK);
  assert_non_null(strstr(t[3].reason,
                         "smallest change of emission that these soundings would show with 80 % "
                         "power: 5.5 t/yr"));
  assert_null(strstr(t[3].reason, "detectable error"));
  assert_int_equal(sky_compare(ctx, 0, t), SKY_OK);
  sky_memory_fail_at(ctx, 2);
  assert_int_equal(sky_compare(ctx, 6, t), SKY_E_NOMEM);
  sky_context_free(ctx);
}

/* ---- simulation ----------------------------------------------------------------------------- */

enum { CELLS = 7, TIMES = 2, STATE = CELLS * TIMES, OBS = 9, DRAWS = 4000 };

typedef struct spread { /* sd of z over the draws with three null variances */
  double general, difference, sum;
} spread;

/* Truth = inventory + error of the inventory's own sd (factor × the prior's); the inversion starts
 * from another mean than the inventory and looks at it through its kernel. */
static spread simulate(double factor) {
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  fixture_problem(ctx, 77, CELLS, TIMES, OBS, 0, &p);
  double W[STATE], own_sd[STATE], inventory[STATE], s2[3] = {0, 0, 0};
  for (size_t i = 0; i < STATE; i++) {
    W[i] = i % CELLS < 4;
    own_sd[i] = factor * p.x_sd[i];
    inventory[i] = p.x0[i] + 3 + (double)(i % 3);
  }
  const sky_functionals zones = {.n_zone = 1, .W = W, .inventory_sd = own_sd};
  const double rc = p.E[1], rt = p.D[1];
  for (uint64_t draw = 0; draw < DRAWS; draw++) {
    double e[STATE];
    for (size_t i = 0; i < STATE; i++)
      e[i] = sky_rng_normal(78, draw, i);
    for (size_t t = 0; t < TIMES; t++)
      for (size_t c = 1; c < CELLS; c++)
        e[t * CELLS + c] = rc * e[t * CELLS + c - 1] + sqrt(1 - rc * rc) * e[t * CELLS + c];
    for (size_t i = CELLS; i < STATE; i++)
      e[i] = rt * e[i - CELLS] + sqrt(1 - rt * rt) * e[i];
    for (size_t i = 0; i < OBS; i++) {
      p.y[i] = p.r_sd[i] * sky_rng_normal(79, draw, i);
      for (size_t k = p.rowptr[i]; k < p.rowptr[i + 1]; k++)
        p.y[i] += p.val[k] * (inventory[p.col[k]] + own_sd[p.col[k]] * e[p.col[k]]);
    }
    sky_posterior post;
    assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
    double seen = post.prior_total[0];
    for (size_t i = 0; i < STATE; i++)
      seen += post.zone_A[i] * (inventory[i] - p.x0[i]);
    const double prior = pow(post.prior_sd[0], 2), posterior = pow(post.total_sd[0], 2);
    const double variances[3] = {pow(post.zone_null_sd[0], 2), prior - posterior,
                                 prior + posterior};
    for (int k = 0; k < 3; k++) {
      sky_comparison row = {.comparable = true,
                            .top_down = post.total[0],
                            .bottom_up_seen = seen,
                            .prior_sd = post.prior_sd[0],
                            .post_sd = post.total_sd[0],
                            .null_var = variances[k],
                            .response = post.zone_own_response[0],
                            .chi2_per_obs = 1};
      assert_int_equal(sky_compare(ctx, 1, &row), SKY_OK);
      s2[k] += row.z * row.z / DRAWS;
    }
    sky_posterior_free(&post);
  }
  sky_problem_free(&p);
  sky_context_free(ctx);
  return (spread){sqrt(s2[0]), sqrt(s2[1]), sqrt(s2[2])};
}

static void test_general_form_is_calibrated(void **state) {
  (void)state;
  const double limit = 3.3 / sqrt(2.0 * DRAWS); /* 99.9 % of the sd of 4000 normal numbers */
  /* the inventory's own error is the prior's; a third of it (wide prior); twice it (tight prior) */
  const double factors[] = {1, 1 / 3.0, 2};
  for (int k = 0; k < 3; k++) {
    const spread s = simulate(factors[k]);
    print_message("own/prior sd %.2f: sd of z %.3f, with B-P %.3f, with B+P %.3f\n", factors[k],
                  s.general, s.difference, s.sum);
    assert_true(fabs(s.general - 1) < limit);
    if (k == 0)
      assert_true(fabs(s.difference - 1) < limit); /* the special case in which it is right */
    else
      assert_true(fabs(s.difference - 1) > 5 * limit);
    assert_true(fabs(s.sum - 1) > limit);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_fdr), cmocka_unit_test(test_reasons),
                                     cmocka_unit_test(test_general_form_is_calibrated)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
