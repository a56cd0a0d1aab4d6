/* raster_pass.c: the tile loop of the raster engine.
 *
 * A tile row is the set of tiles beside each other. Tiles are handed out in order. Parts wait in a
 * table of their tile row until all its tiles are mapped and the rows above are merged; whoever
 * finishes a row merges it while the others go on. What waits is bounded: a tile of a later row is
 * not begun before its parts have room. So decoding and computing overlap with merging, and with
 * encoding where map writes. */
#include "src/engine/raster_pass.h"

#include <gdal.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "src/core/memory.h"

typedef struct pass {
  sky_raster_set *set;
  const sky_raster_kernel *kernel;
  const sky_pass_options *options;
  const char *task;
  const sky_grid *grid;
  size_t n;              /* inputs */
  size_t bands, columns; /* blocks */
  size_t band0, band1;   /* of this shard */
  size_t tile_y, tile_x; /* blocks of a tile */
  size_t rows, row_tiles;
  int threads;
  size_t *todo, n_todo; /* tiles with blocks that are wanted and not in the journal; ascending */
  sky_journal *journal; /* appended to, or joined shards */

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t change;
  size_t next;         /* of todo, to be handed out */
  size_t next_row;     /* to merge */
  bool merging;        /* one thread is at it */
  double waiting;      /* bytes of parts, and what is reserved for tiles in work */
  double allowance;    /* for them */
  void ***parts;       /* [rows] of [tile_y*columns], NULL without any */
  double *row_waiting; /* [rows] */
  size_t *open;        /* [rows] tiles not mapped yet */
  size_t blocks, unread;
  sky_status status; /* first failure, by tile */
  size_t failed_tile;
  char message[512];
} pass;

static size_t round_up(size_t v, size_t step) {
  return (v + step - 1) / step * step;
}
static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}
static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* ---- the plan ------------------------------------------------------------------------------- */

typedef struct plan {
  size_t x, y; /* cells of a tile */
  int threads;
  double budget, fixed, worker, parts; /* bytes: of the whole, of a thread, of a row's parts */
} plan;

static double worker_bytes(const pass *p, size_t x, size_t y) {
  double sum = (double)p->kernel->worker_bytes;
  for (size_t i = 0; i < p->n; i++) {
    const sky_raster_facts *f = sky_raster_set_facts(p->set, i);
    sum += (double)sky_source_bytes(sky_raster_set_source(p->set, i), x, y);
    sum += sizeof(double) * (SKY_BAND * SKY_BAND + (double)p->grid->nx + (double)p->grid->ny);
    sum += (double)f->pixel_bytes * (double)f->block_x * (double)f->block_y; /* the driver's */
  }
  return sum;
}

static double fixed_bytes(const pass *p, double cache) {
  double sum = (double)p->kernel->fixed_bytes;
  sum += (double)p->bands * (double)p->columns * 8; /* list of tiles, table of parts */
  if (p->journal != NULL) sum += (double)sky_journal_count(p->journal) * sizeof(sky_journal_record);
  return sum + cache;
}

static bool fits(const pass *p, plan *a) {
  a->worker = worker_bytes(p, a->x, a->y);
  const size_t side =
      p->options->shard.shards > 0 ? a->x / SKY_BAND * (size_t)a->threads : p->columns;
  a->parts = (double)p->kernel->part_bytes * (double)(a->y / SKY_BAND * side);
  return a->fixed + a->worker * a->threads + a->parts <= a->budget;
}

/* Tiles hold whole native blocks as far as the budget allows; strips make them as wide as the
 * file. */
static void wish(const pass *p, size_t tile, plan *a) {
  const size_t nx = round_up(p->grid->nx, SKY_BAND), ny = round_up(p->grid->ny, SKY_BAND);
  bool strips = false;
  a->x = a->y = tile;
  for (size_t i = 0; i < p->n; i++) {
    const sky_raster_facts *f = sky_raster_set_facts(p->set, i);
    if (!f->native) continue;
    a->x = larger(a->x, round_up(f->block_x, SKY_BAND));
    a->y = larger(a->y, round_up(f->block_y, SKY_BAND));
    strips |= f->block_x > tile && f->block_x >= p->grid->nx;
  }
  if (strips) a->y = SKY_BAND; /* wide enough to be large */
  for (size_t i = 0; i < p->n && strips; i++)
    a->y = larger(a->y, round_up(sky_raster_set_facts(p->set, i)->block_y, SKY_BAND));
  a->x = smaller(a->x, nx);
  a->y = smaller(a->y, ny);
}

/* GDAL's block cache serves drivers without blocks of their own (VRT) alone. */
static double cache_bytes(const pass *p, double budget) {
  bool needed = false;
  for (size_t i = 0; i < p->n; i++)
    needed |= !sky_raster_set_facts(p->set, i)->native;
  if (!needed) return 0;
  if ((double)GDALGetCacheMax64() > budget / 8) GDALSetCacheMax64((GIntBig)(budget / 8));
  return (double)GDALGetCacheMax64();
}

static sky_status make_plan(sky_context *ctx, pass *p, size_t tile, plan *a) {
  *a = (plan){.threads = sky_context_threads(ctx), .budget = (double)sky_context_memory(ctx)};
  a->fixed = fixed_bytes(p, cache_bytes(p, a->budget));
  wish(p, tile, a);
  while (!fits(p, a)) {
    if (a->y > SKY_BAND)
      a->y = round_up(a->y / 2, SKY_BAND);
    else if (a->threads > 1)
      a->threads--;
    else if (a->x > SKY_BAND)
      a->x = round_up(a->x / 2, SKY_BAND);
    else
      return sky_fail(ctx, SKY_E_NOMEM,
                      "%s: blocks of %d x %d cells need %.0f MB, their parts %.0f MB, all else "
                      "%.0f MB; the memory budget is %.0f MB",
                      p->task, SKY_BAND, SKY_BAND, a->worker * 1e-6, a->parts * 1e-6,
                      a->fixed * 1e-6, a->budget * 1e-6);
  }
  p->tile_x = a->x / SKY_BAND;
  p->tile_y = a->y / SKY_BAND;
  p->rows = (p->band1 - p->band0 + p->tile_y - 1) / p->tile_y;
  p->row_tiles = (p->columns + p->tile_x - 1) / p->tile_x;
  p->threads = a->threads;
  const double rest = a->budget - a->fixed - a->worker * a->threads - a->parts;
  p->allowance = a->parts + fmin(a->parts, rest);
  return SKY_OK;
}

static void log_plan(sky_context *ctx, const pass *p, const plan *a) {
  if (p->n_todo == 0) return;
  sky_log(ctx, SKY_LOG_INFO,
          "%s: %zu tiles of %zu x %zu cells, %d thread%s of %.0f MB, %.0f MB for parts in waiting, "
          "%.0f MB for all else; the memory budget is %.0f MB",
          p->task, p->n_todo, a->x, a->y, a->threads, a->threads == 1 ? "" : "s", a->worker * 1e-6,
          a->parts * 1e-6, a->fixed * 1e-6, a->budget * 1e-6);
}

/* Cells of a rectangle of blocks. */
static sky_window window_of(const pass *p, size_t band, size_t bands, size_t column,
                            size_t columns) {
  const sky_grid *g = p->grid;
  const size_t top = band * SKY_BAND, end = smaller((band + bands) * SKY_BAND, g->ny);
  const size_t x0 = column * SKY_BAND, x1 = smaller((column + columns) * SKY_BAND, g->nx);
  return (sky_window){x0, g->ny - end, x1 - x0, end - top};
}

static bool wanted(const pass *p, const sky_window *w) {
  return p->kernel->wanted == NULL || p->kernel->wanted(p->kernel->user, w);
}

/* ---- shards --------------------------------------------------------------------------------- */

/* The first band of shard i (from 0), so that all have about the same number of wanted blocks: it
 * depends on the grid and the kernel alone. before: [bands+1] wanted blocks above a band. */
static size_t first_band(const pass *p, const size_t *before, size_t i, size_t shards) {
  size_t b = 0;
  if (i == shards) return p->bands;
  while (before[b] * shards < before[p->bands] * i)
    b++;
  return b;
}

static sky_status deal_bands(sky_context *ctx, pass *p) {
  const sky_shard s = p->options->shard;
  p->band1 = p->bands;
  if (s.shards == 0) return SKY_OK;
  if (s.shard < 1 || s.shard > s.shards)
    return sky_fail(ctx, SKY_E_USAGE, "shard %zu is not one of 1 to %zu", s.shard, s.shards);
  size_t *before = SKY_NEW0(ctx, size_t, p->bands + 1);
  if (before == NULL) return SKY_E_NOMEM;
  for (size_t b = 0; b < p->bands; b++) {
    before[b + 1] = before[b];
    for (size_t c = 0; c < p->columns; c++) {
      const sky_window w = window_of(p, b, 1, c, 1);
      before[b + 1] += wanted(p, &w);
    }
  }
  p->band0 = first_band(p, before, s.shard - 1, s.shards);
  p->band1 = first_band(p, before, s.shard, s.shards);
  sky_free(before);
  return SKY_OK;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

typedef struct blocks { /* a tile */
  size_t row, band, bands, column, columns;
} blocks;

static blocks tile_of(const pass *p, size_t index) {
  blocks t = {.row = index / p->row_tiles, .column = index % p->row_tiles * p->tile_x};
  t.band = p->band0 + t.row * p->tile_y;
  t.bands = smaller(p->tile_y, p->band1 - t.band);
  t.columns = smaller(p->tile_x, p->columns - t.column);
  return t;
}

static bool is_done(const pass *p, size_t block) {
  return p->journal != NULL && sky_journal_find(p->journal, block) != NULL;
}

/* Whether a tile has a block to be mapped. */
static bool is_open(const pass *p, size_t index) {
  const blocks t = tile_of(p, index);
  const sky_window all = window_of(p, t.band, t.bands, t.column, t.columns);
  if (!wanted(p, &all)) return false;
  if (p->journal == NULL || sky_journal_count(p->journal) == 0) return true;
  for (size_t b = t.band; b < t.band + t.bands; b++) {
    for (size_t c = t.column; c < t.column + t.columns; c++) {
      const sky_window w = window_of(p, b, 1, c, 1);
      if (!is_done(p, b * p->columns + c) && wanted(p, &w)) return true;
    }
  }
  return false;
}

static sky_status list_tiles(sky_context *ctx, pass *p) {
  p->todo = SKY_NEW(ctx, size_t, p->rows * p->row_tiles);
  p->open = SKY_NEW0(ctx, size_t, p->rows);
  p->parts = SKY_NEW0(ctx, void **, p->rows);
  p->row_waiting = SKY_NEW0(ctx, double, p->rows);
  if (p->todo == NULL || p->open == NULL || p->parts == NULL || p->row_waiting == NULL)
    return SKY_E_NOMEM;
  for (size_t i = 0; i < p->rows * p->row_tiles; i++) {
    if (!is_open(p, i)) continue;
    p->todo[p->n_todo++] = i;
    p->open[i / p->row_tiles]++;
  }
  p->threads = (int)smaller((size_t)p->threads, larger(p->n_todo, 1));
  return SKY_OK;
}

/* ---- one tile ------------------------------------------------------------------------------- */

typedef struct worker {
  sky_source **source; /* [inputs] */
  size_t n_own;        /* of them, to be closed */
  void **pixel;        /* [inputs] one block each */
  void *kernel;
  sky_text bytes, records; /* one packed part; the tile's records for the journal */
  size_t blocks, unread;   /* of the tile */
  double size;             /* of its parts */
} worker;

static void worker_stop(const pass *p, worker *w) {
  for (size_t i = 0; i < w->n_own; i++)
    sky_source_close(w->source[i]);
  for (size_t i = 0; i < p->n && w->pixel != NULL; i++)
    sky_free(w->pixel[i]);
  sky_free(w->source);
  sky_free(w->pixel);
  sky_text_free(&w->bytes);
  sky_text_free(&w->records);
  if (w->kernel != NULL && p->kernel->stop != NULL) p->kernel->stop(w->kernel);
}

/* The first worker reads with the set's own handles. */
static sky_status worker_start(sky_context *ctx, const pass *p, bool first, worker *w) {
  *w = (worker){.bytes = {.ctx = ctx}, .records = {.ctx = ctx}};
  w->pixel = SKY_NEW0(ctx, void *, p->n);
  w->source = SKY_NEW0(ctx, sky_source *, p->n);
  if (w->pixel == NULL || w->source == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n; i++) {
    w->pixel[i] = SKY_NEW(ctx, double, SKY_BAND *SKY_BAND);
    if (w->pixel[i] == NULL) return SKY_E_NOMEM;
    if (first) {
      w->source[i] = sky_raster_set_source(p->set, i);
    } else {
      SKY_TRY(sky_raster_set_reopen(ctx, p->set, i, &w->source[i]));
      w->n_own++;
    }
  }
  return p->kernel->start != NULL ? p->kernel->start(ctx, p->kernel->user, &w->kernel) : SKY_OK;
}

/* Why a block is unread; NULL: it is not. */
static const char *unread_reason(const pass *p, const worker *w, const sky_window *window,
                                 const char **path) {
  for (size_t i = 0; i < p->n; i++) {
    const char *reason = sky_source_bad(w->source[i], window);
    *path = sky_raster_set_input(p->set, i)->path;
    if (reason != NULL) return reason;
  }
  return NULL;
}

static sky_status keep_part(sky_context *ctx, const pass *p, worker *w, size_t block, bool unread,
                            const void *part) {
  w->bytes.length = 0;
  if (part != NULL) SKY_TRY(p->kernel->pack(ctx, p->kernel->user, part, &w->bytes));
  if (w->bytes.failed) return SKY_E_NOMEM;
  sky_journal_put(&w->records, block, unread, &w->bytes);
  return w->records.failed ? SKY_E_NOMEM : SKY_OK;
}

static sky_status map_block(sky_context *ctx, pass *p, worker *w, size_t band, size_t column,
                            void **part) {
  sky_raster_block b = {.index = band * p->columns + column,
                        .band = band,
                        .column = column,
                        .window = window_of(p, band, 1, column, 1),
                        .source = (const sky_source *const *)w->source};
  if (!wanted(p, &b.window) || is_done(p, b.index)) return SKY_OK;
  const char *path = "", *reason = unread_reason(p, w, &b.window, &path);
  if (reason == NULL) {
    b.pixel = (const void *const *)w->pixel;
    for (size_t i = 0; i < p->n && !p->kernel->unconverted; i++)
      SKY_TRY(sky_source_convert(ctx, w->source[i], &b.window, w->pixel[i]));
  } else {
    sky_log(ctx, SKY_LOG_WARN, "%s: block at line %zu, column %zu cannot be read: %s", path,
            band * SKY_BAND, column * SKY_BAND, reason);
  }
  w->blocks++;
  w->unread += reason != NULL;
  SKY_TRY(p->kernel->map(ctx, p->kernel->user, w->kernel, &b, part));
  if (*part != NULL)
    w->size += (double)(p->kernel->part_size != NULL ? p->kernel->part_size(*part)
                                                     : p->kernel->part_bytes);
  return p->journal != NULL ? keep_part(ctx, p, w, b.index, reason != NULL, *part) : SKY_OK;
}

static sky_status map_tile(sky_context *ctx, pass *p, worker *w, const blocks *t, void **parts) {
  const sky_window window = window_of(p, t->band, t->bands, t->column, t->columns);
  w->records.length = w->blocks = w->unread = 0;
  w->size = 0;
  for (size_t i = 0; i < p->n; i++)
    SKY_TRY(sky_source_load(ctx, w->source[i], &window));
  for (size_t b = 0; b < t->bands; b++) {
    if (sky_cancelled(ctx)) return sky_fail(ctx, SKY_E_CANCELLED, "cancelled");
    for (size_t c = t->column; c < t->column + t->columns; c++)
      SKY_TRY(map_block(ctx, p, w, t->band + b, c, &parts[b * p->columns + c]));
  }
  return p->journal != NULL ? sky_journal_append(ctx, p->journal, &w->records) : SKY_OK;
}

/* ---- merging -------------------------------------------------------------------------------- */

static void drop(const pass *p, void **part) {
  if (*part != NULL && p->kernel->drop != NULL) p->kernel->drop(*part);
  *part = NULL;
}

static void drop_row(const pass *p, void **parts) {
  for (size_t i = 0; i < p->tile_y * p->columns && parts != NULL; i++)
    drop(p, &parts[i]);
  sky_free(parts);
}

/* The part of a block that the journal has, if it has one. */
static sky_status restore(sky_context *ctx, const pass *p, size_t block, sky_text *bytes,
                          void **part) {
  const sky_journal_record *r = sky_journal_find(p->journal, block);
  if (r == NULL || r->size == 0) return SKY_OK;
  SKY_TRY(sky_journal_read(ctx, p->journal, r, bytes));
  return p->kernel->unpack(ctx, p->kernel->user, bytes->data, bytes->length, part);
}

static sky_status merge_row(sky_context *ctx, const pass *p, size_t row, void **parts) {
  const bool restoring = p->journal != NULL && sky_journal_count(p->journal) > 0;
  const size_t band0 = p->band0 + row * p->tile_y;
  const size_t n = smaller(p->tile_y, p->band1 - band0) * p->columns;
  sky_text bytes = {.ctx = ctx};
  sky_status st = SKY_OK;
  if (sky_cancelled(ctx)) st = sky_fail(ctx, SKY_E_CANCELLED, "cancelled");
  for (size_t i = 0; i < n && st == SKY_OK && (parts != NULL || restoring); i++) {
    const size_t block = band0 * p->columns + i;
    void *part = parts != NULL ? parts[i] : NULL;
    if (parts != NULL) parts[i] = NULL;
    if (part == NULL && restoring) st = restore(ctx, p, block, &bytes, &part);
    if (part == NULL || st != SKY_OK) continue;
    if (p->kernel->merge != NULL && p->options->shard.shards == 0)
      st = p->kernel->merge(ctx, p->kernel->user, block, part);
    else
      drop(p, &part);
  }
  sky_text_free(&bytes);
  drop_row(p, parts);
  return st;
}

/* The message of a failure belongs to the thread that had it: keep the first tile's one. */
static void note_failure(sky_context *ctx, pass *p, sky_status st, size_t tile) {
  pthread_cond_broadcast(&p->change);
  if (p->status != SKY_OK && tile >= p->failed_tile) return;
  p->status = st;
  p->failed_tile = tile;
  strncpy(p->message, sky_error(ctx), sizeof p->message - 1);
}

/* Merge the rows that are complete, unless another thread does. The mutex is held, but not during
 * the merging. */
static void merge_ready(sky_context *ctx, pass *p) {
  if (p->merging) return;
  p->merging = true;
  while (p->status == SKY_OK && p->next_row < p->rows && p->open[p->next_row] == 0) {
    const size_t row = p->next_row;
    void **parts = p->parts[row];
    p->parts[row] = NULL;
    pthread_mutex_unlock(&p->mutex);
    const sky_status st = merge_row(ctx, p, row, parts);
    pthread_mutex_lock(&p->mutex);
    if (st != SKY_OK) note_failure(ctx, p, st, row * p->row_tiles);
    p->waiting -= p->row_waiting[row];
    p->next_row++;
    pthread_cond_broadcast(&p->change);
  }
  p->merging = false;
}

/* ---- all tiles ------------------------------------------------------------------------------ */

static double reserve_of(const pass *p, const blocks *t) {
  return (double)p->kernel->part_bytes * (double)(t->bands * t->columns);
}

/* The next tile, as soon as its parts have room: those of the row that is to be merged next always
 * have. false: there is none, or a failure. */
static bool take_tile(sky_context *ctx, pass *p, size_t *index, void ***parts) {
  blocks t;
  bool taken = false;
  pthread_mutex_lock(&p->mutex);
  while (p->status == SKY_OK && p->next < p->n_todo) {
    *index = p->todo[p->next];
    t = tile_of(p, *index);
    taken = t.row == p->next_row || p->waiting + reserve_of(p, &t) <= p->allowance;
    if (taken) break;
    pthread_cond_wait(&p->change, &p->mutex);
  }
  if (taken) {
    p->next++;
    p->waiting += reserve_of(p, &t);
    if (p->parts[t.row] == NULL) p->parts[t.row] = SKY_NEW0(ctx, void *, p->tile_y * p->columns);
    *parts = p->parts[t.row];
    if (*parts == NULL) note_failure(ctx, p, SKY_E_NOMEM, *index);
    taken = *parts != NULL;
  }
  pthread_mutex_unlock(&p->mutex);
  return taken;
}

static void finish_tile(sky_context *ctx, pass *p, const worker *w, size_t index, sky_status st) {
  const blocks t = tile_of(p, index);
  pthread_mutex_lock(&p->mutex);
  if (st != SKY_OK) note_failure(ctx, p, st, index);
  p->blocks += w->blocks;
  p->unread += w->unread;
  p->waiting += w->size - reserve_of(p, &t);
  p->row_waiting[t.row] += w->size;
  p->open[t.row]--;
  merge_ready(ctx, p);
  pthread_mutex_unlock(&p->mutex);
}

/* Parts of a shard are in its journal now. */
static void drop_tile(const pass *p, worker *w, const blocks *t, void **parts) {
  for (size_t b = 0; b < t->bands; b++)
    for (size_t c = t->column; c < t->column + t->columns; c++)
      drop(p, &parts[b * p->columns + c]);
  w->size = 0;
}

static void work(sky_context *ctx, pass *p, worker *w) {
  size_t index;
  void **parts;
  while (take_tile(ctx, p, &index, &parts)) {
    const blocks t = tile_of(p, index);
    sky_status st = map_tile(ctx, p, w, &t, parts);
    if (p->options->shard.shards > 0) drop_tile(p, w, &t, parts);
    if (st == SKY_OK) st = sky_progress_step(ctx, 1);
    finish_tile(ctx, p, w, index, st);
  }
}

static void run(sky_context *ctx, pass *p) {
  bool first_taken = false;
  sky_progress_begin(ctx, p->task, p->n_todo);
#pragma omp parallel num_threads(p->threads)
  {
    worker w;
    pthread_mutex_lock(&p->mutex);
    const bool first = !first_taken;
    first_taken = true;
    if (first) merge_ready(ctx, p); /* rows without a tile to be mapped */
    pthread_mutex_unlock(&p->mutex);
    const sky_status st = worker_start(ctx, p, first, &w);
    if (st == SKY_OK) {
      work(ctx, p, &w);
    } else {
      pthread_mutex_lock(&p->mutex);
      note_failure(ctx, p, st, 0);
      pthread_mutex_unlock(&p->mutex);
    }
    worker_stop(p, &w);
  }
  sky_progress_end(ctx);
}

/* ---- the pass ------------------------------------------------------------------------------- */

/* What the parts depend on. */
static sky_status make_stamp(sky_context *ctx, const pass *p, char **out) {
  sky_text t = {.ctx = ctx};
  if (p->options->stamp != NULL) sky_text_put(&t, p->options->stamp);
  const sky_status st = sky_raster_set_stamp(ctx, p->set, &t);
  if (st != SKY_OK) {
    sky_text_free(&t);
    return st;
  }
  *out = sky_text_take(&t);
  return *out != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status open_journal(sky_context *ctx, pass *p) {
  const sky_pass_options *o = p->options;
  char *stamp = NULL;
  if (o->journal == NULL && o->n_join == 0) return SKY_OK;
  if (p->kernel->pack == NULL || p->kernel->unpack == NULL)
    return sky_fail(ctx, SKY_E_INTERNAL, "%s: its parts cannot be kept", p->task);
  SKY_TRY(make_stamp(ctx, p, &stamp));
  const sky_status st =
      o->n_join > 0 ? sky_journal_join(ctx, o->join, o->n_join, stamp, &p->journal)
                    : sky_journal_open(ctx, o->journal, o->shard, stamp, o->fresh, &p->journal);
  sky_free(stamp);
  SKY_TRY(st);
  p->blocks = sky_journal_count(p->journal);
  p->unread = sky_journal_unread(p->journal);
  if (o->n_join == 0 && p->blocks > 0)
    sky_log(ctx, SKY_LOG_INFO, "%s: resuming after %zu blocks that are in %s", p->task, p->blocks,
            o->journal);
  return SKY_OK;
}

/* A failure that has to do with the machine (codes of 500 to 599) leaves the journal. */
static sky_status tell_failure(sky_context *ctx, const pass *p) {
  const char *journal = p->options->journal;
  const bool kept = p->status >= SKY_E_NOMEM && p->status < SKY_E_INTERNAL;
  if (journal == NULL) return sky_fail(ctx, p->status, "%s", p->message);
  if (kept)
    return sky_fail(ctx, p->status, "%s; the same command goes on from %zu blocks that are in %s",
                    p->message, p->blocks, journal);
  unlink(journal);
  return sky_fail(ctx, p->status, "%s", p->message);
}

static void pass_end(pass *p) {
  for (size_t r = 0; r < p->rows && p->parts != NULL; r++)
    drop_row(p, p->parts[r]);
  sky_free(p->parts);
  sky_free(p->row_waiting);
  sky_free(p->open);
  sky_free(p->todo);
  sky_journal_close(p->journal);
  pthread_cond_destroy(&p->change);
  pthread_mutex_destroy(&p->mutex);
}

sky_status sky_raster_pass(sky_context *ctx, sky_raster_set *set, const char *task,
                           const sky_pass_options *options, const sky_raster_kernel *kernel,
                           sky_raster_report *report) {
  static const sky_pass_options defaults = {0};
  const sky_grid *g = sky_raster_set_grid(set);
  pass p = {.set = set,
            .kernel = kernel,
            .options = options != NULL ? options : &defaults,
            .task = task,
            .grid = g,
            .n = sky_raster_set_count(set),
            .bands = (g->ny + SKY_BAND - 1) / SKY_BAND,
            .columns = (g->nx + SKY_BAND - 1) / SKY_BAND};
  const size_t tile = p.options->tile > 0 ? p.options->tile : SKY_TILE;
  plan a;
  if (tile % SKY_BAND != 0)
    return sky_fail(ctx, SKY_E_USAGE, "tile %zu is not a multiple of %d cells", tile, SKY_BAND);
  sky_status st = SKY_OK;
  pthread_mutex_init(&p.mutex, NULL);
  pthread_cond_init(&p.change, NULL);
  SKY_GO(deal_bands(ctx, &p));
  SKY_GO(open_journal(ctx, &p));
  SKY_GO(make_plan(ctx, &p, tile, &a));
  SKY_GO(list_tiles(ctx, &p));
  if (p.options->n_join > 0 && p.n_todo > 0) {
    st = sky_fail(ctx, SKY_E_COVERAGE, "%s: the shards lack blocks", task);
    goto cleanup;
  }
  log_plan(ctx, &p, &a);
  run(ctx, &p);
  if (p.status != SKY_OK) st = tell_failure(ctx, &p);
  if (report != NULL) *report = (sky_raster_report){p.blocks, p.unread, a.x, a.y, p.threads};
cleanup:
  pass_end(&p);
  return st;
}
