/* cog_stream.c: blocks -> tiles -> overviews -> scratch file -> COG.
 *
 * A tile is owned by nobody: threads store their blocks in its quarters without a lock, and the one
 * that stores the last quarter describes it, hands its cells to the overviews and compresses it;
 * a tile of an overview is finished in the same way by whoever hands it the last cells. The mutex
 * guards the counts that decide this, never pixels. What is combined (statistics) is kept by tile
 * and combined in their order. */
#include "src/write/cog_stream.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/engine/gdal_start.h"
#include "src/write/cog_codec.h"
#include "src/write/cog_describe.h"
#include "src/write/cog_layout.h"
#include "src/write/crs.h"
#include "src/write/json_out.h"

#define TILE ((size_t)SKY_COG_TILE)
#define SIDE ((size_t)SKY_BAND) /* of a block */
#define SAMPLES 512             /* a side, for the colours of the style */

typedef struct slot { /* a tile that is being filled */
  void *pixel;        /* NULL: nothing yet */
  uint32_t open;      /* blocks, or tiles below, that are still to come */
  uint8_t blocks;     /* of level 0: which are there or on their way */
  bool done;          /* its record is there */
} slot;

typedef struct level {
  size_t nx, ny, tiles_x, tiles_y;
  slot *slot;
  sky_tile_record *record;
} level;

typedef struct work { /* of one thread, while it is inside */
  struct work *next;
  sky_cog_coder *coder;
  sky_tile_work tile;
  uint64_t *class_pixels;
} work;

struct sky_cog {
  char *path;
  const sky_grid *grid;
  const sky_field *field;
  sky_cog_options options;
  sky_pixel_format format;
  int predictor, levels; /* overviews */
  level level[SKY_COG_LEVELS + 1];
  sky_tile_log *scratch;
  sky_tile_stats *stats; /* [tiles of level 0] */
  size_t sample_step;    /* cells */
  size_t sample_nx, sample_ny;
  double *sample;        /* every sample_step-th cell, for the colours of the style */
  pthread_mutex_t mutex; /* guards slots, idle, class_pixels, status */
  work *idle;
  uint64_t *class_pixels;
  sky_status status; /* first failure; nothing is taken after it */
  char message[512];
};

/* ---- threads -------------------------------------------------------------------------------- */

static void lock(sky_cog *c) {
  pthread_mutex_lock(&c->mutex);
}
static void unlock(sky_cog *c) {
  pthread_mutex_unlock(&c->mutex);
}

static void work_free(work *w) {
  if (w == NULL) return;
  sky_cog_coder_free(w->coder);
  sky_tile_work_free(&w->tile);
  sky_free(w->class_pixels);
  sky_free(w);
}

static sky_status work_take(sky_context *ctx, sky_cog *c, work **out) {
  sky_status st = SKY_OK;
  lock(c);
  work *w = c->idle;
  if (w != NULL) c->idle = w->next;
  unlock(c);
  *out = w;
  if (w != NULL) return SKY_OK;
  SKY_GO_ALLOC(w, SKY_NEW0(ctx, work, 1));
  SKY_GO_ALLOC(w->class_pixels, SKY_NEW0(ctx, uint64_t, c->options.n_classes));
  SKY_GO(sky_tile_work_create(ctx, c->field->kind == SKY_FIELD_CLASS, &w->tile));
  SKY_GO(sky_cog_coder_create(ctx, c->options.codec, c->options.level, c->predictor,
                              c->options.type, &w->coder));
  *out = w;
  return SKY_OK;
cleanup:
  work_free(w);
  return st;
}

static void work_return(sky_cog *c, work *w) {
  lock(c);
  w->next = c->idle;
  c->idle = w;
  unlock(c);
}

/* The first failure ends the stream. */
static sky_status failed(sky_context *ctx, sky_cog *c, sky_status st) {
  lock(c);
  if (c->status == SKY_OK) {
    c->status = st;
    strncpy(c->message, sky_error(ctx), sizeof c->message - 1);
  }
  unlock(c);
  return st;
}

static sky_status standing(sky_context *ctx, sky_cog *c) {
  lock(c);
  const sky_status st = c->status;
  unlock(c);
  return st == SKY_OK ? SKY_OK : sky_fail(ctx, st, "%s", c->message);
}

/* ---- tiles ---------------------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Pixels of tile i that lie in the raster. */
static void tile_size(const level *l, size_t i, size_t *nx, size_t *ny) {
  *nx = smaller(TILE, l->nx - i % l->tiles_x * TILE);
  *ny = smaller(TILE, l->ny - i / l->tiles_x * TILE);
}

/* The pixels of a slot, nodata at first. */
static char *slot_pixels(sky_context *ctx, sky_cog *c, slot *s) {
  lock(c);
  char *there = s->pixel;
  unlock(c);
  if (there != NULL) return there;
  char *pixel = sky_malloc(ctx, TILE * TILE, sky_pixel_bytes(c->format.type));
  if (pixel == NULL) return NULL;
  sky_pixel_fill(&c->format, TILE * TILE, pixel);
  lock(c);
  if (s->pixel == NULL)
    s->pixel = pixel;
  else
    sky_free(pixel); /* another thread was faster */
  there = s->pixel;
  unlock(c);
  return there;
}

/* Compresses what the slot holds and lets it go. */
static sky_status encode(sky_context *ctx, sky_cog *c, work *w, int k, size_t i, bool empty) {
  slot *s = &c->level[k].slot[i];
  sky_tile_record r = {0, 0};
  const void *bytes = NULL;
  size_t n = 0;
  if (!empty) SKY_TRY(sky_cog_encode(ctx, w->coder, s->pixel, &bytes, &n));
  SKY_TRY(sky_tile_log_append(ctx, c->scratch, (uint32_t)k, i, bytes, n, &r));
  lock(c);
  c->level[k].record[i] = r;
  s->done = true;
  void *pixel = s->pixel;
  s->pixel = NULL;
  unlock(c);
  sky_free(pixel);
  return SKY_OK;
}

/* ---- overviews ------------------------------------------------------------------------------ */

static sky_status range_error(sky_context *ctx, const sky_cog *c, size_t ix, size_t iy, double v,
                              const char *what) {
  double low, high;
  sky_pixel_limits(c->format.type, &low, &high);
  const char *type = sky_pixel_name(c->format.type);
  if (c->format.type == SKY_COG_FLOAT32) {
    return sky_fail(ctx, SKY_E_RANGE, "%s: %s (%zu, %zu): %g %s does not fit in %s", c->path, what,
                    ix, iy, v, c->field->unit, type);
  }
  return sky_fail(ctx, SKY_E_RANGE,
                  "%s: %s (%zu, %zu): %.17g %s is no value of %s%s (%.0f to %.0f without %.0f)",
                  c->path, what, ix, iy, v, c->field->unit, type, c->format.whole ? " classes" : "",
                  low, high, c->format.nodata);
}

typedef struct giver { /* a tile of the full resolution, on its way into the overviews */
  sky_cog *cog;
  work *work;
  size_t tx, ty;
} giver;

/* value NULL: all nodata. */
static sky_status give(sky_context *ctx, void *user, int k, const double *value, size_t nx,
                       size_t ny) {
  const giver *g = user;
  sky_cog *c = g->cog;
  level *l = &c->level[k];
  const size_t i = (g->ty >> k) * l->tiles_x + (g->tx >> k), side = TILE >> k;
  const size_t in = ((size_t)1 << k) - 1, x0 = (g->tx & in) * side, y0 = (g->ty & in) * side;
  slot *s = &l->slot[i];
  lock(c);
  const bool done = s->done; /* by an earlier run */
  unlock(c);
  if (done) return SKY_OK;
  if (value != NULL) {
    char *pixel = slot_pixels(ctx, c, s);
    if (pixel == NULL) return SKY_E_NOMEM;
    for (size_t y = 0; y < ny; y++) {
      const size_t at = ((y0 + y) * TILE + x0) * sky_pixel_bytes(c->format.type);
      const size_t bad = sky_pixel_store(&c->format, value + y * nx, nx, pixel + at);
      if (bad == nx) continue;
      return range_error(ctx, c, g->tx * side + bad, l->ny - 1 - (g->ty * side + y),
                         value[y * nx + bad], "overview cell");
    }
  }
  lock(c);
  const bool last = --s->open == 0;
  const bool empty = s->pixel == NULL;
  unlock(c);
  return last ? encode(ctx, c, g->work, k, i, empty) : SKY_OK;
}

/* ---- a tile of the full resolution ---------------------------------------------------------- */

static void count_classes(sky_cog *c, const char *pixel, size_t nx, size_t ny, uint64_t *count) {
  const sky_class_style *list = c->options.classes;
  const size_t n = c->options.n_classes;
  double row[SKY_COG_TILE];
  for (size_t y = 0; y < ny; y++) {
    sky_pixel_load(&c->format, pixel + y * TILE * sky_pixel_bytes(c->format.type), nx, row);
    for (size_t x = 0, run; x < nx; x += run) {
      for (run = 1; x + run < nx && row[x + run] == row[x]; run++) {
      }
      size_t low = 0, high = n;
      while (low < high) {
        const size_t middle = (low + high) / 2;
        if (list[middle].code < row[x])
          low = middle + 1;
        else
          high = middle;
      }
      if (low < n && list[low].code == row[x]) count[low] += run;
    }
  }
}

/* Cells whose column and line from the north-west are multiples of sample_step. */
static void take_samples(sky_cog *c, const char *pixel, size_t tx, size_t ty, size_t nx,
                         size_t ny) {
  const size_t step = c->sample_step, x0 = tx * TILE, y0 = ty * TILE;
  double row[SKY_COG_TILE];
  for (size_t y = (step - y0 % step) % step; y < ny; y += step) {
    sky_pixel_load(&c->format, pixel + y * TILE * sky_pixel_bytes(c->format.type), nx, row);
    double *out = c->sample + (y0 + y) / step * c->sample_nx;
    for (size_t x = (step - x0 % step) % step; x < nx; x += step)
      out[(x0 + x) / step] = row[x];
  }
}

/* All that follows from the pixels but the tile itself; *empty: they are nodata. */
static sky_status describe(sky_context *ctx, sky_cog *c, work *w, size_t i, const char *pixel,
                           bool *empty) {
  const level *l = &c->level[0];
  size_t nx, ny;
  giver g = {c, w, i % l->tiles_x, i / l->tiles_x};
  tile_size(l, i, &nx, &ny);
  c->stats[i] = (sky_tile_stats){0};
  if (pixel != NULL) sky_tile_describe(&c->format, pixel, nx, ny, &c->stats[i]);
  *empty = c->stats[i].n == 0;
  if (*empty) {
    for (int k = 1; k <= c->levels; k++)
      SKY_TRY(give(ctx, &g, k, NULL, 0, 0));
    return SKY_OK;
  }
  take_samples(c, pixel, g.tx, g.ty, nx, ny);
  if (c->options.n_classes > 0) {
    memset(w->class_pixels, 0, c->options.n_classes * sizeof *w->class_pixels);
    count_classes(c, pixel, nx, ny, w->class_pixels);
    lock(c);
    for (size_t k = 0; k < c->options.n_classes; k++)
      c->class_pixels[k] += w->class_pixels[k];
    unlock(c);
  }
  return sky_tile_reduce(ctx, c->field->kind, &c->format, pixel, nx, ny, c->levels, &w->tile, give,
                         &g);
}

static sky_status complete(sky_context *ctx, sky_cog *c, size_t i) {
  work *w;
  bool empty;
  SKY_TRY(work_take(ctx, c, &w));
  sky_status st = describe(ctx, c, w, i, c->level[0].slot[i].pixel, &empty);
  if (st == SKY_OK) st = encode(ctx, c, w, 0, i, empty);
  work_return(c, w);
  return st;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static size_t tile_of(const sky_cog *c, size_t column, size_t band, uint8_t *block) {
  *block = (uint8_t)(1u << (band % 2 * 2 + column % 2));
  return band / 2 * c->level[0].tiles_x + column / 2;
}

bool sky_cog_has(sky_cog *c, size_t column, size_t band) {
  uint8_t block;
  const slot *s = &c->level[0].slot[tile_of(c, column, band, &block)];
  lock(c);
  const bool there = s->done || (s->blocks & block) != 0;
  unlock(c);
  return there;
}

static sky_status store(sky_context *ctx, sky_cog *c, size_t column, size_t band,
                        const void *pixels, size_t stride, char *tile) {
  const size_t nx = smaller(SIDE, c->grid->nx - column * SIDE);
  const size_t ny = smaller(SIDE, c->grid->ny - band * SIDE);
  const size_t bytes = sky_pixel_bytes(c->format.type);
  double row[SKY_BAND];
  for (size_t y = 0; y < ny; y++) { /* from the south */
    const double *value = (const double *)pixels + y * stride;
    if (c->options.pixels == SKY_PIXEL_CLASS) {
      const int32_t *code = (const int32_t *)pixels + y * stride;
      for (size_t x = 0; x < nx; x++)
        row[x] = code[x] == SKY_PIXEL_NODATA ? (double)NAN : (double)code[x];
      value = row;
    }
    const size_t line = band % 2 * SIDE + ny - 1 - y;
    const size_t bad =
        sky_pixel_store(&c->format, value, nx, tile + (line * TILE + column % 2 * SIDE) * bytes);
    if (bad == nx) continue;
    return range_error(ctx, c, column * SIDE + bad, c->grid->ny - band * SIDE - ny + y, value[bad],
                       "cell");
  }
  return SKY_OK;
}

sky_status sky_cog_put(sky_context *ctx, sky_cog *c, size_t column, size_t band, const void *pixels,
                       size_t stride) {
  sky_status st = SKY_OK;
  uint8_t block;
  if (column * SIDE >= c->grid->nx || band * SIDE >= c->grid->ny) {
    return sky_fail(ctx, SKY_E_INTERNAL, "%s: block (%zu, %zu) lies outside", c->path, column,
                    band);
  }
  SKY_TRY(standing(ctx, c));
  const size_t i = tile_of(c, column, band, &block);
  slot *s = &c->level[0].slot[i];
  lock(c);
  const bool there = s->done || (s->blocks & block) != 0;
  s->blocks |= block;
  unlock(c);
  if (there) return SKY_OK;
  if (pixels != NULL) {
    char *tile = slot_pixels(ctx, c, s);
    st = tile == NULL ? SKY_E_NOMEM : store(ctx, c, column, band, pixels, stride, tile);
  }
  if (st != SKY_OK) return failed(ctx, c, st);
  lock(c);
  const bool last = --s->open == 0;
  unlock(c);
  if (last) st = complete(ctx, c, i);
  return st == SKY_OK ? SKY_OK : failed(ctx, c, st);
}

/* ---- opening -------------------------------------------------------------------------------- */

static size_t tiles_of(const level *l) {
  return l->tiles_x * l->tiles_y;
}

static int overviews(const sky_grid *g, const sky_cog_options *o) {
  if (o->levels > 0) return o->levels;
  const size_t side = g->nx > g->ny ? g->nx : g->ny;
  int n = 0;
  while (n < SKY_COG_LEVELS && ((side - 1) >> n) + 1 > TILE)
    n++;
  return n;
}

static sky_status make_levels(sky_context *ctx, sky_cog *c) {
  const size_t side = c->grid->nx > c->grid->ny ? c->grid->nx : c->grid->ny;
  c->levels = overviews(c->grid, &c->options);
  for (int k = 0; k <= c->levels; k++) {
    level *l = &c->level[k];
    l->nx = ((c->grid->nx - 1) >> k) + 1;
    l->ny = ((c->grid->ny - 1) >> k) + 1;
    l->tiles_x = (l->nx - 1) / TILE + 1;
    l->tiles_y = (l->ny - 1) / TILE + 1;
    l->slot = SKY_NEW0(ctx, slot, tiles_of(l));
    l->record = SKY_NEW0(ctx, sky_tile_record, tiles_of(l));
    if (l->slot == NULL || l->record == NULL) return SKY_E_NOMEM;
    for (size_t i = 0; i < tiles_of(l); i++) { /* what lies below: blocks, or tiles of level 0 */
      const size_t below_x = k == 0 ? (c->grid->nx - 1) / SIDE + 1 : c->level[0].tiles_x;
      const size_t below_y = k == 0 ? (c->grid->ny - 1) / SIDE + 1 : c->level[0].tiles_y;
      const size_t n = k == 0 ? 2 : (size_t)1 << k;
      l->slot[i].open = (uint32_t)(smaller(n, below_x - i % l->tiles_x * n) *
                                   smaller(n, below_y - i / l->tiles_x * n));
    }
  }
  c->sample_step = 1;
  while ((side - 1) / c->sample_step + 1 > SAMPLES)
    c->sample_step *= 2;
  c->sample_nx = (c->grid->nx - 1) / c->sample_step + 1;
  c->sample_ny = (c->grid->ny - 1) / c->sample_step + 1;
  c->sample = SKY_NEW(ctx, double, c->sample_nx * c->sample_ny);
  c->stats = SKY_NEW0(ctx, sky_tile_stats, tiles_of(&c->level[0]));
  c->class_pixels = SKY_NEW0(ctx, uint64_t, c->options.n_classes);
  if (c->sample == NULL || c->stats == NULL || c->class_pixels == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < c->sample_nx * c->sample_ny; i++)
    c->sample[i] = NAN;
  return SKY_OK;
}

/* What the tiles in a scratch file follow from. */
static char *scratch_head(sky_context *ctx, const sky_cog *c) {
  const sky_grid *g = c->grid;
  const sky_cog_options *o = &c->options;
  sky_text t = {.ctx = ctx};
  sky_text_printf(&t, "skyflux tiles 1\n%s codec %d level %d nodata %.17g\n",
                  sky_pixel_name(o->type), o->codec, o->level, c->format.nodata);
  sky_text_printf(&t, "kind %d overviews %d\n%zu x %zu cells of %s\n%.17g %.17g %.17g %.17g\n",
                  c->field->kind, c->levels, g->nx, g->ny, g->crs, g->x_edge[0], g->x_edge[g->nx],
                  g->y_edge[0], g->y_edge[g->ny]);
  sky_text_put(&t, o->stamp != NULL ? o->stamp : "");
  return sky_text_take(&t);
}

static bool found(void *user, uint32_t k, uint64_t i, sky_tile_record r) {
  sky_cog *c = user;
  if (k > (uint32_t)c->levels || i >= tiles_of(&c->level[k])) return false;
  c->level[k].record[i] = r;
  c->level[k].slot[i].done = true;
  return true;
}

/* A tile of an earlier run: its share of statistics and overviews is made again. */
static sky_status restore(sky_context *ctx, sky_cog *c, size_t i) {
  const sky_tile_record r = c->level[0].record[i];
  char *bytes = NULL, *pixel = NULL;
  work *w = NULL;
  bool empty;
  sky_status st;
  SKY_GO(work_take(ctx, c, &w));
  if (r.size > 0) {
    SKY_GO_ALLOC(bytes, SKY_NEW(ctx, char, r.size));
    SKY_GO_ALLOC(pixel, sky_malloc(ctx, TILE * TILE, sky_pixel_bytes(c->format.type)));
    SKY_GO(sky_tile_log_read(ctx, c->scratch, r, bytes));
    SKY_GO(sky_cog_decode(ctx, w->coder, bytes, r.size, pixel));
  }
  st = describe(ctx, c, w, i, pixel, &empty);
cleanup:
  if (w != NULL) work_return(c, w);
  sky_free(bytes);
  sky_free(pixel);
  return st;
}

/* Runs one function on all tiles of the full resolution, in their order as far as threads allow. */
static sky_status each_tile(sky_context *ctx, sky_cog *c,
                            sky_status (*run)(sky_context *, sky_cog *, size_t)) {
  const size_t n = tiles_of(&c->level[0]);
#pragma omp parallel for schedule(dynamic, 1) num_threads(sky_context_threads(ctx)) if (n > 1)
  for (size_t i = 0; i < n; i++) {
    if (standing(ctx, c) != SKY_OK) continue;
    const sky_status st = run(ctx, c, i);
    if (st != SKY_OK) (void)failed(ctx, c, st);
  }
  return standing(ctx, c);
}

static sky_status restore_done(sky_context *ctx, sky_cog *c, size_t i) {
  return c->level[0].slot[i].done ? restore(ctx, c, i) : SKY_OK;
}

static void cog_free(sky_cog *c, bool keep) {
  if (c == NULL) return;
  sky_tile_log_close(c->scratch, keep);
  for (work *w = c->idle, *next; w != NULL; w = next) {
    next = w->next;
    work_free(w);
  }
  for (int k = 0; k <= SKY_COG_LEVELS; k++) {
    level *l = &c->level[k];
    for (size_t i = 0; l->slot != NULL && i < tiles_of(l); i++)
      sky_free(l->slot[i].pixel);
    sky_free(l->slot);
    sky_free(l->record);
  }
  sky_free(c->sample);
  sky_free(c->stats);
  sky_free(c->class_pixels);
  sky_free(c->path);
  pthread_mutex_destroy(&c->mutex);
  sky_free(c);
}

sky_status sky_cog_open(sky_context *ctx, const char *path, const sky_grid *grid,
                        const sky_field *field, const sky_cog_options *options, sky_cog **out) {
  sky_status st = SKY_OK;
  char *name = NULL, *head = NULL;
  sky_crs *crs = NULL;
  sky_cog *c = NULL;
  SKY_TRY(sky_gdal_start(ctx));
  SKY_TRY(sky_cog_check(ctx, path, grid, field, options));
  SKY_TRY(sky_crs_create(ctx, grid->crs, &crs)); /* known before all the work */
  SKY_GO_ALLOC(c, SKY_NEW0(ctx, sky_cog, 1));
  pthread_mutex_init(&c->mutex, NULL);
  c->grid = grid;
  c->field = field;
  c->options = *options;
  c->format =
      (sky_pixel_format){options->type, sky_pixel_nodata(options), field->kind == SKY_FIELD_CLASS};
  c->predictor = field->kind == SKY_FIELD_CLASS ? 1 : options->type == SKY_COG_FLOAT32 ? 3 : 2;
  SKY_GO_ALLOC(c->path, sky_strdup(ctx, path));
  SKY_GO(make_levels(ctx, c));
  const char *base = sky_file_base(path);
  SKY_GO_ALLOC(name, sky_sprintf(ctx, "%.*s" SKY_COG_LOG "%s", (int)(base - path), path, base));
  SKY_GO_ALLOC(head, scratch_head(ctx, c));
  SKY_GO(sky_tile_log_open(ctx, name, head, options->fresh || options->stamp == NULL, found, c,
                           &c->scratch));
  SKY_GO(each_tile(ctx, c, restore_done));
cleanup:
  sky_crs_free(crs);
  sky_free(name);
  sky_free(head);
  if (st == SKY_OK)
    *out = c;
  else
    cog_free(c, options->stamp != NULL);
  return st;
}

void sky_cog_abort(sky_cog *c) {
  if (c != NULL) cog_free(c, c->options.stamp != NULL);
}

/* ---- finishing ------------------------------------------------------------------------------ */

/* Blocks that nobody put are nodata. */
static sky_status close_tile(sky_context *ctx, sky_cog *c, size_t i) {
  const slot *s = &c->level[0].slot[i];
  const size_t tx = i % c->level[0].tiles_x, ty = i / c->level[0].tiles_x;
  for (size_t b = 0; b < 4 && !s->done; b++) {
    const size_t column = 2 * tx + b % 2, band = 2 * ty + b / 2;
    if (column * SIDE >= c->grid->nx || band * SIDE >= c->grid->ny) continue;
    SKY_TRY(sky_cog_put(ctx, c, column, band, NULL, 0));
  }
  return SKY_OK;
}

static sky_status write_style(sky_context *ctx, const sky_cog *c, const sky_tile_stats *s) {
  sky_ramp ramp;
  if (c->field->kind == SKY_FIELD_CLASS) {
    return c->options.n_classes == 0 ? SKY_OK
                                     : sky_style_classes(ctx, c->path, c->options.classes,
                                                         c->options.n_classes, c->class_pixels);
  }
  SKY_TRY(
      sky_ramp_fit(ctx, c->sample, c->sample_nx * c->sample_ny, s->min < 0 && s->max > 0, &ramp));
  if (isnan(ramp.low) && s->n > 0) { /* valid cells so rare that no sample met one */
    const double ends[] = {s->min, s->max};
    SKY_TRY(sky_ramp_fit(ctx, ends, 2, s->min < 0 && s->max > 0, &ramp));
  }
  return sky_style_raster(ctx, c->path, &ramp);
}

/* The sidecars, with the raster complete but for its name: whatever stops the run, a raster that is
 * there has them all. */
static sky_status write_sidecars(sky_context *ctx, sky_cog *c, const sky_tile_stats *stats,
                                 const char *aux_path, const char *aux) {
  if (aux != NULL)
    SKY_TRY(sky_file_write_text(ctx, aux_path, aux, strlen(aux)));
  else
    remove(aux_path); /* of an earlier file: it would describe this one */
  return c->options.no_style ? SKY_OK : write_style(ctx, c, stats);
}

static sky_status write_files(sky_context *ctx, sky_cog *c, const sky_tile_stats *stats,
                              const uint8_t *pattern, size_t pattern_bytes, const char *aux) {
  sky_layout_level layout[SKY_COG_LEVELS + 1];
  char *aux_path = NULL;
  sky_status st = SKY_OK;
  const uint64_t limit = c->options.classic_limit;
  for (int k = 0; k <= c->levels; k++)
    layout[k] = (sky_layout_level){c->level[k].nx, c->level[k].ny, tiles_of(&c->level[k]),
                                   c->level[k].record};
  SKY_GO_ALLOC(aux_path, sky_sprintf(ctx, "%s.aux.xml", c->path));
  SKY_GO(sky_cog_layout(ctx, c->path, pattern, pattern_bytes, layout, (size_t)c->levels + 1,
                        limit == 0 ? UINT32_MAX : limit, c->scratch));
  st = write_sidecars(ctx, c, stats, aux_path, aux);
  if (st == SKY_OK) st = sky_file_commit(ctx, c->path);
  if (st != SKY_OK) { /* all or none */
    sky_file_discard(c->path);
    remove(aux_path);
    if (!c->options.no_style) sky_style_remove(c->path);
  }
cleanup:
  sky_free(aux_path);
  return st;
}

sky_status sky_cog_finish(sky_context *ctx, sky_cog *c) {
  uint8_t *pattern = NULL;
  char *sidecar = NULL;
  size_t pattern_bytes = 0;
  sky_status st = SKY_OK;
  SKY_GO(each_tile(ctx, c, close_tile));
  const sky_cog_facts facts = {sky_tile_stats_merge(c->stats, tiles_of(&c->level[0])),
                               (uint64_t)sky_grid_cells(c->grid), c->class_pixels};
  SKY_GO(sky_cog_describe(ctx, c->path, c->grid, c->field, &c->options, &c->format, c->predictor,
                          &facts, &pattern, &pattern_bytes, &sidecar));
  SKY_GO(write_files(ctx, c, &facts.stats, pattern, pattern_bytes, sidecar));
cleanup:
  sky_free(pattern);
  sky_free(sidecar);
  cog_free(c, st != SKY_OK && c->options.stamp != NULL);
  return st;
}

size_t sky_cog_bytes(const sky_grid *grid, sky_cog_type type, int threads) {
  const size_t tile = TILE * TILE * sky_pixel_bytes(type);
  const size_t row = (grid->nx - 1) / TILE + 1;
  const size_t tiles = row * ((grid->ny - 1) / TILE + 1);
  const size_t thread = 5 * tile + sky_cog_coder_bytes(type) + ((size_t)8 << 20);
  return 2 * row * tile + (size_t)threads * thread +
         tiles * (2 * sizeof(slot) + 2 * sizeof(sky_tile_record) + sizeof(sky_tile_stats)) +
         sizeof(double) * SAMPLES * SAMPLES;
}
