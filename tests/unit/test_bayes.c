/* The exact solver against closed forms, dense textbook formulas and its own symmetries. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/covariance.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

typedef void maker(sky_context *, uint64_t, size_t, size_t, size_t, size_t, sky_problem *);

#define PI 3.14159265358979323846

/* ---- closed forms --------------------------------------------------------------------------- */

/* 1 cell, 1 observation: x̂ = xa + σa²h d/(h²σa² + σo²). */
static void test_scalar(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  size_t rowptr[] = {0, 1};
  int32_t col[] = {0};
  double h = 0.7, y = 5, so = 0.4, xa = 3, sa = 2, one = 1, a = 10;
  sky_problem p = {.n_obs = 1,
                   .n_state = 1,
                   .n_cell = 1,
                   .n_time = 1,
                   .rowptr = rowptr,
                   .col = col,
                   .val = &h,
                   .y = &y,
                   .r_sd = &so,
                   .x0 = &xa,
                   .x_sd = &sa,
                   .E = &one,
                   .D = &one};
  const sky_functionals zones = {.n_zone = 1, .W = &a};
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
  const double psi = h * h * sa * sa + so * so, d = y - h * xa, ak = sa * sa * h * h / psi;
  const double k = sa * sa * h / psi, var = sa * sa * so * so / psi;
  assert_true(fixture_near(post.x[0], xa + k * d, 1e-15));
  assert_true(fixture_near(post.sd[0], sqrt(var), 1e-14));
  assert_true(fixture_near(post.ak[0], ak, 1e-15));
  assert_true(fixture_near(post.dofs, ak, 1e-15));
  assert_true(fixture_near(post.chi2, d * d / psi, 1e-15));
  assert_true(fixture_near(post.jb + post.jo, post.chi2, 1e-14));
  assert_true(fixture_near(post.neg_log_evidence, 0.5 * (d * d / psi + log(2 * PI * psi)), 1e-15));
  assert_true(fixture_near(post.residual[0], so * so * d / psi, 1e-14));
  assert_true(fixture_near(post.total[0], a * (xa + k * d), 1e-15));
  assert_true(fixture_near(post.total_sd[0], a * sqrt(var), 1e-14));
  assert_true(fixture_near(post.zone_sensitivity[0], ak, 1e-14));
  assert_true(fixture_near(post.zone_reduction[0], ak, 1e-13));
  assert_true(fixture_near(post.zone_noise_var[0], a * a * k * k * so * so, 1e-14));
  assert_true(fixture_near(post.zone_inventory_var[0], a * a * ak * ak * sa * sa, 1e-14));
  assert_true(fixture_near(post.zone_detectable[0], 2.8015852181129686 * a * k * so / ak, 1e-13));
  sky_posterior_free(&post);
  sky_context_free(ctx);
}

/* H = I, Q circulant with eigenvalues q_k: x̂_k = q_k/(q_k + r) d_k, DOFS = Σ q_k/(q_k + r). */
static void test_circulant(void **state) {
  (void)state;
  enum { N = 24 };
  sky_context *ctx = fixture_context(2);
  size_t rowptr[N + 1];
  int32_t col[N];
  double val[N], y[N], r[N], x0[N], sd[N], E[N * N], D = 1;
  for (size_t i = 0; i < N; i++) {
    rowptr[i] = i;
    col[i] = (int32_t)i;
    val[i] = 1;
    r[i] = 0.6;
    sd[i] = 1.5;
    x0[i] = 4;
    y[i] = 4 + 2 * sky_rng_normal(3, 0, i);
    for (size_t j = 0; j < N; j++) {
      const size_t lag = (i + N - j) % N, ring = lag < N - lag ? lag : N - lag;
      E[i * N + j] = exp(-(double)ring / 3.0);
    }
  }
  rowptr[N] = N;
  sky_problem p = {.n_obs = N,
                   .n_state = N,
                   .n_cell = N,
                   .n_time = 1,
                   .rowptr = rowptr,
                   .col = col,
                   .val = val,
                   .y = y,
                   .r_sd = r,
                   .x0 = x0,
                   .x_sd = sd,
                   .E = E,
                   .D = &D};
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &post), SKY_OK);
  double want[N], dofs = 0, chi2 = 0, nle = 0.5 * N * log(2 * PI);
  for (size_t i = 0; i < N; i++)
    want[i] = x0[i];
  for (size_t k = 0; k < N; k++) {
    double q = 0, re = 0, im = 0;
    for (size_t j = 0; j < N; j++) {
      const double angle = 2 * PI * (double)(k * j % N) / N;
      q += sd[0] * sd[0] * E[j] * cos(angle);
      re += (y[j] - x0[j]) * cos(angle);
      im -= (y[j] - x0[j]) * sin(angle);
    }
    const double gain = q / (q + r[0] * r[0]);
    dofs += gain;
    chi2 += (re * re + im * im) / N / (q + r[0] * r[0]);
    nle += 0.5 * log(q + r[0] * r[0]);
    for (size_t j = 0; j < N; j++) {
      const double angle = 2 * PI * (double)(k * j % N) / N;
      want[j] += gain * (re * cos(angle) - im * sin(angle)) / N;
    }
  }
  nle += 0.5 * chi2;
  assert_true(fixture_difference(N, post.x, want) < 1e-13);
  assert_true(fixture_near(post.dofs, dofs, 1e-13));
  assert_true(fixture_near(post.chi2, chi2, 1e-13));
  assert_true(fixture_near(post.neg_log_evidence, nle, 1e-13));
  sky_posterior_free(&post);
  sky_context_free(ctx);
}

/* ---- dense formulas ------------------------------------------------------------------------- */

typedef struct dense { /* the problem with its offsets as ordinary state elements behind the cells
                        */
  size_t n, m;
  double *H, *Q, *R, *x0;
  fixture_answer answer;
} dense;

static void dense_build(sky_context *ctx, const sky_problem *p, dense *d) {
  const size_t ms = p->n_state;
  d->n = p->n_obs;
  d->m = ms + p->n_background;
  double *H = fixture_dense_H(ctx, p), *Q = fixture_dense_Q(ctx, p, p->x_sd, p->E, p->D);
  d->H = fixture_new(ctx, d->n * d->m);
  d->Q = fixture_new(ctx, d->m * d->m);
  d->R = fixture_new(ctx, d->n * d->n);
  d->x0 = fixture_new(ctx, d->m);
  for (size_t i = 0; i < d->n; i++) {
    memcpy(d->H + i * d->m, H + i * ms, ms * sizeof *H);
    if (p->n_background > 0 && p->group[i] >= 0) d->H[i * d->m + ms + p->group[i]] = 1;
    d->R[i * d->n + i] = p->r_sd[i] * p->r_sd[i];
  }
  for (size_t i = 0; i < ms; i++)
    memcpy(d->Q + i * d->m, Q + i * ms, ms * sizeof *Q);
  memcpy(d->x0, p->x0, ms * sizeof *d->x0);
  for (size_t g = 0; g < p->n_background; g++) {
    d->Q[(ms + g) * (d->m + 1)] = p->b_sd[g] * p->b_sd[g];
    d->x0[ms + g] = p->b0[g];
  }
  fixture_solve(ctx, d->n, d->m, d->H, d->Q, d->R, p->y, d->x0, &d->answer);
  sky_free(H);
  sky_free(Q);
}

static void dense_free(dense *d) {
  sky_free(d->H);
  sky_free(d->Q);
  sky_free(d->R);
  sky_free(d->x0);
  fixture_answer_free(&d->answer);
}

/* Every number of the posterior against the dense augmented state. */
static void check_dense(size_t n_background) {
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  fixture_problem(ctx, 11, 9, 4, 23, n_background, &p);
  dense d;
  dense_build(ctx, &p, &d);
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &post), SKY_OK);
  double dofs = 0, dofs_b = 0;
  for (size_t i = 0; i < p.n_state; i++) {
    assert_true(fixture_near(post.x[i], d.answer.x[i], 1e-11));
    assert_true(fixture_near(post.sd[i], sqrt(d.answer.P[i * (d.m + 1)]), 1e-11));
    assert_true(fabs(post.ak[i] - d.answer.A[i * (d.m + 1)]) < 1e-12);
    dofs += d.answer.A[i * (d.m + 1)];
  }
  for (size_t g = 0; g < n_background; g++) {
    const size_t i = p.n_state + g;
    assert_true(fixture_near(post.b[g], d.answer.x[i], 1e-11));
    assert_true(fixture_near(post.b_post_sd[g], sqrt(d.answer.P[i * (d.m + 1)]), 1e-11));
    dofs_b += d.answer.A[i * (d.m + 1)];
  }
  assert_true(fixture_near(post.dofs, dofs, 1e-12));
  assert_true(fabs(post.dofs_background - dofs_b) < 1e-12);
  assert_true(fixture_near(post.chi2, d.answer.chi2, 1e-11));
  assert_true(fixture_near(post.jb, d.answer.jb, 1e-10));
  assert_true(fixture_near(post.jo, d.answer.jo, 1e-10));
  /* DOFS of everything = n - tr(Ψ⁻¹R), and R w is what is left over */
  double *psi_inverse = fixture_new(ctx, d.n * d.n), left = (double)d.n;
  fixture_inverse(d.n, d.answer.psi, psi_inverse);
  for (size_t i = 0; i < d.n; i++)
    left -= psi_inverse[i * (d.n + 1)] * d.R[i * (d.n + 1)];
  assert_true(fixture_near(post.dofs + post.dofs_background, left, 1e-12));
  double jo = 0;
  for (size_t i = 0; i < d.n; i++)
    jo += pow(post.residual[i] / p.r_sd[i], 2);
  assert_true(fixture_near(post.jo, jo, 1e-11));
  sky_free(psi_inverse);
  sky_posterior_free(&post);
  dense_free(&d);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_dense(void **state) {
  (void)state;
  check_dense(0);
}

static void test_background_is_augmented_state(void **state) {
  (void)state;
  check_dense(3);
}

static void test_zones(void **state) {
  (void)state;
  enum { NZ = 3 };
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  fixture_problem(ctx, 5, 8, 3, 14, 2, &p);
  dense d;
  dense_build(ctx, &p, &d);
  const size_t m = p.n_state, M = d.m;
  double *W = fixture_new(ctx, NZ * m), *a = fixture_new(ctx, M), *K = d.answer.K;
  double *inv_sd = fixture_new(ctx, m), *inv_E = fixture_new(ctx, p.n_cell * p.n_cell);
  double *kRk = fixture_new(ctx, d.n * d.n), constant[NZ] = {0, 7, -1};
  for (size_t i = 0; i < m; i++) {
    W[i] = 1;
    W[m + i] = i % p.n_cell < 3 ? 2.5 : 0;
    W[2 * m + i] = i % p.n_cell == 4 ? 0.3 : i % p.n_cell == 5 ? 1 : 0;
    inv_sd[i] = 0.2 + 0.1 * (double)(i % 7);
  }
  for (size_t i = 0; i < p.n_cell; i++)
    inv_E[i * (p.n_cell + 1)] = 1;
  const sky_functionals zones = {
      .n_zone = NZ, .W = W, .constant = constant, .inventory_sd = inv_sd, .inventory_E = inv_E};
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
  double *Binv = fixture_dense_Q(ctx, &p, inv_sd, inv_E, p.D);
  /* what is noise to the flux: R and the offsets */
  for (size_t i = 0; i < d.n; i++)
    for (size_t j = 0; j < d.n; j++) {
      kRk[i * d.n + j] = d.R[i * d.n + j];
      if (p.group[i] >= 0 && p.group[i] == p.group[j])
        kRk[i * d.n + j] += p.b_sd[p.group[i]] * p.b_sd[p.group[i]];
    }
  for (size_t z = 0; z < NZ; z++) {
    double total = constant[z], prior = constant[z], seen = 0, pattern = 0, dofs = 0, inside = 0;
    memset(a, 0, M * sizeof *a);
    memcpy(a, W + z * m, m * sizeof *a);
    double *aA = fixture_new(ctx, M), *aK = fixture_new(ctx, d.n);
    fixture_multiply(1, M, M, false, a, false, d.answer.A, aA);
    fixture_multiply(1, M, d.n, false, a, false, K, aK);
    for (size_t i = 0; i < m; i++) {
      total += a[i] * d.answer.x[i];
      prior += a[i] * p.x0[i];
      seen += aA[i] * p.x0[i];
      pattern += a[i] * p.x0[i];
      if (a[i] != 0) dofs += d.answer.A[i * (M + 1)], inside += aA[i] * p.x0[i];
      assert_true(fabs(post.zone_A[z * m + i] - aA[i]) < 1e-12);
    }
    const double noise = fixture_form(d.n, aK, kRk, aK), inventory = fixture_form(m, aA, Binv, aA);
    const double post_var = fixture_form(M, a, d.answer.P, a),
                 prior_var = fixture_form(M, a, d.Q, a);
    assert_true(fixture_near(post.total[z], total, 1e-11));
    assert_true(fixture_near(post.prior_total[z], prior, 1e-13));
    assert_true(fixture_near(post.total_sd[z], sqrt(post_var), 1e-11));
    assert_true(fixture_near(post.prior_sd[z], sqrt(prior_var), 1e-12));
    assert_true(fixture_near(post.zone_dofs[z], dofs, 1e-11));
    assert_true(fixture_near(post.zone_reduction[z], 1 - post_var / prior_var, 1e-10));
    assert_true(fixture_near(post.zone_sensitivity[z], seen / pattern, 1e-11));
    assert_true(fixture_near(post.zone_noise_var[z], noise, 1e-11));
    assert_true(fixture_near(post.zone_inventory_var[z], inventory, 1e-11));
    assert_true(fixture_near(post.zone_detectable[z],
                             2.8015852181129686 * sqrt(noise) / fabs(inside / pattern), 1e-11));
    assert_true(fixture_near(post.zone_null_sd[z], sqrt(noise + inventory), 1e-11));
    for (size_t q = 0; q < NZ; q++) {
      double b[64] = {0};
      memcpy(b, W + q * m, m * sizeof *b);
      assert_true(fabs(post.zone_cov[z * NZ + q] - fixture_form(M, a, d.answer.P, b)) < 1e-11);
    }
    sky_free(aA);
    sky_free(aK);
  }
  sky_free(Binv);
  sky_free(W);
  sky_free(a);
  sky_free(inv_sd);
  sky_free(inv_E);
  sky_free(kRk);
  sky_posterior_free(&post);
  dense_free(&d);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* With the prior's own covariance the general test reduces to V = B - P. */
static void test_null_variance_identity(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  fixture_problem(ctx, 21, 10, 3, 25, 2, &p);
  double *W = fixture_new(ctx, p.n_state);
  for (size_t i = 0; i < p.n_state; i++)
    W[i] = 1 + (double)(i % 3);
  const sky_functionals zones = {.n_zone = 1, .W = W};
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
  const double v = pow(post.prior_sd[0], 2) - pow(post.total_sd[0], 2);
  assert_true(fixture_near(pow(post.zone_null_sd[0], 2), v, 1e-11));
  sky_posterior_free(&post);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* ---- failures ------------------------------------------------------------------------------- */

static void test_bad_problems(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  fixture_problem(ctx, 2, 6, 2, 10, 2, &p);
#define WITH(lvalue, bad, status, text)       \
  do {                                        \
    const __typeof__(lvalue) good = (lvalue); \
    (lvalue) = (bad);                         \
    fixture_refused(ctx, &p, status, text);   \
    (lvalue) = good;                          \
  } while (0)
  WITH(p.y[3], NAN, SKY_E_RANGE, "y[3]");
  WITH(p.r_sd[2], -1, SKY_E_RANGE, "r_sd[2]");
  WITH(p.x_sd[5], INFINITY, SKY_E_RANGE, "x_sd[5]");
  WITH(p.val[4], NAN, SKY_E_RANGE, "H[4]");
  WITH(p.col[0], 12, SKY_E_RANGE, "row 0 of H");
  WITH(p.col[1], p.col[0], SKY_E_RANGE, "ascending");
  WITH(p.group[1], 2, SKY_E_RANGE, "group[1]");
  WITH(p.b_sd[1], NAN, SKY_E_RANGE, "b_sd[1]");
  WITH(p.E[7], NAN, SKY_E_RANGE, "E[7]");
  WITH(p.n_obs, 0, SKY_E_NODATA, "0 observations");
  WITH(p.n_cell, SKY_DENSE_CELL_LIMIT + 1, SKY_E_SIZE, "5000");
#undef WITH
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* Without any noise two equal rows make Ψ singular, and nothing is added to hide it. */
static void test_singular(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  size_t rowptr[] = {0, 1, 2};
  int32_t col[] = {0, 0};
  double h[] = {1, 1}, y[] = {1, 2}, r[] = {0, 0}, x0 = 0, sd = 1, one = 1;
  sky_problem p = {.n_obs = 2,
                   .n_state = 1,
                   .n_cell = 1,
                   .n_time = 1,
                   .rowptr = rowptr,
                   .col = col,
                   .val = h,
                   .y = y,
                   .r_sd = r,
                   .x0 = &x0,
                   .x_sd = &sd,
                   .E = &one,
                   .D = &one};
  fixture_refused(ctx, &p, SKY_E_NOT_SPD, "in the order of time: row 1 of 2");
  sky_context_free(ctx);
}

static void test_memory_budget(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  fixture_problem(ctx, 2, 30, 2, 100, 0, &p);
  sky_context_set_memory(ctx, 100000);
  fixture_refused(ctx, &p, SKY_E_NOMEM, "needs 1 MB");
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* Whichever allocation fails, the solver says so and leaves nothing behind (the sanitizer looks).
 */
static void check_allocations(maker *make, bool totals_only) {
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  make(ctx, 2, 5, 2, 8, 1, &p);
  double *W = fixture_new(ctx, p.n_state);
  const sky_functionals zones = {.n_zone = 1, .W = W, .totals_only = totals_only};
  sky_status st = SKY_E_NOMEM;
  int failures = 0;
  for (uint64_t nth = 1; st == SKY_E_NOMEM; nth++) {
    sky_posterior post;
    sky_memory_fail_at(ctx, nth);
    st = sky_problem_solve(ctx, &p, &zones, &post);
    if (st == SKY_OK) sky_posterior_free(&post);
    failures += st == SKY_E_NOMEM;
  }
  assert_int_equal(st, SKY_OK);
  assert_true(failures > 30);
  sky_memory_fail_at(ctx, 0);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_every_allocation_fails(void **state) {
  (void)state;
  for (int k = 0; k < 2; k++) {
    check_allocations(fixture_problem, k == 1);
    check_allocations(fixture_low_rank, k == 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scalar),        cmocka_unit_test(test_circulant),
      cmocka_unit_test(test_dense),         cmocka_unit_test(test_background_is_augmented_state),
      cmocka_unit_test(test_zones),         cmocka_unit_test(test_null_variance_identity),
      cmocka_unit_test(test_bad_problems),  cmocka_unit_test(test_singular),
      cmocka_unit_test(test_memory_budget), cmocka_unit_test(test_every_allocation_fails)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
