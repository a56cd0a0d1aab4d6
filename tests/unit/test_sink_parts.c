/* Parts of the sink that the command tests check against numpy: here by hand, at their edges, and
 * without memory. */
#include "tests/support/sky_cmocka.h"

#include <math.h>

#include "algorithms/sink/factors.h"
#include "algorithms/sink/fractions.h"
#include "algorithms/sink/patches.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

/* ---- fractions ------------------------------------------------------------------------------ */

static void test_transitions(void **state) {
  (void)state;
  const double f[3] = {0.5, 0.3, 0.2}, g[3] = {0.2, 0.5, 0.3};
  double t[9];
  sky_fraction_transitions(f, g, 3, t);
  const double want[9] = {0.2, 0.3 * 2 / 3, 0.3 * 1 / 3, 0, 0.3, 0, 0, 0, 0.2};
  for (size_t k = 0; k < 9; k++)
    assert_true(fabs(t[k] - want[k]) < 1e-15);
  sky_fraction_transitions(f, f, 3, t);
  for (size_t k = 0; k < 9; k++)
    assert_true(t[k] == (k % 4 == 0 ? f[k / 4] : 0));
}

/* Rows sum to one date, columns to the other, nothing is negative, the diagonal is greatest. */
static void test_margins(void **state) {
  (void)state;
  for (uint64_t draw = 0; draw < 2000; draw++) {
    double f[8], g[8], t[64], sum[2] = {0, 0};
    for (size_t k = 0; k < 8; k++) {
      sum[0] += f[k] = sky_rng_uniform(1, draw, k) < 0.3 ? 0 : sky_rng_uniform(2, draw, k);
      sum[1] += g[k] = sky_rng_uniform(3, draw, k) < 0.3 ? 0 : sky_rng_uniform(4, draw, k);
    }
    for (size_t k = 0; k < 8 && sum[0] > 0 && sum[1] > 0; k++) {
      f[k] /= sum[0];
      g[k] /= sum[1];
    }
    sky_fraction_transitions(f, g, 8, t);
    for (size_t i = 0; i < 8; i++) {
      double row = 0, column = 0;
      for (size_t j = 0; j < 8; j++) {
        assert_true(t[i * 8 + j] >= 0);
        row += t[i * 8 + j];
        column += t[j * 8 + i];
      }
      assert_true(t[i * 8 + i] == fmin(f[i], g[i]));
      assert_true(fabs(row - f[i]) < 1e-14 && fabs(column - g[i]) < 1e-14);
    }
  }
}

static void test_close(void **state) {
  (void)state;
  size_t bad;
  double f[4] = {0.5, 0.25, 0.125, 9};
  assert_true(sky_fraction_close(f, 3, &bad) == 0.875 && f[3] == 0.125 && bad == SIZE_MAX);
  double much[4] = {0.5, 0.51, 0, 9}; /* rounded: scaled */
  assert_true(sky_fraction_close(much, 3, &bad) == 1.01 && bad == SIZE_MAX && much[3] == 0);
  assert_close(much[0] + much[1], 1, 1e-15);
  double over[4] = {0.5, 0.53, 0, 9}; /* not rounded: as it was */
  assert_true(sky_fraction_close(over, 3, &bad) > 1.02 && bad == SIZE_MAX && over[1] == 0.53);
  double below[4] = {0.5, -0.1, 0.2, 9};
  (void)sky_fraction_close(below, 3, &bad);
  assert_int_equal(bad, 1);
  double percent[4] = {50, NAN, 0.2, 9};
  (void)sky_fraction_close(percent, 3, &bad);
  assert_int_equal(bad, 0);
  double hole[4] = {0.5, NAN, 0.2, 9};
  assert_true(isnan(sky_fraction_close(hole, 3, &bad)) && bad == SIZE_MAX);
}

/* ---- patches -------------------------------------------------------------------------------- */

enum { NX = 8, NY = 5, X = SKY_PATCH_NODATA };

static const int32_t MAP[NY][NX] = {{1, 1, 1, 1, 2, 2, 2, 2},
                                    {1, 3, 1, 1, 2, 1, 2, 2},
                                    {1, 1, 1, 3, 3, 2, 2, 2},
                                    {X, X, X, X, X, X, X, X},
                                    {X, 4, X, 5, 5, 5, 5, X}};

static sky_status sieve(sky_context *ctx, bool diagonal, bool mask, double minimum,
                        int32_t out[NY][NX], sky_patch_report *r) {
  static const double area[NX] = {1, 1, 1, 1, 1, 1, 1, 1};
  sky_patches *p = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_patches_create(ctx, NX, diagonal, &p));
  for (size_t y = 0; y < NY; y++)
    SKY_GO(sky_patches_add(ctx, p, MAP[y], area));
  SKY_GO(sky_patches_finish(ctx, p, minimum, mask, r));
  for (size_t y = 0; y < NY; y++)
    sky_patches_row(p, y, out[y]);
cleanup:
  sky_patches_free(p);
  return st;
}

/* 3 in a field of 1 becomes 1, 1 in one of 2 becomes 2; the pair of 3 has two edges with 1 and two
 * with 2: the lower code; the islet of 4 stays, and is counted. */
static void test_patches(void **state) {
  int32_t out[NY][NX];
  sky_patch_report r;
  assert_int_equal(sieve(*state, false, false, 3, out, &r), SKY_OK);
  static const int32_t want[NY][NX] = {{1, 1, 1, 1, 2, 2, 2, 2},
                                       {1, 1, 1, 1, 2, 2, 2, 2},
                                       {1, 1, 1, 1, 1, 2, 2, 2},
                                       {X, X, X, X, X, X, X, X},
                                       {X, 4, X, 5, 5, 5, 5, X}};
  assert_memory_equal(out, want, sizeof want);
  assert_int_equal(r.n, 7);
  assert_int_equal(r.small, 4);
  assert_int_equal(r.kept, 1);
  assert_true(r.area == 29 && r.small_area == 5 && r.changed == 4 && r.kept_area == 1);
  assert_int_equal(sieve(*state, false, true, 3, out, &r), SKY_OK);
  assert_true(out[1][1] == X && out[1][5] == X && out[2][3] == X && out[4][1] == X);
  assert_true(r.kept == 0 && r.changed == 5);
  assert_int_equal(sieve(*state, false, false, 1, out, &r), SKY_OK);
  assert_memory_equal(out, MAP, sizeof MAP);
  assert_true(r.small == 0 && r.rounds == 0);
}

/* A chessboard: 16 patches by edges, none of them large; two by corners. */
static void test_corners(void **state) {
  sky_context *ctx = *state;
  static const int32_t row[4][4] = {{1, 2, 1, 2}, {2, 1, 2, 1}, {1, 2, 1, 2}, {2, 1, 2, 1}};
  static const double area[4] = {1, 1, 1, 1};
  for (int diagonal = 0; diagonal < 2; diagonal++) {
    sky_patches *p;
    sky_patch_report r;
    assert_int_equal(sky_patches_create(ctx, 4, diagonal == 1, &p), SKY_OK);
    for (size_t y = 0; y < 4; y++)
      assert_int_equal(sky_patches_add(ctx, p, row[y], area), SKY_OK);
    assert_int_equal(sky_patches_finish(ctx, p, 2, false, &r), SKY_OK);
    assert_int_equal(r.n, diagonal ? 2 : 16);
    assert_int_equal(r.small, diagonal ? 0 : 16);
    assert_int_equal(r.kept, diagonal ? 0 : 16); /* no large patch to begin with */
    sky_patches_free(p);
  }
}

static void test_patches_memory(void **state) {
  sky_context *ctx = *state;
  size_t failures = 0;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st != SKY_OK; nth++) {
    int32_t out[NY][NX];
    sky_patch_report r;
    sky_memory_fail_at(ctx, nth);
    st = sieve(ctx, false, false, 3, out, &r);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
    failures += st != SKY_OK;
  }
  assert_true(failures >= 8);
  sky_patches *p = NULL;
  assert_fails(ctx, sky_patches_create(ctx, 0, false, &p), SKY_E_SIZE, "0 columns");
}

/* ---- what is known of a zone ---------------------------------------------------------------- */

static sky_sink_local known(double agb, double soil, double young) {
  sky_sink_local l = {.where = "z",
                      .agb_source = "agb.tif",
                      .soil_source = "soc.tif",
                      .age_source = "age.csv",
                      .age = {young, isnan(young) ? NAN : 1 - young, isnan(young) ? NAN : 0}};
  for (size_t c = 0; c < SKY_SINK_CLASSES; c++)
    l.agb[c] = l.soil[c] = NAN;
  l.agb[0] = agb;
  l.agb_sd[0] = 0.2 * agb;
  l.soil[0] = soil;
  l.soil_sd[0] = 5;
  return l;
}

static sky_status load(sky_context *ctx, const sky_sink_local *local, sky_sink_set *set) {
  const bool present[SKY_SINK_CLASSES] = {[0] = true, [6] = true};
  const sky_sink_need need = {
      .present = present, .changed = present, .soil = "HAC", .local = local};
  return sky_sink_set_builtin(ctx, "ipcc-subtropical-humid", &need, set);
}

static double value(const sky_sink_set *s, sky_sink_pool_kind kind) {
  return sky_sink_pool_value(s, &s->cls[0].pool[kind], 1, NULL);
}

static void test_local(void **state) {
  sky_context *ctx = *state;
  sky_sink_set s;
  sky_sink_local l = known(100, 80, 0.25);
  assert_int_equal(load(ctx, &l, &s), SKY_OK);
  assert_close(value(&s, SKY_POOL_ABOVE), 100 * 0.47, 1e-14);
  assert_close(value(&s, SKY_POOL_BELOW), 100 * 0.23 * 0.47, 1e-14); /* up to 125 t/ha */
  assert_true(value(&s, SKY_POOL_SOIL) == 80);
  assert_close(value(&s, SKY_POOL_GROWTH), (0.25 * 2.5 + 0.75 * 1.0) * 1.23 * 0.47, 1e-14);
  assert_close(value(&s, SKY_POOL_GROWTH_YOUNG), 2.5 * 1.23 * 0.47, 1e-14);
  assert_close(sky_sink_pool_value(&s, &s.cls[6].pool[SKY_POOL_SOIL], 1, NULL), 64 * 0.69, 1e-14);
  for (size_t k = 0; k < s.n_factor; k++) /* known ages: the rows' own errors */
    if (strstr(s.factor[k].key, "secondary >20 yr:IPCC 2019 Refinement V4 Ch.4 Table 4.9") != NULL)
      assert_close(s.factor[k].sd, 0.9, 1e-12);
  sky_sink_set_free(&s);
  l = known(NAN, NAN, NAN);
  assert_int_equal(load(ctx, &l, &s), SKY_OK);
  assert_close(value(&s, SKY_POOL_ABOVE), 258.4 * 0.47, 1e-14);
  assert_close(value(&s, SKY_POOL_SOIL), 64, 1e-14);
  sky_sink_set_free(&s);
  size_t failures = 0;
  sky_status st = SKY_E_NOMEM;
  l = known(130, 80, 0.5);
  for (uint64_t nth = 1; st != SKY_OK; nth += 1 + nth / 8) {
    sky_sink_set one = {0};
    sky_memory_fail_at(ctx, nth);
    st = load(ctx, &l, &one);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
    failures += st != SKY_OK;
    sky_sink_set_free(&one);
  }
  assert_true(failures > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_transitions), SKY_UNIT(test_margins),
                                     SKY_UNIT(test_close),       SKY_UNIT(test_patches),
                                     SKY_UNIT(test_corners),     SKY_UNIT(test_patches_memory),
                                     SKY_UNIT(test_local)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
