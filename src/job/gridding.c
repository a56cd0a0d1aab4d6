/* gridding.c: see gridding.h. */
#include "src/job/gridding.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"

#define CHUNK ((size_t)131072) /* soundings that are in the grid's coordinates at a time */

typedef struct record { /* of a scratch file */
  sky_bin sums;
  uint64_t cell;
} record;

typedef struct run {
  FILE *file;
  record head;
  bool ended;
} run;

struct sky_gridding {
  sky_context *ctx;
  sky_level3 head;
  sky_bins *bins;
  char *scratch;
  size_t memory;
  run *run; /* [n_run] scratch files */
  size_t n_run;
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
  SKY_GO_ALLOC(g->scratch, sky_file_part(ctx, scratch));
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
  for (size_t i = 0; i < g->n_run; i++)
    fclose(g->run[i].file);
  sky_free(g->run);
  sky_bins_free(g->bins);
  sky_level3_free(&g->head);
  sky_free(g->scratch);
  sky_free(g);
}

const sky_level3 *sky_gridding_level3(sky_gridding *g) {
  return &g->head;
}

size_t sky_gridding_memory(const sky_gridding *g) {
  return sky_bins_memory(g->bins);
}

/* ---- scratch -------------------------------------------------------------------------------- */

static sky_status scratch_failed(sky_context *ctx, const sky_gridding *g) {
  return sky_fail(ctx, SKY_E_DISK, "%s: scratch file: %s", g->scratch, strerror(errno));
}

sky_status sky_gridding_spill(sky_context *ctx, sky_gridding *g) {
  run *grown = sky_realloc(ctx, g->run, g->n_run, g->n_run + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  g->run = grown;
  FILE *file = fopen(g->scratch, "w+b");
  if (file == NULL) return scratch_failed(ctx, g);
  remove(g->scratch); /* it goes with the process */
  g->run[g->n_run++] = (run){.file = file};
  const sky_bin *sums;
  for (size_t cell = 0; sky_bins_next(g->bins, &cell, &sums); cell++) {
    record r;
    memset(&r, 0, sizeof r);
    r.sums = *sums;
    r.cell = cell;
    if (fwrite(&r, sizeof r, 1, file) != 1) return scratch_failed(ctx, g);
  }
  if (fflush(file) != 0) return scratch_failed(ctx, g);
  sky_bins_clear(g->bins);
  return SKY_OK;
}

/* ---- reading off ---------------------------------------------------------------------------- */

static sky_status run_next(sky_gridding *g, run *r) {
  r->ended = fread(&r->head, sizeof r->head, 1, r->file) != 1;
  return r->ended && ferror(r->file) ? scratch_failed(g->ctx, g) : SKY_OK;
}

static sky_status source_rewind(void *user) {
  sky_gridding *g = user;
  g->at = 0;
  for (size_t i = 0; i < g->n_run; i++) {
    rewind(g->run[i].file);
    SKY_TRY(run_next(g, &g->run[i]));
  }
  return SKY_OK;
}

static sky_status source_next(void *user, size_t *cell, sky_bin *sums) {
  sky_gridding *g = user;
  const sky_bin *own = NULL;
  *cell = SIZE_MAX;
  if (sky_bins_next(g->bins, &g->at, &own))
    *cell = g->at;
  else
    g->at = g->head.grid.nx * g->head.grid.ny; /* not looked for again */
  for (size_t i = 0; i < g->n_run; i++)
    if (!g->run[i].ended && g->run[i].head.cell < *cell) *cell = (size_t)g->run[i].head.cell;
  if (*cell == SIZE_MAX) return SKY_OK;
  memset(sums, 0, sizeof *sums);
  if (own != NULL && g->at == *cell) {
    sky_bin_add(sums, own);
    g->at++;
  }
  for (size_t i = 0; i < g->n_run; i++) {
    if (g->run[i].ended || g->run[i].head.cell != *cell) continue;
    sky_bin_add(sums, &g->run[i].head.sums);
    SKY_TRY(run_next(g, &g->run[i]));
  }
  return SKY_OK;
}

sky_status sky_gridding_source(sky_context *ctx, sky_gridding *g, sky_bin_source *out) {
  *out = (sky_bin_source){g, source_rewind, source_next};
  (void)ctx;
  return source_rewind(g);
}

/* ---- soundings ------------------------------------------------------------------------------ */

typedef struct batch { /* good soundings of one kind: pixels, or points */
  size_t n;
  double *lon, *lat, *x, *y; /* [4*CHUNK] */
  double *value, *sigma;     /* [CHUNK] */
} batch;

static void batch_free(batch *b) {
  sky_free(b->lon);
  sky_free(b->lat);
  sky_free(b->x);
  sky_free(b->y);
  sky_free(b->value);
  sky_free(b->sigma);
}

static sky_status batch_make(sky_context *ctx, size_t n, batch *b) {
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(b->lon, SKY_NEW(ctx, double, 4 * n));
  SKY_GO_ALLOC(b->lat, SKY_NEW(ctx, double, 4 * n));
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
  SKY_TRY(sky_grid_from_lonlat(ctx, &g->head.grid, places, b->lon, b->lat, b->x, b->y));
  SKY_TRY(sky_bins_put(ctx, g->bins, b->n, points, b->x, b->y, b->value, b->sigma));
  b->n = 0;
  return sky_bins_memory(g->bins) > g->memory ? sky_gridding_spill(ctx, g) : SKY_OK;
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
      b->lon[b->n] = s->lon[i];
      b->lat[b->n] = s->lat[i];
    } else {
      memcpy(&b->lon[4 * b->n], &s->corner_lon[4 * i], 4 * sizeof *b->lon);
      memcpy(&b->lat[4 * b->n], &s->corner_lat[4 * i], 4 * sizeof *b->lat);
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

sky_status sky_gridding_put_level3(sky_context *ctx, sky_gridding *g, const sky_level3 *l, size_t n,
                                   const size_t *cell, const sky_bin *sums) {
  SKY_TRY(sky_level3_join(ctx, &g->head, l));
  *sky_bins_totals(g->bins) = g->head.total;
  for (size_t i = 0; i < n; i++)
    SKY_TRY(sky_bins_put_cell(ctx, g->bins, cell[i], &sums[i]));
  return sky_bins_memory(g->bins) > g->memory ? sky_gridding_spill(ctx, g) : SKY_OK;
}
