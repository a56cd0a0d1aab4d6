/* stage_report.c: report.html for people, run.json for programs. Both are built from files of
 * the stages before and from nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/fields.h"
#include "src/job/stage.h"
#include "src/write/json_out.h"
#include "src/write/report.h"

/* Facts of every stage before this one, in stage order. */
typedef struct all_facts {
  size_t n_stages;
  sky_facts *stage;
  char (*name)[SKY_STAGE_NAME];
  size_t n;
  sky_report_fact *fact; /* points into stage[] */
} all_facts;

static void all_facts_free(all_facts *a) {
  for (size_t i = 0; i < a->n_stages; i++)
    sky_facts_free(&a->stage[i]);
  sky_free(a->stage);
  sky_free(a->name);
  sky_free(a->fact);
}

static const char *text_of(const cJSON *item, const char *key) {
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, key));
}

static sky_status collect(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                          size_t self, all_facts *a) {
  const cJSON *item;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(a->stage, SKY_NEW0(ctx, sky_facts, self));
  SKY_GO_ALLOC(a->name, sky_calloc(ctx, self, sizeof *a->name));
  for (size_t i = 0; i < self; i++) {
    SKY_GO(sky_facts_read(ctx, job, list->stage[i].name, &a->stage[i]));
    snprintf(a->name[i], sizeof a->name[i], "%s", list->stage[i].name);
    a->n_stages = i + 1;
    a->n += (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(a->stage[i].root, "facts"));
  }
  SKY_GO_ALLOC(a->fact, SKY_NEW0(ctx, sky_report_fact, a->n));
  size_t k = 0;
  for (size_t i = 0; i < self; i++)
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(a->stage[i].root, "facts"))
        a->fact[k++] =
        (sky_report_fact){text_of(item, "section"), text_of(item, "label"), text_of(item, "value")};
cleanup:
  return st;
}

/* --- the summary
 * ---------------------------------------------------------------------------------- */

static size_t count_status(const sky_zone_row *rows, size_t n, const char *gas,
                           const char *status) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++)
    count += strcmp(rows[i].gas, gas) == 0 && strcmp(rows[i].status, status) == 0;
  return count;
}

/* The facts of stage "kind-gas", NULL if the job has none. */
static const sky_facts *facts_of(const all_facts *a, const char *kind, const char *gas) {
  char name[SKY_STAGE_NAME];
  snprintf(name, sizeof name, "%s-%s", kind, gas);
  for (size_t i = 0; i < a->n_stages; i++)
    if (strcmp(a->name[i], name) == 0) return &a->stage[i];
  return NULL;
}

static void summarise_gas(FILE *out, const char *gas, const all_facts *a, const sky_zone_row *rows,
                          size_t n) {
  static const char *const words[][2] = {
      {"higher", "the atmosphere shows significantly more than the inventory"},
      {"lower", "the atmosphere shows significantly less than the inventory"},
      {"consistent",
       "inventory and atmosphere agree within their errors (which does not verify the "
       "inventory)"},
      {"model misfit", "the model cannot explain the observations, so nothing is concluded"},
      {"insufficient information", "the observations say too little to judge the inventory"},
      {"not comparable", "there is nothing to compare"},
  };
  const char *formula = sky_species_find(gas)->formula;
  const sky_facts *invert = facts_of(a, "invert", gas), *seen = facts_of(a, "soundings", gas);
  if (invert == NULL) {
    fprintf(out, "%s: no flux is claimed.", formula);
  } else {
    const double obs = sky_facts_number(invert, "observations");
    const double dofs = sky_facts_number(invert, "dofs");
    fprintf(out, "%s: ", formula);
    if (obs > 0)
      fprintf(out, "%.0f observations ", obs);
    else
      fprintf(out, "the ready-made information ");
    fprintf(out, "%s %.2g independent piece%s of information about the fluxes.",
            obs > 1 ? "carry" : "carries", dofs, dofs == 1.0 ? "" : "s");
    if (seen != NULL)
      fprintf(out,
              " Top-down totals are rates of the sampled period only (%.10s to %.10s), written per "
              "year; they say nothing about the rest of the year.",
              sky_facts_text(seen, "first"), sky_facts_text(seen, "last"));
  }
  for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
    const size_t count = count_status(rows, n, gas, words[k][0]);
    if (count > 0) fprintf(out, " In %zu zone%s: %s.", count, count == 1 ? "" : "s", words[k][1]);
  }
  fputc('\n', out);
}

static char *summary_of(sky_context *ctx, const sky_job *job, const all_facts *a,
                        const sky_zone_row *rows, size_t n) {
  const char *gases[8];
  const size_t n_gases = sky_job_gases(job, gases);
  char *buffer = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&buffer, &size);
  if (out == NULL) return NULL;
  for (size_t g = 0; g < n_gases; g++)
    summarise_gas(out, gases[g], a, rows, n);
  fclose(out);
  char *text = sky_strdup(ctx, buffer);
  free(buffer); /* open_memstream's own allocation */
  return text;
}

/* --- report.html
 * ---------------------------------------------------------------------------------- */

static sky_status write_report(sky_context *ctx, const sky_job *job, const all_facts *a,
                               const sky_zone_row *rows, size_t n_rows) {
  sky_fields fields = {0};
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_report_layer layer[SKY_FIELDS_MAX];
  char *path = NULL, *summary = NULL, *subtitle = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_fields_load(ctx, job, &fields));
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  for (size_t i = 0; i < fields.n; i++)
    layer[i] = (sky_report_layer){.title = fields.field[i].long_name,
                                  .unit = fields.field[i].unit,
                                  .value = fields.field[i].value,
                                  .diverging = strcmp(fields.kind[i], "increment") == 0};
  SKY_GO_ALLOC(summary, summary_of(ctx, job, a, rows, n_rows));
  SKY_GO_ALLOC(subtitle, sky_sprintf(ctx, "job %s, skyflux %s, job hash %.12s", job->name,
                                     SKYFLUX_VERSION, job->hash));
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, "report.html"));
  const char *title = sky_node_text(job->root, "report.title");
  const sky_report report = {.title = title != NULL ? title : job->title,
                             .subtitle = subtitle,
                             .grid = &fields.grid,
                             .layers = layer,
                             .n_layers = fields.n,
                             .zones = &zones,
                             .rows = rows,
                             .n_rows = n_rows,
                             .facts = a->fact,
                             .n_facts = a->n,
                             .summary = summary};
  SKY_GO(sky_report_write(ctx, path, &report));
cleanup:
  sky_free(path);
  sky_free(summary);
  sky_free(subtitle);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  sky_fields_free(&fields);
  return st;
}

/* --- run.json
 * -------------------------------------------------------------------------------------- */

/* Files of one name in two folders stand both, as long as they differ. */
static sky_status add_checksum(sky_context *ctx, cJSON *map, const char *name, const char *path) {
  char sum[65];
  const cJSON *item;
  SKY_TRY(sky_file_sha256(ctx, path, sum));
  cJSON_ArrayForEach(item, map) if (strcmp(item->string, name) == 0 &&
                                    strcmp(item->valuestring, sum) == 0) return SKY_OK;
  cJSON_AddStringToObject(map, name, sum);
  return SKY_OK;
}

static sky_status add_files(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                            size_t self, cJSON *root) {
  cJSON *inputs = cJSON_AddObjectToObject(root, "inputs");
  cJSON *outputs = cJSON_AddObjectToObject(root, "outputs");
  for (size_t i = 0; i <= self; i++) {
    const sky_stage *s = &list->stage[i];
    for (size_t k = 0; k < s->n_inputs; k++)
      SKY_TRY(add_checksum(ctx, inputs, sky_file_base(s->inputs[k]), s->inputs[k]));
    for (size_t k = 0; k < s->n_outputs; k++) {
      if (strcmp(s->outputs[k], "run.json") == 0) continue;
      char *path = sky_job_path(ctx, job, s->outputs[k]);
      if (path == NULL) return SKY_E_NOMEM;
      const sky_status st = add_checksum(ctx, outputs, s->outputs[k], path);
      sky_free(path);
      SKY_TRY(st);
    }
  }
  return SKY_OK;
}

static sky_status write_run_json(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                                 size_t self, const all_facts *a) {
  cJSON *root = cJSON_CreateObject(), *stages;
  char *path = sky_job_path(ctx, job, "run.json");
  char *canonical = sky_jobfile_canonical(ctx, job->file, NULL, 0), *save = NULL;
  sky_status st = SKY_OK;
  if (path == NULL || canonical == NULL || root == NULL) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  cJSON_AddStringToObject(root, "program", "skyflux");
  cJSON_AddStringToObject(root, "version", SKYFLUX_VERSION);
  cJSON_AddStringToObject(root, "job", job->name);
  cJSON_AddStringToObject(root, "title", job->title);
  cJSON_AddStringToObject(root, "job_sha256", job->hash);
  cJSON *lines = cJSON_AddArrayToObject(root, "resolved_job");
  for (char *p = strtok_r(canonical, "\n", &save); p != NULL; p = strtok_r(NULL, "\n", &save))
    cJSON_AddItemToArray(lines, cJSON_CreateString(p));
  stages = cJSON_AddArrayToObject(root, "stages");
  for (size_t i = 0; i < a->n_stages; i++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "stage", a->name[i]);
    cJSON_AddItemToObject(
        item, "numbers",
        cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(a->stage[i].root, "numbers"), true));
    cJSON_AddItemToArray(stages, item);
  }
  cJSON *warnings = cJSON_AddArrayToObject(root, "warnings");
  for (size_t i = 0; i < a->n; i++) {
    if (strcmp(a->fact[i].section, "warnings") != 0) continue;
    char *line = sky_sprintf(ctx, "%s: %s", a->fact[i].label, a->fact[i].value);
    cJSON_AddItemToArray(warnings, cJSON_CreateString(line != NULL ? line : ""));
    sky_free(line);
  }
  SKY_GO(add_files(ctx, job, list, self, root));
  SKY_GO(sky_json_write(ctx, path, root));
cleanup:
  cJSON_Delete(root);
  sky_free(path);
  sky_free(canonical);
  return st;
}

sky_status sky_stage_report(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  sky_stage_list list = {0};
  all_facts a = {0};
  sky_zone_row *rows = NULL;
  size_t n_rows = 0;
  sky_facts own = {0};
  char *csv = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_create(ctx, &own));
  SKY_GO(sky_stages_build(ctx, job, &list));
  const size_t self = list.n - 1;
  SKY_GO(collect(ctx, job, &list, self, &a));
  SKY_GO_ALLOC(csv, sky_job_path(ctx, job, "zones.csv"));
  SKY_GO(sky_zone_table_read(ctx, csv, &rows, &n_rows));
  SKY_GO(write_report(ctx, job, &a, rows, n_rows));
  SKY_GO(sky_facts_write(&own, job, stage->name));
  SKY_GO(write_run_json(ctx, job, &list, self, &a));
cleanup:
  sky_free(csv);
  sky_zone_rows_free(rows, n_rows);
  all_facts_free(&a);
  sky_facts_free(&own);
  sky_stages_free(&list);
  return st;
}
