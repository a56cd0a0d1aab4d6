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

/* Words of a task: path, product, gas ("" = none named), then the selection: box and period as
 * numbers, quality, the user's readers as the text of declare.h. */
enum {
  ARG_PATH,
  ARG_PRODUCT,
  ARG_GAS,
  ARG_SELECTION,
  ARG_QUALITY,
  ARG_DECLARED,
  ARG_MEMORY,
  ARG_COUNT
};

#define SELECTION_FORMAT "%d %lg %lg %lg %lg %lg %lg %d"

/* *declared: what sel->declared points to, for the caller to free. */
static sky_status parse_arguments(sky_context *ctx, int argc, char **argv, sky_selection *sel,
                                  sky_declared **declared) {
  int has_box, keep;
  *sel = (sky_selection){0};
  *declared = NULL;
  if (argc != ARG_COUNT ||
      sscanf(argv[ARG_SELECTION], SELECTION_FORMAT, &has_box, &sel->west, &sel->south, &sel->east,
             &sel->north, &sel->start, &sel->end, &keep) != 8) {
    return sky_fail(ctx, SKY_E_INTERNAL, "granule task: %d words, expected %d", argc, ARG_COUNT);
  }
  sel->has_box = has_box != 0;
  sel->keep_dropped = keep != 0;
  sel->quality = argv[ARG_QUALITY];
  sky_context_set_memory(ctx, strtoull(argv[ARG_MEMORY], NULL, 10));
  if (argv[ARG_DECLARED][0] == '\0') return SKY_OK;
  const sky_status st = sky_declared_parse(ctx, "products", argv[ARG_DECLARED], declared);
  sel->declared = *declared;
  return st;
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
  sky_declared *declared = NULL;
  sky_soundings s = {0};
  size_t drops[SKY_DROP_COUNT];
  sky_text t = {.ctx = ctx};
  sky_status st = SKY_OK;
  SKY_GO(parse_arguments(ctx, argc, argv, &sel, &declared));
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
  sky_declared_free(declared);
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
  sky_granule_file g;
  SKY_TRY(sky_granule_open(ctx, path, product, sel->declared, &g));
  *out = (sky_granule_summary){.n_gases = g.info.n_gases};
  memcpy(out->product, g.info.product, sizeof out->product);
  sky_status st = SKY_OK;
  for (size_t k = 0; k < g.info.n_gases && st == SKY_OK; ++k) {
    sky_soundings s;
    size_t drops[SKY_DROP_COUNT];
    st = sky_granule_take(ctx, &g, g.info.gases[k], sel, &s, drops);
    if (st == SKY_OK) st = summarise(ctx, &s, drops, &out->gas[k]);
    sky_soundings_free(&s);
  }
  if (g.info.n_gases == 0) {
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: product %s without a gas", path, g.info.product);
  }
  sky_granule_close(&g);
  return st;
}

/* Block: one sky_granule_summary. */
static sky_status task_describe(sky_context *ctx, int argc, char **argv, void **blob,
                                size_t *size) {
  sky_selection sel;
  sky_declared *declared = NULL;
  sky_granule_summary sum;
  bool harmonised;
  sky_text t = {.ctx = ctx};
  sky_status st = SKY_OK;
  SKY_GO(parse_arguments(ctx, argc, argv, &sel, &declared));
  sel.keep_dropped = true;
  SKY_GO(sky_soundings_recognise(ctx, argv[ARG_PATH], &harmonised));
  if (harmonised) {
    SKY_GO(describe_harmonised(ctx, argv[ARG_PATH], &sel, &sum));
  } else {
    SKY_GO(describe_granule(ctx, argv[ARG_PATH], argv[ARG_PRODUCT], &sel, &sum));
  }
  sky_text_add(&t, (const char *)&sum, sizeof sum);
  SKY_GO(hand_over(&t, blob, size));
cleanup:
  sky_text_free(&t);
  sky_declared_free(declared);
  return st;
}

/* Block: one byte, whether the file is harmonised. */
static sky_status task_kind(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  bool harmonised = false;
  if (argc != ARG_COUNT)
    return sky_fail(ctx, SKY_E_INTERNAL, "kind task: %d words, expected %d", argc, ARG_COUNT);
  SKY_TRY(sky_soundings_recognise(ctx, argv[ARG_PATH], &harmonised));
  const char byte = harmonised;
  sky_text t = {.ctx = ctx};
  sky_text_add(&t, &byte, 1);
  const sky_status st = hand_over(&t, blob, size);
  sky_text_free(&t);
  return st;
}

const sky_worker_task sky_granule_worker_tasks[] = {
    {"kind", task_kind},
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
  const char *product, *gas, *quality, *declared;
  char selection[256], memory[32];
} request;

/* memory: what one child may use. */
static void request_init(request *q, const char *task, char *const *paths, const char *product,
                         const char *gas, const sky_selection *sel, size_t memory) {
  static const sky_selection ALL = {.start = NAN, .end = NAN};
  if (sel == NULL) sel = &ALL;
  *q = (request){.task = task, .paths = paths};
  q->product = product != NULL ? product : "auto";
  q->gas = gas != NULL ? gas : "";
  q->quality = sel->quality != NULL ? sel->quality : "";
  q->declared = sel->declared != NULL ? sky_declared_text(sel->declared) : "";
  snprintf(q->memory, sizeof q->memory, "%zu", memory);
  snprintf(q->selection, sizeof q->selection, "%d %.17g %.17g %.17g %.17g %.17g %.17g %d",
           sel->has_box, sel->west, sel->south, sel->east, sel->north, sel->start, sel->end,
           sel->keep_dropped);
}

static void request_argv(void *user, size_t i, const char **argv) {
  const request *q = user;
  argv[0] = q->task;
  ++argv;
  argv[ARG_PATH] = q->paths[i];
  argv[ARG_PRODUCT] = q->product;
  argv[ARG_GAS] = q->gas;
  argv[ARG_SELECTION] = q->selection;
  argv[ARG_QUALITY] = q->quality;
  argv[ARG_DECLARED] = q->declared;
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

sky_status sky_granules_harmonised(sky_context *ctx, char *const *paths, size_t n, double timeout_s,
                                   bool *harmonised) {
  request q;
  sky_worker_result *results = SKY_NEW0(ctx, sky_worker_result, n);
  if (results == NULL) return SKY_E_NOMEM;
  request_init(&q, "kind", paths, NULL, NULL, NULL, sky_context_memory(ctx));
  const sky_status st =
      sky_worker_run(ctx, n, sky_context_threads(ctx), timeout_s, request_argv, &q, results);
  for (size_t i = 0; i < n; ++i)
    harmonised[i] =
        results[i].status == SKY_OK && results[i].size == 1 && *(const char *)results[i].blob != 0;
  sky_worker_results_free(results, n);
  sky_free(results);
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
  memset(failed, 0, sizeof *failed);
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
  *failed = g.failed;
  memset(&g.failed, 0, sizeof g.failed);
cleanup:
  for (size_t i = 0; g.part != NULL && i < g.n; ++i)
    sky_soundings_free(&g.part[i]);
  sky_free(g.part);
  sky_granule_failures_free(&g.failed);
  return st;
}
