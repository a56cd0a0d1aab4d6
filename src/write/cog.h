/* cog.h: one field in memory -> Cloud Optimized GeoTIFF, deterministic bytes.
 *
 * float32, NaN nodata, DEFLATE predictor 3, 512 tiles, internal overviews by field kind,
 * statistics, unit, description. Input row 0 is south (grid.h); the file is north-up. Regular grids
 * only. Beside it "<name>.qml", the QGIS style of the field (not for classes). */
#ifndef SKY_WRITE_COG_H
#define SKY_WRITE_COG_H

#include "grids/grid.h"

typedef enum sky_field_kind {
  SKY_FIELD_INTENSIVE = 0, /* overviews: mean of valid */
  SKY_FIELD_EXTENSIVE = 1, /* sum */
  SKY_FIELD_CLASS = 2      /* mode */
} sky_field_kind;

typedef struct sky_field {
  const char *name;          /* file-safe, e.g. "ch4_posterior" */
  const char *long_name;     /* band description */
  const char *standard_name; /* CF; NULL if there is none */
  const char *unit;          /* udunits2 parses it */
  sky_field_kind kind;
  const double *value; /* [cells], in `unit`; NaN nodata; not used by streams (cog_stream.h) */
} sky_field;

/* tags: "KEY=VALUE" strings for the default metadata domain (provenance), NULL-terminated. Errors:
 * SKY_E_UNITS, SKY_E_FORMAT (cells not equally spaced, unknown CRS), SKY_E_RANGE (infinite or
 * beyond float32), SKY_E_DISK. */
SKY_NODISCARD sky_status sky_cog_write(sky_context *ctx, const char *path, const sky_grid *grid,
                                       const sky_field *field, const char *const *tags);
#endif
