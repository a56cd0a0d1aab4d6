/* plan.c: the plan of a job and the check of its outputs. */
#include "src/job/plan.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/stage.h"
#include "src/read/footprint.h"
#include "skyflux/problem.h"

static double input_bytes(const sky_stage *s) {
  double bytes = 0.0;
  struct stat info;
  for (size_t k = 0; k < s->n_inputs; k++)
    if (stat(s->inputs[k], &info) == 0) bytes += (double)info.st_size;
  return bytes;
}

/* A stage is up to date only if all before it are; their outputs are needed for its hash. */
static bool up_to_date(sky_context *ctx, const sky_job *job, sky_stage_list *list, size_t i,
                       const bool *done) {
  char hash[65];
  for (size_t k = 0; k < list->stage[i].n_after; k++)
    if (!done[list->stage[i].after[k]]) return false;
  const bool same = sky_stage_hash(ctx, job, list, i, hash) == SKY_OK &&
                    sky_stage_up_to_date(ctx, job, &list->stage[i], hash);
  sky_error_clear(ctx);
  return same;
}

/* Receptors of a stage's footprint files: the most observations that it can form. */
static sky_status count_receptors(sky_context *ctx, const sky_job *job, size_t *n) {
  const sky_node *items = sky_node_get(job->root, "footprints");
  *n = 0;
  for (size_t i = 0; items != NULL && i < sky_node_count(items); i++) {
    char **files = NULL;
    size_t n_files = 0;
    SKY_TRY(sky_job_files(ctx, sky_node_item(items, i), "files", &files, &n_files));
    sky_status st = SKY_OK;
    for (size_t k = 0; k < n_files && st == SKY_OK; k++) {
      sky_footprints f = {0};
      st = sky_footprints_read(ctx, files[k], &f);
      *n += f.n_receptors;
      sky_footprints_free(&f);
    }
    sky_file_list_free(files, n_files);
    SKY_TRY(st);
  }
  return SKY_OK;
}

static sky_status plan_inversion(sky_context *ctx, const sky_job *job, const sky_stage *s,
                                 size_t n_cell, size_t n_zones, cJSON *item) {
  const sky_node *node = sky_job_inversion(job, s->gas);
  const double step = sky_node_number(node, "time.step");
  const double span =
      sky_node_time(job->root, "period.end") - sky_node_time(job->root, "period.start");
  const double n_time = isnan(step) ? 1.0 : fmax(1.0, ceil(span / step));
  size_t n_obs = 0;
  cJSON_AddNumberToObject(item, "cells", (double)n_cell);
  if (sky_node_get(node, "information") != NULL) return SKY_OK;
  SKY_TRY(count_receptors(ctx, job, &n_obs));
  cJSON_AddNumberToObject(item, "time_steps", n_time);
  cJSON_AddNumberToObject(item, "observations_at_most", (double)n_obs);
  /* At most: every receptor observed, dense rows, an offset for each. */
  cJSON_AddNumberToObject(item, "memory_bytes",
                          sky_problem_bytes(n_obs, n_cell, (size_t)n_time,
                                            n_obs * n_cell * (size_t)n_time, n_obs, n_zones));
  return SKY_OK;
}

sky_status sky_job_plan(sky_context *ctx, const sky_job *job, cJSON **out) {
  sky_stage_list list = {0};
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  bool *done = NULL;
  cJSON *root = cJSON_CreateObject();
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_GO(sky_stages_build(ctx, job, &list));
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  SKY_GO_ALLOC(done, SKY_NEW0(ctx, bool, list.n));
  cJSON_AddStringToObject(root, "job", job->name);
  cJSON_AddStringToObject(root, "output", job->out);
  cJSON_AddNumberToObject(root, "nx", (double)mesh.patch[0].nx);
  cJSON_AddNumberToObject(root, "ny", (double)mesh.patch[0].ny);
  cJSON_AddNumberToObject(root, "zones", (double)zones.n);
  cJSON_AddNumberToObject(root, "memory_budget_bytes", (double)sky_context_memory(ctx));
  cJSON *stages = cJSON_AddArrayToObject(root, "stages");
  for (size_t i = 0; i < list.n; i++) {
    const sky_stage *s = &list.stage[i];
    cJSON *item = cJSON_CreateObject();
    cJSON_AddItemToArray(stages, item);
    done[i] = up_to_date(ctx, job, &list, i, done);
    cJSON_AddStringToObject(item, "stage", s->name);
    cJSON_AddStringToObject(item, "what", s->row->doc);
    cJSON_AddBoolToObject(item, "up_to_date", done[i]);
    cJSON_AddNumberToObject(item, "inputs", (double)s->n_inputs);
    cJSON_AddNumberToObject(item, "input_bytes", input_bytes(s));
    cJSON *outputs = cJSON_AddArrayToObject(item, "outputs");
    for (size_t k = 0; k < s->n_outputs; k++)
      cJSON_AddItemToArray(outputs, cJSON_CreateString(s->outputs[k]));
    if (strcmp(s->row->kind, "invert") == 0)
      SKY_GO(plan_inversion(ctx, job, s, mesh.n_cell, zones.n, item));
  }
  *out = root;
  root = NULL;
cleanup:
  cJSON_Delete(root);
  sky_free(done);
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
