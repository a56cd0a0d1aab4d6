/* Measures: worked numbers by hand from the tables named in algorithms/sink/measures.md. */
#include "tests/support/sky_cmocka.h"

#include <math.h>

#include "algorithms/sink/measures.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

#define CO2 (44.0 / 12.0)

static const char *const burial[1] = {
    "blue_carbon:C burial rate|mangrove China burial:Fu et al. 2021 GCB (China blue carbon)"};

typedef struct fixture {
  sky_factor_rows rows;
  sky_measure m;
} fixture;

static sky_measure_input input(const char *measure, double area) {
  return (sky_measure_input){.measure = measure,
                             .climate = "",
                             .type = "",
                             .detail = "",
                             .credit = "",
                             .organic = "",
                             .where = "m.csv:2",
                             .area = area,
                             .years = NAN,
                             .days = NAN,
                             .salinity = NAN,
                             .nitrogen = NAN,
                             .organic_amount = NAN,
                             .ditches = NAN,
                             .rate = NAN,
                             .rate_sd = NAN,
                             .fuel = NAN,
                             .fuel_sd = NAN,
                             .counted = NAN};
}

static sky_status make(sky_context *ctx, const sky_measure_input *in, fixture *f) {
  f->rows =
      (sky_factor_rows){.ctx = ctx, .allowed = burial, .n_allowed = 1, .refused = {.ctx = ctx}};
  const sky_status st = sky_measure_make(&f->rows, in, &f->m);
  if (st != SKY_OK) sky_factor_rows_free(&f->rows);
  return st;
}

static void check(sky_context *ctx, const sky_measure_input *in, double co2, double ch4,
                  double n2o) {
  fixture f;
  if (make(ctx, in, &f) != SKY_OK) fail_msg("%s: %s", in->measure, sky_error(ctx));
  const double want[3] = {co2, ch4, n2o};
  for (int g = 0; g < SKY_MEASURE_GASES; g++) {
    const double got = sky_measure_value(&f.m, f.rows.factor, (sky_measure_gas)g, NULL);
    if (want[g] == 0)
      assert_true(got == 0);
    else
      assert_close(got, want[g], 1e-12);
  }
  for (size_t i = 0; i < f.rows.n; i++)
    assert_true(f.rows.factor[i].source[0] != '\0');
  assert_int_equal(f.rows.n_refused, 0);
  sky_factor_rows_free(&f.rows);
}

/* Rice, IPCC 2019 V4 Tables 5.11 to 5.14: East Asia 1.32 kg/ha/d, single drainage 0.71, aggregated
 * pre-season 1.22, 112 d; straw 5 t/ha shortly before: (1 + 5)^0.59. */
static void test_rice(void **state) {
  sky_context *ctx = *state;
  sky_measure_input in = input("rice", 10);
  in.climate = "East Asia";
  in.type = "irrigated single drainage";
  in.detail = "aggregated";
  check(ctx, &in, 0, 10 * 1.32 * 0.71 * 1.22 * 112, 0);
  in.days = 100;
  in.organic = "straw <30 d before";
  in.organic_amount = 5;
  check(ctx, &in, 0, 10 * 1.32 * 0.71 * 1.22 * 100 * pow(6, 0.59), 0);
}

/* 100 kg N on wet land: 0.016 of it as N2O-N. */
static void test_nitrogen(void **state) {
  sky_measure_input in = input("soil-nitrogen", 1);
  in.nitrogen = 100;
  in.type = "EF1 synthetic N wet";
  check(*state, &in, 0, 0, 100 * 0.016 * 44 / 28);
  fixture f; /* 0.013 to 0.019, 95 % */
  assert_int_equal(make(*state, &in, &f), SKY_OK);
  assert_int_equal(f.rows.n, 1);
  assert_close(f.rows.factor[0].sd, 0.006 / 3.92, 1e-12);
  sky_factor_rows_free(&f.rows);
}

/* Orchards: 0.43 t C/ha/yr up to 8.5 t C/ha, that is 19.8 years. */
static void test_perennial(void **state) {
  sky_measure_input in = input("perennial-crop", 3);
  in.climate = "temperate";
  in.type = "orchard";
  in.years = 10;
  check(*state, &in, -3e3 * 0.43 * CO2, 0, 0);
  in.years = 25;
  check(*state, &in, 0, 0, 0);
}

/* Drained temperate cropland, Wetlands Supplement Tables 2.1 and 2.3 to 2.5: 7.9 t CO2-C, 0 and
 * 1165 kg CH4 beside and in ditches (5 %), 13 kg N2O-N. */
static void test_organic_soils(void **state) {
  sky_measure_input in = input("drained-organic", 2);
  in.climate = "Temperate";
  in.type = "Cropland";
  in.detail = "Rich drained";
  in.ditches = 0.05;
  check(*state, &in, 2e3 * 7.9 * CO2, 2 * 0.05 * 1165, 2 * 13 * 44.0 / 28);
  in = input("rewetted-organic", 2);
  in.climate = "temperate";
  in.type = "rich";
  check(*state, &in, 2e3 * 0.5 * CO2, 2 * 216 * 16.0 / 12, 0);
}

/* Rewetting lasts 40 years: 0.71 to 0.80 of the reference in 20, to 1.0 in 20 more, then rest. */
static void test_rewetting_memory(void **state) {
  sky_measure_input in = input("rewetted-mineral", 1);
  in.climate = "temperate";
  in.type = "W1 warm temperate moist";
  in.detail = "WET";
  double sum = 0;
  for (int year = 1; year <= 45; year++) {
    in.years = year;
    const double gain = year <= 20 ? 135 * 0.09 / 20 : year <= 40 ? 135 * 0.20 / 20 : 0;
    fixture f;
    assert_int_equal(make(*state, &in, &f), SKY_OK);
    const double co2 = sky_measure_value(&f.m, f.rows.factor, SKY_MEASURE_CO2, NULL);
    assert_true(fabs(co2 + 1e3 * gain * CO2) < 1e-9);
    assert_close(sky_measure_value(&f.m, f.rows.factor, SKY_MEASURE_CH4, NULL), 235, 1e-12);
    sum += co2;
    sky_factor_rows_free(&f.rows);
  }
  assert_close(sum, -1e3 * 135 * 0.29 * CO2, 1e-12);
}

/* Warm temperate moist reservoir, IPCC 2019 V4 Tables 7.13, 7.15; 9 % of the CH4 leaves below. */
static void test_reservoir(void **state) {
  sky_measure_input in = input("reservoir", 4);
  in.climate = "warm temperate moist";
  in.years = 20;
  check(*state, &in, 4e3 * 1.46 * CO2, 4 * 127.5 * 1.09, 0);
  in.years = 21;
  check(*state, &in, 0, 4 * 80.3 * 1.09, 0);
  in = input("pond", 4);
  in.type = "saline pond";
  check(*state, &in, 0, 4 * 30, 0);
}

/* The salinity switch of tidal marsh, in CO2e at 27: -3.34 + 5.23 = 1.89; mangrove -0.71 net; with
 * the biomass of planted mangrove (9.9 × 1.49 × 0.451 t C) about -25 (spec of the tables). */
static void test_coast(void **state) {
  sky_context *ctx = *state;
  sky_measure_input in = input("marsh", 1);
  in.credit = "rewetted";
  in.salinity = 10;
  check(ctx, &in, -1e3 * 0.91 * CO2, 193.7, 0);
  assert_true(fabs(-0.91 * CO2 + 0.1937 * 27 - 1.89) < 0.005);
  in.salinity = 18;
  check(ctx, &in, -1e3 * 0.91 * CO2, 0, 0);
  in = input("mangrove", 1);
  in.credit = "rewetted";
  in.salinity = 17.9;
  check(ctx, &in, -1e3 * 1.62 * CO2, 193.7, 0);
  assert_true(fabs(-1.62 * CO2 + 0.1937 * 27 + 0.71) < 0.005);
  in.climate = "tropical wet";
  in.years = 5;
  const double growth = 9.9 * 1.49 * 0.451;
  check(ctx, &in, -1e3 * (1.62 + growth) * CO2, 193.7, 0);
  assert_true(fabs((1.62 + growth) * CO2 - 0.1937 * 27 - 25.1) < 0.1);
  in.years = 20; /* 198 t d.m. is more than the 192 of a stand */
  check(ctx, &in, -1e3 * 1.62 * CO2, 193.7, 0);
  in = input("seagrass", 1);
  in.credit = "rewetted";
  check(ctx, &in, -1e3 * 0.43 * CO2, 0, 0);
  in = input("mangrove", 1);
  in.credit = "drained";
  check(ctx, &in, 1e3 * 7.9 * CO2, 0, 0);
  in.credit = "standing";
  in.type = "mangrove China burial";
  check(ctx, &in, -10 * 194 * CO2, 0, 0);
}

/* 20 ha of temperate forest with 100 t/ha of fuel: 0.51 of it burns; 1569, 4.7, 0.26 g/kg. */
static void test_fire(void **state) {
  sky_context *ctx = *state;
  sky_measure_input in = input("fire", 20);
  in.climate = "temperate";
  in.fuel = 100;
  in.fuel_sd = 30;
  const double burnt = 20 * 100 * 0.51;
  check(ctx, &in, burnt * 1569, burnt * 4.7, burnt * 0.26);
  fixture f;
  double grad[16] = {0};
  assert_int_equal(make(ctx, &in, &f), SKY_OK);
  assert_int_equal(f.rows.n, 5); /* one fuel, one combustion factor, three gases */
  assert_close(sky_measure_value(&f.m, f.rows.factor, SKY_MEASURE_CH4, grad), burnt * 4.7, 1e-12);
  assert_close(grad[0] * f.rows.factor[0].sd, 0.3 * burnt * 4.7, 1e-12);
  sky_factor_rows_free(&f.rows);
  in.fuel = NAN;
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "fuel_t_ha");
  in.fuel = 100;
  in.climate = "polar";
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "expected 1");
}

/* 2 t C/ha/yr on land whose cover counts 1.4 already: 0.6; never less than nothing. */
static void test_project(void **state) {
  sky_measure_input in = input("soil-conservation", 50);
  in.rate = 2;
  in.rate_sd = 0.5;
  in.counted = 1.4;
  check(*state, &in, -50e3 * 0.6 * CO2, 0, 0);
  in.counted = 2.5;
  check(*state, &in, 0, 0, 0);
  in.counted = -0.3; /* the cover counts a loss: the project's rate is not raised by it */
  check(*state, &in, -50e3 * 2 * CO2, 0, 0);
}

static void test_errors(void **state) {
  sky_context *ctx = *state;
  fixture f;
  sky_measure_input in = input("peat", 1);
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "m.csv:2: measure 'peat' is not known");
  in = input("marsh", 1);
  in.credit = "both";
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "credit 'both' of marsh");
  in.credit = "rewetted";
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "salinity_ppt");
  in = input("rice", 1);
  in.climate = "East Asia";
  in.type = "wet";
  in.detail = "aggregated";
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "m.csv:2: nonco2_factors.csv has 0 rows");
  in = input("sandy-land", 1);
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "rate_t_c_ha_yr");
  in.area = -1;
  assert_fails(ctx, make(ctx, &in, &f), SKY_E_RANGE, "area_ha -1");
  in = input("mangrove", 1);
  in.credit = "standing";
  in.type = "mangrove wetland China";
  assert_int_equal(make(ctx, &in, &f), SKY_OK);
  assert_fails(ctx, sky_factor_rows_check(&f.rows, ""), SKY_E_RANGE, "blue_carbon:C burial rate");
  sky_factor_rows_free(&f.rows);
}

/* Approach 1 (linearised) against Monte Carlo; the product of five factors is not quite linear. */
static void test_approaches(void **state) {
  sky_context *ctx = *state;
  sky_measure_input in = input("mangrove", 7);
  in.credit = "rewetted";
  in.climate = "tropical wet";
  in.years = 5;
  in.salinity = 30;
  fixture f;
  assert_int_equal(make(ctx, &in, &f), SKY_OK);
  double grad[32] = {0}, var = 0, sum = 0, square = 0;
  const double q = sky_measure_value(&f.m, f.rows.factor, SKY_MEASURE_CO2, grad);
  for (size_t k = 0; k < f.rows.n; k++)
    var += grad[k] * f.rows.factor[k].sd * grad[k] * f.rows.factor[k].sd;
  const size_t draws = 200000;
  sky_sink_factor drawn[32];
  for (size_t d = 0; d < draws; d++) {
    memcpy(drawn, f.rows.factor, f.rows.n * sizeof *drawn);
    for (size_t k = 0; k < f.rows.n; k++)
      drawn[k].value += drawn[k].sd * sky_rng_normal(3, d, k);
    const double v = sky_measure_value(&f.m, drawn, SKY_MEASURE_CO2, NULL) - q;
    sum += v;
    square += v * v;
  }
  const double mean = sum / (double)draws;
  assert_close(sqrt(square / (double)draws - mean * mean), sqrt(var), 0.02);
  assert_true(fabs(mean) < 0.02 * fabs(q));
  sky_factor_rows_free(&f.rows);
}

static void test_memory(void **state) {
  sky_context *ctx = *state;
  sky_measure_input in = input("mangrove", 7);
  in.credit = "rewetted";
  in.climate = "tropical wet";
  in.years = 5;
  in.salinity = 3;
  size_t failures = 0;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st != SKY_OK; nth += 1 + nth / 8) {
    fixture f;
    sky_memory_fail_at(ctx, nth);
    st = make(ctx, &in, &f);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
    failures += st != SKY_OK;
    if (st == SKY_OK) sky_factor_rows_free(&f.rows);
  }
  assert_true(failures > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_rice),
                                     SKY_UNIT(test_nitrogen),
                                     SKY_UNIT(test_perennial),
                                     SKY_UNIT(test_organic_soils),
                                     SKY_UNIT(test_rewetting_memory),
                                     SKY_UNIT(test_reservoir),
                                     SKY_UNIT(test_coast),
                                     SKY_UNIT(test_fire),
                                     SKY_UNIT(test_project),
                                     SKY_UNIT(test_errors),
                                     SKY_UNIT(test_approaches),
                                     SKY_UNIT(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
