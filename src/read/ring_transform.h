/* ring_transform.h: rings from one coordinate system to another, edges bent as they must. */
#ifndef SKY_READ_RING_TRANSFORM_H
#define SKY_READ_RING_TRANSFORM_H

#include <ogr_srs_api.h>

#include "grids/zone.h"

#define SKY_RING_TOLERANCE 1e-3 /* m, of an edge after the transformation */

typedef struct sky_ring_transform {
  OGRCoordinateTransformationH to;     /* x, y order on both sides */
  bool from_geographic, to_geographic; /* else metres */
} sky_ring_transform;

/* Replace the vertices of a ring whose edges are straight in the source system by those of one
 * whose edges follow them in the target system, within SKY_RING_TOLERANCE and with the area that
 * the bent edges enclose. An edge gets the same vertices whichever way it runs, so that neighbours
 * keep their border. Longitudes come out without jumps, near those that went in where both systems
 * are geographic. SKY_E_COVERAGE: a point has no place in the target system. */
SKY_NODISCARD sky_status sky_ring_transform_apply(sky_context *ctx, const sky_ring_transform *t,
                                                  sky_ring *ring);

#endif
