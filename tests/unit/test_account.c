/* The accounting kernel: worked numbers, units, missing rows, scopes, covariance, roll-up. */
#include <math.h>

#include "algorithms/inventory/account.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"
#include "tests/support/sky_cmocka.h"

static const char *const ALLOW[] = {"standard_coal_factors:raw_coal:2020",
                                    "co2_fuel_factors:coal_tce:-", "co2_fuel_factors:gas_tce:-",
                                    "standard_coal_factors:natural_gas_oilfield:2020"};

static sky_factors *factors(sky_context *ctx, sky_carbon carbon, const sky_table *user) {
  const sky_factor_rules rules = {.year = 2023,
                                  .grid = SKY_GRID_NATIONAL,
                                  .carbon = carbon,
                                  .coal_edition = "2020",
                                  .carbon_edition = "2015",
                                  .allow = ALLOW,
                                  .n_allow = 4,
                                  .factor_sd = NAN};
  sky_factors *f = NULL;
  if (sky_factors_create(ctx, &rules, user, "own.csv", &f) != SKY_OK)
    fail_msg("%s", sky_error(ctx));
  return f;
}

static sky_activity row(const char *region, const char *sector, const char *fuel, double amount,
                        const char *unit, double sd) {
  return (sky_activity){.region = region,
                        .sector = sector,
                        .fuel = fuel,
                        .amount = amount,
                        .unit = unit,
                        .sd = sd,
                        .source = "test",
                        .missing = isnan(amount) ? "not there" : NULL,
                        .line = 2};
}

static void run(sky_context *ctx, const sky_factors *f, size_t n, const sky_activity *rows,
                sky_account *a) {
  if (sky_account_run(ctx, f, "a.csv", n, rows, a) != SKY_OK) fail_msg("%s", sky_error(ctx));
}

/* Hand computed: 1000 t raw coal, 10^6 m3 natural gas, 1 GWh of 2023, by both sources of c. */
static void test_worked_numbers(void **state) {
  const sky_activity tce[] = {row("a", "i", "raw_coal", 1000, "t", 0),
                              row("b", "i", "natural_gas_oilfield", 1e6, "m3", 0)};
  const sky_activity heat[] = {
      row("a", "i", "natural_gas", 100, "10^4 m3", 0), row("b", "i", "electricity", 1, "GWh", 0),
      row("c", "i", "heat", 1000, "GJ", 0), row("d", "i", "anthracite", 1, "kt", 0)};
  sky_account a;
  sky_factors *f = factors(*state, SKY_CARBON_TCE, NULL);
  run(*state, f, 2, tce, &a);
  assert_close(a.total[0].emission, 1900.038e3, 1e-13); /* 1000 · 0.7143 · 2.66 t */
  assert_close(a.total[2].emission, 2074.8e3, 1e-13);   /* 1e6 · 1.33e-3 · 1.56 t */
  assert_true(a.total[0].flags & SKY_FLAG_UNVERIFIED);
  sky_account_free(&a);
  sky_factors_free(f);
  f = factors(*state, SKY_CARBON_HEAT, NULL);
  run(*state, f, 4, heat, &a);
  assert_close(a.total[0].emission, 2162.188809e3,
               1e-13); /* 100 · 389.31 · 0.0153 · 0.99 · 44/12 */
  assert_close(a.total[3].emission, 530.6e3, 1e-13);
  assert_close(a.total[5].emission, 110e3, 1e-13);
  assert_close(a.total[6].emission, 2322.76846633333e3,
               1e-13); /* 24.515 · 0.02749 · 0.94 · 44/12 */
  assert_false(a.total[0].flags & SKY_FLAG_UNVERIFIED);
  sky_account_free(&a);
  sky_factors_free(f);
}

static void test_unit_scaling(void **state) {
  const sky_activity t[] = {row("a", "i", "coke", 123.456, "t", 0.03)};
  const sky_activity kt[] = {row("a", "i", "coke", 123.456, "kt", 0.03)};
  const sky_activity kg[] = {row("a", "i", "coke", 123456, "kg", 0.03)};
  sky_factors *f = factors(*state, SKY_CARBON_HEAT, NULL);
  sky_account a, b, c;
  run(*state, f, 1, t, &a);
  run(*state, f, 1, kt, &b);
  run(*state, f, 1, kg, &c);
  assert_close(b.total[0].emission, 1000 * a.total[0].emission, 1e-15);
  assert_close(b.total[0].sd, 1000 * a.total[0].sd, 1e-14);
  assert_close(c.total[0].emission, a.total[0].emission, 1e-15);
  sky_account_free(&a);
  sky_account_free(&b);
  sky_account_free(&c);
  sky_factors_free(f);
}

static void test_zero_and_missing(void **state) {
  const sky_activity rows[] = {row("zero", "i", "coke", 0, "t", 0.1),
                               row("gap", "i", "coke", NAN, "t", 0.1),
                               row("gap", "i", "diesel", 10, "t", 0)};
  sky_factors *f = factors(*state, SKY_CARBON_HEAT, NULL);
  sky_account a;
  double e, v;
  run(*state, f, 3, rows, &a);
  assert_int_equal(a.n_totals, 4);
  assert_true(a.total[0].emission == 0 && a.total[0].sd == 0);
  assert_true(isnan(a.total[1].emission)); /* no row is not 0 */
  assert_int_equal(a.total[1].n_lines, 0);
  assert_true(isnan(a.total[2].emission));
  assert_close(a.total[2].known, 10 * 43.33 * 0.0202 * 0.98 * 44 / 12 * 1e3, 1e-14);
  assert_int_equal(a.total[2].n_missing, 1);
  assert_int_equal(a.total[2].first_missing, 1);
  assert_true(a.total[2].flags & SKY_FLAG_MISSING);
  assert_false(a.total[0].flags & SKY_FLAG_MISSING);
  assert_int_equal(sky_account_sum(*state, &a, 2, (const size_t[]){0, 2}, &e, &v), SKY_OK);
  assert_true(isnan(e) && isnan(v));
  assert_int_equal(sky_account_sum(*state, &a, 1, (const size_t[]){0}, &e, &v), SKY_OK);
  assert_true(e == 0 && v == 0);
  sky_account_free(&a);
  sky_factors_free(f);
}

static void test_scopes(void **state) {
  const sky_activity rows[] = {
      row("a", "i", "coke", 10, "t", 0), row("a", "i", "heat", 10, "GJ", 0),
      row("a", "i", "electricity", 1, "MWh", 0), row("b", "i", "coke", 10, "t", 0)};
  sky_factors *f = factors(*state, SKY_CARBON_HEAT, NULL);
  sky_account a;
  double e, v;
  run(*state, f, 4, rows, &a);
  assert_close(a.total[0].emission, 28518.25284, 1e-13);
  assert_close(a.total[1].emission, 1100 + 530.6, 1e-14);
  assert_int_equal(a.total[0].flags, SKY_FLAG_COVER | SKY_FLAG_SCOPE);
  assert_int_equal(a.total[1].flags, SKY_FLAG_COVER | SKY_FLAG_SCOPE | SKY_FLAG_TD);
  assert_int_equal(a.total[2].flags, SKY_FLAG_COVER);
  assert_fails(*state, sky_account_sum(*state, &a, 2, (const size_t[]){0, 1}, &e, &v), SKY_E_USAGE,
               "scope 1 and scope 2 are not added");
  assert_fails(*state, sky_account_sum(*state, &a, 2, (const size_t[]){0, 0}, &e, &v), SKY_E_USAGE,
               "'a' comes twice");
  assert_int_equal(sky_account_sum(*state, &a, 2, (const size_t[]){0, 2}, &e, &v), SKY_OK);
  sky_account_free(&a);
  sky_factors_free(f);
}

#define COUNTIES 40
#define FUELS 6

/* Counties sum to the city that was accounted as one, to 4 ulp, scope by scope; and the shared
 * error of the factors does not shrink with their number. */
static void test_closure(void **state) {
  static const char *const fuel[FUELS] = {"coke",        "diesel",      "gasoline",
                                          "natural_gas", "electricity", "heat"};
  static const char *const unit[FUELS] = {"t", "t", "t", "m3", "kWh", "GJ"};
  sky_activity county[COUNTIES * FUELS], city[FUELS];
  char name[COUNTIES][16];
  size_t all[2][COUNTIES];
  for (size_t k = 0; k < FUELS; k++) {
    sky_acc sum = {0, 0};
    for (size_t c = 0; c < COUNTIES; c++) {
      const double amount = exp(3 * sky_rng_normal(7, k, c));
      snprintf(name[c], sizeof name[c], "county-%zu", c);
      county[c * FUELS + k] = row(name[c], "all", fuel[k], amount, unit[k], 0.1);
      sky_acc_add(&sum, amount);
      for (size_t s = 0; s < 2; s++)
        all[s][c] = 2 * c + s;
    }
    city[k] = row("city", "all", fuel[k], sky_acc_value(&sum), unit[k], 0);
  }
  sky_factors *f = factors(*state, SKY_CARBON_HEAT, NULL);
  sky_account a, b;
  run(*state, f, COUNTIES * FUELS, county, &a);
  run(*state, f, FUELS, city, &b);
  for (size_t s = 0; s < 2; s++) {
    double e, v, total = 0;
    assert_int_equal(sky_account_sum(*state, &a, COUNTIES, all[s], &e, &v), SKY_OK);
    const double ulp = nextafter(e, INFINITY) - e;
    assert_true(fabs(e - b.total[s].emission) <= 4 * ulp);
    for (size_t i = 0; i < COUNTIES; i++)
      for (size_t j = 0; j < COUNTIES; j++)
        total += sky_account_covariance(&a, all[s][i], all[s][j]);
    assert_close(v, total, 1e-12);
    assert_true(v > b.total[s].sd * b.total[s].sd); /* factor error whole, activity error beside */
  }
  sky_account_free(&a);
  sky_account_free(&b);
  sky_factors_free(f);
}

/* Totals by region, gas and scope; by hand: 109.9 kg CH4 a cow (GB/T 32151.22-2024 Table C.3), EF5
 * 0.011 kg N2O-N per kg N (IPCC 2019 Refinement V4 Table 11.3). */
static void test_gases(void **state) {
  const sky_activity rows[] = {row("a", "farm", "dairy_cattle_breeding_enteric", 1000, "head", 0.1),
                               row("b", "i", "anthracite", 1, "kt", 0),
                               row("a", "field", "leached_n", 200, "t", 0.05),
                               row("a", "i", "electricity", 1, "GWh", 0),
                               row("b", "farm", "dairy_cattle_breeding_enteric", 500, "head", 0.1),
                               row("c", "i", "anthracite", 1, "kt", 0)};
  static const struct {
    const char *region;
    sky_gas gas;
    sky_scope scope;
    size_t lines;
  } want[] = {{"a", SKY_GAS_CO2, SKY_SCOPE_1, 0}, {"a", SKY_GAS_CO2, SKY_SCOPE_2, 1},
              {"a", SKY_GAS_CH4, SKY_SCOPE_1, 1}, {"a", SKY_GAS_N2O, SKY_SCOPE_1, 1},
              {"b", SKY_GAS_CO2, SKY_SCOPE_1, 1}, {"b", SKY_GAS_CO2, SKY_SCOPE_2, 0},
              {"b", SKY_GAS_CH4, SKY_SCOPE_1, 1}, {"c", SKY_GAS_CO2, SKY_SCOPE_1, 1},
              {"c", SKY_GAS_CO2, SKY_SCOPE_2, 0}};
  sky_factors *f = factors(*state, SKY_CARBON_HEAT, NULL);
  sky_account a;
  sky_factor_row used;
  run(*state, f, 6, rows, &a);
  assert_int_equal(a.n_totals, sizeof want / sizeof *want);
  for (size_t i = 0; i < a.n_totals; i++) {
    assert_string_equal(a.total[i].region, want[i].region);
    assert_int_equal(a.total[i].gas, want[i].gas);
    assert_int_equal(a.total[i].scope, want[i].scope);
    assert_int_equal(a.total[i].n_lines, want[i].lines);
    assert_int_equal(sky_account_find(&a, want[i].region, want[i].gas, want[i].scope), i);
    assert_int_equal((a.total[i].flags & SKY_FLAG_COVER) != 0, want[i].region[0] == 'c');
    assert_false(a.total[i].flags & SKY_FLAG_SCOPE);
  }
  assert_true(isnan(a.total[0].emission));
  assert_close(a.total[2].emission, 109.9e3, 1e-14);
  assert_close(a.total[3].emission, 200e3 * 0.011 * 44 / 28, 1e-14);
  assert_close(a.total[2].sd, 109.9e3 * sqrt(1.01 * 1.25 - 1), 1e-14);
  assert_close(sky_account_covariance(&a, 2, 6), 109.9e3 * 54.95e3 * 0.25, 1e-14);
  assert_true(sky_account_covariance(&a, 2, 3) == 0 && sky_account_covariance(&a, 4, 6) == 0);
  assert_true(sky_account_used(&a, true, SKY_GAS_N2O, 0, &used));
  assert_string_equal(used.key, "leached_n");
  assert_false(sky_account_used(&a, true, SKY_GAS_N2O, 1, &used)); /* its own range */
  assert_true(sky_account_used(&a, true, SKY_GAS_CH4, 1, &used));
  assert_string_equal(used.table, "uncertainty_ranges");
  const size_t mixed[] = {2, 3};
  double e, v;
  assert_fails(*state, sky_account_sum(*state, &a, 2, mixed, &e, &v), SKY_E_USAGE,
               "totals of ch4 and n2o are not added");
  sky_account_free(&a);
  sky_factors_free(f);
}

#define DRAWS 400000

/* Analytic variance and covariance against draws of every amount and factor, within 2 %. The errors
 * are large, so that the products of errors count. */
static void test_monte_carlo(void **state) {
  const char *text =
      "fuel,value,unit,sd_percent,source\nraw_coal,0.7,tce/t,40,own\nraw_coal,2.7,tCO2/tce,30,own\n"
      "coke,2.7,tCO2/t,10,own\n";
  sky_table *user = NULL;
  assert_int_equal(sky_table_parse(*state, "own.csv", text, strlen(text), &user), SKY_OK);
  const sky_activity rows[] = {
      row("a", "x", "raw_coal", 100, "t", 0.3), row("a", "y", "raw_coal", 200, "t", 0.2),
      row("a", "x", "coke", 50, "t", 0.1), row("b", "x", "raw_coal", 150, "t", 0.25),
      row("b", "x", "coke", 120, "t", 0.05)};
  double s[2] = {0}, ss[2][2] = {{0}};
  for (uint64_t i = 0; i < DRAWS; i++) {
    double g[8];
    for (uint64_t k = 0; k < 8; k++)
      g[k] = sky_rng_normal(11, k, i);
    const double coal = 0.7 * (1 + 0.4 * g[0]) * 2.7 * (1 + 0.3 * g[1]);
    const double coke = 2.7 * (1 + 0.1 * g[2]);
    const double x[2] = {
        (100 * (1 + 0.3 * g[3]) + 200 * (1 + 0.2 * g[4])) * coal + 50 * (1 + 0.1 * g[5]) * coke,
        150 * (1 + 0.25 * g[6]) * coal + 120 * (1 + 0.05 * g[7]) * coke};
    for (int p = 0; p < 2; p++) {
      s[p] += x[p];
      for (int q = 0; q < 2; q++)
        ss[p][q] += x[p] * x[q];
    }
  }
  sky_factors *f = factors(*state, SKY_CARBON_HEAT, user);
  sky_account a;
  run(*state, f, 5, rows, &a);
  for (size_t p = 0; p < 2; p++)
    for (size_t q = 0; q < 2; q++) {
      const double drawn = ss[p][q] / DRAWS - s[p] / DRAWS * (s[q] / DRAWS);
      assert_close(sky_account_covariance(&a, 2 * p, 2 * q) * 1e-6, drawn, 0.02);
    }
  assert_close(a.total[0].sd * a.total[0].sd, sky_account_covariance(&a, 0, 0), 1e-14);
  sky_account_free(&a);
  sky_factors_free(f);
  sky_table_free(user);
}

static void test_refusals(void **state) {
  sky_factors *f = factors(*state, SKY_CARBON_HEAT, NULL);
  sky_account a;
  sky_activity r[2] = {row("a", "i", "coke", -1, "t", 0), row("a", "i", "coke", 1, "t", 0)};
  assert_fails(*state, sky_account_run(*state, f, "a.csv", 1, r, &a), SKY_E_RANGE,
               "a.csv:2: amount: -1");
  r[0] = row("a", "i", "coke", INFINITY, "t", 0);
  assert_fails(*state, sky_account_run(*state, f, "a.csv", 1, r, &a), SKY_E_RANGE, "amount: inf");
  r[0] = row("a", "i", "coke", 1, "t", 1.5);
  assert_fails(*state, sky_account_run(*state, f, "a.csv", 1, r, &a), SKY_E_RANGE,
               "sd_percent: 150");
  r[0] = row("a", "i", "coke", 1, "m3", 0);
  assert_fails(*state, sky_account_run(*state, f, "a.csv", 1, r, &a), SKY_E_UNITS,
               "a.csv:2: unit: 'm3' does not fit coke");
  r[0] = row("a", "i", "coke", 1, "t", 0);
  r[1].line = 3;
  assert_fails(*state, sky_account_run(*state, f, "a.csv", 2, r, &a), SKY_E_RANGE,
               "a.csv:3: region 'a', sector 'i', fuel 'coke' stand on line 2 already");
  assert_null(a.line);
  sky_factors_free(f);
}

static void test_allocation_failures(void **state) {
  const sky_activity rows[] = {row("a", "x", "raw_coal", 100, "t", 0.3),
                               row("b", "y", "electricity", 2, "GWh", 0.2)};
  sky_factors *f = factors(*state, SKY_CARBON_TCE, NULL);
  const size_t both[] = {0, 2};
  size_t failures = 0;
  for (uint64_t n = 1;; n++) {
    sky_account a;
    double e, v;
    sky_memory_fail_at(*state, n);
    sky_status st = sky_account_run(*state, f, "a.csv", 2, rows, &a);
    if (st == SKY_OK) st = sky_account_sum(*state, &a, 2, both, &e, &v);
    const bool fired = st != SKY_OK;
    sky_memory_fail_at(*state, 0);
    sky_account_free(&a);
    if (!fired) break;
    assert_int_equal(st, SKY_E_NOMEM);
    assert_non_null(strstr(sky_error(*state), "out of memory"));
    failures++;
  }
  assert_int_equal(failures, 12);
  sky_factors_free(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_worked_numbers),
                                     SKY_UNIT(test_unit_scaling),
                                     SKY_UNIT(test_zero_and_missing),
                                     SKY_UNIT(test_scopes),
                                     SKY_UNIT(test_gases),
                                     SKY_UNIT(test_closure),
                                     SKY_UNIT(test_monte_carlo),
                                     SKY_UNIT(test_refusals),
                                     SKY_UNIT(test_allocation_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
