/* result_table.c: one table, several formats. */
#include "src/write/result_table.h"

#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_vsi.h>
#include <gdal.h>
#include <math.h>
#include <ogr_api.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/engine/gdal_start.h"
#include "src/write/crs.h"
#include "src/write/json_out.h"
#include "src/write/zone_geometry.h"

#define FIXED_DATE "2000-01-01T00:00:00.000Z" /* a GeoPackage must state one; ours says nothing */

static const struct format {
  const char *suffix, *driver; /* NULL: our own */
} formats[] = {{".csv", NULL}, {".json", NULL}, {".gpkg", "GPKG"}, {".parquet", "Parquet"}};
#define N_FORMATS (sizeof formats / sizeof formats[0])

static const struct format *format_of(const char *path) {
  const char *dot = strrchr(path, '.');
  for (size_t i = 0; i < N_FORMATS && dot != NULL; i++)
    if (strcmp(dot, formats[i].suffix) == 0) return &formats[i];
  return NULL;
}

sky_status sky_result_check_path(sky_context *ctx, const char *path) {
  const struct format *f = format_of(path);
  if (f == NULL)
    return sky_fail(ctx, SKY_E_USAGE, "'%s' does not end in .csv, .json, .gpkg or .parquet", path);
  SKY_TRY(sky_gdal_start(ctx));
  if (f->driver != NULL && GDALGetDriverByName(f->driver) == NULL)
    return sky_fail(ctx, SKY_E_USAGE,
                    "'%s': this GDAL has no %s driver (.csv, .json and .gpkg work)", path,
                    f->driver);
  return SKY_OK;
}

/* ---- CSV and JSON --------------------------------------------------------------------------- */

static void put_cell(sky_text *t, const sky_result_column *c, const sky_result_cell *cell) {
  char number[32];
  if (c->kind == SKY_CELL_TEXT) {
    sky_text_csv(t, cell->text != NULL ? cell->text : "");
  } else if (isinf(cell->number)) {
    sky_text_put(t, cell->number > 0 ? "inf" : "-inf");
  } else if (!isnan(cell->number)) {
    sky_number_text(cell->number, number);
    sky_text_put(t, number);
  }
}

char *sky_result_csv(sky_context *ctx, const sky_result_table *table) {
  sky_text t = {.ctx = ctx};
  for (size_t i = 0; i < table->n_note; i++)
    sky_text_printf(&t, "# %s\n", table->notes[i]);
  for (size_t k = 0; k < table->n_column; k++) {
    if (k > 0) sky_text_put(&t, ",");
    sky_text_csv(&t, table->column[k].name);
  }
  sky_text_put(&t, "\n");
  for (size_t i = 0; i < table->n_row; i++) {
    for (size_t k = 0; k < table->n_column; k++) {
      if (k > 0) sky_text_put(&t, ",");
      put_cell(&t, &table->column[k], &table->cell[i * table->n_column + k]);
    }
    sky_text_put(&t, "\n");
  }
  return sky_text_take(&t);
}

cJSON *sky_result_json(const sky_result_table *t) {
  cJSON *rows = cJSON_CreateArray();
  for (size_t i = 0; i < t->n_row && rows != NULL; i++) {
    cJSON *o = cJSON_CreateObject();
    for (size_t k = 0; k < t->n_column; k++) {
      const sky_result_cell *c = &t->cell[i * t->n_column + k];
      const bool text = t->column[k].kind == SKY_CELL_TEXT;
      cJSON *v = text                  ? cJSON_CreateString(c->text != NULL ? c->text : "")
                 : isfinite(c->number) ? cJSON_CreateNumber(c->number)
                                       : cJSON_CreateNull();
      cJSON_AddItemToObject(o, t->column[k].name, v);
    }
    cJSON_AddItemToArray(rows, o);
  }
  return rows;
}

char *sky_result_json_text(sky_context *ctx, const sky_result_table *t) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddItemToObject(o, "notes", cJSON_CreateStringArray(t->notes, (int)t->n_note));
  cJSON_AddItemToObject(o, "rows", sky_result_json(t));
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  return text;
}

/* ---- OGR ------------------------------------------------------------------------------------ */

static bool create_field(OGRLayerH layer, const sky_result_column *c) {
  OGRFieldDefnH field = OGR_Fld_Create(c->name, c->kind == SKY_CELL_TEXT ? OFTString : OFTReal);
  const bool ok = OGR_L_CreateField(layer, field, FALSE) == OGRERR_NONE;
  OGR_Fld_Destroy(field);
  return ok;
}

static bool put_feature(OGRLayerH layer, const sky_result_table *t, size_t row) {
  OGRFeatureH feature = OGR_F_Create(OGR_L_GetLayerDefn(layer));
  for (size_t k = 0; k < t->n_column; k++) {
    const sky_result_cell *c = &t->cell[row * t->n_column + k];
    if (t->column[k].kind == SKY_CELL_TEXT)
      OGR_F_SetFieldString(feature, (int)k, c->text != NULL ? c->text : "");
    else if (isnan(c->number))
      OGR_F_SetFieldNull(feature, (int)k);
    else
      OGR_F_SetFieldDouble(feature, (int)k, c->number);
  }
  OGRGeometryH geometry = t->zone != NULL ? sky_zone_geometry(t->zone[row]) : NULL;
  bool ok = geometry == NULL || OGR_F_SetGeometryDirectly(feature, geometry) == OGRERR_NONE;
  ok = ok && OGR_L_CreateFeature(layer, feature) == OGRERR_NONE;
  OGR_F_Destroy(feature);
  return ok;
}

static bool put_layer(GDALDatasetH ds, const char *driver, const sky_result_table *t,
                      const sky_crs *crs, const char *description) {
  const char *const gpkg[] = {"GEOMETRY_NAME=geom", "FID=fid", description, NULL};
  const char *const none[] = {NULL};
  OGRLayerH layer =
      GDALDatasetCreateLayer(ds, t->name, t->zone != NULL ? sky_crs_handle(crs) : NULL,
                             t->zone != NULL ? wkbMultiPolygon : wkbNone,
                             (char **)(strcmp(driver, "GPKG") == 0 ? gpkg : none));
  bool ok = layer != NULL;
  for (size_t k = 0; ok && k < t->n_column; k++)
    ok = create_field(layer, &t->column[k]);
  ok = ok && (OGR_L_StartTransaction(layer) == OGRERR_NONE);
  for (size_t i = 0; ok && i < t->n_row; i++)
    ok = put_feature(layer, t, i);
  return ok && OGR_L_CommitTransaction(layer) == OGRERR_NONE;
}

/* Made in memory and written as a whole: a full disk is one clear error. */
static sky_status encode(sky_context *ctx, const char *path, const char *driver, const char *name,
                         const sky_result_table *t, const sky_crs *crs, const char *description) {
  CPLErrorReset();
  CPLSetThreadLocalConfigOption("OGR_CURRENT_DATE", FIXED_DATE);
  GDALDatasetH ds = GDALCreate(GDALGetDriverByName(driver), name, 0, 0, 0, GDT_Unknown, NULL);
  const bool ok = ds != NULL && put_layer(ds, driver, t, crs, description);
  if (ds != NULL) GDALClose(ds);
  CPLSetThreadLocalConfigOption("OGR_CURRENT_DATE", NULL);
  vsi_l_offset size = 0;
  const GByte *bytes = VSIGetMemFileBuffer(name, &size, FALSE);
  if (!ok || bytes == NULL || CPLGetLastErrorType() >= CE_Failure)
    return sky_gdal_fail(ctx, SKY_E_INTERNAL, "%s: cannot be encoded", path);
  return sky_file_write_text(ctx, path, (const char *)bytes, (size_t)size);
}

static sky_status write_ogr(sky_context *ctx, const char *path, const struct format *f,
                            const sky_result_table *t) {
  sky_status st = SKY_OK;
  sky_crs *crs = NULL;
  sky_text text = {.ctx = ctx};
  char name[64], *description = NULL;
  snprintf(name, sizeof name, "/vsimem/skyflux-%p%s", (void *)&crs, f->suffix); /* this call's */
  if (t->zone != NULL) SKY_GO(sky_crs_create(ctx, t->crs, &crs));
  sky_text_put(&text, "DESCRIPTION=");
  for (size_t i = 0; i < t->n_note; i++)
    sky_text_printf(&text, "%s%s", i > 0 ? "; " : "", t->notes[i]);
  SKY_GO_ALLOC(description, sky_text_take(&text));
  SKY_GO(encode(ctx, path, f->driver, name, t, crs, description));
cleanup:
  VSIUnlink(name);
  sky_free(description);
  sky_crs_free(crs);
  return st;
}

sky_status sky_result_write(sky_context *ctx, const char *path, const sky_result_table *t) {
  SKY_TRY(sky_result_check_path(ctx, path));
  const struct format *f = format_of(path);
  if (f->driver != NULL) return write_ogr(ctx, path, f, t);
  char *text =
      strcmp(f->suffix, ".csv") == 0 ? sky_result_csv(ctx, t) : sky_result_json_text(ctx, t);
  if (text == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_file_write_text(ctx, path, text, strlen(text));
  sky_free(text);
  return st;
}
