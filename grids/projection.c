/* projection.c: see projection.h. A PROJ context belongs to one thread. */
#include "grids/projection.h"

sky_status sky_projection_open(sky_context *ctx, const char *from, const char *to,
                               sky_projection *t) {
  t->context = proj_context_create();
  proj_log_level(t->context, PJ_LOG_NONE);
  t->pj = NULL;
  PJ *pj = proj_create_crs_to_crs(t->context, from, to, NULL);
  if (pj != NULL) t->pj = proj_normalize_for_visualization(t->context, pj);
  proj_destroy(pj);
  if (t->pj != NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "crs '%s': no transformation to %s", from, to);
}

void sky_projection_close(sky_projection *t) {
  proj_destroy(t->pj);
  if (t->context != NULL) proj_context_destroy(t->context); /* NULL would be PROJ's default */
}
