/* raster.c: rasters of classes or amounts through GDAL.
 *
 * Windows are read a strip of at most STRIP_PIXELS at a time, whole rows of the file's blocks at
 * once where that fits, as doubles (exact for classes of 32 bits), so that memory stays small
 * whatever window is asked for. */
#include "src/read/raster.h"

#include <gdal.h>
#include <math.h>
#include <ogr_srs_api.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/engine/georeference.h"

#define STRIP_PIXELS 1048576
#define EDGE_POINTS 21 /* between the corners of a box that is transformed */

struct sky_raster {
  char *path;
  GDALDatasetH data;
  GDALRasterBandH band;
  bool masked;   /* it has a mask of any kind */
  bool north_up; /* row 0 of the file is the northernmost */
  bool told;     /* that classes are stored as floating point */
  size_t block_rows;
  sky_grid grid;
};

void sky_raster_close(sky_raster *r) {
  if (r == NULL) return;
  GDALClose(r->data);
  sky_grid_free(&r->grid);
  sky_free(r->path);
  sky_free(r);
}

const sky_grid *sky_raster_grid(const sky_raster *r) {
  return &r->grid;
}
const char *sky_raster_path(const sky_raster *r) {
  return r->path;
}

/* ---- opening -------------------------------------------------------------------------------- */

static sky_status open_band(sky_context *ctx, sky_raster *r) {
  const int bands = GDALGetRasterCount(r->data);
  if (bands < 1) return sky_fail(ctx, SKY_E_FORMAT, "%s: no raster band", r->path);
  r->band = GDALGetRasterBand(r->data, 1);
  const GDALDataType type = GDALGetRasterDataType(r->band);
  if (GDALDataTypeIsComplex(type))
    return sky_fail(ctx, SKY_E_FORMAT, "%s: values are complex numbers", r->path);
  if (bands > 1) sky_log(ctx, SKY_LOG_INFO, "%s: the first of %d bands is used", r->path, bands);
  r->masked = (GDALGetMaskFlags(r->band) & GMF_ALL_VALID) == 0;
  if (!r->masked)
    sky_log(ctx, SKY_LOG_WARN, "%s: no nodata value and no mask, so every pixel counts", r->path);
  int x = 0, y = 0;
  GDALGetBlockSize(r->band, &x, &y);
  r->block_rows = y > 0 ? (size_t)y : 1;
  return SKY_OK;
}

sky_status sky_raster_open(sky_context *ctx, const char *path, sky_raster **out) {
  sky_status st = SKY_OK;
  sky_raster *r = NULL;
  SKY_TRY(sky_gdal_start(ctx));
  if (strncmp(path, "/vsi", 4) != 0 && !sky_file_exists(path))
    return sky_fail(ctx, SKY_E_MISSING, "%s: no such file", path);
  SKY_GO_ALLOC(r, SKY_NEW0(ctx, sky_raster, 1));
  SKY_GO_ALLOC(r->path, sky_strdup(ctx, path));
  r->data = GDALOpenEx(path, GDAL_OF_RASTER | GDAL_OF_READONLY, NULL, NULL, NULL);
  if (r->data == NULL) {
    st = sky_gdal_fail(ctx, SKY_E_READ, "%s: not a raster that GDAL reads", path);
    goto cleanup;
  }
  SKY_GO(open_band(ctx, r));
  SKY_GO(sky_gdal_grid(ctx, r->path, r->data, &r->grid, &r->north_up));
  *out = r;
  return SKY_OK;
cleanup:
  sky_raster_close(r);
  return st;
}

int sky_raster_bands(const sky_raster *r) {
  int n = 0;
  for (int b = 1; b <= GDALGetRasterCount(r->data); b++)
    n += GDALGetRasterColorInterpretation(GDALGetRasterBand(r->data, b)) != GCI_AlphaBand;
  return n;
}

/* ---- reading -------------------------------------------------------------------------------- */

static sky_status to_class(sky_context *ctx, const sky_raster *r, double v, size_t line,
                           size_t column, int32_t *out) {
  if (v == nearbyint(v) && fabs(v) <= INT32_MAX) {
    *out = (int32_t)v;
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_RANGE,
                  "%s: line %zu, column %zu: value %.9g is not a class (a whole number)", r->path,
                  line, column, v);
}

/* Lines of the file, top first; masked pixels become NaN. */
static sky_status read_lines(sky_context *ctx, sky_raster *r, size_t line0, size_t lines,
                             size_t column0, size_t columns, double *value, uint8_t *mask) {
  const int x = (int)column0, y = (int)line0, w = (int)columns, h = (int)lines;
  if (GDALRasterIO(r->band, GF_Read, x, y, w, h, value, w, h, GDT_Float64, 0, 0) != CE_None)
    return sky_gdal_fail(ctx, SKY_E_READ, "%s: lines %zu to %zu", r->path, line0,
                         line0 + lines - 1);
  if (!r->masked) return SKY_OK;
  if (GDALRasterIO(GDALGetMaskBand(r->band), GF_Read, x, y, w, h, mask, w, h, GDT_Byte, 0, 0) !=
      CE_None)
    return sky_gdal_fail(ctx, SKY_E_READ, "%s: mask of lines %zu to %zu", r->path, line0,
                         line0 + lines - 1);
  for (size_t at = 0; at < lines * columns; at++)
    if (mask[at] == 0) value[at] = NAN;
  return SKY_OK;
}

static sky_status classes_of(sky_context *ctx, const sky_raster *r, size_t line, size_t column0,
                             size_t columns, const double *value, int32_t *out) {
  for (size_t i = 0; i < columns; i++) {
    out[i] = SKY_CLASS_NODATA;
    if (!isnan(value[i])) SKY_TRY(to_class(ctx, r, value[i], line, column0 + i, &out[i]));
  }
  return SKY_OK;
}

/* A window into classes, or (NULL) into amounts. */
static sky_status read_window(sky_context *ctx, sky_raster *r, size_t row0, size_t rows,
                              size_t column0, size_t columns, int32_t *classes, double *amount) {
  const size_t ny = r->grid.ny;
  if (row0 + rows > ny || column0 + columns > r->grid.nx)
    return sky_fail(ctx, SKY_E_INTERNAL, "%s: window outside the raster", r->path);
  if (rows == 0 || columns == 0) return SKY_OK;
  sky_status st = SKY_OK;
  double *value = NULL;
  uint8_t *mask = NULL;
  const double scale = GDALGetRasterScale(r->band, NULL),
               offset = GDALGetRasterOffset(r->band, NULL);
  const size_t first = r->north_up ? ny - row0 - rows : row0; /* line of the file */
  size_t held = STRIP_PIXELS / columns;
  held = held < r->block_rows ? r->block_rows : held / r->block_rows * r->block_rows;
  if (held > rows) held = rows;
  SKY_GO_ALLOC(value, SKY_NEW(ctx, double, held *columns));
  SKY_GO_ALLOC(mask, SKY_NEW(ctx, uint8_t, held * columns));
  for (size_t done = 0, lines; done < rows; done += lines) {
    lines = held - (first + done) % r->block_rows % held; /* end at a block's edge */
    if (lines > rows - done) lines = rows - done;
    SKY_GO(read_lines(ctx, r, first + done, lines, column0, columns, value, mask));
    for (size_t k = 0; k < lines; k++) {
      const size_t row = r->north_up ? rows - 1 - done - k : done + k;
      const double *line = value + k * columns;
      if (classes != NULL)
        SKY_GO(
            classes_of(ctx, r, first + done + k, column0, columns, line, classes + row * columns));
      for (size_t i = 0; classes == NULL && i < columns; i++)
        amount[row * columns + i] = line[i] * scale + offset;
    }
  }
cleanup:
  sky_free(value);
  sky_free(mask);
  return st;
}

sky_status sky_raster_classes(sky_context *ctx, sky_raster *r, size_t row0, size_t rows,
                              size_t column0, size_t columns, int32_t *out) {
  const GDALDataType type = GDALGetRasterDataType(r->band);
  if (GDALDataTypeIsFloating(type) && !r->told)
    sky_log(ctx, SKY_LOG_INFO, "%s: classes are stored as %s; each must be a whole number", r->path,
            GDALGetDataTypeName(type));
  r->told = true;
  return read_window(ctx, r, row0, rows, column0, columns, out, NULL);
}

/* ---- amounts -------------------------------------------------------------------------------- */

/* The box of grid in the raster's coordinates, and a pixel more on every side. */
static sky_status box_of(sky_context *ctx, const sky_raster *r, const sky_grid *g, double box[4]) {
  const double x0 = g->x_edge[0], y0 = g->y_edge[0], x1 = g->x_edge[g->nx], y1 = g->y_edge[g->ny];
  OGRSpatialReferenceH from = OSRNewSpatialReference(NULL), to = GDALGetSpatialRef(r->data);
  OGRCoordinateTransformationH t = NULL;
  bool good = OSRSetFromUserInput(from, g->crs) == OGRERR_NONE;
  OSRSetAxisMappingStrategy(from, OAMS_TRADITIONAL_GIS_ORDER);
  OSRSetAxisMappingStrategy(to, OAMS_TRADITIONAL_GIS_ORDER);
  if (good && OSRIsSame(from, to)) {
    memcpy(box, (double[]){x0, y0, x1, y1}, 4 * sizeof *box);
  } else if (good) {
    t = OCTNewCoordinateTransformation(from, to);
    good = t != NULL && OCTTransformBounds(t, x0, y0, x1, y1, &box[0], &box[1], &box[2], &box[3],
                                           EDGE_POINTS) != 0;
  }
  OCTDestroyCoordinateTransformation(t);
  OSRDestroySpatialReference(from);
  if (!good)
    return sky_gdal_fail(ctx, SKY_E_COVERAGE, "%s: the grid (%s) cannot be transformed to %s",
                         r->path, g->crs, r->grid.crs);
  box[0] -= sky_grid_dx(&r->grid);
  box[1] -= sky_grid_dy(&r->grid);
  box[2] += sky_grid_dx(&r->grid);
  box[3] += sky_grid_dy(&r->grid);
  return SKY_OK;
}

/* Intervals of edge[0..n] that meet [low, high]: first, and their number. */
static size_t intervals(const double *edge, size_t n, double low, double high, size_t *first) {
  size_t end = n;
  for (*first = 0; *first < n && edge[*first + 1] <= low;)
    ++*first;
  while (end > *first && edge[end - 1] >= high)
    end--;
  return end - *first;
}

sky_status sky_raster_amounts(sky_context *ctx, sky_raster *r, const sky_grid *where,
                              sky_grid *window, double **out) {
  const sky_grid *g = &r->grid;
  double box[4];
  size_t column0, row0;
  sky_status st = SKY_OK;
  *out = NULL;
  memset(window, 0, sizeof *window);
  SKY_TRY(box_of(ctx, r, where, box));
  size_t columns = intervals(g->x_edge, g->nx, box[0], box[2], &column0);
  if (columns == 0 || (g->geographic && box[0] > box[2])) { /* another turn of longitude: all */
    column0 = 0;
    columns = g->geographic ? g->nx : 0;
  }
  const size_t rows = intervals(g->y_edge, g->ny, box[1], box[3], &row0);
  if (rows == 0 || columns == 0)
    return sky_fail(ctx, SKY_E_COVERAGE, "%s: the raster lies outside the grid", r->path);
  *window = (sky_grid){.geographic = g->geographic, .nx = columns, .ny = rows};
  memcpy(window->crs, g->crs, sizeof window->crs);
  SKY_GO_ALLOC(window->x_edge, SKY_NEW(ctx, double, columns + 1));
  SKY_GO_ALLOC(window->y_edge, SKY_NEW(ctx, double, rows + 1));
  memcpy(window->x_edge, g->x_edge + column0, (columns + 1) * sizeof(double));
  memcpy(window->y_edge, g->y_edge + row0, (rows + 1) * sizeof(double));
  SKY_GO_ALLOC(*out, SKY_NEW(ctx, double, rows *columns));
  SKY_GO(read_window(ctx, r, row0, rows, column0, columns, NULL, *out));
cleanup:
  if (st != SKY_OK) {
    sky_free(*out);
    *out = NULL;
    sky_grid_free(window);
  }
  return st;
}

/* ---- two rasters ---------------------------------------------------------------------------- */

sky_status sky_raster_same_grid(sky_context *ctx, const sky_raster *a, const sky_raster *b) {
  return sky_gdal_same_grid(ctx, a->path, a->data, &a->grid, b->path, b->data, &b->grid);
}
