/* test_write.c: writers alone: round trips, refusals, faults. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/json_out.h"
#include "src/write/nc_write.h"
#include "src/write/report.h"
#include "src/write/style.h"
#include "src/write/zone_table.h"

typedef struct fixture {
  sky_context *ctx;
  char dir[64], path[128];
  sky_grid grid;
  double value[24];
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  strcpy(f->dir, "/tmp/skyflux-write-XXXXXX");
  if (mkdtemp(f->dir) == NULL || sky_context_create(&f->ctx) != SKY_OK) return 1;
  sky_context_set_log(f->ctx, NULL, NULL, SKY_LOG_ERROR);
  for (int i = 0; i < 24; i++)
    f->value[i] = i;
  *state = f;
  return sky_grid_from_box(f->ctx, "EPSG:4326", 0, 0, 6, 4, 1, 1, &f->grid) != SKY_OK;
}

static size_t entries(const fixture *f) {
  size_t n = 0;
  DIR *d = opendir(f->dir);
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(d);
  return n;
}

static int tear_down(void **state) {
  fixture *f = *state;
  DIR *d = opendir(f->dir);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    snprintf(f->path, sizeof f->path, "%s/%.60s", f->dir, e->d_name);
    unlink(f->path);
  }
  closedir(d);
  rmdir(f->dir);
  sky_grid_free(&f->grid);
  sky_context_free(f->ctx);
  free(f);
  return 0;
}

static const char *in_dir(fixture *f, const char *name) {
  snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
  return f->path;
}

static void test_numbers_read_back(void **state) {
  (void)state;
  const double v[] = {0.1, 1.0 / 3, 1e-300, -2.5e17, 100000, 6.02214076e23, 5e-324, 123456.7};
  char text[32];
  for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
    sky_number_text(v[i], text);
    assert_true(strtod(text, NULL) == v[i]);
  }
  sky_number_text(100000, text);
  assert_string_equal(text, "100000");
  sky_number_text(0.1, text);
  assert_string_equal(text, "0.1");
  sky_number_text(-0.0, text);
  assert_string_equal(text, "0");
}

static void test_json(void **state) {
  fixture *f = *state;
  cJSON *j = cJSON_CreateObject();
  cJSON_AddNumberToObject(j, "zeta", 0.1);
  cJSON_AddNumberToObject(j, "alpha", NAN);
  cJSON_AddStringToObject(j, "name", "a \"b\"\n");
  cJSON_AddItemToObject(j, "list", cJSON_CreateIntArray((int[]){1, 2}, 2));
  cJSON_AddItemToObject(j, "none", cJSON_CreateObject());
  char *text = sky_json_text(f->ctx, j, false);
  assert_string_equal(
      text,
      "{\"zeta\":0.1,\"alpha\":null,\"name\":\"a \\\"b\\\"\\u000a\",\"list\":[1,2],\"none\":{}}");
  sky_free(text);
  assert_int_equal(sky_json_write(f->ctx, in_dir(f, "a.json"), j), SKY_OK);
  size_t n = 0;
  assert_int_equal(sky_file_read_text(f->ctx, f->path, &text, &n), SKY_OK);
  assert_int_equal(text[n - 1], '\n');
  cJSON *back = cJSON_Parse(text);
  assert_non_null(back);
  cJSON_Delete(back);
  sky_free(text);
  cJSON_Delete(j);
}

static void test_table_round_trip(void **state) {
  fixture *f = *state;
  const sky_zone_row row = {.zone_id = "a,b",
                            .zone_name = "say \"x\"\nline",
                            .level = "#1",
                            .gas = "ch4",
                            .area_km2 = 1.0 / 3,
                            .covered_fraction = 1,
                            .n_soundings = 0,
                            .column_mean = NAN,
                            .column_sd = NAN,
                            .prior = 1e6,
                            .prior_sd = 0.1,
                            .posterior = -3.7e-9,
                            .scope2 = 0.3,
                            .sink = -12.5,
                            .best = 7.25,
                            .best_sd = NAN,
                            .best_from = "posterior, \"fused\"",
                            .detectable = INFINITY,
                            .z = -INFINITY,
                            .status = "consistent",
                            .reason = NULL};
  assert_int_equal(sky_zone_table_csv(f->ctx, in_dir(f, "z.csv"), &row, 1), SKY_OK);
  sky_zone_row *back = NULL;
  size_t n = 0;
  assert_int_equal(sky_zone_table_read(f->ctx, f->path, &back, &n), SKY_OK);
  assert_int_equal(n, 1);
  assert_string_equal(back->zone_id, row.zone_id);
  assert_string_equal(back->zone_name, row.zone_name);
  assert_string_equal(back->level, row.level);
  assert_string_equal(back->reason, "");
  assert_true(back->area_km2 == row.area_km2 && back->posterior == row.posterior);
  assert_true(back->scope2 == 0.3 && back->sink == -12.5 && back->best == 7.25);
  assert_true(isnan(back->best_sd));
  assert_string_equal(back->best_from, row.best_from);
  assert_true(isnan(back->column_mean) && back->detectable == INFINITY && back->z == -INFINITY);
  sky_zone_rows_free(back, n);

  assert_int_equal(sky_file_write_text(f->ctx, f->path, "zone_id,gas\nx,ch4\n", 18), SKY_OK);
  assert_int_equal(sky_zone_table_read(f->ctx, f->path, &back, &n), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(f->ctx), "'zone_name'"));
}

static void test_empty_table(void **state) {
  fixture *f = *state;
  sky_zone_row *back = NULL;
  size_t n = 7;
  assert_int_equal(sky_zone_table_csv(f->ctx, in_dir(f, "z.csv"), NULL, 0), SKY_OK);
  assert_int_equal(sky_zone_table_read(f->ctx, f->path, &back, &n), SKY_OK);
  assert_int_equal(n, 0);
  sky_zone_rows_free(back, n);
  assert_int_equal(sky_zone_table_gpkg(f->ctx, in_dir(f, "z.gpkg"), "EPSG:4326", NULL, NULL, 0),
                   SKY_OK);
}

static sky_field field_of(const fixture *f) {
  return (sky_field){"x", "x", NULL, "kg m-2 s-1", SKY_FIELD_INTENSIVE, f->value};
}

static void test_units_refused(void **state) {
  fixture *f = *state;
  sky_field field = field_of(f);
  const char *const bad[] = {"furlongs per lustrum", "", "tCO2"};
  for (size_t i = 0; i < 3; i++) {
    field.unit = bad[i];
    assert_int_equal(sky_cog_write(f->ctx, in_dir(f, "x.tif"), &f->grid, &field, NULL),
                     SKY_E_UNITS);
    assert_int_equal(sky_fields_nc_write(f->ctx, in_dir(f, "x.nc"), &f->grid, &field, 1, NULL),
                     SKY_E_UNITS);
    assert_non_null(strstr(sky_error(f->ctx), bad[i]));
  }
  assert_int_equal(entries(f), 0);
}

static void test_cog_refusals(void **state) {
  fixture *f = *state;
  const sky_field field = field_of(f);
  f->grid.x_edge[2] += 0.01;
  assert_int_equal(sky_cog_write(f->ctx, in_dir(f, "x.tif"), &f->grid, &field, NULL), SKY_E_FORMAT);
  f->grid.x_edge[2] -= 0.01;
  f->value[3] = INFINITY;
  assert_int_equal(sky_cog_write(f->ctx, f->path, &f->grid, &field, NULL), SKY_E_RANGE);
  f->value[3] = 3;
  strcpy(f->grid.crs, "EPSG:99999");
  assert_int_equal(sky_cog_write(f->ctx, f->path, &f->grid, &field, NULL), SKY_E_FORMAT);
  assert_non_null(strstr(sky_error(f->ctx), "EPSG:99999"));
  assert_int_equal(entries(f), 0);
}

static void test_all_nodata(void **state) {
  fixture *f = *state;
  for (int i = 0; i < 24; i++)
    f->value[i] = NAN;
  const sky_field field = field_of(f);
  assert_int_equal(sky_cog_write(f->ctx, in_dir(f, "x.tif"), &f->grid, &field, NULL), SKY_OK);
  assert_int_equal(sky_fields_nc_write(f->ctx, in_dir(f, "x.nc"), &f->grid, &field, 1, NULL),
                   SKY_OK);
}

static void test_nc_types(void **state) {
  fixture *f = *state;
  sky_ncw *w = NULL;
  const int32_t i32[] = {-1, 2, 3};
  const uint64_t u64[] = {UINT64_C(20230402150900123), 0, UINT64_MAX};
  const char *const text[] = {"a", "", "b\xc3\xbc"};
  assert_int_equal(sky_ncw_create(f->ctx, in_dir(f, "t.nc"), &w), SKY_OK);
  assert_int_equal(sky_ncw_dim(w, "n", 3), SKY_OK);
  assert_int_equal(sky_ncw_dim(w, "none", 0), SKY_OK);
  assert_int_equal(sky_ncw_var(w, "i", 'i', "n"), SKY_OK);
  assert_int_equal(sky_ncw_var(w, "b", 'b', "n"), SKY_OK);
  assert_int_equal(sky_ncw_att_flags(w, "b", "flag_values", i32, 3), SKY_OK);
  assert_int_equal(sky_ncw_var(w, "u", 'u', "n"), SKY_OK);
  assert_int_equal(sky_ncw_var(w, "s", 's', "n"), SKY_OK);
  assert_int_equal(sky_ncw_var(w, "e", 'd', "none,n"), SKY_OK);
  assert_int_equal(sky_ncw_put_i32(w, "i", i32), SKY_OK);
  assert_int_equal(sky_ncw_put_i32(w, "b", i32), SKY_OK);
  assert_int_equal(sky_ncw_put_u64(w, "u", u64), SKY_OK);
  assert_int_equal(sky_ncw_put_strings(w, "s", text), SKY_OK);
  assert_int_equal(sky_ncw_put(w, "e", f->value), SKY_OK);
  assert_false(sky_file_exists(f->path)); /* nothing is there before the commit */
  assert_int_equal(sky_ncw_commit(w), SKY_OK);
  assert_true(sky_file_exists(f->path));
  assert_int_equal(entries(f), 1);
}

static void test_nc_misuse(void **state) {
  fixture *f = *state;
  sky_ncw *w = NULL;
  assert_int_equal(sky_ncw_create(f->ctx, in_dir(f, "t.nc"), &w), SKY_OK);
  assert_int_equal(sky_ncw_var(w, "x", 'd', "nowhere"), SKY_E_INTERNAL);
  assert_int_equal(sky_ncw_put(w, "y", f->value), SKY_E_INTERNAL);
  sky_ncw_abort(w);
  assert_int_equal(sky_ncw_create(f->ctx, "/nowhere/t.nc", &w), SKY_OK);
  assert_int_equal(sky_ncw_commit(w), SKY_E_DISK);
  assert_int_equal(entries(f), 0);
}

static sky_status write_report(fixture *f) {
  static double x[] = {1, 5, 5, 1}, y[] = {1, 1, 3, 3};
  sky_ring ring = {4, x, y, false};
  sky_zone zone = {.id = "a", .name = "A", .level = "zone", .n_rings = 1, .ring = &ring};
  const sky_zones zones = {1, &zone};
  const sky_zone_row row = {.zone_id = "a", .gas = "ch4", .posterior = 3, .status = "higher"};
  const sky_report_layer layer = {"ch4", "x", "1", &f->grid, f->value, true};
  const sky_report_headline headline = {"ch4", "one"};
  const sky_report_fact fact = {"inputs", "label", "value"};
  const sky_report r = {"t", "s", NULL, &layer, 1, &zones, &row, 1, &fact, 1, &headline, 1};
  return sky_report_write(f->ctx, in_dir(f, "r.html"), &r);
}

/* A file-size limit stands for a full disk: writes fail half way in the same manner. */
static void test_disk_full(void **state) {
  fixture *f = *state;
  sky_grid big = {0};
  struct rlimit before, small;
  assert_int_equal(sky_grid_from_box(f->ctx, "EPSG:4326", 0, 0, 40, 40, 0.1, 0.1, &big), SKY_OK);
  double *v = SKY_NEW(f->ctx, double, sky_grid_cells(&big));
  for (size_t i = 0; i < sky_grid_cells(&big); i++)
    v[i] = sin((double)i * (double)i);
  const sky_field field = {"x", "x", NULL, "1", SKY_FIELD_INTENSIVE, v};
  const sky_zone_row row = {.zone_id = "a", .gas = "ch4"};

  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  small = (struct rlimit){.rlim_cur = 20000, .rlim_max = before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const sky_status nc = sky_fields_nc_write(f->ctx, in_dir(f, "x.nc"), &big, &field, 1, NULL);
  const sky_status tif = sky_cog_write(f->ctx, in_dir(f, "x.tif"), &big, &field, NULL);
  const sky_status gpkg =
      sky_zone_table_gpkg(f->ctx, in_dir(f, "z.gpkg"), "EPSG:4326", NULL, &row, 1);
  const sky_status html = write_report(f);
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_equal(html, SKY_E_DISK);
  assert_int_equal(nc, SKY_E_DISK);
  assert_int_equal(tif, SKY_E_DISK);
  assert_int_equal(gpkg, SKY_E_DISK);
  assert_int_equal(entries(f), 0);

  assert_int_equal(sky_fields_nc_write(f->ctx, in_dir(f, "x.nc"), &big, &field, 1, NULL), SKY_OK);
  sky_free(v);
  sky_grid_free(&big);
}

static void test_report_without_anything(void **state) {
  fixture *f = *state;
  const sky_report r = {.title = "nothing"};
  assert_int_equal(sky_report_write(f->ctx, in_dir(f, "r.html"), &r), SKY_OK);
  char *text = NULL;
  size_t n = 0;
  assert_int_equal(sky_file_read_text(f->ctx, f->path, &text, &n), SKY_OK);
  assert_null(strstr(text, "id=\"map\""));
  assert_null(strstr(text, "<h2>"));
  sky_free(text);
}

static void test_report_of_projected_grid(void **state) {
  fixture *f = *state;
  sky_grid_free(&f->grid);
  assert_int_equal(sky_grid_from_box(f->ctx, "EPSG:32650", 400000, 4400000, 406000, 4404000, 1000,
                                     1000, &f->grid),
                   SKY_OK);
  for (int i = 0; i < 24; i++)
    f->value[i] = NAN;
  assert_int_equal(write_report(f), SKY_OK);
  char *text = NULL;
  size_t n = 0;
  assert_int_equal(sky_file_read_text(f->ctx, f->path, &text, &n), SKY_OK);
  const char *bounds = strstr(text, "\"bounds\":[[");
  double south = 0, west = 0;
  assert_non_null(bounds);
  assert_int_equal(sscanf(bounds, "\"bounds\":[[%lf,%lf]", &south, &west), 2);
  assert_true(fabs(south - 39.744) < 0.01 && fabs(west - 115.83) < 0.01);
  assert_non_null(strstr(text, "\"stops\":[]")); /* no value, no ramp */
  sky_free(text);
}

static sky_status write_nth(fixture *f, int what) {
  const sky_field field = field_of(f);
  const sky_zone_row row = {.zone_id = "a", .gas = "ch4", .status = "higher"};
  switch (what) {
    case 0:
      return sky_fields_nc_write(f->ctx, in_dir(f, "x.nc"), &f->grid, &field, 1, NULL);
    case 1:
      return sky_cog_write(f->ctx, in_dir(f, "x.tif"), &f->grid, &field, NULL);
    case 2:
      return write_report(f);
    default:
      return sky_zone_table_gpkg(f->ctx, in_dir(f, "z.gpkg"), "EPSG:4326", NULL, &row, 1);
  }
}

/* Whichever allocation fails, the writer says so and leaves nothing behind. */
static void test_allocation_faults(void **state) {
  fixture *f = *state;
  for (int what = 0; what < 4; what++) {
    sky_status st = SKY_E_NOMEM;
    for (uint64_t n = 1; n < 400 && st == SKY_E_NOMEM; n++) {
      sky_memory_fail_at(f->ctx, n);
      st = write_nth(f, what);
      sky_memory_fail_at(f->ctx, 0);
      if (st != SKY_OK) assert_int_equal(entries(f), 0);
    }
    assert_int_equal(st, SKY_OK);
    unlink(in_dir(f, "x.nc"));
    unlink(in_dir(f, "x.tif"));
    unlink(in_dir(f, "x.qml"));
    unlink(in_dir(f, "r.html"));
  }
}

static void test_ramp(void **state) {
  fixture *f = *state;
  sky_ramp r;
  uint8_t low[3], high[3], middle[3];
  double v[200];
  for (int i = 0; i < 200; i++)
    v[i] = i;
  v[199] = 1e9; /* one hot cell */
  v[0] = NAN;
  assert_int_equal(sky_ramp_fit(f->ctx, v, 200, false, &r), SKY_OK);
  assert_true(r.high < 200 && r.low > 0);
  sky_ramp_colour(&r, -5, low);
  sky_ramp_colour(&r, 1e9, high);
  assert_memory_equal(low, r.colour[0], 3);
  assert_memory_equal(high, r.colour[SKY_RAMP_STOPS - 1], 3);
  const double both[] = {-1, 4};
  assert_int_equal(sky_ramp_fit(f->ctx, both, 2, true, &r), SKY_OK);
  assert_true(r.low == -4 && r.high == 4);
  sky_ramp_colour(&r, 0, middle);
  assert_memory_equal(middle, r.colour[SKY_RAMP_STOPS / 2], 3);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {T(test_numbers_read_back),
                                     T(test_json),
                                     T(test_table_round_trip),
                                     T(test_empty_table),
                                     T(test_units_refused),
                                     T(test_cog_refusals),
                                     T(test_all_nodata),
                                     T(test_nc_types),
                                     T(test_nc_misuse),
                                     T(test_disk_full),
                                     T(test_allocation_faults),
                                     T(test_ramp),
                                     T(test_report_without_anything),
                                     T(test_report_of_projected_grid)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
