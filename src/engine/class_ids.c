/* class_ids.c: dense numbers for combinations of classes.
 *
 * Classes of one raster are looked up in a table of the codes of 16 bits; rarer codes, and pairs of
 * (number so far, number in the next raster) that a table cannot hold, in a hash. Numbers are given
 * in the order of the cells, so they depend on the block alone. */
#include "src/engine/class_ids.h"

#include <string.h>

#include "src/core/memory.h"

#define CELLS (SKY_BAND * SKY_BAND)
#define NONE UINT32_MAX
#define SIGN 0x80000000u /* of NONE, but of no id */
#define NODATA SKY_PIXEL_NODATA
#define LOWEST (-32768) /* codes of the table: int16 and uint16 */
#define TABLE 98304
#define PAIRS 65536  /* table of pairs */
#define SLOTS 262144 /* of the hash, a power of two above 2 CELLS */

typedef struct slot {
  uint64_t key;
  uint32_t id;
} slot;

struct sky_class_ids {
  size_t rasters;
  uint32_t *table; /* [TABLE+1] id of a code, NONE between blocks; 0 behind the last */
  uint32_t *pair;  /* [PAIRS] */
  slot *hash;      /* [SLOTS] id NONE: empty */
  uint32_t *used;  /* [CELLS] slots to be emptied */
  size_t n_used;
  uint32_t *id, *one; /* [CELLS] of the combination, of one raster */
  size_t count, n_one;
  int32_t *code, *next; /* [(CELLS+1)*rasters] */
  int32_t *one_code;    /* [CELLS+1] */
};

typedef uint64_t u2 __attribute__((vector_size(16)));

size_t sky_class_ids_bytes(size_t rasters) {
  return (TABLE + PAIRS) * sizeof(uint32_t) + SLOTS * sizeof(slot) + 3 * CELLS * sizeof(uint32_t) +
         (CELLS + 1) * (2 * rasters + 1) * sizeof(int32_t);
}

void sky_class_ids_free(sky_class_ids *c) {
  if (c == NULL) return;
  sky_free(c->table);
  sky_free(c->pair);
  sky_free(c->hash);
  sky_free(c->used);
  sky_free(c->id);
  sky_free(c->one);
  sky_free(c->code);
  sky_free(c->next);
  sky_free(c->one_code);
  sky_free(c);
}

sky_status sky_class_ids_create(sky_context *ctx, size_t rasters, sky_class_ids **out) {
  sky_status st = SKY_OK;
  sky_class_ids *c;
  SKY_GO_ALLOC(c, SKY_NEW0(ctx, sky_class_ids, 1));
  c->rasters = rasters;
  SKY_GO_ALLOC(c->table, SKY_NEW(ctx, uint32_t, TABLE + 1));
  SKY_GO_ALLOC(c->pair, SKY_NEW(ctx, uint32_t, PAIRS));
  SKY_GO_ALLOC(c->hash, SKY_NEW(ctx, slot, SLOTS));
  SKY_GO_ALLOC(c->used, SKY_NEW(ctx, uint32_t, CELLS));
  SKY_GO_ALLOC(c->id, SKY_NEW(ctx, uint32_t, CELLS));
  SKY_GO_ALLOC(c->one, SKY_NEW(ctx, uint32_t, CELLS));
  SKY_GO_ALLOC(c->code, SKY_NEW(ctx, int32_t, (CELLS + 1) * rasters));
  SKY_GO_ALLOC(c->next, SKY_NEW(ctx, int32_t, (CELLS + 1) * rasters));
  SKY_GO_ALLOC(c->one_code, SKY_NEW(ctx, int32_t, CELLS + 1));
  memset(c->table, 0xff, TABLE * sizeof *c->table);
  c->table[TABLE] = 0;
  memset(c->hash, 0xff, SLOTS * sizeof *c->hash);
  *out = c;
  return SKY_OK;
cleanup:
  sky_class_ids_free(c);
  return st;
}

/* The slot of a key, its id NONE if it is new. */
static uint32_t *hash_find(sky_class_ids *c, uint64_t key) {
  size_t at = (size_t)((key * 0x9e3779b97f4a7c15u) >> 46) & (SLOTS - 1);
  while (c->hash[at].id != NONE && c->hash[at].key != key)
    at = (at + 1) & (SLOTS - 1);
  if (c->hash[at].id == NONE) {
    c->hash[at].key = key;
    c->used[c->n_used++] = (uint32_t)at;
  }
  return &c->hash[at].id;
}

static void hash_clear(sky_class_ids *c) {
  for (size_t i = 0; i < c->n_used; i++)
    c->hash[c->used[i]].id = NONE;
  c->n_used = 0;
}

/* A line whose classes all have numbers already: without a branch, as nearly all lines are so. The
 * entry behind the table is that of nodata. */
static bool number_known(const sky_class_ids *c, const int32_t *in, size_t n, uint32_t *out) {
  uint32_t other = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t at = (uint32_t)in[i] - (uint32_t)LOWEST;
    const uint32_t id = c->table[at < TABLE ? at : TABLE];
    other |= (uint32_t)(id == NONE) | ((uint32_t)(at >= TABLE) & (uint32_t)(in[i] != NODATA));
    out[i] = id;
  }
  return other == 0;
}

/* Numbers of one raster's classes: ids into `to`, codes into one_code. */
static void number_one(sky_class_ids *c, const int32_t *code, size_t nx, size_t ny, uint32_t *to) {
  uint32_t n = 1;
  for (size_t r = 0; r < ny; r++) {
    const int32_t *in = code + r * SKY_BAND;
    uint32_t *out = to + r * SKY_BAND;
    if (number_known(c, in, nx, out)) continue;
    for (size_t i = 0; i < nx; i++) {
      const uint32_t at = (uint32_t)in[i] - (uint32_t)LOWEST;
      if (in[i] == NODATA) {
        out[i] = 0;
        continue;
      }
      uint32_t *id = at < TABLE ? &c->table[at] : hash_find(c, (uint32_t)in[i]);
      if (*id == NONE) {
        *id = n;
        c->one_code[n++] = in[i];
      }
      out[i] = *id;
    }
  }
  for (size_t k = 1; k < n; k++) {
    const uint32_t at = (uint32_t)c->one_code[k] - (uint32_t)LOWEST;
    if (at < TABLE) c->table[at] = NONE;
  }
  hash_clear(c);
  c->n_one = n;
}

static uint32_t add_combination(sky_class_ids *c, size_t k, uint32_t a, uint32_t b, uint32_t id) {
  int32_t *to = c->next + id * c->rasters;
  memcpy(to, c->code + a * c->rasters, k * sizeof *to);
  to[k] = c->one_code[b];
  return id;
}

/* Combine the ids so far with those of raster k. */
static void combine(sky_class_ids *c, size_t k, size_t nx, size_t ny) {
  const bool table = c->count * c->n_one <= PAIRS;
  uint32_t n = 1;
  if (table) memset(c->pair, 0xff, c->count * c->n_one * sizeof *c->pair);
  for (size_t r = 0; r < ny; r++) {
    for (size_t i = r * SKY_BAND; i < r * SKY_BAND + nx; i++) {
      const uint32_t a = c->id[i], b = c->one[i];
      if (a == 0 || b == 0) {
        c->id[i] = 0;
        continue;
      }
      uint32_t *id = table ? &c->pair[a * c->n_one + b] : hash_find(c, (uint64_t)a << 32 | b);
      if (*id == NONE) *id = add_combination(c, k, a, b, n++);
      c->id[i] = *id;
    }
  }
  hash_clear(c);
  int32_t *swap = c->code;
  c->code = c->next;
  c->next = swap;
  c->count = n;
}

void sky_class_ids_find(sky_class_ids *c, const void *const *pixel, size_t nx, size_t ny) {
  number_one(c, pixel[0], nx, ny, c->id);
  c->count = c->n_one;
  for (size_t i = 1; i < c->count; i++)
    c->code[i * c->rasters] = c->one_code[i];
  for (size_t k = 1; k < c->rasters; k++) {
    number_one(c, pixel[k], nx, ny, c->one);
    combine(c, k, nx, ny);
  }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

/* One code, or two as code0 + 256 code1, is looked up in the table of pairs while it is counted: no
 * ids of cells are written and read again. */

void sky_class_ids_begin(sky_class_ids *c) {
  if (c->n_used == 0) memset(c->pair, 0xff, PAIRS * sizeof *c->pair);
  for (size_t i = 0; i < c->n_used; i++)
    c->pair[c->used[i]] = NONE;
  c->n_used = 0;
  c->count = 1;
}

static uint32_t new_bytes(sky_class_ids *c, const sky_byte_rows *rows, uint32_t at) {
  const int code[2] = {(int)(at & 255), (int)(at >> 8)};
  bool masked = false;
  for (size_t k = 0; k < c->rasters; k++)
    masked |= code[k] == rows[k].nodata;
  c->used[c->n_used++] = at;
  if (masked) return c->pair[at] = 0;
  for (size_t k = 0; k < c->rasters; k++)
    c->code[c->count * c->rasters + k] = code[k];
  return c->pair[at] = (uint32_t)c->count++;
}

/* Pixels of up to two rasters in a row, counted in four copies of each counter, as
 * sky_zonal_class_block has them: four pixels at a time, as neighbours mostly are of one class. */
typedef struct byte_row {
  const uint8_t *first, *second; /* second NULL: one raster */
  const uint64_t *fixed;         /* areas, see by_row */
} byte_row;

static inline uint32_t key_at(const byte_row *r, bool two, size_t x) {
  return two ? r->first[x] | (uint32_t)r->second[x] << 8 : r->first[x];
}

static uint32_t id_of(sky_class_ids *c, const sky_byte_rows *rows, uint32_t at) {
  const uint32_t id = c->pair[at];
  return id != NONE ? id : new_bytes(c, rows, at);
}

static inline void count_span(sky_class_ids *c, const sky_byte_rows *rows, const byte_row *row,
                              bool two, bool by_row, size_t x0, size_t x1, u2 *counter) {
  const uint32_t *table = c->pair;
  const byte_row r = *row;
  const u2 one = {1, r.fixed[0]};
  size_t x = x0;
  for (; x + 4 <= x1; x += 4) {
    uint32_t id[4];
    for (size_t i = 0; i < 4; i++)
      id[i] = table[key_at(&r, two, x + i)];
    if (((id[0] | id[1] | id[2] | id[3]) & SIGN) != 0)
      for (size_t i = 0; i < 4; i++)
        id[i] = id_of(c, rows, key_at(&r, two, x + i));
    for (size_t i = 0; i < 4; i++)
      counter[4 * (size_t)id[i] + i] += by_row ? one : (u2){1, r.fixed[x + i]};
  }
  for (; x < x1; x++)
    counter[4 * (size_t)id_of(c, rows, key_at(&r, two, x))] += by_row ? one : (u2){1, r.fixed[x]};
}

void sky_class_ids_count_bytes(sky_class_ids *c, const sky_byte_rows *rows,
                               const sky_zonal_block *b, const sky_cover_part *cover,
                               uint64_t *scratch, sky_zonal_size *size) {
  u2 *counter = (u2 *)(void *)scratch; /* [ids][4] of count, area */
  const bool two = c->rasters > 1;
  for (size_t k = 0; k < cover->n_span; k++) {
    const sky_span *s = &cover->span[k];
    const ptrdiff_t y = s->row;
    const byte_row row = {.first = rows[0].first + y * rows[0].stride,
                          .second = two ? rows[1].first + y * rows[1].stride : NULL,
                          .fixed = b->fixed + s->row * SKY_BAND};
    if (two && b->by_row)
      count_span(c, rows, &row, true, true, s->x0, s->x1, counter);
    else if (two)
      count_span(c, rows, &row, true, false, s->x0, s->x1, counter);
    else if (b->by_row)
      count_span(c, rows, &row, false, true, s->x0, s->x1, counter);
    else
      count_span(c, rows, &row, false, false, s->x0, s->x1, counter);
  }
  for (size_t k = 0; k < cover->n_edge; k++) { /* numbered before the sizes are set */
    const sky_edge_cell *e = &cover->edge[k];
    uint32_t at = rows[0].first[(ptrdiff_t)e->row * rows[0].stride + e->x];
    if (two) at |= (uint32_t)rows[1].first[(ptrdiff_t)e->row * rows[1].stride + e->x] << 8;
    c->id[k] = id_of(c, rows, at);
  }
  for (size_t i = 0; i < c->count; i++) {
    u2 *lane = counter + 4 * i;
    const u2 all = lane[0] + lane[1] + lane[2] + lane[3];
    size[i] = (sky_zonal_size){(double)all[0], (double)all[1] * b->unit};
    lane[0] = lane[1] = lane[2] = lane[3] = (u2){0, 0};
  }
  for (size_t k = 0; k < cover->n_edge; k++) {
    const sky_edge_cell *e = &cover->edge[k];
    sky_zonal_size *to = &size[c->id[k]];
    to->cells += e->fraction;
    to->area += e->fraction * b->area[e->row * SKY_BAND + (b->by_row ? 0 : e->x)];
  }
}

const uint32_t *sky_class_ids_cells(const sky_class_ids *c) {
  return c->id;
}
size_t sky_class_ids_count(const sky_class_ids *c) {
  return c->count;
}
const int32_t *sky_class_ids_codes(const sky_class_ids *c) {
  return c->code;
}
