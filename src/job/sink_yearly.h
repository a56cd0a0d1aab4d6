/* sink_yearly.h: the flux of single years from all transitions before them (memory.md), by zone. */
#ifndef SKY_JOB_SINK_YEARLY_H
#define SKY_JOB_SINK_YEARLY_H

#include "src/job/sink_table.h"

typedef struct sky_yearly_options {
  const char *years;      /* "2005,2010-2020"; NULL: each from the first map to the last */
  const char *management; /* table: year (of each map), tillage, input, grazing, as the options of
                           * these names, empty: as the reference; NULL: it does not change */
} sky_yearly_options;

/* SKY_E_USAGE: years that are none, or not after the first map; a set without stocks; SKY_E_RANGE
 * names the line of the table of management. */
SKY_NODISCARD sky_status sky_sink_write_yearly(sky_context *ctx, const sky_sink *s,
                                               const sky_yearly_options *opt, const char *path);
/* The same of years and management, of a sink that is open; factors are seen when it is made. */
SKY_NODISCARD sky_status sky_sink_yearly_check(sky_context *ctx, const sky_sink *s,
                                               const sky_yearly_options *opt);
#endif
