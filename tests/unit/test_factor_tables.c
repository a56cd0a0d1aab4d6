/* The embedded factor tables are those of the specification, cell by cell. */
#include "src/core/file.h"
#include "src/core/table.h"
#include "tests/support/sky_cmocka.h"

static const char *const TABLES[] = {"standard_coal_factors.csv", "co2_fuel_factors.csv",
                                     "grid_heat_factors.csv", "uncertainty_ranges.csv",
                                     "gwp100.csv"};
static const size_t ROWS[] = {71, 55, 132, 27, 33};

static sky_table *embedded(sky_context *ctx, const char *name) {
  size_t length = 0;
  sky_table *t = NULL;
  const char *text = sky_embedded(name, &length);
  assert_non_null(text);
  assert_int_equal(sky_table_parse(ctx, name, text, length, &t), SKY_OK);
  return t;
}

/* Number of cells that differ, header included. */
static size_t differences(const sky_table *a, const sky_table *b) {
  size_t n = 0;
  for (size_t c = 0; c < sky_table_columns(b); c++) {
    n += strcmp(sky_table_header(a, c), sky_table_header(b, c)) != 0;
    for (size_t r = 0; r < sky_table_rows(b); r++)
      n += strcmp(sky_table_cell(a, r, c), sky_table_cell(b, r, c)) != 0;
  }
  return n;
}

static void test_same_cells(void **state) {
  for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++) {
    char path[1024];
    sky_table *theirs = NULL, *ours = embedded(*state, TABLES[i]);
    snprintf(path, sizeof path, SKYFLUX_DATA "/tables/inventory/%s", TABLES[i]);
    assert_int_equal(sky_table_read(*state, path, &theirs), SKY_OK);
    assert_int_equal(sky_table_rows(ours), ROWS[i]);
    assert_int_equal(sky_table_rows(theirs), ROWS[i]);
    assert_int_equal(sky_table_columns(ours), sky_table_columns(theirs));
    assert_int_equal(differences(ours, theirs), 0);
    assert_true(sky_table_find(ours, "source") != SIZE_MAX);
    assert_true(sky_table_find(ours, "verified") != SIZE_MAX);
    sky_table_free(ours);
    sky_table_free(theirs);
  }
}

/* ch4_n2o_factors has codes, kinds and units in one spelling beside the specification's cells. */
static void test_other_gases(void **state) {
  static const char *const SAME[] = {"ipcc_2006_code", "gas",    "item",     "value", "low",
                                     "high",           "source", "verified", "note"};
  sky_table *theirs = NULL, *ours = embedded(*state, "ch4_n2o_factors.csv");
  assert_int_equal(
      sky_table_read(*state, SKYFLUX_DATA "/tables/inventory/ch4_n2o_factors.csv", &theirs),
      SKY_OK);
  assert_int_equal(sky_table_rows(ours), 215);
  assert_int_equal(sky_table_rows(theirs), 215);
  for (size_t i = 0; i < 215; i++) {
    for (size_t k = 0; k < sizeof SAME / sizeof *SAME; k++)
      assert_string_equal(sky_table_cell(ours, i, sky_table_find(ours, SAME[k])),
                          sky_table_cell(theirs, i, sky_table_find(theirs, SAME[k])));
    const char *code = sky_table_cell(ours, i, 0);
    for (const char *p = code; *p != '\0'; p++)
      assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
    for (size_t j = 0; j < i; j++)
      assert_string_not_equal(code, sky_table_cell(ours, j, 0));
    const char *was = sky_table_cell(theirs, i, sky_table_find(theirs, "unit"));
    const bool nitrogen = strstr(was, "N2O-N") != NULL;
    const char *unit = sky_table_cell(ours, i, sky_table_find(ours, "unit"));
    assert_true(nitrogen == (strstr(unit, "N2O-N") != NULL));
    if (strcmp(was, "m3/t") == 0) assert_string_equal(unit, "m3CH4/t");
    if (strcmp(was, "g/t") == 0) assert_string_equal(unit, "gN2O/t");
  }
  sky_table_free(ours);
  sky_table_free(theirs);
}

static void test_control(void **state) {
  sky_table *a = embedded(*state, TABLES[0]), *b = embedded(*state, TABLES[1]);
  assert_true(differences(a, b) > 100);
  sky_table_free(a);
  sky_table_free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_same_cells), SKY_UNIT(test_other_gases),
                                     SKY_UNIT(test_control)};
  if (!sky_file_exists(SKYFLUX_DATA "/tables/inventory/gwp100.csv")) {
    puts("skipped: no " SKYFLUX_DATA "/tables/inventory");
    return 77;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
