/* The COG stream: what its callers may get wrong, memory that runs out, and rasters that no test
 * could hold in memory. Files are read back with GDAL; test_cog.py compares all pixels. */
#include <dirent.h>
#include <gdal.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/mosaic.h"
#include "tests/support/sky_cmocka.h"

typedef struct fixture {
  sky_context *ctx;
  char dir[64], path[128];
  sky_grid grid;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  strcpy(f->dir, "/tmp/sky_cog_XXXXXX");
  if (mkdtemp(f->dir) == NULL || sky_context_create(&f->ctx) != SKY_OK) return 1;
  sky_context_set_progress(f->ctx, SKY_PROGRESS_NONE);
  snprintf(f->path, sizeof f->path, "%s/x.tif", f->dir);
  *state = f;
  return sky_grid_from_box(f->ctx, "EPSG:4326", 0, 0, 11, 6, 0.01, 0.01, &f->grid) != SKY_OK;
}

/* Files in the folder; removes them if told to. */
static int entries(const fixture *f, bool clear) {
  int n = 0;
  DIR *d = opendir(f->dir);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (clear) unlinkat(dirfd(d), e->d_name, 0);
    n++;
  }
  closedir(d);
  return n;
}

static int tear_down(void **state) {
  fixture *f = *state;
  entries(f, true);
  rmdir(f->dir);
  sky_grid_free(&f->grid);
  sky_context_free(f->ctx);
  free(f);
  return 0;
}

static const sky_field classes = {"c", "classes", NULL, "1", SKY_FIELD_CLASS, NULL};
static const sky_field amounts = {"a", "amounts", NULL, "t", SKY_FIELD_EXTENSIVE, NULL};
static const sky_class_style legend[] = {{1, "one", {1, 2, 3, 255}}, {4, "four", {4, 5, 6, 255}}};

/* All blocks of one class. */
static sky_status write_classes(fixture *f, const char *stamp) {
  static int32_t code[SKY_BAND * SKY_BAND];
  const sky_cog_options options = {.type = SKY_COG_UINT8,
                                   .pixels = SKY_PIXEL_CLASS,
                                   .classes = legend,
                                   .n_classes = 2,
                                   .stamp = stamp};
  sky_cog *c = NULL;
  for (size_t i = 0; i < SKY_BAND * SKY_BAND; i++)
    code[i] = i % 3 == 0 ? 1 : 4;
  SKY_TRY(sky_cog_open(f->ctx, f->path, &f->grid, &classes, &options, &c));
  for (size_t band = 0; band < 3; band++) {
    for (size_t column = 0; column < 5; column++) {
      const sky_status st = sky_cog_put(f->ctx, c, column, band, code, SKY_BAND);
      if (st == SKY_OK) continue;
      sky_cog_abort(c);
      return st;
    }
  }
  return sky_cog_finish(f->ctx, c);
}

/* Whichever allocation fails, it is said, and nothing stays but the log of a resumable run. */
static void test_allocation_faults(void **state) {
  fixture *f = *state;
  for (int resumable = 0; resumable < 2; resumable++) {
    sky_status st = SKY_E_NOMEM;
    int failures = 0;
    for (uint64_t n = 1; n < 2000 && st == SKY_E_NOMEM; n++) {
      if (!resumable || n % 7 == 0) entries(f, true); /* else it goes on from the log */
      sky_memory_fail_at(f->ctx, n);
      st = write_classes(f, resumable ? "stamp" : NULL);
      sky_memory_fail_at(f->ctx, 0);
      if (st == SKY_OK) break;
      failures++;
      assert_int_equal(st, SKY_E_NOMEM);
      assert_true(strstr(sky_error(f->ctx), "out of memory") != NULL);
      assert_true(entries(f, false) <= resumable);
      assert_false(sky_file_exists(f->path));
    }
    assert_int_equal(st, SKY_OK);
    assert_true(failures > 20);
    assert_int_equal(entries(f, true), 3); /* .tif, .aux.xml, .qml */
  }
}

static sky_status write_mosaic(fixture *f) {
  static int32_t code[SKY_BAND * SKY_BAND];
  const sky_cog_options options = {.type = SKY_COG_UINT8,
                                   .codec = SKY_COG_ZSTD,
                                   .pixels = SKY_PIXEL_CLASS,
                                   .classes = legend,
                                   .n_classes = 2};
  sky_mosaic *m = NULL;
  for (size_t i = 0; i < SKY_BAND * SKY_BAND; i++)
    code[i] = 4;
  SKY_TRY(
      sky_mosaic_open(f->ctx, f->path, &f->grid, &classes, &options, 1024, (sky_shard){0, 0}, &m));
  for (size_t block = 0; block < 15; block++) {
    const sky_status st = sky_mosaic_put(f->ctx, m, block % 5, block / 5, code, SKY_BAND);
    if (st == SKY_OK) continue;
    sky_mosaic_abort(m);
    return st;
  }
  return sky_mosaic_finish(f->ctx, m);
}

/* Two pieces: nothing stays of a failed mosaic, not even its folder. */
static void test_mosaic_allocation_faults(void **state) {
  fixture *f = *state;
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 2000 && st == SKY_E_NOMEM; n += 2) {
    sky_memory_fail_at(f->ctx, n);
    st = write_mosaic(f);
    sky_memory_fail_at(f->ctx, 0);
    if (st == SKY_OK) break;
    assert_int_equal(st, SKY_E_NOMEM);
    assert_int_equal(entries(f, false), 0);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 100);
  char folder[128];
  snprintf(folder, sizeof folder, "%s/x", f->dir);
  fixture inner = *f;
  strcpy(inner.dir, folder);
  assert_int_equal(entries(&inner, true), 6); /* two pieces, their legends, two overviews */
  rmdir(folder);
}

static void test_misuse(void **state) {
  fixture *f = *state;
  sky_cog *c = NULL, *other = NULL;
  const sky_cog_options plain = {0}, stamped = {.stamp = "s"};
  double value[SKY_BAND * SKY_BAND] = {0};
  assert_int_equal(sky_cog_open(f->ctx, f->path, &f->grid, &amounts, &stamped, &c), SKY_OK);
  /* two writers of one file */
  assert_int_equal(sky_cog_open(f->ctx, f->path, &f->grid, &amounts, &stamped, &other), SKY_E_DISK);
  assert_non_null(strstr(sky_error(f->ctx), "another process"));
  assert_int_equal(sky_cog_put(f->ctx, c, 5, 0, value, SKY_BAND), SKY_E_INTERNAL);
  assert_int_equal(sky_cog_put(f->ctx, c, 0, 0, value, SKY_BAND), SKY_OK);
  assert_true(sky_cog_has(c, 0, 0));
  assert_false(sky_cog_has(c, 1, 0));
  value[0] = 7; /* a block is taken once */
  assert_int_equal(sky_cog_put(f->ctx, c, 0, 0, value, SKY_BAND), SKY_OK);
  sky_cog_abort(c);
  sky_cog_abort(NULL);
  assert_int_equal(entries(f, true), 1);
  /* a failed put ends the stream */
  assert_int_equal(sky_cog_open(f->ctx, f->path, &f->grid, &amounts, &plain, &c), SKY_OK);
  value[3] = INFINITY;
  assert_int_equal(sky_cog_put(f->ctx, c, 0, 1, value, SKY_BAND), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(f->ctx), "cell (3, 88)")); /* of 1100 x 600 */
  value[3] = 0;
  assert_int_equal(sky_cog_put(f->ctx, c, 1, 1, value, SKY_BAND), SKY_E_RANGE);
  assert_int_equal(sky_cog_finish(f->ctx, c), SKY_E_RANGE);
  assert_int_equal(entries(f, false), 0);
}

static void refused(fixture *f, const sky_field *field, sky_cog_options o, sky_status want,
                    const char *word) {
  sky_cog *c = NULL;
  assert_int_equal(sky_cog_open(f->ctx, f->path, &f->grid, field, &o, &c), want);
  assert_non_null(strstr(sky_error(f->ctx), word));
  assert_int_equal(entries(f, false), 0);
}

static void test_refusals(void **state) {
  fixture *f = *state;
  const sky_class_style swapped[] = {legend[1], legend[0]};
  const sky_class_style large[] = {{300, "", {0}}};
  refused(f, &amounts, (sky_cog_options){.type = SKY_COG_INT32}, SKY_E_FORMAT, "float32");
  refused(f, &amounts, (sky_cog_options){.has_nodata = true}, SKY_E_FORMAT, "NaN");
  refused(f, &classes, (sky_cog_options){.type = SKY_COG_UINT8, .has_nodata = true, .nodata = 256},
          SKY_E_RANGE, "nodata 256 is no uint8 (0 to 255)");
  refused(f, &classes, (sky_cog_options){.type = SKY_COG_UINT8, .has_nodata = true, .nodata = 0.5},
          SKY_E_RANGE, "0.5");
  refused(f, &classes, (sky_cog_options){.type = SKY_COG_UINT8, .classes = swapped, .n_classes = 2},
          SKY_E_FORMAT, "class 1 comes after class 4");
  refused(f, &classes, (sky_cog_options){.type = SKY_COG_UINT8, .classes = large, .n_classes = 1},
          SKY_E_RANGE, "class 300");
  refused(f, &amounts, (sky_cog_options){.classes = legend, .n_classes = 2}, SKY_E_FORMAT,
          "legend");
  refused(f, &amounts, (sky_cog_options){.codec = SKY_COG_ZSTD, .level = 23}, SKY_E_RANGE,
          "level 23 of ZSTD (1 to 22)");
  refused(f, &amounts, (sky_cog_options){.levels = 10}, SKY_E_RANGE, "10 overviews");
  strcpy(f->grid.crs, "EPSG:99999");
  refused(f, &amounts, (sky_cog_options){0}, SKY_E_FORMAT, "EPSG:99999");
}

/* 10^10 cells of which 65536 are valid: seconds, a small file, little memory. */
static void test_large_and_sparse(void **state) {
  fixture *f = *state;
  static double value[SKY_BAND * SKY_BAND];
  const sky_cog_options options = {0};
  sky_cog *c = NULL;
  sky_grid g = {0};
  struct rusage use;
  for (size_t i = 0; i < SKY_BAND * SKY_BAND; i++)
    value[i] = 1 + (double)(i % 2);
  assert_int_equal(sky_grid_from_box(f->ctx, "EPSG:32650", 0, 0, 3000000, 3000000, 30, 30, &g),
                   SKY_OK);
  assert_int_equal(sky_cog_open(f->ctx, f->path, &g, &amounts, &options, &c), SKY_OK);
  assert_int_equal(sky_cog_put(f->ctx, c, 300, 200, value, SKY_BAND), SKY_OK);
  assert_int_equal(sky_cog_finish(f->ctx, c), SKY_OK);
  getrusage(RUSAGE_SELF, &use);
  assert_true(use.ru_maxrss < 400 * 1024);
  assert_true((size_t)use.ru_maxrss * 1024 < sky_cog_bytes(&g, SKY_COG_FLOAT32, 2) + (200u << 20));

  GDALDatasetH ds = GDALOpen(f->path, GA_ReadOnly);
  assert_non_null(ds);
  GDALRasterBandH band = GDALGetRasterBand(ds, 1);
  assert_int_equal(GDALGetRasterXSize(ds), 100000);
  assert_int_equal(GDALGetOverviewCount(band), 8); /* 100000 / 2^8 = 391 */
  float cell;
  for (int k = 0; k <= 8; k++) { /* the sum of what lies below */
    const int at_x = 300 * 256 >> k, at_y = 200 * 256 >> k;
    GDALRasterBandH level = k == 0 ? band : GDALGetOverview(band, k - 1);
    assert_int_equal(GDALRasterIO(level, GF_Read, at_x, at_y, 1, 1, &cell, 1, 1, GDT_Float32, 0, 0),
                     CE_None);
    assert_true(cell == (k == 0 ? 1.0f : 1.5f * (float)(1 << 2 * k)));
    assert_int_equal(
        GDALRasterIO(level, GF_Read, at_x - 1, at_y, 1, 1, &cell, 1, 1, GDT_Float32, 0, 0),
        CE_None);
    assert_true(isnan(cell));
  }
  GDALClose(ds);
  sky_grid_free(&g);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {T(test_allocation_faults), T(test_mosaic_allocation_faults),
                                     T(test_misuse), T(test_refusals), T(test_large_and_sparse)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
