/* invert_smoother.c: `skyflux invert --method smoother [--lag K]`: the posterior step by step. */
#include <math.h>
#include <stdlib.h>

#include "algorithms/inversion/posterior.h"
#include "algorithms/inversion/smoother.h"
#include "src/cli/invert_modes.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

enum { ZONE_COLUMNS = 2 };

static sky_status put_file(sky_ncw *w, const sky_problem *p, const double *x, const double *sd,
                           const sky_invert_zones *zones, const sky_zone_column *column,
                           const double *cov) {
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
  return sky_invert_zones_put(w, zones, column, ZONE_COLUMNS, cov);
}

static sky_status write_file(sky_context *ctx, const char *path, const sky_problem *p,
                             const double *x, const double *sd, const sky_invert_zones *zones,
                             const sky_zone_column *column, const double *cov) {
  sky_ncw *w = NULL;
  SKY_TRY(sky_ncw_create(ctx, path, &w));
  const sky_status st = put_file(w, p, x, sd, zones, column, cov);
  if (st == SKY_OK) return sky_ncw_commit(w);
  sky_ncw_abort(w);
  return st;
}

typedef struct answers { /* x, sd: maps; the rest of every row of the zones */
  double *x, *sd, *b, *b_sd, *total, *total_sd, *cov;
  sky_smoothed s;
} answers;

static void answers_free(answers *a) {
  double *const arrays[] = {a->x, a->sd, a->b, a->b_sd, a->total, a->total_sd, a->cov};
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    sky_free(arrays[k]);
}

/* Maps by the smoother over all steps where nothing forbids it, else of the lag. */
static sky_status solve(sky_context *ctx, const sky_problem *p, const sky_problem_zones *rows,
                        size_t lag, bool fixed, answers *a) {
  const size_t nz = rows->n;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(a->x, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(a->sd, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(a->b, SKY_NEW(ctx, double, p->n_background + 1));
  SKY_GO_ALLOC(a->b_sd, SKY_NEW(ctx, double, p->n_background + 1));
  SKY_GO_ALLOC(a->total, SKY_NEW(ctx, double, nz));
  SKY_GO_ALLOC(a->total_sd, SKY_NEW(ctx, double, nz));
  SKY_GO_ALLOC(a->cov, SKY_NEW(ctx, double, nz *nz));
  a->s = (sky_smoothed){
      .x = a->x, .sd = a->sd, .b = a->b, .b_sd = a->b_sd, .total = a->total, .cov = a->cov};
  SKY_GO(sky_smoother_totals(ctx, p, lag, nz, rows->W, &a->s));
  if (!fixed) SKY_GO(sky_smoother_solve(ctx, p, lag, false, a->x, a->sd));
  for (size_t z = 0; z < nz; z++) {
    a->total[z] += rows->constant[z];
    a->total_sd[z] = sqrt(fmax(a->cov[z * (nz + 1)], 0));
  }
cleanup:
  return st;
}

sky_status sky_invert_smoother(sky_context *ctx, const sky_invert_modes *m, const sky_problem *p,
                               const char *output, const sky_invert_zones *zones, cJSON *answer) {
  const bool fixed = m->lag != NULL || p->n_background > 0; /* offsets have no smoother beyond */
  const double most = (double)p->n_time - 1, span = (double)sky_smoother_span(p);
  double lag;
  answers a = {0};
  sky_status st = SKY_OK;
  SKY_TRY(sky_invert_option_number(ctx, "lag", m->lag, p->n_background > 0 ? most : span, -1, 1e6,
                                   &lag));
  if (floor(lag) != lag || lag < 0)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --lag '%s' (expected a whole number 0..999999)",
                    m->lag);
  SKY_GO(solve(ctx, p, &zones->rows, (size_t)lag, fixed, &a));
  SKY_GO(sky_answer_finite(ctx, "the total", a.total[0]));
  const sky_zone_column column[ZONE_COLUMNS] = {
      {"posterior_total", "posterior total, given all observations", a.total},
      {"posterior_sd", "posterior sd of the total", a.total_sd}};
  if (output != NULL) SKY_GO(write_file(ctx, output, p, a.x, a.sd, zones, column, a.cov));
  SKY_GO(sky_invert_text(ctx, answer, "method", fixed ? "fixed-lag smoother" : "smoother"));
  SKY_GO(sky_invert_number(ctx, answer, "observations", (double)p->n_obs));
  SKY_GO(sky_invert_number(ctx, answer, "unknowns", (double)p->n_state));
  SKY_GO(sky_invert_number(ctx, answer, "lag", (double)(size_t)lag));
  SKY_GO(sky_invert_number(ctx, answer, "posterior_total", a.total[0]));
  SKY_GO(sky_invert_number(ctx, answer, "posterior_total_sd", a.total_sd[0]));
  SKY_GO(sky_invert_number(ctx, answer, "mean_posterior_sd",
                           sky_sum(a.sd, p->n_state) / (double)p->n_state));
  SKY_GO(sky_invert_number(ctx, answer, "chi2_per_observation", a.s.chi2 / (double)p->n_obs));
  SKY_GO(sky_invert_number(ctx, answer, "neg_log_evidence", a.s.neg_log_evidence));
  SKY_GO(sky_invert_zones_answer(ctx, zones, column, ZONE_COLUMNS, answer));
cleanup:
  answers_free(&a);
  return st;
}
