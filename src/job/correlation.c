/* correlation.c: see correlation.h. */
#include "src/job/correlation.h"

#include "algorithms/inversion/covariance.h"

sky_status sky_job_correlation(sky_context *ctx, const sky_node *map, sky_correlation *out) {
  const char *name = sky_node_text(map, "correlation");
  return sky_correlation_make(ctx, name != NULL ? name : "none", sky_node_number(map, "smoothness"),
                              out);
}
