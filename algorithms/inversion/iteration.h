/* iteration.h: what iterate.c and iterate_answer.c share: a problem on its way to its posterior. */
#ifndef SKY_ALGORITHMS_ITERATION_H
#define SKY_ALGORITHMS_ITERATION_H

#include "algorithms/inversion/iterate.h"
#include "algorithms/inversion/krylov.h"
#include "algorithms/inversion/obs_operator.h"

typedef struct sky_iteration {
  sky_context *ctx;
  const sky_problem *p;
  const sky_functionals *zones;
  const sky_iterate_options *o;
  sky_posterior *out;
  sky_iterate_report *report;
  sky_obs_operator op;
  sky_nearby *near; /* what the iteration is preconditioned with, or NULL: R alone */
  sky_krylov k;
  size_t n, nz, nb;  /* observations, zones, right-hand sides: nz + 1 */
  size_t index;      /* of the next product in the store */
  double *b, *u, *r; /* [nb*n] right-hand sides, solutions, residuals */
  double *G;         /* [nb*nb] */
  double *error;     /* [nb] bound of b_iᵀA⁻¹b_i - its value */
  double *W;         /* [nb*n] scratch */
  double *Y;         /* [nb*nb] residuals on the newest block */
  double *L, *coef;  /* of the last solution */
  double logdet;     /* of Ψ, by the banded factor */
  double *inside;    /* [nz] DOFS of zones, by the same */
} sky_iteration;

/* Everything of the posterior and the report but the mean's error, from u, r, G and the basis or
 * the band. */
SKY_NODISCARD sky_status sky_iteration_answer(sky_iteration *it);
#endif
