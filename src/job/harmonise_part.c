/* harmonise_part.c: the worker's side of harmonise.h for one granule, or a stretch of a harmonised
 * file: decode, select, clean, leave the soundings in the scratch folder. */
#include "src/job/harmonise_part.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/read/product.h"
#include "src/read/soundings.h"

#define ROWS_PER_TASK ((uint64_t)1 << 16) /* of a harmonised file */

/* --- ticket ------------------------------------------------------------------------------------
 */

static char *inside(sky_context *ctx, const char *folder, const char *name) {
  return sky_sprintf(ctx, "%s/%s", folder, name);
}

static sky_status write_text(sky_context *ctx, const char *folder, const char *name, sky_text *t) {
  char *path = inside(ctx, folder, name);
  sky_status st = path == NULL || t->failed ? SKY_E_NOMEM : SKY_OK;
  if (st == SKY_OK) st = sky_file_write_text(ctx, path, t->data, t->length);
  sky_free(path);
  return st;
}

sky_status sky_ticket_write(sky_context *ctx, const char *folder, const sky_ticket *ticket,
                            const sky_zones *zones) {
  sky_text t = {.ctx = ctx};
  sky_ticket own = *ticket;
  own.everywhere = zones == NULL;
  own.zones = zones == NULL ? 0 : zones->n;
  sky_text_add(&t, (const char *)&own, sizeof own);
  for (size_t z = 0; z < own.zones; ++z) {
    const uint64_t n_rings = zones->zone[z].n_rings;
    sky_text_add(&t, (const char *)&n_rings, sizeof n_rings);
    for (size_t r = 0; r < n_rings; ++r) {
      const sky_ring *ring = &zones->zone[z].ring[r];
      const uint64_t head[2] = {ring->n, ring->hole};
      sky_text_add(&t, (const char *)head, sizeof head);
      sky_text_add(&t, (const char *)ring->x, ring->n * sizeof *ring->x);
      sky_text_add(&t, (const char *)ring->y, ring->n * sizeof *ring->y);
    }
  }
  const sky_status st = write_text(ctx, folder, "ticket", &t);
  sky_text_free(&t);
  return st;
}

/* Our own file, just written: read without suspicion but for its end. */
static const char *take(const char **at, const char *end, size_t bytes) {
  const char *p = *at;
  if (bytes > (size_t)(end - p)) return NULL;
  *at += bytes;
  return p;
}

static sky_status read_ring(sky_context *ctx, const char **at, const char *end, sky_ring *ring) {
  uint64_t head[2];
  const char *p = take(at, end, sizeof head);
  if (p == NULL) return sky_fail(ctx, SKY_E_INTERNAL, "ticket: too short");
  memcpy(head, p, sizeof head);
  const size_t bytes = head[0] * sizeof(double);
  const char *x = take(at, end, bytes), *y = take(at, end, bytes);
  if (y == NULL) return sky_fail(ctx, SKY_E_INTERNAL, "ticket: too short");
  ring->x = SKY_NEW(ctx, double, head[0]);
  ring->y = SKY_NEW(ctx, double, head[0]);
  if (ring->x == NULL || ring->y == NULL) return SKY_E_NOMEM;
  memcpy(ring->x, x, bytes);
  memcpy(ring->y, y, bytes);
  ring->n = head[0];
  ring->hole = head[1] != 0;
  return SKY_OK;
}

static sky_status read_zones(sky_context *ctx, const char *at, const char *end, size_t n,
                             sky_zones *zones) {
  zones->zone = SKY_NEW0(ctx, sky_zone, n);
  if (zones->zone == NULL) return SKY_E_NOMEM;
  zones->n = n;
  for (size_t z = 0; z < n; ++z) {
    uint64_t n_rings;
    const char *p = take(&at, end, sizeof n_rings);
    if (p == NULL) return sky_fail(ctx, SKY_E_INTERNAL, "ticket: too short");
    memcpy(&n_rings, p, sizeof n_rings);
    zones->zone[z].geographic = true;
    zones->zone[z].ring = SKY_NEW0(ctx, sky_ring, n_rings);
    if (zones->zone[z].ring == NULL) return SKY_E_NOMEM;
    zones->zone[z].n_rings = n_rings;
    for (size_t r = 0; r < n_rings; ++r)
      SKY_TRY(read_ring(ctx, &at, end, &zones->zone[z].ring[r]));
  }
  return SKY_OK;
}

sky_status sky_ticket_read(sky_context *ctx, const char *folder, sky_ticket *ticket,
                           sky_zones *zones) {
  char *path = NULL, *text = NULL;
  size_t length = 0;
  sky_status st = SKY_OK;
  memset(zones, 0, sizeof *zones);
  SKY_GO_ALLOC(path, inside(ctx, folder, "ticket"));
  SKY_GO(sky_file_read_text(ctx, path, &text, &length));
  if (length < sizeof *ticket) SKY_GO(sky_fail(ctx, SKY_E_INTERNAL, "ticket: too short"));
  memcpy(ticket, text, sizeof *ticket);
  SKY_GO(read_zones(ctx, text + sizeof *ticket, text + length, ticket->zones, zones));
cleanup:
  sky_free(path);
  sky_free(text);
  if (st != SKY_OK) sky_zones_free(zones);
  return st;
}

/* --- one granule -------------------------------------------------------------------------------
 */

typedef struct part_task {
  sky_context *ctx;
  const char *folder, *path, *product, *id;
  bool listed;
  sky_declared *declared; /* what sel.declared points to */
  sky_selection sel;
  sky_range range;
  sky_ticket ticket;
  sky_zones zones;
  sky_part *part; /* [n_parts] */
  size_t n_parts;
} part_task;

static bool inside_zones(const part_task *t, double lon, double lat) {
  if (t->ticket.everywhere) return true;
  for (size_t z = 0; z < t->zones.n; ++z)
    if (sky_zone_contains(&t->zones.zone[z], lon, lat)) return true;
  return false;
}

/* What the reader did not see: polygons, quality, and all of it for a harmonised file. */
static void select_rows(const part_task *t, sky_soundings *s) {
  for (size_t i = 0; i < s->n; ++i) {
    if (s->drop[i] == SKY_DROP_BOX || s->drop[i] == SKY_DROP_PERIOD) continue;
    sky_drop outside = sky_selection_drop(&t->sel, s->lon[i], s->lat[i], s->time[i]);
    if (outside == SKY_DROP_NONE && !inside_zones(t, s->lon[i], s->lat[i])) outside = SKY_DROP_BOX;
    if (outside != SKY_DROP_NONE) sky_part_drop(s, i, outside);
    const double q = s->quality[i];
    const bool low = !isnan(t->ticket.quality_min) && !(q >= t->ticket.quality_min);
    const bool high = !isnan(t->ticket.quality_max) && !(q <= t->ticket.quality_max);
    if ((low || high) && s->drop[i] == SKY_DROP_NONE) sky_part_drop(s, i, SKY_DROP_QUALITY);
  }
  if (!t->ticket.keep_outside) sky_soundings_remove(s, 1U << SKY_DROP_BOX | 1U << SKY_DROP_PERIOD);
}

static int compare_int(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* Overpasses of a piece of a file, counted from 0 again; returns how many there are. */
static sky_status renumber_overpasses(sky_context *ctx, sky_soundings *s, int32_t *n) {
  int32_t *known = SKY_NEW(ctx, int32_t, s->n);
  if (known == NULL) return SKY_E_NOMEM;
  size_t used = 0;
  *n = 0;
  for (size_t i = 0; i < s->n; ++i)
    if (s->overpass[i] >= 0) known[used++] = s->overpass[i];
  qsort(known, used, sizeof *known, compare_int);
  for (size_t i = 0; i < used; ++i)
    if (i == 0 || known[i] != known[i - 1]) known[(*n)++] = known[i];
  for (size_t i = 0; i < s->n; ++i) {
    if (s->overpass[i] < 0) continue;
    const int32_t *at = bsearch(&s->overpass[i], known, (size_t)*n, sizeof *known, compare_int);
    s->overpass[i] = (int32_t)(at - known);
  }
  sky_free(known);
  return SKY_OK;
}

static void describe(const sky_soundings *s, sky_part *p) {
  snprintf(p->granule, sizeof p->granule, "%s", s->granules[0]);
  snprintf(p->version, sizeof p->version, "%s", s->granule_version[0]);
  snprintf(p->product, sizeof p->product, "%s", s->granule_product[0]);
  memcpy(p->gas, s->gas, sizeof p->gas);
  memcpy(p->kernel_note, s->kernel_note, sizeof p->kernel_note);
  memcpy(p->drops, s->granule_drops, sizeof p->drops);
  p->vertical = (int32_t)s->vertical;
  p->with = sky_soundings_with(s);
  p->n = s->n;
  p->n_levels = s->n_levels;
  p->start = p->end = NAN;
  for (size_t i = 0; i < s->n; ++i) {
    p->start = fmin(p->start, s->time[i]); /* fmin skips NaN */
    p->end = fmax(p->end, s->time[i]);
    if (s->drop[i] == SKY_DROP_BOX || s->drop[i] == SKY_DROP_PERIOD) continue;
    ++p->rows;
    p->broken += s->drop[i] == SKY_DROP_FILL || s->drop[i] == SKY_DROP_KERNEL;
  }
}

typedef struct work_done { /* what a harmonised file has behind it */
  bool harmonised, background;
  unsigned clean;
  char quality[SKY_QUALITY_MAX];
} work_done;

static sky_status finish(part_task *t, sky_soundings *s, const work_done *done) {
  sky_context *ctx = t->ctx;
  sky_text text = {.ctx = ctx};
  sky_status st = SKY_OK;
  sky_part *grown;
  SKY_GO_ALLOC(grown, sky_realloc(ctx, t->part, t->n_parts, t->n_parts + 1, sizeof *grown));
  t->part = grown;
  sky_part *p = &t->part[t->n_parts];
  memset(p, 0, sizeof *p);
  select_rows(t, s);
  if (!done->harmonised) SKY_GO(sky_soundings_overpasses(ctx, s));
  SKY_GO(renumber_overpasses(ctx, s, &p->overpasses));
  SKY_GO(sky_clean_soundings(ctx, s, t->ticket.clean & ~done->clean));
  SKY_GO(sky_clean_trial(ctx, s, t->ticket.clean, &p->trial));
  if (t->ticket.background.method != SKY_BACKGROUND_NONE && !done->background)
    SKY_GO(sky_background_soundings(ctx, s, t->folder, &t->ticket.background));
  describe(s, p);
  memcpy(p->quality, done->quality, sizeof p->quality);
  snprintf(p->name, sizeof p->name, "%s-%zu", t->id, t->n_parts);
  SKY_GO(sky_soundings_pack(s, &text));
  SKY_GO(write_text(ctx, t->folder, p->name, &text));
  ++t->n_parts;
cleanup:
  sky_text_free(&text);
  return st;
}

sky_status sky_part_read(sky_context *ctx, const char *folder, const char *name,
                         sky_soundings *out) {
  char *path = inside(ctx, folder, name), *text = NULL;
  size_t length = 0;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_file_read_text(ctx, path, &text, &length));
  const char *at = text;
  SKY_GO(sky_soundings_unpack(ctx, &at, &length, out));
cleanup:
  sky_free(path);
  sky_free(text);
  return st;
}

/* --- a harmonised file -------------------------------------------------------------------------
 */

/* "cleaning: duplicates outliers; background: smooth", as harmonise.c writes it. */
static sky_status parse_notes(const part_task *t, const char *notes, work_done *done) {
  static const char CLEANING[] = "cleaning: ", BACKGROUND[] = "; background: ";
  char own[64], steps[160];
  const char *background = strstr(notes, BACKGROUND), *end = strstr(notes, SKY_QUALITY_NOTE);
  if (strncmp(notes, CLEANING, strlen(CLEANING)) != 0 || background == NULL)
    return sky_fail(t->ctx, SKY_E_FORMAT, "%s: attribute processing: '%s' is not ours", t->path,
                    notes);
  const char *first = notes + strlen(CLEANING);
  snprintf(steps, sizeof steps, "%.*s", (int)(background - first), first);
  SKY_TRY(sky_clean_parse(t->ctx, steps, &done->clean));
  sky_background_text(&t->ticket.background, own, sizeof own);
  background += strlen(BACKGROUND);
  const size_t n = end != NULL ? (size_t)(end - background) : strlen(background);
  done->background = strlen(own) == n && strncmp(background, own, n) == 0;
  return SKY_OK;
}

static sky_status read_stretch(part_task *t, const size_t *first, size_t from, size_t to) {
  sky_context *ctx = t->ctx;
  sky_soundings all = {0}, one = {0};
  char *notes = NULL;
  work_done done = {.harmonised = true};
  sky_status st = SKY_OK;
  SKY_GO(sky_soundings_read_rows(ctx, t->path, first[from], first[to] - first[from], "processing",
                                 &notes, &all));
  if (t->ticket.gas[0] != '\0' && strcmp(t->ticket.gas, all.gas) != 0) {
    SKY_GO(sky_fail(ctx, SKY_E_GAS, "%s: holds soundings of %s, not of %s", t->path, all.gas,
                    t->ticket.gas));
  }
  if (notes != NULL) SKY_GO(parse_notes(t, notes, &done));
  sky_quality_noted(notes, done.quality, sizeof done.quality);
  for (size_t g = from; g < to; ++g) {
    if (!sky_product_wanted(t->product, all.granule_product[g])) continue;
    SKY_GO(
        sky_soundings_slice(ctx, &all, first[g] - first[from], first[g + 1] - first[g], g, &one));
    SKY_GO(finish(t, &one, &done));
    sky_soundings_free(&one);
  }
cleanup:
  sky_free(notes);
  sky_soundings_free(&one);
  sky_soundings_free(&all);
  return st;
}

/* A large file is handed back as ranges, which other workers read. */
static sky_status read_harmonised(part_task *t, char reason[200], sky_text *ranges,
                                  uint64_t *n_ranges) {
  sky_context *ctx = t->ctx;
  size_t n = 0, *first = NULL;
  sky_status st = SKY_OK;
  st = sky_soundings_choice(ctx, t->path, t->product, t->sel.quality);
  if (st == SKY_E_FORMAT && t->listed) {
    snprintf(reason, 200, "harmonised soundings without %s", t->product);
    sky_error_clear(ctx);
    return SKY_OK;
  }
  SKY_TRY(st);
  SKY_GO(sky_soundings_index(ctx, t->path, &n, &first));
  if (t->range.to > 0) {
    if (t->range.to > n)
      SKY_GO(sky_fail(ctx, SKY_E_READ, "%s: changed while it was read", t->path));
    SKY_GO(read_stretch(t, first, t->range.from, t->range.to));
  } else if (first[n] <= ROWS_PER_TASK) {
    SKY_GO(read_stretch(t, first, 0, n));
  } else {
    for (size_t a = 0, b; a < n; a = b) {
      for (b = a + 1; b < n && first[b + 1] - first[a] <= ROWS_PER_TASK;)
        ++b;
      const sky_range r = {a, b, first[a], first[b] - first[a]};
      sky_text_add(ranges, (const char *)&r, sizeof r);
      ++*n_ranges;
    }
  }
cleanup:
  sky_free(first);
  return st;
}

/* --- the task ----------------------------------------------------------------------------------
 */

enum {
  ARG_FOLDER,
  ARG_ID,
  ARG_PATH,
  ARG_PRODUCT,
  ARG_LISTED,
  ARG_SELECTION,
  ARG_QUALITY,
  ARG_DECLARED,
  ARG_RANGE,
  ARG_COUNT
};

static sky_status parse_task(sky_context *ctx, int argc, char **argv, part_task *t) {
  if (argc != ARG_COUNT)
    return sky_fail(ctx, SKY_E_INTERNAL, "part task: %d words, expected %d", argc, ARG_COUNT);
  *t = (part_task){.ctx = ctx,
                   .folder = argv[ARG_FOLDER],
                   .id = argv[ARG_ID],
                   .path = argv[ARG_PATH],
                   .product = argv[ARG_PRODUCT],
                   .listed = argv[ARG_LISTED][0] == '1'};
  int has_box;
  sky_selection *sel = &t->sel;
  if (sscanf(argv[ARG_SELECTION], "%d %lg %lg %lg %lg %lg %lg", &has_box, &sel->west, &sel->south,
             &sel->east, &sel->north, &sel->start, &sel->end) != 7)
    return sky_fail(ctx, SKY_E_INTERNAL, "part task: selection '%s'", argv[ARG_SELECTION]);
  sel->has_box = has_box != 0;
  sel->keep_dropped = true; /* a newer version may be the bad one */
  if (argv[ARG_QUALITY][0] != '\0') sel->quality = argv[ARG_QUALITY];
  if (argv[ARG_DECLARED][0] != '\0')
    SKY_TRY(sky_declared_parse(ctx, "products", argv[ARG_DECLARED], &t->declared));
  sel->declared = t->declared;
  sscanf(argv[ARG_RANGE], "%lu %lu", &t->range.from, &t->range.to);
  SKY_TRY(sky_ticket_read(ctx, t->folder, &t->ticket, &t->zones));
  sky_context_set_memory(ctx, t->ticket.memory);
  return SKY_OK;
}

/* Why a file of a folder that can be opened is no input; "" if it is one. */
static void pass_over(const part_task *t, const sky_granule_file *g, char reason[200]) {
  bool found = t->ticket.gas[0] == '\0';
  for (size_t k = 0; k < g->info.n_gases; ++k)
    found = found || strcmp(g->info.gases[k], t->ticket.gas) == 0;
  if (!found) snprintf(reason, 200, "%s without %s", g->info.product, t->ticket.gas);
}

static sky_status read_product(part_task *t, char reason[200]) {
  sky_granule_file g = {0};
  sky_soundings s = {0};
  size_t drops[SKY_DROP_COUNT];
  sky_status st = sky_granule_open(t->ctx, t->path, t->product, t->sel.declared, &g);
  if (st == SKY_E_FORMAT && t->listed) {
    snprintf(reason, 200, "no known product");
    sky_error_clear(t->ctx);
    return SKY_OK;
  }
  if (st != SKY_OK) return st;
  if (t->listed) pass_over(t, &g, reason);
  if (reason[0] == '\0') {
    SKY_GO(sky_granule_take(t->ctx, &g, t->ticket.gas, &t->sel, &s, drops));
    work_done none = {0};
    sky_quality_note(t->sel.quality, none.quality, sizeof none.quality);
    SKY_GO(finish(t, &s, &none));
  }
cleanup:
  sky_granule_close(&g);
  sky_soundings_free(&s);
  return st;
}

/* A file of ours; one that is no NetCDF is not, and the product readers say so. */
static sky_status recognise(const part_task *t, bool *harmonised) {
  *harmonised = false;
  const sky_status st = sky_soundings_recognise(t->ctx, t->path, harmonised);
  if (st != SKY_E_FORMAT) return st;
  sky_error_clear(t->ctx);
  return SKY_OK;
}

sky_status sky_task_part(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  part_task t = {0};
  sky_part_head head = {.n_parts = 0};
  sky_text answer = {.ctx = ctx}, ranges = {.ctx = ctx};
  bool harmonised;
  sky_status st = SKY_OK;
  SKY_GO(parse_task(ctx, argc, argv, &t));
  SKY_GO(recognise(&t, &harmonised));
  SKY_GO(harmonised ? read_harmonised(&t, head.passed_over, &ranges, &head.n_ranges)
                    : read_product(&t, head.passed_over));
  head.n_parts = t.n_parts;
  sky_text_add(&answer, (const char *)&head, sizeof head);
  if (t.n_parts > 0) sky_text_add(&answer, (const char *)t.part, t.n_parts * sizeof *t.part);
  if (ranges.length > 0) sky_text_add(&answer, ranges.data, ranges.length);
  if (ranges.failed || answer.failed) SKY_GO(SKY_E_NOMEM);
  *size = answer.length;
  SKY_GO_ALLOC(*blob, sky_text_take(&answer));
cleanup:
  sky_zones_free(&t.zones);
  sky_declared_free(t.declared);
  sky_free(t.part);
  sky_text_free(&answer);
  sky_text_free(&ranges);
  return st;
}
