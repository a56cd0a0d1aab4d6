/* obs_operator.h: what a problem does to a vector of observation space, preconditioned by R:
 *
 *   A = R^-½ Ψ R^-½ᵀ = I + R^-½ (H Q Hᵀ + B Σ_b Bᵀ) R^-½ᵀ                         (iterate.md)
 *
 * symmetric, eigenvalues >= 1; or, with neighbours, G Ψ Gᵀ (nearby.h). Vectors [n_obs] or [n_state]
 * stand one after another. Same bits for any thread count. */
#ifndef SKY_ALGORITHMS_OBS_OPERATOR_H
#define SKY_ALGORITHMS_OBS_OPERATOR_H

#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/nearby.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/sparse.h"

typedef struct sky_obs_operator {
  sky_context *ctx;
  const sky_problem *p; /* borrowed */
  sky_covariance q;
  sky_sparse H;
  size_t batch; /* vectors (2 at least) that go through the state at once */
  sky_noise r;
  const sky_nearby *near; /* borrowed; NULL after opening: lift and apply then are those of R */
  double *y, *t;          /* [batch*n_obs] */
  double *u, *qu, *work;  /* [batch*n_state] */
  double *sums;           /* [n_background] */
} sky_obs_operator;

/* The problem is checked; every r_sd must be > 0 (SKY_E_RANGE names the first that is not). */
SKY_NODISCARD sky_status sky_obs_operator_open(sky_context *ctx, const sky_problem *p, bool float32,
                                               sky_obs_operator *out);
void sky_obs_operator_close(sky_obs_operator *op); /* NULL-safe */
double sky_obs_operator_bytes(const sky_problem *p, bool float32);

/* out [count*n_obs] = A v, or G Ψ Gᵀ v */
void sky_obs_operator_apply(sky_obs_operator *op, const double *v, size_t count, double *out);
/* At most batch vectors: op->y = R^-½ᵀ v (or Gᵀ v), op->u = Hᵀ op->y and op->qu = Q op->u. */
void sky_obs_operator_lift(sky_obs_operator *op, const double *v, size_t count);
/* out [count*n_obs] = R^-½ H x */
void sky_obs_operator_observe(const sky_obs_operator *op, const double *x, size_t count,
                              double *out);
/* op->y is overwritten. sums [n_background] = Bᵀ R^-½ᵀ v of one vector */
void sky_obs_operator_groups(const sky_obs_operator *op, const double *v, double *sums);
/* With W = R^-½, or G where there are neighbours: out [n_obs] = W R Wᵀ v (v itself without), its
 * trace, and log|WᵀW|. */
void sky_obs_operator_noise(const sky_obs_operator *op, const double *v, double *out);
SKY_NODISCARD sky_status sky_obs_operator_noise_trace(const sky_obs_operator *op, double *trace);
double sky_obs_operator_logdet(const sky_obs_operator *op);
#endif
