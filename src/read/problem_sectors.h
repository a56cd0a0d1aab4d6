/* problem_sectors.h: the part of a problem file that repeats its cells for sectors (fossil,
 * biosphere, waste …): sector_mixing(sector,sector_too), how their errors go together, symmetric
 * and positive semi-definite. The cells of a time step are those of a mesh once for each sector,
 * sector by sector, with the same centres.
 *
 * Beside cov its diagonal is 1, and sector_reach(sector), optional, is the correlation length of a
 * sector over Lx_km; it is the same for sectors that mix. Beside levels see problem_levels.h. */
#ifndef SKY_READ_PROBLEM_SECTORS_H
#define SKY_READ_PROBLEM_SECTORS_H

#include "skyflux/problem.h"
#include "src/read/nc.h"

/* M [n*n], new; NULL and n = 1 where the file states none. SKY_E_RANGE names an eigenvalue below 0.
 */
SKY_NODISCARD sky_status sky_problem_read_mixing(sky_context *ctx, sky_nc *f, const sky_problem *p,
                                                 size_t *n, double **out);
/* Fills n_sector, mixing and sector_reach of a problem with cov; p holds sizes and axes. */
SKY_NODISCARD sky_status sky_problem_read_sectors(sky_context *ctx, sky_nc *f, sky_problem *p);
#endif
