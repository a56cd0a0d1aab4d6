/* gridding_write.c: see gridding_write.h.
 *
 * The worker gets two words: the output, and the path of a nameless file of this process in /proc
 * that says what the product is and where its runs of sums are. Numbers are in native byte order,
 * as in the frames of engine/worker.c: it is the same program on the same machine. */
#include "src/job/gridding_write.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"

#define OPEN_FILE "/proc/%ld/fd/%d"

static sky_status write_task(sky_context *ctx, int argc, char **argv, void **blob, size_t *size);

const sky_worker_task sky_gridding_worker_tasks[] = {{"grid-write", write_task}};
const size_t sky_gridding_worker_task_count =
    sizeof sky_gridding_worker_tasks / sizeof sky_gridding_worker_tasks[0];

typedef struct head { /* then edges, granules, runs, attributes */
  sky_level3 level3;  /* its pointers say nothing */
  size_t n_run, n_attr;
} head;

/* ---- the parent ----------------------------------------------------------------------------- */

static void put(sky_text *t, const void *data, size_t size) {
  sky_text_add(t, data, size);
}

static void put_text(sky_text *t, const char *text) {
  sky_text_add(t, text, strlen(text) + 1);
}

static void describe(const sky_gridding *g, const sky_level3 *l, const char *const *attrs,
                     sky_text *t) {
  sky_bin_runs *runs = sky_gridding_runs(g);
  head h;
  memset(&h, 0, sizeof h);
  h.level3 = *l;
  h.n_run = sky_bin_runs_count(runs);
  while (attrs[h.n_attr] != NULL)
    h.n_attr++;
  put(t, &h, sizeof h);
  put(t, l->grid.x_edge, (l->grid.nx + 1) * sizeof(double));
  put(t, l->grid.y_edge, (l->grid.ny + 1) * sizeof(double));
  for (size_t i = 0; i < l->n_granule; i++) {
    put(t, &l->granule[i].start, sizeof(double));
    put(t, &l->granule[i].end, sizeof(double));
    put_text(t, l->granule[i].name);
    put_text(t, l->granule[i].product);
  }
  for (size_t i = 0; i < h.n_run; i++) {
    char path[64];
    snprintf(path, sizeof path, OPEN_FILE, (long)getpid(), sky_bin_runs_descriptor(runs, i));
    put_text(t, path);
  }
  for (size_t i = 0; i < h.n_attr; i++)
    put_text(t, attrs[i]);
}

static void write_argv(void *user, size_t i, const char **argv) {
  const char *const *words = user;
  (void)i;
  argv[0] = "grid-write";
  argv[1] = words[0];
  argv[2] = words[1];
  argv[3] = NULL;
}

static sky_status run_worker(sky_context *ctx, const char *path, FILE *description) {
  char place[64];
  const char *words[2] = {path, place};
  sky_worker_result result = {0};
  snprintf(place, sizeof place, OPEN_FILE, (long)getpid(), fileno(description));
  sky_status st = sky_worker_run(ctx, 1, 1, 0, write_argv, words, &result);
  if (st == SKY_OK && result.status == SKY_E_WORKER)
    st = sky_fail(ctx, SKY_E_DISK, "%s: cannot be written: %s", path, result.message);
  else if (st == SKY_OK && result.status != SKY_OK)
    st = sky_fail(ctx, result.status, "%s", result.message);
  sky_worker_results_free(&result, 1);
  if (st != SKY_OK) sky_file_discard(path);
  return st;
}

sky_status sky_gridding_write(sky_context *ctx, sky_gridding *g, const char *path,
                              const char *const *attrs) {
  sky_text t = {.ctx = ctx};
  FILE *description = NULL;
  char *data = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_gridding_spill(g));
  sky_memory_trim(); /* the worker needs the room */
  SKY_GO(sky_bin_runs_scratch(sky_gridding_runs(g), &description));
  describe(g, sky_gridding_level3(g), attrs, &t);
  const size_t length = t.length;
  SKY_GO_ALLOC(data, sky_text_take(&t));
  if (fwrite(data, 1, length, description) != length)
    SKY_GO(sky_fail(ctx, SKY_E_DISK, "%s: scratch file: cannot be written", path));
  sky_progress_begin(ctx, "writing", 1);
  st = run_worker(ctx, path, description);
  sky_progress_end(ctx);
cleanup:
  if (description != NULL) fclose(description);
  sky_free(data);
  sky_text_free(&t);
  return st;
}

/* ---- the worker ----------------------------------------------------------------------------- */

typedef struct cursor {
  sky_context *ctx;
  const char *at;
  size_t left;
} cursor;

static sky_status take(cursor *c, void *to, size_t size) {
  if (size > c->left) return sky_fail(c->ctx, SKY_E_WORKER, "the description is cut");
  memcpy(to, c->at, size);
  c->at += size;
  c->left -= size;
  return SKY_OK;
}

/* Points into what is read. */
static sky_status take_text(cursor *c, const char **out) {
  const size_t n = strnlen(c->at, c->left);
  if (n == c->left) return sky_fail(c->ctx, SKY_E_WORKER, "the description is cut");
  *out = c->at;
  c->at += n + 1;
  c->left -= n + 1;
  return SKY_OK;
}

static sky_status take_granule(cursor *c, sky_level3 *l) {
  const char *name = NULL, *product = NULL;
  sky_level3_granule *g = &l->granule[l->n_granule++];
  SKY_TRY(take(c, &g->start, sizeof g->start));
  SKY_TRY(take(c, &g->end, sizeof g->end));
  SKY_TRY(take_text(c, &name));
  SKY_TRY(take_text(c, &product));
  g->name = sky_strdup(c->ctx, name);
  g->product = sky_strdup(c->ctx, product);
  return g->name != NULL && g->product != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status take_level3(cursor *c, head *h, sky_level3 *l) {
  SKY_TRY(take(c, h, sizeof *h));
  *l = h->level3;
  l->n_granule = 0;
  l->grid.x_edge = SKY_NEW(c->ctx, double, l->grid.nx + 1);
  l->grid.y_edge = SKY_NEW(c->ctx, double, l->grid.ny + 1);
  l->granule = SKY_NEW0(c->ctx, sky_level3_granule, h->level3.n_granule);
  if (l->grid.x_edge == NULL || l->grid.y_edge == NULL || l->granule == NULL) return SKY_E_NOMEM;
  SKY_TRY(take(c, l->grid.x_edge, (l->grid.nx + 1) * sizeof(double)));
  SKY_TRY(take(c, l->grid.y_edge, (l->grid.ny + 1) * sizeof(double)));
  while (l->n_granule < h->level3.n_granule)
    SKY_TRY(take_granule(c, l));
  return SKY_OK;
}

static sky_status take_runs(cursor *c, size_t n, sky_bin_runs *runs) {
  for (size_t i = 0; i < n; i++) {
    const char *path = NULL;
    SKY_TRY(take_text(c, &path));
    SKY_TRY(sky_bin_runs_open(runs, path));
  }
  return SKY_OK;
}

static sky_status runs_rewind(void *user) {
  return sky_bin_runs_rewind(user);
}

static sky_status runs_next(void *user, size_t *cell, sky_bin *sums) {
  *cell = sky_bin_runs_peek(user);
  if (*cell == SIZE_MAX) return SKY_OK;
  memset(sums, 0, sizeof *sums);
  return sky_bin_runs_take(user, sums);
}

static sky_status write_task(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  sky_level3 l = {0};
  sky_bin_runs *runs = NULL;
  const char **attrs = NULL;
  char *text = NULL;
  head h;
  cursor c = {.ctx = ctx};
  sky_status st = SKY_OK;
  *blob = NULL;
  *size = 0;
  if (argc != 2) return sky_fail(ctx, SKY_E_INTERNAL, "grid-write takes two words");
  SKY_GO(sky_file_read_text(ctx, argv[1], &text, &c.left));
  c.at = text;
  SKY_GO(take_level3(&c, &h, &l));
  SKY_GO(sky_bin_runs_create(ctx, argv[0], &runs));
  SKY_GO(take_runs(&c, h.n_run, runs));
  SKY_GO_ALLOC(attrs, SKY_NEW0(ctx, const char *, h.n_attr + 1));
  for (size_t i = 0; i < h.n_attr; i++)
    SKY_GO(take_text(&c, &attrs[i]));
  const sky_bin_source source = {runs, sky_bin_runs_cells(runs), runs_rewind, runs_next};
  st = sky_level3_write(ctx, argv[0], &l, &source, attrs);
cleanup:
  sky_free(attrs);
  sky_free(text);
  sky_bin_runs_free(runs);
  sky_level3_free(&l);
  return st;
}
