/* zonal_part.c: parts of zonal statistics, in memory and as bytes. */
#include "src/engine/zonal_part.h"

#include <string.h>

#include "src/core/memory.h"

void sky_zonal_part_free(void *p) {
  sky_zonal_part *q = p;
  if (q == NULL) return;
  for (size_t i = 0; i < q->n_value && q->list != NULL; i++)
    sky_quantile_list_free(&q->list[i]);
  sky_free(q->list);
  sky_free(q->entry);
  sky_free(q->value);
  sky_free(q->size);
  sky_free(q->id);
  sky_free(q->code);
  sky_free(q);
}

size_t sky_zonal_part_size(const void *from) {
  const sky_zonal_part *p = from;
  size_t bytes = sizeof *p + p->capacity * sizeof *p->entry + p->n_code * sizeof *p->code +
                 p->value_capacity * (sizeof *p->value + sizeof *p->list) +
                 p->size_capacity * (sizeof *p->size + sizeof *p->id);
  for (size_t i = 0; i < p->n_value && p->list != NULL; i++)
    bytes += p->list[i].capacity * (sizeof *p->list->key + sizeof *p->list->weight);
  return bytes;
}

sky_status sky_zonal_part_need_values(sky_context *ctx, sky_zonal_part *p, size_t more,
                                      bool quantiles) {
  if (p->n_value + more <= p->value_capacity) return SKY_OK;
  const size_t grown = 2 * p->value_capacity + 4 * more;
  sky_zonal_values *v = sky_realloc(ctx, p->value, p->n_value, grown, sizeof *v);
  if (v == NULL) return SKY_E_NOMEM;
  p->value = v;
  if (quantiles) {
    sky_quantile_list *l = sky_realloc(ctx, p->list, p->n_value, grown, sizeof *l);
    if (l == NULL) return SKY_E_NOMEM;
    p->list = l;
  }
  p->value_capacity = grown;
  return SKY_OK;
}

sky_status sky_zonal_part_need_sizes(sky_context *ctx, sky_zonal_part *p, size_t more) {
  if (p->n_size + more <= p->size_capacity) return SKY_OK;
  const size_t grown = 2 * p->size_capacity + 2 * more;
  sky_zonal_size *s = sky_realloc(ctx, p->size, p->n_size, grown, sizeof *s);
  if (s == NULL) return SKY_E_NOMEM;
  p->size = s;
  uint32_t *id = sky_realloc(ctx, p->id, p->n_size, grown, sizeof *id);
  if (id == NULL) return SKY_E_NOMEM;
  p->id = id;
  p->size_capacity = grown;
  return SKY_OK;
}

sky_status sky_zonal_part_need_entry(sky_context *ctx, sky_zonal_part *p) {
  if (p->n < p->capacity) return SKY_OK;
  const size_t grown = 2 * p->capacity + 8;
  sky_zonal_entry *e = sky_realloc(ctx, p->entry, p->n, grown, sizeof *e);
  if (e == NULL) return SKY_E_NOMEM;
  p->entry = e;
  p->capacity = grown;
  return SKY_OK;
}

/* ---- as bytes ------------------------------------------------------------------------------- */

/* Counts, then the arrays; all of 8 or 4 bytes an item and without gaps between the items. */
typedef struct packed {
  uint64_t n, n_value, n_size, n_code, lists;
} packed;

typedef struct packed_entry {
  uint64_t zone, unread, first, n;
  sky_zonal_size inside;
} packed_entry;

static void put(sky_text *to, const void *data, size_t n, size_t size) {
  if (n > 0) sky_text_add(to, data, n * size);
}

sky_status sky_zonal_part_pack(const sky_zonal_part *p, sky_text *to) {
  const packed counts = {p->n, p->n_value, p->n_size, p->n_code, p->list != NULL};
  put(to, &counts, 1, sizeof counts);
  for (size_t i = 0; i < p->n; i++) {
    const sky_zonal_entry *e = &p->entry[i];
    const packed_entry q = {e->zone, e->unread, e->first, e->n, e->inside};
    put(to, &q, 1, sizeof q);
  }
  put(to, p->value, p->n_value, sizeof *p->value);
  put(to, p->size, p->n_size, sizeof *p->size);
  for (size_t i = 0; i < p->n_value && p->list != NULL; i++) {
    const sky_quantile_list *l = &p->list[i];
    const uint64_t n = l->n;
    put(to, &n, 1, sizeof n);
    put(to, l->key, l->n, sizeof *l->key);
    put(to, l->weight, l->n, sizeof *l->weight);
  }
  put(to, p->id, p->n_size, sizeof *p->id);
  put(to, p->code, p->n_code, sizeof *p->code);
  return to->failed ? SKY_E_NOMEM : SKY_OK;
}

typedef struct unpacking {
  sky_context *ctx;
  const char *at;
  size_t left;
} unpacking;

/* The next n items. */
static sky_status copy(unpacking *b, void *to, size_t n, size_t size) {
  if (n > b->left / size) {
    sky_fail(b->ctx, SKY_E_READ, "the part of a block is shorter than it says");
    return SKY_E_READ;
  }
  if (n > 0) memcpy(to, b->at, n * size);
  b->at += n * size;
  b->left -= n * size;
  return SKY_OK;
}

/* The same, in memory of their own. */
#define GET(b, out, count)                                                     \
  do {                                                                         \
    if ((count) > (b)->left)                                                   \
      return sky_fail((b)->ctx, SKY_E_READ, "the part of a block is cut off"); \
    (out) = sky_malloc((b)->ctx, (count), sizeof *(out));                      \
    if ((out) == NULL) return SKY_E_NOMEM;                                     \
    SKY_TRY(copy((b), (out), (count), sizeof *(out)));                         \
  } while (0)

static sky_status get_lists(unpacking *b, sky_zonal_part *p) {
  p->list = SKY_NEW0(b->ctx, sky_quantile_list, p->n_value);
  if (p->list == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n_value; i++) {
    sky_quantile_list *l = &p->list[i];
    uint64_t n;
    SKY_TRY(copy(b, &n, 1, sizeof n));
    l->n = l->capacity = (size_t)n;
    GET(b, l->key, l->n);
    GET(b, l->weight, l->n);
  }
  return SKY_OK;
}

static sky_status get_part(unpacking *b, size_t zones, sky_zonal_part *p) {
  packed c;
  SKY_TRY(copy(b, &c, 1, sizeof c));
  p->entry = SKY_NEW(b->ctx, sky_zonal_entry, (size_t)c.n);
  if (p->entry == NULL) return SKY_E_NOMEM;
  for (; p->n < c.n; p->n++) {
    packed_entry e;
    SKY_TRY(copy(b, &e, 1, sizeof e));
    p->entry[p->n] =
        (sky_zonal_entry){(size_t)e.zone, e.unread != 0, e.inside, (size_t)e.first, (size_t)e.n};
    if (e.zone >= zones)
      return sky_fail(b->ctx, SKY_E_READ, "the part of a block names zone %llu of %zu",
                      (unsigned long long)e.zone, zones);
  }
  p->n_value = (size_t)c.n_value;
  p->n_size = (size_t)c.n_size;
  p->n_code = (size_t)c.n_code;
  GET(b, p->value, p->n_value);
  GET(b, p->size, p->n_size);
  if (c.lists) SKY_TRY(get_lists(b, p));
  GET(b, p->id, p->n_size);
  GET(b, p->code, p->n_code);
  return SKY_OK;
}

sky_status sky_zonal_part_unpack(sky_context *ctx, const char *bytes, size_t n, size_t zones,
                                 sky_zonal_part **out) {
  sky_zonal_part *p = SKY_NEW0(ctx, sky_zonal_part, 1);
  if (p == NULL) return SKY_E_NOMEM;
  const sky_status st = get_part(&(unpacking){ctx, bytes, n}, zones, p);
  if (st == SKY_OK)
    *out = p;
  else
    sky_zonal_part_free(p);
  return st;
}
