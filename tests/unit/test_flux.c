/* Gridded fluxes: units, sectors, time means, totals, and files that cannot be a prior. */
#include <math.h>
#include <unistd.h>

#include "grids/ellipsoid.h"
#include "grids/grid_area.h"
#include "grids/regrid.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/read/flux.h"
#include "tests/support/sky_cmocka.h"
#include "tests/unit/fixture_gridded.h"

#define DATA SKYFLUX_DATA "/data/"

static sky_flux_options options(const char *gas, const char *variable) {
  return (sky_flux_options){.gas = gas,
                            .variable = variable,
                            .start = NAN,
                            .end = NAN,
                            .stated_dx = NAN,
                            .stated_dy = NAN};
}

static double mass(const char *gas) {
  return sky_species_find(gas)->molar_mass;
}

/* 3×4 cells of 0.1°, values row-major from the north if flip. */
static int start_file(const char *path, bool flip, int dims[2]) {
  const int nc = fx_create(path);
  dims[0] = fx_axis(nc, "lat", 3, flip ? 50.25 : 50.05, flip ? -0.1 : 0.1, "degrees_north");
  dims[1] = fx_axis(nc, "lon", 4, 10.05, 0.1, "degrees_east");
  return nc;
}

static void units_become_moles(void **state) {
  sky_context *ctx = *state;
  const struct {
    const char *units;
    double to_mol;
  } cases[] = {{"mol/m2/s", 1},
               {"umol m-2 s-1", 1e-6},
               {"kg m-2 s-1", 1 / mass("ch4")},
               {"g m-2 day-1", 1e-3 / 86400 / mass("ch4")},
               {"moleccm-2s-1", 1e4 / SKY_N_AVOGADRO}};
  double v[12];
  for (int i = 0; i < 12; i++)
    v[i] = i + 1;
  for (size_t c = 0; c < 5; c++) {
    for (int flip = 0; flip < 2; flip++) {
      int dims[2];
      const int nc = start_file("flux_units.nc", flip == 1, dims);
      fx_var(nc, "emissions", 2, dims, cases[c].units, NULL, v);
      fx_text(nc, NULL, "title", "made");
      fx_close(nc);
      const sky_flux_options opt = options("ch4", NULL);
      sky_flux f;
      assert_int_equal(sky_flux_read(ctx, "flux_units.nc", &opt, &f), SKY_OK);
      assert_string_equal(f.units, cases[c].units);
      assert_string_equal(f.title, "made");
      assert_string_equal(f.sector[0], "emissions");
      double total = 0, area[12];
      assert_int_equal(sky_grid_areas(ctx, &f.grid, area), SKY_OK);
      for (size_t i = 0; i < 12; i++) {
        const size_t row = flip ? 2 - i / 4 : i / 4;
        assert_close(f.flux[i], v[row * 4 + i % 4] * cases[c].to_mol, 1e-14);
        total += f.flux[i] * area[i] * mass("ch4") * SKY_SECONDS_PER_YEAR;
      }
      assert_close(f.total, total, 1e-14);
      assert_true(isnan(f.stated_total) && isnan(f.time_start));
      assert_int_equal(f.n_times, 1);
      sky_flux_free(&f);
    }
  }
  unlink("flux_units.nc");
}

static void sectors_are_summed(void **state) {
  sky_context *ctx = *state;
  int dims[2];
  double a[12], b[12];
  for (int i = 0; i < 12; i++) {
    a[i] = i;
    b[i] = 100 - i;
  }
  b[5] = NAN;
  const int nc = start_file("flux_sum.nc", false, dims);
  fx_var(nc, "emis_a", 2, dims, "kg m-2 s-1", NULL, a);
  fx_var(nc, "emis_b", 2, dims, NULL, NULL, b);
  fx_var(nc, "area", 2, dims, "m2", NULL, a);
  fx_close(nc);
  sky_flux_options opt = options("co2", "emis_*");
  sky_flux f = {0};
  assert_fails(ctx, sky_flux_read(ctx, "flux_sum.nc", &opt, &f), SKY_E_UNITS, "emis_b");
  opt.units = "kg m-2 s-1";
  assert_int_equal(sky_flux_read(ctx, "flux_sum.nc", &opt, &f), SKY_OK);
  assert_int_equal(f.n_sectors, 2);
  for (size_t i = 0; i < 12; i++) {
    if (i == 5)
      assert_true(isnan(f.flux[i])); /* a part is missing: the sum is not known */
    else
      assert_close(f.flux[i] * mass("co2"), 100, 1e-14);
  }
  assert_true(f.sector_total[0] > 0 && f.sector_total[1] > f.sector_total[0]);
  sky_flux_free(&f);
  opt.variable = "nothing_*";
  assert_fails(ctx, sky_flux_read(ctx, "flux_sum.nc", &opt, &f), SKY_E_FORMAT, "nothing_*");
  opt.variable = NULL; /* only emis_a is in a unit of flux */
  assert_int_equal(sky_flux_read(ctx, "flux_sum.nc", &opt, &f), SKY_OK);
  assert_int_equal(f.n_sectors, 1);
  sky_flux_free(&f);
  opt.gas = "xe";
  assert_fails(ctx, sky_flux_read(ctx, "flux_sum.nc", &opt, &f), SKY_E_GAS, "xe");
  unlink("flux_sum.nc");
}

static void means_over_a_period(void **state) {
  sky_context *ctx = *state;
  const int nc = fx_create("flux_time.nc");
  const int dims[3] = {fx_axis(nc, "lat", 2, 50, 1, "degrees_north"),
                       fx_axis(nc, "lon", 2, 359, 1, "degrees_east"), fx_dim(nc, "time", 3)};
  const double days[3] = {0, 31, 59};
  const double v[12] = {1, 2, 4, 1, 2, 4, 1, 2, 4, 1, 2, NAN};
  fx_var(nc, "time", 1, dims + 2, "days since 2019-01-01", NULL, days);
  fx_var(nc, "flux", 3, dims, "mol/m2/s", NULL, v);
  fx_close(nc);
  sky_flux_options opt = options("ch4", NULL);
  sky_flux f;
  assert_int_equal(sky_flux_read(ctx, "flux_time.nc", &opt, &f), SKY_OK);
  assert_int_equal(f.n_times, 3);
  assert_close(f.flux[0], (31 * 1 + 28 * 2 + 28 * 4) / 87.0, 1e-14);
  assert_true(isnan(f.flux[3]));
  assert_true(f.time_start == 1546300800);
  sky_flux_free(&f);
  opt.start = 1546300800 + 31 * 86400.0; /* February only: the end is open */
  opt.end = 1546300800 + 59 * 86400.0;
  assert_int_equal(sky_flux_read(ctx, "flux_time.nc", &opt, &f), SKY_OK);
  assert_int_equal(f.n_times, 1);
  assert_close(f.flux[3], 2, 1e-15);
  sky_flux_free(&f);
  opt.start = 1546300800 + 400 * 86400.0;
  opt.end = NAN;
  assert_fails(ctx, sky_flux_read(ctx, "flux_time.nc", &opt, &f), SKY_E_NODATA, "2019-03-01");
  unlink("flux_time.nc");
}

/* What a file says about its resolution, against axes 0.1° apart. */
static void decimated_files_are_no_prior(void **state) {
  sky_context *ctx = *state;
  const struct {
    const char *name, *text;
    bool refused;
  } cases[] = {{"history", "Created from original data (0.1x0.1 degrees)", false},
               {"history", "Created from original data (0.02x0.02 degrees)", true},
               {"comment", "on a 0.05° × 0.05° grid", true},
               {"resolution", "0.1 x 0.2 degree", true},
               {"history", "0.02x0.02 degrees, then cdo remapcon", false},
               {"title", "0.5 x 0.5 degree inventory regridded to our domain", false},
               {"source", "25x25km", false},
               {"prior_file_1_raw_resolution", "0.5 x 0.5 degrees", false}};
  const double v[12] = {0};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int dims[2];
    const int nc = start_file("flux_prior.nc", false, dims);
    fx_var(nc, "flux", 2, dims, "mol/m2/s", NULL, v);
    fx_text(nc, NULL, cases[i].name, cases[i].text);
    fx_close(nc);
    sky_flux_options opt = options("ch4", NULL);
    sky_flux f = {0};
    assert_int_equal(sky_flux_read(ctx, "flux_prior.nc", &opt, &f), SKY_OK);
    sky_flux_free(&f);
    opt.as_prior = true;
    if (cases[i].refused) {
      assert_fails(ctx, sky_flux_read(ctx, "flux_prior.nc", &opt, &f), SKY_E_COVERAGE, "0.1 x 0.1");
    } else {
      assert_int_equal(sky_flux_read(ctx, "flux_prior.nc", &opt, &f), SKY_OK);
      sky_flux_free(&f);
    }
    opt.stated_dx = opt.stated_dy = 0.02; /* the job's word counts more */
    assert_fails(ctx, sky_flux_read(ctx, "flux_prior.nc", &opt, &f), SKY_E_COVERAGE, "0.02");
    opt.stated_dx = opt.stated_dy = 0.1;
    assert_int_equal(sky_flux_read(ctx, "flux_prior.nc", &opt, &f), SKY_OK);
    sky_flux_free(&f);
  }
  int dims[2];
  const int nc = start_file("flux_prior.nc", false, dims);
  fx_var(nc, "flux", 2, dims, "mol/m2/s", NULL, v);
  fx_text(nc, NULL, "history", "from 0.5x0.5 degrees");
  fx_text(nc, NULL, "regridder_used", "own");
  fx_close(nc);
  sky_flux_options opt = options("ch4", NULL);
  opt.as_prior = true;
  sky_flux f;
  assert_int_equal(sky_flux_read(ctx, "flux_prior.nc", &opt, &f), SKY_OK);
  sky_flux_free(&f);
  unlink("flux_prior.nc");
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  int dims[2];
  const double v[12] = {0};
  const int nc = start_file("flux_fault.nc", false, dims);
  fx_var(nc, "emi_ch4", 2, dims, "kg m-2 s-1", NULL, v);
  fx_text(nc, "emi_ch4", "total_emi_ch4", "   3.5e+011 kg/year");
  fx_text(nc, NULL, "title", "made");
  fx_text(nc, NULL, "history", "original data (0.1x0.1 degrees)");
  fx_close(nc);
  sky_flux_options opt = options("ch4", NULL);
  opt.as_prior = true;
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 1000 && st != SKY_OK; n++) {
    sky_flux f = {0};
    sky_memory_fail_at(ctx, n);
    st = sky_flux_read(ctx, "flux_fault.nc", &opt, &f);
    sky_memory_fail_at(ctx, 0);
    if (st == SKY_OK)
      assert_close(f.stated_total, 3.5e11, 1e-12);
    else
      assert_int_equal(st, SKY_E_NOMEM);
    sky_flux_free(&f);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 20);
  unlink("flux_fault.nc");
}

/* ---- real files ---- */

static void every_51st_cell_is_refused(void **state) {
  sky_context *ctx = *state;
  const struct {
    const char *file, *gas;
    double stated;
  } cases[] = {
      {DATA "inventories/v50_CH4_2015.5.3x5.1.nc", "ch4", 3.69321e11},
      {DATA "inventories/v6.0_CH4_2015_TOTALS.5.3x5.1.nc", "ch4", 3.65667e11},
      {DATA "inventories/v6.0_N2O_2015_TOTALS.5.3x5.1.nc", "n2o", 8.89338e9},
      {DATA "inventories/v6.0_CO2_excl_short-cycle_org_C_2015_TOTALS.5.3x5.1.nc", "co2", NAN},
      {DATA "inventories/v6.0_CO2_org_short-cycle_C_2015_TOTALS.5.3x5.1.nc", "co2", NAN}};
  for (size_t i = 0; i < 5; i++) {
    if (access(cases[i].file, R_OK) != 0) skip();
    sky_flux_options opt = options(cases[i].gas, NULL);
    sky_flux f = {0};
    opt.as_prior = true;
    assert_fails(ctx, sky_flux_read(ctx, cases[i].file, &opt, &f), SKY_E_COVERAGE, "5.141 x 5.291");
    assert_non_null(strstr(sky_error(ctx), "0.1 x 0.1"));
    opt.as_prior = false;
    assert_int_equal(sky_flux_read(ctx, cases[i].file, &opt, &f), SKY_OK);
    if (!isnan(cases[i].stated)) assert_close(f.stated_total, cases[i].stated, 1e-12);
    assert_true(fabs(f.total / f.stated_total - 1) > 0.01); /* single cells miss the total */
    sky_flux_free(&f);
  }
}

static void hemco_files_need_units(void **state) {
  sky_context *ctx = *state;
  const char *const file = DATA "imi_permian_testcase/prior.nc";
  if (access(file, R_OK) != 0) skip();
  sky_flux_options opt = options("ch4", "EmisCH4_Total_ExclSoilAbs");
  sky_flux f = {0}, soil;
  assert_fails(ctx, sky_flux_read(ctx, file, &opt, &f), SKY_E_UNITS, "states no units");
  opt.units = "kg m-2 s-1";
  assert_int_equal(sky_flux_read(ctx, file, &opt, &f), SKY_OK);
  assert_int_equal(sky_grid_cells(&f.grid), 45 * 35);
  assert_float_equal(f.grid.x_edge[0], -108.90625, 1e-9);
  assert_true(f.total > 1e9 && f.total < 1e10);
  opt.variable = "EmisCH4_SoilAbsorb";
  assert_int_equal(sky_flux_read(ctx, file, &opt, &soil), SKY_OK);
  assert_true(soil.total < 0); /* a sink is negative */
  sky_flux_free(&f);
  sky_flux_free(&soil);
}

/* A rotated pole: each cell where the formulas of the rotation put it, with its true area. */
static void rotated_poles(void **state) {
  sky_context *ctx = *state;
  const char *const file = DATA "inventories/emis_2015_Berlin-coarse.nc";
  const double deg = M_PI / 180;
  if (access(file, R_OK) != 0) skip();
  sky_flux f = {0};
  sky_flux_options opt = options("co2", "CO2_02_AREA");
  assert_int_equal(sky_flux_read(ctx, file, &opt, &f), SKY_OK);
  assert_int_equal(f.grid.nx, 74);
  assert_int_equal(f.grid.ny, 64);
  double sphere = 0, *area = malloc(74 * 64 * sizeof *area);
  assert_int_equal(sky_grid_areas(ctx, &f.grid, area), SKY_OK);
  for (size_t iy = 0; iy < 64; iy++) {
    for (size_t ix = 0; ix < 74; ix++) {
      const double b = (2.3 + 0.1 * (double)iy) * deg, l = (-1.6 + 0.1 * (double)ix) * deg;
      /* pole at 43 N, 170 W: rotated (0, 0) is 47 N, 10 E */
      const double lat = asin(cos(43 * deg) * cos(b) * cos(l) + sin(43 * deg) * sin(b)) / deg;
      const double lon =
          10 +
          atan2(sin(l) * cos(b), sin(43 * deg) * cos(l) * cos(b) - cos(43 * deg) * sin(b)) / deg;
      const double s2 = sin(lat * deg) * sin(lat * deg), e2 = SKY_WGS84_F * (2 - SKY_WGS84_F);
      const double mn = SKY_WGS84_A * SKY_WGS84_A * (1 - e2) / ((1 - e2 * s2) * (1 - e2 * s2));
      const double want =
          mn * 0.1 * deg *
          (sin(b + 0.05 * deg) - sin(b - 0.05 * deg)); /* curvatures at the middle */
      double x, y;
      assert_int_equal(sky_grid_from_lonlat(ctx, &f.grid, 1, &lon, &lat, &x, &y), SKY_OK);
      assert_int_equal(sky_grid_find(&f.grid, x, y), iy * 74 + ix);
      assert_true(fabs(area[iy * 74 + ix] / want - 1) < 1e-6);
      sphere += f.flux[iy * 74 + ix] * want;
    }
  }
  /* A geographic grid around it takes all of it. */
  sky_grid g;
  sky_audit a;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 5, 47, 22, 58, 0.25, 0.25, &g), SKY_OK);
  double *out = malloc(sky_grid_cells(&g) * sizeof *out);
  assert_int_equal(sky_regrid_intensive(ctx, &f.grid, f.flux, &g, 0, out, NULL, &a), SKY_OK);
  assert_true(fabs(a.residual) < 1e-9 * a.gross && fabs(a.outside) < 1e-9 * a.gross);
  assert_true(fabs(a.out / sphere - 1) < 1e-6);
  free(out);
  free(area);
  sky_grid_free(&g);
  sky_flux_free(&f);
}

static void other_real_files(void **state) {
  sky_context *ctx = *state;
  const char *const many = DATA "inventories/ch4_intem.nc";
  const char *const ocean = DATA "openghg_co2_test/co2-nemo-ocean-mth_TEST_2014.nc";
  if (access(many, R_OK) != 0) skip();
  sky_flux f = {0};
  sky_flux_options opt = options("ch4", NULL);
  assert_fails(ctx, sky_flux_read(ctx, many, &opt, &f), SKY_E_FORMAT, "flux_mean");
  opt = options("co2", NULL);
  assert_int_equal(sky_flux_read(ctx, ocean, &opt, &f), SKY_OK);
  size_t nodata = 0;
  for (size_t i = 0; i < sky_grid_cells(&f.grid); i++)
    nodata += isnan(f.flux[i]);
  assert_int_equal(nodata, 74); /* land */
  sky_flux_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(units_become_moles),     SKY_UNIT(sectors_are_summed),
      SKY_UNIT(means_over_a_period),    SKY_UNIT(decimated_files_are_no_prior),
      SKY_UNIT(allocations_may_fail),   SKY_UNIT(every_51st_cell_is_refused),
      SKY_UNIT(hemco_files_need_units), SKY_UNIT(rotated_poles),
      SKY_UNIT(other_real_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
