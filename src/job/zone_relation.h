/* zone_relation.h: how two zones of a job lie to each other.
 *
 * Zones of one administration rarely share every vertex, so what is left over below 1 -
 * SKY_ZONE_COMPLETE of the smaller one's area does not count. */
#ifndef SKY_JOB_ZONE_RELATION_H
#define SKY_JOB_ZONE_RELATION_H

#include "src/job/job.h"

typedef enum sky_zone_relation {
  SKY_ZONES_APART = 0,
  SKY_ZONE_WITHIN, /* a lies in b, or is it */
  SKY_ZONE_HOLDS,  /* b lies in a, and is smaller */
  SKY_ZONES_CROSS
} sky_zone_relation;

/* Both in the CRS of one grid. both (may be NULL): what they share where they cross, a zone that
 * the caller frees by sky_zone_clear; zero otherwise. */
SKY_NODISCARD sky_status sky_zone_relate(sky_context *ctx, const sky_zone *a, const sky_zone *b,
                                         sky_zone_relation *out, sky_zone *both);
void sky_zone_clear(sky_zone *z);

/* Warns of zones of one level that share more than that, as a sum over the level counts it twice.
 * Where all have one level (levels false), a zone inside another is meant. cover: of the zones. */
SKY_NODISCARD sky_status sky_zones_warn(sky_context *ctx, const sky_zones *zones,
                                        const sky_coverage *cover, const sky_grid *grid,
                                        bool levels);

#endif
