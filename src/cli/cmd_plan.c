/* cmd_plan.c: `skyflux plan JOB`: what would run, and what it could find out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/job_args.h"
#include "src/core/memory.h"
#include "src/job/plan.h"
#include "src/write/json_out.h"

static const sky_cli_option OPTIONS[] = {
    SKY_SET_OPTION,
    {"quick", 0, NULL, "compute nothing: no counts, no degrees of freedom, no zones"},
    {NULL, 0, NULL, NULL}};

static const sky_cli_spec SPEC = {
    "plan", "JOB [options]",
    "what a job would read, compute, find out and write; leaves its folder alone",
    "skyflux plan tests/real/harwell.yaml --set data=../shared/data", OPTIONS};

typedef struct plan_args {
  sky_job_args job;
  bool quick;
} plan_args;

static sky_status handle_option(sky_context *ctx, void *user, const char *name, const char *value) {
  plan_args *args = user;
  if (strcmp(name, "quick") != 0) return sky_job_args_option(ctx, &args->job, name, value);
  args->quick = true;
  return SKY_OK;
}

static const cJSON *get(const cJSON *item, const char *key) {
  return cJSON_GetObjectItemCaseSensitive(item, key);
}

static const char *text(const cJSON *item, const char *key) {
  return cJSON_GetStringValue(get(item, key));
}

/* NaN if there is none. */
static double number(const cJSON *item, const char *key) {
  const cJSON *value = get(item, key);
  return cJSON_IsNumber(value) ? value->valuedouble : NAN;
}

static void cell(int width, double v) {
  if (isfinite(v))
    printf("  %*.4g", width, v);
  else
    printf("  %*s", width, isinf(v) ? "none" : "-");
}

/* --- one gas -------------------------------------------------------------------------------------
 */

static void print_zones(const cJSON *gas) {
  static const struct {
    const char *key, *head[2];
    double scale;
    int width;
  } columns[] = {{"prior_t_yr", {"prior", "t/yr"}, 1, 10},
                 {"prior_sd_t_yr", {"prior sd", "t/yr"}, 1, 10},
                 {"posterior_sd_t_yr", {"sd after", "t/yr"}, 1, 10},
                 {"reduction", {"variance", "falls %"}, 100, 9},
                 {"dofs", {"DOFS", ""}, 1, 9},
                 {"detectable_t_yr", {"detectable", "t/yr"}, 1, 10},
                 {"detectable_percent", {"detectable", "% of prior"}, 1, 10},
                 {"detectable_inventory_error_t_yr", {"inventory", "error t/yr"}, 1, 10},
                 {"sink_t_yr", {"sink", "t/yr"}, 1, 10},
                 {"sink_sd_t_yr", {"sink sd", "t/yr"}, 1, 10},
                 {"sink_posterior_sd_t_yr", {"sd after", "t/yr"}, 1, 10},
                 {"net_posterior_sd_t_yr", {"net sd", "after"}, 1, 10}};
  const bool sink = get(cJSON_GetArrayItem(get(gas, "zones"), 0), "sink_t_yr") != NULL;
  const size_t n = sizeof columns / sizeof *columns - (sink ? 0 : 4);
  const cJSON *zone;
  for (size_t line = 0; line < 2; line++) {
    printf("  %-14s", line == 0 ? "zone" : "");
    for (size_t k = 0; k < n; k++)
      printf("  %*s", columns[k].width, columns[k].head[line]);
    printf("\n");
  }
  cJSON_ArrayForEach(zone, get(gas, "zones")) {
    printf("  %-14.14s", text(zone, "zone"));
    for (size_t k = 0; k < n; k++)
      cell(columns[k].width, columns[k].scale * number(zone, columns[k].key));
    printf("\n");
  }
  printf(
      "  detectable: smallest true change of the total told from noise, 80 %% power, two-sided 5 "
      "%%\n"
      "  inventory error: the same for the inventory with its own error, before inflation "
      "for misfit\n");
}

static void print_problem(const cJSON *gas) {
  const double observations = number(gas, "observations");
  printf("  problem: ");
  if (!isnan(observations))
    printf(
        "%.0f observations, %.0f unknowns in %.0f time step%s, %.0f background offsets, %.3g MB\n",
        observations, number(gas, "state"), number(gas, "time_steps"),
        number(gas, "time_steps") == 1 ? "" : "s", number(gas, "offsets"),
        number(gas, "memory_bytes") / 1e6);
  else
    printf("ready-made information, %.0f unknowns\n", number(gas, "state"));
  if (isnan(number(gas, "dofs"))) {
    printf("  degrees of freedom for signal: only a Gaussian posterior has them\n");
    return;
  }
  printf("  degrees of freedom for signal: %.4g", number(gas, "dofs"));
  if (!isnan(number(gas, "dofs_background")))
    printf(", and %.4g of the background", number(gas, "dofs_background"));
  printf("\n");
}

static void print_gas(const cJSON *gas) {
  const cJSON *sentence;
  printf("\n%s: ", text(gas, "formula"));
  if (number(gas, "files") > 0)
    printf("%.0f files of soundings, %.2f MB\n", number(gas, "files"), number(gas, "bytes") / 1e6);
  else
    printf("no soundings\n");
  cJSON_ArrayForEach(sentence, get(gas, "found")) printf("  %s\n", cJSON_GetStringValue(sentence));
  if (text(gas, "failed") != NULL)
    printf("  fails: %s\n", text(gas, "failed"));
  else if (!cJSON_IsTrue(get(gas, "inverted")))
    printf("  not inverted: the job has no inversion with a prior and footprints for it\n");
  else if (get(gas, "zones") != NULL) {
    print_problem(gas);
    print_zones(gas);
  }
}

/* --- the whole -----------------------------------------------------------------------------------
 */

static void print_stages(const cJSON *plan) {
  const cJSON *s, *o, *stages = get(plan, "stages");
  printf("%-24s  %-10s  %6s  %9s  %8s  %s\n", "stage", "state", "inputs", "MB", "seconds", "what");
  cJSON_ArrayForEach(s, stages) {
    printf("%-24s  %-10s  %6.0f  %9.2f", text(s, "stage"), text(s, "state"), number(s, "inputs"),
           number(s, "input_bytes") / 1e6);
    if (isnan(number(s, "seconds")))
      printf("  %8s", "-");
    else
      printf("  %8.2f", number(s, "seconds"));
    printf("  %s\n", text(s, "what"));
  }
  if (!isnan(number(plan, "seconds")))
    printf("about %.2g s in all; columns, compare, fields and report are %s\n",
           number(plan, "seconds"), text(plan, "seconds_from"));
  printf("\nwrites:\n");
  cJSON_ArrayForEach(s, stages) cJSON_ArrayForEach(o, get(s, "outputs"))
      printf("  %s\n", cJSON_GetStringValue(o));
}

static void print_plan(const cJSON *plan) {
  const cJSON *gas;
  printf("job %s -> %s\ngrid %.0f x %.0f cells", text(plan, "job"), text(plan, "output"),
         number(plan, "nx"), number(plan, "ny"));
  if (number(plan, "patches") > 0)
    printf(" with %.0f patches, %.0f cells in all", number(plan, "patches"), number(plan, "cells"));
  printf(", %.0f zones, memory budget %.1f GB\n", number(plan, "zones"),
         number(plan, "memory_budget_bytes") / 1e9);
  cJSON_ArrayForEach(gas, get(plan, "gases")) print_gas(gas);
  printf("\n");
  if (cJSON_IsTrue(get(plan, "quick")))
    printf("--quick: counts, degrees of freedom and zones were not computed\n\n");
  print_stages(plan);
}

sky_status sky_cmd_plan(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  plan_args args = {0};
  sky_job job = {0};
  cJSON *plan = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_cli_parse(ctx, &SPEC, argc, argv, handle_option, &args, &common));
  if (common.help_shown) goto cleanup;
  SKY_GO(sky_job_args_open(ctx, &common, &args.job, "plan", &job));
  st = sky_job_plan(ctx, &job, args.quick, &plan);
  if (plan != NULL && common.json) {
    char *document = sky_json_text(ctx, plan, true);
    if (document == NULL)
      st = SKY_E_NOMEM;
    else
      fputs(document, stdout);
    sky_free(document);
  } else if (plan != NULL) {
    print_plan(plan);
  }
cleanup:
  cJSON_Delete(plan);
  sky_job_close(&job);
  sky_job_args_free(&args.job);
  return st;
}
