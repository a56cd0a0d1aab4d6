/* Areas of cells against geodesic polygons, equal-area projections and the closed form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "grids/cell_area.h"
#include "grids/geodesic.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

static sky_context *ctx;

static int setup(void **state) {
  (void)state;
  if (sky_context_create(&ctx) != SKY_OK) return -1;
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_ERROR);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

static sky_grid box(const char *crs, double w, double s, double cell, size_t nx, size_t ny) {
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, crs, w, s, w + cell * (double)nx, s + cell * (double)ny,
                                     cell, cell, &g),
                   SKY_OK);
  return g;
}

/* Geodesic area of cells' outline: n vertices a side. Single small cells have too few digits in a
 * geodesic polygon; blocks have enough. */
static double outline(const sky_projection *t, const sky_grid *g, size_t x0, size_t x1, size_t y0,
                      size_t y1, size_t n) {
  const double cx[5] = {g->x_edge[x0], g->x_edge[x1], g->x_edge[x1], g->x_edge[x0], g->x_edge[x0]};
  const double cy[5] = {g->y_edge[y0], g->y_edge[y0], g->y_edge[y1], g->y_edge[y1], g->y_edge[y0]};
  double *x = SKY_NEW(ctx, double, 4 * n), *y = SKY_NEW(ctx, double, 4 * n), area = 0;
  for (size_t s = 0; s < 4; s++) {
    for (size_t k = 0; k < n; k++) {
      x[s * n + k] = cx[s] + (cx[s + 1] - cx[s]) * (double)k / (double)n;
      y[s * n + k] = cy[s] + (cy[s + 1] - cy[s]) * (double)k / (double)n;
    }
  }
  assert_true(sky_geodesic_area(t, x, y, 4 * n, &area));
  sky_free(x);
  sky_free(y);
  return fabs(area);
}

/* Sums over blocks, and the largest deviation of single cells from `exact` (0: not known). */
static void check(const char *crs, double w, double s, double cell, size_t nx, size_t ny,
                  double tolerance, double exact) {
  sky_grid g = box(crs, w, s, cell, nx, ny);
  sky_projection t = {0};
  sky_cell_area *c;
  double *area = SKY_NEW(ctx, double, SKY_BAND *SKY_BAND);
  assert_int_equal(sky_projection_open(ctx, crs, SKY_LONLAT, &t), SKY_OK);
  assert_int_equal(sky_cell_area_create(ctx, &g, &c), SKY_OK);
  for (size_t band = 0; band * SKY_BAND < ny; band++) {
    for (size_t x0 = 0; x0 < nx; x0 += SKY_BAND) {
      const size_t end = ny - band * SKY_BAND, columns = nx - x0 < SKY_BAND ? nx - x0 : SKY_BAND;
      const size_t rows = end < SKY_BAND ? end : SKY_BAND;
      assert_int_equal(sky_cell_area_find(ctx, c, band, x0, columns, area), SKY_OK);
      sky_acc sum = {0, 0};
      for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < columns; i++) {
          sky_acc_add(&sum, area[r * SKY_BAND + i]);
          if (exact > 0) assert_true(fabs(area[r * SKY_BAND + i] / exact - 1) < tolerance);
        }
      }
      /* Chords between the outline's points: extrapolated, their error falls with n². */
      const double coarse = outline(&t, &g, x0, x0 + columns, end - rows, end, 512);
      const double fine = outline(&t, &g, x0, x0 + columns, end - rows, end, 1024);
      const double want = (4 * fine - coarse) / 3;
      if (!(fabs(sky_acc_value(&sum) / want - 1) < tolerance))
        fail_msg("%s: got %.17g, want %.17g, %.3g", crs, sky_acc_value(&sum), want,
                 sky_acc_value(&sum) / want - 1);
    }
  }
  sky_cell_area_free(c);
  sky_projection_close(&t);
  sky_free(area);
  sky_grid_free(&g);
}

static void test_projected(void **state) {
  (void)state;
  check("EPSG:32649", 5e5, 2.5e6, 30, 700, 600, 1e-9, 0);
  check("EPSG:32649", 1.8e5, 9e6, 1000, 600, 300, 1e-9, 0);
  check("EPSG:3857", -1e6, 5e6, 100, 600, 300, 1e-9, 0);
  check("EPSG:26717", 5e5, 3.9e6, 30, 300, 300, 1e-9, 0); /* NAD27: another ellipsoid */
  check("EPSG:32649", 5e5, 2.5e6, 20000, 40, 60, 1e-9, 0);
}

static void test_equal_area(void **state) {
  (void)state;
  const double cell = 300, a = cell * cell;
  check("+proj=cea +lat_ts=5.5 +lon_0=140.8 +datum=WGS84 +type=crs", -1091676, -1182156, cell, 800,
        500, 2e-9, a);
  check("EPSG:5070", 1e5, 1e6, cell, 600, 300, 2e-9, a); /* Albers, GRS 80 */
}

/* Beyond the edge of the world there is no cell; what lies on it is right all the same. */
static void test_edge_of_the_world(void **state) {
  (void)state;
  const char *crs = "EPSG:3035";
  sky_grid g = box(crs, -9e6, -1.3e7, 100000, 300, 300);
  sky_projection t = {0};
  sky_cell_area *c;
  double *area = SKY_NEW(ctx, double, SKY_BAND *SKY_BAND);
  assert_int_equal(sky_projection_open(ctx, crs, SKY_LONLAT, &t), SKY_OK);
  assert_int_equal(sky_cell_area_create(ctx, &g, &c), SKY_OK);
  assert_int_equal(sky_cell_area_find(ctx, c, 0, 0, 256, area), SKY_OK);
  size_t off = 0, on = 0;
  for (size_t r = 0; r < 256; r += 5) {
    for (size_t i = 0; i < 256; i += 5) {
      double want;
      const bool exists = sky_geodesic_cell(&t, &g, i, 44 + r, &want);
      const double got = area[r * SKY_BAND + i];
      off += isnan(got);
      if (!exists || isnan(got)) continue;
      on += fabs(got / 1e10 - 1) < 1e-9; /* equal-area; GRS 80 is 1e-10 off */
      if (fabs(want / 1e10 - 1) < 1e-4) assert_true(fabs(got / 1e10 - 1) < 1e-4);
    }
  }
  print_message("%zu cells off the Earth, %zu exact\n", off, on);
  assert_true(off > 100 && on > 1000);
  sky_cell_area_free(c);
  sky_projection_close(&t);
  sky_free(area);
  sky_grid_free(&g);
}

static void test_geographic(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", -180, -90, 0.5, 720, 360);
  sky_cell_area *c;
  double *area = SKY_NEW(ctx, double, SKY_BAND *SKY_BAND);
  sky_acc sum = {0, 0};
  assert_int_equal(sky_cell_area_create(ctx, &g, &c), SKY_OK);
  for (size_t band = 0; band < 2; band++) {
    assert_int_equal(sky_cell_area_find(ctx, c, band, 512, 208, area), SKY_OK);
    for (size_t r = 0; r < (band == 0 ? 256 : 104); r++)
      sky_acc_add(&sum, 720 * area[r * SKY_BAND]);
  }
  assert_true(fabs(sky_acc_value(&sum) / 510065621724088.44 - 1) < 1e-14);
  assert_int_equal(sky_cell_area_find(ctx, c, 0, 10, 20, area), SKY_E_INTERNAL);
  sky_cell_area_free(c);
  sky_free(area);
  sky_grid_free(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_projected), cmocka_unit_test(test_equal_area),
      cmocka_unit_test(test_edge_of_the_world), cmocka_unit_test(test_geographic)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
