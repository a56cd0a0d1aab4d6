/* Levels against the dense covariance, a closed form, and themselves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/iterate.h"
#include "algorithms/inversion/levels.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

#define PI 3.14159265358979323846

/* A coarse grid of 10 km, 9 x 7; a patch of 2 km, 12 x 11, over the cells 3..4 x 2, whose
 * mesh cells are 2 km wide there (one of 5 x 5 = 25 per coarse cell) and 10 km elsewhere. */
enum { NX = 9, NY = 7, FINE = 5, TIMES = 2, SECTORS = 2, VECTORS = 60 };

static size_t make_mesh(double *bounds) {
  size_t n = 0;
  for (int iy = 0; iy < NY; iy++)
    for (int ix = 0; ix < NX; ix++) {
      const int parts = ix >= 3 && ix <= 4 && iy == 2 ? FINE : 1;
      const double w = 10.0 / parts;
      for (int jy = 0; jy < parts; jy++)
        for (int jx = 0; jx < parts; jx++, n++) {
          bounds[4 * n] = 10 * ix + w * jx;
          bounds[4 * n + 1] = 10 * iy + w * jy;
          bounds[4 * n + 2] = 10 * ix + w * (jx + 1);
          bounds[4 * n + 3] = 10 * iy + w * (jy + 1);
        }
    }
  return n;
}

/* Mean of the grid's boxes over the cell, by brute force on a 0.5 km raster (all edges lie on it).
 */
static double weight(const sky_level *s, const double *b, size_t point) {
  size_t in = 0, all = 0;
  for (double y = b[1] + 0.25; y < b[3]; y += 0.5)
    for (double x = b[0] + 0.25; x < b[2]; x += 0.5) {
      const double fx = floor((x - s->x0) / s->dx), fy = floor((y - s->y0) / s->dy);
      all++;
      if (fx == (double)(point % s->nx) && fy == (double)(point / s->nx)) in++;
    }
  return (double)in / (double)all;
}

static void dense(sky_context *ctx, const sky_levels_spec *spec, double *Q) {
  const size_t nm = spec->n_mesh, m = nm * TIMES * SECTORS;
  memset(Q, 0, m * m * sizeof *Q);
  for (size_t k = 0; k < spec->n_level; k++) {
    const sky_level *s = &spec->level[k];
    const size_t ng = s->nx * s->ny;
    double *W = fixture_new(ctx, nm * ng), *C = fixture_new(ctx, ng * ng);
    double *WC = fixture_new(ctx, nm * ng), *WCW = fixture_new(ctx, nm * nm);
    for (size_t c = 0; c < nm; c++)
      for (size_t g = 0; g < ng; g++)
        W[c * ng + g] = weight(s, spec->bounds + 4 * c, g);
    for (size_t fa = 0; fa < TIMES * SECTORS; fa++)
      for (size_t fb = 0; fb < TIMES * SECTORS; fb++) {
        const double mix = spec->D[fa / SECTORS * TIMES + fb / SECTORS] *
                           spec->M[fa % SECTORS * SECTORS + fb % SECTORS];
        for (size_t g = 0; g < ng; g++)
          for (size_t h = 0; h < ng; h++) {
            const double dx = s->dx * ((double)(g % s->nx) - (double)(h % s->nx));
            const double dy = s->dy * ((double)(g / s->nx) - (double)(h / s->nx));
            const double sg = s->sigma * (s->scale != NULL ? s->scale[fa * ng + g] : 1);
            const double sh = s->sigma * (s->scale != NULL ? s->scale[fb * ng + h] : 1);
            C[g * ng + h] =
                mix * sg * sh * sky_correlation_value(s->model, hypot(dx, dy), s->length);
          }
        fixture_multiply(nm, ng, ng, false, W, false, C, WC);
        fixture_multiply(nm, ng, nm, false, WC, true, W, WCW);
        for (size_t c = 0; c < nm; c++)
          for (size_t d = 0; d < nm; d++)
            Q[(fa * nm + c) * m + fb * nm + d] += WCW[c * nm + d];
      }
    sky_free(W);
    sky_free(C);
    sky_free(WC);
    sky_free(WCW);
  }
}

static const double SECTOR_MIX[] = {1, 0.4, 0.4, 1};

typedef struct scene {
  sky_context *ctx;
  double *bounds, *scale, D[TIMES * TIMES];
  sky_level level[2];
  sky_levels_spec spec;
  size_t m;
} scene;

static void make_scene(scene *s, sky_correlation_kind coarse, sky_correlation_kind fine) {
  s->ctx = fixture_context(2);
  s->bounds = fixture_new(s->ctx, 4 * (NX * NY - 2 + 2 * FINE * FINE));
  const size_t n = make_mesh(s->bounds);
  s->m = n * TIMES * SECTORS;
  for (size_t i = 0; i < TIMES * TIMES; i++)
    s->D[i] = exp(-fabs((double)(i / TIMES) - (double)(i % TIMES)) / 1.5);
  s->level[0] = (sky_level){NX, NY, 0, 0, 10, 10, {coarse, 1.2}, 35, 1.5, NULL};
  s->level[1] = (sky_level){12, 11, 28, 19, 2, 2, {fine, 0.4}, 6, 0.7, NULL};
  s->scale = fixture_new(s->ctx, TIMES * SECTORS * 12 * 11);
  for (size_t i = 0; i < TIMES * SECTORS * 12 * 11; i++)
    s->scale[i] = 0.5 + 0.1 * (double)(i % 13);
  s->level[1].scale = s->scale;
  s->spec = (sky_levels_spec){n, SECTORS, TIMES, s->bounds, s->D, SECTOR_MIX, 2, s->level};
}

static void free_scene(scene *s) {
  sky_free(s->bounds);
  sky_free(s->scale);
  sky_context_free(s->ctx);
}

static void against_dense(sky_correlation_kind coarse, sky_correlation_kind fine,
                          double tolerance) {
  scene s;
  make_scene(&s, coarse, fine);
  sky_levels *lv = NULL;
  assert_int_equal(sky_levels_create(s.ctx, &s.spec, &lv), SKY_OK);
  enum { COUNT = 7 };
  const size_t m = s.m;
  double *Q = fixture_new(s.ctx, m * m), *v = fixture_new(s.ctx, COUNT * m);
  double *out = fixture_new(s.ctx, COUNT * m), *want = fixture_new(s.ctx, COUNT * m);
  for (size_t i = 0; i < COUNT * m; i++)
    v[i] = sky_rng_normal(4, 0, i);
  dense(s.ctx, &s.spec, Q);
  sky_levels_apply(s.ctx, lv, v, COUNT, out);
  fixture_multiply(COUNT, m, m, false, v, false, Q, want);
  assert_true(fixture_difference(COUNT * m, out, want) < tolerance);
  for (size_t i = 0; i < m; i++)
    assert_true(fabs(sky_levels_variance(lv)[i] - Q[i * m + i]) < tolerance * Q[i * m + i]);
  for (size_t k = 0; k < 2; k++)
    assert_true(sky_levels_clipped(lv, k) < tolerance);
  for (int threads = 1; threads <= 5; threads += 2) {
    sky_context_set_threads(s.ctx, threads);
    sky_levels_apply(s.ctx, lv, v, COUNT, want);
    assert_memory_equal(want, out, COUNT * m * sizeof *out);
    sky_levels *other = NULL;
    assert_int_equal(sky_levels_create(s.ctx, &s.spec, &other), SKY_OK);
    sky_levels_apply(s.ctx, other, v, COUNT, want);
    assert_memory_equal(want, out, COUNT * m * sizeof *out);
    sky_levels_free(other);
  }
  sky_free(Q);
  sky_free(v);
  sky_free(out);
  sky_free(want);
  sky_levels_free(lv);
  free_scene(&s);
}

static void test_dense(void **state) {
  (void)state;
  against_dense(SKY_CORR_SPHERICAL, SKY_CORR_EXPONENTIAL, 1e-12);
  against_dense(SKY_CORR_MATERN32, SKY_CORR_GASPARI_COHN, 1e-12);
  against_dense(SKY_CORR_EXPONENTIAL, SKY_CORR_MATERN52, 1e-12);
  against_dense(SKY_CORR_GASPARI_COHN, SKY_CORR_NONE, 1e-12);
  against_dense(SKY_CORR_MATERN, SKY_CORR_GASPARI_COHN, 1e-12);
  against_dense(SKY_CORR_SPHERICAL, SKY_CORR_MATERN, 1e-12);
}

/* Too long a correlation for its grid: negative eigenvalues are reported, and what is left is
 * positive semi-definite. */
static void positive(sky_correlation_kind coarse) {
  scene s;
  make_scene(&s, coarse, SKY_CORR_SPHERICAL);
  s.level[0].length = 4000;
  sky_context_set_log(s.ctx, NULL, NULL, SKY_LOG_ERROR);
  sky_levels *lv = NULL;
  assert_int_equal(sky_levels_create(s.ctx, &s.spec, &lv), SKY_OK);
  assert_true(sky_levels_clipped(lv, 0) > 1e-12);
  assert_true(sky_levels_clipped(lv, 1) < 1e-12);
  assert_int_equal(sky_context_warning_count(s.ctx), 1);
  /* Xᵀ Q X for smooth vectors X, which the clipped directions are among. */
  double *X = fixture_new(s.ctx, VECTORS * s.m), *QX = fixture_new(s.ctx, VECTORS * s.m);
  double G[VECTORS * VECTORS];
  for (size_t k = 0; k < VECTORS; k++)
    for (size_t i = 0; i < s.m; i++)
      X[k * s.m + i] = cos(PI * (double)(k * i % s.m) / (double)s.m) + sky_rng_normal(6, k, i);
  sky_levels_apply(s.ctx, lv, X, VECTORS, QX);
  fixture_multiply(VECTORS, s.m, VECTORS, false, X, true, QX, G);
  for (size_t k = 0; k < VECTORS; k++)
    for (size_t j = 0; j < k; j++)
      assert_true(fabs(G[k * VECTORS + j] - G[j * VECTORS + k]) <
                  1e-12 * sqrt(G[k * VECTORS + k] * G[j * VECTORS + j]));
  assert_int_equal(sky_cholesky(s.ctx, VECTORS, G), SKY_OK);
  sky_free(X);
  sky_free(QX);
  sky_levels_free(lv);
  free_scene(&s);
}

static void test_positive(void **state) {
  (void)state;
  positive(SKY_CORR_EXPONENTIAL);
  positive(SKY_CORR_MATERN);
}

static void test_refusals(void **state) {
  (void)state;
  scene s;
  make_scene(&s, SKY_CORR_SPHERICAL, SKY_CORR_SPHERICAL);
  sky_levels *lv = NULL;
  s.level[1].length = -1;
  assert_int_equal(sky_levels_create(s.ctx, &s.spec, &lv), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(s.ctx), "level 1: length: -1"));
  s.level[1].length = 6;
  s.level[1].model = (sky_correlation){SKY_CORR_MATERN, NAN};
  assert_int_equal(sky_levels_create(s.ctx, &s.spec, &lv), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(s.ctx), "level 1: smoothness: nan (expected a number above 0"));
  s.level[1].model = (sky_correlation){SKY_CORR_SPHERICAL, 0};
  s.scale[17] = NAN;
  assert_int_equal(sky_levels_create(s.ctx, &s.spec, &lv), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(s.ctx), "scale[17]"));
  s.scale[17] = 1;
  s.bounds[4 * 5 + 2] = s.bounds[4 * 5];
  assert_int_equal(sky_levels_create(s.ctx, &s.spec, &lv), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(s.ctx), "cell 5"));
  assert_null(lv);
  free_scene(&s);
}

/* Every allocation that fails is a clean failure. */
static void test_memory(void **state) {
  (void)state;
  scene s;
  make_scene(&s, SKY_CORR_SPHERICAL, SKY_CORR_SPHERICAL);
  sky_status st = SKY_E_NOMEM;
  for (uint64_t n = 1; st != SKY_OK; n++) {
    sky_levels *lv = NULL;
    assert_true(n < 100);
    sky_memory_fail_at(s.ctx, n);
    st = sky_levels_create(s.ctx, &s.spec, &lv);
    sky_memory_fail_at(s.ctx, 0);
    assert_true(st == SKY_OK || (st == SKY_E_NOMEM && lv == NULL));
    sky_levels_free(lv);
  }
  free_scene(&s);
}

/* ---- in the exact solver -------------------------------------------------------------------- */

/* The same problem with the dense matrix of the levels (n_time = 1) as E. */
static void test_dual(void **state) {
  (void)state;
  scene s;
  sky_problem p;
  sky_posterior a, b;
  make_scene(&s, SKY_CORR_MATERN32, SKY_CORR_SPHERICAL);
  fixture_problem(s.ctx, 8, s.m / TIMES, TIMES, 60, 2, &p);
  double *Q = fixture_new(s.ctx, s.m * s.m), one = 1, *E = p.E, *D = p.D;
  double *W = fixture_new(s.ctx, 2 * s.m);
  dense(s.ctx, &s.spec, Q);
  for (size_t i = 0; i < s.m; i++) {
    p.x_sd[i] = sqrt(Q[i * s.m + i]);
    W[i] = 1;
    W[s.m + i] = i % s.spec.n_mesh < 30;
  }
  const sky_functionals zones = {.n_zone = 2, .W = W};
  assert_int_equal(sky_levels_create(s.ctx, &s.spec, &p.levels), SKY_OK);
  p.E = p.D = NULL;
  assert_int_equal(sky_problem_solve(s.ctx, &p, &zones, &a), SKY_OK);
  sky_problem q = p;
  q.levels = NULL;
  q.n_cell = s.m;
  q.n_time = 1;
  q.E = Q;
  q.D = &one;
  for (size_t i = 0; i < s.m; i++)
    for (size_t j = 0; j < s.m; j++)
      Q[i * s.m + j] /= p.x_sd[i] * p.x_sd[j];
  assert_int_equal(sky_problem_solve(s.ctx, &q, &zones, &b), SKY_OK);
  assert_true(fixture_difference(s.m, a.x, b.x) < 1e-10);
  assert_true(fixture_difference(s.m, a.sd, b.sd) < 1e-10);
  assert_true(fixture_difference(s.m, a.ak, b.ak) < 1e-10);
  assert_true(fixture_difference(4, a.zone_cov, b.zone_cov) < 1e-10);
  assert_true(fixture_difference(2, a.zone_noise_var, b.zone_noise_var) < 1e-10);
  assert_true(fixture_difference(2, a.zone_inventory_var, b.zone_inventory_var) < 1e-10);
  assert_true(fabs(a.dofs - b.dofs) < 1e-11 * b.dofs);
  assert_true(fabs(a.neg_log_evidence - b.neg_log_evidence) < 1e-11 * b.neg_log_evidence);
  sky_posterior_free(&a);
  sky_posterior_free(&b);
  p.x_sd[7] *= 1.001;
  assert_int_equal(sky_problem_solve(s.ctx, &p, &zones, &a), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(s.ctx), "x_sd[7]"));
  p.E = E;
  p.D = D;
  sky_free(Q);
  sky_free(W);
  sky_problem_free(&p);
  free_scene(&s);
}

/* H = I and Q circulant over the time steps: x̂_k = q_k/(q_k + r) d_k for every wavenumber,
 * DOFS = Σ q_k/(q_k + r), on the exact, the iterative and the banded path. */
static void test_circulant(void **state) {
  (void)state;
  enum { STEPS = 24, CELLS = 6, N = STEPS * CELLS };
  sky_context *ctx = fixture_context(2);
  double bounds[4 * CELLS], q[STEPS], D[STEPS * STEPS], want[N], W[N], dofs = 0;
  double y[N], r[N], x0[N], sd[N], val[N];
  size_t rowptr[N + 1];
  int32_t col[N];
  const double noise = 0.8;
  for (size_t c = 0; c < CELLS; c++) {
    bounds[4 * c] = (double)c;
    bounds[4 * c + 1] = 0;
    bounds[4 * c + 2] = (double)c + 1;
    bounds[4 * c + 3] = 1;
  }
  for (size_t k = 0; k < STEPS; k++) {
    const double wave = (double)(k < STEPS - k ? k : STEPS - k);
    q[k] = 4 / (1 + wave * wave);
    dofs += CELLS * q[k] / (q[k] + noise);
  }
  for (size_t i = 0; i < STEPS * STEPS; i++) {
    const double lag = (double)(i / STEPS) - (double)(i % STEPS);
    D[i] = 0;
    for (size_t k = 0; k < STEPS; k++)
      D[i] += q[k] * cos(2 * PI * (double)k * lag / STEPS) / STEPS;
  }
  for (size_t i = 0; i < N; i++) {
    rowptr[i] = i;
    col[i] = (int32_t)i;
    val[i] = W[i] = 1;
    x0[i] = 3;
    r[i] = sqrt(noise);
    y[i] = 3 + 2 * sky_rng_normal(6, 0, i);
  }
  rowptr[N] = N;
  for (size_t i = 0; i < N; i++) { /* transform, shrink, transform back: by plain sums */
    want[i] = x0[i];
    for (size_t k = 0; k < STEPS; k++)
      for (size_t t = 0; t < STEPS; t++)
        want[i] += q[k] / (q[k] + noise) * (y[t * CELLS + i % CELLS] - 3) / STEPS *
                   cos(2 * PI * (double)k * ((double)(i / CELLS) - (double)t) / STEPS);
  }
  const sky_level one = {CELLS, 1, 0, 0, 1, 1, {SKY_CORR_NONE, 0}, 1, 1, NULL};
  const sky_levels_spec spec = {CELLS, 1, STEPS, bounds, D, NULL, 1, &one};
  sky_problem p = {.n_obs = N,
                   .n_state = N,
                   .n_cell = CELLS,
                   .n_time = STEPS,
                   .rowptr = rowptr,
                   .col = col,
                   .val = val,
                   .y = y,
                   .r_sd = r,
                   .x0 = x0,
                   .x_sd = sd};
  assert_int_equal(sky_levels_create(ctx, &spec, &p.levels), SKY_OK);
  for (size_t i = 0; i < N; i++)
    sd[i] = sqrt(sky_levels_variance(p.levels)[i]);
  const sky_functionals zones = {.n_zone = 1, .W = W};
  for (int method = 0; method < 3; method++) {
    sky_posterior a;
    sky_iterate_report report;
    const sky_iterate_options o = {
        .tolerance = 1e-10, .complete = N, .banded = method == 2, .skip_trace = true};
    if (method == 0)
      assert_int_equal(sky_problem_solve(ctx, &p, &zones, &a), SKY_OK);
    else
      assert_int_equal(sky_problem_iterate(ctx, &p, &zones, &o, &a, &report), SKY_OK);
    assert_true(fixture_difference(N, a.x, want) < 1e-13);
    if (method < 2) assert_true(fabs(a.dofs - dofs) < 1e-12 * dofs);
    sky_posterior_free(&a);
  }
  sky_levels_free(p.levels);
  sky_context_free(ctx);
}

/* H = I, one row of cells, exponential E = AR(1): Q⁻¹ is tridiagonal, so x̂, its sd and the DOFS
 * follow from a recursion that knows no covariance matrix. */
static void test_closed_form(void **state) {
  (void)state;
  enum { N = 64 };
  sky_context *ctx = fixture_context(2);
  double bounds[4 * N], D = 1, y[N], r[N], x0[N], sd[N], val[N];
  size_t rowptr[N + 1];
  int32_t col[N];
  for (size_t i = 0; i < N; i++) {
    bounds[4 * i] = (double)i;
    bounds[4 * i + 1] = 0;
    bounds[4 * i + 2] = (double)i + 1;
    bounds[4 * i + 3] = 1;
    rowptr[i] = i;
    col[i] = (int32_t)i;
    val[i] = 1;
    x0[i] = 1;
    sd[i] = 2;
    r[i] = 0.7;
    y[i] = 1 + 2 * sky_rng_normal(2, 0, i);
  }
  rowptr[N] = N;
  const double length = 3, rho = exp(-1 / length), q = 4, noise = 0.49;
  const sky_level one = {N, 1, 0, 0, 1, 1, {SKY_CORR_EXPONENTIAL, 0}, length, 2, NULL};
  const sky_levels_spec spec = {N, 1, 1, bounds, &D, NULL, 1, &one};
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
                   .x_sd = sd};
  assert_int_equal(sky_levels_create(ctx, &spec, &p.levels), SKY_OK);
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, NULL, &post), SKY_OK);
  /* (Q⁻¹ + I/r) z = d/r with tridiagonal Q⁻¹: forward elimination and back substitution. */
  double diagonal[N], right[N], off = -rho / (q * (1 - rho * rho));
  for (size_t i = 0; i < N; i++) {
    const double inner = i > 0 && i < N - 1 ? 1 + rho * rho : 1;
    diagonal[i] = inner / (q * (1 - rho * rho)) + 1 / noise;
    right[i] = (y[i] - x0[i]) / noise;
    if (i == 0) continue;
    const double f = off / diagonal[i - 1];
    diagonal[i] -= f * off;
    right[i] -= f * right[i - 1];
  }
  double want[N], variance[N], dofs = 0;
  for (size_t i = N; i-- > 0;) {
    want[i] = (right[i] - (i + 1 < N ? off * want[i + 1] : 0)) / diagonal[i];
    variance[i] = 1 / diagonal[i]; /* diagonal of the inverse, from the end (Takahashi) */
    if (i + 1 < N) variance[i] += off * off / (diagonal[i] * diagonal[i]) * variance[i + 1];
  }
  for (size_t i = 0; i < N; i++)
    dofs += variance[i] / noise; /* tr A = tr(P R⁻¹), H = I */
  for (size_t i = 0; i < N; i++) {
    assert_true(fabs(post.x[i] - x0[i] - want[i]) < 1e-12);
    assert_true(fabs(post.sd[i] - sqrt(variance[i])) < 1e-12);
  }
  assert_true(fabs(post.dofs - dofs) < 1e-11);
  sky_posterior_free(&post);
  sky_levels_free(p.levels);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_dense),      cmocka_unit_test(test_positive),
      cmocka_unit_test(test_refusals),   cmocka_unit_test(test_memory),
      cmocka_unit_test(test_dual),       cmocka_unit_test(test_circulant),
      cmocka_unit_test(test_closed_form)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
