/* facts.c: sentences and numbers of a stage, kept in order, written once. */
#include "src/job/facts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/json_out.h"

sky_status sky_facts_create(sky_context *ctx, sky_facts *f) {
  f->ctx = ctx;
  f->root = cJSON_CreateObject();
  if (f->root == NULL || cJSON_AddArrayToObject(f->root, "facts") == NULL ||
      cJSON_AddObjectToObject(f->root, "numbers") == NULL ||
      cJSON_AddObjectToObject(f->root, "texts") == NULL)
    return sky_fail(ctx, SKY_E_NOMEM, "facts: out of memory");
  return SKY_OK;
}

void sky_facts_free(sky_facts *f) {
  cJSON_Delete(f->root);
  f->root = NULL;
}

void sky_fact(sky_facts *f, const char *section, const char *label, const char *fmt, ...) {
  char value[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(value, sizeof value, fmt, ap);
  va_end(ap);
  cJSON *item = cJSON_CreateObject();
  cJSON_AddStringToObject(item, "section", section);
  cJSON_AddStringToObject(item, "label", label);
  cJSON_AddStringToObject(item, "value", value);
  cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(f->root, "facts"), item);
  sky_log(f->ctx, strcmp(section, "warnings") == 0 ? SKY_LOG_WARN : SKY_LOG_INFO, "%s: %s", label,
          value);
}

void sky_fact_number(sky_facts *f, const char *key, double value) {
  cJSON_AddNumberToObject(cJSON_GetObjectItemCaseSensitive(f->root, "numbers"), key, value);
}

void sky_fact_text(sky_facts *f, const char *key, const char *value) {
  cJSON_AddStringToObject(cJSON_GetObjectItemCaseSensitive(f->root, "texts"), key, value);
}

static char *facts_path(sky_context *ctx, const sky_job *job, const char *stage) {
  return sky_sprintf(ctx, "%s/%s.facts.json", job->stage_dir, stage);
}

sky_status sky_facts_write(sky_facts *f, const sky_job *job, const char *stage) {
  char *path = facts_path(f->ctx, job, stage);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_json_write(f->ctx, path, f->root);
  sky_free(path);
  return st;
}

sky_status sky_facts_read(sky_context *ctx, const sky_job *job, const char *stage, sky_facts *f) {
  char *path = facts_path(ctx, job, stage), *text = NULL;
  size_t length = 0;
  sky_status st = SKY_OK;
  f->ctx = ctx;
  f->root = NULL;
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_file_read_text(ctx, path, &text, &length));
  f->root = cJSON_ParseWithLength(text, length);
  if (f->root == NULL) st = sky_fail(ctx, SKY_E_READ, "%s: not JSON", path);
cleanup:
  sky_free(path);
  sky_free(text);
  return st;
}

double sky_facts_number(const sky_facts *f, const char *key) {
  const cJSON *item =
      cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(f->root, "numbers"), key);
  return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

const char *sky_facts_text(const sky_facts *f, const char *key) {
  return cJSON_GetStringValue(
      cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(f->root, "texts"), key));
}
