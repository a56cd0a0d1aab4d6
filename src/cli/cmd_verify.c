/* cmd_verify.c: `skyflux verify FOLDER`: are the outputs those that run.json recorded? */
#include <stdio.h>

#include "src/cli/commands.h"
#include "src/core/memory.h"
#include "src/job/plan.h"
#include "src/write/json_out.h"

static const sky_cli_option OPTIONS[] = {{NULL, 0, NULL, NULL}};

static const sky_cli_spec SPEC = {"verify", "FOLDER [options]",
                                  "check a job's outputs against their recorded checksums",
                                  "skyflux verify out/permian", OPTIONS};

static sky_status no_option(sky_context *ctx, void *user, const char *name, const char *value) {
  (void)user;
  (void)value;
  return sky_fail(ctx, SKY_E_INTERNAL, "verify: --%s has no handler", name);
}

sky_status sky_cmd_verify(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  cJSON *result = NULL;
  const cJSON *item;
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, no_option, NULL, &common));
  if (common.help_shown) return SKY_OK;
  if (common.n_args != 1)
    return sky_fail(ctx, SKY_E_USAGE, "verify: expected one output folder, got %d arguments",
                    common.n_args);
  SKY_TRY(sky_outputs_verify(ctx, common.args[0], &result));
  const cJSON *changed = cJSON_GetObjectItemCaseSensitive(result, "changed");
  const cJSON *missing = cJSON_GetObjectItemCaseSensitive(result, "missing");
  const int bad = cJSON_GetArraySize(changed) + cJSON_GetArraySize(missing);
  if (common.json) {
    char *text = sky_json_text(ctx, result, true);
    if (text != NULL) fputs(text, stdout);
    sky_free(text);
  } else {
    cJSON_ArrayForEach(item, changed) printf("changed: %s\n", cJSON_GetStringValue(item));
    cJSON_ArrayForEach(item, missing) printf("missing: %s\n", cJSON_GetStringValue(item));
    printf("%.0f files checked\n", cJSON_GetObjectItemCaseSensitive(result, "files")->valuedouble);
  }
  cJSON_Delete(result);
  if (bad > 0)
    return sky_fail(ctx, SKY_E_READ, "%s: %d files differ from run.json", common.args[0], bad);
  return SKY_OK;
}
