/* sink_entry_check.c: what can be said of an entry of sinks[] before anything runs
 * (sink_entry.h). */
#include <string.h>

#include "algorithms/sink/factor_rows.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/table.h"
#include "src/core/text.h"
#include "src/job/sink_entry.h"
#include "src/job/sink_yearly.h"

/* "file:line: key: " in front of what went wrong there. */
static sky_status fault_at(sky_context *ctx, const sky_job *job, const sky_node *node,
                           sky_status st) {
  char *where = sky_node_where(ctx, job->file, node);
  st = sky_fail_in(ctx, st, "%s", where != NULL ? where : "");
  sky_free(where);
  return st;
}

static sky_status check_set(sky_context *ctx, char *const *names, size_t n, const char *set) {
  sky_text t = {.ctx = ctx};
  for (size_t i = 0; i < n; i++)
    if (strcmp(names[i], set) == 0) return SKY_OK;
  for (size_t i = 0; i < n; i++)
    sky_text_printf(&t, "%s%s", i > 0 ? ", " : "", names[i]);
  char *list = sky_text_take(&t);
  if (list == NULL) return SKY_E_NOMEM;
  const sky_status st =
      sky_fail(ctx, SKY_E_JOB, "'%s' is no factor set; expected one of %s", set, list);
  sky_free(list);
  return st;
}

static sky_status check_sets(sky_context *ctx, const sky_job *job, const sky_node *item) {
  const sky_node *one = sky_node_get(item, "factors"), *list = sky_node_get(item, "compare");
  char **names = NULL;
  size_t n;
  SKY_TRY(sky_sink_set_names(ctx, &names, &n));
  sky_status st = one != NULL ? check_set(ctx, names, n, sky_node_text(one, "")) : SKY_OK;
  if (st != SKY_OK) st = fault_at(ctx, job, one, st);
  for (size_t i = 0; i < sky_node_count(list) && st == SKY_OK; i++) {
    st = check_set(ctx, names, n, sky_node_text(sky_node_item(list, i), ""));
    if (st != SKY_OK) st = fault_at(ctx, job, sky_node_item(list, i), st);
  }
  sky_free(names);
  return st;
}

static sky_status check_columns(sky_context *ctx, const char *path, const char *const *columns) {
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, path, &t));
  sky_status st = SKY_OK;
  for (size_t i = 0; columns[i] != NULL && st == SKY_OK; i++)
    if (sky_table_find(t, columns[i]) == SIZE_MAX)
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", path, columns[i]);
  sky_table_free(t);
  return st;
}

static sky_status check_tables(sky_context *ctx, const sky_job *job, const sky_node *item) {
  static const struct {
    const char *key, *columns[5];
  } tables[] = {{"pools", {NULL}},
                {"climate_sets", {"code", "set", NULL}},
                {"soil_types", {"code", "type", NULL}},
                {"plots", {"class", "biomass_t_c_ha", NULL}},
                {"reference", {"map_1", "map_2", "true_1", "true_2", NULL}},
                {"measures", {"zone_id", "measure", "area_ha", NULL}}};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    const sky_node *at = sky_node_get(item, tables[i].key);
    if (at == NULL) continue;
    const sky_status st = check_columns(ctx, sky_node_text(at, ""), tables[i].columns);
    if (st != SKY_OK) return fault_at(ctx, job, at, st);
  }
  return SKY_OK;
}

/* Keys and values of own rows of factors. */
static sky_status check_override(sky_context *ctx, const sky_job *job, const sky_node *item) {
  const sky_node *at = sky_node_get(item, "override");
  sky_table *t = NULL;
  if (at == NULL) return SKY_OK;
  sky_status st = sky_table_read(ctx, sky_node_text(at, ""), &t);
  if (st == SKY_OK) st = sky_factor_overrides_check(ctx, t, sky_node_text(at, ""));
  sky_table_free(t);
  return st == SKY_OK ? SKY_OK : fault_at(ctx, job, at, st);
}

/* ---- rasters -------------------------------------------------------------------------------- */

static sky_status check_raster(sky_context *ctx, const sky_job *job, const sky_node *at) {
  sky_raster *r = NULL;
  const sky_status st = sky_raster_open(ctx, sky_node_text(at, ""), &r);
  sky_raster_close(r);
  return st == SKY_OK ? SKY_OK : fault_at(ctx, job, at, st);
}

/* A standard deviation: a raster, or a share. */
static sky_status check_sd(sky_context *ctx, const sky_job *job, const sky_node *at) {
  double share;
  const char *text = sky_node_text(at, "");
  if (!sky_number_parse(text, &share, NULL)) return check_raster(ctx, job, at);
  if (share >= 0) return SKY_OK;
  const sky_status st =
      sky_fail(ctx, SKY_E_JOB, "'%s' is no share of at least 0 (e.g. 0.2), nor a raster", text);
  return fault_at(ctx, job, at, st);
}

static sky_status check_rasters(sky_context *ctx, const sky_job *job, const sky_node *item) {
  static const char *const keys[] = {"climate", "soil_map", "biomass", "soil_carbon"};
  static const char *const errors[] = {"biomass_sd", "soil_carbon_sd"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    const sky_node *at = sky_node_get(item, keys[i]);
    if (at != NULL) SKY_TRY(check_raster(ctx, job, at));
  }
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
    const sky_node *at = sky_node_get(item, errors[i]);
    if (at != NULL) SKY_TRY(check_sd(ctx, job, at));
  }
  return SKY_OK;
}

/* Ages of forest: a table of shares, or a raster, which needs maps. */
static sky_status check_ages(sky_context *ctx, const sky_job *job, const sky_node *item,
                             const sky_sink_options *o) {
  static const char *const columns[] = {"zone_id", "young", "old", "primary", NULL};
  const sky_node *at = sky_node_get(item, "forest_age");
  sky_status st = SKY_OK;
  if (at == NULL) return SKY_OK;
  if (sky_local_ages_table(&o->local))
    st = check_columns(ctx, o->local.ages, columns);
  else if (o->fractions == NULL)
    return check_raster(ctx, job, at);
  else
    st = sky_fail(ctx, SKY_E_JOB,
                  "'%s': a raster needs a map of classes, not fractions; expected shares, a .csv",
                  o->local.ages);
  return st == SKY_OK ? SKY_OK : fault_at(ctx, job, at, st);
}

/* ---- all ------------------------------------------------------------------------------------ */

static sky_status check_yearly(sky_context *ctx, const sky_job *job, const sky_node *item,
                               const sky_sink *s) {
  static const char *const keys[] = {"flux_years", "management"};
  for (size_t i = 0; i < 2; i++) {
    const sky_node *at = sky_node_get(item, keys[i]);
    const char *text = sky_node_text(item, keys[i]);
    const sky_yearly_options opt = {i == 0 ? text : NULL, i == 1 ? text : NULL};
    if (at == NULL) continue;
    const sky_status st = sky_sink_yearly_check(ctx, s, &opt);
    if (st != SKY_OK) return fault_at(ctx, job, at, st);
  }
  return SKY_OK;
}

/* Maps or fractions, and years by their dates. */
static sky_status check_open(sky_context *ctx, const sky_job *job, const sky_node *item,
                             const sky_sink_options *o) {
  const sky_node *fractions = sky_node_get(item, "fractions");
  sky_sink sink = {0};
  sky_status st = sky_sink_open(ctx, o, &sink);
  if (st == SKY_OK && fractions != NULL) st = sky_fractions_check(ctx, &sink.fractions);
  st = st == SKY_OK ? check_yearly(ctx, job, item, &sink)
                    : fault_at(ctx, job, fractions != NULL ? fractions : item, st);
  sky_sink_close(&sink);
  return st;
}

sky_status sky_sink_entry_check(sky_context *ctx, const sky_job *job, const sky_node *item) {
  sky_sink_entry e = {0};
  if (sky_sink_entry_is_flux(item)) return SKY_OK;
  SKY_TRY(check_sets(ctx, job, item));
  sky_status st = sky_sink_entry_read(ctx, job, item, &e);
  if (st == SKY_OK) st = check_open(ctx, job, item, &e.opt);
  if (st == SKY_OK) st = check_tables(ctx, job, item);
  if (st == SKY_OK) st = check_override(ctx, job, item);
  if (st == SKY_OK) st = check_rasters(ctx, job, item);
  if (st == SKY_OK) st = check_ages(ctx, job, item, &e.opt);
  sky_sink_entry_free(&e);
  return st;
}
