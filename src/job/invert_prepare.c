/* invert_prepare.c: what a job wants done to its problem before it is solved (solve_prepare.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/diagnose.h"
#include "algorithms/inversion/robust.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/inverting.h"
#include "src/job/solve_prepare.h"

static const char *formula(const sky_inverting *v) {
  return sky_species_find(v->gas)->formula;
}

static bool geostatistical(const sky_inverting *v) {
  return strcmp(sky_node_text(v->node, "solver.method"), "geostatistical") == 0;
}

static sky_status screen(sky_context *ctx, sky_problem *p, sky_problem_labels *l, sky_facts *facts,
                         sky_inverting *v) {
  size_t n = 0;
  const size_t all = p->n_obs;
  v->kept = SKY_NEW(ctx, size_t, all);
  if (v->kept == NULL) return SKY_E_NOMEM;
  const sky_drift drift = sky_solve_drift(l);
  SKY_TRY(sky_solve_screen(ctx, geostatistical(v) ? &drift : NULL, p, l, v->kept, &n));
  sky_fact(facts, "diagnostics", formula(v),
           "%zu of %zu observations left out: their innovation exceeds %g of its sds", all - n, all,
           SKY_OUTLIER);
  sky_fact_number(facts, "screened_out", (double)(all - n));
  return SKY_OK;
}

static sky_status huber(sky_context *ctx, sky_problem *p, const sky_problem_labels *l,
                        sky_facts *facts, const sky_inverting *v) {
  const sky_drift drift = sky_solve_drift(l);
  const double k = sky_node_number(v->node, "solver.huber");
  size_t changed = 0, rounds = 0;
  SKY_TRY(sky_huber_apply(ctx, k, geostatistical(v) ? &drift : NULL, p, &changed, &rounds));
  sky_fact(facts, "diagnostics", formula(v),
           "%zu of %zu residuals beyond %g sds%s count linearly (Huber)", changed, p->n_obs, k,
           p->track != NULL ? ", without what their track shares," : "");
  sky_fact_number(facts, "huber_reweighted", (double)changed);
  return SKY_OK;
}

/* ---- tuning --------------------------------------------------------------------------------- */

static sky_status request_of(sky_context *ctx, const sky_job *job, const sky_problem_labels *l,
                             const sky_inverting *v, sky_tune_request *q) {
  const sky_node *list = sky_node_get(v->node, "tune.parameters");
  const char *method = sky_node_text(v->node, "tune.method");
  const double holdout = sky_node_number(v->node, "tune.holdout");
  *q = (sky_tune_request){.restricted = strcmp(method, "reml") == 0,
                          .desroziers = strcmp(method, "desroziers") == 0,
                          .geostatistical = geostatistical(v),
                          .holdout = isnan(holdout) ? 0 : (size_t)holdout};
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const char *name = sky_node_text(sky_node_item(list, i), NULL);
    *sky_tune_flag(q, name, strlen(name)) = true; /* checked with the job file */
  }
  if (q->holdout == 0 || q->holdout <= l->n_overpass) return SKY_OK;
  return sky_fail(
      ctx, SKY_E_JOB,
      "%s: inversions.tune.holdout: %zu, but the soundings of %s come in %zu overpasses "
      "(expected 2 to %zu)",
      sky_jobfile_path(job->file), q->holdout, v->gas, l->n_overpass, l->n_overpass);
}

static void record_parameters(const sky_tune_request *q, const sky_tune_result *r, sky_facts *facts,
                              const sky_inverting *v) {
  char name[64], key[80];
  for (size_t k = 0; k < r->tuning.n; k++) {
    const sky_hyper *h = &r->tuning.param[k];
    sky_tune_name(h, name, sizeof name);
    snprintf(key, sizeof key, "tuned_%s", name);
    sky_fact_number(facts, key, h->value);
    if (isnan(h->log_sd))
      sky_fact(facts, "diagnostics", formula(v), "%s tuned by %s: %.4g (given %.4g)", name,
               sky_tune_method(q), h->value, isnan(h->given) ? 1 : h->given);
    else
      sky_fact(facts, "diagnostics", formula(v),
               "%s tuned by %s: %.4g, 95 %% interval %.4g to %.4g (given %.4g)", name,
               sky_tune_method(q), h->value, h->low, h->high, isnan(h->given) ? 1 : h->given);
  }
}

static void record_heldout(const sky_tune_result *r, sky_facts *facts, const sky_inverting *v) {
  const double n = (double)r->n_out;
  if (r->n_out == 0) {
    sky_fact(facts, "diagnostics", formula(v),
             "no overpass was held out: after tuning, chi2 near 1 is no evidence");
    return;
  }
  sky_fact(facts, "diagnostics", formula(v),
           "%zu observations of overpasses held out: chi2 per observation %.3g with the given "
           "statistics, %.3g with the tuned ones; %.0f %% in the 68 %% interval, %.0f %% in the 95 "
           "%% interval",
           r->n_out, r->given.chi2 / n, r->tuned.chi2 / n, 100 * (double)r->tuned.inside68 / n,
           100 * (double)r->tuned.inside95 / n);
  sky_fact_number(facts, "heldout_observations", n);
  sky_fact_number(facts, "heldout_chi2_given", r->given.chi2 / n);
  sky_fact_number(facts, "heldout_chi2_tuned", r->tuned.chi2 / n);
  sky_fact_number(facts, "heldout_log_density_given", r->given.log_density);
  sky_fact_number(facts, "heldout_log_density_tuned", r->tuned.log_density);
}

static sky_status tune(sky_context *ctx, const sky_job *job, sky_problem *p,
                       const sky_problem_labels *l, sky_facts *facts, const sky_inverting *v) {
  sky_tune_request q;
  SKY_TRY(request_of(ctx, job, l, v, &q));
  sky_tune_result *r = SKY_NEW(ctx, sky_tune_result, 1);
  if (r == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_solve_tune(ctx, &q, l, p, r);
  if (st == SKY_OK) {
    record_parameters(&q, r, facts, v);
    record_heldout(r, facts, v);
  }
  sky_free(r);
  return st;
}

/* ---- all ------------------------------------------------------------------------------------ */

/* A multiple of the prior, or of 1, in each layer. */
static sky_status set_drift(sky_context *ctx, const sky_problem *p, sky_problem_labels *l,
                            const sky_inverting *v) {
  const bool prior = strcmp(sky_node_text(v->node, "solver.drift"), "prior") == 0;
  l->drift = SKY_NEW0(ctx, double, v->n_layer * p->n_state);
  if (l->drift == NULL) return SKY_E_NOMEM;
  l->n_drift = v->n_layer;
  for (size_t s = 0; s < p->n_state; s++)
    l->drift[s / v->n_cell % v->n_layer * p->n_state + s] = prior ? p->x0[s] : 1;
  return SKY_OK;
}

sky_status sky_inverting_prepare(sky_context *ctx, const sky_job *job, sky_problem *p,
                                 sky_problem_labels *l, sky_facts *facts, sky_inverting *v) {
  v->n_given = p->n_obs;
  SKY_TRY(set_drift(ctx, p, l, v));
  if (sky_node_bool(v->node, "solver.screen")) SKY_TRY(screen(ctx, p, l, facts, v));
  if (sky_node_get(v->node, "tune") != NULL) SKY_TRY(tune(ctx, job, p, l, facts, v));
  if (sky_node_get(v->node, "solver.huber") != NULL) SKY_TRY(huber(ctx, p, l, facts, v));
  return SKY_OK;
}
