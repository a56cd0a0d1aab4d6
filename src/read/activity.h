/* activity.h: activity tables, region,sector,fuel,amount,unit,sd_percent,source (docs/account.md).
 *
 * UTF-8; blanks at the edges of cells do not count. An empty amount, or NE (not estimated), is
 * missing and keeps its reason; it is never 0. */
#ifndef SKY_READ_ACTIVITY_H
#define SKY_READ_ACTIVITY_H

#include "algorithms/inventory/account.h"

typedef struct sky_activity_file {
  size_t n;
  sky_activity *row; /* texts live in table */
  sky_table *table;
} sky_activity_file;

/* Errors name file:line, column, value and what is legal. SKY_E_NODATA: no row. */
SKY_NODISCARD sky_status sky_activity_read(sky_context *ctx, const char *path,
                                           sky_activity_file *out);
void sky_activity_free(sky_activity_file *f);

#endif
