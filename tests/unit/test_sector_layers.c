/* Layers that covary, the first ones sectors of one flux: what an inventory of their sum is
 * compared with, against dense matrices with every operator of bayes.md §3 written out. Both
 * solvers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/iterate.h"
#include "fixture_problem.h"
#include "src/core/memory.h"

enum {
  C = 4,
  NS = 2,
  NL = 3,
  T = 2,
  CELLS = NL * C,
  M = CELLS * T,
  F = C * T,
  R = 4,
  N = 14,
  NZ = 4
};

static bool near(double a, double b, double relative) {
  return fabs(a - b) <= relative * fmax(fabs(b), 1e-3);
}

static double form(size_t n, const double *a, const double *S, const double *b) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      sum += a[i] * S[i * n + j] * b[j];
  return sum;
}

static size_t layer_of(size_t i) {
  return i % CELLS / C;
}

/* Cell and step of a state element: index of the flux that sectors divide. */
static size_t place_of(size_t i) {
  return i / CELLS * C + i % C;
}

typedef struct scene {
  sky_problem p;
  double W[NZ * M], share[NS * C], inv_sd[F], inv_E[C * C], inv_D[T * T];
  double *Q, *B; /* dense; B of the flux, [F*F] */
} scene;

/* Factors that run through all layers: sectors mix, and so does the sink. Zones: both sectors, the
 * first alone, the sink, all. */
static void make_scene(sky_context *ctx, scene *s) {
  static const double shares[] = {0.25, 0.5, 1, 0.6};
  sky_problem *p = &s->p;
  fixture_problem(ctx, 21, CELLS, T, N, 0, p);
  p->q_rank = R;
  p->q_factor = fixture_new(ctx, R * M);
  p->q_sign = fixture_new(ctx, R);
  p->q_var = fixture_new(ctx, M);
  for (size_t i = 0; i < M; i++) {
    const size_t l = layer_of(i);
    double var = p->q_var[i] = 0.1 + 0.05 * (double)(i % 4);
    for (size_t k = 0; k < R; k++) {
      const double f = sin(1.0 + (double)(3 * i + 7 * k)) * (k == 0 ? 0.8 : 0.3);
      p->q_factor[k * M + i] = f;
      p->q_sign[k] = 1;
      var += f * f;
    }
    p->x_sd[i] = sqrt(var);
    s->W[i] = l < NS ? 1 + (double)(i % C) : 0;
    s->W[M + i] = l == 0 ? 1 + (double)(i % C) : 0;
    s->W[2 * M + i] = l == NS ? 2 : 0;
    s->W[3 * M + i] = s->W[i] + s->W[2 * M + i];
  }
  for (size_t c = 0; c < C; c++) {
    s->share[c] = shares[c];
    s->share[C + c] = 1 - shares[c];
  }
  for (size_t i = 0; i < M; i++) /* the prior is divided as the shares say */
    if (layer_of(i) < NS) p->x0[i] = s->share[layer_of(i) * C + i % C] * (2 + (double)place_of(i));
  for (size_t i = 0; i < F; i++)
    s->inv_sd[i] = 0.3 + 0.1 * (double)(i % 3);
  for (size_t i = 0; i < C * C; i++)
    s->inv_E[i] = exp(-fabs((double)(i / C) - (double)(i % C)));
  for (size_t i = 0; i < T * T; i++)
    s->inv_D[i] = i % (T + 1) == 0 ? 1 : 0.5;
  s->Q = fixture_dense_low_rank(ctx, M, R, p->q_factor, p->q_sign, p->q_var);
  s->B = fixture_new(ctx, F * F);
  for (size_t i = 0; i < F; i++)
    for (size_t j = 0; j < F; j++)
      s->B[i * F + j] =
          s->inv_sd[i] * s->inv_sd[j] * s->inv_D[i / C * T + j / C] * s->inv_E[i % C * C + j % C];
}

/* inside = SᵀPᵀ aA over the sectors of a whole row, else aA in its layers; part = Pᵀ aA. */
static void split(const scene *s, size_t z, const double *aA, double *inside, double *part) {
  static const bool about[NZ][NL] = {
      {true, true}, {true}, {false, false, true}, {true, true, true}};
  const bool whole = about[z][0] && about[z][1];
  memset(part, 0, F * sizeof *part);
  for (size_t i = 0; i < M; i++)
    if (layer_of(i) < NS) part[place_of(i)] += s->share[layer_of(i) * C + i % C] * aA[i];
  for (size_t i = 0; i < M; i++)
    inside[i] = layer_of(i) < NS && whole ? part[place_of(i)] : about[z][layer_of(i)] ? aA[i] : 0;
}

static void check(sky_context *ctx, const scene *s, const sky_posterior *post,
                  const fixture_answer *d, const double *R2, bool own, double relative) {
  for (size_t z = 0; z < NZ; z++) {
    const double *a = s->W + z * M;
    double aA[M], inside[M], rest[M], part[F], sink[M] = {0};
    double *aK = fixture_new(ctx, N);
    fixture_multiply(1, M, M, false, a, false, d->A, aA);
    fixture_multiply(1, M, N, false, a, false, d->K, aK);
    split(s, z, aA, inside, part);
    for (size_t i = 0; i < M; i++) {
      rest[i] = aA[i] - inside[i];
      if (layer_of(i) == NS) sink[i] = inside[i];
    }
    const bool compared = own && (z == 0 || z == 3);
    const double retrieval = form(N, aK, R2, aK), noise = retrieval + form(M, rest, s->Q, rest);
    /* With the sink in the row, B of the flux and Q of the sink do not meet. */
    const double inventory = compared ? form(F, part, s->B, part) + form(M, sink, s->Q, sink)
                                      : form(M, inside, s->Q, inside);
    const double cross = own ? 0 : 2 * form(M, rest, s->Q, inside);
    assert_true(near(post->zone_noise_var[z], noise, relative));
    if (z == 0 || !own) {
      assert_true(near(post->zone_inventory_var[z], inventory, relative));
      assert_true(near(post->zone_null_sd[z], sqrt(noise + inventory + cross), relative));
    }
    if (!own) /* however the state is divided: aᵀA Q Aᵀa and the retrieval's noise */
      assert_true(near(pow(post->zone_null_sd[z], 2), retrieval + form(M, aA, s->Q, aA), relative));
    assert_true(near(post->total_sd[z], sqrt(form(M, a, d->P, a)), relative));
    sky_free(aK);
  }
}

static void test_sectors(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  scene s = {0};
  make_scene(ctx, &s);
  double *H = fixture_dense_H(ctx, &s.p), *R2 = fixture_new(ctx, N * N);
  for (size_t i = 0; i < N; i++)
    R2[i * (N + 1)] = s.p.r_sd[i] * s.p.r_sd[i];
  fixture_answer d;
  fixture_solve(ctx, N, M, H, s.Q, R2, s.p.y, s.p.x0, &d);
  for (int own = 0; own < 2; own++) {
    const sky_functionals zones = {.n_zone = NZ,
                                   .W = s.W,
                                   .n_layer = NL,
                                   .n_sector = NS,
                                   .sector_share = s.share,
                                   .inventory_sd = own ? s.inv_sd : NULL,
                                   .inventory_E = own ? s.inv_E : NULL,
                                   .inventory_D = own ? s.inv_D : NULL};
    sky_posterior post;
    assert_int_equal(sky_problem_solve(ctx, &s.p, &zones, &post), SKY_OK);
    check(ctx, &s, &post, &d, R2, own != 0, 1e-10);
    if (own) { /* the inventory's covariance of its own totals */
      double w[F] = {0};
      for (size_t i = 0; i < M; i++)
        if (layer_of(i) < NS) w[place_of(i)] += s.share[layer_of(i) * C + i % C] * s.W[i];
      assert_true(near(post.zone_inventory_cov[0], form(F, w, s.B, w), 1e-12));
    }
    sky_posterior_free(&post);
    const sky_iterate_options o = {.tolerance = 1e-12, .kernels = true, .complete = 64, .seed = 3};
    sky_iterate_report report;
    assert_int_equal(sky_problem_iterate(ctx, &s.p, &zones, &o, &post, &report), SKY_OK);
    check(ctx, &s, &post, &d, R2, own != 0, 1e-8);
    sky_posterior_free(&post);
  }
  fixture_answer_free(&d);
  sky_free(H);
  sky_free(R2);
  sky_free(s.Q);
  sky_free(s.B);
  sky_problem_free(&s.p);
  sky_context_free(ctx);
}

static void test_refusals(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(1);
  scene s = {0};
  sky_posterior post;
  make_scene(ctx, &s);
  sky_functionals zones = {.n_zone = NZ, .W = s.W, .n_layer = NL, .n_sector = NS};
  assert_int_equal(sky_problem_solve(ctx, &s.p, &zones, &post), SKY_E_RANGE);
  zones.sector_share = s.share;
  zones.n_sector = NL + 1;
  assert_int_equal(sky_problem_solve(ctx, &s.p, &zones, &post), SKY_E_RANGE);
  zones.n_sector = NS;
  s.share[1] += 0.1;
  assert_int_equal(sky_problem_solve(ctx, &s.p, &zones, &post), SKY_E_RANGE);
  sky_free(s.Q);
  sky_free(s.B);
  sky_problem_free(&s.p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sectors),
                                     cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
