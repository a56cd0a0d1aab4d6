/* boundary.h: curtains of mole fraction at the sides of a domain (openghg/ACRG boundary conditions,
 * vmr_n, vmr_e, vmr_s, vmr_w) and where the particles of footprints left it (particle_locations_*).
 */
#ifndef SKY_READ_BOUNDARY_H
#define SKY_READ_BOUNDARY_H

#include "skyflux/context.h"

enum { SKY_SIDE_NORTH, SKY_SIDE_EAST, SKY_SIDE_SOUTH, SKY_SIDE_WEST, SKY_SIDES };

typedef struct sky_curtains {             /* of a boundary file, or of a footprint file */
  size_t n, n_height, n_along[SKY_SIDES]; /* n: time steps, or receptors */
  double *time;                           /* [n] s since 1970 */
  double *lon, *lat;                      /* [n] of receptors, NaN unknown; NULL of steps */
  double *height;                         /* [n_height] m, ascending */
  double *along[SKY_SIDES];               /* [n_along] degrees: longitude, latitude, … */
  double *value[SKY_SIDES]; /* [n*n_height*n_along] mol mol-1, or share of particles */
  size_t levels;            /* of the retrieval that the particles stand for (max_level); 0: all */
} sky_curtains;
void sky_curtains_free(sky_curtains *c);

SKY_NODISCARD sky_status sky_boundary_read(sky_context *ctx, const char *path, sky_curtains *out);
/* SKY_E_FORMAT for a footprint file without particle locations. */
SKY_NODISCARD sky_status sky_exits_read(sky_context *ctx, const char *path, sky_curtains *out);

/* The curtains of step `at` where the places of `exits` are (bilinear, the outermost value beyond):
 * vmr holds what one receptor of exits has, side after side. SKY_E_COVERAGE when the sides of the
 * two lie more than a degree apart. */
SKY_NODISCARD sky_status sky_boundary_at(sky_context *ctx, const sky_curtains *boundary, size_t at,
                                         const sky_curtains *exits, double *vmr);
/* Values of one receptor or step, all sides. */
size_t sky_curtains_size(const sky_curtains *c);
#endif
