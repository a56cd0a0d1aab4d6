/* Grids: axes from files and boxes, lookup, and areas against closed forms and geodesics. */
#include <float.h>
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
#include "grids/grid.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define EARTH_AREA 510065621724088.44 /* m2, WGS 84: 2πa² + π b²/e ln((1+e)/(1-e)) */

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

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fabs(want)))
    fail_msg("got %.17g, want %.17g, relative error %.3g", got, want, (got - want) / want);
}

static void globe_sums_to_the_ellipsoid(void **state) {
  (void)state;
  const double cells[][2] = {{1, 1}, {0.5, 0.25}, {7.2, 18}};
  for (size_t i = 0; i < 3; i++) {
    sky_grid g;
    assert_int_equal(
        sky_grid_from_box(ctx, "EPSG:4326", -180, -90, 180, 90, cells[i][0], cells[i][1], &g),
        SKY_OK);
    double *area = malloc(sky_grid_cells(&g) * sizeof *area);
    assert_int_equal(sky_grid_areas(ctx, &g, area), SKY_OK);
    near(sky_sum(area, sky_grid_cells(&g)), EARTH_AREA, 1e-12);
    near(area[0], area[sky_grid_cells(&g) - 1], 1e-13); /* north and south are alike */
    free(area);
    sky_grid_free(&g);
  }
}

static void thin_bands_keep_their_digits(void **state) {
  (void)state;
  /* Against M·N·cos(latitude) of the band's middle, exact to second order in the width. */
  const double e2 = SKY_WGS84_F * (2 - SKY_WGS84_F);
  for (double lat = -85; lat <= 85; lat += 17) {
    const double width = 1e-6, middle = (lat + 0.5 * width) * M_PI / 180;
    const double w = 1 - e2 * sin(middle) * sin(middle);
    const double slope = SKY_WGS84_A * SKY_WGS84_A * (1 - e2) * cos(middle) / (w * w);
    near(sky_ellipsoid_band(lat, lat + width), slope * ((lat + width) - lat) * M_PI / 180, 1e-13);
  }
  near(sky_ellipsoid_zone(90), EARTH_AREA / (4 * M_PI), 1e-14);
  near(sky_ellipsoid_zone(-90), -EARTH_AREA / (4 * M_PI), 1e-14);
}

static void geographic_cell_equals_geodesic_polygon(void **state) {
  (void)state;
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 100, 30, 101, 31, 1, 1, &g), SKY_OK);
  double area, x[4000], y[4000], geodesic;
  assert_int_equal(sky_grid_areas(ctx, &g, &area), SKY_OK);
  for (int i = 0; i < 1000; i++) { /* parallels are not geodesics: densify */
    const double f = i / 1000.0;
    x[i] = 100 + f, y[i] = 30;
    x[1000 + i] = 101, y[1000 + i] = 30 + f;
    x[2000 + i] = 101 - f, y[2000 + i] = 31;
    x[3000 + i] = 100, y[3000 + i] = 31 - f;
  }
  assert_int_equal(sky_polygon_area(ctx, "EPSG:4326", x, y, 4000, &geodesic), SKY_OK);
  near(area, geodesic, 1e-9);
  sky_grid_free(&g);
}

static void projected_cells_tile_their_outline(void **state) {
  (void)state;
  sky_grid g;
  assert_int_equal(
      sky_grid_from_box(ctx, "EPSG:32650", 400000, 4400000, 440000, 4420000, 1000, 1000, &g),
      SKY_OK);
  assert_false(g.geographic);
  const size_t n = sky_grid_cells(&g);
  double *area = malloc(n * sizeof *area), *again = malloc(n * sizeof *again);
  sky_context_set_threads(ctx, 1);
  assert_int_equal(sky_grid_areas(ctx, &g, area), SKY_OK);
  sky_context_set_threads(ctx, 5);
  assert_int_equal(sky_grid_areas(ctx, &g, again), SKY_OK);
  assert_memory_equal(area, again, n * sizeof *area);
  /* Every 50 m a vertex: lines of the grid are not geodesics (1 km: 2e-9 of the area). */
  static double x[2400], y[2400];
  double outline;
  for (int i = 0; i < 800; i++) {
    x[i] = 400000 + 50 * i, y[i] = 4400000;
    x[1200 + i] = 440000 - 50 * i, y[1200 + i] = 4420000;
  }
  for (int i = 0; i < 400; i++) {
    x[800 + i] = 440000, y[800 + i] = 4400000 + 50 * i;
    x[2000 + i] = 400000, y[2000 + i] = 4420000 - 50 * i;
  }
  assert_int_equal(sky_polygon_area(ctx, "EPSG:32650", x, y, 2400, &outline), SKY_OK);
  near(sky_sum(area, n), outline, 1e-10);
  /* UTM's scale: k = 0.9996 (1 + x²/(2R²)), so areas differ from 1 km² by 1/k². */
  for (size_t i = 0; i < n; i++) {
    double cx, cy;
    sky_grid_centre(&g, i, &cx, &cy);
    const double u = (cx - 500000) / (0.9996 * 6380000), k = 0.9996 * (1 + 0.5 * u * u);
    near(area[i], 1e6 / (k * k), 1e-6);
  }
  free(area);
  free(again);
  sky_grid_free(&g);
}

static void box_must_be_divided(void **state) {
  (void)state;
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 0, 0, 1, 1, 0.3, 0.5, &g), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "does not divide"));
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 0, 0, 1, 91, 1, 1, &g), SKY_E_RANGE);
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 0, 2, 1, 1, 1, 1, &g), SKY_E_RANGE);
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", -200, 0, 200, 1, 1, 1, &g), SKY_E_RANGE);
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:1", 0, 0, 1, 1, 1, 1, &g), SKY_E_RANGE);
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:2263", 0, 0, 1, 1, 1, 1, &g), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "metres")); /* US feet */
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 170, 0, -170, 10, 10, 10, &g), SKY_OK);
  assert_int_equal(g.nx, 2); /* across the antimeridian */
  assert_int_equal(sky_grid_find(&g, -175, 5), 1);
  assert_int_equal(sky_grid_find(&g, 185, 5), 1);
  assert_true(sky_grid_find(&g, 165, 5) == SIZE_MAX);
  sky_grid_free(&g);
}

static void centres_become_edges(void **state) {
  (void)state;
  sky_grid g;
  bool fx, fy;
  const double lon[4] = {350, 0, 10, 20}, lat[3] = {80, 70, 60};
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", lon, 4, lat, 3, &g, &fx, &fy), SKY_OK);
  assert_false(fx);
  assert_true(fy);
  assert_float_equal(g.x_edge[0], 345, 1e-12);
  assert_float_equal(g.x_edge[4], 385, 1e-12);
  assert_float_equal(g.y_edge[0], 55, 1e-12);
  assert_float_equal(g.y_edge[3], 85, 1e-12);
  assert_int_equal(sky_grid_find(&g, -14.5, 56), 0);
  assert_int_equal(sky_grid_find(&g, 25, 85), 11); /* last upper edges are inside */
  sky_grid_free(&g);

  const double falling[3] = {3, 2, 1}, uneven[4] = {-89.5, -60, 0, 89.5};
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", falling, 3, uneven, 4, &g, &fx, &fy),
                   SKY_OK);
  assert_true(fx);
  assert_float_equal(g.x_edge[0], 0.5, 1e-12);
  assert_float_equal(g.y_edge[0], -90, 0); /* closed at the poles */
  assert_float_equal(g.y_edge[2], -30, 1e-12);
  assert_float_equal(g.y_edge[4], 90, 0);
  sky_grid_free(&g);
}

static void bad_axes_are_refused(void **state) {
  (void)state;
  sky_grid g;
  bool fx, fy;
  const double ok[2] = {0, 1}, jump[4] = {0, 2, 1, 3}, high[2] = {89, 91}, nan[3] = {0, NAN, 2};
  const double wide[3] = {0, 200, 400};
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", ok, 1, ok, 2, &g, &fx, &fy),
                   SKY_E_FORMAT);
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", jump, 4, ok, 2, &g, &fx, &fy),
                   SKY_E_FORMAT);
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", ok, 2, high, 2, &g, &fx, &fy),
                   SKY_E_FORMAT);
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", nan, 3, ok, 2, &g, &fx, &fy),
                   SKY_E_FORMAT);
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", wide, 3, ok, 2, &g, &fx, &fy),
                   SKY_E_FORMAT);
}

static void seam_is_closed_once(void **state) {
  (void)state;
  /* Every 51st cell of a 0.1° globe: the axis states cells that overlap around the globe. */
  double lon[71], lat[35];
  for (int i = 0; i < 71; i++)
    lon[i] = 0.05 + 359.9 / 70 * i;
  for (int i = 0; i < 35; i++)
    lat[i] = -89.95 + 179.9 / 34 * i;
  sky_grid g;
  bool fx, fy;
  assert_int_equal(sky_grid_from_centres(ctx, "EPSG:4326", lon, 71, lat, 35, &g, &fx, &fy), SKY_OK);
  near(g.x_edge[71] - g.x_edge[0], 360, 1e-15);
  double *area = malloc(sky_grid_cells(&g) * sizeof *area);
  assert_int_equal(sky_grid_areas(ctx, &g, area), SKY_OK);
  near(sky_sum(area, sky_grid_cells(&g)), EARTH_AREA, 1e-12);
  free(area);
  sky_grid_free(&g);
}

static void equality_forgives_float_noise_only(void **state) {
  (void)state;
  sky_grid a, b, c;
  assert_int_equal(
      sky_grid_from_box(ctx, "EPSG:4326", -98.076, 10.612, 39.556, 79.174, 0.352, 0.234, &a),
      SKY_OK);
  assert_int_equal(sky_grid_copy(ctx, &a, &b), SKY_OK);
  assert_int_equal(sky_grid_copy(ctx, &a, &c), SKY_OK);
  for (size_t i = 0; i <= a.nx; i++) {
    b.x_edge[i] += 7e-6; /* two float32 spellings */
    c.x_edge[i] += 0.352;
  }
  assert_true(sky_grid_equal(&a, &b));
  assert_true(sky_grid_contains(&a, &b));
  assert_false(sky_grid_equal(&a, &c));
  assert_false(sky_grid_contains(&a, &c));
  for (size_t i = 0; i <= a.nx; i++)
    b.x_edge[i] += 360;
  assert_true(sky_grid_equal(&a, &b)); /* a turn further is the same place */
  assert_true(sky_grid_contains(&a, &b));
  b.y_edge[3] += 0.01;
  assert_false(sky_grid_equal(&a, &b));
  sky_grid_free(&a);
  sky_grid_free(&b);
  sky_grid_free(&c);
}

static void distances(void **state) {
  (void)state;
  near(sky_distance(0, 0, 0, 90), 6371008.8 * M_PI / 2, 1e-14);
  near(sky_distance(179.5, 10, -179.5, 10), sky_distance(0, 10, 1, 10), 1e-12);
  near(sky_distance(10, 50, 190, -50), 6371008.8 * M_PI, 1e-7);
}

static void allocations_may_fail(void **state) {
  (void)state;
  const double x[3] = {1, 2, 3};
  for (uint64_t n = 1; n < 100; n++) {
    sky_grid g = {0}, h = {0};
    bool fx, fy;
    sky_memory_fail_at(ctx, n);
    sky_status st = sky_grid_from_centres(ctx, "EPSG:4326", x, 3, x, 3, &g, &fx, &fy);
    if (st == SKY_OK) st = sky_grid_copy(ctx, &g, &h);
    sky_memory_fail_at(ctx, 0);
    sky_grid_free(&g);
    sky_grid_free(&h);
    if (st == SKY_OK) return;
    assert_int_equal(st, SKY_E_NOMEM);
  }
  fail();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(globe_sums_to_the_ellipsoid),
      cmocka_unit_test(thin_bands_keep_their_digits),
      cmocka_unit_test(geographic_cell_equals_geodesic_polygon),
      cmocka_unit_test(projected_cells_tile_their_outline),
      cmocka_unit_test(box_must_be_divided),
      cmocka_unit_test(centres_become_edges),
      cmocka_unit_test(bad_axes_are_refused),
      cmocka_unit_test(seam_is_closed_once),
      cmocka_unit_test(equality_forgives_float_noise_only),
      cmocka_unit_test(distances),
      cmocka_unit_test(allocations_may_fail),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
