/* sink_indicators.h: the sink indicators of T/CI 231-2023, Table 1: total of the sink, change of
 * the sink, change of the ecological resources; for zones of any level and all 11 classes, in t C,
 * t CO2 and t CO2e. What there is no data for says so. */
#ifndef SKY_JOB_SINK_INDICATORS_H
#define SKY_JOB_SINK_INDICATORS_H

#include "src/job/sink_measures.h"

/* Classes of the 11 ecosystems (no pools by code). gwp NULL: no CO2e. */
SKY_NODISCARD sky_status sky_sink_write_indicators(sky_context *ctx, const sky_sink *s,
                                                   const sky_zone_measures *measures,
                                                   const sky_sink_gwp *gwp, const char *path);
#endif
