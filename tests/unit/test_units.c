/* Units, spellings of real files, gases. */
#include <math.h>
#include <pthread.h>

#include "src/core/species.h"
#include "src/core/units.h"
#include "tests/support/sky_cmocka.h"

static void test_convert(void **state) {
  sky_context *ctx = *state;
  static const struct {
    const char *from, *to;
    double scale, offset;
  } CASE[] = {
      {"ppm", "mol mol-1", 1e-6, 0},
      {"ppb", "1", 1e-9, 0},
      {"ppt", "1", 1e-12, 0},
      {"1e-9", "1", 1e-9, 0},
      {"1e-6 mol mol-1", "1", 1e-6, 0},
      {"hPa", "Pa", 100, 0},
      {"mb", "Pa", 100, 0}, /* the field's millibar, not a millibarn */
      {"Degrees_east", "degree", 1, 0},
      {"Degrees_north", "degrees_north", 1, 0},
      {"degrees_Kelvin", "K", 1, 0},
      {"degC", "K", 1, 273.15},
      {"", "1", 1, 0},
      {"none", "1", 1, 0},
      {"None", "1", 1, 0},
      {"unitless", "1", 1, 0},
      {"%", "1", 0.01, 0},
      {"km", "m", 1000, 0},
      {"kg m-2 s-1", "g m-2 s-1", 1000, 0},
      {"mol/m2/s", "mol m-2 s-1", 1, 0},
      {"mol/m2/s", "mol/(m2 s)", 1, 0},
      {"(mol/mol)/(mol/m2/s)", "m2 s mol-1", 1, 0},
      {"(mol/mol)/(mol m-2 s-1)", "m2 s mol-1", 1, 0},
      {"ppm (umol-1 m2 s)", "m2 s mol-1", 1, 0},
      {"ppm m2 s umol-1", "m2 s mol-1", 1, 0},
      {"ppm/(umol/m2/s)", "m2 s mol-1", 1, 0},
      {"\xC2\xB5mol m-2 s-1", "mol m-2 s-1", 1e-6, 0},
      {"moleccm-2s-1", "mol m-2 s-1", 1e4 / 6.02214076e23, 0},
      {"molec cm-2 s-1", "mol m-2 s-1", 1e4 / 6.02214076e23, 0},
      {"molecules/cm2/s", "mol m-2 s-1", 1e4 / 6.02214076e23, 0},
      {"molec m-2", "mol m-2", 1 / 6.02214076e23, 0},
      {"molecm-2", "mol m-2", 1 / 6.02214076e23, 0},
      {" hPa ", "Pa", 100, 0},
  };
  for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
    double scale, offset;
    if (sky_units_convert(ctx, CASE[i].from, CASE[i].to, &scale, &offset) != SKY_OK) {
      fail_msg("%s", sky_error(ctx));
    }
    assert_close(scale, CASE[i].scale, 1e-15);
    assert_close(offset, CASE[i].offset, 1e-15);
  }
}

static void test_refuses(void **state) {
  sky_context *ctx = *state;
  double s, o;
  assert_fails(ctx, sky_units_convert(ctx, "kg", "m", &s, &o), SKY_E_UNITS,
               "unit 'kg' does not convert to 'm'");
  assert_fails(ctx, sky_units_convert(ctx, "tCO2", "kg", &s, &o), SKY_E_UNITS,
               "'tCO2' is not a unit");
  assert_fails(ctx, sky_units_convert(ctx, "kg", "wrong unit", &s, &o), SKY_E_UNITS,
               "'wrong unit' is not a unit");
  assert_fails(ctx, sky_units_convert(ctx, "W", "lg(re 1 mW)", &s, &o), SKY_E_UNITS, "linear");
  char longer[1000];
  memset(longer, 'm', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  assert_false(sky_units_valid(longer));
  assert_true(sky_units_valid("kg m-2 s-1"));
  assert_true(sky_units_valid(""));
  assert_false(sky_units_valid("kg CO2"));
}

static void test_flux(void **state) {
  sky_context *ctx = *state;
  double f;
  assert_int_equal(sky_units_flux(ctx, "kg m-2 s-1", "ch4", &f), SKY_OK);
  assert_close(f, 1 / 16.0425e-3, 1e-14);
  assert_int_equal(sky_units_flux(ctx, "t km-2 s-1", "co2", &f), SKY_OK);
  assert_close(f, 1e-3 / 44.0095e-3, 1e-14);
  assert_int_equal(sky_units_flux(ctx, "mol/m2/s", "n2o", &f), SKY_OK);
  assert_close(f, 1, 1e-15);
  assert_int_equal(sky_units_flux(ctx, "moleccm-2s-1", "ch4", &f), SKY_OK);
  assert_close(f, 1e4 / 6.02214076e23, 1e-15);
  assert_int_equal(sky_units_flux(ctx, "umol m-2 s-1", "co2", &f), SKY_OK);
  assert_close(f, 1e-6, 1e-15);
  assert_fails(ctx, sky_units_flux(ctx, "kg s-1", "ch4", &f), SKY_E_UNITS, "'kg s-1'");
  assert_fails(ctx, sky_units_flux(ctx, "kg m-2 s-1", "sf6", &f), SKY_E_GAS, "'sf6'");
}

static void test_quantity(void **state) {
  sky_context *ctx = *state;
  double v;
  assert_int_equal(sky_units_quantity(ctx, "1 km", "m", NULL, &v), SKY_OK);
  assert_close(v, 1000, 1e-15);
  assert_int_equal(sky_units_quantity(ctx, "1km", "m", NULL, &v), SKY_OK);
  assert_close(v, 1000, 1e-15);
  assert_int_equal(sky_units_quantity(ctx, "20 ppb", "1", NULL, &v), SKY_OK);
  assert_close(v, 2e-8, 1e-15);
  assert_int_equal(sky_units_quantity(ctx, "0.5", "1", NULL, &v), SKY_OK);
  assert_close(v, 0.5, 1e-15);
  assert_int_equal(sky_units_quantity(ctx, "10", "m", "km", &v), SKY_OK);
  assert_close(v, 1e4, 1e-15);
  assert_int_equal(sky_units_quantity(ctx, "0.25 degree", "degree", NULL, &v), SKY_OK);
  assert_close(v, 0.25, 1e-15);
  assert_int_equal(sky_units_quantity(ctx, "-3.5 degC", "K", NULL, &v), SKY_OK);
  assert_close(v, 269.65, 1e-14);
  assert_fails(ctx, sky_units_quantity(ctx, "1 lm", "m", NULL, &v), SKY_E_UNITS,
               "'1 lm' does not convert to 'm'");
  assert_fails(ctx, sky_units_quantity(ctx, "5", "m", NULL, &v), SKY_E_UNITS, "'5' has no unit");
  assert_fails(ctx, sky_units_quantity(ctx, "km", "m", NULL, &v), SKY_E_UNITS, "not a quantity");
  assert_fails(ctx, sky_units_quantity(ctx, "nan m", "m", NULL, &v), SKY_E_UNITS, "'nan m'");
}

static void test_species(void **state) {
  (void)state;
  assert_int_equal(sky_species_count(), 3);
  const sky_species *s = sky_species_find("ch4");
  assert_non_null(s);
  assert_string_equal(s->formula, "CH4");
  assert_string_equal(s->long_name, "methane");
  assert_close(s->molar_mass, 16.0425e-3, 1e-15);
  assert_close(s->column_scale, 1e9, 1e-15);
  assert_null(sky_species_find("CH4"));
  assert_null(sky_species_at(3));
  /* The masses are the sums of the atomic weights that the source names. */
  assert_close(sky_species_find("co2")->molar_mass, (12.0107 + 2 * 15.9994) * 1e-3, 2e-6);
  assert_close(s->molar_mass, (12.0107 + 4 * 1.00794) * 1e-3, 3e-6);
  assert_close(sky_species_find("n2o")->molar_mass, (2 * 14.0067 + 15.9994) * 1e-3, 2e-6);
  for (size_t i = 0; i < sky_species_count(); i++) {
    s = sky_species_at(i);
    assert_ptr_equal(sky_species_find(s->id), s);
    assert_true(s->column_min > 0 && s->column_min < s->column_max);
    assert_true(sky_units_valid(s->column_unit));
    assert_true(strlen(s->source) > 10);
  }
}

static void *convert_often(void *p) {
  sky_context *ctx = p;
  for (int i = 0; i < 100; i++) {
    double s, o;
    if (sky_units_convert(ctx, "ppm", "ppb", &s, &o) != SKY_OK || fabs(s - 1000) > 1e-9) return p;
    if (sky_species_find("n2o") == NULL) return p;
  }
  return NULL;
}

static void test_threads(void **state) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, convert_often, *state), 0);
  }
  for (int i = 0; i < 4; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_threads), /* first: the tables are loaded in a race */
      SKY_UNIT(test_convert),  SKY_UNIT(test_refuses), SKY_UNIT(test_flux),
      SKY_UNIT(test_quantity), SKY_UNIT(test_species),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
