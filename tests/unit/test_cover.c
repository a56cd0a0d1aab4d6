/* Coverage by windows: not one bit depends on the window; the pieces agree with the whole zone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "grids/cover.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

#define VERTICES 60

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

static sky_grid box(const char *crs, double w, double s, double e, double n, double cell) {
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, crs, w, s, e, n, cell, cell, &g), SKY_OK);
  return g;
}

/* A star around a centre. */
static void star(uint64_t seed, double x0, double y0, double radius, double *x, double *y) {
  for (size_t i = 0; i < VERTICES; i++) {
    const double a = 2 * M_PI * ((double)i + 0.5) / VERTICES;
    const double r = radius * (0.3 + 0.7 * sky_rng_uniform(seed, 1, i));
    x[i] = x0 + r * cos(a);
    y[i] = y0 + r * sin(a);
  }
}

/* Fractions of columns ix0.. of all rows, by windows of `step` columns. */
static void fractions(const sky_cover *c, const sky_grid *g, size_t step, double *out) {
  sky_cover_part part = {0};
  memset(out, 0, g->nx * g->ny * sizeof *out);
  for (size_t band = 0; band < sky_cover_bands(c); band++) {
    const uint32_t *shape;
    sky_window rows;
    sky_cover_band_rows(c, band, &rows);
    const size_t n = sky_cover_band_shapes(c, band, &shape);
    for (size_t i = 0; i < n; i++) {
      for (size_t x0 = 0; x0 < g->nx; x0 += step) {
        const size_t nx = g->nx - x0 < step ? g->nx - x0 : step;
        assert_int_equal(sky_cover_find(ctx, c, shape[i], band, x0, nx, &part), SKY_OK);
        if (!sky_cover_near(c, shape[i], x0, nx)) assert_true(part.n_span + part.n_edge == 0);
        for (size_t k = 0; k < part.n_span; k++)
          for (size_t x = part.span[k].x0; x < part.span[k].x1; x++)
            out[(rows.iy0 + part.span[k].row) * g->nx + x0 + x] += 1;
        for (size_t k = 0; k < part.n_edge; k++)
          out[(rows.iy0 + part.edge[k].row) * g->nx + x0 + part.edge[k].x] += part.edge[k].fraction;
      }
    }
  }
  sky_cover_part_free(&part);
}

static void check_grid(sky_grid g, double x0, double y0, double radius) {
  const size_t cells = g.nx * g.ny;
  double *whole = SKY_NEW(ctx, double, cells), *parts = SKY_NEW(ctx, double, cells);
  for (uint64_t seed = 1; seed <= 5; seed++) {
    double x[VERTICES], y[VERTICES];
    star(seed, x0, y0, radius, x, y);
    sky_ring ring = {.n = VERTICES, .x = x, .y = y};
    sky_zone zone = {.n_rings = 1, .ring = &ring, .geographic = g.geographic};
    const sky_zones zones = {1, &zone};
    sky_cover *c;
    assert_int_equal(sky_cover_create(ctx, &zones, &g, &c), SKY_OK);
    assert_int_equal(sky_cover_zone(c, 0), 0);
    fractions(c, &g, g.nx, whole);
    for (size_t step = 1; step <= g.nx; step = 3 * step + 1) {
      fractions(c, &g, step, parts);
      assert_memory_equal(whole, parts, cells * sizeof *whole);
    }
    sky_coverage all;
    assert_int_equal(sky_zone_fractions(ctx, &zone, &g, &all), SKY_OK);
    for (size_t k = 0; k < all.n; k++)
      assert_true(whole[all.cell[k]] == all.fraction[k]);
    sky_coverage_free(&all);
    sky_cover_free(c);
  }
  sky_free(whole);
  sky_free(parts);
  sky_grid_free(&g);
}

static void test_windows(void **state) {
  (void)state;
  check_grid(box("EPSG:4326", 100, 20, 106, 28, 0.025), 103, 24, 2.9);
  check_grid(box("EPSG:4326", 100, 84, 130, 90, 0.1), 115, 87, 2.9); /* cells at the pole */
  check_grid(box("EPSG:32649", 2e5, 3e6, 2.6e5, 3.12e6, 250), 2.31e5, 3.06e6, 4e4);
  check_grid(box("EPSG:4326", -180, -90, 180, 90, 2), 179, 10, 40); /* across the seam */
  check_grid(box("EPSG:4326", -180, -90, 180, 90, 30), 20, 10, 70); /* coarse rows */
}

/* An outline along a row cuts cells that no slanted piece enters. */
static void test_level_edge(void **state) {
  (void)state;
  sky_grid g = box("EPSG:32649", 0, 0, 10, 4, 1);
  double x[4] = {1.25, 8.5, 8.5, 1.25}, y[4] = {0.5, 0.5, 2.75, 2.75}, f[40];
  sky_ring ring = {.n = 4, .x = x, .y = y};
  sky_zone zone = {.n_rings = 1, .ring = &ring};
  const sky_zones zones = {1, &zone};
  sky_cover *c;
  assert_int_equal(sky_cover_create(ctx, &zones, &g, &c), SKY_OK);
  assert_true(sky_cover_inside(c, 0));
  fractions(c, &g, 3, f);
  const double row[4] = {0.5, 1, 0.75, 0};
  for (size_t r = 0; r < 4; r++) {
    for (size_t i = 0; i < 10; i++) {
      const double column = i == 1 ? 0.75 : i > 1 && i < 8 ? 1 : i == 8 ? 0.5 : 0;
      assert_true(fabs(f[r * 10 + i] - row[r] * column) < 1e-14);
    }
  }
  sky_cover_free(c);
  sky_grid_free(&g);
}

static void test_failures(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 0, 0, 10, 10, 1);
  double x[4] = {1, 2, NAN, 1}, y[4] = {1, 1, 2, 2};
  sky_ring ring = {.n = 4, .x = x, .y = y};
  sky_zone zone = {.id = "z", .n_rings = 1, .ring = &ring, .geographic = true};
  const sky_zones zones = {1, &zone};
  sky_cover *c;
  assert_int_equal(sky_cover_create(ctx, &zones, &g, &c), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "zone 'z': ring 0 vertex 2 is not finite"));
  x[2] = 2;
  uint64_t failed = 0;
  for (uint64_t nth = 1;; nth++) {
    sky_memory_fail_at(ctx, nth);
    const sky_status st = sky_cover_create(ctx, &zones, &g, &c);
    sky_memory_fail_at(ctx, 0);
    if (st == SKY_OK) break;
    assert_int_equal(st, SKY_E_NOMEM);
    failed++;
  }
  assert_true(failed > 6);
  sky_cover_free(c);
  sky_grid_free(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows),
                                     cmocka_unit_test(test_level_edge),
                                     cmocka_unit_test(test_failures)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
