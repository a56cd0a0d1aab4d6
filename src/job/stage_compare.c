/* stage_compare.c: zones.csv and zones.gpkg: top-down beside bottom-up, one row per zone and gas,
 * with a status and its reason (algorithms/fusion/compare.h), and the best estimate of both
 * (algorithms/fusion/fuse.md). One family of tests over the whole table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/fusion/compare.h"
#include "algorithms/fusion/fuse.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/facts.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/write/zone_table.h"

#define TONNE 1e3 /* kg */

typedef struct reasons { /* "" = none */
  char inversion[200];   /* why the inversion says nothing about the zone */
  char inventory[200];   /* why the inventory does not */
  char best[sizeof((sky_comparison *)0)->reason + 32]; /* text behind row.best_from */
} reasons;

typedef struct table {
  const sky_job *job;
  sky_mesh mesh;
  sky_zones zones;
  sky_coverage *cover;
  size_t n; /* rows: zone-major, gases inside */
  sky_zone_row *row;
  sky_comparison *test;
  reasons *why;
} table;

static void table_free(table *t) {
  sky_job_coverage_free(t->cover, t->zones.n);
  sky_zones_free(&t->zones);
  sky_mesh_free(&t->mesh);
  sky_free(t->row);
  sky_free(t->test);
  sky_free(t->why);
}

/* A variable of a stage file, NULL where the stage or the variable does not exist. */
static sky_status values(sky_context *ctx, const table *t, const char *stage, const char *key,
                         const char *var, size_t count, double **out) {
  char *path = sky_sprintf(ctx, "%s/%s-%s.nc", t->job->stage_dir, stage, key != NULL ? key : "");
  sky_status st = SKY_OK;
  *out = NULL;
  if (path == NULL) return SKY_E_NOMEM;
  bool has = false;
  if (key != NULL && sky_file_exists(path)) st = sky_stage_file_has(ctx, path, var, &has);
  if (has && st == SKY_OK) st = sky_stage_file_read(ctx, path, var, count, out);
  sky_free(path);
  return st;
}

static sky_status zone_values(sky_context *ctx, const table *t, const char *stage, const char *key,
                              const char *var, double **out) {
  return values(ctx, t, stage, key, var, t->zones.n, out);
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
  row->inventory_id = row->best_from = row->posterior_is = "";
  row->area_km2 = t->cover[z].area_zone / 1e6;
  row->covered_fraction =
      t->cover[z].area_zone > 0.0 ? fmin(1.0, t->cover[z].area_in / t->cover[z].area_zone) : 0.0;
}

static sky_status fill_gas(sky_context *ctx, table *t, size_t g, size_t n_gases, const char *gas) {
  const sky_node *compare = sky_job_find(t->job, "compare", "gas", gas);
  const char *inventory = compare != NULL ? sky_node_text(compare, "inventory") : NULL;
  const sky_node *inversion = sky_job_inversion(t->job, gas);
  const char *sink = inversion != NULL ? sky_node_text(inversion, "sink") : NULL;
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
      {"inventory", inventory, "zone_scope2", t_per_kg, MEMBER(scope2)},
      {"inventory", inventory, "zone_scope2_sd", t_per_kg, MEMBER(scope2_sd)},
      {"sink", sink, "zone_total", t_per_kg, MEMBER(sink)},
      {"sink", sink, "zone_sd", t_per_kg, MEMBER(sink_sd)},
      {"posterior", gas, "sink_zone_posterior", t_per_kg, MEMBER(sink_posterior)},
      {"posterior", gas, "sink_zone_posterior_sd", t_per_kg, MEMBER(sink_posterior_sd)},
      {"posterior", gas, "net_zone_posterior", t_per_kg, MEMBER(net_posterior)},
      {"posterior", gas, "net_zone_posterior_sd", t_per_kg, MEMBER(net_posterior_sd)},
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

/* Why a row cannot be compared: the first reason that applies on each side. */
static void why_not(const table *t, size_t z, const char *gas, const sky_zone_row *row,
                    double inventory_covered, const char *estimate, bool kernel, reasons *out) {
  const sky_node *inversion = sky_job_inversion(t->job, gas);
  const size_t room = sizeof out->inversion;
  const bool linear = estimate == NULL || strcmp(estimate, "mean") == 0;
  out->inversion[0] = out->inventory[0] = out->best[0] = '\0';
  if (t->zones.zone[z].role == SKY_ZONE_BUFFER)
    snprintf(out->inversion, room, "buffer of the state: takes up what enters from outside");
  else if (t->zones.zone[z].role == SKY_ZONE_OUTSIDE)
    snprintf(out->inversion, room, "outside the state: the inversion does not move it");
  else if (t->zones.zone[z].role == SKY_ZONE_BOUNDARY)
    snprintf(out->inversion, room, "boundary of the state");
  else if (t->cover[z].n == 0)
    snprintf(out->inversion, room, "outside the grid");
  else if (inversion != NULL && sky_node_text(inversion, "prior") == NULL)
    snprintf(out->inversion, room, "no usable prior");
  else if (isnan(row->posterior))
    snprintf(out->inversion, room, "no footprints");
  else if (row->covered_fraction < SKY_ZONE_COMPLETE)
    snprintf(out->inversion, room, "boundary: only %.1f %% of the zone lies in the grid",
             100.0 * row->covered_fraction);
  else if (isnan(row->posterior_sd))
    snprintf(out->inversion, room, "the posterior is a %s, which has no error", estimate);
  else if (!isnan(row->prior_sd) && !(row->posterior_sd < row->prior_sd) && linear)
    snprintf(out->inversion, room, "no observation sees the zone");
  if (row->inventory_id[0] == '\0' || isnan(row->inventory))
    snprintf(out->inventory, room, "no comparable line: %s",
             row->inventory_id[0] == '\0' ? "the job names no inventory for this gas"
                                          : "the inventory has no data in the zone");
  else if (inventory_covered < SKY_ZONE_COMPLETE)
    snprintf(out->inventory, room,
             "no comparable line: the inventory has data for only %.1f %% of the zone",
             100.0 * inventory_covered);
  else if (!linear)
    snprintf(out->inventory, room,
             "no comparable line: fluxes that cannot be negative have no averaging kernel");
  else if (isnan(row->prior_sd) && !isnan(row->posterior))
    snprintf(out->inventory, room, "no comparable line: the inversion has no prior mean");
  else if (!kernel && !isnan(row->posterior))
    snprintf(out->inventory, room, "no comparable line: the smoother has no averaging kernel");
}

/* What a posterior total is, as a text that outlives the facts. */
static const char *estimate_name(const char *estimate) {
  static const char *const names[] = {"mean", "mean of draws", "MAP", "MAP-median"};
  for (size_t k = 0; estimate != NULL && k < sizeof names / sizeof *names; k++)
    if (strcmp(names[k], estimate) == 0) return names[k];
  return "";
}

static sky_status prepare_tests(sky_context *ctx, table *t, size_t g, size_t n_gases,
                                const char *gas) {
  double *null_sd = NULL, *covered = NULL, *change = NULL, *response = NULL;
  char stage[64];
  sky_facts facts = {0};
  double chi2 = NAN;
  const char *estimate = NULL;
  sky_status st = SKY_OK;
  SKY_GO(zone_values(ctx, t, "posterior", gas, "zone_null_sd", &null_sd));
  SKY_GO(zone_values(ctx, t, "posterior", gas, "zone_detectable", &change));
  SKY_GO(zone_values(ctx, t, "posterior", gas, "zone_own_response", &response));
  const char *inventory = t->row[g].inventory_id;
  SKY_GO(zone_values(ctx, t, "inventory", inventory[0] != '\0' ? inventory : NULL, "zone_covered",
                     &covered));
  if (null_sd != NULL) {
    snprintf(stage, sizeof stage, "invert-%s", gas);
    SKY_GO(sky_facts_read(ctx, t->job, stage, &facts));
    chi2 = sky_facts_number(&facts, "chi2_innovation_per_obs");
    estimate = sky_facts_text(&facts, "estimate");
  }
  for (size_t z = 0; z < t->zones.n; z++) {
    const size_t i = z * n_gases + g;
    const sky_zone_row *row = &t->row[i];
    reasons *why = &t->why[i];
    const bool kernel = null_sd == NULL || !isnan(null_sd[z]);
    if (!isnan(row->posterior)) t->row[i].posterior_is = estimate_name(estimate);
    why_not(t, z, gas, row, covered != NULL ? covered[z] : 1.0, estimate, kernel, why);
    const char *first = why->inversion[0] != '\0' ? why->inversion : why->inventory;
    t->test[i] = (sky_comparison){
        .comparable = first[0] == '\0',
        .why_not = first,
        .top_down = row->posterior * TONNE,
        .bottom_up = row->inventory * TONNE,
        .bottom_up_seen = row->inventory_seen * TONNE,
        .prior_sd = row->prior_sd * TONNE,
        .post_sd = row->posterior_sd * TONNE,
        .null_var = null_sd != NULL ? null_sd[z] * null_sd[z] : NAN,
        .response = response != NULL ? response[z] : NAN,
        .change = change != NULL ? change[z] : NAN,
        .chi2_per_obs = chi2,
    };
  }
cleanup:
  sky_facts_free(&facts);
  sky_free(null_sd);
  sky_free(covered);
  sky_free(change);
  sky_free(response);
  return st;
}

/* --- the best estimate (fuse.md) -------------------------------------------------------------- */

/* inflation: of the variance, by the innovation statistic (Birge); 1 for the inventory. */
static void take(sky_zone_row *row, reasons *why, double value, double sd, double inflation,
                 const char *from, const char *reason) {
  static const char lead[] =
      "no comparable line: "; /* said of the comparison, not of the estimate */
  if (isnan(value)) return;
  if (strncmp(reason, lead, sizeof lead - 1) == 0) reason += sizeof lead - 1;
  row->best = value;
  row->best_sd = fmin(sd * sqrt(inflation), fmax(sd, row->prior_sd)); /* the prior is known, too */
  snprintf(why->best, sizeof why->best, "%s%s", from, reason);
  if (row->best_sd >= 1.005 * sd) { /* what two digits show */
    const size_t end = strlen(why->best);
    snprintf(why->best + end, sizeof why->best - end, "; sd inflated by %.2f (chi2 %.2f)",
             row->best_sd / sd, inflation);
  }
  row->best_from = why->best;
}

/* What needs no other zone; true where the BLUE is due. */
static bool best_alone(const table *t, size_t z, size_t i, bool is_prior, bool stated) {
  sky_zone_row *row = &t->row[i];
  reasons *why = &t->why[i];
  const sky_verdict verdict = t->test[i].verdict;
  const double inflation = sky_birge(t->test[i].chi2_per_obs);
  if (t->zones.zone[z].role != SKY_ZONE_REPORT) return false; /* no zone's emission */
  if (why->inversion[0] != '\0')
    take(row, why, row->inventory, row->inventory_sd, 1, "inventory alone: ", why->inversion);
  else if (verdict == SKY_VERDICT_MISFIT)
    take(row, why, row->inventory, row->inventory_sd, 1, "inventory alone: ", "model misfit");
  else if (why->inventory[0] != '\0')
    take(row, why, row->posterior, row->posterior_sd, inflation, "posterior; ", why->inventory);
  else if (is_prior)
    take(row, why, row->posterior, row->posterior_sd, inflation,
         verdict == SKY_VERDICT_INSUFFICIENT ? "posterior; mostly the inventory, its prior"
                                             : "posterior; the inventory is its prior",
         "");
  else if (!stated)
    take(row, why, row->posterior, row->posterior_sd, inflation,
         "posterior; the inventory states no error", "");
  else
    return true;
  return false;
}

/* Σ of the zones `of` out of a covariance of all. */
static void pick(size_t n, const size_t *of, size_t nz, const double *cov, double *out) {
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++)
      out[i * n + k] = cov[of[i] * nz + of[k]] / (TONNE * TONNE);
}

/* All zones of a gas that are due, as one vector: sums of zones stay sums. */
static sky_status fuse_zones(sky_context *ctx, table *t, size_t g, size_t n_gases, size_t n,
                             const size_t *zone, const double *inventory_cov,
                             const double *posterior_cov, sky_facts *facts) {
  double *x_B = NULL, *x_T = NULL, *B = NULL, *T = NULL;
  sky_fusion f = {0};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(x_B, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(x_T, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(B, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(T, SKY_NEW(ctx, double, n *n));
  for (size_t k = 0; k < n; k++) {
    x_B[k] = t->row[zone[k] * n_gases + g].inventory;
    x_T[k] = t->row[zone[k] * n_gases + g].posterior;
  }
  pick(n, zone, t->zones.n, inventory_cov, B);
  pick(n, zone, t->zones.n, posterior_cov, T);
  SKY_GO(sky_fuse(ctx, n, x_B, B, x_T, T, NULL, &f));
  const double inflation = fmax(f.birge, 1.0);
  char more[48] = "";
  if (inflation > 1.0) snprintf(more, sizeof more, "; errors inflated by %.2f", inflation);
  for (size_t k = 0; k < n; k++) {
    const size_t i = zone[k] * n_gases + g;
    take(&t->row[i], &t->why[i], f.x[k], inflation * sqrt(fmax(f.P[k * (n + 1)], 0.0)), 1,
         "posterior and inventory, fused", more);
  }
  sky_fact(facts, "Comparison", sky_species_find(t->row[g].gas)->formula,
           "%zu zones fused: chi2 %.3g of inversion against inventory, rank %zu%s", n, f.chi2,
           f.rank, more);
cleanup:
  sky_free(x_B);
  sky_free(x_T);
  sky_free(B);
  sky_free(T);
  sky_fusion_free(&f);
  return st;
}

static sky_status fill_best(sky_context *ctx, table *t, size_t g, size_t n_gases, const char *gas,
                            sky_facts *facts) {
  const sky_node *inversion = sky_job_inversion(t->job, gas);
  const char *prior = inversion != NULL ? sky_node_text(inversion, "prior") : NULL;
  const bool is_prior = prior != NULL && strcmp(prior, t->row[g].inventory_id) == 0;
  const size_t nz = t->zones.n;
  double *inventory_cov = NULL, *posterior_cov = NULL;
  size_t *due = NULL, n = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(due, SKY_NEW(ctx, size_t, nz));
  SKY_GO(values(ctx, t, "posterior", gas, "zone_inventory_covariance", nz * nz, &inventory_cov));
  SKY_GO(values(ctx, t, "posterior", gas, "zone_covariance", nz * nz, &posterior_cov));
  for (size_t z = 0; z < nz; z++)
    if (best_alone(t, z, z * n_gases + g, is_prior, inventory_cov != NULL)) due[n++] = z;
  if (n > 0) SKY_GO(fuse_zones(ctx, t, g, n_gases, n, due, inventory_cov, posterior_cov, facts));
cleanup:
  sky_free(due);
  sky_free(inventory_cov);
  sky_free(posterior_cov);
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
  for (size_t g = 0; g < n_gases; g++)
    SKY_GO(fill_best(ctx, &t, g, n_gases, gases[g], &facts));
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
