/* Meshes: numbers, areas, coverage, amounts and means, and what is refused. Expectations come from
 * the base grid, from plane geometry and from sums written out here. */
#include <math.h>

#include "grids/grid_area.h"
#include "grids/mesh.h"
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

/* 10 x 8 cells of 1 km; park a: 2 x 3 cells in 250 m; park b: 1 x 1 cell in 500 m, at a's corner.
 */
static sky_mesh city(sky_context *ctx) {
  sky_grid base = box(ctx, UTM, 700000, 2500000, 710000, 2508000, 1000);
  sky_grid patch[2] = {box(ctx, UTM, 702000, 2501000, 704000, 2504000, 250),
                       box(ctx, UTM, 704000, 2504000, 705000, 2505000, 500)};
  const char *const id[2] = {"a", "b"};
  sky_mesh m;
  assert_int_equal(sky_mesh_create(ctx, &base, patch, id, 2, &m), SKY_OK);
  sky_grid_free(&base);
  sky_grid_free(&patch[0]);
  sky_grid_free(&patch[1]);
  return m;
}

static double *noise(size_t n, uint64_t seed) {
  double *v = malloc(n * sizeof *v);
  for (size_t i = 0; i < n; i++)
    v[i] = sky_rng_uniform(seed, 0, i) - 0.3;
  return v;
}

static void cells_are_numbered_base_first(void **state) {
  sky_mesh m = city(*state);
  assert_int_equal(m.n_patch, 3);
  assert_int_equal(m.n_cell, 80 - 6 - 1 + 8 * 12 + 4);
  assert_int_equal(m.first[1], 73);
  assert_int_equal(m.first[2], 73 + 96);
  assert_int_equal(m.first[3], m.n_cell);
  assert_int_equal(m.of[0][11], 11);       /* the last cell before park a */
  assert_int_equal(m.of[0][12], SIZE_MAX); /* x 702..703 km, y 2501..2502 km */
  assert_int_equal(m.of[0][14], 12);
  assert_int_equal(m.below[73], 12);
  assert_int_equal(m.below[73 + 95], 33);
  assert_int_equal(m.below[m.n_cell - 1], 44);
  assert_string_equal(m.id[0], "");
  assert_string_equal(m.id[2], "b");
  for (size_t p = 0; p < 3; p++)
    for (size_t c = 0; c < sky_grid_cells(&m.patch[p]); c++)
      if (m.of[p][c] != SIZE_MAX) assert_int_equal(m.grid_cell[m.of[p][c]], c);
  double x, y;
  sky_mesh_centre(&m, 73, &x, &y);
  assert_true(x == 702125 && y == 2501125);
  near(sky_mesh_distance(&m, 0, 73), hypot(1625, 625), 1e-9);
  sky_mesh_free(&m);
}

static void a_grid_is_a_mesh(void **state) {
  sky_context *ctx = *state;
  sky_grid g = box(ctx, "EPSG:4326", 1, 50, 3, 52, 0.5);
  sky_mesh m;
  assert_int_equal(sky_mesh_create(ctx, &g, NULL, NULL, 0, &m), SKY_OK);
  assert_int_equal(m.n_cell, 16);
  for (size_t c = 0; c < 16; c++)
    assert_true(m.of[0][c] == c && m.below[c] == c && m.grid_cell[c] == c);
  near(sky_mesh_distance(&m, 0, 5), sky_grid_distance(&g, 0, 5), 0);
  sky_mesh_free(&m);
  sky_grid_free(&g);
}

static void areas_are_the_base_s(void **state) {
  sky_context *ctx = *state;
  sky_mesh m = city(ctx);
  const size_t n = sky_grid_cells(&m.patch[0]);
  double *area = malloc(m.n_cell * sizeof *area), *base = malloc(n * sizeof *base);
  double *sum = calloc(n, sizeof *sum);
  assert_int_equal(sky_mesh_areas(ctx, &m, area), SKY_OK);
  assert_int_equal(sky_grid_areas(ctx, &m.patch[0], base), SKY_OK);
  for (size_t c = 0; c < m.n_cell; c++)
    sum[m.below[c]] += area[c];
  for (size_t c = 0; c < n; c++)
    near(sum[c], base[c], 1e-8 * base[c]);
  near(area[m.n_cell - 1], 0.25 * base[44], 1e-5 * base[44]);
  free(area);
  free(base);
  free(sum);
  sky_mesh_free(&m);
}

/* A triangle across the base, both parks and the border of the grid. */
static void coverage_sums_to_the_area(void **state) {
  sky_context *ctx = *state;
  sky_mesh m = city(ctx);
  double x[3] = {701300, 712000, 703700}, y[3] = {2500100, 2503300, 2507900};
  sky_ring ring = {.n = 3, .x = x, .y = y};
  char id[] = "t";
  const sky_zone zone = {.id = id, .n_rings = 1, .ring = &ring};
  sky_coverage c, base;
  assert_int_equal(sky_mesh_coverage(ctx, &zone, &m, &c), SKY_OK);
  assert_int_equal(sky_zone_coverage(ctx, &zone, &m.patch[0], &base), SKY_OK);
  double *area = malloc(m.n_cell * sizeof *area), total = 0, plane = 0, plane_base = 0;
  assert_int_equal(sky_mesh_areas(ctx, &m, area), SKY_OK);
  const double side[3] = {1000, 250, 500};
  bool fine = false;
  for (size_t k = 0; k < c.n; k++) {
    if (k > 0) assert_true(c.cell[k] > c.cell[k - 1]);
    const size_t p = (c.cell[k] >= m.first[1]) + (c.cell[k] >= m.first[2]);
    total += c.fraction[k] * area[c.cell[k]];
    plane += c.fraction[k] * side[p] * side[p];
    fine = fine || (p == 1 && c.fraction[k] < 1);
  }
  for (size_t k = 0; k < base.n; k++)
    plane_base += base.fraction[k] * 1e6;
  assert_true(fine);
  near(plane, plane_base, 1e-10 * plane_base);
  near(total, c.area_in, 1e-6 * c.area_in);
  assert_true(c.area_in < c.area_zone && c.area_in == base.area_in);
  /* The part of the triangle east of 710 km, by similar triangles. */
  const double whole = 0.5 * fabs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]));
  const double low = y[0] + (y[1] - y[0]) * (710000 - x[0]) / (x[1] - x[0]);
  const double high = y[2] + (y[1] - y[2]) * (710000 - x[2]) / (x[1] - x[2]);
  near(plane, whole - 0.5 * (high - low) * 2000, 1e-9 * whole);
  free(area);
  sky_coverage_free(&c);
  sky_coverage_free(&base);
  sky_mesh_free(&m);
}

/* From another grid of the crs, from the base itself and from the grid of a patch. */
static void amounts_are_kept(void **state) {
  sky_context *ctx = *state;
  sky_mesh m = city(ctx);
  sky_grid from[4] = {box(ctx, UTM, 698500, 2499300, 707500, 2508300, 300),
                      box(ctx, UTM, 700000, 2500000, 710000, 2508000, 1000),
                      box(ctx, UTM, 702000, 2501000, 704000, 2504000, 250),
                      box(ctx, UTM, 702000.02, 2501000, 704000.02, 2504000, 250)};
  double *out = malloc(m.n_cell * sizeof *out), *base = malloc(80 * sizeof *base);
  for (size_t k = 0; k < 4; k++) {
    const size_t n = sky_grid_cells(&from[k]);
    double *amount = noise(n, k);
    amount[n / 2] = NAN;
    sky_audit a, b;
    assert_int_equal(sky_mesh_regrid_extensive(ctx, &from[k], amount, &m, out, &a), SKY_OK);
    assert_int_equal(sky_regrid_extensive(ctx, &from[k], amount, &m.patch[0], base, &b), SKY_OK);
    near(a.residual, 0, 1e-12 * a.gross);
    near(a.out, sky_sum(out, m.n_cell), 0);
    near(a.in, b.in, 1e-12 * a.gross);
    near(a.outside, b.outside, 1e-12 * a.gross);
    assert_true(a.nodata == 1);
    double sum[80] = {0};
    for (size_t c = 0; c < m.n_cell; c++)
      sum[m.below[c]] += out[c];
    for (size_t c = 0; c < 80 && k < 3; c++)
      near(sum[c], base[c], 1e-12 * a.gross);
    if (k == 0) assert_true(fabs(a.outside) > 1);
    if (k == 2) /* a patch of the mesh maps cell to cell */
      for (size_t c = 0; c < n; c++)
        if (c != n / 2) near(out[m.of[1][c]], amount[c], 1e-15);
    free(amount);
    sky_grid_free(&from[k]);
  }
  free(out);
  free(base);
  sky_mesh_free(&m);
}

static void means_on_the_base(void **state) {
  sky_context *ctx = *state;
  sky_mesh m = city(ctx);
  double *area = malloc(m.n_cell * sizeof *area), *v = noise(m.n_cell, 9);
  double base[80], *fine = malloc(96 * sizeof *fine);
  assert_int_equal(sky_mesh_areas(ctx, &m, area), SKY_OK);
  v[0] = NAN;
  v[73] = NAN;
  for (size_t c = m.first[2]; c < m.n_cell; c++)
    v[c] = NAN;
  sky_mesh_to_base(&m, area, v, base);
  double sum[80] = {0}, weight[80] = {0};
  for (size_t c = 0; c < m.n_cell; c++)
    if (!isnan(v[c])) {
      sum[m.below[c]] += v[c] * area[c];
      weight[m.below[c]] += area[c];
    }
  for (size_t c = 0; c < 80; c++) {
    if (c == 0 || c == 44)
      assert_true(isnan(base[c]));
    else
      near(base[c], sum[c] / weight[c], 1e-13);
  }
  sky_mesh_to_patch(&m, 1, v, fine);
  assert_true(isnan(fine[0]) && fine[95] == v[73 + 95]);
  sky_mesh_to_patch(&m, 0, v, base);
  assert_true(isnan(base[12]) && base[14] == v[12]);
  free(area);
  free(v);
  free(fine);
  sky_mesh_free(&m);
}

/* 179..183 given as 179..-177 and a patch given at -180..-179: one place. */
static void turns_of_longitude(void **state) {
  sky_context *ctx = *state;
  sky_grid base = box(ctx, "EPSG:4326", 178, -20, 182, -16, 1);
  sky_grid patch = box(ctx, "EPSG:4326", -180, -18, -179, -17, 0.25);
  const char *const id[1] = {"p"};
  sky_mesh m;
  assert_int_equal(sky_mesh_create(ctx, &base, &patch, id, 1, &m), SKY_OK);
  assert_int_equal(m.below[m.first[1]], 2 * 4 + 2);
  assert_true(m.patch[1].x_edge[0] == 180 && m.patch[1].x_edge[4] == 181);
  sky_mesh_free(&m);
  sky_grid_free(&base);
  sky_grid_free(&patch);
}

static void what_is_refused(void **state) {
  sky_context *ctx = *state;
  sky_grid base = box(ctx, UTM, 0, 0, 10000, 8000, 1000);
  const struct {
    const char *why, *crs;
    double w, s, e, n, cell;
  } cases[] = {
      {"overlaps patch 'a'", UTM, 1000, 1000, 3000, 2000, 500},
      {"begin and end on edges", UTM, 5500, 1000, 6500, 2000, 500},
      {"begin and end on edges", UTM, 5000, 1000, 6500, 2000, 500},
      {"do not divide", UTM, 5000, 1000, 7000, 3000, 400},
      {"do not divide", UTM, 4000, 2000, 8000, 4000, 2000},
      {"leaves the grid", UTM, 9000, 1000, 11000, 2000, 500},
      {"another crs", "EPSG:32650", 5000, 1000, 6000, 2000, 500},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    sky_grid patch[2] = {
        box(ctx, UTM, 2000, 1000, 4000, 2000, 250),
        box(ctx, cases[k].crs, cases[k].w, cases[k].s, cases[k].e, cases[k].n, cases[k].cell)};
    const char *const id[2] = {"a", "park"};
    sky_mesh m = {0};
    assert_fails(ctx, sky_mesh_create(ctx, &base, patch, id, 2, &m), SKY_E_RANGE, cases[k].why);
    assert_non_null(strstr(sky_error(ctx), "'park'"));
    sky_error_clear(ctx);
    const char *const same[2] = {"a", "a"};
    assert_fails(ctx, sky_mesh_create(ctx, &base, patch, same, 2, &m), SKY_E_RANGE, "id 'a'");
    sky_error_clear(ctx);
    sky_grid_free(&patch[0]);
    sky_grid_free(&patch[1]);
  }
  sky_grid_free(&base);
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  sky_grid from = box(ctx, UTM, 698500, 2499300, 707500, 2508300, 300);
  sky_grid base = box(ctx, UTM, 700000, 2500000, 710000, 2508000, 1000);
  sky_grid patch = box(ctx, UTM, 702000, 2501000, 704000, 2504000, 250);
  const char *const id[1] = {"a"};
  double *v = noise(sky_grid_cells(&from), 1), *out = malloc(400 * sizeof *out);
  double x[3] = {701300, 712000, 703700}, y[3] = {2500100, 2503300, 2507900};
  sky_ring ring = {.n = 3, .x = x, .y = y};
  const sky_zone zone = {.n_rings = 1, .ring = &ring};
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 1000 && st != SKY_OK; n++) {
    sky_mesh m = {0};
    sky_audit a;
    sky_coverage c = {0};
    sky_memory_fail_at(ctx, n);
    st = sky_mesh_create(ctx, &base, &patch, id, 1, &m);
    if (st == SKY_OK) st = sky_mesh_areas(ctx, &m, out);
    if (st == SKY_OK) st = sky_mesh_regrid_extensive(ctx, &from, v, &m, out, &a);
    if (st == SKY_OK) st = sky_mesh_coverage(ctx, &zone, &m, &c);
    sky_memory_fail_at(ctx, 0);
    sky_coverage_free(&c);
    sky_mesh_free(&m);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 20);
  free(v);
  free(out);
  sky_grid_free(&from);
  sky_grid_free(&base);
  sky_grid_free(&patch);
}

/* Any smooth system: areas must still add up when the vertices have moved. */
static double area_in_curves(const sky_zone *z) {
  sky_acc sum = {0, 0};
  const sky_ring *r = &z->ring[0];
  for (size_t i = 0; i < r->n; i++) {
    double x[2], y[2];
    for (size_t k = 0; k < 2; k++) {
      const double u = (r->x[(i + k) % r->n] - 7e5) / 1e4, v = (r->y[(i + k) % r->n] - 2.5e6) / 1e4;
      x[k] = u + 0.1 * u * v;
      y[k] = v + 0.05 * u * u;
    }
    sky_acc_add(&sum, 0.5 * (x[0] * y[1] - x[1] * y[0]));
  }
  return sky_acc_value(&sum);
}

static void outlines_tile_the_box(void **state) {
  sky_mesh m = city(*state);
  const double steps[] = {INFINITY, 1000, 130};
  for (size_t k = 0; k < 3; k++) {
    sky_zones z = {0};
    assert_int_equal(sky_mesh_outlines(*state, &m, steps[k], &z), SKY_OK);
    assert_int_equal(z.n, m.n_cell + 1);
    /* Base cells in 8 pieces for 130 m, a multiple of both patches' 4 and 2. */
    const size_t pieces = k == 0 ? 1 : k == 1 ? 4 : 8;
    assert_int_equal(z.zone[0].ring[0].n, 4 * pieces);
    assert_int_equal(z.zone[m.first[1]].ring[0].n, k == 2 ? 8 : 4);
    assert_int_equal(z.zone[m.first[2]].ring[0].n, k == 0 ? 4 : 2 * pieces);
    assert_int_equal(z.zone[m.n_cell].ring[0].n, 2 * (10 + 8) * pieces);
    sky_acc sum = {0, 0};
    for (size_t c = 0; c < m.n_cell; c++) {
      double x, y;
      sky_mesh_centre(&m, c, &x, &y);
      assert_true(sky_zone_contains(&z.zone[c], x, y));
      sky_acc_add(&sum, area_in_curves(&z.zone[c]));
      assert_true(area_in_curves(&z.zone[c]) > 0);
    }
    const double box = area_in_curves(&z.zone[m.n_cell]), gap = fabs(sky_acc_value(&sum) / box - 1);
    /* Corners alone leave gaps where a coarse cell meets fine ones. */
    assert_true(k == 0 ? gap > 1e-9 : gap < 1e-13);
    sky_zones_free(&z);
  }
  sky_mesh_free(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(cells_are_numbered_base_first),
      SKY_UNIT(a_grid_is_a_mesh),
      SKY_UNIT(areas_are_the_base_s),
      SKY_UNIT(coverage_sums_to_the_area),
      SKY_UNIT(amounts_are_kept),
      SKY_UNIT(means_on_the_base),
      SKY_UNIT(turns_of_longitude),
      SKY_UNIT(outlines_tile_the_box),
      SKY_UNIT(what_is_refused),
      SKY_UNIT(allocations_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
