/* level3.h: a gridded product that `skyflux grid` wrote (write/level3.h), with its sums. */
#ifndef SKY_READ_LEVEL3_H
#define SKY_READ_LEVEL3_H

#include "algorithms/column/level3.h"

/* Is this such a file? */
SKY_NODISCARD sky_status sky_level3_recognise(sky_context *ctx, const char *path, bool *out);

/* What it is; and its sums, cell by cell (file NULL: not asked for), of which one block is held.
 * SKY_E_FORMAT for what does not belong together. */
typedef struct sky_level3_file sky_level3_file;
SKY_NODISCARD sky_status sky_level3_open(sky_context *ctx, const char *path, sky_level3 *head,
                                         sky_level3_file **file);
void sky_level3_close(sky_level3_file *file);         /* NULL-safe */
size_t sky_level3_cells(const sky_level3_file *file); /* that have soundings */
/* As a sky_bin_source (write/level3.h) asks for: the next cell, ascending; *cell = SIZE_MAX at the
 * end. It stands at the first cell when opened. */
SKY_NODISCARD sky_status sky_level3_rewind(void *file);
SKY_NODISCARD sky_status sky_level3_next(void *file, size_t *cell, sky_bin *sums);

#endif
