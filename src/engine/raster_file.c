/* raster_file.c: reading rasters fast: one handle a thread, native blocks, no block cache.
 *
 * Design facts (measured): GDALReadBlock on handles of their own scales with the threads and costs
 * the decoding alone; GDALRasterIO adds a copy through a shared cache, 1.4 to 4 times as dear. A
 * VRT has no blocks of its own and is read through windows all the same. */
#include "src/engine/raster_file.h"

#include <cpl_error.h>
#include <gdal.h>
#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/engine/georeference.h"

#define BAD_TEXT 256

typedef struct lines { /* columns x.. and lines y.. of the file, line 0 its first */
  size_t x, y, nx, ny;
} lines;

/* A band of the file: the values, or their mask. */
typedef struct plane {
  GDALRasterBandH band;
  GDALDataType type;
  size_t size;             /* bytes a pixel */
  size_t block_x, block_y; /* native */
  char *block;             /* one native block, for those that stick out of a tile */
} plane;

struct sky_bad_block {
  lines where;
  char reason[BAD_TEXT];
};

struct sky_raster_file {
  sky_raster_input in;
  GDALDatasetH data;
  sky_grid grid;
  bool north_up;
  sky_raster_facts facts;
  plane value, mask; /* mask.band NULL: by value alone */
};

void sky_raster_tile_free(sky_raster_tile *t) {
  if (t == NULL) return;
  sky_free(t->value);
  sky_free(t->mask);
  sky_free(t->bad);
  memset(t, 0, sizeof *t);
}

void sky_raster_file_close(sky_raster_file *f) {
  if (f == NULL) return;
  GDALClose(f->data);
  sky_grid_free(&f->grid);
  sky_free(f->value.block);
  sky_free(f->mask.block);
  sky_free(f);
}

const sky_grid *sky_raster_file_grid(const sky_raster_file *f) {
  return &f->grid;
}
const sky_raster_facts *sky_raster_file_facts(const sky_raster_file *f) {
  return &f->facts;
}
const sky_raster_input *sky_raster_file_input(const sky_raster_file *f) {
  return &f->in;
}
void sky_raster_file_as_classes(sky_raster_file *f) {
  f->in.kind = SKY_PIXEL_CLASS;
}
bool sky_raster_file_north_up(const sky_raster_file *f) {
  return f->north_up;
}

sky_status sky_raster_file_same_grid(sky_context *ctx, const sky_raster_file *a,
                                     const sky_raster_file *b) {
  return sky_gdal_same_grid(ctx, a->in.path, a->data, &a->grid, b->in.path, b->data, &b->grid);
}

/* ---- opening -------------------------------------------------------------------------------- */

static plane plane_of(GDALRasterBandH band) {
  int x = 1, y = 1;
  GDALGetBlockSize(band, &x, &y);
  const GDALDataType type = GDALGetRasterDataType(band);
  return (plane){.band = band,
                 .type = type,
                 .size = (size_t)GDALGetDataTypeSizeBytes(type),
                 .block_x = (size_t)(x > 0 ? x : 1),
                 .block_y = (size_t)(y > 0 ? y : 1)};
}

static bool known_type(GDALDataType type) {
  return type == GDT_Byte || type == GDT_UInt16 || type == GDT_Int16 || type == GDT_UInt32 ||
         type == GDT_Int32 || type == GDT_Float32 || type == GDT_Float64;
}

static sky_status open_band(sky_context *ctx, sky_raster_file *f) {
  const int bands = GDALGetRasterCount(f->data);
  if (f->in.band < 1 || f->in.band > bands)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no band %d (there are %d)", f->in.path, f->in.band,
                    bands);
  GDALRasterBandH band = GDALGetRasterBand(f->data, f->in.band);
  f->value = plane_of(band);
  if (!known_type(f->value.type))
    return sky_fail(ctx, SKY_E_FORMAT, "%s: values of type %s are not supported", f->in.path,
                    GDALGetDataTypeName(f->value.type));
  sky_raster_facts *facts = &f->facts;
  int given = 0;
  facts->type = GDALGetDataTypeName(f->value.type);
  facts->unit = GDALGetRasterUnitType(band);
  facts->nodata = GDALGetRasterNoDataValue(band, &given);
  facts->has_nodata = given != 0;
  if (!facts->has_nodata) facts->nodata = NAN;
  if (f->value.type == GDT_Float32)
    facts->nodata = (float)facts->nodata; /* as the pixels have it */
  const int flags = GDALGetMaskFlags(band);
  facts->masked = (flags & GMF_ALL_VALID) == 0;
  if (facts->masked && (flags & GMF_NODATA) == 0) f->mask = plane_of(GDALGetMaskBand(band));
  facts->scale = GDALGetRasterScale(band, &given);
  if (!given) facts->scale = 1;
  facts->offset = GDALGetRasterOffset(band, &given);
  if (!given) facts->offset = 0;
  facts->block_x = f->value.block_x;
  facts->block_y = f->value.block_y;
  facts->pixel_bytes = f->value.size + f->mask.size;
  facts->bytes = f->value.type == GDT_Byte && f->mask.band == NULL;
  facts->native = strcmp(GDALGetDriverShortName(GDALGetDatasetDriver(f->data)), "VRT") != 0;
  return SKY_OK;
}

sky_status sky_raster_file_open(sky_context *ctx, const sky_raster_input *in,
                                sky_raster_file **out) {
  sky_status st = SKY_OK;
  sky_raster_file *f = NULL;
  SKY_TRY(sky_gdal_start(ctx));
  if (strncmp(in->path, "/vsi", 4) != 0 && !sky_file_exists(in->path))
    return sky_fail(ctx, SKY_E_MISSING, "%s: no such file", in->path);
  SKY_GO_ALLOC(f, SKY_NEW0(ctx, sky_raster_file, 1));
  f->in = *in;
  CPLErrorReset();
  f->data = GDALOpenEx(in->path, GDAL_OF_RASTER | GDAL_OF_READONLY, NULL, NULL, NULL);
  if (f->data == NULL) {
    st = sky_gdal_fail(ctx, SKY_E_READ, "%s: not a raster that GDAL reads", in->path);
    goto cleanup;
  }
  SKY_GO(open_band(ctx, f));
  SKY_GO(sky_gdal_grid(ctx, in->path, f->data, &f->grid, &f->north_up));
  *out = f;
  return SKY_OK;
cleanup:
  sky_raster_file_close(f);
  return st;
}

/* ---- reading -------------------------------------------------------------------------------- */

static lines lines_of(const sky_raster_file *f, const sky_window *w) {
  return (lines){w->ix0, f->north_up ? f->grid.ny - w->iy0 - w->ny : w->iy0, w->nx, w->ny};
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static sky_status note_bad(sky_context *ctx, sky_raster_tile *t, const lines *where) {
  if (t->n_bad == t->bad_capacity) {
    const size_t grown = 2 * t->bad_capacity + 8;
    struct sky_bad_block *p = sky_realloc(ctx, t->bad, t->n_bad, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    t->bad = p;
    t->bad_capacity = grown;
  }
  struct sky_bad_block *b = &t->bad[t->n_bad++];
  b->where = *where;
  strncpy(b->reason, CPLGetLastErrorMsg(), sizeof b->reason - 1);
  b->reason[sizeof b->reason - 1] = '\0';
  return SKY_OK;
}

static sky_status prepare(sky_context *ctx, plane *p, size_t pixels, char **pixel, size_t *room) {
  if (p->block == NULL) {
    p->block = sky_malloc(ctx, p->block_x * p->block_y, p->size);
    if (p->block == NULL) return SKY_E_NOMEM;
  }
  if (pixels <= *room) return SKY_OK;
  sky_free(*pixel);
  *room = 0;
  *pixel = sky_malloc(ctx, pixels, p->size);
  if (*pixel == NULL) return SKY_E_NOMEM;
  *room = pixels;
  return SKY_OK;
}

/* One native block into the tile's buffer; straight, where its lines are the tile's. */
static bool read_block(plane *p, const lines *t, char *pixel, size_t bx, size_t by) {
  const size_t x0 = bx * p->block_x, y0 = by * p->block_y;
  const bool straight =
      x0 == t->x && p->block_x == t->nx && y0 >= t->y && y0 + p->block_y <= t->y + t->ny;
  char *to = straight ? pixel + (y0 - t->y) * t->nx * p->size : p->block;
  if (GDALReadBlock(p->band, (int)bx, (int)by, to) != CE_None) return false;
  if (straight) return true;
  const size_t left = x0 > t->x ? x0 : t->x, right = smaller(x0 + p->block_x, t->x + t->nx);
  const size_t top = y0 > t->y ? y0 : t->y, end = smaller(y0 + p->block_y, t->y + t->ny);
  for (size_t y = top; y < end; y++)
    memcpy(pixel + ((y - t->y) * t->nx + left - t->x) * p->size,
           p->block + ((y - y0) * p->block_x + left - x0) * p->size, (right - left) * p->size);
  return true;
}

static sky_status load_plane(sky_context *ctx, const sky_raster_file *f, plane *p, const lines *t,
                             char *pixel, sky_raster_tile *tile) {
  CPLErrorReset();
  if (!f->facts.native) {
    if (GDALRasterIO(p->band, GF_Read, (int)t->x, (int)t->y, (int)t->nx, (int)t->ny, pixel,
                     (int)t->nx, (int)t->ny, p->type, 0, 0) == CE_None)
      return SKY_OK;
    return note_bad(ctx, tile, t);
  }
  for (size_t by = t->y / p->block_y; by * p->block_y < t->y + t->ny; by++) {
    for (size_t bx = t->x / p->block_x; bx * p->block_x < t->x + t->nx; bx++) {
      if (read_block(p, t, pixel, bx, by)) continue;
      const lines where = {bx * p->block_x, by * p->block_y, p->block_x, p->block_y};
      SKY_TRY(note_bad(ctx, tile, &where));
      CPLErrorReset();
    }
  }
  return SKY_OK;
}

sky_status sky_raster_file_load(sky_context *ctx, sky_raster_file *f, const sky_window *w,
                                sky_raster_tile *t) {
  const lines l = lines_of(f, w);
  t->window = *w;
  t->n_bad = 0;
  SKY_TRY(prepare(ctx, &f->value, l.nx * l.ny, &t->value, &t->value_n));
  SKY_TRY(load_plane(ctx, f, &f->value, &l, t->value, t));
  if (f->mask.band == NULL) return SKY_OK;
  SKY_TRY(prepare(ctx, &f->mask, l.nx * l.ny, &t->mask, &t->mask_n));
  return load_plane(ctx, f, &f->mask, &l, t->mask, t);
}

const char *sky_raster_file_bad(const sky_raster_file *f, const sky_raster_tile *t,
                                const sky_window *w) {
  const lines l = lines_of(f, w);
  for (size_t i = 0; i < t->n_bad; i++) {
    const lines *b = &t->bad[i].where;
    if (b->x < l.x + l.nx && l.x < b->x + b->nx && b->y < l.y + l.ny && l.y < b->y + b->ny)
      return t->bad[i].reason;
  }
  return NULL;
}

/* ---- converting ----------------------------------------------------------------------------- */

/* A line of n pixels of a file's type, as doubles with NaN for nodata; and as classes: returns the
 * first pixel that is none, SIZE_MAX if all are. */
#define VALUES(T, NAME)                                                               \
  static void values_##NAME(const void *from, size_t n, double nodata, double *out) { \
    const T *in = from;                                                               \
    for (size_t i = 0; i < n; i++)                                                    \
      out[i] = (double)in[i] == nodata ? NAN : (double)in[i];                         \
  }
/* All values are classes; compared as whole numbers, which the compiler does many at a time. */
#define SMALL_CLASSES(T, NAME)                                                            \
  static size_t classes_##NAME(const void *from, size_t n, double nodata, int32_t *out) { \
    const T *in = from;                                                                   \
    const bool can = nodata >= -32768 && nodata <= 65535 && nodata == nearbyint(nodata);  \
    const int32_t masked = can ? (int32_t)nodata : SKY_PIXEL_NODATA;                      \
    for (size_t i = 0; i < n; i++)                                                        \
      out[i] = in[i] == masked ? SKY_PIXEL_NODATA : (int32_t)in[i];                       \
    return SIZE_MAX;                                                                      \
  }
#define LARGE_CLASSES(T, NAME)                                                            \
  static size_t classes_##NAME(const void *from, size_t n, double nodata, int32_t *out) { \
    const T *in = from;                                                                   \
    size_t bad = SIZE_MAX;                                                                \
    for (size_t i = 0; i < n; i++) {                                                      \
      const double v = (double)in[i];                                                     \
      out[i] = SKY_PIXEL_NODATA;                                                          \
      if (v == nodata || isnan(v)) continue;                                              \
      if (fabs(v) <= INT32_MAX && v == nearbyint(v))                                      \
        out[i] = (int32_t)v;                                                              \
      else if (bad == SIZE_MAX)                                                           \
        bad = i;                                                                          \
    }                                                                                     \
    return bad;                                                                           \
  }
VALUES(uint8_t, byte)
VALUES(uint16_t, uint16)
VALUES(int16_t, int16)
VALUES(uint32_t, uint32)
VALUES(int32_t, int32)
VALUES(float, float32)
VALUES(double, float64)
SMALL_CLASSES(uint8_t, byte)
SMALL_CLASSES(uint16_t, uint16)
SMALL_CLASSES(int16_t, int16)
LARGE_CLASSES(uint32_t, uint32)
LARGE_CLASSES(int32_t, int32)
LARGE_CLASSES(float, float32)
LARGE_CLASSES(double, float64)

typedef void (*to_values)(const void *, size_t, double, double *);
typedef size_t (*to_classes)(const void *, size_t, double, int32_t *);

static const struct converter {
  GDALDataType type;
  to_values values;
  to_classes classes;
} converters[] = {
    {GDT_Byte, values_byte, classes_byte},         {GDT_UInt16, values_uint16, classes_uint16},
    {GDT_Int16, values_int16, classes_int16},      {GDT_UInt32, values_uint32, classes_uint32},
    {GDT_Int32, values_int32, classes_int32},      {GDT_Float32, values_float32, classes_float32},
    {GDT_Float64, values_float64, classes_float64}};

static const struct converter *converter_of(GDALDataType type) {
  size_t i = 0;
  while (converters[i].type != type)
    i++;
  return &converters[i];
}

static void rescale(const sky_raster_facts *f, double *v, size_t n) {
  if (f->scale == 1 && f->offset == 0) return;
  for (size_t i = 0; i < n; i++)
    v[i] = v[i] * f->scale + f->offset;
}

static sky_status not_a_class(sky_context *ctx, const sky_raster_file *f, const char *pixel,
                              size_t x, size_t y) {
  double v = NAN;
  converter_of(f->value.type)->values(pixel, 1, NAN, &v);
  return sky_fail(ctx, SKY_E_RANGE,
                  "%s: line %zu, column %zu: value %.9g is not a class (a whole number)",
                  f->in.path, y, x, v);
}

static void row_values(const sky_raster_file *f, const char *pixel, const char *mask, size_t n,
                       double *v) {
  converter_of(f->value.type)->values(pixel, n, f->facts.nodata, v);
  rescale(&f->facts, v, n);
  for (size_t i = 0; mask != NULL && i < n; i++)
    if (mask[i] == 0) v[i] = NAN;
}

/* Returns the first pixel that is no class, SIZE_MAX if all are. */
static size_t row_classes(const sky_raster_file *f, const char *pixel, const char *mask, size_t n,
                          int32_t *v) {
  const struct converter *c = converter_of(f->value.type);
  for (size_t from = 0, bad; from < n; from += bad + 1) {
    bad = c->classes(pixel + from * f->value.size, n - from, f->facts.nodata, v + from);
    if (bad == SIZE_MAX) break;
    if (mask == NULL || mask[from + bad] != 0) return from + bad;
  }
  for (size_t i = 0; mask != NULL && i < n; i++)
    if (mask[i] == 0) v[i] = SKY_PIXEL_NODATA;
  return SIZE_MAX;
}

sky_status sky_raster_file_row(sky_context *ctx, const sky_raster_file *f, const sky_raster_tile *t,
                               size_t iy, size_t ix0, size_t nx, void *out) {
  const lines tile = lines_of(f, &t->window);
  const size_t line = f->north_up ? f->grid.ny - 1 - iy : iy;
  if (ix0 < tile.x || ix0 + nx > tile.x + tile.nx || line < tile.y || line >= tile.y + tile.ny)
    return sky_fail(ctx, SKY_E_INTERNAL, "%s: window outside the tile", f->in.path);
  const size_t at = (line - tile.y) * tile.nx + ix0 - tile.x;
  const char *pixel = t->value + at * f->value.size;
  const char *mask = f->mask.band != NULL ? t->mask + at * f->mask.size : NULL;
  if (f->in.kind == SKY_PIXEL_VALUE) {
    row_values(f, pixel, mask, nx, out);
    return SKY_OK;
  }
  const size_t bad = row_classes(f, pixel, mask, nx, out);
  if (bad == SIZE_MAX) return SKY_OK;
  return not_a_class(ctx, f, pixel + bad * f->value.size, ix0 + bad, line);
}

sky_byte_rows sky_raster_file_byte_rows(const sky_raster_file *f, const sky_raster_tile *t,
                                        const sky_window *w) {
  const lines l = lines_of(f, w), tile = lines_of(f, &t->window);
  const size_t line = f->north_up ? l.y + l.ny - 1 : l.y;
  const ptrdiff_t width = (ptrdiff_t)tile.nx;
  const double nodata = f->facts.nodata;
  return (sky_byte_rows){
      .first = (const uint8_t *)t->value + (line - tile.y) * tile.nx + l.x - tile.x,
      .stride = f->north_up ? -width : width,
      .nodata = nodata >= 0 && nodata <= 255 && nodata == nearbyint(nodata) ? (int)nodata : -1};
}
