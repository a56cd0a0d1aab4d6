/* zone_table.c: the zone table as CSV (RFC 4180 quoting, LF) and GeoPackage (OGC 12-128r18).
 *
 * One column table drives the CSV writer, its reader and the GeoPackage, so they cannot differ. */
#include "src/write/zone_table.h"

#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_vsi.h>
#include <gdal.h>
#include <math.h>
#include <ogr_api.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/table.h"
#include "src/core/text.h"
#include "src/engine/gdal_start.h"
#include "src/write/crs.h"
#include "src/write/json_out.h"
#include "src/write/style.h"
#include "src/write/zone_geometry.h"

#define FIXED_DATE "2000-01-01T00:00:00.000Z" /* a GeoPackage must state one; ours says nothing */

typedef enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_UNIT } column_kind;
typedef struct column {
  const char *name;
  column_kind kind; /* COLUMN_UNIT: unit of column_mean and column_sd, from the gas */
  size_t offset;
} column;

#define TEXT(name, member) \
  { name, COLUMN_TEXT, offsetof(sky_zone_row, member) }
#define NUMBER(name, member) \
  { name, COLUMN_NUMBER, offsetof(sky_zone_row, member) }
static const column columns[] = {
    TEXT("zone_id", zone_id),
    TEXT("zone_name", zone_name),
    TEXT("level", level),
    TEXT("role", role),
    TEXT("gas", gas),
    NUMBER("area_km2", area_km2),
    NUMBER("covered_fraction", covered_fraction),
    NUMBER("n_soundings", n_soundings),
    NUMBER("column_mean", column_mean),
    NUMBER("column_sd", column_sd),
    {"column_unit", COLUMN_UNIT, 0},
    NUMBER("prior_t_yr", prior),
    NUMBER("prior_sd_t_yr", prior_sd),
    NUMBER("posterior_t_yr", posterior),
    NUMBER("posterior_sd_t_yr", posterior_sd),
    TEXT("posterior_is", posterior_is),
    NUMBER("inventory_t_yr", inventory),
    NUMBER("inventory_sd_t_yr", inventory_sd),
    NUMBER("inventory_seen_t_yr", inventory_seen),
    TEXT("inventory_id", inventory_id),
    NUMBER("scope2_t_yr", scope2),
    NUMBER("scope2_sd_t_yr", scope2_sd),
    NUMBER("sink_t_yr", sink),
    NUMBER("sink_sd_t_yr", sink_sd),
    NUMBER("sink_posterior_t_yr", sink_posterior),
    NUMBER("sink_posterior_sd_t_yr", sink_posterior_sd),
    NUMBER("net_posterior_t_yr", net_posterior),
    NUMBER("net_posterior_sd_t_yr", net_posterior_sd),
    NUMBER("best_t_yr", best),
    NUMBER("best_sd_t_yr", best_sd),
    TEXT("best_from", best_from),
    NUMBER("dofs", dofs),
    NUMBER("reduction", reduction),
    NUMBER("sensitivity", sensitivity),
    NUMBER("detectable_t_yr", detectable),
    NUMBER("z", z),
    NUMBER("p", p),
    NUMBER("q", q),
    TEXT("status", status),
    TEXT("reason", reason),
};
#define N_COLUMNS (sizeof columns / sizeof columns[0])

static double number_of(const sky_zone_row *row, const column *c) {
  return *(const double *)((const char *)row + c->offset);
}

static const char *text_of(const sky_zone_row *row, const column *c) {
  if (c->kind == COLUMN_UNIT) {
    const sky_species *gas = row->gas == NULL ? NULL : sky_species_find(row->gas);
    return gas == NULL ? "" : gas->column_unit;
  }
  const char *text = *(const char *const *)((const char *)row + c->offset);
  return text == NULL ? "" : text;
}

/* ---- CSV ---- */

static void put_cell(sky_text *t, const sky_zone_row *row, const column *c) {
  char number[32];
  if (c->kind != COLUMN_NUMBER) {
    sky_text_csv(t, text_of(row, c));
  } else if (isinf(number_of(row, c))) {
    sky_text_put(t, number_of(row, c) > 0 ? "inf" : "-inf");
  } else if (!isnan(number_of(row, c))) {
    sky_number_text(number_of(row, c), number);
    sky_text_put(t, number);
  }
}

sky_status sky_zone_table_csv(sky_context *ctx, const char *path, const sky_zone_row *rows,
                              size_t n) {
  sky_text t = {.ctx = ctx};
  for (size_t k = 0; k < N_COLUMNS; k++) {
    sky_text_printf(&t, "%s%s", k == 0 ? "" : ",", columns[k].name);
  }
  sky_text_put(&t, "\n");
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < N_COLUMNS; k++) {
      if (k > 0) sky_text_put(&t, ",");
      put_cell(&t, &rows[i], &columns[k]);
    }
    sky_text_put(&t, "\n");
  }
  char *text = sky_text_take(&t);
  if (text == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_file_write_text(ctx, path, text, strlen(text));
  sky_free(text);
  return st;
}

static sky_status read_cell(sky_context *ctx, const sky_table *t, size_t row, size_t at,
                            const column *c, sky_zone_row *out) {
  void *member = (char *)out + c->offset;
  const char *cell = sky_table_cell(t, row, at);
  if (c->kind == COLUMN_TEXT) {
    char *copy = sky_strdup(ctx, cell);
    *(const char **)member = copy;
    return copy == NULL ? SKY_E_NOMEM : SKY_OK;
  }
  double *value = member;
  if (strcmp(cell, "inf") == 0 || strcmp(cell, "-inf") == 0) {
    *value = cell[0] == '-' ? -INFINITY : INFINITY;
    return SKY_OK;
  }
  return sky_table_number(ctx, t, row, at, value);
}

sky_status sky_zone_table_read(sky_context *ctx, const char *path, sky_zone_row **rows, size_t *n) {
  sky_status st = SKY_OK;
  sky_table *t = NULL;
  sky_zone_row *out = NULL;
  size_t count = 0;
  *rows = NULL;
  *n = 0;
  SKY_GO(sky_table_read(ctx, path, &t));
  count = sky_table_rows(t);
  SKY_GO_ALLOC(out, SKY_NEW0(ctx, sky_zone_row, count));
  for (size_t k = 0; k < N_COLUMNS; k++) {
    const size_t at = sky_table_find(t, columns[k].name);
    if (columns[k].kind == COLUMN_UNIT) continue;
    if (at == SIZE_MAX) {
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: column '%s' is missing", path, columns[k].name);
      goto cleanup;
    }
    for (size_t i = 0; i < count; i++)
      SKY_GO(read_cell(ctx, t, i, at, &columns[k], &out[i]));
  }
  *rows = out;
  *n = count;
  out = NULL;

cleanup:
  sky_zone_rows_free(out, count);
  sky_table_free(t);
  return st;
}

void sky_zone_rows_free(sky_zone_row *rows, size_t n) {
  if (rows == NULL) return;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < N_COLUMNS; k++) {
      if (columns[k].kind != COLUMN_TEXT) continue;
      sky_free(*(char **)((char *)&rows[i] + columns[k].offset));
    }
  }
  sky_free(rows);
}

/* ---- GeoPackage ---- */

static bool create_field(OGRLayerH layer, const char *name, OGRFieldType type) {
  OGRFieldDefnH field = OGR_Fld_Create(name, type);
  const bool ok = OGR_L_CreateField(layer, field, FALSE) == OGRERR_NONE;
  OGR_Fld_Destroy(field);
  return ok;
}

static bool put_feature(OGRLayerH layer, const sky_zones *zones, const sky_zone_row *row) {
  OGRFeatureH feature = OGR_F_Create(OGR_L_GetLayerDefn(layer));
  for (size_t k = 0; k < N_COLUMNS; k++) {
    if (columns[k].kind != COLUMN_NUMBER) {
      OGR_F_SetFieldString(feature, (int)k, text_of(row, &columns[k]));
    } else if (isnan(number_of(row, &columns[k]))) {
      OGR_F_SetFieldNull(feature, (int)k);
    } else {
      OGR_F_SetFieldDouble(feature, (int)k, number_of(row, &columns[k]));
    }
  }
  OGRGeometryH geometry =
      sky_zone_geometry(row->zone_id == NULL ? NULL : sky_zone_find(zones, row->zone_id));
  bool ok = geometry == NULL || OGR_F_SetGeometryDirectly(feature, geometry) == OGRERR_NONE;
  ok = ok && OGR_L_CreateFeature(layer, feature) == OGRERR_NONE;
  OGR_F_Destroy(feature);
  return ok;
}

static bool put_zones(GDALDatasetH ds, const sky_crs *crs, const sky_zones *zones,
                      const sky_zone_row *rows, size_t n) {
  static const char *const options[] = {"GEOMETRY_NAME=geom", "FID=fid", NULL};
  OGRLayerH layer =
      GDALDatasetCreateLayer(ds, "zones", sky_crs_handle(crs), wkbMultiPolygon, (char **)options);
  bool ok = layer != NULL;
  for (size_t k = 0; ok && k < N_COLUMNS; k++) {
    ok = create_field(layer, columns[k].name,
                      columns[k].kind == COLUMN_NUMBER ? OFTReal : OFTString);
  }
  for (size_t i = 0; ok && i < n; i++)
    ok = put_feature(layer, zones, &rows[i]);
  return ok;
}

/* The table from which QGIS takes the style of a layer of the same GeoPackage. */
static bool put_style(GDALDatasetH ds, const char *qml, const char *sld) {
  const struct {
    const char *name;
    OGRFieldType type;
    const char *value;
  } fields[] = {{"f_table_catalog", OFTString, ""},
                {"f_table_schema", OFTString, ""},
                {"f_table_name", OFTString, "zones"},
                {"f_geometry_column", OFTString, "geom"},
                {"styleName", OFTString, "status"},
                {"styleQML", OFTString, qml},
                {"styleSLD", OFTString, sld},
                {"useAsDefault", OFTInteger, "1"},
                {"description", OFTString, "comparison status of the zones"},
                {"owner", OFTString, ""},
                {"ui", OFTString, ""},
                {"update_time", OFTDateTime, FIXED_DATE}};
  const int n = (int)(sizeof fields / sizeof fields[0]);
  OGRLayerH layer = GDALDatasetCreateLayer(ds, "layer_styles", NULL, wkbNone, NULL);
  bool ok = layer != NULL;
  for (int k = 0; ok && k < n; k++)
    ok = create_field(layer, fields[k].name, fields[k].type);
  if (!ok) return false;
  OGRFeatureH feature = OGR_F_Create(OGR_L_GetLayerDefn(layer));
  for (int k = 0; k < n; k++)
    OGR_F_SetFieldString(feature, k, fields[k].value);
  ok = OGR_L_CreateFeature(layer, feature) == OGRERR_NONE;
  OGR_F_Destroy(feature);
  return ok;
}

/* Made in memory and written as a whole: a full disk is one clear error. */
static sky_status encode_gpkg(sky_context *ctx, const char *path, const char *name,
                              const sky_crs *crs, const sky_zones *zones, const sky_zone_row *rows,
                              size_t n, const char *qml, const char *sld) {
  CPLErrorReset();
  CPLSetThreadLocalConfigOption("OGR_CURRENT_DATE", FIXED_DATE);
  GDALDatasetH ds = GDALCreate(GDALGetDriverByName("GPKG"), name, 0, 0, 0, GDT_Unknown, NULL);
  const bool ok = ds != NULL && put_zones(ds, crs, zones, rows, n) && put_style(ds, qml, sld);
  if (ds != NULL) GDALClose(ds);
  CPLSetThreadLocalConfigOption("OGR_CURRENT_DATE", NULL);
  vsi_l_offset size = 0;
  const GByte *bytes = VSIGetMemFileBuffer(name, &size, FALSE);
  if (!ok || bytes == NULL || CPLGetLastErrorType() >= CE_Failure) {
    return sky_gdal_fail(ctx, SKY_E_INTERNAL, "%s: cannot be encoded", path);
  }
  return sky_file_write_text(ctx, path, (const char *)bytes, (size_t)size);
}

sky_status sky_zone_table_gpkg(sky_context *ctx, const char *path, const char *crs,
                               const sky_zones *zones, const sky_zone_row *rows, size_t n) {
  sky_status st = SKY_OK;
  sky_crs *reference = NULL;
  char *qml = NULL, *sld = NULL, name[64];
  snprintf(name, sizeof name, "/vsimem/skyflux-%p.gpkg", (void *)&reference); /* this call's own */
  SKY_GO(sky_crs_create(ctx, crs, &reference));
  SKY_GO_ALLOC(qml, sky_style_zones_qml(ctx));
  SKY_GO_ALLOC(sld, sky_style_zones_sld(ctx));
  SKY_GO(encode_gpkg(ctx, path, name, reference, zones, rows, n, qml, sld));

cleanup:
  VSIUnlink(name);
  sky_free(sld);
  sky_free(qml);
  sky_crs_free(reference);
  return st;
}
