/* The profile of the exact solver where covariances end and errors join far observations: against
 * dense formulas, several tiles of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/band_rows.h"
#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/gram.h"
#include "algorithms/inversion/noise.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

enum { CELLS = 41, TIMES = 8, OBS = 450 }; /* cells are odd, observations not in order of time */
#define NOISE_LENGTH 40.0
#define NOISE_SHARE 0.4

static double apart(const void *user, size_t i, size_t j) {
  (void)user;
  return fabs((double)i - (double)j);
}

/* Correlations that end after so many cells and steps; 0: those of the fixture, which never end. */
static void make(sky_context *ctx, double cells, double steps, size_t offsets, sky_problem *p) {
  fixture_problem(ctx, 31, CELLS, TIMES, OBS, offsets, p);
  if (cells > 0)
    sky_correlation_matrix(ctx, (sky_correlation){.kind = SKY_CORR_SPHERICAL}, cells, apart, NULL,
                           p->n_cell, p->E);
  if (steps > 0)
    sky_correlation_matrix(ctx, (sky_correlation){.kind = SKY_CORR_SPHERICAL}, steps, apart, NULL,
                           p->n_time, p->D);
}

static void check_gram(double cells, double steps) {
  sky_context *ctx = fixture_context(3);
  sky_problem p;
  make(ctx, cells, steps, 0, &p);
  const size_t n = p.n_obs, m = p.n_state;
  double *H = fixture_dense_H(ctx, &p), *Q = fixture_dense_Q(ctx, &p, p.x_sd, p.E, p.D);
  double *HQ = fixture_new(ctx, n * m), *want = fixture_new(ctx, n * n);
  double *G = fixture_new(ctx, n * n);
  fixture_multiply(n, m, m, false, H, false, Q, HQ);
  fixture_multiply(n, m, n, false, HQ, true, H, want);
  assert_int_equal(sky_problem_gram(ctx, &p, G), SKY_OK);
  assert_true(fixture_difference(n * n, G, want) < 1e-13);
  size_t zeros = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      assert_true(G[i * n + j] == G[j * n + i]);
      assert_true(want[i * n + j] != 0 || G[i * n + j] == 0);
      zeros += want[i * n + j] == 0;
    }
  assert_true(steps > 0 ? zeros > n * n / 5 : zeros == 0);
  sky_free(H);
  sky_free(Q);
  sky_free(HQ);
  sky_free(want);
  sky_free(G);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* Sums of runs where E is sparse, one product where it is full; windows of time and none. */
static void test_gram(void **state) {
  (void)state;
  const double cells[] = {0, 6}, steps[] = {0, 2};
  for (int k = 0; k < 4; k++)
    check_gram(cells[k % 2], steps[k / 2]);
}

/* What is not joined takes no memory and no time. */
static void test_profile(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  sky_rows r;
  make(ctx, 6, 2, 0, &p);
  assert_int_equal(sky_rows_create(ctx, &p, &r), SKY_OK);
  size_t held = 0;
  for (size_t k = 0; k < r.n; k++) {
    assert_true(r.order[r.place[k]] == k && r.first[k] <= k);
    assert_true(k == 0 || r.first[k] >= r.first[k - 1]);
    held += k - r.first[k];
  }
  assert_int_equal(r.reach, 1);
  assert_true(held < r.n * r.n * 2 / 5); /* of n²/2 */
  sky_rows_free(&r);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* ---- solutions ------------------------------------------------------------------------------- */

/* Errors of every seventh observation go together, so that rows of Ψ begin before those of HQHᵀ. */
static void correlate_noise(sky_context *ctx, sky_problem *p) {
  int32_t overpass[OBS];
  double along[OBS];
  for (size_t i = 0; i < OBS; i++) {
    overpass[i] = (int32_t)(i % 7);
    along[i] = (double)i;
  }
  assert_int_equal(
      sky_track_create(ctx, OBS, overpass, along, NOISE_LENGTH, NOISE_SHARE, &p->track), SKY_OK);
}

static double *dense_noise(sky_context *ctx, const sky_problem *p) {
  double *R = fixture_new(ctx, OBS * OBS);
  for (size_t i = 0; i < OBS; i++)
    for (size_t j = 0; j < OBS; j++) {
      const double rho = i == j           ? 1
                         : i % 7 == j % 7 ? NOISE_SHARE * exp(-apart(NULL, i, j) / NOISE_LENGTH)
                                          : 0;
      R[i * OBS + j] = p->r_sd[i] * p->r_sd[j] * rho;
    }
  return R;
}

static void check_solution(bool correlated) {
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior post;
  fixture_answer want = {0};
  make(ctx, 6, 2, 0, &p);
  const size_t n = p.n_obs, m = p.n_state;
  double *R = fixture_new(ctx, n * n), *a = fixture_new(ctx, m);
  for (size_t i = 0; i < n; i++)
    R[i * n + i] = p.r_sd[i] * p.r_sd[i];
  if (correlated) {
    correlate_noise(ctx, &p);
    sky_free(R);
    R = dense_noise(ctx, &p);
  }
  for (size_t i = 0; i < m; i++)
    a[i] = i % CELLS < 9;
  double *H = fixture_dense_H(ctx, &p), *Q = fixture_dense_Q(ctx, &p, p.x_sd, p.E, p.D);
  fixture_solve(ctx, n, m, H, Q, R, p.y, p.x0, &want);
  const sky_functionals zone = {.n_zone = 1, .W = a};
  assert_int_equal(sky_problem_solve(ctx, &p, &zone, &post), SKY_OK);
  double dofs = 0, inside = 0, var = 0;
  for (size_t i = 0; i < m; i++) {
    assert_true(fabs(post.sd[i] - sqrt(want.P[i * (m + 1)])) < 1e-11);
    assert_true(fabs(post.ak[i] - want.A[i * (m + 1)]) < 1e-11);
    dofs += want.A[i * (m + 1)];
    inside += a[i] * want.A[i * (m + 1)];
    for (size_t j = 0; j < m; j++)
      var += a[i] * want.P[i * m + j] * a[j];
  }
  assert_true(fixture_difference(m, post.x, want.x) < 1e-11);
  assert_true(fixture_near(post.dofs, dofs, 1e-12));
  assert_true(fixture_near(post.zone_dofs[0], inside, 1e-11));
  assert_true(fixture_near(post.total_sd[0], sqrt(var), 1e-10));
  assert_true(fixture_near(post.chi2, want.chi2, 1e-11));
  sky_posterior_free(&post);
  fixture_answer_free(&want);
  sky_free(H);
  sky_free(Q);
  sky_free(R);
  sky_free(a);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_solution(void **state) {
  (void)state;
  check_solution(false);
  check_solution(true);
}

/* Totals without maps are those with maps, bit by bit; what is left out is NaN. */
static void check_totals(bool whole) {
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior with, without;
  make(ctx, 6, 2, 3, &p);
  const size_t n = p.n_obs, m = p.n_state;
  double *W = fixture_new(ctx, 2 * m);
  for (size_t i = 0; i < m; i++) {
    W[i] = 1;
    W[m + i] = whole ? 2.5 : i % 3 == 0;
  }
  sky_functionals zones = {.n_zone = 2, .W = W};
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &with), SKY_OK);
  const double maps = sky_problem_bytes(&p, &zones);
  zones.totals_only = true;
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &without), SKY_OK);
  assert_true(sky_problem_bytes(&p, &zones) <= maps);
#define SAME(field, count) \
  assert_memory_equal(with.field, without.field, (count) * sizeof *with.field)
  SAME(x, m);
  SAME(b, 3);
  SAME(b_post_sd, 3);
  SAME(residual, n);
  SAME(total, 2);
  SAME(total_sd, 2);
  SAME(zone_cov, 4);
  SAME(zone_A, 2 * m);
  SAME(zone_noise_var, 2);
#undef SAME
  assert_true(with.dofs == without.dofs && with.neg_log_evidence == without.neg_log_evidence);
  for (size_t i = 0; i < m; i++)
    assert_true(isnan(without.sd[i]) && isnan(without.ak[i]) == whole);
  for (size_t z = 0; z < 2; z++)
    assert_true(fixture_near(without.zone_dofs[z], with.zone_dofs[z], whole ? 1e-12 : 0));
  sky_posterior_free(&with);
  sky_posterior_free(&without);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_totals_only(void **state) {
  (void)state;
  check_totals(true);
  check_totals(false);
}

/* ---- triangular solves ----------------------------------------------------------------------- */

static void test_band_rows(void **state) {
  (void)state;
  enum { ROWS = 130 };
  sky_context *ctx = fixture_context(3);
  sky_band b;
  size_t first[OBS];
  for (size_t i = 0; i < OBS; i++)
    first[i] = i > 230 ? i - 230 : 0;
  assert_int_equal(sky_band_create(ctx, OBS, first, 0, &b), SKY_OK);
  for (size_t i = 0; i < OBS; i++)
    for (size_t j = first[i]; j <= i; j++)
      *sky_band_element(&b, i, j) = i == j ? 40 : sky_rng_uniform(5, i, j) - 0.5;
  assert_int_equal(sky_band_cholesky(ctx, &b), SKY_OK);
  double *X = fixture_new(ctx, ROWS * OBS), *late = fixture_new(ctx, ROWS * OBS);
  double *want = fixture_new(ctx, ROWS * OBS);
  for (size_t k = 0; k < ROWS; k++)
    for (size_t i = 200; i < OBS; i++)
      want[i * ROWS + k] = X[k * OBS + i] = late[k * OBS + i] = sky_rng_normal(6, k, i);
  sky_band_solve(&b, ROWS, want);
  sky_band_forward_rows(ctx, &b, ROWS, 0, X);
  sky_band_forward_rows(ctx, &b, ROWS, 200, late);
  assert_true(fixture_difference(ROWS * OBS, late, X) < 1e-15);
  sky_band_backward_rows(ctx, &b, ROWS, X);
  for (size_t k = 0; k < ROWS; k++)
    for (size_t i = 0; i < OBS; i++)
      assert_true(fabs(X[k * OBS + i] - want[i * ROWS + k]) < 1e-14);
  sky_free(X);
  sky_free(late);
  sky_free(want);
  sky_band_free(&b);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gram), cmocka_unit_test(test_profile), cmocka_unit_test(test_solution),
      cmocka_unit_test(test_totals_only), cmocka_unit_test(test_band_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
