/* axis.h: which intervals of one axis lie under each interval of another.
 *
 * Grids of one CRS overlap as the product of their axes, so that two short lists replace a weight
 * matrix. Where an edge falls within its neighbour axis is rounded to a lattice far finer than a
 * cell and far coarser than the noise of the coordinates: axes that agree but for rounding, or for
 * whole turns of longitude, give the same lists, bit by bit, and leak no slivers. Shares of one
 * interval sum to 1 exactly (within the area's rounding for latitudes). */
#ifndef SKY_GRIDS_AXIS_H
#define SKY_GRIDS_AXIS_H

#include "grids/grid.h"

typedef enum sky_axis_kind {
  SKY_AXIS_PLANE,     /* measured in its own unit */
  SKY_AXIS_LONGITUDE, /* degrees, whole turns are the same; measured in radians */
  SKY_AXIS_LATITUDE   /* degrees; measured in the ellipsoid's area, m2 a radian */
} sky_axis_kind;

typedef struct sky_axis {
  sky_axis_kind kind;
  size_t n;
  const double *edge; /* [n+1] ascending */
} sky_axis;

sky_axis sky_axis_x(const sky_grid *g);
sky_axis sky_axis_y(const sky_grid *g);
/* Measure of an interval; of regular axes that of the mean one (but for latitudes). */
double sky_axis_measure(const sky_axis *a, size_t i);

/* For each interval of `over` the intervals of `under` that it meets, in ascending order of the
 * coordinate of `over` (over the seam of a globe: not of the index). */
typedef struct sky_axis_overlap {
  size_t n, longest;
  size_t *start;   /* [n+1] */
  size_t *index;   /* of `under` */
  double *share;   /* of that interval's measure */
  double *rest;    /* its share under no interval at all, with the first item that it has, else 0 */
  double *covered; /* [n] share of the interval of `over` */
  size_t *centre;  /* [n] interval under the middle, the upper one on an edge; SIZE_MAX: none */
} sky_axis_overlap;

SKY_NODISCARD sky_status sky_axis_overlap_make(sky_context *ctx, const sky_axis *over,
                                               const sky_axis *under, sky_axis_overlap *out);
void sky_axis_overlap_free(sky_axis_overlap *o); /* NULL-safe, zeroes */

/* Shares [under->n] of all intervals of `under` inside intervals from..to-1 of `over`, from the two
 * ends alone: a check on the lists. */
void sky_axis_overlap_inside(const sky_axis *over, const sky_axis *under, size_t from, size_t to,
                             double *share);
#endif
