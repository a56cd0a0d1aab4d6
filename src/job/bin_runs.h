/* bin_runs.h: sums of cells in scratch files, each sorted by cell, read off as one.
 *
 * The files are unlinked at once: they go with the process that made them. Another process reads
 * them through /proc while that one lives. Whole numbers add up to the same whatever lay where. */
#ifndef SKY_JOB_BIN_RUNS_H
#define SKY_JOB_BIN_RUNS_H

#include <stdio.h>

#include "src/write/level3.h"

typedef struct sky_bin_runs sky_bin_runs;

/* path: a file beside which scratch files may be made. */
SKY_NODISCARD sky_status sky_bin_runs_create(sky_context *ctx, const char *path,
                                             sky_bin_runs **out);
void sky_bin_runs_free(sky_bin_runs *r); /* NULL-safe */

/* A scratch file that has no name any more; the caller closes it. */
SKY_NODISCARD sky_status sky_bin_runs_scratch(sky_bin_runs *r, FILE **out);
/* Every cell of b to a new run. SKY_E_DISK names the path. */
SKY_NODISCARD sky_status sky_bin_runs_add(sky_bin_runs *r, const sky_bins *b);
size_t sky_bin_runs_count(const sky_bin_runs *r);
int sky_bin_runs_descriptor(const sky_bin_runs *r, size_t i);
/* Takes the file that another process holds under this path, e.g. "/proc/1/fd/7". */
SKY_NODISCARD sky_status sky_bin_runs_open(sky_bin_runs *r, const char *path);

/* Cells that a single run has; 0: not known, because several runs may share some. */
size_t sky_bin_runs_cells(const sky_bin_runs *r);
/* Cells of all runs, ascending; a new run invalidates it. */
SKY_NODISCARD sky_status sky_bin_runs_rewind(sky_bin_runs *r);
/* Smallest cell that is still to come, SIZE_MAX at the end. */
size_t sky_bin_runs_peek(const sky_bin_runs *r);
/* Adds that cell's sums, and goes on. */
SKY_NODISCARD sky_status sky_bin_runs_take(sky_bin_runs *r, sky_bin *sums);

#endif
