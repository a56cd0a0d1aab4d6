/* sink_spread.h: the same land with several factor sets beside each other. Published sets differ by
 * more than each of them says about itself; the spread between them is reported, never averaged
 * away. */
#ifndef SKY_JOB_SINK_SPREAD_H
#define SKY_JOB_SINK_SPREAD_H

#include "src/job/sink_table.h"

/* names: sets separated by commas, two or more. A row for each zone, class and set (removal of the
 * last period, t C/yr, and stock change over it, t C, each with its sd; positive = the land gains
 * carbon; empty where the set does not hold it), then one for each zone and class with the range of
 * two sets or more that hold it. Stocks have the soil type of the run, if it is one for all land,
 * and reference management. SKY_E_USAGE: fewer than two sets; else as the sets themselves. */
SKY_NODISCARD sky_status sky_sink_write_spread(sky_context *ctx, const sky_sink *s,
                                               const char *names, const char *path);
#endif
