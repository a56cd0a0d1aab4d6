/* legend.h: what the codes of a land-cover map mean: the 11 ecosystem classes of T/CI 231.
 *
 * Built-in legends come from ancillary/legend_crosswalk.csv (source on every row); a user's legend
 * is a table with the columns code, name, class. A row with an empty class means nodata. */
#ifndef SKY_ALGORITHMS_SINK_LEGEND_H
#define SKY_ALGORITHMS_SINK_LEGEND_H

#include "src/core/table.h"

#define SKY_SINK_CLASSES 11

/* English name of class 1..11; NULL outside. */
const char *sky_sink_class_name(int number);

/* Land category of the IPCC guidelines of class 1..11 (F, C, G, W, S, O), as most legends of
 * ancillary/legend_crosswalk.csv have it; all that occur where the class does not tell; "" outside.
 */
const char *sky_ipcc_category(int number);

typedef struct sky_legend_row {
  int32_t low, high; /* codes, mostly one; GB/T writes groups as "05-10" = 0500..1099 */
  int number;        /* class 1..11; 0 = nodata */
  char *name;
  bool verified;
} sky_legend_row;

typedef struct sky_legend {
  char *name; /* "esa-cci" or the file's path */
  size_t n;
  sky_legend_row *row; /* ascending, not overlapping */
} sky_legend;

typedef struct sky_legend_entry { /* a built-in legend */
  const char *id, *product;
} sky_legend_entry;

const sky_legend_entry *sky_legend_entries(size_t *n);
/* SKY_E_USAGE names the legends there are. */
SKY_NODISCARD sky_status sky_legend_builtin(sky_context *ctx, const char *id, sky_legend *out);
/* From a user's table (path for messages). SKY_E_FORMAT for missing columns; SKY_E_RANGE for codes
 * that are not whole numbers or occur twice, and classes outside 1..11. */
SKY_NODISCARD sky_status sky_legend_from_table(sky_context *ctx, const sky_table *table,
                                               const char *path, sky_legend *out);
void sky_legend_free(sky_legend *l); /* NULL-safe, zeroes */
/* Row of a code; SIZE_MAX if there is none. */
size_t sky_legend_find(const sky_legend *l, int32_t code);

#endif
