/* invert_modes.c: options, dispatch and printing of the modes of `skyflux invert`. */
#include "src/cli/invert_modes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/robust.h"
#include "src/core/memory.h"
#include "src/job/solve_prepare.h"
#include "src/write/json_out.h"

/* ---- options -------------------------------------------------------------------------------- */

bool sky_invert_take(sky_invert_modes *m, const char *name, const char *value) {
  const struct {
    const char *name, **text;
    bool *flag;
  } known[] = {{"lag", &m->lag, NULL},
               {"tune", &m->tune, NULL},
               {"reml", NULL, &m->restricted},
               {"desroziers", NULL, &m->desroziers},
               {"holdout", &m->holdout, NULL},
               {"screen", NULL, &m->screen},
               {"huber", &m->huber, NULL},
               {"diagnose", NULL, &m->diagnose},
               {"coarsen", &m->coarsen, NULL},
               {"osse", &m->osse, NULL},
               {"noise-factor", &m->noise_factor, NULL},
               {"noise-correlation", &m->noise_correlation, NULL},
               {"prior-factor", &m->prior_factor, NULL},
               {"length-factor", &m->length_factor, NULL}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strcmp(known[i].name, name) != 0) continue;
    if (known[i].flag != NULL)
      *known[i].flag = true;
    else
      *known[i].text = value;
    return true;
  }
  return false;
}

bool sky_invert_osse_option(const char *name) {
  static const char *const names[] = {"osse", "noise-factor", "noise-correlation", "prior-factor",
                                      "length-factor"};
  bool found = false;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    found = found || strcmp(name, names[i]) == 0;
  return found;
}

bool sky_invert_of_osse(const sky_invert_modes *m) {
  return m->osse != NULL || m->noise_factor != NULL || m->noise_correlation != NULL ||
         m->prior_factor != NULL || m->length_factor != NULL;
}

static bool geostatistical(const sky_invert_modes *m) {
  return m->method != NULL && strcmp(m->method, "geostatistical") == 0;
}

static bool smoother(const sky_invert_modes *m) {
  return m->method != NULL && strcmp(m->method, "smoother") == 0;
}

static sky_status check_modes(sky_context *ctx, const sky_invert_modes *m) {
  if (m->method != NULL && !geostatistical(m) && !smoother(m) && strcmp(m->method, "exact") != 0 &&
      strcmp(m->method, "iterative") != 0 && strcmp(m->method, "banded") != 0)
    return sky_fail(ctx, SKY_E_USAGE,
                    "invert: --method '%s' (expected exact, iterative, banded, geostatistical or "
                    "smoother)",
                    m->method);
  if (m->lag != NULL && !smoother(m))
    return sky_fail(ctx, SKY_E_USAGE, "invert: --lag goes with --method smoother");
  if (m->tune == NULL && (m->restricted || m->desroziers || m->holdout != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "invert: --reml, --desroziers and --holdout go with --tune");
  if (m->tune != NULL && geostatistical(m) && !m->restricted)
    return sky_fail(
        ctx, SKY_E_USAGE,
        "invert: --tune with --method geostatistical takes --reml: the other likelihoods "
        "take x0 for the mean, which this solution does not know");
  if (m->restricted && m->desroziers)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --reml and --desroziers exclude each other");
  if (m->coarsen != NULL && !m->diagnose)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --coarsen goes with --diagnose");
  if (m->osse == NULL && sky_invert_of_osse(m))
    return sky_fail(ctx, SKY_E_USAGE,
                    "invert: --noise-factor, --noise-correlation, --prior-factor and "
                    "--length-factor go with --osse");
  if (m->diagnose && (geostatistical(m) || smoother(m) || m->osse != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "invert: --diagnose is of the Bayesian solution alone");
  return SKY_OK;
}

sky_status sky_invert_option_number(sky_context *ctx, const char *option, const char *text,
                                    double otherwise, double low, double high, double *out) {
  char *end;
  *out = otherwise;
  if (text == NULL) return SKY_OK;
  *out = strtod(text, &end);
  if (end != text && *end == '\0' && *out > low && *out < high) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "invert: --%s '%s' (expected a number %g < x < %g)", option,
                  text, low, high);
}

/* ---- answer --------------------------------------------------------------------------------- */

static sky_status added(sky_context *ctx, const void *item) {
  return item != NULL ? SKY_OK : sky_fail(ctx, SKY_E_NOMEM, "out of memory");
}

sky_status sky_invert_number(sky_context *ctx, cJSON *to, const char *key, double v) {
  return added(ctx, cJSON_AddNumberToObject(to, key, v));
}

sky_status sky_invert_text(sky_context *ctx, cJSON *to, const char *key, const char *text) {
  return added(ctx, cJSON_AddStringToObject(to, key, text));
}

sky_status sky_invert_numbers(sky_context *ctx, cJSON *to, const char *key, const double *v,
                              size_t n) {
  cJSON *array = sky_invert_object(ctx, to, key, true);
  if (array == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    cJSON *item = cJSON_CreateNumber(v[i]);
    if (item == NULL || !cJSON_AddItemToArray(array, item)) return added(ctx, NULL);
  }
  return SKY_OK;
}

cJSON *sky_invert_object(sky_context *ctx, cJSON *to, const char *key, bool array) {
  cJSON *item = array ? cJSON_CreateArray() : cJSON_CreateObject();
  const bool ok = item != NULL && (key != NULL ? cJSON_AddItemToObject(to, key, item)
                                               : cJSON_AddItemToArray(to, item));
  if (ok) return item;
  cJSON_Delete(item);
  (void)sky_fail(ctx, SKY_E_NOMEM, "out of memory");
  return NULL;
}

/* As a table: one line a value, members of objects and arrays under their path. */
static void print_lines(const cJSON *item, const char *path) {
  char here[160];
  size_t index = 0;
  for (const cJSON *c = item->child; c != NULL; c = c->next, index++) {
    if (c->string != NULL)
      snprintf(here, sizeof here, "%s%s%s", path, path[0] != '\0' ? "." : "", c->string);
    else
      snprintf(here, sizeof here, "%s[%zu]", path, index);
    if (cJSON_IsNumber(c))
      printf("%-44s %.10g\n", here, c->valuedouble);
    else if (cJSON_IsString(c))
      printf("%-44s %s\n", here, c->valuestring);
    else if (cJSON_IsBool(c))
      printf("%-44s %s\n", here, cJSON_IsTrue(c) ? "yes" : "no");
    else
      print_lines(c, here);
  }
}

sky_status sky_invert_print(sky_context *ctx, const cJSON *answer, bool json) {
  if (!json) {
    print_lines(answer, "");
    return SKY_OK;
  }
  char *text = sky_json_text(ctx, answer, true);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

/* ---- before the solution --------------------------------------------------------------------- */

static sky_status screen(sky_context *ctx, const sky_invert_modes *m, const char *path,
                         sky_problem *p, sky_problem_labels *l, cJSON *answer) {
  const sky_drift drift = sky_solve_drift(l);
  const size_t all = p->n_obs;
  size_t *index = SKY_NEW(ctx, size_t, all), n = 0;
  if (index == NULL) return SKY_E_NOMEM;
  sky_status st = sky_solve_screen(ctx, geostatistical(m) ? &drift : NULL, p, l, index, &n);
  if (st == SKY_E_NODATA) st = sky_fail_in(ctx, st, "%s: ", path);
  if (st == SKY_OK) st = sky_invert_number(ctx, answer, "screened_out", (double)(all - n));
  sky_free(index);
  return st;
}

static sky_status reweight(sky_context *ctx, const sky_invert_modes *m, const sky_problem_labels *l,
                           sky_problem *p, cJSON *answer) {
  const sky_drift drift = sky_solve_drift(l);
  double k;
  size_t changed = 0, rounds = 0;
  SKY_TRY(sky_invert_option_number(ctx, "huber", m->huber, 1, 0, 1e6, &k));
  SKY_TRY(sky_huber_apply(ctx, k, geostatistical(m) ? &drift : NULL, p, &changed, &rounds));
  SKY_TRY(sky_invert_number(ctx, answer, "huber_reweighted", (double)changed));
  return sky_invert_number(ctx, answer, "huber_rounds", (double)rounds);
}

sky_status sky_invert_prepare(sky_context *ctx, const sky_invert_modes *m, const char *path,
                              const char *output, sky_invert_zones *zones, sky_problem *p,
                              sky_problem_labels *l, cJSON *answer, bool *done) {
  SKY_TRY(check_modes(ctx, m));
  if (m->osse != NULL && (zones->csv != NULL || zones->kernels != NULL || zones->by_time))
    return sky_fail(ctx, SKY_E_USAGE,
                    "invert: --zones-csv, --ak and --by-time do not go with --osse");
  SKY_TRY(sky_problem_labels_read(ctx, path, p, l));
  if (m->screen) SKY_TRY(screen(ctx, m, path, p, l, answer));
  if (m->tune != NULL) SKY_TRY(sky_invert_tune(ctx, m, l, p, answer));
  if (m->huber != NULL) SKY_TRY(reweight(ctx, m, l, p, answer));
  *done = geostatistical(m) || smoother(m) || m->osse != NULL;
  if (smoother(m)) {
    SKY_TRY(sky_invert_zones_read(ctx, path, p, false, zones));
    return sky_invert_smoother(ctx, m, p, output, zones, answer);
  }
  if (m->osse != NULL) {
    SKY_TRY(sky_invert_zones_read(ctx, path, p, false, zones));
    return sky_invert_osse(ctx, m, p, l, &zones->rows, answer);
  }
  if (!*done) return SKY_OK;
  SKY_TRY(sky_invert_zones_read(ctx, path, p, true, zones));
  return sky_invert_geostat(ctx, p, l, output, zones, answer);
}
