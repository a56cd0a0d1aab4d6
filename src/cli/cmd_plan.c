/* cmd_plan.c: `skyflux plan JOB`: what would run; writes nothing. */
#include <stdio.h>

#include "src/cli/commands.h"
#include "src/cli/job_args.h"
#include "src/core/memory.h"
#include "src/job/plan.h"
#include "src/write/json_out.h"

static const sky_cli_option OPTIONS[] = {SKY_SET_OPTION, {NULL, 0, NULL, NULL}};

static const sky_cli_spec SPEC = {
    "plan", "JOB [options]", "what a job would read, compute and write; writes nothing",
    "skyflux plan tests/real/harwell.yaml --set data=../shared/data", OPTIONS};

static double number(const cJSON *item, const char *key) {
  const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, key);
  return cJSON_IsNumber(value) ? value->valuedouble : -1.0;
}

static void print_plan(const cJSON *plan) {
  const cJSON *s, *outputs = cJSON_GetObjectItemCaseSensitive(plan, "stages"), *o;
  printf("job %s -> %s\ngrid %.0f x %.0f cells, %.0f zones, memory budget %.1f GB\n\n",
         cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plan, "job")),
         cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plan, "output")), number(plan, "nx"),
         number(plan, "ny"), number(plan, "zones"), number(plan, "memory_budget_bytes") / 1e9);
  printf("%-24s  %-10s  %6s  %9s  %s\n", "stage", "state", "inputs", "MB", "what");
  cJSON_ArrayForEach(s, outputs) {
    printf(
        "%-24s  %-10s  %6.0f  %9.2f  %s\n",
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(s, "stage")),
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(s, "up_to_date")) ? "up to date" : "to run",
        number(s, "inputs"), number(s, "input_bytes") / 1e6,
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(s, "what")));
    if (number(s, "memory_bytes") >= 0)
      printf("%-24s  %.0f cells x %.0f time steps, at most %.0f observations, %.3g MB\n", "",
             number(s, "cells"), number(s, "time_steps"), number(s, "observations_at_most"),
             number(s, "memory_bytes") / 1e6);
  }
  printf("\nwrites:\n");
  cJSON_ArrayForEach(s, outputs) cJSON_ArrayForEach(
      o, cJSON_GetObjectItemCaseSensitive(s, "outputs")) printf("  %s\n", cJSON_GetStringValue(o));
}

sky_status sky_cmd_plan(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  sky_job_args args = {0};
  sky_job job = {0};
  cJSON *plan = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_cli_parse(ctx, &SPEC, argc, argv, sky_job_args_option, &args, &common));
  if (common.help_shown) goto cleanup;
  SKY_GO(sky_job_args_open(ctx, &common, &args, "plan", &job));
  SKY_GO(sky_job_plan(ctx, &job, &plan));
  if (common.json) {
    char *text = sky_json_text(ctx, plan, true);
    if (text == NULL)
      st = SKY_E_NOMEM;
    else
      fputs(text, stdout);
    sky_free(text);
  } else {
    print_plan(plan);
  }
cleanup:
  cJSON_Delete(plan);
  sky_job_close(&job);
  sky_job_args_free(&args);
  return st;
}
