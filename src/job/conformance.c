/* conformance.c: the figures of T/CES (carbon statistics and accounting platforms) 4.1 and 4.2, out
 * of what a run did: every figure with its definition, numerator and denominator.
 *
 * A figure of a trial is an estimate: it passes or fails only where its 95 % interval (Wilson 1927,
 * J. Am. Stat. Assoc. 22, 209) lies on one side of the minimum. Counts of all there is are exact.
 */
#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/harmonise.h"
#include "src/write/json_out.h"

static const char *const KINDS[SKY_TRIAL_COUNT] = {"value", "unit", "position", "duplicate"};

typedef struct figure {
  const char *name, *clause, *definition;
  uint64_t numerator, denominator;
  double least;           /* legal minimum */
  const char *not_judged; /* why there is no verdict, or NULL */
  bool sample;            /* of trials; else all there is was counted */
} figure;

#define Z95 1.959963984540054 /* standard normal quantile of 0.975 */

/* Wilson's score interval of a share. */
static void wilson(double found, double n, double limit[2]) {
  const double p = found / n, z2 = Z95 * Z95;
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  limit[0] = fmax(middle - half, 0); /* beyond 0 and 1 only by rounding */
  limit[1] = fmin(middle + half, 1);
}

static void add_figure(cJSON *list, const figure *f) {
  cJSON *o = cJSON_CreateObject();
  const double value = f->denominator > 0 ? (double)f->numerator / (double)f->denominator : NAN;
  cJSON_AddStringToObject(o, "name", f->name);
  cJSON_AddStringToObject(o, "clause", f->clause);
  cJSON_AddStringToObject(o, "definition", f->definition);
  cJSON_AddNumberToObject(o, "numerator", (double)f->numerator);
  cJSON_AddNumberToObject(o, "denominator", (double)f->denominator);
  cJSON_AddNumberToObject(o, "value", value);
  cJSON_AddNumberToObject(o, "least", f->least);
  const char *why = f->denominator == 0 ? "nothing to measure" : f->not_judged;
  double limit[2] = {value, value};
  if (f->sample && f->denominator > 0) {
    wilson((double)f->numerator, (double)f->denominator, limit);
    cJSON_AddItemToObject(o, "interval_95", cJSON_CreateDoubleArray(limit, 2));
    if (why == NULL && limit[0] < f->least && limit[1] >= f->least)
      why = "too few anomalies to decide: the minimum lies within the interval";
  }
  if (why == NULL) {
    cJSON_AddBoolToObject(o, "pass", value >= f->least);
  } else {
    cJSON_AddNullToObject(o, "pass");
    cJSON_AddStringToObject(o, "not_judged", why);
  }
  cJSON_AddItemToArray(list, o);
}

static void add_figures(cJSON *root, const sky_harmonise_request *q,
                        const sky_harmonise_result *r) {
  cJSON *list = cJSON_AddArrayToObject(root, "figures");
  uint64_t injected = 0, found = 0;
  for (int k = 0; k < SKY_TRIAL_COUNT; ++k) {
    injected += r->trial.injected[k];
    found += r->trial.found[k];
  }
  const unsigned all = SKY_CLEAN_DUPLICATES | SKY_CLEAN_POSITIONS | SKY_CLEAN_OUTLIERS;
  const char *not_asked =
      (q->clean & all) == all ? NULL : "duplicates, positions and outliers are not all asked for";
  const uint64_t offered = q->n_inputs - r->passed_over.n;
  const uint64_t kept = r->trial.sound - r->trial.false_alarms, wrong = injected - found;
  const figure figures[] = {
      {"ingestion_success", "4.1",
       "input files that were read, of all input files (files of a folder that are no product of "
       "the gas are not inputs)",
       offered - r->failed.n, offered, 0.99, NULL, false},
      {"conversion_success", "4.2 (2)",
       "soundings with a value in the selection that became complete records (place, time, "
       "uncertainty, kernel on one orientation, SI units), of all of them",
       r->rows - r->broken, r->rows, 0.99, NULL, false},
      {"anomaly_detection", "4.2 (1)",
       "known anomalies found, of those put into copies of the granules of this run: values moved "
       "by 8 to 30 robust widths, units wrong by 1000, places moved by 5 to 20 degrees, soundings "
       "given twice, together 2 % of the soundings, in as many rounds as 400 anomalies a granule "
       "take; kinds whose test was not asked for are left out",
       found, injected, 0.98, not_asked, true},
      {"accuracy_after_cleaning", "4.2 (1)",
       "soundings kept from those copies that are no anomaly, of all kept", kept, kept + wrong,
       0.995, not_asked, true},
      {"accuracy_of_output", "4.2 (1)",
       "good soundings read back from the output in which value, uncertainty, place and time are "
       "plausible, the weights sum to 1, the prior profile gives the prior column and levels go "
       "upwards, of all good ones",
       r->held, r->checked, 0.995, NULL, false},
  };
  for (size_t k = 0; k < sizeof figures / sizeof *figures; ++k)
    add_figure(list, &figures[k]);
}

static void add_trial(cJSON *root, const sky_trial *t) {
  cJSON *o = cJSON_AddObjectToObject(root, "trial");
  for (int k = 0; k < SKY_TRIAL_COUNT; ++k) {
    cJSON *kind = cJSON_AddObjectToObject(o, KINDS[k]);
    cJSON_AddNumberToObject(kind, "injected", (double)t->injected[k]);
    cJSON_AddNumberToObject(kind, "found", (double)t->found[k]);
  }
  cJSON_AddNumberToObject(o, "untouched", (double)t->sound);
  cJSON_AddNumberToObject(o, "false_alarms", (double)t->false_alarms);
}

static void add_products(cJSON *root, const sky_harmonise_result *r) {
  cJSON *list = cJSON_AddArrayToObject(root, "products");
  for (size_t p = 0; p < r->n_products; ++p) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "product", r->products[p].id);
    cJSON_AddNumberToObject(o, "granules", (double)r->products[p].granules);
    cJSON_AddNumberToObject(o, "good", (double)r->products[p].drops[SKY_DROP_NONE]);
    cJSON *dropped = cJSON_AddObjectToObject(o, "dropped");
    for (int k = 1; k < SKY_DROP_COUNT; ++k)
      if (r->products[p].drops[k] > 0)
        cJSON_AddNumberToObject(dropped, sky_drop_name((sky_drop)k),
                                (double)r->products[p].drops[k]);
    cJSON_AddItemToArray(list, o);
  }
}

static void add_failures(cJSON *root, const char *name, const sky_granule_failures *f) {
  cJSON *list = cJSON_AddArrayToObject(root, name);
  for (size_t i = 0; i < f->n; ++i) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "file", sky_file_base(f->item[i].path));
    cJSON_AddStringToObject(o, "reason", f->item[i].reason);
    cJSON_AddItemToArray(list, o);
  }
}

sky_status sky_conformance_write(sky_context *ctx, const sky_harmonise_request *q,
                                 const sky_harmonise_result *r) {
  char cleaning[96];
  const char *suffix = strrchr(sky_file_base(q->output), '.');
  const size_t stem = suffix != NULL ? (size_t)(suffix - q->output) : strlen(q->output);
  char *path = sky_sprintf(ctx, "%.*s.conformance.json", (int)stem, q->output);
  cJSON *root = cJSON_CreateObject();
  sky_status st = SKY_E_NOMEM;
  if (path == NULL || root == NULL) goto cleanup;
  sky_clean_text(q->clean, cleaning, sizeof cleaning);
  cJSON_AddStringToObject(root, "standard",
                          "T/CES, carbon statistics and accounting platforms, 4.1 and 4.2");
  cJSON_AddStringToObject(root, "output", sky_file_base(q->output));
  cJSON_AddStringToObject(root, "cleaning", cleaning);
  add_figures(root, q, r);
  add_trial(root, &r->trial);
  add_products(root, r);
  add_failures(root, "failed", &r->failed);
  add_failures(root, "passed_over", &r->passed_over);
  st = sky_json_write(ctx, path, root);
cleanup:
  cJSON_Delete(root);
  sky_free(path);
  return st;
}
