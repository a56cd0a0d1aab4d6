/* osse_prior.c: see osse_prior.h. */
#include "algorithms/inversion/osse_prior.h"

#include <string.h>

#include "algorithms/inversion/covariance.h"
#include "src/core/memory.h"

/* Another array in place of *v: itself times a factor. */
static sky_status scale(sky_context *ctx, size_t n, double factor, double **v) {
  double *own = SKY_NEW(ctx, double, n);
  if (own == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    own[i] = factor * (*v)[i];
  *v = own;
  return SKY_OK;
}

static sky_status scale_sd(sky_context *ctx, double factor, sky_problem *out) {
  SKY_TRY(scale(ctx, out->n_state, factor, &out->x_sd));
  if (out->q_var == NULL) return SKY_OK;
  SKY_TRY(scale(ctx, out->n_state, factor * factor, &out->q_var));
  if (out->q_rank == 0) return SKY_OK;
  return scale(ctx, out->q_rank * out->n_state, factor, &out->q_factor);
}

static sky_status scale_length(sky_context *ctx, double factor, sky_problem *out) {
  if (out->q_var != NULL || out->levels != NULL || out->E == NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "osse: a length factor %g, but this prior (low rank + diagonal, or levels) has "
                    "no correlation length (expected 1)",
                    factor);
  if (out->space.kind == SKY_CORR_NONE || !(out->length_km > 0) || out->xc == NULL ||
      out->yc == NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "osse: a length factor %g, but the prior's spatial correlation is not made "
                    "from a model with a length (expected 1)",
                    factor);
  const size_t nc = out->n_cell, nt = out->n_time;
  double *const time = out->D;
  sky_status st = SKY_OK;
  double *E = NULL, *D = NULL;
  SKY_GO_ALLOC(E, SKY_NEW(ctx, double, nc *nc));
  SKY_GO_ALLOC(D, SKY_NEW(ctx, double, nt *nt));
  out->length_km *= factor;
  out->E = E;
  out->D = D;
  sky_problem_correlate(ctx, out);
  out->D = time; /* as stated, whatever it was made from */
  E = NULL;
cleanup:
  sky_free(E);
  sky_free(D);
  return st;
}

sky_status sky_osse_prior_make(sky_context *ctx, const sky_problem *p, const sky_osse_plan *plan,
                               sky_problem *out) {
  sky_status st = SKY_OK;
  *out = *p;
  if (plan->prior_factor != 1) SKY_GO(scale_sd(ctx, plan->prior_factor, out));
  if (plan->length_factor != 1) SKY_GO(scale_length(ctx, plan->length_factor, out));
cleanup:
  if (st != SKY_OK) sky_osse_prior_free(p, out);
  return st;
}

void sky_osse_prior_free(const sky_problem *p, sky_problem *out) {
  if (out->x_sd != p->x_sd) sky_free(out->x_sd);
  if (out->q_var != p->q_var) sky_free(out->q_var);
  if (out->q_factor != p->q_factor) sky_free(out->q_factor);
  if (out->E != p->E) sky_free(out->E);
  memset(out, 0, sizeof *out);
}
