/* gridding.h: soundings and gridded products into one gridded product, within a memory budget.
 *
 * Sums that outgrow the budget go to scratch files beside the output (bin_runs.h). */
#ifndef SKY_JOB_GRIDDING_H
#define SKY_JOB_GRIDDING_H

#include "skyflux/soundings.h"
#include "src/job/bin_runs.h"

typedef struct sky_gridding sky_gridding;

/* head: grid, gas, options and correlation; taken over (emptied). scratch: a path beside which
 * scratch files may be made. memory: bytes for sums. */
SKY_NODISCARD sky_status sky_gridding_create(sky_context *ctx, sky_level3 *head,
                                             const char *scratch, size_t memory,
                                             sky_gridding **out);
void sky_gridding_free(sky_gridding *g); /* NULL-safe */

/* Good soundings with a time in [start, end), NaN = open. Granule k of s came in input number
 * source + k (an input may come in several sets). Those without corners count in the cell of their
 * centre. SKY_E_FORMAT: corners of more than half of the pixels are not in order; SKY_E_RANGE: a
 * granule came in another input already. */
SKY_NODISCARD sky_status sky_gridding_put(sky_context *ctx, sky_gridding *g, const sky_soundings *s,
                                          size_t source, double start, double end);
/* A gridded product of the same kind, from its first cell on; errors as sky_level3_join. */
SKY_NODISCARD sky_status sky_gridding_put_level3(sky_context *ctx, sky_gridding *g,
                                                 const sky_level3 *l, const sky_bin_source *source);
/* Sums to a scratch file now. */
SKY_NODISCARD sky_status sky_gridding_spill(sky_gridding *g);
sky_bin_runs *sky_gridding_runs(const sky_gridding *g);
size_t sky_gridding_memory(const sky_gridding *g);

/* What has been gridded; totals are complete once nothing more is put. */
const sky_level3 *sky_gridding_level3(sky_gridding *g);
/* All cells, for the writers; valid until more is put. */
SKY_NODISCARD sky_status sky_gridding_source(sky_gridding *g, sky_bin_source *out);
#endif
