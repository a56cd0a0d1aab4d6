/* Exact solutions with Q = F diag(s) Fᵀ + diag(v), and of states in layers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture_problem.h"
#include "src/core/memory.h"

/* One cell, one observation: σa² = f² - g² + v. */
static void test_low_rank_scalar(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  size_t rowptr[] = {0, 1};
  int32_t col[] = {0};
  double h = 0.7, y = 5, so = 0.4, xa = 3, f[] = {2, 1}, sign[] = {1, -1}, v = 1.5, sa = sqrt(4.5);
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
                   .q_rank = 2,
                   .q_factor = f,
                   .q_sign = sign,
                   .q_var = &v};
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &post), SKY_OK);
  const double psi = h * h * 4.5 + so * so, d = y - h * xa;
  assert_true(fixture_near(post.x[0], xa + 4.5 * h * d / psi, 1e-14));
  assert_true(fixture_near(post.sd[0], sqrt(4.5 * so * so / psi), 1e-14));
  assert_true(fixture_near(post.ak[0], 4.5 * h * h / psi, 1e-14));
  sky_posterior_free(&post);
  sky_context_free(ctx);
}

/* The same Q dense, as one correlation matrix of all unknowns. */
static void to_kronecker(sky_context *ctx, sky_problem *p) {
  const size_t m = p->n_state;
  p->E = fixture_dense_low_rank(ctx, m, p->q_rank, p->q_factor, p->q_sign, p->q_var);
  for (size_t i = 0; i < m * m; i++)
    p->E[i] /= p->x_sd[i / m] * p->x_sd[i % m];
  p->D = fixture_new(ctx, 1);
  p->D[0] = 1;
  p->n_cell = m;
  p->n_time = 1;
  sky_free(p->q_var);
  p->q_var = NULL;
}

/* Every number of both forms, with offsets, zones and an inventory of its own. */
static void test_low_rank_is_dense(void **state) {
  (void)state;
  enum { NZ = 3 };
  sky_context *ctx = fixture_context(2);
  sky_problem p, q;
  fixture_low_rank(ctx, 12, 10, 3, 24, 2, &p);
  fixture_low_rank(ctx, 12, 10, 3, 24, 2, &q);
  to_kronecker(ctx, &q);
  const size_t m = p.n_state;
  double *W = fixture_new(ctx, NZ * m), *factor = fixture_new(ctx, 2 * m), sign[] = {1, -1};
  double *var = fixture_new(ctx, m), *sd = fixture_new(ctx, m);
  for (size_t i = 0; i < m; i++) {
    W[i] = 1;
    W[m + i] = i < 7 ? 2.5 : 0;
    W[2 * m + i] = i % 4 == 1 ? 0.3 : 0;
    factor[i] = 0.2 * (double)(i % 5);
    factor[m + i] = 0.1 * (double)(i % 3);
    var[i] = 0.5 + 0.1 * (double)(i % 4);
    sd[i] = sqrt(var[i] + factor[i] * factor[i] - factor[m + i] * factor[m + i]);
  }
  double *E = fixture_dense_low_rank(ctx, m, 2, factor, sign, var);
  for (size_t i = 0; i < m * m; i++)
    E[i] /= sd[i / m] * sd[i % m];
  const sky_functionals low = {.n_zone = NZ,
                               .W = W,
                               .inventory_rank = 2,
                               .inventory_factor = factor,
                               .inventory_sign = sign,
                               .inventory_var = var};
  const sky_functionals full = {.n_zone = NZ, .W = W, .inventory_sd = sd, .inventory_E = E};
  for (int own = 0; own < 2; own++) {
    const sky_functionals none = {.n_zone = NZ, .W = W};
    sky_posterior a, b;
    assert_int_equal(sky_problem_solve(ctx, &p, own ? &low : &none, &a), SKY_OK);
    assert_int_equal(sky_problem_solve(ctx, &q, own ? &full : &none, &b), SKY_OK);
#define CLOSE(field, count) assert_true(fixture_difference(count, a.field, b.field) < 1e-10)
    CLOSE(x, m);
    CLOSE(sd, m);
    CLOSE(ak, m);
    CLOSE(b, 2);
    CLOSE(b_post_sd, 2);
    CLOSE(residual, p.n_obs);
    CLOSE(total, NZ);
    CLOSE(total_sd, NZ);
    CLOSE(prior_sd, NZ);
    CLOSE(zone_A, NZ * m);
    CLOSE(zone_cov, NZ * NZ);
    CLOSE(zone_noise_var, NZ);
    CLOSE(zone_inventory_var, NZ);
    CLOSE(zone_inventory_cov, NZ * NZ);
    CLOSE(zone_null_sd, NZ);
    CLOSE(zone_sensitivity, NZ);
#undef CLOSE
    assert_true(fixture_near(a.dofs, b.dofs, 1e-10) && fixture_near(a.chi2, b.chi2, 1e-10));
    assert_true(fixture_near(a.jb, b.jb, 1e-10) && fixture_near(a.jo, b.jo, 1e-10));
    assert_true(fixture_near(a.neg_log_evidence, b.neg_log_evidence, 1e-10));
    sky_posterior_free(&a);
    sky_posterior_free(&b);
  }
  sky_free(W);
  sky_free(factor);
  sky_free(var);
  sky_free(sd);
  sky_free(E);
  sky_problem_free(&p);
  sky_problem_free(&q);
  sky_context_free(ctx);
}

/* Two layers, 2*5 cells at 2 times, an inventory of the first: dense formulas with every block
 * named. Zones: the first layer, the second, both. */
static void test_layers(void **state) {
  (void)state;
  enum { NZ = 3, C = 5, T = 2, M = 2 * C * T, R = 3 };
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  fixture_problem(ctx, 9, 2 * C, T, 12, 0, &p);
  p.q_rank = R;
  p.q_factor = fixture_new(ctx, R * M);
  p.q_sign = fixture_new(ctx, R);
  p.q_var = fixture_new(ctx, M);
  double W[NZ * M] = {0}, inv_sd[C * T], inv_E[C * C], inv_D[T * T] = {1, 0.5, 0.5, 1};
  double B[M * M] = {0};
  for (size_t i = 0; i < M; i++) {
    const bool first = i % (2 * C) < C;
    p.q_factor[i] = first ? 0.4 * p.x0[i] : 0;
    p.q_factor[M + i] = first ? 0 : 0.5;
    p.q_factor[2 * M + i] = first ? 0.1 * (double)(i % 3) : 0;
    p.q_var[i] = 0.1 + 0.05 * (double)(i % 4);
    W[i] = first ? 1 + (double)(i % 2) : 0;
    W[M + i] = first ? 0 : 2;
    W[2 * M + i] = 1;
    p.x_sd[i] = p.q_var[i];
    for (size_t k = 0; k < R; k++)
      p.x_sd[i] += (p.q_sign[k] = k == 2 ? -1 : 1) * pow(p.q_factor[k * M + i], 2);
    p.x_sd[i] = sqrt(p.x_sd[i]);
  }
  for (size_t i = 0; i < C * T; i++)
    inv_sd[i] = 0.3 + 0.1 * (double)(i % 3);
  for (size_t i = 0; i < C * C; i++)
    inv_E[i] = exp(-fabs((double)(i / C) - (double)(i % C)));
  double *Q = fixture_dense_low_rank(ctx, M, R, p.q_factor, p.q_sign, p.q_var);
  for (size_t i = 0; i < M; i++)
    for (size_t j = 0; j < M; j++) {
      const size_t ti = i / (2 * C), tj = j / (2 * C), ci = i % (2 * C), cj = j % (2 * C);
      B[i * M + j] = ci < C && cj < C ? inv_sd[ti * C + ci] * inv_sd[tj * C + cj] *
                                            inv_D[ti * T + tj] * inv_E[ci * C + cj]
                                      : Q[i * M + j];
    }
  const sky_functionals zones = {.n_zone = NZ,
                                 .W = W,
                                 .n_layer = 2,
                                 .inventory_sd = inv_sd,
                                 .inventory_E = inv_E,
                                 .inventory_D = inv_D};
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
  double *H = fixture_dense_H(ctx, &p), *R2 = fixture_new(ctx, p.n_obs * p.n_obs);
  for (size_t i = 0; i < p.n_obs; i++)
    R2[i * (p.n_obs + 1)] = p.r_sd[i] * p.r_sd[i];
  fixture_answer d;
  fixture_solve(ctx, p.n_obs, M, H, Q, R2, p.y, p.x0, &d);
  for (size_t z = 0; z < NZ; z++) {
    const double *a = W + z * M;
    double own[M], other[M], aA[M], *aK = fixture_new(ctx, p.n_obs), seen = 0, pattern = 0;
    fixture_multiply(1, M, M, false, a, false, d.A, aA);
    fixture_multiply(1, M, p.n_obs, false, a, false, d.K, aK);
    for (size_t i = 0; i < M; i++) {
      const bool touched = z == 2 || (i % (2 * C) < C) == (z == 0);
      own[i] = touched ? aA[i] : 0;
      other[i] = touched ? 0 : aA[i];
      if (touched) seen += aA[i] * p.x0[i], pattern += a[i] * p.x0[i];
    }
    const double noise = fixture_form(p.n_obs, aK, R2, aK) + fixture_form(M, other, Q, other);
    assert_true(fixture_near(post.total_sd[z], sqrt(fixture_form(M, a, d.P, a)), 1e-11));
    assert_true(fixture_near(post.zone_noise_var[z], noise, 1e-10));
    assert_true(fixture_near(post.zone_inventory_var[z], fixture_form(M, own, B, own), 1e-10));
    assert_true(fixture_near(post.zone_sensitivity[z], seen / pattern, 1e-10));
    for (size_t q = 0; q < NZ; q++) {
      assert_true(fabs(post.zone_inventory_cov[z * NZ + q] - fixture_form(M, a, B, W + q * M)) <
                  1e-11);
      assert_true(fabs(post.zone_cov[z * NZ + q] - fixture_form(M, a, d.P, W + q * M)) < 1e-11);
    }
    sky_free(aK);
  }
  sky_posterior_free(&post);
  const sky_functionals uneven = {.n_zone = NZ, .W = W, .n_layer = 3};
  assert_int_equal(sky_problem_solve(ctx, &p, &uneven, &post), SKY_E_RANGE);
  const sky_functionals half = {.n_zone = NZ, .W = W, .n_layer = 2, .inventory_sd = inv_sd};
  assert_int_equal(sky_problem_solve(ctx, &p, &half, &post), SKY_E_RANGE);
  fixture_answer_free(&d);
  sky_free(H);
  sky_free(R2);
  sky_free(Q);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* More cells than a dense E allows, and a budget in which n_state² has no place. */
static void test_low_rank_is_not_formed(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_posterior post;
  fixture_low_rank(ctx, 3, 8, 1, 20, 0, &p);
  const size_t m = SKY_DENSE_CELL_LIMIT + 2000;
  sky_problem wide = p; /* the first cells are seen, the others share their factors */
  wide.n_cell = wide.n_state = m;
  wide.x0 = fixture_new(ctx, m);
  wide.x_sd = fixture_new(ctx, m);
  wide.q_var = fixture_new(ctx, m);
  wide.q_factor = fixture_new(ctx, wide.q_rank * m);
  for (size_t i = 0; i < m; i++) {
    wide.x0[i] = p.x0[i % 8];
    wide.x_sd[i] = p.x_sd[i % 8];
    wide.q_var[i] = p.q_var[i % 8];
    for (size_t k = 0; k < p.q_rank; k++)
      wide.q_factor[k * m + i] = p.q_factor[k * 8 + i % 8];
  }
  sky_context_set_memory(ctx, 8000000);
  assert_int_equal(sky_problem_solve(ctx, &wide, NULL, &post), SKY_OK);
  sky_posterior few;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &few), SKY_OK);
  assert_true(fixture_difference(8, post.x, few.x) < 1e-12);
  assert_true(fixture_difference(8, post.sd, few.sd) < 1e-12);
  sky_posterior_free(&few);
  sky_posterior_free(&post);
  sky_context_set_memory(ctx, 2000000);
  fixture_refused(ctx, &wide, SKY_E_NOMEM, "7000 cells");
  sky_free(wide.x0);
  sky_free(wide.x_sd);
  sky_free(wide.q_var);
  sky_free(wide.q_factor);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void test_bad_low_rank(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  fixture_low_rank(ctx, 2, 6, 2, 10, 2, &p);
#define WITH(lvalue, bad, text)                  \
  do {                                           \
    const double good = (lvalue);                \
    (lvalue) = (bad);                            \
    fixture_refused(ctx, &p, SKY_E_RANGE, text); \
    (lvalue) = good;                             \
  } while (0)
  WITH(p.q_sign[1], 0.5, "q_sign[1] = 0.5 (expected 1 or -1)");
  WITH(p.q_factor[3], NAN, "q_factor[3]");
  WITH(p.q_var[4], -1e-9, "q_var[4]");
  WITH(p.q_var[4], INFINITY, "q_var[4]");
  WITH(p.q_sign[0], -1, "x_sd[0]");
  WITH(p.x_sd[7], p.x_sd[7] * 1.01, "x_sd[7]");
  WITH(p.q_factor[4 * p.n_state], 1e3, "the prior variance of unknown 0");
#undef WITH
  double *sign = p.q_sign;
  p.q_sign = NULL;
  fixture_refused(ctx, &p, SKY_E_RANGE, "without q_factor and q_sign");
  p.q_sign = sign;
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_low_rank_scalar), cmocka_unit_test(test_low_rank_is_dense),
      cmocka_unit_test(test_layers), cmocka_unit_test(test_low_rank_is_not_formed),
      cmocka_unit_test(test_bad_low_rank)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
