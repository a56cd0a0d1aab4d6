/* sampling.h: what the samplers of a sign-constrained posterior ask for and give back.
 *
 * Draws come in chains that start apart. Totals of zones are formed draw by draw from the joint
 * posterior: Σ a_i x_i of one draw, never from means or medians of single elements. */
#ifndef SKY_ALGORITHMS_SAMPLING_H
#define SKY_ALGORITHMS_SAMPLING_H

#include "algorithms/inversion/chains.h"

typedef struct sky_sampling {
  size_t n_chain;  /* >= 1 */
  size_t n_draw;   /* kept a chain, >= 8 */
  size_t n_warmup; /* thrown away before them, a chain */
  uint64_t seed;
} sky_sampling;

typedef struct sky_sampled {
  size_t n_state, n_zone, n_chain, n_draw;
  double *mode;               /* [n_state] MAP (of ln x for a log-normal prior: its exp) */
  double *mean, *sd;          /* [n_state] of all draws */
  double *zone_mode;          /* [n_zone] total of the mode: not a mean */
  double *zone;               /* [n_chain*n_draw*n_zone] totals draw by draw */
  sky_chain_summary *summary; /* [n_zone] */
  size_t divergent;           /* kept draws that diverged */
  double acceptance;          /* mean probability of acceptance; 1 for exact dynamics */
} sky_sampled;

SKY_NODISCARD sky_status sky_sampling_check(sky_context *ctx, const sky_sampling *how);
SKY_NODISCARD sky_status sky_sampled_alloc(sky_context *ctx, size_t n_state, size_t n_zone,
                                           const sky_sampling *how, sky_sampled *out);
void sky_sampled_free(sky_sampled *s); /* NULL-safe, zeroes */
/* mean and sd from sums [n_chain*2*n_state] of x - mode and its square, chain by chain; totals of
 * the mode; summaries of the zones. */
SKY_NODISCARD sky_status sky_sampled_finish(sky_context *ctx, const double *sums, const double *W,
                                            sky_sampled *out);
/* sums [2*n_state] of one chain += x; row [n_zone] = W x. */
void sky_sampled_record(size_t n_state, size_t n_zone, const double *W, const double *mode,
                        const double *x, double *sums, double *row);

#endif
