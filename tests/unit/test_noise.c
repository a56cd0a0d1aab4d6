/* Errors correlated along tracks: every product against the dense matrix, the solvers with them
 * against textbook formulas with a dense R. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/bounded.h"
#include "algorithms/inversion/control.h"
#include "algorithms/inversion/hyper.h"
#include "algorithms/inversion/iterate.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/robust.h"
#include "algorithms/inversion/select.h"
#include "algorithms/inversion/smoother.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

enum { CELLS = 9, TIMES = 4, OBS = 40, OFFSETS = 2, STATE = CELLS * TIMES };

typedef struct bed {
  sky_context *ctx;
  int32_t overpass[OBS];
  double along[OBS], R[OBS * OBS];
  sky_problem p;
} bed;

/* Three overpasses, places out of order; R by its definition. */
static void make_bed(bed *b, double share) {
  const double length = 12;
  memset(b, 0, sizeof *b);
  b->ctx = fixture_context(2);
  fixture_problem(b->ctx, 5, CELLS, TIMES, OBS, OFFSETS, &b->p);
  for (size_t i = 0; i < OBS; i++) {
    b->overpass[i] = (int32_t)(i * 7 % 3);
    b->along[i] = 100 * sky_rng_uniform(8, 0, i);
  }
  if (share < 1) b->along[7] = b->along[10]; /* the same place of one overpass */
  assert_int_equal(sky_track_create(b->ctx, OBS, b->overpass, b->along, length, share, &b->p.track),
                   SKY_OK);
  for (size_t i = 0; i < OBS; i++)
    for (size_t j = 0; j < OBS; j++) {
      const double rho = i == j ? 1
                         : b->overpass[i] != b->overpass[j]
                             ? 0
                             : share * exp(-fabs(b->along[i] - b->along[j]) / length);
      b->R[i * OBS + j] = rho * b->p.r_sd[i] * b->p.r_sd[j];
    }
}

static void free_bed(bed *b) {
  sky_problem_free(&b->p);
  sky_context_free(b->ctx);
}

static double logdet_of(const double *A) {
  double *L = NULL, sum = 0;
  sky_context *ctx = fixture_context(1);
  L = fixture_new(ctx, OBS * OBS);
  memcpy(L, A, OBS * OBS * sizeof *L);
  for (size_t k = 0; k < OBS; k++) { /* plain elimination */
    sum += log(L[k * OBS + k]);
    for (size_t i = k + 1; i < OBS; i++) {
      const double f = L[i * OBS + k] / L[k * OBS + k];
      for (size_t j = k; j < OBS; j++)
        L[i * OBS + j] -= f * L[k * OBS + j];
    }
  }
  sky_free(L);
  sky_context_free(ctx);
  return sum;
}

/* Every observation its own share, and R by its definition. */
static void dilute(bed *b) {
  double share[OBS];
  for (size_t i = 0; i < OBS; i++)
    share[i] = 0.05 + 0.9 * sky_rng_uniform(9, 0, i);
  assert_int_equal(sky_track_dilute(b->ctx, b->p.track, share), SKY_OK);
  for (size_t i = 0; i < OBS; i++)
    for (size_t j = 0; j < OBS; j++)
      if (i != j) b->R[i * OBS + j] *= sqrt(share[i] * share[j]) / 0.7;
}

static void test_products(void **state) {
  (void)state;
  for (int variant = 0; variant < 3; variant++) {
    bed b;
    make_bed(&b, variant == 0 ? 1 : 0.7);
    if (variant == 2) dilute(&b);
    const sky_noise r = sky_problem_noise(&b.p);
    double C[OBS * OBS], back[OBS * OBS], inverse[OBS * OBS], want[OBS * OBS], row[OBS], v[OBS];
    for (size_t k = 0; k < OBS; k++) { /* columns of R^½ as rows of C */
      memset(C + k * OBS, 0, OBS * sizeof *C);
      C[k * OBS + k] = 1;
      sky_noise_colour(&r, C + k * OBS);
    }
    fixture_multiply(OBS, OBS, OBS, true, C, false, C, back);
    assert_true(fixture_difference(OBS * OBS, back, b.R) < 1e-14);
    for (size_t k = 0; k < OBS; k++) { /* columns of R^½ᵀ are rows of R^½ */
      memset(row, 0, sizeof row);
      row[k] = 1;
      sky_noise_colour_transposed(&r, row);
      for (size_t i = 0; i < OBS; i++)
        assert_true(fabs(row[i] - C[i * OBS + k]) < 1e-14);
    }
    for (size_t k = 0; k < OBS; k++) { /* R^-½ R^½ = 1; columns of R⁻¹ */
      memcpy(row, C + k * OBS, sizeof row);
      sky_noise_whiten(&r, row);
      for (size_t i = 0; i < OBS; i++)
        assert_true(fabs(row[i] - (i == k)) < 1e-13);
      memset(inverse + k * OBS, 0, OBS * sizeof *inverse);
      inverse[k * OBS + k] = 1;
      sky_noise_whiten(&r, inverse + k * OBS);
      sky_noise_whiten_transposed(&r, inverse + k * OBS);
    }
    fixture_inverse(OBS, b.R, want);
    assert_true(fixture_difference(OBS * OBS, inverse, want) < 1e-12);
    assert_true(fabs(sky_noise_logdet(&r) - logdet_of(b.R)) < 1e-11);
    double variance = 0, sum;
    for (size_t i = 0; i < OBS; i++)
      v[i] = sky_rng_normal(2, 2, i);
    for (size_t i = 0; i < OBS; i++) {
      sum = 0;
      for (size_t j = 0; j < OBS; j++) {
        sum += b.R[i * OBS + j] * v[j];
        assert_true(fabs(sky_noise_element(&r, i, j) - b.R[i * OBS + j]) < 1e-15);
      }
      assert_true(fabs(sky_noise_row(&r, i, v) - sum) < 1e-14);
      variance += v[i] * sum;
      memset(row, 0, sizeof row);
      sky_noise_covariance(&r, i, row);
      for (size_t j = 0; j < OBS; j++)
        assert_true(fabs(row[j] - (j <= i ? b.R[i * OBS + j] : 0)) < 1e-15);
    }
    assert_true(fabs(sky_noise_variance(&r, v, 1) - variance) < 1e-13 * variance);
    free_bed(&b);
  }
}

/* Shared 1: the precision is tridiagonal along the track, the exact inverse of AR(1). */
static void test_tridiagonal(void **state) {
  (void)state;
  enum { N = 8 };
  sky_context *ctx = fixture_context(1);
  int32_t overpass[N] = {0};
  double along[N], sd[N], v[N];
  for (size_t i = 0; i < N; i++) {
    along[i] = (double)i * 5;
    sd[i] = 1;
  }
  sky_noise r = {N, sd, NULL};
  sky_track *track;
  assert_int_equal(sky_track_create(ctx, N, overpass, along, 12, 1, &track), SKY_OK);
  r.track = track;
  const double rho = exp(-5.0 / 12), scale = 1 / (1 - rho * rho);
  for (size_t k = 0; k < N; k++) {
    memset(v, 0, sizeof v);
    v[k] = 1;
    sky_noise_whiten(&r, v);
    sky_noise_whiten_transposed(&r, v);
    for (size_t i = 0; i < N; i++) {
      const size_t far = i > k ? i - k : k - i;
      const double want = far == 0   ? scale * (k == 0 || k == N - 1 ? 1 : 1 + rho * rho)
                          : far == 1 ? -scale * rho
                                     : 0;
      assert_true(fabs(v[i] - want) < 1e-14);
    }
  }
  assert_true(fabs(sky_noise_logdet(&r) - (N - 1) * log(1 - rho * rho)) < 1e-13);
  sky_track_free(track);
  sky_context_free(ctx);
}

static void dense_answer(bed *b, double *y, fixture_answer *out) {
  double *H = fixture_dense_H(b->ctx, &b->p);
  double *Q = fixture_dense_Q(b->ctx, &b->p, b->p.x_sd, b->p.E, b->p.D);
  double R[OBS * OBS];
  memcpy(R, b->R, sizeof R);
  for (size_t i = 0; i < OBS; i++) { /* offsets are noise of a known covariance */
    const int32_t g = b->p.group[i];
    y[i] = b->p.y[i] - (g >= 0 ? b->p.b0[g] : 0);
    for (size_t j = 0; j < OBS; j++)
      if (g >= 0 && b->p.group[j] == g) R[i * OBS + j] += b->p.b_sd[g] * b->p.b_sd[g];
  }
  fixture_solve(b->ctx, OBS, STATE, H, Q, R, y, b->p.x0, out);
  sky_free(H);
  sky_free(Q);
}

/* Exact solver, bounded mode with bounds that nothing reaches, and the control variable. */
static void test_solvers(void **state) {
  (void)state;
  bed b;
  make_bed(&b, 0.8);
  double y[OBS], lower[STATE], upper[STATE], W[STATE];
  fixture_answer want;
  sky_posterior post;
  sky_bounded bounded;
  dense_answer(&b, y, &want);
  for (size_t i = 0; i < STATE; i++) {
    lower[i] = -1e6;
    upper[i] = 1e6;
    W[i] = i % 2 == 0;
  }
  const sky_functionals zones = {.n_zone = 1, .W = W};
  assert_int_equal(sky_problem_solve(b.ctx, &b.p, &zones, &post), SKY_OK);
  assert_true(fixture_difference(STATE, post.x, want.x) < 1e-11);
  double dofs = 0, noise = 0, k[OBS] = {0};
  for (size_t i = 0; i < STATE; i++) {
    assert_true(fabs(post.sd[i] - sqrt(want.P[i * STATE + i])) < 1e-11);
    dofs += want.A[i * STATE + i];
    for (size_t j = 0; j < OBS; j++)
      k[j] += W[i] * want.K[i * OBS + j];
  }
  for (size_t i = 0; i < OBS; i++)
    for (size_t j = 0; j < OBS; j++)
      noise += k[i] * k[j] *
               (b.R[i * OBS + j] + (b.p.group[i] >= 0 && b.p.group[i] == b.p.group[j]
                                        ? b.p.b_sd[b.p.group[i]] * b.p.b_sd[b.p.group[i]]
                                        : 0));
  assert_true(fabs(post.dofs - dofs) < 1e-11 * dofs);
  assert_true(fabs(post.zone_noise_var[0] - noise) < 1e-11 * noise);
  assert_true(fabs(post.chi2 - want.chi2) < 1e-11 * want.chi2);
  assert_true(fabs(post.jb + post.jo - post.chi2) < 1e-11 * post.chi2);
  const double evidence = 0.5 * (want.chi2 + logdet_of(want.psi) + OBS * log(2 * acos(-1.0)));
  assert_true(fabs(post.neg_log_evidence - evidence) < 1e-11 * evidence);
  for (int digits = 1; digits <= 6;
       digits += 5) { /* the iteration: whole, and stopped at its tolerance */
    sky_posterior a;
    sky_iterate_report report;
    const sky_iterate_options o = {.tolerance = pow(10, -digits),
                                   .complete = digits == 6 ? OBS : 0};
    assert_int_equal(sky_problem_iterate(b.ctx, &b.p, &zones, &o, &a, &report), SKY_OK);
    assert_true(report.complete == (digits == 6));
    const double error = report.total_error * post.total_sd[0] + 1e-9;
    assert_true(fabs(a.total[0] - post.total[0]) <= error);
    assert_true(fabs(a.total_sd[0] / post.total_sd[0] - 1) <= report.sd_error + 1e-9);
    if (report.complete)
      assert_true(fabs(a.neg_log_evidence - evidence) < 1e-10 * evidence);
    else
      assert_true(report.basis < OBS);
    sky_posterior_free(&a);
  }
  assert_int_equal(sky_bounded_solve(b.ctx, &b.p, lower, upper, &bounded), SKY_OK);
  assert_true(fixture_difference(STATE, bounded.x, want.x) < 1e-10);
  assert_true(bounded.kkt_residual < 1e-10);
  assert_true(fabs(bounded.jo - post.jo) < 1e-9 * post.jo);
  assert_true(fabs(bounded.jb - post.jb) < 1e-9 * post.jb);
  sky_bounded_free(&bounded);
  sky_posterior_free(&post);
  fixture_answer_free(&want);
  free_bed(&b);
}

static void test_control(void **state) {
  (void)state;
  enum { ALL = STATE + OFFSETS };
  bed b;
  make_bed(&b, 0.8);
  sky_control c;
  double inverse[OBS * OBS], v[ALL], e[OBS], r[OBS], g[ALL], cost = 0;
  double *H = fixture_new(b.ctx, OBS * ALL), *part = fixture_dense_H(b.ctx, &b.p);
  double *RH = fixture_new(b.ctx, OBS * ALL), *F = fixture_new(b.ctx, ALL * ALL);
  for (size_t i = 0; i < OBS; i++) {
    memcpy(H + i * ALL, part + i * STATE, STATE * sizeof *H);
    if (b.p.group[i] >= 0) H[i * ALL + STATE + (size_t)b.p.group[i]] = 1;
  }
  fixture_inverse(OBS, b.R, inverse);
  fixture_multiply(OBS, OBS, ALL, false, inverse, false, H, RH);
  fixture_multiply(ALL, OBS, ALL, true, H, false, RH, F);
  assert_int_equal(sky_control_build(b.ctx, &b.p, NULL, &c), SKY_OK);
  assert_true(fixture_difference(ALL * ALL, c.F, F) < 1e-12);
  for (size_t i = 0; i < ALL; i++)
    v[i] = 1 + sky_rng_normal(3, 3, i);
  for (size_t i = 0; i < OBS; i++) {
    e[i] = b.p.y[i];
    for (size_t j = 0; j < ALL; j++)
      e[i] -= H[i * ALL + j] * v[j];
  }
  for (size_t i = 0; i < OBS; i++)
    for (size_t j = 0; j < OBS; j++)
      cost += e[i] * inverse[i * OBS + j] * e[j];
  assert_true(fabs(sky_control_residual(&b.p, v, r) - cost) < 1e-12 * cost);
  sky_control_adjoint(&b.p, r, g);
  fixture_multiply(ALL, OBS, 1, true, RH, false, e, v);
  assert_true(fixture_difference(ALL, g, v) < 1e-12);
  double *all[] = {H, part, RH, F};
  for (size_t i = 0; i < 4; i++)
    sky_free(all[i]);
  sky_control_free(&c);
  free_bed(&b);
}

/* The slope of the likelihood along log σ_r of one sensor, two of which share every track. */
static void test_slope(void **state) {
  (void)state;
  bed b;
  make_bed(&b, 0.8);
  int32_t sensor[OBS];
  for (size_t i = 0; i < OBS; i++)
    sensor[i] = i % 4 == 1;
  const sky_hyper_choice choice = {.sigma_r = true, .n_sensor = 2, .sensor = sensor};
  double theta[2] = {0.1, -0.2}, gradient[2], fisher[4], low, high;
  assert_int_equal(sky_hyper_evaluate(b.ctx, &b.p, &choice, theta, &low, gradient, fisher), SKY_OK);
  for (size_t k = 0; k < 2; k++) {
    const double step = 1e-5, at = theta[k];
    theta[k] = at - step;
    assert_int_equal(sky_hyper_evaluate(b.ctx, &b.p, &choice, theta, &low, NULL, NULL), SKY_OK);
    theta[k] = at + step;
    assert_int_equal(sky_hyper_evaluate(b.ctx, &b.p, &choice, theta, &high, NULL, NULL), SKY_OK);
    theta[k] = at;
    assert_true(fabs((high - low) / (2 * step) - gradient[k]) < 1e-6 * (1 + fabs(gradient[k])));
  }
  free_bed(&b);
}

static void test_selection(void **state) {
  (void)state;
  bed b;
  sky_problem part;
  make_bed(&b, 0.7);
  const size_t index[] = {1, 2, 7, 10, 11, 22, 31};
  const size_t n = sizeof index / sizeof index[0];
  assert_int_equal(sky_problem_select(b.ctx, &b.p, n, index, &part), SKY_OK);
  const sky_noise r = sky_problem_noise(&part);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      assert_true(fabs(sky_noise_element(&r, i, j) - b.R[index[i] * OBS + index[j]]) < 1e-15);
  sky_selection_free(&part);
  free_bed(&b);
}

static void test_refusals(void **state) {
  (void)state;
  bed b;
  make_bed(&b, 0.7);
  sky_track *t;
  double x[STATE], sd_x[STATE];
  size_t changed, rounds;
  b.along[7] = b.along[10];
  const struct {
    double length, share;
    const char *word;
  } bad[] = {{0, 1, "r_length 0"},
             {NAN, 1, "r_length"},
             {5, 0, "r_share 0"},
             {5, 1.5, "r_share 1.5"},
             {5, 1, "one place"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(
        sky_track_create(b.ctx, OBS, b.overpass, b.along, bad[i].length, bad[i].share, &t),
        SKY_E_RANGE);
    assert_non_null(strstr(sky_error(b.ctx), bad[i].word));
    sky_error_clear(b.ctx);
  }
  b.p.n_background = 0;
  assert_int_equal(sky_smoother_solve(b.ctx, &b.p, TIMES - 1, false, x, sd_x), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(b.ctx), "of one track are of the steps"));
  b.p.n_background = OFFSETS;
  free_bed(&b);
  make_bed(&b, 1);
  assert_int_equal(sky_huber_apply(b.ctx, 1.5, NULL, &b.p, &changed, &rounds), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(b.ctx), "huber: the error of observation 0 is all correlated"));
  free_bed(&b);
}

/* An outlier's sd grows and its share falls, so that the correlated part is as it was; p is
 * untouched by a failure. */
static void test_huber(void **state) {
  (void)state;
  bed b;
  make_bed(&b, 0.7);
  double before[OBS], y = b.p.y[3];
  size_t changed, rounds;
  sky_status st = SKY_E_NOMEM;
  memcpy(before, b.p.r_sd, sizeof before);
  b.p.y[3] += 30 * b.p.r_sd[3];
  for (uint64_t nth = 1; st == SKY_E_NOMEM && nth < 300; nth++) {
    sky_memory_fail_at(b.ctx, nth);
    st = sky_huber_apply(b.ctx, 1.5, NULL, &b.p, &changed, &rounds);
    if (st != SKY_OK) assert_memory_equal(before, b.p.r_sd, sizeof before);
  }
  sky_memory_fail_at(b.ctx, 0);
  assert_int_equal(st, SKY_OK);
  assert_true(changed >= 1 && b.p.r_sd[3] > 2 * before[3]);
  const sky_noise r = sky_problem_noise(&b.p);
  for (size_t i = 0; i < OBS; i++)
    for (size_t j = 0; j < i; j++)
      assert_true(fabs(sky_noise_element(&r, i, j) - b.R[i * OBS + j]) < 1e-15);
  b.p.y[3] = y;
  free_bed(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_products), cmocka_unit_test(test_tridiagonal),
      cmocka_unit_test(test_solvers),  cmocka_unit_test(test_control),
      cmocka_unit_test(test_slope),    cmocka_unit_test(test_selection),
      cmocka_unit_test(test_huber),    cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
