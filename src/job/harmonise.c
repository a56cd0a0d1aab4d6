/* harmonise.c: the parent's side of harmonise.h: hands out granules, collects what they are, has
 * the file written. */
#include "src/job/harmonise.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "algorithms/column/clean.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/text.h"
#include "src/job/harmonise_part.h"
#include "src/read/product.h"

const sky_worker_task sky_harmonise_worker_tasks[] = {
    {"soundings-part", sky_task_part},
    {"soundings-join", sky_task_join},
    {"soundings-check", sky_task_check},
};
const size_t sky_harmonise_worker_task_count =
    sizeof sky_harmonise_worker_tasks / sizeof sky_harmonise_worker_tasks[0];

/* --- words -------------------------------------------------------------------------------------
 */

static const struct {
  const char *word;
  unsigned bits;
} STEPS[] = {
    {"duplicates", SKY_CLEAN_DUPLICATES}, {"positions", SKY_CLEAN_POSITIONS},
    {"outliers", SKY_CLEAN_OUTLIERS},     {"stripes", SKY_CLEAN_STRIPES},
    {"scanlines", SKY_CLEAN_SCANLINES},   {"coast", SKY_CLEAN_COAST},
    {"water", SKY_CLEAN_WATER},           {"snow", SKY_CLEAN_SNOW},
};
#define N_STEPS (sizeof STEPS / sizeof STEPS[0])
#define STANDARD \
  (SKY_CLEAN_DUPLICATES | SKY_CLEAN_POSITIONS | SKY_CLEAN_OUTLIERS | SKY_CLEAN_STRIPES)

sky_status sky_clean_parse(sky_context *ctx, const char *text, unsigned *clean) {
  *clean = 0;
  for (text += strspn(text, ", "); *text != '\0'; text += strspn(text, ", ")) {
    const size_t n = strcspn(text, ", ");
    size_t k = 0;
    while (k < N_STEPS && (strlen(STEPS[k].word) != n || strncmp(STEPS[k].word, text, n) != 0))
      ++k;
    if (k < N_STEPS) {
      *clean |= STEPS[k].bits;
    } else if (n == 8 && strncmp(text, "standard", n) == 0) {
      *clean |= STANDARD;
    } else if (n != 4 || strncmp(text, "none", n) != 0) {
      return sky_fail(ctx, SKY_E_USAGE,
                      "cleaning step '%.*s' is not one of duplicates, positions, outliers, "
                      "stripes, scanlines, coast, water, snow, standard, none",
                      (int)n, text);
    }
    text += n;
  }
  return SKY_OK;
}

void sky_clean_text(unsigned clean, char *out, size_t size) {
  out[0] = '\0';
  for (size_t k = 0; k < N_STEPS; ++k) {
    const size_t at = strlen(out);
    if (clean & STEPS[k].bits)
      snprintf(out + at, size - at, "%s%s", at > 0 ? " " : "", STEPS[k].word);
  }
  if (out[0] == '\0') snprintf(out, size, "none");
}

static const char *const METHODS[] = {"none", "percentile", "upwind", "smooth", "boundary"};

sky_status sky_background_parse(sky_context *ctx, const char *text, sky_background_choice *out) {
  *out = (sky_background_choice){.percentile = 0.1};
  const size_t n = strcspn(text, ":");
  for (int k = 0; k <= SKY_BACKGROUND_BOUNDARY; ++k)
    if (strlen(METHODS[k]) == n && strncmp(METHODS[k], text, n) == 0)
      out->method = (sky_background_method)k;
  if (out->method == SKY_BACKGROUND_NONE && strcmp(text, "none") != 0)
    return sky_fail(ctx, SKY_E_USAGE,
                    "background '%s' is not one of none, percentile[:SHARE], upwind, smooth, "
                    "boundary",
                    text);
  if (text[n] == '\0') return SKY_OK;
  if (out->method != SKY_BACKGROUND_PERCENTILE ||
      !sky_number_parse(text + n + 1, &out->percentile, NULL) || !(out->percentile > 0) ||
      !(out->percentile < 1))
    return sky_fail(ctx, SKY_E_USAGE, "background '%s': expected percentile:SHARE, 0 < SHARE < 1",
                    text);
  return SKY_OK;
}

void sky_background_text(const sky_background_choice *b, char *out, size_t size) {
  if (b->method == SKY_BACKGROUND_PERCENTILE)
    snprintf(out, size, "percentile:%g", b->percentile);
  else
    snprintf(out, size, "%s%s", METHODS[b->method], b->wind ? " (winds of a file)" : "");
}

/* --- parts -------------------------------------------------------------------------------------
 */

typedef struct errand { /* one task of reading: an input, or a range of a harmonised one */
  size_t input;
  sky_range range;
} errand;

typedef struct harvest {
  sky_context *ctx;
  const sky_harmonise_request *q;
  sky_harmonise_result *out;
  char *folder; /* scratch */
  int lock;     /* on it; -1 without */
  errand *errand;
  size_t n_errands, first; /* first: of the present round */
  sky_part *part;
  size_t n_parts;
  char id[24], selection[192], range[48]; /* words of the task being started */
} harvest;

static sky_status add_errand(harvest *h, size_t input, const sky_range *range) {
  errand *grown = sky_realloc(h->ctx, h->errand, h->n_errands, h->n_errands + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  h->errand = grown;
  h->errand[h->n_errands++] = (errand){input, range != NULL ? *range : (sky_range){0}};
  return SKY_OK;
}

/* The words are copied when the process starts. */
static void part_argv(void *user, size_t i, const char **argv) {
  static const sky_selection ALL = {.start = NAN, .end = NAN};
  harvest *h = user;
  const errand *e = &h->errand[h->first + i];
  const sky_harmonise_input *in = &h->q->input[e->input];
  const sky_selection *s = in->sel != NULL ? in->sel : &ALL;
  snprintf(h->id, sizeof h->id, "%zu", h->first + i);
  snprintf(h->selection, sizeof h->selection, "%d %.17g %.17g %.17g %.17g %.17g %.17g", s->has_box,
           s->west, s->south, s->east, s->north, s->start, s->end);
  snprintf(h->range, sizeof h->range, "%lu %lu", e->range.from, e->range.to);
  const char *const words[] = {"soundings-part",
                               h->folder,
                               h->id,
                               in->path,
                               in->product != NULL ? in->product : "auto",
                               in->listed ? "1" : "0",
                               h->selection,
                               s->quality != NULL ? s->quality : "",
                               s->declared != NULL ? sky_declared_text(s->declared) : "",
                               h->range,
                               NULL};
  memcpy(argv, words, sizeof words);
}

static sky_status add_failure(sky_context *ctx, sky_granule_failures *f, const char *path,
                              const char *reason, sky_status status) {
  const size_t length = strlen(path);
  if (strncmp(reason, path, length) == 0 && strncmp(reason + length, ": ", 2) == 0)
    reason += length + 2;
  sky_granule_failure *grown = sky_realloc(ctx, f->item, f->n, f->n + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  f->item = grown;
  sky_granule_failure *item = &f->item[f->n];
  *item = (sky_granule_failure){sky_strdup(ctx, path), sky_strdup(ctx, reason), status};
  ++f->n;
  return item->path != NULL && item->reason != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status take_answer(harvest *h, size_t e, const sky_worker_result *r) {
  const size_t input = h->errand[e].input;
  const char *path = h->q->input[input].path;
  sky_part_head head = {.n_parts = 0};
  size_t bytes = sizeof head;
  if (r->status != SKY_OK) {
    const char *reason = r->message != NULL ? r->message : sky_status_name(r->status);
    if (r->status == SKY_E_DISK) /* no room for its soundings: no fault of the granule */
      return sky_fail(h->ctx, SKY_E_DISK, "%s: cannot be written: %s", h->q->output, reason);
    sky_log(h->ctx, SKY_LOG_WARN, "%s: granule skipped: %s", sky_file_base(path), reason);
    /* A worker that died did so over this file: the file is what is unreadable. */
    return add_failure(h->ctx, &h->out->failed, path, reason,
                       r->status == SKY_E_WORKER ? SKY_E_READ : r->status);
  }
  if (r->size >= bytes) memcpy(&head, r->blob, sizeof head);
  bytes += head.n_parts * sizeof(sky_part) + head.n_ranges * sizeof(sky_range);
  if (r->size != bytes)
    return sky_fail(h->ctx, SKY_E_WORKER, "%s: the worker's answer has %zu bytes, expected %zu",
                    path, r->size, bytes);
  if (head.passed_over[0] != '\0')
    return add_failure(h->ctx, &h->out->passed_over, path, head.passed_over, SKY_E_FORMAT);
  sky_part *grown =
      sky_realloc(h->ctx, h->part, h->n_parts, h->n_parts + head.n_parts, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  h->part = grown;
  const char *at = (const char *)r->blob + sizeof head;
  if (head.n_parts > 0) memcpy(h->part + h->n_parts, at, head.n_parts * sizeof *h->part);
  h->n_parts += head.n_parts;
  at += head.n_parts * sizeof *h->part;
  for (size_t k = 0; k < head.n_ranges; ++k) {
    sky_range range;
    memcpy(&range, at + k * sizeof range, sizeof range);
    SKY_TRY(add_errand(h, input, &range));
  }
  return SKY_OK;
}

/* A round of all errands not run yet; what it turns up is the next round. */
static sky_status run_round(harvest *h) {
  const size_t n = h->n_errands - h->first;
  sky_worker_result *results = SKY_NEW0(h->ctx, sky_worker_result, n);
  if (results == NULL) return SKY_E_NOMEM;
  sky_progress_begin(h->ctx, "granules", n);
  sky_status st = sky_worker_run(h->ctx, n, sky_context_threads(h->ctx), h->q->timeout_s, part_argv,
                                 h, results);
  sky_progress_end(h->ctx);
  const size_t first = h->first;
  h->first += n;
  for (size_t i = 0; i < n && st == SKY_OK; ++i)
    st = take_answer(h, first + i, &results[i]);
  sky_worker_results_free(results, n);
  sky_free(results);
  return st;
}

/* Names of the files that a background needs, for the workers: that of winds, or that of the
 * boundary and those of the footprints. */
static sky_status write_sources(harvest *h) {
  const char *first = h->q->background.wind ? h->q->wind : h->q->boundary;
  if (h->q->background.method != SKY_BACKGROUND_BOUNDARY && !h->q->background.wind) return SKY_OK;
  sky_text t = {.ctx = h->ctx};
  char *path = sky_sprintf(h->ctx, "%s/sources", h->folder);
  sky_text_add(&t, first, strlen(first) + 1);
  for (size_t k = 0; k < h->q->n_footprints; ++k)
    sky_text_add(&t, h->q->footprints[k], strlen(h->q->footprints[k]) + 1);
  sky_status st = path == NULL || t.failed ? SKY_E_NOMEM : SKY_OK;
  if (st == SKY_OK) st = sky_file_write_text(h->ctx, path, t.data, t.length);
  sky_text_free(&t);
  sky_free(path);
  return st;
}

static sky_status read_all(harvest *h) {
  sky_ticket ticket = {.clean = h->q->clean,
                       .keep_outside = h->q->keep_dropped,
                       .quality_min = h->q->quality_min,
                       .quality_max = h->q->quality_max,
                       .background = h->q->background,
                       .memory = sky_context_memory(h->ctx) / (size_t)sky_context_threads(h->ctx)};
  if (h->q->gas != NULL) snprintf(ticket.gas, sizeof ticket.gas, "%s", h->q->gas);
  SKY_TRY(write_sources(h));
  SKY_TRY(sky_ticket_write(h->ctx, h->folder, &ticket, h->q->zones));
  for (size_t i = 0; i < h->q->n_inputs; ++i)
    SKY_TRY(add_errand(h, i, NULL));
  while (h->first < h->n_errands)
    SKY_TRY(run_round(h));
  return SKY_OK;
}

/* --- joining -----------------------------------------------------------------------------------
 */

static int compare_parts(const void *a, const void *b) {
  const sky_part *p = a, *q = b;
  const double s = isnan(p->start) ? INFINITY : p->start, t = isnan(q->start) ? INFINITY : q->start;
  if (s != t) return s < t ? -1 : 1;
  int order = strcmp(p->granule, q->granule);
  if (order == 0) order = sky_version_compare(p->version, q->version);
  if (order == 0) order = strcmp(p->product, q->product);
  return order != 0 ? order : strcmp(p->name, q->name);
}

/* One gas; else the user has to name one. */
static sky_status check_gas(harvest *h) {
  for (size_t k = 1; k < h->n_parts; ++k) {
    if (strcmp(h->part[k].gas, h->part[0].gas) == 0) continue;
    return sky_fail(h->ctx, SKY_E_GAS,
                    "soundings of %s (%s) cannot be joined with %s (%s): name one gas",
                    h->part[0].gas, h->part[0].granule, h->part[k].gas, h->part[k].granule);
  }
  return SKY_OK;
}

static void put_attr(sky_text *t, const char *name, const char *value) {
  sky_text_printf(t, "%s=%s", name, value);
  sky_text_add(t, "", 1);
}

/* The rule of quality that all parts were chosen by; "several" is none that can be asked for. */
static const char *quality_of(const harvest *h) {
  for (size_t k = 1; k < h->n_parts; ++k)
    if (strcmp(h->part[k].quality, h->part[0].quality) != 0) return "several";
  return h->n_parts > 0 ? h->part[0].quality : "default";
}

/* Attributes that say what was done; they must not tell a shard or the order of inputs. */
static sky_status write_attrs(harvest *h, const char *product) {
  sky_text t = {.ctx = h->ctx};
  char cleaning[96], background[64], value[512];
  char *path = sky_sprintf(h->ctx, "%s/attrs", h->folder);
  sky_clean_text(h->q->clean, cleaning, sizeof cleaning);
  const sky_reader *r = sky_reader_find(product);
  const sky_species *gas = sky_species_find(h->part[0].gas);
  if (h->q->attrs == NULL) {
    snprintf(value, sizeof value, "Harmonised X%s soundings", gas != NULL ? gas->formula : "");
    put_attr(&t, "title", value);
    put_attr(&t, "source", r != NULL ? r->title : product);
    snprintf(value, sizeof value, "skyflux %s soundings of %zu granules", SKYFLUX_VERSION,
             h->n_parts);
    put_attr(&t, "history", value);
  }
  for (size_t k = 0; h->q->attrs != NULL && h->q->attrs[k] != NULL; ++k)
    sky_text_add(&t, h->q->attrs[k], strlen(h->q->attrs[k]) + 1);
  sky_background_text(&h->q->background, background, sizeof background);
  const char *quality = quality_of(h);
  const bool said = strcmp(quality, "default") != 0;
  snprintf(value, sizeof value, "cleaning: %s; background: %s%s%s", cleaning, background,
           said ? SKY_QUALITY_NOTE : "", said ? quality : "");
  put_attr(&t, "processing", value);
  sky_status st = path == NULL || t.failed ? SKY_E_NOMEM : SKY_OK;
  if (st == SKY_OK) st = sky_file_write_text(h->ctx, path, t.data, t.length);
  sky_text_free(&t);
  sky_free(path);
  return st;
}

static sky_status write_plan(harvest *h) {
  const sky_join_head head = {.keep_dropped = h->q->keep_dropped || h->q->shard,
                              .duplicates = (h->q->clean & SKY_CLEAN_DUPLICATES) != 0,
                              .n_parts = h->n_parts};
  sky_text t = {.ctx = h->ctx};
  char *path = sky_sprintf(h->ctx, "%s/plan", h->folder);
  sky_text_add(&t, (const char *)&head, sizeof head);
  sky_text_add(&t, (const char *)h->part, h->n_parts * sizeof *h->part);
  sky_status st = path == NULL || t.failed ? SKY_E_NOMEM : SKY_OK;
  if (st == SKY_OK) st = sky_file_write_text(h->ctx, path, t.data, t.length);
  sky_text_free(&t);
  sky_free(path);
  return st;
}

typedef struct single { /* argv of a task that runs alone */
  const char *words[4];
} single;

static void single_argv(void *user, size_t i, const char **argv) {
  const single *s = user;
  (void)i;
  memcpy(argv, s->words, sizeof s->words);
}

static sky_status run_single(harvest *h, const single *task, sky_worker_result *result) {
  SKY_TRY(sky_worker_run(h->ctx, 1, 1, 0, single_argv, (void *)task, result));
  if (result->status == SKY_E_WORKER)
    return sky_fail(h->ctx, SKY_E_DISK, "%s: cannot be written: %s", h->q->output, result->message);
  return result->status == SKY_OK ? SKY_OK
                                  : sky_fail(h->ctx, result->status, "%s", result->message);
}

static sky_status join_parts(harvest *h) {
  const single task = {{"soundings-join", h->folder, h->q->output, NULL}};
  sky_worker_result result = {0};
  sky_join_head head;
  sky_status st = SKY_OK;
  SKY_GO(write_plan(h));
  SKY_GO(run_single(h, &task, &result));
  if (result.size != sizeof head + h->n_parts * sizeof *h->part)
    SKY_GO(sky_fail(h->ctx, SKY_E_WORKER, "the worker's answer has %zu bytes", result.size));
  memcpy(&head, result.blob, sizeof head);
  memcpy(h->part, (char *)result.blob + sizeof head, h->n_parts * sizeof *h->part);
  h->out->n = head.n;
  h->out->good = head.good;
  h->out->first = head.first;
  h->out->last = head.last;
cleanup:
  if (st != SKY_OK) sky_file_discard(h->q->output);
  sky_worker_results_free(&result, 1);
  return st;
}

static sky_status check_output(harvest *h) {
  const single task = {{"soundings-check", h->q->output, NULL, NULL}};
  sky_worker_result result = {0};
  sky_check_answer answer;
  sky_status st = run_single(h, &task, &result);
  if (st == SKY_OK && result.size == sizeof answer) {
    memcpy(&answer, result.blob, sizeof answer);
    h->out->checked = answer.checked;
    h->out->held = answer.held;
  }
  sky_worker_results_free(&result, 1);
  return st;
}

/* --- totals ------------------------------------------------------------------------------------
 */

static sky_harmonise_product *product_of(sky_harmonise_result *r, const char *id) {
  size_t k = 0;
  while (k < r->n_products && strcmp(r->products[k].id, id) != 0)
    ++k;
  if (k == SKY_HARMONISE_PRODUCTS) return &r->products[k - 1];
  if (k == r->n_products) {
    snprintf(r->products[k].id, sizeof r->products[k].id, "%s", id);
    ++r->n_products;
  }
  return &r->products[k];
}

static void mix(char *name, size_t size, const char *other) {
  if (name[0] == '\0')
    snprintf(name, size, "%s", other);
  else if (other[0] != '\0' && strcmp(name, other) != 0)
    snprintf(name, size, "mixed");
}

static void add_up(const harvest *h) {
  sky_harmonise_result *r = h->out;
  for (size_t k = 0; k < h->n_parts; ++k) {
    const sky_part *p = &h->part[k];
    sky_harmonise_product *product = product_of(r, p->product);
    ++product->granules;
    for (int d = 0; d < SKY_DROP_COUNT; ++d) {
      product->drops[d] += p->drops[d];
      r->drops[d] += p->drops[d];
    }
    r->rows += p->rows;
    r->broken += p->broken;
    for (int t = 0; t < SKY_TRIAL_COUNT; ++t) {
      r->trial.injected[t] += p->trial.injected[t];
      r->trial.found[t] += p->trial.found[t];
    }
    r->trial.sound += p->trial.sound;
    r->trial.false_alarms += p->trial.false_alarms;
    mix(r->product, sizeof r->product, p->product);
    mix(r->kernel_note, sizeof r->kernel_note, p->kernel_note);
    snprintf(r->gas, sizeof r->gas, "%s", p->gas);
  }
  r->n_granules = h->n_parts;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

/* A scratch folder that nobody holds was left by a run that was killed. */
static void sweep_scratch(harvest *h, const char *part) {
  char *pattern = sky_sprintf(h->ctx, "%s.??????", part);
  glob_t found = {0};
  if (pattern != NULL && glob(pattern, GLOB_NOSORT | GLOB_PERIOD, NULL, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      const int fd = open(found.gl_pathv[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (fd < 0) continue;
      if (flock(fd, LOCK_EX | LOCK_NB) == 0 && sky_file_remove_tree(found.gl_pathv[i]))
        sky_log(h->ctx, SKY_LOG_DEBUG, "%s: removed what a stopped run left", found.gl_pathv[i]);
      close(fd);
    }
    globfree(&found);
  }
  sky_free(pattern);
}

/* Beside the output, where there is room for it; a name of its own and a lock, so that shards may
 * run at once in one folder. */
static sky_status open_scratch(harvest *h) {
  char *part = sky_file_part(h->ctx, h->q->output);
  if (part != NULL) sweep_scratch(h, part);
  h->folder = part == NULL ? NULL : sky_sprintf(h->ctx, "%s.XXXXXX", part);
  sky_free(part);
  if (h->folder == NULL) return SKY_E_NOMEM;
  if (mkdtemp(h->folder) != NULL) {
    h->lock = open(h->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (h->lock >= 0) (void)flock(h->lock, LOCK_EX | LOCK_NB);
    return SKY_OK;
  }
  const sky_status st =
      sky_fail(h->ctx, SKY_E_DISK, "%s: cannot be written: %s", h->q->output, strerror(errno));
  sky_free(h->folder);
  h->folder = NULL;
  return st;
}

static void close_scratch(harvest *h) {
  if (h->folder != NULL) (void)sky_file_remove_tree(h->folder);
  if (h->lock >= 0) close(h->lock);
  sky_free(h->folder);
}

static sky_status none_read(harvest *h) {
  const sky_granule_failures *f = &h->out->failed;
  if (f->n == 0)
    return sky_fail(h->ctx, SKY_E_NODATA, "none of %zu files is a known product%s%s",
                    h->q->n_inputs, h->q->gas != NULL ? " with " : "",
                    h->q->gas != NULL ? h->q->gas : "");
  if (f->n == 1)
    return sky_fail(h->ctx, f->item[0].status, "%s: %s", f->item[0].path, f->item[0].reason);
  return sky_fail(h->ctx, f->item[0].status,
                  "none of %zu granules could be read; the first: %s: %s", f->n, f->item[0].path,
                  f->item[0].reason);
}

/* "no good sounding is left of 32 in 2 granules (20 dropped: quality, 12 dropped: box)" */
static sky_status none_good(harvest *h) {
  const sky_harmonise_result *r = h->out;
  char reasons[512] = "";
  uint64_t total = 0;
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k) {
    const size_t at = strlen(reasons);
    total += r->drops[k];
    if (r->drops[k] > 0)
      snprintf(reasons + at, sizeof reasons - at, "%s%lu dropped: %s", at > 0 ? ", " : "",
               r->drops[k], sky_drop_name((sky_drop)k));
  }
  return sky_fail(h->ctx, SKY_E_NODATA, "no good sounding is left of %lu in %zu granules (%s)",
                  total, r->n_granules, reasons[0] != '\0' ? reasons : "none dropped");
}

sky_status sky_harmonise(sky_context *ctx, const sky_harmonise_request *q,
                         sky_harmonise_result *out) {
  harvest h = {.ctx = ctx, .q = q, .out = out, .lock = -1};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  out->first = out->last = NAN;
  SKY_GO(open_scratch(&h));
  SKY_GO(read_all(&h));
  if (h.n_parts == 0) SKY_GO(none_read(&h));
  SKY_GO(check_gas(&h));
  qsort(h.part, h.n_parts, sizeof *h.part, compare_parts);
  char product[32] = "";
  for (size_t k = 0; k < h.n_parts; ++k)
    mix(product, sizeof product, h.part[k].product);
  SKY_GO(write_attrs(&h, product));
  SKY_GO(join_parts(&h));
  add_up(&h);
  if (out->good == 0) SKY_GO(none_good(&h));
  SKY_GO(check_output(&h));
cleanup:
  close_scratch(&h);
  sky_free(h.errand);
  sky_free(h.part);
  return st;
}

void sky_harmonise_result_free(sky_harmonise_result *r) {
  sky_granule_failures_free(&r->failed);
  sky_granule_failures_free(&r->passed_over);
}
