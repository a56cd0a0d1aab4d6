/* The raster engine: order of merging, failures of reading, memory and cancelling. */
#include <gdal.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/engine/zonal.h"

#define NX 700
#define NY 600
static const char *const PATH = "/vsimem/pass.tif";
static sky_context *ctx;

static int setup(void **state) {
  (void)state;
  if (sky_context_create(&ctx) != SKY_OK || sky_gdal_start(ctx) != SKY_OK) return -1;
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_ERROR);
  sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  GDALDatasetH d = GDALCreate(GDALGetDriverByName("GTiff"), PATH, NX, NY, 1, GDT_Float32, NULL);
  double t[6] = {100, 0.01, 0, 40, 0, -0.01};
  static const char wkt[] =
      "GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563]],"
      "PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433],AUTHORITY[\"EPSG\",\"4326\"]]";
  GDALSetGeoTransform(d, t);
  GDALSetProjection(d, wkt);
  static float value[NX * NY];
  for (size_t i = 0; i < NX * NY; i++)
    value[i] = (float)(i / NX) + (float)(i % NX) / 1024; /* line + column/1024, exact */
  const CPLErr e = GDALRasterIO(GDALGetRasterBand(d, 1), GF_Write, 0, 0, NX, NY, value, NX, NY,
                                GDT_Float32, 0, 0);
  GDALClose(d);
  return e == CE_None ? 0 : -1;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

typedef struct seen {
  size_t n, last;
  bool ordered;
  double sum;
} seen;

static sky_status map_sum(sky_context *c, void *user, void *worker, const sky_raster_block *b,
                          void **part) {
  (void)user;
  (void)worker;
  double *sum = *part = SKY_NEW0(c, double, 1);
  if (sum == NULL) return SKY_E_NOMEM;
  const double *v = b->pixel[0];
  for (size_t r = 0; r < b->window.ny; r++) {
    const size_t line = NY - 1 - b->window.iy0 - r;
    for (size_t i = 0; i < b->window.nx; i++) {
      const double want = (double)line + (double)(b->window.ix0 + i) / 1024;
      if (v[r * SKY_BAND + i] != want) return sky_fail(c, SKY_E_INTERNAL, "wrong pixel");
      *sum += v[r * SKY_BAND + i];
    }
  }
  return SKY_OK;
}

static sky_status merge_sum(sky_context *c, void *user, size_t block, void *part) {
  seen *s = user;
  (void)c;
  s->ordered &= s->n == 0 || block > s->last;
  s->last = block;
  s->n++;
  s->sum += *(double *)part;
  sky_free(part);
  return SKY_OK;
}

static sky_status pack_sum(sky_context *c, void *user, const void *part, sky_text *to) {
  (void)c;
  (void)user;
  sky_text_add(to, part, sizeof(double));
  return SKY_OK;
}

static sky_status unpack_sum(sky_context *c, void *user, const char *bytes, size_t n, void **part) {
  (void)user;
  assert_int_equal(n, sizeof(double));
  *part = SKY_NEW(c, double, 1);
  if (*part == NULL) return SKY_E_NOMEM;
  memcpy(*part, bytes, n);
  return SKY_OK;
}

static sky_raster_set *open_set(void) {
  const sky_raster_input in = {.path = PATH, .band = 1, .kind = SKY_PIXEL_VALUE};
  sky_raster_set *set;
  assert_int_equal(sky_raster_set_open(ctx, &in, 1, NULL, &set), SKY_OK);
  return set;
}

static void test_order(void **state) {
  (void)state;
  double first = 0;
  for (int threads = 1; threads <= 5; threads += 2) {
    for (size_t tile = 256; tile <= 1024; tile *= 2) {
      sky_raster_set *set = open_set();
      seen s = {.ordered = true};
      const sky_raster_kernel k = {
          .user = &s, .map = map_sum, .merge = merge_sum, .drop = sky_free};
      sky_raster_report report;
      sky_context_set_threads(ctx, threads);
      assert_int_equal(
          sky_raster_pass(ctx, set, "test", &(sky_pass_options){.tile = tile}, &k, &report),
          SKY_OK);
      assert_true(s.ordered && s.n == 9 && report.blocks == 9 && report.unread == 0);
      if (first == 0) first = s.sum;
      assert_true(s.sum == first);
      sky_raster_set_close(set);
    }
  }
  double want = 0;
  for (size_t i = 0; i < NX * NY; i++)
    want += (double)(i / NX) + (double)(i % NX) / 1024;
  assert_true(fabs(first / want - 1) < 1e-12);
}

static void test_memory_and_cancel(void **state) {
  (void)state;
  sky_raster_set *set = open_set();
  seen s = {.ordered = true};
  const sky_raster_kernel k = {.user = &s, .map = map_sum, .merge = merge_sum, .drop = sky_free};
  sky_raster_report report;
  const size_t budget = sky_context_memory(ctx);
  sky_context_set_threads(ctx, 4);
  sky_context_set_memory(ctx, 2500000); /* for fewer threads and smaller tiles */
  assert_int_equal(sky_raster_pass(ctx, set, "test", NULL, &k, &report), SKY_OK);
  assert_true(report.threads < 4 && report.tile_y == 256);
  sky_context_set_memory(ctx, 100000);
  assert_int_equal(sky_raster_pass(ctx, set, "test", NULL, &k, &report), SKY_E_NOMEM);
  sky_context_set_memory(ctx, budget);
  assert_int_equal(sky_raster_pass(ctx, set, "test", &(sky_pass_options){.tile = 300}, &k, &report),
                   SKY_E_USAGE);
  sky_raster_set_close(set);
}

static void test_zonal_failures(void **state) {
  (void)state;
  double x[5] = {101.0, 105.5, 106.2, 103, 101.2}, y[5] = {35, 34.7, 38.9, 39.5, 38};
  sky_ring ring = {.n = 5, .x = x, .y = y};
  sky_zone zone[2] = {{.id = "a", .n_rings = 1, .ring = &ring, .geographic = true},
                      {.id = "b", .n_rings = 1, .ring = &ring, .geographic = true}};
  const sky_zones zones = {2, zone};
  const sky_zonal_options opt = {.squares = true, .quantiles = true};
  const sky_pass_options pass = {.tile = 256};
  sky_context_set_threads(ctx, 2);
  double mean = NAN;
  uint64_t failed = 0;
  for (uint64_t nth = 0;; nth++) {
    sky_zonal z = {0};
    sky_raster_set *set = open_set();
    sky_memory_fail_at(ctx, nth);
    const sky_status st = sky_zonal_make(ctx, set, &zones, &opt, &pass, &z);
    sky_memory_fail_at(ctx, 0);
    if (st == SKY_OK) {
      const double m = sky_zonal_total_mean(&z.zone[0].value[0], SKY_WEIGHT_AREA);
      if (nth == 0) mean = m;
      assert_true(m == mean);
      assert_true(m == sky_zonal_total_mean(&z.zone[1].value[0], SKY_WEIGHT_AREA));
    } else {
      assert_int_equal(st, SKY_E_NOMEM);
      failed++;
    }
    sky_zonal_free(&z);
    sky_raster_set_close(set);
    if (st == SKY_OK && nth > 0) break;
  }
  assert_true(failed > 20);
  sky_raster_set *set = open_set();
  sky_zonal z = {0};
  sky_cancel(ctx); /* for good: the last test of this context */
  assert_int_equal(sky_zonal_make(ctx, set, &zones, &opt, &pass, &z), SKY_E_CANCELLED);
  sky_raster_set_close(set);
}

/* One run of the sum over blocks, with what the options say; the n-th allocation from there on
 * fails. */
static sky_status run_sum(const sky_pass_options *o, uint64_t nth, seen *s,
                          sky_raster_report *report) {
  sky_raster_set *set = open_set();
  const sky_raster_kernel k = {.user = s,
                               .part_bytes = sizeof(double),
                               .map = map_sum,
                               .merge = merge_sum,
                               .drop = sky_free,
                               .pack = pack_sum,
                               .unpack = unpack_sum};
  *s = (seen){.ordered = true};
  sky_memory_fail_at(ctx, nth);
  const sky_status st = sky_raster_pass(ctx, set, "test", o, &k, report);
  sky_raster_set_close(set);
  return st;
}

static const char *const JOURNAL = "test_raster_pass.journal";
static const char *const SHARD[] = {"test_raster_pass.1", "test_raster_pass.2"};

/* Two shards, then both joined; the n-th allocation fails, for every n. */
static void test_shards_without_memory(void **state) {
  (void)state;
  seen s;
  sky_raster_report report;
  assert_int_equal(run_sum(NULL, 0, &s, &report), SKY_OK);
  const double want = s.sum;
  uint64_t failed = 0;
  unlink(JOURNAL);
  for (size_t step = 0; step < 3; step++) {
    for (uint64_t nth = 0;; nth++) {
      const sky_pass_options shard = {
          .tile = 256, .journal = JOURNAL, .fresh = nth % 2 == 1, .shard = {step + 1, 2}};
      const sky_pass_options join = {.join = SHARD, .n_join = 2};
      sky_status st = run_sum(step < 2 ? &shard : &join, nth, &s, &report);
      if (st == SKY_OK && step < 2) st = sky_journal_save(ctx, JOURNAL, SHARD[step]);
      sky_memory_fail_at(ctx, 0);
      if (st == SKY_OK && step < 2) assert_true(s.n == 0); /* nothing is merged */
      if (st == SKY_OK && step == 2)
        assert_true(s.sum == want && s.n == 9 && s.ordered && report.blocks == 9);
      if (st == SKY_OK && nth > 0) break;
      if (st == SKY_OK) continue;
      assert_int_equal(st, SKY_E_NOMEM);
      failed++;
    }
    unlink(JOURNAL);
  }
  assert_true(failed > 60);
  unlink(SHARD[0]);
  unlink(SHARD[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order), cmocka_unit_test(test_memory_and_cancel),
      cmocka_unit_test(test_shards_without_memory), cmocka_unit_test(test_zonal_failures)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
