/* result_table.h: a table of results as CSV, JSON, GeoPackage or Parquet. */
#ifndef SKY_WRITE_RESULT_TABLE_H
#define SKY_WRITE_RESULT_TABLE_H

#include <cjson/cJSON.h>

#include "grids/zone.h"

typedef enum sky_cell_kind { SKY_CELL_TEXT, SKY_CELL_NUMBER } sky_cell_kind;

typedef struct sky_result_column {
  const char *name;
  sky_cell_kind kind;
} sky_result_column;

typedef struct sky_result_cell {
  const char *text; /* NULL is empty */
  double number;    /* NaN is empty */
} sky_result_cell;

typedef struct sky_result_table {
  const char *name;         /* of the layer */
  const char *const *notes; /* [n_note] where it comes from: comments of a CSV, description else */
  size_t n_note, n_column, n_row;
  const sky_result_column *column;
  const sky_result_cell *cell; /* [n_row*n_column] */
  const char *crs;             /* of the geometries */
  const sky_zone *const *zone; /* [n_row] geometry of each row; NULL: a table without */
} sky_result_table;

/* RFC 4180, notes as lines of "# ..."; malloc'd. */
char *sky_result_csv(sky_context *ctx, const sky_result_table *t);
/* A list of objects; NULL without memory. */
cJSON *sky_result_json(const sky_result_table *t);
/* The same beside the notes, as a document; malloc'd. */
char *sky_result_json_text(sky_context *ctx, const sky_result_table *t);
/* By the suffix of path: .csv, .json, .gpkg or .parquet (SKY_E_USAGE for others, and where GDAL
 * lacks the driver). Same table, same bytes. */
SKY_NODISCARD sky_status sky_result_write(sky_context *ctx, const char *path,
                                          const sky_result_table *t);
/* The same check of the suffix, before the work. */
SKY_NODISCARD sky_status sky_result_check_path(sky_context *ctx, const char *path);

#endif
