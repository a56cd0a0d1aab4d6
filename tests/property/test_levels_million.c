/* A million unknowns under a covariance of levels: totals of zones and their sds by the iteration,
 * within their bounds of the exact dual. The dual's Gram matrix is made here from its own products
 * (H Q Hᵀ column by column), factorised, and solved: no code of the iteration enters it.
 *
 *   test_levels_million [side times observations]     default 200 25 400 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/iterate.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/sparse.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

enum { ZONES = 6, SPREAD = 12, BATCH = 8 };

static size_t side = 200, times = 25, n_obs = 400;

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Square cells of 1 km, a coarse field of 10 km points and a fine one of the cells' own size. */
static void make_prior(sky_context *ctx, sky_problem *p) {
  double *bounds = fixture_new(ctx, 4 * p->n_cell), *D = fixture_new(ctx, times * times);
  for (size_t c = 0; c < p->n_cell; c++) {
    bounds[4 * c] = (double)(c % side);
    bounds[4 * c + 1] = (double)(c / side);
    bounds[4 * c + 2] = bounds[4 * c] + 1;
    bounds[4 * c + 3] = bounds[4 * c + 1] + 1;
  }
  for (size_t i = 0; i < times * times; i++)
    D[i] = exp(-fabs((double)(i / times) - (double)(i % times)) / 3);
  const sky_level level[] = {
      {side / 10, side / 10, 0, 0, 10, 10, {SKY_CORR_EXPONENTIAL, 0}, 30, 0.6, NULL},
      {side, side, 0, 0, 1, 1, {SKY_CORR_SPHERICAL, 0}, 6, 1.2, NULL}};
  const sky_levels_spec spec = {p->n_cell, 1, times, bounds, D, NULL, 2, level};
  assert_int_equal(sky_levels_create(ctx, &spec, &p->levels), SKY_OK);
  for (size_t i = 0; i < p->n_state; i++)
    p->x_sd[i] = sqrt(sky_levels_variance(p->levels)[i]);
  sky_free(bounds);
  sky_free(D);
}

/* Every observation sees a patch of cells at two times. */
static void make_rows(sky_context *ctx, sky_problem *p) {
  p->rowptr = SKY_NEW0(ctx, size_t, n_obs + 1);
  p->col = SKY_NEW0(ctx, int32_t, n_obs * 2 * SPREAD * SPREAD);
  p->val = fixture_new(ctx, n_obs * 2 * SPREAD * SPREAD);
  size_t k = 0;
  for (size_t i = 0; i < n_obs; i++) {
    const size_t x = (size_t)((double)(side - SPREAD) * sky_rng_uniform(1, 0, i));
    const size_t y = (size_t)((double)(side - SPREAD) * sky_rng_uniform(1, 1, i));
    const size_t t = (size_t)((double)(times - 1) * sky_rng_uniform(1, 2, i));
    for (size_t lag = 0; lag < 2; lag++)
      for (size_t j = 0; j < SPREAD * SPREAD; j++) {
        p->col[k] = (int32_t)((t + lag) * p->n_cell + (y + j / SPREAD) * side + x + j % SPREAD);
        p->val[k] = 0.05 * (0.5 + sky_rng_uniform(1, 3, k));
        k++;
      }
    p->rowptr[i + 1] = k;
    p->r_sd[i] = 0.5;
    p->y[i] = sky_rng_normal(1, 4, i) * 3 + 14;
  }
}

static void make_problem(sky_context *ctx, sky_problem *p) {
  memset(p, 0, sizeof *p);
  p->n_cell = side * side;
  p->n_time = times;
  p->n_state = p->n_cell * times;
  p->n_obs = n_obs;
  p->x0 = fixture_new(ctx, p->n_state);
  p->x_sd = fixture_new(ctx, p->n_state);
  p->y = fixture_new(ctx, n_obs);
  p->r_sd = fixture_new(ctx, n_obs);
  for (size_t i = 0; i < p->n_state; i++)
    p->x0[i] = 1;
  make_prior(ctx, p);
  make_rows(ctx, p);
}

/* psi [n_obs²] = H Q Hᵀ + R */
static void gram(sky_context *ctx, const sky_problem *p, const sky_sparse *H, double *psi) {
  const size_t m = p->n_state;
  double *unit = fixture_new(ctx, BATCH * n_obs), *u = fixture_new(ctx, BATCH * m);
  double *q = fixture_new(ctx, BATCH * m);
  for (size_t first = 0; first < n_obs; first += BATCH) {
    const size_t width = n_obs - first < BATCH ? n_obs - first : BATCH;
    memset(unit, 0, BATCH * n_obs * sizeof *unit);
    for (size_t k = 0; k < width; k++)
      unit[k * n_obs + first + k] = 1;
    sky_sparse_transpose_apply(ctx, H, unit, width, u);
    sky_levels_apply(ctx, p->levels, u, width, q);
    sky_sparse_apply(ctx, H, q, width, psi + first * n_obs);
  }
  for (size_t i = 0; i < n_obs; i++)
    psi[i * n_obs + i] += p->r_sd[i] * p->r_sd[i];
  sky_free(unit);
  sky_free(u);
  sky_free(q);
}

static void test_million(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior a;
  sky_iterate_report report;
  sky_sparse H;
  make_problem(ctx, &p);
  const size_t m = p.n_state;
  double *W = fixture_new(ctx, ZONES * m);
  for (size_t z = 0; z < ZONES; z++) /* the whole, and five bands */
    for (size_t i = 0; i < m; i++)
      W[z * m + i] = z == 0 || (i % p.n_cell) / side * 5 / side == z - 1;
  const sky_functionals zones = {.n_zone = ZONES, .W = W};
  const sky_iterate_options o = {.tolerance = 1e-6, .skip_trace = true};
  double start = seconds();
  assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
  const double iterating = seconds() - start;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  start = seconds();
  double *psi = fixture_new(ctx, n_obs * n_obs), *d = fixture_new(ctx, n_obs);
  double *QW = fixture_new(ctx, ZONES * m), *Z = fixture_new(ctx, ZONES * n_obs);
  assert_int_equal(sky_sparse_create(ctx, n_obs, m, p.rowptr, p.col, p.val, false, &H), SKY_OK);
  gram(ctx, &p, &H, psi);
  sky_levels_apply(ctx, p.levels, W, ZONES, QW);
  sky_sparse_apply(ctx, &H, QW, ZONES, Z);
  sky_sparse_apply(ctx, &H, p.x0, 1, d);
  for (size_t i = 0; i < n_obs; i++)
    d[i] = p.y[i] - d[i];
  assert_int_equal(sky_cholesky(ctx, n_obs, psi), SKY_OK);
  sky_cholesky_forward_rows(ctx, n_obs, psi, ZONES, Z);
  sky_cholesky_forward_rows(ctx, n_obs, psi, 1, d);
  for (size_t z = 0; z < ZONES; z++) {
    const double prior = sky_dot(W + z * m, QW + z * m, m);
    const double var = prior - sky_dot(Z + z * n_obs, Z + z * n_obs, n_obs), sd = sqrt(var);
    const double total = sky_dot(W + z * m, p.x0, m) + sky_dot(Z + z * n_obs, d, n_obs);
    assert_true(fabs(a.prior_sd[z] - sqrt(prior)) < 1e-10 * sqrt(prior));
    assert_true(fabs(a.total[z] - total) < 2e-6 * sd);
    assert_true(fabs(a.total_sd[z] - sd) < 2e-6 * sd);
    for (size_t k = 0; k < z; k++) {
      const double cov =
          sky_dot(W + k * m, QW + z * m, m) - sky_dot(Z + k * n_obs, Z + z * n_obs, n_obs);
      assert_true(fabs(a.zone_cov[z * ZONES + k] - cov) < 4e-6 * a.total_sd[z] * a.total_sd[k]);
    }
  }
  assert_true(fabs(a.chi2 - sky_dot(d, d, n_obs)) < 1e-5 * a.chi2);
  printf(
      "{\"unknowns\": %zu, \"observations\": %zu, \"zones\": %d, \"basis\": %zu, \"products\": "
      "%zu, \"total_error\": %.3g, \"sd_error\": %.3g, \"iterate_s\": %.2f, \"dual_s\": %.2f, "
      "\"peak_mb\": %.0f}\n",
      m, n_obs, ZONES, report.basis, report.products, report.total_error, report.sd_error,
      iterating, seconds() - start, (double)usage.ru_maxrss / 1e3);
  sky_sparse_free(&H);
  double *all[] = {W, psi, d, QW, Z};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    sky_free(all[i]);
  sky_posterior_free(&a);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(int argc, char **argv) {
  if (argc == 4) {
    side = strtoul(argv[1], NULL, 10);
    times = strtoul(argv[2], NULL, 10);
    n_obs = strtoul(argv[3], NULL, 10);
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_million)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
