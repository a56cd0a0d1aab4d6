/* plan.c: the plan of a job, and the check of its outputs.
 *
 * What a job can find out is known before it runs: DOFS, the errors before and after and what is
 * detectable depend on H, R, Q and B, not on the observed values. So the plan runs the stages up to
 * the inversion itself, in a scratch folder, and takes the numbers from their files: plan and run
 * cannot disagree. */
#include "src/job/plan.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/plan_gas.h"
#include "src/job/scratch.h"

/* Stages that only write down what the others found; their time is estimated. */
static bool tells_results(const sky_stage *s) {
  static const char *const kinds[] = {"columns", "compare", "fields", "report"};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    if (strcmp(s->row->kind, kinds[k]) == 0) return true;
  return false;
}

/* A stage is up to date only if all before it are; their outputs are needed for its hash. */
static bool up_to_date(sky_context *ctx, const sky_job *job, sky_stage_list *list, size_t i,
                       const sky_planned *plan) {
  char hash[65];
  for (size_t k = 0; k < list->stage[i].n_after; k++)
    if (plan[list->stage[i].after[k]].state != SKY_PLAN_UP_TO_DATE) return false;
  const bool same = sky_stage_hash(ctx, job, list, i, hash) == SKY_OK &&
                    sky_stage_up_to_date(ctx, job, &list->stage[i], hash);
  sky_error_clear(ctx);
  return same;
}

/* --- time ----------------------------------------------------------------------------------------
 *
 * Seconds of a result stage, fitted to runs of 1600 to 4 million cells on two cores of 2024: a
 * stage costs 20 ms, a raster 12 ms, a cell of a raster 0.15 us (a stage that writes none reads or
 * counts each cell once). */
static const char ESTIMATE[] =
    "estimated: 20 ms a stage, 12 ms a raster, 0.15 us a cell and raster; the others are measured";

static bool is_raster(const char *name) {
  const size_t n = strlen(name);
  return n > 4 && strcmp(name + n - 4, ".tif") == 0;
}

static double estimate(const sky_stage_list *list, size_t i, double cells) {
  const sky_stage *s = &list->stage[i];
  size_t own = 0, all = 0;
  for (size_t j = 0; j < list->n; j++)
    for (size_t k = 0; k < list->stage[j].n_outputs; k++)
      if (is_raster(list->stage[j].outputs[k])) {
        all++;
        own += j == i;
      }
  const bool draws = own > 0 || strcmp(s->row->kind, "report") == 0;
  return 0.02 + 0.012 * (double)own + 0.15e-6 * cells * (double)(draws && all > 0 ? all : 1);
}

/* --- the stages in scratch -----------------------------------------------------------------------
 */

static sky_status keep_failure(sky_context *ctx, sky_status st, sky_planned *p) {
  p->state = SKY_PLAN_FAILS;
  p->status = st;
  p->reason = sky_strdup(ctx, sky_error(ctx));
  sky_error_clear(ctx);
  return p->reason != NULL ? SKY_OK : SKY_E_NOMEM;
}

static bool is_blocked(const sky_stage *s, const sky_planned *plan) {
  for (size_t k = 0; k < s->n_after; k++)
    if (plan[s->after[k]].state == SKY_PLAN_FAILS || plan[s->after[k]].state == SKY_PLAN_BLOCKED)
      return true;
  return false;
}

/* A stage that cannot run is the finding of a plan; only a cancelled plan ends. */
static sky_status try_stage(sky_context *ctx, const sky_job *scratch, sky_stage_list *list,
                            size_t i, sky_planned *plan) {
  cJSON *log = cJSON_CreateArray();
  sky_status st = sky_stage_run(ctx, scratch, list, i, false, log);
  if (st == SKY_OK) {
    const cJSON *item = cJSON_GetArrayItem(log, 0);
    plan[i].state = SKY_PLAN_MADE;
    plan[i].seconds = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(item, "seconds"));
  } else if (st != SKY_E_CANCELLED) {
    st = keep_failure(ctx, st, &plan[i]);
  }
  cJSON_Delete(log);
  return st;
}

static sky_status run_in_scratch(sky_context *ctx, const sky_job *job, const sky_job *scratch,
                                 sky_stage_list *list, sky_planned *plan) {
  sky_log(ctx, SKY_LOG_INFO, "the stages that the plan needs run in %s", scratch->out);
  for (size_t i = 0; i < list->n; i++) {
    if (plan[i].state == SKY_PLAN_UP_TO_DATE)
      SKY_TRY(sky_scratch_lend(ctx, job, scratch, &list->stage[i]));
    else if (is_blocked(&list->stage[i], plan))
      plan[i].state = SKY_PLAN_BLOCKED;
    else if (!tells_results(&list->stage[i]))
      SKY_TRY(try_stage(ctx, scratch, list, i, plan));
  }
  return SKY_OK;
}

/* --- the document --------------------------------------------------------------------------------
 */

static void add_stage(cJSON *stages, const sky_stage *s, const sky_planned *p) {
  static const char *const states[] = {"to run", "up to date", "to run", "fails", "blocked"};
  cJSON *item = cJSON_CreateObject();
  cJSON_AddItemToArray(stages, item);
  cJSON_AddStringToObject(item, "stage", s->name);
  cJSON_AddStringToObject(item, "what", s->row->doc);
  cJSON_AddStringToObject(item, "state", states[p->state]);
  cJSON_AddBoolToObject(item, "up_to_date", p->state == SKY_PLAN_UP_TO_DATE);
  if (p->reason != NULL) cJSON_AddStringToObject(item, "reason", p->reason);
  cJSON_AddNumberToObject(item, "inputs", (double)s->n_inputs);
  cJSON_AddNumberToObject(item, "input_bytes", sky_plan_input_bytes(s));
  cJSON_AddNumberToObject(item, "seconds", p->seconds);
  cJSON_AddBoolToObject(item, "seconds_measured", p->state == SKY_PLAN_MADE);
  cJSON *outputs = cJSON_AddArrayToObject(item, "outputs");
  for (size_t k = 0; k < s->n_outputs; k++)
    cJSON_AddItemToArray(outputs, cJSON_CreateString(s->outputs[k]));
}

/* Seconds of every stage; NaN where a plan without scratch cannot know. */
static void add_times(const sky_stage_list *list, sky_planned *plan, double cells, cJSON *root) {
  double total = 0.0;
  for (size_t i = 0; i < list->n; i++) {
    if (plan[i].state == SKY_PLAN_UP_TO_DATE)
      plan[i].seconds = 0.0;
    else if (plan[i].state == SKY_PLAN_LATER)
      plan[i].seconds = tells_results(&list->stage[i]) ? estimate(list, i, cells) : NAN;
    else if (plan[i].state != SKY_PLAN_MADE)
      plan[i].seconds = NAN;
    total += plan[i].seconds;
  }
  cJSON_AddNumberToObject(root, "seconds", total);
  cJSON_AddStringToObject(root, "seconds_from", ESTIMATE);
}

/* What the run would end with: its first failure, or the granules that it had to leave out. */
static sky_status outcome(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                          const sky_planned *plan, const cJSON *gases) {
  double failed = 0.0;
  const cJSON *gas;
  for (size_t i = 0; i < list->n; i++)
    if (plan[i].state == SKY_PLAN_FAILS) return sky_fail(ctx, plan[i].status, "%s", plan[i].reason);
  cJSON_ArrayForEach(gas, gases) {
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(gas, "granules_failed");
    if (cJSON_IsNumber(n)) failed += n->valuedouble;
  }
  if (failed == 0.0) return SKY_OK;
  return sky_fail(ctx, SKY_E_PARTIAL, "%s: would finish without %.0f unreadable granules", job->out,
                  failed);
}

sky_status sky_job_plan(sky_context *ctx, const sky_job *job, bool quick, cJSON **out) {
  sky_stage_list list = {0};
  sky_job scratch = {0};
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_planned *plan = NULL;
  const char *gas[8];
  cJSON *root = cJSON_CreateObject();
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_GO(sky_job_check(ctx, job));
  SKY_GO(sky_stages_build(ctx, job, &list));
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  SKY_GO_ALLOC(plan, SKY_NEW0(ctx, sky_planned, list.n));
  for (size_t i = 0; i < list.n; i++)
    if (up_to_date(ctx, job, &list, i, plan)) plan[i].state = SKY_PLAN_UP_TO_DATE;
  if (!quick) {
    SKY_GO(sky_scratch_open(ctx, job, &scratch));
    SKY_GO(run_in_scratch(ctx, job, &scratch, &list, plan));
  }
  cJSON_AddStringToObject(root, "job", job->name);
  cJSON_AddStringToObject(root, "output", job->out);
  cJSON_AddBoolToObject(root, "quick", quick);
  cJSON_AddNumberToObject(root, "nx", (double)mesh.patch[0].nx);
  cJSON_AddNumberToObject(root, "ny", (double)mesh.patch[0].ny);
  cJSON_AddNumberToObject(root, "patches", (double)(mesh.n_patch - 1));
  cJSON_AddNumberToObject(root, "cells", (double)mesh.n_cell);
  cJSON_AddNumberToObject(root, "zones", (double)zones.n);
  cJSON_AddNumberToObject(root, "memory_budget_bytes", (double)sky_context_memory(ctx));
  add_times(&list, plan, (double)sky_grid_cells(&mesh.patch[0]), root);
  cJSON *stages = cJSON_AddArrayToObject(root, "stages");
  for (size_t i = 0; i < list.n; i++)
    add_stage(stages, &list.stage[i], &plan[i]);
  cJSON *gases = cJSON_AddArrayToObject(root, "gases");
  const size_t n_gases = sky_job_gases(job, gas);
  for (size_t g = 0; g < n_gases; g++)
    SKY_GO(sky_plan_gas(ctx, quick ? NULL : &scratch, &list, plan, gas[g], &zones, gases));
  *out = root;
  root = NULL;
  st = outcome(ctx, job, &list, plan, gases);
cleanup:
  sky_scratch_close(&scratch);
  cJSON_Delete(root);
  for (size_t i = 0; plan != NULL && i < list.n; i++)
    sky_free(plan[i].reason);
  sky_free(plan);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  sky_stages_free(&list);
  return st;
}

sky_status sky_outputs_verify(sky_context *ctx, const char *folder, cJSON **out) {
  char *path = sky_sprintf(ctx, "%s/run.json", folder), *text = NULL;
  size_t length = 0, files = 0;
  cJSON *run = NULL, *root = NULL;
  const cJSON *item;
  sky_status st = SKY_OK;
  *out = NULL;
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_file_read_text(ctx, path, &text, &length));
  run = cJSON_ParseWithLength(text, length);
  const cJSON *outputs = cJSON_GetObjectItemCaseSensitive(run, "outputs");
  if (!cJSON_IsObject(outputs)) {
    st = sky_fail(ctx, SKY_E_READ, "%s: is not the run.json of a job (no outputs)", path);
    goto cleanup;
  }
  root = cJSON_CreateObject();
  cJSON *changed = cJSON_CreateArray(), *missing = cJSON_CreateArray();
  cJSON_ArrayForEach(item, outputs) {
    char sum[65], *file = sky_sprintf(ctx, "%s/%s", folder, item->string);
    if (file == NULL || !cJSON_IsString(item)) {
      sky_free(file);
      continue;
    }
    files++;
    if (!sky_file_exists(file))
      cJSON_AddItemToArray(missing, cJSON_CreateString(item->string));
    else if (sky_file_sha256(ctx, file, sum) != SKY_OK || strcmp(sum, item->valuestring) != 0)
      cJSON_AddItemToArray(changed, cJSON_CreateString(item->string));
    sky_free(file);
  }
  cJSON_AddNumberToObject(root, "files", (double)files);
  cJSON_AddItemToObject(root, "changed", changed);
  cJSON_AddItemToObject(root, "missing", missing);
  *out = root;
cleanup:
  cJSON_Delete(run);
  sky_free(text);
  sky_free(path);
  return st;
}
