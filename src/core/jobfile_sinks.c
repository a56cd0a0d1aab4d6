/* jobfile_sinks.c: what the keys of sinks[] must be to each other. */
#include <math.h>

#include "src/core/jobfile_rules.h"

#define FIRST_YEAR 1900
#define LAST_YEAR 2200

/* ---- years ---- */

static sky_status check_years(sky_faults *f, const sky_node *item) {
  const sky_node *maps = sky_node_get(item, "maps"), *years = sky_node_get(item, "years");
  double before = FIRST_YEAR;
  if (maps == NULL || years == NULL) return SKY_OK;
  for (size_t i = 0; i < sky_node_count(years); i++) {
    const sky_node *at = sky_node_item(years, i);
    const double year = sky_node_number(at, NULL);
    if (isnan(year)) return SKY_OK;
    if (!(year >= before && year <= LAST_YEAR) || (i > 0 && year == before))
      return sky_fault_at(f, at, "%g is not a year in ascending order (%d to %d)", year, FIRST_YEAR,
                          LAST_YEAR);
    before = year;
  }
  if (sky_node_count(maps) == sky_node_count(years)) return SKY_OK;
  return sky_fault_at(f, years, "%zu years for %zu maps", sky_node_count(years),
                      sky_node_count(maps));
}

/* ---- factors, climate, soil ---- */

/* Both keys of a pair, or none. */
static sky_status pair(sky_faults *f, const sky_node *item, const char *a, const char *b,
                       const char *message) {
  const bool first = sky_node_get(item, a) != NULL, second = sky_node_get(item, b) != NULL;
  return first == second ? SKY_OK : fault(f, item, first ? b : a, message);
}

static sky_status check_factors(sky_faults *f, const sky_node *item) {
  const char *const one_of[] = {"factors", "pools", "climate_sets"};
  size_t n = 0;
  for (size_t i = 0; i < 3; i++)
    n += sky_node_get(item, one_of[i]) != NULL;
  SKY_TRY(
      pair(f, item, "climate", "climate_sets", "climate and climate_sets go together, in a sink"));
  if (n == 0)
    return fault(f, item, "factors",
                 "required without pools or climate_sets: skyflux list sink-sets");
  if (n == 1) return SKY_OK;
  return fault(f, item, sky_node_get(item, "pools") != NULL ? "pools" : "climate_sets",
               "both factors and this are given, or pools and climate_sets; one of them decides");
}

static sky_status check_soil(sky_faults *f, const sky_node *item) {
  static const char *const of_soils[] = {"tillage", "input", "grazing", NULL};
  static const char *const of_sets[] = {
      "soil",           "soil_map",   "soil_types", "plots",      "gwp",
      "measures",       "compare",    "biomass",    "biomass_sd", "soil_carbon",
      "soil_carbon_sd", "forest_age", "override",   "yearly",     NULL};
  const bool map = sky_node_get(item, "soil_map") != NULL, one = sky_node_get(item, "soil") != NULL;
  SKY_TRY(pair(f, item, "soil_map", "soil_types", "soil_map and soil_types go together"));
  if (map && one)
    SKY_TRY(fault(f, item, "soil", "both soil and soil_map are given; one of them decides"));
  if (!map && !one) SKY_TRY(no_effect(f, item, of_soils, "has no effect without soil or soil_map"));
  return sky_node_get(item, "pools") == NULL
             ? SKY_OK
             : no_effect(f, item, of_sets, "has no effect with pools, which have their own");
}

/* ---- what is known of single zones ---- */

static bool has_local(const sky_node *item) {
  return sky_node_get(item, "biomass") != NULL || sky_node_get(item, "soil_carbon") != NULL ||
         sky_node_get(item, "forest_age") != NULL;
}

static sky_status check_local(sky_faults *f, const sky_node *item) {
  static const char *const other[] = {"plots", "rasters", NULL};
  SKY_TRY(pair(f, item, "biomass", "biomass_sd", "biomass and biomass_sd go together"));
  SKY_TRY(
      pair(f, item, "soil_carbon", "soil_carbon_sd", "soil_carbon and soil_carbon_sd go together"));
  return !has_local(item)
             ? SKY_OK
             : no_effect(f, item, other, "does not go with biomass, soil_carbon or forest_age");
}

/* ---- single years ---- */

static sky_status check_yearly(sky_faults *f, const sky_node *item) {
  static const char *const of_yearly[] = {"flux_years", "management", NULL};
  static const char *const of_all_dates[] = {"tillage", "input", "grazing", NULL};
  if (!sky_node_bool(item, "yearly"))
    return no_effect(f, item, of_yearly, "has no effect without yearly");
  if (sky_node_get(item, "reference") != NULL || has_local(item))
    SKY_TRY(fault(f, item, "yearly",
                  "is of factor sets: not with reference, biomass, soil_carbon or forest_age"));
  return sky_node_get(item, "management") == NULL
             ? SKY_OK
             : no_effect(f, item, of_all_dates, "is by date in management; one of them decides");
}

/* ---- errors, tables beside ---- */

static sky_status check_errors(sky_faults *f, const sky_node *item) {
  const size_t maps = sky_node_count(sky_node_get(item, "maps"));
  const bool reference = sky_node_get(item, "reference") != NULL;
  const bool as_they_are = !reference && !sky_node_bool(item, "persistence");
  if (sky_node_number(item, "accuracy") == 0)
    SKY_TRY(fault(f, item, "accuracy", "0 is not above 0 (e.g. 0.85)"));
  if (reference && sky_node_get(item, "accuracy") != NULL)
    SKY_TRY(fault(f, item, "accuracy", "has no effect with reference, which knows the mistakes"));
  if (reference && maps > 2)
    SKY_TRY(fault(f, item, "reference", "is a sample of one change: give two maps"));
  if (sky_node_given(item, "map_correlation") && sky_node_get(item, "accuracy") == NULL)
    SKY_TRY(fault(f, item, "map_correlation", "has no effect without accuracy"));
  if (sky_node_bool(item, "persistence") && maps < 3)
    SKY_TRY(fault(f, item, "persistence", "needs maps of three dates or more"));
  if (!as_they_are && sky_node_get(item, "rasters") != NULL)
    SKY_TRY(
        fault(f, item, "rasters", "show the maps as they are, not with persistence or reference"));
  return SKY_OK;
}

static sky_status check_beside(sky_faults *f, const sky_node *item) {
  if (sky_node_get(item, "measures") == NULL || sky_node_get(item, "gwp") != NULL) return SKY_OK;
  return fault(f, item, "measures", "go into the table of indicators, which needs gwp");
}

static sky_status check_rasters(sky_faults *f, const sky_node *item) {
  static const char *const names[] = {"stock", "stock_change", "removal"};
  const sky_node *list = sky_node_get(item, "rasters");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *at = sky_node_item(list, i);
    bool known = false, again = false;
    for (size_t k = 0; k < 3; k++)
      known |= is(at, "", names[k]);
    for (size_t k = 0; k < i; k++)
      again |= is(at, "", sky_node_text(sky_node_item(list, k), ""));
    if (!known || again)
      SKY_TRY(sky_fault_at(f, at, "'%s' is %s; expected stock, stock_change, removal",
                           sky_node_text(at, ""), known ? "there twice" : "no raster of a sink"));
  }
  return SKY_OK;
}

/* ---- in place of maps: a flux, fractions ---- */

/* What only maps have: single classes, their accuracy, places beside them. */
static const char *const of_classes[] = {
    "maps",     "years",      "legend",      "pools",          "climate",  "climate_sets",
    "soil_map", "soil_types", "reference",   "persistence",    "accuracy", "map_correlation",
    "biomass",  "biomass_sd", "soil_carbon", "soil_carbon_sd", "rasters",  NULL};

static sky_status check_flux(sky_faults *f, const sky_node *item) {
  static const char *const of_carbon[] = {"fractions",        "factors",    "soil",    "plots",
                                          "forest_age",       "override",   "tillage", "input",
                                          "grazing",          "places",     "areas",   "gwp",
                                          "measures",         "compare",    "yearly",  "flux_years",
                                          "allow_unverified", "management", NULL};
  if (sky_node_get(item, "sigma") == NULL)
    SKY_TRY(fault(f, item, "sigma", "required with flux: the error that all its cells share"));
  SKY_TRY(no_effect(f, item, of_classes, "has no effect with flux"));
  return no_effect(f, item, of_carbon, "has no effect with flux");
}

static sky_status check_maps(sky_faults *f, const sky_node *item) {
  static const char *const needed[] = {"maps", "years", "legend"};
  static const char *const of_flux[] = {"variable", "sigma", "floor", NULL};
  const bool fractions = sky_node_get(item, "fractions") != NULL;
  if (fractions) SKY_TRY(no_effect(f, item, of_classes, "does not go with fractions"));
  for (size_t i = 0; i < 3 && !fractions; i++)
    if (sky_node_get(item, needed[i]) == NULL)
      SKY_TRY(fault(f, item, needed[i], "required without fractions or flux"));
  SKY_TRY(check_years(f, item));
  SKY_TRY(check_factors(f, item));
  SKY_TRY(check_soil(f, item));
  SKY_TRY(check_local(f, item));
  SKY_TRY(check_yearly(f, item));
  if (!fractions) SKY_TRY(check_errors(f, item));
  SKY_TRY(check_beside(f, item));
  SKY_TRY(check_rasters(f, item));
  return no_effect(f, item, of_flux, "has no effect without flux");
}

sky_status sky_rule_sinks(const sky_node *root, sky_faults *f) {
  const sky_node *list = sky_node_get(root, "sinks");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    if (item->kind != SKY_NODE_MAP) continue;
    SKY_TRY(sky_node_get(item, "flux") != NULL ? check_flux(f, item) : check_maps(f, item));
  }
  return SKY_OK;
}

sky_status sky_rule_sink_layer(sky_faults *f, const sky_node *sink, const sky_node *inversion) {
  if (sink == NULL) return SKY_OK;
  if (has_local(sink))
    return fault(f, inversion, "sink",
                 "biomass, soil_carbon and forest_age are known of zones, not of cells, so the "
                 "sink must be without them");
  if (sky_node_get(sink, "reference") == NULL && !sky_node_bool(sink, "persistence")) return SKY_OK;
  return fault(f, inversion, "sink",
               "cells are what the maps show, so the sink must be without reference and "
               "persistence");
}
