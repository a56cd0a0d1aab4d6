/* table.c: CSV after RFC 4180, in one pass over one copy of the text.
 *
 * Cells point into the copy, where they are unquoted in place: a cell never grows. */
#include "src/core/table.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"

typedef struct table_row {
  size_t first, count; /* in cells */
  int line;
} table_row;

struct sky_table {
  char *name, *text;
  char **cells;
  size_t n_cells, cell_capacity;
  table_row *rows; /* rows[0] is the header */
  size_t n_rows, row_capacity;
};

typedef struct csv_reader {
  sky_context *ctx;
  sky_table *t;
  char *p, *end; /* *end is NUL */
  int line;
} csv_reader;

static bool at_line_end(const csv_reader *r) {
  return r->p == r->end || *r->p == '\n' || *r->p == '\r';
}

/* LF, CRLF or CR. */
static void skip_line_end(csv_reader *r) {
  if (r->p < r->end && *r->p == '\r')
    r->p++;
  else if (r->p < r->end && *r->p == '\n') {
    r->p++;
    r->line++;
    return;
  } else
    return;
  if (r->p < r->end && *r->p == '\n') r->p++;
  r->line++;
}

static sky_status push_cell(csv_reader *r, char *cell) {
  sky_table *t = r->t;
  if (t->n_cells == t->cell_capacity) {
    const size_t capacity = t->cell_capacity == 0 ? 256 : 2 * t->cell_capacity;
    char **grown = sky_realloc(r->ctx, t->cells, t->n_cells, capacity, sizeof *grown);
    if (grown == NULL) return SKY_E_NOMEM;
    t->cells = grown;
    t->cell_capacity = capacity;
  }
  t->cells[t->n_cells++] = cell;
  return SKY_OK;
}

static sky_status push_row(csv_reader *r, size_t first, int line) {
  sky_table *t = r->t;
  if (t->n_rows == t->row_capacity) {
    const size_t capacity = t->row_capacity == 0 ? 64 : 2 * t->row_capacity;
    table_row *grown = sky_realloc(r->ctx, t->rows, t->n_rows, capacity, sizeof *grown);
    if (grown == NULL) return SKY_E_NOMEM;
    t->rows = grown;
    t->row_capacity = capacity;
  }
  t->rows[t->n_rows++] = (table_row){first, t->n_cells - first, line};
  return SKY_OK;
}

/* One cell, unquoted in place; stops on the separator, which the caller overwrites. cell_end is
 * where the closing NUL belongs. */
static sky_status read_cell(csv_reader *r, char **cell, char **cell_end) {
  *cell = r->p;
  if (*r->p != '"') {
    while (!at_line_end(r) && *r->p != ',')
      r->p++;
    *cell_end = r->p;
    return SKY_OK;
  }
  const int opened = r->line;
  char *to = ++r->p;
  *cell = to;
  for (; r->p < r->end; r->p++) {
    if (*r->p == '"') {
      if (r->p[1] != '"') break;
      r->p++;
    } else if (*r->p == '\n') {
      r->line++;
    }
    *to++ = *r->p;
  }
  if (r->p == r->end) {
    return sky_fail(r->ctx, SKY_E_FORMAT, "%s:%d: quote is not closed", r->t->name, opened);
  }
  r->p++;
  if (!at_line_end(r) && *r->p != ',') {
    return sky_fail(r->ctx, SKY_E_FORMAT, "%s:%d: text after a closing quote", r->t->name, r->line);
  }
  *cell_end = to;
  return SKY_OK;
}

static sky_status read_row(csv_reader *r) {
  sky_table *t = r->t;
  const size_t first = t->n_cells;
  const int line = r->line;
  for (bool more = true; more;) {
    char *cell = r->p, *cell_end = r->p;
    SKY_TRY(read_cell(r, &cell, &cell_end));
    more = r->p < r->end && *r->p == ',';
    if (more) {
      r->p++;
    } else {
      skip_line_end(r);
    }
    *cell_end = '\0'; /* only now: it may be the separator itself */
    SKY_TRY(push_cell(r, cell));
  }
  SKY_TRY(push_row(r, first, line));
  const size_t columns = t->rows[0].count;
  for (size_t i = first + columns; i < t->n_cells; i++) { /* empty cells too many do no harm */
    if (*t->cells[i] == '\0') continue;
    return sky_fail(r->ctx, SKY_E_FORMAT, "%s:%d: %zu cells, the header has %zu", t->name, line,
                    t->n_cells - first, columns);
  }
  return SKY_OK;
}

static sky_status read_all(csv_reader *r) {
  if (strncmp(r->p, "\xEF\xBB\xBF", 3) == 0) r->p += 3; /* byte order mark */
  if (memchr(r->p, '\0', (size_t)(r->end - r->p)) != NULL) {
    return sky_fail(r->ctx, SKY_E_READ, "%s: not a text file (NUL byte)", r->t->name);
  }
  while (r->p < r->end) {
    if (at_line_end(r)) {
      skip_line_end(r);
    } else if (r->t->n_rows == 0 && *r->p == '#') {
      while (!at_line_end(r))
        r->p++;
    } else {
      SKY_TRY(read_row(r));
    }
  }
  if (r->t->n_rows > 0) return SKY_OK;
  return sky_fail(r->ctx, SKY_E_FORMAT, "%s: no header line", r->t->name);
}

sky_status sky_table_parse(sky_context *ctx, const char *name, const char *text, size_t length,
                           sky_table **out) {
  sky_status st = SKY_OK;
  *out = NULL;
  sky_table *t;
  SKY_GO_ALLOC(t, SKY_NEW0(ctx, sky_table, 1));
  SKY_GO_ALLOC(t->name, sky_strdup(ctx, name));
  SKY_GO_ALLOC(t->text, SKY_NEW(ctx, char, length + 1));
  if (length > 0) memcpy(t->text, text, length);
  t->text[length] = '\0';
  csv_reader reader = {ctx, t, t->text, t->text + length, 1};
  SKY_GO(read_all(&reader));
  *out = t;
  return SKY_OK;
cleanup:
  sky_table_free(t);
  return st;
}

sky_status sky_table_read(sky_context *ctx, const char *path, sky_table **out) {
  char *text = NULL;
  size_t length = 0;
  *out = NULL;
  SKY_TRY(sky_file_read_text(ctx, path, &text, &length));
  const sky_status st = sky_table_parse(ctx, path, text, length, out);
  sky_free(text);
  return st;
}

/* Bytes of the blank at p; 0 if there is none. */
static size_t blank(const char *p) {
  static const char *const BLANK[] = {" ", "\t", "\r", "\n", "\xC2\xA0", "\xE3\x80\x80"};
  for (size_t i = 0; i < sizeof BLANK / sizeof *BLANK; i++)
    if (strncmp(p, BLANK[i], strlen(BLANK[i])) == 0) return strlen(BLANK[i]);
  return 0;
}

void sky_table_trim(sky_table *t) {
  for (size_t i = 0; i < t->n_cells; i++) {
    char *end, *p;
    while (blank(t->cells[i]) > 0)
      t->cells[i] += blank(t->cells[i]);
    for (p = end = t->cells[i]; *p != '\0';) { /* end: behind the last that is no blank */
      const size_t n = blank(p);
      p += n > 0 ? n : 1;
      if (n == 0) end = p;
    }
    *end = '\0';
  }
}

void sky_table_free(sky_table *t) {
  if (t == NULL) return;
  sky_free(t->name);
  sky_free(t->text);
  sky_free(t->cells);
  sky_free(t->rows);
  sky_free(t);
}

size_t sky_table_rows(const sky_table *t) {
  return t->n_rows - 1;
}
size_t sky_table_columns(const sky_table *t) {
  return t->rows[0].count;
}

const char *sky_table_header(const sky_table *t, size_t column) {
  return column < t->rows[0].count ? t->cells[column] : "";
}

size_t sky_table_find(const sky_table *t, const char *header) {
  for (size_t c = 0; c < t->rows[0].count; c++) {
    if (strcmp(t->cells[c], header) == 0) return c;
  }
  return SIZE_MAX;
}

const char *sky_table_cell(const sky_table *t, size_t row, size_t column) {
  if (row >= sky_table_rows(t)) return "";
  const table_row *r = &t->rows[row + 1];
  return column < r->count ? t->cells[r->first + column] : "";
}

int sky_table_line(const sky_table *t, size_t row) {
  return row < sky_table_rows(t) ? t->rows[row + 1].line : 0;
}

sky_status sky_table_number(sky_context *ctx, const sky_table *t, size_t row, size_t column,
                            double *out) {
  const char *text = sky_table_cell(t, row, column);
  if (text[strspn(text, " \t\r\n")] == '\0') {
    *out = NAN;
    return SKY_OK;
  }
  if (sky_number_parse(text, out, NULL)) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "%s:%d: %s: '%s' is not a number", t->name,
                  sky_table_line(t, row), sky_table_header(t, column), text);
}
