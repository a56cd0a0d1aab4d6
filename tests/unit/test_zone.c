/* Zones: exact coverage against an independent clipper, partitions, shifts, poles, areas. */
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
#include "grids/zone.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

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
  if (!(fabs(got - want) <= tolerance))
    fail_msg("got %.17g, want %.17g, difference %.3g", got, want, got - want);
}

static sky_grid box(const char *crs, double w, double s, double e, double n, double cell) {
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, crs, w, s, e, n, cell, cell, &g), SKY_OK);
  return g;
}

static sky_zone one_ring(sky_ring *ring, double *x, double *y, size_t n) {
  *ring = (sky_ring){.n = n, .x = x, .y = y};
  return (sky_zone){.n_rings = 1, .ring = ring};
}

/* ---- the independent reference: Sutherland & Hodgman in longitude and latitude, then the shoelace
 * formula in (longitude, Z) on cut edges, extrapolated to no chord error (Richardson) ---- */

typedef struct poly {
  size_t n;
  double x[256], y[256];
} poly;

static poly clip(const poly *in, bool on_x, double limit, double sign) {
  poly out = {.n = 0};
  for (size_t i = 0; i < in->n; i++) {
    const size_t k = (i + 1) % in->n;
    const double a = sign * ((on_x ? in->x[i] : in->y[i]) - limit);
    const double b = sign * ((on_x ? in->x[k] : in->y[k]) - limit);
    if (a >= 0) {
      out.x[out.n] = in->x[i];
      out.y[out.n++] = in->y[i];
    }
    if ((a > 0 && b < 0) || (a < 0 && b > 0)) {
      const double t = a / (a - b);
      out.x[out.n] = on_x ? limit : in->x[i] + t * (in->x[k] - in->x[i]);
      out.y[out.n++] = on_x ? in->y[i] + t * (in->y[k] - in->y[i]) : limit;
    }
  }
  return out;
}

static double shoelace(const poly *p, bool geographic, int pieces, double x0, double y0) {
  double sum = 0;
  for (size_t i = 0; i < p->n; i++) {
    const size_t k = (i + 1) % p->n;
    for (int m = 0; m < pieces; m++) {
      const double f = (double)m / pieces, g = (double)(m + 1) / pieces;
      const double xa = p->x[i] + f * (p->x[k] - p->x[i]) - x0;
      const double xb = p->x[i] + g * (p->x[k] - p->x[i]) - x0;
      const double ya = p->y[i] + f * (p->y[k] - p->y[i]);
      const double yb = p->y[i] + g * (p->y[k] - p->y[i]);
      const double za = geographic ? sky_ellipsoid_band(y0, ya) : ya - y0;
      const double zb = geographic ? sky_ellipsoid_band(y0, yb) : yb - y0;
      sum += 0.5 * (xa * zb - xb * za);
    }
  }
  return sum;
}

static double reference(const poly *p, const sky_grid *g, size_t cell) {
  const size_t ix = cell % g->nx, iy = cell / g->nx;
  const double w = g->x_edge[ix], e = g->x_edge[ix + 1], s = g->y_edge[iy], n = g->y_edge[iy + 1];
  poly q = clip(p, true, w, 1);
  q = clip(&q, true, e, -1);
  q = clip(&q, false, s, 1);
  q = clip(&q, false, n, -1);
  const double full = (e - w) * (g->geographic ? sky_ellipsoid_band(s, n) : n - s);
  if (q.n < 3) return 0;
  const double coarse = shoelace(&q, g->geographic, 20, w, s);
  const double fine = shoelace(&q, g->geographic, 40, w, s);
  return fabs(fine + (fine - coarse) / 3) / full;
}

/* A star around (x, y): simple, with deep concave corners. */
static poly star(uint64_t seed, double x, double y, double radius) {
  poly p = {.n = 5 + (size_t)(sky_rng_uniform(seed, 1, 0) * 20)};
  for (size_t i = 0; i < p.n; i++) {
    const double r = radius * (0.1 + 0.9 * sky_rng_uniform(seed, 2, i));
    const double a = 2 * M_PI * ((double)i + 0.8 * sky_rng_uniform(seed, 3, i)) / (double)p.n;
    p.x[i] = x + r * cos(a);
    p.y[i] = y + r * sin(a);
  }
  return p;
}

static void compare_with_reference(const poly *p, const sky_grid *g, double tolerance) {
  sky_ring ring;
  sky_zone zone = one_ring(&ring, (double *)p->x, (double *)p->y, p->n);
  sky_coverage c;
  assert_int_equal(sky_zone_coverage(ctx, &zone, g, &c), SKY_OK);
  size_t k = 0;
  for (size_t cell = 0; cell < sky_grid_cells(g); cell++) {
    const bool has = k < c.n && c.cell[k] == cell;
    near(has ? c.fraction[k] : 0, reference(p, g, cell), tolerance);
    k += has;
  }
  assert_int_equal(k, c.n);
  sky_coverage_free(&c);
}

static void random_stars_match_the_clipper(void **state) {
  (void)state;
  sky_grid lonlat = box("EPSG:4326", 100, 30, 108, 38, 1);
  sky_grid plane = box("EPSG:32650", 400000, 4000000, 408000, 4008000, 1000);
  for (uint64_t seed = 1; seed <= 60; seed++) {
    const double u = sky_rng_uniform(seed, 4, 0), v = sky_rng_uniform(seed, 4, 1);
    const poly a = star(seed, 100 + 8 * u, 30 + 8 * v, 0.2 + 5 * sky_rng_uniform(seed, 4, 2));
    compare_with_reference(&a, &lonlat, 1e-11);
    const poly b = star(seed, 400000 + 8000 * u, 4000000 + 8000 * v, 3000);
    compare_with_reference(&b, &plane, 1e-11);
  }
  sky_grid_free(&lonlat);
  sky_grid_free(&plane);
}

static void clockwise_is_the_same(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 100, 30, 108, 38, 1);
  poly p = star(7, 104, 34, 3), r = p;
  for (size_t i = 0; i < p.n; i++) {
    r.x[i] = p.x[p.n - 1 - i];
    r.y[i] = p.y[p.n - 1 - i];
  }
  compare_with_reference(&r, &g, 1e-11);
  sky_grid_free(&g);
}

/* ---- partitions ---- */

static void add_to(double *sum, const sky_coverage *c) {
  for (size_t i = 0; i < c->n; i++)
    sum[c->cell[i]] += c->fraction[i];
}

/* Triangles that share every edge tile the domain: each cell must be covered once. */
static void partition_sums_to_one(void **state) {
  (void)state;
  const struct {
    const char *crs;
    double w, s, e, n, cell;
  } domain[] = {{"EPSG:4326", -12, 40, 6, 64, 0.75},
                {"EPSG:4326", -180, -90, 180, 90, 7.5},
                {"EPSG:32650", 400000, 4000000, 440000, 4030000, 1000}};
  for (size_t d = 0; d < 3; d++) {
    sky_grid g =
        box(domain[d].crs, domain[d].w, domain[d].s, domain[d].e, domain[d].n, domain[d].cell);
    double *sum = calloc(sky_grid_cells(&g), sizeof *sum), area_in = 0;
    enum { N = 7 };
    double vx[N + 1][N + 1], vy[N + 1][N + 1];
    for (size_t j = 0; j <= N; j++) {
      for (size_t i = 0; i <= N; i++) {
        const bool fix_x = i == 0 || i == N, fix_y = j == 0 || j == N;
        const double jx = fix_x ? 0 : 0.6 * (sky_rng_uniform(d, 5, j * 100 + i) - 0.5);
        const double jy = fix_y ? 0 : 0.6 * (sky_rng_uniform(d, 6, j * 100 + i) - 0.5);
        vx[j][i] = domain[d].w + (domain[d].e - domain[d].w) * ((double)i + jx) / N;
        vy[j][i] = domain[d].s + (domain[d].n - domain[d].s) * ((double)j + jy) / N;
      }
    }
    for (size_t j = 0; j < N; j++) {
      for (size_t i = 0; i < N; i++) {
        double x[2][3] = {{vx[j][i], vx[j][i + 1], vx[j + 1][i + 1]},
                          {vx[j][i], vx[j + 1][i + 1], vx[j + 1][i]}};
        double y[2][3] = {{vy[j][i], vy[j][i + 1], vy[j + 1][i + 1]},
                          {vy[j][i], vy[j + 1][i + 1], vy[j + 1][i]}};
        for (size_t t = 0; t < 2; t++) {
          sky_ring ring;
          sky_zone zone = one_ring(&ring, x[t], y[t], 3);
          sky_coverage c;
          assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
          near(c.area_in / c.area_zone, 1, g.geographic ? 1e-12 : 1e-6);
          add_to(sum, &c);
          area_in += c.area_in;
          sky_coverage_free(&c);
        }
      }
    }
    double total = 0, *area = malloc(sky_grid_cells(&g) * sizeof *area);
    assert_int_equal(sky_grid_areas(ctx, &g, area), SKY_OK);
    for (size_t i = 0; i < sky_grid_cells(&g); i++) {
      near(sum[i], 1, 1e-12);
      total += area[i];
    }
    near(area_in / total, 1, 1e-12);
    free(area);
    free(sum);
    sky_grid_free(&g);
  }
}

static void aligned_boxes_are_whole_cells(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 0, 0, 10, 10, 1);
  double x[4] = {2, 5, 5, 2}, y[4] = {3, 3, 7, 7};
  sky_ring ring;
  sky_zone zone = one_ring(&ring, x, y, 4);
  sky_coverage c;
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  assert_int_equal(c.n, 12);
  for (size_t i = 0; i < c.n; i++) {
    assert_true(c.fraction[i] == 1);
    assert_int_equal(c.cell[i], (3 + i / 3) * 10 + 2 + i % 3);
  }
  sky_coverage_free(&c);
  sky_grid_free(&g);
}

static void holes_and_parts(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 0, 0, 10, 10, 1);
  double x0[4] = {1, 9, 9, 1}, y0[4] = {1, 1, 9, 9};
  double x1[4] = {3.5, 6, 6, 3.5}, y1[4] = {4, 4, 5, 5}; /* hole, same turning sense */
  double x2[3] = {4, 5, 4.5}, y2[3] = {4.2, 4.2, 4.8};   /* an island in it */
  sky_ring rings[3] = {{.n = 4, .x = x0, .y = y0},
                       {.n = 4, .x = x1, .y = y1, .hole = true},
                       {.n = 3, .x = x2, .y = y2}};
  sky_zone zone = {.n_rings = 3, .ring = rings};
  sky_coverage c;
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  double sum[100] = {0};
  add_to(sum, &c);
  near(sum[0], 0, 0);
  near(sum[11], 1, 0);
  near(sum[43], 0.5, 1e-14);
  near(sum[45], 0, 0);
  assert_true(sum[44] > 0.29 && sum[44] < 0.31);
  near(c.area_in / c.area_zone, 1, 1e-13);
  assert_true(sky_zone_contains(&zone, 2, 2));
  assert_true(sky_zone_contains(&zone, 1, 5));
  assert_false(sky_zone_contains(&zone, 5.5, 4.5));
  assert_true(sky_zone_contains(&zone, 4.5, 4.3));
  assert_false(sky_zone_contains(&zone, 0.999, 5));
  assert_false(sky_zone_contains(&zone, 362, 2));
  zone.geographic = true;
  assert_true(sky_zone_contains(&zone, 362, 2));
  sky_coverage_free(&c);
  sky_grid_free(&g);
}

/* ---- small, thin, outside ---- */

static void tiny_zones_keep_their_area(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 0, 0, 10, 10, 1);
  const double side = 1e-4; /* 11 m in a cell of 111 km */
  double x[4] = {4.3, 4.3 + side, 4.3 + side, 4.3}, y[4] = {6.7, 6.7, 6.7 + side, 6.7 + side};
  sky_ring ring;
  sky_zone zone = one_ring(&ring, x, y, 4);
  sky_coverage c;
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  assert_int_equal(c.n, 1);
  assert_int_equal(c.cell[0], 64);
  const double area = sky_ellipsoid_band(y[0], y[2]) * (x[1] - x[0]) * M_PI / 180;
  near(c.area_zone / area, 1, 1e-11);
  near(c.area_in / area, 1, 1e-7);
  sky_coverage_free(&c);

  double sx[3] = {0, 10, 10}, sy[3] = {5, 5, 5 + 1e-9}; /* a sliver across ten cells */
  zone = one_ring(&ring, sx, sy, 3);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  near(c.area_in / c.area_zone, 1, 1e-3);
  sky_coverage_free(&c);

  double ox[3] = {20, 21, 21}, oy[3] = {5, 5, 6};
  zone = one_ring(&ring, ox, oy, 3);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  assert_int_equal(c.n, 0);
  assert_true(c.area_in == 0 && c.area_zone > 0);
  sky_coverage_free(&c);

  double hx[4] = {-5, 5, 5, -5}, hy[4] = {-5, -5, 5, 5}; /* three quarters beside the grid */
  zone = one_ring(&ring, hx, hy, 4);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  assert_int_equal(c.n, 25);
  near(c.area_in / c.area_zone, 0.25, 1e-12);
  sky_coverage_free(&c);
  sky_grid_free(&g);
}

/* ---- longitudes ---- */

static void a_turn_changes_nothing(void **state) {
  (void)state;
  for (uint64_t seed = 100; seed < 120; seed++) {
    sky_grid g = box("EPSG:4326", -180, -60, 180, 60, 4);
    const double lon = 360 * sky_rng_uniform(seed, 1, 9) - 180;
    poly p = star(seed, lon, 10, 25);
    for (size_t i = 0; i < p.n; i++)
      p.y[i] = fmax(-60, fmin(60, p.y[i]));
    poly q = p, r = p;
    for (size_t i = 0; i < p.n; i++) {
      q.x[i] = p.x[i] + 720;
      r.x[i] = remainder(p.x[i], 360); /* jumps at the antimeridian */
    }
    sky_ring ring;
    sky_coverage a, b;
    sky_zone zone = one_ring(&ring, p.x, p.y, p.n);
    assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &a), SKY_OK);
    near(a.area_in / a.area_zone, 1, 1e-11);
    const poly *const others[2] = {&q, &r};
    for (size_t k = 0; k < 2; k++) {
      zone = one_ring(&ring, (double *)others[k]->x, (double *)others[k]->y, p.n);
      assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &b), SKY_OK);
      near(b.area_zone / a.area_zone, 1, 1e-12);
      double *sum = calloc(2 * sky_grid_cells(&g), sizeof *sum);
      add_to(sum, &a);
      add_to(sum + sky_grid_cells(&g), &b);
      for (size_t i = 0; i < sky_grid_cells(&g); i++)
        near(sum[i], sum[sky_grid_cells(&g) + i], 1e-11);
      free(sum);
      sky_coverage_free(&b);
    }
    sky_coverage_free(&a);
    sky_grid_free(&g);
  }
}

static void rings_around_a_pole_are_closed_there(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", -180, -90, 180, 90, 5);
  double x[6] = {-150, -90, -30, 30, 90, 150}, y[6] = {70, 70, 70, 70, 70, 70};
  sky_ring ring;
  sky_zone zone = one_ring(&ring, x, y, 6);
  sky_coverage c;
  const double cap = 2 * M_PI * sky_ellipsoid_band(70, 90);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  near(c.area_zone / cap, 1, 1e-12);
  near(c.area_in / cap, 1, 1e-12);
  assert_int_equal(c.n, 4 * 72);
  sky_coverage_free(&c);
  for (size_t i = 0; i < 6; i++)
    y[i] = -70;
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  near(c.area_in / cap, 1, 1e-12);
  assert_int_equal(c.cell[0], 0);
  sky_coverage_free(&c);
  /* A frame of the world map is not a jump. */
  double wx[4] = {-180, 180, 180, -180}, wy[4] = {-90, -90, 90, 90};
  zone = one_ring(&ring, wx, wy, 4);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
  assert_int_equal(c.n, sky_grid_cells(&g));
  near(c.area_zone / (2 * cap * sky_ellipsoid_zone(90) / sky_ellipsoid_band(70, 90)), 1, 1e-12);
  sky_coverage_free(&c);
  sky_grid_free(&g);
}

/* ---- areas ---- */

static void areas_match_geodesics(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", -10, 40, 10, 60, 1);
  for (uint64_t seed = 1; seed < 6; seed++) {
    poly p = star(seed, 0, 50, 5);
    sky_ring ring, fine;
    sky_zone zone = one_ring(&ring, p.x, p.y, p.n);
    sky_coverage c;
    double geodesic;
    assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_OK);
    assert_int_equal(sky_ring_densify(ctx, &ring, 0.001, &fine), SKY_OK);
    assert_int_equal(sky_polygon_area(ctx, "EPSG:4326", fine.x, fine.y, fine.n, &geodesic), SKY_OK);
    near(c.area_zone / fabs(geodesic), 1, 1e-9);
    sky_free(fine.x);
    sky_free(fine.y);
    sky_coverage_free(&c);
  }
  sky_grid_free(&g);
}

static void bad_rings_are_refused(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 0, 0, 10, 10, 1);
  double x[3] = {1, NAN, 2}, y[3] = {1, 1, 2};
  sky_ring ring;
  sky_coverage c = {0};
  sky_zone zone = one_ring(&ring, x, y, 3);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_E_RANGE);
  zone = one_ring(&ring, x, y, 2);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &c), SKY_E_RANGE);
  sky_grid_free(&g);
}

static void allocations_may_fail(void **state) {
  (void)state;
  sky_grid g[2] = {box("EPSG:4326", 100, 30, 108, 38, 1),
                   box("EPSG:32650", 400000, 4000000, 408000, 4008000, 1000)};
  const poly p[2] = {star(3, 104, 34, 3), star(3, 404000, 4004000, 3000)};
  for (size_t k = 0; k < 2; k++) {
    sky_ring ring;
    sky_zone zone = one_ring(&ring, (double *)p[k].x, (double *)p[k].y, p[k].n);
    sky_status st = SKY_E_NOMEM;
    for (uint64_t n = 1; n < 100 && st != SKY_OK; n++) {
      sky_coverage c = {0};
      sky_memory_fail_at(ctx, n);
      st = sky_zone_coverage(ctx, &zone, &g[k], &c);
      sky_memory_fail_at(ctx, 0);
      if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
      sky_coverage_free(&c);
    }
    assert_int_equal(st, SKY_OK);
    sky_grid_free(&g[k]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_stars_match_the_clipper),
      cmocka_unit_test(clockwise_is_the_same),
      cmocka_unit_test(partition_sums_to_one),
      cmocka_unit_test(aligned_boxes_are_whole_cells),
      cmocka_unit_test(holes_and_parts),
      cmocka_unit_test(tiny_zones_keep_their_area),
      cmocka_unit_test(a_turn_changes_nothing),
      cmocka_unit_test(rings_around_a_pole_are_closed_there),
      cmocka_unit_test(areas_match_geodesics),
      cmocka_unit_test(bad_rings_are_refused),
      cmocka_unit_test(allocations_may_fail),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
