/* class_table.c: a dense table [cells][classes]; codes are numbered as they come.
 *
 * Small codes find their number in an array, others in a hash table with open addressing. Areas are
 * whole numbers, so that neither the order of classes nor that of the additions shows. */
#include "src/engine/class_table.h"

#include <string.h>

#include "src/core/memory.h"
#include "src/engine/raster_source.h"

#define SMALL 4096

typedef struct slot {
  int32_t code;
  uint32_t id; /* 0: free */
} slot;

struct sky_class_table {
  size_t n, room;        /* classes; number 0 is nodata */
  int32_t *code;         /* [room] */
  uint32_t small[SMALL]; /* number of a small code, 0: none yet */
  size_t slots;          /* a power of two */
  slot *slot;
  size_t cells, cell_room;
  uint64_t *area; /* [cells*room] */
};

void sky_class_table_free(sky_class_table *t) {
  if (t == NULL) return;
  sky_free(t->code);
  sky_free(t->slot);
  sky_free(t->area);
  sky_free(t);
}

sky_status sky_class_table_create(sky_context *ctx, sky_class_table **out) {
  sky_status st = SKY_OK;
  sky_class_table *t;
  SKY_GO_ALLOC(t, SKY_NEW0(ctx, sky_class_table, 1));
  t->room = 16;
  t->slots = 64;
  t->n = 1;
  SKY_GO_ALLOC(t->code, SKY_NEW0(ctx, int32_t, t->room));
  SKY_GO_ALLOC(t->slot, SKY_NEW0(ctx, slot, t->slots));
  t->code[0] = SKY_PIXEL_NODATA;
  *out = t;
  return SKY_OK;
cleanup:
  sky_class_table_free(t);
  return st;
}

sky_status sky_class_table_start(sky_context *ctx, sky_class_table *t, size_t cells) {
  if (cells > t->cell_room) {
    sky_free(t->area);
    t->cell_room = 0;
    t->area = SKY_NEW(ctx, uint64_t, cells * t->room);
    if (t->area == NULL) return SKY_E_NOMEM;
    t->cell_room = cells;
  }
  t->cells = cells;
  memset(t->area, 0, cells * t->room * sizeof *t->area);
  return SKY_OK;
}

static slot *find_slot(slot *slots, size_t n, int32_t code) {
  size_t i = (uint32_t)code * 2654435769u & (n - 1);
  while (slots[i].id != 0 && slots[i].code != code)
    i = (i + 1) & (n - 1);
  return &slots[i];
}

static sky_status grow_slots(sky_context *ctx, sky_class_table *t) {
  slot *grown = SKY_NEW0(ctx, slot, 2 * t->slots);
  if (grown == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < t->slots; i++)
    if (t->slot[i].id != 0) *find_slot(grown, 2 * t->slots, t->slot[i].code) = t->slot[i];
  sky_free(t->slot);
  t->slot = grown;
  t->slots *= 2;
  return SKY_OK;
}

/* Rows of the table become twice as long. */
static sky_status grow_table(sky_context *ctx, sky_class_table *t) {
  const size_t room = 2 * t->room;
  int32_t *code = sky_realloc(ctx, t->code, t->n, room, sizeof *code);
  if (code == NULL) return SKY_E_NOMEM;
  t->code = code;
  uint64_t *area = SKY_NEW0(ctx, uint64_t, t->cell_room * room);
  if (area == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < t->cells; i++)
    memcpy(area + i * room, t->area + i * t->room, t->n * sizeof *area);
  sky_free(t->area);
  t->area = area;
  t->room = room;
  return SKY_OK;
}

static sky_status number_of(sky_context *ctx, sky_class_table *t, int32_t code, uint32_t *id) {
  const bool is_small = code >= 0 && code < SMALL;
  if (code == SKY_PIXEL_NODATA) {
    *id = 0;
    return SKY_OK;
  }
  *id = is_small ? t->small[code] : find_slot(t->slot, t->slots, code)->id;
  if (*id != 0) return SKY_OK;
  if (t->n == t->room) SKY_TRY(grow_table(ctx, t));
  if (2 * t->n > t->slots) SKY_TRY(grow_slots(ctx, t));
  *id = (uint32_t)t->n++;
  t->code[*id] = code;
  if (is_small)
    t->small[code] = *id;
  else
    *find_slot(t->slot, t->slots, code) = (slot){code, *id};
  return SKY_OK;
}

sky_status sky_class_table_add(sky_context *ctx, sky_class_table *t, size_t cell, int32_t code,
                               uint64_t area) {
  uint32_t id;
  SKY_TRY(number_of(ctx, t, code, &id));
  t->area[cell * t->room + id] += area;
  return SKY_OK;
}

int32_t sky_class_table_largest(const sky_class_table *t, size_t cell, double *share) {
  const uint64_t *area = t->area + cell * t->room;
  uint64_t all = 0, most = 0;
  int32_t code = SKY_PIXEL_NODATA;
  for (size_t i = 1; i < t->n; i++) {
    all += area[i];
    if (area[i] < most || area[i] == 0 || (area[i] == most && t->code[i] > code)) continue;
    most = area[i];
    code = t->code[i];
  }
  *share = all > 0 ? (double)all / ((double)all + (double)area[0]) : 0;
  return code;
}
