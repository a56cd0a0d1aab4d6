/* raster_source.c: reading rasters fast: one handle a thread, native blocks, no block cache.
 *
 * Design facts (measured): GDALReadBlock on handles of their own scales with the threads and costs
 * the decoding alone; GDALRasterIO adds a copy through a shared cache, 1.4 to 4 times as dear. A
 * VRT has no blocks of its own and is read through windows all the same. */
#include "src/engine/raster_source.h"

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
  char *pixel;             /* [tile] */
  size_t capacity;         /* pixels */
  char *block;             /* one native block, for those that stick out of the tile */
} plane;

typedef struct bad_block {
  lines where;
  char reason[BAD_TEXT];
} bad_block;

struct sky_source {
  sky_raster_input in;
  GDALDatasetH data;
  sky_grid grid;
  bool north_up;
  sky_raster_facts facts;
  plane value, mask; /* mask.band NULL: by value alone */
  lines tile;        /* loaded */
  size_t n_bad, bad_capacity;
  bad_block *bad;
};

void sky_source_close(sky_source *s) {
  if (s == NULL) return;
  GDALClose(s->data);
  sky_grid_free(&s->grid);
  sky_free(s->value.pixel);
  sky_free(s->value.block);
  sky_free(s->mask.pixel);
  sky_free(s->mask.block);
  sky_free(s->bad);
  sky_free(s);
}

const sky_grid *sky_source_grid(const sky_source *s) {
  return &s->grid;
}
const sky_raster_facts *sky_source_facts(const sky_source *s) {
  return &s->facts;
}

size_t sky_source_bytes(const sky_source *s, size_t tile_x, size_t tile_y) {
  return s->facts.pixel_bytes * (tile_x * tile_y + s->facts.block_x * s->facts.block_y);
}

sky_status sky_source_same_grid(sky_context *ctx, const sky_source *a, const sky_source *b) {
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

static sky_status open_band(sky_context *ctx, sky_source *s) {
  const int bands = GDALGetRasterCount(s->data);
  if (s->in.band < 1 || s->in.band > bands)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no band %d (there are %d)", s->in.path, s->in.band,
                    bands);
  GDALRasterBandH band = GDALGetRasterBand(s->data, s->in.band);
  s->value = plane_of(band);
  if (!known_type(s->value.type))
    return sky_fail(ctx, SKY_E_FORMAT, "%s: values of type %s are not supported", s->in.path,
                    GDALGetDataTypeName(s->value.type));
  sky_raster_facts *f = &s->facts;
  int given = 0;
  f->type = GDALGetDataTypeName(s->value.type);
  f->nodata = GDALGetRasterNoDataValue(band, &given);
  f->has_nodata = given != 0;
  if (!f->has_nodata) f->nodata = NAN;
  if (s->value.type == GDT_Float32) f->nodata = (float)f->nodata; /* as the pixels have it */
  const int flags = GDALGetMaskFlags(band);
  f->masked = (flags & GMF_ALL_VALID) == 0;
  if (f->masked && (flags & GMF_NODATA) == 0) s->mask = plane_of(GDALGetMaskBand(band));
  f->scale = GDALGetRasterScale(band, &given);
  if (!given) f->scale = 1;
  f->offset = GDALGetRasterOffset(band, &given);
  if (!given) f->offset = 0;
  f->block_x = s->value.block_x;
  f->block_y = s->value.block_y;
  f->pixel_bytes = s->value.size + s->mask.size;
  f->native = strcmp(GDALGetDriverShortName(GDALGetDatasetDriver(s->data)), "VRT") != 0;
  return SKY_OK;
}

static sky_status check_target(sky_context *ctx, const sky_source *s, const sky_grid *target) {
  if (target == NULL || sky_grid_equal(&s->grid, target)) return SKY_OK;
  return sky_fail(ctx, SKY_E_COVERAGE, "%s: its grid of %zu x %zu cells (%s) is not the target's",
                  s->in.path, s->grid.nx, s->grid.ny, s->grid.crs);
}

sky_status sky_source_open(sky_context *ctx, const sky_raster_input *in, const sky_grid *target,
                           sky_source **out) {
  sky_status st = SKY_OK;
  sky_source *s = NULL;
  SKY_TRY(sky_gdal_start(ctx));
  if (strncmp(in->path, "/vsi", 4) != 0 && !sky_file_exists(in->path))
    return sky_fail(ctx, SKY_E_MISSING, "%s: no such file", in->path);
  SKY_GO_ALLOC(s, SKY_NEW0(ctx, sky_source, 1));
  s->in = *in;
  CPLErrorReset();
  s->data = GDALOpenEx(in->path, GDAL_OF_RASTER | GDAL_OF_READONLY, NULL, NULL, NULL);
  if (s->data == NULL) {
    st = sky_gdal_fail(ctx, SKY_E_READ, "%s: not a raster that GDAL reads", in->path);
    goto cleanup;
  }
  SKY_GO(open_band(ctx, s));
  SKY_GO(sky_gdal_grid(ctx, in->path, s->data, &s->grid, &s->north_up));
  SKY_GO(check_target(ctx, s, target));
  *out = s;
  return SKY_OK;
cleanup:
  sky_source_close(s);
  return st;
}

/* ---- reading -------------------------------------------------------------------------------- */

static lines lines_of(const sky_source *s, const sky_window *w) {
  return (lines){w->ix0, s->north_up ? s->grid.ny - w->iy0 - w->ny : w->iy0, w->nx, w->ny};
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static sky_status note_bad(sky_context *ctx, sky_source *s, const lines *where) {
  if (s->n_bad == s->bad_capacity) {
    const size_t grown = 2 * s->bad_capacity + 8;
    bad_block *p = sky_realloc(ctx, s->bad, s->n_bad, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    s->bad = p;
    s->bad_capacity = grown;
  }
  bad_block *b = &s->bad[s->n_bad++];
  b->where = *where;
  strncpy(b->reason, CPLGetLastErrorMsg(), sizeof b->reason - 1);
  b->reason[sizeof b->reason - 1] = '\0';
  return SKY_OK;
}

static sky_status prepare(sky_context *ctx, plane *p, size_t pixels) {
  if (p->block == NULL) {
    p->block = sky_malloc(ctx, p->block_x * p->block_y, p->size);
    if (p->block == NULL) return SKY_E_NOMEM;
  }
  if (pixels <= p->capacity) return SKY_OK;
  sky_free(p->pixel);
  p->capacity = 0;
  p->pixel = sky_malloc(ctx, pixels, p->size);
  if (p->pixel == NULL) return SKY_E_NOMEM;
  p->capacity = pixels;
  return SKY_OK;
}

/* One native block into the tile's buffer; straight, where its lines are the tile's. */
static bool read_block(plane *p, const lines *t, size_t bx, size_t by) {
  const size_t x0 = bx * p->block_x, y0 = by * p->block_y;
  const bool straight =
      x0 == t->x && p->block_x == t->nx && y0 >= t->y && y0 + p->block_y <= t->y + t->ny;
  char *to = straight ? p->pixel + (y0 - t->y) * t->nx * p->size : p->block;
  if (GDALReadBlock(p->band, (int)bx, (int)by, to) != CE_None) return false;
  if (straight) return true;
  const size_t left = x0 > t->x ? x0 : t->x, right = smaller(x0 + p->block_x, t->x + t->nx);
  const size_t top = y0 > t->y ? y0 : t->y, end = smaller(y0 + p->block_y, t->y + t->ny);
  for (size_t y = top; y < end; y++)
    memcpy(p->pixel + ((y - t->y) * t->nx + left - t->x) * p->size,
           p->block + ((y - y0) * p->block_x + left - x0) * p->size, (right - left) * p->size);
  return true;
}

static sky_status load_plane(sky_context *ctx, sky_source *s, plane *p) {
  const lines *t = &s->tile;
  SKY_TRY(prepare(ctx, p, t->nx * t->ny));
  CPLErrorReset();
  if (!s->facts.native) {
    if (GDALRasterIO(p->band, GF_Read, (int)t->x, (int)t->y, (int)t->nx, (int)t->ny, p->pixel,
                     (int)t->nx, (int)t->ny, p->type, 0, 0) == CE_None)
      return SKY_OK;
    return note_bad(ctx, s, t);
  }
  for (size_t by = t->y / p->block_y; by * p->block_y < t->y + t->ny; by++) {
    for (size_t bx = t->x / p->block_x; bx * p->block_x < t->x + t->nx; bx++) {
      if (read_block(p, t, bx, by)) continue;
      const lines where = {bx * p->block_x, by * p->block_y, p->block_x, p->block_y};
      SKY_TRY(note_bad(ctx, s, &where));
      CPLErrorReset();
    }
  }
  return SKY_OK;
}

sky_status sky_source_load(sky_context *ctx, sky_source *s, const sky_window *tile) {
  s->tile = lines_of(s, tile);
  s->n_bad = 0;
  SKY_TRY(load_plane(ctx, s, &s->value));
  return s->mask.band != NULL ? load_plane(ctx, s, &s->mask) : SKY_OK;
}

const char *sky_source_bad(const sky_source *s, const sky_window *w) {
  const lines l = lines_of(s, w);
  for (size_t i = 0; i < s->n_bad; i++) {
    const lines *b = &s->bad[i].where;
    if (b->x < l.x + l.nx && l.x < b->x + b->nx && b->y < l.y + l.ny && l.y < b->y + b->ny)
      return s->bad[i].reason;
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

static sky_status not_a_class(sky_context *ctx, const sky_source *s, const char *pixel, size_t x,
                              size_t y) {
  double v = NAN;
  converter_of(s->value.type)->values(pixel, 1, NAN, &v);
  return sky_fail(ctx, SKY_E_RANGE,
                  "%s: line %zu, column %zu: value %.9g is not a class (a whole number)",
                  s->in.path, y, x, v);
}

sky_status sky_source_convert(sky_context *ctx, const sky_source *s, const sky_window *w,
                              void *out) {
  const lines l = lines_of(s, w), *t = &s->tile;
  const struct converter *c = converter_of(s->value.type);
  if (l.x < t->x || l.y < t->y || l.x + l.nx > t->x + t->nx || l.y + l.ny > t->y + t->ny)
    return sky_fail(ctx, SKY_E_INTERNAL, "%s: window outside the tile", s->in.path);
  for (size_t r = 0; r < l.ny; r++) {
    const size_t line = s->north_up ? l.y + l.ny - 1 - r : l.y + r;
    const size_t at = (line - t->y) * t->nx + l.x - t->x;
    const char *pixel = s->value.pixel + at * s->value.size;
    const char *mask = s->mask.band != NULL ? s->mask.pixel + at * s->mask.size : NULL;
    if (s->in.kind == SKY_PIXEL_VALUE) {
      double *v = (double *)out + r * SKY_BAND;
      c->values(pixel, l.nx, s->facts.nodata, v);
      rescale(&s->facts, v, l.nx);
      for (size_t i = 0; mask != NULL && i < l.nx; i++)
        if (mask[i] == 0) v[i] = NAN;
    } else {
      int32_t *v = (int32_t *)out + r * SKY_BAND;
      for (size_t from = 0, bad; from < l.nx; from += bad + 1) {
        bad = c->classes(pixel + from * s->value.size, l.nx - from, s->facts.nodata, v + from);
        if (bad == SIZE_MAX) break;
        if (mask == NULL || mask[from + bad] != 0)
          return not_a_class(ctx, s, pixel + (from + bad) * s->value.size, l.x + from + bad, line);
      }
      for (size_t i = 0; mask != NULL && i < l.nx; i++)
        if (mask[i] == 0) v[i] = SKY_PIXEL_NODATA;
    }
  }
  return SKY_OK;
}
