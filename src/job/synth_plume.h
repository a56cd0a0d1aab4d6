/* synth_plume.h: transport of the invented scenes: a steady Gaussian plume of the column. */
#ifndef SKY_JOB_SYNTH_PLUME_H
#define SKY_JOB_SYNTH_PLUME_H

#include "grids/grid.h"

typedef struct sky_plume { /* of one receptor, a block of soundings */
  double lon, lat;         /* degrees, middle of the block */
  double speed;            /* m s-1, mean wind of the boundary layer */
  double from;             /* degrees clockwise from north */
  double width;            /* m, standard deviation of the block's box */
  double air;              /* dry air, mol m-2; over the kernel, if it is not 1 */
} sky_plume;

/* Column footprint on the cells of a geographic grid, (mol/mol)/(mol m-2 s-1); area m2. */
void sky_plume_footprint(const sky_plume *p, const sky_grid *grid, const double *area, double *row);

/* A smooth random field, about N(0,1): eight plane waves of at most `number`/2 radians a unit of x
 * or y. */
typedef struct sky_waves {
  double kx[8], ky[8], phase[8];
} sky_waves;
void sky_waves_make(uint64_t seed, uint64_t stream, double number, sky_waves *out);
double sky_waves_at(const sky_waves *w, double x, double y);
#endif
