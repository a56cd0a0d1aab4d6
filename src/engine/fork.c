/* fork.c: see fork.h. The answer is the status and the message, over a pipe; it counts only if the
 * copy then exits with 0. */
#include "src/engine/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct fork_answer {
  int64_t status;
  char message[1024];
} fork_answer;

/* A pipe takes this much in one piece. */
_Static_assert(sizeof(fork_answer) <= 4096, "an answer is written at once");

static void copy_main(sky_context *ctx, pid_t parent, int fd, sky_fork_fn fn, void *user) {
  const struct rlimit none = {0, 0};
  fork_answer a = {0};
  setrlimit(RLIMIT_CORE, &none);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
  a.status = fn(ctx, user);
  if (a.status != SKY_OK) snprintf(a.message, sizeof a.message, "%s", sky_error(ctx));
  fflush(stderr); /* not stdout, whose buffer is the parent's */
  _exit(write(fd, &a, sizeof a) == (ssize_t)sizeof a ? 0 : 1);
}

static size_t read_answer(int fd, fork_answer *a) {
  size_t got = 0;
  while (got < sizeof *a) {
    const ssize_t n = read(fd, (char *)a + got, sizeof *a - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += (size_t)n;
  }
  return got;
}

sky_status sky_fork_run(sky_context *ctx, sky_fork_fn fn, void *user) {
  int ends[2], state = 0;
  if (pipe2(ends, O_CLOEXEC) != 0)
    return sky_fail(ctx, SKY_E_WORKER, "no pipe to a copy of the process: %s", strerror(errno));
  fflush(NULL);
  const pid_t parent = getpid(), pid = fork();
  if (pid == 0) copy_main(ctx, parent, ends[1], fn, user);
  const int error = errno;
  close(ends[1]);
  fork_answer a = {0};
  const size_t got = pid > 0 ? read_answer(ends[0], &a) : 0;
  close(ends[0]);
  if (pid < 0) return sky_fail(ctx, SKY_E_WORKER, "no copy of the process: %s", strerror(error));
  while (waitpid(pid, &state, 0) < 0 && errno == EINTR)
    continue;
  if (WIFSIGNALED(state))
    return sky_fail(ctx, SKY_E_WORKER, "killed by signal %d", WTERMSIG(state));
  if (got != sizeof a || !WIFEXITED(state) || WEXITSTATUS(state) != 0)
    return sky_fail(ctx, SKY_E_WORKER, "ended without an answer");
  a.message[sizeof a.message - 1] = '\0';
  return a.status == SKY_OK ? SKY_OK : sky_fail(ctx, (sky_status)a.status, "%s", a.message);
}
