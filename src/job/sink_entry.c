/* sink_entry.c: see sink_entry.h. */
#include "src/job/sink_entry.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/sink_indicators.h"
#include "src/job/sink_rasters.h"
#include "src/job/sink_spread.h"
#include "src/job/sink_yearly.h"

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
                              .fractions = text_of(item, "fractions"),
                              .factors = text_of(item, "factors"),
                              .pools = text_of(item, "pools"),
                              .soil = text_of(item, "soil"),
                              .plots = text_of(item, "plots"),
                              .overrides = text_of(item, "override"),
                              .tillage = text_of(item, "tillage"),
                              .input = text_of(item, "input"),
                              .grazing = text_of(item, "grazing"),
                              .climate = text_of(item, "climate"),
                              .climate_sets = text_of(item, "climate_sets"),
                              .soil_map = text_of(item, "soil_map"),
                              .soil_types = text_of(item, "soil_types"),
                              .local = {.biomass = text_of(item, "biomass"),
                                        .biomass_sd = text_of(item, "biomass_sd"),
                                        .soil = text_of(item, "soil_carbon"),
                                        .soil_sd = text_of(item, "soil_carbon_sd"),
                                        .ages = text_of(item, "forest_age")},
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
  static const char *const of_zones[] = {"reference", "biomass", "soil_carbon", "forest_age"};
  for (size_t i = 0; i < sizeof of_zones / sizeof of_zones[0]; i++)
    if (sky_node_get(item, of_zones[i]) != NULL) return false;
  return !sky_node_bool(item, "persistence");
}

/* Rasters that a table of fractions names. */
static sky_status fraction_inputs(sky_context *ctx, const char *table, sky_sink_input take,
                                  void *user) {
  sky_fractions f = {0};
  SKY_TRY(sky_fractions_read(ctx, table, &f));
  sky_status st = SKY_OK;
  for (size_t i = 0; i < 2 * f.n && st == SKY_OK; i++)
    st = take(ctx, user, f.band[i / f.n][i % f.n].path);
  sky_fractions_free(&f);
  return st;
}

sky_status sky_sink_entry_inputs(sky_context *ctx, const sky_node *item, sky_sink_input take,
                                 void *user) {
  static const char *const keys[] = {"pools",      "climate",   "climate_sets", "soil_map",
                                     "soil_types", "plots",     "biomass",      "soil_carbon",
                                     "forest_age", "reference", "override",     "measures",
                                     "flux",       "fractions", "management"};
  static const char *const errors[] = {"biomass_sd", "soil_carbon_sd"};
  const char *path;
  for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
    if ((path = text_of(item, keys[k])) != NULL) SKY_TRY(take(ctx, user, path));
  for (size_t k = 0; k < sizeof errors / sizeof errors[0]; k++)
    if ((path = text_of(item, errors[k])) != NULL && !sky_local_share(path))
      SKY_TRY(take(ctx, user, path));
  path = text_of(item, "legend");
  if (path != NULL && sky_sink_legend_is_file(path)) SKY_TRY(take(ctx, user, path));
  path = text_of(item, "fractions");
  return path != NULL ? fraction_inputs(ctx, path, take, user) : SKY_OK;
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
  if (sky_node_bool(item, "yearly")) SKY_TRY(take(ctx, user, name_of(ctx, item, ".yearly.csv")));
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

static sky_status write_yearly(sky_context *ctx, const sky_node *item, const sky_sink *s,
                               const char *path) {
  const sky_yearly_options opt = {text_of(item, "flux_years"), text_of(item, "management")};
  return sky_sink_write_yearly(ctx, s, &opt, path);
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
               {sky_node_bool(item, "yearly"), ".yearly.csv", write_yearly},
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
