/* context.c: log, error messages per thread, cancel, progress.
 *
 * Invariants: an error message is seen by the thread that set it only; a log line is written in one
 * piece; warnings are kept whatever the log level. A NULL context is accepted by sky_fail and
 * sky_log, so that code without a run (one-time tables) can use the same calls. */
#include <omp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "src/core/context_internal.h"

/* ---- life ---- */

/* Thread exit: the slot goes back to the context, its message with it. */
static void slot_release(void *p) {
  sky_error_slot *slot = p;
  atomic_store(&slot->taken, false);
}

sky_status sky_context_create(sky_context **out) {
  *out = NULL;
  sky_context *ctx = calloc(1, sizeof *ctx);
  if (ctx == NULL) return SKY_E_NOMEM;
  if (pthread_key_create(&ctx->key, slot_release) != 0) {
    free(ctx);
    return SKY_E_NOMEM;
  }
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&ctx->mutex, &attr);
  pthread_mutexattr_destroy(&attr);

  atomic_store(&ctx->threads, omp_get_max_threads());
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  atomic_store(&ctx->memory, pages > 0 && page > 0 ? (size_t)pages * (size_t)page / 2 : SIZE_MAX);
  atomic_store(&ctx->log_level, SKY_LOG_INFO);
  const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
  ctx->terminal = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
  ctx->colour = ctx->terminal && (no_colour == NULL || *no_colour == '\0');
  *out = ctx;
  return SKY_OK;
}

static void slot_clear(sky_error_slot *slot) {
  if (slot->text != slot->spare) free(slot->text);
  slot->text = NULL;
}

void sky_context_free(sky_context *ctx) {
  if (ctx == NULL) return;
  pthread_key_delete(ctx->key);
  for (sky_error_slot *slot = ctx->slots, *next; slot != NULL; slot = next) {
    next = slot->next;
    slot_clear(slot);
    free(slot);
  }
  for (size_t i = 0; i < ctx->n_warnings; i++)
    free(ctx->warnings[i]);
  free(ctx->warnings);
  pthread_mutex_destroy(&ctx->mutex);
  free(ctx);
}

/* ---- settings ---- */

void sky_context_set_threads(sky_context *ctx, int threads) {
  atomic_store(&ctx->threads, threads < 1 ? 1 : threads);
}
int sky_context_threads(const sky_context *ctx) {
  return atomic_load(&ctx->threads);
}
void sky_context_set_memory(sky_context *ctx, size_t bytes) {
  atomic_store(&ctx->memory, bytes);
}
size_t sky_context_memory(const sky_context *ctx) {
  return atomic_load(&ctx->memory);
}

void sky_context_set_log(sky_context *ctx, sky_log_fn fn, void *user, sky_log_level level) {
  pthread_mutex_lock(&ctx->mutex);
  ctx->log_fn = fn;
  ctx->log_user = user;
  atomic_store(&ctx->log_level, level);
  pthread_mutex_unlock(&ctx->mutex);
}

void sky_context_set_progress(sky_context *ctx, sky_progress_mode mode) {
  pthread_mutex_lock(&ctx->mutex);
  ctx->progress_mode = mode;
  pthread_mutex_unlock(&ctx->mutex);
}

/* ---- errors ---- */

/* This thread's slot; NULL only without memory for one. */
static sky_error_slot *slot_get(sky_context *ctx) {
  sky_error_slot *slot = pthread_getspecific(ctx->key);
  if (slot != NULL) return slot;
  pthread_mutex_lock(&ctx->mutex);
  for (slot = ctx->slots; slot != NULL && atomic_load(&slot->taken); slot = slot->next) {
  }
  if (slot == NULL && (slot = calloc(1, sizeof *slot)) != NULL) {
    slot->next = ctx->slots;
    ctx->slots = slot;
  }
  if (slot != NULL) {
    slot_clear(slot);
    atomic_store(&slot->taken, true);
  }
  pthread_mutex_unlock(&ctx->mutex);
  if (slot != NULL && pthread_setspecific(ctx->key, slot) != 0) {
    atomic_store(&slot->taken, false);
    slot = NULL;
  }
  return slot;
}

/* The new text is complete before the old one goes: arguments may point into the old one. */
static void slot_set(sky_error_slot *slot, const char *tail, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  char *head = NULL, *text = NULL;
  if (vasprintf(&head, fmt, ap) < 0) head = NULL;
  if (head != NULL && asprintf(&text, "%s%s", head, tail) < 0) text = NULL;
  if (text == NULL) { /* no memory: as much as fits, without the tail */
    char cut[SKY_MESSAGE_SPARE];
    vsnprintf(cut, sizeof cut, fmt, again);
    slot_clear(slot);
    memcpy(slot->spare, cut, sizeof cut);
    slot->text = slot->spare;
  } else {
    slot_clear(slot);
    slot->text = text;
  }
  free(head);
  va_end(again);
}

sky_status sky_fail(sky_context *ctx, sky_status status, const char *fmt, ...) {
  sky_error_slot *slot = ctx == NULL ? NULL : slot_get(ctx);
  if (slot == NULL) return status;
  va_list ap;
  va_start(ap, fmt);
  slot_set(slot, "", fmt, ap);
  va_end(ap);
  return status;
}

sky_status sky_fail_in(sky_context *ctx, sky_status status, const char *fmt, ...) {
  sky_error_slot *slot = ctx == NULL ? NULL : slot_get(ctx);
  if (slot == NULL) return status;
  va_list ap;
  va_start(ap, fmt);
  slot_set(slot, slot->text != NULL ? slot->text : "", fmt, ap);
  va_end(ap);
  return status;
}

const char *sky_error(const sky_context *ctx) {
  const sky_error_slot *slot = ctx == NULL ? NULL : pthread_getspecific(ctx->key);
  return slot != NULL && slot->text != NULL ? slot->text : "";
}

void sky_error_clear(sky_context *ctx) {
  sky_error_slot *slot = ctx == NULL ? NULL : pthread_getspecific(ctx->key);
  if (slot != NULL) slot_clear(slot);
}

/* ---- log ---- */

/* Take the redrawn progress line off the terminal, so that a log line starts at its left edge. */
static void line_close(sky_context *ctx) {
  if (!ctx->progress.line_open) return;
  fputs("\r\033[K", stderr);
  ctx->progress.line_open = false;
}

static void log_to_stderr(sky_context *ctx, sky_log_level level, const char *line) {
  static const char *const NAME[] = {"error", "warning", "info", "debug"};
  static const char *const COLOUR[] = {"\033[31m", "\033[33m", "\033[36m", "\033[2m"};
  flockfile(stderr);
  if (ctx != NULL) line_close(ctx);
  if (ctx != NULL && ctx->colour) {
    fprintf(stderr, "%s%s\033[0m: %s\n", COLOUR[level], NAME[level], line);
  } else {
    fprintf(stderr, "%s: %s\n", NAME[level], line);
  }
  fflush(stderr);
  funlockfile(stderr);
}

/* Keeps line; without memory the warning is still shown, but not listed. */
static void warning_keep(sky_context *ctx, const char *line) {
  if (ctx->n_warnings == ctx->warning_capacity) {
    const size_t capacity = ctx->warning_capacity == 0 ? 16 : 2 * ctx->warning_capacity;
    char **grown = realloc(ctx->warnings, capacity * sizeof *grown);
    if (grown == NULL) return;
    ctx->warnings = grown;
    ctx->warning_capacity = capacity;
  }
  char *copy = strdup(line);
  if (copy != NULL) ctx->warnings[ctx->n_warnings++] = copy;
}

void sky_log(sky_context *ctx, sky_log_level level, const char *fmt, ...) {
  const bool shown = ctx == NULL || (int)level <= atomic_load(&ctx->log_level);
  if (!shown && level != SKY_LOG_WARN) return;
  char cut[SKY_MESSAGE_SPARE], *line = NULL;
  va_list ap;
  va_start(ap, fmt);
  if (vasprintf(&line, fmt, ap) < 0) line = NULL;
  va_end(ap);
  if (line == NULL) {
    va_start(ap, fmt);
    vsnprintf(cut, sizeof cut, fmt, ap);
    va_end(ap);
  }
  const char *text = line != NULL ? line : cut;
  if (ctx == NULL) {
    log_to_stderr(NULL, level, text);
  } else {
    pthread_mutex_lock(&ctx->mutex);
    if (level == SKY_LOG_WARN) warning_keep(ctx, text);
    if (shown && ctx->log_fn != NULL) {
      line_close(ctx);
      ctx->log_fn(ctx->log_user, level, text);
    } else if (shown) {
      log_to_stderr(ctx, level, text);
    }
    pthread_mutex_unlock(&ctx->mutex);
  }
  free(line);
}

size_t sky_context_warning_count(const sky_context *ctx) {
  pthread_mutex_t *mutex = (pthread_mutex_t *)&ctx->mutex; /* logically const */
  pthread_mutex_lock(mutex);
  const size_t n = ctx->n_warnings;
  pthread_mutex_unlock(mutex);
  return n;
}

const char *sky_context_warning(const sky_context *ctx, size_t i) {
  pthread_mutex_t *mutex = (pthread_mutex_t *)&ctx->mutex;
  pthread_mutex_lock(mutex);
  const char *text = i < ctx->n_warnings ? ctx->warnings[i] : "";
  pthread_mutex_unlock(mutex);
  return text;
}

/* ---- cancel ---- */

void sky_cancel(sky_context *ctx) {
  atomic_store(&ctx->cancelled, true);
}
bool sky_cancelled(const sky_context *ctx) {
  return atomic_load(&ctx->cancelled);
}

/* ---- progress ---- */

#define REDRAW_SECONDS 0.1
#define PLAIN_SECONDS 60.0
#define QUIET_SECONDS 2.0 /* auto: shorter tasks print no lines */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool redrawn(const sky_context *ctx) {
  return ctx->progress_mode == SKY_PROGRESS_AUTO && ctx->terminal;
}

/* "1:02:03" or "02:03". */
static void format_duration(double seconds, char *out, size_t size) {
  const long long s = (long long)(seconds + 0.5);
  if (s >= 3600) {
    snprintf(out, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  } else {
    snprintf(out, size, "%02lld:%02lld", s / 60, s % 60);
  }
}

static void json_string(const char *s) {
  fputc('"', stderr);
  for (; *s != '\0'; s++) {
    const unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') {
      fprintf(stderr, "\\%c", c);
    } else if (c < 0x20) {
      fprintf(stderr, "\\u%04x", c);
    } else {
      fputc(c, stderr);
    }
  }
  fputc('"', stderr);
}

static void show_json(const sky_progress *p, uint64_t done, double rate, double eta) {
  fputs("{\"progress\":{\"task\":", stderr);
  json_string(p->task);
  fprintf(stderr, ",\"done\":%llu,\"total\":%llu,\"rate\":%.6g", (unsigned long long)done,
          (unsigned long long)p->total, rate);
  if (eta >= 0) fprintf(stderr, ",\"eta_s\":%.0f", eta);
  fputs("}}\n", stderr);
}

static int terminal_width(void) {
  struct winsize w;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void show(sky_context *ctx, uint64_t done, double t) {
  sky_progress *p = &ctx->progress;
  const double elapsed = t - p->t0;
  const double rate = elapsed > 0 ? (double)done / elapsed : 0;
  const double left = done < p->total ? (double)(p->total - done) : 0;
  const double eta = rate > 0 ? left / rate : -1;
  p->t_shown = t;
  flockfile(stderr);
  if (ctx->progress_mode == SKY_PROGRESS_JSON) {
    show_json(p, done, rate, eta);
  } else {
    const double percent = p->total > 0 ? 100.0 * (double)done / (double)p->total : 100.0;
    char when[32] = "--:--", line[256];
    if (eta >= 0) format_duration(eta, when, sizeof when);
    snprintf(line, sizeof line, "%s: %3.0f %% (%llu of %llu), %.3g/s, ETA %s", p->task, percent,
             (unsigned long long)done, (unsigned long long)p->total, rate, when);
    if (redrawn(ctx)) {
      fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, line);
      p->line_open = true;
    } else {
      fprintf(stderr, "%s\n", line);
    }
  }
  fflush(stderr);
  funlockfile(stderr);
}

/* Lines that nobody asked for, of a task that is over at once, would only be noise. */
static bool worth_a_line(const sky_context *ctx, double t) {
  return ctx->progress_mode != SKY_PROGRESS_AUTO || t - ctx->progress.t0 >= QUIET_SECONDS;
}

static int decile(const sky_progress *p, uint64_t done) {
  return p->total == 0 || done >= p->total ? 10 : (int)(10.0 * (double)done / (double)p->total);
}

void sky_progress_begin(sky_context *ctx, const char *task, uint64_t total) {
  pthread_mutex_lock(&ctx->mutex);
  sky_progress *p = &ctx->progress;
  if (atomic_fetch_add(&p->depth, 1) == 0) {
    snprintf(p->task, sizeof p->task, "%s", task);
    p->total = total;
    atomic_store(&p->done, 0);
    p->t0 = p->t_shown = now();
    p->decile_shown = 0;
  }
  pthread_mutex_unlock(&ctx->mutex);
}

sky_status sky_progress_step(sky_context *ctx, uint64_t units) {
  if (sky_cancelled(ctx)) return sky_fail(ctx, SKY_E_CANCELLED, "cancelled");
  sky_progress *p = &ctx->progress;
  /* A busy context is being shown by another thread: count, and leave the showing to it. */
  if (pthread_mutex_trylock(&ctx->mutex) != 0) {
    if (atomic_load(&p->depth) == 1) atomic_fetch_add(&p->done, units);
    return SKY_OK;
  }
  if (atomic_load(&p->depth) == 1) {
    const uint64_t done = atomic_fetch_add(&p->done, units) + units;
    if (ctx->progress_mode != SKY_PROGRESS_NONE) {
      const double t = now();
      const int tenth = decile(p, done);
      const bool due = redrawn(ctx) ? t - p->t_shown >= REDRAW_SECONDS
                                    : worth_a_line(ctx, t) && (tenth > p->decile_shown ||
                                                               t - p->t_shown >= PLAIN_SECONDS);
      if (due) {
        p->decile_shown = tenth;
        show(ctx, done, t);
      }
    }
  }
  pthread_mutex_unlock(&ctx->mutex);
  return SKY_OK;
}

void sky_progress_end(sky_context *ctx) {
  pthread_mutex_lock(&ctx->mutex);
  sky_progress *p = &ctx->progress;
  if (atomic_load(&p->depth) > 0 && atomic_fetch_sub(&p->depth, 1) == 1) {
    const uint64_t done = atomic_load(&p->done);
    line_close(ctx);
    const double t = now();
    const bool last_missing =
        !redrawn(ctx) && done >= p->total && p->decile_shown < 10 && worth_a_line(ctx, t);
    if (last_missing && ctx->progress_mode != SKY_PROGRESS_NONE) show(ctx, done, t);
    fflush(stderr);
  }
  pthread_mutex_unlock(&ctx->mutex);
}
