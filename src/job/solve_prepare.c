/* solve_prepare.c: see solve_prepare.h. */
#include "src/job/solve_prepare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/diagnose.h"
#include "algorithms/inversion/select.h"
#include "src/core/memory.h"

#define SILENT 1e-10 /* of a variance: what is less than this share of it is rounding */

/* ---- outliers ------------------------------------------------------------------------------- */

static void keep_labels(const size_t *index, size_t n, int32_t *label) {
  for (size_t k = 0; label != NULL && k < n; k++)
    label[k] = label[index[k]]; /* index rises */
}

sky_drift sky_solve_drift(const sky_problem_labels *l) {
  return (sky_drift){.n = l->n_drift > 0 ? l->n_drift : 1, .X = l->drift};
}

/* The dual picture, with the mean known or not. */
static sky_status make_dual(sky_context *ctx, const sky_problem *p, const sky_drift *drift,
                            sky_dual *d) {
  double *G = NULL;
  sky_status st = SKY_OK;
  SKY_TRY(sky_dual_make(ctx, p, d));
  if (drift == NULL) return SKY_OK;
  const sky_noise noise = sky_problem_noise(p);
  SKY_GO(sky_drift_columns(ctx, p, drift, d, &G));
  SKY_GO(sky_dual_factor(ctx, &noise, d)); /* w of that d */
  SKY_GO(sky_drift_remove(ctx, drift->n, G, d));
cleanup:
  sky_free(G);
  return st;
}

/* Where nearly all of an observation goes into the drift its innovation is rounding, and fits. */
static bool fits(const sky_dual *d, size_t i) {
  const double var = d->psi[i * d->n + i];
  return var < SILENT * d->G[i * d->n + i] || fabs(d->d[i]) <= SKY_OUTLIER * sqrt(var);
}

sky_status sky_solve_screen(sky_context *ctx, const sky_drift *drift, sky_problem *p,
                            sky_problem_labels *l, size_t *index, size_t *n) {
  sky_dual d = {0};
  sky_problem part;
  sky_status st = SKY_OK;
  *n = 0;
  SKY_GO(make_dual(ctx, p, drift, &d));
  for (size_t i = 0; i < p->n_obs; i++)
    if (fits(&d, i)) index[(*n)++] = i;
  if (*n == 0)
    SKY_GO(sky_fail(ctx, SKY_E_NODATA,
                    "screening leaves none of %zu observations: all innovations exceed %g of their "
                    "sds",
                    d.n, SKY_OUTLIER));
  if (*n == p->n_obs) goto cleanup;
  SKY_GO(sky_problem_select(ctx, p, *n, index, &part));
  sky_problem_take_rows(p, &part);
  keep_labels(index, *n, l->overpass);
  keep_labels(index, *n, l->sensor);
cleanup:
  sky_dual_free(&d);
  return st;
}

/* ---- words ---------------------------------------------------------------------------------- */

bool *sky_tune_flag(sky_tune_request *q, const char *name, size_t n) {
  const struct {
    const char *name;
    bool *flag;
  } known[] = {{"length", &q->length},
               {"tau", &q->time},
               {"sigma_q", &q->sigma_q},
               {"sigma_r", &q->sigma_r}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strlen(known[i].name) == n && strncmp(name, known[i].name, n) == 0) return known[i].flag;
  return NULL;
}

void sky_tune_name(const sky_hyper *h, char *name, size_t size) {
  static const char *const kinds[] = {"length_km", "tau_steps", "sigma_q", "sigma_r"};
  const char *factor = isnan(h->given) ? "_factor" : "";
  if (h->group < 0)
    snprintf(name, size, "%s%s", kinds[h->kind], factor);
  else
    snprintf(name, size, "%s%s_%s%d", kinds[h->kind], factor,
             h->kind == SKY_HYPER_SIGMA_Q ? "sector" : "sensor", h->group);
}

const char *sky_tune_method(const sky_tune_request *q) {
  return q->desroziers   ? "desroziers"
         : q->restricted ? "restricted maximum likelihood"
                         : "maximum likelihood";
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
  if (s->n_fit == 0 || (every > 0 && s->n_out == 0))
    st = sky_fail(ctx, SKY_E_RANGE,
                  "tuning: every %zu-th of the overpasses held out leaves %zu of %zu observations "
                  "for the fit (expected a part of them)",
                  every, s->n_fit, p->n_obs);
cleanup:
  return st;
}

static sky_status tune_split(sky_context *ctx, bool desroziers, const sky_problem *p,
                             const split *s, const sky_hyper_choice *choice, sky_tuning *t) {
  sky_hyper_choice fit = *choice;
  sky_problem part;
  if (choice->sensor != NULL) fit.sensor = s->sensor;
  SKY_TRY(sky_problem_select(ctx, p, s->n_fit, s->fit, &part));
  const sky_status st =
      desroziers ? sky_hyper_desroziers(ctx, &part, &fit, t) : sky_hyper_tune(ctx, &part, &fit, t);
  sky_selection_free(&part);
  return st;
}

static sky_status predict(sky_context *ctx, const sky_problem *p, const sky_drift *drift,
                          const split *s, sky_heldout *h) {
  sky_dual d = {0};
  if (s->n_out == 0) return SKY_OK;
  sky_status st = make_dual(ctx, p, drift, &d);
  if (st == SKY_OK) st = sky_heldout_predict(ctx, &d, s->n_out, s->out, NULL, NULL, h);
  sky_dual_free(&d);
  return st;
}

sky_status sky_solve_tune(sky_context *ctx, const sky_tune_request *q, const sky_problem_labels *l,
                          sky_problem *p, sky_tune_result *out) {
  const sky_drift drift = sky_solve_drift(l), *mean = q->geostatistical ? &drift : NULL;
  const sky_hyper_choice choice = {.length = q->length,
                                   .time = q->time,
                                   .sigma_q = q->sigma_q,
                                   .sigma_r = q->sigma_r,
                                   .n_sector = q->desroziers || !q->sigma_q ? 0 : l->n_sector,
                                   .sector = l->sector,
                                   .n_sensor = l->n_sensor,
                                   .sensor = l->sensor,
                                   .drift = q->restricted ? &drift : NULL};
  split s = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  if (q->geostatistical && !q->restricted)
    return sky_fail(ctx, SKY_E_USAGE,
                    "tuning by %s takes x0 for the mean, which a geostatistical solution does not "
                    "know (expected restricted maximum likelihood, REML)",
                    sky_tune_method(q));
  SKY_GO(make_split(ctx, p, l, q->holdout, &s));
  SKY_GO(tune_split(ctx, q->desroziers, p, &s, &choice, &out->tuning));
  out->n_out = s.n_out;
  SKY_GO(predict(ctx, p, mean, &s, &out->given));
  sky_hyper_apply(ctx, &choice, &out->tuning, p);
  SKY_GO(predict(ctx, p, mean, &s, &out->tuned));
cleanup:
  sky_free(s.fit);
  sky_free(s.out);
  sky_free(s.sensor);
  return st;
}
