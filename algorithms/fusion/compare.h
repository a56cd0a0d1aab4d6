/* compare.h: does top-down contradict bottom-up? The general test, zone by zone. Pure functions.
 *
 * The inventory is seen through the averaging kernel: x_B' = x_a + A (x_B - x_a). Under the null the
 * difference δ = x_T - x_B' has V = A B_inv Aᵀ + K R Kᵀ (B_inv: the inventory's own covariance). z = δ/√V,
 * two-sided p; Benjamini & Hochberg (1995) over the whole table; Birge inflation of V by chi2/n when
 * the innovation chi2 per observation exceeds 1. */
#ifndef SKY_ALGORITHMS_COMPARE_H
#define SKY_ALGORITHMS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum sky_verdict {
  SKY_VERDICT_CONSISTENT = 0,
  SKY_VERDICT_HIGHER = 1,       /* top-down significantly above bottom-up */
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
  double null_var;          /* V */
  double sensitivity;       /* of the zone total to its inventory */
  /* out */
  double z, p, q;           /* q: FDR-adjusted p over the table; NaN when not tested */
  double reduction;         /* 1 - (post_sd/prior_sd)² */
  double detectable;        /* inventory error found at 80 % power, kg yr-1; INFINITY if unseen */
  sky_verdict verdict;
  char reason[200];
} sky_comparison;

#define SKY_INSUFFICIENT_REDUCTION 0.2
#define SKY_MISFIT_Z 4.0
#define SKY_SIGNIFICANCE 0.05

/* chi2_per_obs: innovation statistic; NaN = unknown (no inflation, said in the reason). */
void sky_compare(size_t n, sky_comparison *table, double chi2_per_obs);
/* Benjamini–Hochberg adjusted p; NaN entries are left out and stay NaN. work: n doubles + n size_t. */
void sky_fdr_adjust(size_t n, const double *p, double *q, double *work, size_t *order);
double sky_normal_two_sided_p(double z);

#endif
