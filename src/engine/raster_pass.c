/* raster_pass.c: the tile loop of the raster engine.
 *
 * A tile row is the set of tiles beside each other. Parts wait in a table of their tile row until
 * all its tiles are mapped and the rows above are merged; whoever maps the last tile merges. Tiles
 * are handed out in order, so that few rows wait at once. */
#include "src/engine/raster_pass.h"

#include <pthread.h>
#include <string.h>

#include "src/core/memory.h"

struct sky_raster_set {
  size_t n;
  sky_raster_input *input;
  const sky_grid *target; /* NULL: all share the first one's */
  sky_source **source;    /* [n] the first handles: facts and grid; worker 0 reads with them */
};

void sky_raster_set_close(sky_raster_set *s) {
  if (s == NULL) return;
  for (size_t i = 0; i < s->n && s->source != NULL; i++)
    sky_source_close(s->source[i]);
  sky_free(s->source);
  sky_free(s->input);
  sky_free(s);
}

sky_status sky_raster_set_open(sky_context *ctx, const sky_raster_input *inputs, size_t n,
                               const sky_grid *target, sky_raster_set **out) {
  sky_status st = SKY_OK;
  sky_raster_set *s;
  SKY_GO_ALLOC(s, SKY_NEW0(ctx, sky_raster_set, 1));
  s->n = n;
  s->target = target;
  SKY_GO_ALLOC(s->input, SKY_NEW0(ctx, sky_raster_input, n));
  SKY_GO_ALLOC(s->source, SKY_NEW0(ctx, sky_source *, n));
  for (size_t i = 0; i < n; i++) {
    s->input[i] = inputs[i];
    SKY_GO(sky_source_open(ctx, &inputs[i], target, &s->source[i]));
    if (i > 0 && target == NULL) SKY_GO(sky_source_same_grid(ctx, s->source[0], s->source[i]));
  }
  *out = s;
  return SKY_OK;
cleanup:
  sky_raster_set_close(s);
  return st;
}

const sky_grid *sky_raster_set_grid(const sky_raster_set *s) {
  return sky_source_grid(s->source[0]);
}
size_t sky_raster_set_count(const sky_raster_set *s) {
  return s->n;
}
const sky_raster_facts *sky_raster_set_facts(const sky_raster_set *s, size_t input) {
  return sky_source_facts(s->source[input]);
}

/* ---- the plan ------------------------------------------------------------------------------- */

typedef struct pass {
  sky_raster_set *set;
  const sky_raster_kernel *kernel;
  const sky_grid *grid;
  size_t bands, columns;  /* blocks */
  size_t tile_y, tile_x;  /* blocks of a tile */
  size_t rows, row_tiles; /* tiles */
  pthread_mutex_t mutex;  /* guards what follows */
  void ***parts;          /* [rows] of [tile_y*columns] */
  size_t *open;           /* [rows] tiles not mapped yet */
  size_t next_row;        /* to merge */
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

/* Bytes of a worker with tiles of tile_x x tile_y cells. */
static double worker_bytes(const pass *p, size_t tile_x, size_t tile_y) {
  double sum = (double)p->kernel->worker_bytes;
  for (size_t i = 0; i < p->set->n; i++)
    sum += (double)sky_source_bytes(p->set->source[i], tile_x, tile_y) +
           sizeof(double) * SKY_BAND * SKY_BAND;
  return sum;
}

/* Tiles hold whole native blocks as far as the budget allows; strips make them as wide as the
 * file. */
static sky_status make_plan(sky_context *ctx, pass *p, size_t wish, int *threads) {
  const size_t nx = round_up(p->grid->nx, SKY_BAND), ny = round_up(p->grid->ny, SKY_BAND);
  size_t x = wish, y = wish;
  bool strips = false;
  for (size_t i = 0; i < p->set->n; i++) {
    const sky_raster_facts *f = sky_raster_set_facts(p->set, i);
    if (!f->native) continue;
    x = larger(x, round_up(f->block_x, SKY_BAND));
    y = larger(y, round_up(f->block_y, SKY_BAND));
    strips |= f->block_x > wish && f->block_x >= p->grid->nx;
  }
  if (strips) y = SKY_BAND; /* wide enough to be large */
  for (size_t i = 0; i < p->set->n && strips; i++)
    y = larger(y, round_up(sky_raster_set_facts(p->set, i)->block_y, SKY_BAND));
  x = smaller(x, nx);
  y = smaller(y, ny);
  const double budget = (double)sky_context_memory(ctx);
  *threads = sky_context_threads(ctx);
  while (worker_bytes(p, x, y) * *threads > budget) {
    if (y > SKY_BAND)
      y = round_up(y / 2, SKY_BAND);
    else if (*threads > 1)
      (*threads)--;
    else if (x > SKY_BAND)
      x = round_up(x / 2, SKY_BAND);
    else
      return sky_fail(ctx, SKY_E_NOMEM,
                      "a block of %d x %d cells needs %.0f MB, the memory budget is %.0f MB",
                      SKY_BAND, SKY_BAND, worker_bytes(p, x, y) * 1e-6, budget * 1e-6);
  }
  p->bands = ny / SKY_BAND;
  p->columns = nx / SKY_BAND;
  p->tile_x = x / SKY_BAND;
  p->tile_y = y / SKY_BAND;
  p->rows = (p->bands + p->tile_y - 1) / p->tile_y;
  p->row_tiles = (p->columns + p->tile_x - 1) / p->tile_x;
  sky_log(ctx, SKY_LOG_DEBUG, "tiles of %zu x %zu cells, %zu of them, %d threads, %.0f MB each", x,
          y, p->rows * p->row_tiles, *threads, worker_bytes(p, x, y) * 1e-6);
  return SKY_OK;
}

/* Cells of a rectangle of blocks. */
static sky_window window_of(const pass *p, size_t band, size_t bands, size_t column,
                            size_t columns) {
  const sky_grid *g = p->grid;
  const size_t top = band * SKY_BAND, end = smaller((band + bands) * SKY_BAND, g->ny);
  const size_t x0 = column * SKY_BAND, x1 = smaller((column + columns) * SKY_BAND, g->nx);
  return (sky_window){x0, g->ny - end, x1 - x0, end - top};
}

/* ---- one tile ------------------------------------------------------------------------------- */

typedef struct worker {
  sky_source **source; /* [inputs] */
  bool own;            /* to be closed */
  void **pixel;        /* [inputs] one block each */
  void *kernel;
} worker;

static void worker_stop(const pass *p, worker *w) {
  for (size_t i = 0; i < p->set->n; i++) {
    if (w->own && w->source != NULL) sky_source_close(w->source[i]);
    if (w->pixel != NULL) sky_free(w->pixel[i]);
  }
  if (w->own) sky_free(w->source);
  sky_free(w->pixel);
  if (w->kernel != NULL && p->kernel->stop != NULL) p->kernel->stop(w->kernel);
}

static sky_status worker_start(sky_context *ctx, const pass *p, bool first, worker *w) {
  const size_t n = p->set->n;
  w->own = !first;
  w->pixel = SKY_NEW0(ctx, void *, n);
  w->source = first ? p->set->source : SKY_NEW0(ctx, sky_source *, n);
  if (w->pixel == NULL || w->source == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    w->pixel[i] = SKY_NEW(ctx, double, SKY_BAND *SKY_BAND);
    if (w->pixel[i] == NULL) return SKY_E_NOMEM;
    if (w->own) SKY_TRY(sky_source_open(ctx, &p->set->input[i], p->set->target, &w->source[i]));
  }
  return p->kernel->start != NULL ? p->kernel->start(ctx, p->kernel->user, &w->kernel) : SKY_OK;
}

/* Why a block is unread; NULL: it is not. */
static const char *unread_reason(const pass *p, const worker *w, const sky_window *window,
                                 const char **path) {
  for (size_t i = 0; i < p->set->n; i++) {
    const char *reason = sky_source_bad(w->source[i], window);
    *path = p->set->input[i].path;
    if (reason != NULL) return reason;
  }
  return NULL;
}

static sky_status map_block(sky_context *ctx, pass *p, worker *w, size_t band, size_t column,
                            void **part) {
  sky_raster_block b = {.index = band * p->columns + column,
                        .band = band,
                        .column = column,
                        .window = window_of(p, band, 1, column, 1),
                        .source = (const sky_source *const *)w->source};
  if (p->kernel->wanted != NULL && !p->kernel->wanted(p->kernel->user, &b.window)) return SKY_OK;
  const char *path = "", *reason = unread_reason(p, w, &b.window, &path);
  if (reason == NULL) {
    b.pixel = (const void *const *)w->pixel;
    for (size_t i = 0; i < p->set->n; i++)
      SKY_TRY(sky_source_convert(ctx, w->source[i], &b.window, w->pixel[i]));
  } else {
    sky_log(ctx, SKY_LOG_WARN, "%s: block at line %zu, column %zu cannot be read: %s", path,
            band * SKY_BAND, column * SKY_BAND, reason);
  }
  pthread_mutex_lock(&p->mutex);
  p->blocks++;
  p->unread += reason != NULL;
  pthread_mutex_unlock(&p->mutex);
  return p->kernel->map(ctx, p->kernel->user, w->kernel, &b, part);
}

static sky_status map_tile(sky_context *ctx, pass *p, worker *w, size_t tile, void **parts) {
  const size_t row = tile / p->row_tiles, column0 = tile % p->row_tiles * p->tile_x;
  const size_t band0 = row * p->tile_y, bands = smaller(p->tile_y, p->bands - band0);
  const size_t columns = smaller(p->tile_x, p->columns - column0);
  const sky_window window = window_of(p, band0, bands, column0, columns);
  if (p->kernel->wanted != NULL && !p->kernel->wanted(p->kernel->user, &window)) return SKY_OK;
  for (size_t i = 0; i < p->set->n; i++)
    SKY_TRY(sky_source_load(ctx, w->source[i], &window));
  for (size_t b = 0; b < bands; b++)
    for (size_t c = column0; c < column0 + columns; c++)
      SKY_TRY(map_block(ctx, p, w, band0 + b, c, &parts[b * p->columns + c]));
  return SKY_OK;
}

/* ---- all tiles ------------------------------------------------------------------------------ */

static void **row_parts(sky_context *ctx, pass *p, size_t row) {
  pthread_mutex_lock(&p->mutex);
  if (p->parts[row] == NULL) p->parts[row] = SKY_NEW0(ctx, void *, p->tile_y * p->columns);
  void **parts = p->parts[row];
  pthread_mutex_unlock(&p->mutex);
  return parts;
}

static sky_status merge_row(sky_context *ctx, pass *p, size_t row) {
  sky_status st = SKY_OK;
  void **parts = p->parts[row];
  p->parts[row] = NULL;
  for (size_t i = 0; i < p->tile_y * p->columns && parts != NULL; i++) {
    if (parts[i] == NULL) continue;
    if (st == SKY_OK)
      st = p->kernel->merge(ctx, p->kernel->user, row * p->tile_y * p->columns + i, parts[i]);
    else if (p->kernel->drop != NULL)
      p->kernel->drop(parts[i]);
  }
  sky_free(parts);
  return st;
}

/* The message of a failure belongs to the thread that had it: keep the first tile's one. */
static void note_failure(sky_context *ctx, pass *p, sky_status st, size_t tile) {
  if (p->status != SKY_OK && tile >= p->failed_tile) return;
  p->status = st;
  p->failed_tile = tile;
  strncpy(p->message, sky_error(ctx), sizeof p->message - 1);
}

/* After a tile: merge the rows that are complete. */
static void finish_tile(sky_context *ctx, pass *p, size_t tile, sky_status st) {
  pthread_mutex_lock(&p->mutex);
  if (st != SKY_OK) note_failure(ctx, p, st, tile);
  p->open[tile / p->row_tiles]--;
  while (p->status == SKY_OK && p->next_row < p->rows && p->open[p->next_row] == 0) {
    st = merge_row(ctx, p, p->next_row);
    if (st != SKY_OK) note_failure(ctx, p, st, tile);
    p->next_row++;
  }
  pthread_mutex_unlock(&p->mutex);
}

static bool failed(pass *p) {
  pthread_mutex_lock(&p->mutex);
  const bool yes = p->status != SKY_OK;
  pthread_mutex_unlock(&p->mutex);
  return yes;
}

static void run(sky_context *ctx, pass *p, int threads) {
  const size_t tiles = p->rows * p->row_tiles;
  bool first_taken = false; /* the set's own handles */
#pragma omp parallel num_threads(threads)
  {
    worker w = {0};
    bool first;
    pthread_mutex_lock(&p->mutex);
    first = !first_taken;
    first_taken = true;
    pthread_mutex_unlock(&p->mutex);
    const sky_status started = worker_start(ctx, p, first, &w);
#pragma omp for schedule(dynamic, 1)
    for (size_t tile = 0; tile < tiles; tile++) {
      sky_status st = started;
      if (failed(p)) continue;
      void **parts = row_parts(ctx, p, tile / p->row_tiles);
      if (st == SKY_OK && parts == NULL) st = SKY_E_NOMEM;
      if (st == SKY_OK) st = map_tile(ctx, p, &w, tile, parts);
      if (st == SKY_OK) st = sky_progress_step(ctx, 1);
      finish_tile(ctx, p, tile, st);
    }
    worker_stop(p, &w);
  }
}

static void drop_parts(pass *p) {
  for (size_t r = 0; r < p->rows && p->parts != NULL; r++) {
    for (size_t i = 0; p->parts[r] != NULL && i < p->tile_y * p->columns; i++)
      if (p->parts[r][i] != NULL && p->kernel->drop != NULL) p->kernel->drop(p->parts[r][i]);
    sky_free(p->parts[r]);
  }
  sky_free(p->parts);
  sky_free(p->open);
}

sky_status sky_raster_pass(sky_context *ctx, sky_raster_set *set, const char *task,
                           const sky_pass_options *options, const sky_raster_kernel *kernel,
                           sky_raster_report *report) {
  pass p = {.set = set, .kernel = kernel, .grid = sky_raster_set_grid(set)};
  int threads = 1;
  const size_t tile = options != NULL && options->tile > 0 ? options->tile : SKY_TILE;
  if (tile % SKY_BAND != 0)
    return sky_fail(ctx, SKY_E_USAGE, "tile %zu is not a multiple of %d cells", tile, SKY_BAND);
  SKY_TRY(make_plan(ctx, &p, tile, &threads));
  sky_status st = SKY_OK;
  pthread_mutex_init(&p.mutex, NULL);
  SKY_GO_ALLOC(p.parts, SKY_NEW0(ctx, void **, p.rows));
  SKY_GO_ALLOC(p.open, SKY_NEW(ctx, size_t, p.rows));
  for (size_t r = 0; r < p.rows; r++)
    p.open[r] = p.row_tiles;
  sky_progress_begin(ctx, task, p.rows * p.row_tiles);
  run(ctx, &p, threads);
  sky_progress_end(ctx);
  if (p.status != SKY_OK) st = sky_fail(ctx, p.status, "%s", p.message);
  if (report != NULL)
    *report =
        (sky_raster_report){p.blocks, p.unread, p.tile_x * SKY_BAND, p.tile_y * SKY_BAND, threads};
cleanup:
  drop_parts(&p);
  pthread_mutex_destroy(&p.mutex);
  return st;
}
