/* granule.c: product files through worker processes (engine/worker.h), because libhdf5 can crash or
 * hang on corrupt input: then that granule is lost with a reason, and the next one is read. The
 * decoding itself is decode.c. */
#include "src/read/granule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/read/soundings.h"

/* --- the child ---------------------------------------------------------------------------------
 */

/* Words of a task: path, product, gas ("" = none named), then the selection. */
enum {
  ARG_PATH,
  ARG_PRODUCT,
  ARG_GAS,
  ARG_HAS_BOX,
  ARG_WEST,
  ARG_SOUTH,
  ARG_EAST,
  ARG_NORTH,
  ARG_START,
  ARG_END,
  ARG_KEEP,
  ARG_MEMORY,
  ARG_COUNT
};

static sky_status parse_arguments(sky_context *ctx, int argc, char **argv, sky_selection *sel) {
  if (argc != ARG_COUNT) {
    return sky_fail(ctx, SKY_E_INTERNAL, "granule task: %d words, expected %d", argc, ARG_COUNT);
  }
  sel->has_box = strcmp(argv[ARG_HAS_BOX], "1") == 0;
  sel->west = strtod(argv[ARG_WEST], NULL);
  sel->south = strtod(argv[ARG_SOUTH], NULL);
  sel->east = strtod(argv[ARG_EAST], NULL);
  sel->north = strtod(argv[ARG_NORTH], NULL);
  sel->start = strtod(argv[ARG_START], NULL);
  sel->end = strtod(argv[ARG_END], NULL);
  sel->keep_dropped = strcmp(argv[ARG_KEEP], "1") == 0;
  sky_context_set_memory(ctx, strtoull(argv[ARG_MEMORY], NULL, 10));
  return SKY_OK;
}

static sky_status hand_over(sky_text *t, void **blob, size_t *size) {
  const size_t length = t->length;
  *blob = sky_text_take(t);
  *size = length;
  return *blob != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* Block: drops[SKY_DROP_COUNT] as uint64, then the soundings. */
static sky_status task_granule(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  sky_selection sel;
  SKY_TRY(parse_arguments(ctx, argc, argv, &sel));
  sky_soundings s = {0};
  size_t drops[SKY_DROP_COUNT];
  sky_text t = {.ctx = ctx};
  sky_status st = SKY_OK;
  SKY_GO(
      sky_granule_decode(ctx, argv[ARG_PATH], argv[ARG_PRODUCT], argv[ARG_GAS], &sel, &s, drops));
  for (int k = 0; k < SKY_DROP_COUNT; ++k) {
    const uint64_t count = drops[k];
    sky_text_add(&t, (const char *)&count, sizeof count);
  }
  SKY_GO(sky_soundings_pack(&s, &t));
  SKY_GO(hand_over(&t, blob, size));
cleanup:
  sky_text_free(&t);
  sky_soundings_free(&s);
  return st;
}

/* Longitudes of the smallest eastward arc that holds all soundings: the largest gap between sorted
 * neighbours is what it leaves out. */
static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void longitude_range(double *lon, size_t n, double *west, double *east) {
  qsort(lon, n, sizeof *lon, compare_doubles);
  *west = lon[0];
  *east = lon[n - 1];
  double gap = lon[0] + 360.0 - lon[n - 1];
  for (size_t i = 1; i < n; ++i) {
    if (lon[i] - lon[i - 1] <= gap || lon[i] - lon[i - 1] < 180.0) continue;
    gap = lon[i] - lon[i - 1];
    *west = lon[i];
    *east = lon[i - 1];
  }
}

static sky_status summarise(sky_context *ctx, const sky_soundings *s,
                            const size_t drops[SKY_DROP_COUNT], sky_granule_gas *out) {
  double *lon = SKY_NEW(ctx, double, s->n + 1);
  if (lon == NULL) return SKY_E_NOMEM;
  size_t n_lon = 0;
  memset(out, 0, sizeof *out);
  snprintf(out->gas, sizeof out->gas, "%s", s->gas);
  memcpy(out->drops, drops, sizeof out->drops);
  out->time_start = out->time_end = out->south = out->north = out->west = out->east = NAN;
  for (size_t i = 0; i < s->n; ++i) {
    if (s->drop[i] == SKY_DROP_BOX || s->drop[i] == SKY_DROP_PERIOD) continue;
    ++out->soundings;
    out->good += s->drop[i] == SKY_DROP_NONE;
    out->time_start = fmin(out->time_start, s->time[i]); /* fmin skips NaN */
    out->time_end = fmax(out->time_end, s->time[i]);
    out->south = fmin(out->south, s->lat[i]);
    out->north = fmax(out->north, s->lat[i]);
    if (isfinite(s->lon[i])) lon[n_lon++] = s->lon[i];
  }
  if (n_lon > 0) longitude_range(lon, n_lon, &out->west, &out->east);
  sky_free(lon);
  return SKY_OK;
}

/* A harmonised file keeps its own drop reasons; the selection comes before them. */
static sky_status describe_harmonised(sky_context *ctx, const char *path, const sky_selection *sel,
                                      sky_granule_summary *out) {
  sky_soundings s;
  size_t drops[SKY_DROP_COUNT];
  SKY_TRY(sky_soundings_read(ctx, path, &s));
  for (size_t i = 0; i < s.n; ++i) {
    const sky_drop outside = sky_selection_drop(sel, s.lon[i], s.lat[i], s.time[i]);
    if (outside != SKY_DROP_NONE) s.drop[i] = (uint8_t)outside;
  }
  sky_soundings_count(&s, drops);
  *out = (sky_granule_summary){.harmonised = true, .n_gases = 1};
  memcpy(out->product, s.product, sizeof out->product);
  const sky_status st = summarise(ctx, &s, drops, &out->gas[0]);
  sky_soundings_free(&s);
  return st;
}

static sky_status describe_granule(sky_context *ctx, const char *path, const char *product,
                                   const sky_selection *sel, sky_granule_summary *out) {
  sky_granule_info info;
  SKY_TRY(sky_granule_identify(ctx, path, product, &info));
  *out = (sky_granule_summary){.n_gases = info.n_gases};
  memcpy(out->product, info.product, sizeof out->product);
  for (size_t g = 0; g < info.n_gases; ++g) {
    sky_soundings s;
    size_t drops[SKY_DROP_COUNT];
    SKY_TRY(sky_granule_decode(ctx, path, info.product, info.gases[g], sel, &s, drops));
    const sky_status st = summarise(ctx, &s, drops, &out->gas[g]);
    sky_soundings_free(&s);
    SKY_TRY(st);
  }
  if (info.n_gases == 0) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: product %s without a gas", path, info.product);
  }
  return SKY_OK;
}

/* Block: one sky_granule_summary. */
static sky_status task_describe(sky_context *ctx, int argc, char **argv, void **blob,
                                size_t *size) {
  sky_selection sel;
  SKY_TRY(parse_arguments(ctx, argc, argv, &sel));
  sel.keep_dropped = true;
  sky_granule_summary sum;
  bool harmonised;
  SKY_TRY(sky_soundings_recognise(ctx, argv[ARG_PATH], &harmonised));
  if (harmonised) {
    SKY_TRY(describe_harmonised(ctx, argv[ARG_PATH], &sel, &sum));
  } else {
    SKY_TRY(describe_granule(ctx, argv[ARG_PATH], argv[ARG_PRODUCT], &sel, &sum));
  }
  sky_text t = {.ctx = ctx};
  sky_text_add(&t, (const char *)&sum, sizeof sum);
  const sky_status st = hand_over(&t, blob, size);
  sky_text_free(&t);
  return st;
}

const sky_worker_task sky_granule_worker_tasks[] = {
    {"granule", task_granule},
    {"describe", task_describe},
};
const size_t sky_granule_worker_task_count =
    sizeof sky_granule_worker_tasks / sizeof sky_granule_worker_tasks[0];

/* --- the parent --------------------------------------------------------------------------------
 */

typedef struct request { /* what argv_of prints; texts live as long as the request */
  const char *task;
  char *const *paths;
  const char *product, *gas;
  const sky_selection *sel;
  char number[6][32], memory[32];
} request;

/* memory: what one child may use. */
static void request_init(request *q, const char *task, char *const *paths, const char *product,
                         const char *gas, const sky_selection *sel, size_t memory) {
  static const sky_selection ALL = {.start = NAN, .end = NAN};
  *q = (request){.task = task, .paths = paths, .sel = sel != NULL ? sel : &ALL};
  q->product = product != NULL ? product : "auto";
  q->gas = gas != NULL ? gas : "";
  snprintf(q->memory, sizeof q->memory, "%zu", memory);
  const double value[6] = {q->sel->west,  q->sel->south, q->sel->east,
                           q->sel->north, q->sel->start, q->sel->end};
  for (int k = 0; k < 6; ++k)
    snprintf(q->number[k], sizeof q->number[k], "%.17g", value[k]);
}

static void request_argv(void *user, size_t i, const char **argv) {
  const request *q = user;
  argv[0] = q->task;
  ++argv;
  argv[ARG_PATH] = q->paths[i];
  argv[ARG_PRODUCT] = q->product;
  argv[ARG_GAS] = q->gas;
  argv[ARG_HAS_BOX] = q->sel->has_box ? "1" : "0";
  for (int k = 0; k < 6; ++k)
    argv[ARG_WEST + k] = q->number[k];
  argv[ARG_KEEP] = q->sel->keep_dropped ? "1" : "0";
  argv[ARG_MEMORY] = q->memory;
  argv[ARG_COUNT] = NULL;
}

sky_status sky_granule_describe(sky_context *ctx, const char *path, const char *product,
                                const sky_selection *sel, double timeout_s,
                                sky_granule_summary *out) {
  char *const paths[1] = {(char *)path};
  request q;
  sky_worker_result result = {0};
  request_init(&q, "describe", paths, product, NULL, sel, sky_context_memory(ctx));
  SKY_TRY(sky_worker_run(ctx, 1, 1, timeout_s, request_argv, &q, &result));
  sky_status st = result.status;
  if (st == SKY_E_WORKER) {
    st = sky_fail(ctx, SKY_E_READ, "%s: unreadable: %s", path, result.message);
  } else if (st != SKY_OK) {
    sky_fail(ctx, st, "%s", result.message);
  } else if (result.size != sizeof *out) {
    st = sky_fail(ctx, SKY_E_WORKER, "%s: the worker's answer has %zu bytes, expected %zu", path,
                  result.size, sizeof *out);
  } else {
    memcpy(out, result.blob, sizeof *out);
  }
  sky_worker_results_free(&result, 1);
  return st;
}

void sky_granule_failures_free(sky_granule_failures *f) {
  if (f == NULL) return;
  for (size_t i = 0; i < f->n; ++i) {
    sky_free(f->item[i].path);
    sky_free(f->item[i].reason);
  }
  sky_free(f->item);
  memset(f, 0, sizeof *f);
}

/* The reason is kept without the path in front. */
static sky_status add_failure(sky_context *ctx, sky_granule_failures *f, const char *path,
                              const char *reason, sky_status status) {
  const size_t length = strlen(path);
  if (strncmp(reason, path, length) == 0 && strncmp(reason + length, ": ", 2) == 0) {
    reason += length + 2;
  }
  sky_log(ctx, SKY_LOG_WARN, "%s: granule skipped: %s", sky_file_base(path), reason);
  sky_granule_failure *grown = sky_realloc(ctx, f->item, f->n, f->n + 1, sizeof *f->item);
  if (grown == NULL) return SKY_E_NOMEM;
  f->item = grown;
  sky_granule_failure *item = &f->item[f->n];
  *item = (sky_granule_failure){sky_strdup(ctx, path), sky_strdup(ctx, reason), status};
  ++f->n;
  return item->path != NULL && item->reason != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* One answer -> part, or a failure. */
static sky_status take_result(sky_context *ctx, const char *path, const sky_worker_result *r,
                              sky_soundings *part, size_t drops[SKY_DROP_COUNT],
                              sky_granule_failures *failed) {
  uint64_t counts[SKY_DROP_COUNT];
  sky_status st = r->status;
  const char *reason = r->message != NULL ? r->message : sky_status_name(st);
  if (st == SKY_OK) {
    const char *at = r->blob;
    size_t left = r->size;
    if (left < sizeof counts) {
      st = sky_fail(ctx, SKY_E_WORKER, "the worker's answer is too short");
    } else {
      memcpy(counts, at, sizeof counts);
      at += sizeof counts;
      left -= sizeof counts;
      st = sky_soundings_unpack(ctx, &at, &left, part);
    }
    if (st == SKY_E_NOMEM) return st;
    reason = sky_error(ctx);
  }
  /* A worker that died did so over this file: the file is what is unreadable. */
  if (st == SKY_E_WORKER) st = SKY_E_READ;
  if (st != SKY_OK) return add_failure(ctx, failed, path, reason, st);
  for (int k = 0; k < SKY_DROP_COUNT; ++k)
    drops[k] += counts[k];
  return SKY_OK;
}

typedef struct gathering {
  sky_soundings *part; /* [n] of the granules read so far */
  size_t n;
  size_t drops[SKY_DROP_COUNT];
  sky_granule_failures failed;
} gathering;

/* Granules [first, first+n): read side by side, taken in order. */
static sky_status read_batch(sky_context *ctx, request *q, size_t n, double timeout_s,
                             gathering *g) {
  sky_worker_result *results = SKY_NEW0(ctx, sky_worker_result, n);
  if (results == NULL) return SKY_E_NOMEM;
  sky_status st =
      sky_worker_run(ctx, n, sky_context_threads(ctx), timeout_s, request_argv, q, results);
  for (size_t i = 0; i < n && st == SKY_OK; ++i) {
    const size_t failures = g->failed.n;
    st = take_result(ctx, q->paths[i], &results[i], &g->part[g->n], g->drops, &g->failed);
    if (st == SKY_OK && g->failed.n == failures) ++g->n;
  }
  sky_worker_results_free(results, n);
  sky_free(results);
  return st;
}

/* Answers of one batch are in memory at once. */
#define BATCH_PER_THREAD 8

sky_status sky_granules_read(sky_context *ctx, char *const *paths, size_t n, const char *product,
                             const char *gas, const sky_selection *sel, double timeout_s,
                             sky_soundings *out, size_t drops[SKY_DROP_COUNT],
                             sky_granule_failures *failed) {
  memset(out, 0, sizeof *out);
  if (failed != NULL) memset(failed, 0, sizeof *failed);
  gathering g = {0};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(g.part, SKY_NEW0(ctx, sky_soundings, n));
  const size_t threads = (size_t)sky_context_threads(ctx), batch = threads * BATCH_PER_THREAD;
  sky_progress_begin(ctx, "granules", n);
  for (size_t i = 0; i < n && st == SKY_OK; i += batch) {
    request q;
    request_init(&q, "granule", paths + i, product, gas, sel, sky_context_memory(ctx) / threads);
    st = read_batch(ctx, &q, n - i < batch ? n - i : batch, timeout_s, &g);
  }
  sky_progress_end(ctx);
  if (st != SKY_OK) goto cleanup;
  if (g.n > 0) {
    SKY_GO(sky_soundings_join(ctx, g.part, g.n, out));
  } else {
    st = sky_fail(ctx, SKY_E_NODATA, "none of %zu granules could be read%s%s", n,
                  g.failed.n > 0 ? "; the first: " : "",
                  g.failed.n > 0 ? g.failed.item[0].reason : "");
  }
  if (drops != NULL) memcpy(drops, g.drops, sizeof g.drops);
  if (failed != NULL) {
    *failed = g.failed;
    memset(&g.failed, 0, sizeof g.failed);
  }
cleanup:
  for (size_t i = 0; g.part != NULL && i < g.n; ++i)
    sky_soundings_free(&g.part[i]);
  sky_free(g.part);
  sky_granule_failures_free(&g.failed);
  return st;
}
