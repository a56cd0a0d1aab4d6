/* chains.h: what the draws of several Markov chains are worth (chains.md). Pure functions.
 *
 * Rank-normalised split R-hat, bulk and tail effective sample size, Monte-Carlo standard error
 * (Vehtari et al. 2021). A chain that never moved or whose every draw diverged is never called
 * converged, and none of the numbers is NaN: what cannot be estimated is INFINITY (R-hat, error)
 * or 0 (sample size). */
#ifndef SKY_ALGORITHMS_CHAINS_H
#define SKY_ALGORITHMS_CHAINS_H

#include "skyflux/context.h"

#define SKY_RHAT_LIMIT 1.01 /* Vehtari et al. 2021, sec. 4 */
#define SKY_ESS_PER_CHAIN 100.0
#define SKY_DIVERGENT_LIMIT 0.01 /* of all draws */

typedef enum sky_chain_verdict {
  SKY_CHAINS_CONVERGED = 0,
  SKY_CHAINS_NOT_FINITE, /* a draw is NaN or infinite */
  SKY_CHAINS_CONSTANT,   /* half a chain or more that never moved */
  SKY_CHAINS_DIVERGENT,  /* more than SKY_DIVERGENT_LIMIT of the draws diverged */
  SKY_CHAINS_APART,      /* R-hat >= SKY_RHAT_LIMIT */
  SKY_CHAINS_SHORT       /* an effective sample size below SKY_ESS_PER_CHAIN a chain */
} sky_chain_verdict;

#define SKY_CHAIN_QUANTILES 5 /* 2.5, 16, 50, 84, 97.5 % */

typedef struct sky_chain_summary {
  double mean, sd, median;
  double quantile[SKY_CHAIN_QUANTILES];
  double rhat, ess_bulk, ess_tail;
  double mc_error; /* standard error of the mean */
  sky_chain_verdict verdict;
} sky_chain_summary;

/* draws [n_chain*n_draw*stride]: one quantity, chain by chain, every stride-th number. n_chain >=
 * 1, n_draw >= 8 (else SKY_E_RANGE). divergent: draws of all chains that diverged. */
SKY_NODISCARD sky_status sky_chain_summarise(sky_context *ctx, const double *draws, size_t n_chain,
                                             size_t n_draw, size_t stride, size_t divergent,
                                             sky_chain_summary *out);
/* "converged", or "not converged: " and the reason. */
const char *sky_chain_verdict_text(sky_chain_verdict verdict);
/* x with Φ(x) = p, 0 < p < 1, to rounding. */
double sky_normal_quantile(double p);

#endif
