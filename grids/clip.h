/* clip.h: the cells of a grid over grids of another coordinate system; behind regrid.h. */
#ifndef SKY_GRIDS_CLIP_H
#define SKY_GRIDS_CLIP_H

#include "grids/zone.h"

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

/* Outlines of cells of `from` in the system of `to`, for one thread: densified until no chord
 * leaves the true line by more than 1e-6 of a cell; cells that share a side share its points. */
typedef struct sky_tracer sky_tracer;
SKY_NODISCARD sky_status sky_tracer_create(sky_context *ctx, const sky_grid *from,
                                           const sky_grid *to, sky_tracer **out);
void sky_tracer_free(sky_tracer *t); /* NULL-safe */
/* Around nx x ny cells with these edges, along the sides of each; without jumps of longitude. The
 * caller frees x and y. SKY_E_COVERAGE, with no message: they have no image in one piece. */
SKY_NODISCARD sky_status sky_tracer_outline(sky_context *ctx, sky_tracer *t, const double *x,
                                            size_t nx, const double *y, size_t ny, sky_ring *out);
/* A point of `from`; false where `to` has none, or where `from` has it at another place: beyond the
 * edge of the Earth projections run on. near: how far off it may come back, in units of `from`. */
bool sky_tracer_point(const sky_tracer *t, double x, double y, double near, double *to_x,
                      double *to_y);

/* Where `other` may lie in the system of g, with a margin: west, south, east, north; infinite where
 * that cannot be said. */
SKY_NODISCARD sky_status sky_clip_reach(sky_context *ctx, const sky_grid *g, const sky_grid *other,
                                        double box[4]);
/* A box does not meet the reach; longitudes in any turn. */
bool sky_clip_apart(const sky_grid *g, const double box[4], const double reach[4]);

#endif
