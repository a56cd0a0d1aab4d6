/* geostat.h: inversion with an unknown mean, x = Xβ + s, s ~ N(0, Q), β without prior (geostat.md;
 * Michalak et al. 2004; Yadav & Michalak 2013). The problem's x0 is not used. */
#ifndef SKY_ALGORITHMS_GEOSTAT_H
#define SKY_ALGORITHMS_GEOSTAT_H

#include "algorithms/inversion/dual.h"

typedef struct sky_drift { /* columns of X, one after another */
  size_t n;
  const double *X; /* [n*n_state]; NULL with n = 1: a column of ones */
} sky_drift;

typedef struct sky_geostat {
  size_t n_state, n_obs, n_drift, n_zone, n_background;
  double *beta, *beta_cov;   /* [n_drift], [n_drift*n_drift] */
  double *x, *sd, *ak;       /* [n_state]; sd and kernel with the drift's part */
  double *b;                 /* [n_background] */
  double *residual;          /* [n_obs] y - Hx̂ - Bb̂ */
  double *simulated;         /* [n_obs] */
  double *total, *total_sd;  /* [n_zone] aᵀx̂, sd with the drift's part */
  double *zone_cov;          /* [n_zone*n_zone] */
  double *zone_A;            /* [n_zone*n_state] aᵀA */
  double dofs;               /* tr A: the drift's n_drift and what the data tell beyond it */
  double chi2;               /* (y-Gβ)ᵀΨ⁻¹(y-Gβ), expectation n_obs - n_drift */
  double jb, jo;             /* wᵀ(HQHᵀ + BΣ_bBᵀ)w, wᵀRw; their sum is chi2 */
  double neg_log_restricted; /* -log of the restricted likelihood (hyper.md) */
} sky_geostat;

/* (GᵀΨ⁻¹G)⁻¹ [q*q], Ψ⁻¹G rows SG [q*n], β [q] and log|GᵀΨ⁻¹G| for columns G rows [q*n] and data v.
 * SKY_E_NOT_SPD: the observations do not tell the columns apart. */
SKY_NODISCARD sky_status sky_drift_fit(sky_context *ctx, const sky_dual *d, size_t q,
                                       const double *G, const double *v, double *SG, double *cov,
                                       double *beta, double *logdet);
/* The dual picture of a problem whose mean is unknown. First sky_drift_columns: *G [q*n], new, rows
 * (HX)ᵀ, and d->d = y - B b0, which x0 has no part in; then, and after every sky_dual_factor,
 * sky_drift_remove: d->d = y - B b0 - Gβ̂, psi its covariance Ψ - GCGᵀ, C = (GᵀΨ⁻¹G)⁻¹, inverse
 * P = Ψ⁻¹ - Ψ⁻¹GCGᵀΨ⁻¹ and w = P d. L stays. SKY_E_NOT_SPD as sky_drift_fit. */
SKY_NODISCARD sky_status sky_drift_columns(sky_context *ctx, const sky_problem *p,
                                           const sky_drift *drift, sky_dual *d, double **G);
SKY_NODISCARD sky_status sky_drift_remove(sky_context *ctx, size_t q, const double *G, sky_dual *d);
/* zones: n_zone and W are used; constant is added to totals; NULL = none. */
SKY_NODISCARD sky_status sky_geostat_solve(sky_context *ctx, const sky_problem *p,
                                           const sky_drift *drift, const sky_functionals *zones,
                                           sky_geostat *out);
void sky_geostat_free(sky_geostat *g); /* NULL-safe, zeroes */

#endif
