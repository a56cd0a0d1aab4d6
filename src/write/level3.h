/* level3.h: a gridded product -> CF-1.11 NetCDF with its sums (read back by read/level3.h), or
 * COGs.
 *
 * The sums of the cells come one after the other, ascending, if need be twice (first to be
 * counted): no more of them is held than a few rows of the grid. */
#ifndef SKY_WRITE_LEVEL3_H
#define SKY_WRITE_LEVEL3_H

#include "algorithms/column/level3.h"

typedef struct sky_bin_source {
  void *user;
  size_t cells; /* how many come, if that is known without counting; else 0 */
  sky_status (*rewind)(void *user);
  /* The next cell with soundings, ascending; *cell = SIZE_MAX at the end. */
  sky_status (*next)(void *user, size_t *cell, sky_bin *sums);
} sky_bin_source;

/* attrs: "name=value" global attributes, NULL-terminated. SKY_E_NODATA without a cell that has
 * soundings; SKY_E_RANGE where a cell's sums have overflowed. */
SKY_NODISCARD sky_status sky_level3_write(sky_context *ctx, const char *path, const sky_level3 *l,
                                          const sky_bin_source *source, const char *const *attrs);
/* "name.tif": the mean; beside it name_uncertainty.tif, name_count.tif and name_valid.tif. */
SKY_NODISCARD sky_status sky_level3_write_cogs(sky_context *ctx, const char *path,
                                               const sky_level3 *l, const sky_bin_source *source,
                                               const char *const *tags);
#endif
