/* main.c: the program `skyflux`: worker entry, start-up, dispatch, exit code.
 *
 * Commands stand in commands.def. stdout carries results, stderr everything else. A second SIGINT
 * or SIGTERM ends the process at once; the first one lets it tidy up. */
#include <cblas.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/version.h"
#include "src/core/text.h"
#include "src/engine/gdal_start.h"
#include "src/engine/worker.h"
#include "src/job/gridding_write.h"
#include "src/job/harmonise.h"
#include "src/read/granule.h"

static const struct command {
  const char *name;
  sky_command_fn run;
  const char *summary;
} commands[] = {
#define SKY_COMMAND(name, function, summary) {#name, function, summary},
#include "src/cli/commands.def"
#undef SKY_COMMAND
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

/* Threads that wait for work sleep: iterations have many short parallel regions, and beside other
 * programs threads that spin cost several times the processor time of the work itself. libgomp
 * reads its environment before main and never again. What the user has set stays. */
static bool wait_asleep(void) {
  if (getenv("OMP_WAIT_POLICY") != NULL || getenv("GOMP_SPINCOUNT") != NULL) return false;
  return setenv("OMP_WAIT_POLICY", "passive", 0) == 0;
}

/* An OpenBLAS older than the processor falls back to kernels of two numbers at once ("Prescott"),
 * four times slower than those that it has for the processor's instructions. It too reads its
 * environment before main. */
static bool name_processor(void) {
#ifdef __x86_64__
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const char *name = wide ? "SkylakeX" : "Haswell";
  if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return false;
  return strcmp(openblas_get_corename(), "Prescott") == 0 && getenv("OPENBLAS_CORETYPE") == NULL &&
         setenv("OPENBLAS_CORETYPE", name, 0) == 0;
#else
  return false;
#endif
}

/* A command that solves inversions, or says with what, begins once more with the environment that
 * its libraries need, which costs the 50 ms of loading them. */
static void begin_again(char **argv) {
  static const char *const solving[] = {"invert", "run", "plan", "--version"};
  bool solves = false;
  for (size_t k = 0; k < sizeof solving / sizeof *solving; k++)
    solves |= strcmp(argv[1], solving[k]) == 0;
  if (!solves) return;
  const bool waits = wait_asleep(), named = name_processor();
  if (waits || named) (void)execv("/proc/self/exe", argv);
}

/* The one thing that a signal handler can reach: written before the handler is installed. */
static sky_context *volatile signal_context;

static void on_signal(int number) {
  (void)number;
  sky_cancel(signal_context);
}

static void install_signals(sky_context *ctx) {
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  action.sa_flags = (int)SA_RESETHAND;
  sigemptyset(&action.sa_mask);
  signal_context = ctx;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

static void print_overview(FILE *to) {
  fputs("skyflux " SKYFLUX_VERSION
        ": greenhouse-gas fluxes from satellite retrievals, beside inventories\n\n"
        "usage: skyflux COMMAND [arguments]\n\n",
        to);
  for (size_t i = 0; i < N_COMMANDS; i++) {
    fprintf(to, "  %-10s  %s\n", commands[i].name, commands[i].summary);
  }
  fputs(
      "\nskyflux COMMAND --help tells more, skyflux --version what it is made of\n\n"
      "example:\n  skyflux init > job.yaml && skyflux check job.yaml && skyflux run job.yaml\n",
      to);
}

static sky_status unknown_command(sky_context *ctx, const char *word) {
  const char *names[N_COMMANDS];
  for (size_t i = 0; i < N_COMMANDS; i++)
    names[i] = commands[i].name;
  const char *near = sky_text_nearest(word, names, N_COMMANDS);
  if (near != NULL) {
    return sky_fail(ctx, SKY_E_USAGE, "unknown command '%s'; did you mean '%s'?", word, near);
  }
  return sky_fail(ctx, SKY_E_USAGE, "unknown command '%s' (skyflux --help lists them)", word);
}

static sky_status dispatch(sky_context *ctx, int argc, char **argv) {
  const char *word = argv[1];
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
    print_overview(stdout);
    return SKY_OK;
  }
  if (strcmp(word, "--version") == 0) return sky_version_print(ctx);
  for (size_t i = 0; i < N_COMMANDS; i++) {
    if (strcmp(commands[i].name, word) != 0) continue;
    const sky_status st = sky_gdal_start(ctx);
    return st == SKY_OK ? commands[i].run(ctx, argc - 1, argv + 1) : st;
  }
  return unknown_command(ctx, word);
}

/* A job's errors are lines of their own, "file:line: …", as editors understand them. */
static void print_failure(const sky_context *ctx, sky_status status) {
  const char *message = sky_error(ctx);
  if (*message == '\0') message = sky_status_name(status);
  fprintf(stderr, "%s%s\n",
          strchr(message, '\n') != NULL || status == SKY_E_JOB ? "" : "skyflux: ", message);
}

static size_t add_tasks(sky_worker_task *to, const sky_worker_task *from, size_t n) {
  memcpy(to, from, n * sizeof *to);
  return n;
}

int main(int argc, char **argv) {
  int exit_code = 0;
  setlocale(LC_ALL, "C");   /* numbers are read and written with a point */
  signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit is an error with its path */
  sky_worker_task tasks[16];
  size_t n = 0;
  n += add_tasks(tasks + n, sky_granule_worker_tasks, sky_granule_worker_task_count);
  n += add_tasks(tasks + n, sky_harmonise_worker_tasks, sky_harmonise_worker_task_count);
  n += add_tasks(tasks + n, sky_gridding_worker_tasks, sky_gridding_worker_task_count);
  if (sky_worker_main(argc, argv, tasks, n, &exit_code)) return exit_code;
  if (argc < 2) {
    print_overview(stderr);
    return sky_status_exit_code(SKY_E_USAGE);
  }
  begin_again(argv);
  sky_context *ctx = NULL;
  sky_status st = sky_context_create(&ctx);
  if (st != SKY_OK) {
    fprintf(stderr, "skyflux: %s\n", sky_status_name(st));
    return sky_status_exit_code(st);
  }
  install_signals(ctx);
  st = dispatch(ctx, argc, argv);
  /* Results that did not reach their reader are a failure, e.g. a full disk behind '>'. */
  if ((fflush(stdout) != 0 || ferror(stdout)) && st == SKY_OK) {
    st = sky_fail(ctx, SKY_E_DISK, "standard output cannot be written");
  }
  if (st != SKY_OK) print_failure(ctx, st);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  sky_context_free(ctx);
  return sky_status_exit_code(st);
}
