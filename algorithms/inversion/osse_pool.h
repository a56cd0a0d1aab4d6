/* osse_pool.h: one number a member that all zones make together, and its sum over members, which
 * are independent while zones are not (osse.md §3). Private to the experiments. */
#ifndef SKY_ALGORITHMS_OSSE_POOL_H
#define SKY_ALGORITHMS_OSSE_POOL_H

#include "algorithms/inversion/osse.h"

/* Adds a member: value has this mean and variance if the inversion is right. */
void sky_osse_pool_add(sky_osse_pool *p, double value, double mean, double variance);
/* ratio and its limits, z standard deviations of a normal to either side. */
void sky_osse_pool_finish(sky_osse_pool *p, double z);
/* χ² of dof > 0 that is as likely exceeded as z of a normal (Wilson and Hilferty 1931, PNAS 17,
 * 684): limits a little wide, tails of 4 sds have 0.83 of their chance at 40 degrees of freedom
 * and 0.97 at 200. */
double sky_osse_chi2(double dof, double z);

/* Directions of a covariance [n*n] of zones, by its correlation; singular where zones nest. */
typedef struct sky_osse_joint {
  size_t n, rank;
  double *sd, *V, *value; /* [n], [n*n] rows, [n] eigenvalues, falling; rank of them count */
  double square;          /* Σ ρ² */
} sky_osse_joint;
SKY_NODISCARD sky_status sky_osse_joint_make(sky_context *ctx, size_t n, const double *cov,
                                             sky_osse_joint *out);
void sky_osse_joint_free(sky_osse_joint *j);
/* zᵀz and zᵀC⁺z of z = miss/sd. */
void sky_osse_joint_forms(const sky_osse_joint *j, const double *miss, double *own, double *joint);

/* A sampled member: the rank of the truth's forms among those of half of the draws, with the
 * covariance of the other half, as -2 log of the share above: mean 2, variance 4. */
SKY_NODISCARD sky_status sky_osse_joint_ranks(sky_context *ctx, const sky_sampled *drawn,
                                              const double *truth, double *own, double *joint);
#endif
