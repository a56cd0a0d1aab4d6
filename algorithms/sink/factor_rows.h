/* factor_rows.h: rows of the factor tables in ancillary/, taken as factors.
 *
 * Unverified rows are noted unless the caller allows them one by one by their key,
 * "file:parameter|domain|zone|stratum|detail:edition" (empty parts left out). */
#ifndef SKY_ALGORITHMS_SINK_FACTOR_ROWS_H
#define SKY_ALGORITHMS_SINK_FACTOR_ROWS_H

#include "src/core/table.h"
#include "src/core/text.h"

#define SKY_FACTOR_COLUMNS 5 /* parameter, domain, zone, stratum, detail */
#define SKY_FACTOR_TABLES 4
extern const char *const sky_factor_columns[SKY_FACTOR_COLUMNS];

typedef struct sky_sink_factor {
  char *key;    /* as --allow-unverified takes it */
  char *source; /* document, table */
  char *unit;
  double value, sd; /* sd 0 where none is published */
  double place_sd;  /* of one place about that mean; 0 where none is published */
  bool verified;
  bool own; /* the user's value of a row; its sd is all there is to its error */
} sky_sink_factor;

typedef struct sky_factor_source { /* an embedded factor table */
  const char *file;
  sky_table *table;
} sky_factor_source;

typedef struct sky_factor_rows { /* ctx, allowed, overrides are set by the caller, all else 0 */
  sky_context *ctx;
  const sky_table *overrides; /* borrowed: columns key, value, sd, source; NULL */
  const char *overrides_path;
  const char *const *allowed; /* keys of unverified rows */
  size_t n_allowed;
  sky_sink_factor *factor;
  size_t n, capacity;
  sky_factor_source source[SKY_FACTOR_TABLES];
  sky_text refused; /* unverified rows that are not allowed; its ctx is set by the caller, too */
  size_t n_refused;
} sky_factor_rows;

void sky_factor_rows_free(sky_factor_rows *l); /* NULL-safe, zeroes */
void sky_sink_factors_free(sky_sink_factor *factor, size_t n);
/* Room for one more. */
SKY_NODISCARD sky_status sky_factor_rows_grow(sky_factor_rows *l);
/* An embedded table, by its name without ".csv"; the name must outlive the rows. */
SKY_NODISCARD sky_status sky_factor_rows_source(sky_factor_rows *l, const char *file,
                                                const sky_table **table);
/* The factor of a table row; a row that was taken before is the same factor. */
SKY_NODISCARD sky_status sky_factor_rows_take(sky_factor_rows *l, const char *file,
                                              const sky_table *t, size_t row, size_t *index);
/* The only row with these cells (NULL: any). SKY_E_RANGE if there is none, or more than one. */
SKY_NODISCARD sky_status sky_factor_rows_find(sky_factor_rows *l, const char *file,
                                              const char *const key[SKY_FACTOR_COLUMNS],
                                              const char *table, size_t *index);
/* A user's own values of rows: every key is that of a row, none twice, each with a number, an sd of
 * at least 0 (empty: 0) and a source. SKY_E_FORMAT, SKY_E_RANGE with the line. A row that is
 * overridden counts as verified: by the user. */
SKY_NODISCARD sky_status sky_factor_overrides_check(sky_context *ctx, const sky_table *overrides,
                                                    const char *path);
/* SKY_E_USAGE: the key of an allowed row is that of no row. */
SKY_NODISCARD sky_status sky_factor_allowed_check(sky_context *ctx, const char *key);
/* SKY_E_RANGE lists the rows that are not allowed; instead: " or …", what else can be done. */
SKY_NODISCARD sky_status sky_factor_rows_check(sky_factor_rows *l, const char *instead);
/* A cell by the header of its column; "" without such a column. */
const char *sky_factor_cell(const sky_table *t, size_t row, const char *header);

/* Standard deviation from a value and its uncertainty as the factor tables write it: 0 if none
 * is published, NaN if the kind is not known. */
double sky_sink_factor_sd(double value, double unc, const char *kind, double low, double high);

#endif
