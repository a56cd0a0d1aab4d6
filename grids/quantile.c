/* quantile.c: weighted quantiles from sorted lists of distinct values.
 *
 * The bits of a double, all inverted if it is negative and the sign bit inverted else, order as
 * whole numbers as the doubles do. A key without its last d bits stands for an interval of the
 * relative width 2^(d-52) (of normal numbers), of which the middle is taken. */
#include "grids/quantile.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

#define SIGN ((uint64_t)1 << 63)
#define DIGIT 11 /* bits of a pass of the radix sort */
#define BINS ((size_t)1 << DIGIT)
#define DROP_MAX 48
#define PENDING_MIN 4096

static uint64_t key_of(double v) {
  uint64_t bits;
  v += 0; /* -0 is 0 */
  memcpy(&bits, &v, sizeof bits);
  return bits & SIGN ? ~bits : bits | SIGN;
}

static double value_of(uint64_t key) {
  const uint64_t bits = key & SIGN ? key & ~SIGN : ~key;
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

void sky_quantile_list_free(sky_quantile_list *l) {
  if (l == NULL) return;
  sky_free(l->key);
  sky_free(l->weight);
  memset(l, 0, sizeof *l);
}

void sky_quantile_scratch_free(sky_quantile_scratch *s) {
  if (s == NULL) return;
  for (int i = 0; i < 2; i++) {
    sky_free(s->key[i]);
    sky_free(s->weight[i]);
  }
  memset(s, 0, sizeof *s);
}

/* ---- one block ------------------------------------------------------------------------------ */

static sky_status reserve_scratch(sky_context *ctx, sky_quantile_scratch *s, size_t n) {
  if (n <= s->capacity) return SKY_OK;
  sky_quantile_scratch_free(s);
  for (int i = 0; i < 2; i++) {
    s->key[i] = SKY_NEW(ctx, uint64_t, n);
    s->weight[i] = SKY_NEW(ctx, double, n);
    if (s->key[i] == NULL || s->weight[i] == NULL) return SKY_E_NOMEM;
  }
  s->capacity = n;
  return SKY_OK;
}

/* Radix sort, stable; digits that all keys share cost nothing. Returns the buffer that holds the
 * result. */
static int sort_keys(sky_quantile_scratch *s, size_t n) {
  int from = 0;
  for (int shift = 0; shift < 64; shift += DIGIT) {
    size_t count[BINS] = {0};
    for (size_t i = 0; i < n; i++)
      count[(s->key[from][i] >> shift) & (BINS - 1)]++;
    if (n == 0 || count[(s->key[from][0] >> shift) & (BINS - 1)] == n) continue;
    for (size_t b = 0, sum = 0; b < BINS; b++) {
      const size_t c = count[b];
      count[b] = sum;
      sum += c;
    }
    for (size_t i = 0; i < n; i++) {
      const size_t to = count[(s->key[from][i] >> shift) & (BINS - 1)]++;
      s->key[1 - from][to] = s->key[from][i];
      s->weight[1 - from][to] = s->weight[from][i];
    }
    from = 1 - from;
  }
  return from;
}

/* Equal neighbours become one; returns how many are left. */
static size_t join_equal(uint64_t *key, double *weight, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    if (kept > 0 && key[kept - 1] == key[i]) {
      weight[kept - 1] += weight[i];
    } else {
      key[kept] = key[i];
      weight[kept++] = weight[i];
    }
  }
  return kept;
}

sky_status sky_quantile_block(sky_context *ctx, const sky_zonal_block *b, const sky_cover_part *c,
                              const double *value, sky_zonal_weight weight,
                              sky_quantile_scratch *scratch, sky_quantile_list *out) {
  size_t most = c->n_edge, n = 0;
  for (size_t k = 0; k < c->n_span; k++)
    most += c->span[k].x1 - c->span[k].x0;
  SKY_TRY(reserve_scratch(ctx, scratch, most));
  const bool by_area = weight == SKY_WEIGHT_AREA;
  for (size_t k = 0; k < c->n_span; k++) {
    const sky_span *s = &c->span[k];
    const double *v = value + s->row * SKY_BAND, *a = b->area + s->row * SKY_BAND;
    for (size_t x = s->x0; x < s->x1; x++) {
      if (isnan(v[x])) continue;
      scratch->key[0][n] = key_of(v[x]);
      scratch->weight[0][n++] = by_area ? a[b->by_row ? 0 : x] : 1;
    }
  }
  for (size_t k = 0; k < c->n_edge; k++) {
    const sky_edge_cell *e = &c->edge[k];
    const double v = value[e->row * SKY_BAND + e->x];
    if (isnan(v)) continue;
    const double a = by_area ? b->area[e->row * SKY_BAND + (b->by_row ? 0 : e->x)] : 1;
    scratch->key[0][n] = key_of(v);
    scratch->weight[0][n++] = e->fraction * a;
  }
  const int at = sort_keys(scratch, n);
  n = join_equal(scratch->key[at], scratch->weight[at], n);
  *out = (sky_quantile_list){.n = n, .capacity = n};
  out->key = SKY_NEW(ctx, uint64_t, n);
  out->weight = SKY_NEW(ctx, double, n);
  if (out->key == NULL || out->weight == NULL) {
    sky_quantile_list_free(out);
    return SKY_E_NOMEM;
  }
  memcpy(out->key, scratch->key[at], n * sizeof *out->key);
  memcpy(out->weight, scratch->weight[at], n * sizeof *out->weight);
  return SKY_OK;
}

/* ---- all zones ------------------------------------------------------------------------------ */

typedef struct distribution { /* `base` is sorted; `pending` is lists behind each other */
  sky_quantile_list base, pending;
} distribution;

struct sky_quantiles {
  size_t n, most, kept; /* kept: values of all distributions */
  int drop;             /* bits of the keys that are left out */
  distribution *zone;
  sky_quantile_scratch scratch;
};

void sky_quantiles_free(sky_quantiles *q) {
  if (q == NULL) return;
  for (size_t i = 0; i < q->n && q->zone != NULL; i++) {
    sky_quantile_list_free(&q->zone[i].base);
    sky_quantile_list_free(&q->zone[i].pending);
  }
  sky_free(q->zone);
  sky_quantile_scratch_free(&q->scratch);
  sky_free(q);
}

sky_status sky_quantiles_create(sky_context *ctx, size_t n, size_t most, sky_quantiles **out) {
  sky_quantiles *q = SKY_NEW0(ctx, sky_quantiles, 1);
  if (q == NULL) return SKY_E_NOMEM;
  q->n = n;
  q->most = most;
  q->zone = SKY_NEW0(ctx, distribution, n);
  if (q->zone == NULL) {
    sky_quantiles_free(q);
    return SKY_E_NOMEM;
  }
  *out = q;
  return SKY_OK;
}

static sky_status append(sky_context *ctx, sky_quantile_list *to, const uint64_t *key,
                         const double *weight, size_t n) {
  if (n == 0) return SKY_OK;
  if (to->n + n > to->capacity) {
    const size_t grown = 2 * to->capacity + n;
    uint64_t *k = sky_realloc(ctx, to->key, to->n, grown, sizeof *k);
    if (k == NULL) return SKY_E_NOMEM;
    to->key = k;
    double *w = sky_realloc(ctx, to->weight, to->n, grown, sizeof *w);
    if (w == NULL) return SKY_E_NOMEM;
    to->weight = w;
    to->capacity = grown;
  }
  memcpy(to->key + to->n, key, n * sizeof *key);
  memcpy(to->weight + to->n, weight, n * sizeof *weight);
  to->n += n;
  return SKY_OK;
}

/* Base and pending become one sorted base with keys of the present precision. */
static sky_status settle(sky_context *ctx, sky_quantiles *q, distribution *d) {
  const size_t n = d->base.n + d->pending.n, before = n;
  sky_quantile_scratch *s = &q->scratch;
  SKY_TRY(reserve_scratch(ctx, s, n));
  size_t i = 0;
  for (int part = 0; part < 2; part++) {
    const sky_quantile_list *l = part == 0 ? &d->base : &d->pending;
    for (size_t k = 0; k < l->n; k++, i++) {
      s->key[0][i] = l->key[k] >> q->drop << q->drop;
      s->weight[0][i] = l->weight[k];
    }
  }
  const int at = sort_keys(s, n);
  const size_t kept = join_equal(s->key[at], s->weight[at], n);
  d->base.n = d->pending.n = 0;
  SKY_TRY(append(ctx, &d->base, s->key[at], s->weight[at], kept));
  q->kept -= before - kept;
  return SKY_OK;
}

static sky_status settle_all(sky_context *ctx, sky_quantiles *q) {
  for (size_t i = 0; i < q->n; i++) {
    SKY_TRY(settle(ctx, q, &q->zone[i]));
    sky_quantile_list_free(&q->zone[i].pending); /* its room is needed elsewhere */
  }
  return SKY_OK;
}

sky_status sky_quantiles_add(sky_context *ctx, sky_quantiles *q, size_t which,
                             const sky_quantile_list *l) {
  distribution *d = &q->zone[which];
  SKY_TRY(append(ctx, &d->pending, l->key, l->weight, l->n));
  q->kept += l->n;
  if (d->pending.n > d->base.n + PENDING_MIN) SKY_TRY(settle(ctx, q, d));
  if (q->kept <= q->most) return SKY_OK;
  SKY_TRY(settle_all(ctx, q));
  while (q->kept > q->most / 2 && q->drop < DROP_MAX) { /* room for some time */
    q->drop += q->drop == 0 ? 29 : 1;                   /* floats of 32 bits have 29 zeros there */
    SKY_TRY(settle_all(ctx, q));
  }
  return SKY_OK;
}

sky_status sky_quantiles_get(sky_context *ctx, sky_quantiles *q, size_t which, double share,
                             double *value) {
  distribution *d = &q->zone[which];
  SKY_TRY(settle(ctx, q, d));
  sky_acc all = {0, 0}, sum = {0, 0};
  for (size_t k = 0; k < d->base.n; k++)
    sky_acc_add(&all, d->base.weight[k]);
  *value = NAN;
  const double want = share * sky_acc_value(&all);
  for (size_t k = 0; k < d->base.n; k++) {
    sky_acc_add(&sum, d->base.weight[k]);
    const uint64_t key = d->base.key[k];
    *value = q->drop == 0 ? value_of(key)
                          : 0.5 * (value_of(key) + value_of(key | (((uint64_t)1 << q->drop) - 1)));
    if (sky_acc_value(&sum) >= want) break;
  }
  return SKY_OK;
}

double sky_quantiles_error(const sky_quantiles *q) {
  return q->drop == 0 ? 0 : ldexp(1, q->drop - 53);
}
