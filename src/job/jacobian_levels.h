/* jacobian_levels.h: the prior of a job as levels (algorithms/inversion/levels.md), in the words of
 * a problem file (src/read/problem_levels.h).
 *
 * The prior sd of a mesh cell, from sigma and floor, is that of the whole field there; a level has
 * its share of the variance, at the points of its own grid. */
#ifndef SKY_JOB_JACOBIAN_LEVELS_H
#define SKY_JOB_JACOBIAN_LEVELS_H

#include "algorithms/inversion/covariance.h"
#include "src/job/jacobian.h"

#define SKY_LEVELS_MOST 16
#define SKY_LEVEL_NUMBERS 8

typedef struct sky_jacobian_levels {
  size_t n;                                          /* 0: the prior has another form */
  const char *name[SKY_LEVEL_NUMBERS];               /* level_x0 … */
  double number[SKY_LEVEL_NUMBERS][SKY_LEVELS_MOST]; /* km, counts, 1 */
  size_t points[SKY_LEVELS_MOST];
  double *scale[SKY_LEVELS_MOST]; /* [n_time*n_layer*points] mol m-2 s-1 */
  char dim_name[SKY_LEVELS_MOST][16], scale_name[SKY_LEVELS_MOST][24];
  char models[SKY_LEVELS_MOST * SKY_CORRELATION_TEXT];
  double *width; /* [n_cell] km */
} sky_jacobian_levels;

/* SKY_E_JOB: a level's cell that does not divide the box, or more than SKY_LEVELS_MOST levels;
 * SKY_E_COVERAGE: a grid in degrees, or cells that are not square. */
SKY_NODISCARD sky_status sky_jacobian_levels_make(sky_context *ctx, const sky_jacobian *j,
                                                  sky_jacobian_levels *out);
void sky_jacobian_levels_free(sky_jacobian_levels *l); /* NULL-safe, zeroes */
#endif
