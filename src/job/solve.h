/* solve.h: how a prepared problem is solved, the same for `skyflux invert` and for the stage of a
 * job: the Gaussian posterior by one of three methods, with the checkpoint of the iterative one. */
#ifndef SKY_JOB_SOLVE_H
#define SKY_JOB_SOLVE_H

#include "algorithms/inversion/geostat.h"
#include "algorithms/inversion/iterate.h"

#define SKY_SOLVE_TOLERANCE 1e-10  /* of an iteration that states none */
#define SKY_SOLVE_MOST_EXACT 20000 /* observations that the exact method is chosen for */

typedef struct sky_solve_options {
  const char *method;     /* "exact", "iterative" or "banded"; NULL = by size */
  const char *problem;    /* file of the problem, to which a checkpoint belongs */
  const char *checkpoint; /* file, or NULL */
  bool renew;             /* a checkpoint of another problem is emptied, not refused */
  double tolerance;       /* 0 = the default */
  bool float32;           /* values of H, of the iteration */
  bool kernels;           /* the iteration fills zone_A, too; takes layers and inventories then */
} sky_solve_options;

/* What is asked for, else exact up to SKY_SOLVE_MOST_EXACT observations whose solution fits the
 * memory budget, else banded where that is exact, fits and is not dearer, else iterative. The
 * reason stands in the log. */
SKY_NODISCARD sky_status sky_solve_method(sky_context *ctx, const sky_solve_options *o,
                                          const sky_problem *p, const sky_functionals *zones,
                                          const char **method);
/* method: one of the three. report is zero after an exact solution. A checkpoint that belongs to
 * another problem or precision is SKY_E_USAGE; it is removed after success. */
SKY_NODISCARD sky_status sky_solve_gaussian(sky_context *ctx, const sky_solve_options *o,
                                            const char *method, const sky_problem *p,
                                            const sky_functionals *zones, sky_posterior *out,
                                            sky_iterate_report *report);
/* The geostatistical solution in the shape of a posterior. There is no prior mean: prior totals are
 * those of x0, which the solution does not use, prior_sd, b_post_sd and the evidence are NaN, and
 * so are the columns of a zone that compare it with a prior. */
SKY_NODISCARD sky_status sky_solve_geostat(sky_context *ctx, const sky_problem *p,
                                           const sky_drift *drift, const sky_functionals *zones,
                                           sky_posterior *out);
/* The fixed-lag smoother in the shape of a posterior: totals, offsets and their errors, chi2 and
 * the evidence are the exact ones, x and sd those of the lag. It has no averaging kernel: what
 * needs one is NaN. */
SKY_NODISCARD sky_status sky_solve_smoother(sky_context *ctx, const sky_problem *p, size_t lag,
                                            const sky_functionals *zones, sky_posterior *out);
/* A X + B b of a state and offsets [n_obs]. */
void sky_solve_simulate(const sky_problem *p, const double *x, const double *b, double *out);
#endif
