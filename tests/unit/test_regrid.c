/* Regridding: constants stay, sums are conserved, nodata is masked, shifts change nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "grids/ellipsoid.h"
#include "grids/grid_area.h"
#include "grids/regrid.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

static sky_context *ctx;
static char last_log[512];

static void keep(void *user, sky_log_level level, const char *line) {
  (void)user;
  if (level == SKY_LOG_INFO) strncpy(last_log, line, sizeof last_log - 1);
}

static int setup(void **state) {
  (void)state;
  if (sky_context_create(&ctx) != SKY_OK) return -1;
  sky_context_set_log(ctx, keep, NULL, SKY_LOG_INFO);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance))
    fail_msg("got %.17g, want %.17g, difference %.3g", got, want, got - want);
}

static sky_grid box(const char *crs, double w, double s, double e, double n, double dx, double dy) {
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, crs, w, s, e, n, dx, dy, &g), SKY_OK);
  return g;
}

static double *random_field(const sky_grid *g, uint64_t seed) {
  double *v = malloc(sky_grid_cells(g) * sizeof *v);
  for (size_t i = 0; i < sky_grid_cells(g); i++)
    v[i] = sky_rng_uniform(seed, 0, i) - 0.3;
  return v;
}

static void sums_are_conserved(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", -97.8, 10.6, 39.48, 79.045, 0.352, 0.2925);
  sky_grid dst[3] = {box("EPSG:4326", -11, 49, 3, 61, 1, 1),
                     box("EPSG:4326", -180, -90, 180, 90, 3.6, 0.9),
                     box("EPSG:4326", 0, -90, 360, 90, 7.2, 4.5)};
  double *amount = random_field(&src, 1);
  for (size_t k = 0; k < 3; k++) {
    double *out = malloc(sky_grid_cells(&dst[k]) * sizeof *out);
    sky_audit a;
    assert_int_equal(sky_regrid_extensive(ctx, &src, amount, &dst[k], out, &a), SKY_OK);
    near(a.in, sky_sum(amount, sky_grid_cells(&src)), 1e-12 * a.gross);
    near(a.out, sky_sum(out, sky_grid_cells(&dst[k])), 1e-12 * a.gross);
    near(a.residual, 0, 1e-12 * a.gross);
    if (k > 0) near(a.outside, 0, 1e-12 * a.gross); /* a globe takes all, whatever its seam */
    if (k == 0) assert_true(fabs(a.outside) > 1);
    assert_int_equal(sky_audit_check(ctx, "test", "kg", &a, 1e-12), SKY_OK);
    free(out);
    sky_grid_free(&dst[k]);
  }
  assert_non_null(strstr(last_log, "outside"));
  free(amount);
  sky_grid_free(&src);
}

static void an_open_audit_is_an_error(void **state) {
  (void)state;
  const sky_audit a = {.in = 10, .gross = 10, .out = 9, .outside = 0.5, .residual = 0.5};
  assert_int_equal(sky_audit_check(ctx, "flux", "kg", &a, 1e-6), SKY_E_MASS);
  assert_non_null(strstr(sky_error(ctx), "flux"));
}

static void constants_stay(void **state) {
  (void)state;
  const struct {
    sky_grid src, dst;
  } pairs[] = {
      {box("EPSG:4326", 0, -90, 360, 90, 5, 3), box("EPSG:4326", -180, -90, 180, 90, 1.2, 1)},
      {box("EPSG:32650", 0, 0, 10000, 9000, 250, 300),
       box("EPSG:32650", 1000, 700, 4000, 2200, 750, 500)}};
  for (size_t k = 0; k < 2; k++) {
    const size_t n = sky_grid_cells(&pairs[k].src), m = sky_grid_cells(&pairs[k].dst);
    double *v = malloc(n * sizeof *v), *out = malloc(m * sizeof *out), *f = malloc(m * sizeof *f);
    for (size_t i = 0; i < n; i++)
      v[i] = 3.25;
    sky_audit a;
    assert_int_equal(sky_regrid_intensive(ctx, &pairs[k].src, v, &pairs[k].dst, 0.5, out, f, &a),
                     SKY_OK);
    for (size_t i = 0; i < m; i++) {
      near(out[i], 3.25, 1e-14);
      near(f[i], 1, 1e-12);
    }
    near(a.residual, 0, 1e-12 * a.gross);
    free(v);
    free(out);
    free(f);
    sky_grid_free((sky_grid *)&pairs[k].src);
    sky_grid_free((sky_grid *)&pairs[k].dst);
  }
}

/* An amount and its density must tell the same story. */
static void intensive_is_extensive_per_area(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", -10, 40, 20, 70, 0.5, 0.3);
  sky_grid dst = box("EPSG:4326", -8, 42, 13, 63, 0.7, 0.7);
  double *density = random_field(&src, 2), *amount = malloc(sky_grid_cells(&src) * sizeof *amount);
  double *a = malloc(sky_grid_cells(&dst) * sizeof *a),
         *b = malloc(sky_grid_cells(&dst) * sizeof *b);
  double *sa = malloc(sky_grid_cells(&src) * sizeof *sa),
         *da = malloc(sky_grid_cells(&dst) * sizeof *da);
  assert_int_equal(sky_grid_areas(ctx, &src, sa), SKY_OK);
  assert_int_equal(sky_grid_areas(ctx, &dst, da), SKY_OK);
  for (size_t i = 0; i < sky_grid_cells(&src); i++)
    amount[i] = density[i] * sa[i];
  sky_audit x, y;
  assert_int_equal(sky_regrid_extensive(ctx, &src, amount, &dst, a, &x), SKY_OK);
  assert_int_equal(sky_regrid_intensive(ctx, &src, density, &dst, 0.5, b, NULL, &y), SKY_OK);
  for (size_t i = 0; i < sky_grid_cells(&dst); i++)
    near(a[i] / da[i], b[i], 1e-12);
  near(x.in / y.in, 1, 1e-12);
  near(x.outside / y.outside, 1, 1e-10);
  free(density);
  free(amount);
  free(a);
  free(b);
  free(sa);
  free(da);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

static void nodata_is_a_mask(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", 0, 0, 4, 2, 1, 1), dst = box("EPSG:4326", 0, 0, 6, 2, 2, 2);
  double v[8] = {1, NAN, NAN, NAN, 1, 1, NAN, 5}, out[3], f[3];
  sky_audit a;
  assert_int_equal(sky_regrid_intensive(ctx, &src, v, &dst, 0.5, out, f, &a), SKY_OK);
  near(out[0], 1, 1e-14); /* three quarters valid */
  assert_true(isnan(out[1]) && isnan(out[2]));
  near(f[0], 0.75, 1e-4);
  near(f[1], 0.25, 1e-4);
  assert_true(f[2] == 0);
  near(a.nodata, 4, 0);
  near(a.lost / (5 * sky_ellipsoid_band(1, 2) * M_PI / 180), 1, 1e-12); /* counted, not silent */
  near(a.residual, 0, 1e-12 * a.gross);
  assert_int_equal(sky_regrid_extensive(ctx, &src, v, &dst, out, &a), SKY_OK);
  near(out[0], 3, 1e-14);
  near(out[1], 5, 1e-14);
  near(out[2], 0, 0);
  near(a.nodata, 4, 0);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

static void a_turn_changes_nothing(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", -30, 40, 30, 70, 1.5, 1.5), turned;
  sky_grid dst = box("EPSG:4326", -9, 41, 9, 68, 0.9, 0.9);
  assert_int_equal(sky_grid_copy(ctx, &src, &turned), SKY_OK);
  for (size_t i = 0; i <= turned.nx; i++)
    turned.x_edge[i] += 360;
  double *v = random_field(&src, 3);
  double *a = malloc(sky_grid_cells(&dst) * sizeof *a),
         *b = malloc(sky_grid_cells(&dst) * sizeof *b);
  sky_audit x;
  assert_int_equal(sky_regrid_extensive(ctx, &src, v, &dst, a, &x), SKY_OK);
  assert_int_equal(sky_regrid_extensive(ctx, &turned, v, &dst, b, &x), SKY_OK);
  for (size_t i = 0; i < sky_grid_cells(&dst); i++)
    near(a[i], b[i], 1e-12);
  free(v);
  free(a);
  free(b);
  sky_grid_free(&src);
  sky_grid_free(&turned);
  sky_grid_free(&dst);
}

static void same_grid_is_the_identity(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", -98.076, 10.612, 39.556, 79.174, 0.352, 0.234), dst;
  assert_int_equal(sky_grid_copy(ctx, &src, &dst), SKY_OK);
  for (size_t i = 0; i <= dst.nx; i++)
    dst.x_edge[i] += 7e-6;
  double *v = random_field(&src, 4), *out = malloc(sky_grid_cells(&dst) * sizeof *out);
  sky_audit a;
  assert_int_equal(sky_regrid_extensive(ctx, &src, v, &dst, out, &a), SKY_OK);
  assert_memory_equal(v, out, sky_grid_cells(&src) * sizeof *v);
  near(a.outside, 0, 0);
  assert_int_equal(sky_regrid_intensive(ctx, &src, v, &dst, 1, out, NULL, &a), SKY_OK);
  for (size_t i = 0; i < sky_grid_cells(&dst); i++)
    near(out[i], v[i], 1e-15);
  free(v);
  free(out);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

static void threads_do_not_matter(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", -180, -90, 180, 90, 1.5, 1),
           dst = box("EPSG:4326", 0, -90, 360, 90, 4, 3.6);
  double *v = random_field(&src, 5), *first = NULL;
  for (int threads = 1; threads <= 5; threads += 2) {
    sky_context_set_threads(ctx, threads);
    double *out = malloc(sky_grid_cells(&dst) * sizeof *out);
    sky_audit a;
    assert_int_equal(sky_regrid_intensive(ctx, &src, v, &dst, 0.5, out, NULL, &a), SKY_OK);
    if (first != NULL) {
      assert_memory_equal(first, out, sky_grid_cells(&dst) * sizeof *out);
      free(out);
    } else {
      first = out;
    }
  }
  free(first);
  free(v);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

static void the_splitter_agrees(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", 350, 40, 380, 70, 1.5, 1.5),
           dst = box("EPSG:4326", -9, 41, 12, 68, 0.9 / 1.5, 0.9);
  double *v = random_field(&src, 6), *out = malloc(sky_grid_cells(&dst) * sizeof *out);
  double *sum = calloc(sky_grid_cells(&dst), sizeof *sum);
  sky_audit a;
  sky_splitter *s;
  assert_int_equal(sky_regrid_extensive(ctx, &src, v, &dst, out, &a), SKY_OK);
  assert_int_equal(sky_splitter_create(ctx, &src, &dst, &s), SKY_OK);
  size_t *cell = malloc(sky_splitter_max(s) * sizeof *cell);
  double *f = malloc(sky_splitter_max(s) * sizeof *f), outside = 0;
  for (size_t i = 0; i < sky_grid_cells(&src); i++) {
    const size_t n = sky_splitter_map(s, i, cell, f);
    assert_true(n <= sky_splitter_max(s));
    double inside = 0;
    for (size_t k = 0; k < n; k++) {
      sum[cell[k]] += v[i] * f[k];
      inside += f[k];
    }
    near(inside + sky_splitter_outside(s, i), 1, 1e-14);
    outside += v[i] * sky_splitter_outside(s, i);
  }
  for (size_t i = 0; i < sky_grid_cells(&dst); i++)
    near(sum[i], out[i], 1e-14);
  near(outside, a.outside, 1e-12);
  free(cell);
  free(f);
  free(sum);
  free(out);
  free(v);
  sky_splitter_free(s);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

static void allocations_may_fail(void **state) {
  (void)state;
  sky_grid src = box("EPSG:4326", 0, 0, 4, 2, 1, 1), dst = box("EPSG:4326", 0, 0, 6, 2, 2, 2);
  double v[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[3];
  sky_audit a;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t n = 1; n < 100 && st != SKY_OK; n++) {
    sky_splitter *s = NULL;
    sky_memory_fail_at(ctx, n);
    st = sky_regrid_extensive(ctx, &src, v, &dst, out, &a);
    if (st == SKY_OK) st = sky_regrid_intensive(ctx, &src, v, &dst, 0.5, out, NULL, &a);
    if (st == SKY_OK) st = sky_splitter_create(ctx, &src, &dst, &s);
    sky_memory_fail_at(ctx, 0);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
    sky_splitter_free(s);
  }
  assert_int_equal(st, SKY_OK);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_are_conserved),
      cmocka_unit_test(an_open_audit_is_an_error),
      cmocka_unit_test(constants_stay),
      cmocka_unit_test(intensive_is_extensive_per_area),
      cmocka_unit_test(nodata_is_a_mask),
      cmocka_unit_test(a_turn_changes_nothing),
      cmocka_unit_test(same_grid_is_the_identity),
      cmocka_unit_test(threads_do_not_matter),
      cmocka_unit_test(the_splitter_agrees),
      cmocka_unit_test(allocations_may_fail),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
