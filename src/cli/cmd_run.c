/* cmd_run.c: `skyflux run JOB`: run what is not up to date, then print the zone table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/job_args.h"
#include "src/cli/run_table.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/stage.h"
#include "src/write/json_out.h"
#include "src/write/zone_table.h"

static const sky_cli_option OPTIONS[] = {
    SKY_SET_OPTION,
    {"truth", 0, "FILE", "table of what is true, of an invented scene: print it beside the result"},
    {"stage", 0, "NAME", "stop after this stage (names: skyflux plan JOB)"},
    {"resume", 0, NULL, "reuse finished stages (the default)"},
    {"fresh", 0, NULL, "ignore finished stages and run everything"},
    {NULL, 0, NULL, NULL}};

static const sky_cli_spec SPEC = {
    "run", "JOB [options]", "run a job; resumes what a killed run left",
    "skyflux run tests/real/permian.yaml --set data=../shared/data", OPTIONS};

static void add_number(cJSON *item, const char *key, double v) {
  if (isfinite(v))
    cJSON_AddNumberToObject(item, key, v);
  else
    cJSON_AddNullToObject(item, key);
}

static sky_status print_json(sky_context *ctx, const sky_job *job, const sky_zone_row *rows,
                             size_t n) {
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "job", job->name);
  cJSON_AddStringToObject(root, "output", job->out);
  cJSON *zones = cJSON_AddArrayToObject(root, "zones");
  for (size_t i = 0; i < n; i++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "zone", rows[i].zone_id);
    cJSON_AddStringToObject(item, "gas", rows[i].gas);
    add_number(item, "prior_t_per_year", rows[i].prior);
    add_number(item, "posterior_t_per_year", rows[i].posterior);
    add_number(item, "posterior_sd_t_per_year", rows[i].posterior_sd);
    add_number(item, "inventory_t_per_year", rows[i].inventory);
    cJSON_AddStringToObject(item, "status", rows[i].status);
    cJSON_AddStringToObject(item, "reason", rows[i].reason);
    cJSON_AddItemToArray(zones, item);
  }
  char *text = sky_json_text(ctx, root, true);
  cJSON_Delete(root);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status print_results(sky_context *ctx, const sky_job *job, bool json,
                                const sky_table *truth) {
  sky_zone_row *rows = NULL;
  size_t n = 0;
  char *csv = sky_job_path(ctx, job, "zones.csv");
  sky_status st = SKY_OK;
  if (csv == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_zone_table_read(ctx, csv, &rows, &n));
  if (json) {
    SKY_GO(print_json(ctx, job, rows, n));
  } else {
    SKY_GO(sky_run_table_print(ctx, rows, n, truth));
    printf("report: %s/report.html\nGeoTIFFs, zones.csv, zones.gpkg, fields.nc: %s\n", job->out,
           job->out);
  }
cleanup:
  sky_free(csv);
  sky_zone_rows_free(rows, n);
  return st;
}

static char *join(sky_context *ctx, int argc, char **argv) {
  char *text = sky_strdup(ctx, "skyflux");
  for (int i = 0; i < argc && text != NULL; i++) {
    char *grown = sky_sprintf(ctx, "%s %s", text, argv[i]);
    sky_free(text);
    text = grown;
  }
  return text;
}

sky_status sky_cmd_run(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  sky_job_args args = {0};
  sky_job job = {0};
  sky_table *truth = NULL;
  char *command = NULL;
  sky_status st = SKY_OK, partial = SKY_OK;
  SKY_GO(sky_cli_parse(ctx, &SPEC, argc, argv, sky_job_args_option, &args, &common));
  if (common.help_shown) goto cleanup;
  SKY_GO(sky_job_args_open(ctx, &common, &args, "run", &job));
  if (args.truth != NULL) SKY_GO(sky_truth_read(ctx, args.truth, &truth));
  SKY_GO_ALLOC(command, join(ctx, argc, argv));
  const sky_run_options opt = {.fresh = args.fresh, .only = args.only, .command = command};
  st = sky_job_run(ctx, &job, &opt);
  if (st == SKY_E_PARTIAL) partial = st;
  if ((st == SKY_OK || st == SKY_E_PARTIAL) && args.only == NULL)
    st = print_results(ctx, &job, common.json, truth);
  if (st == SKY_OK) st = partial;
cleanup:
  sky_table_free(truth);
  sky_free(command);
  sky_job_close(&job);
  sky_job_args_free(&args);
  return st;
}
