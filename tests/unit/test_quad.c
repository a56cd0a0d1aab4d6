/* Overlap of quadrilaterals with cells, against a clipping written another way (Sutherland-Hodgman
 * in the plane, areas by quadrature of the ellipsoid) and against closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "grids/ellipsoid.h"
#include "grids/quad.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

#define DEG (M_PI / 180)

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

/* ---- the other way -------------------------------------------------------------------------- */

typedef struct polygon {
  size_t n;
  double x[64], y[64];
} polygon;

/* Keep the side of coordinate `axis` where sign·(v - at) >= 0. */
static void cut(polygon *p, int axis, double at, double sign) {
  polygon out = {0};
  for (size_t i = 0; i < p->n; i++) {
    const size_t k = (i + 1) % p->n;
    const double a = sign * ((axis == 0 ? p->x[i] : p->y[i]) - at);
    const double b = sign * ((axis == 0 ? p->x[k] : p->y[k]) - at);
    if (a >= 0) {
      out.x[out.n] = p->x[i];
      out.y[out.n++] = p->y[i];
    }
    if ((a < 0 && b > 0) || (a > 0 && b < 0)) {
      const double f = a / (a - b);
      out.x[out.n] = axis == 0 ? at : p->x[i] + f * (p->x[k] - p->x[i]);
      out.y[out.n++] = axis == 1 ? at : p->y[i] + f * (p->y[k] - p->y[i]);
    }
  }
  *p = out;
}

/* Area per degree of longitude and latitude, m2: M(φ) N(φ) cos φ. */
static double density(double lat) {
  const double e2 = SKY_WGS84_F * (2 - SKY_WGS84_F), s = sin(lat * DEG), d = 1 - e2 * s * s;
  return SKY_WGS84_A * SKY_WGS84_A * (1 - e2) * cos(lat * DEG) / (d * d) * DEG * DEG;
}

/* |∮ x dA/dx| with 5 Gauss points a piece of 0.5°. */
static double area_of(const polygon *p, bool planar) {
  static const double T[5] = {-0.906179845938664, -0.538469310105683, 0, 0.538469310105683,
                              0.906179845938664};
  static const double W[5] = {0.236926885056189, 0.478628670499366, 0.568888888888889,
                              0.478628670499366, 0.236926885056189};
  double sum = 0;
  for (size_t i = 0; i < p->n; i++) {
    const size_t k = (i + 1) % p->n;
    const double dx = p->x[k] - p->x[i], dy = p->y[k] - p->y[i], x0 = p->x[i] - p->x[0];
    const int pieces = 1 + (int)(fabs(dy) / 0.5);
    for (int j = 0; j < pieces; j++) {
      for (int g = 0; g < 5; g++) {
        const double f = (j + 0.5 + 0.5 * T[g]) / pieces;
        const double d = planar ? 1 : density(p->y[i] + f * dy);
        sum += (x0 + f * dx) * d * 0.5 * W[g] * dy / pieces;
      }
    }
  }
  return fabs(sum);
}

static polygon polygon_of(const double x[4], const double y[4]) {
  polygon p = {4, {0}, {0}};
  memcpy(p.x, x, 4 * sizeof *x);
  memcpy(p.y, y, 4 * sizeof *y);
  return p;
}

static void compare(const sky_grid *g, const double x[4], const double y[4], bool planar,
                    double tolerance) {
  sky_quad_grid *q;
  sky_overlaps o = {0};
  assert_int_equal(sky_quad_grid_create(ctx, g, planar ? SKY_QUAD_PLANAR : SKY_QUAD_AREA, &q),
                   SKY_OK);
  assert_int_equal(sky_quad_overlap(ctx, q, x, y, 0, g->ny, &o), SKY_OK);
  const polygon whole = polygon_of(x, y);
  const double area = area_of(&whole, planar);
  double sum = 0, worst = 0;
  for (size_t iy = 0, k = 0; iy < g->ny; iy++) {
    for (size_t ix = 0; ix < g->nx; ix++) {
      polygon p = whole;
      cut(&p, 0, g->x_edge[ix], 1);
      cut(&p, 0, g->x_edge[ix + 1], -1);
      cut(&p, 1, g->y_edge[iy], 1);
      cut(&p, 1, g->y_edge[iy + 1], -1);
      const double expected = p.n > 2 ? area_of(&p, planar) : 0;
      double got = 0;
      if (k < o.n && o.item[k].cell == iy * g->nx + ix) {
        got = o.item[k].area;
        assert_true(fabs(o.item[k].fraction * sky_quad_cell_area(q, o.item[k].cell) - got) <=
                    1e-14 * sky_quad_cell_area(q, o.item[k].cell));
        k++;
      }
      worst = fmax(worst, fabs(got - expected) / area);
      sum += got;
      if (ix == g->nx - 1 && iy == g->ny - 1) assert_true(k == o.n);
    }
  }
  if (worst > tolerance) fail_msg("worst cell differs by %g of the area", worst);
  if (fabs(sum / area - 1) > 1e-12) fail_msg("sum differs by %g", sum / area - 1);
  sky_overlaps_free(&o);
  sky_quad_grid_free(q);
}

/* Convex, concave and thin ones, from a tenth of a cell to many cells. */
static void test_random(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 10, 30, 16, 36, 0.5);
  for (uint64_t i = 0; i < 400; i++) {
    const double size = 0.05 * pow(40, sky_rng_uniform(3, 0, i));
    const double cx = 12.5 + sky_rng_uniform(3, 1, i), cy = 32.5 + sky_rng_uniform(3, 2, i);
    const double sense = i % 2 == 0 ? 1 : -1; /* either sense of the corners */
    double x[4], y[4];
    for (size_t k = 0; k < 4; k++) {
      const double r = size * (0.2 + 0.8 * sky_rng_uniform(3, 3 + k, i));
      const double a = sense * (M_PI / 2 * (double)k + 1.2 * sky_rng_uniform(3, 7 + k, i));
      x[k] = cx + r * cos(a);
      y[k] = cy + r * sin(a);
    }
    double area;
    sky_quad_grid *q;
    assert_int_equal(sky_quad_grid_create(ctx, &g, SKY_QUAD_AREA, &q), SKY_OK);
    const sky_quad_shape shape = sky_quad_classify(q, x, y, &area);
    sky_quad_grid_free(q);
    const polygon p = polygon_of(x, y);
    assert_true(fabs(area / area_of(&p, true) - 1) < 1e-10);
    if (shape == SKY_QUAD_CONVEX) {
      compare(&g, x, y, false, 1e-12);
      compare(&g, x, y, true, 1e-12);
    }
  }
  sky_grid_free(&g);
}

/* Sutherland-Hodgman joins the parts of a concave polygon by lines without area: areas hold. */
static void test_concave_and_crossed(void **state) {
  (void)state;
  const double x[4] = {0.1, 2.9, 0.9, 0.7}, y[4] = {50.1, 50.6, 50.9, 52.8};
  const double cx[4] = {0.1, 2.9, 0.3, 2.7}, cy[4] = {50.1, 50.2, 52.8, 52.6};
  sky_grid g = box("EPSG:4326", 0, 50, 3, 53, 0.25);
  sky_quad_grid *q;
  sky_overlaps o = {0};
  double area;
  compare(&g, x, y, false, 1e-12);
  assert_int_equal(sky_quad_grid_create(ctx, &g, SKY_QUAD_AREA, &q), SKY_OK);
  assert_int_equal(sky_quad_classify(q, x, y, &area), SKY_QUAD_CONCAVE);
  /* 0, 1, 3, 2 is the order around; 0, 1, 2, 3 crosses. Every order of four corners is one of three
   * ways around, and two of them cross. */
  static const size_t ORDER[6][4] = {{0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3},
                                     {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1}};
  size_t crossed = 0;
  for (size_t i = 0; i < 6; i++) {
    double ox[4], oy[4];
    for (size_t k = 0; k < 4; k++) {
      ox[k] = cx[ORDER[i][k]];
      oy[k] = cy[ORDER[i][k]];
    }
    o.n = 0;
    const sky_quad_shape shape = sky_quad_classify(q, ox, oy, &area);
    assert_int_equal(sky_quad_overlap(ctx, q, ox, oy, 0, g.ny, &o), SKY_OK);
    assert_true(shape == SKY_QUAD_CONVEX ? o.n > 0 : shape == SKY_QUAD_CROSSED && o.n == 0);
    crossed += shape == SKY_QUAD_CROSSED;
  }
  assert_int_equal(crossed, 4);
  sky_overlaps_free(&o);
  sky_quad_grid_free(q);
  sky_grid_free(&g);
}

static void test_degenerate(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", 0, 50, 3, 53, 0.25);
  sky_quad_grid *q;
  sky_overlaps o = {0};
  double area;
  static const double X[5][4] = {
      {1, 1, 1, 1}, {1, 2, 2, 1}, {1, 2, NAN, 1}, {1, 2, INFINITY, 1}, {0.5, 1, 1.5, 2}};
  static const double Y[5][4] = {{51, 51, 51, 51},
                                 {51, 51, 51, 51},
                                 {51, 51, 52, 52},
                                 {51, 51, 52, 52},
                                 {51, 51.25, 51.5, 51.75}};
  assert_int_equal(sky_quad_grid_create(ctx, &g, SKY_QUAD_AREA, &q), SKY_OK);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(sky_quad_classify(q, X[i], Y[i], &area), SKY_QUAD_DEGENERATE);
    assert_int_equal(sky_quad_overlap(ctx, q, X[i], Y[i], 0, g.ny, &o), SKY_OK);
    assert_int_equal(o.n, 0);
  }
  const double bx[4] = {1, 2, 2, 1}, by[4] = {51, 51, 91, 91}; /* beyond the pole */
  assert_int_equal(sky_quad_classify(q, bx, by, &area), SKY_QUAD_DEGENERATE);
  const double tx[4] = {1, 2, 1.5, 1.5}, ty[4] = {51, 51, 52, 52}; /* a triangle is no fault */
  assert_int_equal(sky_quad_classify(q, tx, ty, &area), SKY_QUAD_CONVEX);
  compare(&g, tx, ty, false, 1e-12);
  /* On the grid's own lines: four whole cells and nothing else. */
  const double gx[4] = {1, 1.5, 1.5, 1}, gy[4] = {51, 51, 51.5, 51.5};
  o.n = 0;
  assert_int_equal(sky_quad_overlap(ctx, q, gx, gy, 0, g.ny, &o), SKY_OK);
  assert_int_equal(o.n, 4);
  for (size_t i = 0; i < 4; i++)
    assert_true(fabs(o.item[i].fraction - 1) < 1e-14);
  sky_overlaps_free(&o);
  sky_quad_grid_free(q);
  sky_grid_free(&g);
}

static double total(const sky_quad_grid *q, const double x[4], const double y[4], size_t ny,
                    sky_overlaps *o) {
  double sum = 0;
  o->n = 0;
  assert_int_equal(sky_quad_overlap(ctx, q, x, y, 0, ny, o), SKY_OK);
  for (size_t i = 0; i < o->n; i++)
    sum += o->item[i].area;
  return sum;
}

/* One pixel, given in three turns, on grids cut at different longitudes. */
static void test_antimeridian(void **state) {
  (void)state;
  const double x[4] = {179.7, 180.4, 180.5, 179.8}, y[4] = {-20.3, -20.1, -19.5, -19.7};
  const polygon p = polygon_of(x, y);
  const double area = area_of(&p, false);
  static const double WEST[3] = {-180, 0, -200};
  for (size_t i = 0; i < 3; i++) {
    sky_grid g = box("EPSG:4326", WEST[i], -90, WEST[i] + 360, 90, 0.5);
    sky_quad_grid *q;
    sky_overlaps o = {0};
    assert_int_equal(sky_quad_grid_create(ctx, &g, SKY_QUAD_AREA, &q), SKY_OK);
    for (size_t k = 0; k < 4; k++) {
      double shifted[4];
      for (size_t c = 0; c < 4; c++)
        shifted[c] = k < 3 ? x[c] + 360 * ((double)k - 1) : x[c] > 180 ? x[c] - 360 : x[c];
      assert_true(fabs(total(q, shifted, y, g.ny, &o) / area - 1) < 1e-11);
      double east = 0;
      for (size_t c = 0; c < o.n; c++) {
        double cx, cy;
        sky_grid_centre(&g, o.item[c].cell, &cx, &cy);
        if (fmod(cx + 720, 360) > 180) east += o.item[c].area;
      }
      polygon half = p;
      cut(&half, 0, 180, 1);
      assert_true(fabs(east / area_of(&half, false) - 1) < 1e-11);
    }
    sky_overlaps_free(&o);
    sky_quad_grid_free(q);
    sky_grid_free(&g);
  }
}

/* Around the pole: a square with corners at one distance. Its edges are great circles: 8 right
 * spherical triangles; on the ellipsoid near the pole, within the flattening. */
static void test_pole(void **state) {
  (void)state;
  sky_grid g = box("EPSG:4326", -180, -90, 180, 90, 0.25);
  sky_quad_grid *q;
  sky_overlaps o = {0};
  assert_int_equal(sky_quad_grid_create(ctx, &g, SKY_QUAD_AREA, &q), SKY_OK);
  for (int south = 0; south < 2; south++) {
    const double lat = south ? -89.9 : 89.9;
    const double x[4] = {-170, -80, 10, 100}, y[4] = {lat, lat, lat, lat};
    double area;
    assert_int_equal(sky_quad_classify(q, x, y, &area), SKY_QUAD_CONVEX);
    /* Radius of the corners from the area of the cap; the square has 2/π of the circle. */
    const double cap = sky_ellipsoid_band(89.9, 90) * 2 * M_PI;
    assert_true(fabs(total(q, x, y, g.ny, &o) / (cap * 2 / M_PI) - 1) < 1e-4);
    assert_int_equal(o.n, g.nx); /* it touches all cells of the last row */
    /* Off the pole's side, not around it. */
    const double nx[4] = {-10, 10, 170, -170}, ny[4] = {lat, lat, lat, lat};
    const double both = total(q, nx, ny, g.ny, &o);
    assert_true(both > 0 && both < cap);
    /* A corner at the pole: a quarter less the slivers; its longitude says nothing. */
    for (int k = 0; k < 3; k++) {
      const double cx[4] = {0, 45, 90, 37.0 * k}, cy[4] = {lat, lat, lat, south ? -90 : 90};
      const double chords = 2 * 0.5 * sin(M_PI / 4) / M_PI; /* two triangles, of π r² */
      assert_true(fabs(total(q, cx, cy, g.ny, &o) / (cap * chords) - 1) < 1e-4);
    }
  }
  sky_overlaps_free(&o);
  sky_quad_grid_free(q);
  sky_grid_free(&g);
}

/* A mesh of quadrilaterals with random inner corners covers every cell once, also over the poles
 * and the antimeridian, on cells of 30 degrees (strips) and of a fraction of one. */
static void test_mesh_covers(void **state) {
  (void)state;
  static const double CELL[2] = {30, 0.75};
  enum { NX = 72, NY = 37 };
  for (size_t c = 0; c < 2; c++) {
    sky_grid g = box("EPSG:4326", -180, -90, 180, 90, CELL[c]);
    sky_quad_grid *q;
    sky_overlaps o = {0};
    assert_int_equal(sky_quad_grid_create(ctx, &g, SKY_QUAD_AREA, &q), SKY_OK);
    double *sum = SKY_NEW0(ctx, double, g.nx *g.ny);
    double lon[NY + 1][NX + 1], lat[NY + 1][NX + 1];
    for (size_t j = 0; j <= NY; j++) {
      for (size_t i = 0; i <= NX; i++) {
        const bool inner = j > 0 && j < NY;
        const uint64_t k = j * NX + i % NX;
        lon[j][i] = -180 + 5.0 * (double)i + (inner ? 2 * sky_rng_uniform(9, 0, k) : 0);
        lat[j][i] = -90 + 180.0 / NY * (double)j + (inner ? 2 * sky_rng_uniform(9, 1, k) : 0);
      }
    }
    for (size_t j = 0; j < NY; j++) {
      for (size_t i = 0; i < NX; i++) {
        const double x[4] = {lon[j][i], lon[j][i + 1], lon[j + 1][i + 1], lon[j + 1][i]};
        const double y[4] = {lat[j][i], lat[j][i + 1], lat[j + 1][i + 1], lat[j + 1][i]};
        o.n = 0;
        assert_int_equal(sky_quad_overlap(ctx, q, x, y, 0, g.ny, &o), SKY_OK);
        for (size_t k = 0; k < o.n; k++)
          sum[o.item[k].cell] += o.item[k].fraction;
      }
    }
    double worst = 0;
    for (size_t k = 0; k < g.nx * g.ny; k++)
      worst = fmax(worst, fabs(sum[k] - 1));
    if (worst > 1e-11) fail_msg("a cell of %g degrees is covered by 1 %+g", CELL[c], worst);
    sky_free(sum);
    sky_overlaps_free(&o);
    sky_quad_grid_free(q);
    sky_grid_free(&g);
  }
}

/* Not one bit depends on the rows that are asked for; edges that are not equally spaced, too. */
static void test_windows(void **state) {
  (void)state;
  double x_edge[30], y_edge[41];
  for (size_t i = 0; i < 30; i++)
    x_edge[i] = 0.02 * (double)(i * i);
  for (size_t i = 0; i < 41; i++)
    y_edge[i] = 40 + 0.25 * (double)i + 0.005 * (double)(i * i);
  const sky_grid g = {.crs = "EPSG:4326",
                      .geographic = true,
                      .nx = 29,
                      .ny = 40,
                      .x_edge = x_edge,
                      .y_edge = y_edge};
  const double x[4] = {0.3, 12.7, 14.1, 3.3}, y[4] = {41.1, 40.6, 55.3, 52.8};
  sky_quad_grid *q;
  sky_overlaps whole = {0}, parts = {0};
  assert_int_equal(sky_quad_grid_create(ctx, &g, SKY_QUAD_AREA, &q), SKY_OK);
  assert_int_equal(sky_quad_overlap(ctx, q, x, y, 0, g.ny, &whole), SKY_OK);
  for (size_t row = 0; row < g.ny; row += 7)
    assert_int_equal(sky_quad_overlap(ctx, q, x, y, row, row + 7 < g.ny ? row + 7 : g.ny, &parts),
                     SKY_OK);
  assert_int_equal(whole.n, parts.n);
  assert_memory_equal(whole.item, parts.item, whole.n * sizeof *whole.item);
  sky_overlaps_free(&whole);
  sky_overlaps_free(&parts);
  sky_quad_grid_free(q);
  compare(&g, x, y, false, 1e-12);
}

static void test_projected(void **state) {
  (void)state;
  sky_grid g = box("EPSG:32650", 400000, 3400000, 420000, 3420000, 1000);
  const double x[4] = {403210, 411100, 410400, 402200}, y[4] = {3404100, 3405300, 3412800, 3411000};
  compare(&g, x, y, true, 1e-12);
  sky_grid_free(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),     cmocka_unit_test(test_concave_and_crossed),
      cmocka_unit_test(test_degenerate), cmocka_unit_test(test_antimeridian),
      cmocka_unit_test(test_pole),       cmocka_unit_test(test_mesh_covers),
      cmocka_unit_test(test_windows),    cmocka_unit_test(test_projected),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
