/* cog_tile.c: pixels <-> values, statistics and overviews of one tile.
 *
 * A tile of 512 pixels a side holds whole cells of nine overviews, so each is made from the full
 * resolution, without rounding on the way: sums and counts (or the pixels of each class) of 2 x 2
 * cells are added level by level, in one fixed order. */
#include "src/write/cog_tile.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define HALF (SKY_COG_TILE / 2)

typedef double d2 __attribute__((vector_size(16)));
typedef int64_t i2 __attribute__((vector_size(16)));

static const struct {
  const char *name;
  size_t bytes;
  double low, high;
} types[] = {[SKY_COG_FLOAT32] = {"float32", 4, -(double)FLT_MAX, (double)FLT_MAX},
             [SKY_COG_UINT8] = {"uint8", 1, 0, UINT8_MAX},
             [SKY_COG_UINT16] = {"uint16", 2, 0, UINT16_MAX},
             [SKY_COG_INT16] = {"int16", 2, INT16_MIN, INT16_MAX},
             [SKY_COG_INT32] = {"int32", 4, INT32_MIN, INT32_MAX}};

size_t sky_pixel_bytes(sky_cog_type type) {
  return types[type].bytes;
}
const char *sky_pixel_name(sky_cog_type type) {
  return types[type].name;
}
void sky_pixel_limits(sky_cog_type type, double *low, double *high) {
  *low = types[type].low;
  *high = types[type].high;
}

double sky_pixel_nodata(const sky_cog_options *o) {
  if (o->type == SKY_COG_FLOAT32) return (double)NAN;
  if (o->has_nodata) return o->nodata;
  return o->type == SKY_COG_INT16 || o->type == SKY_COG_INT32 ? types[o->type].low
                                                              : types[o->type].high;
}

/* ---- pixels <-> values ---------------------------------------------------------------------- */

static bool too_large(double v) {
  return fabs(v) > (double)FLT_MAX; /* not NaN */
}

/* Without a branch, two at a time: nearly all rows are good. */
static size_t store_float(const double *restrict value, size_t n, float *restrict pixel) {
  const d2 most = {(double)FLT_MAX, (double)FLT_MAX};
  i2 beyond = {0, 0};
  d2 x;
  for (size_t i = 0; i + 2 <= n; i += 2) {
    memcpy(&x, value + i, sizeof x);
    beyond |= (x > most) | (x < -most);
  }
  if (n % 2 == 1) beyond[0] |= too_large(value[n - 1]);
  for (size_t i = 0; (beyond[0] | beyond[1]) != 0; i++)
    if (too_large(value[i])) return i;
  for (size_t i = 0; i < n; i++)
    pixel[i] = (float)value[i];
  return n;
}

/* Adding and taking away 1.5 * 2^52 rounds to a whole number, half to even. */
#define STORE(T, name, MIN, MAX)                                                                   \
  static size_t store_##name(const sky_pixel_format *f, const double *value, size_t n, T *pixel) { \
    const T nodata = (T)f->nodata;                                                                 \
    for (size_t i = 0; i < n; i++) {                                                               \
      const double v = value[i];                                                                   \
      if (isnan(v)) {                                                                              \
        pixel[i] = nodata;                                                                         \
        continue;                                                                                  \
      }                                                                                            \
      if (!(v >= (double)(MIN)-0.5 && v <= (double)(MAX) + 0.5)) return i;                         \
      const double r = (v + 0x1.8p52) - 0x1.8p52;                                                  \
      if (r < (double)(MIN) || r > (double)(MAX) || r == f->nodata || (f->whole && r != v)) {      \
        return i;                                                                                  \
      }                                                                                            \
      pixel[i] = (T)r;                                                                             \
    }                                                                                              \
    return n;                                                                                      \
  }
STORE(uint8_t, uint8, 0, UINT8_MAX)
STORE(uint16_t, uint16, 0, UINT16_MAX)
STORE(int16_t, int16, INT16_MIN, INT16_MAX)
STORE(int32_t, int32, INT32_MIN, INT32_MAX)

size_t sky_pixel_store(const sky_pixel_format *f, const double *value, size_t n, void *pixel) {
  switch (f->type) {
    case SKY_COG_FLOAT32:
      return store_float(value, n, pixel);
    case SKY_COG_UINT8:
      return store_uint8(f, value, n, pixel);
    case SKY_COG_UINT16:
      return store_uint16(f, value, n, pixel);
    case SKY_COG_INT16:
      return store_int16(f, value, n, pixel);
    default:
      return store_int32(f, value, n, pixel);
  }
}

#define LOAD(T)                                             \
  do {                                                      \
    const T *p = pixel, none = (T)f->nodata;                \
    for (size_t i = 0; i < n; i++)                          \
      value[i] = p[i] == none ? (double)NAN : (double)p[i]; \
  } while (0)

void sky_pixel_load(const sky_pixel_format *f, const void *pixel, size_t n, double *value) {
  switch (f->type) {
    case SKY_COG_FLOAT32:
      for (size_t i = 0; i < n; i++)
        value[i] = (double)((const float *)pixel)[i];
      return;
    case SKY_COG_UINT8:
      LOAD(uint8_t);
      return;
    case SKY_COG_UINT16:
      LOAD(uint16_t);
      return;
    case SKY_COG_INT16:
      LOAD(int16_t);
      return;
    default:
      LOAD(int32_t);
  }
}

void sky_pixel_fill(const sky_pixel_format *f, size_t n, void *pixel) {
  const float none = NAN;
  const uint8_t u8 = (uint8_t)(f->type == SKY_COG_UINT8 ? f->nodata : 0);
  const uint16_t u16 = (uint16_t)(f->type == SKY_COG_UINT16 ? f->nodata : 0);
  const int16_t i16 = (int16_t)(f->type == SKY_COG_INT16 ? f->nodata : 0);
  const int32_t i32 = (int32_t)(f->type == SKY_COG_INT32 ? f->nodata : 0);
  const void *const one[] = {&none, &u8, &u16, &i16, &i32};
  const size_t bytes = types[f->type].bytes;
  if (n == 0) return;
  memcpy(pixel, one[f->type], bytes);
  for (size_t done = 1; done < n; done *= 2) /* what is there, doubled */
    memcpy((char *)pixel + done * bytes, pixel, (done < n - done ? done : n - done) * bytes);
}

bool sky_pixel_empty(const sky_pixel_format *f, const void *pixel, size_t n) {
  double value[SKY_COG_TILE];
  for (size_t at = 0; at < n; at += SKY_COG_TILE) {
    const size_t m = n - at < SKY_COG_TILE ? n - at : SKY_COG_TILE;
    sky_pixel_load(f, (const char *)pixel + at * types[f->type].bytes, m, value);
    for (size_t i = 0; i < m; i++)
      if (!isnan(value[i])) return false;
  }
  return true;
}

/* ---- statistics ----------------------------------------------------------------------------- */

sky_tile_stats sky_tile_stats_merge(const sky_tile_stats *s, size_t n) {
  sky_tile_stats all = {0, INFINITY, -INFINITY, NAN, NAN};
  sky_acc sum = {0, 0}, ssd = {0, 0};
  for (size_t i = 0; i < n; i++) {
    if (s[i].n == 0) continue;
    all.n += s[i].n;
    if (s[i].min < all.min) all.min = s[i].min;
    if (s[i].max > all.max) all.max = s[i].max;
    sky_acc_add(&sum, (double)s[i].n * s[i].mean);
  }
  if (all.n == 0) return all;
  all.mean = sky_acc_value(&sum) / (double)all.n;
  for (size_t i = 0; i < n; i++) {
    if (s[i].n == 0) continue;
    const double d = s[i].mean - all.mean;
    sky_acc_add(&ssd, s[i].ssd);
    sky_acc_add(&ssd, (double)s[i].n * d * d);
  }
  all.ssd = sky_acc_value(&ssd);
  return all;
}

/* The lanes of v where there is a value, else 0. */
static inline d2 valid_or_zero(d2 v) {
  return (d2)((i2)v & (v == v));
}
static inline d2 lesser(d2 a, d2 b) { /* a where b is NaN */
  const i2 less = b < a;
  return (d2)(((i2)b & less) | ((i2)a & ~less));
}

/* One row, by two passes over values that stay in the cache, in four lanes: a fixed order. n is
 * rounded up to a multiple of 4 with NaN. */
static sky_tile_stats row_stats(double *v, size_t n) {
  const d2 zero = {0, 0}, all = {INFINITY, INFINITY};
  d2 sum[2] = {zero, zero}, ssd[2] = {zero, zero}, low[2] = {all, all}, high[2] = {all, all}, x;
  i2 count = {0, 0};
  while (n % 4 != 0)
    v[n++] = NAN;
  for (size_t i = 0; i < n; i += 4) {
    for (size_t k = 0; k < 2; k++) {
      memcpy(&x, v + i + 2 * k, sizeof x);
      count -= x == x; /* true is -1 */
      low[k] = lesser(low[k], x);
      high[k] = lesser(high[k], -x);
      sum[k] += valid_or_zero(x);
    }
  }
  const int64_t m = count[0] + count[1];
  if (m == 0) return (sky_tile_stats){0};
  const double mean = ((sum[0][0] + sum[0][1]) + (sum[1][0] + sum[1][1])) / (double)m;
  for (size_t i = 0; i < n; i += 4) {
    for (size_t k = 0; k < 2; k++) {
      memcpy(&x, v + i + 2 * k, sizeof x);
      const d2 d = valid_or_zero(x - mean);
      ssd[k] += d * d;
    }
  }
  const d2 least = lesser(low[0], low[1]), most = lesser(high[0], high[1]);
  return (sky_tile_stats){(uint64_t)m, fmin(least[0], least[1]), -fmin(most[0], most[1]), mean,
                          (ssd[0][0] + ssd[0][1]) + (ssd[1][0] + ssd[1][1])};
}

void sky_tile_describe(const sky_pixel_format *f, const void *pixel, size_t nx, size_t ny,
                       sky_tile_stats *out) {
  sky_tile_stats row[SKY_COG_TILE];
  double value[SKY_COG_TILE];
  for (size_t y = 0; y < ny; y++) {
    sky_pixel_load(f, (const char *)pixel + y * SKY_COG_TILE * types[f->type].bytes, nx, value);
    row[y] = row_stats(value, nx);
  }
  *out = sky_tile_stats_merge(row, ny);
}

/* ---- means and sums ------------------------------------------------------------------------- */

sky_status sky_tile_work_create(sky_context *ctx, bool classes, sky_tile_work *w) {
  const size_t cells = (size_t)HALF * HALF, pixels = 4 * cells;
  *w = (sky_tile_work){0};
  w->value = SKY_NEW(ctx, double, cells);
  bool ok = w->value != NULL;
  if (!classes) {
    w->sum = SKY_NEW(ctx, double, cells);
    w->count = SKY_NEW(ctx, uint32_t, cells);
    ok = ok && w->sum != NULL && w->count != NULL;
  }
  for (int i = 0; i < 2 && classes; i++) {
    w->code[i] = SKY_NEW(ctx, double, pixels);
    w->codes[i] = SKY_NEW(ctx, uint32_t, pixels);
    w->start[i] = SKY_NEW(ctx, uint32_t, cells + 1);
    ok = ok && w->code[i] != NULL && w->codes[i] != NULL && w->start[i] != NULL;
  }
  if (ok) return SKY_OK;
  sky_tile_work_free(w);
  return SKY_E_NOMEM;
}

void sky_tile_work_free(sky_tile_work *w) {
  sky_free(w->sum);
  sky_free(w->value);
  sky_free(w->count);
  for (int i = 0; i < 2; i++) {
    sky_free(w->code[i]);
    sky_free(w->codes[i]);
    sky_free(w->start[i]);
  }
  *w = (sky_tile_work){0};
}

/* Two rows of pixels as values; what lies beyond an odd edge is NaN. */
static void load_pair(const sky_pixel_format *f, const void *pixel, size_t nx, size_t ny, size_t y,
                      double a[SKY_COG_TILE], double b[SKY_COG_TILE]) {
  const size_t line = SKY_COG_TILE * types[f->type].bytes;
  sky_pixel_load(f, (const char *)pixel + y * line, nx, a);
  if (y + 1 < ny) sky_pixel_load(f, (const char *)pixel + (y + 1) * line, nx, b);
  for (size_t x = 0; y + 1 >= ny && x < nx; x++)
    b[x] = NAN;
  if (nx % 2 == 1) a[nx] = b[nx] = NAN;
}

static void first_sums(const sky_pixel_format *f, const void *pixel, size_t nx, size_t ny,
                       sky_tile_work *w) {
  double a[SKY_COG_TILE], b[SKY_COG_TILE];
  double *sum = w->sum;
  uint32_t *count = w->count;
  for (size_t y = 0; y < ny; y += 2) {
    load_pair(f, pixel, nx, ny, y, a, b);
    for (size_t x = 0; x < nx; x += 2) {
      const double p = a[x], q = a[x + 1], r = b[x], s = b[x + 1];
      *sum++ = ((p == p ? p : 0) + (q == q ? q : 0)) + ((r == r ? r : 0) + (s == s ? s : 0));
      *count++ = (uint32_t)((p == p) + (q == q) + (r == r) + (s == s));
    }
  }
}

/* In place: a cell is written after the cells below it were read. */
static void next_sums(size_t nx, size_t ny, sky_tile_work *w) {
  double *sum = w->sum;
  uint32_t *count = w->count;
  for (size_t y = 0; y < ny; y += 2) {
    for (size_t x = 0; x < nx; x += 2) {
      const size_t at = y * nx + x;
      const bool right = x + 1 < nx, below = y + 1 < ny;
      double s = w->sum[at] + (right ? w->sum[at + 1] : 0);
      uint32_t n = w->count[at] + (right ? w->count[at + 1] : 0);
      if (below) {
        s += w->sum[at + nx] + (right ? w->sum[at + nx + 1] : 0);
        n += w->count[at + nx] + (right ? w->count[at + nx + 1] : 0);
      }
      *sum++ = s;
      *count++ = n;
    }
  }
}

/* ---- most frequent class -------------------------------------------------------------------- */

typedef struct code_list { /* of a cell */
  const double *code;
  const uint32_t *count;
  size_t n;
} code_list;

/* Adds the lists of up to four cells, codes ascending; returns the number of entries. */
static size_t merge_codes(code_list *list, int n, double *code, uint32_t *count) {
  size_t m = 0;
  for (;;) {
    double next = INFINITY;
    for (int k = 0; k < n; k++)
      if (list[k].n > 0 && list[k].code[0] < next) next = list[k].code[0];
    if (next == (double)INFINITY) return m;
    uint32_t pixels = 0;
    for (int k = 0; k < n; k++) {
      if (list[k].n == 0 || list[k].code[0] != next) continue;
      pixels += *list[k].count++;
      list[k].code++;
      list[k].n--;
    }
    code[m] = next;
    count[m++] = pixels;
  }
}

static void first_codes(const sky_pixel_format *f, const void *pixel, size_t nx, size_t ny,
                        sky_tile_work *w) {
  static const uint32_t one = 1;
  double a[SKY_COG_TILE], b[SKY_COG_TILE];
  double *code = w->code[0];
  uint32_t *count = w->codes[0], *start = w->start[0], at = 0;
  for (size_t y = 0; y < ny; y += 2) {
    load_pair(f, pixel, nx, ny, y, a, b);
    for (size_t x = 0; x < nx; x += 2) {
      *start++ = at;
      if (a[x] == a[x + 1] && a[x] == b[x] && a[x] == b[x + 1]) {
        code[at] = a[x];
        count[at++] = 4;
        continue;
      }
      const double *const p[] = {&a[x], &a[x + 1], &b[x], &b[x + 1]};
      code_list list[4];
      for (int k = 0; k < 4; k++)
        list[k] = (code_list){p[k], &one, !isnan(*p[k])};
      at += (uint32_t)merge_codes(list, 4, code + at, count + at);
    }
  }
  *start = at;
}

/* The lists of set `from` -> the other set. */
static void next_codes(size_t nx, size_t ny, int from, sky_tile_work *w) {
  const double *code = w->code[from];
  const uint32_t *count = w->codes[from], *first = w->start[from];
  double *out = w->code[1 - from];
  uint32_t *n_out = w->codes[1 - from], *start = w->start[1 - from], at = 0;
  for (size_t y = 0; y < ny; y += 2) {
    for (size_t x = 0; x < nx; x += 2) {
      code_list list[4];
      int n = 0;
      for (size_t dy = 0; dy < 2 && y + dy < ny; dy++) {
        for (size_t dx = 0; dx < 2 && x + dx < nx; dx++) {
          const size_t cell = (y + dy) * nx + x + dx;
          list[n++] = (code_list){code + first[cell], count + first[cell],
                                  (size_t)(first[cell + 1] - first[cell])};
        }
      }
      *start++ = at;
      at += (uint32_t)merge_codes(list, n, out + at, n_out + at);
    }
  }
  *start = at;
}

static void most_frequent(size_t cells, int set, sky_tile_work *w) {
  for (size_t i = 0; i < cells; i++) {
    uint32_t best = 0;
    w->value[i] = NAN;
    for (uint32_t k = w->start[set][i]; k < w->start[set][i + 1]; k++) {
      if (w->codes[set][k] <= best) continue;
      best = w->codes[set][k];
      w->value[i] = w->code[set][k];
    }
  }
}

/* ---- all levels ----------------------------------------------------------------------------- */

sky_status sky_tile_reduce(sky_context *ctx, sky_field_kind kind, const sky_pixel_format *f,
                           const void *pixel, size_t nx, size_t ny, int levels, sky_tile_work *w,
                           sky_tile_emit emit, void *user) {
  int set = 0;
  for (int level = 1; level <= levels; level++) {
    if (kind == SKY_FIELD_CLASS) {
      if (level == 1) {
        first_codes(f, pixel, nx, ny, w);
      } else {
        next_codes(nx, ny, set, w);
        set = 1 - set;
      }
    } else if (level == 1) {
      first_sums(f, pixel, nx, ny, w);
    } else {
      next_sums(nx, ny, w);
    }
    nx = (nx + 1) / 2;
    ny = (ny + 1) / 2;
    if (kind == SKY_FIELD_CLASS) most_frequent(nx * ny, set, w);
    for (size_t i = 0; kind != SKY_FIELD_CLASS && i < nx * ny; i++) {
      const double n = kind == SKY_FIELD_INTENSIVE ? (double)w->count[i] : 1;
      w->value[i] = w->count[i] == 0 ? (double)NAN : w->sum[i] / n;
    }
    SKY_TRY(emit(ctx, user, level, w->value, nx, ny));
  }
  return SKY_OK;
}
