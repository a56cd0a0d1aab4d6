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

const uint32_t *sky_class_ids_cells(const sky_class_ids *c) {
  return c->id;
}
size_t sky_class_ids_count(const sky_class_ids *c) {
  return c->count;
}
const int32_t *sky_class_ids_codes(const sky_class_ids *c) {
  return c->code;
}
