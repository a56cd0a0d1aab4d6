/* Regridding between coordinate systems: a constant density arrives as the true area of every cell,
 * nothing is lost, turns of longitude, the date line, the poles and threads change nothing.
 * Expectations are the areas of grid.h, which do not know of the cutting. */
#include <math.h>

#include "grids/grid_area.h"
#include "grids/mesh.h"
#include "grids/regrid.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"
#include "tests/support/sky_cmocka.h"

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance))
    fail_msg("got %.17g, want %.17g, difference %.3g", got, want, got - want);
}

static sky_grid box(sky_context *ctx, const char *crs, double w, double s, double e, double n,
                    double cell) {
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, crs, w, s, e, n, cell, cell, &g), SKY_OK);
  return g;
}

#define UTM "EPSG:32649"

/* 48 km square near Guangzhou, 110 to 158 km east of the central meridian, two parks of 250 m. */
static sky_mesh city(sky_context *ctx) {
  sky_grid base = box(ctx, UTM, 720000, 2540000, 768000, 2588000, 1000);
  sky_grid patch[2] = {box(ctx, UTM, 724000, 2551000, 728000, 2555000, 250),
                       box(ctx, UTM, 750000, 2570000, 754000, 2574000, 250)};
  const char *const id[2] = {"east", "west"};
  sky_mesh m;
  assert_int_equal(sky_mesh_create(ctx, &base, patch, id, 2, &m), SKY_OK);
  sky_grid_free(&base);
  sky_grid_free(&patch[0]);
  sky_grid_free(&patch[1]);
  return m;
}

static double *areas(sky_context *ctx, const sky_grid *g) {
  double *a = malloc(sky_grid_cells(g) * sizeof *a);
  assert_int_equal(sky_grid_areas(ctx, g, a), SKY_OK);
  return a;
}

/* Largest relative difference of `got` from density × area, over cells that the source covers. */
static double worst(const double *got, const double *area, size_t n, double density) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    if (got[i] > 0.999 * density * area[i])
      most = fmax(most, fabs(got[i] / (density * area[i]) - 1));
  return most;
}

static void a_density_arrives_on_a_mesh(void **state) {
  sky_context *ctx = *state;
  sky_mesh m = city(ctx);
  sky_grid src = box(ctx, "EPSG:4326", 113.05, 22.9, 113.75, 23.45, 0.01);
  double *amount = areas(ctx, &src), *area = malloc(m.n_cell * sizeof *area);
  double *out = malloc(m.n_cell * sizeof *out);
  sky_audit a;
  for (size_t i = 0; i < sky_grid_cells(&src); i++)
    amount[i] *= 3;
  assert_int_equal(sky_mesh_areas(ctx, &m, area), SKY_OK);
  assert_int_equal(sky_mesh_regrid_extensive(ctx, &src, amount, &m, out, &a), SKY_OK);
  for (size_t c = 0; c < m.n_cell; c++)
    near(out[c], 3 * area[c], 3e-6 * area[c]);
  near(a.in - a.out - a.outside, 0, 1e-12 * a.gross);
  near(a.out, 3 * sky_sum(area, m.n_cell), 1e-8 * a.out);
  free(amount);
  free(area);
  free(out);
  sky_grid_free(&src);
  sky_mesh_free(&m);
}

/* Pairs of grids of all kinds; the smaller lies in the larger, or both reach over each other. */
static void a_density_arrives(void **state) {
  sky_context *ctx = *state;
  const struct {
    sky_grid src, dst;
    size_t covered; /* cells of dst that src covers, at least */
    double tolerance;
  } pairs[] = {
      /* far from the central meridian, coarse and fine */
      {box(ctx, "EPSG:4326", 5, 56, 13, 62, 0.1),
       box(ctx, "EPSG:32631", 650e3, 63e5, 850e3, 67e5, 10e3), 800, 1e-6},
      {box(ctx, "EPSG:4326", 5, 56, 13, 62, 0.5),
       box(ctx, "EPSG:32631", 650e3, 63e5, 690e3, 634e4, 1e3), 1600, 1e-6},
      /* across the date line, with either spelling of it */
      {box(ctx, "EPSG:4326", 178, -20, 182, -16, 0.05),
       box(ctx, "EPSG:32760", 700e3, 79e5, 900e3, 81e5, 5e3), 1600, 1e-6},
      {box(ctx, "EPSG:4326", -182, -20, -178, -16, 0.05),
       box(ctx, "EPSG:32760", 700e3, 79e5, 900e3, 81e5, 5e3), 1600, 1e-6},
      /* projected to geographic */
      {box(ctx, UTM, 700e3, 25e5, 800e3, 26e5, 1e3),
       box(ctx, "EPSG:4326", 113.1, 22.7, 113.7, 23.3, 0.05), 144, 1e-6},
      {box(ctx, UTM, 700e3, 25e5, 800e3, 26e5, 1e3),
       box(ctx, "EPSG:4326", -246.9, 22.7, -246.3, 23.3, 0.05), 144, 1e-6},
      {box(ctx, "EPSG:32760", 700e3, 79e5, 900e3, 81e5, 2e3),
       box(ctx, "EPSG:4326", 179.5, -18.5, 180.5, -17.5, 0.1), 100, 1e-6},
      /* between two projections */
      {box(ctx, "EPSG:32650", 150e3, 25e5, 250e3, 26e5, 2e3),
       box(ctx, UTM, 790e3, 252e4, 830e3, 258e4, 1e3), 2400, 1e-6},
      /* over the pole and back, the pole inside a cell */
      {box(ctx, "EPSG:4326", -180, 60, 180, 90, 2.5),
       box(ctx, "EPSG:3413", -15e5, -15e5, 15e5, 15e5, 50e3), 3600, 1e-5},
      {box(ctx, "EPSG:3413", -1050e3, -1050e3, 1050e3, 1050e3, 100e3),
       box(ctx, "EPSG:4326", -180, 81, 180, 90, 3), 360, 1e-4},
      {box(ctx, "EPSG:3413", -1050e3, -1050e3, 1050e3, 1050e3, 100e3),
       box(ctx, "EPSG:4326", 0, -90, 360, 90, 3), 240, 1e-4},
  };
  for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
    const size_t n = sky_grid_cells(&pairs[k].dst);
    double *amount = areas(ctx, &pairs[k].src), *area = areas(ctx, &pairs[k].dst);
    double *out = malloc(n * sizeof *out);
    sky_audit a;
    if (sky_regrid_extensive(ctx, &pairs[k].src, amount, &pairs[k].dst, out, &a) != SKY_OK)
      fail_msg("pair %zu: %s", k, sky_error(ctx));
    size_t covered = 0;
    for (size_t c = 0; c < n; c++)
      covered += out[c] > 0.999 * area[c];
    const double most = worst(out, area, n, 1);
    if (!(covered >= pairs[k].covered && most <= pairs[k].tolerance))
      fail_msg("pair %zu: %zu cells covered, worst %.3g", k, covered, most);
    near(a.residual, 0, 1e-12 * a.gross);
    near(a.in, a.out + a.outside, 1e-12 * a.gross);
    free(amount);
    free(area);
    free(out);
    sky_grid_free((sky_grid *)&pairs[k].src);
    sky_grid_free((sky_grid *)&pairs[k].dst);
  }
}

static void a_turn_and_threads_change_nothing(void **state) {
  sky_context *ctx = *state;
  sky_mesh m = city(ctx);
  sky_grid src[2] = {box(ctx, "EPSG:4326", 113.2, 22.95, 113.5, 23.4, 0.01),
                     box(ctx, "EPSG:4326", -246.8, 22.95, -246.5, 23.4, 0.01)};
  const size_t n = sky_grid_cells(&src[0]);
  double *v = malloc(n * sizeof *v), *a = malloc(m.n_cell * sizeof *a);
  double *b = malloc(m.n_cell * sizeof *b);
  sky_audit x;
  for (size_t i = 0; i < n; i++)
    v[i] = sky_rng_uniform(3, 0, i) - 0.3;
  v[7] = NAN;
  assert_int_equal(sky_mesh_regrid_extensive(ctx, &src[0], v, &m, a, &x), SKY_OK);
  near(x.residual, 0, 1e-12 * x.gross);
  assert_true(x.nodata == 1);
  assert_int_equal(sky_mesh_regrid_extensive(ctx, &src[1], v, &m, b, &x), SKY_OK);
  for (size_t c = 0; c < m.n_cell; c++)
    near(b[c], a[c], 1e-11);
  for (int threads = 1; threads <= 5; threads += 2) {
    sky_context_set_threads(ctx, threads);
    assert_int_equal(sky_mesh_regrid_extensive(ctx, &src[0], v, &m, b, &x), SKY_OK);
    assert_memory_equal(a, b, m.n_cell * sizeof *a);
  }
  free(v);
  free(a);
  free(b);
  sky_grid_free(&src[0]);
  sky_grid_free(&src[1]);
  sky_mesh_free(&m);
}

static void means_stay_and_nodata_is_a_mask(void **state) {
  sky_context *ctx = *state;
  sky_grid src = box(ctx, "EPSG:4326", 113.2, 22.95, 113.5, 23.4, 0.01);
  sky_grid dst = box(ctx, UTM, 720e3, 254e4, 768e3, 2588e3, 1000);
  const size_t n = sky_grid_cells(&src), m = sky_grid_cells(&dst);
  double *v = malloc(n * sizeof *v), *out = malloc(m * sizeof *out), *f = malloc(m * sizeof *f);
  sky_audit a;
  for (size_t i = 0; i < n; i++)
    v[i] = i % 30 < 15 ? 4.5 : NAN; /* the western half has data */
  assert_int_equal(sky_regrid_intensive(ctx, &src, v, &dst, 0.5, out, f, &a), SKY_OK);
  size_t kept = 0;
  for (size_t c = 0; c < m; c++) {
    assert_true(isnan(out[c]) == !(f[c] >= 0.5 * (1 - 1e-6)));
    if (isnan(out[c])) continue;
    near(out[c], 4.5, 1e-13);
    kept++;
  }
  assert_true(kept > 500 && kept < m / 2 && a.lost > 0);
  near(a.residual, 0, 1e-12 * a.gross);
  free(v);
  free(out);
  free(f);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

static void the_splitter_gives_all(void **state) {
  sky_context *ctx = *state;
  sky_mesh m = city(ctx);
  sky_grid src = box(ctx, "EPSG:4326", 113.1, 22.9, 113.8, 23.45, 0.05);
  sky_splitter *s;
  assert_int_equal(sky_mesh_splitter(ctx, &src, &m, &s), SKY_OK);
  size_t *cell = malloc(sky_splitter_max(s) * sizeof *cell), some = 0, none = 0;
  double *f = malloc(sky_splitter_max(s) * sizeof *f);
  for (size_t i = 0; i < sky_grid_cells(&src); i++) {
    const size_t n = sky_splitter_map(s, i, cell, f);
    const double outside = sky_splitter_outside(s, i);
    sky_acc sum = {0, 0};
    for (size_t k = 0; k < n; k++) {
      assert_true(cell[k] < m.n_cell && f[k] > 0 && f[k] <= 1 + 1e-15);
      sky_acc_add(&sum, f[k]);
    }
    near(sky_acc_value(&sum) + outside, 1, 1e-15);
    some += n > 0 && outside > 0.01;
    none += n == 0;
  }
  assert_true(some > 10 && none > 10);
  sky_splitter_free(s);
  free(cell);
  free(f);
  sky_grid_free(&src);
  sky_mesh_free(&m);
}

static void one_grid_over_another(void **state) {
  sky_context *ctx = *state;
  sky_grid utm = box(ctx, UTM, 720e3, 254e4, 768e3, 2588e3, 1000);
  sky_grid pole = box(ctx, "EPSG:3413", -5e5, -5e5, 5e5, 5e5, 1e5);
  const struct {
    const sky_grid *inner;
    double w, s, e, n;
    bool covers;
  } cases[] = {{&utm, 113, 22, 114, 24, true},    {&utm, -247, 22, -246, 24, true},
               {&utm, 113.2, 22, 114, 24, false}, {&utm, 113, 23, 114, 24, false},
               {&pole, -180, 80, 180, 90, true},  {&pole, 0, 80, 360, 90, true},
               {&pole, -180, 80, 180, 89, false}, {&pole, -180, 85, 180, 90, false}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    sky_grid outer = box(ctx, "EPSG:4326", cases[k].w, cases[k].s, cases[k].e, cases[k].n, 0.1);
    bool covers;
    assert_int_equal(sky_grid_covers(ctx, &outer, cases[k].inner, &covers), SKY_OK);
    if (covers != cases[k].covers) fail_msg("case %zu", k);
    sky_grid_free(&outer);
  }
  bool covers;
  sky_grid half = box(ctx, UTM, 721e3, 254e4, 768e3, 2588e3, 1000);
  assert_int_equal(sky_grid_covers(ctx, &utm, &half, &covers), SKY_OK);
  assert_true(covers);
  assert_int_equal(sky_grid_covers(ctx, &half, &utm, &covers), SKY_OK);
  assert_false(covers);
  sky_grid_free(&half);
  sky_grid_free(&utm);
  sky_grid_free(&pole);
}

/* Off the ellipse of Mollweide there is no place on Earth. */
static void a_cell_off_the_map_is_refused(void **state) {
  sky_context *ctx = *state;
  sky_grid src = box(ctx, "EPSG:4326", 170.5, -10, 190.5, 10, 1);
  sky_grid dst = box(ctx, "+proj=moll +type=crs", 171e5, -5e5, 181e5, 5e5, 1e5);
  double v[400] = {0}, out[100];
  sky_audit a;
  assert_fails(ctx, sky_regrid_extensive(ctx, &src, v, &dst, out, &a), SKY_E_COVERAGE,
               "in one piece");
  assert_non_null(strstr(sky_error(ctx), "+proj=moll"));
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  sky_grid src = box(ctx, "EPSG:4326", 113.2, 22.95, 113.5, 23.4, 0.15);
  sky_grid dst = box(ctx, UTM, 720e3, 254e4, 768e3, 2588e3, 16e3);
  double v[6] = {1, 2, 3, 4, 5, 6}, out[9];
  sky_audit a;
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 4000 && st != SKY_OK; n += 1 + n / 16) { /* opening PROJ takes its time */
    bool covers;
    sky_memory_fail_at(ctx, n);
    st = sky_regrid_extensive(ctx, &src, v, &dst, out, &a);
    if (st == SKY_OK) st = sky_regrid_intensive(ctx, &src, v, &dst, 0.5, out, NULL, &a);
    if (st == SKY_OK) st = sky_grid_covers(ctx, &src, &dst, &covers);
    sky_memory_fail_at(ctx, 0);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 30);
  sky_grid_free(&src);
  sky_grid_free(&dst);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(a_density_arrives_on_a_mesh),
      SKY_UNIT(a_density_arrives),
      SKY_UNIT(a_turn_and_threads_change_nothing),
      SKY_UNIT(means_stay_and_nodata_is_a_mask),
      SKY_UNIT(the_splitter_gives_all),
      SKY_UNIT(one_grid_over_another),
      SKY_UNIT(a_cell_off_the_map_is_refused),
      SKY_UNIT(allocations_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
