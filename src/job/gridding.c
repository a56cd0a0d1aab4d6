/* gridding.c: see gridding.h. */
#include "src/job/gridding.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

#define CHUNK ((size_t)131072) /* soundings that are in the grid's coordinates at a time */

struct sky_gridding {
  sky_context *ctx;
  sky_level3 head;
  sky_bins *bins;
  size_t memory;
  sky_bin_runs *runs;
  size_t at; /* reading: the next cell of bins */
};

sky_status sky_gridding_create(sky_context *ctx, sky_level3 *head, const char *scratch,
                               size_t memory, sky_gridding **out) {
  sky_status st = SKY_OK;
  *out = NULL;
  sky_gridding *g = SKY_NEW0(ctx, sky_gridding, 1);
  if (g == NULL) return SKY_E_NOMEM;
  g->ctx = ctx;
  g->memory = memory;
  SKY_GO(sky_bin_runs_create(ctx, scratch, &g->runs));
  g->head = *head;
  memset(head, 0, sizeof *head);
  SKY_GO(sky_bins_create(ctx, &g->head.grid, &g->head.options, &g->bins));
  *out = g;
  return SKY_OK;
cleanup:
  sky_gridding_free(g);
  return st;
}

void sky_gridding_free(sky_gridding *g) {
  if (g == NULL) return;
  sky_bin_runs_free(g->runs);
  sky_bins_free(g->bins);
  sky_level3_free(&g->head);
  sky_free(g);
}

const sky_level3 *sky_gridding_level3(sky_gridding *g) {
  return &g->head;
}

size_t sky_gridding_memory(const sky_gridding *g) {
  return sky_bins_memory(g->bins);
}

sky_status sky_gridding_spill(sky_gridding *g) {
  const sky_bin *sums;
  size_t cell = 0;
  if (!sky_bins_next(g->bins, &cell, &sums)) return SKY_OK;
  SKY_TRY(sky_bin_runs_add(g->runs, g->bins));
  sky_bins_clear(g->bins);
  return SKY_OK;
}

sky_bin_runs *sky_gridding_runs(const sky_gridding *g) {
  return g->runs;
}

/* ---- reading off ---------------------------------------------------------------------------- */

static sky_status source_rewind(void *user) {
  sky_gridding *g = user;
  g->at = 0;
  return sky_bin_runs_rewind(g->runs);
}

static sky_status source_next(void *user, size_t *cell, sky_bin *sums) {
  sky_gridding *g = user;
  const sky_bin *own = NULL;
  const size_t spilt = sky_bin_runs_peek(g->runs);
  if (!sky_bins_next(g->bins, &g->at, &own)) g->at = SIZE_MAX;
  *cell = g->at < spilt ? g->at : spilt;
  if (*cell == SIZE_MAX) return SKY_OK;
  memset(sums, 0, sizeof *sums);
  if (*cell == g->at) {
    sky_bin_add(sums, own);
    g->at++;
  }
  return *cell == spilt ? sky_bin_runs_take(g->runs, sums) : SKY_OK;
}

sky_status sky_gridding_source(sky_gridding *g, sky_bin_source *out) {
  *out = (sky_bin_source){.user = g, .rewind = source_rewind, .next = source_next};
  return source_rewind(g);
}

/* ---- soundings ------------------------------------------------------------------------------ */

typedef struct batch { /* good soundings of one kind: pixels, or points */
  size_t n;
  double *x, *y;         /* [4*CHUNK] longitude and latitude, then the grid's coordinates */
  double *value, *sigma; /* [CHUNK] */
} batch;

static void batch_free(batch *b) {
  sky_free(b->x);
  sky_free(b->y);
  sky_free(b->value);
  sky_free(b->sigma);
}

static sky_status batch_make(sky_context *ctx, size_t n, batch *b) {
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(b->x, SKY_NEW(ctx, double, 4 * n));
  SKY_GO_ALLOC(b->y, SKY_NEW(ctx, double, 4 * n));
  SKY_GO_ALLOC(b->value, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(b->sigma, SKY_NEW(ctx, double, n));
cleanup:
  return st;
}

static bool has_corners(const sky_soundings *s, size_t i) {
  if (s->corner_lon == NULL) return false;
  for (size_t k = 4 * i; k < 4 * i + 4; k++)
    if (!isnan(s->corner_lon[k]) || !isnan(s->corner_lat[k])) return true;
  return false;
}

static sky_status flush(sky_context *ctx, sky_gridding *g, batch *b, bool points) {
  const size_t places = points ? b->n : 4 * b->n;
  if (b->n == 0) return SKY_OK;
  SKY_TRY(sky_grid_from_lonlat(ctx, &g->head.grid, places, b->x, b->y, b->x, b->y));
  SKY_TRY(sky_bins_put(ctx, g->bins, b->n, points, b->x, b->y, b->value, b->sigma));
  b->n = 0;
  return sky_bins_memory(g->bins) > g->memory ? sky_gridding_spill(g) : SKY_OK;
}

static bool wanted(const sky_soundings *s, size_t i, double start, double end) {
  return s->drop[i] == SKY_DROP_NONE && !(s->time[i] < start) && !(s->time[i] >= end);
}

/* Pixels in one go, points in another. */
static sky_status put_kind(sky_context *ctx, sky_gridding *g, const sky_soundings *s, double start,
                           double end, bool points, batch *b) {
  for (size_t i = 0; i < s->n; i++) {
    if (!wanted(s, i, start, end) || has_corners(s, i) == points) continue;
    if (points) {
      b->x[b->n] = s->lon[i];
      b->y[b->n] = s->lat[i];
    } else {
      memcpy(&b->x[4 * b->n], &s->corner_lon[4 * i], 4 * sizeof *b->x);
      memcpy(&b->y[4 * b->n], &s->corner_lat[4 * i], 4 * sizeof *b->y);
    }
    b->value[b->n] = s->x[i];
    b->sigma[b->n++] = s->sigma[i];
    if (b->n == CHUNK) SKY_TRY(flush(ctx, g, b, points));
  }
  return flush(ctx, g, b, points);
}

static sky_status note_granules(sky_context *ctx, sky_gridding *g, const sky_soundings *s,
                                size_t source, double start, double end) {
  sky_status st = SKY_OK;
  double *first = NULL, *last = NULL;
  SKY_GO_ALLOC(first, SKY_NEW(ctx, double, s->n_granules));
  SKY_GO_ALLOC(last, SKY_NEW(ctx, double, s->n_granules));
  for (size_t k = 0; k < s->n_granules; k++)
    first[k] = last[k] = NAN;
  for (size_t i = 0; i < s->n; i++) {
    if (!wanted(s, i, start, end)) continue;
    first[s->granule[i]] = fmin(first[s->granule[i]], s->time[i]);
    last[s->granule[i]] = fmax(last[s->granule[i]], s->time[i]);
  }
  for (size_t k = 0; k < s->n_granules; k++)
    if (!isnan(first[k])) {
      const sky_level3_granule one = {s->granules[k], s->granule_product[k], first[k], last[k],
                                      source + k};
      SKY_GO(sky_level3_note(ctx, &g->head, &one));
    }
cleanup:
  sky_free(first);
  sky_free(last);
  return st;
}

static sky_status check_order(sky_context *ctx, const sky_bins_total *before,
                              const sky_bins_total *after) {
  const uint64_t n = after->n - before->n, crossed = after->crossed - before->crossed;
  if (2 * crossed > n)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "corners of %llu of %llu pixels are not in order: edges cross",
                    (unsigned long long)crossed, (unsigned long long)n);
  if (crossed > 0)
    sky_log(ctx, SKY_LOG_WARN, "%llu of %llu pixels left out: corners not in order",
            (unsigned long long)crossed, (unsigned long long)n);
  return SKY_OK;
}

sky_status sky_gridding_put(sky_context *ctx, sky_gridding *g, const sky_soundings *s,
                            size_t source, double start, double end) {
  const sky_bins_total before = *sky_bins_totals(g->bins);
  batch b = {0};
  sky_status st = SKY_OK;
  SKY_GO(note_granules(ctx, g, s, source, start, end));
  SKY_GO(batch_make(ctx, s->n < CHUNK ? s->n : CHUNK, &b));
  SKY_GO(put_kind(ctx, g, s, start, end, false, &b));
  SKY_GO(check_order(ctx, &before, sky_bins_totals(g->bins)));
  SKY_GO(put_kind(ctx, g, s, start, end, true, &b));
  g->head.total = *sky_bins_totals(g->bins);
cleanup:
  batch_free(&b);
  return st;
}

sky_status sky_gridding_put_level3(sky_context *ctx, sky_gridding *g, const sky_level3 *l,
                                   const sky_bin_source *source) {
  size_t cell, n = 0;
  sky_bin sums;
  SKY_TRY(sky_level3_join(ctx, &g->head, l));
  *sky_bins_totals(g->bins) = g->head.total;
  for (;;) {
    SKY_TRY(source->next(source->user, &cell, &sums));
    if (cell == SIZE_MAX) break;
    SKY_TRY(sky_bins_put_cell(ctx, g->bins, cell, &sums));
    if (++n % CHUNK == 0 && sky_bins_memory(g->bins) > g->memory) SKY_TRY(sky_gridding_spill(g));
  }
  return sky_bins_memory(g->bins) > g->memory ? sky_gridding_spill(g) : SKY_OK;
}
