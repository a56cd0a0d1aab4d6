/* The matrix-free solver against the exact one, its own bounds, and its symmetries. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/iterate.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/obs_operator.h"
#include "algorithms/inversion/trace.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

enum { CELLS = 60, TIMES = 4, OBS = 150, OFFSETS = 3, ZONES = 4, STATE = CELLS * TIMES };

/* The third zone is the sum of the first two: a right-hand side that depends on others; the fourth
 * lies where nothing is seen at the last time. */
static double *make_zones(sky_context *ctx, size_t m) {
  double *W = fixture_new(ctx, ZONES * m);
  for (size_t i = 0; i < m; i++) {
    W[i] = i % 3 == 0;
    W[m + i] = i % 3 == 1 ? 2 : 0;
    W[2 * m + i] = W[i] + W[m + i];
    W[3 * m + i] = i < 7;
  }
  return W;
}

static bool near(double a, double b, double relative) {
  return fabs(a - b) <= relative * fabs(b);
}

static void compare(const sky_posterior *a, const sky_posterior *b, double tolerance) {
  const size_t nz = b->n_zone;
  assert_true(fixture_difference(b->n_state, a->x, b->x) < tolerance);
  assert_true(fixture_difference(b->n_obs, a->residual, b->residual) < tolerance * 1e2);
  assert_true(fixture_difference(b->n_obs, a->simulated, b->simulated) < tolerance);
  if (b->n_background > 0) assert_true(fixture_difference(b->n_background, a->b, b->b) < tolerance);
  assert_true(fixture_difference(nz, a->total, b->total) < tolerance);
  assert_true(fixture_difference(nz, a->total_sd, b->total_sd) < tolerance);
  assert_true(fixture_difference(nz, a->prior_total, b->prior_total) < tolerance);
  assert_true(fixture_difference(nz, a->prior_sd, b->prior_sd) < tolerance);
  assert_true(fixture_difference(nz * nz, a->zone_cov, b->zone_cov) < tolerance);
  assert_true(fixture_difference(nz * nz, a->zone_inventory_cov, b->zone_inventory_cov) <
              tolerance);
  assert_true(fixture_difference(nz, a->zone_reduction, b->zone_reduction) < tolerance);
  assert_true(fixture_difference(nz, a->zone_sensitivity, b->zone_sensitivity) < tolerance);
  assert_true(fixture_difference(nz, a->zone_own_response, b->zone_own_response) < tolerance);
  assert_true(fixture_difference(nz, a->zone_noise_var, b->zone_noise_var) < tolerance);
  assert_true(fixture_difference(nz, a->zone_inventory_var, b->zone_inventory_var) < tolerance);
  assert_true(fixture_difference(nz, a->zone_null_sd, b->zone_null_sd) < tolerance);
  assert_true(fixture_difference(nz, a->zone_detectable, b->zone_detectable) < tolerance);
  assert_true(near(a->chi2, b->chi2, tolerance));
  assert_true(near(a->jb, b->jb, tolerance));
  assert_true(near(a->jo, b->jo, tolerance));
}

static void compare_maps(const sky_posterior *a, const sky_posterior *b, double tolerance) {
  assert_true(fixture_difference(b->n_state, a->sd, b->sd) < tolerance);
  assert_true(fixture_difference(b->n_state, a->ak, b->ak) < tolerance);
  if (b->n_background > 0)
    assert_true(fixture_difference(b->n_background, a->b_post_sd, b->b_post_sd) < tolerance);
  assert_true(fixture_difference(b->n_zone, a->zone_dofs, b->zone_dofs) < tolerance);
  assert_true(near(a->dofs, b->dofs, tolerance));
  assert_true(fabs(a->dofs_background - b->dofs_background) < tolerance * b->dofs);
  assert_true(near(a->neg_log_evidence, b->neg_log_evidence, tolerance));
}

/* exact = CG (converged) = Lanczos of full rank, for Kronecker and low rank + diagonal, with and
 * without offsets. */
static void test_methods(void **state) {
  (void)state;
  for (int variant = 0; variant < 4; variant++) {
    sky_context *ctx = fixture_context(2);
    sky_problem p;
    sky_posterior exact, a;
    sky_iterate_report report;
    (variant < 2 ? fixture_problem : fixture_low_rank)(ctx, 4, CELLS, TIMES, OBS,
                                                       variant % 2 ? OFFSETS : 0, &p);
    double *W = make_zones(ctx, STATE);
    const double constant[ZONES] = {0, 5, 0, 1};
    const sky_functionals zones = {.n_zone = ZONES, .W = W, .constant = constant};
    assert_int_equal(sky_problem_solve(ctx, &p, &zones, &exact), SKY_OK);
    sky_iterate_options o = {.tolerance = 1e-21, .complete = OBS, .seed = 1};
    assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
    assert_true(report.complete);
    assert_int_equal(report.basis, OBS);
    compare(&a, &exact, 1e-10);
    compare_maps(&a, &exact, 1e-10);
    sky_posterior_free(&a);
    o.complete = 0;
    assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
    compare(&a, &exact, 1e-9);
    sky_posterior_free(&a);
    sky_posterior_free(&exact);
    sky_free(W);
    sky_problem_free(&p);
    sky_context_free(ctx);
  }
}

/* With a loose tolerance it stops early, and every error is inside its bound and the bound inside
 * the tolerance; the intervals of the estimated traces hold the exact values. */
static void test_bounds(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior exact, a;
  sky_iterate_report report;
  fixture_problem(ctx, 12, 150, 6, 400, 0, &p);
  double *W = make_zones(ctx, p.n_state);
  const sky_functionals zones = {.n_zone = ZONES, .W = W};
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &exact), SKY_OK);
  size_t before = 0;
  for (double tolerance = 0.1; tolerance > 1e-9; tolerance /= 100) {
    const sky_iterate_options o = {.tolerance = tolerance, .seed = 7};
    assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
    assert_false(report.complete);
    assert_true(report.basis > before);
    before = report.basis;
    assert_true(report.total_error <= tolerance && report.sd_error <= tolerance);
    for (size_t z = 0; z < ZONES; z++) {
      const double rounding = 1e-12 * fabs(exact.total[z]) / exact.total_sd[z];
      assert_true(fabs(a.total[z] - exact.total[z]) <=
                  (report.total_error + rounding) * exact.total_sd[z]);
      assert_true(a.total_sd[z] - exact.total_sd[z] >= -1e-11 * exact.total_sd[z]);
      assert_true(a.total_sd[z] - exact.total_sd[z] <=
                  (report.sd_error + 1e-11) * exact.total_sd[z]);
    }
    for (size_t i = 0; i < p.n_state; i++)
      assert_true(fabs(a.x[i] - exact.x[i]) <= (report.state_error + 1e-12) * p.x_sd[i]);
    assert_true(fabs(a.dofs - exact.dofs) < 1.5 * report.dofs_half);
    assert_true(fabs(a.neg_log_evidence - exact.neg_log_evidence) < 1.5 * report.evidence_half);
    assert_true(isnan(a.sd[3]) && isnan(a.ak[3]));
    for (size_t z = 0; z < ZONES; z++)
      assert_true(fabs(a.zone_dofs[z] - exact.zone_dofs[z]) < 1.5 * a.zone_dofs_half[z]);
    sky_posterior_free(&a);
  }
  sky_posterior_free(&exact);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* Another unit of the flux: x, x0, x_sd times s, H divided by s. The same data, the same answer. */
static void test_units(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior a, b;
  sky_iterate_report report;
  const double s = 1e-9;
  fixture_problem(ctx, 4, CELLS, TIMES, OBS, OFFSETS, &p);
  double *W = make_zones(ctx, STATE);
  const sky_functionals zones = {.n_zone = ZONES, .W = W};
  const sky_iterate_options o = {.tolerance = 1e-8, .seed = 1};
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
  const size_t basis = report.basis;
  for (size_t i = 0; i < STATE; i++) {
    p.x0[i] *= s;
    p.x_sd[i] *= s;
  }
  for (size_t k = 0; k < p.rowptr[OBS]; k++)
    p.val[k] /= s;
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &b, &report), SKY_OK);
  assert_int_equal(report.basis, basis);
  for (size_t z = 0; z < ZONES; z++) {
    assert_true(near(b.total[z], s * a.total[z], 1e-10));
    assert_true(near(b.total_sd[z], s * a.total_sd[z], 1e-10));
  }
  assert_true(near(b.dofs, a.dofs, 1e-5));
  sky_posterior_free(&a);
  sky_posterior_free(&b);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* ---- store and threads ---------------------------------------------------------------------- */

enum { KEPT = 4000, MOST = 600 };

typedef struct memory_store {
  size_t count, loaded, stop; /* saves before it fails; 0 = never */
  size_t size[KEPT];
  double *data[KEPT];
} memory_store;

static sky_status load(sky_context *ctx, void *user, size_t index, size_t count, double *data,
                       bool *found) {
  memory_store *s = user;
  (void)ctx;
  *found = index < s->count;
  if (!*found) return SKY_OK;
  assert_int_equal(s->size[index], count);
  memcpy(data, s->data[index], count * sizeof *data);
  s->loaded++;
  return SKY_OK;
}

static sky_status save(sky_context *ctx, void *user, size_t index, size_t count,
                       const double *data) {
  memory_store *s = user;
  assert_int_equal(index, s->count);
  if (s->stop > 0 && index == s->stop) return sky_fail(ctx, SKY_E_CANCELLED, "stopped");
  s->size[index] = count;
  s->data[index] = fixture_new(ctx, count);
  memcpy(s->data[index], data, count * sizeof *data);
  s->count++;
  return SKY_OK;
}

static void same(const sky_posterior *a, const sky_posterior *b) {
  assert_memory_equal(a->x, b->x, b->n_state * sizeof *b->x);
  assert_memory_equal(a->total, b->total, b->n_zone * sizeof *b->total);
  assert_memory_equal(a->zone_cov, b->zone_cov, b->n_zone * b->n_zone * sizeof *b->zone_cov);
  assert_memory_equal(&a->dofs, &b->dofs, sizeof b->dofs);
  assert_memory_equal(&a->neg_log_evidence, &b->neg_log_evidence, sizeof b->dofs);
}

/* Stopped anywhere and gone on, on any number of threads: the same bits. */
static void test_resume(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior whole, a;
  sky_iterate_report report;
  static memory_store memory;
  const sky_product_store store = {&memory, load, save};
  fixture_problem(ctx, 4, CELLS, TIMES, OBS, OFFSETS, &p);
  double *W = make_zones(ctx, STATE);
  const sky_functionals zones = {.n_zone = ZONES, .W = W};
  sky_iterate_options o = {.tolerance = 1e-8, .seed = 1};
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &whole, &report), SKY_OK);
  const size_t products = report.products;
  for (int threads = 1; threads <= 5; threads += 2) {
    sky_context_set_threads(ctx, threads);
    assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
    same(&a, &whole);
    sky_posterior_free(&a);
  }
  o.store = &store;
  for (memory.stop = 2; memory.stop < 7; memory.stop += 2)
    assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_E_CANCELLED);
  memory.stop = 0;
  memory.loaded = 0;
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
  assert_int_equal(memory.loaded, 6);
  assert_true(report.products < products);
  same(&a, &whole);
  sky_posterior_free(&a);
  sky_posterior_free(&whole);
  for (size_t i = 0; i < memory.count; i++)
    sky_free(memory.data[i]);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void test_refusals(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  sky_posterior a;
  sky_iterate_report report;
  fixture_problem(ctx, 4, CELLS, TIMES, OBS, 0, &p);
  double *W = make_zones(ctx, STATE);
  sky_functionals zones = {.n_zone = ZONES, .W = W};
  sky_iterate_options o = {.tolerance = 0};
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "tolerance 0"));
  o.tolerance = 1e-6;
  assert_int_equal(sky_problem_iterate(ctx, &p, NULL, &o, &a, &report), SKY_E_RANGE);
  zones.n_layer = 2;
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_E_RANGE);
  zones.n_layer = 0;
  sky_context_set_memory(ctx, 100000);
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_E_NOMEM);
  assert_non_null(strstr(sky_error(ctx), "MB"));
  sky_context_set_memory(ctx, (size_t)1 << 30);
  p.r_sd[8] = 0;
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "r_sd[8]"));
  p.r_sd[8] = 1;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t n = 1; st != SKY_OK; n++) {
    assert_true(n < MOST);
    sky_memory_fail_at(ctx, n);
    st = sky_problem_iterate(ctx, &p, &zones, &o, &a, &report);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
  }
  sky_posterior_free(&a);
  /* Nothing to explain and nothing seen: zero right-hand sides. */
  memset(p.val, 0, p.rowptr[OBS] * sizeof *p.val);
  memset(p.y, 0, OBS * sizeof *p.y);
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
  for (size_t z = 0; z < ZONES; z++)
    assert_true(a.total[z] == a.prior_total[z] && near(a.total_sd[z], a.prior_sd[z], 1e-14));
  assert_true(a.chi2 == 0 && fabs(a.dofs) < 1e-8);
  sky_posterior_free(&a);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_methods), cmocka_unit_test(test_bounds),
                                     cmocka_unit_test(test_units), cmocka_unit_test(test_resume),
                                     cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
