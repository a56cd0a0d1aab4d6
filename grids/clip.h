/* clip.h: the cells of a grid over grids of another coordinate system; behind regrid.h. */
#ifndef SKY_GRIDS_CLIP_H
#define SKY_GRIDS_CLIP_H

#include "grids/grid.h"

/* Shares of source cells in target cells: start[i]..start[i+1]-1 are those of source cell i. What
 * is missing to 1 lies outside. */
typedef struct sky_clip {
  size_t n, longest;
  size_t *start; /* [n+1] */
  size_t *cell;
  double *share;
} sky_clip;

/* part, of: as sky_splitter_create_parts takes them. SKY_E_COVERAGE names the source cell that the
 * target's system cannot hold in one piece. */
SKY_NODISCARD sky_status sky_clip_make(sky_context *ctx, const sky_grid *src, const sky_grid *part,
                                       size_t *const *of, size_t n_parts, sky_clip *out);
void sky_clip_free(sky_clip *c); /* NULL-safe, zeroes */

#endif
