/* cog_copy.c: a raster through the COG stream, for the scripts that test and bench it.
 *
 *   cog_copy IN OUT [key=value …]
 *   type=float32|uint8|uint16|int16|int32  codec=deflate|zstd  level=N  kind=mean|sum|class
 *   threads=N  order=SEED (blocks in a random order; 0: the engine's)  stamp=TEXT  fresh=1
 *   kill=N (SIGKILL before the N-th block that is not there)  fail=N (stop there with abort)
 *   skip=N (every N-th block is not put)  classic=BYTES  nodata=V  legend=1  limit=BYTES (of files)
 *   memory=BYTES  side=CELLS (of pieces: a mosaic)  shard=I shards=N  link=1 (nothing else) */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "src/core/memory.h"
#include "src/engine/raster_pass.h"
#include "src/write/mosaic.h"

static const sky_class_style legend[] = {{1, "forest & \"wood\"", {0, 100, 0, 255}},
                                         {2, "crop <irrigated>", {230, 200, 40, 255}},
                                         {5, "water", {0, 0, 200, 255}},
                                         {9, "nowhere", {9, 9, 9, 255}}};

typedef struct copy {
  sky_cog *cog; /* or: */
  sky_mosaic *mosaic;
  sky_raster_input input;
  const sky_grid *grid;
  long kill, fail, skip, order;
  atomic_long blocks;
} copy;

static const char *argument(char **argv, const char *key, const char *none) {
  const size_t n = strlen(key);
  for (; *argv != NULL; argv++)
    if (strncmp(*argv, key, n) == 0 && (*argv)[n] == '=') return *argv + n + 1;
  return none;
}
static long number(char **argv, const char *key) {
  return strtol(argument(argv, key, "0"), NULL, 10);
}
static int choice(char **argv, const char *key, const char *const *names) {
  const char *word = argument(argv, key, names[0]);
  for (int i = 0; names[i] != NULL; i++)
    if (strcmp(word, names[i]) == 0) return i;
  fprintf(stderr, "%s=%s?\n", key, word);
  exit(2);
}

static sky_status put(sky_context *ctx, copy *c, size_t column, size_t band, const void *pixels) {
  if (c->mosaic != NULL ? !sky_mosaic_wants(c->mosaic, column, band)
                        : sky_cog_has(c->cog, column, band))
    return SKY_OK;
  const long n = atomic_fetch_add(&c->blocks, 1) + 1;
  if (n == c->kill) raise(SIGKILL);
  if (n == c->fail) return sky_fail(ctx, SKY_E_CANCELLED, "stopped by the test");
  if (c->skip > 0 && (long)(band * 7 + column) % c->skip == 0) return SKY_OK;
  return c->mosaic != NULL ? sky_mosaic_put(ctx, c->mosaic, column, band, pixels, SKY_BAND)
                           : sky_cog_put(ctx, c->cog, column, band, pixels, SKY_BAND);
}

static sky_status map(sky_context *ctx, void *user, void *worker, const sky_raster_block *b,
                      void **part) {
  (void)worker;
  (void)part;
  return put(ctx, user, b->column, b->band, b->pixel == NULL ? NULL : b->pixel[0]);
}
static sky_status merge(sky_context *ctx, void *user, size_t block, void *part) {
  (void)ctx;
  (void)user;
  (void)block;
  (void)part;
  return SKY_OK;
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Blocks one by one, shuffled. */
static sky_status run_shuffled(sky_context *ctx, copy *c) {
  const sky_grid *g = c->grid;
  const size_t columns = (g->nx - 1) / SKY_BAND + 1, bands = (g->ny - 1) / SKY_BAND + 1;
  const size_t n = columns * bands;
  sky_status st = SKY_OK;
  size_t *at = SKY_NEW(ctx, size_t, n);
  if (at == NULL) return SKY_E_NOMEM;
  srand((unsigned)c->order);
  for (size_t i = 0; i < n; i++) {
    const size_t k = (size_t)rand() % (i + 1);
    at[i] = at[k];
    at[k] = i;
  }
#pragma omp parallel num_threads(sky_context_threads(ctx))
  {
    sky_source *source = NULL;
    void *pixel = SKY_NEW(ctx, double, SKY_BAND *SKY_BAND);
    sky_status mine = pixel == NULL ? SKY_E_NOMEM : sky_source_open(ctx, &c->input, NULL, &source);
#pragma omp for schedule(dynamic, 1)
    for (size_t i = 0; i < n; i++) {
      const size_t x = at[i] % columns, y = at[i] / columns;
      const size_t end = smaller((y + 1) * SKY_BAND, g->ny);
      const sky_window w = {x * SKY_BAND, g->ny - end, smaller(SKY_BAND, g->nx - x * SKY_BAND),
                            end - y * SKY_BAND};
      if (mine == SKY_OK) mine = sky_source_load(ctx, source, &w);
      if (mine == SKY_OK) mine = sky_source_convert(ctx, source, &w, pixel);
      if (mine == SKY_OK) mine = put(ctx, c, x, y, pixel);
    }
#pragma omp critical
    if (mine != SKY_OK) {
      fprintf(stderr, "%s\n", sky_error(ctx));
      st = mine;
    }
    sky_source_close(source);
    sky_free(pixel);
  }
  sky_free(at);
  return st;
}

static sky_status run(sky_context *ctx, char **argv, const char *in, const char *out) {
  static const char *const types[] = {"float32", "uint8", "uint16", "int16", "int32", NULL};
  static const char *const codecs[] = {"deflate", "zstd", NULL};
  static const char *const kinds[] = {"mean", "sum", "class", NULL};
  static const char *const tags[] = {"TIFFTAG_SOFTWARE=skyflux", "JOB_SHA256=0123", NULL};
  sky_field field = {"x", "invented", NULL, "kg", (sky_field_kind)choice(argv, "kind", kinds), 0};
  if (field.kind == SKY_FIELD_CLASS) field.unit = "1";
  copy c = {.input = {in, 1, field.kind == SKY_FIELD_CLASS ? SKY_PIXEL_CLASS : SKY_PIXEL_VALUE,
                      SKY_SAMPLE_INTENSIVE},
            .kill = number(argv, "kill"),
            .fail = number(argv, "fail"),
            .skip = number(argv, "skip"),
            .order = number(argv, "order")};
  const char *nodata = argument(argv, "nodata", NULL);
  const sky_cog_options options = {.type = (sky_cog_type)choice(argv, "type", types),
                                   .codec = (sky_cog_codec)choice(argv, "codec", codecs),
                                   .level = (int)number(argv, "level"),
                                   .pixels = c.input.kind,
                                   .has_nodata = nodata != NULL,
                                   .nodata = nodata != NULL ? strtod(nodata, NULL) : 0,
                                   .tags = tags,
                                   .classes = legend,
                                   .n_classes = number(argv, "legend") != 0 ? 4 : 0,
                                   .stamp = argument(argv, "stamp", NULL),
                                   .fresh = number(argv, "fresh") != 0,
                                   .classic_limit = (uint64_t)number(argv, "classic")};
  const sky_raster_kernel kernel = {.user = &c, .map = map, .merge = merge};
  sky_raster_report report;
  sky_raster_set *set;
  SKY_TRY(sky_raster_set_open(ctx, &c.input, 1, NULL, &set));
  c.grid = sky_raster_set_grid(set);
  const size_t side = (size_t)number(argv, "side");
  const sky_shard shard = {(size_t)number(argv, "shard"), (size_t)number(argv, "shards")};
  sky_status st;
  if (number(argv, "link") != 0) {
    st = sky_mosaic_link(ctx, out, c.grid, &field, &options, side);
    sky_raster_set_close(set);
    printf("0 blocks\n");
    return st;
  }
  st = side > 0 ? sky_mosaic_open(ctx, out, c.grid, &field, &options, side, shard, &c.mosaic)
                : sky_cog_open(ctx, out, c.grid, &field, &options, &c.cog);
  if (st == SKY_OK) {
    st = c.order != 0 ? run_shuffled(ctx, &c)
                      : sky_raster_pass(ctx, set, "copy", NULL, &kernel, &report);
    if (st == SKY_OK) {
      st = side > 0 ? sky_mosaic_finish(ctx, c.mosaic) : sky_cog_finish(ctx, c.cog);
    } else {
      sky_cog_abort(c.cog);
      sky_mosaic_abort(c.mosaic);
    }
  }
  printf("%ld blocks\n", atomic_load(&c.blocks));
  sky_raster_set_close(set);
  return st;
}

int main(int argc, char **argv) {
  sky_context *ctx = NULL;
  if (argc < 3 || sky_context_create(&ctx) != SKY_OK) return 2;
  if (number(argv, "threads") > 0) sky_context_set_threads(ctx, (int)number(argv, "threads"));
  if (number(argv, "memory") > 0) sky_context_set_memory(ctx, (size_t)number(argv, "memory"));
  sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  if (number(argv, "limit") > 0) { /* stands for a full disk */
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {(rlim_t)number(argv, "limit"), (rlim_t)number(argv, "limit")};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  const sky_status st = run(ctx, argv + 3, argv[1], argv[2]);
  if (st != SKY_OK) fprintf(stderr, "%s: %s\n", sky_status_name(st), sky_error(ctx));
  sky_context_free(ctx);
  return sky_status_exit_code(st);
}
