/* Class rasters: orientation, windows, masks, whole numbers, grids, memory. */
#include "tests/support/sky_cmocka.h"

#include <cpl_vsi.h>
#include <gdal.h>
#include <math.h>
#include <ogr_srs_api.h>

#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/read/raster.h"

#define NX 23
#define NY 37

typedef struct look {
  GDALDataType type;
  const char *crs; /* NULL = none */
  double transform[6];
  double nodata; /* NaN = none */
  bool tiled;
} look;

static const look plain = {GDT_Byte, "EPSG:32650", {5e5, 300, 0, 4e6, 0, -300}, NAN, false};

/* Value of file line y, column x. */
static double value_at(size_t y, size_t x) {
  return (double)((7 * y + 3 * x) % 200);
}

static void make(sky_context *ctx, const char *path, const look *l, double odd) {
  assert_int_equal(sky_gdal_start(ctx), SKY_OK);
  char *options[] = {(char *)"TILED=YES", (char *)"BLOCKXSIZE=16", (char *)"BLOCKYSIZE=16", NULL};
  GDALDatasetH d =
      GDALCreate(GDALGetDriverByName("GTiff"), path, NX, NY, 1, l->type, l->tiled ? options : NULL);
  assert_non_null(d);
  double t[6];
  memcpy(t, l->transform, sizeof t);
  assert_int_equal(GDALSetGeoTransform(d, t), CE_None);
  if (l->crs != NULL) {
    OGRSpatialReferenceH s = OSRNewSpatialReference(NULL);
    assert_int_equal(OSRSetFromUserInput(s, l->crs), OGRERR_NONE);
    assert_int_equal(GDALSetSpatialRef(d, s), CE_None);
    OSRDestroySpatialReference(s);
  }
  GDALRasterBandH b = GDALGetRasterBand(d, 1);
  if (!isnan(l->nodata)) assert_int_equal(GDALSetRasterNoDataValue(b, l->nodata), CE_None);
  double v[NX * NY];
  for (size_t k = 0; k < NX * NY; k++)
    v[k] = value_at(k / NX, k % NX);
  if (!isnan(odd) || l->type == GDT_Float32) v[5 * NX + 4] = odd;
  assert_int_equal(GDALRasterIO(b, GF_Write, 0, 0, NX, NY, v, NX, NY, GDT_Float64, 0, 0), CE_None);
  GDALClose(d);
}

static void check_windows(sky_context *ctx, const look *l, bool north_up) {
  make(ctx, "/vsimem/a.tif", l, value_at(5, 4));
  sky_raster *r;
  assert_int_equal(sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_OK);
  const size_t windows[4][4] = {{0, NY, 0, NX}, {3, 20, 2, 9}, {36, 1, 22, 1}, {17, 19, 0, NX}};
  for (size_t k = 0; k < 4; k++) {
    const size_t *w = windows[k];
    int32_t out[NX * NY];
    assert_int_equal(sky_raster_classes(ctx, r, w[0], w[1], w[2], w[3], out), SKY_OK);
    for (size_t y = 0; y < w[1]; y++) {
      const size_t row = w[0] + y, line = north_up ? NY - 1 - row : row;
      for (size_t x = 0; x < w[3]; x++) {
        const double want = value_at(line, w[2] + x);
        const int32_t got = out[y * w[3] + x];
        if (want == l->nodata)
          assert_int_equal(got, SKY_CLASS_NODATA);
        else
          assert_int_equal(got, (int32_t)want);
      }
    }
  }
  sky_raster_close(r);
  VSIUnlink("/vsimem/a.tif");
}

static void test_windows(void **state) {
  sky_context *ctx = *state;
  look l = plain;
  check_windows(ctx, &l, true);
  assert_int_equal(sky_context_warning_count(ctx), 1); /* no nodata value: said */
  l.tiled = true;
  l.nodata = 12;
  check_windows(ctx, &l, true);
  l.type = GDT_Float32;
  check_windows(ctx, &l, true);
  l.transform[5] = 300;
  check_windows(ctx, &l, false);
  assert_int_equal(sky_context_warning_count(ctx), 1);
}

static void test_grid(void **state) {
  sky_context *ctx = *state;
  sky_raster *r;
  make(ctx, "/vsimem/a.tif", &plain, NAN);
  assert_int_equal(sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_OK);
  const sky_grid *g = sky_raster_grid(r);
  assert_string_equal(g->crs, "EPSG:32650");
  assert_true(g->x_edge[0] == 5e5 && g->y_edge[NY] == 4e6 && g->nx == NX && g->ny == NY);
  assert_close(g->y_edge[0], 4e6 - 300.0 * NY, 1e-15);
  sky_raster_close(r);
  look l = plain;
  l.crs = "+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +x_0=0 +y_0=0 +ellps=krass +units=m";
  make(ctx, "/vsimem/a.tif", &l, NAN);
  assert_int_equal(sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_OK);
  assert_non_null(strstr(sky_raster_grid(r)->crs, "+proj=aea"));
  assert_false(sky_raster_grid(r)->geographic);
  sky_raster_close(r);
  VSIUnlink("/vsimem/a.tif");
}

static void test_open_failures(void **state) {
  sky_context *ctx = *state;
  sky_raster *r;
  assert_fails(ctx, sky_raster_open(ctx, "/no/such.tif", &r), SKY_E_MISSING, "/no/such.tif");
  look l = plain;
  l.crs = NULL;
  make(ctx, "/vsimem/a.tif", &l, NAN);
  assert_fails(ctx, sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_E_FORMAT,
               "/vsimem/a.tif: the raster states no crs");
  l = plain;
  l.transform[2] = 5;
  make(ctx, "/vsimem/a.tif", &l, NAN);
  assert_fails(ctx, sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_E_FORMAT, "rotated");
  l = plain;
  l.crs = "EPSG:2263"; /* feet */
  make(ctx, "/vsimem/a.tif", &l, NAN);
  assert_fails(ctx, sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_E_RANGE, "in metres");
  VSIUnlink("/vsimem/a.tif");
}

static void test_values(void **state) {
  sky_context *ctx = *state;
  sky_raster *r;
  int32_t out[NX * NY];
  look l = plain;
  l.type = GDT_Float32;
  make(ctx, "/vsimem/a.tif", &l, 4.25);
  assert_int_equal(sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_OK);
  assert_fails(ctx, sky_raster_classes(ctx, r, 0, NY, 0, NX, out), SKY_E_RANGE,
               "line 5, column 4: value 4.25 is not a class");
  sky_raster_close(r);
  make(ctx, "/vsimem/a.tif", &l, NAN); /* NaN is nodata, stated or not */
  assert_int_equal(sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_OK);
  assert_int_equal(sky_raster_classes(ctx, r, 0, NY, 0, NX, out), SKY_OK);
  assert_int_equal(out[(NY - 1 - 5) * NX + 4], SKY_CLASS_NODATA);
  sky_raster_close(r);
  make(ctx, "/vsimem/a.tif", &l, -INFINITY);
  assert_int_equal(sky_raster_open(ctx, "/vsimem/a.tif", &r), SKY_OK);
  assert_fails(ctx, sky_raster_classes(ctx, r, 0, NY, 0, NX, out), SKY_E_RANGE, "-inf");
  sky_raster_close(r);
  VSIUnlink("/vsimem/a.tif");
}

static void compare_grids(sky_context *ctx, const look *other, const char *part) {
  sky_raster *a, *b;
  make(ctx, "/vsimem/a.tif", &plain, NAN);
  make(ctx, "/vsimem/b.tif", other, NAN);
  assert_int_equal(sky_raster_open(ctx, "/vsimem/a.tif", &a), SKY_OK);
  assert_int_equal(sky_raster_open(ctx, "/vsimem/b.tif", &b), SKY_OK);
  if (part == NULL) {
    assert_int_equal(sky_raster_same_grid(ctx, a, b), SKY_OK);
  } else {
    assert_fails(ctx, sky_raster_same_grid(ctx, a, b), SKY_E_COVERAGE, part);
    assert_non_null(strstr(sky_error(ctx), "/vsimem/a.tif and /vsimem/b.tif"));
  }
  sky_raster_close(a);
  sky_raster_close(b);
  VSIUnlink("/vsimem/a.tif");
  VSIUnlink("/vsimem/b.tif");
}

static void test_same_grid(void **state) {
  sky_context *ctx = *state;
  look l = plain;
  l.transform[0] += 1e-4; /* a third of a millionth of a cell */
  compare_grids(ctx, &l, NULL);
  l.transform[0] += 1e-3;
  compare_grids(ctx, &l, "edges");
  l = plain;
  l.crs = "EPSG:32651";
  compare_grids(ctx, &l, "crs 'EPSG:32650' and 'EPSG:32651'");
}

static void test_memory(void **state) {
  sky_context *ctx = *state;
  sky_raster *r = NULL;
  int32_t out[NX * NY];
  size_t failures = 0;
  make(ctx, "/vsimem/a.tif", &plain, NAN);
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st != SKY_OK; nth++) {
    sky_memory_fail_at(ctx, nth);
    st = sky_raster_open(ctx, "/vsimem/a.tif", &r);
    if (st == SKY_OK) {
      st = sky_raster_classes(ctx, r, 0, NY, 0, NX, out);
      sky_raster_close(r);
    }
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
    failures += st != SKY_OK;
  }
  assert_true(failures >= 6);
  VSIUnlink("/vsimem/a.tif");
}

/* Amounts around a grid in another system: masked pixels are NaN, scale and offset count, the
 * window holds the grid and little more. */
static void test_amounts(void **state) {
  const look l = {GDT_Float32, "EPSG:32650", {5e5, 300, 0, 4e6, 0, -300}, 77, false};
  sky_raster *r;
  sky_grid where, window;
  double *v;
  make(*state, "/vsimem/v.tif", &l, 0.5);
  GDALDatasetH d = GDALOpen("/vsimem/v.tif", GA_Update);
  GDALSetRasterScale(GDALGetRasterBand(d, 1), 2);
  GDALSetRasterOffset(GDALGetRasterBand(d, 1), 10);
  GDALClose(d);
  assert_int_equal(sky_raster_open(*state, "/vsimem/v.tif", &r), SKY_OK);
  const double south = 4e6 - NY * 300;
  assert_int_equal(sky_grid_from_box(*state, "EPSG:32650", 5e5 + 900, south + 600, 5e5 + 2100,
                                     south + 1800, 300, 300, &where),
                   SKY_OK);
  assert_int_equal(sky_raster_amounts(*state, r, &where, &window, &v), SKY_OK);
  assert_true(window.nx == 6 && window.ny == 6); /* a pixel more on every side */
  assert_true(window.x_edge[0] == 5e5 + 600 && window.y_edge[0] == south + 300);
  for (size_t y = 0; y < 6; y++) {
    for (size_t x = 0; x < 6; x++) {
      const double want = value_at(NY - 2 - y, x + 2);
      assert_true(want == 77 ? isnan(v[y * 6 + x]) : v[y * 6 + x] == 2 * want + 10);
    }
  }
  sky_free(v);
  sky_grid_free(&window);
  sky_grid_free(&where);
  assert_int_equal(sky_grid_from_box(*state, "EPSG:4326", 116, 35, 118, 37, 1, 1, &where), SKY_OK);
  assert_int_equal(sky_raster_amounts(*state, r, &where, &window, &v), SKY_OK);
  assert_true(window.nx == NX && window.ny == NY); /* all of it lies in the box */
  assert_true(v[(NY - 1 - 5) * NX + 4] == 11);     /* 0.5: amounts need not be whole */
  size_t masked = 0, expected = 0;
  for (size_t k = 0; k < NX * NY; k++) {
    masked += isnan(v[k]);
    expected += value_at(k / NX, k % NX) == 77;
  }
  assert_true(masked == expected && masked > 0);
  sky_free(v);
  sky_grid_free(&window);
  sky_grid_free(&where);
  assert_int_equal(sky_grid_from_box(*state, "EPSG:4326", 100, 35, 101, 37, 1, 1, &where), SKY_OK);
  assert_fails(*state, sky_raster_amounts(*state, r, &where, &window, &v), SKY_E_COVERAGE,
               "lies outside the grid");
  sky_grid_free(&where);
  sky_raster_close(r);
  VSIUnlink("/vsimem/v.tif");
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_amounts), SKY_UNIT(test_windows),
                                     SKY_UNIT(test_grid),    SKY_UNIT(test_open_failures),
                                     SKY_UNIT(test_values),  SKY_UNIT(test_same_grid),
                                     SKY_UNIT(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
