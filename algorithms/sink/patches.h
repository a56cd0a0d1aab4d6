/* patches.h: patches of a class map below a minimum area take the class around them (patches.md).
 *
 * Rows come one by one, from one end to the other, and are kept as runs of equal classes, which a
 * union-find joins to patches; then rows are given back in the same order. What comes out follows
 * from the map alone. */
#ifndef SKY_ALGORITHMS_SINK_PATCHES_H
#define SKY_ALGORITHMS_SINK_PATCHES_H

#include "skyflux/context.h"

#define SKY_PATCH_NODATA INT32_MIN /* not a class: no patch, and no neighbour */

typedef struct sky_patches sky_patches;

typedef struct sky_patch_report {
  size_t n, small, kept; /* patches; below the minimum; of them without a large one to go to */
  size_t rounds;
  double area, small_area;   /* m2 of all and of the small ones */
  double changed, kept_area; /* m2 */
} sky_patch_report;

/* Rows of nx cells; diagonal: cells that touch at a corner are one patch, too. */
SKY_NODISCARD sky_status sky_patches_create(sky_context *ctx, size_t nx, bool diagonal,
                                            sky_patches **out);
void sky_patches_free(sky_patches *p); /* NULL-safe */
/* cls, area: [nx], m2. SKY_E_SIZE beyond 2^32 - 1 runs; SKY_E_NOMEM beyond the memory budget. */
SKY_NODISCARD sky_status sky_patches_add(sky_context *ctx, sky_patches *p, const int32_t *cls,
                                         const double *area);
/* minimum: m2. mask: small patches become nodata instead. */
SKY_NODISCARD sky_status sky_patches_finish(sky_context *ctx, sky_patches *p, double minimum,
                                            bool mask, sky_patch_report *report);
/* Row y of those that were added, [nx]; after finish. */
void sky_patches_row(const sky_patches *p, size_t y, int32_t *out);

#endif
