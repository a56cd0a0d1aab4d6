/* run_table.h: the zones of a finished job on the terminal, a table a gas. */
#ifndef SKY_CLI_RUN_TABLE_H
#define SKY_CLI_RUN_TABLE_H

#include "src/core/table.h"
#include "src/write/zone_table.h"

/* What is true of an invented scene: zone_id, gas, truth_t_yr and perhaps sink_truth_t_yr. */
SKY_NODISCARD sky_status sky_truth_read(sky_context *ctx, const char *path, sky_table **out);
/* truth stands beside the result; NULL: it is not known. */
SKY_NODISCARD sky_status sky_run_table_print(sky_context *ctx, const sky_zone_row *rows, size_t n,
                                             const sky_table *truth);

#endif
