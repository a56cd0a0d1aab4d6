/* plan_gas.c: what the soundings at hand can tell about one gas, from the files of its stages. */
#include "src/job/plan_gas.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "algorithms/fusion/compare.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/facts.h"
#include "src/job/stage_file.h"
#include "skyflux/problem.h"

#define TONNE 1000.0 /* kg */

double sky_plan_input_bytes(const sky_stage *s) {
  double bytes = 0.0;
  struct stat info;
  for (size_t k = 0; k < s->n_inputs; k++)
    if (stat(s->inputs[k], &info) == 0) bytes += (double)info.st_size;
  return bytes;
}

/* Stage "kind-gas", NULL if the job has none. */
static const sky_stage *find_stage(const sky_stage_list *list, const char *kind, const char *gas) {
  for (size_t i = 0; i < list->n; i++)
    if (strcmp(list->stage[i].row->kind, kind) == 0 && strcmp(list->stage[i].gas, gas) == 0)
      return &list->stage[i];
  return NULL;
}

static void mark_needed(const sky_stage_list *list, const sky_stage *s, bool *needed) {
  needed[s - list->stage] = true;
  for (size_t i = list->n; i-- > 0;)
    for (size_t k = 0; needed[i] && k < list->stage[i].n_after; k++)
      needed[list->stage[i].after[k]] = true;
}

/* The sentences of a stage on what it found, and the counts of a soundings stage. */
static sky_status add_found(sky_context *ctx, const sky_job *scratch, const sky_stage *s,
                            cJSON *item, cJSON *found) {
  static const char *const sections[] = {"inputs", "warnings", "audit"};
  sky_facts facts = {0};
  const cJSON *fact, *n;
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_read(ctx, scratch, s->name, &facts));
  cJSON_ArrayForEach(fact, cJSON_GetObjectItemCaseSensitive(facts.root, "facts")) {
    const char *section = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(fact, "section"));
    const char *label = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(fact, "label"));
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(fact, "value"));
    bool wanted = false;
    for (size_t k = 0; section != NULL && k < sizeof sections / sizeof *sections; k++)
      wanted |= strcmp(section, sections[k]) == 0;
    if (!wanted || label == NULL || value == NULL) continue;
    char *line = sky_sprintf(ctx, "%s: %s", label, value);
    cJSON_AddItemToArray(found, cJSON_CreateString(line != NULL ? line : value));
    sky_free(line);
  }
  if (strcmp(s->row->kind, "soundings") != 0) goto cleanup;
  cJSON_ArrayForEach(n, cJSON_GetObjectItemCaseSensitive(facts.root, "numbers"))
      cJSON_AddNumberToObject(item, n->string, n->valuedouble);
cleanup:
  sky_facts_free(&facts);
  return st;
}

/* --- size ----------------------------------------------------------------------------------------
 */

static sky_status add_problem(sky_context *ctx, const sky_job *scratch, const char *gas,
                              cJSON *item) {
  sky_problem p = {0};
  char *path = sky_sprintf(ctx, "%s/problem-%s.nc", scratch->stage_dir, gas);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_problem_read(ctx, path, &p);
  sky_free(path);
  if (st != SKY_OK) return st;
  cJSON_AddNumberToObject(item, "observations", (double)p.n_obs);
  cJSON_AddNumberToObject(item, "state", (double)p.n_state);
  cJSON_AddNumberToObject(item, "time_steps", (double)p.n_time);
  cJSON_AddNumberToObject(item, "offsets", (double)p.n_background);
  cJSON_AddNumberToObject(item, "nonzeros", (double)p.rowptr[p.n_obs]);
  sky_problem_free(&p);
  return SKY_OK;
}

/* --- zones ---------------------------------------------------------------------------------------
 */

enum {
  PRIOR,
  PRIOR_SD,
  SD,
  DOFS,
  SENSITIVITY,
  OWN_RESPONSE,
  NULL_SD,
  DETECTABLE,
  COVERED,
  N_NUMBERS
};

/* The arithmetic of stage compare, so that plan and zones.csv agree in every digit. */
static void add_zone(const sky_zone *zone, double *const *value, size_t z, cJSON *zones) {
  const double t_per_kg = 1.0 / TONNE, null_sd = value[NULL_SD][z];
  const bool outside = zone->role == SKY_ZONE_OUTSIDE; /* the state does not hold it */
  double v[N_NUMBERS];
  for (size_t k = 0; k < N_NUMBERS; k++)
    v[k] = outside && k != PRIOR && k != COVERED ? NAN : value[k][z];
  const double prior = v[PRIOR] * t_per_kg, prior_sd = v[PRIOR_SD] * t_per_kg;
  const double sd = v[SD] * t_per_kg, detectable = v[DETECTABLE] * t_per_kg;
  cJSON *item = cJSON_CreateObject();
  cJSON_AddItemToArray(zones, item);
  cJSON_AddStringToObject(item, "zone", zone->id);
  cJSON_AddStringToObject(item, "name", zone->name);
  cJSON_AddNumberToObject(item, "covered_fraction", v[COVERED]);
  cJSON_AddNumberToObject(item, "prior_t_yr", prior);
  cJSON_AddNumberToObject(item, "prior_sd_t_yr", prior_sd);
  cJSON_AddNumberToObject(item, "posterior_sd_t_yr", sd);
  cJSON_AddNumberToObject(item, "reduction", prior_sd == 0.0 ? 0.0 : 1.0 - pow(sd / prior_sd, 2));
  cJSON_AddNumberToObject(item, "dofs", v[DOFS]);
  cJSON_AddNumberToObject(item, "sensitivity", v[SENSITIVITY]);
  cJSON_AddNumberToObject(item, "detectable_t_yr", detectable);
  cJSON_AddNumberToObject(item, "detectable_percent", 100.0 * detectable / fabs(prior));
  /* Of compare.h, before the run inflates it by its innovation statistic. */
  cJSON_AddNumberToObject(item, "detectable_inventory_error_t_yr",
                          outside || isnan(null_sd)
                              ? NAN
                              : sky_detectable(null_sd * null_sd, v[OWN_RESPONSE]) * t_per_kg);
}

/* Where the state has a layer of uptake beside the emissions. */
static sky_status add_sink(sky_context *ctx, const char *path, const sky_zones *zones,
                           cJSON *list) {
  static const char *const names[][2] = {{"sink_zone_prior", "sink_t_yr"},
                                         {"sink_zone_prior_sd", "sink_sd_t_yr"},
                                         {"sink_zone_posterior_sd", "sink_posterior_sd_t_yr"},
                                         {"net_zone_posterior_sd", "net_posterior_sd_t_yr"}};
  bool has = false;
  SKY_TRY(sky_stage_file_has(ctx, path, names[0][0], &has));
  for (size_t k = 0; has && k < sizeof names / sizeof *names; k++) {
    double *value = NULL;
    SKY_TRY(sky_stage_file_read(ctx, path, names[k][0], zones->n, &value));
    for (size_t z = 0; z < zones->n; z++)
      cJSON_AddNumberToObject(cJSON_GetArrayItem(list, (int)z), names[k][1],
                              value[z] * (1.0 / TONNE));
    sky_free(value);
  }
  return SKY_OK;
}

static sky_status add_zones(sky_context *ctx, const sky_job *scratch, const char *gas,
                            const sky_zones *zones, cJSON *item) {
  static const char *const names[N_NUMBERS] = {
      "zone_prior",        "zone_prior_sd", "zone_posterior_sd", "zone_dofs",   "zone_sensitivity",
      "zone_own_response", "zone_null_sd",  "zone_detectable",   "zone_covered"};
  double *value[N_NUMBERS] = {NULL};
  sky_status st = SKY_OK;
  char *path = sky_sprintf(ctx, "%s/posterior-%s.nc", scratch->stage_dir, gas);
  if (path == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < N_NUMBERS; k++)
    SKY_GO(sky_stage_file_read(ctx, path, names[k], zones->n, &value[k]));
  cJSON *list = cJSON_AddArrayToObject(item, "zones");
  for (size_t z = 0; z < zones->n; z++)
    add_zone(&zones->zone[z], value, z, list);
  st = add_sink(ctx, path, zones, list);
cleanup:
  for (size_t k = 0; k < N_NUMBERS; k++)
    sky_free(value[k]);
  sky_free(path);
  return st;
}

static sky_status add_inversion(sky_context *ctx, const sky_job *scratch, const sky_stage *invert,
                                const sky_zones *zones, cJSON *item) {
  sky_facts facts = {0};
  char *path = NULL;
  size_t n_state = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_read(ctx, scratch, invert->name, &facts));
  cJSON_AddNumberToObject(item, "dofs", sky_facts_number(&facts, "dofs"));
  cJSON_AddNumberToObject(item, "dofs_background", sky_facts_number(&facts, "dofs_background"));
  if (sky_node_get(sky_job_inversion(scratch, invert->gas), "information") == NULL) {
    SKY_GO(add_problem(ctx, scratch, invert->gas, item));
    cJSON_AddNumberToObject(item, "memory_bytes", sky_facts_number(&facts, "memory_bytes"));
  } else {
    SKY_GO_ALLOC(path, sky_job_path(ctx, scratch, invert->outputs[1]));
    SKY_GO(sky_stage_file_count(ctx, path, "x", &n_state));
    cJSON_AddNumberToObject(item, "state", (double)n_state);
  }
  SKY_GO(add_zones(ctx, scratch, invert->gas, zones, item));
cleanup:
  sky_free(path);
  sky_facts_free(&facts);
  return st;
}

sky_status sky_plan_gas(sky_context *ctx, const sky_job *scratch, const sky_stage_list *list,
                        const sky_planned *plan, const char *gas, const sky_zones *zones,
                        cJSON *gases) {
  const sky_stage *soundings = find_stage(list, "soundings", gas);
  const sky_stage *invert = find_stage(list, "invert", gas);
  bool *needed = NULL, failed = false;
  sky_status st = SKY_OK;
  cJSON *item = cJSON_CreateObject();
  cJSON_AddItemToArray(gases, item);
  cJSON_AddStringToObject(item, "gas", gas);
  cJSON_AddStringToObject(item, "formula", sky_species_find(gas)->formula);
  cJSON_AddBoolToObject(item, "inverted", invert != NULL);
  cJSON_AddNumberToObject(item, "files", soundings != NULL ? (double)soundings->n_inputs : 0.0);
  cJSON_AddNumberToObject(item, "bytes", soundings != NULL ? sky_plan_input_bytes(soundings) : 0.0);
  if (scratch == NULL) goto cleanup;
  SKY_GO_ALLOC(needed, SKY_NEW0(ctx, bool, list->n));
  if (soundings != NULL) mark_needed(list, soundings, needed);
  if (invert != NULL) mark_needed(list, invert, needed);
  cJSON *found = cJSON_AddArrayToObject(item, "found");
  for (size_t i = 0; i < list->n; i++) {
    if (!needed[i]) continue;
    if (plan[i].state == SKY_PLAN_FAILS && !failed)
      cJSON_AddStringToObject(item, "failed", plan[i].reason);
    failed |= plan[i].state == SKY_PLAN_FAILS;
    if (plan[i].state == SKY_PLAN_MADE || plan[i].state == SKY_PLAN_UP_TO_DATE)
      SKY_GO(add_found(ctx, scratch, &list->stage[i], item, found));
  }
  if (invert != NULL && !failed) SKY_GO(add_inversion(ctx, scratch, invert, zones, item));
cleanup:
  sky_free(needed);
  return st;
}
