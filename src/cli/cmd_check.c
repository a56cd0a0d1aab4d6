/* cmd_check.c: `skyflux check JOB`: every error of a job file at once, then every missing input,
 * then the first error of its maps, grid and zones. What tables and granules hold is seen by run.
 */
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/job_args.h"
#include "src/core/jobfile.h"
#include "src/core/memory.h"
#include "src/read/product.h"
#include "src/write/json_out.h"

static const sky_cli_option options[] = {SKY_SET_OPTION, {NULL, 0, NULL, NULL}};

static const sky_cli_spec spec = {
    "check", "JOB [options]",
    "report every error of a job file, then the first of its inputs, maps, grid and zones",
    "skyflux check tests/real/permian.yaml --set data=../shared/data", options};

/* {"ok": …, "status": …, "errors": ["job.yaml:3: …"]}; one line of the message is one error. */
static sky_status print_json(sky_context *ctx, const char *path, sky_status status) {
  cJSON *json = cJSON_CreateObject();
  cJSON *list = NULL;
  cJSON_AddStringToObject(json, "job", path);
  cJSON_AddBoolToObject(json, "ok", status == SKY_OK);
  cJSON_AddStringToObject(json, "status", sky_status_name(status));
  list = cJSON_AddArrayToObject(json, "errors");
  const char *line = status == SKY_OK ? "" : sky_error(ctx);
  while (*line != '\0') {
    const size_t n = strcspn(line, "\n");
    char *one = sky_sprintf(ctx, "%.*s", (int)n, line);
    cJSON_AddItemToArray(list, cJSON_CreateString(one == NULL ? "" : one));
    sky_free(one);
    line += n + (line[n] == '\n');
  }
  char *text = sky_json_text(ctx, json, true);
  cJSON_Delete(json);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

sky_status sky_cmd_check(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  sky_job_args args = {0};
  sky_job job = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_cli_parse(ctx, &spec, argc, argv, sky_job_args_option, &args, &common));
  if (common.help_shown) goto cleanup;
  if (common.n_args != 1) {
    st =
        sky_fail(ctx, SKY_E_USAGE, "check: expected one job file, got %d arguments", common.n_args);
    goto cleanup;
  }
  const char *path = common.args[0];
  st = sky_job_open(ctx, path, args.sets, args.n_sets, &job);
  if (st == SKY_OK) st = sky_job_check(ctx, &job);
  if (common.json) {
    const sky_status printed = print_json(ctx, path, st);
    if (st == SKY_OK) st = printed;
  } else if (st == SKY_OK) {
    printf("%s: ok\n", path);
  }
cleanup:
  sky_job_close(&job);
  sky_job_args_free(&args);
  return st;
}
