/* factor_rows.c: see factor_rows.h. Invariant: one table row is one factor, however often it is
 * taken.
 */
#include "algorithms/sink/factor_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"

#define PROFILES_FILE "ipcc_socref_distribution.csv"

const char *const sky_factor_columns[SKY_FACTOR_COLUMNS] = {"parameter", "domain", "zone",
                                                            "stratum", "detail"};

void sky_factor_rows_free(sky_factor_rows *l) {
  if (l == NULL) return;
  sky_sink_factors_free(l->factor, l->n);
  sky_text_free(&l->refused);
  for (size_t i = 0; i < SKY_FACTOR_TABLES; i++)
    sky_table_free(l->source[i].table);
  memset(l, 0, sizeof *l);
}

void sky_sink_factors_free(sky_sink_factor *factor, size_t n) {
  for (size_t i = 0; i < n; i++) {
    sky_free(factor[i].key);
    sky_free(factor[i].source);
    sky_free(factor[i].unit);
  }
  sky_free(factor);
}

double sky_sink_factor_sd(double value, double unc, const char *kind, double low, double high) {
  static const char *const interval[] = {"CI95_abs", "P2.5-P97.5", "P2.5-P97.5 or CI95"};
  const double width = isfinite(high - low) ? high - low : 0;
  if (*kind == '\0' || strcmp(kind, "reference") == 0) return 0;
  if (strcmp(kind, "SD") == 0 || strcmp(kind, "+-SE as published") == 0) return fabs(unc);
  if (strcmp(kind, "2SD_pct") == 0 || strcmp(kind, "nominal_pct") == 0)
    return fabs(value) * unc / 200;
  if (strcmp(kind, "CI95_pct") == 0) return fabs(value) * unc / 196;
  for (size_t i = 0; i < sizeof interval / sizeof interval[0]; i++)
    if (strcmp(kind, interval[i]) == 0) return width / (2 * 1.96);
  if (strcmp(kind, "mean+-SE") == 0) return width / 2;
  if (strcmp(kind, "range") == 0 || strcmp(kind, "minmax") == 0) return width / sqrt(12);
  return NAN;
}

static bool allowed(const sky_factor_rows *l, const char *key) {
  for (size_t i = 0; i < l->n_allowed; i++)
    if (strcmp(l->allowed[i], key) == 0) return true;
  return false;
}

const char *sky_factor_cell(const sky_table *t, size_t row, const char *header) {
  const size_t column = sky_table_find(t, header);
  return column == SIZE_MAX ? "" : sky_table_cell(t, row, column);
}

/* "file:parameter|zone|…:edition" */
static char *make_key(sky_factor_rows *l, const char *file, const sky_table *t, size_t row) {
  sky_text key = {.ctx = l->ctx};
  sky_text_printf(&key, "%s:", file);
  for (size_t i = 0; i < SKY_FACTOR_COLUMNS; i++) {
    const char *part = sky_factor_cell(t, row, sky_factor_columns[i]);
    if (*part != '\0') sky_text_printf(&key, "%s%s", i > 0 ? "|" : "", part);
  }
  const char *table = sky_factor_cell(t, row, "table");
  sky_text_printf(&key, ":%s%s%s", sky_factor_cell(t, row, "source"), *table != '\0' ? " " : "",
                  table);
  return sky_text_take(&key);
}

sky_status sky_factor_rows_grow(sky_factor_rows *l) {
  if (l->n < l->capacity) return SKY_OK;
  const size_t capacity = l->capacity == 0 ? 32 : 2 * l->capacity;
  sky_sink_factor *p = sky_realloc(l->ctx, l->factor, l->n, capacity, sizeof *p);
  if (p == NULL) return SKY_E_NOMEM;
  l->factor = p;
  l->capacity = capacity;
  return SKY_OK;
}

/* Reference soil carbon: the published error is that of the mean of many profiles; the spread of
 * the profiles (Batjes 2010) is that of a place. Zones are "T1 …" here and "T1" there. */
static sky_status place_sd(sky_factor_rows *l, const sky_table *t, size_t row, sky_sink_factor *f) {
  size_t length = 0;
  const char *text = sky_embedded(PROFILES_FILE, &length), *zone = sky_factor_cell(t, row, "zone");
  sky_table *p = NULL;
  SKY_TRY(sky_table_parse(l->ctx, PROFILES_FILE, text, length, &p));
  sky_status st = SKY_OK;
  for (size_t i = 0; i < sky_table_rows(p) && st == SKY_OK; i++) {
    const char *code = sky_factor_cell(p, i, "zone");
    const size_t n = strlen(code);
    if (strncmp(zone, code, n) == 0 && (zone[n] == ' ' || zone[n] == '\0') &&
        strcmp(sky_factor_cell(t, row, "stratum"), sky_factor_cell(p, i, "soil")) == 0)
      st = sky_table_number(l->ctx, p, i, sky_table_find(p, "sd"), &f->place_sd);
  }
  sky_table_free(p);
  return st;
}

static sky_status numbers(sky_factor_rows *l, const sky_table *t, size_t row, sky_sink_factor *f) {
  static const char *const header[4] = {"value", "unc_value", "lo95", "hi95"};
  double v[4];
  for (size_t i = 0; i < 4; i++)
    SKY_TRY(sky_table_number(l->ctx, t, row, sky_table_find(t, header[i]), &v[i]));
  if (isnan(v[0])) return sky_fail(l->ctx, SKY_E_INTERNAL, "%s: no value", f->key);
  f->value = v[0];
  const char *kind = sky_factor_cell(t, row, "unc_kind");
  f->sd = sky_sink_factor_sd(v[0], v[1], kind, v[2], v[3]);
  if (isnan(f->sd))
    return sky_fail(l->ctx, SKY_E_INTERNAL, "%s: unc_kind '%s' says no error", f->key, kind);
  return strcmp(sky_factor_cell(t, row, "parameter"), "SOC_REF") == 0 ? place_sd(l, t, row, f)
                                                                      : SKY_OK;
}

/* ---- a user's own values -------------------------------------------------------------------- */

static size_t find_override(const sky_table *t, const char *key) {
  const size_t column = sky_table_find(t, "key");
  size_t row = 0;
  while (row < sky_table_rows(t) && strcmp(sky_table_cell(t, row, column), key) != 0)
    row++;
  return row;
}

/* *done: the factor has a value of the user's. */
static sky_status use_override(sky_factor_rows *l, sky_sink_factor *f, bool *done) {
  const sky_table *t = l->overrides;
  *done = false;
  if (t == NULL) return SKY_OK;
  const size_t row = find_override(t, f->key);
  if (row == sky_table_rows(t)) return SKY_OK;
  char *source = sky_sprintf(l->ctx, "%s: %s", sky_file_base(l->overrides_path),
                             sky_factor_cell(t, row, "source"));
  if (source == NULL) return SKY_E_NOMEM;
  sky_free(f->source);
  f->source = source;
  f->verified = f->own = *done = true;
  SKY_TRY(sky_table_number(l->ctx, t, row, sky_table_find(t, "value"), &f->value));
  SKY_TRY(sky_table_number(l->ctx, t, row, sky_table_find(t, "sd"), &f->sd));
  if (isnan(f->sd)) f->sd = 0;
  return SKY_OK;
}

static sky_status known_key(sky_factor_rows *l, const char *want, bool *found) {
  static const char *const file[SKY_FACTOR_TABLES] = {"ipcc_defaults", "blue_carbon",
                                                      "nonco2_factors", "china_densities"};
  *found = false;
  for (size_t i = 0; i < SKY_FACTOR_TABLES && !*found; i++) {
    const sky_table *t = NULL;
    SKY_TRY(sky_factor_rows_source(l, file[i], &t));
    for (size_t row = 0; row < sky_table_rows(t) && !*found; row++) {
      char *key = make_key(l, file[i], t, row);
      if (key == NULL) return SKY_E_NOMEM;
      *found = strcmp(key, want) == 0;
      sky_free(key);
    }
  }
  return SKY_OK;
}

static sky_status check_override(sky_factor_rows *l, const sky_table *t, const char *path,
                                 size_t row) {
  const char *key = sky_factor_cell(t, row, "key");
  const int line = sky_table_line(t, row);
  double value = NAN, sd = NAN;
  bool known;
  SKY_TRY(known_key(l, key, &known));
  if (!known)
    return sky_fail(l->ctx, SKY_E_RANGE,
                    "%s:%d: '%s' is no key of a factor row (the table of -o lists those in use)",
                    path, line, key);
  if (find_override(t, key) != row)
    return sky_fail(l->ctx, SKY_E_RANGE, "%s:%d: '%s' occurs twice", path, line, key);
  SKY_TRY(sky_table_number(l->ctx, t, row, sky_table_find(t, "value"), &value));
  SKY_TRY(sky_table_number(l->ctx, t, row, sky_table_find(t, "sd"), &sd));
  if (isnan(value) || sd < 0)
    return sky_fail(l->ctx, SKY_E_RANGE,
                    "%s:%d: value %g, sd %g, expected a number and an sd of at least 0", path, line,
                    value, sd);
  if (*sky_factor_cell(t, row, "source") == '\0')
    return sky_fail(l->ctx, SKY_E_RANGE, "%s:%d: a value needs its source", path, line);
  return SKY_OK;
}

sky_status sky_factor_overrides_check(sky_context *ctx, const sky_table *t, const char *path) {
  static const char *const column[4] = {"key", "value", "sd", "source"};
  sky_factor_rows l = {.ctx = ctx, .refused = {.ctx = ctx}};
  sky_status st = SKY_OK;
  for (size_t i = 0; i < 4; i++)
    if (sky_table_find(t, column[i]) == SIZE_MAX)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", path, column[i]);
  for (size_t row = 0; row < sky_table_rows(t) && st == SKY_OK; row++)
    st = check_override(&l, t, path, row);
  sky_factor_rows_free(&l);
  return st;
}

sky_status sky_factor_allowed_check(sky_context *ctx, const char *key) {
  sky_factor_rows l = {.ctx = ctx, .refused = {.ctx = ctx}};
  bool known = false;
  sky_status st = known_key(&l, key, &known);
  if (st == SKY_OK && !known)
    st = sky_fail(ctx, SKY_E_USAGE,
                  "--allow-unverified: '%s' is no key of a factor row, nor of a row of this legend "
                  "(the refusal lists the keys that are needed)",
                  key);
  sky_factor_rows_free(&l);
  return st;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The factor of a table row; a row that was taken before is the same factor. */
sky_status sky_factor_rows_take(sky_factor_rows *l, const char *file, const sky_table *t,
                                size_t row, size_t *index) {
  char *key = make_key(l, file, t, row);
  if (key == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < l->n; i++) {
    if (strcmp(l->factor[i].key, key) != 0) continue;
    sky_free(key);
    *index = i;
    return SKY_OK;
  }
  const sky_status st = sky_factor_rows_grow(l);
  if (st != SKY_OK) {
    sky_free(key);
    return st;
  }
  sky_sink_factor *f = &l->factor[l->n];
  *f = (sky_sink_factor){.key = key};
  *index = l->n++;
  f->source = sky_sprintf(l->ctx, "%s %s", sky_factor_cell(t, row, "source"),
                          sky_factor_cell(t, row, "table"));
  f->unit = sky_strdup(l->ctx, sky_factor_cell(t, row, "unit"));
  if (f->source == NULL || f->unit == NULL) return SKY_E_NOMEM;
  f->verified = strcmp(sky_factor_cell(t, row, "verified"), "yes") == 0;
  SKY_TRY(numbers(l, t, row, f));
  bool own;
  SKY_TRY(use_override(l, f, &own));
  if (!f->verified && !allowed(l, key)) {
    sky_text_printf(&l->refused, "%s'%s'", l->n_refused > 0 ? ", " : "", key);
    l->n_refused++;
  }
  return SKY_OK;
}

sky_status sky_factor_rows_source(sky_factor_rows *l, const char *file, const sky_table **table) {
  for (size_t i = 0; i < sizeof l->source / sizeof l->source[0]; i++) {
    sky_factor_source *s = &l->source[i];
    if (s->file != NULL && strcmp(s->file, file) != 0) continue;
    if (s->file == NULL) {
      char name[64];
      size_t length = 0;
      snprintf(name, sizeof name, "%s.csv", file);
      const char *text = sky_embedded(name, &length);
      if (text == NULL) break;
      SKY_TRY(sky_table_parse(l->ctx, name, text, length, &s->table));
      s->file = file;
    }
    *table = s->table;
    return SKY_OK;
  }
  return sky_fail(l->ctx, SKY_E_INTERNAL, "no factor table '%s'", file);
}

static bool matches(const sky_table *t, size_t row, const char *const *key) {
  for (size_t i = 0; i < SKY_FACTOR_COLUMNS; i++)
    if (key[i] != NULL && strcmp(sky_factor_cell(t, row, sky_factor_columns[i]), key[i]) != 0)
      return false;
  return true;
}

sky_status sky_factor_rows_find(sky_factor_rows *l, const char *file,
                                const char *const key[SKY_FACTOR_COLUMNS], const char *table,
                                size_t *index) {
  const sky_table *t = NULL;
  size_t found = SIZE_MAX, n = 0;
  SKY_TRY(sky_factor_rows_source(l, file, &t));
  for (size_t row = 0; row < sky_table_rows(t); row++) {
    if (!matches(t, row, key)) continue;
    if (table != NULL && strcmp(sky_factor_cell(t, row, "table"), table) != 0) continue;
    found = row;
    n++;
  }
  if (n == 1) return sky_factor_rows_take(l, file, t, found, index);
  sky_text what = {.ctx = l->ctx};
  for (size_t i = 0; i < SKY_FACTOR_COLUMNS; i++)
    if (key[i] != NULL)
      sky_text_printf(&what, "%s%s '%s'", i > 0 ? ", " : "", sky_factor_columns[i], key[i]);
  char *text = sky_text_take(&what);
  if (text == NULL) return SKY_E_NOMEM;
  const sky_status st =
      sky_fail(l->ctx, SKY_E_RANGE, "%s.csv has %zu rows with %s, expected 1", file, n, text);
  sky_free(text);
  return st;
}

sky_status sky_factor_rows_check(sky_factor_rows *l, const char *instead) {
  if (l->n_refused == 0) return SKY_OK;
  char *list = sky_text_take(&l->refused);
  if (list == NULL) return SKY_E_NOMEM;
  const sky_status st =
      sky_fail(l->ctx, SKY_E_RANGE,
               "factor rows that nobody verified (%zu): allow each with --allow-unverified (in a "
               "job: allow_unverified)%s: %s",
               l->n_refused, instead, list);
  sky_free(list);
  return st;
}
