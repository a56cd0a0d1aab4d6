/* solve_sign.h: the posterior of fluxes that are not negative, the same for `skyflux invert` and
 * for the stage of a job: the mode (bounded.h, lognormal.h) and the joint draws (truncated.h,
 * lognormal.h). Dense: some thousand unknowns. */
#ifndef SKY_JOB_SOLVE_SIGN_H
#define SKY_JOB_SOLVE_SIGN_H

#include "algorithms/inversion/bounded.h"
#include "algorithms/inversion/lognormal.h"
#include "algorithms/inversion/truncated.h"

typedef struct sky_signed {
  bool lognormal, drawn;
  sky_bounded bounded; /* of nonnegative */
  sky_lognormal mode;  /* of lognormal */
  sky_sampled sampled; /* if drawn */
  size_t n_fixed;      /* log-normal: elements whose prior is 0 without error; they stay 0 */
} sky_signed;

/* The draws a chain throws away before `draws` kept ones. */
size_t sky_signed_warmup(size_t draws);
/* how->n_draw = 0: the mode alone; W [n_zone*n_state] is used with draws. */
SKY_NODISCARD sky_status sky_solve_signed(sky_context *ctx, bool lognormal, const sky_sampling *how,
                                          const sky_problem *p, size_t n_zone, const double *W,
                                          sky_signed *out);
void sky_signed_free(sky_signed *s); /* NULL-safe, zeroes */
/* [n_state] of the MAP (log-normal: the MAP-median), [n_background] its offsets, and what it is
 * called. */
const double *sky_signed_mode(const sky_signed *s);
const double *sky_signed_offsets(const sky_signed *s);
const char *sky_signed_mode_name(const sky_signed *s);
#endif
