/* level3.h: a gridded product that `skyflux grid` wrote (write/level3.h), with its sums. */
#ifndef SKY_READ_LEVEL3_H
#define SKY_READ_LEVEL3_H

#include "algorithms/column/level3.h"

/* Is this such a file? */
SKY_NODISCARD sky_status sky_level3_recognise(sky_context *ctx, const char *path, bool *out);

/* What it is, and the cells that have soundings, ascending, with their sums (both malloc'd, [n];
 * cell NULL: not asked for). SKY_E_FORMAT for what does not belong together. */
SKY_NODISCARD sky_status sky_level3_read(sky_context *ctx, const char *path, sky_level3 *out,
                                         size_t *n, size_t **cell, sky_bin **sums);
#endif
