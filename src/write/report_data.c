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

/* Shares of the map's width: what outlines are simplified to, and how long their straight edges may
 * be before a projected one is bent in longitude and latitude. */
#define OUTLINE_STEPS 2000.0
#define EDGE_STEPS 50.0

/* ---- zones ---- */

static bool same(const char *a, const char *b) {
  return a != NULL && b != NULL && strcmp(a, b) == 0;
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
    const char *status = row->status == NULL ? "" : row->status;
    cJSON_AddStringToObject(item, "status", status);
    cJSON_AddStringToObject(item, "colour", sky_status_colour(status));
    add_line(lines, "prior", s.factor * row->prior, s.factor * row->prior_sd, s.unit);
    add_line(lines, "top-down", s.factor * row->posterior, s.factor * row->posterior_sd, s.unit);
    add_line(lines, "inventory", s.factor * row->inventory, s.factor * row->inventory_sd, s.unit);
    add_line(lines, "ecosystems", s.factor * row->sink_posterior, s.factor * row->sink_posterior_sd,
             s.unit);
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
static cJSON *outline(const sky_zone *zone, const sky_crs *crs, double width) {
  static const char *const precision[] = {"COORDINATE_PRECISION=5", NULL};
  OGRGeometryH full = sky_zone_geometry(zone);
  if (full == NULL) return NULL;
  OGRGeometryH simple = OGR_G_SimplifyPreserveTopology(full, width / OUTLINE_STEPS);
  OGRGeometryH used = simple != NULL && !OGR_G_IsEmpty(simple) ? simple : full;
  if (crs != NULL) OGR_G_Segmentize(used, width / EDGE_STEPS);
  const bool placed = crs == NULL || sky_crs_geometry_to_lonlat(crs, used);
  char *text = placed ? OGR_G_ExportToJsonEx(used, (char **)precision) : NULL;
  cJSON *json = text == NULL ? NULL : cJSON_Parse(text);
  CPLFree(text);
  if (simple != NULL) OGR_G_DestroyGeometry(simple);
  OGR_G_DestroyGeometry(full);
  return json;
}

static sky_status add_zones(sky_context *ctx, const sky_report *r, cJSON *data) {
  sky_crs *crs = NULL; /* NULL: longitude and latitude already */
  cJSON *collection = cJSON_AddObjectToObject(data, "zones");
  cJSON_AddStringToObject(collection, "type", "FeatureCollection");
  cJSON *features = cJSON_AddArrayToObject(collection, "features");
  if (r->zones == NULL) return SKY_OK;
  if (r->crs != NULL) SKY_TRY(sky_crs_create(ctx, r->crs, &crs));
  const double width = width_of(r->zones);
  for (size_t i = 0; i < r->zones->n; i++) {
    const sky_zone *zone = &r->zones->zone[i];
    cJSON *geometry = outline(zone, crs, width);
    if (geometry == NULL) continue;
    cJSON *feature = cJSON_CreateObject();
    cJSON_AddStringToObject(feature, "type", "Feature");
    cJSON *properties = cJSON_AddObjectToObject(feature, "properties");
    cJSON_AddStringToObject(properties, "name", zone->name == NULL ? zone->id : zone->name);
    cJSON_AddItemToObject(properties, "rows", zone_rows(r, zone->id));
    cJSON_AddItemToObject(feature, "geometry", geometry);
    cJSON_AddItemToArray(features, feature);
  }
  sky_crs_free(crs);
  return SKY_OK;
}

/* ---- charts ---- */

const char *sky_report_level(const sky_zone_row *row) {
  return row->level == NULL ? "" : row->level;
}

bool sky_report_one_group(const sky_zone_row *a, const sky_zone_row *b) {
  return same(a->gas, b->gas) && same(sky_report_level(a), sky_report_level(b));
}

bool sky_report_opens_gas(const sky_report *r, size_t row) {
  for (size_t i = 0; i < row; i++)
    if (same(r->rows[i].gas, r->rows[row].gas)) return false;
  return r->rows[row].gas != NULL;
}

bool sky_report_opens_group(const sky_report *r, size_t row) {
  for (size_t i = 0; i < row; i++)
    if (sky_report_one_group(&r->rows[i], &r->rows[row])) return false;
  return r->rows[row].gas != NULL;
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

/* Rows of the chart of one group, the largest first; returns how many there are. */
static size_t chart_rows(const sky_report *r, const sky_zone_row *of, const sky_zone_row **rows) {
  size_t n = 0;
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    /* Buffer and outside of a state are no zones: they stand in the table only. */
    const bool zone = row->role == NULL || same(row->role, "report");
    if (zone && sky_report_one_group(row, of) && sky_report_has_flux(row)) rows[n++] = row;
  }
  if (n > 0) qsort(rows, n, sizeof *rows, larger_first);
  return n;
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

static cJSON *chart_of(const sky_report *r, const sky_zone_row **rows, size_t all) {
  char unit[96];
  const char *gas = rows[0]->gas;
  const sky_mass_scale s = sky_report_scale(r, gas);
  const size_t n = all < SKY_REPORT_CHART_ROWS ? all : SKY_REPORT_CHART_ROWS;
  cJSON *chart = cJSON_CreateObject();
  snprintf(unit, sizeof unit, "%s, %s", sky_report_gas(gas), s.unit);
  cJSON_AddStringToObject(chart, "gas", gas);
  cJSON_AddStringToObject(chart, "level", sky_report_level(rows[0]));
  cJSON_AddStringToObject(chart, "unit", unit);
  cJSON_AddBoolToObject(chart, "more", n < all);
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
  add_series(chart, "Inventory", "#e0913a", rows, n, s.factor, offsetof(sky_zone_row, inventory),
             offsetof(sky_zone_row, inventory_sd));
  return chart;
}

static sky_status add_charts(sky_context *ctx, const sky_report *r, cJSON *data) {
  cJSON *charts = cJSON_AddArrayToObject(data, "charts");
  const sky_zone_row **rows = SKY_NEW(ctx, const sky_zone_row *, r->n_rows);
  if (rows == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < r->n_rows; i++) {
    const size_t n = sky_report_opens_group(r, i) ? chart_rows(r, &r->rows[i], rows) : 0;
    if (n > 0) cJSON_AddItemToArray(charts, chart_of(r, rows, n));
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
