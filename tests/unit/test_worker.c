/* Worker processes; this program is its own worker. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/memory.h"
#include "src/engine/worker.h"
#include "tests/support/sky_cmocka.h"

/* ---- tasks ---- */

static sky_status task_echo(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  if (argc < 1) return sky_fail(ctx, SKY_E_USAGE, "echo: nothing to say");
  sky_log(ctx, SKY_LOG_WARN, "echo says %s", argv[0]);
  *blob = sky_strdup(ctx, argv[0]);
  *size = strlen(argv[0]) + 1;
  return *blob == NULL ? SKY_E_NOMEM : SKY_OK;
}

static sky_status task_fail(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)blob, (void)size;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: /xco2: variable missing", argc > 0 ? argv[0] : "?");
}

static sky_status task_crash(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)argc, (void)argv, (void)blob, (void)size;
  printf("printed by the library\n");
  fflush(stdout);
  signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would turn it into an exit code */
  raise(SIGSEGV);
  return SKY_OK;
}

static sky_status task_hang(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)argc, (void)argv, (void)blob, (void)size;
  while (pause() != 0) {
  }
  return SKY_OK;
}

static sky_status task_leave(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)blob, (void)size;
  _exit(argc > 0 ? atoi(argv[0]) : 0);
}

static sky_status task_big(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)argc, (void)argv;
  const size_t n = (size_t)20 << 20;
  unsigned char *p = SKY_NEW(ctx, unsigned char, n);
  if (p == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    p[i] = (unsigned char)(i * 2654435761u >> 24);
  *blob = p;
  *size = n;
  return SKY_OK;
}

static sky_status task_empty(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)argc, (void)argv, (void)blob, (void)size;
  return SKY_OK;
}

/* Writes to the answer's descriptor as a corrupted process might. */
static sky_status task_garbage(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)argc, (void)argv, (void)blob, (void)size;
  const char text[64] = "this is not a frame";
  _exit(write(3, text, sizeof text) == (ssize_t)sizeof text ? 0 : 9);
}

/* A frame that is right, and more behind it. */
static sky_status task_surplus(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)argc, (void)argv, (void)blob, (void)size;
  char frame[8 + 8 + 8 + 4] = "SKYBLOB1";
  frame[16] = 3;
  memcpy(frame + 24, "abcd", 4);
  _exit(write(3, frame, sizeof frame) == (ssize_t)sizeof frame ? 0 : 9);
}

/* A frame that promises more than it holds. */
static sky_status task_cut(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)argc, (void)argv, (void)blob, (void)size;
  char frame[8 + 8 + 8 + 4] = "SKYBLOB1";
  frame[16] = 5;
  _exit(write(3, frame, sizeof frame) == (ssize_t)sizeof frame ? 0 : 9);
}

static sky_status task_after_answer(sky_context *ctx, int argc, char **argv, void **blob,
                                    size_t *size) {
  (void)argc, (void)argv;
  *blob = sky_strdup(ctx, "fine");
  *size = 5;
  signal(SIGSEGV, SIG_DFL);
  return *blob == NULL ? SKY_E_NOMEM : SKY_OK;
}

static sky_status task_chatter(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)ctx, (void)argc, (void)argv, (void)blob, (void)size;
  for (int i = 0; i < 20000; i++)
    fprintf(stderr, "HDF5-DIAG: noise number %d\n", i);
  return SKY_OK;
}

static sky_status task_env(sky_context *ctx, int argc, char **argv, void **blob, size_t *size) {
  (void)argc, (void)argv;
  *blob = sky_sprintf(ctx, "%s %d", getenv("OMP_NUM_THREADS"), sky_context_threads(ctx));
  *size = *blob == NULL ? 0 : strlen(*blob) + 1;
  return *blob == NULL ? SKY_E_NOMEM : SKY_OK;
}

static const sky_worker_task TASKS[] = {
    {"echo", task_echo},       {"fail", task_fail},       {"crash", task_crash},
    {"hang", task_hang},       {"leave", task_leave},     {"big", task_big},
    {"empty", task_empty},     {"garbage", task_garbage}, {"after", task_after_answer},
    {"surplus", task_surplus}, {"cut", task_cut},         {"chatter", task_chatter},
    {"env", task_env},
};

/* ---- tests ---- */

static void split_argv(void *user, size_t i, const char **argv) {
  const char *const(*jobs)[3] = user;
  for (int k = 0; k < 3; k++)
    argv[k] = jobs[i][k];
}

/* No child, no descriptor is left. */
static size_t open_descriptors(void) {
  size_t n = 0;
  DIR *d = opendir("/proc/self/fd");
  assert_non_null(d);
  while (readdir(d) != NULL)
    n++;
  closedir(d);
  return n;
}

static void assert_no_child(void) {
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

static void test_every_way_to_end(void **state) {
  sky_context *ctx = *state;
  const size_t before = open_descriptors();
  const char *const jobs[][3] = {
      {"echo", "hello"}, {"fail", "a.nc"}, {"crash"},   {"leave", "0"}, {"leave", "7"}, {"big"},
      {"echo", "after"}, {"empty"},        {"garbage"}, {"unknown"},    {"echo", ""},   {"env"},
  };
  enum { N = sizeof jobs / sizeof *jobs };
  sky_worker_result r[N];
  assert_int_equal(sky_worker_run(ctx, N, 3, 120, split_argv, (void *)jobs, r), SKY_OK);
  assert_int_equal(r[0].status, SKY_OK);
  assert_string_equal(r[0].blob, "hello");
  assert_int_equal(r[0].size, 6);
  assert_null(r[0].message);
  assert_int_equal(r[1].status, SKY_E_FORMAT);
  assert_string_equal(r[1].message, "a.nc: /xco2: variable missing");
  assert_int_equal(r[2].status, SKY_E_WORKER);
  assert_string_equal(r[2].message, "killed by signal 11: printed by the library");
  assert_int_equal(r[3].status, SKY_E_WORKER);
  assert_string_equal(r[3].message, "no answer");
  assert_int_equal(r[4].status, SKY_E_WORKER);
  assert_string_equal(r[4].message, "exit code 7");
  assert_int_equal(r[5].status, SKY_OK);
  assert_int_equal(r[5].size, 20 << 20);
  const unsigned char *p = r[5].blob;
  for (size_t i = 0; i < r[5].size; i++) {
    if (p[i] != (unsigned char)(i * 2654435761u >> 24)) fail_msg("byte %zu differs", i);
  }
  assert_string_equal(r[6].blob, "after");
  assert_int_equal(r[7].status, SKY_OK);
  assert_int_equal(r[7].size, 0);
  assert_int_equal(r[8].status, SKY_E_WORKER);
  assert_string_equal(r[8].message, "malformed answer");
  assert_int_equal(r[9].status, SKY_E_INTERNAL);
  assert_string_equal(r[9].message, "worker task 'unknown' is not known");
  assert_string_equal(r[10].blob, "");
  assert_string_equal(r[11].blob, "1 1"); /* one thread per child */
  /* Log lines of the children come in the order of tasks. */
  assert_int_equal(sky_context_warning_count(ctx), 3);
  assert_string_equal(sky_context_warning(ctx, 0), "echo says hello");
  assert_string_equal(sky_context_warning(ctx, 1), "echo says after");
  assert_string_equal(sky_context_warning(ctx, 2), "echo says ");
  sky_worker_results_free(r, N);
  assert_no_child();
  assert_int_equal(open_descriptors(), before);
}

static void test_time_out(void **state) {
  sky_context *ctx = *state;
  const char *const jobs[][3] = {{"hang"}, {"hang"}};
  sky_worker_result r[2];
  assert_int_equal(sky_worker_run(ctx, 2, 2, 0.5, split_argv, (void *)jobs, r), SKY_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(r[i].status, SKY_E_WORKER);
    assert_string_equal(r[i].message, "no answer within 0.5 s");
  }
  sky_worker_results_free(r, 2);
  assert_no_child();
}

static void test_frames(void **state) {
  sky_context *ctx = *state;
  const char *const jobs[][3] = {{"garbage"}, {"surplus"}, {"cut"}};
  static const char *const EXPECT[] = {"malformed answer", "malformed answer", "incomplete answer"};
  sky_worker_result r[3];
  assert_int_equal(sky_worker_run(ctx, 3, 1, 60, split_argv, (void *)jobs, r), SKY_OK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(r[i].status, SKY_E_WORKER);
    assert_string_equal(r[i].message, EXPECT[i]);
    assert_null(r[i].blob);
  }
  sky_worker_results_free(r, 3);
}

static void test_order_for_any_parallelism(void **state) {
  sky_context *ctx = *state;
  char digits[24][3];
  const char *jobs[24][3] = {{NULL}};
  for (int i = 0; i < 24; i++) {
    snprintf(digits[i], sizeof digits[i], "%d", i);
    jobs[i][0] = "echo";
    jobs[i][1] = digits[i];
  }
  for (int parallel = 0; parallel <= 30; parallel += 10) {
    sky_worker_result r[24];
    assert_int_equal(sky_worker_run(ctx, 24, parallel, 60, split_argv, jobs, r), SKY_OK);
    for (int i = 0; i < 24; i++)
      assert_string_equal(r[i].blob, digits[i]);
    sky_worker_results_free(r, 24);
  }
  assert_int_equal(sky_worker_run(ctx, 0, 4, 60, split_argv, jobs, NULL), SKY_OK);
}

static void test_crash_after_the_answer_is_not_trusted(void **state) {
  sky_context *ctx = *state;
  const char *const jobs[][3] = {{"after"}};
  sky_worker_result r[1];
  assert_int_equal(setenv("SKY_TEST_CRASH_AT_EXIT", "1", 1), 0);
  assert_int_equal(sky_worker_run(ctx, 1, 1, 60, split_argv, (void *)jobs, r), SKY_OK);
  assert_int_equal(unsetenv("SKY_TEST_CRASH_AT_EXIT"), 0);
  assert_int_equal(r[0].status, SKY_E_WORKER);
  assert_string_equal(r[0].message, "killed by signal 11");
  assert_null(r[0].blob);
  sky_worker_results_free(r, 1);
}

static void test_chatter_does_not_block(void **state) {
  sky_context *ctx = *state;
  const char *const jobs[][3] = {{"chatter"}};
  sky_worker_result r[1];
  assert_int_equal(sky_worker_run(ctx, 1, 1, 60, split_argv, (void *)jobs, r), SKY_OK);
  assert_int_equal(r[0].status, SKY_OK);
  assert_int_equal(sky_context_warning_count(ctx), 1);
  assert_non_null(strstr(sky_context_warning(ctx, 0), "the rest is dropped"));
  sky_worker_results_free(r, 1);
}

static void test_no_program(void **state) {
  sky_context *ctx = *state;
  char *kept = sky_strdup(ctx, getenv("SKYFLUX_WORKER"));
  const char *const jobs[][3] = {{"echo", "x"}, {"echo", "y"}};
  sky_worker_result r[2];
  assert_int_equal(setenv("SKYFLUX_WORKER", "/no/such/program", 1), 0);
  assert_int_equal(sky_worker_run(ctx, 2, 2, 60, split_argv, (void *)jobs, r), SKY_OK);
  assert_int_equal(setenv("SKYFLUX_WORKER", kept, 1), 0);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(r[i].status, SKY_E_WORKER);
    assert_string_equal(r[i].message, "cannot start /no/such/program: No such file or directory");
  }
  sky_worker_results_free(r, 2);
  sky_free(kept);
}

static void test_answer_beyond_the_budget(void **state) {
  sky_context *ctx = *state;
  sky_context_set_memory(ctx, 1 << 20);
  const char *const jobs[][3] = {{"big"}, {"echo", "next"}};
  sky_worker_result r[2];
  assert_int_equal(sky_worker_run(ctx, 2, 1, 60, split_argv, (void *)jobs, r), SKY_OK);
  assert_int_equal(r[0].status, SKY_E_NOMEM);
  assert_string_equal(r[0].message, "answer of 20971520 bytes is beyond the memory budget");
  assert_string_equal(r[1].blob, "next");
  sky_worker_results_free(r, 2);
}

static void cancel_at_first_warning(void *user, sky_log_level level, const char *line) {
  (void)line;
  if (level == SKY_LOG_WARN) sky_cancel(user);
}

static void test_cancel_kills_the_children(void **state) {
  sky_context *ctx = *state;
  sky_context_set_log(ctx, cancel_at_first_warning, ctx, SKY_LOG_WARN);
  const char *const jobs[][3] = {{"echo", "stop"}, {"hang"}, {"hang"}, {"echo", "never"}};
  sky_worker_result r[4];
  assert_fails(ctx, sky_worker_run(ctx, 4, 3, 0, split_argv, (void *)jobs, r), SKY_E_CANCELLED,
               "cancelled");
  assert_int_equal(r[0].status, SKY_OK);
  for (int i = 1; i < 3; i++)
    assert_int_equal(r[i].status, SKY_E_CANCELLED);
  sky_worker_results_free(r, 4);
  assert_no_child();
}

static void test_every_allocation_may_fail(void **state) {
  sky_context *ctx = *state;
  const size_t before = open_descriptors();
  const char *const jobs[][3] = {{"echo", "a"}, {"fail"}, {"leave"}};
  uint64_t nth = 0;
  sky_status st;
  do {
    sky_worker_result r[3];
    sky_memory_fail_at(ctx, ++nth);
    st = sky_worker_run(ctx, 3, 2, 60, split_argv, (void *)jobs, r);
    sky_memory_fail_at(ctx, 0);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
    sky_worker_results_free(r, 3);
    assert_no_child();
    assert_int_equal(open_descriptors(), before);
  } while (st != SKY_OK);
  assert_true(nth > 6);
}

/* A SIGKILLed parent leaves no hanging child behind, whether they were up already or not. */
static void children_end_with_a_parent_of(useconds_t age) {
  int alive[2];
  assert_int_equal(pipe(alive), 0); /* inherited by all: its end of file = all are gone */
  const pid_t parent = fork();
  assert_true(parent >= 0);
  if (parent == 0) {
    close(alive[0]);
    sky_context *ctx;
    sky_worker_result r[2];
    const char *const jobs[][3] = {{"hang"}, {"hang"}};
    if (sky_context_create(&ctx) != SKY_OK) _exit(1);
    const sky_status st = sky_worker_run(ctx, 2, 2, 0, split_argv, (void *)jobs, r);
    _exit(st == SKY_OK ? 0 : 1);
  }
  close(alive[1]);
  usleep(age);
  assert_int_equal(kill(parent, SIGKILL), 0);
  assert_int_equal(waitpid(parent, NULL, 0), parent);
  char byte;
  assert_int_equal(read(alive[0], &byte, 1), 0);
  close(alive[0]);
}

static void test_children_end_with_the_parent(void **state) {
  (void)state;
  for (useconds_t age = 1000; age <= 512000; age *= 2)
    children_end_with_a_parent_of(age);
}

static void test_not_a_command(void **state) {
  (void)state;
  int code = -1;
  char *plain[] = {"skyflux", "run", NULL};
  assert_false(sky_worker_main(2, plain, TASKS, sizeof TASKS / sizeof *TASKS, &code));
  assert_int_equal(code, -1);
  const int status = system("\"$SKYFLUX_WORKER\" __worker echo x 2>/dev/null 3>&-");
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 2);
}

int main(int argc, char **argv) {
  int code;
  if (sky_worker_main(argc, argv, TASKS, sizeof TASKS / sizeof *TASKS, &code)) {
    if (getenv("SKY_TEST_CRASH_AT_EXIT") != NULL) raise(SIGSEGV);
    return code;
  }
  char self[4096];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return 1;
  self[n] = '\0';
  setenv("SKYFLUX_WORKER", self, 1);
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_every_way_to_end),
      SKY_UNIT(test_time_out),
      SKY_UNIT(test_frames),
      SKY_UNIT(test_order_for_any_parallelism),
      SKY_UNIT(test_crash_after_the_answer_is_not_trusted),
      SKY_UNIT(test_chatter_does_not_block),
      SKY_UNIT(test_no_program),
      SKY_UNIT(test_answer_beyond_the_budget),
      SKY_UNIT(test_cancel_kills_the_children),
      SKY_UNIT(test_every_allocation_may_fail),
      SKY_UNIT(test_children_end_with_the_parent),
      SKY_UNIT(test_not_a_command),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
