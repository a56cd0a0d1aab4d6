/* sink_entry.h: an entry of sinks[] of a job: the options of the command `sink` (sink_table.h),
 * what is written beside the table, and what can be said before anything runs. */
#ifndef SKY_JOB_SINK_ENTRY_H
#define SKY_JOB_SINK_ENTRY_H

#include "src/job/job.h"
#include "src/job/sink_table.h"

typedef struct sky_sink_entry {
  sky_sink_options opt; /* its texts belong to the job */
  const char **allowed;
} sky_sink_entry;

/* Of an entry with maps. */
SKY_NODISCARD sky_status sky_sink_entry_read(sky_context *ctx, const sky_job *job,
                                             const sky_node *item, sky_sink_entry *out);
void sky_sink_entry_free(sky_sink_entry *e); /* NULL-safe, zeroes */

bool sky_sink_entry_is_flux(const sky_node *item);   /* a flux in place of maps */
bool sky_sink_entry_has_layer(const sky_node *item); /* of cells, for an inversion */

/* Takes one output at a time: its path below the output folder, which it must free. */
typedef sky_status (*sky_sink_take)(sky_context *ctx, void *user, char *path);
/* All outputs of an entry, in a fixed order. */
SKY_NODISCARD sky_status sky_sink_entry_outputs(sky_context *ctx, const sky_node *item,
                                                sky_sink_take take, void *user);
/* Takes one input file at a time. */
typedef sky_status (*sky_sink_input)(sky_context *ctx, void *user, const char *path);
/* Input files of an entry, beside its maps: those that its keys name, and that its tables name. */
SKY_NODISCARD sky_status sky_sink_entry_inputs(sky_context *ctx, const sky_node *item,
                                               sky_sink_input take, void *user);

/* Tables and rasters of a sink that was made, at the paths of its outputs. */
SKY_NODISCARD sky_status sky_sink_entry_write(sky_context *ctx, const sky_job *job,
                                              const sky_node *item, const sky_sink *s);

/* Maps or fractions on one grid, a legend, factor sets and rows that there are, rasters, tables
 * with their columns, years; which classes the maps hold is seen when they are read. Messages name
 * file, line and key. (sink_entry_check.c) */
SKY_NODISCARD sky_status sky_sink_entry_check(sky_context *ctx, const sky_job *job,
                                              const sky_node *item);
#endif
