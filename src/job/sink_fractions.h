/* sink_fractions.h: maps of class fractions of two dates to the area tensor (fractions.md).
 *
 * A table names a band for each class and date: columns year, class (1 to 11), file (beside the
 * table, unless absolute), band (1), unit ("1" or "percent"; 1). */
#ifndef SKY_JOB_SINK_FRACTIONS_H
#define SKY_JOB_SINK_FRACTIONS_H

#include "algorithms/sink/legend.h"
#include "algorithms/sink/tensor.h"
#include "src/engine/raster_pass.h"
#include "grids/zone.h"

typedef struct sky_fraction_band {
  char *path;
  int band;
  double scale; /* to shares of 1 */
} sky_fraction_band;

typedef struct sky_fractions {
  const char *table;            /* its path, borrowed */
  double years[2];              /* ascending */
  size_t n;                     /* classes */
  int number[SKY_SINK_CLASSES]; /* [n] ascending, 1 to 11 */
  sky_fraction_band band[2][SKY_SINK_CLASSES];
} sky_fractions;

/* path must outlive the result. SKY_E_FORMAT, SKY_E_RANGE name the line: not two years, a class
 * that is missing at one of them or given twice, an unknown unit. */
SKY_NODISCARD sky_status sky_fractions_read(sky_context *ctx, const char *path, sky_fractions *out);
void sky_fractions_free(sky_fractions *f); /* NULL-safe, zeroes */
/* Its bands can be opened and are on one grid; the error names the file. */
SKY_NODISCARD sky_status sky_fractions_check(sky_context *ctx, const sky_fractions *f);
/* The classes of the table as a legend. */
SKY_NODISCARD sky_status sky_fractions_legend(sky_context *ctx, const sky_fractions *f,
                                              sky_legend *out);
/* As sky_sink_areas does with class maps. SKY_E_RANGE names the pixel whose shares do not add up.
 */
SKY_NODISCARD sky_status sky_sink_fraction_areas(sky_context *ctx, const sky_fractions *f,
                                                 const sky_pass_options *pass,
                                                 const sky_zones *zones, sky_strata *out);
#endif
