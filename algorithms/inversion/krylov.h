/* krylov.h: block Lanczos with full reorthogonalisation of a symmetric A >= I, and the quadrature
 * bounds that it gives (iterate.md). The caller makes the products A v, so they may come from an
 * operator or from a file. */
#ifndef SKY_ALGORITHMS_KRYLOV_H
#define SKY_ALGORITHMS_KRYLOV_H

#include "skyflux/context.h"

typedef struct sky_krylov {
  sky_context *ctx;
  size_t n;     /* length of a vector */
  size_t block; /* most vectors of a block */
  size_t start; /* vectors of the first block, which spans the right-hand sides */
  size_t done;  /* vectors whose product is known */
  size_t count; /* vectors of the basis; done..count-1 is the newest block */
  size_t last;  /* first vector of the newest block with products; last..done-1 */
  size_t room;  /* vectors that fit */
  double *V;    /* [room*n] orthonormal rows */
  double *band; /* [room*2*block] row j: T[j][low[j]..j] */
  size_t *low;  /* [room] */
  double *coef; /* [block*room] scratch */
  double *B;    /* [nb*start] coefficients of the right-hand sides on the first block */
  size_t nb;
} sky_krylov;

/* The first block: rows of rhs [nb*n] orthonormalised; those that depend on others add nothing. */
SKY_NODISCARD sky_status sky_krylov_start(sky_context *ctx, size_t n, size_t nb, const double *rhs,
                                          sky_krylov *out);
void sky_krylov_free(sky_krylov *k); /* NULL-safe */
/* The newest block, whose products are asked for: V + done*n, count - done vectors (0: the space is
 * exhausted). W [(count-done)*n] = A times it, overwritten. */
SKY_NODISCARD sky_status sky_krylov_step(sky_krylov *k, double *W);
/* Where the space is exhausted before it is whole: go on with unit vectors, from number *next on.
 * W: scratch [block*n]. */
SKY_NODISCARD sky_status sky_krylov_extend(sky_krylov *k, double *W, size_t *next);

/* L [done*done] = Cholesky factor of T = Vᵀ A V; coef [done*nb] = T⁻¹ Vᵀ rhs. */
SKY_NODISCARD sky_status sky_krylov_solve(const sky_krylov *k, double *L, double *coef);
/* Residuals rhs - A V coef = -V_newᵀ Y, Y [(count-done)*nb]. */
void sky_krylov_residual(const sky_krylov *k, const double *coef, double *Y);
/* gap [nb]: upper bound (Gauss–Radau, node below 1) minus lower bound (Gauss) of rhsᵀ A⁻¹ rhs, for
 * A >= I. From L of sky_krylov_solve and Y of sky_krylov_residual. */
SKY_NODISCARD sky_status sky_krylov_gap(const sky_krylov *k, const double *L, const double *Y,
                                        double *gap);
/* out [m*n] = coefᵀ V, coef [done*m] */
void sky_krylov_combine(const sky_krylov *k, size_t m, const double *coef, double *out);
#endif
