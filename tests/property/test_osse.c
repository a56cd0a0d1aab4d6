/* OSSE: 200 problems whose truth and noise are drawn from the model's own statistics. Zone totals
 * must be covered as often as their sd claims, ranks be flat, and the cost terms have their
 * expectations (Jb/DOFS and (Jb+Jo)/n are 1 on average), with Q as Kronecker product and as low
 * rank
 * + diagonal. Four broken inversions must fail the same test. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/osse_pool.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

enum { DRAWS = 200, CELLS = 6, TIMES = 6, OBS = 24, ZONES = 3, STATE = CELLS * TIMES };

typedef enum defect { NONE, SIGN_FLIPPED, HOUR_SHIFTED, TIME_AND_SPACE_SWAPPED, SIGNS_LOST } defect;

/* Zone 0 everything, zone 1 two cells, zone 2 two times. */
static void fill_zones(double *W) {
  memset(W, 0, ZONES * STATE * sizeof *W);
  for (size_t t = 0; t < TIMES; t++)
    for (size_t c = 0; c < CELLS; c++) {
      W[t * CELLS + c] = 1;
      W[STATE + t * CELLS + c] = c == 2 || c == 3;
      W[2 * STATE + t * CELLS + c] = t == 3 || t == 4;
    }
}

/* What the solver is given; the data stay as they are. */
static void damage(sky_problem *p, defect d) {
  const size_t nnz = p->rowptr[p->n_obs];
  double *swap = p->E;
  switch (d) {
    case NONE:
      break;
    case SIGN_FLIPPED:
      for (size_t k = 0; k < nnz; k++)
        p->val[k] = -p->val[k];
      break;
    case HOUR_SHIFTED: /* footprints one step late; the last step wraps to stay inside */
      for (size_t i = 0; i < p->n_obs; i++)
        for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
          if (p->col[p->rowptr[i + 1] - 1] + CELLS < STATE) p->col[k] += CELLS;
      break;
    case TIME_AND_SPACE_SWAPPED:
      p->E = p->D;
      p->D = swap;
      break;
    case SIGNS_LOST: /* a region's total gets the error of its shares on top */
      for (size_t k = 0; k < p->q_rank; k++)
        p->q_sign[k] = 1;
      for (size_t i = 0; i < STATE; i++) {
        const double share =
            p->q_factor[(1 + FIXTURE_REGIONS + i * FIXTURE_REGIONS / STATE) * STATE + i];
        p->x_sd[i] = sqrt(p->x_sd[i] * p->x_sd[i] + 2 * share * share);
      }
      break;
  }
}

static void run_osse(bool low_rank, defect d, sky_osse *s) {
  sky_context *ctx = fixture_context(1);
  double W[ZONES * STATE], truth[ZONES];
  const sky_functionals zones = {.n_zone = ZONES, .W = W};
  fill_zones(W);
  assert_int_equal(sky_osse_begin(ctx, ZONES, OBS, s), SKY_OK);
  for (uint64_t draw = 0; draw < DRAWS; draw++) {
    sky_problem p;
    sky_posterior post;
    (low_rank ? fixture_low_rank : fixture_problem)(ctx, 1 + draw, CELLS, TIMES, OBS, 0, &p);
    damage(&p, d);
    assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
    for (size_t z = 0; z < ZONES; z++) {
      truth[z] = 0;
      for (size_t i = 0; i < STATE; i++)
        truth[z] += W[z * STATE + i] * p.x_true[i];
    }
    assert_int_equal(
        sky_osse_add(ctx, s, post.total, post.zone_cov, truth, post.jb, post.jo, post.dofs),
        SKY_OK);
    sky_posterior_free(&post);
    sky_problem_free(&p);
  }
  sky_osse_finish(s);
  sky_context_free(ctx);
}

static void show(const sky_osse *s) {
  for (size_t z = 0; z < ZONES; z++)
    print_message("zone %zu: %zu inside 68 %%, %zu inside 95 %% of %zu\n", z, s->zone[z].inside68,
                  s->zone[z].inside95, s->n_member);
  print_message("Jb/DOFS %.3f, (Jb+Jo)/n %.3f\n", s->jb_per_dofs, s->j_per_n);
}

/* Whether the experiment passes, with every limit. */
static bool calibrated(bool low_rank, defect d) {
  sky_osse s;
  run_osse(low_rank, d, &s);
  show(&s);
  const bool good = s.calibrated;
  sky_osse_free(&s);
  return good;
}

static void test_calibrated(void **state) {
  (void)state;
  assert_true(calibrated(false, NONE));
  assert_true(calibrated(true, NONE));
}

static void test_defects_are_seen(void **state) {
  (void)state;
  for (int d = SIGN_FLIPPED; d <= TIME_AND_SPACE_SWAPPED; d++)
    assert_false(calibrated(false, (defect)d));
  assert_false(calibrated(true, SIGNS_LOST));
}

/* ---- members with one factorisation --------------------------------------------------------- */

static bool planned(bool low_rank, sky_osse_plan plan, sky_osse *s) {
  sky_context *ctx = fixture_context(2);
  double W[ZONES * STATE];
  sky_problem p;
  fill_zones(W);
  (low_rank ? fixture_low_rank : fixture_problem)(ctx, 1, CELLS, TIMES, OBS, 3, &p);
  assert_int_equal(sky_osse_run(ctx, &p, ZONES, W, &plan, s), SKY_OK);
  const bool good = s->calibrated;
  show(s);
  sky_problem_free(&p);
  sky_osse_free(s);
  sky_context_free(ctx);
  return good;
}

static void test_members(void **state) {
  (void)state;
  sky_osse s;
  sky_osse_plan plan = {
      .members = 400, .seed = 1, .noise_factor = 1, .prior_factor = 1, .length_factor = 1};
  assert_true(planned(false, plan, &s));
  assert_true(planned(true, plan, &s));
  plan.noise_factor = 1.4;
  assert_false(planned(false, plan, &s));
  plan.noise_factor = 0.7;
  assert_false(planned(false, plan, &s));
  plan.noise_factor = 1;
  plan.noise_correlation = 0.9;
  assert_false(planned(false, plan, &s));
}

/* Mean square error of the zones over members whose truths come from another prior, against
 * a((I - A) Q' (I - A)ᵀ + K R Kᵀ)aᵀ by dense textbook formulas. */
static void expect_square_error(bool low_rank, double prior, double length) {
  enum { MEMBERS = 3000 };
  sky_context *ctx = fixture_context(2);
  double W[ZONES * STATE], R[OBS * OBS] = {0}, E[CELLS * CELLS], left[STATE], gain[OBS];
  fixture_answer a;
  sky_problem p;
  sky_osse s;
  fill_zones(W);
  (low_rank ? fixture_low_rank : fixture_problem)(ctx, 3, CELLS, TIMES, OBS, 0, &p);
  double xc[CELLS], yc[CELLS] = {0};
  if (!low_rank) {
    p.space.kind = SKY_CORR_EXPONENTIAL;
    p.length_km = -1 / log(p.E[1]);
    p.xc = xc;
    p.yc = yc;
  }
  for (size_t i = 0; i < CELLS; i++) {
    xc[i] = (double)i;
    for (size_t j = 0; j < CELLS; j++)
      E[i * CELLS + j] = exp(-fabs((double)i - (double)j) / (length * p.length_km));
  }
  for (size_t i = 0; i < OBS; i++)
    R[i * OBS + i] = p.r_sd[i] * p.r_sd[i];
  double *H = fixture_dense_H(ctx, &p), *Q, *other;
  if (low_rank) {
    Q = fixture_dense_low_rank(ctx, STATE, p.q_rank, p.q_factor, p.q_sign, p.q_var);
    other = fixture_dense_low_rank(ctx, STATE, p.q_rank, p.q_factor, p.q_sign, p.q_var);
  } else {
    Q = fixture_dense_Q(ctx, &p, p.x_sd, p.E, p.D);
    other = fixture_dense_Q(ctx, &p, p.x_sd, E, p.D);
  }
  fixture_solve(ctx, OBS, STATE, H, Q, R, p.y, p.x0, &a);
  const sky_osse_plan plan = {.members = MEMBERS,
                              .seed = 5,
                              .noise_factor = 1,
                              .prior_factor = prior,
                              .length_factor = length};
  assert_int_equal(sky_osse_run(ctx, &p, ZONES, W, &plan, &s), SKY_OK);
  for (size_t z = 0; z < ZONES; z++) {
    const double *w = W + z * STATE;
    fixture_multiply(1, STATE, STATE, false, w, false, a.A, left);
    fixture_multiply(1, STATE, OBS, false, w, false, a.K, gain);
    for (size_t i = 0; i < STATE; i++)
      left[i] = w[i] - left[i];
    const double want =
        prior * prior * fixture_form(STATE, left, other, left) + fixture_form(OBS, gain, R, gain);
    const double got = s.zone[z].square / MEMBERS;
    print_message("zone %zu: mean square error %g, expected %g\n", z, got, want);
    assert_true(fabs(got / want - 1) < 4 * sqrt(2.0 / MEMBERS));
  }
  p.xc = p.yc = NULL;
  sky_osse_free(&s);
  fixture_answer_free(&a);
  sky_free(H);
  sky_free(Q);
  sky_free(other);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_other_priors(void **state) {
  (void)state;
  expect_square_error(false, 1, 1);
  expect_square_error(false, 1.5, 1);
  expect_square_error(false, 1, 3);
  expect_square_error(false, 0.5, 0.5);
  expect_square_error(true, 1.5, 1);
}

static void test_refusals(void **state) {
  (void)state;
  const sky_osse_plan plan = {
      .members = 20, .noise_factor = 1, .prior_factor = 1, .length_factor = 2};
  sky_context *ctx = fixture_context(1);
  double W[ZONES * STATE];
  sky_osse s;
  fill_zones(W);
  for (int low_rank = 0; low_rank < 2; low_rank++) {
    sky_problem p;
    (low_rank ? fixture_low_rank : fixture_problem)(ctx, 1, CELLS, TIMES, OBS, 0, &p);
    assert_int_equal(sky_osse_run(ctx, &p, ZONES, W, &plan, &s), SKY_E_RANGE);
    assert_non_null(strstr(sky_error(ctx), low_rank ? "low rank" : "not made from a model"));
    for (int k = 0; k < 2; k++) {
      sky_osse_plan bad = plan;
      *(k == 0 ? &bad.prior_factor : &bad.length_factor) = k == 0 ? -1 : INFINITY;
      assert_int_equal(sky_osse_run(ctx, &p, ZONES, W, &bad, &s), SKY_E_RANGE);
      assert_non_null(strstr(sky_error(ctx), k == 0 ? "prior factor -1" : "length factor inf"));
    }
    sky_osse_plan both = plan;
    both.prior_factor = 2;
    for (uint64_t n = 1; n <= 60; n++) {
      both.length_factor = low_rank ? 1 : 2;
      sky_memory_fail_at(ctx, n);
      const sky_status st = sky_osse_run(ctx, &p, ZONES, W, &both, &s);
      sky_memory_fail_at(ctx, 0);
      assert_true(st == SKY_OK || st == SKY_E_NOMEM || (!low_rank && st == SKY_E_RANGE));
      sky_osse_free(&s);
    }
    sky_problem_free(&p);
  }
  sky_context_free(ctx);
}

/* Zones that nest: eᵀC⁺e of two cells and their sum is that of the two cells. */
static void test_joint(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  const double a = 4, b = 0.09, ab = -0.3, e[3] = {1.7, 0.4, 2.1};
  const double cov[9] = {a, ab, a + ab, ab, b, b + ab, a + ab, b + ab, a + b + 2 * ab};
  const double want =
      (b * e[0] * e[0] - 2 * ab * e[0] * e[1] + a * e[1] * e[1]) / (a * b - ab * ab);
  sky_osse_joint j;
  double own, joint;
  assert_int_equal(sky_osse_joint_make(ctx, 3, cov, &j), SKY_OK);
  assert_int_equal(j.rank, 2);
  sky_osse_joint_forms(&j, e, &own, &joint);
  assert_true(fabs(joint / want - 1) < 1e-12);
  assert_true(fabs(own - (e[0] * e[0] / a + e[1] * e[1] / b + e[2] * e[2] / cov[8])) < 1e-12);
  double square = 3;
  for (size_t i = 0; i < 3; i++)
    for (size_t k = 0; k < i; k++)
      square += 2 * cov[i * 3 + k] * cov[i * 3 + k] / (cov[4 * i] * cov[4 * k]);
  assert_true(fabs(j.square - square) < 1e-12);
  sky_osse_joint_free(&j);
  sky_context_free(ctx);
}

/* The limits themselves, against values of scipy.stats (binom.ppf, norm.isf, chi2.isf). */
static void test_limits(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_osse s;
  const double one = 1, zero = 0;
  assert_int_equal(sky_osse_begin(ctx, 1, 10, &s), SKY_OK);
  for (size_t k = 0; k < 200; k++)
    assert_int_equal(sky_osse_add(ctx, &s, &zero, &one, &zero, 1, 9, 1), SKY_OK);
  sky_osse_finish(&s);
  assert_int_equal(s.low68, 110);
  assert_int_equal(s.high68, 160);
  assert_int_equal(s.low95, 176);
  assert_int_equal(s.high95, 199);
  assert_true(fabs(s.normal_limit - 3.864951862277179) < 1e-9);
  assert_true(fabs(s.rank_limit / 33.45817483945726 - 1) < 1e-9);
  assert_true(fabs(s.spread_low / 0.6590130701669156 - 1) < 1e-3);
  assert_true(fabs(s.spread_high / 1.4337185419195746 - 1) < 1e-3);
  /* one zone: its own spread, summed over members */
  assert_true(s.own.low == s.spread_low && s.joint.high == s.spread_high && s.own.ratio == 0);
  assert_false(s.calibrated); /* all ranks in one bin */
  sky_osse_free(&s);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_calibrated), cmocka_unit_test(test_defects_are_seen),
      cmocka_unit_test(test_members),    cmocka_unit_test(test_other_priors),
      cmocka_unit_test(test_refusals),   cmocka_unit_test(test_joint),
      cmocka_unit_test(test_limits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
