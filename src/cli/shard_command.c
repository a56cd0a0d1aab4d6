/* shard_command.c: a command as the text that its shards carry. */
#include "src/cli/shard_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"

sky_status sky_shard_parse(sky_context *ctx, const char *text, sky_shard *out) {
  unsigned i = 0, n = 0;
  int used = 0;
  if (sscanf(text, "%9u/%9u%n", &i, &n, &used) == 2 && text[used] == '\0' && i >= 1 && i <= n) {
    *out = (sky_shard){i, n};
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_USAGE, "--shard: '%s' is not i/n with i from 1 to n", text);
}

bool sky_shard_word(cJSON *words, const char *option, const char *value, bool is_file) {
  char *path = is_file && value != NULL ? realpath(value, NULL) : NULL;
  if (path != NULL) value = path;
  sky_text t = {0};
  if (option != NULL) sky_text_printf(&t, "--%s%s", option, value != NULL ? "=" : "");
  if (value != NULL) sky_text_put(&t, value);
  char *word = sky_text_take(&t);
  free(path);
  cJSON *item = word != NULL ? cJSON_CreateString(word) : NULL;
  sky_free(word);
  return item != NULL && cJSON_AddItemToArray(words, item);
}

char *sky_shard_stamp(sky_context *ctx, const char *command, const cJSON *words) {
  char *text = cJSON_PrintUnformatted(words);
  if (text == NULL) return NULL;
  char *stamp = sky_sprintf(ctx, "skyflux %s %s\ncommand %s\n", SKYFLUX_VERSION, command, text);
  cJSON_free(text);
  return stamp;
}
