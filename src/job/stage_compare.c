/* stage_compare.c: zones.csv and zones.gpkg: top-down beside bottom-up, one row per zone and gas,
 * with a status and its reason (algorithms/fusion/compare.h). One family of tests over the whole
 * table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/fusion/compare.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/facts.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/write/zone_table.h"

#define TONNE 1e3 /* kg */

typedef struct table {
  const sky_job *job;
  sky_mesh mesh;
  sky_zones zones;
  sky_coverage *cover;
  size_t n; /* rows: zone-major, gases inside */
  sky_zone_row *row;
  sky_comparison *test;
  char (*why)[200]; /* text behind test[].why_not */
} table;

static void table_free(table *t) {
  sky_job_coverage_free(t->cover, t->zones.n);
  sky_zones_free(&t->zones);
  sky_mesh_free(&t->mesh);
  sky_free(t->row);
  sky_free(t->test);
  sky_free(t->why);
}

/* A zone variable of a stage file, NULL where the stage does not exist. */
static sky_status zone_values(sky_context *ctx, const table *t, const char *stage, const char *key,
                              const char *var, double **out) {
  char *path = sky_sprintf(ctx, "%s/%s-%s.nc", t->job->stage_dir, stage, key != NULL ? key : "");
  sky_status st = SKY_OK;
  *out = NULL;
  if (path == NULL) return SKY_E_NOMEM;
  if (key != NULL && sky_file_exists(path))
    st = sky_stage_file_read(ctx, path, var, t->zones.n, out);
  sky_free(path);
  return st;
}

/* Copy one zone variable, scaled, into a member of the rows of gas number g. */
static sky_status fill(sky_context *ctx, table *t, size_t g, size_t n_gases, const char *stage,
                       const char *key, const char *var, double scale, size_t member) {
  double *value = NULL;
  SKY_TRY(zone_values(ctx, t, stage, key, var, &value));
  for (size_t z = 0; value != NULL && z < t->zones.n; z++)
    *(double *)((char *)&t->row[z * n_gases + g] + member) = value[z] * scale;
  sky_free(value);
  return SKY_OK;
}

#define MEMBER(name) offsetof(sky_zone_row, name)

static const char *role_name(sky_zone_role role) {
  static const char *const names[] = {"report", "buffer", "outside", "boundary"};
  return names[role];
}

static void empty_row(const table *t, size_t z, const char *gas, sky_zone_row *row) {
  double *const numbers[] = {&row->n_soundings,
                             &row->column_mean,
                             &row->column_sd,
                             &row->prior,
                             &row->prior_sd,
                             &row->posterior,
                             &row->posterior_sd,
                             &row->inventory,
                             &row->inventory_sd,
                             &row->inventory_seen,
                             &row->scope2,
                             &row->scope2_sd,
                             &row->sink,
                             &row->sink_sd,
                             &row->sink_posterior,
                             &row->sink_posterior_sd,
                             &row->net_posterior,
                             &row->net_posterior_sd,
                             &row->best,
                             &row->best_sd,
                             &row->dofs,
                             &row->reduction,
                             &row->sensitivity,
                             &row->detectable,
                             &row->z,
                             &row->p,
                             &row->q};
  for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
    *numbers[k] = NAN;
  row->zone_id = t->zones.zone[z].id;
  row->zone_name = t->zones.zone[z].name;
  row->level = t->zones.zone[z].level;
  row->role = role_name(t->zones.zone[z].role);
  row->gas = gas;
  row->inventory_id = row->best_from = "";
  row->area_km2 = t->cover[z].area_zone / 1e6;
  row->covered_fraction =
      t->cover[z].area_zone > 0.0 ? fmin(1.0, t->cover[z].area_in / t->cover[z].area_zone) : 0.0;
}

static sky_status fill_gas(sky_context *ctx, table *t, size_t g, size_t n_gases, const char *gas) {
  const sky_node *compare = sky_job_find(t->job, "compare", "gas", gas);
  const char *inventory = compare != NULL ? sky_node_text(compare, "inventory") : NULL;
  const double column = sky_species_find(gas)->column_scale, t_per_kg = 1.0 / TONNE;
  for (size_t z = 0; z < t->zones.n; z++) {
    empty_row(t, z, gas, &t->row[z * n_gases + g]);
    if (inventory != NULL) t->row[z * n_gases + g].inventory_id = inventory;
  }
  const struct {
    const char *stage, *key, *var;
    double scale;
    size_t member;
  } sources[] = {
      {"columns", gas, "zone_count", 1.0, MEMBER(n_soundings)},
      {"columns", gas, "zone_mean", column, MEMBER(column_mean)},
      {"columns", gas, "zone_sigma", column, MEMBER(column_sd)},
      {"posterior", gas, "zone_prior", t_per_kg, MEMBER(prior)},
      {"posterior", gas, "zone_prior_sd", t_per_kg, MEMBER(prior_sd)},
      {"posterior", gas, "zone_posterior", t_per_kg, MEMBER(posterior)},
      {"posterior", gas, "zone_posterior_sd", t_per_kg, MEMBER(posterior_sd)},
      {"posterior", gas, "zone_dofs", 1.0, MEMBER(dofs)},
      {"posterior", gas, "zone_sensitivity", 1.0, MEMBER(sensitivity)},
      {"posterior", gas, "zone_seen", t_per_kg, MEMBER(inventory_seen)},
      {"inventory", inventory, "zone_total", t_per_kg, MEMBER(inventory)},
      {"inventory", inventory, "zone_sd", t_per_kg, MEMBER(inventory_sd)},
  };
  for (size_t k = 0; k < sizeof sources / sizeof *sources; k++)
    SKY_TRY(fill(ctx, t, g, n_gases, sources[k].stage, sources[k].key, sources[k].var,
                 sources[k].scale, sources[k].member));
  for (size_t z = 0; z < t->zones.n; z++) { /* what the state does not hold has no posterior */
    sky_zone_row *row = &t->row[z * n_gases + g];
    if (t->zones.zone[z].role == SKY_ZONE_OUTSIDE)
      row->posterior = row->posterior_sd = row->prior_sd = row->dofs = NAN;
  }
  return SKY_OK;
}

/* Why a row cannot be compared, or "" if it can. The first reason that applies. */
static void why_not(const table *t, size_t z, const char *gas, const sky_zone_row *row,
                    double inventory_covered, char out[200]) {
  const sky_node *inversion = sky_job_inversion(t->job, gas);
  out[0] = '\0';
  if (t->zones.zone[z].role == SKY_ZONE_BUFFER)
    snprintf(out, 200, "buffer of the state: takes up what enters from outside");
  else if (t->zones.zone[z].role == SKY_ZONE_OUTSIDE)
    snprintf(out, 200, "outside the state: the inversion does not move it");
  else if (t->zones.zone[z].role == SKY_ZONE_BOUNDARY)
    snprintf(out, 200, "boundary of the state");
  else if (t->cover[z].n == 0)
    snprintf(out, 200, "outside the grid");
  else if (inversion != NULL && sky_node_text(inversion, "prior") == NULL)
    snprintf(out, 200, "no usable prior");
  else if (isnan(row->posterior))
    snprintf(out, 200, "no footprints");
  else if (row->covered_fraction < SKY_ZONE_COMPLETE)
    snprintf(out, 200, "boundary: only %.1f %% of the zone lies in the grid",
             100.0 * row->covered_fraction);
  else if (!(row->posterior_sd < row->prior_sd))
    snprintf(out, 200, "no observation sees the zone");
  else if (row->inventory_id[0] == '\0' || isnan(row->inventory))
    snprintf(out, 200, "no comparable line: %s",
             row->inventory_id[0] == '\0' ? "the job names no inventory for this gas"
                                          : "the inventory has no data in the zone");
  else if (inventory_covered < SKY_ZONE_COMPLETE)
    snprintf(out, 200, "no comparable line: the inventory has data for only %.1f %% of the zone",
             100.0 * inventory_covered);
}

static sky_status prepare_tests(sky_context *ctx, table *t, size_t g, size_t n_gases,
                                const char *gas) {
  double *null_sd = NULL, *covered = NULL;
  char stage[64];
  sky_facts facts = {0};
  double chi2 = NAN;
  sky_status st = SKY_OK;
  SKY_GO(zone_values(ctx, t, "posterior", gas, "zone_null_sd", &null_sd));
  const char *inventory = t->row[g].inventory_id;
  SKY_GO(zone_values(ctx, t, "inventory", inventory[0] != '\0' ? inventory : NULL, "zone_covered",
                     &covered));
  if (null_sd != NULL) {
    snprintf(stage, sizeof stage, "invert-%s", gas);
    SKY_GO(sky_facts_read(ctx, t->job, stage, &facts));
    chi2 = sky_facts_number(&facts, "chi2_innovation_per_obs");
  }
  for (size_t z = 0; z < t->zones.n; z++) {
    const size_t i = z * n_gases + g;
    const sky_zone_row *row = &t->row[i];
    why_not(t, z, gas, row, covered != NULL ? covered[z] : 1.0, t->why[i]);
    t->test[i] = (sky_comparison){
        .comparable = t->why[i][0] == '\0',
        .why_not = t->why[i],
        .top_down = row->posterior * TONNE,
        .bottom_up = row->inventory * TONNE,
        .bottom_up_seen = row->inventory_seen * TONNE,
        .prior_sd = row->prior_sd * TONNE,
        .post_sd = row->posterior_sd * TONNE,
        .null_var = null_sd != NULL ? null_sd[z] * null_sd[z] : NAN,
        .sensitivity = row->sensitivity,
        .chi2_per_obs = chi2,
    };
  }
cleanup:
  sky_facts_free(&facts);
  sky_free(null_sd);
  sky_free(covered);
  return st;
}

static void record(const table *t, sky_facts *facts) {
  for (size_t i = 0; i < t->n; i++) {
    sky_zone_row *row = &t->row[i];
    const sky_comparison *test = &t->test[i];
    const char *formula = sky_species_find(row->gas)->formula;
    row->status = sky_verdict_name(test->verdict);
    row->reason = test->reason;
    row->z = test->z;
    row->p = isnan(test->q) ? NAN : test->p; /* no p without a test */
    row->q = test->q;
    row->detectable = test->comparable ? test->detectable / TONNE : NAN;
    row->reduction = isnan(row->posterior) ? NAN : 1.0 - pow(row->posterior_sd / row->prior_sd, 2);
    if (row->prior_sd == 0.0) row->reduction = 0.0;
    sky_fact(facts, "Comparison", row->zone_name, "%s: %s (%s)", formula, row->status, row->reason);
  }
}

sky_status sky_stage_compare(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  table t = {.job = job};
  sky_facts facts = {0};
  const char *gases[8];
  const size_t n_gases = sky_job_gases(job, gases);
  char *csv = NULL, *gpkg = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(sky_job_mesh(ctx, job, &t.mesh));
  SKY_GO(sky_job_zones(ctx, job, &t.mesh, &t.zones, &t.cover));
  t.n = t.zones.n * n_gases;
  SKY_GO_ALLOC(t.row, SKY_NEW0(ctx, sky_zone_row, t.n));
  SKY_GO_ALLOC(t.test, SKY_NEW0(ctx, sky_comparison, t.n));
  SKY_GO_ALLOC(t.why, sky_calloc(ctx, t.n, sizeof *t.why));
  for (size_t g = 0; g < n_gases; g++)
    SKY_GO(fill_gas(ctx, &t, g, n_gases, gases[g]));
  for (size_t g = 0; g < n_gases; g++)
    SKY_GO(prepare_tests(ctx, &t, g, n_gases, gases[g]));
  SKY_GO(sky_compare(ctx, t.n, t.test));
  record(&t, &facts);
  SKY_GO_ALLOC(csv, sky_job_path(ctx, job, "zones.csv"));
  SKY_GO_ALLOC(gpkg, sky_job_path(ctx, job, "zones.gpkg"));
  SKY_GO(sky_zone_table_csv(ctx, csv, t.row, t.n));
  SKY_GO(sky_zone_table_gpkg(ctx, gpkg, t.mesh.patch[0].crs, &t.zones, t.row, t.n));
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_free(csv);
  sky_free(gpkg);
  sky_facts_free(&facts);
  table_free(&t);
  return st;
}
