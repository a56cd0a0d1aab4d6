/* level3.h: a gridded product, all but its sums: what was gridded, how, and from which granules. */
#ifndef SKY_ALGORITHMS_LEVEL3_H
#define SKY_ALGORITHMS_LEVEL3_H

#include "algorithms/column/bins.h"

#define SKY_LEVEL3_CONTENT "level3 1" /* global attribute skyflux_content of the file */

/* Its attributes of the super-Gaussian's exponents. */
extern const char *const SKY_LEVEL3_EXPONENT[3];

typedef struct sky_level3_granule { /* one file of soundings: where they came from */
  char *name, *product;
  double start, end; /* times of its soundings that count, s since 1970 */
  size_t source;     /* which input it came in, while gridding */
} sky_level3_granule;

typedef struct sky_level3 {
  sky_grid grid;
  char gas[8];
  sky_bins_options options;
  double correlation; /* of the errors of soundings, for the 1-sigma of means */
  sky_bins_total total;
  size_t n_granule;
  sky_level3_granule *granule; /* ascending by name and time */
} sky_level3;

void sky_level3_free(sky_level3 *l); /* NULL-safe, zeroes */
/* Note soundings from start to end of a granule that came in one input, in one piece or several.
 * SKY_E_RANGE: they came in another input, too, and would count twice. */
SKY_NODISCARD sky_status sky_level3_note(sky_context *ctx, sky_level3 *l,
                                         const sky_level3_granule *g);
/* Totals and granules of b to those of a. SKY_E_FORMAT names what differs (gas, grid, method,
 * weights), SKY_E_RANGE a granule whose soundings are in both: they would count twice. */
SKY_NODISCARD sky_status sky_level3_join(sky_context *ctx, sky_level3 *a, const sky_level3 *b);

/* One over the mean number of cells whose errors move together: variance of means over several
 * cells grows by it, because a pixel that lies in several cells is one measurement (bins.md). ww:
 * Σ w² over all cells, in quanta. At least 1. */
double sky_level3_inflation(const sky_level3 *l, sky_u128 ww);

#endif
