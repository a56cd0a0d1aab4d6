/* legend.c: codes of land-cover maps to ecosystem classes. */
#include "algorithms/sink/legend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/text.h"

static const char *const class_names[SKY_SINK_CLASSES] = {"forest",
                                                          "shrub",
                                                          "grassland",
                                                          "wetland",
                                                          "soil and water conservation",
                                                          "sandy land",
                                                          "cropland",
                                                          "mangrove",
                                                          "coastal salt marsh",
                                                          "seagrass",
                                                          "other"};

/* id, and the product as legend_crosswalk.csv writes it. */
static const sky_legend_entry entries[] = {
    {"worldcover", "ESA WorldCover v200"}, {"clcd", "CLCD (Yang & Huang)"},
    {"globeland30", "GlobeLand30"},        {"esri", "ESRI/IO 10 m LULC"},
    {"glc-fcs30d", "GLC_FCS30D"},          {"esa-cci", "ESA CCI-LC / C3S"},
    {"igbp", "MCD12Q1 IGBP (LC_Type1)"},   {"corine", "CORINE 2018"},
    {"gbt21010", "GB/T 21010-2017"}};
#define N_ENTRIES (sizeof entries / sizeof entries[0])

const char *sky_sink_class_name(int number) {
  return number >= 1 && number <= SKY_SINK_CLASSES ? class_names[number - 1] : NULL;
}

const char *sky_ipcc_category(int number) {
  static const char *const categories[SKY_SINK_CLASSES] = {"F", "G", "G", "W", "F/C/G", "O",
                                                           "C", "F", "W", "W", "S/O"};
  return number >= 1 && number <= SKY_SINK_CLASSES ? categories[number - 1] : "";
}

const sky_legend_entry *sky_legend_entries(size_t *n) {
  *n = N_ENTRIES;
  return entries;
}

void sky_legend_free(sky_legend *l) {
  if (l == NULL) return;
  for (size_t i = 0; i < l->n; i++)
    sky_free(l->row[i].name);
  sky_free(l->row);
  sky_free(l->name);
  memset(l, 0, sizeof *l);
}

size_t sky_legend_find(const sky_legend *l, int32_t code) {
  size_t low = 0, high = l->n;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (l->row[mid].high < code)
      low = mid + 1;
    else
      high = mid;
  }
  return low < l->n && l->row[low].low <= code ? low : SIZE_MAX;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool whole(const char *text, const char **rest, int32_t *out) {
  double v = 0;
  if (!sky_number_parse(text, &v, rest) || v != nearbyint(v) || fabs(v) > INT32_MAX) return false;
  *out = (int32_t)v;
  return true;
}

/* "60", or a range of GB/T's two-digit groups, "05-10". */
static bool parse_codes(const char *text, sky_legend_row *row) {
  const char *rest = NULL;
  int32_t last = 0;
  if (!whole(text, &rest, &row->low)) return false;
  row->high = row->low;
  if (*rest == '\0') return true;
  if (*rest != '-' || !whole(rest + 1, NULL, &last) || row->low < 0 || last > 99) return false;
  row->low *= 100;
  row->high = 100 * last + 99;
  return row->low <= row->high;
}

typedef struct columns {
  size_t code, name, number, verified;
} columns;

static sky_status read_row(sky_context *ctx, const sky_table *t, size_t line, const columns *c,
                           const char *path, sky_legend *l) {
  sky_legend_row *row = &l->row[l->n];
  const char *code = sky_table_cell(t, line, c->code);
  double number = 0;
  *row = (sky_legend_row){0};
  if (!parse_codes(code, row))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: code '%s' is not a whole number", path,
                    sky_table_line(t, line), code);
  SKY_TRY(sky_table_number(ctx, t, line, c->number, &number));
  if (isnan(number))
    number = 0;
  else if (!(number >= 1 && number <= SKY_SINK_CLASSES) || number != nearbyint(number))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: class %g of code '%s' is not 1 to %d (empty: nodata)",
                    path, sky_table_line(t, line), number, code, SKY_SINK_CLASSES);
  row->number = (int)number;
  row->verified =
      c->verified == SIZE_MAX || strcmp(sky_table_cell(t, line, c->verified), "yes") == 0;
  row->name = sky_strdup(ctx, c->name == SIZE_MAX ? "" : sky_table_cell(t, line, c->name));
  if (row->name == NULL) return SKY_E_NOMEM;
  l->n++;
  return SKY_OK;
}

static int by_code(const void *a, const void *b) {
  const int32_t x = ((const sky_legend_row *)a)->low, y = ((const sky_legend_row *)b)->low;
  return (x > y) - (x < y);
}

/* Rows of `product` (NULL: all). */
static sky_status read_rows(sky_context *ctx, const sky_table *t, const columns *c,
                            const char *path, const char *product, sky_legend *out) {
  sky_status st = SKY_OK;
  sky_legend l = {0};
  const size_t rows = sky_table_rows(t);
  SKY_GO_ALLOC(l.name, sky_strdup(ctx, path));
  SKY_GO_ALLOC(l.row, SKY_NEW0(ctx, sky_legend_row, rows));
  for (size_t i = 0; i < rows; i++)
    if (product == NULL || strcmp(sky_table_cell(t, i, 0), product) == 0)
      SKY_GO(read_row(ctx, t, i, c, path, &l));
  qsort(l.row, l.n, sizeof *l.row, by_code);
  for (size_t i = 1; i < l.n; i++) {
    if (l.row[i].low > l.row[i - 1].high) continue;
    st = sky_fail(ctx, SKY_E_RANGE, "%s: code %d occurs twice", path, (int)l.row[i].low);
    goto cleanup;
  }
  if (l.n == 0) {
    st = sky_fail(ctx, SKY_E_NODATA, "%s: no rows", path);
    goto cleanup;
  }
  *out = l;
  return SKY_OK;
cleanup:
  sky_legend_free(&l);
  return st;
}

sky_status sky_legend_builtin(sky_context *ctx, const char *id, sky_legend *out) {
  static const char file[] = "legend_crosswalk.csv";
  const char *names[N_ENTRIES];
  size_t k = 0, length = 0;
  for (size_t i = 0; i < N_ENTRIES; i++)
    names[i] = entries[i].id;
  while (k < N_ENTRIES && strcmp(names[k], id) != 0)
    k++;
  if (k == N_ENTRIES) {
    const char *near = sky_text_nearest(id, names, N_ENTRIES);
    return sky_fail(ctx, SKY_E_USAGE, "legend '%s' is not known%s%s%s (see skyflux list legends)",
                    id, near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
  }
  sky_table *t = NULL;
  const char *text = sky_embedded(file, &length);
  SKY_TRY(sky_table_parse(ctx, file, text, length, &t));
  const columns c = {sky_table_find(t, "code"), sky_table_find(t, "name"),
                     sky_table_find(t, "tci231_class"), sky_table_find(t, "legend_verified")};
  const sky_status st = read_rows(ctx, t, &c, id, entries[k].product, out);
  sky_table_free(t);
  return st;
}

sky_status sky_legend_from_table(sky_context *ctx, const sky_table *t, const char *path,
                                 sky_legend *out) {
  columns c = {sky_table_find(t, "code"), sky_table_find(t, "name"), sky_table_find(t, "class"),
               SIZE_MAX};
  if (c.number == SIZE_MAX) c.number = sky_table_find(t, "tci231_class");
  if (c.code == SIZE_MAX || c.number == SIZE_MAX)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s' (a legend has code, name, class)", path,
                    c.code == SIZE_MAX ? "code" : "class");
  return read_rows(ctx, t, &c, path, NULL, out);
}
