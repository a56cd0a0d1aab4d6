/* invert_tune.c: `skyflux invert --tune LIST`: covariance parameters from the data, and how well
 * overpasses that were kept out are predicted before and after. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/heldout.h"
#include "algorithms/inversion/hyper.h"
#include "algorithms/inversion/select.h"
#include "src/cli/invert_modes.h"
#include "src/core/memory.h"

/* ---- options -------------------------------------------------------------------------------- */

static sky_status parse_choice(sky_context *ctx, const char *list, sky_hyper_choice *c) {
  const struct {
    const char *name;
    bool *flag;
  } known[] = {{"length", &c->length},
               {"tau", &c->time},
               {"sigma_q", &c->sigma_q},
               {"sigma_r", &c->sigma_r}};
  for (const char *at = list; *at != '\0';) {
    const size_t length = strcspn(at, ",");
    bool *flag = NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
      if (strlen(known[i].name) == length && strncmp(at, known[i].name, length) == 0)
        flag = known[i].flag;
    if (flag == NULL)
      return sky_fail(ctx, SKY_E_USAGE,
                      "invert: --tune '%s' (expected a list of length, tau, sigma_q, sigma_r)",
                      list);
    *flag = true;
    at += length + (at[length] == ',');
  }
  return SKY_OK;
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

static void parameter_name(const sky_hyper *h, char *name, size_t size) {
  static const char *const kinds[] = {"length_km", "tau_steps", "sigma_q", "sigma_r"};
  const char *factor = isnan(h->given) ? "_factor" : "";
  if (h->group < 0)
    snprintf(name, size, "%s%s", kinds[h->kind], factor);
  else
    snprintf(name, size, "%s%s_%s%d", kinds[h->kind], factor,
             h->kind == SKY_HYPER_SIGMA_Q ? "sector" : "sensor", h->group);
}

static sky_status answer_parameters(sky_context *ctx, const sky_tuning *t, cJSON *to) {
  for (size_t k = 0; k < t->n; k++) {
    const sky_hyper *h = &t->param[k];
    char name[64];
    parameter_name(h, name, sizeof name);
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

static sky_status answer_heldout(sky_context *ctx, const sky_problem *p, size_t n,
                                 const size_t *index, const char *key, cJSON *to) {
  sky_dual d = {0};
  sky_heldout h;
  cJSON *item = sky_invert_object(ctx, to, key, false);
  sky_status st = item != NULL ? SKY_OK : SKY_E_NOMEM;
  if (st == SKY_OK) st = sky_dual_make(ctx, p, &d);
  if (st == SKY_OK) st = sky_heldout_predict(ctx, &d, n, index, NULL, NULL, &h);
  sky_dual_free(&d);
  SKY_TRY(st);
  SKY_TRY(sky_invert_number(ctx, item, "observations", (double)n));
  SKY_TRY(sky_invert_number(ctx, item, "chi2_per_obs", h.chi2 / (double)n));
  SKY_TRY(sky_invert_number(ctx, item, "rms", h.rms));
  SKY_TRY(sky_invert_number(ctx, item, "log_density", h.log_density));
  SKY_TRY(sky_invert_number(ctx, item, "inside68", (double)h.inside68 / (double)n));
  return sky_invert_number(ctx, item, "inside95", (double)h.inside95 / (double)n);
}

static sky_status answer_fit(sky_context *ctx, const sky_invert_modes *m, const sky_tuning *t,
                             cJSON *tuning) {
  SKY_TRY(sky_invert_text(ctx, tuning, "method",
                          m->desroziers   ? "desroziers"
                          : m->restricted ? "restricted maximum likelihood"
                                          : "maximum likelihood"));
  SKY_TRY(sky_invert_number(ctx, tuning, "neg_log_likelihood_given", t->nll_given));
  SKY_TRY(sky_invert_number(ctx, tuning, "neg_log_likelihood", t->nll));
  SKY_TRY(sky_invert_number(ctx, tuning, "iterations", (double)t->iterations));
  SKY_TRY(sky_invert_number(ctx, tuning, m->desroziers ? "last_change" : "distance_in_sd",
                            t->decrement));
  cJSON *parameters = sky_invert_object(ctx, tuning, "parameters", false);
  return parameters != NULL ? answer_parameters(ctx, t, parameters) : SKY_E_NOMEM;
}

/* ---- tuning --------------------------------------------------------------------------------- */

typedef struct split { /* observations kept for the fit, and held out */
  size_t n_fit, n_out, *fit, *out;
  int32_t *sensor; /* [n_fit] */
} split;

static sky_status make_split(sky_context *ctx, const sky_problem *p, const sky_problem_labels *l,
                             size_t every, split *s) {
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(s->fit, SKY_NEW(ctx, size_t, p->n_obs));
  SKY_GO_ALLOC(s->out, SKY_NEW(ctx, size_t, p->n_obs));
  SKY_GO_ALLOC(s->sensor, SKY_NEW0(ctx, int32_t, p->n_obs));
  for (size_t i = 0; i < p->n_obs; i++) {
    const bool out = every > 0 && ((size_t)l->overpass[i] + 1) % every == 0;
    if (out) {
      s->out[s->n_out++] = i;
      continue;
    }
    if (l->sensor != NULL) s->sensor[s->n_fit] = l->sensor[i];
    s->fit[s->n_fit++] = i;
  }
cleanup:
  return st;
}

static sky_status tune_split(sky_context *ctx, const sky_invert_modes *m, const sky_problem *p,
                             const split *s, const sky_hyper_choice *choice, sky_tuning *t) {
  sky_hyper_choice fit = *choice;
  sky_problem part;
  if (choice->sensor != NULL) fit.sensor = s->sensor;
  SKY_TRY(sky_problem_select(ctx, p, s->n_fit, s->fit, &part));
  const sky_status st = m->desroziers ? sky_hyper_desroziers(ctx, &part, &fit, t)
                                      : sky_hyper_tune(ctx, &part, &fit, t);
  sky_selection_free(&part);
  return st;
}

sky_status sky_invert_tune(sky_context *ctx, const sky_invert_modes *m, const sky_problem_labels *l,
                           sky_problem *p, cJSON *answer) {
  const sky_drift drift = {.n = l->n_drift > 0 ? l->n_drift : 1, .X = l->drift};
  sky_hyper_choice choice = {.n_sector = m->desroziers ? 0 : l->n_sector,
                             .sector = l->sector,
                             .n_sensor = l->n_sensor,
                             .sensor = l->sensor,
                             .drift = m->restricted ? &drift : NULL};
  split s = {0};
  size_t every = 0;
  sky_tuning *t = NULL;
  cJSON *tuning = sky_invert_object(ctx, answer, "tuning", false);
  sky_status st = tuning != NULL ? SKY_OK : SKY_E_NOMEM;
  SKY_GO(st);
  SKY_GO(parse_choice(ctx, m->tune, &choice));
  if (!choice.sigma_q) choice.n_sector = 0;
  if (m->holdout != NULL) SKY_GO(parse_holdout(ctx, m->holdout, l, &every));
  SKY_GO_ALLOC(t, SKY_NEW(ctx, sky_tuning, 1));
  SKY_GO(make_split(ctx, p, l, every, &s));
  SKY_GO(tune_split(ctx, m, p, &s, &choice, t));
  SKY_GO(answer_fit(ctx, m, t, tuning));
  if (every > 0) SKY_GO(answer_heldout(ctx, p, s.n_out, s.out, "heldout_given", tuning));
  sky_hyper_apply(ctx, &choice, t, p);
  if (every > 0) SKY_GO(answer_heldout(ctx, p, s.n_out, s.out, "heldout", tuning));
cleanup:
  sky_free(s.fit);
  sky_free(s.out);
  sky_free(s.sensor);
  sky_free(t);
  return st;
}
