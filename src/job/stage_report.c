/* stage_report.c: report.html for people, run.json for programs. Both are built from files of
 * the stages before and from nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/fields.h"
#include "src/job/report_words.h"
#include "src/job/stage.h"
#include "src/write/json_out.h"
#include "src/write/report.h"

/* Facts of every stage before this one, in stage order, and what this one says itself. */
typedef struct all_facts {
  size_t n_stages;
  sky_facts *stage;
  char (*name)[SKY_STAGE_NAME];
  sky_facts own;
  size_t n;
  sky_report_fact *fact; /* own first; points into own and stage[] */
} all_facts;

static void all_facts_free(all_facts *a) {
  for (size_t i = 0; i < a->n_stages; i++)
    sky_facts_free(&a->stage[i]);
  sky_facts_free(&a->own);
  sky_free(a->stage);
  sky_free(a->name);
  sky_free(a->fact);
}

static sky_status collect(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                          size_t self, all_facts *a) {
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(a->stage, SKY_NEW0(ctx, sky_facts, self));
  SKY_GO_ALLOC(a->name, sky_calloc(ctx, self, sizeof *a->name));
  for (size_t i = 0; i < self; i++) {
    SKY_GO(sky_facts_read(ctx, job, list->stage[i].name, &a->stage[i]));
    snprintf(a->name[i], sizeof a->name[i], "%s", list->stage[i].name);
    a->n_stages = i + 1;
  }
  SKY_GO(sky_facts_create(ctx, &a->own));
cleanup:
  return st;
}

static const cJSON *sentences(const sky_facts *f) {
  return cJSON_GetObjectItemCaseSensitive(f->root, "facts");
}

static const char *text_of(const cJSON *item, const char *key) {
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, key));
}

static void add_sentences(const sky_facts *f, all_facts *a) {
  const cJSON *item;
  cJSON_ArrayForEach(item, sentences(f)) a->fact[a->n++] =
      (sky_report_fact){text_of(item, "section"), text_of(item, "label"), text_of(item, "value")};
}

static sky_status list_facts(sky_context *ctx, all_facts *a) {
  size_t n = (size_t)cJSON_GetArraySize(sentences(&a->own));
  for (size_t i = 0; i < a->n_stages; i++)
    n += (size_t)cJSON_GetArraySize(sentences(&a->stage[i]));
  a->fact = SKY_NEW0(ctx, sky_report_fact, n);
  if (a->fact == NULL) return SKY_E_NOMEM;
  add_sentences(&a->own, a);
  for (size_t i = 0; i < a->n_stages; i++)
    add_sentences(&a->stage[i], a);
  return SKY_OK;
}

/* The facts of stage "kind-gas" or "kind", NULL if the job has none. */
static const sky_facts *facts_of(const all_facts *a, const char *kind, const char *gas) {
  char name[SKY_STAGE_NAME];
  snprintf(name, sizeof name, "%s%s%s", kind, gas != NULL ? "-" : "", gas != NULL ? gas : "");
  for (size_t i = 0; i < a->n_stages; i++)
    if (strcmp(a->name[i], name) == 0) return &a->stage[i];
  return NULL;
}

/* --- report.html
 * ---------------------------------------------------------------------------------- */

/* What the map calls a kind of field, in the order of the choice. */
static const struct {
  const char *kind, *title;
  bool diverging;
} TITLES[] = {{"posterior", "Top-down flux", false},
              {"prior", "Prior flux", false},
              {"increment", "Top-down minus prior", true},
              {"posterior_sd", "Standard deviation of the top-down flux", false},
              {"posterior_ak", "How much the observations see (averaging kernel)", false},
              {"sink_posterior", "Ecosystems, top-down", true},
              {"sink_prior", "Ecosystems, prior", true},
              {"sink_posterior_sd", "Standard deviation of the ecosystems' flux", false},
              {"sector_posterior", NULL, false}, /* its own long name */
              {"sector_prior", NULL, false},
              {"column", "Observed column", false},
              {"column_sd", "Standard deviation of the column", false},
              {"column_count", "Number of soundings", false}};
#define N_TITLES (sizeof TITLES / sizeof *TITLES)

static size_t title_of(const char *kind) {
  size_t k = 0;
  while (k < N_TITLES && strcmp(TITLES[k].kind, kind) != 0)
    k++;
  return k;
}

/* The layers of one gas and kind, field by field: on the grid (fields[0]), then on the patches. */
static size_t add_layers(const sky_fields *fields, size_t n_fields, const char *gas, size_t k,
                         sky_report_layer *layer) {
  const size_t prefix = strlen(gas);
  size_t n = 0;
  for (size_t b = 0; b < fields[0].n; b++) {
    const char *name = fields[0].field[b].name;
    if (strncmp(name, gas, prefix) != 0 || name[prefix] != '_' || title_of(fields[0].kind[b]) != k)
      continue;
    for (size_t p = 0; p < n_fields; p++)
      for (size_t i = 0; i < fields[p].n; i++) {
        const sky_fields *f = &fields[p];
        if (strcmp(f->field[i].name, name) != 0) continue;
        layer[n++] = (sky_report_layer){
            .gas = gas,
            .title = TITLES[k].title != NULL ? TITLES[k].title : fields[0].long_name[b],
            .unit = f->field[i].unit,
            .grid = &f->grid,
            .value = f->field[i].value,
            .diverging = TITLES[k].diverging};
      }
  }
  return n;
}

/* Gas by gas, kinds in the order of TITLES. */
static size_t layers_of(const sky_job *job, const sky_fields *fields, size_t n_fields,
                        sky_report_layer *layer) {
  const char *gases[8];
  const size_t n_gases = sky_job_gases(job, gases);
  size_t n = 0;
  for (size_t g = 0; g < n_gases; g++)
    for (size_t k = 0; k < N_TITLES; k++)
      n += add_layers(fields, n_fields, gases[g], k, layer + n);
  return n;
}

static sky_status say(sky_context *ctx, const sky_job *job, all_facts *a, const sky_report *r,
                      char **text, sky_report_headline *headline) {
  const char *gases[8];
  const size_t n = sky_job_gases(job, gases);
  for (size_t g = 0; g < n; g++) {
    const sky_gas_facts gas = {gases[g], facts_of(a, "soundings", gases[g]),
                               facts_of(a, "invert", gases[g])};
    text[g] = sky_words_headline(ctx, r, &gas);
    if (text[g] == NULL) return SKY_E_NOMEM;
    headline[g] = (sky_report_headline){gases[g], text[g]};
    sky_words_diagnose(&a->own, r, &gas);
  }
  const sky_facts *account = facts_of(a, "account", NULL);
  if (account != NULL) sky_words_account(&a->own, account);
  return SKY_OK;
}

/* The fields on the job's grid and on each patch. */
static sky_status load_fields(sky_context *ctx, const sky_job *job, size_t n, sky_fields *fields) {
  SKY_TRY(sky_fields_load(ctx, job, &fields[0]));
  for (size_t p = 1; p < n; p++)
    SKY_TRY(sky_fields_load_patch(ctx, job, p, &fields[p]));
  return SKY_OK;
}

static sky_status write_report(sky_context *ctx, const sky_job *job, all_facts *a,
                               const sky_zone_row *rows, size_t n_rows) {
  sky_fields *fields = NULL;
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_report_layer *layer = NULL;
  sky_report_headline headline[8];
  const char *gases[8];
  char *path = NULL, *subtitle = NULL, *text[8] = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO_ALLOC(fields, SKY_NEW0(ctx, sky_fields, mesh.n_patch));
  SKY_GO_ALLOC(layer, SKY_NEW(ctx, sky_report_layer, SKY_FIELDS_MAX * mesh.n_patch));
  SKY_GO(load_fields(ctx, job, mesh.n_patch, fields));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  SKY_GO_ALLOC(subtitle, sky_sprintf(ctx, "job %s, skyflux %s, job hash %.12s", job->name,
                                     SKYFLUX_VERSION, job->hash));
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, "report.html"));
  const char *title = sky_node_text(job->root, "report.title");
  sky_report report = {.title = title != NULL ? title : job->title,
                       .subtitle = subtitle,
                       .crs = mesh.patch[0].geographic ? NULL : mesh.patch[0].crs,
                       .layers = layer,
                       .n_layers = layers_of(job, fields, mesh.n_patch, layer),
                       .zones = &zones,
                       .rows = rows,
                       .n_rows = n_rows,
                       .headlines = headline,
                       .n_headlines = sky_job_gases(job, gases)};
  SKY_GO(say(ctx, job, a, &report, text, headline));
  SKY_GO(list_facts(ctx, a));
  report.facts = a->fact;
  report.n_facts = a->n;
  SKY_GO(sky_report_write(ctx, path, &report));
cleanup:
  sky_free(path);
  sky_free(subtitle);
  for (size_t g = 0; g < 8; g++)
    sky_free(text[g]);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  for (size_t p = 0; fields != NULL && p < mesh.n_patch; p++)
    sky_fields_free(&fields[p]);
  sky_free(fields);
  sky_free(layer);
  sky_mesh_free(&mesh);
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
  char *csv = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_stages_build(ctx, job, &list));
  const size_t self = list.n - 1;
  SKY_GO(collect(ctx, job, &list, self, &a));
  SKY_GO_ALLOC(csv, sky_job_path(ctx, job, "zones.csv"));
  SKY_GO(sky_zone_table_read(ctx, csv, &rows, &n_rows));
  SKY_GO(write_report(ctx, job, &a, rows, n_rows));
  SKY_GO(sky_facts_write(&a.own, job, stage->name));
  SKY_GO(write_run_json(ctx, job, &list, self, &a));
cleanup:
  sky_free(csv);
  sky_zone_rows_free(rows, n_rows);
  all_facts_free(&a);
  sky_stages_free(&list);
  return st;
}
