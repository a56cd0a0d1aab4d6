/* sink_entry.c: see sink_entry.h. */
#include "src/job/sink_entry.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/table.h"
#include "src/core/text.h"
#include "src/job/sink_indicators.h"
#include "src/job/sink_rasters.h"
#include "src/job/sink_spread.h"

static const char *text_of(const sky_node *item, const char *key) {
  return sky_node_text(item, key);
}

/* ---- options -------------------------------------------------------------------------------- */

static sky_status read_lists(sky_context *ctx, const sky_node *item, sky_sink_entry *e) {
  const sky_node *maps = sky_node_get(item, "maps"), *years = sky_node_get(item, "years");
  const sky_node *allowed = sky_node_get(item, "allow_unverified");
  sky_sink_options *o = &e->opt;
  o->n_date = sky_node_count(maps);
  if (o->n_date > SKY_TENSOR_DATES)
    return sky_fail(ctx, SKY_E_INTERNAL, "a sink of %zu maps", o->n_date);
  for (size_t i = 0; i < o->n_date; i++) {
    o->maps[i] = sky_node_text(sky_node_item(maps, i), "");
    o->years[i] = sky_node_number(sky_node_item(years, i), "");
  }
  o->n_allowed = sky_node_count(allowed);
  e->allowed = SKY_NEW(ctx, const char *, o->n_allowed);
  if (e->allowed == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < o->n_allowed; i++)
    e->allowed[i] = sky_node_text(sky_node_item(allowed, i), "");
  o->allowed = e->allowed;
  return SKY_OK;
}

sky_status sky_sink_entry_read(sky_context *ctx, const sky_job *job, const sky_node *item,
                               sky_sink_entry *out) {
  *out = (sky_sink_entry){.opt = {
                              .zones = sky_node_text(job->root, "zones.file"),
                              .legend = text_of(item, "legend"),
                              .factors = text_of(item, "factors"),
                              .pools = text_of(item, "pools"),
                              .soil = text_of(item, "soil"),
                              .plots = text_of(item, "plots"),
                              .tillage = text_of(item, "tillage"),
                              .input = text_of(item, "input"),
                              .grazing = text_of(item, "grazing"),
                              .climate = text_of(item, "climate"),
                              .climate_sets = text_of(item, "climate_sets"),
                              .soil_map = text_of(item, "soil_map"),
                              .soil_types = text_of(item, "soil_types"),
                              .accuracy = sky_node_number(item, "accuracy"),
                              .places = sky_node_number(item, "places"),
                              .correlation = sky_node_number(item, "map_correlation"),
                              .reference = text_of(item, "reference"),
                              .persistence = sky_node_bool(item, "persistence"),
                          }};
  return read_lists(ctx, item, out);
}

void sky_sink_entry_free(sky_sink_entry *e) {
  if (e == NULL) return;
  sky_free(e->allowed);
  memset(e, 0, sizeof *e);
}

bool sky_sink_entry_is_flux(const sky_node *item) {
  return sky_node_get(item, "flux") != NULL;
}

bool sky_sink_entry_has_layer(const sky_node *item) {
  return sky_node_get(item, "reference") == NULL && !sky_node_bool(item, "persistence");
}

const char *sky_sink_entry_input(const sky_node *item, size_t i) {
  static const char *const keys[] = {"pools", "climate",   "climate_sets", "soil_map", "soil_types",
                                     "plots", "reference", "measures",     "flux",     "legend"};
  const size_t n = sizeof keys / sizeof keys[0];
  for (size_t k = 0; k < n; k++) {
    const char *path = text_of(item, keys[k]);
    if (path == NULL || (k == n - 1 && !sky_sink_legend_is_file(path))) continue;
    if (i-- == 0) return path;
  }
  return NULL;
}

/* ---- what is written ------------------------------------------------------------------------ */

static char *name_of(sky_context *ctx, const sky_node *item, const char *suffix) {
  return sky_sprintf(ctx, "sink-%s%s", text_of(item, "id"), suffix);
}

static sky_status raster_outputs(sky_context *ctx, const sky_node *item, sky_sink_take take,
                                 void *user) {
  const sky_node *list = sky_node_get(item, "rasters");
  static const char *const ends[] = {"tif", "qml"};
  for (size_t i = 0; i < sky_node_count(list); i++)
    for (size_t k = 0; k < 2; k++)
      SKY_TRY(take(ctx, user,
                   sky_sprintf(ctx, "sink-%s_%s.%s", text_of(item, "id"),
                               sky_node_text(sky_node_item(list, i), ""), ends[k])));
  return SKY_OK;
}

sky_status sky_sink_entry_outputs(sky_context *ctx, const sky_node *item, sky_sink_take take,
                                  void *user) {
  if (sky_sink_entry_has_layer(item))
    SKY_TRY(take(ctx, user, sky_sprintf(ctx, "stages/sink-%s.nc", text_of(item, "id"))));
  if (sky_sink_entry_is_flux(item)) return SKY_OK;
  SKY_TRY(take(ctx, user, name_of(ctx, item, ".csv")));
  if (sky_node_bool(item, "areas")) SKY_TRY(take(ctx, user, name_of(ctx, item, ".areas.csv")));
  if (text_of(item, "gwp") != NULL) SKY_TRY(take(ctx, user, name_of(ctx, item, ".indicators.csv")));
  if (sky_node_get(item, "compare") != NULL)
    SKY_TRY(take(ctx, user, name_of(ctx, item, ".spread.csv")));
  return raster_outputs(ctx, item, take, user);
}

static sky_status write_indicators(sky_context *ctx, const sky_node *item, const sky_sink *s,
                                   const char *path) {
  const char *measures = text_of(item, "measures");
  sky_zone_measures m = {0};
  sky_sink_gwp gwp;
  SKY_TRY(sky_sink_gwp_find(ctx, text_of(item, "gwp"), &gwp));
  if (measures != NULL) SKY_TRY(sky_zone_measures_read(ctx, measures, s, &m));
  const sky_status st = sky_sink_write_indicators(ctx, s, measures != NULL ? &m : NULL, &gwp, path);
  sky_zone_measures_free(&m);
  return st;
}

static sky_status write_spread(sky_context *ctx, const sky_node *item, const sky_sink *s,
                               const char *path) {
  const sky_node *list = sky_node_get(item, "compare");
  sky_text t = {.ctx = ctx};
  for (size_t i = 0; i < sky_node_count(list); i++)
    sky_text_printf(&t, "%s%s", i > 0 ? "," : "", sky_node_text(sky_node_item(list, i), ""));
  char *names = sky_text_take(&t);
  if (names == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_sink_write_spread(ctx, s, names, path);
  sky_free(names);
  return st;
}

static sky_status write_areas(sky_context *ctx, const sky_node *item, const sky_sink *s,
                              const char *path) {
  (void)item;
  return sky_sink_write_areas(ctx, s, path);
}
static sky_status write_table(sky_context *ctx, const sky_node *item, const sky_sink *s,
                              const char *path) {
  (void)item;
  return sky_sink_write_csv(ctx, s, path);
}
static sky_status write_rasters(sky_context *ctx, const sky_node *item, const sky_sink *s,
                                const char *path) {
  const sky_node *list = sky_node_get(item, "rasters");
  const char *names[SKY_SINK_RASTERS] = {NULL};
  for (size_t i = 0; i < sky_node_count(list) && i < SKY_SINK_RASTERS; i++)
    names[i] = sky_node_text(sky_node_item(list, i), "");
  return sky_sink_write_rasters(ctx, s, path, names, sky_node_count(list));
}

sky_status sky_sink_entry_write(sky_context *ctx, const sky_job *job, const sky_node *item,
                                const sky_sink *s) {
  const struct {
    bool asked;
    const char *suffix;
    sky_status (*write)(sky_context *, const sky_node *, const sky_sink *, const char *);
  } files[] = {{true, ".csv", write_table},
               {sky_node_bool(item, "areas"), ".areas.csv", write_areas},
               {text_of(item, "gwp") != NULL, ".indicators.csv", write_indicators},
               {sky_node_get(item, "compare") != NULL, ".spread.csv", write_spread},
               {sky_node_get(item, "rasters") != NULL, "", write_rasters}};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    if (!files[i].asked) continue;
    char *name = name_of(ctx, item, files[i].suffix);
    char *path = name != NULL ? sky_job_path(ctx, job, name) : NULL;
    const sky_status st = path != NULL ? files[i].write(ctx, item, s, path) : SKY_E_NOMEM;
    sky_free(name);
    sky_free(path);
    SKY_TRY(st);
  }
  return SKY_OK;
}

/* ---- check ---------------------------------------------------------------------------------- */

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

static sky_status check_rasters(sky_context *ctx, const sky_job *job, const sky_node *item) {
  static const char *const keys[] = {"climate", "soil_map"};
  for (size_t i = 0; i < 2; i++) {
    const sky_node *at = sky_node_get(item, keys[i]);
    sky_raster *r = NULL;
    if (at == NULL) continue;
    const sky_status st = sky_raster_open(ctx, sky_node_text(at, ""), &r);
    sky_raster_close(r);
    if (st != SKY_OK) return fault_at(ctx, job, at, st);
  }
  return SKY_OK;
}

sky_status sky_sink_entry_check(sky_context *ctx, const sky_job *job, const sky_node *item) {
  sky_sink_entry e = {0};
  sky_sink sink = {0};
  if (sky_sink_entry_is_flux(item)) return SKY_OK;
  SKY_TRY(check_sets(ctx, job, item));
  sky_status st = sky_sink_entry_read(ctx, job, item, &e);
  if (st == SKY_OK) st = sky_sink_open(ctx, &e.opt, &sink);
  sky_sink_close(&sink);
  sky_sink_entry_free(&e);
  if (st != SKY_OK) return fault_at(ctx, job, item, st);
  SKY_TRY(check_tables(ctx, job, item));
  return check_rasters(ctx, job, item);
}
