/* osse.h: observing-system experiments: is the stated uncertainty the real one (osse.md)?
 *
 * A score counts how often members' truths lie inside the intervals of their estimates; it is
 * filled member by member, so that any method can be judged. sky_osse_run draws members from a
 * linear Gaussian problem's own statistics (or with misspecified noise) and solves all of them with
 * one factorisation. */
#ifndef SKY_ALGORITHMS_OSSE_H
#define SKY_ALGORITHMS_OSSE_H

#include "algorithms/inversion/dual.h"
#include "algorithms/inversion/sampling.h"

enum { SKY_OSSE_BINS = 10 };
#define SKY_OSSE_RHAT 1.05 /* of a zone, from which on a member did not converge (osse.md §2) */
#define SKY_OSSE_UNCONVERGED 0.05 /* share of such members beyond which nothing is judged */

typedef struct sky_osse_pool { /* a sum over members (osse_pool.h) */
  double sum, mean, variance;  /* of it; the last two as expected */
  double ratio, low, high;     /* sum/mean, 1 where all is as stated, and its limits */
} sky_osse_pool;

typedef struct sky_osse_zone {
  size_t inside68, inside95, rank[SKY_OSSE_BINS];
  double bias, bias_sd; /* mean of estimate - truth over members, and its sampling sd */
  double rmse;          /* of the estimate */
  double sum, square;   /* of estimate - truth */
  double scores;        /* sum of squared normal scores of the truth */
  double spread;        /* their mean; 1 where the sd is the real one */
  double rank_chi2;     /* of the histogram against flat, SKY_OSSE_BINS - 1 degrees of freedom */
  bool good;            /* coverages, spread and histogram inside the limits, bias within 0 */
} sky_osse_zone;

typedef struct sky_osse {
  size_t n_zone, n_member, n_obs;
  size_t n_unconverged;                /* sampled members of which the chains of a zone disagree */
  sky_osse_zone *zone;                 /* [n_zone] */
  double jb_per_dofs, j_per_n;         /* means over members; 1 where all is as stated; NaN if
                                          sampled */
  double jb_sd, j_sd;                  /* their expected sampling sds */
  size_t low68, high68, low95, high95; /* limits of the counts; shared over zones */
  double rank_limit, normal_limit;     /* of rank_chi2, of |mean|/sd */
  double spread_low, spread_high;      /* of the spread of a zone */
  sky_osse_pool own, joint; /* of all zones: squared scores, and with their correlations undone */
  bool judged;              /* at most SKY_OSSE_UNCONVERGED of the members did not converge */
  bool calibrated;          /* judged, and everything inside its limit */
} sky_osse;

SKY_NODISCARD sky_status sky_osse_begin(sky_context *ctx, size_t n_zone, size_t n_obs,
                                        sky_osse *out);
/* total, truth [n_zone]; cov [n_zone²], as stated. */
SKY_NODISCARD sky_status sky_osse_add(sky_context *ctx, sky_osse *s, const double *total,
                                      const double *cov, const double *truth, double jb, double jo,
                                      double dofs);
/* The same for a sampled posterior: its intervals are quantiles of the draws, the rank is that of
 * the truth among them, the estimate is their mean; no cost. */
SKY_NODISCARD sky_status sky_osse_add_draws(sky_context *ctx, sky_osse *s, const sky_sampled *drawn,
                                            const double *truth);
/* Means, limits and verdicts. The limits are such that a right inversion leaves any of them once in
 * a thousand experiments: 0.001 is shared equally by all tests (Bonferroni). */
void sky_osse_finish(sky_osse *s);
void sky_osse_free(sky_osse *s); /* NULL-safe, zeroes */

typedef struct sky_osse_plan {
  size_t members;
  uint64_t seed;
  double noise_factor;      /* true noise sd over r_sd; 1 = as stated */
  double noise_correlation; /* of neighbouring observations (AR(1) along the file); 0 = as stated */
  double prior_factor;      /* true prior sd over x_sd; 1 = as stated */
  double length_factor;     /* true spatial correlation length over length_km; 1 = as stated */
} sky_osse_plan;

/* SKY_E_RANGE: fewer than 20 members, a noise or prior that is none. */
SKY_NODISCARD sky_status sky_osse_check(sky_context *ctx, const sky_osse_plan *plan);
/* out [n_obs]: noise as planned, R^½ u times the factor. */
void sky_osse_noise(const sky_problem *p, const sky_osse_plan *plan, uint64_t stream, double *out);
/* W [n_zone*n_state]; the zones' covariance as the solver states it. Truth x ~ N(x0, Q) with Q as
 * planned, b ~ N(b0, Σ_b). */
SKY_NODISCARD sky_status sky_osse_run(sky_context *ctx, const sky_problem *p, size_t n_zone,
                                      const double *W, const sky_osse_plan *plan, sky_osse *out);

typedef struct sky_osse_sampling {
  bool lognormal;     /* else Gaussian, cut at zero */
  sky_sampling draws; /* of every member; its seed is not used */
} sky_osse_sampling;

/* Fluxes that are not negative: truths from that prior, each member sampled. Dense in the unknowns
 * (control.h), so some hundred of them. */
SKY_NODISCARD sky_status sky_osse_sample(sky_context *ctx, const sky_problem *p, size_t n_zone,
                                         const double *W, const sky_osse_plan *plan,
                                         const sky_osse_sampling *how, sky_osse *out);
#endif
