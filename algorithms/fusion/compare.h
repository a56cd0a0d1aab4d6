/* compare.h: does top-down contradict bottom-up? The general test, zone by zone. Pure functions.
 * Method, equations and validity: compare.md.
 *
 * The inventory is seen through the averaging kernel: x_B' = x_a + A (x_B - x_a). Under the null
 * the difference δ = x_T - x_B' has V = A B_inv Aᵀ + K R Kᵀ (B_inv: the inventory's own
 * covariance). z = δ/√V, two-sided p; Benjamini & Hochberg (1995) over the rows of the table that
 * are tested; Birge inflation of V by chi2/n when the innovation chi2 per observation of the row's
 * inversion exceeds 1. */
#ifndef SKY_ALGORITHMS_COMPARE_H
#define SKY_ALGORITHMS_COMPARE_H

#include "skyflux/context.h"

typedef enum sky_verdict {
  SKY_VERDICT_CONSISTENT = 0,
  SKY_VERDICT_HIGHER = 1, /* top-down significantly above bottom-up */
  SKY_VERDICT_LOWER = 2,
  SKY_VERDICT_INSUFFICIENT = 3, /* insufficient information: reduction of variance < 0.2 */
  SKY_VERDICT_MISFIT = 4,       /* model misfit: |z| > 4 there */
  SKY_VERDICT_NOT_COMPARABLE = 5
} sky_verdict;

const char *sky_verdict_name(sky_verdict v); /* "consistent", "insufficient information", … */

typedef struct sky_comparison {
  /* in */
  bool comparable;          /* false: `why_not` goes to reason */
  const char *why_not;      /* e.g. "no footprints", "buffer of the state" */
  double top_down;          /* x_T, posterior total (kg yr-1) */
  double bottom_up;         /* inventory total */
  double bottom_up_seen;    /* inventory through the kernel */
  double prior_sd, post_sd; /* of the zone total */
  double null_var;          /* V, before inflation */
  double response;          /* of the zone total to a change of its inventory in the zone alone */
  double change;            /* smallest change of emission that is told from noise with 80 % power,
                               before inflation (kg yr-1); NaN = not known, INFINITY = none */
  double chi2_per_obs;      /* innovation statistic of this row's inversion; NaN = unknown (no
                               inflation, said in the reason) */
  /* out */
  double z, p, q;    /* q: FDR-adjusted p over the tested rows, NaN for the others; z and p
                        are NaN only where the row is not comparable */
  double reduction;  /* 1 - (post_sd/prior_sd)² */
  double detectable; /* inventory error found at 80 % power, kg yr-1; INFINITY if unseen */
  sky_verdict verdict;
  char reason[360];
} sky_comparison;

#define SKY_INSUFFICIENT_REDUCTION 0.2
#define SKY_MISFIT_Z 4.0
#define SKY_SIGNIFICANCE 0.05

/* Verdict of every row; the first that applies of: not comparable, insufficient information, model
 * misfit; the rest is tested. A comparable row whose numbers are not usable (NaN, V <= 0) becomes
 * not comparable. One table is one family of tests: all zones and gases of a job together. */
SKY_NODISCARD sky_status sky_compare(sky_context *ctx, size_t n, sky_comparison *table);
/* Benjamini–Hochberg adjusted p; NaN entries are left out and stay NaN. order: n, scratch. */
void sky_fdr_adjust(size_t n, const double *p, double *q, size_t *order);
double sky_normal_two_sided_p(double z);
/* Birge: factor on variances where chi2 per observation exceeds 1; 1 where it is unknown. */
double sky_birge(double chi2_per_obs);
/* Smallest effect that a two-sided 5 % test finds with 80 % power when the estimate is
 * `sensitivity` times the effect plus noise of this variance: (z_.975 + z_.80) √var /
 * |sensitivity|; INFINITY when the sensitivity is 0 or unknown. */
double sky_detectable(double var, double sensitivity);

#endif
