/* invert_smoother.c: `skyflux invert --method smoother [--lag K]`: the posterior step by step. */
#include <math.h>
#include <stdlib.h>

#include "algorithms/inversion/posterior.h"
#include "algorithms/inversion/smoother.h"
#include "src/cli/invert_modes.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

static sky_status put_file(sky_ncw *w, const sky_problem *p, const double *x, const double *sd) {
  const struct {
    const char *name, *what;
    const double *data;
  } columns[] = {{"posterior", "posterior mean, units of the problem", x},
                 {"posterior_sd", "posterior standard deviation", sd}};
  SKY_TRY(sky_ncw_att(w, "", "title", "posterior of a temporal smoother"));
  SKY_TRY(sky_ncw_att(w, "", "source", "skyflux " SKYFLUX_VERSION " invert"));
  SKY_TRY(sky_ncw_dim(w, "time", p->n_time));
  SKY_TRY(sky_ncw_dim(w, "cell", p->n_cell));
  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
    SKY_TRY(sky_ncw_var(w, columns[i].name, 'd', "time,cell"));
    SKY_TRY(sky_ncw_att(w, columns[i].name, "units", "1"));
    SKY_TRY(sky_ncw_att(w, columns[i].name, "long_name", columns[i].what));
    SKY_TRY(sky_ncw_put(w, columns[i].name, columns[i].data));
  }
  return SKY_OK;
}

static sky_status write_file(sky_context *ctx, const char *path, const sky_problem *p,
                             const double *x, const double *sd) {
  sky_ncw *w = NULL;
  SKY_TRY(sky_ncw_create(ctx, path, &w));
  const sky_status st = put_file(w, p, x, sd);
  if (st == SKY_OK) return sky_ncw_commit(w);
  sky_ncw_abort(w);
  return st;
}

sky_status sky_invert_smoother(sky_context *ctx, const sky_invert_modes *m, const sky_problem *p,
                               const char *output, cJSON *answer) {
  const size_t m_state = p->n_state;
  double lag, *x = NULL, *sd = NULL;
  sky_status st = SKY_OK;
  SKY_TRY(
      sky_invert_option_number(ctx, "lag", m->lag, (double)sky_smoother_span(p), -1, 1e6, &lag));
  if (floor(lag) != lag || lag < 0)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --lag '%s' (expected a whole number 0..999999)",
                    m->lag);
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, m_state));
  SKY_GO_ALLOC(sd, SKY_NEW(ctx, double, m_state));
  SKY_GO(sky_smoother_solve(ctx, p, (size_t)lag, m->lag != NULL, x, sd));
  SKY_GO(sky_answer_finite(ctx, "the total", sky_sum(x, m_state)));
  if (output != NULL) SKY_GO(write_file(ctx, output, p, x, sd));
  SKY_GO(
      sky_invert_text(ctx, answer, "method", m->lag != NULL ? "fixed-lag smoother" : "smoother"));
  SKY_GO(sky_invert_number(ctx, answer, "observations", (double)p->n_obs));
  SKY_GO(sky_invert_number(ctx, answer, "unknowns", (double)m_state));
  SKY_GO(sky_invert_number(ctx, answer, "lag", (double)(size_t)lag));
  SKY_GO(sky_invert_number(ctx, answer, "posterior_total", sky_sum(x, m_state)));
  SKY_GO(
      sky_invert_number(ctx, answer, "mean_posterior_sd", sky_sum(sd, m_state) / (double)m_state));
cleanup:
  sky_free(x);
  sky_free(sd);
  return st;
}
