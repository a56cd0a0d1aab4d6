/* test_nc.c: the NetCDF reader on the oddities of real files: packed flags, fills that are stated
 * by another type or not at all, text attributes of both kinds, groups, size-0 dimensions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <netcdf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/nc.h"
#include "tests/unit/fixture_granule.h"

static sky_context *ctx;
static sky_nc *f;
static char path[256];

#define NC(call) assert_int_equal((call), NC_NOERR)

/* int n(x) with a float fill that no int holds, a text fill, and the default fill. */
static void write_integers(int file, int x) {
  static const int VALUES[4] = {1, -999999, NC_FILL_INT, 4};
  const float fill = -999999.0f;
  int id;
  NC(nc_def_var(file, "n", NC_INT, 1, &x, &id));
  NC(nc_put_att_float(file, id, "missing_value", NC_FLOAT, 1, &fill));
  NC(nc_put_att_text(file, id, "units", 4, "none"));
  NC(nc_put_var_int(file, id, VALUES));
  NC(nc_def_var(file, "m", NC_INT, 1, &x, &id));
  NC(nc_put_att_text(file, id, "missing_value", 7, "Missing"));
  NC(nc_put_var_int(file, id, VALUES));
}

static void write_packed(int file, int x) {
  static const unsigned char QA[4] = {50, 100, 255, 49};
  static const short SHORT[4] = {10, 20, -32768, 40};
  const float scale = 0.01f;
  const double scale_d = 0.1, offset_d = 5.0;
  const unsigned char fill = 255;
  const short fill_s = -32768;
  int id;
  NC(nc_def_var(file, "qa", NC_UBYTE, 1, &x, &id));
  NC(nc_put_att_uchar(file, id, "_FillValue", NC_UBYTE, 1, &fill));
  NC(nc_put_att_float(file, id, "scale_factor", NC_FLOAT, 1, &scale));
  NC(nc_put_var_uchar(file, id, QA));
  NC(nc_def_var(file, "packed", NC_SHORT, 1, &x, &id));
  NC(nc_put_att_short(file, id, "_FillValue", NC_SHORT, 1, &fill_s));
  NC(nc_put_att_double(file, id, "scale_factor", NC_DOUBLE, 1, &scale_d));
  NC(nc_put_att_double(file, id, "add_offset", NC_DOUBLE, 1, &offset_d));
  NC(nc_put_var_short(file, id, SHORT));
}

static void write_rest(int file, int x) {
  static const float FLOATS[4] = {1.5f, NC_FILL_FLOAT, NAN, -9999.0f};
  static const unsigned long long IDS[4] = {2017071402400001ull, 18446744073709551615ull, 0, 7};
  static const char *const WORDS[4] = {"2018-05-01T03:57:12.571000Z", "", "b", "last"};
  static const double TIMES[4] = {0, 1, 2, 3};
  const float fill = -9999.0f;
  const char *units = "ppm";
  int id, width, group, inner, none, dims[2];
  NC(nc_def_var(file, "real", NC_FLOAT, 1, &x, &id));
  NC(nc_put_att_float(file, id, "missing_value", NC_FLOAT, 1, &fill));
  NC(nc_put_att_string(file, id, "units", 1, &units));
  NC(nc_put_var_float(file, id, FLOATS));
  NC(nc_def_var(file, "id", NC_UINT64, 1, &x, &id));
  NC(nc_put_var_ulonglong(file, id, IDS));
  NC(nc_def_var(file, "word", NC_STRING, 1, &x, &id));
  NC(nc_put_var_string(file, id, (const char **)WORDS));
  NC(nc_def_dim(file, "width", 3, &width));
  dims[0] = x;
  dims[1] = width;
  NC(nc_def_var(file, "letters", NC_CHAR, 2, dims, &id));
  NC(nc_put_var_text(file, id, "ab \0\0\0cdee  "));
  NC(nc_def_dim(file, "none", NC_UNLIMITED, &none));
  NC(nc_def_var(file, "empty", NC_DOUBLE, 1, &none, &id));
  NC(nc_def_var(file, "time", NC_DOUBLE, 1, &x, &id));
  NC(nc_put_att_text(file, id, "units", 22, "hours since 2025-5-1  "));
  NC(nc_put_var_double(file, id, TIMES));
  NC(nc_def_var(file, "year360", NC_DOUBLE, 1, &x, &id));
  NC(nc_put_att_text(file, id, "units", 21, "days since 2000-01-01"));
  NC(nc_put_att_text(file, id, "calendar", 7, "360_day"));
  NC(nc_put_var_double(file, id, TIMES));
  NC(nc_def_grp(file, "A", &group));
  NC(nc_def_grp(group, "B", &inner));
  NC(nc_def_var(inner, "deep", NC_DOUBLE, 1, &x, &id));
  NC(nc_put_var_double(inner, id, TIMES));
}

static int setup(void **state) {
  (void)state;
  int file, x;
  const double numbers[2] = {1.5, 0.1};
  if (sky_context_create(&ctx) != SKY_OK) return 1;
  snprintf(path, sizeof path, "%s", fixture_path("odd.nc"));
  NC(nc_create(path, NC_NETCDF4 | NC_CLOBBER, &file));
  NC(nc_def_dim(file, "x", 4, &x));
  NC(nc_put_att_double(file, NC_GLOBAL, "numbers", NC_DOUBLE, 2, numbers));
  write_integers(file, x);
  write_packed(file, x);
  write_rest(file, x);
  NC(nc_close(file));
  return sky_nc_open(ctx, path, &f) != SKY_OK;
}
static int teardown(void **state) {
  (void)state;
  sky_nc_close(f);
  sky_context_free(ctx);
  unlink(path);
  return 0;
}

/* NaN in expected means NaN in the file. */
static void expect(const char *var, const double *expected, size_t n) {
  sky_nc_var info;
  double *x;
  assert_int_equal(sky_nc_info(ctx, f, var, &info), SKY_OK);
  assert_int_equal(info.count, n);
  assert_int_equal(sky_nc_read(ctx, f, var, &info, &x), SKY_OK);
  for (size_t i = 0; i < n; ++i) {
    if (isnan(expected[i]) ? !isnan(x[i]) : x[i] != expected[i]) {
      fail_msg("%s[%zu] is %.17g, expected %.17g", var, i, x[i], expected[i]);
    }
  }
  sky_free(x);
}

static void test_fills(void **state) {
  (void)state;
  expect("n", (const double[]){1, NAN, NAN, 4}, 4);
  expect("m", (const double[]){1, -999999, NAN, 4}, 4); /* text is no fill for numbers */
  expect("real", (const double[]){1.5, NAN, NAN, NAN}, 4);
  expect("empty", NULL, 0);
}

/* Packed by float attributes: the value is a float, so that 50 packed is 0.5 and passes ">= 0.5".
 */
static void test_packing(void **state) {
  (void)state;
  expect("qa", (const double[]){0.5, 1.0, NAN, (double)(49.0f * 0.01f)}, 4);
  expect("packed", (const double[]){10 * 0.1 + 5, 20 * 0.1 + 5, NAN, 40 * 0.1 + 5}, 4);
}

static void test_groups_and_dimensions(void **state) {
  (void)state;
  assert_true(sky_nc_has(f, "/A/B/deep") && sky_nc_has(f, "A/B/deep"));
  assert_false(sky_nc_has(f, "/A/deep"));
  assert_false(sky_nc_has(f, "/C/deep"));
  assert_false(sky_nc_has(f, "/n/deep"));
  assert_int_equal(sky_nc_dim(f, "x"), 4);
  assert_int_equal(sky_nc_dim(f, "none"), 0);
  assert_true(sky_nc_dim(f, "y") == SIZE_MAX);
  sky_nc_var info;
  assert_int_equal(sky_nc_info(ctx, f, "letters", &info), SKY_OK);
  assert_int_equal(info.ndims, 2);
  assert_string_equal(info.dim[1], "width");
  assert_int_equal(sky_nc_info(ctx, f, "/A/B/none", &info), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(ctx), "/A/B/none: variable missing"));
  assert_non_null(strstr(sky_error(ctx), path));
  char **names;
  size_t n;
  assert_int_equal(sky_nc_variables(ctx, f, &names, &n), SKY_OK);
  assert_int_equal(n, 11);
  assert_string_equal(names[0], "n");
  sky_file_list_free(names, n);
}

static void test_text(void **state) {
  (void)state;
  char **text;
  size_t n;
  assert_int_equal(sky_nc_read_strings(ctx, f, "word", &n, &text), SKY_OK);
  assert_int_equal(n, 4);
  assert_string_equal(text[0], "2018-05-01T03:57:12.571000Z");
  assert_string_equal(text[1], "");
  sky_file_list_free(text, n);
  assert_int_equal(sky_nc_read_strings(ctx, f, "letters", &n, &text), SKY_OK);
  assert_string_equal(text[0], "ab");
  assert_string_equal(text[1], "");
  assert_string_equal(text[2], "cde");
  assert_string_equal(text[3], "e");
  sky_file_list_free(text, n);
  assert_int_equal(sky_nc_read_strings(ctx, f, "n", &n, &text), SKY_E_FORMAT);
  double *x;
  assert_int_equal(sky_nc_read(ctx, f, "word", NULL, &x), SKY_E_FORMAT);
}

static void test_attributes(void **state) {
  (void)state;
  char *text;
  assert_int_equal(sky_nc_attr_text(ctx, f, "real", "units", &text), SKY_OK);
  assert_string_equal(text, "ppm");
  sky_free(text);
  assert_int_equal(sky_nc_attr_text(ctx, f, "", "numbers", &text), SKY_OK);
  assert_string_equal(text, "1.5 0.10000000000000001");
  sky_free(text);
  assert_int_equal(sky_nc_attr_text(ctx, f, "real", "absent", &text), SKY_OK);
  assert_null(text);
  double value;
  assert_int_equal(sky_nc_attr_number(ctx, f, "", "numbers", &value), SKY_OK);
  assert_true(value == 1.5);
  assert_int_equal(sky_nc_attr_number(ctx, f, "real", "units", &value), SKY_E_FORMAT);
}

static void test_units(void **state) {
  (void)state;
  sky_nc_var info;
  double *x;
  assert_int_equal(sky_nc_read_as(ctx, f, "real", "1e-9", NULL, &info, &x), SKY_OK);
  assert_true(fabs(x[0] - 1500) < 1e-9);
  sky_free(x);
  assert_int_equal(sky_nc_read_as(ctx, f, "real", "Pa", NULL, &info, &x), SKY_E_UNITS);
  assert_null(x);
  assert_non_null(strstr(sky_error(ctx), "real"));
  assert_int_equal(sky_nc_read_as(ctx, f, "m", "Pa", NULL, &info, &x), SKY_E_UNITS);
  assert_non_null(strstr(sky_error(ctx), "no units"));
  assert_int_equal(sky_nc_read_as(ctx, f, "m", "Pa", "hPa", &info, &x), SKY_OK);
  assert_true(x[3] == 400);
  sky_free(x);
}

static void test_ids_and_time(void **state) {
  (void)state;
  uint64_t ids[4];
  assert_int_equal(sky_nc_read_u64(ctx, f, "id", 4, ids), SKY_OK);
  assert_true(ids[0] == 2017071402400001ull && ids[1] == UINT64_MAX);
  assert_int_equal(sky_nc_read_u64(ctx, f, "id", 3, ids), SKY_E_FORMAT);
  assert_int_equal(sky_nc_read_u64(ctx, f, "real", 4, ids), SKY_E_FORMAT);
  double *t;
  size_t n;
  assert_int_equal(sky_nc_read_time(ctx, f, "time", &n, &t), SKY_OK);
  assert_int_equal(n, 4);
  assert_true(t[1] == 1746057600.0 + 3600.0); /* 2025-05-01 */
  sky_free(t);
  assert_int_equal(sky_nc_read_time(ctx, f, "year360", &n, &t), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(ctx), "360_day"));
}

/* A header may state any size: it must fit the budget before memory is touched. */
static void test_budget(void **state) {
  (void)state;
  double *x;
  const size_t budget = sky_context_memory(ctx);
  sky_context_set_memory(ctx, 16);
  assert_int_equal(sky_nc_read(ctx, f, "real", NULL, &x), SKY_E_NOMEM);
  assert_non_null(strstr(sky_error(ctx), "memory budget"));
  sky_context_set_memory(ctx, budget);
}

static void test_open(void **state) {
  (void)state;
  sky_nc *other;
  assert_int_equal(sky_nc_open(ctx, fixture_path("absent.nc"), &other), SKY_E_MISSING);
  assert_null(other);
  const char *text = fixture_path("text.nc");
  assert_int_equal(sky_file_write_text(ctx, text, "CDF?", 4), SKY_OK);
  assert_int_equal(sky_nc_open(ctx, text, &other), SKY_E_FORMAT);
  unlink(text);
  sky_nc_close(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fills),
      cmocka_unit_test(test_packing),
      cmocka_unit_test(test_groups_and_dimensions),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_attributes),
      cmocka_unit_test(test_units),
      cmocka_unit_test(test_ids_and_time),
      cmocka_unit_test(test_budget),
      cmocka_unit_test(test_open),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
