/* offsets.h: the matrix B of a problem: one offset for each group of observations and regressor
 * columns (retrieval bias along albedo, airmass …), b ~ N(b0, Σ_b) (bayes.md §1). */
#ifndef SKY_ALGORITHMS_OFFSETS_H
#define SKY_ALGORITHMS_OFFSETS_H

#include "skyflux/problem.h"
#include "src/core/sum.h"

/* SKY_E_RANGE names group, regressor, b0 or b_sd and the first index that is not usable. */
SKY_NODISCARD sky_status sky_offsets_check(sky_context *ctx, const sky_problem *p);
/* sum += (B b)_i */
void sky_offsets_add(const sky_problem *p, size_t i, const double *b, sky_acc *sum);
/* sums [n_background] += v (B row i)ᵀ */
void sky_offsets_scatter(const sky_problem *p, size_t i, double v, double *sums);
/* sums [n_background] = Bᵀ v, element i of v at v[i*stride] */
void sky_offsets_sums(const sky_problem *p, const double *v, size_t stride, double *sums);
double sky_offsets_element(const sky_problem *p, size_t i, size_t j); /* (B Σ_b Bᵀ)_ij */
/* row[j] += (B Σ_b Bᵀ)_ij for j <= i */
void sky_offsets_covariance(const sky_problem *p, size_t i, double *row);
/* C [n_background*n_obs] = Bᵀ */
void sky_offsets_columns(const sky_problem *p, double *C);

#endif
