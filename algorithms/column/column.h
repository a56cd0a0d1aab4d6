/* column.h: the retrieval's column operator. Pure functions.
 *
 * X = X_a + Σ_k w_k ak_k (c_k - c_a,k)                            Rodgers & Connor 2003, Eq. 15 */
#ifndef SKY_ALGORITHMS_COLUMN_H
#define SKY_ALGORITHMS_COLUMN_H

#include <stdbool.h>
#include <stddef.h>

/* Σ_k w_k c_k. In both: levels whose weight is 0 or NaN are skipped, NaN elsewhere stays NaN. */
double sky_column_mean(size_t n_levels, const double *weight, const double *profile);
double sky_column_apply(size_t n_levels, double prior, const double *weight, const double *ak,
                        const double *prior_profile, const double *profile);
/* --- model profiles on a retrieval's levels ---
 *
 * The profile c(p) is projected on what the retrieval can hold: layers are constant, levels linear
 * in p between their values,
 *     Σ_j ∫ φ_k φ_j dp x_j = ∫ φ_k c dp          for every k (L2 projection; φ: those shapes)
 * so that ∫ x dp = ∫ c dp over the retrieval's column (the φ sum to 1), and a profile that the
 * retrieval can hold comes out unchanged. */
typedef struct sky_profile {
  size_t n;
  const double *pressure; /* [n] levels, or [n+1] edges of layers, Pa, from the surface upwards */
  const double *value;    /* [n] dry mole fraction; linear in pressure between levels */
  bool layers;
} sky_profile;

typedef enum sky_surface_rule { /* where the model's surface is not the retrieval's */
                                SKY_SURFACE_EXTEND, /* the lowest value goes on, or is cut off */
                                SKY_SURFACE_STRETCH /* pressures are stretched linearly below the
                                                       model's top: the model's column is kept */
} sky_surface_rule;

typedef struct sky_retrieval_grid {
  size_t n;
  const double *pressure; /* [n] levels, or mid pressures of layers, from the surface upwards */
  bool layers;
  double surface;      /* Pa; of layers, whose edges follow from it; not looked at for levels */
  const double *prior; /* [n] taken above the model's top; NULL: the model's top value goes on */
} sky_retrieval_grid;

/* Doubles of work space. */
static inline size_t sky_column_work(size_t n_model, size_t n_levels) {
  return n_model + 5 * n_levels + 4;
}
/* out [grid->n]. *mismatch (may be NULL): surface pressure of the model minus the retrieval's, Pa.
 * false where pressures do not fall strictly or are not finite: out is NaN then. */
bool sky_column_project(const sky_profile *model, const sky_retrieval_grid *grid,
                        sky_surface_rule rule, double *work, double *out, double *mismatch);

/* Quantile by linear interpolation of order statistics (type 7, Hyndman & Fan 1996); sorts work.
 * NaN for n = 0, a NaN among x, or q outside 0..1. */
double sky_quantile(size_t n, const double *x, double q, double *work);

#endif
