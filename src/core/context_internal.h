/* context_internal.h: what a context holds; for context.c and memory.c only.
 *
 * The context reports the failures of the allocator, so what it keeps for itself (messages,
 * warnings) comes from malloc: fault injection must not swallow the message of the fault. */
#ifndef SKY_CORE_CONTEXT_INTERNAL_H
#define SKY_CORE_CONTEXT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "skyflux/context.h"

#define SKY_MESSAGE_SPARE 512 /* room for a message when there is no memory for a longer one */

/* The error message of one thread. Slots live as long as the context; one that a finished thread
 * leaves behind is taken by the next new thread. */
typedef struct sky_error_slot {
  struct sky_error_slot *next;
  atomic_bool taken;
  char *text; /* NULL, malloc'd, or spare */
  char spare[SKY_MESSAGE_SPARE];
} sky_error_slot;

typedef struct sky_progress {
  atomic_int depth; /* nesting of begin/end; only depth 1 is shown */
  char task[64];
  uint64_t total;
  _Atomic uint64_t done;
  double t0, t_shown;
  int decile_shown;
  bool line_open; /* a redrawn line stands on the terminal without newline */
} sky_progress;

struct sky_context {
  pthread_mutex_t mutex; /* recursive: a log callback may log; guards all but the atomics */
  pthread_key_t key;     /* this thread's sky_error_slot */
  sky_error_slot *slots;
  atomic_bool cancelled;
  atomic_int threads;
  atomic_size_t memory;

  sky_log_fn log_fn; /* NULL = stderr */
  void *log_user;
  atomic_int log_level;
  bool terminal, colour;
  char **warnings;
  size_t n_warnings, warning_capacity;

  sky_progress_mode progress_mode;
  sky_progress progress;

  _Atomic uint64_t allocations;
  _Atomic uint64_t fail_at; /* value of allocations that fails; 0 = none */
};

#endif
