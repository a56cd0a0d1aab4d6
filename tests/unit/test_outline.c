/* Outlines of cell sets: areas, holes, corner contacts, and the coverage they give back. */
#include "grids/outline.h"
#include "src/core/memory.h"
#include "tests/support/sky_cmocka.h"

enum { NX = 7, NY = 6 };

static sky_grid unit_grid(sky_context *ctx) {
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 0, 0, NX, NY, 1, 1, &g), SKY_OK);
  return g;
}

static double ring_area(const sky_ring *r) {
  double sum = 0;
  for (size_t i = 0; i < r->n; i++) {
    const size_t k = (i + 1) % r->n;
    sum += r->x[i] * r->y[k] - r->x[k] * r->y[i];
  }
  return sum / 2;
}

/* rows: from north to south, '#' is inside */
static size_t outline_of(sky_context *ctx, const sky_grid *g, const char *const rows[NY],
                         sky_ring **rings, bool inside[NX * NY]) {
  size_t n;
  for (size_t iy = 0; iy < NY; iy++)
    for (size_t ix = 0; ix < NX; ix++) inside[iy * NX + ix] = rows[NY - 1 - iy][ix] == '#';
  assert_int_equal(sky_outline(ctx, g, inside, rings, &n), SKY_OK);
  return n;
}

static void test_shapes(void **state) {
  sky_context *ctx = *state;
  sky_grid g = unit_grid(ctx);
  bool inside[NX * NY];
  sky_ring *rings;
  const char *const block[NY] = {".......", ".###...", ".###...", ".......", ".......", "......."};
  assert_int_equal(outline_of(ctx, &g, block, &rings, inside), 1);
  assert_int_equal(rings[0].n, 4);
  assert_false(rings[0].hole);
  assert_close(ring_area(&rings[0]), 6, 1e-15);
  sky_rings_free(rings, 1);
  const char *const frame[NY] = {"#######", "#.....#", "#.....#", "#.....#", "#.....#", "#######"};
  assert_int_equal(outline_of(ctx, &g, frame, &rings, inside), 2);
  assert_close(ring_area(&rings[0]), 42, 1e-15);
  assert_true(rings[1].hole);
  assert_close(ring_area(&rings[1]), -20, 1e-15);
  sky_rings_free(rings, 2);
  const char *const corners[NY] = {"#.#.#.#", ".#.#.#.", "#.#.#.#", ".......", ".......", "......."};
  assert_int_equal(outline_of(ctx, &g, corners, &rings, inside), 11);
  sky_rings_free(rings, 11);
  const char *const nothing[NY] = {".......", ".......", ".......", ".......", ".......", "......."};
  assert_int_equal(outline_of(ctx, &g, nothing, &rings, inside), 0);
  assert_null(rings);
  sky_grid_free(&g);
}

/* The exact coverage of an outline is its cells again. */
static void test_round_trip(void **state) {
  sky_context *ctx = *state;
  sky_grid g = unit_grid(ctx);
  unsigned seed = 12345;
  for (int trial = 0; trial < 200; trial++) {
    bool inside[NX * NY];
    sky_zone zone = {.geographic = true};
    sky_coverage cover = {0};
    size_t n_inside = 0;
    for (size_t c = 0; c < NX * NY; c++) {
      seed = seed * 1103515245u + 12345u;
      inside[c] = (seed >> 16 & 3) != 0;
      n_inside += inside[c];
    }
    assert_int_equal(sky_outline(ctx, &g, inside, &zone.ring, &zone.n_rings), SKY_OK);
    assert_int_equal(sky_zone_coverage(ctx, &zone, &g, &cover), SKY_OK);
    size_t full = 0;
    for (size_t k = 0; k < cover.n; k++) {
      if (cover.fraction[k] < 1e-9) continue;
      assert_true(inside[cover.cell[k]]);
      assert_close(cover.fraction[k], 1, 1e-9);
      full++;
    }
    assert_int_equal(full, n_inside);
    sky_coverage_free(&cover);
    sky_rings_free(zone.ring, zone.n_rings);
  }
  sky_grid_free(&g);
}

static void test_allocation_failures(void **state) {
  sky_context *ctx = *state;
  sky_grid g = unit_grid(ctx);
  bool inside[NX * NY] = {[8] = true, [16] = true};
  sky_ring *rings;
  size_t n;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st != SKY_OK; nth++) {
    sky_memory_fail_at(ctx, nth);
    st = sky_outline(ctx, &g, inside, &rings, &n);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || (st == SKY_E_NOMEM && rings == NULL && n == 0));
  }
  assert_int_equal(n, 2);
  sky_rings_free(rings, n);
  sky_grid_free(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_shapes), SKY_UNIT(test_round_trip),
                                     SKY_UNIT(test_allocation_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
