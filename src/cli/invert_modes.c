/* invert_modes.c: options, dispatch and printing of the modes of `skyflux invert`. */
#include "src/cli/invert_modes.h"

#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/write/json_out.h"

/* ---- options -------------------------------------------------------------------------------- */

bool sky_invert_take(sky_invert_modes *m, const char *name, const char *value) {
  const struct {
    const char *name, **text;
    bool *flag;
  } known[] = {{"method", &m->method, NULL},
               {"tune", &m->tune, NULL},
               {"reml", NULL, &m->restricted},
               {"desroziers", NULL, &m->desroziers},
               {"holdout", &m->holdout, NULL}};
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

static bool geostatistical(const sky_invert_modes *m) {
  return m->method != NULL && strcmp(m->method, "geostatistical") == 0;
}

bool sky_invert_has_mode(const sky_invert_modes *m) {
  return (m->method != NULL && strcmp(m->method, "bayes") != 0) || m->tune != NULL ||
         m->restricted || m->desroziers || m->holdout != NULL;
}

static sky_status check_modes(sky_context *ctx, const sky_invert_modes *m) {
  if (m->method != NULL && !geostatistical(m) && strcmp(m->method, "bayes") != 0)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --method '%s' (expected bayes or geostatistical)",
                    m->method);
  if (m->tune == NULL && (m->restricted || m->desroziers || m->holdout != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "invert: --reml, --desroziers and --holdout go with --tune");
  if (m->restricted && m->desroziers)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --reml and --desroziers exclude each other");
  return SKY_OK;
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

static sky_status print_answer(sky_context *ctx, const cJSON *answer, bool json) {
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

/* ---- dispatch ------------------------------------------------------------------------------- */

sky_status sky_invert_run_mode(sky_context *ctx, const sky_invert_modes *m, const char *path,
                               const char *output, bool json, sky_problem *p) {
  sky_problem_labels l = {0};
  cJSON *answer = NULL;
  sky_status st = SKY_OK;
  SKY_GO(check_modes(ctx, m));
  SKY_GO(sky_problem_labels_read(ctx, path, p, &l));
  SKY_GO(added(ctx, answer = cJSON_CreateObject()));
  if (m->tune != NULL) SKY_GO(sky_invert_tune(ctx, m, &l, p, answer));
  if (geostatistical(m)) SKY_GO(sky_invert_geostat(ctx, p, &l, output, answer));
  SKY_GO(print_answer(ctx, answer, json));
cleanup:
  sky_problem_labels_free(&l);
  cJSON_Delete(answer);
  return st;
}
