/* cog_describe.c: geokeys, metadata, nodata, colour table, names of classes and the attribute table
 * of a raster, through GDAL: it writes an empty GeoTIFF in memory, whose tags are taken over. */
#include "src/write/cog_describe.h"

#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_string.h>
#include <cpl_vsi.h>
#include <gdal.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/units.h"
#include "src/engine/gdal_start.h"
#include "src/write/json_out.h"

#define REGULAR_TOLERANCE 1e-4 /* of a cell, as sky_grid_equal */

/* ---- checks --------------------------------------------------------------------------------- */

static bool is_regular(const double *edge, size_t n) {
  const double step = (edge[n] - edge[0]) / (double)n;
  for (size_t i = 0; i <= n; i++) {
    const double ideal = edge[0] + (double)i * step;
    if (fabs(edge[i] - ideal) > REGULAR_TOLERANCE * step) return false;
  }
  return true;
}

static sky_status check_grid(sky_context *ctx, const char *path, const sky_grid *g) {
  if (g->nx < 1 || g->ny < 1 || g->nx > INT_MAX || g->ny > INT_MAX) {
    return sky_fail(ctx, SKY_E_SIZE, "%s: %zu x %zu cells; a GeoTIFF holds 1 to %d a side", path,
                    g->nx, g->ny, INT_MAX);
  }
  if (!is_regular(g->x_edge, g->nx) || !is_regular(g->y_edge, g->ny)) {
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: the cells of the grid are not equally spaced; a GeoTIFF cannot hold them",
                    path);
  }
  return SKY_OK;
}

static sky_status check_type(sky_context *ctx, const char *path, const sky_field *f,
                             const sky_cog_options *o) {
  double low, high;
  sky_pixel_limits(o->type, &low, &high);
  const char *type = sky_pixel_name(o->type);
  if (f->kind == SKY_FIELD_EXTENSIVE && o->type != SKY_COG_FLOAT32) {
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: the sums in overviews would not fit in %s; an extensive field is float32",
                    path, type);
  }
  if (o->has_nodata && o->type == SKY_COG_FLOAT32) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: nodata of float32 is NaN, not %g", path, o->nodata);
  }
  if (o->has_nodata && !(o->nodata >= low && o->nodata <= high && rint(o->nodata) == o->nodata)) {
    return sky_fail(ctx, SKY_E_RANGE, "%s: nodata %g is no %s (%.0f to %.0f)", path, o->nodata,
                    type, low, high);
  }
  if (o->n_classes > 0 && f->kind != SKY_FIELD_CLASS) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: a legend of classes for a field of values", path);
  }
  for (size_t i = 0; i < o->n_classes; i++) {
    const int32_t code = o->classes[i].code;
    if (code < low || code > high || (o->has_nodata && code == o->nodata)) {
      return sky_fail(ctx, SKY_E_RANGE, "%s: class %d is nodata or no %s (%.0f to %.0f)", path,
                      (int)code, type, low, high);
    }
    if (i > 0 && code <= o->classes[i - 1].code) {
      return sky_fail(ctx, SKY_E_FORMAT, "%s: class %d comes after class %d", path, (int)code,
                      (int)o->classes[i - 1].code);
    }
  }
  return SKY_OK;
}

static sky_status check_codec(sky_context *ctx, const char *path, const sky_cog_options *o) {
  const int most = o->codec == SKY_COG_ZSTD ? 22 : 12;
  const char *name = o->codec == SKY_COG_ZSTD ? "ZSTD" : "DEFLATE";
  if (o->level < 0 || o->level > most) {
    return sky_fail(ctx, SKY_E_RANGE, "%s: level %d of %s (1 to %d)", path, o->level, name, most);
  }
  if (o->levels < 0 || o->levels > SKY_COG_LEVELS) {
    return sky_fail(ctx, SKY_E_RANGE, "%s: %d overviews (0 to %d)", path, o->levels,
                    SKY_COG_LEVELS);
  }
  const char *list =
      GDALGetMetadataItem(GDALGetDriverByName("GTiff"), GDAL_DMD_CREATIONOPTIONLIST, NULL);
  if (list != NULL && strstr(list, name) != NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: this GDAL cannot read GeoTIFF with %s", path, name);
}

sky_status sky_cog_check(sky_context *ctx, const char *path, const sky_grid *g, const sky_field *f,
                         const sky_cog_options *o) {
  if (f->unit == NULL || f->unit[0] == '\0' || !sky_units_valid(f->unit)) {
    return sky_fail(ctx, SKY_E_UNITS, "%s: unit '%s' is not known to udunits2", path,
                    f->unit == NULL ? "" : f->unit);
  }
  SKY_TRY(check_grid(ctx, path, g));
  SKY_TRY(check_type(ctx, path, f, o));
  return check_codec(ctx, path, o);
}

/* ---- the pattern ---------------------------------------------------------------------------- */

static GDALDatasetH create(const char *name, const sky_cog_options *o, int predictor) {
  static const GDALDataType types[] = {[SKY_COG_FLOAT32] = GDT_Float32,
                                       [SKY_COG_UINT8] = GDT_Byte,
                                       [SKY_COG_UINT16] = GDT_UInt16,
                                       [SKY_COG_INT16] = GDT_Int16,
                                       [SKY_COG_INT32] = GDT_Int32};
  const char *const options[] = {o->codec == SKY_COG_ZSTD ? "COMPRESS=ZSTD" : "COMPRESS=DEFLATE",
                                 predictor == 3   ? "PREDICTOR=3"
                                 : predictor == 2 ? "PREDICTOR=2"
                                                  : "PREDICTOR=1",
                                 "TILED=YES",
                                 "BLOCKXSIZE=512",
                                 "BLOCKYSIZE=512",
                                 "SPARSE_OK=YES",
                                 "BIGTIFF=NO",
                                 "ENDIANNESS=LITTLE",
                                 NULL};
  return GDALCreate(GDALGetDriverByName("GTiff"), name, SKY_COG_TILE, SKY_COG_TILE, 1,
                    types[o->type], (char **)(uintptr_t)options);
}

static bool describe_place(GDALDatasetH ds, const sky_grid *g, const sky_crs *crs) {
  double transform[6] = {g->x_edge[0],
                         (g->x_edge[g->nx] - g->x_edge[0]) / (double)g->nx,
                         0,
                         g->y_edge[g->ny],
                         0,
                         -(g->y_edge[g->ny] - g->y_edge[0]) / (double)g->ny};
  return GDALSetGeoTransform(ds, transform) == CE_None &&
         GDALSetSpatialRef(ds, sky_crs_handle(crs)) == CE_None;
}

static void put_statistics(GDALRasterBandH band, const sky_cog_facts *f) {
  static const char *const names[] = {"STATISTICS_MINIMUM", "STATISTICS_MAXIMUM", "STATISTICS_MEAN",
                                      "STATISTICS_STDDEV", "STATISTICS_VALID_PERCENT"};
  const sky_tile_stats *s = &f->stats;
  const double value[] = {s->min, s->max, s->mean, sqrt(s->ssd / (double)s->n),
                          100.0 * (double)s->n / (double)f->cells};
  for (size_t i = s->n == 0 ? 4 : 0; i < 5; i++) {
    char number[32];
    sky_number_text(value[i], number);
    GDALSetMetadataItem(band, names[i], number, NULL);
  }
}

static bool describe_field(GDALDatasetH ds, const sky_field *f, const char *const *tags,
                           double nodata, const sky_cog_facts *facts) {
  GDALRasterBandH band = GDALGetRasterBand(ds, 1);
  if (GDALSetRasterNoDataValue(band, nodata) != CE_None) return false;
  if (GDALSetRasterUnitType(band, f->unit) != CE_None) return false;
  GDALSetDescription(band, f->long_name);
  GDALSetMetadataItem(band, "name", f->name, NULL);
  if (f->standard_name != NULL) GDALSetMetadataItem(band, "standard_name", f->standard_name, NULL);
  put_statistics(band, facts);
  for (size_t i = 0; tags != NULL && tags[i] != NULL; i++) {
    char *key = NULL;
    const char *value = CPLParseNameValue(tags[i], &key);
    if (key == NULL) return false;
    GDALSetMetadataItem(ds, key, value, NULL);
    CPLFree(key);
  }
  return true;
}

/* ---- classes -------------------------------------------------------------------------------- */

static bool put_colours(GDALRasterBandH band, const sky_cog_options *o) {
  GDALColorTableH table = GDALCreateColorTable(GPI_RGB);
  for (size_t i = 0; i < o->n_classes; i++) {
    const uint8_t *c = o->classes[i].colour;
    const GDALColorEntry entry = {c[0], c[1], c[2], c[3]};
    GDALSetColorEntry(table, o->classes[i].code, &entry);
  }
  const bool ok = GDALSetRasterColorTable(band, table) == CE_None;
  GDALDestroyColorTable(table);
  return ok;
}

/* Names by code from 0; for short lists only. */
static bool put_names(GDALRasterBandH band, const sky_cog_options *o) {
  char **names = NULL;
  for (size_t i = 0, code = 0; i < o->n_classes; i++, code++) {
    for (; (int32_t)code < o->classes[i].code; code++)
      names = CSLAddString(names, "");
    names = CSLAddString(names, o->classes[i].name);
  }
  const bool ok = GDALSetRasterCategoryNames(band, names) == CE_None;
  CSLDestroy(names);
  return ok;
}

static bool put_table(GDALRasterBandH band, const sky_cog_options *o, const uint64_t *pixels) {
  static const struct {
    const char *name;
    GDALRATFieldType type;
    GDALRATFieldUsage usage;
  } columns[] = {{"Value", GFT_Integer, GFU_MinMax}, {"Count", GFT_Real, GFU_PixelCount},
                 {"Class", GFT_String, GFU_Name},    {"Red", GFT_Integer, GFU_Red},
                 {"Green", GFT_Integer, GFU_Green},  {"Blue", GFT_Integer, GFU_Blue},
                 {"Alpha", GFT_Integer, GFU_Alpha}};
  GDALRasterAttributeTableH table = GDALCreateRasterAttributeTable();
  bool ok = true;
  for (size_t k = 0; k < sizeof columns / sizeof *columns; k++)
    ok = ok &&
         GDALRATCreateColumn(table, columns[k].name, columns[k].type, columns[k].usage) == CE_None;
  for (size_t i = 0; ok && i < o->n_classes; i++) {
    GDALRATSetValueAsInt(table, (int)i, 0, o->classes[i].code);
    GDALRATSetValueAsDouble(table, (int)i, 1, (double)pixels[i]);
    GDALRATSetValueAsString(table, (int)i, 2, o->classes[i].name);
    for (int k = 0; k < 4; k++)
      GDALRATSetValueAsInt(table, (int)i, 3 + k, o->classes[i].colour[k]);
  }
  ok = ok && GDALSetDefaultRAT(band, table) == CE_None;
  GDALDestroyRasterAttributeTable(table);
  return ok;
}

static bool describe_classes(GDALDatasetH ds, const sky_cog_options *o, const uint64_t *pixels) {
  GDALRasterBandH band = GDALGetRasterBand(ds, 1);
  if (o->n_classes == 0) return true;
  if (o->type == SKY_COG_UINT8 && !put_colours(band, o)) return false;
  const bool names = o->classes[0].code >= 0 && o->classes[o->n_classes - 1].code <= UINT8_MAX;
  return (!names || put_names(band, o)) && put_table(band, o, pixels);
}

bool sky_cog_describe_dataset(void *dataset, const sky_grid *grid, const sky_crs *crs,
                              const sky_field *field, const sky_cog_options *options, double nodata,
                              const sky_cog_facts *facts) {
  return describe_place(dataset, grid, crs) &&
         describe_field(dataset, field, options->tags, nodata, facts) &&
         describe_classes(dataset, options, facts->class_pixels);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

/* A memory file as malloc'd, NUL-terminated bytes; SKY_OK and NULL if it is not there. */
static sky_status take(sky_context *ctx, const char *name, uint8_t **out, size_t *n) {
  vsi_l_offset size = 0;
  const GByte *bytes = VSIGetMemFileBuffer(name, &size, FALSE);
  *out = NULL;
  *n = (size_t)size;
  if (bytes == NULL) return SKY_OK;
  *out = SKY_NEW(ctx, uint8_t, *n + 1);
  if (*out == NULL) return SKY_E_NOMEM;
  memcpy(*out, bytes, *n);
  (*out)[*n] = '\0';
  return SKY_OK;
}

sky_status sky_cog_describe(sky_context *ctx, const char *path, const sky_grid *grid,
                            const sky_field *field, const sky_cog_options *options,
                            const sky_pixel_format *format, int predictor,
                            const sky_cog_facts *facts, uint8_t **pattern, size_t *pattern_bytes,
                            char **sidecar) {
  sky_status st = SKY_OK;
  sky_crs *crs = NULL;
  char name[64], aux[80];
  size_t n;
  *pattern = NULL;
  *sidecar = NULL;
  SKY_TRY(sky_crs_create(ctx, grid->crs, &crs));
  snprintf(name, sizeof name, "/vsimem/skyflux-%p.tif", (void *)crs); /* unique while crs lives */
  snprintf(aux, sizeof aux, "%s.aux.xml", name);
  CPLErrorReset();
  GDALDatasetH ds = create(name, options, predictor);
  const bool described =
      ds != NULL && sky_cog_describe_dataset(ds, grid, crs, field, options, format->nodata, facts);
  if (ds != NULL) GDALClose(ds);
  if (!described || CPLGetLastErrorType() >= CE_Failure) {
    st = sky_gdal_fail(ctx, SKY_E_INTERNAL, "%s: cannot be described", path);
    goto cleanup;
  }
  SKY_GO(take(ctx, name, pattern, pattern_bytes));
  SKY_GO(take(ctx, aux, (uint8_t **)sidecar, &n));
cleanup:
  VSIUnlink(name);
  VSIUnlink(aux);
  sky_crs_free(crs);
  if (st != SKY_OK) {
    sky_free(*pattern);
    *pattern = NULL;
  }
  return st;
}
