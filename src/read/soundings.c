/* soundings.c: the harmonised retrievals of include/skyflux/soundings.h: allocation, joining, the
 * identities that a kernel must fulfil, the block that travels from a worker process to its parent.
 */
#include "src/read/soundings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"

static const char *const DROP_NAME[SKY_DROP_COUNT] = {
    "none", "quality", "fill",      "range",     "kernel",  "surface",
    "box",  "period",  "footprint", "duplicate", "outlier", "stripe"};

const char *sky_drop_name(sky_drop reason) {
  return (unsigned)reason < SKY_DROP_COUNT ? DROP_NAME[reason] : "unknown";
}

/* --- one table of all arrays -------------------------------------------------------------------
 */

enum { PER_ROW, PER_LEVEL, PER_CORNER };

typedef struct member {
  size_t at;   /* offset of the pointer in sky_soundings */
  size_t item; /* bytes */
  int per;
  unsigned with;                           /* SKY_WITH_ bit; 0: always there */
  enum { AS_ZERO, AS_NAN, AS_NONE } start; /* 0, NaN, -1 */
} member;

#define MEMBER(name, type, per, with, start) \
  { offsetof(sky_soundings, name), sizeof(type), per, with, start }
#define VALUE(name, per, with) MEMBER(name, double, per, with, AS_NAN)
static const member MEMBERS[] = {
    VALUE(time, PER_ROW, 0),
    VALUE(lat, PER_ROW, 0),
    VALUE(lon, PER_ROW, 0),
    VALUE(x, PER_ROW, 0),
    VALUE(sigma, PER_ROW, 0),
    VALUE(prior, PER_ROW, 0),
    VALUE(surface_pressure, PER_ROW, 0),
    VALUE(quality, PER_ROW, 0),
    VALUE(pressure, PER_LEVEL, 0),
    VALUE(weight, PER_LEVEL, 0),
    VALUE(ak, PER_LEVEL, 0),
    VALUE(profile, PER_LEVEL, 0),
    VALUE(corner_lon, PER_CORNER, SKY_WITH_CORNERS),
    VALUE(corner_lat, PER_CORNER, SKY_WITH_CORNERS),
    VALUE(albedo, PER_ROW, SKY_WITH_ALBEDO),
    VALUE(airmass, PER_ROW, SKY_WITH_AIRMASS),
    VALUE(aerosol, PER_ROW, SKY_WITH_AEROSOL),
    VALUE(wind_east, PER_ROW, SKY_WITH_WIND),
    VALUE(wind_north, PER_ROW, SKY_WITH_WIND),
    VALUE(stripe, PER_ROW, SKY_WITH_STRIPE),
    VALUE(background, PER_ROW, SKY_WITH_BACKGROUND),
    VALUE(background_sigma, PER_ROW, SKY_WITH_BACKGROUND),
    MEMBER(id, uint64_t, PER_ROW, 0, AS_ZERO),
    MEMBER(drop, uint8_t, PER_ROW, 0, AS_ZERO),
    MEMBER(surface, uint8_t, PER_ROW, 0, AS_ZERO),
    MEMBER(granule, int32_t, PER_ROW, 0, AS_ZERO),
    MEMBER(scanline, int32_t, PER_ROW, 0, AS_NONE),
    MEMBER(pixel, int32_t, PER_ROW, 0, AS_NONE),
    MEMBER(overpass, int32_t, PER_ROW, 0, AS_NONE),
};
#define N_MEMBERS (sizeof MEMBERS / sizeof MEMBERS[0])

static void *get_array(const sky_soundings *s, const member *m) {
  void *p;
  memcpy(&p, (const char *)s + m->at, sizeof p);
  return p;
}
static void set_array(sky_soundings *s, const member *m, void *p) {
  memcpy((char *)s + m->at, &p, sizeof p);
}
/* Items of one sounding. */
static size_t width_of(const sky_soundings *s, const member *m) {
  if (m->per == PER_LEVEL) return s->n_levels;
  return m->per == PER_CORNER ? 4 : 1;
}

static sky_status alloc_array(sky_context *ctx, sky_soundings *s, const member *m) {
  size_t count;
  if (__builtin_mul_overflow(s->n, width_of(s, m), &count)) count = SIZE_MAX / m->item;
  void *p = sky_calloc(ctx, count, m->item);
  if (p == NULL) return SKY_E_NOMEM;
  set_array(s, m, p);
  if (m->start == AS_NONE && count > 0) memset(p, 0xff, count * m->item);
  for (size_t k = 0; m->start == AS_NAN && k < count; ++k)
    ((double *)p)[k] = NAN;
  return SKY_OK;
}

sky_status sky_soundings_add(sky_context *ctx, sky_soundings *s, unsigned with) {
  for (size_t i = 0; i < N_MEMBERS; ++i) {
    const member *m = &MEMBERS[i];
    if ((m->with & with) == 0 || get_array(s, m) != NULL) continue;
    SKY_TRY(alloc_array(ctx, s, m));
  }
  return SKY_OK;
}

unsigned sky_soundings_with(const sky_soundings *s) {
  unsigned with = 0;
  for (size_t i = 0; i < N_MEMBERS; ++i)
    if (get_array(s, &MEMBERS[i]) != NULL) with |= MEMBERS[i].with;
  return with;
}

sky_status sky_soundings_alloc(sky_context *ctx, size_t n, size_t n_levels, unsigned with,
                               sky_soundings *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  out->n = n;
  out->n_levels = n_levels;
  for (size_t i = 0; i < N_MEMBERS; ++i)
    if (MEMBERS[i].with == 0) SKY_GO(alloc_array(ctx, out, &MEMBERS[i]));
  SKY_GO(sky_soundings_add(ctx, out, with));
cleanup:
  if (st != SKY_OK) sky_soundings_free(out);
  return st;
}

sky_status sky_soundings_add_granule(sky_context *ctx, sky_soundings *s, const char *name,
                                     const char *product, const char *version,
                                     sky_vertical vertical) {
  const char *const text[] = {name, product, version};
  char ***const list[] = {&s->granules, &s->granule_product, &s->granule_version};
  const size_t g = s->n_granules;
  char *copy[3] = {NULL};
  sky_status st = SKY_OK;
  for (int k = 0; k < 3; ++k) {
    char **grown;
    SKY_GO_ALLOC(grown, sky_realloc(ctx, *list[k], g, g + 1, sizeof **list[k]));
    *list[k] = grown;
    SKY_GO_ALLOC(copy[k], sky_strdup(ctx, text[k]));
  }
  uint8_t *kinds;
  SKY_GO_ALLOC(kinds, sky_realloc(ctx, s->granule_vertical, g, g + 1, sizeof *kinds));
  s->granule_vertical = kinds;
  kinds[g] = (uint8_t)vertical;
  const size_t row = SKY_DROP_COUNT * sizeof *s->granule_drops;
  uint64_t *drops;
  SKY_GO_ALLOC(drops, sky_realloc(ctx, s->granule_drops, g, g + 1, row));
  s->granule_drops = drops;
  memset(drops + g * SKY_DROP_COUNT, 0, row);
  for (int k = 0; k < 3; ++k) {
    (*list[k])[g] = copy[k];
    copy[k] = NULL;
  }
  ++s->n_granules;
cleanup:
  for (int k = 0; k < 3; ++k)
    sky_free(copy[k]);
  return st;
}

void sky_soundings_free(sky_soundings *s) {
  if (s == NULL) return;
  for (size_t i = 0; i < N_MEMBERS; ++i)
    sky_free(get_array(s, &MEMBERS[i]));
  sky_file_list_free(s->granules, s->n_granules);
  sky_file_list_free(s->granule_product, s->n_granules);
  sky_file_list_free(s->granule_version, s->n_granules);
  sky_free(s->granule_vertical);
  sky_free(s->granule_drops);
  memset(s, 0, sizeof *s);
}

size_t sky_soundings_good(const sky_soundings *s) {
  size_t good = 0;
  for (size_t i = 0; i < s->n; ++i)
    good += s->drop[i] == SKY_DROP_NONE;
  return good;
}

void sky_soundings_count(const sky_soundings *s, size_t count[SKY_DROP_COUNT]) {
  memset(count, 0, SKY_DROP_COUNT * sizeof count[0]);
  for (size_t i = 0; i < s->n; ++i)
    ++count[s->drop[i] < SKY_DROP_COUNT ? s->drop[i] : 0];
}

void sky_soundings_compact(sky_soundings *s) {
  sky_soundings_remove(s, ~(1U << SKY_DROP_NONE));
}

void sky_soundings_remove(sky_soundings *s, unsigned reasons) {
  size_t to = 0;
  for (size_t i = 0; i < s->n; ++i) {
    if (reasons >> s->drop[i] & 1U) continue;
    for (size_t k = 0; k < N_MEMBERS && to != i; ++k) {
      const size_t bytes = width_of(s, &MEMBERS[k]) * MEMBERS[k].item;
      char *p = get_array(s, &MEMBERS[k]);
      if (p != NULL && bytes > 0) memcpy(p + to * bytes, p + i * bytes, bytes);
    }
    ++to;
  }
  s->n = to;
}

typedef struct timed {
  double time;
  size_t row;
} timed;

static int compare_timed(const void *a, const void *b) {
  const timed *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

sky_status sky_soundings_overpasses(sky_context *ctx, sky_soundings *s) {
  timed *order = SKY_NEW(ctx, timed, s->n);
  if (order == NULL) return SKY_E_NOMEM;
  size_t n = 0;
  for (size_t i = 0; i < s->n; ++i)
    if (isfinite(s->time[i])) order[n++] = (timed){s->time[i], i};
  qsort(order, n, sizeof *order, compare_timed);
  int32_t pass = 0;
  for (size_t k = 0; k < n; ++k) {
    pass += k > 0 && order[k].time - order[k - 1].time > SKY_OVERPASS_GAP;
    s->overpass[order[k].row] = pass;
  }
  sky_free(order);
  return SKY_OK;
}

/* --- joining -----------------------------------------------------------------------------------
 */

static void name_or_mixed(char *name, size_t size, const char *other) {
  if (name[0] == '\0') {
    snprintf(name, size, "%s", other);
  } else if (other[0] != '\0' && strcmp(name, other) != 0) {
    snprintf(name, size, "mixed");
  }
}

/* What the joined set is: sizes, level kind, names. */
static sky_status join_header(sky_context *ctx, const sky_soundings *part, size_t n_parts,
                              sky_soundings *sum, unsigned *with) {
  memset(sum, 0, sizeof *sum);
  *with = 0;
  for (size_t i = 0; i < n_parts; ++i) {
    const sky_soundings *p = &part[i];
    if (sum->gas[0] != '\0' && strcmp(sum->gas, p->gas) != 0) {
      return sky_fail(ctx, SKY_E_GAS, "soundings of %s (%s) cannot be joined with %s (%s)", p->gas,
                      p->product, sum->gas, sum->product);
    }
    if (sum->vertical == SKY_VERTICAL_NONE) {
      sum->vertical = p->vertical;
    } else if (p->vertical != SKY_VERTICAL_NONE && p->vertical != sum->vertical) {
      sum->vertical = SKY_VERTICAL_MIXED;
    }
    snprintf(sum->gas, sizeof sum->gas, "%s", p->gas);
    name_or_mixed(sum->product, sizeof sum->product, p->product);
    name_or_mixed(sum->kernel_note, sizeof sum->kernel_note, p->kernel_note);
    sum->n += p->n;
    if (p->n_levels > sum->n_levels) sum->n_levels = p->n_levels;
    *with |= sky_soundings_with(p);
  }
  return SKY_OK;
}

void sky_soundings_copy(const sky_soundings *from, size_t first, size_t n, sky_soundings *to,
                        size_t at) {
  for (size_t k = 0; k < N_MEMBERS; ++k) {
    const member *m = &MEMBERS[k];
    const char *src = get_array(from, m);
    char *dst = get_array(to, m);
    const size_t have = width_of(from, m) * m->item, want = width_of(to, m) * m->item;
    if (src == NULL || dst == NULL || have == 0 || n == 0) continue;
    const size_t bytes = have < want ? have : want;
    for (size_t i = 0; i < n && have != want; ++i)
      memcpy(dst + (at + i) * want, src + (first + i) * have, bytes);
    if (have == want) memcpy(dst + at * want, src + first * have, n * have);
  }
  for (size_t i = 0; i < n && to->n_levels > from->n_levels; ++i) {
    for (size_t l = from->n_levels; l < to->n_levels; ++l)
      to->weight[(at + i) * to->n_levels + l] = 0;
  }
}

static void copy_names(const sky_soundings *from, sky_soundings *to) {
  memcpy(to->gas, from->gas, sizeof to->gas);
  memcpy(to->product, from->product, sizeof to->product);
  memcpy(to->kernel_note, from->kernel_note, sizeof to->kernel_note);
}

/* Granule g of one set behind the granules of another, with its counts. */
static sky_status copy_granule(sky_context *ctx, const sky_soundings *from, size_t g,
                               sky_soundings *to) {
  SKY_TRY(sky_soundings_add_granule(ctx, to, from->granules[g], from->granule_product[g],
                                    from->granule_version[g],
                                    (sky_vertical)from->granule_vertical[g]));
  memcpy(to->granule_drops + (to->n_granules - 1) * SKY_DROP_COUNT,
         from->granule_drops + g * SKY_DROP_COUNT, SKY_DROP_COUNT * sizeof *to->granule_drops);
  return SKY_OK;
}

sky_status sky_soundings_slice(sky_context *ctx, const sky_soundings *s, size_t first, size_t n,
                               size_t g, sky_soundings *out) {
  sky_status st = SKY_OK;
  SKY_GO(sky_soundings_alloc(ctx, n, s->n_levels, sky_soundings_with(s), out));
  copy_names(s, out);
  snprintf(out->product, sizeof out->product, "%s", s->granule_product[g]);
  out->vertical = (sky_vertical)s->granule_vertical[g];
  sky_soundings_copy(s, first, n, out, 0);
  memset(out->granule, 0, n * sizeof *out->granule);
  SKY_GO(copy_granule(ctx, s, g, out));
cleanup:
  if (st != SKY_OK) sky_soundings_free(out);
  return st;
}

sky_status sky_soundings_join(sky_context *ctx, const sky_soundings *part, size_t n_parts,
                              sky_soundings *out) {
  sky_soundings head, sum = {0};
  unsigned with;
  sky_status st = join_header(ctx, part, n_parts, &head, &with);
  if (st != SKY_OK) return st;
  SKY_GO(sky_soundings_alloc(ctx, head.n, head.n_levels, with, &sum));
  sum.vertical = head.vertical;
  copy_names(&head, &sum);
  size_t at = 0;
  int32_t overpasses = 0;
  for (size_t i = 0; i < n_parts; ++i) {
    sky_soundings_copy(&part[i], 0, part[i].n, &sum, at);
    const int32_t first = overpasses;
    for (size_t k = at; k < at + part[i].n; ++k) {
      sum.granule[k] += (int32_t)sum.n_granules;
      if (sum.overpass[k] < 0) continue;
      sum.overpass[k] += first;
      if (sum.overpass[k] >= overpasses) overpasses = sum.overpass[k] + 1;
    }
    at += part[i].n;
    for (size_t g = 0; g < part[i].n_granules; ++g)
      SKY_GO(copy_granule(ctx, &part[i], g, &sum));
  }
  *out = sum;
  return SKY_OK;
cleanup:
  sky_soundings_free(&sum);
  return st;
}

sky_status sky_soundings_append(sky_context *ctx, sky_soundings *a, const sky_soundings *b) {
  const sky_soundings pair[2] = {*a, *b};
  sky_soundings sum;
  SKY_TRY(sky_soundings_join(ctx, pair, 2, &sum));
  sky_soundings_free(a);
  *a = sum;
  return SKY_OK;
}

/* --- identities --------------------------------------------------------------------------------
 */

const char *sky_kernel_fault_name(sky_kernel_fault fault) {
  static const char *const NAME[] = {"sound",
                                     "incomplete",
                                     "levels not in order of pressure",
                                     "weights do not sum to 1",
                                     "prior column not reproduced",
                                     "profile upside down"};
  return (unsigned)fault < sizeof NAME / sizeof NAME[0] ? NAME[fault] : "unknown";
}

sky_kernel_fault sky_kernel_check(const sky_soundings *s, size_t i, double weight_tolerance,
                                  double prior_tolerance) {
  size_t K = s->n_levels;
  const double *p = s->pressure + i * K, *w = s->weight + i * K;
  const double *ak = s->ak + i * K, *c = s->profile + i * K;
  double sum = 0, column = 0;
  while (K > 0 && w[K - 1] == 0 && isnan(p[K - 1])) /* padded above its top */
    --K;
  if (K == 0) return SKY_KERNEL_INCOMPLETE;
  for (size_t k = 0; k < K; ++k) {
    if (!isfinite(p[k]) || !isfinite(w[k]) || !isfinite(ak[k]) || !isfinite(c[k])) {
      return SKY_KERNEL_INCOMPLETE;
    }
    if (k > 0 && !(p[k] < p[k - 1])) return SKY_KERNEL_ORDER;
    sum += w[k];
    column += w[k] * c[k];
  }
  if (!isfinite(s->prior[i])) return SKY_KERNEL_INCOMPLETE;
  if (!(fabs(sum - 1.0) <= weight_tolerance)) return SKY_KERNEL_WEIGHTS;
  if (!(fabs(column - s->prior[i]) <= prior_tolerance * s->prior[i])) return SKY_KERNEL_PRIOR;
  /* CH4 and N2O are destroyed in the stratosphere: the top of a true profile is never the richer
   * end. This notices reversed layers where the file states no pressure per layer. */
  const bool lost_aloft = strcmp(s->gas, "ch4") == 0 || strcmp(s->gas, "n2o") == 0;
  if (lost_aloft && K > 1 && c[K - 1] > c[0]) return SKY_KERNEL_INVERTED;
  return SKY_KERNEL_SOUND;
}

/* --- block between processes -------------------------------------------------------------------
 */

/* Parent and child are the same program, so native byte order and sizes are right; lengths are
 * checked all the same, because the child has read a file that may have damaged its memory. */
#define BLOB_MAGIC 0x31534459u

typedef struct blob_head {
  uint32_t magic;
  int32_t vertical;
  uint64_t n, n_levels, n_granules, with;
  char gas[8], product[32], kernel_note[64];
} blob_head;

sky_status sky_soundings_pack(const sky_soundings *s, sky_text *out) {
  blob_head h = {.magic = BLOB_MAGIC,
                 .vertical = (int32_t)s->vertical,
                 .n = s->n,
                 .n_levels = s->n_levels,
                 .n_granules = s->n_granules,
                 .with = sky_soundings_with(s)};
  memcpy(h.gas, s->gas, sizeof h.gas);
  memcpy(h.product, s->product, sizeof h.product);
  memcpy(h.kernel_note, s->kernel_note, sizeof h.kernel_note);
  sky_text_add(out, (const char *)&h, sizeof h);
  for (size_t k = 0; k < N_MEMBERS; ++k) {
    const void *p = get_array(s, &MEMBERS[k]);
    if (p != NULL) sky_text_add(out, p, s->n * width_of(s, &MEMBERS[k]) * MEMBERS[k].item);
  }
  for (size_t g = 0; g < s->n_granules; ++g) {
    sky_text_add(out, s->granules[g], strlen(s->granules[g]) + 1);
    sky_text_add(out, s->granule_product[g], strlen(s->granule_product[g]) + 1);
    sky_text_add(out, s->granule_version[g], strlen(s->granule_version[g]) + 1);
    sky_text_add(out, (const char *)&s->granule_vertical[g], 1);
    sky_text_add(out, (const char *)(s->granule_drops + g * SKY_DROP_COUNT),
                 SKY_DROP_COUNT * sizeof *s->granule_drops);
  }
  return out->failed ? SKY_E_NOMEM : SKY_OK;
}

static sky_status bad_blob(sky_context *ctx) {
  return sky_fail(ctx, SKY_E_WORKER, "the worker's answer is not a set of soundings");
}

/* Takes size bytes off the front of the block; NULL when there are fewer. */
static const char *take(const char **at, size_t *left, size_t size) {
  if (size > *left) return NULL;
  const char *p = *at;
  *at += size;
  *left -= size;
  return p;
}

static sky_status unpack_head(sky_context *ctx, const char **at, size_t *left, blob_head *h) {
  const char *p = take(at, left, sizeof *h);
  if (p == NULL) return bad_blob(ctx);
  memcpy(h, p, sizeof *h);
  const bool sane = h->magic == BLOB_MAGIC && h->n_levels <= 100000 && h->n <= *left &&
                    h->n_granules <= *left && h->vertical >= 0 &&
                    h->vertical <= SKY_VERTICAL_MIXED && h->gas[7] == '\0' &&
                    h->product[31] == '\0' && h->kernel_note[63] == '\0';
  return sane ? SKY_OK : bad_blob(ctx);
}

static sky_status unpack_granule(sky_context *ctx, const char **at, size_t *left,
                                 sky_soundings *s) {
  const char *text[3];
  for (int k = 0; k < 3; ++k) {
    const size_t length = strnlen(*at, *left);
    if (length == *left) return bad_blob(ctx);
    text[k] = take(at, left, length + 1);
  }
  const size_t bytes = SKY_DROP_COUNT * sizeof *s->granule_drops;
  const char *vertical = take(at, left, 1), *drops = take(at, left, bytes);
  if (drops == NULL) return bad_blob(ctx);
  SKY_TRY(sky_soundings_add_granule(ctx, s, text[0], text[1], text[2],
                                    (sky_vertical)(unsigned char)*vertical));
  memcpy(s->granule_drops + (s->n_granules - 1) * SKY_DROP_COUNT, drops, bytes);
  return SKY_OK;
}

sky_status sky_soundings_unpack(sky_context *ctx, const char **at, size_t *left,
                                sky_soundings *out) {
  blob_head h;
  memset(out, 0, sizeof *out);
  sky_status st = unpack_head(ctx, at, left, &h);
  if (st != SKY_OK) return st;
  SKY_GO(sky_soundings_alloc(ctx, h.n, h.n_levels, (unsigned)h.with, out));
  out->vertical = (sky_vertical)h.vertical;
  memcpy(out->gas, h.gas, sizeof h.gas);
  memcpy(out->product, h.product, sizeof h.product);
  memcpy(out->kernel_note, h.kernel_note, sizeof h.kernel_note);
  for (size_t k = 0; k < N_MEMBERS; ++k) {
    void *p = get_array(out, &MEMBERS[k]);
    if (p == NULL) continue;
    const size_t bytes = h.n * width_of(out, &MEMBERS[k]) * MEMBERS[k].item;
    const char *from = take(at, left, bytes);
    if (from == NULL) SKY_GO(bad_blob(ctx));
    if (bytes > 0) memcpy(p, from, bytes);
  }
  for (size_t g = 0; g < h.n_granules; ++g)
    SKY_GO(unpack_granule(ctx, at, left, out));
  for (size_t i = 0; i < out->n; ++i) {
    if (out->drop[i] >= SKY_DROP_COUNT || out->granule[i] < 0 ||
        (size_t)out->granule[i] >= out->n_granules) {
      SKY_GO(bad_blob(ctx));
    }
  }
cleanup:
  if (st != SKY_OK) sky_soundings_free(out);
  return st;
}
