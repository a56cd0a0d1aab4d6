/* fixture_problem.h: a small random inverse problem and the dense textbook formulas for it, written
 * with plain loops so that they share nothing with the solver under test. */
#ifndef SKY_TESTS_FIXTURE_PROBLEM_H
#define SKY_TESTS_FIXTURE_PROBLEM_H

#include "skyflux/problem.h"

/* Cells and times on a line with unequal exponential correlation (long in space, short in time),
 * uneven x_sd and r_sd; every row of H sees cells of up to three times. y is H x_true + noise with
 * both drawn from the model's own statistics. Fails the test on error. */
void fixture_problem(sky_context *ctx, uint64_t seed, size_t n_cell, size_t n_time, size_t n_obs,
                     size_t n_background, sky_problem *out);
/* The same with Q as an account states it, low rank + diagonal: FIXTURE_REGIONS regions whose
 * totals are uncertain, shares that follow a proxy (Dirichlet: + diagonal, - factor) and one error
 * common to all. x_true is drawn region by region, without Q. */
#define FIXTURE_REGIONS 3
void fixture_low_rank(sky_context *ctx, uint64_t seed, size_t n_cell, size_t n_time, size_t n_obs,
                      size_t n_background, sky_problem *out);
sky_context *fixture_context(int threads);

/* Dense pictures, malloc'd with sky_malloc: H [n_obs*n_state], Q [n_state²]. */
double *fixture_dense_H(sky_context *ctx, const sky_problem *p);
double *fixture_dense_Q(sky_context *ctx, const sky_problem *p, const double *sd, const double *E,
                        const double *D);
double *fixture_dense_low_rank(sky_context *ctx, size_t m, size_t rank, const double *factor,
                               const double *sign, const double *var);
double *fixture_new(sky_context *ctx, size_t n); /* zeros */

/* C = op(A) op(B): A [m*k] (or [k*m] if ta), B [k*n] (or [n*k] if tb). */
void fixture_multiply(size_t m, size_t k, size_t n, bool ta, const double *A, bool tb,
                      const double *B, double *C);
/* A⁻¹ by Gauss–Jordan with pivoting. */
void fixture_inverse(size_t n, const double *A, double *inverse);

/* Everything dense: x̂ [m], P [m²], A [m²], K [m*n], Ψ [n²]. Any may be NULL. */
typedef struct fixture_answer {
  double *x, *P, *A, *K, *psi;
  double chi2, jb, jo;
} fixture_answer;
void fixture_solve(sky_context *ctx, size_t n, size_t m, const double *H, const double *Q,
                   const double *R, const double *y, const double *x0, fixture_answer *out);
void fixture_answer_free(fixture_answer *a);

/* max |a-b| / max |b| */
double fixture_difference(size_t n, const double *a, const double *b);
bool fixture_near(double a, double b, double relative); /* |a-b| <= relative |b| */
double fixture_form(size_t n, const double *u, const double *M, const double *v); /* uᵀ M v */
/* sky_problem_solve fails with this status, says so and leaves nothing. */
void fixture_refused(sky_context *ctx, const sky_problem *p, sky_status want, const char *text);

#endif
