/* Resampled sources: every allocation may fail; axes overlap without slivers, turn by turn. */
#include <gdal.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "grids/axis.h"
#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/engine/raster_source.h"

#define N 120
static const char *const PATH = "/vsimem/resample.tif";
static sky_context *ctx;

static int setup(void **state) {
  (void)state;
  if (sky_context_create(&ctx) != SKY_OK || sky_gdal_start(ctx) != SKY_OK) return -1;
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_ERROR);
  GDALDatasetH d = GDALCreate(GDALGetDriverByName("GTiff"), PATH, N, N, 1, GDT_Float32, NULL);
  double t[6] = {116, 0.01, 0, 40, 0, -0.01};
  static const char wkt[] =
      "GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563]],"
      "PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433],AUTHORITY[\"EPSG\",\"4326\"]]";
  GDALSetGeoTransform(d, t);
  GDALSetProjection(d, wkt);
  static float value[N * N];
  for (size_t i = 0; i < N * N; i++)
    value[i] = (float)(i % 7);
  const CPLErr e =
      GDALRasterIO(GDALGetRasterBand(d, 1), GF_Write, 0, 0, N, N, value, N, N, GDT_Float32, 0, 0);
  GDALClose(d);
  return e == CE_None ? 0 : -1;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

static sky_status read_all(const sky_raster_input *in, const sky_grid *target, double *out) {
  sky_source *s = NULL;
  const sky_window all = {0, 0, target->nx, target->ny};
  SKY_TRY(sky_source_open(ctx, in, target, &s));
  sky_status st = sky_source_load(ctx, s, &all);
  if (st == SKY_OK) st = sky_source_convert(ctx, s, &all, out);
  sky_source_close(s);
  return st;
}

static void allocations_may_fail(void **state) {
  (void)state;
  static double want[SKY_BAND * SKY_BAND], got[SKY_BAND * SKY_BAND];
  const struct {
    const char *crs;
    double box[4], cell;
  } grids[] = {{"EPSG:4326", {116, 39, 117, 40}, 0.05},
               {"EPSG:32650", {420000, 4330000, 440000, 4350000}, 2000}};
  for (size_t k = 0; k < 2; k++) {
    sky_grid g;
    const double *b = grids[k].box;
    assert_int_equal(sky_grid_from_box(ctx, grids[k].crs, b[0], b[1], b[2], b[3], grids[k].cell,
                                       grids[k].cell, &g),
                     SKY_OK);
    for (int sampling = SKY_SAMPLE_INTENSIVE; sampling <= SKY_SAMPLE_CLASS; sampling++) {
      const sky_raster_input in = {
          .path = PATH, .band = 1, .kind = SKY_PIXEL_VALUE, .sampling = (sky_sampling)sampling};
      assert_int_equal(read_all(&in, &g, want), SKY_OK);
      sky_status st = SKY_E_NOMEM;
      for (uint64_t nth = 1; st != SKY_OK; nth += nth < 60 ? 1 : 97) {
        sky_memory_fail_at(ctx, nth);
        st = read_all(&in, &g, got);
        sky_memory_fail_at(ctx, 0);
        assert_true(st == SKY_OK || st == SKY_E_NOMEM);
      }
      for (size_t iy = 0; iy < g.ny; iy++)
        for (size_t ix = 0; ix < g.nx; ix++)
          assert_true(want[iy * SKY_BAND + ix] == got[iy * SKY_BAND + ix]);
    }
    sky_grid_free(&g);
  }
}

/* Shares of what lies under sum to 1; a turn changes no bit; the ends alone say the same. */
static void axes_overlap(void **state) {
  (void)state;
  sky_grid under, over[3];
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", -180, -90, 180, 90, 0.1, 0.1, &under),
                   SKY_OK);
  for (int k = 0; k < 3; k++)
    assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", -180 + 360 * (k - 1), -90,
                                       180 + 360 * (k - 1), 90, 0.8, 0.3, &over[k]),
                     SKY_OK);
  sky_axis x = sky_axis_x(&under), y = sky_axis_y(&under);
  sky_axis_overlap first = {0};
  for (int k = 0; k < 3; k++) {
    sky_axis_overlap o;
    double *sum = calloc(under.nx, sizeof *sum), *inside = calloc(under.nx, sizeof *inside);
    const sky_axis a = sky_axis_x(&over[k]);
    assert_int_equal(sky_axis_overlap_make(ctx, &a, &x, &o), SKY_OK);
    for (size_t i = 0; i < o.start[o.n]; i++) {
      sum[o.index[i]] += o.share[i];
      assert_true(o.rest[i] == 0);
      if (k > 0) assert_true(o.index[i] == first.index[i] && o.share[i] == first.share[i]);
    }
    sky_axis_overlap_inside(&a, &x, 0, a.n, inside);
    for (size_t i = 0; i < under.nx; i++)
      assert_true(sum[i] == 1 && inside[i] == 1);
    if (k == 0)
      first = o;
    else
      sky_axis_overlap_free(&o);
    free(sum);
    free(inside);
  }
  sky_axis_overlap_free(&first);
  const sky_axis a = sky_axis_y(&over[0]);
  sky_axis_overlap o;
  assert_int_equal(sky_axis_overlap_make(ctx, &a, &y, &o), SKY_OK);
  assert_true(o.longest == 3 && o.covered[0] == 1); /* 0.3 on 0.1 degree: whole cells, no slivers */
  for (size_t i = 0; i < o.start[o.n]; i++)
    assert_true(o.share[i] == 1);
  sky_axis_overlap_free(&o);
  for (int k = 0; k < 3; k++)
    sky_grid_free(&over[k]);
  sky_grid_free(&under);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(allocations_may_fail),
                                     cmocka_unit_test(axes_overlap)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
