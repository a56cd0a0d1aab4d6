/* context.h: log, errors, progress, cancel, threads and memory budget of one run.
 *
 * Every call takes a context first. There are no globals but constant tables and the I/O lane.
 * Thread rule: a context may be used by several threads at once; the error message belongs to the
 * calling thread's last failure inside that context. One context per run. */
#ifndef SKYFLUX_CONTEXT_H
#define SKYFLUX_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skyflux/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sky_context sky_context;

typedef enum sky_log_level {
  SKY_LOG_ERROR = 0,
  SKY_LOG_WARN = 1,
  SKY_LOG_INFO = 2,
  SKY_LOG_DEBUG = 3
} sky_log_level;

typedef enum sky_progress_mode {
  SKY_PROGRESS_AUTO = 0, /* redrawn line on a terminal, else plain */
  SKY_PROGRESS_PLAIN = 1,
  SKY_PROGRESS_JSON = 2,
  SKY_PROGRESS_NONE = 3
} sky_progress_mode;

/* line: one log line without newline; valid during the call only. */
typedef void (*sky_log_fn)(void *user, sky_log_level level, const char *line);

/* Create a context: threads = OpenMP's default, memory = half of the machine's RAM, log to stderr
 * at INFO, progress AUTO. The caller frees it. */
SKY_NODISCARD sky_status sky_context_create(sky_context **out);
void sky_context_free(sky_context *ctx); /* NULL-safe */

void sky_context_set_threads(sky_context *ctx, int threads); /* clamped to >= 1 */
int sky_context_threads(const sky_context *ctx);
void sky_context_set_memory(sky_context *ctx, size_t bytes);
size_t sky_context_memory(const sky_context *ctx);
void sky_context_set_log(sky_context *ctx, sky_log_fn fn, void *user, sky_log_level level);
void sky_context_set_progress(sky_context *ctx, sky_progress_mode mode);

/* Log one line (no newline, lower case, no final period). Warnings are also kept, see below. */
void sky_log(sky_context *ctx, sky_log_level level, const char *fmt, ...) SKY_PRINTF(3, 4);
size_t sky_context_warning_count(const sky_context *ctx);
const char *sky_context_warning(const sky_context *ctx, size_t i); /* owned by ctx */

/* Set the error message of this thread and return status, so that callers write
 *   return sky_fail(ctx, SKY_E_FORMAT, "%s: /xco2: variable missing", path);
 * A message names file, key or variable, the value and the legal range. */
sky_status sky_fail(sky_context *ctx, sky_status status, const char *fmt, ...) SKY_PRINTF(3, 4);
/* Put text in front of the present message ("granule.nc: " …); returns status unchanged. */
sky_status sky_fail_in(sky_context *ctx, sky_status status, const char *fmt, ...) SKY_PRINTF(3, 4);
const char *sky_error(const sky_context *ctx); /* "" when there was none; owned by ctx */
void sky_error_clear(sky_context *ctx);

/* Cancel: safe in a signal handler. Long loops ask sky_cancelled() and return
 * sky_fail(ctx, SKY_E_CANCELLED, …). */
void sky_cancel(sky_context *ctx);
bool sky_cancelled(const sky_context *ctx);

/* Progress of one named task with a known number of units; nested tasks are not shown.
 * step() may be called from any thread and returns SKY_E_CANCELLED after sky_cancel(). */
void sky_progress_begin(sky_context *ctx, const char *task, uint64_t total);
SKY_NODISCARD sky_status sky_progress_step(sky_context *ctx, uint64_t units);
void sky_progress_end(sky_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
