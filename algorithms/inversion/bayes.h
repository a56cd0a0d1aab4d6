/* bayes.h: the parts of the exact solver that its neighbours build on (bayes.md §1). */
#ifndef SKY_ALGORITHMS_BAYES_H
#define SKY_ALGORITHMS_BAYES_H

#include "algorithms/inversion/covariance.h"

/* Q = S (D ⊗ E) S: the only form whose E and D are there. */
static inline bool sky_problem_is_kronecker(const sky_problem *p) {
  return p->q_var == NULL && p->levels == NULL;
}
/* n values, finite and, of an sd, not below 0: SKY_E_RANGE names the first that is not. */
SKY_NODISCARD sky_status sky_problem_check_values(sky_context *ctx, const char *name,
                                                  const double *v, size_t n, bool is_sd);
/* Every array of the problem: SKY_E_RANGE names the first that is not usable. */
SKY_NODISCARD sky_status sky_problem_check(sky_context *ctx, const sky_problem *p);
/* The same for methods that take single elements of Q: SKY_E_RANGE where Q is levels. */
SKY_NODISCARD sky_status sky_problem_check_elements(sky_context *ctx, const sky_problem *p);
/* out [n_obs] = H x + B b; b NULL = 0. */
void sky_problem_observe(sky_context *ctx, const sky_problem *p, const double *x, const double *b,
                         double *out);
/* out [n_state] = Hᵀ v, element i of v at v[i*stride]. */
void sky_problem_transpose(const sky_problem *p, const double *v, size_t stride, double *out);
/* Bytes of a problem's own arrays, its prior included. */
double sky_problem_held_bytes(const sky_problem *p);
/* The prior covariance of the state; its arrays stay the problem's. */
sky_covariance sky_problem_covariance(const sky_problem *p);
/* G [n_obs*n_obs] = H Q Hᵀ, both triangles (gram.c); of x_sd, E, D (or the low-rank form), val, col
 * and rowptr alone, so that a copy of the struct with other arrays gives derivatives and parts of
 * it.
 */
SKY_NODISCARD sky_status sky_problem_gram(sky_context *ctx, const sky_problem *p, double *G);

#endif
