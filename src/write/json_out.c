/* json_out.c: JSON text with stable numbers.
 *
 * cJSON prints numbers by its own rule; ours is the shortest text that reads back, the same that
 * the CSV tables use, so that one number looks the same everywhere. */
#include "src/write/json_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"

void sky_number_text(double v, char out[32]) {
  if (fabs(v) < 1e15 && v == trunc(v)) {
    snprintf(out, 32, "%.0f", v == 0 ? 0.0 : v); /* 100000, not 1e+05; no negative zero */
    return;
  }
  for (int digits = 15; digits <= 17; digits++) { /* %g leaves the zeros of shorter ones out */
    snprintf(out, 32, "%.*g", digits, v);
    if (strtod(out, NULL) == v) return;
  }
}

static void new_line(sky_text *t, bool indent, int depth) {
  if (!indent) return;
  sky_text_put(t, "\n");
  for (int i = 0; i < depth; i++)
    sky_text_put(t, "  ");
}

static void put_value(sky_text *t, const cJSON *j, bool indent, int depth);

static void put_members(sky_text *t, const cJSON *j, bool indent, int depth) {
  const bool object = cJSON_IsObject(j);
  sky_text_put(t, object ? "{" : "[");
  for (const cJSON *item = j->child; item != NULL; item = item->next) {
    new_line(t, indent, depth + 1);
    if (object) {
      sky_text_json(t, item->string);
      sky_text_put(t, indent ? ": " : ":");
    }
    put_value(t, item, indent, depth + 1);
    if (item->next != NULL) sky_text_put(t, ",");
  }
  if (j->child != NULL) new_line(t, indent, depth);
  sky_text_put(t, object ? "}" : "]");
}

static void put_value(sky_text *t, const cJSON *j, bool indent, int depth) {
  if (cJSON_IsNumber(j) && isfinite(j->valuedouble)) {
    char number[32];
    sky_number_text(j->valuedouble, number);
    sky_text_put(t, number);
  } else if (cJSON_IsString(j)) {
    sky_text_json(t, j->valuestring);
  } else if (cJSON_IsArray(j) || cJSON_IsObject(j)) {
    put_members(t, j, indent, depth);
  } else {
    sky_text_put(t, cJSON_IsTrue(j) ? "true" : cJSON_IsFalse(j) ? "false" : "null");
  }
}

char *sky_json_text(sky_context *ctx, const cJSON *json, bool indent) {
  sky_text t = {.ctx = ctx};
  put_value(&t, json, indent, 0);
  if (indent) sky_text_put(&t, "\n");
  return sky_text_take(&t);
}

sky_status sky_json_write(sky_context *ctx, const char *path, const cJSON *json) {
  char *text = sky_json_text(ctx, json, true);
  if (text == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_file_write_text(ctx, path, text, strlen(text));
  sky_free(text);
  return st;
}
