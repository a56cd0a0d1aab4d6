/* outline.h: the outline of a set of grid cells as rings: zones made of labelled cells. */
#ifndef SKY_GRIDS_OUTLINE_H
#define SKY_GRIDS_OUTLINE_H

#include "grids/zone.h"

/* Rings around the cells with inside[cell] true: outer rings counter-clockwise, holes clockwise and
 * marked so; cells that touch at a corner only belong to different rings. Vertices stand where the
 * outline turns. *rings is malloc'd, freed by sky_rings_free; no cell gives no ring. */
SKY_NODISCARD sky_status sky_outline(sky_context *ctx, const sky_grid *grid, const bool *inside,
                                     sky_ring **rings, size_t *n_rings);
void sky_rings_free(sky_ring *rings, size_t n_rings); /* NULL-safe */

#endif
