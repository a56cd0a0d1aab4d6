/* table.h: CSV tables (RFC 4180: quotes, embedded commas and newlines, UTF-8, CRLF, BOM). */
#ifndef SKY_CORE_TABLE_H
#define SKY_CORE_TABLE_H

#include "skyflux/context.h"

typedef struct sky_table sky_table;

/* First line = header; lines starting with '#' before it are comments. Errors name file:line. */
SKY_NODISCARD sky_status sky_table_read(sky_context *ctx, const char *path, sky_table **out);
/* name is used in messages only. */
SKY_NODISCARD sky_status sky_table_parse(sky_context *ctx, const char *name, const char *text,
                                         size_t length, sky_table **out);
/* Removes blanks, also no-break and ideographic spaces, at the edges of every cell and header. */
void sky_table_trim(sky_table *t);
void sky_table_free(sky_table *t);
size_t sky_table_rows(const sky_table *t);
size_t sky_table_columns(const sky_table *t);
const char *sky_table_header(const sky_table *t, size_t column);
/* Column index, or SIZE_MAX. */
size_t sky_table_find(const sky_table *t, const char *header);
const char *sky_table_cell(const sky_table *t, size_t row, size_t column); /* "" if short row */
/* Strict number (SKY_E_RANGE names file:line, column and text); empty cell = NaN. */
SKY_NODISCARD sky_status sky_table_number(sky_context *ctx, const sky_table *t, size_t row,
                                          size_t column, double *out);
int sky_table_line(const sky_table *t, size_t row); /* line in the file */

#endif
