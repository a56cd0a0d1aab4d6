/* invert_tune.c: `skyflux invert --tune LIST`: covariance parameters from the data, and how well
 * overpasses that were kept out are predicted before and after (solve_prepare.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/invert_modes.h"
#include "src/core/memory.h"
#include "src/job/solve_prepare.h"

/* ---- options -------------------------------------------------------------------------------- */

static sky_status parse_choice(sky_context *ctx, const char *list, sky_tune_request *q) {
  for (const char *at = list;;) { /* an empty name is none of them */
    const size_t length = strcspn(at, ",");
    bool *flag = sky_tune_flag(q, at, length);
    if (flag == NULL)
      return sky_fail(ctx, SKY_E_USAGE,
                      "invert: --tune '%s' (expected a list of length, tau, sigma_q, sigma_r)",
                      list);
    if (*flag)
      return sky_fail(ctx, SKY_E_USAGE, "invert: --tune '%s': %.*s stands twice (expected once)",
                      list, (int)length, at);
    *flag = true;
    at += length;
    if (*at == '\0') return SKY_OK;
    at++;
  }
}

static sky_status parse_holdout(sky_context *ctx, const char *text, const sky_problem_labels *l,
                                size_t *every) {
  char *end;
  const unsigned long k = strtoul(text, &end, 10);
  if (l->n_overpass < 2)
    return sky_fail(ctx, SKY_E_USAGE,
                    "invert: --holdout needs overpass(obs) with 2 or more overpasses in the "
                    "problem file");
  if (*text == '\0' || *end != '\0' || k < 2 || k > l->n_overpass)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --holdout '%s' (expected a whole number 2..%zu)",
                    text, l->n_overpass);
  *every = k;
  return SKY_OK;
}

/* ---- answer --------------------------------------------------------------------------------- */

static sky_status answer_parameters(sky_context *ctx, const sky_tuning *t, cJSON *to) {
  for (size_t k = 0; k < t->n; k++) {
    const sky_hyper *h = &t->param[k];
    char name[64];
    sky_tune_name(h, name, sizeof name);
    cJSON *item = sky_invert_object(ctx, to, name, false);
    if (item == NULL) return SKY_E_NOMEM;
    SKY_TRY(sky_invert_number(ctx, item, "given", isnan(h->given) ? 1 : h->given));
    SKY_TRY(sky_invert_number(ctx, item, "value", h->value));
    if (isnan(h->log_sd)) continue; /* Desroziers has no interval */
    SKY_TRY(sky_invert_number(ctx, item, "low95", h->low));
    SKY_TRY(sky_invert_number(ctx, item, "high95", h->high));
    SKY_TRY(sky_invert_number(ctx, item, "gradient", h->gradient));
  }
  return SKY_OK;
}

static sky_status answer_heldout(sky_context *ctx, const sky_heldout *h, size_t n, const char *key,
                                 cJSON *to) {
  cJSON *item = sky_invert_object(ctx, to, key, false);
  if (item == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_invert_number(ctx, item, "observations", (double)n));
  SKY_TRY(sky_invert_number(ctx, item, "chi2_per_obs", h->chi2 / (double)n));
  SKY_TRY(sky_invert_number(ctx, item, "rms", h->rms));
  SKY_TRY(sky_invert_number(ctx, item, "log_density", h->log_density));
  SKY_TRY(sky_invert_number(ctx, item, "inside68", (double)h->inside68 / (double)n));
  return sky_invert_number(ctx, item, "inside95", (double)h->inside95 / (double)n);
}

static sky_status answer_fit(sky_context *ctx, const sky_tune_request *q, const sky_tuning *t,
                             cJSON *tuning) {
  SKY_TRY(sky_invert_text(ctx, tuning, "method", sky_tune_method(q)));
  SKY_TRY(sky_invert_number(ctx, tuning, "neg_log_likelihood_given", t->nll_given));
  SKY_TRY(sky_invert_number(ctx, tuning, "neg_log_likelihood", t->nll));
  SKY_TRY(sky_invert_number(ctx, tuning, "iterations", (double)t->iterations));
  SKY_TRY(sky_invert_number(ctx, tuning, q->desroziers ? "last_change" : "distance_in_sd",
                            t->decrement));
  cJSON *parameters = sky_invert_object(ctx, tuning, "parameters", false);
  return parameters != NULL ? answer_parameters(ctx, t, parameters) : SKY_E_NOMEM;
}

sky_status sky_invert_tune(sky_context *ctx, const sky_invert_modes *m, const sky_problem_labels *l,
                           sky_problem *p, cJSON *answer) {
  sky_tune_request q = {
      .restricted = m->restricted,
      .desroziers = m->desroziers,
      .geostatistical = m->method != NULL && strcmp(m->method, "geostatistical") == 0};
  sky_tune_result *r = NULL;
  cJSON *tuning = sky_invert_object(ctx, answer, "tuning", false);
  sky_status st = tuning != NULL ? SKY_OK : SKY_E_NOMEM;
  SKY_GO(st);
  SKY_GO(parse_choice(ctx, m->tune, &q));
  if (m->holdout != NULL) SKY_GO(parse_holdout(ctx, m->holdout, l, &q.holdout));
  SKY_GO_ALLOC(r, SKY_NEW(ctx, sky_tune_result, 1));
  SKY_GO(sky_solve_tune(ctx, &q, l, p, r));
  SKY_GO(answer_fit(ctx, &q, &r->tuning, tuning));
  if (r->n_out == 0) goto cleanup;
  SKY_GO(answer_heldout(ctx, &r->given, r->n_out, "heldout_given", tuning));
  SKY_GO(answer_heldout(ctx, &r->tuned, r->n_out, "heldout", tuning));
cleanup:
  sky_free(r);
  return st;
}
