/* Workbooks: both layouts from made books, audits that do not close, and every refusal. */
#include <gdal.h>
#include <math.h>
#include <ogr_api.h>
#include <unistd.h>

#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/read/workbook.h"
#include "tests/support/sky_cmocka.h"

#define BOOK "workbook_made.xlsx"
#define COLUMNS 7

typedef struct page {
  const char *name;
  size_t rows;
  const char *cells[8][COLUMNS];
} page;

static const page sectors = {"Beta2019",
                             6,
                             {{"Emission_Inventory", "Raw_Coal", "Scope_2_Heat",
                               "Scope_2_Electricity", "Other_Energy", "Process", "Scope_1_Total"},
                              {"unit", "Mt CO2", "Mt CO2", "Mt CO2", "Mt CO2", "Mt CO2", "Mt CO2"},
                              {"TotalEmissions", "3", "0.5", "0.25", "0.125", "1", "4.125"},
                              {"Farming", "1", "0.5", NULL, "0.125", NULL, "1.125"},
                              {"Cement", "2", NULL, "0.25", "0", "1", "3"}}};
static const page cities = {"emission vector",
                            4,
                            {{"ID", "city", "year", "emission"},
                             {"x", "\u5b89\u5fbd\u5408\u80a5", "2019", "2.5"},
                             {"y", "Alpha", "2019", "1.5"},
                             {"z", "Alpha", "2018", NULL}}};
static const page note = {
    "NOTE", 2, {{"Type", "CO2"}, {"Unit/\u5355\u4f4d", "million tones\n\u767e\u4e07\u5428"}}};

static void write_book(sky_context *ctx, const page *const *pages, size_t n) {
  assert_int_equal(sky_gdal_start(ctx), SKY_OK);
  unlink(BOOK);
  GDALDatasetH book = GDALCreate(GDALGetDriverByName("XLSX"), BOOK, 0, 0, 0, GDT_Unknown, NULL);
  assert_non_null(book);
  for (size_t p = 0; p < n; p++) {
    OGRLayerH layer = GDALDatasetCreateLayer(book, pages[p]->name, NULL, wkbNone, NULL);
    const char *const *head = pages[p]->cells[0];
    for (int c = 0; c < COLUMNS && head[c] != NULL; c++) {
      OGRFieldDefnH d = OGR_Fld_Create(head[c], OFTString);
      assert_int_equal(OGR_L_CreateField(layer, d, 0), OGRERR_NONE);
      OGR_Fld_Destroy(d);
    }
    for (size_t r = 1; r < pages[p]->rows; r++) {
      OGRFeatureH f = OGR_F_Create(OGR_L_GetLayerDefn(layer));
      for (int c = 0; c < COLUMNS && head[c] != NULL; c++)
        if (pages[p]->cells[r][c] != NULL) OGR_F_SetFieldString(f, c, pages[p]->cells[r][c]);
      assert_int_equal(OGR_L_CreateFeature(layer, f), OGRERR_NONE);
      OGR_F_Destroy(f);
    }
  }
  GDALClose(book);
}

static void one_sheet(sky_context *ctx, const page *p) {
  const page *const pages[] = {p};
  write_book(ctx, pages, 1);
}

static void sectors_and_scopes(void **state) {
  sky_context *ctx = *state;
  page alpha = sectors;
  alpha.name = "Alpha2019";
  page older = sectors;
  older.name = "Beta2018";
  const page *const pages[] = {&note, &sectors, &alpha, &older};
  sky_workbook w;
  write_book(ctx, pages, 4);
  assert_int_equal(sky_workbook_read(ctx, BOOK, 2019, &w), SKY_OK);
  assert_string_equal(w.format, "ceads-sector-fuel");
  assert_string_equal(w.unit, "Mt CO2");
  assert_int_equal(w.n, 2);
  assert_string_equal(w.item[0].region, "Alpha");
  assert_string_equal(w.item[1].region, "Beta");
  assert_close(w.item[1].scope1, 4.125e9, 1e-15);
  assert_close(w.item[1].scope2, 0.75e9, 1e-15);
  assert_close(w.item[1].stated_total, 4.125e9, 1e-15);
  assert_int_equal(w.item[1].n_sectors, 2);
  assert_int_equal(w.item[1].n_fuels, 2); /* raw coal and other energy */
  assert_int_equal(sky_context_warning_count(ctx), 0);
  sky_workbook_free(&w);
  assert_int_equal(sky_workbook_read(ctx, BOOK, 0, &w), SKY_OK);
  assert_int_equal(w.n, 3);
  assert_true(w.item[1].year == 2018 && w.item[2].year == 2019);
  sky_workbook_free(&w);
  unlink(BOOK);
}

static void an_audit_that_does_not_close(void **state) {
  sky_context *ctx = *state;
  page p = sectors;
  p.cells[4][1] = "2.5";
  sky_workbook w;
  one_sheet(ctx, &p);
  assert_int_equal(sky_workbook_read(ctx, BOOK, 2019, &w), SKY_OK);
  assert_int_equal(sky_context_warning_count(ctx), 1);
  const char *warning = sky_context_warning(ctx, 0);
  assert_non_null(strstr(warning, "Beta2019"));
  assert_non_null(strstr(warning, "4.625e+09"));
  assert_non_null(strstr(warning, "4.125e+09"));
  sky_workbook_free(&w);
  unlink(BOOK);
}

static void cities_and_years(void **state) {
  sky_context *ctx = *state;
  const page *const pages[] = {&note, &cities};
  sky_workbook w;
  write_book(ctx, pages, 2);
  assert_int_equal(sky_workbook_read(ctx, BOOK, 0, &w), SKY_OK);
  assert_string_equal(w.format, "ceads-city-vector");
  assert_string_equal(w.unit, "million tones");
  assert_int_equal(w.n, 2); /* the empty one is no estimate */
  assert_string_equal(w.item[0].region, "Alpha");
  assert_string_equal(w.item[1].region, "安徽合肥");
  assert_close(w.item[1].scope1, 2.5e9, 1e-15);
  assert_true(isnan(w.item[1].stated_total) && w.item[1].scope2 == 0);
  sky_workbook_free(&w);
  unlink(BOOK);
}

static void defects_are_named(void **state) {
  sky_context *ctx = *state;
  sky_workbook w = {0};
  page p = sectors;
  p.cells[3][1] = "n/a";
  one_sheet(ctx, &p);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_RANGE,
               "sheet 'Beta2019', row 4, column 2: 'n/a'");
  p = sectors;
  p.cells[1][3] = "kt CO2";
  one_sheet(ctx, &p);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_UNITS, "kt CO2");
  p = sectors;
  p.cells[1][6] = "";
  one_sheet(ctx, &p);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_UNITS, "Beta2019");
  p = sectors;
  p.cells[0][6] = "Sum";
  one_sheet(ctx, &p);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_FORMAT, "Scope_1_Total");
  one_sheet(ctx, &sectors);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2001, &w), SKY_E_NODATA, "2001");
  one_sheet(ctx, &cities);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_UNITS, "NOTE");
  one_sheet(ctx, &note);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_FORMAT, "no sheet named");
  const page *const twice[] = {&note, &cities, &cities};
  page copy = cities;
  copy.name = "second";
  const page *const pages[] = {twice[0], twice[1], &copy};
  write_book(ctx, pages, 3);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_FORMAT, "twice for 2019");
  unlink(BOOK);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_MISSING, BOOK);
  FILE *f = fopen(BOOK, "w");
  fputs("not a book", f);
  fclose(f);
  assert_fails(ctx, sky_workbook_read(ctx, BOOK, 2019, &w), SKY_E_READ, BOOK);
  unlink(BOOK);
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  const page *const pages[] = {&note, &cities, &sectors};
  write_book(ctx, pages, 3);
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 1000 && st != SKY_OK; n++) {
    sky_workbook w = {0};
    sky_memory_fail_at(ctx, n);
    st = sky_workbook_read(ctx, BOOK, 2019, &w);
    sky_memory_fail_at(ctx, 0);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
    sky_workbook_free(&w);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 4);
  unlink(BOOK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(sectors_and_scopes), SKY_UNIT(an_audit_that_does_not_close),
      SKY_UNIT(cities_and_years), SKY_UNIT(defects_are_named), SKY_UNIT(allocations_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
