/* zone_tree.h: zones within zones: county, city, province; park, project, enterprise.
 *
 * A zone's `parent` is the id of the zone that it is a part of. A parent without a polygon of its
 * own is the sum of its children, cell for cell; one with a polygon is measured by itself, and how
 * far its children fill it can be checked. */
#ifndef SKY_GRIDS_ZONE_TREE_H
#define SKY_GRIDS_ZONE_TREE_H

#include "grids/zone.h"

#define SKY_NO_ZONE SIZE_MAX

typedef struct sky_zone_tree { /* all [n], indices of zones or SKY_NO_ZONE */
  size_t n;
  size_t *parent;
  size_t *add_to;   /* the parent, if it is the sum of its children */
  size_t *part_of;  /* of zones with a polygon: the nearest ancestor that has one, too */
  size_t *children; /* how many */
  size_t *parts;    /* how many zones are part_of it */
} sky_zone_tree;

/* zones: sorted by id. The defect "no geometry" of parents that are sums is taken from them.
 * SKY_E_FORMAT: a parent that is no zone, or a zone that is its own ancestor. */
SKY_NODISCARD sky_status sky_zone_tree_create(sky_context *ctx, sky_zones *zones,
                                              sky_zone_tree *out);
void sky_zone_tree_free(sky_zone_tree *t); /* NULL-safe, zeroes */

/* How far the parts of a zone fill it, over the cells of a grid, m2. A gap and an overlap within
 * one cell cancel each other. */
typedef struct sky_zone_closing {
  double uncovered; /* in no part */
  double overlap;   /* in parts, but beyond the zone or in more than one of them */
} sky_zone_closing;

/* closing: [n]; 0 for zones without parts. */
SKY_NODISCARD sky_status sky_zone_tree_check(sky_context *ctx, const sky_zone_tree *t,
                                             const sky_zones *zones, const sky_grid *grid,
                                             sky_zone_closing *closing);
#endif
