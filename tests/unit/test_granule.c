/* test_granule.c: the engine that interprets product declarations, on granules whose every value is
 * known: orientation, kernels, units, times, and one sounding for each drop reason. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/core/memory.h"
#include "src/read/granule.h"
#include "src/read/soundings.h"
#include "tests/unit/fixture_granule.h"

static sky_context *ctx;

static void quiet(void *user, sky_log_level level, const char *line) {
  (void)user;
  (void)level;
  (void)line;
}
static int setup(void **state) {
  (void)state;
  if (sky_context_create(&ctx) != SKY_OK) return 1;
  sky_context_set_log(ctx, quiet, NULL, SKY_LOG_DEBUG);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

static const sky_selection KEEP = {.start = NAN, .end = NAN, .keep_dropped = true};
static const sky_selection GOOD = {.start = NAN, .end = NAN};

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static sky_status read_lite(const lite_options *o, const sky_selection *sel, sky_soundings *s,
                            size_t drops[SKY_DROP_COUNT]) {
  const char *path = fixture_path("lite.nc");
  fixture_write_lite(path, o);
  const sky_status st = sky_granule_decode(ctx, path, "auto", "co2", sel, s, drops);
  unlink(path);
  return st;
}

static sky_status read_s5p(const s5p_options *o, const sky_selection *sel, sky_soundings *s,
                           size_t drops[SKY_DROP_COUNT]) {
  const char *path = fixture_path("s5p.nc");
  fixture_write_s5p(path, o);
  const sky_status st = sky_granule_decode(ctx, path, NULL, NULL, sel, s, drops);
  unlink(path);
  return st;
}

static void check_lite_rows(const sky_soundings *s) {
  for (size_t i = 0; i < s->n; ++i) {
    if (i == 4) continue; /* its kernel has a hole */
    assert_near(s->prior[i], lite_prior(i) * 1e-6, 1e-10);
    assert_near(s->sigma[i], 0.5e-6, 1e-12);
    for (size_t k = 0; k < LITE_K; ++k) {
      assert_near(s->pressure[i * LITE_K + k], lite_pressure(i, k) * 100, 1e-3);
      assert_near(s->weight[i * LITE_K + k], lite_weight(k), 1e-12);
      assert_near(s->ak[i * LITE_K + k], lite_ak(i, k), 1e-12);
      assert_near(s->profile[i * LITE_K + k], lite_profile(i, k) * 1e-6, 1e-11);
    }
  }
}

static void test_lite_in_both_orders(void **state) {
  (void)state;
  for (int order = 0; order < 2; ++order) {
    sky_soundings s;
    size_t drops[SKY_DROP_COUNT];
    const lite_options o = {.surface_first = order == 1};
    assert_int_equal(read_lite(&o, &KEEP, &s, drops), SKY_OK);
    assert_string_equal(s.product, "oco-lite");
    assert_string_equal(s.gas, "co2");
    assert_int_equal(s.vertical, SKY_VERTICAL_LEVELS);
    assert_int_equal(s.n, LITE_N - 1); /* a row without a value is no sounding */
    assert_int_equal(s.n_levels, LITE_K);
    check_lite_rows(&s);
    const uint8_t expected[LITE_N - 1] = {SKY_DROP_NONE,  SKY_DROP_QUALITY, SKY_DROP_FILL,
                                          SKY_DROP_RANGE, SKY_DROP_KERNEL,  SKY_DROP_NONE,
                                          SKY_DROP_NONE};
    assert_memory_equal(s.drop, expected, sizeof expected);
    assert_int_equal(drops[SKY_DROP_NONE], 3);
    assert_int_equal(drops[SKY_DROP_FILL], 2);
    assert_true(s.id[6] == 2017071402400006ull);
    assert_near(s.time[6], 1.5e9 + 360, 0);
    assert_near(s.corner_lat[4 * 5 + 3], 15.75, 1e-6);
    sky_soundings_free(&s);
  }
}

static void test_lite_good_only(void **state) {
  (void)state;
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  assert_int_equal(read_lite(&(lite_options){.acos = true}, &GOOD, &s, drops), SKY_OK);
  assert_string_equal(s.product, "acos-lite");
  assert_null(s.corner_lat);
  assert_int_equal(s.n, 3);
  assert_near(s.x[0], lite_x(0) * 1e-6, 1e-11);
  assert_near(s.x[1], lite_x(5) * 1e-6, 1e-11);
  assert_near(s.ak[1 * LITE_K + 2], lite_ak(5, 2), 1e-12);
  assert_int_equal(sky_soundings_good(&s), 3);
  sky_soundings_free(&s);
}

static void test_box_and_period(void **state) {
  (void)state;
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  /* Across 180 degrees; the edges belong to the box. */
  sky_selection sel = {.has_box = true,
                       .west = 175,
                       .south = 15,
                       .east = -175,
                       .north = 16,
                       .start = NAN,
                       .end = NAN};
  assert_int_equal(read_lite(&(lite_options){0}, &sel, &s, drops), SKY_OK);
  assert_int_equal(s.n, 2);
  assert_int_equal(drops[SKY_DROP_BOX], 5);
  sky_soundings_free(&s);
  /* [start, end): row 5 is in, row 6 is not; the row without a value lies outside, uncounted. */
  sel = (sky_selection){.start = 1.5e9 + 300, .end = 1.5e9 + 360, .keep_dropped = true};
  assert_int_equal(read_lite(&(lite_options){0}, &sel, &s, drops), SKY_OK);
  assert_int_equal(s.n, LITE_N - 1);
  assert_int_equal(s.drop[5], SKY_DROP_NONE);
  assert_int_equal(drops[SKY_DROP_PERIOD], 6);
  assert_int_equal(drops[SKY_DROP_FILL], 0);
  sky_soundings_free(&s);
}

static void test_wrong_unit_is_repaired_aloud(void **state) {
  (void)state;
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  const size_t before = sky_context_warning_count(ctx);
  assert_int_equal(read_lite(&(lite_options){.x_units = "1e-9"}, &GOOD, &s, drops), SKY_OK);
  assert_int_equal(s.n, 3);
  assert_near(s.x[0], lite_x(0) * 1e-6, 1e-11);
  assert_near(s.sigma[0], 0.5e-6, 1e-12);
  assert_near(s.prior[0], lite_prior(0) * 1e-6, 1e-10);
  bool said = false;
  for (size_t i = before; i < sky_context_warning_count(ctx); ++i) {
    said = said || strstr(sky_context_warning(ctx, i), "unit '1e-9'") != NULL;
  }
  assert_true(said);
  sky_soundings_free(&s);
}

/* A quantity that does not convert is an error, not a guess. */
static void test_foreign_unit(void **state) {
  (void)state;
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  assert_int_equal(read_lite(&(lite_options){.x_units = "kg"}, &GOOD, &s, drops), SKY_E_UNITS);
  assert_non_null(strstr(sky_error(ctx), "/xco2"));
}

static void test_missing_variable(void **state) {
  (void)state;
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  assert_int_equal(read_lite(&(lite_options){.omit = "pressure_weight"}, &GOOD, &s, drops),
                   SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(ctx), "lite.nc"));
  assert_non_null(strstr(sky_error(ctx), "reader oco-lite"));
  assert_non_null(strstr(sky_error(ctx), "/pressure_weight"));
  assert_int_equal(read_s5p(&(s5p_options){.omit = "qa_value"}, &GOOD, &s, drops), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(ctx), "reader s5p-ch4"));
  assert_non_null(strstr(sky_error(ctx), "/PRODUCT/qa_value"));
}

static void test_gas_and_product(void **state) {
  (void)state;
  sky_soundings s;
  const char *path = fixture_path("gas.nc");
  fixture_write_lite(path, &(lite_options){0});
  assert_int_equal(sky_granule_read(ctx, path, "auto", "ch4", &GOOD, &s), SKY_E_GAS);
  assert_non_null(strstr(sky_error(ctx), "ch4"));
  assert_int_equal(sky_granule_read(ctx, path, "s5p-blnd", NULL, &GOOD, &s), SKY_E_FORMAT);
  assert_int_equal(sky_granule_read(ctx, path, "s5p", NULL, &GOOD, &s), SKY_E_USAGE);
  assert_int_equal(sky_granule_read(ctx, path, "oco-lite-x2019", NULL, &GOOD, &s), SKY_OK);
  assert_near(s.x[0], lite_prior(0) * 1e-6, 1e-10); /* the fixture's x2019 is the prior */
  sky_soundings_free(&s);
  unlink(path);
}

static void check_s5p_rows(const sky_soundings *s) {
  static const size_t PIXEL[] = {0, 1, 3, 4, 5};
  for (size_t r = 0; r < s->n; ++r) {
    const size_t i = PIXEL[r];
    double dry = 0, sub = 0;
    for (size_t k = 0; k < S5P_K; ++k) {
      dry += s5p_dry(i, k);
      sub += s5p_sub(i, k);
    }
    assert_true(s->id[r] == i);
    assert_near(s->prior[r], sub / dry, 1e-18);
    for (size_t k = 0; k < S5P_K; ++k) {
      assert_near(s->weight[r * S5P_K + k], s5p_dry(i, k) / dry, 1e-15);
      assert_near(s->profile[r * S5P_K + k], s5p_sub(i, k) / s5p_dry(i, k), 1e-18);
      assert_near(s->ak[r * S5P_K + k], s5p_ak(i, k), 1e-12);
      assert_near(s->pressure[r * S5P_K + k],
                  s5p_surface_pressure(i) - ((double)k + 0.5) * s5p_step(i), 1e-6);
    }
    assert_near(s->time[r], 1262304000.0 + 252460800.0 + (i < 3 ? 1.0 : 2.5), 1e-6);
  }
}

static void test_s5p(void **state) {
  (void)state;
  for (int variant = 0; variant < 3; ++variant) {
    sky_soundings s;
    size_t drops[SKY_DROP_COUNT];
    const s5p_options o = {.surface_first = variant == 1, .no_altitude = variant == 2};
    assert_int_equal(read_s5p(&o, &KEEP, &s, drops), SKY_OK);
    assert_string_equal(s.product, "s5p-ch4");
    assert_int_equal(s.vertical, SKY_VERTICAL_LAYERS);
    assert_int_equal(s.n, 5);
    check_s5p_rows(&s);
    const uint8_t expected[5] = {SKY_DROP_NONE, SKY_DROP_QUALITY, SKY_DROP_SURFACE,
                                 SKY_DROP_SURFACE, SKY_DROP_NONE};
    assert_memory_equal(s.drop, expected, sizeof expected);
    assert_int_equal(drops[SKY_DROP_FILL], 1);
    assert_near(s.x[1], s5p_x(1) * 1e-9, 1e-15);
    sky_soundings_free(&s);
  }
}

static void test_s5p_uncorrected_only_aloud(void **state) {
  (void)state;
  for (int variant = 0; variant < 2; ++variant) {
    sky_soundings s;
    size_t drops[SKY_DROP_COUNT];
    const size_t before = sky_context_warning_count(ctx);
    const s5p_options o = {.empty_corrected = variant == 0, .no_corrected = variant == 1};
    assert_int_equal(read_s5p(&o, &KEEP, &s, drops), SKY_OK);
    assert_near(s.x[0], (s5p_x(0) + 10) * 1e-9, 1e-15);
    assert_int_equal(sky_context_warning_count(ctx), before + 1);
    assert_non_null(strstr(sky_context_warning(ctx, before), "methane_mixing_ratio"));
    sky_soundings_free(&s);
  }
}

/* Negative controls: a broken convention must not pass as good soundings. */
static size_t good_lite(const lite_options *o) {
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  assert_int_equal(read_lite(o, &GOOD, &s, drops), SKY_OK);
  const size_t good = s.n;
  sky_soundings_free(&s);
  return good;
}

static void test_broken_conventions_are_noticed(void **state) {
  (void)state;
  assert_int_equal(good_lite(&(lite_options){0}), 3);
  assert_int_equal(good_lite(&(lite_options){.bad_kernel = true}), 0);
  assert_int_equal(good_lite(&(lite_options){.reversed = "co2_profile_apriori"}), 0);
  assert_int_equal(good_lite(&(lite_options){.bad_quality_sense = true}), 1);
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  assert_int_equal(read_s5p(&(s5p_options){.reversed_layers = true}, &GOOD, &s, drops), SKY_OK);
  assert_int_equal(s.n, 0);
  assert_int_equal(drops[SKY_DROP_KERNEL], 4);
  sky_soundings_free(&s);
}

static void test_unknown_file(void **state) {
  (void)state;
  sky_granule_info info;
  const char *path = fixture_path("other.nc");
  assert_int_equal(sky_granule_probe(ctx, path, &info), SKY_E_MISSING);
  fixture_write_lite(path, &(lite_options){.omit = "xco2"});
  assert_int_equal(sky_granule_probe(ctx, path, &info), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(ctx), "looked for"));
  assert_non_null(strstr(sky_error(ctx), "s5p-ch4: /PRODUCT/methane_mixing_ratio"));
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  fputs("no NetCDF at all", f);
  fclose(f);
  assert_int_equal(sky_granule_probe(ctx, path, &info), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(ctx), "not a NetCDF file"));
  unlink(path);
}

/* Every allocation may fail: the answer is SKY_E_NOMEM, and nothing leaks (sanitizer build). */
static void test_out_of_memory(void **state) {
  (void)state;
  const char *lite = fixture_path("nomem-lite.nc"), *s5p = fixture_path("nomem-s5p.nc");
  fixture_write_lite(lite, &(lite_options){0});
  fixture_write_s5p(s5p, &(s5p_options){.empty_corrected = true});
  const char *const paths[2] = {lite, s5p};
  for (int p = 0; p < 2; ++p) {
    sky_soundings s;
    const uint64_t before = sky_memory_count(ctx);
    assert_int_equal(sky_granule_read(ctx, paths[p], "auto", NULL, &KEEP, &s), SKY_OK);
    sky_soundings_free(&s);
    const uint64_t total = sky_memory_count(ctx) - before;
    assert_true(total > 20);
    for (uint64_t n = 1; n <= total; ++n) {
      sky_memory_fail_at(ctx, n);
      const sky_status st = sky_granule_read(ctx, paths[p], "auto", NULL, &KEEP, &s);
      sky_memory_fail_at(ctx, 0);
      sky_soundings_free(&s);
      if (st != SKY_E_NOMEM)
        print_error("allocation %llu: %s", (unsigned long long)n, sky_error(ctx));
      assert_int_equal(st, SKY_E_NOMEM);
    }
  }
  unlink(lite);
  unlink(s5p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lite_in_both_orders),
      cmocka_unit_test(test_lite_good_only),
      cmocka_unit_test(test_box_and_period),
      cmocka_unit_test(test_wrong_unit_is_repaired_aloud),
      cmocka_unit_test(test_foreign_unit),
      cmocka_unit_test(test_missing_variable),
      cmocka_unit_test(test_gas_and_product),
      cmocka_unit_test(test_s5p),
      cmocka_unit_test(test_s5p_uncorrected_only_aloud),
      cmocka_unit_test(test_broken_conventions_are_noticed),
      cmocka_unit_test(test_unknown_file),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
