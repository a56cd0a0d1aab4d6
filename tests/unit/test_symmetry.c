/* What must not matter to an exact solution: units, the order of observations and cells, threads.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture_problem.h"
#include "src/core/memory.h"

typedef void maker(sky_context *, uint64_t, size_t, size_t, size_t, size_t, sky_problem *);

/* Fluxes in other units (x -> s x, H -> H/s) and observations in other units (y -> c y): powers of
 * two give the same digits, any other factor the same up to rounding. */
static void check_units(maker *make, double s, double c, double relative) {
  sky_context *ctx = fixture_context(1);
  sky_problem p, q;
  make(ctx, 8, 12, 4, 30, 2, &p);
  make(ctx, 8, 12, 4, 30, 2, &q);
  for (size_t i = 0; q.q_var != NULL && i < q.n_state; i++)
    q.q_var[i] *= s * s;
  for (size_t i = 0; i < q.q_rank * q.n_state; i++)
    q.q_factor[i] *= s;
  for (size_t i = 0; i < q.n_state; i++)
    q.x0[i] *= s, q.x_sd[i] *= s;
  for (size_t i = 0; i < q.n_obs; i++)
    q.y[i] *= c, q.r_sd[i] *= c;
  for (size_t k = 0; k < q.rowptr[q.n_obs]; k++)
    q.val[k] *= c / s;
  for (size_t g = 0; g < q.n_background; g++)
    q.b0[g] *= c, q.b_sd[g] *= c;
  sky_posterior a, b;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &a), SKY_OK);
  assert_int_equal(sky_problem_solve(ctx, &q, NULL, &b), SKY_OK);
  for (size_t i = 0; i < p.n_state; i++) {
    assert_true(fixture_near(b.x[i], s * a.x[i], relative));
    assert_true(fixture_near(b.sd[i], s * a.sd[i], relative));
    assert_true(fabs(b.ak[i] - a.ak[i]) <= relative);
  }
  assert_true(fixture_near(b.chi2, a.chi2, relative) && fixture_near(b.jb, a.jb, relative));
  assert_true(fixture_near(b.jo, a.jo, relative) && fixture_near(b.dofs, a.dofs, relative));
  assert_true(fixture_near(b.neg_log_evidence, a.neg_log_evidence + (double)p.n_obs * log(c),
                           relative + 1e-13));
  sky_posterior_free(&a);
  sky_posterior_free(&b);
  sky_problem_free(&p);
  sky_problem_free(&q);
  sky_context_free(ctx);
}

static void test_units(void **state) {
  (void)state;
  maker *const makers[] = {fixture_problem, fixture_low_rank};
  for (int k = 0; k < 2; k++) {
    check_units(makers[k], ldexp(1, -40), 1, 0);
    check_units(makers[k], 1, ldexp(1, 30), 0);
    check_units(makers[k], 1e-9, 1, 1e-11);
    check_units(makers[k], 3.7e8, 1e-9, 1e-11);
  }
}

/* Observations in another order (here: rows reversed, so every tile of Ψ changes its members). */
static void check_permutation(maker *make) {
  sky_context *ctx = fixture_context(2);
  sky_problem p, q;
  make(ctx, 4, 20, 5, 310, 3, &p);
  make(ctx, 4, 20, 5, 310, 3, &q);
  const size_t n = p.n_obs;
  size_t k = 0;
  for (size_t i = 0; i < n; i++) {
    const size_t o = n - 1 - i;
    q.y[i] = p.y[o];
    q.r_sd[i] = p.r_sd[o];
    q.group[i] = p.group[o];
    for (size_t e = p.rowptr[o]; e < p.rowptr[o + 1]; e++, k++) {
      q.col[k] = p.col[e];
      q.val[k] = p.val[e];
    }
    q.rowptr[i + 1] = k;
  }
  sky_posterior a, b;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &a), SKY_OK);
  assert_int_equal(sky_problem_solve(ctx, &q, NULL, &b), SKY_OK);
  assert_true(fixture_difference(p.n_state, b.x, a.x) < 1e-12);
  assert_true(fixture_difference(p.n_state, b.sd, a.sd) < 1e-12);
  assert_true(fixture_difference(3, b.b, a.b) < 1e-12);
  for (size_t i = 0; i < n; i++)
    assert_true(fabs(b.residual[i] - a.residual[n - 1 - i]) < 1e-11);
  assert_true(fixture_near(b.neg_log_evidence, a.neg_log_evidence, 1e-12));
  sky_posterior_free(&a);
  sky_posterior_free(&b);
  sky_problem_free(&p);
  sky_problem_free(&q);
  sky_context_free(ctx);
}

static void test_permutation_of_observations(void **state) {
  (void)state;
  check_permutation(fixture_problem);
  check_permutation(fixture_low_rank);
}

/* Cells in another order: reversed, with E and H to match. */
static void test_permutation_of_cells(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p, q;
  fixture_problem(ctx, 4, 21, 3, 40, 0, &p);
  fixture_problem(ctx, 4, 21, 3, 40, 0, &q);
  const size_t nc = p.n_cell;
  for (size_t t = 0; t < p.n_time; t++)
    for (size_t c = 0; c < nc; c++) {
      q.x0[t * nc + c] = p.x0[t * nc + nc - 1 - c];
      q.x_sd[t * nc + c] = p.x_sd[t * nc + nc - 1 - c];
    }
  for (size_t i = 0; i < nc * nc; i++)
    q.E[i] = p.E[nc * nc - 1 - i];
  for (size_t i = 0; i < p.n_obs; i++) { /* reverse each time's run inside the row */
    size_t k = p.rowptr[i];
    while (k < p.rowptr[i + 1]) {
      const int32_t t = p.col[k] / (int32_t)nc;
      size_t end = k;
      while (end < p.rowptr[i + 1] && p.col[end] / (int32_t)nc == t)
        end++;
      for (size_t e = k; e < end; e++) {
        const size_t o = k + end - 1 - e;
        q.col[e] = (int32_t)(2 * (size_t)t * nc + nc - 1 - (size_t)p.col[o]);
        q.val[e] = p.val[o];
      }
      k = end;
    }
  }
  sky_posterior a, b;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &a), SKY_OK);
  assert_int_equal(sky_problem_solve(ctx, &q, NULL, &b), SKY_OK);
  for (size_t t = 0; t < p.n_time; t++)
    for (size_t c = 0; c < nc; c++) {
      assert_true(fixture_near(b.x[t * nc + c], a.x[t * nc + nc - 1 - c], 1e-11));
      assert_true(fixture_near(b.sd[t * nc + c], a.sd[t * nc + nc - 1 - c], 1e-11));
    }
  assert_true(fixture_near(b.dofs, a.dofs, 1e-12));
  sky_posterior_free(&a);
  sky_posterior_free(&b);
  sky_problem_free(&p);
  sky_problem_free(&q);
  sky_context_free(ctx);
}

static void check_threads(maker *make) {
  const int threads[] = {1, 2, 5};
  sky_posterior post[3];
  for (int k = 0; k < 3; k++) {
    sky_context *ctx = fixture_context(threads[k]);
    sky_problem p;
    make(ctx, 6, 40, 5, 270, 2, &p);
    double *W = fixture_new(ctx, 2 * p.n_state);
    for (size_t i = 0; i < 2 * p.n_state; i++)
      W[i] = (double)(i % 3);
    const sky_functionals zones = {.n_zone = 2, .W = W};
    assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post[k]), SKY_OK);
    sky_free(W);
    sky_problem_free(&p);
    sky_context_free(ctx);
  }
  for (int k = 1; k < 3; k++) {
#define SAME(field, count) \
  assert_memory_equal(post[0].field, post[k].field, (count) * sizeof *post[0].field)
    SAME(x, post[0].n_state);
    SAME(sd, post[0].n_state);
    SAME(ak, post[0].n_state);
    SAME(b, 2);
    SAME(b_post_sd, 2);
    SAME(residual, post[0].n_obs);
    SAME(total, 2);
    SAME(total_sd, 2);
    SAME(zone_cov, 4);
    SAME(zone_A, 2 * post[0].n_state);
    SAME(zone_null_sd, 2);
    SAME(zone_inventory_cov, 4);
    assert_memory_equal(&post[0].dofs, &post[k].dofs, sizeof post[0].dofs);
    assert_memory_equal(&post[0].dofs_background, &post[k].dofs_background,
                        sizeof post[0].dofs_background);
    assert_memory_equal(&post[0].chi2, &post[k].chi2, sizeof post[0].chi2);
    assert_memory_equal(&post[0].jb, &post[k].jb, sizeof post[0].jb);
    assert_memory_equal(&post[0].jo, &post[k].jo, sizeof post[0].jo);
    assert_memory_equal(&post[0].neg_log_evidence, &post[k].neg_log_evidence,
                        sizeof post[0].neg_log_evidence);
#undef SAME
  }
  for (int k = 0; k < 3; k++)
    sky_posterior_free(&post[k]);
}

static void test_threads_same_bits(void **state) {
  (void)state;
  check_threads(fixture_problem);
  check_threads(fixture_low_rank);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_units), cmocka_unit_test(test_permutation_of_observations),
      cmocka_unit_test(test_permutation_of_cells), cmocka_unit_test(test_threads_same_bits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
