/* test_products_real.c: the numbers of real granules: counts, prior columns, kernels. Skipped where
 * the files are not there. */
#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "algorithms/column/column.h"
#include "src/core/memory.h"
#include "src/read/granule.h"
#include "src/read/nc.h"
#include "src/read/soundings.h"

static sky_context *ctx;

static int setup(void **state) {
  (void)state;
  if (sky_context_create(&ctx) != SKY_OK) return 1;
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_ERROR);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

/* The file that matches a pattern below data/, or skip. */
static void real_file(const char *pattern, char path[512]) {
  char full[512];
  glob_t g;
  snprintf(full, sizeof full, "%s/data/%s", SKYFLUX_DATA, pattern);
  if (glob(full, 0, NULL, &g) != 0 || g.gl_pathc != 1) {
    print_message("no real file %s\n", full);
    globfree(&g);
    skip();
  }
  snprintf(path, 512, "%s", g.gl_pathv[0]);
  globfree(&g);
}

static const sky_selection ALL = {.start = NAN, .end = NAN, .keep_dropped = true};

static void test_counts(void **state) {
  (void)state;
  static const struct {
    const char *file, *product, *gas;
    size_t soundings, good;
    bool has_box;
    double box[4];
    size_t inside;
  } EXPECTED[] = {
      {"acos_oco_lite/*_090901_*.nc4", "acos-lite", "co2", 985, 350, false, {0}, 985},
      {"acos_oco_lite/*_090902_*.nc4", "acos-lite", "co2", 1005, 423, false, {0}, 1005},
      {"tropomi_ch4_blended/*_02858_*.nc",
       "s5p-blnd",
       "ch4",
       6578,
       6379,
       true,
       {-125, 24, -66, 50},
       4673},
      {"tropomi_ch4_blended/*_02850_*.nc",
       "s5p-blnd",
       "ch4",
       11972,
       11447,
       true,
       {73, 18, 135, 54},
       2442},
      {"tropomi_ch4_blended/*_02834_*.nc",
       "s5p-blnd",
       "ch4",
       11319,
       11048,
       true,
       {73, 18, 135, 54},
       886},
      {"tropomi_ch4_blended/*_02848_*.nc",
       "s5p-blnd",
       "ch4",
       11775,
       11515,
       true,
       {73, 18, 135, 54},
       1173},
      {"tropomi_ch4/*_07293_*.nc4", "s5p-ch4", "ch4", 3, 0, false, {0}, 3},
      {"openghg_column/hw20230402*.nc", "tccon", "co2", 64, 64, false, {0}, 64},
      {"openghg_column/hw20230402*.nc", "tccon", "ch4", 64, 64, false, {0}, 64},
      {"openghg_column/hw20230402*.nc", "tccon", "n2o", 64, 64, false, {0}, 64},
  };
  for (size_t i = 0; i < sizeof EXPECTED / sizeof EXPECTED[0]; ++i) {
    char path[512];
    sky_soundings s;
    real_file(EXPECTED[i].file, path);
    assert_int_equal(sky_granule_read(ctx, path, "auto", EXPECTED[i].gas, &ALL, &s), SKY_OK);
    assert_string_equal(s.product, EXPECTED[i].product);
    assert_int_equal(s.n, EXPECTED[i].soundings);
    assert_int_equal(sky_soundings_good(&s), EXPECTED[i].good);
    sky_selection sel = ALL;
    size_t inside = 0;
    if (EXPECTED[i].has_box) sky_selection_set_box(&sel, EXPECTED[i].box);
    for (size_t k = 0; k < s.n; ++k) {
      inside += sky_selection_drop(&sel, s.lon[k], s.lat[k], s.time[k]) == SKY_DROP_NONE;
    }
    assert_int_equal(inside, EXPECTED[i].inside);
    sky_soundings_free(&s);
  }
}

static double worst_identity(const sky_soundings *s) {
  double worst = 0;
  for (size_t i = 0; i < s->n; ++i) {
    const size_t at = i * s->n_levels;
    const double column = sky_column_mean(s->n_levels, s->weight + at, s->profile + at);
    worst = fmax(worst, fabs(column - s->prior[i]));
  }
  return worst;
}

static void reverse_levels(sky_soundings *s, double *x) {
  for (size_t i = 0; i < s->n; ++i) {
    for (size_t k = 0; k < s->n_levels / 2; ++k) {
      double *a = &x[i * s->n_levels + k], *b = &x[(i + 1) * s->n_levels - 1 - k];
      const double t = *a;
      *a = *b;
      *b = t;
    }
  }
}

/* |Σ w·c_a - X_a| <= 0.004 ppm on every ACOS sounding; levels flipped must break it. */
static void test_acos_prior_column(void **state) {
  (void)state;
  static const char *const FILES[] = {"acos_oco_lite/*_090901_*.nc4",
                                      "acos_oco_lite/*_090902_*.nc4"};
  for (int i = 0; i < 2; ++i) {
    char path[512];
    sky_soundings s;
    real_file(FILES[i], path);
    assert_int_equal(sky_granule_read(ctx, path, "auto", NULL, &ALL, &s), SKY_OK);
    assert_true(worst_identity(&s) <= 0.004e-6);
    for (size_t k = 0; k < s.n; ++k) {
      assert_int_equal(sky_kernel_check(&s, k, 1e-6, 1e-5), SKY_KERNEL_SOUND);
    }
    reverse_levels(&s, s.profile);
    assert_true(worst_identity(&s) > 0.004e-6);
    sky_soundings_free(&s);
  }
}

/* The three pixels with a value in orbit 7293; their qa value is 0.4. */
static void test_s5p_prior_column(void **state) {
  (void)state;
  static const double PRIOR[3] = {1837.61, 1841.01, 1840.64};
  char path[512];
  sky_soundings s;
  real_file("tropomi_ch4/*_07293_*.nc4", path);
  assert_int_equal(sky_granule_read(ctx, path, "auto", NULL, &ALL, &s), SKY_OK);
  assert_int_equal(s.n, 3);
  for (size_t i = 0; i < 3; ++i) {
    assert_true(fabs(s.prior[i] * 1e9 - PRIOR[i]) <= 0.1);
    assert_int_equal(s.drop[i], SKY_DROP_QUALITY);
    assert_int_equal(sky_kernel_check(&s, i, 1e-9, 1e-9), SKY_KERNEL_SOUND);
    assert_true(s.pressure[i * 12] > s.pressure[i * 12 + 11]);
  }
  reverse_levels(&s, s.profile);
  reverse_levels(&s, s.weight);
  for (size_t i = 0; i < 3; ++i) {
    assert_int_equal(sky_kernel_check(&s, i, 1e-9, 1e-9), SKY_KERNEL_INVERTED);
  }
  sky_soundings_free(&s);
}

static void test_s5p_without_qa(void **state) {
  (void)state;
  char path[512];
  sky_soundings s;
  real_file("tropomi_ch4/*_07407_*.nc4", path);
  const sky_status st = sky_granule_read(ctx, path, "auto", NULL, &ALL, &s);
  assert_int_equal(st, SKY_E_FORMAT);
  assert_int_equal(sky_status_exit_code(st), 3);
  assert_non_null(strstr(sky_error(ctx), "_07407_"));
  assert_non_null(strstr(sky_error(ctx), "s5p-ch4"));
  assert_non_null(strstr(sky_error(ctx), "/PRODUCT/qa_value"));
}

/* Σ operator·(1-h2o)·dry = the file's own prior column, to 1e-4 (it was made with more digits). */
static void test_tccon_prior_column(void **state) {
  (void)state;
  static const char *const GASES[] = {"co2", "ch4", "n2o"};
  char path[512];
  real_file("openghg_column/hw20230402*.nc", path);
  for (int g = 0; g < 3; ++g) {
    sky_soundings s;
    assert_int_equal(sky_granule_read(ctx, path, "auto", GASES[g], &ALL, &s), SKY_OK);
    assert_true(worst_identity(&s) <= 1e-4 * s.prior[0]);
    for (size_t k = 0; k < s.n * s.n_levels; ++k)
      s.weight[k] *= 1.005; /* water left in */
    assert_true(worst_identity(&s) > 1e-4 * s.prior[0]);
    sky_soundings_free(&s);
  }
}

/* The product's own formula on raw arrays (top first, mol m-2) for a profile that varies with
 * height, against the harmonised operator. */
static double raw_column(const double *xa, const double *ak, const double *dry, double ps,
                         double dp) {
  double sum = 0, air = 0;
  for (int j = 0; j < 12; ++j) {
    const double p = ps - (11 - j + 0.5) * dp;
    sum += xa[j] + ak[j] * ((1500e-9 + 4e-12 * p) * dry[j] - xa[j]);
    air += dry[j];
  }
  return sum / air;
}

static double worst_operator(const sky_soundings *s, const double *xa, const double *ak,
                             const double *dry, const double *ps, const double *dp) {
  double worst = 0;
  for (size_t i = 0; i < s->n; ++i) {
    const size_t at = i * 12;
    double c[12];
    for (int k = 0; k < 12; ++k)
      c[k] = 1500e-9 + 4e-12 * s->pressure[at + k];
    const double x =
        sky_column_apply(12, s->prior[i], s->weight + at, s->ak + at, s->profile + at, c);
    worst = fmax(worst, fabs(x - raw_column(xa + at, ak + at, dry + at, ps[i], dp[i])));
  }
  return worst;
}

static void test_s5p_operator(void **state) {
  (void)state;
  static const char *const VARS[5] = {"/methane_profile_apriori", "/column_averaging_kernel",
                                      "/dry_air_subcolumns", "/surface_pressure",
                                      "/pressure_interval"};
  char path[512];
  sky_soundings s;
  sky_nc *f;
  double *raw[5];
  real_file("tropomi_ch4_blended/*_02858_*.nc", path);
  assert_int_equal(sky_granule_read(ctx, path, "auto", NULL, &ALL, &s), SKY_OK);
  assert_int_equal(sky_nc_open(ctx, path, &f), SKY_OK);
  for (int v = 0; v < 5; ++v)
    assert_int_equal(sky_nc_read(ctx, f, VARS[v], NULL, &raw[v]), SKY_OK);
  const double tolerance = 1e-15; /* mol mol-1: 1e-6 ppb */
  assert_true(worst_operator(&s, raw[0], raw[1], raw[2], raw[3], raw[4]) < tolerance);
  /* Negative controls: each wrong orientation must show. */
  double *const arrays[3] = {s.ak, s.pressure, s.profile};
  for (int k = 0; k < 3; ++k) {
    reverse_levels(&s, arrays[k]);
    assert_true(worst_operator(&s, raw[0], raw[1], raw[2], raw[3], raw[4]) > 1000 * tolerance);
    reverse_levels(&s, arrays[k]);
  }
  for (int v = 0; v < 5; ++v)
    sky_free(raw[v]);
  sky_nc_close(f);
  sky_soundings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_counts),
      cmocka_unit_test(test_acos_prior_column),
      cmocka_unit_test(test_s5p_prior_column),
      cmocka_unit_test(test_s5p_without_qa),
      cmocka_unit_test(test_tccon_prior_column),
      cmocka_unit_test(test_s5p_operator),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
