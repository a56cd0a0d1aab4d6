/* cog.c: one field as a Cloud Optimized GeoTIFF.
 *
 * The file is made in memory (MEM dataset with its overviews -> GDAL's COG driver -> /vsimem) and
 * then written as a whole, so that a full disk is one clear error and leaves nothing behind.
 * Bytes depend on the content only: one compression thread, no clock, statistics from sum.h. */
#include "src/write/cog.h"

#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_string.h>
#include <cpl_vsi.h>
#include <float.h>
#include <gdal.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/core/units.h"
#include "src/engine/gdal_start.h"
#include "src/write/crs.h"
#include "src/write/json_out.h"
#include "src/write/style.h"

#define BLOCK 512              /* tile size; also the size below which no overview is needed */
#define REGULAR_TOLERANCE 1e-4 /* of a cell, as sky_grid_equal */

static bool is_regular(const double *edge, size_t n) {
  const double step = (edge[n] - edge[0]) / (double)n;
  for (size_t i = 0; i <= n; i++) {
    const double ideal = edge[0] + (double)i * step;
    if (fabs(edge[i] - ideal) > REGULAR_TOLERANCE * step) return false;
  }
  return true;
}

static sky_status check(sky_context *ctx, const char *path, const sky_grid *g, const sky_field *f) {
  if (f->unit == NULL || f->unit[0] == '\0' || !sky_units_valid(f->unit)) {
    return sky_fail(ctx, SKY_E_UNITS, "%s: unit '%s' is not known to udunits2", path,
                    f->unit == NULL ? "" : f->unit);
  }
  if (g->nx > INT_MAX || g->ny > INT_MAX) {
    return sky_fail(ctx, SKY_E_SIZE, "%s: %zu x %zu cells are more than a GeoTIFF holds", path,
                    g->nx, g->ny);
  }
  if (!is_regular(g->x_edge, g->nx) || !is_regular(g->y_edge, g->ny)) {
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: the cells of the grid are not equally spaced; a GeoTIFF cannot hold them",
                    path);
  }
  return SKY_OK;
}

/* float32 rows from north to south. */
static sky_status to_float(sky_context *ctx, const char *path, const sky_grid *g,
                           const sky_field *f, float *out) {
  for (size_t iy = 0; iy < g->ny; iy++) {
    const double *row = f->value + (g->ny - 1 - iy) * g->nx;
    for (size_t ix = 0; ix < g->nx; ix++) {
      if (!isnan(row[ix]) && fabs(row[ix]) > (double)FLT_MAX) {
        return sky_fail(ctx, SKY_E_RANGE, "%s: cell (%zu, %zu): %g %s does not fit in float32",
                        path, ix, g->ny - 1 - iy, row[ix], f->unit);
      }
      out[iy * g->nx + ix] = (float)row[ix];
    }
  }
  return SKY_OK;
}

static GDALDatasetH mem_dataset(const sky_grid *g, float *value) {
  char pointer[64];
  GDALDatasetH ds =
      GDALCreate(GDALGetDriverByName("MEM"), "", (int)g->nx, (int)g->ny, 0, GDT_Float32, NULL);
  if (ds == NULL) return NULL;
  pointer[CPLPrintPointer(pointer, value, sizeof pointer - 1)] = '\0';
  char **options = CSLSetNameValue(NULL, "DATAPOINTER", pointer);
  const CPLErr rc = GDALAddBand(ds, GDT_Float32, options);
  CSLDestroy(options);
  if (rc == CE_None) return ds;
  GDALClose(ds);
  return NULL;
}

static bool describe(GDALDatasetH ds, const sky_grid *g, const sky_crs *crs, const sky_field *f,
                     const char *const *tags) {
  GDALRasterBandH band = GDALGetRasterBand(ds, 1);
  double transform[6] = {g->x_edge[0],
                         (g->x_edge[g->nx] - g->x_edge[0]) / (double)g->nx,
                         0,
                         g->y_edge[g->ny],
                         0,
                         -(g->y_edge[g->ny] - g->y_edge[0]) / (double)g->ny};
  if (GDALSetGeoTransform(ds, transform) != CE_None) return false;
  if (GDALSetSpatialRef(ds, sky_crs_handle(crs)) != CE_None) return false;
  if (GDALSetRasterNoDataValue(band, NAN) != CE_None) return false;
  if (GDALSetRasterUnitType(band, f->unit) != CE_None) return false;
  GDALSetDescription(band, f->long_name);
  GDALSetMetadataItem(band, "name", f->name, NULL);
  if (f->standard_name != NULL) GDALSetMetadataItem(band, "standard_name", f->standard_name, NULL);
  for (size_t i = 0; tags != NULL && tags[i] != NULL; i++) {
    char *key = NULL;
    const char *value = CPLParseNameValue(tags[i], &key);
    if (key == NULL) return false;
    GDALSetMetadataItem(ds, key, value, NULL);
    CPLFree(key);
  }
  return true;
}

typedef struct statistics {
  double min, max, mean, sd, valid_percent; /* NaN if nothing is valid */
} statistics;

/* Minimum, maximum, mean and population sd of what the file holds, as GDAL and QGIS read them; and
 * the colours for it. */
static sky_status describe_values(sky_context *ctx, const float *value, size_t n, statistics *s,
                                  sky_ramp *ramp) {
  sky_status st = SKY_OK;
  double *valid = NULL;
  *s = (statistics){.min = NAN, .max = NAN, .mean = NAN, .sd = NAN};
  SKY_GO_ALLOC(valid, SKY_NEW(ctx, double, n));
  size_t m = 0;
  for (size_t i = 0; i < n; i++) {
    if (!isnan(value[i])) valid[m++] = (double)value[i];
  }
  s->valid_percent = 100.0 * (double)m / (double)n;
  for (size_t i = 0; i < m; i++) {
    s->min = fmin(s->min, valid[i]); /* fmin(NaN, v) is v */
    s->max = fmax(s->max, valid[i]);
  }
  SKY_GO(sky_ramp_fit(ctx, valid, m, s->min < 0 && s->max > 0, ramp));
  if (m == 0) goto cleanup;
  s->mean = sky_sum(valid, m) / (double)m;
  for (size_t i = 0; i < m; i++)
    valid[i] = (valid[i] - s->mean) * (valid[i] - s->mean);
  s->sd = sqrt(sky_sum(valid, m) / (double)m);

cleanup:
  sky_free(valid);
  return st;
}

static void put_statistics(GDALRasterBandH band, const statistics *s) {
  static const char *const names[] = {"STATISTICS_MINIMUM", "STATISTICS_MAXIMUM", "STATISTICS_MEAN",
                                      "STATISTICS_STDDEV", "STATISTICS_VALID_PERCENT"};
  const double value[] = {s->min, s->max, s->mean, s->sd, s->valid_percent};
  for (size_t i = isnan(s->min) ? 4 : 0; i < 5; i++) {
    char number[32];
    sky_number_text(value[i], number);
    GDALSetMetadataItem(band, names[i], number, NULL);
  }
}

/* Sum of the valid cells below each overview cell (NaN if there is none): totals survive zooming
 * out. GDAL has no such overview resampling. */
static sky_status sum_overview(sky_context *ctx, const float *value, size_t nx, size_t ny,
                               size_t factor, float *out) {
  const size_t ox = (nx + factor - 1) / factor;
  sky_acc *row = SKY_NEW(ctx, sky_acc, ox);
  size_t *count = SKY_NEW(ctx, size_t, ox);
  const bool ok = row != NULL && count != NULL;
  for (size_t y0 = 0; ok && y0 < ny; y0 += factor, out += ox) {
    memset(row, 0, ox * sizeof *row);
    memset(count, 0, ox * sizeof *count);
    for (size_t iy = y0; iy < ny && iy < y0 + factor; iy++) {
      for (size_t ix = 0; ix < nx; ix++) {
        const float v = value[iy * nx + ix];
        if (isnan(v)) continue;
        sky_acc_add(&row[ix / factor], (double)v);
        count[ix / factor]++;
      }
    }
    for (size_t i = 0; i < ox; i++) {
      out[i] = count[i] == 0 ? NAN : (float)sky_acc_value(&row[i]);
    }
  }
  sky_free(count);
  sky_free(row);
  return ok ? SKY_OK : SKY_E_NOMEM;
}

static sky_status sum_overviews(sky_context *ctx, GDALDatasetH ds, const float *value) {
  sky_status st = SKY_OK;
  float *sums = NULL;
  GDALRasterBandH band = GDALGetRasterBand(ds, 1);
  const int nx = GDALGetRasterXSize(ds), ny = GDALGetRasterYSize(ds);
  SKY_GO_ALLOC(sums, SKY_NEW(ctx, float, (size_t)nx *(size_t)ny));
  for (int i = 0; i < GDALGetOverviewCount(band); i++) {
    GDALRasterBandH overview = GDALGetOverview(band, i);
    const int ox = GDALGetRasterBandXSize(overview), oy = GDALGetRasterBandYSize(overview);
    SKY_GO(sum_overview(ctx, value, (size_t)nx, (size_t)ny, (size_t)1 << (i + 1), sums));
    if (GDALRasterIO(overview, GF_Write, 0, 0, ox, oy, sums, ox, oy, GDT_Float32, 0, 0) !=
        CE_None) {
      st = sky_gdal_fail(ctx, SKY_E_INTERNAL, "overview of %d x %d cells", ox, oy);
      goto cleanup;
    }
  }

cleanup:
  sky_free(sums);
  return st;
}

/* Levels 2, 4, 8 … until the smallest fits in one tile. */
static sky_status build_overviews(sky_context *ctx, GDALDatasetH ds, sky_field_kind kind,
                                  const float *value) {
  int level[32], n = 0;
  const int size = GDALGetRasterXSize(ds) > GDALGetRasterYSize(ds) ? GDALGetRasterXSize(ds)
                                                                   : GDALGetRasterYSize(ds);
  while (size / (1 << n) > BLOCK) {
    level[n] = 1 << (n + 1);
    n++;
  }
  if (n == 0) return SKY_OK;
  const char *resampling = kind == SKY_FIELD_CLASS ? "MODE" : "AVERAGE";
  if (GDALBuildOverviews(ds, resampling, n, level, 0, NULL, NULL, NULL) != CE_None) {
    return sky_gdal_fail(ctx, SKY_E_INTERNAL, "overviews");
  }
  return kind == SKY_FIELD_EXTENSIVE ? sum_overviews(ctx, ds, value) : SKY_OK;
}

/* Run the COG driver into a memory file and write its bytes. */
static sky_status encode(sky_context *ctx, const char *path, GDALDatasetH ds) {
  static const char *const options[] = {"COMPRESS=DEFLATE",
                                        "PREDICTOR=FLOATING_POINT",
                                        "BLOCKSIZE=512",
                                        "BIGTIFF=IF_SAFER",
                                        "NUM_THREADS=1",
                                        "OVERVIEWS=AUTO",
                                        NULL};
  sky_status st = SKY_OK;
  char name[64];
  snprintf(name, sizeof name, "/vsimem/skyflux-%p.tif", (void *)ds); /* unique while ds lives */
  CPLErrorReset();
  GDALDatasetH cog =
      GDALCreateCopy(GDALGetDriverByName("COG"), name, ds, TRUE, (char **)options, NULL, NULL);
  if (cog != NULL) GDALClose(cog);
  vsi_l_offset size = 0;
  const GByte *bytes = VSIGetMemFileBuffer(name, &size, FALSE);
  if (cog == NULL || bytes == NULL || CPLGetLastErrorType() >= CE_Failure) {
    st = sky_gdal_fail(ctx, SKY_E_INTERNAL, "%s: cannot be encoded", path);
  } else {
    st = sky_file_write_text(ctx, path, (const char *)bytes, (size_t)size);
  }
  VSIUnlink(name);
  return st;
}

sky_status sky_cog_write(sky_context *ctx, const char *path, const sky_grid *grid,
                         const sky_field *field, const char *const *tags) {
  sky_status st = SKY_OK;
  const size_t n = sky_grid_cells(grid);
  GDALDatasetH ds = NULL;
  sky_crs *crs = NULL;
  float *value = NULL;
  statistics stats;
  sky_ramp ramp;
  SKY_TRY(check(ctx, path, grid, field));
  SKY_GO(sky_crs_create(ctx, grid->crs, &crs));
  SKY_GO_ALLOC(value, SKY_NEW(ctx, float, n));
  SKY_GO(to_float(ctx, path, grid, field, value));
  SKY_GO(describe_values(ctx, value, n, &stats, &ramp));
  ds = mem_dataset(grid, value);
  if (ds == NULL || !describe(ds, grid, crs, field, tags)) {
    st = sky_gdal_fail(ctx, SKY_E_INTERNAL, "%s: cannot be described", path);
    goto cleanup;
  }
  put_statistics(GDALGetRasterBand(ds, 1), &stats);
  SKY_GO(build_overviews(ctx, ds, field->kind, value));
  SKY_GO(encode(ctx, path, ds));
  if (field->kind != SKY_FIELD_CLASS) {
    st = sky_style_raster(ctx, path, &ramp);
    if (st != SKY_OK) remove(path); /* both or none */
  }

cleanup:
  if (ds != NULL) GDALClose(ds);
  sky_free(value);
  sky_crs_free(crs);
  return st;
}
