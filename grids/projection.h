/* projection.h: one thread's way from one coordinate system to another; for grids/ only. */
#ifndef SKY_GRIDS_PROJECTION_H
#define SKY_GRIDS_PROJECTION_H

#include <math.h>
#include <proj.h>

#include "grids/grid.h"

#define SKY_LONLAT "EPSG:4326" /* all geographic grids are taken as this one */

typedef struct sky_projection {
  PJ_CONTEXT *context;
  PJ *pj; /* x, y order on both sides */
} sky_projection;

/* SKY_E_RANGE names both systems. Close it also after a failure. */
SKY_NODISCARD sky_status sky_projection_open(sky_context *ctx, const char *from, const char *to,
                                             sky_projection *t);
void sky_projection_close(sky_projection *t); /* of a zeroed one too */

static inline const char *sky_grid_system(const sky_grid *g) {
  return g->geographic ? SKY_LONLAT : g->crs;
}

/* False where the target system has no such point. */
static inline bool sky_project(const sky_projection *t, PJ_DIRECTION way, double x, double y,
                               double *to_x, double *to_y) {
  const PJ_COORD c = proj_trans(t->pj, way, proj_coord(x, y, 0, 0));
  *to_x = c.xy.x;
  *to_y = c.xy.y;
  return isfinite(c.xy.x) && isfinite(c.xy.y);
}

#endif
