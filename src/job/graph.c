/* graph.c: which stages a job needs, in order. The one place that knows the shape of the chain:
 *
 *   account (activity tables, once)
 *   soundings-GAS -> columns-GAS ------------------------------.
 *   inventory-ID  -> footprint-GAS -> invert-GAS -> compare -> fields -> report
 *   sink-ID       -'                                                                       */
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/job_flux.h"
#include "src/job/sink_entry.h"
#include "src/job/stage.h"
#include "src/read/zones_ogr.h"

const sky_stage_kind *sky_stage_kinds(size_t *n) {
  static const sky_stage_kind kinds[] = {
#define SKY_STAGE(kind, function, sections, doc) {#kind, function, sections, doc},
#include "src/job/stages.def"
#undef SKY_STAGE
  };
  *n = sizeof kinds / sizeof kinds[0];
  return kinds;
}

static const sky_stage_kind *kind_of(const char *name) {
  size_t n;
  const sky_stage_kind *kinds = sky_stage_kinds(&n);
  for (size_t i = 0; i < n; i++)
    if (strcmp(kinds[i].kind, name) == 0) return &kinds[i];
  return NULL;
}

/* Takes path, also on failure; NULL is a failed allocation. */
static sky_status add_output(sky_context *ctx, sky_stage *s, char *path) {
  char **grown = path == NULL
                     ? NULL
                     : sky_realloc(ctx, s->outputs, s->n_outputs, s->n_outputs + 1, sizeof *grown);
  if (grown == NULL) {
    sky_free(path);
    return SKY_E_NOMEM;
  }
  s->outputs = grown;
  s->outputs[s->n_outputs++] = path;
  return SKY_OK;
}

/* Append a stage "kind" or "kind-key"; every stage has its facts file as an output. */
static sky_status add_stage(sky_context *ctx, sky_stage_list *list, const char *kind,
                            const char *key, sky_stage **out) {
  sky_stage *grown = sky_realloc(ctx, list->stage, list->n, list->n + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  list->stage = grown;
  sky_stage *s = &list->stage[list->n];
  memset(s, 0, sizeof *s);
  snprintf(s->name, sizeof s->name, "%s%s%s", kind, key != NULL ? "-" : "", key != NULL ? key : "");
  s->row = kind_of(kind);
  list->n++;
  *out = s;
  return add_output(ctx, s, sky_sprintf(ctx, "stages/%s.facts.json", s->name));
}

static sky_status add_input(sky_context *ctx, sky_stage *s, const char *pattern) {
  return pattern == NULL ? SKY_OK : sky_file_glob(ctx, pattern, &s->inputs, &s->n_inputs);
}

/* patterns: a list of them, or NULL. */
static sky_status add_inputs(sky_context *ctx, sky_stage *s, const sky_node *patterns) {
  for (size_t k = 0; patterns != NULL && k < sky_node_count(patterns); k++)
    SKY_TRY(add_input(ctx, s, sky_node_text(sky_node_item(patterns, k), "")));
  return SKY_OK;
}

static sky_status add_after(sky_context *ctx, sky_stage *s, size_t earlier) {
  for (size_t k = 0; k < s->n_after; k++)
    if (s->after[k] == earlier) return SKY_OK;
  size_t *grown = sky_realloc(ctx, s->after, s->n_after, s->n_after + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  s->after = grown;
  s->after[s->n_after++] = earlier;
  return SKY_OK;
}

/* Make stage s run after the stage called "kind-key", if the job has it. */
static sky_status after(sky_context *ctx, const sky_stage_list *list, sky_stage *s,
                        const char *kind, const char *key) {
  char name[SKY_STAGE_NAME];
  if (key == NULL) return SKY_OK;
  snprintf(name, sizeof name, "%s-%s", kind, key);
  for (size_t i = 0; i < list->n; i++)
    if (strcmp(list->stage[i].name, name) == 0) SKY_TRY(add_after(ctx, s, i));
  return SKY_OK;
}

static sky_status after_all(sky_context *ctx, const sky_stage_list *list, sky_stage *s) {
  const size_t self = (size_t)(s - list->stage);
  for (size_t i = 0; i < self; i++)
    SKY_TRY(add_after(ctx, s, i));
  return SKY_OK;
}

/* What grid and zones come from: the polygon file with its sidecars, and the state vector of an
 * inversion's information. Every stage that asks for the grid or the zones depends on it. */
static sky_status add_geometry_inputs(sky_context *ctx, const sky_job *job, sky_stage *s) {
  const char *file = sky_node_text(job->root, "zones.file");
  const sky_node *items = sky_node_get(job->root, "inversions");
  if (file != NULL) SKY_TRY(sky_zones_files(ctx, file, &s->inputs, &s->n_inputs));
  for (size_t i = 0; items != NULL && i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    if (sky_node_get(item, "information") == NULL) continue;
    SKY_TRY(add_input(ctx, s, sky_node_text(item, "information.result")));
    SKY_TRY(add_input(ctx, s, sky_node_text(item, "information.state")));
  }
  return SKY_OK;
}

static sky_status add_soundings(sky_context *ctx, const sky_job *job, sky_stage_list *list,
                                const char *gas) {
  const sky_node *items = sky_node_get(job->root, "soundings");
  sky_stage *s = NULL;
  for (size_t i = 0; items != NULL && i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    if (!sky_job_reads_gas(item, gas)) continue;
    if (s == NULL) {
      SKY_TRY(add_stage(ctx, list, "soundings", gas, &s));
      snprintf(s->gas, sizeof s->gas, "%s", gas);
      SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "stages/soundings-%s.nc", gas)));
      SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "stages/soundings-%s.conformance.json", gas)));
    }
    SKY_TRY(add_inputs(ctx, s, sky_node_get(item, "files")));
    SKY_TRY(add_input(ctx, s, sky_node_text(item, "boundary")));
    SKY_TRY(add_inputs(ctx, s, sky_node_get(item, "boundary_footprints")));
  }
  if (s == NULL) return SKY_OK;
  SKY_TRY(add_stage(ctx, list, "columns", gas, &s));
  snprintf(s->gas, sizeof s->gas, "%s", gas);
  SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "stages/columns-%s.nc", gas)));
  SKY_TRY(add_geometry_inputs(ctx, job, s));
  SKY_TRY(after(ctx, list, s, "soundings", gas));
  return SKY_OK;
}

static sky_status add_account_inputs(sky_context *ctx, const sky_job *job, sky_stage *s,
                                     bool proxies) {
  const sky_node *list = sky_node_get(job->root, "account.proxies");
  SKY_TRY(add_input(ctx, s, sky_node_text(job->root, "account.factors")));
  for (size_t i = 0; proxies && i < sky_node_count(list); i++)
    SKY_TRY(add_input(ctx, s, sky_node_text(sky_node_item(list, i), "file")));
  return SKY_OK;
}

/* The account of all tables of activity; each inventory makes its own gas of it. */
static sky_status add_account(sky_context *ctx, const sky_job *job, sky_stage_list *list) {
  const sky_node *items = sky_node_get(job->root, "inventories");
  sky_stage *s;
  if (sky_node_get(job->root, "account") == NULL) return SKY_OK;
  SKY_TRY(add_stage(ctx, list, "account", NULL, &s));
  SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "account.csv")));
  for (size_t i = 0; i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    if (sky_job_inventory_format(item) == SKY_INVENTORY_ACTIVITY)
      SKY_TRY(add_input(ctx, s, sky_node_text(item, "file")));
  }
  SKY_TRY(add_account_inputs(ctx, job, s, false));
  return add_geometry_inputs(ctx, job, s);
}

static sky_status add_inventories(sky_context *ctx, const sky_job *job, sky_stage_list *list) {
  const sky_node *items = sky_node_get(job->root, "inventories");
  for (size_t i = 0; items != NULL && i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    const char *id = sky_node_text(item, "id");
    sky_stage *s;
    SKY_TRY(add_stage(ctx, list, "inventory", id, &s));
    snprintf(s->id, sizeof s->id, "%s", id);
    snprintf(s->gas, sizeof s->gas, "%s", sky_node_text(item, "gas"));
    SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "stages/inventory-%s.nc", id)));
    const sky_node *sectors = sky_node_get(sky_job_find(job, "inversions", "prior", id), "sectors");
    for (size_t l = 0; l < sky_node_count(sectors); l++)
      SKY_TRY(add_output(ctx, s,
                         sky_sprintf(ctx, "stages/inventory-%s+%s.nc", id,
                                     sky_node_text(sky_node_item(sectors, l), "name"))));
    SKY_TRY(add_input(ctx, s, sky_node_text(item, "file")));
    if (sky_job_inventory_format(item) == SKY_INVENTORY_ACTIVITY)
      SKY_TRY(add_account_inputs(ctx, job, s, true));
    SKY_TRY(add_geometry_inputs(ctx, job, s));
  }
  return SKY_OK;
}

static sky_status take_output(sky_context *ctx, void *user, char *path) {
  return add_output(ctx, user, path);
}

static sky_status take_input(sky_context *ctx, void *user, const char *path) {
  return add_input(ctx, user, path);
}

static sky_status add_sinks(sky_context *ctx, const sky_job *job, sky_stage_list *list) {
  const sky_node *items = sky_node_get(job->root, "sinks");
  for (size_t i = 0; items != NULL && i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    const char *id = sky_node_text(item, "id");
    sky_stage *s;
    SKY_TRY(add_stage(ctx, list, "sink", id, &s));
    snprintf(s->id, sizeof s->id, "%s", id);
    SKY_TRY(sky_sink_entry_outputs(ctx, item, take_output, s));
    SKY_TRY(add_inputs(ctx, s, sky_node_get(item, "maps")));
    SKY_TRY(sky_sink_entry_inputs(ctx, item, take_input, s));
    SKY_TRY(add_geometry_inputs(ctx, job, s));
  }
  return SKY_OK;
}

/* An inversion runs when it has a prior and either information, or soundings with footprints. */
static sky_status add_inversion(sky_context *ctx, const sky_job *job, sky_stage_list *list,
                                const char *gas) {
  const sky_node *inversion = sky_job_inversion(job, gas);
  if (inversion == NULL) return SKY_OK;
  const char *prior = sky_node_text(inversion, "prior");
  const bool information = sky_node_get(inversion, "information") != NULL;
  const sky_node *footprints = sky_node_get(job->root, "footprints");
  sky_stage *s;
  if (prior == NULL || (!information && footprints == NULL)) return SKY_OK;
  if (!information) {
    SKY_TRY(add_stage(ctx, list, "footprint", gas, &s));
    snprintf(s->gas, sizeof s->gas, "%s", gas);
    SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "stages/problem-%s.nc", gas)));
    for (size_t i = 0; i < sky_node_count(footprints); i++) {
      const sky_node *files = sky_node_get(sky_node_item(footprints, i), "files");
      for (size_t k = 0; k < sky_node_count(files); k++)
        SKY_TRY(add_input(ctx, s, sky_node_text(sky_node_item(files, k), "")));
    }
    SKY_TRY(
        add_input(ctx, s, sky_node_text(sky_job_find(job, "inventories", "id", prior), "file")));
    SKY_TRY(add_geometry_inputs(ctx, job, s));
    SKY_TRY(after(ctx, list, s, "soundings", gas));
    SKY_TRY(after(ctx, list, s, "inventory", prior));
    SKY_TRY(after(ctx, list, s, "inventory", sky_node_text(inversion, "unscaled")));
    SKY_TRY(after(ctx, list, s, "sink", sky_node_text(inversion, "sink")));
  }
  SKY_TRY(add_stage(ctx, list, "invert", gas, &s));
  snprintf(s->gas, sizeof s->gas, "%s", gas);
  SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "stages/posterior-%s.nc", gas)));
  SKY_TRY(add_geometry_inputs(ctx, job, s));
  SKY_TRY(after(ctx, list, s, "footprint", gas));
  SKY_TRY(after(ctx, list, s, "inventory", prior));
  SKY_TRY(after(ctx, list, s, "inventory", sky_node_text(inversion, "unscaled")));
  SKY_TRY(after(ctx, list, s, "sink", sky_node_text(inversion, "sink")));
  const sky_node *compare = sky_job_find(job, "compare", "gas", gas);
  if (compare != NULL)
    SKY_TRY(after(ctx, list, s, "inventory", sky_node_text(compare, "inventory")));
  return SKY_OK;
}

static bool has_stage(const sky_stage_list *list, const char *kind, const char *gas) {
  for (size_t i = 0; i < list->n; i++)
    if (strcmp(list->stage[i].row->kind, kind) == 0 && strcmp(list->stage[i].gas, gas) == 0)
      return true;
  return false;
}

static const char *const FLUX_FIELDS[] = {"prior", "posterior", "posterior_sd", "increment",
                                          "posterior_ak"};
static const char *const SINK_FIELDS[] = {"sink_prior", "sink_posterior", "sink_posterior_sd"};
static const char *const COLUMN_FIELDS[] = {"column", "column_sd", "column_count"};

/* A GeoTIFF and the style beside it (write/cog.h); patch: id of a finer grid, or NULL. */
static sky_status add_raster(sky_context *ctx, sky_stage *s, const char *gas, const char *field,
                             const char *patch) {
  char *name = sky_sprintf(ctx, "%s_%s%s%s", gas, field, patch != NULL ? "_" : "",
                           patch != NULL ? patch : "");
  if (name == NULL) return SKY_E_NOMEM;
  sky_status st = add_output(ctx, s, sky_sprintf(ctx, "%s.tif", name));
  if (st == SKY_OK) st = add_output(ctx, s, sky_sprintf(ctx, "%s.qml", name));
  for (size_t k = 0; st == SKY_OK && k + 2 < s->n_outputs; k++)
    if (strcmp(s->outputs[k], s->outputs[s->n_outputs - 2]) == 0)
      st = sky_fail(ctx, SKY_E_JOB, "grid.patches: the id '%s' makes a second %s.tif", patch, name);
  sky_free(name);
  return st;
}

static sky_status add_sector(sky_context *ctx, sky_stage *s, const char *gas, const char *name,
                             const char *patch) {
  static const char *const fields[] = {"prior", "posterior", "posterior_sd"};
  for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
    char *field = sky_sprintf(ctx, "sector_%s_%s", name, fields[k]);
    const sky_status st = field == NULL ? SKY_E_NOMEM : add_raster(ctx, s, gas, field, patch);
    sky_free(field);
    SKY_TRY(st);
  }
  return SKY_OK;
}

/* What the inversion of a gas gives on one grid. */
static sky_status add_fluxes(sky_context *ctx, const sky_job *job, sky_stage *s, const char *gas,
                             const char *patch) {
  const sky_node *sectors = sky_node_get(sky_job_inversion(job, gas), "sectors");
  for (size_t k = 0; k < sizeof FLUX_FIELDS / sizeof *FLUX_FIELDS; k++)
    if (sectors == NULL || strstr(FLUX_FIELDS[k], "posterior_") == NULL) /* of one layer only */
      SKY_TRY(add_raster(ctx, s, gas, FLUX_FIELDS[k], patch));
  for (size_t l = 0; l < sky_node_count(sectors); l++)
    SKY_TRY(add_sector(ctx, s, gas, sky_node_text(sky_node_item(sectors, l), "name"), patch));
  if (sky_node_text(sky_job_inversion(job, gas), "sink") == NULL) return SKY_OK;
  for (size_t k = 0; k < sizeof SINK_FIELDS / sizeof *SINK_FIELDS; k++)
    SKY_TRY(add_raster(ctx, s, gas, SINK_FIELDS[k], patch));
  return SKY_OK;
}

/* One raster a zone on each grid: the zones are read to be counted. */
static sky_status add_kernels(sky_context *ctx, const sky_job *job, sky_stage *s, const char *gas) {
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  for (size_t p = 0; p < mesh.n_patch; p++) {
    const char *patch = p > 0 ? mesh.id[p] : NULL;
    SKY_GO(add_output(
        ctx, s, sky_sprintf(ctx, "kernels-%s%s%s.nc", gas, p > 0 ? "-" : "", p > 0 ? patch : "")));
    for (size_t z = 0; z < zones.n; z++) {
      char field[32];
      snprintf(field, sizeof field, "kernel_%zu", z + 1);
      SKY_GO(add_raster(ctx, s, gas, field, patch));
    }
  }
cleanup:
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  return st;
}

static sky_status add_results(sky_context *ctx, const sky_job *job, sky_stage_list *list) {
  const char *gases[8];
  const size_t n_gases = sky_job_gases(job, gases);
  sky_stage *s;
  SKY_TRY(add_stage(ctx, list, "compare", NULL, &s));
  SKY_TRY(after_all(ctx, list, s));
  SKY_TRY(add_geometry_inputs(ctx, job, s));
  SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "zones.csv")));
  SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "zones.gpkg")));
  SKY_TRY(add_stage(ctx, list, "fields", NULL, &s));
  SKY_TRY(after_all(ctx, list, s));
  SKY_TRY(add_geometry_inputs(ctx, job, s));
  SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "fields.nc")));
  for (size_t g = 0; g < n_gases; g++) {
    const sky_node *inversion = sky_job_inversion(job, gases[g]);
    if (has_stage(list, "invert", gases[g])) SKY_TRY(add_fluxes(ctx, job, s, gases[g], NULL));
    if (has_stage(list, "columns", gases[g]))
      for (size_t k = 0; k < sizeof COLUMN_FIELDS / sizeof *COLUMN_FIELDS; k++)
        SKY_TRY(add_raster(ctx, s, gases[g], COLUMN_FIELDS[k], NULL));
    if (has_stage(list, "footprint", gases[g]))
      SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "observations-%s.csv", gases[g])));
    if (has_stage(list, "invert", gases[g]) && sky_node_get(inversion, "sectors") != NULL)
      SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "sectors-%s.csv", gases[g])));
    if (has_stage(list, "footprint", gases[g]) && sky_node_bool(inversion, "kernels"))
      SKY_TRY(add_kernels(ctx, job, s, gases[g]));
  }
  const sky_node *patches = sky_node_get(job->root, "grid.patches");
  for (size_t p = 0; p < sky_node_count(patches); p++) {
    const char *id = sky_node_text(sky_node_item(patches, p), "id");
    SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "fields-%s.nc", id)));
    for (size_t g = 0; g < n_gases; g++)
      if (has_stage(list, "invert", gases[g])) SKY_TRY(add_fluxes(ctx, job, s, gases[g], id));
  }
  SKY_TRY(add_stage(ctx, list, "report", NULL, &s));
  SKY_TRY(after_all(ctx, list, s));
  SKY_TRY(add_geometry_inputs(ctx, job, s));
  SKY_TRY(add_output(ctx, s, sky_sprintf(ctx, "report.html")));
  return add_output(ctx, s, sky_sprintf(ctx, "run.json"));
}

sky_status sky_stages_build(sky_context *ctx, const sky_job *job, sky_stage_list *list) {
  const char *gases[8];
  const size_t n_gases = sky_job_gases(job, gases);
  sky_status st = SKY_OK;
  memset(list, 0, sizeof *list);
  SKY_GO(add_account(ctx, job, list));
  SKY_GO(add_inventories(ctx, job, list));
  SKY_GO(add_sinks(ctx, job, list));
  for (size_t g = 0; g < n_gases; g++)
    SKY_GO(add_soundings(ctx, job, list, gases[g]));
  for (size_t g = 0; g < n_gases; g++)
    SKY_GO(add_inversion(ctx, job, list, gases[g]));
  SKY_GO(add_results(ctx, job, list));
cleanup:
  if (st != SKY_OK) sky_stages_free(list);
  return st;
}

void sky_stages_free(sky_stage_list *list) {
  if (list == NULL) return;
  for (size_t i = 0; i < list->n; i++) {
    sky_stage *s = &list->stage[i];
    sky_file_list_free(s->inputs, s->n_inputs);
    sky_file_list_free(s->outputs, s->n_outputs);
    sky_free(s->after);
  }
  for (size_t i = 0; i < list->n_sums; i++)
    sky_free(list->sum[i].path);
  sky_free(list->sum);
  sky_free(list->stage);
  memset(list, 0, sizeof *list);
}
