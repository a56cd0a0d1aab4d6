/* soundings.c: the harmonised retrievals of include/skyflux/soundings.h: allocation, joining, the
 * identities that a kernel must fulfil, the block that travels from a worker process to its parent,
 * and reading the harmonised file back (layout: write/soundings_nc.h). */
#include "src/read/soundings.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/granule.h"
#include "src/read/nc.h"

static const char *const DROP_NAME[SKY_DROP_COUNT] = {
    "none", "quality", "fill", "range", "kernel", "surface", "box", "period", "footprint"};

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
  bool nan; /* starts as NaN */
} member;

#define MEMBER(name, type, per, nan) \
  { offsetof(sky_soundings, name), sizeof(type), per, nan }
static const member MEMBERS[] = {
    MEMBER(time, double, PER_ROW, true),
    MEMBER(lat, double, PER_ROW, true),
    MEMBER(lon, double, PER_ROW, true),
    MEMBER(x, double, PER_ROW, true),
    MEMBER(sigma, double, PER_ROW, true),
    MEMBER(prior, double, PER_ROW, true),
    MEMBER(surface_pressure, double, PER_ROW, true),
    MEMBER(pressure, double, PER_LEVEL, true),
    MEMBER(weight, double, PER_LEVEL, true),
    MEMBER(ak, double, PER_LEVEL, true),
    MEMBER(profile, double, PER_LEVEL, true),
    MEMBER(corner_lon, double, PER_CORNER, true),
    MEMBER(corner_lat, double, PER_CORNER, true),
    MEMBER(id, uint64_t, PER_ROW, false),
    MEMBER(drop, uint8_t, PER_ROW, false),
    MEMBER(granule, int32_t, PER_ROW, false),
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

sky_status sky_soundings_alloc(sky_context *ctx, size_t n, size_t n_levels, bool corners,
                               sky_soundings *out) {
  memset(out, 0, sizeof *out);
  out->n = n;
  out->n_levels = n_levels;
  for (size_t i = 0; i < N_MEMBERS; ++i) {
    const member *m = &MEMBERS[i];
    if (m->per == PER_CORNER && !corners) continue;
    size_t count;
    if (__builtin_mul_overflow(n, width_of(out, m), &count)) count = SIZE_MAX / m->item;
    void *p = sky_calloc(ctx, count, m->item);
    if (p == NULL) {
      sky_soundings_free(out);
      return SKY_E_NOMEM;
    }
    set_array(out, m, p);
    for (size_t k = 0; m->nan && k < count; ++k)
      ((double *)p)[k] = NAN;
  }
  return SKY_OK;
}

void sky_soundings_free(sky_soundings *s) {
  if (s == NULL) return;
  for (size_t i = 0; i < N_MEMBERS; ++i)
    sky_free(get_array(s, &MEMBERS[i]));
  sky_file_list_free(s->granules, s->n_granules);
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
  size_t to = 0;
  for (size_t i = 0; i < s->n; ++i) {
    if (s->drop[i] != SKY_DROP_NONE) continue;
    for (size_t k = 0; k < N_MEMBERS && to != i; ++k) {
      const size_t bytes = width_of(s, &MEMBERS[k]) * MEMBERS[k].item;
      char *p = get_array(s, &MEMBERS[k]);
      if (p != NULL && bytes > 0) memcpy(p + to * bytes, p + i * bytes, bytes);
    }
    ++to;
  }
  s->n = to;
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
                              sky_soundings *sum, bool *corners) {
  memset(sum, 0, sizeof *sum);
  *corners = false;
  for (size_t i = 0; i < n_parts; ++i) {
    const sky_soundings *p = &part[i];
    if (sum->gas[0] != '\0' && strcmp(sum->gas, p->gas) != 0) {
      return sky_fail(ctx, SKY_E_GAS, "soundings of %s (%s) cannot be joined with %s (%s)", p->gas,
                      p->product, sum->gas, sum->product);
    }
    if (p->vertical != SKY_VERTICAL_NONE && sum->vertical != SKY_VERTICAL_NONE &&
        p->vertical != sum->vertical) {
      return sky_fail(ctx, SKY_E_FORMAT,
                      "kernels on levels and on layers cannot be joined (products %s and %s)",
                      sum->product, p->product);
    }
    if (p->vertical != SKY_VERTICAL_NONE) sum->vertical = p->vertical;
    snprintf(sum->gas, sizeof sum->gas, "%s", p->gas);
    name_or_mixed(sum->product, sizeof sum->product, p->product);
    name_or_mixed(sum->kernel_note, sizeof sum->kernel_note, p->kernel_note);
    sum->n += p->n;
    sum->n_granules += p->n_granules;
    if (p->n_levels > sum->n_levels) sum->n_levels = p->n_levels;
    *corners = *corners || p->corner_lon != NULL;
  }
  return SKY_OK;
}

static void copy_rows(const sky_soundings *from, sky_soundings *to, size_t at) {
  for (size_t k = 0; k < N_MEMBERS; ++k) {
    const member *m = &MEMBERS[k];
    const char *src = get_array(from, m);
    char *dst = get_array(to, m);
    const size_t have = width_of(from, m) * m->item, want = width_of(to, m) * m->item;
    if (src == NULL || dst == NULL || have == 0 || from->n == 0) continue;
    for (size_t i = 0; i < from->n; ++i)
      memcpy(dst + (at + i) * want, src + i * have, have);
  }
  for (size_t i = 0; i < from->n && to->n_levels > from->n_levels; ++i) {
    for (size_t l = from->n_levels; l < to->n_levels; ++l)
      to->weight[(at + i) * to->n_levels + l] = 0;
  }
}

sky_status sky_soundings_join(sky_context *ctx, const sky_soundings *part, size_t n_parts,
                              sky_soundings *out) {
  sky_soundings head, sum = {0};
  bool corners;
  sky_status st = join_header(ctx, part, n_parts, &head, &corners);
  if (st != SKY_OK) return st;
  SKY_GO(sky_soundings_alloc(ctx, head.n, head.n_levels, corners, &sum));
  sum.vertical = head.vertical;
  memcpy(sum.gas, head.gas, sizeof sum.gas);
  memcpy(sum.product, head.product, sizeof sum.product);
  memcpy(sum.kernel_note, head.kernel_note, sizeof sum.kernel_note);
  SKY_GO_ALLOC(sum.granules, SKY_NEW0(ctx, char *, head.n_granules));
  size_t at = 0;
  for (size_t i = 0; i < n_parts; ++i) {
    copy_rows(&part[i], &sum, at);
    for (size_t k = 0; k < part[i].n; ++k)
      sum.granule[at + k] += (int32_t)sum.n_granules;
    at += part[i].n;
    for (size_t g = 0; g < part[i].n_granules; ++g) {
      SKY_GO_ALLOC(sum.granules[sum.n_granules], sky_strdup(ctx, part[i].granules[g]));
      ++sum.n_granules;
    }
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
  const size_t K = s->n_levels;
  const double *p = s->pressure + i * K, *w = s->weight + i * K;
  const double *ak = s->ak + i * K, *c = s->profile + i * K;
  double sum = 0, column = 0;
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
  uint64_t n, n_levels, n_granules, corners;
  char gas[8], product[32], kernel_note[64];
} blob_head;

sky_status sky_soundings_pack(const sky_soundings *s, sky_text *out) {
  blob_head h = {.magic = BLOB_MAGIC,
                 .vertical = (int32_t)s->vertical,
                 .n = s->n,
                 .n_levels = s->n_levels,
                 .n_granules = s->n_granules,
                 .corners = s->corner_lon != NULL};
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
                    h->n_granules <= *left && h->vertical >= 0 && h->vertical <= 2 &&
                    h->gas[7] == '\0' && h->product[31] == '\0' && h->kernel_note[63] == '\0';
  return sane ? SKY_OK : bad_blob(ctx);
}

sky_status sky_soundings_unpack(sky_context *ctx, const char **at, size_t *left,
                                sky_soundings *out) {
  blob_head h;
  memset(out, 0, sizeof *out);
  sky_status st = unpack_head(ctx, at, left, &h);
  if (st != SKY_OK) return st;
  SKY_GO(sky_soundings_alloc(ctx, h.n, h.n_levels, h.corners != 0, out));
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
  SKY_GO_ALLOC(out->granules, SKY_NEW0(ctx, char *, h.n_granules));
  for (size_t g = 0; g < h.n_granules; ++g) {
    const size_t length = strnlen(*at, *left);
    if (length == *left) SKY_GO(bad_blob(ctx));
    SKY_GO_ALLOC(out->granules[g], sky_strdup(ctx, take(at, left, length + 1)));
    out->n_granules = g + 1;
  }
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

/* --- harmonised file ---------------------------------------------------------------------------
 */

typedef struct column { /* a double variable of the file and its place */
  const char *name, *unit;
  size_t at;
  int per;
  bool required;
} column;

#define COLUMN(name, file, unit, per, required) \
  { file, unit, offsetof(sky_soundings, name), per, required }
static const column COLUMNS[] = {
    COLUMN(lat, "latitude", "degrees_north", PER_ROW, true),
    COLUMN(lon, "longitude", "degrees_east", PER_ROW, true),
    COLUMN(x, "x", "1", PER_ROW, true),
    COLUMN(sigma, "x_uncertainty", "1", PER_ROW, true),
    COLUMN(prior, "x_prior", "1", PER_ROW, true),
    COLUMN(surface_pressure, "surface_pressure", "Pa", PER_ROW, true),
    COLUMN(pressure, "pressure", "Pa", PER_LEVEL, true),
    COLUMN(weight, "pressure_weight", "1", PER_LEVEL, true),
    COLUMN(ak, "averaging_kernel", "1", PER_LEVEL, true),
    COLUMN(profile, "profile_prior", "1", PER_LEVEL, true),
    COLUMN(corner_lon, "longitude_bounds", "degrees_east", PER_CORNER, false),
    COLUMN(corner_lat, "latitude_bounds", "degrees_north", PER_CORNER, false),
};

static sky_status read_column(sky_context *ctx, sky_nc *f, const column *c, sky_soundings *s) {
  const size_t width = c->per == PER_LEVEL ? s->n_levels : c->per == PER_CORNER ? 4 : 1;
  if (width == 0 || (!c->required && !sky_nc_has(f, c->name))) return SKY_OK;
  sky_nc_var info;
  double *values = NULL;
  SKY_TRY(sky_nc_read_as(ctx, f, c->name, c->unit, NULL, &info, &values));
  if (info.count != s->n * width) {
    sky_free(values);
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu", sky_nc_path(f), c->name,
                    info.count, s->n * width);
  }
  void *old;
  memcpy(&old, (char *)s + c->at, sizeof old);
  sky_free(old);
  memcpy((char *)s + c->at, &values, sizeof values);
  return SKY_OK;
}

static sky_status read_text_attr(sky_context *ctx, sky_nc *f, const char *name, char *out,
                                 size_t size) {
  char *text;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", name, &text));
  snprintf(out, size, "%s", text != NULL ? text : "");
  sky_free(text);
  return SKY_OK;
}

static sky_status read_flags(sky_context *ctx, sky_nc *f, sky_soundings *s) {
  double *drop = NULL, *granule = NULL;
  sky_nc_var info;
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_info(ctx, f, "drop_reason", &info));
  if (info.count != s->n) {
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: drop_reason: %zu values, expected %zu", sky_nc_path(f),
                    info.count, s->n));
  }
  SKY_GO(sky_nc_read(ctx, f, "drop_reason", &info, &drop));
  SKY_GO(sky_nc_read(ctx, f, "granule_index", &info, &granule));
  for (size_t i = 0; i < s->n; ++i) {
    if (!(drop[i] >= 0 && drop[i] < SKY_DROP_COUNT)) {
      SKY_GO(sky_fail(ctx, SKY_E_RANGE, "%s: drop_reason: %g is outside 0..%d", sky_nc_path(f),
                      drop[i], SKY_DROP_COUNT - 1));
    }
    if (!(granule[i] >= 0 && granule[i] < (double)s->n_granules)) {
      SKY_GO(sky_fail(ctx, SKY_E_RANGE, "%s: granule_index: %g is outside 0..%zu", sky_nc_path(f),
                      granule[i], s->n_granules - 1));
    }
    s->drop[i] = (uint8_t)drop[i];
    s->granule[i] = (int32_t)granule[i];
  }
cleanup:
  sky_free(drop);
  sky_free(granule);
  return st;
}

sky_status sky_soundings_recognise(sky_context *ctx, const char *path, bool *out) {
  sky_nc *f;
  char word[32];
  SKY_TRY(sky_nc_open(ctx, path, &f));
  const sky_status st = read_text_attr(ctx, f, "skyflux_content", word, sizeof word);
  *out = st == SKY_OK && strcmp(word, SKY_SOUNDINGS_CONTENT) == 0;
  sky_nc_close(f);
  return st;
}

sky_status sky_soundings_read(sky_context *ctx, const char *path, sky_soundings *out) {
  memset(out, 0, sizeof *out);
  sky_nc *f = NULL;
  sky_soundings s = {0};
  double *time = NULL;
  sky_status st = SKY_OK;
  char word[32];
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(read_text_attr(ctx, f, "skyflux_content", word, sizeof word));
  if (strcmp(word, SKY_SOUNDINGS_CONTENT) != 0) {
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT,
                    "%s: not a harmonised soundings file (attribute "
                    "skyflux_content is '%s', expected '%s')",
                    path, word, SKY_SOUNDINGS_CONTENT));
  }
  size_t n_time = 0;
  SKY_GO(sky_nc_read_time(ctx, f, "time", &n_time, &time));
  const size_t levels = sky_nc_dim(f, "level");
  SKY_GO(sky_soundings_alloc(ctx, n_time, levels == SIZE_MAX ? 0 : levels,
                             sky_nc_has(f, "longitude_bounds"), &s));
  memcpy(s.time, time, n_time * sizeof *time);
  for (size_t k = 0; k < sizeof COLUMNS / sizeof COLUMNS[0]; ++k) {
    SKY_GO(read_column(ctx, f, &COLUMNS[k], &s));
  }
  SKY_GO(sky_nc_read_u64(ctx, f, "sounding_id", s.n, s.id));
  SKY_GO(sky_nc_read_strings(ctx, f, "granule", &s.n_granules, &s.granules));
  SKY_GO(read_flags(ctx, f, &s));
  SKY_GO(read_text_attr(ctx, f, "gas", s.gas, sizeof s.gas));
  SKY_GO(read_text_attr(ctx, f, "product", s.product, sizeof s.product));
  SKY_GO(read_text_attr(ctx, f, "kernel_note", s.kernel_note, sizeof s.kernel_note));
  SKY_GO(read_text_attr(ctx, f, "vertical", word, sizeof word));
  s.vertical = strcmp(word, "levels") == 0   ? SKY_VERTICAL_LEVELS
               : strcmp(word, "layers") == 0 ? SKY_VERTICAL_LAYERS
                                             : SKY_VERTICAL_NONE;
  *out = s;
cleanup:
  if (st != SKY_OK) sky_soundings_free(&s);
  sky_free(time);
  sky_nc_close(f);
  return st;
}
