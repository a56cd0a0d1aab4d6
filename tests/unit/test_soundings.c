/* test_soundings.c: the harmonised set itself: joining, the block between processes, the identities
 * of a kernel, and the round trip through the harmonised file. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/granule.h"
#include "src/read/soundings.h"
#include "src/write/soundings_nc.h"
#include "tests/unit/fixture_granule.h"

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

static sky_soundings make(size_t n, size_t n_levels, bool corners, const char *gas,
                          const char *granule) {
  sky_soundings s;
  assert_int_equal(sky_soundings_alloc(ctx, n, n_levels, corners, &s), SKY_OK);
  snprintf(s.gas, sizeof s.gas, "%s", gas);
  snprintf(s.product, sizeof s.product, "test");
  s.vertical = n_levels > 0 ? SKY_VERTICAL_LEVELS : SKY_VERTICAL_NONE;
  assert_int_equal(sky_soundings_add_granule(ctx, &s, granule, "test", "2.1", s.vertical), SKY_OK);
  for (size_t i = 0; i < n; ++i) {
    s.time[i] = 1e9 + (double)i / 3;
    s.lat[i] = (double)i;
    s.lon[i] = -(double)i;
    s.x[i] = 1.8e-6 + 1e-9 * (double)i;
    s.sigma[i] = 1e-8;
    s.prior[i] = 1.79e-6;
    s.id[i] = UINT64_MAX - i;
    s.drop[i] = (uint8_t)(i % SKY_DROP_COUNT);
    ++s.granule_drops[s.drop[i]];
    s.surface[i] = SKY_SURFACE_SNOW | SKY_SURFACE_COAST;
    s.scanline[i] = (int32_t)i / 2;
    s.overpass[i] = (int32_t)(i % 2);
    s.quality[i] = 0.5;
    for (size_t k = 0; k < n_levels; ++k) {
      const size_t at = i * n_levels + k;
      s.pressure[at] = 1e5 - 1e4 * (double)k;
      s.weight[at] = 1.0 / (double)n_levels;
      s.ak[at] = 1.0 + 0.01 * (double)(i + k);
      s.profile[at] = 1.79e-6 + 1e-8 * ((double)n_levels / 2 - 0.5 - (double)k);
    }
  }
  return s;
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(sky_drop_name(SKY_DROP_QUALITY), "quality");
  assert_string_equal(sky_drop_name(SKY_DROP_FOOTPRINT), "footprint");
  assert_string_equal(sky_drop_name((sky_drop)77), "unknown");
}

static void test_alloc_and_free(void **state) {
  (void)state;
  sky_soundings s;
  assert_int_equal(sky_soundings_alloc(ctx, 2, 3, false, &s), SKY_OK);
  assert_true(isnan(s.x[1]) && isnan(s.ak[5]) && s.drop[1] == 0);
  assert_null(s.corner_lat);
  sky_soundings_free(&s);
  assert_null(s.x);
  sky_soundings_free(&s);
  sky_soundings_free(NULL);
  assert_int_equal(sky_soundings_alloc(ctx, SIZE_MAX / 4, 100, false, &s), SKY_E_NOMEM);
}

static void test_append_pads_above_the_top(void **state) {
  (void)state;
  sky_soundings a = make(2, 2, false, "ch4", "a.nc"), b = make(1, 3, true, "ch4", "b.nc");
  assert_int_equal(sky_soundings_append(ctx, &a, &b), SKY_OK);
  assert_int_equal(a.n, 3);
  assert_int_equal(a.n_levels, 3);
  assert_true(isnan(a.ak[2]) && isnan(a.pressure[5]) && isnan(a.profile[2]));
  assert_true(a.weight[2] == 0 && a.weight[5] == 0);
  assert_true(a.ak[3] == 1.01 && a.ak[8] == 1.02);
  assert_int_equal(a.n_granules, 2);
  assert_string_equal(a.granules[1], "b.nc");
  assert_int_equal(a.granule[1], 0);
  assert_int_equal(a.granule[2], 1);
  assert_true(isnan(a.corner_lat[0]));
  assert_true(a.overpass[0] == 0 && a.overpass[1] == 1 && a.overpass[2] == 2);
  assert_true(a.scanline[2] == 0 && a.pixel[2] == -1);
  assert_string_equal(a.granule_product[1], "test");
  assert_int_equal(a.granule_drops[SKY_DROP_COUNT], 1);
  assert_string_equal(a.product, "test");
  size_t count[SKY_DROP_COUNT];
  sky_soundings_count(&a, count);
  assert_int_equal(count[SKY_DROP_NONE], 2);
  assert_int_equal(sky_soundings_good(&a), 2);
  sky_soundings_compact(&a);
  assert_int_equal(a.n, 2);
  assert_true(a.id[1] == UINT64_MAX && a.granule[1] == 1 && a.ak[5] == 1.02);
  sky_soundings_free(&a);
  sky_soundings_free(&b);
}

static void test_append_refuses(void **state) {
  (void)state;
  sky_soundings a = make(1, 2, false, "ch4", "a"), b = make(1, 2, false, "co2", "b");
  assert_int_equal(sky_soundings_append(ctx, &a, &b), SKY_E_GAS);
  assert_non_null(strstr(sky_error(ctx), "co2"));
  assert_int_equal(a.n, 1);
  sky_soundings c = make(1, 2, false, "ch4", "c");
  c.vertical = SKY_VERTICAL_LAYERS;
  snprintf(c.product, sizeof c.product, "other");
  assert_int_equal(sky_soundings_append(ctx, &a, &c), SKY_OK);
  assert_int_equal(a.vertical, SKY_VERTICAL_MIXED);
  assert_string_equal(a.product, "mixed");
  sky_soundings_free(&a);
  sky_soundings_free(&b);
  sky_soundings_free(&c);
}

static void same(const sky_soundings *a, const sky_soundings *b, double relative) {
  assert_int_equal(a->n, b->n);
  assert_int_equal(a->n_levels, b->n_levels);
  assert_int_equal(a->vertical, b->vertical);
  assert_string_equal(a->gas, b->gas);
  assert_string_equal(a->product, b->product);
  assert_string_equal(a->granules[0], b->granules[0]);
  assert_memory_equal(a->time, b->time, a->n * sizeof(double));
  assert_memory_equal(a->id, b->id, a->n * sizeof(uint64_t));
  assert_memory_equal(a->drop, b->drop, a->n);
  assert_memory_equal(a->surface, b->surface, a->n);
  assert_memory_equal(a->granule, b->granule, a->n * sizeof(int32_t));
  assert_memory_equal(a->scanline, b->scanline, a->n * sizeof(int32_t));
  assert_memory_equal(a->pixel, b->pixel, a->n * sizeof(int32_t));
  assert_memory_equal(a->overpass, b->overpass, a->n * sizeof(int32_t));
  assert_memory_equal(a->quality, b->quality, a->n * sizeof(double));
  assert_string_equal(a->granule_product[0], b->granule_product[0]);
  assert_string_equal(a->granule_version[0], b->granule_version[0]);
  assert_int_equal(a->granule_vertical[0], b->granule_vertical[0]);
  assert_memory_equal(a->granule_drops, b->granule_drops,
                      SKY_DROP_COUNT * sizeof *a->granule_drops);
  assert_int_equal(sky_soundings_with(a), sky_soundings_with(b));
  for (size_t i = 0; i < a->n; ++i) {
    assert_true(fabs(a->x[i] - b->x[i]) <= relative * a->x[i]);
    assert_true(isnan(a->surface_pressure[i]) && isnan(b->surface_pressure[i]));
  }
  for (size_t i = 0; i < a->n * a->n_levels; ++i) {
    assert_true(fabs(a->pressure[i] - b->pressure[i]) <= relative * a->pressure[i]);
    assert_true(fabs(a->profile[i] - b->profile[i]) <= relative * a->profile[i]);
    assert_true(a->ak[i] == b->ak[i] && a->weight[i] == b->weight[i]);
  }
}

static void test_block_between_processes(void **state) {
  (void)state;
  sky_soundings a = make(5, 3, true, "ch4", "granule name.nc"), b;
  sky_text t = {.ctx = ctx};
  assert_int_equal(sky_soundings_pack(&a, &t), SKY_OK);
  const char *at = t.data;
  size_t left = t.length;
  assert_int_equal(sky_soundings_unpack(ctx, &at, &left, &b), SKY_OK);
  assert_int_equal(left, 0);
  same(&a, &b, 0);
  sky_soundings_free(&b);
  /* A block cut anywhere is an error, never a read behind its end (sanitizer build). */
  for (size_t cut = 0; cut < t.length; cut += 7) {
    char *copy = sky_malloc(ctx, cut, 1);
    memcpy(copy, t.data, cut);
    at = copy;
    left = cut;
    assert_int_equal(sky_soundings_unpack(ctx, &at, &left, &b), SKY_E_WORKER);
    sky_free(copy);
  }
  /* A drop reason that does not exist. */
  a.drop[2] = 99;
  t.length = 0;
  assert_int_equal(sky_soundings_pack(&a, &t), SKY_OK);
  at = t.data;
  left = t.length;
  assert_int_equal(sky_soundings_unpack(ctx, &at, &left, &b), SKY_E_WORKER);
  sky_text_free(&t);
  sky_soundings_free(&a);
}

/* Negative controls: each perturbation of a sound kernel is named. */
static void test_kernel_identities(void **state) {
  (void)state;
  sky_soundings s = make(1, 4, false, "ch4", "k");
  const double keep = s.profile[0];
  assert_int_equal(sky_kernel_check(&s, 0, 1e-9, 1e-9), SKY_KERNEL_SOUND);
  s.ak[2] = NAN;
  assert_int_equal(sky_kernel_check(&s, 0, 1e-9, 1e-9), SKY_KERNEL_INCOMPLETE);
  s.ak[2] = 1;
  s.pressure[2] = s.pressure[1];
  assert_int_equal(sky_kernel_check(&s, 0, 1e-9, 1e-9), SKY_KERNEL_ORDER);
  s.pressure[2] = 8e4;
  s.weight[1] += 1e-6;
  assert_int_equal(sky_kernel_check(&s, 0, 1e-9, 1e-9), SKY_KERNEL_WEIGHTS);
  s.weight[1] = 0.25;
  s.profile[0] *= 1 + 1e-6;
  assert_int_equal(sky_kernel_check(&s, 0, 1e-9, 1e-9), SKY_KERNEL_PRIOR);
  s.profile[0] = keep;
  for (int k = 0; k < 2; ++k) { /* levels flipped: the identity of the column cannot see it */
    const double t = s.profile[k];
    s.profile[k] = s.profile[3 - k];
    s.profile[3 - k] = t;
  }
  assert_int_equal(sky_kernel_check(&s, 0, 1e-9, 1e-9), SKY_KERNEL_INVERTED);
  s.prior[0] = NAN;
  assert_int_equal(sky_kernel_check(&s, 0, 1e-9, 1e-9), SKY_KERNEL_INCOMPLETE);
  sky_soundings_free(&s);
}

static void test_file_round_trip(void **state) {
  (void)state;
  static const char *const ATTRS[] = {"title=round trip", NULL};
  const char *path = fixture_path("soundings.nc"), *again = fixture_path("again.nc");
  sky_soundings a = make(20, 3, true, "n2o", "granule.nc"), b;
  for (size_t i = 0; i < 80; ++i)
    a.corner_lat[i] = a.corner_lon[i] = (double)i / 7;
  assert_int_equal(sky_soundings_add(ctx, &a, SKY_WITH_ALBEDO | SKY_WITH_BACKGROUND), SKY_OK);
  for (size_t i = 0; i < 20; ++i) {
    a.albedo[i] = (double)i / 20;
    a.background[i] = 1.7e-6;
  }
  assert_int_equal(sky_soundings_write(ctx, path, &a, ATTRS), SKY_OK);
  assert_int_equal(sky_soundings_read(ctx, path, &b), SKY_OK);
  same(&a, &b, 4e-16);
  assert_memory_equal(a.corner_lat, b.corner_lat, 80 * sizeof(double));
  assert_memory_equal(a.albedo, b.albedo, 20 * sizeof(double));
  assert_true(fabs(a.background[3] - b.background[3]) <= 4e-16 * a.background[3]);
  assert_int_equal(sky_soundings_write(ctx, again, &a, ATTRS), SKY_OK);
  char *first, *second;
  size_t n_first, n_second;
  assert_int_equal(sky_file_read_text(ctx, path, &first, &n_first), SKY_OK);
  assert_int_equal(sky_file_read_text(ctx, again, &second, &n_second), SKY_OK);
  assert_int_equal(n_first, n_second);
  assert_memory_equal(first, second, n_first);
  sky_free(first);
  sky_free(second);
  sky_soundings_free(&a);
  sky_soundings_free(&b);
  unlink(path);
  unlink(again);
}

static void test_file_without_kernels(void **state) {
  (void)state;
  const char *path = fixture_path("plain.nc");
  sky_soundings a = make(3, 0, false, "co2", "g"), b;
  assert_int_equal(sky_soundings_write(ctx, path, &a, NULL), SKY_OK);
  assert_int_equal(sky_soundings_read(ctx, path, &b), SKY_OK);
  assert_int_equal(b.n_levels, 0);
  assert_null(b.corner_lon);
  same(&a, &b, 4e-16);
  a.n = 0;
  assert_int_equal(sky_soundings_write(ctx, path, &a, NULL), SKY_E_NODATA);
  sky_soundings_free(&a);
  sky_soundings_free(&b);
  fixture_write_lite(path, &(lite_options){0});
  assert_int_equal(sky_soundings_read(ctx, path, &b), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(ctx), "skyflux_content"));
  unlink(path);
}

static void test_overpasses(void **state) {
  (void)state;
  sky_soundings s = make(5, 0, false, "co2", "o");
  const double time[5] = {7000, 0, 1800, NAN, 3601};
  memcpy(s.time, time, sizeof time);
  for (int i = 0; i < 5; ++i)
    s.overpass[i] = -1;
  assert_int_equal(sky_soundings_overpasses(ctx, &s), SKY_OK);
  const int32_t want[5] = {2, 0, 0, -1, 1};
  assert_memory_equal(s.overpass, want, sizeof want);
  sky_soundings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_alloc_and_free),
      cmocka_unit_test(test_append_pads_above_the_top),
      cmocka_unit_test(test_append_refuses),
      cmocka_unit_test(test_block_between_processes),
      cmocka_unit_test(test_kernel_identities),
      cmocka_unit_test(test_overpasses),
      cmocka_unit_test(test_file_round_trip),
      cmocka_unit_test(test_file_without_kernels),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
