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

#define PI 3.14159265358979323846

static bool near(double a, double b, double relative) {
  return fabs(a - b) <= relative * fabs(b);
}

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
  assert_true(near(post.x[0], xa + k * d, 1e-15));
  assert_true(near(post.sd[0], sqrt(var), 1e-14));
  assert_true(near(post.ak[0], ak, 1e-15));
  assert_true(near(post.dofs, ak, 1e-15));
  assert_true(near(post.chi2, d * d / psi, 1e-15));
  assert_true(near(post.jb + post.jo, post.chi2, 1e-14));
  assert_true(near(post.neg_log_evidence, 0.5 * (d * d / psi + log(2 * PI * psi)), 1e-15));
  assert_true(near(post.residual[0], so * so * d / psi, 1e-14));
  assert_true(near(post.total[0], a * (xa + k * d), 1e-15));
  assert_true(near(post.total_sd[0], a * sqrt(var), 1e-14));
  assert_true(near(post.zone_sensitivity[0], ak, 1e-14));
  assert_true(near(post.zone_reduction[0], ak, 1e-13));
  assert_true(near(post.zone_noise_var[0], a * a * k * k * so * so, 1e-14));
  assert_true(near(post.zone_inventory_var[0], a * a * ak * ak * sa * sa, 1e-14));
  assert_true(near(post.zone_detectable[0], 2.8015852181129686 * a * k * so / ak, 1e-13));
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
  assert_true(near(post.dofs, dofs, 1e-13));
  assert_true(near(post.chi2, chi2, 1e-13));
  assert_true(near(post.neg_log_evidence, nle, 1e-13));
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
    assert_true(near(post.x[i], d.answer.x[i], 1e-11));
    assert_true(near(post.sd[i], sqrt(d.answer.P[i * (d.m + 1)]), 1e-11));
    assert_true(fabs(post.ak[i] - d.answer.A[i * (d.m + 1)]) < 1e-12);
    dofs += d.answer.A[i * (d.m + 1)];
  }
  for (size_t g = 0; g < n_background; g++) {
    const size_t i = p.n_state + g;
    assert_true(near(post.b[g], d.answer.x[i], 1e-11));
    assert_true(near(post.b_post_sd[g], sqrt(d.answer.P[i * (d.m + 1)]), 1e-11));
    dofs_b += d.answer.A[i * (d.m + 1)];
  }
  assert_true(near(post.dofs, dofs, 1e-12));
  assert_true(fabs(post.dofs_background - dofs_b) < 1e-12);
  assert_true(near(post.chi2, d.answer.chi2, 1e-11));
  assert_true(near(post.jb, d.answer.jb, 1e-10));
  assert_true(near(post.jo, d.answer.jo, 1e-10));
  /* DOFS of everything = n - tr(Ψ⁻¹R), and R w is what is left over */
  double *psi_inverse = fixture_new(ctx, d.n * d.n), left = (double)d.n;
  fixture_inverse(d.n, d.answer.psi, psi_inverse);
  for (size_t i = 0; i < d.n; i++)
    left -= psi_inverse[i * (d.n + 1)] * d.R[i * (d.n + 1)];
  assert_true(near(post.dofs + post.dofs_background, left, 1e-12));
  double jo = 0;
  for (size_t i = 0; i < d.n; i++)
    jo += pow(post.residual[i] / p.r_sd[i], 2);
  assert_true(near(post.jo, jo, 1e-11));
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

/* u'Mv */
static double form(size_t n, const double *u, const double *M, const double *v) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      sum += u[i] * M[i * n + j] * v[j];
  return sum;
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
    const double noise = form(d.n, aK, kRk, aK), inventory = form(m, aA, Binv, aA);
    const double post_var = form(M, a, d.answer.P, a), prior_var = form(M, a, d.Q, a);
    assert_true(near(post.total[z], total, 1e-11));
    assert_true(near(post.prior_total[z], prior, 1e-13));
    assert_true(near(post.total_sd[z], sqrt(post_var), 1e-11));
    assert_true(near(post.prior_sd[z], sqrt(prior_var), 1e-12));
    assert_true(near(post.zone_dofs[z], dofs, 1e-11));
    assert_true(near(post.zone_reduction[z], 1 - post_var / prior_var, 1e-10));
    assert_true(near(post.zone_sensitivity[z], seen / pattern, 1e-11));
    assert_true(near(post.zone_noise_var[z], noise, 1e-11));
    assert_true(near(post.zone_inventory_var[z], inventory, 1e-11));
    assert_true(near(post.zone_detectable[z],
                     2.8015852181129686 * sqrt(noise) / fabs(inside / pattern), 1e-11));
    assert_true(near(post.zone_null_sd[z], sqrt(noise + inventory), 1e-11));
    for (size_t q = 0; q < NZ; q++) {
      double b[64] = {0};
      memcpy(b, W + q * m, m * sizeof *b);
      assert_true(fabs(post.zone_cov[z * NZ + q] - form(M, a, d.answer.P, b)) < 1e-11);
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
  assert_true(near(pow(post.zone_null_sd[0], 2), v, 1e-11));
  sky_posterior_free(&post);
  sky_free(W);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

static void expect_failure(sky_context *ctx, const sky_problem *p, sky_status want,
                           const char *text) {
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, p, NULL, &post), want);
  assert_non_null(strstr(sky_error(ctx), text));
  assert_null(post.x);
}

/* ---- low rank + diagonal -------------------------------------------------------------------- */

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
  assert_true(near(post.x[0], xa + 4.5 * h * d / psi, 1e-14));
  assert_true(near(post.sd[0], sqrt(4.5 * so * so / psi), 1e-14));
  assert_true(near(post.ak[0], 4.5 * h * h / psi, 1e-14));
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
    assert_true(near(a.dofs, b.dofs, 1e-10) && near(a.chi2, b.chi2, 1e-10));
    assert_true(near(a.jb, b.jb, 1e-10) && near(a.jo, b.jo, 1e-10));
    assert_true(near(a.neg_log_evidence, b.neg_log_evidence, 1e-10));
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
    const double noise = form(p.n_obs, aK, R2, aK) + form(M, other, Q, other);
    assert_true(near(post.total_sd[z], sqrt(form(M, a, d.P, a)), 1e-11));
    assert_true(near(post.zone_noise_var[z], noise, 1e-10));
    assert_true(near(post.zone_inventory_var[z], form(M, own, B, own), 1e-10));
    assert_true(near(post.zone_sensitivity[z], seen / pattern, 1e-10));
    for (size_t q = 0; q < NZ; q++) {
      assert_true(fabs(post.zone_inventory_cov[z * NZ + q] - form(M, a, B, W + q * M)) < 1e-11);
      assert_true(fabs(post.zone_cov[z * NZ + q] - form(M, a, d.P, W + q * M)) < 1e-11);
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
  expect_failure(ctx, &wide, SKY_E_NOMEM, "7000 cells");
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
#define WITH(lvalue, bad, text)                 \
  do {                                          \
    const double good = (lvalue);               \
    (lvalue) = (bad);                           \
    expect_failure(ctx, &p, SKY_E_RANGE, text); \
    (lvalue) = good;                            \
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
  expect_failure(ctx, &p, SKY_E_RANGE, "without q_factor and q_sign");
  p.q_sign = sign;
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* ---- symmetries ----------------------------------------------------------------------------- */

/* Fluxes in other units (x -> s x, H -> H/s) and observations in other units (y -> c y): powers of
 * two give the same digits, any other factor the same up to rounding. */
typedef void maker(sky_context *, uint64_t, size_t, size_t, size_t, size_t, sky_problem *);

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
    assert_true(near(b.x[i], s * a.x[i], relative));
    assert_true(near(b.sd[i], s * a.sd[i], relative));
    assert_true(fabs(b.ak[i] - a.ak[i]) <= relative);
  }
  assert_true(near(b.chi2, a.chi2, relative) && near(b.jb, a.jb, relative));
  assert_true(near(b.jo, a.jo, relative) && near(b.dofs, a.dofs, relative));
  assert_true(
      near(b.neg_log_evidence, a.neg_log_evidence + (double)p.n_obs * log(c), relative + 1e-13));
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
  assert_true(near(b.neg_log_evidence, a.neg_log_evidence, 1e-12));
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
      assert_true(near(b.x[t * nc + c], a.x[t * nc + nc - 1 - c], 1e-11));
      assert_true(near(b.sd[t * nc + c], a.sd[t * nc + nc - 1 - c], 1e-11));
    }
  assert_true(near(b.dofs, a.dofs, 1e-12));
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
    expect_failure(ctx, &p, status, text);    \
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
  expect_failure(ctx, &p, SKY_E_NOT_SPD, "pivot 1");
  sky_context_free(ctx);
}

static void test_memory_budget(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  fixture_problem(ctx, 2, 30, 2, 100, 0, &p);
  sky_context_set_memory(ctx, 100000);
  expect_failure(ctx, &p, SKY_E_NOMEM, "needs 1 MB");
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* Whichever allocation fails, the solver says so and leaves nothing behind (the sanitizer looks).
 */
static void check_allocations(maker *make) {
  sky_context *ctx = fixture_context(1);
  sky_problem p;
  make(ctx, 2, 5, 2, 8, 1, &p);
  double *W = fixture_new(ctx, p.n_state);
  const sky_functionals zones = {.n_zone = 1, .W = W};
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
  check_allocations(fixture_problem);
  check_allocations(fixture_low_rank);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_scalar),
                                     cmocka_unit_test(test_circulant),
                                     cmocka_unit_test(test_dense),
                                     cmocka_unit_test(test_background_is_augmented_state),
                                     cmocka_unit_test(test_zones),
                                     cmocka_unit_test(test_null_variance_identity),
                                     cmocka_unit_test(test_low_rank_scalar),
                                     cmocka_unit_test(test_low_rank_is_dense),
                                     cmocka_unit_test(test_layers),
                                     cmocka_unit_test(test_low_rank_is_not_formed),
                                     cmocka_unit_test(test_bad_low_rank),
                                     cmocka_unit_test(test_units),
                                     cmocka_unit_test(test_permutation_of_observations),
                                     cmocka_unit_test(test_permutation_of_cells),
                                     cmocka_unit_test(test_threads_same_bits),
                                     cmocka_unit_test(test_bad_problems),
                                     cmocka_unit_test(test_singular),
                                     cmocka_unit_test(test_memory_budget),
                                     cmocka_unit_test(test_every_allocation_fails)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
