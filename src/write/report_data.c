/* report_data.c: what the page's script draws: zones as GeoJSON, and one bar chart per gas. */
#include <cpl_conv.h>
#include <math.h>
#include <ogr_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/write/crs.h"
#include "src/write/report_parts.h"
#include "src/write/style.h"
#include "src/write/zone_geometry.h"

#define OUTLINE_STEPS 2000.0 /* outlines are simplified to this share of the map's width */

/* ---- zones ---- */

static bool same(const char *a, const char *b) {
  return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* The status that a reader must not miss: of several gases the most telling one colours the zone.
 */
static const char *zone_colour(const sky_report *r, const char *id) {
  static const char *const order[] = {
      "higher",        "lower", "model misfit", "consistent", "insufficient information",
      "not comparable"};
  for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
    for (size_t i = 0; i < r->n_rows; i++) {
      if (same(r->rows[i].zone_id, id) && same(r->rows[i].status, order[k])) {
        return sky_status_colour(order[k]);
      }
    }
  }
  return sky_status_colour("");
}

static void add_line(cJSON *lines, const char *label, double value, double sd, const char *unit) {
  char number[96], text[192];
  if (!isfinite(value)) return;
  sky_report_plus_minus(value, sd, number);
  snprintf(text, sizeof text, "%s: %s %s", label, number, unit);
  cJSON_AddItemToArray(lines, cJSON_CreateString(text));
}

static cJSON *zone_rows(const sky_report *r, const char *id) {
  cJSON *list = cJSON_CreateArray();
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (!same(row->zone_id, id)) continue;
    const sky_mass_scale s = sky_report_scale(r, row->gas == NULL ? "" : row->gas);
    cJSON *item = cJSON_CreateObject(), *lines = cJSON_CreateArray();
    cJSON_AddStringToObject(item, "gas", sky_report_gas(row->gas));
    cJSON_AddStringToObject(item, "status", row->status == NULL ? "" : row->status);
    add_line(lines, "top-down", s.factor * row->posterior, s.factor * row->posterior_sd, s.unit);
    add_line(lines, "bottom-up", s.factor * row->inventory, s.factor * row->inventory_sd, s.unit);
    add_line(lines, "soundings", row->n_soundings, NAN, "");
    if (row->reason != NULL && row->reason[0] != '\0') {
      cJSON_AddItemToArray(lines, cJSON_CreateString(row->reason));
    }
    cJSON_AddItemToObject(item, "lines", lines);
    cJSON_AddItemToArray(list, item);
  }
  return list;
}

/* Width of all zones in their own coordinates; 0 without rings. */
static double width_of(const sky_zones *zones) {
  double west = INFINITY, east = -INFINITY;
  for (size_t i = 0; i < zones->n; i++) {
    for (size_t k = 0; k < zones->zone[i].n_rings; k++) {
      const sky_ring *ring = &zones->zone[i].ring[k];
      for (size_t j = 0; j < ring->n; j++) {
        west = fmin(west, ring->x[j]);
        east = fmax(east, ring->x[j]);
      }
    }
  }
  return east > west ? east - west : 0;
}

/* Simplified outline in longitude and latitude as a GeoJSON geometry; NULL if there is none. */
static cJSON *outline(const sky_zone *zone, const sky_crs *crs, bool geographic, double tolerance) {
  static const char *const precision[] = {"COORDINATE_PRECISION=5", NULL};
  OGRGeometryH full = sky_zone_geometry(zone);
  if (full == NULL) return NULL;
  OGRGeometryH simple = OGR_G_SimplifyPreserveTopology(full, tolerance);
  OGRGeometryH used = simple != NULL && !OGR_G_IsEmpty(simple) ? simple : full;
  const bool placed = geographic || sky_crs_geometry_to_lonlat(crs, used);
  char *text = placed ? OGR_G_ExportToJsonEx(used, (char **)precision) : NULL;
  cJSON *json = text == NULL ? NULL : cJSON_Parse(text);
  CPLFree(text);
  if (simple != NULL) OGR_G_DestroyGeometry(simple);
  OGR_G_DestroyGeometry(full);
  return json;
}

static sky_status add_zones(sky_context *ctx, const sky_report *r, cJSON *data) {
  const bool geographic = r->grid == NULL || r->grid->geographic;
  sky_crs *crs = NULL;
  cJSON *collection = cJSON_AddObjectToObject(data, "zones");
  cJSON_AddStringToObject(collection, "type", "FeatureCollection");
  cJSON *features = cJSON_AddArrayToObject(collection, "features");
  if (r->zones == NULL) return SKY_OK;
  SKY_TRY(sky_crs_create(ctx, geographic ? "EPSG:4326" : r->grid->crs, &crs));
  const double tolerance = width_of(r->zones) / OUTLINE_STEPS;
  for (size_t i = 0; i < r->zones->n; i++) {
    const sky_zone *zone = &r->zones->zone[i];
    cJSON *geometry = outline(zone, crs, geographic, tolerance);
    if (geometry == NULL) continue;
    cJSON *feature = cJSON_CreateObject();
    cJSON_AddStringToObject(feature, "type", "Feature");
    cJSON *properties = cJSON_AddObjectToObject(feature, "properties");
    cJSON_AddStringToObject(properties, "name", zone->name == NULL ? zone->id : zone->name);
    cJSON_AddStringToObject(properties, "colour", zone_colour(r, zone->id));
    cJSON_AddItemToObject(properties, "rows", zone_rows(r, zone->id));
    cJSON_AddItemToObject(feature, "geometry", geometry);
    cJSON_AddItemToArray(features, feature);
  }
  sky_crs_free(crs);
  return SKY_OK;
}

/* ---- charts ---- */

size_t sky_report_chart_gases(const sky_report *r, const char **gas, size_t max) {
  size_t n = 0;
  for (size_t i = 0; i < r->n_rows; i++) {
    if (r->rows[i].gas == NULL || !sky_report_has_flux(&r->rows[i])) continue;
    bool known = false;
    for (size_t k = 0; k < n; k++)
      known = known || strcmp(gas[k], r->rows[i].gas) == 0;
    if (!known && n < max) gas[n++] = r->rows[i].gas;
  }
  return n;
}

static double magnitude(const sky_zone_row *row) {
  return fmax(fmax(fabs(row->posterior), fabs(row->inventory)), fabs(row->prior));
}

static int larger_first(const void *a, const void *b) {
  const sky_zone_row *x = *(const sky_zone_row *const *)a, *y = *(const sky_zone_row *const *)b;
  const double p = magnitude(x), q = magnitude(y);
  if (p != q) return p < q ? 1 : -1;
  return (x > y) - (x < y); /* the order of the table */
}

size_t sky_report_chart_rows(const sky_report *r, const char *gas, const sky_zone_row **rows,
                             size_t max) {
  size_t n = 0;
  for (size_t i = 0; i < r->n_rows; i++) {
    /* Buffer and outside of a state are no zones: they stand in the table only. */
    const bool zone = r->rows[i].role == NULL || same(r->rows[i].role, "report");
    if (zone && same(r->rows[i].gas, gas) && sky_report_has_flux(&r->rows[i]))
      rows[n++] = &r->rows[i];
  }
  if (n > 0) qsort(rows, n, sizeof *rows, larger_first);
  return n < max ? n : max;
}

static void add_finite(cJSON *array, double v) {
  cJSON_AddItemToArray(array, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static void add_series(cJSON *chart, const char *label, const char *colour,
                       const sky_zone_row **rows, size_t n, double factor, size_t value,
                       size_t sd) {
  cJSON *series = cJSON_CreateObject();
  cJSON *values = cJSON_CreateArray(), *sds = cJSON_CreateArray();
  bool any = false;
  for (size_t i = 0; i < n; i++) {
    const double v = *(const double *)((const char *)rows[i] + value);
    add_finite(values, factor * v);
    add_finite(sds, factor * *(const double *)((const char *)rows[i] + sd));
    any = any || isfinite(v);
  }
  cJSON_AddStringToObject(series, "label", label);
  cJSON_AddStringToObject(series, "colour", colour);
  cJSON_AddItemToObject(series, "value", values);
  cJSON_AddItemToObject(series, "sd", sds);
  if (any) {
    cJSON_AddItemToArray(cJSON_GetObjectItem(chart, "series"), series);
  } else {
    cJSON_Delete(series);
  }
}

static sky_status add_charts(sky_context *ctx, const sky_report *r, cJSON *data) {
  const char *gas[SKY_REPORT_MAX_GASES];
  const size_t n_gases = sky_report_chart_gases(r, gas, SKY_REPORT_MAX_GASES);
  cJSON *charts = cJSON_AddArrayToObject(data, "charts");
  const sky_zone_row **rows = SKY_NEW(ctx, const sky_zone_row *, r->n_rows);
  if (rows == NULL) return SKY_E_NOMEM;
  for (size_t g = 0; g < n_gases; g++) {
    char id[32], unit[64];
    const sky_mass_scale s = sky_report_scale(r, gas[g]);
    const size_t n = sky_report_chart_rows(r, gas[g], rows, SKY_REPORT_CHART_ROWS);
    cJSON *chart = cJSON_CreateObject();
    snprintf(id, sizeof id, "chart-%zu", g);
    snprintf(unit, sizeof unit, "%s, %s", sky_report_gas(gas[g]), s.unit);
    cJSON_AddStringToObject(chart, "id", id);
    cJSON_AddStringToObject(chart, "unit", unit);
    cJSON *names = cJSON_AddArrayToObject(chart, "zones");
    for (size_t i = 0; i < n; i++) {
      const char *name = rows[i]->zone_name != NULL ? rows[i]->zone_name : rows[i]->zone_id;
      cJSON_AddItemToArray(names, cJSON_CreateString(name == NULL ? "" : name));
    }
    cJSON_AddArrayToObject(chart, "series");
    add_series(chart, "Prior", "#c2c9d0", rows, n, s.factor, offsetof(sky_zone_row, prior),
               offsetof(sky_zone_row, prior_sd));
    add_series(chart, "Top-down", "#0b6a8f", rows, n, s.factor, offsetof(sky_zone_row, posterior),
               offsetof(sky_zone_row, posterior_sd));
    add_series(chart, "Bottom-up", "#e0913a", rows, n, s.factor, offsetof(sky_zone_row, inventory),
               offsetof(sky_zone_row, inventory_sd));
    cJSON_AddItemToArray(charts, chart);
  }
  sky_free(rows);
  return SKY_OK;
}

sky_status sky_report_data(sky_context *ctx, const sky_report *r, cJSON **out) {
  sky_status st = SKY_OK;
  cJSON *data = cJSON_CreateObject();
  *out = NULL;
  SKY_GO(sky_report_layers(ctx, r, cJSON_AddArrayToObject(data, "layers")));
  SKY_GO(add_zones(ctx, r, data));
  SKY_GO(add_charts(ctx, r, data));
  *out = data;
  return SKY_OK;

cleanup:
  cJSON_Delete(data);
  return st;
}
