/* iterate.h: the posterior of a problem without any matrix of n_obs² or n_state² elements, to a
 * stated tolerance of what is reported (iterate.md). Any form of the prior. */
#ifndef SKY_ALGORITHMS_ITERATE_H
#define SKY_ALGORITHMS_ITERATE_H

#include "skyflux/problem.h"

/* Where products A v are kept, so that a killed run goes on: product number `index`, `count`
 * numbers. *found = false: not there (yet). */
typedef struct sky_product_store {
  void *user;
  sky_status (*load)(sky_context *ctx, void *user, size_t index, size_t count, double *data,
                     bool *found);
  sky_status (*save)(sky_context *ctx, void *user, size_t index, size_t count, const double *data);
} sky_product_store;

typedef struct sky_iterate_options {
  double tolerance; /* > 0: error of a total in its sd, and relative error of that sd */
  bool float32;     /* values of H */
  size_t complete;  /* with at most so many observations the basis is completed: everything exact */
  uint64_t seed;    /* of the probes of the trace */
  bool skip_trace;  /* no estimate of DOFS and evidence (NaN), which costs most products */
  bool kernels;     /* zone_A as well, [n_zone*n_state]; needed with layers and inventories */
  bool banded;      /* not iterated but by compact.h; the bounds of errors hold all the same */
  const sky_product_store *store; /* or NULL */
} sky_iterate_options;

typedef struct sky_iterate_report {
  size_t basis;                    /* vectors of the Krylov basis */
  size_t products;                 /* products A v made (not loaded), those of the trace included */
  bool complete;                   /* the basis is whole: no estimate anywhere */
  double total_error;              /* bound, of the worst zone, in its sd; rounding included */
  double sd_error;                 /* bound, relative, of the worst zone */
  double state_error;              /* bound of |x̂_i - exact| of every unknown, in its prior sd */
  double dofs_half, evidence_half; /* half widths of the 95 % intervals; 0 where complete */
} sky_iterate_report;

/* As sky_problem_solve, but: sd, ak, zone_dofs, b_post_sd and dofs_background are NaN unless the
 * report says complete; dofs then is that of state and offsets together, estimated. zone_A is NULL
 * unless `kernels` asks for it, and only then layers and an inventory with its own covariance are
 * taken (else SKY_E_RANGE). At least one zone. */
SKY_NODISCARD sky_status sky_problem_iterate(sky_context *ctx, const sky_problem *p,
                                             const sky_functionals *zones,
                                             const sky_iterate_options *options, sky_posterior *out,
                                             sky_iterate_report *report);
/* Bytes of it beside its basis or band, the problem's own arrays included. */
double sky_iterate_bytes(const sky_problem *p, size_t n_zone, bool float32, bool kernels);
#endif
