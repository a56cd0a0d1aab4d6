/* harmonise_join.c: the worker's side of harmonise.h for the result: duplicates between granules,
 * the file, and a look at what was written.
 *
 * Memory: the places of the granules that overlap in time with the present one, and one piece. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/column/clean.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/text.h"
#include "src/job/harmonise_part.h"
#include "src/read/product.h"
#include "src/read/soundings.h"
#include "src/write/soundings_nc.h"

typedef struct active { /* a part whose places are in memory */
  sky_sighting *place;
  size_t n;
  uint8_t *lost;
} active;

typedef struct join {
  sky_context *ctx;
  const char *folder, *path;
  sky_join_head head;
  sky_part *part;      /* [n_parts] in the order of the file */
  active *active;      /* [n_parts] */
  size_t loaded, gone; /* parts before have been loaded, have been released */
  char **attrs;
  size_t n_attrs;
} join;

/* --- duplicates --------------------------------------------------------------------------------
 */

/* Newer: by version, then by name (the products' names end in a date or a counter). */
static bool newer(const sky_part *a, const sky_part *b) {
  const int order = sky_version_compare(a->version, b->version);
  return order != 0 ? order > 0 : sky_version_compare(a->granule, b->granule) > 0;
}

static sky_status load_places(join *j, size_t k) {
  active *a = &j->active[k];
  sky_soundings s = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_part_read(j->ctx, j->folder, j->part[k].name, &s));
  SKY_GO_ALLOC(a->place, SKY_NEW(j->ctx, sky_sighting, s.n));
  SKY_GO_ALLOC(a->lost, SKY_NEW0(j->ctx, uint8_t, s.n));
  for (size_t i = 0; i < s.n; ++i) {
    if (!isfinite(s.time[i]) || !isfinite(s.lat[i]) || !isfinite(s.lon[i])) continue;
    a->place[a->n++] = (sky_sighting){s.time[i], s.lat[i], s.lon[i], i};
  }
  sky_sightings_sort(a->place, a->n);
  sky_clean_duplicates(a->place, a->n, a->place, a->n, a->lost);
cleanup:
  sky_soundings_free(&s);
  return st;
}

static void compare_parts(join *j, size_t k, size_t m) {
  active *a = &j->active[k], *b = &j->active[m];
  if (strcmp(j->part[k].product, j->part[m].product) != 0 ||
      j->part[k].end + SKY_SAME_TIME < j->part[m].start)
    return;
  if (newer(&j->part[k], &j->part[m]))
    sky_clean_duplicates(a->place, a->n, b->place, b->n, b->lost);
  else
    sky_clean_duplicates(b->place, b->n, a->place, a->n, a->lost);
}

static void release(active *a) {
  sky_free(a->place);
  sky_free(a->lost);
  *a = (active){0};
}

static char *lost_path(const join *j, size_t k) {
  return sky_sprintf(j->ctx, "%s/%s.lost", j->folder, j->part[k].name);
}

/* Parts are complete once all later ones that start before their end have been compared. */
static sky_status settle(join *j, size_t k) {
  const uint64_t n = j->head.n_parts;
  while (j->loaded < n &&
         (j->loaded <= k || j->part[j->loaded].start <= j->part[k].end + SKY_SAME_TIME)) {
    SKY_TRY(load_places(j, j->loaded));
    for (size_t m = k; m < j->loaded; ++m)
      compare_parts(j, m, j->loaded);
    ++j->loaded;
  }
  active *a = &j->active[k];
  bool any = false;
  for (size_t i = 0; i < a->n && !any; ++i)
    any = a->lost[a->place[i].row];
  sky_status st = SKY_OK;
  if (any) {
    char *path = lost_path(j, k);
    st = path == NULL ? SKY_E_NOMEM
                      : sky_file_write_text(j->ctx, path, (const char *)a->lost, j->part[k].n);
    sky_free(path);
  }
  release(a);
  return st;
}

static sky_status find_duplicates(join *j) {
  for (size_t k = 0; k < j->head.n_parts; ++k)
    SKY_TRY(settle(j, k));
  return SKY_OK;
}

/* A part with its duplicates marked, and without what is not written. */
static sky_status load_part(join *j, size_t k, sky_soundings *s) {
  char *path = NULL, *lost = NULL;
  size_t length = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_part_read(j->ctx, j->folder, j->part[k].name, s));
  if (j->head.duplicates) {
    SKY_GO_ALLOC(path, lost_path(j, k));
    if (sky_file_exists(path)) SKY_GO(sky_file_read_text(j->ctx, path, &lost, &length));
    for (size_t i = 0; i < s->n && i < length; ++i)
      if (lost[i] && s->drop[i] == SKY_DROP_NONE) sky_part_drop(s, i, SKY_DROP_DUPLICATE);
  }
  memcpy(j->part[k].drops, s->granule_drops, sizeof j->part[k].drops);
  if (!j->head.keep_dropped) sky_soundings_compact(s);
cleanup:
  sky_free(path);
  sky_free(lost);
  return st;
}

/* --- the file ----------------------------------------------------------------------------------
 */

static void mix(char *name, size_t size, const char *other) {
  if (name[0] == '\0')
    snprintf(name, size, "%s", other);
  else if (other[0] != '\0' && strcmp(name, other) != 0)
    snprintf(name, size, "mixed");
}

/* First walk over the parts: what the whole is. */
static sky_status make_head(join *j, sky_soundings *head, unsigned *with) {
  *with = 0;
  j->head.first = j->head.last = NAN;
  for (size_t k = 0; k < j->head.n_parts; ++k) {
    sky_part *p = &j->part[k];
    sky_soundings s = {0};
    const sky_status st = load_part(j, k, &s);
    if (st != SKY_OK) {
      sky_soundings_free(&s);
      return st;
    }
    head->n += s.n;
    for (size_t i = 0; i < s.n; ++i) {
      if (s.drop[i] != SKY_DROP_NONE) continue;
      ++j->head.good;
      j->head.first = fmin(j->head.first, s.time[i]);
      j->head.last = fmax(j->head.last, s.time[i]);
    }
    sky_soundings_free(&s);
    SKY_TRY(sky_soundings_add_granule(j->ctx, head, p->granule, p->product, p->version,
                                      (sky_vertical)p->vertical));
    memcpy(head->granule_drops + k * SKY_DROP_COUNT, p->drops, sizeof p->drops);
    snprintf(head->gas, sizeof head->gas, "%s", p->gas);
    mix(head->product, sizeof head->product, p->product);
    mix(head->kernel_note, sizeof head->kernel_note, p->kernel_note);
    if (head->vertical == SKY_VERTICAL_NONE)
      head->vertical = (sky_vertical)p->vertical;
    else if (p->vertical != SKY_VERTICAL_NONE && p->vertical != (int)head->vertical)
      head->vertical = SKY_VERTICAL_MIXED;
    if (p->n_levels > head->n_levels) head->n_levels = p->n_levels;
    *with |= p->with;
  }
  j->head.n = head->n;
  return SKY_OK;
}

typedef struct piece {
  sky_soundings s; /* room for SKY_SOUNDINGS_PIECE rows; s.n is that room */
  size_t used;
  unsigned with;
  size_t n_levels;
} piece;

static sky_status flush(join *j, sky_soundings_file *f, piece *p) {
  p->s.n = p->used;
  sky_status st = sky_soundings_file_put(f, &p->s);
  sky_soundings_free(&p->s);
  p->used = 0;
  if (st == SKY_OK)
    st = sky_soundings_alloc(j->ctx, SKY_SOUNDINGS_PIECE, p->n_levels, p->with, &p->s);
  return st;
}

static sky_status add_part(join *j, sky_soundings_file *f, piece *p, size_t k, int32_t overpass) {
  sky_soundings s = {0};
  sky_status st = SKY_OK;
  SKY_GO(load_part(j, k, &s));
  for (size_t i = 0; i < s.n; ++i) {
    s.granule[i] = (int32_t)k;
    if (s.overpass[i] >= 0) s.overpass[i] += overpass;
  }
  for (size_t at = 0; at < s.n;) {
    const size_t room = SKY_SOUNDINGS_PIECE - p->used, left = s.n - at;
    const size_t n = left < room ? left : room;
    sky_soundings_copy(&s, at, n, &p->s, p->used);
    p->used += n;
    at += n;
    if (p->used == SKY_SOUNDINGS_PIECE) SKY_GO(flush(j, f, p));
  }
cleanup:
  sky_soundings_free(&s);
  return st;
}

static sky_status write_file(join *j, const sky_soundings *head, unsigned with) {
  sky_soundings_file *f = NULL;
  piece p = {.with = with, .n_levels = head->n_levels};
  int32_t overpass = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_soundings_file_create(j->ctx, j->path, head, with, true, (const char **)j->attrs, &f));
  SKY_GO(sky_soundings_alloc(j->ctx, SKY_SOUNDINGS_PIECE, p.n_levels, with, &p.s));
  for (size_t k = 0; k < j->head.n_parts; ++k) {
    SKY_GO(add_part(j, f, &p, k, overpass));
    overpass += j->part[k].overpasses;
  }
  if (p.used > 0) SKY_GO(flush(j, f, &p));
  st = sky_soundings_file_commit(f);
  f = NULL;
cleanup:
  sky_soundings_file_abort(f);
  sky_soundings_free(&p.s);
  return st;
}

/* --- tasks -------------------------------------------------------------------------------------
 */

/* "plan" of the folder: the head and the parts; "attrs": one global attribute a text. */
static sky_status read_plan(join *j) {
  char *path = NULL, *text = NULL, *attrs = NULL;
  size_t length = 0, n_text = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(path, sky_sprintf(j->ctx, "%s/plan", j->folder));
  SKY_GO(sky_file_read_text(j->ctx, path, &text, &length));
  if (length >= sizeof j->head) memcpy(&j->head, text, sizeof j->head);
  if (length != sizeof j->head + j->head.n_parts * sizeof *j->part)
    SKY_GO(sky_fail(j->ctx, SKY_E_INTERNAL, "plan: %zu bytes", length));
  SKY_GO_ALLOC(j->part, SKY_NEW(j->ctx, sky_part, j->head.n_parts));
  memcpy(j->part, text + sizeof j->head, j->head.n_parts * sizeof *j->part);
  SKY_GO_ALLOC(j->active, SKY_NEW0(j->ctx, active, j->head.n_parts));
  sky_free(path);
  SKY_GO_ALLOC(path, sky_sprintf(j->ctx, "%s/attrs", j->folder));
  SKY_GO(sky_file_read_text(j->ctx, path, &attrs, &n_text));
  for (size_t i = 0; i < n_text; ++i)
    j->n_attrs += attrs[i] == '\0';
  SKY_GO_ALLOC(j->attrs, SKY_NEW0(j->ctx, char *, j->n_attrs + 1));
  const char *at = attrs;
  for (size_t k = 0; k < j->n_attrs; ++k, at += strlen(at) + 1)
    SKY_GO_ALLOC(j->attrs[k], sky_strdup(j->ctx, at));
cleanup:
  sky_free(path);
  sky_free(text);
  sky_free(attrs);
  return st;
}

sky_status sky_task_join(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  if (argc != 2) return sky_fail(ctx, SKY_E_INTERNAL, "join task: %d words, expected 2", argc);
  join j = {.ctx = ctx, .folder = argv[0], .path = argv[1]};
  sky_soundings head = {0};
  unsigned with;
  sky_text answer = {.ctx = ctx};
  sky_status st = SKY_OK;
  SKY_GO(read_plan(&j));
  if (j.head.duplicates) SKY_GO(find_duplicates(&j));
  SKY_GO(make_head(&j, &head, &with));
  if (j.head.good > 0) SKY_GO(write_file(&j, &head, with));
  sky_text_add(&answer, (const char *)&j.head, sizeof j.head);
  sky_text_add(&answer, (const char *)j.part, j.head.n_parts * sizeof *j.part);
  *size = answer.length;
  SKY_GO_ALLOC(*blob, sky_text_take(&answer));
cleanup:
  for (size_t k = 0; j.active != NULL && k < j.head.n_parts; ++k)
    release(&j.active[k]);
  sky_file_list_free(j.attrs, j.n_attrs);
  sky_free(j.active);
  sky_free(j.part);
  sky_soundings_free(&head);
  sky_text_free(&answer);
  return st;
}

/* --- a look at the result ----------------------------------------------------------------------
 */

#define CHECK_ROWS ((size_t)1 << 16)

static bool holds(const sky_soundings *s, const sky_species *gas, size_t i) {
  const sky_reader *r = sky_reader_find(s->granule_product[s->granule[i]]);
  const double weights = r != NULL ? r->weight_tolerance : 1e-2;
  const double prior = r != NULL ? r->prior_tolerance : 1e-2;
  if (!(s->x[i] >= gas->column_min && s->x[i] <= gas->column_max) || !(s->sigma[i] > 0) ||
      !(fabs(s->lat[i]) <= 90) || !(fabs(s->lon[i]) <= 180) || !isfinite(s->time[i]))
    return false;
  return s->granule_vertical[s->granule[i]] == SKY_VERTICAL_NONE ||
         sky_kernel_check(s, i, weights, prior) == SKY_KERNEL_SOUND;
}

sky_status sky_task_check(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  if (argc != 1) return sky_fail(ctx, SKY_E_INTERNAL, "check task: %d words, expected 1", argc);
  sky_check_answer *answer = NULL;
  sky_soundings s = {0};
  size_t n = 0, *first = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(answer, SKY_NEW0(ctx, sky_check_answer, 1));
  SKY_GO(sky_soundings_index(ctx, argv[0], &n, &first));
  for (size_t at = 0; at < first[n]; at += CHECK_ROWS) {
    const size_t left = first[n] - at;
    char *none;
    SKY_GO(sky_soundings_read_rows(ctx, argv[0], at, left < CHECK_ROWS ? left : CHECK_ROWS, "title",
                                   &none, &s));
    sky_free(none);
    const sky_species *gas = sky_species_find(s.gas);
    for (size_t i = 0; i < s.n; ++i) {
      if (s.drop[i] != SKY_DROP_NONE) continue;
      ++answer->checked;
      answer->held += holds(&s, gas, i);
    }
    sky_soundings_free(&s);
  }
  *blob = answer;
  *size = sizeof *answer;
  answer = NULL;
cleanup:
  sky_free(answer);
  sky_free(first);
  sky_soundings_free(&s);
  return st;
}
