/* worker.c: children, their answers and their ends.
 *
 * The answer is one frame on descriptor 3 of the child: magic, status, length, then the blob or the
 * error text. It counts only if it is complete and the child then exits with 0: a process that
 * crashes after its answer may have sent garbage. What a child writes to stdout and stderr is
 * captured; its log lines are logged again here, in the order of tasks. Children stand in process
 * groups of their own, so that Ctrl-C reaches the parent only, which then ends them; if the parent
 * dies, the kernel ends them. */
#include "src/engine/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "src/core/memory.h"

#define ANSWER_FD 3
#define FIRST_OWN_FD 10 /* pipes stay clear of 0..3, which the child's are moved to */
#define TAIL_MAX 16     /* entries of a task's argv */
#define TEXT_MAX                                                                   \
  ((size_t)1 << 18) /* captured text of one child; the rest is dropped with a note \
                     */
#define TICK_MS 200 /* how late a cancel may be seen */
#define REAP_MS 2

static const char MAGIC[8] = {'S', 'K', 'Y', 'B', 'L', 'O', 'B', '1'};

typedef struct frame { /* same machine, same program: native byte order */
  char magic[8];
  int64_t status;
  uint64_t length;
} frame;

/* ---- the child ---- */

static bool write_all(int fd, const void *data, size_t length) {
  const char *p = data;
  while (length > 0) {
    const ssize_t n = write(fd, p, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    p += n;
    length -= (size_t)n;
  }
  return true;
}

static bool answer(sky_status status, const void *data, size_t length) {
  frame f = {.status = status, .length = length};
  memcpy(f.magic, MAGIC, sizeof MAGIC);
  return write_all(ANSWER_FD, &f, sizeof f) && write_all(ANSWER_FD, data, length);
}

/* A child must not outlive the parent, nor leave core files, nor die of a parent that went. */
static bool enter_child(void) {
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  signal(SIGPIPE, SIG_IGN);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || fcntl(ANSWER_FD, F_SETFD, FD_CLOEXEC) != 0)
    return false;
  /* A parent that died before the line above sends no signal any more. */
  const char *parent = getenv("SKYFLUX_WORKER_PARENT");
  return parent == NULL || strtol(parent, NULL, 10) == (long)getppid();
}

static sky_status run_task(sky_context *ctx, int argc, char **argv, const sky_worker_task *tasks,
                           size_t n_tasks, void **blob, size_t *size) {
  const char *name = argc > 2 ? argv[2] : "";
  for (size_t i = 0; i < n_tasks; i++) {
    if (strcmp(tasks[i].name, name) == 0) return tasks[i].fn(ctx, argc - 3, argv + 3, blob, size);
  }
  return sky_fail(ctx, SKY_E_INTERNAL, "worker task '%s' is not known", name);
}

bool sky_worker_main(int argc, char **argv, const sky_worker_task *tasks, size_t n_tasks,
                     int *exit_code) {
  if (argc < 2 || strcmp(argv[1], "__worker") != 0) return false;
  *exit_code = 2;
  if (!enter_child()) {
    fputs("error: __worker is not a command; it is started by skyflux itself\n", stderr);
    return true;
  }
  sky_context *ctx;
  if (sky_context_create(&ctx) != SKY_OK) return true;
  sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_DEBUG); /* the parent chooses what is shown */
  void *blob = NULL;
  size_t size = 0;
  const sky_status st = run_task(ctx, argc, argv, tasks, n_tasks, &blob, &size);
  const char *text = *sky_error(ctx) != '\0' ? sky_error(ctx) : sky_status_name(st);
  fflush(NULL);
  const bool sent = st == SKY_OK ? answer(st, blob, size) : answer(st, text, strlen(text));
  *exit_code = sent ? 0 : 1;
  sky_free(blob);
  sky_context_free(ctx);
  return true;
}

/* ---- the parent ---- */

/* Why we ended a child ourselves. */
typedef enum verdict { LIVES, TIMED_OUT, MALFORMED, TOO_LARGE } verdict;

typedef struct child {
  size_t task;
  pid_t pid;              /* 0 = free slot */
  int answer_fd, text_fd; /* -1 = at its end */
  double deadline;
  verdict verdict;
  frame head;
  size_t head_got, body_got;
  char *body; /* malloc'd [head.length + 1] once the head is complete */
  char *text; /* malloc'd, what the child printed */
  size_t text_length, text_capacity;
} child;

typedef struct pool {
  sky_context *ctx;
  size_t n, next, active, logged; /* tasks: all, to be started, running, with their text logged */
  size_t n_slots;
  child *slots;
  struct pollfd *polls; /* [2*n_slots] */
  char **texts;         /* [n] captured text of finished tasks, until logged */
  bool *finished;       /* [n] */
  char **env;
  double timeout_s;
  void (*argv_of)(void *user, size_t i, const char **argv);
  void *user;
  sky_worker_result *results;
} pool;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* A pipe whose ends are close-on-exec and clear of the child's first descriptors. */
static bool open_pipe(int ends[2]) {
  int low[2];
  ends[0] = ends[1] = -1;
  if (pipe2(low, O_CLOEXEC) != 0) return false;
  for (int i = 0; i < 2; i++) {
    ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, FIRST_OWN_FD);
    close(low[i]);
  }
  if (ends[0] >= 0 && ends[1] >= 0) return true;
  const int error = errno;
  close_fd(&ends[0]);
  close_fd(&ends[1]);
  errno = error;
  return false;
}

#define PARENT "SKYFLUX_WORKER_PARENT" /* process id that a child must still see above it */
#define PARENT_ROOM 8                  /* pointers' worth of text */

/* Our environment with one thread per child: the children are the parallelism. malloc'd. */
static char **child_environment(sky_context *ctx) {
  static const char *const SET[] = {"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"};
  const size_t n_set = sizeof SET / sizeof *SET;
  size_t n = 0, m = 0;
  while (environ[n] != NULL)
    n++;
  char **env = SKY_NEW(ctx, char *, n + n_set + 2 + PARENT_ROOM);
  if (env == NULL) return NULL;
  for (size_t i = 0; i < n; i++) {
    bool replaced = strncmp(environ[i], PARENT "=", sizeof PARENT) == 0;
    for (size_t k = 0; k < n_set; k++) {
      const size_t name = (size_t)(strchr(SET[k], '=') - SET[k]) + 1;
      replaced = replaced || strncmp(environ[i], SET[k], name) == 0;
    }
    if (!replaced) env[m++] = environ[i];
  }
  for (size_t k = 0; k < n_set; k++)
    env[m++] = (char *)SET[k];
  char *parent = (char *)(env + n + n_set + 2); /* lives and dies with env */
  snprintf(parent, PARENT_ROOM * sizeof *env, PARENT "=%ld", (long)getpid());
  env[m++] = parent;
  env[m] = NULL;
  return env;
}

static int spawn(const char *program, char **argv, char **env, int answer_fd, int text_fd,
                 pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  sigset_t none, standard;
  sigemptyset(&none);
  sigemptyset(&standard);
  const int reset[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD};
  for (size_t i = 0; i < sizeof reset / sizeof *reset; i++)
    sigaddset(&standard, reset[i]);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attr);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, text_fd, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, text_fd, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answer_fd, ANSWER_FD);
  posix_spawnattr_setpgroup(&attr, 0);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setsigdefault(&attr, &standard);
  posix_spawnattr_setflags(&attr,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawn(pid, program, &actions, &attr, argv, env);
  posix_spawnattr_destroy(&attr);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

static const char *worker_program(void) {
  const char *override = getenv("SKYFLUX_WORKER");
  return override != NULL && *override != '\0' ? override : "/proc/self/exe";
}

/* Starts task i in a free slot; 0 or errno. */
static int start(pool *p, child *c, size_t i) {
  const char *argv[2 + TAIL_MAX + 1] = {"skyflux", "__worker"};
  int answers[2], texts[2];
  p->argv_of(p->user, i, argv + 2);
  if (!open_pipe(answers)) return errno;
  pid_t pid = 0;
  const int error = open_pipe(texts)
                        ? spawn(worker_program(), (char **)argv, p->env, answers[1], texts[1], &pid)
                        : errno;
  close_fd(&answers[1]);
  close_fd(&texts[1]);
  if (error != 0) {
    close_fd(&answers[0]);
    close_fd(&texts[0]);
    return error;
  }
  *c = (child){.task = i, .pid = pid, .answer_fd = answers[0], .text_fd = texts[0]};
  c->deadline = p->timeout_s > 0 ? now() + p->timeout_s : INFINITY;
  p->active++;
  return 0;
}

static void child_end(child *c, verdict why) {
  c->verdict = why;
  kill(-c->pid, SIGKILL); /* its group: also what it may have started */
  kill(c->pid, SIGKILL);
  close_fd(&c->answer_fd);
  close_fd(&c->text_fd);
}

/* The blob's place, once its length is known. */
static sky_status open_body(pool *p, child *c) {
  if (memcmp(c->head.magic, MAGIC, sizeof MAGIC) != 0) {
    child_end(c, MALFORMED);
  } else if (c->head.length >= sky_context_memory(p->ctx)) {
    child_end(c, TOO_LARGE);
  } else {
    c->body = SKY_NEW(p->ctx, char, (size_t)c->head.length + 1);
    if (c->body == NULL) return SKY_E_NOMEM;
  }
  return SKY_OK;
}

/* Read what is there, once. */
static sky_status read_answer(pool *p, child *c) {
  const bool head = c->head_got < sizeof c->head;
  char *to = head ? (char *)&c->head + c->head_got : c->body + c->body_got;
  /* One byte more than the blob: what comes behind the frame is seen, and lands in the spare one.
   */
  const size_t room =
      head ? sizeof c->head - c->head_got : (size_t)c->head.length + 1 - c->body_got;
  const ssize_t n = read(c->answer_fd, to, room);
  if (n < 0 && errno == EINTR) return SKY_OK;
  if (n <= 0) {
    close_fd(&c->answer_fd);
  } else if (head) {
    c->head_got += (size_t)n;
    if (c->head_got == sizeof c->head) return open_body(p, c);
  } else {
    c->body_got += (size_t)n;
    if (c->body_got > c->head.length) child_end(c, MALFORMED);
  }
  return SKY_OK;
}

static sky_status read_text(pool *p, child *c) {
  char buffer[4096];
  const ssize_t n = read(c->text_fd, buffer, sizeof buffer);
  if (n < 0 && errno == EINTR) return SKY_OK;
  if (n <= 0) {
    close_fd(&c->text_fd);
    return SKY_OK;
  }
  const size_t left = TEXT_MAX - c->text_length;
  const size_t kept = (size_t)n < left ? (size_t)n : left;
  if (c->text_length + kept + 1 > c->text_capacity) {
    const size_t capacity = 2 * (c->text_length + kept + 1);
    char *grown = sky_realloc(p->ctx, c->text, c->text_length, capacity, 1);
    if (grown == NULL) return SKY_E_NOMEM;
    c->text = grown;
    c->text_capacity = capacity;
  }
  memcpy(c->text + c->text_length, buffer, kept);
  c->text_length += kept;
  c->text[c->text_length] = '\0';
  return SKY_OK;
}

/* Last line with something in it: what a dying library says. Shortens text there. */
static const char *last_line(char *text) {
  size_t n = text == NULL ? 0 : strlen(text);
  while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
    text[--n] = '\0';
  if (n == 0) return "";
  const char *newline = strrchr(text, '\n');
  return newline == NULL ? text : newline + 1;
}

/* Why there is no answer to be had from a child with wait status w. */
static void failure_reason(const pool *p, const child *c, int w, char *out, size_t size) {
  if (c->verdict == TIMED_OUT) {
    snprintf(out, size, "no answer within %g s", p->timeout_s);
  } else if (c->verdict == MALFORMED) {
    snprintf(out, size, "malformed answer");
  } else if (c->verdict == TOO_LARGE) {
    snprintf(out, size, "answer of %llu bytes is beyond the memory budget",
             (unsigned long long)c->head.length);
  } else if (WIFSIGNALED(w)) {
    snprintf(out, size, "killed by signal %d", WTERMSIG(w));
  } else if (WIFEXITED(w) && WEXITSTATUS(w) != 0) {
    snprintf(out, size, "exit code %d", WEXITSTATUS(w));
  } else {
    snprintf(out, size, c->head_got > 0 ? "incomplete answer" : "no answer");
  }
}

/* Fill the result of a child that has ended with wait status w. */
static sky_status conclude(pool *p, child *c, int w) {
  sky_worker_result *r = &p->results[c->task];
  const bool complete = c->body != NULL && c->body_got == c->head.length;
  if (complete && c->verdict == LIVES && WIFEXITED(w) && WEXITSTATUS(w) == 0) {
    r->status = (sky_status)c->head.status;
    if (r->status == SKY_OK) {
      r->blob = c->body;
      r->size = (size_t)c->head.length;
    } else {
      c->body[c->head.length] = '\0';
      r->message = c->body;
    }
    c->body = NULL;
    return SKY_OK;
  }
  char reason[128];
  failure_reason(p, c, w, reason, sizeof reason);
  const char *said = last_line(c->text);
  r->status = c->verdict == TOO_LARGE ? SKY_E_NOMEM : SKY_E_WORKER;
  r->message = sky_sprintf(p->ctx, "%s%s%s", reason, *said != '\0' ? ": " : "", said);
  return r->message == NULL ? SKY_E_NOMEM : SKY_OK;
}

/* Log the text of task i again, each line at the level that its prefix says. */
static void log_text(pool *p, size_t i) {
  static const char *const PREFIX[] = {"error: ", "warning: ", "info: ", "debug: "};
  char *save = NULL, *text = p->texts[i];
  for (char *line = text == NULL ? NULL : strtok_r(text, "\n", &save); line != NULL;
       line = strtok_r(NULL, "\n", &save)) {
    sky_log_level level = SKY_LOG_DEBUG;
    size_t skip = 0;
    for (size_t k = 0; k < sizeof PREFIX / sizeof *PREFIX; k++) {
      if (strncmp(line, PREFIX[k], strlen(PREFIX[k])) != 0) continue;
      level = (sky_log_level)k;
      skip = strlen(PREFIX[k]);
    }
    sky_log(p->ctx, level, "%s", line + skip);
  }
  sky_free(text);
  p->texts[i] = NULL;
}

static sky_status finish(pool *p, size_t i) {
  p->finished[i] = true;
  while (p->logged < p->n && p->finished[p->logged])
    log_text(p, p->logged++);
  return sky_progress_step(p->ctx, 1);
}

static void child_free(child *c) {
  close_fd(&c->answer_fd);
  close_fd(&c->text_fd);
  sky_free(c->body);
  sky_free(c->text);
  *c = (child){.answer_fd = -1, .text_fd = -1};
}

/* Has the child, whose pipes are at their end, ended? Then its result is filled, its slot free. */
static sky_status reap(pool *p, child *c) {
  int w = 0;
  const pid_t got = waitpid(c->pid, &w, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return SKY_OK;
  if (got < 0) w = 0; /* SIGCHLD is ignored by our caller: the frame alone decides */
  c->pid = 0;
  p->active--;
  const size_t task = c->task;
  const sky_status st = conclude(p, c, w);
  if (c->text_length == TEXT_MAX) {
    sky_log(p->ctx, SKY_LOG_WARN,
            "worker %zu: more than %zu bytes of messages, the rest is dropped", task, TEXT_MAX);
  }
  p->texts[task] = c->text;
  c->text = NULL;
  child_free(c);
  return st == SKY_OK ? finish(p, task) : st;
}

/* Start tasks while there are free slots. A lack of processes or descriptors is waited out as long
 * as other children run; else the task fails. */
static sky_status fill_slots(pool *p) {
  for (size_t s = 0; s < p->n_slots && p->next < p->n; s++) {
    if (p->slots[s].pid != 0) continue;
    const int error = start(p, &p->slots[s], p->next);
    const bool scarce = error == EAGAIN || error == EMFILE || error == ENFILE || error == ENOMEM;
    if (scarce && p->active > 0) return SKY_OK;
    const size_t task = p->next++;
    if (error == 0) continue;
    sky_worker_result *r = &p->results[task];
    r->status = SKY_E_WORKER;
    r->message = sky_sprintf(p->ctx, "cannot start %s: %s", worker_program(), strerror(error));
    if (r->message == NULL) return SKY_E_NOMEM;
    SKY_TRY(finish(p, task));
  }
  return SKY_OK;
}

/* Wait until a child says something, a time-out is due or a cancel may be looked for. */
static void wait_for_children(pool *p) {
  double ms = TICK_MS;
  const double t = now();
  for (size_t s = 0; s < p->n_slots; s++) {
    const child *c = &p->slots[s];
    p->polls[2 * s] = (struct pollfd){.fd = c->pid != 0 ? c->answer_fd : -1, .events = POLLIN};
    p->polls[2 * s + 1] = (struct pollfd){.fd = c->pid != 0 ? c->text_fd : -1, .events = POLLIN};
    if (c->pid == 0) continue;
    if (c->answer_fd < 0 && c->text_fd < 0) ms = fmin(ms, REAP_MS);
    if (c->verdict == LIVES) ms = fmin(ms, fmax(0.0, 1e3 * (c->deadline - t)));
  }
  poll(p->polls, 2 * p->n_slots, (int)ceil(ms));
}

static sky_status serve_children(pool *p) {
  for (size_t s = 0; s < p->n_slots; s++) {
    child *c = &p->slots[s];
    if (c->pid == 0) continue;
    if (p->polls[2 * s].revents != 0) SKY_TRY(read_answer(p, c));
    if (p->polls[2 * s + 1].revents != 0 && c->text_fd >= 0) SKY_TRY(read_text(p, c));
    if (c->verdict == LIVES && now() >= c->deadline) child_end(c, TIMED_OUT);
    if (c->answer_fd < 0 && c->text_fd < 0) SKY_TRY(reap(p, c));
  }
  return SKY_OK;
}

static sky_status pool_open(pool *p, int parallel) {
  p->n_slots = parallel < 1 ? 1 : (size_t)parallel;
  if (p->n_slots > p->n) p->n_slots = p->n;
  p->slots = SKY_NEW0(p->ctx, child, p->n_slots);
  p->polls = SKY_NEW0(p->ctx, struct pollfd, 2 * p->n_slots);
  p->texts = SKY_NEW0(p->ctx, char *, p->n);
  p->finished = SKY_NEW0(p->ctx, bool, p->n);
  p->env = child_environment(p->ctx);
  for (size_t s = 0; p->slots != NULL && s < p->n_slots; s++) {
    p->slots[s].answer_fd = p->slots[s].text_fd = -1;
  }
  const bool ok = p->slots && p->polls && p->texts && p->finished && p->env;
  return ok ? SKY_OK : SKY_E_NOMEM;
}

/* Ends what still runs, and leaves no zombie and no text behind. */
static void pool_close(pool *p) {
  for (size_t s = 0; p->slots != NULL && s < p->n_slots; s++) {
    child *c = &p->slots[s];
    if (c->pid != 0) {
      child_end(c, TIMED_OUT);
      while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
      }
    }
    child_free(c);
  }
  for (size_t i = 0; p->texts != NULL && i < p->n; i++) {
    if (p->texts[i] != NULL) log_text(p, i);
  }
  sky_free(p->slots);
  sky_free(p->polls);
  sky_free(p->texts);
  sky_free(p->finished);
  sky_free(p->env);
}

sky_status sky_worker_run(sky_context *ctx, size_t n, int parallel, double timeout_s,
                          void (*argv_of)(void *user, size_t i, const char **argv), void *user,
                          sky_worker_result *results) {
  sky_status st;
  pool p = {.ctx = ctx, .n = n, .timeout_s = timeout_s, .argv_of = argv_of, .user = user};
  p.results = results;
  for (size_t i = 0; i < n; i++)
    results[i] = (sky_worker_result){.status = SKY_E_CANCELLED};
  if (n == 0) return SKY_OK;
  SKY_GO(pool_open(&p, parallel));
  while (p.next < n || p.active > 0) {
    if (sky_cancelled(ctx)) {
      st = sky_fail(ctx, SKY_E_CANCELLED, "cancelled");
      goto cleanup;
    }
    SKY_GO(fill_slots(&p));
    wait_for_children(&p);
    SKY_GO(serve_children(&p));
  }
cleanup:
  pool_close(&p);
  return st;
}

void sky_worker_results_free(sky_worker_result *results, size_t n) {
  for (size_t i = 0; i < n; i++) {
    sky_free(results[i].message);
    sky_free(results[i].blob);
    results[i] = (sky_worker_result){.status = SKY_E_CANCELLED};
  }
}
