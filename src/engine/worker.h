/* worker.h: work in another process, because libhdf5 can crash or hang on corrupt input.
 *
 * The parent spawns its own binary (posix_spawn of /proc/self/exe, argv "__worker", task, args…);
 * the child runs the task and sends one blob (length, SHA-less CRC-less raw bytes) or an error text
 * back over a pipe. A child that dies, exits without a blob or exceeds the time-out is an error
 * with a reason ("killed by signal 11", "no answer within 60 s"). Order of results is the order of
 * tasks. */
#ifndef SKY_ENGINE_WORKER_H
#define SKY_ENGINE_WORKER_H

#include "skyflux/context.h"

/* A task runs in the child: fills *blob (malloc'd) or fails with a message in ctx. */
typedef sky_status (*sky_worker_fn)(sky_context *ctx, int argc, char **argv, void **blob,
                                    size_t *size);
/* Tables of tasks are passed by the caller of main (no globals): see sky_worker_main. */
typedef struct sky_worker_task {
  const char *name;
  sky_worker_fn fn;
} sky_worker_task;

/* In main(): if argv[1] is "__worker", run the task and return true with the exit code. */
bool sky_worker_main(int argc, char **argv, const sky_worker_task *tasks, size_t n_tasks,
                     int *exit_code);

typedef struct sky_worker_result {
  sky_status status; /* SKY_OK, the child's status, or SKY_E_WORKER */
  char *message;     /* reason if not OK (malloc'd) */
  void *blob;        /* malloc'd */
  size_t size;
} sky_worker_result;

/* Run n jobs, at most `parallel` at a time; argv_of fills the NULL-terminated argv tail (without
 * program and "__worker": the task's name, then its arguments) of job i, at most 16 entries. The
 * task gets the arguments behind its name. timeout_s <= 0: none. results [n] are set whatever the
 * return and freed by sky_worker_results_free; a job that was not finished has SKY_E_CANCELLED
 * without a message. Each finished job is one sky_progress_step. Log lines of the children are
 * logged again in the order of jobs, other text that they print at DEBUG. The return is SKY_OK also
 * if jobs failed. The path of the program can be overridden with SKYFLUX_WORKER (tests). */
SKY_NODISCARD sky_status sky_worker_run(sky_context *ctx, size_t n, int parallel, double timeout_s,
                                        void (*argv_of)(void *user, size_t i, const char **argv),
                                        void *user, sky_worker_result *results);
void sky_worker_results_free(sky_worker_result *results, size_t n);

#endif
