/* activity.c: activity tables (activity.h). */
#include "src/read/activity.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"

enum { REGION, SECTOR, FUEL, AMOUNT, UNIT, SD, SOURCE, N_COLUMNS };
static const char *const COLUMN[N_COLUMNS] = {"region", "sector",     "fuel",  "amount",
                                              "unit",   "sd_percent", "source"};

/* Where each column stands; every one must, and no other. */
static sky_status find_columns(sky_context *ctx, const char *path, const sky_table *t,
                               size_t at[N_COLUMNS]) {
  for (size_t c = 0; c < sky_table_columns(t); c++) {
    size_t known = 0;
    while (known < N_COLUMNS && strcmp(COLUMN[known], sky_table_header(t, c)) != 0)
      known++;
    if (known < N_COLUMNS && sky_table_find(t, COLUMN[known]) == c) continue;
    const char *near = sky_text_nearest(sky_table_header(t, c), COLUMN, N_COLUMNS);
    return sky_fail(ctx, SKY_E_FORMAT, "%s: column '%s' is %s%s%s%s", path, sky_table_header(t, c),
                    known < N_COLUMNS ? "there twice" : "not known",
                    near != NULL && known == N_COLUMNS ? "; did you mean '" : "",
                    near != NULL && known == N_COLUMNS ? near : "",
                    near != NULL && known == N_COLUMNS ? "'?" : "");
  }
  for (size_t k = 0; k < N_COLUMNS; k++) {
    at[k] = sky_table_find(t, COLUMN[k]);
    if (at[k] == SIZE_MAX)
      return sky_fail(
          ctx, SKY_E_FORMAT,
          "%s: no column '%s' (header: region,sector,fuel,amount,unit,sd_percent,source)", path,
          COLUMN[k]);
  }
  return SKY_OK;
}

static sky_status read_row(sky_context *ctx, const char *path, const sky_table *t, size_t i,
                           const size_t at[N_COLUMNS], sky_activity *row) {
  const int line = sky_table_line(t, i);
  const char *text[N_COLUMNS];
  for (size_t k = 0; k < N_COLUMNS; k++) {
    text[k] = sky_table_cell(t, i, at[k]);
    if (text[k][0] == '\0' && k != AMOUNT)
      return sky_fail(ctx, SKY_E_RANGE, "%s:%d: %s: empty%s", path, line, COLUMN[k],
                      k == SD ? " (0 where the amount is exact)" : "");
  }
  *row = (sky_activity){.region = text[REGION],
                        .sector = text[SECTOR],
                        .fuel = text[FUEL],
                        .unit = text[UNIT],
                        .source = text[SOURCE],
                        .amount = NAN,
                        .line = line};
  if (text[AMOUNT][0] == '\0') {
    row->missing = "amount is empty";
  } else if (strcmp(text[AMOUNT], "NE") == 0) {
    row->missing = "amount is not estimated (NE)";
  } else {
    const sky_status st = sky_table_number(ctx, t, i, at[AMOUNT], &row->amount);
    if (st != SKY_OK || !(row->amount >= 0))
      return sky_fail(ctx, SKY_E_RANGE,
                      "%s:%d: amount: '%s' is not a number >= 0 (empty or NE: missing)", path, line,
                      text[AMOUNT]);
  }
  const sky_status st = sky_table_number(ctx, t, i, at[SD], &row->sd);
  if (st != SKY_OK || !(row->sd >= 0 && row->sd <= 100))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: sd_percent: '%s' is not a number from 0 to 100", path,
                    line, text[SD]);
  row->sd /= 100;
  return SKY_OK;
}

/* Names are compared byte by byte, so they come in one encoding and without blanks around them. */
static sky_status read_table(sky_context *ctx, const char *path, sky_table **out) {
  char *text = NULL;
  size_t length = 0;
  unsigned byte = 0;
  SKY_TRY(sky_file_read_text(ctx, path, &text, &length));
  const int line = sky_text_bad_utf8(text, length, &byte);
  const sky_status st =
      line == 0 ? sky_table_parse(ctx, path, text, length, out)
                : sky_fail(ctx, SKY_E_FORMAT,
                           "%s:%d: not UTF-8 (byte 0x%02x); convert the file first, from GBK by: "
                           "iconv -f GBK -t UTF-8",
                           path, line, byte);
  if (st == SKY_OK) sky_table_trim(*out);
  sky_free(text);
  return st;
}

sky_status sky_activity_read(sky_context *ctx, const char *path, sky_activity_file *out) {
  sky_status st = SKY_OK;
  size_t at[N_COLUMNS];
  *out = (sky_activity_file){0};
  SKY_GO(read_table(ctx, path, &out->table));
  SKY_GO(find_columns(ctx, path, out->table, at));
  out->n = sky_table_rows(out->table);
  if (out->n == 0) SKY_GO(sky_fail(ctx, SKY_E_NODATA, "%s: no row of activity", path));
  SKY_GO_ALLOC(out->row, SKY_NEW0(ctx, sky_activity, out->n));
  for (size_t i = 0; i < out->n; i++)
    SKY_GO(read_row(ctx, path, out->table, i, at, &out->row[i]));
  return SKY_OK;
cleanup:
  sky_activity_free(out);
  return st;
}

void sky_activity_free(sky_activity_file *f) {
  sky_free(f->row);
  sky_table_free(f->table);
  *f = (sky_activity_file){0};
}
