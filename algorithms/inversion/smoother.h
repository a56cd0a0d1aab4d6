/* smoother.h: the same posterior step by step in time: Kalman filter on a window of time steps,
 * then a Rauch–Tung–Striebel smoother, for priors that are AR(1) in time (smoother.md). */
#ifndef SKY_ALGORITHMS_SMOOTHER_H
#define SKY_ALGORITHMS_SMOOTHER_H

#include "skyflux/problem.h"

/* Time steps back that the footprints reach at most: 0 = each observation sees one step. */
size_t sky_smoother_span(const sky_problem *p);
/* x, sd [n_state]. lag >= sky_smoother_span: steps that the window holds beside the present one.
 * fixed_lag: a step is final when it leaves the window (observations up to lag steps later are
 * used); else all observations are used and the result is that of sky_problem_solve. With lag >=
 * n_time - 1 both are the same. SKY_E_RANGE: D is not AR(1) (D_ij = ρ^|i-j|), the prior is low
 * rank, there are offsets, an r_sd is 0, a track (noise.h) has observations of two steps, or the
 * lag is shorter than the span; SKY_E_NOMEM: n_time matrices of (window*n_cell)² do not fit the
 * budget. */
SKY_NODISCARD sky_status sky_smoother_solve(sky_context *ctx, const sky_problem *p, size_t lag,
                                            bool fixed_lag, double *x, double *sd);

typedef struct sky_smoothed {    /* arrays of the caller */
  double *x, *sd;                /* [n_state] of the fixed lag */
  double *b, *b_sd;              /* [n_background] given all observations */
  double *total, *cov;           /* [n_zone], [n_zone*n_zone] given all observations */
  double chi2, neg_log_evidence; /* of the batch: sums over the steps' innovations */
} sky_smoothed;

/* Bytes that sky_smoother_totals holds. */
double sky_smoother_bytes(const sky_problem *p, size_t lag, size_t n_zone);
/* The fixed-lag smoother with offsets and regressors, and totals W [n_zone*n_state] of the state:
 * both are carried through the filter, so they have seen all observations at its end and are those
 * of sky_problem_solve for every lag >= span. Errors as sky_smoother_solve, but offsets are
 * taken. */
SKY_NODISCARD sky_status sky_smoother_totals(sky_context *ctx, const sky_problem *p, size_t lag,
                                             size_t n_zone, const double *W, sky_smoothed *out);
#endif
