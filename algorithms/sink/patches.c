/* patches.c: see patches.h; the rule is in patches.md.
 *
 * Invariant of the union-find: a root is the first run of its patch in the order of the rows. */
#include "algorithms/sink/patches.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"

#define AREA_TOLERANCE 1e-6 /* six cells of a hectare are 6 ha, whatever the last digits say */

typedef struct run {  /* cells from start on, up to the next run of the row */
  uint32_t start, up; /* up: a run of the same patch that stands before it, or itself */
  int32_t cls;
} run;

typedef struct border {          /* of a small patch */
  uint32_t patch, other, length; /* roots; edges of cells */
} border;

struct sky_patches {
  size_t nx, ny, row_capacity;
  bool diagonal;
  size_t *first; /* [ny+1] runs of each row */
  run *run;
  size_t n, capacity;
  double *area; /* [capacity] of the patch, at its root */
  border *border;
  size_t n_border, border_capacity;
};

sky_status sky_patches_create(sky_context *ctx, size_t nx, bool diagonal, sky_patches **out) {
  if (nx == 0 || nx >= UINT32_MAX)
    return sky_fail(ctx, SKY_E_SIZE, "%zu columns, expected 1 to %u", nx, UINT32_MAX - 1);
  sky_patches *p = SKY_NEW0(ctx, sky_patches, 1);
  if (p == NULL) return SKY_E_NOMEM;
  p->nx = nx;
  p->diagonal = diagonal;
  *out = p;
  return SKY_OK;
}

void sky_patches_free(sky_patches *p) {
  if (p == NULL) return;
  sky_free(p->first);
  sky_free(p->run);
  sky_free(p->area);
  sky_free(p->border);
  sky_free(p);
}

/* Of the runs and borders that there are; half as many again are asked for at a time. */
static sky_status within_budget(sky_context *ctx, size_t runs, size_t borders) {
  const double bytes =
      (double)runs * (sizeof(run) + sizeof(double)) + (double)borders * sizeof(border);
  if (bytes <= (double)sky_context_memory(ctx)) return SKY_OK;
  return sky_fail(ctx, SKY_E_NOMEM,
                  "patches of the map need more than the memory budget of %.3g MB (--memory): %zu "
                  "runs, %zu borders so far",
                  (double)sky_context_memory(ctx) / 1e6, runs, borders);
}

/* ---- runs ----------------------------------------------------------------------------------- */

static sky_status need_row(sky_context *ctx, sky_patches *p) {
  if (p->ny + 2 <= p->row_capacity) return SKY_OK;
  const size_t grown = 2 * p->row_capacity + 256;
  size_t *first = sky_realloc(ctx, p->first, p->row_capacity, grown, sizeof *first);
  if (first == NULL) return SKY_E_NOMEM;
  p->first = first;
  p->row_capacity = grown;
  if (p->ny == 0) p->first[0] = 0;
  return SKY_OK;
}

static sky_status need_runs(sky_context *ctx, sky_patches *p) {
  if (p->n + p->nx <= p->capacity) return SKY_OK;
  const size_t grown = p->capacity + p->capacity / 2 + p->nx;
  if (p->n + p->nx >= UINT32_MAX)
    return sky_fail(ctx, SKY_E_SIZE, "more than %u runs of equal classes", UINT32_MAX - 1);
  SKY_TRY(within_budget(ctx, grown, 0));
  run *r = sky_realloc(ctx, p->run, p->n, grown, sizeof *r);
  if (r == NULL) return SKY_E_NOMEM;
  p->run = r;
  double *a = sky_realloc(ctx, p->area, p->n, grown, sizeof *a);
  if (a == NULL) return SKY_E_NOMEM;
  p->area = a;
  p->capacity = grown;
  return SKY_OK;
}

static uint32_t root_of(sky_patches *p, uint32_t i) {
  while (p->run[i].up != i) {
    p->run[i].up = p->run[p->run[i].up].up; /* halves the way */
    i = p->run[i].up;
  }
  return i;
}

static void join(sky_patches *p, uint32_t i, uint32_t j) {
  const uint32_t a = root_of(p, i), b = root_of(p, j);
  if (a == b) return;
  const uint32_t low = a < b ? a : b, high = a < b ? b : a;
  p->run[high].up = low;
  p->area[low] += p->area[high];
}

static uint32_t end_of(const sky_patches *p, size_t row, size_t i) {
  return i + 1 < p->first[row + 1] ? p->run[i + 1].start : (uint32_t)p->nx;
}

/* Called for each pair of runs of two rows that touch: along `length` edges (0: at a corner). */
typedef sky_status (*touch_fn)(void *user, uint32_t above, uint32_t below, uint32_t length);

static sky_status each_touch(const sky_patches *p, size_t row, touch_fn fn, void *user) {
  size_t i = p->first[row - 1], j = p->first[row];
  while (i < p->first[row] && j < p->first[row + 1]) {
    const uint32_t e = end_of(p, row - 1, i), f = end_of(p, row, j);
    const uint32_t low = p->run[i].start > p->run[j].start ? p->run[i].start : p->run[j].start;
    SKY_TRY(fn(user, (uint32_t)i, (uint32_t)j, (e < f ? e : f) - low));
    if (e == f && i + 1 < p->first[row] && j + 1 < p->first[row + 1]) {
      SKY_TRY(fn(user, (uint32_t)i, (uint32_t)j + 1, 0));
      SKY_TRY(fn(user, (uint32_t)i + 1, (uint32_t)j, 0));
    }
    if (e <= f) i++;
    if (f <= e) j++;
  }
  return SKY_OK;
}

static sky_status join_equal(void *user, uint32_t i, uint32_t j, uint32_t length) {
  sky_patches *p = user;
  if (p->run[i].cls == p->run[j].cls && p->run[i].cls != SKY_PATCH_NODATA &&
      (length > 0 || p->diagonal))
    join(p, i, j);
  return SKY_OK;
}

sky_status sky_patches_add(sky_context *ctx, sky_patches *p, const int32_t *cls,
                           const double *area) {
  SKY_TRY(need_row(ctx, p));
  SKY_TRY(need_runs(ctx, p));
  for (size_t x = 0; x < p->nx; x++) {
    if (x == 0 || cls[x] != cls[x - 1]) {
      p->run[p->n] = (run){(uint32_t)x, (uint32_t)p->n, cls[x]};
      p->area[p->n++] = 0;
    }
    p->area[p->n - 1] += area[x];
  }
  p->first[++p->ny] = p->n;
  return p->ny > 1 ? each_touch(p, p->ny - 1, join_equal, p) : SKY_OK;
}

/* ---- borders -------------------------------------------------------------------------------- */

typedef struct finishing {
  sky_context *ctx;
  sky_patches *p;
  double minimum;
} finishing;

static bool is_small(const sky_patches *p, uint32_t root, double minimum) {
  return p->run[root].cls != SKY_PATCH_NODATA && p->area[root] < minimum * (1 - AREA_TOLERANCE);
}

static sky_status add_border(finishing *f, uint32_t patch, uint32_t other, uint32_t length) {
  sky_patches *p = f->p;
  if (!is_small(p, patch, f->minimum) || p->run[other].cls == SKY_PATCH_NODATA) return SKY_OK;
  if (p->n_border == p->border_capacity) {
    const size_t grown = p->border_capacity + p->border_capacity / 2 + 1024;
    SKY_TRY(within_budget(f->ctx, p->capacity, grown));
    border *b = sky_realloc(f->ctx, p->border, p->n_border, grown, sizeof *b);
    if (b == NULL) return SKY_E_NOMEM;
    p->border = b;
    p->border_capacity = grown;
  }
  p->border[p->n_border++] = (border){patch, other, length};
  return SKY_OK;
}

static sky_status add_pair(void *user, uint32_t i, uint32_t j, uint32_t length) {
  finishing *f = user;
  const uint32_t a = root_of(f->p, i), b = root_of(f->p, j);
  if (a == b || length == 0) return SKY_OK;
  SKY_TRY(add_border(f, a, b, length));
  return add_border(f, b, a, length);
}

static sky_status find_borders(finishing *f) {
  sky_patches *p = f->p;
  for (size_t row = 0; row < p->ny; row++) {
    for (size_t i = p->first[row]; i + 1 < p->first[row + 1]; i++)
      SKY_TRY(add_pair(f, (uint32_t)i, (uint32_t)i + 1, 1));
    if (row > 0) SKY_TRY(each_touch(p, row, add_pair, f));
  }
  return SKY_OK;
}

static int compare(const void *x, const void *y) {
  const border *a = x, *b = y;
  if (a->patch != b->patch) return a->patch < b->patch ? -1 : 1;
  return (a->other > b->other) - (a->other < b->other);
}

/* ---- what small patches become --------------------------------------------------------------- */

typedef struct vote {
  int32_t cls;
  uint64_t length;
} vote;

/* The class along most of the border with patches that are settled; of equal ones the lowest.
 * Borders first..end-1 are those of one patch; votes: room for as many. */
static bool decide(const sky_patches *p, const uint8_t *open, size_t first, size_t end, vote *votes,
                   int32_t *out) {
  size_t n = 0;
  uint64_t best = 0;
  for (size_t k = first; k < end; k++) {
    const border *b = &p->border[k];
    size_t v = 0;
    if (open[b->other]) continue;
    while (v < n && votes[v].cls != p->run[b->other].cls)
      v++;
    if (v == n) votes[n++] = (vote){p->run[b->other].cls, 0};
    votes[v].length += b->length;
  }
  for (size_t v = 0; v < n; v++) {
    if (votes[v].length < best || (votes[v].length == best && votes[v].cls >= *out)) continue;
    best = votes[v].length;
    *out = votes[v].cls;
  }
  return n > 0;
}

typedef struct settling {
  uint8_t *open;    /* [runs] small, not settled */
  int32_t *next;    /* [runs] what it becomes at the end of the round */
  uint8_t *settled; /* [runs] in this round */
  vote *votes;
} settling;

/* One round; how many were settled. */
static size_t settle(sky_patches *p, settling *s) {
  size_t n = 0;
  for (size_t k = 0; k < p->n_border;) {
    const uint32_t patch = p->border[k].patch;
    size_t end = k;
    while (end < p->n_border && p->border[end].patch == patch)
      end++;
    if (s->open[patch] && decide(p, s->open, k, end, s->votes, &s->next[patch])) {
      s->settled[patch] = 1;
      n++;
    }
    k = end;
  }
  for (size_t k = 0; k < p->n_border && n > 0; k++) {
    const uint32_t patch = p->border[k].patch;
    if (!s->settled[patch]) continue;
    p->run[patch].cls = s->next[patch];
    s->settled[patch] = s->open[patch] = 0;
  }
  return n;
}

static size_t most_borders(const sky_patches *p) {
  size_t most = 0;
  for (size_t k = 0; k < p->n_border;) {
    size_t end = k;
    while (end < p->n_border && p->border[end].patch == p->border[k].patch)
      end++;
    most = end - k > most ? end - k : most;
    k = end;
  }
  return most;
}

static sky_status settle_all(sky_context *ctx, sky_patches *p, uint8_t *open,
                             sky_patch_report *report) {
  sky_status st = SKY_OK;
  settling s = {.open = open};
  SKY_GO_ALLOC(s.next, SKY_NEW(ctx, int32_t, p->n));
  SKY_GO_ALLOC(s.settled, SKY_NEW0(ctx, uint8_t, p->n));
  SKY_GO_ALLOC(s.votes, SKY_NEW(ctx, vote, most_borders(p)));
  while (settle(p, &s) > 0)
    report->rounds++;
cleanup:
  sky_free(s.next);
  sky_free(s.settled);
  sky_free(s.votes);
  return st;
}

static void count(const sky_patches *p, double minimum, uint8_t *open, sky_patch_report *r) {
  for (size_t i = 0; i < p->n; i++) {
    if (p->run[i].up != i || p->run[i].cls == SKY_PATCH_NODATA) continue;
    r->n++;
    r->area += p->area[i];
    if (!is_small(p, (uint32_t)i, minimum)) continue;
    open[i] = 1;
    r->small++;
    r->small_area += p->area[i];
  }
}

sky_status sky_patches_finish(sky_context *ctx, sky_patches *p, double minimum, bool mask,
                              sky_patch_report *report) {
  sky_status st = SKY_OK;
  uint8_t *open = NULL;
  finishing f = {ctx, p, minimum};
  *report = (sky_patch_report){0};
  SKY_GO_ALLOC(open, SKY_NEW0(ctx, uint8_t, p->n));
  count(p, minimum, open, report);
  if (!mask) {
    SKY_GO(find_borders(&f));
    if (p->n_border > 1) qsort(p->border, p->n_border, sizeof *p->border, compare);
    SKY_GO(settle_all(ctx, p, open, report));
  }
  for (size_t i = 0; i < p->n; i++) {
    if (!open[i]) continue;
    if (mask) p->run[i].cls = SKY_PATCH_NODATA;
    report->kept += !mask;
    report->kept_area += mask ? 0 : p->area[i];
  }
  report->changed = report->small_area - report->kept_area;
cleanup:
  sky_free(open);
  return st;
}

void sky_patches_row(const sky_patches *p, size_t y, int32_t *out) {
  for (size_t i = p->first[y]; i < p->first[y + 1]; i++) {
    uint32_t root = (uint32_t)i;
    while (p->run[root].up != root)
      root = p->run[root].up;
    for (uint32_t x = p->run[i].start; x < end_of(p, y, i); x++)
      out[x] = p->run[root].cls;
  }
}
