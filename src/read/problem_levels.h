/* problem_levels.h: the part of a problem file that states its prior as levels (levels.h).
 *
 * Variables of the dimension level: level_x0, level_y0 (lower-left corner), level_dx, level_dy,
 * level_length (all km), level_nx, level_ny, level_sigma; attribute level_models: the correlation
 * models in order, separated by blanks, e.g. "matern(1.2) gaspari-cohn". cell_width(cell): km,
 * cells are squares around xc, yc. Attributes cov_time and Lt_steps: correlation over time steps.
 * Optional: level_scale<k>(…), the relative sd of level k by time, sector and grid point;
 * sector_mixing(sector,sector_too), the covariance of sectors (fossil, biosphere, waste …),
 * symmetric and positive semi-definite (e.g. cosine similarities): the cells of a time step then
 * are those of the mesh once for each sector, sector by sector, with the same centres and widths.
 * Without it there is one sector. */
#ifndef SKY_READ_PROBLEM_LEVELS_H
#define SKY_READ_PROBLEM_LEVELS_H

#include "skyflux/problem.h"
#include "src/read/nc.h"

bool sky_problem_has_levels(const sky_nc *f);
/* p holds sizes and axes; p->levels and p->x_sd are filled. */
SKY_NODISCARD sky_status sky_problem_read_levels(sky_context *ctx, sky_nc *f, sky_problem *p);
#endif
