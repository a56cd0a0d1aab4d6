/* The banded covariance of observations: its factor against a dense one, and the solution with it
 * against the exact solver, whose elements come from transforms. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/band.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/banded.h"
#include "algorithms/inversion/iterate.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/nearby.h"
#include "algorithms/inversion/obs_operator.h"
#include "algorithms/inversion/noise.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

static void test_band(void **state) {
  (void)state;
  enum { N = 700, SIDES = 3 };
  sky_context *ctx = fixture_context(2);
  size_t *first = SKY_NEW(ctx, size_t, N);
  double *A = fixture_new(ctx, N * N), *X = fixture_new(ctx, N * SIDES);
  double *want = fixture_new(ctx, N * SIDES);
  sky_band b;
  for (size_t i = 0; i < N; i++) {
    first[i] = i > 230 ? i - 60 - i % 170 : 0;
    for (size_t j = first[i]; j <= i; j++)
      A[i * N + j] = i == j ? 20 : 0.2 * sky_rng_normal(1, i, j);
    for (size_t q = 0; q < SIDES; q++)
      X[i * SIDES + q] = want[i * SIDES + q] = sky_rng_normal(2, q, i);
  }
  assert_int_equal(sky_band_create(ctx, N, first, 0, &b), SKY_OK);
  assert_true(sky_band_bytes(N, first) < 8.0 * N * N);
  for (size_t i = 0; i < N; i++)
    for (size_t j = first[i]; j <= i; j++)
      *sky_band_element(&b, i, j) = A[i * N + j];
  assert_int_equal(sky_band_cholesky(ctx, &b), SKY_OK);
  assert_int_equal(sky_cholesky(ctx, N, A), SKY_OK);
  for (size_t i = 0; i < N; i++)
    for (size_t j = first[i]; j <= i; j++)
      assert_true(fabs(*sky_band_element(&b, i, j) - A[i * N + j]) < 1e-13);
  sky_band_solve(&b, SIDES, X);
  sky_cholesky_forward(ctx, N, A, SIDES, want);
  sky_cholesky_backward(ctx, N, A, SIDES, want);
  assert_true(fixture_difference(N * SIDES, X, want) < 1e-13);
  assert_true(fabs(sky_band_logdet(&b) - sky_cholesky_logdet(N, A)) < 1e-10);
  double *unit = fixture_new(ctx, N * N); /* the dense inverse, row by row */
  for (size_t i = 0; i < N; i++)
    unit[i * N + i] = 1;
  sky_cholesky_forward(ctx, N, A, N, unit);
  sky_cholesky_backward(ctx, N, A, N, unit);
  assert_int_equal(sky_band_inverse(ctx, &b), SKY_OK);
  for (size_t i = 0; i < N; i++)
    for (size_t j = first[i]; j <= i; j++)
      assert_true(fabs(*sky_band_element(&b, i, j) - unit[i * N + j]) < 1e-14);
  sky_free(unit);
  *sky_band_element(&b, 650, 650) = -1e9; /* an inverse now; any matrix will do */
  assert_int_equal(sky_band_cholesky(ctx, &b), SKY_E_NOT_SPD);
  assert_non_null(strstr(sky_error(ctx), "row"));
  sky_error_clear(ctx);
  sky_context_set_memory(ctx, 1 << 20);
  sky_band small;
  assert_int_equal(sky_band_create(ctx, N, first, 0, &small), SKY_E_NOMEM);
  sky_band_free(&b);
  double *all[] = {A, X, want};
  for (size_t i = 0; i < 3; i++)
    sky_free(all[i]);
  sky_free(first);
  sky_context_free(ctx);
}

/* A long domain: 60 x 4 cells of 10 km; a coarse field on 20 km points, a fine one on the cells. */
enum { NX = 60, NY = 4, CELLS = NX * NY, SECTORS = 2, TIMES = 3, OBS = 1200, ZONES = 4 };
enum { STATE = CELLS * SECTORS * TIMES, FIELDS = SECTORS * TIMES, OFFSETS = 6 };

typedef struct bed {
  sky_context *ctx;
  sky_problem p;
  double *W, *scale;
  sky_functionals zones;
} bed;

static void fill_levels(bed *b, sky_correlation_kind coarse) {
  double *bounds = fixture_new(b->ctx, 4 * CELLS), D[TIMES * TIMES];
  const double M[] = {1, 0.3, 0.3, 1};
  for (size_t c = 0; c < CELLS; c++) {
    bounds[4 * c] = 10.0 * (double)(c % NX);
    bounds[4 * c + 1] = 10.0 * (double)(c / NX);
    bounds[4 * c + 2] = bounds[4 * c] + 10;
    bounds[4 * c + 3] = bounds[4 * c + 1] + 10;
  }
  for (size_t i = 0; i < TIMES * TIMES; i++)
    D[i] = exp(-fabs((double)(i / TIMES) - (double)(i % TIMES)));
  b->scale = fixture_new(b->ctx, FIELDS * CELLS);
  for (size_t i = 0; i < FIELDS * CELLS; i++)
    b->scale[i] = 0.5 + 0.1 * (double)(i % 7);
  const sky_level level[] = {{NX / 2, NY / 2, 0, 0, 20, 20, {coarse, 0}, 50, 0.8, NULL},
                             {NX, NY, 0, 0, 10, 10, {SKY_CORR_SPHERICAL, 0}, 25, 1.1, b->scale}};
  const sky_levels_spec spec = {CELLS, SECTORS, TIMES, bounds, D, M, 2, level};
  assert_int_equal(sky_levels_create(b->ctx, &spec, &b->p.levels), SKY_OK);
  for (size_t i = 0; i < STATE; i++)
    b->p.x_sd[i] = sqrt(sky_levels_variance(b->p.levels)[i]);
  sky_free(bounds);
}

/* Every observation sees 3 x 2 cells at two times and both sectors; some see nothing. */
static void fill_rows(bed *b) {
  sky_problem *p = &b->p;
  p->rowptr = SKY_NEW0(b->ctx, size_t, OBS + 1);
  p->col = SKY_NEW0(b->ctx, int32_t, OBS * 24);
  p->val = fixture_new(b->ctx, OBS * 24);
  size_t k = 0;
  for (size_t i = 0; i < OBS; i++) {
    const size_t x = (size_t)((NX - 3) * sky_rng_uniform(1, 0, i));
    const size_t y = (size_t)((NY - 1) * sky_rng_uniform(1, 1, i));
    const size_t t = (size_t)((TIMES - 1) * sky_rng_uniform(1, 2, i));
    for (size_t q = 0; q < 24 && i % 50 != 7; q++, k++) {
      const size_t field = (t + q / 12) * SECTORS + q / 6 % 2;
      p->col[k] = (int32_t)(field * CELLS + (y + q % 6 / 3) * NX + x + q % 3);
      p->val[k] = 0.2 + sky_rng_uniform(1, 3, k);
    }
    p->rowptr[i + 1] = k;
    p->r_sd[i] = 0.4 + 0.1 * (double)(i % 3);
    p->y[i] = 6 + 3 * sky_rng_normal(1, 4, i);
  }
}

static void make_bed(bed *b, sky_correlation_kind coarse, int threads) {
  memset(b, 0, sizeof *b);
  b->ctx = fixture_context(threads);
  sky_problem *p = &b->p;
  p->n_obs = OBS;
  p->n_cell = CELLS * SECTORS;
  p->n_time = TIMES;
  p->n_state = STATE;
  p->x0 = fixture_new(b->ctx, STATE);
  p->x_sd = fixture_new(b->ctx, STATE);
  p->y = fixture_new(b->ctx, OBS);
  p->r_sd = fixture_new(b->ctx, OBS);
  b->W = fixture_new(b->ctx, ZONES * STATE);
  for (size_t i = 0; i < STATE; i++) {
    p->x0[i] = 1 + (double)(i % 3);
    b->W[i] = 1;
    b->W[(1 + i % 3) * STATE + i] = 0.5;
  }
  b->zones = (sky_functionals){.n_zone = ZONES, .W = b->W};
  fill_rows(b);
  fill_levels(b, coarse);
}

static void free_bed(bed *b) {
  sky_free(b->W);
  sky_free(b->scale);
  sky_problem_free(&b->p);
  sky_context_free(b->ctx);
}

static void add_track(bed *b) {
  int32_t overpass[OBS];
  double along[OBS];
  for (size_t i = 0; i < OBS; i++) {
    overpass[i] = (int32_t)(i * 5 / OBS);
    along[i] = 300 * sky_rng_uniform(4, 4, i);
  }
  assert_int_equal(sky_track_create(b->ctx, OBS, overpass, along, 20, 0.7, &b->p.track), SKY_OK);
}

/* An offset for each of five parts of the observations (some have none), one of them known, and a
 * regressor along the domain. */
static void add_offsets(bed *b) {
  sky_problem *p = &b->p;
  p->n_background = OFFSETS;
  p->n_regressor = 1;
  p->group = SKY_NEW(b->ctx, int32_t, OBS);
  p->regressor = fixture_new(b->ctx, OBS);
  p->b0 = fixture_new(b->ctx, OFFSETS);
  p->b_sd = fixture_new(b->ctx, OFFSETS);
  for (size_t i = 0; i < OBS; i++) {
    p->group[i] = i % 11 == 3 ? -1 : (int32_t)(i * 5 / OBS);
    p->regressor[i] = sky_rng_normal(6, 0, i);
  }
  for (size_t g = 0; g < OFFSETS; g++) {
    p->b0[g] = 0.3 * (double)g;
    p->b_sd[g] = g == 2 ? 0 : 0.5 + 0.2 * (double)g;
  }
}

static void test_solution(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    bed b;
    sky_posterior exact, a;
    sky_iterate_report report;
    make_bed(&b, SKY_CORR_GASPARI_COHN, 2);
    if (kind & 1) add_track(&b);
    if (kind & 2) add_offsets(&b);
    const sky_iterate_options o = {.tolerance = 1e-10, .banded = true, .skip_trace = true};
    assert_int_equal(sky_problem_solve(b.ctx, &b.p, &b.zones, &exact), SKY_OK);
    assert_int_equal(sky_problem_iterate(b.ctx, &b.p, &b.zones, &o, &a, &report), SKY_OK);
    assert_true(report.total_error < 1e-12 && report.sd_error < 1e-12);
    assert_true(report.total_error >= (double)b.p.n_obs * DBL_EPSILON); /* rounding is in it */
    assert_true(fixture_difference(STATE, a.x, exact.x) < 1e-11);
    assert_true(fixture_difference(ZONES, a.total, exact.total) < 1e-11);
    assert_true(fixture_difference(ZONES * ZONES, a.zone_cov, exact.zone_cov) < 1e-11);
    assert_true(fixture_difference(ZONES, a.zone_noise_var, exact.zone_noise_var) < 1e-11);
    assert_true(fixture_difference(ZONES, a.zone_sensitivity, exact.zone_sensitivity) < 1e-11);
    assert_true(fixture_difference(OBS, a.residual, exact.residual) < 1e-11);
    assert_true(fabs(a.chi2 - exact.chi2) < 1e-11 * exact.chi2);
    assert_true(fabs(a.jb - exact.jb) < 1e-11 * exact.jb);
    assert_true(fabs(a.neg_log_evidence - exact.neg_log_evidence) <
                1e-11 * fabs(exact.neg_log_evidence));
    assert_true(fabs(a.dofs - exact.dofs) < 1e-11 * exact.dofs && isnan(a.sd[0]));
    assert_true(fixture_difference(ZONES, a.zone_dofs, exact.zone_dofs) < 1e-11);
    assert_true(fabs(a.dofs_background - exact.dofs_background) < 1e-11 * exact.dofs);
    assert_true(fixture_difference(b.p.n_background, a.b, exact.b) < 1e-11);
    assert_true(fixture_difference(b.p.n_background, a.b_post_sd, exact.b_post_sd) < 1e-11);
    sky_posterior_free(&exact);
    sky_posterior_free(&a);
    free_bed(&b);
  }
}

/* Less than the triangle is held, and the bits do not depend on the threads. */
static void test_threads(void **state) {
  (void)state;
  double *answer[3] = {NULL}, logdet[3];
  sky_context *ctx = fixture_context(1);
  for (int k = 0; k < 3; k++) {
    bed b;
    sky_banded *c;
    make_bed(&b, SKY_CORR_SPHERICAL, k == 0 ? 1 : 2 + k);
    answer[k] = fixture_new(ctx, 2 * OBS);
    for (size_t i = 0; i < 2 * OBS; i++)
      answer[k][i] = sky_rng_normal(5, 5, i);
    assert_int_equal(sky_banded_create(b.ctx, &b.p, 0, &c), SKY_OK);
    assert_int_equal(sky_banded_solve(b.ctx, c, 2, answer[k]), SKY_OK);
    assert_true(sky_banded_share(c) < 0.9);
    logdet[k] = sky_banded_logdet(c);
    sky_banded_free(c);
    free_bed(&b);
  }
  for (int k = 1; k < 3; k++) {
    assert_memory_equal(answer[k], answer[0], 2 * OBS * sizeof *answer[0]);
    assert_true(memcmp(&logdet[k], &logdet[0], sizeof logdet[0]) == 0);
  }
  for (int k = 0; k < 3; k++)
    sky_free(answer[k]);
  sky_context_free(ctx);
}

static void add_kind(bed *b, int kind) {
  make_bed(b, kind & 4 ? SKY_CORR_EXPONENTIAL : SKY_CORR_SPHERICAL, 2);
  if (kind & 1) add_track(b);
  if (kind & 2) add_offsets(b);
}

/* The diagonal of G Psi G^T is 1 whatever the neighbours are, if Psi's elements are those of the
 * operator (transforms, no neighbours) and nothing joins all; G^-1 undoes G, G^T is its transpose.
 */
static void test_factor(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    bed b;
    sky_obs_operator op;
    sky_nearby *near;
    add_kind(&b, kind);
    double *v = fixture_new(b.ctx, 2 * OBS), *out = fixture_new(b.ctx, 2 * OBS);
    assert_int_equal(sky_obs_operator_open(b.ctx, &b.p, false, &op), SKY_OK);
    assert_int_equal(sky_nearby_create(b.ctx, &b.p, 0, &near), SKY_OK);
    op.near = near;
    for (size_t i = 0; i < OBS && !(kind & 2); i += 37) {
      memset(v, 0, OBS * sizeof *v);
      v[i] = 1;
      sky_obs_operator_apply(&op, v, 1, out);
      assert_true(fabs(out[i] - 1) < 1e-11);
    }
    for (size_t i = 0; i < 2 * OBS; i++)
      v[i] = sky_rng_normal(7, (size_t)kind, i);
    sky_nearby_apply(b.ctx, near, v, 1, out);
    const double there = sky_dot(out, v + OBS, OBS);
    sky_nearby_transpose_apply(b.ctx, near, v + OBS, 1, out + OBS);
    assert_true(fabs(there - sky_dot(v, out + OBS, OBS)) < 1e-9);
    sky_nearby_solve(b.ctx, near, 1, out);
    assert_true(fixture_difference(OBS, out, v) < 1e-12);
    sky_nearby_free(near);
    sky_obs_operator_close(&op);
    sky_free(v);
    sky_free(out);
    free_bed(&b);
  }
}

/* Few vectors, and within the bounds that are stated; also where the neighbours' model is cut. */
static void test_neighbours(void **state) {
  (void)state;
  for (int kind = 0; kind < 8; kind += kind == 0 ? 3 : kind == 3 ? 1 : 3) { /* 0, 3, 4, 7 */
    bed b;
    sky_posterior exact, a;
    sky_iterate_report report;
    sky_nearby *none;
    add_kind(&b, kind);
    const sky_iterate_options o = {.tolerance = 1e-7, .seed = 3};
    assert_int_equal(sky_problem_solve(b.ctx, &b.p, &b.zones, &exact), SKY_OK);
    assert_int_equal(sky_problem_iterate(b.ctx, &b.p, &b.zones, &o, &a, &report), SKY_OK);
    assert_true(report.total_error <= 1e-7 && report.sd_error <= 1e-7 && !report.complete);
    assert_true(report.basis > ZONES && report.basis < OBS / 6);
    for (size_t z = 0; z < ZONES; z++) {
      const double sd = exact.total_sd[z], error = fabs(a.total[z] - exact.total[z]);
      assert_true(error <= (report.total_error + 1e-10) * sd);
      assert_true(fabs(a.total_sd[z] - sd) <= (report.sd_error + 1e-10) * sd);
    }
    for (size_t i = 0; i < STATE; i++)
      assert_true(fabs(a.x[i] - exact.x[i]) <= (report.state_error + 1e-10) * b.p.x_sd[i]);
    const double all = exact.dofs + exact.dofs_background; /* the estimate holds offsets, too */
    assert_true(report.dofs_half > 0 && fabs(a.dofs - all) < 1.5 * report.dofs_half);
    assert_true(fabs(a.neg_log_evidence - exact.neg_log_evidence) < 1.5 * report.evidence_half);
    for (size_t z = 0; z < ZONES; z++)
      assert_true(fabs(a.zone_dofs[z] - exact.zone_dofs[z]) < 1.5 * a.zone_dofs_half[z]);
    assert_int_equal(sky_nearby_create(b.ctx, &b.p, 1e18, &none), SKY_OK);
    assert_null(none); /* no room: not an error */
    sky_posterior_free(&a);
    sky_posterior_free(&exact);
    free_bed(&b);
  }
}

static void test_refusals(void **state) {
  (void)state;
  bed b;
  sky_banded *c;
  make_bed(&b, SKY_CORR_EXPONENTIAL, 2);
  assert_int_equal(sky_banded_create(b.ctx, &b.p, 0, &c), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(b.ctx), "level 0"));
  sky_error_clear(b.ctx);
  free_bed(&b);
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  fixture_problem(ctx, 3, 5, 2, 10, 0, &p);
  assert_int_equal(sky_banded_create(ctx, &p, 0, &c), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "not levels"));
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_band),       cmocka_unit_test(test_solution),
      cmocka_unit_test(test_threads),    cmocka_unit_test(test_factor),
      cmocka_unit_test(test_neighbours), cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
