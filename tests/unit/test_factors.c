/* Look-up of factors: values, editions, sources, refusals, units, the user's table, known slips. */
#include <math.h>

#include "algorithms/inventory/factors.h"
#include "src/core/memory.h"
#include "tests/support/sky_cmocka.h"

#define RULES \
  { .coal_edition = "2020", .carbon_edition = "2015", .factor_sd = NAN, .year = 2023 }

static sky_factors *make(sky_context *ctx, const sky_factor_rules *rules, const sky_table *user) {
  sky_factors *f = NULL;
  if (sky_factors_create(ctx, rules, user, "own.csv", &f) != SKY_OK) fail_msg("%s", sky_error(ctx));
  return f;
}

static sky_table *table(sky_context *ctx, const char *text) {
  sky_table *t = NULL;
  assert_int_equal(sky_table_parse(ctx, "own.csv", text, strlen(text), &t), SKY_OK);
  return t;
}

static void test_heat(void **state) {
  const sky_factor_rules rules = RULES;
  sky_factors *f = make(*state, &rules, NULL);
  sky_factor x;
  assert_int_equal(sky_factors_find(*state, f, "bituminous", SKY_MEASURE_MASS, "a", &x), SKY_OK);
  assert_close(x.k * x.c, 23.204 * 0.02618 * 0.93 * 44 / 12, 1e-14);
  assert_close(x.c, 2.6164, 2e-5); /* the table's own rounded column */
  assert_string_equal(x.c_row.key, "bituminous");
  assert_string_equal(x.c_row.edition, "2015");
  assert_string_equal(x.c_row.verified, "yes");
  assert_non_null(strstr(x.c_row.source, "Table 2.1"));
  assert_null(x.k_row.table);
  assert_int_equal(x.scope, SKY_SCOPE_1);
  assert_close(x.c_sd, 0.05, 1e-15);
  assert_non_null(strstr(x.sd_row.source, "Climate TRACE")); /* not "same" */
  assert_int_equal(sky_factors_find(*state, f, "bituminous", SKY_MEASURE_TCE, "a", &x), SKY_OK);
  assert_true(x.k == 1);
  assert_int_equal(sky_factors_find(*state, f, "bituminous", SKY_MEASURE_ENERGY, "a", &x), SKY_OK);
  assert_close(x.k * x.c, 0.02618 * 0.93 * 44 / 12, 1e-14);
  /* Natural gas is 21.62 t per 10^4 m3; "2.162" is per 1000 m3. */
  assert_int_equal(sky_factors_find(*state, f, "natural_gas", SKY_MEASURE_VOLUME, "a", &x), SKY_OK);
  assert_close(1e4 * x.k * x.c, 21.6219, 1e-5);
  sky_factors_free(f);
}

/* A row without calorific value takes k of the coal table, of the edition asked for. */
static void test_editions(void **state) {
  const char *const allow[] = {"standard_coal_factors:diesel:2020"};
  sky_factor_rules rules = RULES;
  sky_factor x;
  rules.carbon_edition = "2011";
  rules.coal_edition = "2008";
  sky_factors *f = make(*state, &rules, NULL);
  assert_int_equal(sky_factors_find(*state, f, "diesel", SKY_MEASURE_MASS, "a", &x), SKY_OK);
  assert_true(x.k == 1.4571);
  assert_string_equal(x.k_row.edition, "2008");
  assert_string_equal(x.c_row.edition, "2011");
  assert_close(x.c, 0.0202 * 0.98 * 44 / 12 * 29.3076, 1e-14);
  sky_factors_free(f);
  rules.coal_edition = "2020";
  f = make(*state, &rules, NULL);
  assert_fails(*state, sky_factors_find(*state, f, "diesel", SKY_MEASURE_MASS, "a", &x),
               SKY_E_USAGE, "--allow-unverified 'standard_coal_factors:diesel:2020'");
  sky_factors_free(f);
  rules.allow = allow;
  rules.n_allow = 1;
  f = make(*state, &rules, NULL);
  assert_int_equal(sky_factors_find(*state, f, "diesel", SKY_MEASURE_MASS, "a", &x), SKY_OK);
  assert_true(x.k_row.allowed && !x.c_row.allowed);
  assert_fails(*state, sky_factors_find(*state, f, "gasoline", SKY_MEASURE_MASS, "a", &x),
               SKY_E_USAGE, "standard_coal_factors:gasoline:2020");
  sky_factors_free(f);
}

/* Slips of public code: the leading 1 of lpg and two gases, kerosene, water by edition. */
static void test_coal_table(void **state) {
  static const struct {
    const char *fuel;
    double k;
  } known[] = {{"lpg", 1.7143},
               {"refinery_gas", 1.5714},
               {"natural_gas_oilfield", 1.33e-3},
               {"kerosene", 1.4714},
               {"raw_coal", 0.7143}};
  const char *const allow[] = {
      "standard_coal_factors:lpg:2020", "standard_coal_factors:refinery_gas:2020",
      "standard_coal_factors:natural_gas_oilfield:2020", "standard_coal_factors:kerosene:2020",
      "standard_coal_factors:raw_coal:2020"};
  sky_factor_rules rules = RULES;
  sky_factor_row row;
  double k = 0;
  rules.allow = allow;
  rules.n_allow = 5;
  sky_factors *f = make(*state, &rules, NULL);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(sky_factors_coal(*state, f, known[i].fuel, &k, &row), SKY_OK);
    assert_close(k, known[i].k, 1e-15);
    assert_true(row.allowed);
  }
  sky_factors_free(f);
  rules.coal_edition = "2008";
  rules.n_allow = 0;
  f = make(*state, &rules, NULL);
  assert_fails(*state, sky_factors_coal(*state, f, "coke_oven_gas", &k, &row), SKY_E_RANGE,
               "'0.5714~0.6143', not one number");
  assert_int_equal(sky_factors_coal(*state, f, "fresh_water", &k, &row), SKY_OK);
  assert_true(k == 0.0857);
  sky_factors_free(f);
}

static void find_power(void **state, int year, sky_grid_level level, const char *region,
                       double kg_kwh) {
  const char *const allow[] = {"grid_heat_factors:全国:2021"};
  sky_factor_rules rules = RULES;
  sky_factor x;
  rules.year = year;
  rules.grid = level;
  rules.allow = allow;
  rules.n_allow = 1;
  sky_factors *f = make(*state, &rules, NULL);
  assert_int_equal(sky_factors_find(*state, f, "electricity", SKY_MEASURE_ENERGY, region, &x),
                   SKY_OK);
  assert_close(x.k * x.c, kg_kwh / 3.6, 1e-14);
  assert_int_equal(x.scope, SKY_SCOPE_2);
  assert_int_equal(x.c_row.allowed, year == 2021 && level == SKY_GRID_NATIONAL);
  sky_factors_free(f);
}

/* 2021 and 2022 are not swapped; neither the reporting factors (0.5703, 0.581) nor the other bases
 * are taken for the average. */
static void test_grid(void **state) {
  find_power(state, 2021, SKY_GRID_NATIONAL, "a", 0.5568);
  find_power(state, 2022, SKY_GRID_NATIONAL, "a", 0.5366);
  find_power(state, 2023, SKY_GRID_NATIONAL, "a", 0.5306);
  find_power(state, 2022, SKY_GRID_REGIONAL, "南方", 0.3869);
  find_power(state, 2023, SKY_GRID_REGIONAL, "North China", 0.6361);
  find_power(state, 2023, SKY_GRID_PROVINCIAL, "Guangdong", 0.4419);
  find_power(state, 2021, SKY_GRID_PROVINCIAL, "云南", 0.1235);
}

static void test_grid_refusals(void **state) {
  sky_factor_rules rules = RULES;
  sky_factor x;
  sky_factors *f = make(*state, &rules, NULL);
  assert_fails(*state, sky_factors_find(*state, f, "electricity", SKY_MEASURE_ENERGY, "a", &x),
               SKY_E_USAGE, "--electricity national, regional or provincial");
  assert_int_equal(sky_factors_find(*state, f, "heat", SKY_MEASURE_ENERGY, "a", &x), SKY_OK);
  assert_true(x.c == 0.11);
  assert_fails(*state, sky_factors_find(*state, f, "heat", SKY_MEASURE_MASS, "a", &x), SKY_E_UNITS,
               "does not fit heat");
  sky_factors_free(f);
  rules.grid = SKY_GRID_PROVINCIAL;
  f = make(*state, &rules, NULL);
  assert_fails(*state, sky_factors_find(*state, f, "electricity", SKY_MEASURE_ENERGY, "Tibet", &x),
               SKY_E_NODATA, "西藏:2023 has no value");
  assert_fails(*state, sky_factors_find(*state, f, "electricity", SKY_MEASURE_ENERGY, "Mars", &x),
               SKY_E_NODATA, "no provincial grid factor of 'Mars'");
  sky_factors_free(f);
  rules.grid = SKY_GRID_NATIONAL;
  rules.year = 2024;
  f = make(*state, &rules, NULL);
  assert_fails(*state, sky_factors_find(*state, f, "electricity", SKY_MEASURE_ENERGY, "a", &x),
               SKY_E_NODATA, "there are 2023, 2022, 2021; no other year");
  sky_factors_free(f);
}

static void test_fuel_refusals(void **state) {
  sky_factor_rules rules = RULES;
  const char *const wrong[] = {"co2_fuel_factors:coal_tce:2015"};
  sky_factor x;
  sky_factors *f = make(*state, &rules, NULL);
  assert_fails(*state, sky_factors_find(*state, f, "desel", SKY_MEASURE_MASS, "a", &x), SKY_E_RANGE,
               "did you mean 'diesel'?");
  assert_fails(*state, sky_factors_find(*state, f, "diesel", SKY_MEASURE_VOLUME, "a", &x),
               SKY_E_UNITS, "does not fit diesel (legal: t, kg");
  assert_fails(*state, sky_factors_find(*state, f, "raw_coal", SKY_MEASURE_MASS, "a", &x),
               SKY_E_NODATA, "co2_fuel_factors has no raw_coal");
  sky_factors_free(f);
  rules.carbon = SKY_CARBON_TCE;
  f = make(*state, &rules, NULL);
  assert_fails(*state, sky_factors_find(*state, f, "raw_coal", SKY_MEASURE_TCE, "a", &x),
               SKY_E_USAGE, "co2_fuel_factors:coal_tce:-"); /* "partly" is not verified */
  assert_fails(*state, sky_factors_find(*state, f, "biogas", SKY_MEASURE_TCE, "a", &x),
               SKY_E_NODATA, "biogas has no per-tce factor");
  sky_factors_free(f);
  rules.allow = wrong;
  rules.n_allow = 1;
  assert_fails(*state, sky_factors_create(*state, &rules, NULL, NULL, &f), SKY_E_USAGE,
               "is no table:key:edition");
  assert_null(f);
}

static void test_units(void **state) {
  static const struct {
    const char *unit;
    sky_measure measure;
    double scale;
  } good[] = {{"t", SKY_MEASURE_MASS, 1},           {"kt", SKY_MEASURE_MASS, 1e3},
              {"万t", SKY_MEASURE_MASS, 1e4},       {"10^4 t", SKY_MEASURE_MASS, 1e4},
              {"g", SKY_MEASURE_MASS, 1e-6},        {"10^4 m3", SKY_MEASURE_VOLUME, 1e4},
              {"万Nm3", SKY_MEASURE_VOLUME, 1e4},   {"km3", SKY_MEASURE_VOLUME, 1e9},
              {"kWh", SKY_MEASURE_ENERGY, 3.6e-3},  {"10^4 kWh", SKY_MEASURE_ENERGY, 36},
              {"亿kWh", SKY_MEASURE_ENERGY, 3.6e5}, {"kcal", SKY_MEASURE_ENERGY, 4.1868e-6},
              {"tce", SKY_MEASURE_TCE, 1},          {"万tce", SKY_MEASURE_TCE, 1e4},
              {"head", SKY_MEASURE_COUNT, 1},       {"万头", SKY_MEASURE_COUNT, 1e4},
              {"ha", SKY_MEASURE_AREA, 1},          {"m2", SKY_MEASURE_AREA, 1e-4},
              {"亩", SKY_MEASURE_AREA, 1 / 15.0}};
  static const char *const bad[] = {"ton", "", "kgN", "degree_Celsius", "knot", "万", "tC", "year"};
  sky_measure m;
  double scale;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(sky_factor_unit(*state, good[i].unit, &m, &scale), SKY_OK);
    assert_int_equal(m, good[i].measure);
    assert_close(scale, good[i].scale, 1e-14);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_fails(*state, sky_factor_unit(*state, bad[i], &m, &scale), SKY_E_UNITS, "legal: t, kg");
}

static void test_user(void **state) {
  const sky_factor_rules rules = RULES;
  sky_factor x;
  sky_table *t = table(*state,
                       "fuel,value,unit,sd_percent,source\n"
                       "raw_coal,2660,kgCO2/tce,2,own\n"
                       "raw_coal,0.7,tce/t,1,own\n"
                       "clinker,0.53,tCO2/t,4,own\n"
                       "electricity,0.1,kgCO2/kWh,1,contract\n");
  sky_factors *f = make(*state, &rules, t);
  assert_int_equal(sky_factors_find(*state, f, "raw_coal", SKY_MEASURE_MASS, "a", &x), SKY_OK);
  assert_close(x.k * x.c, 0.7 * 2.66, 1e-14);
  assert_true(x.k_sd == 0.01 && x.c_sd == 0.02);
  assert_string_equal(x.method, "user");
  assert_string_equal(x.k_row.table, "own.csv");
  assert_int_equal(sky_factors_find(*state, f, "clinker", SKY_MEASURE_MASS, "a", &x), SKY_OK);
  assert_close(x.k * x.c, 0.53, 1e-15);
  assert_int_equal(x.scope, SKY_SCOPE_1);
  assert_int_equal(sky_factors_find(*state, f, "electricity", SKY_MEASURE_ENERGY, "a", &x), SKY_OK);
  assert_close(x.k * x.c, 0.1 / 3.6, 1e-14);
  assert_int_equal(x.scope, SKY_SCOPE_2);
  sky_factors_free(f);
  sky_table_free(t);
}

/* Worked by hand: GB/T 32151.22-2024 Table C.3, IPCC 2019 Refinement V4 Tables 11.1 and 11.3. */
static void test_other_gases(void **state) {
  const char *const allow[] = {"ch4_n2o_factors:soil_n_cn_5:2011",
                               "ch4_n2o_factors:coal_underground_mining:2006"};
  sky_factor_rules rules = RULES;
  sky_factor x;
  rules.allow = allow;
  rules.n_allow = 2;
  sky_table *t = table(*state,
                       "fuel,value,unit,sd_percent,source\n"
                       "landfill,60,kgCH4/t,40,own\n"
                       "seam,12,m3 CH4/t,30,own\n"
                       "acid,7,kgN2O/t,20,own\n"
                       "manure,5,kgN2O-N/t,20,own\n"
                       "pig_enteric,2,kgCH4/head,10,own\n");
  sky_factors *f = make(*state, &rules, t);
#define FIND(name, measure)                                          \
  if (sky_factors_find(*state, f, name, measure, "a", &x) != SKY_OK) \
  fail_msg("%s", sky_error(*state))
  FIND("dairy_cattle_breeding_enteric", SKY_MEASURE_COUNT);
  assert_close(x.k * x.c, 0.1099, 1e-15); /* t per head */
  assert_true(x.gas == SKY_GAS_CH4 && x.scope == SKY_SCOPE_1);
  assert_close(x.c_sd, 0.5, 1e-15); /* no range: that of uncertainty_ranges */
  assert_string_equal(x.sd_row.key, "Climate TRACE blanket default");
  assert_string_equal(x.method, "table");
  assert_string_equal(x.c_row.edition, "2024");
  FIND("soil_n", SKY_MEASURE_MASS);
  assert_true(x.gas == SKY_GAS_N2O);
  assert_close(x.c, 0.01 * 44 / 28, 1e-15); /* N2O-N, not N2O */
  assert_close(x.c_sd, 0.5, 1e-15);         /* nobody has seen its range */
  FIND("leached_n", SKY_MEASURE_MASS);
  assert_close(x.c, 0.011 * 44 / 28, 1e-15);
  assert_close(x.c_sd, (0.02 - 0) / (2 * 1.96) / 0.011, 1e-14);
  assert_null(x.sd_row.table);
  FIND("soil_n_cn_5", SKY_MEASURE_MASS); /* allowed: with its range */
  assert_close(x.c_sd, (0.0228 - 0.0046) / 3.92 / 0.0178, 1e-14);
  assert_true(x.c_row.allowed);
  FIND("coal_underground_mining", SKY_MEASURE_MASS);
  assert_close(x.c, 18 * 0.67e-3, 1e-15); /* 18 m3/t, 0.67 kg/m3 */
  FIND("landfill", SKY_MEASURE_MASS);
  assert_close(x.c, 0.06, 1e-15);
  assert_true(x.gas == SKY_GAS_CH4 && x.c_sd == 0.4);
  FIND("seam", SKY_MEASURE_MASS);
  assert_close(x.c, 12 * 0.67e-3, 1e-15);
  FIND("acid", SKY_MEASURE_MASS);
  assert_close(x.c, 7e-3, 1e-15);
  FIND("manure", SKY_MEASURE_MASS);
  assert_close(x.c, 5e-3 * 44 / 28, 1e-15);
  FIND("pig_enteric", SKY_MEASURE_COUNT); /* the user's own comes first */
  assert_close(x.c, 2e-3, 1e-15);
  assert_fails(*state, sky_factors_find(*state, f, "landfill", SKY_MEASURE_COUNT, "a", &x),
               SKY_E_UNITS, "does not fit landfill (legal: t, kg");
  assert_fails(*state, sky_factors_find(*state, f, "soil_n", SKY_MEASURE_AREA, "a", &x),
               SKY_E_UNITS, "does not fit soil_n (legal: t, kg");
  assert_fails(*state, sky_factors_find(*state, f, "horse_enteric", SKY_MEASURE_COUNT, "a", &x),
               SKY_E_USAGE, "ch4_n2o_factors:horse_enteric:2011");
  assert_fails(*state, sky_factors_find(*state, f, "landfill_docf", SKY_MEASURE_MASS, "a", &x),
               SKY_E_RANGE, "fuel: unknown 'landfill_docf'");
  sky_factors_free(f);
  rules.factor_sd = 0.25; /* the user's word for every row of the tables */
  f = make(*state, &rules, t);
  FIND("leached_n", SKY_MEASURE_MASS);
  assert_true(x.c_sd == 0.25 && x.sd_row.table == NULL);
  sky_factors_free(f);
  sky_table_free(t);
}

static void test_user_refusals(void **state) {
  static const char *const bad[][2] = {
      {"raw_coal,2.66,kgCO2/tce,1,own\n",
       "own.csv:2: value: 0.00266 t CO2 per tce is outside 1 to 4"},
      {"raw_coal,x,tCO2/t,1,own\n", "own.csv:2: value: 'x' is not a number"},
      {"raw_coal,-1,tCO2/t,1,own\n", "own.csv:2: value: '-1'"},
      {"raw_coal,1,tCO2/t,101,own\n", "own.csv:2: sd_percent: '101'"},
      {"raw_coal,1,tCO2/t,,own\n", "own.csv:2: sd_percent: ''"},
      {"raw_coal,1,tCO2/t,1,\n", "own.csv:2: source: empty"},
      {"raw_coal,1,t/t,1,own\n", "own.csv:2: unit: 't/t' is none of"},
      {"raw_coal,1,tce/GJ,1,own\n", "own.csv:2: unit: 'tce/GJ' is none of"},
      {"a,1,tCO2/t,1,own\na,1,tCO2/kg,1,own\n",
       "own.csv:3: fuel: 'a' has such a factor already on line 2"},
      {"a,1,tCO2/t,1,own\na,1,tCH4/t,1,own\n",
       "own.csv:3: fuel: 'a' emits co2 by line 2: give the ch4 its own name"},
      {"coke,1,kgCH4/t,1,own\n", "own.csv:2: fuel: 'coke' is a name of the tables and emits co2"},
      {"soil_n,1,kgCH4/t,1,own\n", "'soil_n' is a name of the tables and emits n2o"},
      {"a,1,m3N2O/t,1,own\n", "own.csv:2: unit: 'm3N2O/t' is none of"},
      {"a,1,kgN2O-C/t,1,own\n", "own.csv:2: unit: 'kgN2O-C/t' is none of"}};
  const sky_factor_rules rules = RULES;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[256];
    sky_factors *f = NULL;
    snprintf(text, sizeof text, "fuel,value,unit,sd_percent,source\n%s", bad[i][0]);
    sky_table *t = table(*state, text);
    sky_error_clear(*state);
    assert_int_not_equal(sky_factors_create(*state, &rules, t, "own.csv", &f), SKY_OK);
    if (strstr(sky_error(*state), bad[i][1]) == NULL) fail_msg("%s", sky_error(*state));
    assert_null(f);
    sky_table_free(t);
  }
}

static void test_allocation_failures(void **state) {
  const sky_factor_rules rules = RULES;
  sky_factors *f = NULL;
  size_t failures = 0;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t n = 1; st != SKY_OK; n++) {
    sky_memory_fail_at(*state, n);
    st = sky_factors_create(*state, &rules, NULL, NULL, &f);
    sky_memory_fail_at(*state, 0);
    if (st == SKY_OK) break;
    assert_int_equal(st, SKY_E_NOMEM);
    assert_null(f);
    failures++;
  }
  assert_true(failures > 10);
  sky_factors_free(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_heat),
                                     SKY_UNIT(test_editions),
                                     SKY_UNIT(test_coal_table),
                                     SKY_UNIT(test_grid),
                                     SKY_UNIT(test_grid_refusals),
                                     SKY_UNIT(test_fuel_refusals),
                                     SKY_UNIT(test_units),
                                     SKY_UNIT(test_user),
                                     SKY_UNIT(test_user_refusals),
                                     SKY_UNIT(test_other_gases),
                                     SKY_UNIT(test_allocation_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
