/* workbook.c: inventory workbooks through GDAL's XLSX driver.
 *
 * Two layouts of the China emission accounts (Shan et al. 2018, 2020, Scientific Data):
 *   sheets <Region><year>: a header row that ends in Scope_1_Total, a row of units, a row of totals
 * and one row a sector; scope 1 = fuels + other energy + process, scope 2 = heat + electricity. A
 * sheet that is only a year (the national book) is region "national". a table with the columns
 * city, year and emission; its unit stands in the sheet NOTE. Every cell is read as text and parsed
 * strictly: a cell that is neither empty nor a number is an error with its sheet, row and column.
 */
#include "src/read/workbook.h"

#include <cpl_conv.h>
#include <ctype.h>
#include <gdal.h>
#include <math.h>
#include <ogr_api.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/sum.h"
#include "src/core/units.h"
#include "src/engine/gdal_start.h"

#define CLOSURE 1e-6 /* relative: Σ sectors × fuels against the stated total */
#define MAX_COLUMNS 256

void sky_workbook_free(sky_workbook *w) {
  if (w == NULL) return;
  for (size_t i = 0; i < w->n; i++)
    sky_free(w->item[i].region);
  sky_free(w->item);
  memset(w, 0, sizeof *w);
}

/* ---- cells ---------------------------------------------------------------------------------- */

typedef struct sheet {
  const char *path, *name;
  OGRLayerH layer;
  int columns;
} sheet;

/* Text of a cell without surrounding blanks is all that matters; "" for an empty one. */
static const char *cell(OGRFeatureH row, int column) {
  const char *text =
      OGR_F_IsFieldSetAndNotNull(row, column) ? OGR_F_GetFieldAsString(row, column) : "";
  while (isspace((unsigned char)*text))
    text++;
  return text;
}

/* Headings compare without regard to case; blanks and underscores are alike. */
static bool same_heading(const char *a, const char *b) {
  for (; *a != '\0' && *b != '\0'; a++, b++) {
    const int x = *a == ' ' ? '_' : tolower((unsigned char)*a);
    const int y = *b == ' ' ? '_' : tolower((unsigned char)*b);
    if (x != y) return false;
  }
  while (isspace((unsigned char)*a))
    a++;
  return *a == '\0' && *b == '\0';
}

static int find_heading(const sheet *s, OGRFeatureH row, const char *heading) {
  for (int c = 0; c < s->columns; c++)
    if (same_heading(cell(row, c), heading)) return c;
  return -1;
}

/* Empty = 0. */
static sky_status cell_number(sky_context *ctx, const sheet *s, OGRFeatureH row, int column,
                              double *out) {
  const char *text = cell(row, column);
  *out = 0;
  if (*text == '\0' || sky_number_parse(text, out, NULL)) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "%s: sheet '%s', row %lld, column %d: '%.40s' is not a number",
                  s->path, s->name, (long long)OGR_F_GetFID(row), column + 1, text);
}

/* "Mt CO2", "million tones" -> kg. */
static sky_status unit_factor(sky_context *ctx, const sheet *s, const char *text, double *kg) {
  static const char *const million_tonnes[] = {"million tones", "million tonnes", "million tons"};
  char unit[48];
  size_t n = strcspn(text, "\n");
  n = n < sizeof unit ? n : sizeof unit - 1;
  memcpy(unit, text, n);
  while (n > 0 && isspace((unsigned char)unit[n - 1]))
    n--;
  unit[n] = '\0';
  for (size_t i = 0; i < 3; i++) {
    if (strcasecmp(unit, million_tonnes[i]) == 0) {
      *kg = 1e9;
      return SKY_OK;
    }
  }
  if (n > 4 && strcasecmp(unit + n - 4, " co2") == 0) unit[n - 4] = '\0';
  double offset;
  const sky_status st = sky_units_convert(ctx, unit, "kg", kg, &offset);
  return st == SKY_OK ? st : sky_fail_in(ctx, st, "%s: sheet '%s': ", s->path, s->name);
}

/* ---- results -------------------------------------------------------------------------------- */

static sky_status push(sky_context *ctx, sky_workbook *w, size_t *capacity, const char *region,
                       size_t region_length, sky_region_total item) {
  if (w->n == *capacity) {
    const size_t grown = *capacity == 0 ? 64 : 2 * *capacity;
    sky_region_total *p = sky_realloc(ctx, w->item, w->n, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    w->item = p;
    *capacity = grown;
  }
  item.region = SKY_NEW(ctx, char, region_length + 1);
  if (item.region == NULL) return SKY_E_NOMEM;
  memcpy(item.region, region, region_length);
  item.region[region_length] = '\0';
  w->item[w->n++] = item;
  return SKY_OK;
}

static int by_region(const void *a, const void *b) {
  const sky_region_total *x = a, *y = b;
  const int order = strcmp(x->region, y->region);
  return order != 0 ? order : (x->year > y->year) - (x->year < y->year);
}

/* ---- sector × fuel sheets ------------------------------------------------------------------- */

typedef struct columns { /* of a sector sheet; -1 = absent */
  int total, process, heat, power;
} columns;

typedef struct sums { /* in the sheet's unit */
  sky_acc scope1, scope2;
  double stated;
  bool has_stated;
  size_t sectors;
} sums;

static bool find_columns(const sheet *s, OGRFeatureH row, columns *c) {
  c->total = find_heading(s, row, "scope_1_total");
  c->process = find_heading(s, row, "process");
  c->heat = find_heading(s, row, "scope_2_heat");
  c->power = find_heading(s, row, "scope_2_electricity");
  return c->total > 0;
}

static sky_status check_units(sky_context *ctx, const sheet *s, OGRFeatureH row, const columns *c,
                              char unit[32], double *kg) {
  SKY_TRY(unit_factor(ctx, s, cell(row, c->total), kg));
  snprintf(unit, 32, "%.31s", cell(row, c->total));
  for (int k = 1; k < c->total; k++)
    if (strcmp(cell(row, k), cell(row, c->total)) != 0)
      return sky_fail(ctx, SKY_E_UNITS, "%s: sheet '%s', column %d: unit '%.31s' beside '%s'",
                      s->path, s->name, k + 1, cell(row, k), unit);
  return SKY_OK;
}

static sky_status add_sector(sky_context *ctx, const sheet *s, OGRFeatureH row, const columns *c,
                             sums *sum) {
  for (int k = 1; k < c->total; k++) {
    double v;
    SKY_TRY(cell_number(ctx, s, row, k, &v));
    sky_acc_add(k == c->heat || k == c->power ? &sum->scope2 : &sum->scope1, v);
  }
  sum->sectors++;
  return SKY_OK;
}

static sky_status read_total(sky_context *ctx, const sheet *s, OGRFeatureH row, const columns *c,
                             sums *sum) {
  sum->has_stated = *cell(row, c->total) != '\0';
  return cell_number(ctx, s, row, c->total, &sum->stated);
}

/* Rows in order: header, units, totals ("Total…"), sectors; rows without a name are skipped. */
static sky_status read_sectors(sky_context *ctx, const sheet *s, columns *c, char unit[32],
                               double *kg, sums *sum) {
  sky_status st = SKY_OK;
  bool header = false;
  *kg = 0;
  OGR_L_ResetReading(s->layer);
  for (OGRFeatureH row; st == SKY_OK && (row = OGR_L_GetNextFeature(s->layer)) != NULL;
       OGR_F_Destroy(row)) {
    if (!header)
      header = find_columns(s, row, c);
    else if (*kg == 0)
      st = check_units(ctx, s, row, c, unit, kg);
    else if (strncasecmp(cell(row, 0), "total", 5) == 0)
      st = read_total(ctx, s, row, c, sum);
    else if (*cell(row, 0) != '\0')
      st = add_sector(ctx, s, row, c, sum);
  }
  if (st == SKY_OK && !header)
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: sheet '%s': no header row with Scope_1_Total", s->path,
                  s->name);
  return st;
}

static void log_audit(sky_context *ctx, const sheet *s, const sky_region_total *r) {
  if (isnan(r->stated_total)) return;
  const bool closes = fabs(r->scope1 - r->stated_total) <= CLOSURE * fabs(r->stated_total);
  sky_log(ctx, closes ? SKY_LOG_INFO : SKY_LOG_WARN,
          "%s: sheet '%s': scope 1 of %zu sectors %.9g kg, stated total %.9g kg%s", s->path,
          s->name, r->n_sectors, r->scope1, r->stated_total, closes ? "" : ": does not close");
}

/* Year at the end of a sheet's name, 0 if there is none; *length of what stands before it. */
static int sheet_year(const char *name, size_t *length) {
  const size_t n = strlen(name);
  if (n < 4) return 0;
  for (size_t i = n - 4; i < n; i++)
    if (!isdigit((unsigned char)name[i])) return 0;
  const int year = atoi(name + n - 4);
  *length = n - 4;
  return year >= 1900 && year <= 2100 ? year : 0;
}

static sky_status read_sector_sheet(sky_context *ctx, const sheet *s, int year, size_t length,
                                    sky_workbook *w, size_t *capacity) {
  columns c = {-1, -1, -1, -1};
  sums sum = {.stated = NAN};
  double kg;
  SKY_TRY(read_sectors(ctx, s, &c, w->unit, &kg, &sum));
  if (sum.sectors == 0)
    return sky_fail(ctx, SKY_E_NODATA, "%s: sheet '%s': no sector row", s->path, s->name);
  const int apart = (c.process > 0) + (c.heat > 0) + (c.power > 0);
  const sky_region_total item = {
      .year = year,
      .scope1 = sky_acc_value(&sum.scope1) * kg,
      .scope2 = sky_acc_value(&sum.scope2) * kg,
      .stated_total = sum.has_stated ? sum.stated * kg : NAN,
      .n_sectors = sum.sectors,
      .n_fuels = (size_t)(c.total - 1 - apart),
  };
  log_audit(ctx, s, &item);
  return push(ctx, w, capacity, length > 0 ? s->name : "national",
              length > 0 ? length : strlen("national"), item);
}

/* ---- city × year table ---------------------------------------------------------------------- */

/* The unit of the whole book: the row of the sheet NOTE that starts with "Unit". */
static sky_status note_unit(sky_context *ctx, GDALDatasetH book, const char *path, char unit[32],
                            double *kg) {
  sheet s = {.path = path, .name = "NOTE", .layer = GDALDatasetGetLayerByName(book, "NOTE")};
  *kg = 0;
  sky_status st = SKY_OK;
  if (s.layer != NULL && OGR_FD_GetFieldCount(OGR_L_GetLayerDefn(s.layer)) >= 2) {
    OGR_L_ResetReading(s.layer);
    for (OGRFeatureH row; st == SKY_OK && (row = OGR_L_GetNextFeature(s.layer)) != NULL;
         OGR_F_Destroy(row)) {
      if (strncasecmp(cell(row, 0), "unit", 4) != 0 || *kg != 0) continue;
      st = unit_factor(ctx, &s, cell(row, 1), kg);
      snprintf(unit, 32, "%.*s", (int)strcspn(cell(row, 1), "\n"), cell(row, 1));
    }
  }
  if (st == SKY_OK && *kg == 0)
    st = sky_fail(ctx, SKY_E_UNITS, "%s: sheet NOTE: no unit of the emissions", path);
  return st;
}

static sky_status read_city_row(sky_context *ctx, const sheet *s, OGRFeatureH row, const int at[3],
                                int year, double kg, sky_workbook *w, size_t *capacity) {
  double row_year, value;
  const char *city = cell(row, at[0]);
  if (*city == '\0') return SKY_OK;
  SKY_TRY(cell_number(ctx, s, row, at[1], &row_year));
  if (year != 0 && row_year != year) return SKY_OK;
  if (*cell(row, at[2]) == '\0') return SKY_OK; /* no estimate for that year */
  SKY_TRY(cell_number(ctx, s, row, at[2], &value));
  if (!(row_year >= 1900 && row_year <= 2100))
    return sky_fail(ctx, SKY_E_RANGE, "%s: sheet '%s', row %lld: year %g", s->path, s->name,
                    (long long)OGR_F_GetFID(row), row_year);
  const sky_region_total item = {.year = (int)row_year, .scope1 = value * kg, .stated_total = NAN};
  return push(ctx, w, capacity, city, strlen(city), item);
}

/* True if the row has the headings of a city table; at: their columns. */
static bool city_headings(const sheet *s, OGRFeatureH row, int at[3]) {
  at[0] = find_heading(s, row, "city");
  at[1] = find_heading(s, row, "year");
  at[2] = find_heading(s, row, "emission");
  return at[0] >= 0 && at[1] >= 0 && at[2] >= 0;
}

static bool is_vector_sheet(const sheet *s, int at[3]) {
  OGR_L_ResetReading(s->layer);
  OGRFeatureH row = OGR_L_GetNextFeature(s->layer);
  const bool yes = row != NULL && city_headings(s, row, at);
  OGR_F_Destroy(row);
  return yes;
}

static sky_status read_vector_sheet(sky_context *ctx, GDALDatasetH book, const sheet *s,
                                    const int at[3], int year, sky_workbook *w, size_t *capacity) {
  double kg;
  bool header = true;
  sky_status st = SKY_OK;
  SKY_TRY(note_unit(ctx, book, s->path, w->unit, &kg));
  OGR_L_ResetReading(s->layer);
  for (OGRFeatureH row; st == SKY_OK && (row = OGR_L_GetNextFeature(s->layer)) != NULL;
       OGR_F_Destroy(row)) {
    if (!header) st = read_city_row(ctx, s, row, at, year, kg, w, capacity);
    header = false;
  }
  return st;
}

/* ---- the book ------------------------------------------------------------------------------- */

static sky_status read_sheet(sky_context *ctx, GDALDatasetH book, const sheet *s, int year,
                             sky_workbook *w, size_t *capacity, bool *matched) {
  size_t length = 0;
  const int in_name = sheet_year(s->name, &length);
  if (s->columns > MAX_COLUMNS)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: sheet '%s': %d columns, at most %d are expected",
                    s->path, s->name, s->columns, MAX_COLUMNS);
  if (in_name != 0) {
    *matched = true;
    snprintf(w->format, sizeof w->format, "ceads-sector-fuel");
    if (year != 0 && in_name != year) return SKY_OK;
    return read_sector_sheet(ctx, s, in_name, length, w, capacity);
  }
  int at[3];
  if (!is_vector_sheet(s, at)) return SKY_OK;
  *matched = true;
  snprintf(w->format, sizeof w->format, "ceads-city-vector");
  return read_vector_sheet(ctx, book, s, at, year, w, capacity);
}

static sky_status read_book(sky_context *ctx, GDALDatasetH book, const char *path, int year,
                            sky_workbook *w) {
  size_t capacity = 0;
  bool matched = false;
  for (int i = 0; i < GDALDatasetGetLayerCount(book); i++) {
    sheet s = {.path = path, .layer = GDALDatasetGetLayer(book, i)};
    s.name = OGR_L_GetName(s.layer);
    s.columns = OGR_FD_GetFieldCount(OGR_L_GetLayerDefn(s.layer));
    SKY_TRY(read_sheet(ctx, book, &s, year, w, &capacity, &matched));
  }
  if (!matched)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: no sheet named <region><year> and no table with city, year and emission",
                    path);
  if (w->n == 0) return sky_fail(ctx, SKY_E_NODATA, "%s: nothing for the year %d", path, year);
  qsort(w->item, w->n, sizeof *w->item, by_region);
  for (size_t i = 1; i < w->n; i++)
    if (by_region(&w->item[i - 1], &w->item[i]) == 0)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: region '%s' twice for %d", path, w->item[i].region,
                      w->item[i].year);
  return SKY_OK;
}

sky_status sky_workbook_read(sky_context *ctx, const char *path, int year, sky_workbook *out) {
  static const char *const drivers[] = {"XLSX", NULL};
  sky_workbook w = {0};
  SKY_TRY(sky_gdal_start(ctx));
  if (!sky_file_exists(path)) return sky_fail(ctx, SKY_E_MISSING, "%s: no such file", path);
  CPLSetThreadLocalConfigOption("OGR_XLSX_HEADERS", "DISABLE");
  CPLSetThreadLocalConfigOption("OGR_XLSX_FIELD_TYPES", "STRING");
  GDALDatasetH book = GDALOpenEx(path, GDAL_OF_VECTOR | GDAL_OF_READONLY, drivers, NULL, NULL);
  sky_status st = SKY_OK;
  if (book == NULL)
    st = sky_gdal_fail(ctx, SKY_E_READ, "%s: not a readable workbook (xlsx)", path);
  else
    st = read_book(ctx, book, path, year, &w);
  GDALClose(book);
  CPLSetThreadLocalConfigOption("OGR_XLSX_HEADERS", NULL);
  CPLSetThreadLocalConfigOption("OGR_XLSX_FIELD_TYPES", NULL);
  if (st != SKY_OK) {
    sky_workbook_free(&w);
    return st;
  }
  *out = w;
  return SKY_OK;
}
