/* hmc.h: Hamiltonian Monte Carlo of a whitened density, several chains (hmc.md).
 *
 * The caller whitens: near its mode the density of q is about N(0, I). The step is adapted in the
 * warm-up (dual averaging) and then fixed. Chains run in parallel; every random number is a
 * function of (seed, chain, iteration), so draws are the same for any number of threads. */
#ifndef SKY_ALGORITHMS_HMC_H
#define SKY_ALGORITHMS_HMC_H

#include "algorithms/inversion/sampling.h"

typedef struct sky_hmc_target {
  size_t dim;
  size_t n_work; /* numbers of scratch that a chain lends to the callbacks */
  size_t n_row;  /* numbers that a draw records */
  void *user;
  /* Potential -ln density + constant, and its gradient [dim]; may be infinite or NaN: divergent. */
  double (*potential)(const void *user, const double *q, double *gradient, double *work);
  /* row [n_row] of a kept draw; called for one chain by one thread at a time. */
  void (*record)(void *user, size_t chain, const double *q, double *row, double *work);
} sky_hmc_target;

typedef struct sky_hmc_report {
  size_t divergent;             /* kept draws whose energy error was above 1000 or no number */
  double acceptance;            /* mean of kept draws */
  double step_least, step_most; /* of the chains */
} sky_hmc_report;

/* rows [n_chain*n_draw*n_row]. */
SKY_NODISCARD sky_status sky_hmc_run(sky_context *ctx, const sky_hmc_target *target,
                                     const sky_sampling *how, double *rows, sky_hmc_report *out);

#endif
