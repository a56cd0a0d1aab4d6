/* diagnose.h: does the solution agree with the statistics that it was told (diagnose.md)? */
#ifndef SKY_ALGORITHMS_DIAGNOSE_H
#define SKY_ALGORITHMS_DIAGNOSE_H

#include "algorithms/inversion/heldout.h"

#define SKY_OUTLIER 4.0 /* |d_i| / √Ψ_ii */

typedef struct sky_group_fit { /* of one overpass */
  size_t n;
  double innovation_chi2; /* d_Bᵀ Ψ_BB⁻¹ d_B, expectation n */
  sky_heldout heldout;    /* predicted from all other overpasses */
} sky_group_fit;

typedef struct sky_diagnosis {
  size_t n, n_group;
  double *loo_error, *loo_sd; /* [n] w_i/(Ψ⁻¹)_ii = y - prediction without i; 1/√(Ψ⁻¹)_ii */
  double *influence;          /* [n] 1 - R_ii (Ψ⁻¹)_ii: of y_i on its own prediction */
  double *innovation;         /* [n] d_i/√Ψ_ii */
  double *eigenvalue; /* [n] of R^-½(HQHᵀ + BΣ_bBᵀ)R^-½, falling; NULL if a r_sd is 0 */
  size_t n_above, n_outlier;   /* eigenvalues above 1; |innovation| > SKY_OUTLIER */
  double dofs;                 /* Σ λ/(1+λ) = n - tr(Ψ⁻¹R), offsets included */
  double jb_per_dofs, jb_half; /* and half-width of its 95 % interval about 1 */
  double jo_per_rest, jo_half;
  double chi2_per_obs, chi2_half;
  double loo_rms, loo_chi2; /* of loo_error; mean of (loo_error/loo_sd)², expectation 1 */
  sky_group_fit *group;     /* [n_group] */
} sky_diagnosis;

/* overpass [n_obs] 0..n_group-1, each with members, or NULL with n_group = 0. */
SKY_NODISCARD sky_status sky_diagnose(sky_context *ctx, const sky_problem *p, size_t n_group,
                                      const int32_t *overpass, sky_diagnosis *out);
void sky_diagnosis_free(sky_diagnosis *d); /* NULL-safe, zeroes */

/* var [n_zone] = aᵀ(A-I) Q (A-I)ᵀa: what the solution cannot see, from zone_A of a posterior. */
SKY_NODISCARD sky_status sky_smoothing_error(sky_context *ctx, const sky_problem *p, size_t n_zone,
                                             const double *W, const double *zone_A, double *var);
/* M [n*n] = W A W*, W* = Wᵀ(WWᵀ)⁻¹: what of a change in sector j arrives in sector i, for sector
 * totals W [n*n_state] and zone_A = W A (Nesser et al. 2024). */
SKY_NODISCARD sky_status sky_sector_kernel(sky_context *ctx, size_t n, size_t n_state,
                                           const double *W, const double *zone_A, double *M);
#endif
