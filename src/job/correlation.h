/* correlation.h: the correlation model that a map of a job file states. */
#ifndef SKY_JOB_CORRELATION_H
#define SKY_JOB_CORRELATION_H

#include "skyflux/problem.h"
#include "src/core/schema.h"

/* `correlation` and `smoothness` of the map; none where there is no map, or no correlation in it.
 */
SKY_NODISCARD sky_status sky_job_correlation(sky_context *ctx, const sky_node *map,
                                             sky_correlation *out);
#endif
