/* The log-normal posterior against quadrature in one and two dimensions, and its limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/lognormal.h"
#include "algorithms/inversion/noise.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

#define SIGMAS 4.0

typedef struct moments {
  double mean, sd;
} moments;

/* Of h1 x1 + h2 x2 = total with x = exp(z), z ~ N(μ, s² [[1, ρ], [ρ, 1]]) and the observations, by
 * the trapezoid rule in the whitened plane. */
static moments quadrature(const sky_problem *p, double rho) {
  enum { N = 400 };
  const double c = sqrt(1 - rho * rho);
  double sum = 0, first = 0, second = 0;
  for (int i = 0; i <= N; i++)
    for (int j = 0; j <= N; j++) {
      const double u = -8 + 16.0 * i / N, v = -8 + 16.0 * j / N, z[2] = {u, rho * u + c * v};
      double x[2], cost = 0.5 * (u * u + v * v), total = 0;
      for (int k = 0; k < 2; k++) {
        const double s2 = log(1 + pow(p->x_sd[k] / p->x0[k], 2));
        x[k] = p->x0[k] * exp(-0.5 * s2 + sqrt(s2) * z[k]);
        total += x[k];
      }
      for (size_t o = 0; o < p->n_obs; o++) {
        double r = p->y[o];
        for (size_t k = p->rowptr[o]; k < p->rowptr[o + 1]; k++)
          r -= p->val[k] * x[p->col[k]];
        cost += 0.5 * r * r / (p->r_sd[o] * p->r_sd[o]);
      }
      const double w = exp(-cost);
      sum += w;
      first += w * total;
      second += w * total * total;
    }
  const double mean = first / sum;
  return (moments){mean, sqrt(second / sum - mean * mean)};
}

static void test_quadrature(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  size_t rowptr[] = {0, 2, 3};
  int32_t col[] = {0, 1, 1};
  double val[] = {0.7, 0.4, 0.5}, y[] = {3.5, 0.4}, r_sd[] = {0.8, 0.5}, x0[] = {3, 2};
  const double rho = 0.4, W[] = {1, 1};
  double x_sd[] = {2.5, 1.5}, E[] = {1, rho, rho, 1}, D = 1;
  sky_problem p = {.n_obs = 2,
                   .n_state = 2,
                   .n_cell = 2,
                   .n_time = 1,
                   .rowptr = rowptr,
                   .col = col,
                   .val = val,
                   .y = y,
                   .r_sd = r_sd,
                   .x0 = x0,
                   .x_sd = x_sd,
                   .E = E,
                   .D = &D};
  const sky_sampling how = {.n_chain = 4, .n_draw = 10000, .n_warmup = 500, .seed = 5};
  for (int k = 0; k < 2; k++) { /* with data, and the prior alone: its mean is x0 + x0 */
    if (k == 1) r_sd[0] = r_sd[1] = 1e6;
    const moments want = quadrature(&p, rho);
    sky_lognormal mode;
    sky_sampled got;
    assert_int_equal(sky_lognormal_sample(ctx, &p, W, 1, &how, &mode, &got), SKY_OK);
    const sky_chain_summary *s = &got.summary[0];
    if (k == 1) assert_true(fabs(want.mean - 5) < 1e-3);
    assert_true(fabs(s->mean - want.mean) < SIGMAS * s->mc_error);
    assert_true(s->mc_error < 0.02 * want.sd);
    assert_true(fabs(s->sd / want.sd - 1) < (k == 0 ? 0.03 : 0.08));
    assert_int_equal(s->verdict, SKY_CHAINS_CONVERGED);
    assert_true(mode.gradient < 1e-8);
    if (k == 1) { /* prior median */
      assert_true(fabs(mode.mode[0] - 3 / sqrt(1 + 2.5 * 2.5 / 9)) < 1e-6);
      assert_true(fabs(mode.log_sd[0] - sqrt(log(1 + 2.5 * 2.5 / 9))) < 1e-6);
    }
    sky_lognormal_free(&mode);
    sky_sampled_free(&got);
  }
  sky_context_free(ctx);
}

/* A tight prior is as good as Gaussian: mode, sd and the total's mean and sd are those of the exact
 * solver, offsets included. */
static void test_tight_prior(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  const sky_sampling how = {.n_chain = 4, .n_draw = 1000, .n_warmup = 400, .seed = 8};
  for (int form = 0; form < 2; form++) {
    sky_problem p;
    if (form == 0)
      fixture_problem(ctx, 4, 5, 2, 20, 2, &p);
    else
      fixture_low_rank(ctx, 4, 5, 2, 20, 2, &p);
    double *W = fixture_new(ctx, p.n_state);
    for (size_t i = 0; i < p.n_state; i++)
      W[i] = 1;
    for (size_t i = 0; i < p.n_state; i++) {
      p.x_sd[i] *= 1e-4;
      if (form == 0) continue;
      p.q_var[i] *= 1e-8;
      for (size_t k = 0; k < p.q_rank; k++)
        p.q_factor[k * p.n_state + i] *= 1e-4;
    }
    for (size_t i = 0; i < p.n_obs; i++) {
      double prior = p.group[i] >= 0 ? p.b0[p.group[i]] : 0;
      for (size_t k = p.rowptr[i]; k < p.rowptr[i + 1]; k++)
        prior += p.val[k] * p.x0[p.col[k]];
      p.r_sd[i] *= 1e-4;
      p.y[i] = prior + 1e-4 * (p.y[i] - prior);
    }
    for (size_t g = 0; g < p.n_background; g++)
      p.b_sd[g] *= 1e-4;
    const sky_functionals zones = {.n_zone = 1, .W = W};
    sky_posterior exact;
    sky_lognormal mode;
    sky_sampled got;
    assert_int_equal(sky_problem_solve(ctx, &p, &zones, &exact), SKY_OK);
    assert_int_equal(sky_lognormal_sample(ctx, &p, W, 1, &how, &mode, &got), SKY_OK);
    for (size_t i = 0; i < p.n_state; i++) {
      assert_true(fabs(mode.mode[i] - exact.x[i]) < 2e-3 * exact.sd[i]);
      assert_true(fabs(mode.log_sd[i] * exact.x[i] / exact.sd[i] - 1) < 1e-3);
    }
    assert_true(fixture_difference(p.n_background, mode.b, exact.b) < 1e-6);
    assert_true(fabs(mode.jo / exact.jo - 1) < 1e-2);
    const sky_chain_summary *s = &got.summary[0];
    assert_true(fabs(s->mean - exact.total[0]) < SIGMAS * s->mc_error + 2e-3 * exact.total_sd[0]);
    assert_true(fabs(s->sd / exact.total_sd[0] - 1) < 0.06);
    assert_int_equal(got.divergent, 0);
    sky_posterior_free(&exact);
    sky_lognormal_free(&mode);
    sky_sampled_free(&got);
    sky_free(W);
    sky_problem_free(&p);
  }
  sky_context_free(ctx);
}

static void test_same_for_any_threads(void **state) {
  (void)state;
  const sky_sampling how = {.n_chain = 3, .n_draw = 60, .n_warmup = 60, .seed = 11};
  sky_sampled got[3];
  for (int k = 0; k < 3; k++) {
    sky_context *ctx = fixture_context(1 + k);
    sky_problem p;
    sky_lognormal mode;
    fixture_problem(ctx, 5, 6, 3, 20, 2, &p);
    double *W = fixture_new(ctx, p.n_state);
    W[3] = 1;
    assert_int_equal(sky_lognormal_sample(ctx, &p, W, 1, &how, &mode, &got[k]), SKY_OK);
    sky_free(W);
    sky_lognormal_free(&mode);
    sky_problem_free(&p);
    sky_context_free(ctx);
  }
  for (int k = 1; k < 3; k++) {
    assert_memory_equal(got[0].zone, got[k].zone, 180 * sizeof(double));
    assert_memory_equal(got[0].sd, got[k].sd, got[0].n_state * sizeof(double));
  }
  for (int k = 0; k < 3; k++)
    sky_sampled_free(&got[k]);
}

/* H with every element written out, most of them 0: the same problem, but the product with F is the
 * cheaper one. Draws are those through H to rounding, also with errors along tracks. */
static void fill_with_zeros(sky_context *ctx, sky_problem *p) {
  const size_t m = p->n_state;
  double *val = fixture_new(ctx, p->n_obs * m);
  int32_t *col = SKY_NEW(ctx, int32_t, p->n_obs * m);
  assert_non_null(col);
  for (size_t i = 0; i < p->n_obs; i++) {
    for (size_t j = 0; j < m; j++)
      col[i * m + j] = (int32_t)j;
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      val[i * m + (size_t)p->col[k]] = p->val[k];
  }
  for (size_t i = 0; i <= p->n_obs; i++)
    p->rowptr[i] = i * m;
  sky_free(p->val);
  sky_free(p->col);
  p->val = val;
  p->col = col;
}

static void test_both_products(void **state) {
  (void)state;
  enum { CELLS = 8, TIMES = 3, OBS = 30, OFFSETS = 2 };
  const sky_sampling how = {.n_chain = 3, .n_draw = 60, .n_warmup = 60, .seed = 11};
  const size_t n = CELLS * TIMES + OFFSETS;
  for (int tracks = 0; tracks < 2; tracks++) {
    sky_context *ctx = fixture_context(2);
    sky_problem p;
    sky_sampled got[2];
    double W[CELLS * TIMES];
    int32_t overpass[OBS];
    double along[OBS];
    fixture_problem(ctx, 5, CELLS, TIMES, OBS, OFFSETS, &p);
    for (size_t i = 0; i < CELLS * TIMES; i++)
      W[i] = 1 + (double)(i % 3);
    for (size_t i = 0; i < OBS; i++) {
      overpass[i] = (int32_t)(i / 10);
      along[i] = 3.0 * (double)i;
    }
    if (tracks)
      assert_int_equal(sky_track_create(ctx, OBS, overpass, along, 9, 0.7, &p.track), SKY_OK);
    assert_true(2 * (p.rowptr[OBS] + OBS) < n * n);
    for (int k = 0; k < 2; k++) {
      sky_lognormal mode;
      if (k == 1) fill_with_zeros(ctx, &p);
      assert_int_equal(sky_lognormal_sample(ctx, &p, W, 1, &how, &mode, &got[k]), SKY_OK);
      sky_lognormal_free(&mode);
    }
    assert_true(2 * (p.rowptr[OBS] + OBS) >= n * n);
    assert_true(fixture_difference(180, got[1].zone, got[0].zone) < 1e-9);
    assert_true(memcmp(got[1].zone, got[0].zone, 180 * sizeof(double)) != 0); /* two ways */
    assert_true(fixture_near(got[1].acceptance, got[0].acceptance, 1e-9));
    sky_sampled_free(&got[0]);
    sky_sampled_free(&got[1]);
    sky_problem_free(&p);
    sky_context_free(ctx);
  }
}

static void test_refusals(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  const sky_sampling how = {.n_chain = 2, .n_draw = 20, .n_warmup = 20, .seed = 1};
  sky_problem p;
  sky_lognormal mode;
  sky_sampled got;
  fixture_problem(ctx, 5, 3, 2, 9, 1, &p);
  double W[6] = {1, 1, 1, 1, 1, 1};
  const double kept = p.x0[4];
  p.x0[4] = 0;
  assert_int_equal(sky_lognormal_solve(ctx, &p, &mode), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "x0[4]"));
  p.x0[4] = kept;
  for (uint64_t n = 1; n <= 40; n++) {
    sky_memory_fail_at(ctx, n);
    const sky_status st = sky_lognormal_sample(ctx, &p, W, 1, &how, &mode, &got);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
    sky_lognormal_free(&mode);
    sky_sampled_free(&got);
  }
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quadrature),
      cmocka_unit_test(test_tight_prior),
      cmocka_unit_test(test_same_for_any_threads),
      cmocka_unit_test(test_both_products),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
