/* problem_array.h: a variable of a problem file, by the dimensions that it must have.
 *
 * The order of dimensions carries meaning, so a transposed variable is refused. Names of dimensions
 * other than the expected ones are taken where the lengths leave one reading; a state may also be
 * (time,cell). One dimension is known by its length alone. */
#ifndef SKY_READ_PROBLEM_ARRAY_H
#define SKY_READ_PROBLEM_ARRAY_H

#include "skyflux/problem.h"
#include "src/read/nc.h"

typedef struct sky_axis { /* a dimension that is expected */
  const char *name;
  size_t size; /* SIZE_MAX: any length */
} sky_axis;

enum { SKY_AXES_MAX = 4 };

/* *out [lengths multiplied], new, of the dimensions axis [n] in this order; all finite. length
 * [n]: their lengths, may be NULL. p: its n_time and n_cell, once known, let a state be
 * (time,cell). SKY_E_FORMAT names the dimensions there are and those expected, SKY_E_RANGE an
 * index. */
SKY_NODISCARD sky_status sky_problem_array(sky_context *ctx, sky_nc *f, const sky_problem *p,
                                           const char *var, size_t n, const sky_axis *axis,
                                           size_t *length, double **out);
/* One dimension. */
SKY_NODISCARD sky_status sky_problem_vector(sky_context *ctx, sky_nc *f, const char *var,
                                            const char *dim, size_t size, size_t *length,
                                            double **out);
/* (state), or (time,cell). */
SKY_NODISCARD sky_status sky_problem_state(sky_context *ctx, sky_nc *f, const sky_problem *p,
                                           const char *var, double **out);
/* A global attribute of one number; SKY_E_FORMAT where it is missing or holds several. */
SKY_NODISCARD sky_status sky_problem_number(sky_context *ctx, sky_nc *f, const char *name,
                                            double *out);
#endif
