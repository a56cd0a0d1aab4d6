/* synth_product_raster.c: enhancement rasters in ppm m, as EMIT L2B and Carbon Mapper L3A give
 * them: one float32 band, longitude and latitude, nodata -9999, noise symmetric about 0 (Gaussian),
 * a Gaussian plume. Beside it the sums that a reader must find. */
#include <cpl_conv.h>
#include <cpl_string.h>
#include <gdal.h>
#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/text.h"
#include "src/engine/gdal_start.h"
#include "src/job/synth_product.h"
#include "src/write/crs.h"

#define NODATA (-9999.0f)
#define NOISE 120.0 /* ppm m */
#define PEAK 2500.0 /* ppm m */

/* A plume from a point at a quarter of the width to the east, wider as it goes. */
static double plume(const sky_content_plan *p, size_t row, size_t column) {
  const double source = 0.25 * (double)p->columns;
  const double along = (double)column - source, across = (double)row - 0.5 * (double)p->rows;
  if (along <= 0) return 0;
  const double width = 1.5 + 0.08 * along;
  return PEAK * 1.5 / width * exp(-0.5 * pow(across / width, 2)) *
         exp(-along / (0.6 * (double)p->columns));
}

static void fill(const sky_synth_product *p, uint64_t seed, float *value) {
  const sky_content_plan *q = &p->plan;
  const bool masked = strstr(p->words, " masked ") != NULL;
  for (size_t row = 0; row < q->rows; row++) {
    for (size_t column = 0; column < q->columns; column++) {
      const size_t i = row * q->columns + column;
      const double signal = plume(q, row, column);
      const bool outside =
          masked ? signal < 60 : row + 3 * column < q->columns / 6; /* a swath's corner */
      value[i] = outside ? NODATA : (float)(signal + NOISE * sky_rng_normal(seed, 1, i));
    }
  }
}

static sky_status write_sums(sky_context *ctx, const char *path, const float *value, size_t n) {
  size_t valid = 0, negative = 0;
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    if (value[i] == NODATA) continue;
    valid++;
    negative += value[i] < 0;
    sum += (double)value[i];
  }
  sky_text t = {.ctx = ctx};
  sky_text_printf(&t, "key,value\npixels,%zu\nvalid,%zu\nnegative,%zu\nsum_ppm_m,%.17g\n", n, valid,
                  negative, sum);
  char *name = sky_sprintf(ctx, "%s.truth.csv", path);
  const size_t length = t.length;
  char *text = sky_text_take(&t);
  sky_status st =
      name != NULL && text != NULL ? sky_file_write_text(ctx, name, text, length) : SKY_E_NOMEM;
  sky_free(name);
  sky_free(text);
  return st;
}

static GDALDatasetH in_memory(const sky_synth_product *p, const char *wkt, float *value) {
  const sky_content_plan *q = &p->plan;
  double affine[6] = {q->lon, q->pixel, 0, q->lat, 0, -q->pixel};
  GDALDatasetH ds = GDALCreate(GDALGetDriverByName("MEM"), "", (int)q->columns, (int)q->rows, 1,
                               GDT_Float32, NULL);
  if (ds == NULL) return NULL;
  GDALRasterBandH band = GDALGetRasterBand(ds, 1);
  bool ok = GDALSetProjection(ds, wkt) == CE_None && GDALSetGeoTransform(ds, affine) == CE_None &&
            GDALSetRasterNoDataValue(band, (double)NODATA) == CE_None &&
            GDALRasterIO(band, GF_Write, 0, 0, (int)q->columns, (int)q->rows, value,
                         (int)q->columns, (int)q->rows, GDT_Float32, 0, 0) == CE_None;
  if (strstr(p->words, " cog ") != NULL) {
    const bool complex = strstr(p->words, " masked ") != NULL;
    GDALSetDescription(band, complex ? "methane_plume_complex" : "vertical_column_enhancement");
    ok = ok && GDALSetRasterUnitType(band, "ppm m") == CE_None;
  }
  if (ok) return ds;
  GDALClose(ds);
  return NULL;
}

sky_status sky_synth_raster_write(sky_context *ctx, const sky_synth_product *p, const char *path,
                                  uint64_t seed) {
  const size_t n = p->plan.rows * p->plan.columns;
  const bool cog = strstr(p->words, " cog ") != NULL;
  const char *const options[] = {"COMPRESS=DEFLATE", NULL};
  GDALDatasetH ds = NULL, copy = NULL;
  char *part = NULL;
  sky_crs *crs = NULL;
  sky_status st = SKY_OK;
  float *value = SKY_NEW(ctx, float, n);
  SKY_GO_ALLOC(part, sky_file_part(ctx, path));
  if (value == NULL) SKY_GO(SKY_E_NOMEM);
  SKY_GO(sky_gdal_start(ctx));
  SKY_GO(sky_crs_create(ctx, "EPSG:4326", &crs));
  fill(p, seed, value);
  ds = in_memory(p, sky_crs_wkt(crs), value);
  if (ds != NULL)
    copy = GDALCreateCopy(GDALGetDriverByName(cog ? "COG" : "GTiff"), part, ds, 0,
                          (char **)(uintptr_t)options, NULL, NULL);
  if (copy == NULL) SKY_GO(sky_fail(ctx, SKY_E_DISK, "%s: %s", path, CPLGetLastErrorMsg()));
  GDALClose(copy);
  SKY_GO(sky_file_commit(ctx, path));
  SKY_GO(write_sums(ctx, path, value, n));
cleanup:
  if (ds != NULL) GDALClose(ds);
  if (st != SKY_OK && part != NULL) sky_file_discard(path);
  sky_free(value);
  sky_free(part);
  sky_crs_free(crs);
  return st;
}
