/* Footprints: every layout and order of dimensions, refusals, joining, meshes, and real anchors. */
#include <math.h>
#include <unistd.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/read/flux.h"
#include "src/read/footprint.h"
#include "tests/support/sky_cmocka.h"
#include "tests/unit/fixture_gridded.h"

enum { NT = 3, NY = 4, NX = 5 };

static double value(size_t t, size_t y, size_t x) {
  return (x + y + t) % 3 == 0 ? 0 : 0.25 * (double)(1 + t * 100 + y * 10 + x);
}

/* fp in one of the orders; flip: latitudes descend in the file. */
static void write_fp(const char *path, const char *order, bool flip) {
  const int nc = fx_create(path);
  int id[3];
  size_t at[3], n[3];
  for (int d = 0; d < 3; d++) {
    if (order[d] == 't') id[d] = fx_axis(nc, "time", NT, 100, 1, "hours since 2023-04-02 00:00:00");
    if (order[d] == 'y')
      id[d] = fx_axis(nc, "lat", NY, flip ? 53 : 50, flip ? -1 : 1, "Degrees_north");
    if (order[d] == 'x') id[d] = fx_axis(nc, "lon", NX, -2, 0.5, "Degrees_east");
    n[d] = order[d] == 't' ? NT : order[d] == 'y' ? NY : NX;
  }
  double v[NT * NY * NX];
  size_t k = 0;
  for (at[0] = 0; at[0] < n[0]; at[0]++) {
    for (at[1] = 0; at[1] < n[1]; at[1]++) {
      for (at[2] = 0; at[2] < n[2]; at[2]++) {
        size_t t = 0, y = 0, x = 0;
        for (int d = 0; d < 3; d++) {
          if (order[d] == 't') t = at[d];
          if (order[d] == 'y') y = flip ? NY - 1 - at[d] : at[d];
          if (order[d] == 'x') x = at[d];
        }
        v[k++] = value(t, y, x);
      }
    }
  }
  fx_var(nc, "fp", 3, id, "(mol/mol)/(mol/m2/s)", NULL, v);
  fx_text(nc, "time", "label", "left");
  fx_text(nc, "time", "period", " 1.0 hours");
  fx_close(nc);
}

static void any_order_of_dimensions(void **state) {
  sky_context *ctx = *state;
  const char *const orders[] = {"tyx", "yxt", "xty", "xyt"};
  for (size_t o = 0; o < 4; o++) {
    for (int flip = 0; flip < 2; flip++) {
      sky_footprints f;
      write_fp("fp_order.nc", orders[o], flip == 1);
      assert_int_equal(sky_footprints_read(ctx, "fp_order.nc", &f), SKY_OK);
      assert_string_equal(f.format, "openghg");
      assert_false(f.column);
      assert_int_equal(f.n_receptors, NT);
      assert_int_equal(f.n_rows, NT);
      assert_int_equal(f.grid.nx, NX);
      assert_float_equal(f.grid.y_edge[0], 49.5, 1e-12);
      for (size_t t = 0; t < NT; t++) {
        double dense[NY * NX] = {0}, sum = 0;
        for (size_t k = f.rowptr[t]; k < f.rowptr[t + 1]; k++) {
          if (k > f.rowptr[t]) assert_true(f.col[k] > f.col[k - 1]);
          assert_true(f.val[k] != 0);
          dense[f.col[k]] = f.val[k];
        }
        for (size_t i = 0; i < NY * NX; i++) {
          assert_true(dense[i] == value(t, i / NX, i % NX));
          sum += dense[i];
        }
        assert_close(f.sum[t], sum, 1e-15);
        assert_int_equal(f.receptor[t], t);
        assert_true(isnan(f.flux_time[t]) && isnan(f.lon[t]) && isnan(f.outside[t]));
        assert_true(f.period[t] == 3600);
        assert_true(f.time[t] == 1680393600.0 + 3600.0 * (100 + (double)t));
      }
      sky_footprints_free(&f);
    }
  }
  unlink("fp_order.nc");
}

typedef struct variant { /* a 1×2×2 file with one thing changed */
  const char *file, *variable, *units, *label, *period, *global, *global_text;
  double first;
  const double *fill;
} variant;

static void write_variant(const variant *v) {
  const int nc = fx_create(v->file);
  const int dims[3] = {fx_axis(nc, "time", 1, 7, 1, "hours since 2023-04-02"),
                       fx_axis(nc, "latitude", 2, 50, 1, "degrees_north"),
                       fx_axis(nc, "longitude", 2, 0, 1, "degrees_east")};
  const double values[4] = {v->first, 1, 2, 4};
  fx_var(nc, v->variable, 3, dims, v->units, v->fill, values);
  if (v->label != NULL) fx_text(nc, "time", "label", v->label);
  if (v->period != NULL) fx_text(nc, "time", "period", v->period);
  if (v->global != NULL) fx_text(nc, NULL, v->global, v->global_text);
  const double lon = 0.5, left = 0.25;
  fx_var(nc, "release_lon", 1, dims, "degrees_east", NULL, &lon);
  const char *const sides[] = {"particle_locations_n", "particle_locations_e",
                               "particle_locations_s", "particle_locations_w"};
  for (size_t i = 0; i < 4; i++)
    fx_var(nc, sides[i], 1, dims, "1", NULL, &left);
  fx_close(nc);
}

#define UNIT "(mol/mol)/(mol/m2/s)"

static void labels_periods_and_places(void **state) {
  sky_context *ctx = *state;
  const struct {
    const char *label, *period;
    double start, seconds;
  } cases[] = {{"left", "1.0 hours", 7 * 3600, 3600},
               {"right", "1.0 hours", 6 * 3600, 3600},
               {"centre", "30 minutes", 7 * 3600 - 900, 1800},
               {NULL, "0.0166666666667 hours", 7 * 3600, 60},
               {NULL, NULL, 7 * 3600, 0}};
  for (size_t i = 0; i < 5; i++) {
    const variant v = {.file = "fp_label.nc",
                       .variable = "srr",
                       .units = UNIT,
                       .label = cases[i].label,
                       .period = cases[i].period};
    sky_footprints f;
    write_variant(&v);
    assert_int_equal(sky_footprints_read(ctx, v.file, &f), SKY_OK);
    assert_string_equal(f.format, "paris");
    assert_true(f.time[0] == 1680393600.0 + cases[i].start);
    assert_true(f.period[0] == cases[i].seconds);
    assert_true(f.lon[0] == 0.5 && isnan(f.lat[0]));
    assert_true(f.outside[0] == 1);
    assert_int_equal(f.rowptr[1], 3);
    sky_footprints_free(&f);
  }
  unlink("fp_label.nc");
}

static void columns_are_recognised(void **state) {
  sky_context *ctx = *state;
  const struct {
    const char *file, *global, *text;
    bool column;
  } cases[] = {{"fp_x.nc", NULL, NULL, false},        {"fp_THW-column_x.nc", NULL, NULL, true},
               {"fp_columnar.nc", NULL, NULL, false}, {"fp_x.nc", "max_level", "17", true},
               {"fp_x.nc", "inlet", "column", true},  {"fp_x.nc", "site", "MHD", false}};
  for (size_t i = 0; i < 6; i++) {
    const variant v = {.file = cases[i].file,
                       .variable = "fp",
                       .units = UNIT,
                       .global = cases[i].global,
                       .global_text = cases[i].text};
    sky_footprints f;
    write_variant(&v);
    assert_int_equal(sky_footprints_read(ctx, v.file, &f), SKY_OK);
    assert_int_equal(f.column, cases[i].column);
    sky_footprints_free(&f);
    unlink(v.file);
  }
}

static void defects_are_named(void **state) {
  sky_context *ctx = *state;
  const double nan_fill = NAN;
  const struct {
    variant v;
    sky_status status;
    const char *part;
  } cases[] = {
      {{.units = NULL}, SKY_E_UNITS, "no units"},
      {{.units = "s m3 kg-1"}, SKY_E_UNITS, "s m3 kg-1"},
      {{.units = UNIT, .first = -1e-9}, SKY_E_RANGE, "-1e-09"},
      {{.units = UNIT, .first = NAN}, SKY_E_RANGE, "nan"},
      {{.units = UNIT, .first = NAN, .fill = &nan_fill}, SKY_E_RANGE, "nan"},
      {{.units = UNIT, .first = INFINITY}, SKY_E_RANGE, "inf"},
      {{.units = UNIT, .label = "middle"}, SKY_E_FORMAT, "middle"},
      {{.units = UNIT, .period = "1 kg"}, SKY_E_UNITS, "period"},
      {{.units = UNIT, .variable = "footprint"}, SKY_E_FORMAT, "looked for fp, srr and foot"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    variant v = cases[i].v;
    v.file = "fp_bad.nc";
    if (v.variable == NULL) v.variable = "fp";
    sky_footprints f = {0};
    write_variant(&v);
    assert_fails(ctx, sky_footprints_read(ctx, v.file, &f), cases[i].status, cases[i].part);
    assert_non_null(strstr(sky_error(ctx), "fp_bad.nc"));
    assert_null(f.rowptr);
  }
  unlink("fp_bad.nc");
  sky_footprints f;
  assert_int_equal(sky_footprints_read(ctx, "fp_absent.nc", &f), SKY_E_MISSING);
}

static void write_stilt(const char *path, size_t layers) {
  const int nc = fx_create(path);
  const int dims[3] = {fx_dim(nc, "time", layers), fx_axis(nc, "lat", 2, 40, 0.01, "degrees_north"),
                       fx_axis(nc, "lon", 2, -112, 0.01, "degrees_east")};
  const double times[2] = {1449684000, 1449691200}; /* the hour between is empty and missing */
  const double fill = -1, values[8] = {0, -1, 0.5, 0, 1, 2, -1, 3};
  fx_var(nc, "time", 1, dims, "seconds since 1970-01-01 00:00:00Z", NULL, times);
  fx_var(nc, "foot", 3, dims, "ppm (umol-1 m2 s)", &fill, values);
  fx_close(nc);
}

static void stilt_hours_and_receptor(void **state) {
  sky_context *ctx = *state;
  const char *const name = "201512092200_-112.005_40.5_5_foot.nc";
  sky_footprints f;
  double expected;
  write_stilt(name, 2);
  assert_int_equal(sky_footprints_read(ctx, name, &f), SKY_OK);
  assert_int_equal(sky_time_parse(ctx, "2015-12-09T22:00:00Z", &expected), SKY_OK);
  assert_string_equal(f.format, "stilt");
  assert_int_equal(f.n_receptors, 1);
  assert_int_equal(f.n_rows, 2);
  assert_true(f.time[0] == expected && f.lon[0] == -112.005 && f.lat[0] == 40.5);
  assert_false(f.column);
  assert_true(f.flux_time[0] == 1449684000 && f.flux_time[1] == 1449691200);
  assert_int_equal(f.receptor[1], 0);
  assert_true(f.sum[0] == 0.5 && f.sum[1] == 6); /* fill counts as no influence */
  assert_int_equal(f.rowptr[2], 4);
  sky_footprints_free(&f);
  unlink(name);

  write_stilt("2015120922_-112_40.5_X_foot.nc", 1); /* X-STILT, integrated over time */
  assert_int_equal(sky_footprints_read(ctx, "2015120922_-112_40.5_X_foot.nc", &f), SKY_OK);
  assert_true(f.column);
  assert_true(f.time[0] == expected);
  assert_true(isnan(f.flux_time[0]));
  sky_footprints_free(&f);
  unlink("2015120922_-112_40.5_X_foot.nc");

  write_stilt("unnamed_foot.nc", 2);
  assert_int_equal(sky_footprints_read(ctx, "unnamed_foot.nc", &f), SKY_OK);
  assert_true(isnan(f.time[0]) && isnan(f.lon[0]));
  sky_footprints_free(&f);
  unlink("unnamed_foot.nc");
}

static void files_are_joined(void **state) {
  sky_context *ctx = *state;
  sky_footprints all = {0}, one;
  write_fp("fp_join.nc", "tyx", false);
  assert_int_equal(sky_footprints_read(ctx, "fp_join.nc", &one), SKY_OK);
  for (size_t k = 0; k < 5; k++)
    assert_int_equal(sky_footprints_append(ctx, &all, &one), SKY_OK);
  assert_int_equal(all.n_receptors, 5 * NT);
  assert_int_equal(all.n_rows, 5 * NT);
  const size_t nnz = one.rowptr[NT];
  assert_int_equal(all.rowptr[5 * NT], 5 * nnz);
  assert_memory_equal(all.val + 4 * nnz, one.val, nnz * sizeof *one.val);
  assert_memory_equal(all.col + 4 * nnz, one.col, nnz * sizeof *one.col);
  assert_int_equal(all.receptor[4 * NT + 1], 4 * NT + 1);
  assert_true(all.sum[4 * NT + 2] == one.sum[2]);
  for (size_t i = 0; i <= one.grid.nx; i++)
    one.grid.x_edge[i] += 0.1;
  assert_fails(ctx, sky_footprints_append(ctx, &all, &one), SKY_E_COVERAGE, "0.5x1");
  sky_footprints_free(&one);
  assert_int_equal(sky_footprints_read(ctx, "fp_join.nc", &one), SKY_OK);
  one.column = true;
  assert_fails(ctx, sky_footprints_append(ctx, &all, &one), SKY_E_FORMAT, "column");
  sky_footprints_free(&one);
  sky_footprints_free(&all);
  unlink("fp_join.nc");
}

static sky_mesh one_grid(sky_context *ctx, double w, double s, double e, double n, double dx,
                         double dy) {
  sky_grid g;
  sky_mesh m;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", w, s, e, n, dx, dy, &g), SKY_OK);
  assert_int_equal(sky_mesh_create(ctx, &g, NULL, NULL, 0, &m), SKY_OK);
  sky_grid_free(&g);
  return m;
}

static void meshes_keep_the_sum(void **state) {
  sky_context *ctx = *state;
  sky_footprints f, m;
  sky_mesh mesh = one_grid(ctx, -1.9, 50.1, 0.1, 53.4, 0.4, 1.1);
  double outside[NT];
  write_fp("fp_mesh.nc", "yxt", true);
  assert_int_equal(sky_footprints_read(ctx, "fp_mesh.nc", &f), SKY_OK);
  assert_int_equal(sky_footprints_to_mesh(ctx, &f, &mesh, &m, outside), SKY_OK);
  for (size_t t = 0; t < NT; t++) {
    assert_true(outside[t] > 0);
    assert_close(m.sum[t] + outside[t], f.sum[t], 1e-12);
    assert_true(m.time[t] == f.time[t] && m.receptor[t] == t);
    double sum = 0;
    for (size_t k = m.rowptr[t]; k < m.rowptr[t + 1]; k++)
      sum += m.val[k];
    assert_close(sum, m.sum[t], 1e-14);
  }
  f.sum[1] *= 1 + 1e-11; /* a row whose books do not balance */
  sky_footprints again = {0};
  assert_fails(ctx, sky_footprints_to_mesh(ctx, &f, &mesh, &again, outside), SKY_E_MASS, "row 1");
  sky_footprints_free(&m);
  sky_footprints_free(&f);
  sky_mesh_free(&mesh);
  unlink("fp_mesh.nc");
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  sky_mesh mesh = one_grid(ctx, -2, 50, 0, 53, 1, 1);
  write_fp("fp_fault.nc", "tyx", false);
  write_stilt("201512092200_-112_40.5_5_foot.nc", 2);
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 1000 && st != SKY_OK; n++) {
    sky_footprints a = {0}, b = {0}, c = {0};
    double outside[2 * NT];
    sky_memory_fail_at(ctx, n);
    st = sky_footprints_read(ctx, "fp_fault.nc", &b);
    if (st == SKY_OK) st = sky_footprints_append(ctx, &a, &b);
    if (st == SKY_OK) st = sky_footprints_append(ctx, &a, &b);
    if (st == SKY_OK) st = sky_footprints_to_mesh(ctx, &a, &mesh, &c, outside);
    if (st == SKY_OK) {
      sky_footprints_free(&b);
      st = sky_footprints_read(ctx, "201512092200_-112_40.5_5_foot.nc", &b);
    }
    sky_memory_fail_at(ctx, 0);
    sky_footprints_free(&a);
    sky_footprints_free(&b);
    sky_footprints_free(&c);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 50);
  sky_mesh_free(&mesh);
  unlink("fp_fault.nc");
  unlink("201512092200_-112_40.5_5_foot.nc");
}

/* ---- real files ---- */

#define DATA SKYFLUX_DATA "/data/"
#define THW DATA "footprints/THW-column_NAME_UMG_EUROPE_TEST_inert_202304.nc"

static bool have(const char *path) {
  if (access(path, R_OK) == 0) return true;
  print_message("skipped: %s is not there\n", path);
  return false;
}

static void read_real(sky_context *ctx, const char *path, sky_footprints *f) {
  if (sky_footprints_read(ctx, path, f) != SKY_OK) fail_msg("%s", sky_error(ctx));
}

static void real_sums(void **state) {
  sky_context *ctx = *state;
  const double hours[4] = {2.521385, 2.654877, 2.705627, 2.873566};
  const double stilt[6] = {0.007275, 0.013047, 0.028145, 0.048596, 0.018696, 0.636607};
  sky_footprints f;
  if (!have(THW)) skip();
  read_real(ctx, THW, &f);
  assert_true(f.column);
  assert_int_equal(f.n_rows, 4);
  for (size_t i = 0; i < 4; i++) {
    assert_true(fabs(f.sum[i] - hours[i]) <= 1e-6);
    assert_true(f.time[i] == 1680444000.0 + 3600.0 * (double)i); /* 14 to 17 UTC */
    assert_true(f.outside[i] > 0.99 && f.outside[i] < 1);
    assert_false(fabs(f.sum[i] - hours[(i + 1) % 4]) <= 1e-6); /* an hour off must not pass */
  }
  sky_footprints_free(&f);
  read_real(ctx, DATA "footprints/stilt_r_foot.nc", &f);
  for (size_t i = 0; i < 6; i++)
    assert_true(fabs(f.sum[i] - stilt[i]) <= 1e-6);
  assert_true(fabs(sky_sum(f.sum, 6) - 0.752367) <= 1e-6);
  sky_footprints_free(&f);
  const struct { /* means over all observations of a file */
    const char *file;
    size_t rows;
    double mean, tolerance;
  } others[] = {
      {DATA "footprints/TAC-100magl_UKV_co2_TEST_201407.nc", 73, 1.76597, 5e-6},
      {DATA "footprints/MHD-10magl_FLEXPART_ECMWFHRES_TEST_inert_201809.nc", 49, 3.2386e-5, 5e-10}};
  for (size_t i = 0; i < 2; i++) {
    read_real(ctx, others[i].file, &f);
    assert_int_equal(f.n_rows, others[i].rows);
    const double mean = sky_sum(f.sum, f.n_rows) / (double)f.n_rows;
    assert_true(fabs(mean - others[i].mean) <= others[i].tolerance);
    sky_footprints_free(&f);
  }
  sky_footprints g = {0};
  assert_fails(ctx, sky_footprints_read(ctx, DATA "footprints/footprint_test.nc", &g), SKY_E_FORMAT,
               "index=117563");
  assert_fails(ctx, sky_footprints_read(ctx, DATA "footprints/grid_time_20091130210000.nc", &g),
               SKY_E_FORMAT, "no footprint variable");
}

/* Σ srr·flux in ppb; flip reads the flux upside down, sign turns it round. */
static double forward(const sky_footprints *f, size_t row, const sky_flux *flux, bool flip) {
  double sum = 0;
  for (size_t k = f->rowptr[row]; k < f->rowptr[row + 1]; k++) {
    const size_t ix = (size_t)f->col[k] % f->grid.nx, iy = (size_t)f->col[k] / f->grid.nx;
    sum += f->val[k] * flux->flux[(flip ? f->grid.ny - 1 - iy : iy) * f->grid.nx + ix];
  }
  return sum * 1e9;
}

static void real_forward_anchors(void **state) {
  sky_context *ctx = *state;
  const struct {
    const char *file;
    double ppb[4];
  } cases[] = {
      {DATA "openghg_ch4_europe2019/flux_total_ch4_europe_edgar7_2019-01-01_2019-12-31_data.nc",
       {4.9761, 5.3076, 5.1753, 5.7213}},
      {DATA "inventories/ch4-anthro_EUROPE_2012.nc", {9.8121, 10.4533, 10.8241, 11.8920}}};
  sky_footprints f;
  if (!have(THW)) skip();
  read_real(ctx, THW, &f);
  for (size_t c = 0; c < 2; c++) {
    const sky_flux_options opt = {.gas = "ch4",
                                  .variable = "flux",
                                  .start = NAN,
                                  .end = NAN,
                                  .as_prior = true,
                                  .stated_dx = NAN,
                                  .stated_dy = NAN};
    sky_flux flux;
    if (sky_flux_read(ctx, cases[c].file, &opt, &flux) != SKY_OK) fail_msg("%s", sky_error(ctx));
    assert_true(sky_grid_equal(&f.grid, &flux.grid));
    for (size_t i = 0; i < 4; i++) {
      const double got = forward(&f, i, &flux, false), want = cases[c].ppb[i];
      if (!(fabs(got - want) <= 5e-5)) fail_msg("hour %zu: %.6f, not %.4f", i, got, want);
      assert_false(fabs(forward(&f, (i + 1) % 4, &flux, false) - want) <= 5e-5);
      assert_false(fabs(forward(&f, i, &flux, true) - want) <= 5e-5);
      assert_false(fabs(-got - want) <= 5e-5);
    }
    sky_flux_free(&flux);
  }
  sky_footprints_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(any_order_of_dimensions),
      SKY_UNIT(labels_periods_and_places),
      SKY_UNIT(columns_are_recognised),
      SKY_UNIT(defects_are_named),
      SKY_UNIT(stilt_hours_and_receptor),
      SKY_UNIT(files_are_joined),
      SKY_UNIT(meshes_keep_the_sum),
      SKY_UNIT(allocations_may_fail),
      SKY_UNIT(real_sums),
      SKY_UNIT(real_forward_anchors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
