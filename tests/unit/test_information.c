/* The information form: equal to the observation-space solver, to a stored inversion, to itself in
 * other units; and the null variance of a zone under regularisation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture_problem.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/nc.h"

static bool near(double a, double b, double relative) {
  return fabs(a - b) <= relative * fabs(b);
}

typedef struct normal { /* F = HᵀR⁻¹H, g = HᵀR⁻¹(y - Hx0) of a fixture problem with D = E = I */
  sky_problem p;
  double *F, *g, *H, *Q;
} normal;

static void normal_build(sky_context *ctx, uint64_t seed, normal *out) {
  sky_problem *p = &out->p;
  fixture_problem(ctx, seed, 7, 3, 19, 0, p);
  for (size_t i = 0; i < p->n_cell * p->n_cell; i++)
    p->E[i] = i % (p->n_cell + 1) == 0;
  for (size_t i = 0; i < p->n_time * p->n_time; i++)
    p->D[i] = i % (p->n_time + 1) == 0;
  const size_t n = p->n_obs, m = p->n_state;
  double *weighted = fixture_new(ctx, n * m), *d = fixture_new(ctx, n);
  out->H = fixture_dense_H(ctx, p);
  out->Q = fixture_dense_Q(ctx, p, p->x_sd, p->E, p->D);
  out->F = fixture_new(ctx, m * m);
  out->g = fixture_new(ctx, m);
  fixture_multiply(n, m, 1, false, out->H, false, p->x0, d);
  for (size_t i = 0; i < n; i++) {
    d[i] = p->y[i] - d[i];
    for (size_t j = 0; j < m; j++)
      weighted[i * m + j] = out->H[i * m + j] / (p->r_sd[i] * p->r_sd[i]);
  }
  fixture_multiply(m, n, m, true, out->H, false, weighted, out->F);
  fixture_multiply(m, n, 1, true, weighted, false, d, out->g);
  sky_free(weighted);
  sky_free(d);
}

static void normal_free(normal *o) {
  sky_problem_free(&o->p);
  sky_free(o->F);
  sky_free(o->g);
  sky_free(o->H);
  sky_free(o->Q);
}

static sky_information_problem information(const normal *o, double gamma) {
  return (sky_information_problem){o->p.n_state, o->F, o->g, o->p.x0, o->p.x_sd, gamma};
}

/* Primal (normal equations) = dual (observation space), with γ as R/γ. */
static void check_primal_dual(double gamma) {
  sky_context *ctx = fixture_context(2);
  normal o;
  normal_build(ctx, 31, &o);
  const size_t m = o.p.n_state;
  double *W = fixture_new(ctx, 2 * m), *inv_sd = fixture_new(ctx, m), *inv_E = fixture_new(ctx, 49);
  for (size_t i = 0; i < m; i++) {
    W[i] = 1;
    W[m + i] = i < 9 ? 0.5 : 0;
    inv_sd[i] = 0.3 + 0.2 * (double)(i % 4);
  }
  for (size_t i = 0; i < 49; i++)
    inv_E[i] = i % 8 == 0;
  sky_functionals zones = {.n_zone = 2, .W = W, .inventory_sd = inv_sd};
  const sky_information_problem info = information(&o, gamma);
  sky_posterior primal, dual;
  assert_int_equal(sky_information_solve(ctx, &info, &zones, NULL, NULL, &primal), SKY_OK);
  for (size_t i = 0; i < o.p.n_obs; i++)
    o.p.r_sd[i] /= sqrt(gamma);
  zones.inventory_E = inv_E;
  assert_int_equal(sky_problem_solve(ctx, &o.p, &zones, &dual), SKY_OK);
  for (size_t i = 0; i < m; i++) {
    assert_true(near(primal.x[i], dual.x[i], 1e-10));
    assert_true(near(primal.sd[i], dual.sd[i], 1e-10));
    assert_true(fabs(primal.ak[i] - dual.ak[i]) < 1e-10);
  }
  assert_true(near(primal.dofs, dual.dofs, 1e-10));
  assert_true(near(primal.jb, dual.jb, 1e-10));
  assert_true(isnan(primal.chi2) && isnan(primal.jo) && isnan(primal.neg_log_evidence));
  for (size_t z = 0; z < 2; z++) {
    assert_true(near(primal.total[z], dual.total[z], 1e-10));
    assert_true(near(primal.total_sd[z], dual.total_sd[z], 1e-10));
    assert_true(near(primal.prior_sd[z], dual.prior_sd[z], 1e-12));
    assert_true(near(primal.zone_dofs[z], dual.zone_dofs[z], 1e-10));
    assert_true(near(primal.zone_reduction[z], dual.zone_reduction[z], 1e-10));
    assert_true(near(primal.zone_sensitivity[z], dual.zone_sensitivity[z], 1e-10));
    assert_true(near(primal.zone_noise_var[z], dual.zone_noise_var[z], 1e-10));
    assert_true(near(primal.zone_inventory_var[z], dual.zone_inventory_var[z], 1e-10));
    assert_true(near(primal.zone_detectable[z], dual.zone_detectable[z], 1e-10));
    for (size_t q = 0; q < 2; q++)
      assert_true(fabs(primal.zone_cov[2 * z + q] - dual.zone_cov[2 * z + q]) < 1e-10);
    for (size_t i = 0; i < m; i++)
      assert_true(fabs(primal.zone_A[z * m + i] - dual.zone_A[z * m + i]) < 1e-10);
  }
  sky_posterior_free(&primal);
  sky_posterior_free(&dual);
  sky_free(W);
  sky_free(inv_sd);
  sky_free(inv_E);
  normal_free(&o);
  sky_context_free(ctx);
}

static void test_primal_is_dual(void **state) {
  (void)state;
  check_primal_dual(1);
  check_primal_dual(0.3);
}

/* B_inv = B_used: A Sa Aᵀ + γSFS = Sa - S for every γ. The other reading of γ (noise γ²SFS, R = So)
 * breaks the identity: negative control. */
static void test_regularised_null_variance(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  normal o;
  normal_build(ctx, 32, &o);
  double *W = fixture_new(ctx, o.p.n_state);
  for (size_t i = 0; i < o.p.n_state; i++)
    W[i] = 1;
  const sky_functionals zones = {.n_zone = 1, .W = W};
  const double gammas[] = {0.2, 1, 4};
  for (size_t k = 0; k < 3; k++) {
    const sky_information_problem info = information(&o, gammas[k]);
    sky_posterior post;
    assert_int_equal(sky_information_solve(ctx, &info, &zones, NULL, NULL, &post), SKY_OK);
    const double want = pow(post.prior_sd[0], 2) - pow(post.total_sd[0], 2);
    assert_true(near(pow(post.zone_null_sd[0], 2), want, 1e-11));
    const double other = post.zone_inventory_var[0] + gammas[k] * post.zone_noise_var[0];
    assert_true(gammas[k] == 1 || !near(other, want, 0.01));
    sky_posterior_free(&post);
  }
  sky_free(W);
  normal_free(&o);
  sky_context_free(ctx);
}

/* An element in other units: x_i -> c x_i, so F_ij -> F_ij/c, g_i -> g_i/c. */
static void test_units(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  normal o;
  normal_build(ctx, 33, &o);
  const size_t m = o.p.n_state;
  const sky_information_problem info = information(&o, 1);
  sky_posterior a, b;
  assert_int_equal(sky_information_solve(ctx, &info, NULL, NULL, NULL, &a), SKY_OK);
  for (size_t i = 0; i < m; i++) {
    const double c = i % 2 == 0 ? 1e-9 : 1e6;
    o.g[i] /= c;
    o.p.x0[i] *= c;
    o.p.x_sd[i] *= c;
    for (size_t j = 0; j < m; j++) {
      o.F[i * m + j] /= c;
      o.F[j * m + i] /= c;
    }
  }
  assert_int_equal(sky_information_solve(ctx, &info, NULL, NULL, NULL, &b), SKY_OK);
  for (size_t i = 0; i < m; i++) {
    const double c = i % 2 == 0 ? 1e-9 : 1e6;
    assert_true(near(b.x[i], c * a.x[i], 1e-11));
    assert_true(near(b.sd[i], c * a.sd[i], 1e-11));
  }
  assert_true(near(b.dofs, a.dofs, 1e-11));
  assert_true(near(b.jb, a.jb, 1e-11));
  sky_posterior_free(&a);
  sky_posterior_free(&b);
  normal_free(&o);
  sky_context_free(ctx);
}

static void test_fixed_element_stays(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  normal o;
  normal_build(ctx, 34, &o);
  o.p.x_sd[4] = 0;
  const sky_information_problem info = information(&o, 1);
  sky_posterior post;
  assert_int_equal(sky_information_solve(ctx, &info, NULL, NULL, NULL, &post), SKY_OK);
  assert_true(post.x[4] == o.p.x0[4] && post.sd[4] == 0 && post.ak[4] == 0);
  sky_posterior_free(&post);
  normal_free(&o);
  sky_context_free(ctx);
}

static void expect_failure(sky_context *ctx, const sky_information_problem *p, sky_status want,
                           const char *text) {
  sky_posterior post;
  assert_int_equal(sky_information_solve(ctx, p, NULL, NULL, NULL, &post), want);
  assert_non_null(strstr(sky_error(ctx), text));
  assert_null(post.x);
}

static void test_bad_problems(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  normal o;
  normal_build(ctx, 35, &o);
  sky_information_problem info = information(&o, 0);
  expect_failure(ctx, &info, SKY_E_RANGE, "gamma");
  info.gamma = 1;
  o.g[2] = NAN;
  expect_failure(ctx, &info, SKY_E_RANGE, "element 2");
  o.g[2] = 0;
  const double f = o.F[1];
  o.F[1] += 0.01 * o.F[0];
  expect_failure(ctx, &info, SKY_E_RANGE, "symmetric");
  o.F[1] = NAN;
  expect_failure(ctx, &info, SKY_E_RANGE, "symmetric");
  o.F[1] = f;
  o.F[0] = -1e3; /* no information is negative */
  expect_failure(ctx, &info, SKY_E_NOT_SPD, "pivot");
  info.n = 0;
  expect_failure(ctx, &info, SKY_E_NODATA, "no state elements");
  info.n = o.p.n_state;
  sky_context_set_memory(ctx, 1000);
  expect_failure(ctx, &info, SKY_E_NOMEM, "budget");
  normal_free(&o);
  sky_context_free(ctx);
}

static void test_every_allocation_fails(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  normal o;
  normal_build(ctx, 36, &o);
  double *W = fixture_new(ctx, o.p.n_state);
  const sky_functionals zones = {.n_zone = 1, .W = W};
  const sky_information_problem info = information(&o, 1);
  sky_status st = SKY_E_NOMEM;
  int failures = 0;
  for (uint64_t nth = 1; st == SKY_E_NOMEM; nth++) {
    sky_posterior post;
    sky_memory_fail_at(ctx, nth);
    st = sky_information_solve(ctx, &info, &zones, NULL, NULL, &post);
    if (st == SKY_OK) sky_posterior_free(&post);
    failures += st == SKY_E_NOMEM;
  }
  assert_int_equal(st, SKY_OK);
  assert_true(failures > 20);
  sky_memory_fail_at(ctx, 0);
  sky_free(W);
  normal_free(&o);
  sky_context_free(ctx);
}

/* ---- a stored inversion of real TROPOMI information ----------------------------------------- */

#define STORED SKYFLUX_DATA "/data/imi_permian_testcase/inversion_result.nc"

static double *stored(sky_context *ctx, sky_nc *f, const char *name, size_t count) {
  double *v = NULL;
  sky_nc_var info;
  assert_int_equal(sky_nc_info(ctx, f, name, &info), SKY_OK);
  assert_int_equal(info.count, count);
  assert_int_equal(sky_nc_read(ctx, f, name, &info, &v), SKY_OK);
  return v;
}

static double absolute_difference(size_t n, const double *a, const double *b) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    if (!(fabs(a[i] - b[i]) <= most)) most = fabs(a[i] - b[i]);
  return most;
}

static void test_stored_inversion(void **state) {
  (void)state;
  enum { N = 27, EMISSIONS = 23 };
  if (!sky_file_exists(STORED)) {
    print_message("skipped: %s is not there\n", STORED);
    skip();
  }
  sky_context *ctx = fixture_context(2);
  sky_nc *f = NULL;
  assert_int_equal(sky_nc_open(ctx, STORED, &f), SKY_OK);
  double *F = stored(ctx, f, "KTinvSoK", N * N), *g = stored(ctx, f, "KTinvSoyKxA", N);
  double *xhat = stored(ctx, f, "xhat", N), *S = stored(ctx, f, "S_post", N * N);
  double *A = stored(ctx, f, "A", N * N), x0[N], x_sd[N], cov[N * N], kernel[N * N];
  for (int i = 0; i < N; i++) {
    x0[i] = i < EMISSIONS;
    x_sd[i] = i < EMISSIONS ? sqrt(0.25) : sqrt(100); /* Sa = 0.25, boundary 100 ppb² */
  }
  const sky_information_problem info = {N, F, g, x0, x_sd, 1};
  sky_posterior post;
  assert_int_equal(sky_information_solve(ctx, &info, NULL, cov, kernel, &post), SKY_OK);
  assert_true(absolute_difference(N, post.x, xhat) < 1e-12);
  assert_true(fixture_difference(N * N, cov, S) < 1e-12);
  assert_true(absolute_difference(N * N, kernel, A) < 1e-12);
  assert_true(fabs(post.dofs - 5.290560408954519) < 1e-12);
  sky_posterior_free(&post);
  /* negative control: without the boundary's own prior the trace is another one */
  for (int i = EMISSIONS; i < N; i++)
    x_sd[i] = 0.5;
  assert_int_equal(sky_information_solve(ctx, &info, NULL, NULL, NULL, &post), SKY_OK);
  assert_true(fabs(post.dofs - 5.290560408954519) > 0.1);
  sky_posterior_free(&post);
  sky_free(F);
  sky_free(g);
  sky_free(xhat);
  sky_free(S);
  sky_free(A);
  sky_nc_close(f);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_primal_is_dual),  cmocka_unit_test(test_regularised_null_variance),
      cmocka_unit_test(test_units),           cmocka_unit_test(test_fixed_element_stays),
      cmocka_unit_test(test_bad_problems),    cmocka_unit_test(test_every_allocation_fails),
      cmocka_unit_test(test_stored_inversion)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
