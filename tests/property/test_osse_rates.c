/* How often a whole experiment (osse.md) is wrong about an inversion that is right, and how often
 * it sees one that is not, over repetitions: the false alarms are those that are stated. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/osse.h"
#include "fixture_problem.h"

enum {
  CELLS = 6,
  TIMES = 6,
  OBS = 24,
  ZONES = 3,
  STATE = CELLS * TIMES,
  RIGHT = 1000,
  WRONG = 100
};

typedef struct rates {
  double sum[2], square[2]; /* of the pooled ratios in their sds, about 1 */
  int flagged;              /* experiments that are not called calibrated */
} rates;

static double scaled(const sky_osse_pool *p) {
  return (p->ratio - 1) * p->mean / sqrt(p->variance);
}

/* Zones: everything, two cells, two times. */
static void repeat(int times, sky_osse_plan plan, rates *out) {
  sky_context *ctx = fixture_context(2);
  double W[ZONES * STATE];
  sky_problem p;
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < STATE; i++) {
    W[i] = 1;
    W[STATE + i] = i % CELLS == 2 || i % CELLS == 3;
    W[2 * STATE + i] = i / CELLS == 3 || i / CELLS == 4;
  }
  fixture_problem(ctx, 1, CELLS, TIMES, OBS, 3, &p);
  for (int k = 0; k < times; k++) {
    sky_osse s;
    plan.seed = 1000 + (uint64_t)k;
    assert_int_equal(sky_osse_run(ctx, &p, ZONES, W, &plan, &s), SKY_OK);
    const double z[2] = {scaled(&s.own), scaled(&s.joint)};
    for (int i = 0; i < 2; i++) {
      out->sum[i] += z[i];
      out->square[i] += z[i] * z[i];
    }
    out->flagged += !s.calibrated;
    sky_osse_free(&s);
  }
  print_message("noise x%g: %d of %d experiments of %zu members flagged\n", plan.noise_factor,
                out->flagged, times, plan.members);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* The pooled sums have the mean and variance that their limits are made of, and the verdict is
 * wrong once in a thousand (more than 5 of 1000 have a chance of 6e-4). */
static void test_false_alarms(void **state) {
  (void)state;
  rates r;
  repeat(RIGHT,
         (sky_osse_plan){.members = 100, .noise_factor = 1, .prior_factor = 1, .length_factor = 1},
         &r);
  assert_true(r.flagged <= 5);
  for (int i = 0; i < 2; i++) {
    const double mean = r.sum[i] / RIGHT, var = r.square[i] / RIGHT - mean * mean;
    print_message("pooled %d: mean %.3f, variance %.3f\n", i, mean, var);
    assert_true(fabs(mean) < 3.3 / sqrt(RIGHT));
    assert_true(fabs(var - 1) < 3.3 * sqrt(2.0 / RIGHT));
  }
}

/* Power at 200 members: noise off by a fifth is never missed. */
static void test_power(void **state) {
  (void)state;
  rates r;
  repeat(
      WRONG,
      (sky_osse_plan){.members = 200, .noise_factor = 1.2, .prior_factor = 1, .length_factor = 1},
      &r);
  assert_int_equal(r.flagged, WRONG);
  repeat(
      WRONG,
      (sky_osse_plan){.members = 200, .noise_factor = 0.8, .prior_factor = 1, .length_factor = 1},
      &r);
  assert_int_equal(r.flagged, WRONG);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_false_alarms),
                                     cmocka_unit_test(test_power)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
