/* cog_codec.c: predictors of TIFF, with libdeflate and libzstd behind them.
 *
 * The libraries are called directly, not through libtiff, which takes up to twice as long for the
 * same bytes; both come with GDAL. */
#include "src/write/cog_codec.h"

#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

#include "src/core/memory.h"
#include "src/write/cog_tile.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tiles are written in the byte order of the machine, which must be little-endian"
#endif

#define PIXELS ((size_t)SKY_COG_TILE * SKY_COG_TILE)

struct sky_cog_coder {
  sky_cog_codec codec;
  int level, predictor;
  size_t pixel_bytes;
  struct libdeflate_compressor *deflate;
  struct libdeflate_decompressor *inflate;
  ZSTD_CCtx *zstd;
  uint8_t *plain; /* after the predictor */
  uint8_t *packed;
  size_t capacity;
};

size_t sky_cog_coder_bytes(sky_cog_type type) {
  return 2 * PIXELS * sky_pixel_bytes(type) + ((size_t)2 << 20);
}

void sky_cog_coder_free(sky_cog_coder *c) {
  if (c == NULL) return;
  if (c->deflate != NULL) libdeflate_free_compressor(c->deflate);
  if (c->inflate != NULL) libdeflate_free_decompressor(c->inflate);
  ZSTD_freeCCtx(c->zstd);
  sky_free(c->plain);
  sky_free(c->packed);
  sky_free(c);
}

/* Measured on noisy floats and on land cover: higher levels take 1.6 times as long or more, for 1 %
 * fewer bytes (floats) or 5 to 15 % (classes). */
static int default_level(sky_cog_codec codec, sky_cog_type type) {
  if (codec == SKY_COG_DEFLATE) return 6;
  return type == SKY_COG_FLOAT32 ? 3 : 5;
}

sky_status sky_cog_coder_create(sky_context *ctx, sky_cog_codec codec, int level, int predictor,
                                sky_cog_type type, sky_cog_coder **out) {
  sky_cog_coder *c = SKY_NEW0(ctx, sky_cog_coder, 1);
  if (c == NULL) return SKY_E_NOMEM;
  *c = (sky_cog_coder){.codec = codec,
                       .level = level != 0 ? level : default_level(codec, type),
                       .predictor = predictor,
                       .pixel_bytes = sky_pixel_bytes(type)};
  const size_t n = PIXELS * c->pixel_bytes;
  c->plain = SKY_NEW(ctx, uint8_t, n);
  if (codec == SKY_COG_DEFLATE) {
    c->deflate = libdeflate_alloc_compressor(c->level);
    c->capacity = c->deflate != NULL ? libdeflate_zlib_compress_bound(c->deflate, n) : 1;
  } else {
    c->zstd = ZSTD_createCCtx();
    c->capacity = ZSTD_compressBound(n);
  }
  c->packed = SKY_NEW(ctx, uint8_t, c->capacity);
  *out = c;
  if (c->plain != NULL && c->packed != NULL && (c->deflate != NULL || c->zstd != NULL))
    return SKY_OK;
  *out = NULL;
  sky_cog_coder_free(c);
  return sky_fail(ctx, SKY_E_NOMEM, "out of memory: compressor of tiles");
}

/* ---- predictors, row by row ----------------------------------------------------------------- */

#define DIFFERENCES(T)                                \
  do {                                                \
    const T *from = in;                               \
    T *to = out;                                      \
    to[0] = from[0];                                  \
    for (size_t x = 1; x < SKY_COG_TILE; x++)         \
      to[x] = (T)(from[x] - from[x - 1]); /* wraps */ \
  } while (0)
#define SUMS(T)                               \
  do {                                        \
    T *p = row;                               \
    for (size_t x = 1; x < SKY_COG_TILE; x++) \
      p[x] = (T)(p[x] + p[x - 1]);            \
  } while (0)

static void differences(size_t pixel_bytes, const void *in, void *out) {
  if (pixel_bytes == 1)
    DIFFERENCES(uint8_t);
  else if (pixel_bytes == 2)
    DIFFERENCES(uint16_t);
  else
    DIFFERENCES(uint32_t);
}
static void sums(size_t pixel_bytes, void *row) {
  if (pixel_bytes == 1)
    SUMS(uint8_t);
  else if (pixel_bytes == 2)
    SUMS(uint16_t);
  else
    SUMS(uint32_t);
}

/* The most significant bytes of all floats, then the next ones …; then differences of bytes. */
static void float_differences(const uint8_t *in, uint8_t *out) {
  uint8_t plane[4 * SKY_COG_TILE];
  for (size_t x = 0; x < SKY_COG_TILE; x++) {
    uint32_t v;
    memcpy(&v, in + 4 * x, 4);
    plane[x] = (uint8_t)(v >> 24);
    plane[SKY_COG_TILE + x] = (uint8_t)(v >> 16);
    plane[2 * SKY_COG_TILE + x] = (uint8_t)(v >> 8);
    plane[3 * SKY_COG_TILE + x] = (uint8_t)v;
  }
  out[0] = plane[0];
  for (size_t i = 1; i < sizeof plane; i++)
    out[i] = (uint8_t)(plane[i] - plane[i - 1]);
}
static void float_sums(const uint8_t *in, uint8_t *out) {
  uint8_t plane[4 * SKY_COG_TILE];
  plane[0] = in[0];
  for (size_t i = 1; i < sizeof plane; i++)
    plane[i] = (uint8_t)(in[i] + plane[i - 1]);
  for (size_t x = 0; x < SKY_COG_TILE; x++)
    for (size_t k = 0; k < 4; k++)
      out[4 * x + k] = plane[(3 - k) * SKY_COG_TILE + x];
}

/* ---- tiles ---------------------------------------------------------------------------------- */

sky_status sky_cog_encode(sky_context *ctx, sky_cog_coder *c, const void *tile, const void **bytes,
                          size_t *n) {
  const size_t size = PIXELS * c->pixel_bytes, line = SKY_COG_TILE * c->pixel_bytes;
  const uint8_t *plain = c->predictor == 1 ? tile : c->plain;
  for (size_t y = 0; c->predictor != 1 && y < SKY_COG_TILE; y++) {
    const uint8_t *in = (const uint8_t *)tile + y * line;
    if (c->predictor == 2)
      differences(c->pixel_bytes, in, c->plain + y * line);
    else
      float_differences(in, c->plain + y * line);
  }
  *bytes = c->packed;
  if (c->codec == SKY_COG_DEFLATE) {
    *n = libdeflate_zlib_compress(c->deflate, plain, size, c->packed, c->capacity);
    return *n > 0 ? SKY_OK : sky_fail(ctx, SKY_E_INTERNAL, "a tile cannot be compressed");
  }
  *n = ZSTD_compressCCtx(c->zstd, c->packed, c->capacity, plain, size, c->level);
  if (!ZSTD_isError(*n)) return SKY_OK;
  return sky_fail(ctx, SKY_E_NOMEM, "a tile cannot be compressed: %s", ZSTD_getErrorName(*n));
}

static bool inflate(sky_cog_coder *c, const void *bytes, size_t n, size_t size, void *out) {
  if (c->codec == SKY_COG_ZSTD) return ZSTD_decompress(out, size, bytes, n) == size;
  if (c->inflate == NULL) c->inflate = libdeflate_alloc_decompressor();
  return c->inflate != NULL &&
         libdeflate_zlib_decompress(c->inflate, bytes, n, out, size, NULL) == LIBDEFLATE_SUCCESS;
}

sky_status sky_cog_decode(sky_context *ctx, sky_cog_coder *c, const void *bytes, size_t n,
                          void *tile) {
  const size_t size = PIXELS * c->pixel_bytes, line = SKY_COG_TILE * c->pixel_bytes;
  uint8_t *out = c->predictor == 3 ? c->plain : tile;
  if (!inflate(c, bytes, n, size, out)) {
    return sky_fail(ctx, SKY_E_READ, "a tile of %zu bytes cannot be decompressed", n);
  }
  for (size_t y = 0; c->predictor != 1 && y < SKY_COG_TILE; y++) {
    if (c->predictor == 2)
      sums(c->pixel_bytes, out + y * line);
    else
      float_sums(out + y * line, (uint8_t *)tile + y * line);
  }
  return SKY_OK;
}
