/* Context: messages per thread, log, warnings, cancel, progress. */
#include <fcntl.h>
#include <pthread.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include "tests/support/sky_cmocka.h"

/* stderr goes to an unnamed file while f runs; the caller frees the text. */
static char *captured(void (*f)(sky_context *), sky_context *ctx) {
  FILE *file = tmpfile();
  assert_non_null(file);
  fflush(stderr);
  const int kept = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  f(ctx);
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  const long length = ftell(file) < 0 ? 0 : (fseek(file, 0, SEEK_END), ftell(file));
  char *text = calloc(1, (size_t)length + 1);
  assert_non_null(text);
  rewind(file);
  assert_int_equal(fread(text, 1, (size_t)length, file), length);
  fclose(file);
  return text;
}

static void test_status_table(void **state) {
  (void)state;
  assert_string_equal(sky_status_name(SKY_E_MISSING), "file missing");
  assert_string_equal(sky_status_name((sky_status)12345), "unknown status");
  assert_int_equal(sky_status_exit_code(SKY_OK), 0);
  assert_int_equal(sky_status_exit_code(SKY_E_JOB), 2);
  assert_int_equal(sky_status_exit_code(SKY_E_MISSING), 3);
  assert_int_equal(sky_status_exit_code(SKY_E_NODATA), 4);
  assert_int_equal(sky_status_exit_code(SKY_E_PARTIAL), 5);
  assert_int_equal(sky_status_exit_code((sky_status)12345), 1);
}

static void test_error_stack(void **state) {
  sky_context *ctx = *state;
  assert_string_equal(sky_error(ctx), "");
  assert_int_equal(sky_fail(ctx, SKY_E_FORMAT, "%s missing", "/xco2"), SKY_E_FORMAT);
  assert_int_equal(sky_fail_in(ctx, SKY_E_FORMAT, "%s: ", "a.nc"), SKY_E_FORMAT);
  assert_string_equal(sky_error(ctx), "a.nc: /xco2 missing");
  /* The old message may be an argument of the new one. */
  sky_fail(ctx, SKY_E_FORMAT, "twice %s %s", sky_error(ctx), sky_error(ctx));
  assert_string_equal(sky_error(ctx), "twice a.nc: /xco2 missing a.nc: /xco2 missing");
  sky_error_clear(ctx);
  assert_string_equal(sky_error(ctx), "");
  char longer[5000];
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  sky_fail(ctx, SKY_E_JOB, "%s", longer);
  assert_int_equal(strlen(sky_error(ctx)), sizeof longer - 1);
}

static void test_settings(void **state) {
  sky_context *ctx = *state;
  assert_true(sky_context_threads(ctx) >= 1);
  sky_context_set_threads(ctx, -3);
  assert_int_equal(sky_context_threads(ctx), 1);
  assert_true(sky_context_memory(ctx) > 0);
  sky_context_set_memory(ctx, 12345);
  assert_int_equal(sky_context_memory(ctx), 12345);
}

static void collect(void *user, sky_log_level level, const char *line) {
  char *all = user;
  const size_t used = strlen(all);
  snprintf(all + used, 1000 - used, "%d:%s|", (int)level, line);
}

static void test_log_levels_and_warnings(void **state) {
  sky_context *ctx = *state;
  char all[1000] = "";
  sky_context_set_log(ctx, collect, all, SKY_LOG_ERROR);
  sky_log(ctx, SKY_LOG_WARN, "dropped %d", 7);
  sky_log(ctx, SKY_LOG_INFO, "hidden");
  sky_log(ctx, SKY_LOG_ERROR, "shown");
  assert_string_equal(all, "0:shown|");
  assert_int_equal(sky_context_warning_count(ctx), 1); /* kept, though not shown */
  assert_string_equal(sky_context_warning(ctx, 0), "dropped 7");
  assert_string_equal(sky_context_warning(ctx, 1), "");
  for (int i = 0; i < 100; i++)
    sky_log(ctx, SKY_LOG_WARN, "w%d", i);
  assert_int_equal(sky_context_warning_count(ctx), 101);
  assert_string_equal(sky_context_warning(ctx, 100), "w99");
}

static void say(sky_context *ctx) {
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_INFO);
  sky_log(ctx, SKY_LOG_WARN, "one");
  sky_log(ctx, SKY_LOG_DEBUG, "two");
}

static void test_log_to_stderr(void **state) {
  char *text = captured(say, *state);
  assert_string_equal(text, "warning: one\n");
  free(text);
}

/* ---- threads ---- */

#define N_THREADS 8

typedef struct worker {
  sky_context *ctx;
  int id;
  bool ok;
} worker;

static void *fail_and_look(void *p) {
  worker *w = p;
  char expect[64];
  w->ok = *sky_error(w->ctx) == '\0'; /* a new thread has no message */
  for (int i = 0; i < 200; i++) {
    snprintf(expect, sizeof expect, "outer %d: inner %d", w->id, i);
    sky_fail(w->ctx, SKY_E_RANGE, "inner %d", i);
    sky_fail_in(w->ctx, SKY_E_RANGE, "outer %d: ", w->id);
    w->ok = w->ok && strcmp(sky_error(w->ctx), expect) == 0;
    sky_log(w->ctx, i % 50 == 0 ? SKY_LOG_WARN : SKY_LOG_DEBUG, "thread %d", w->id);
    w->ok = w->ok && sky_progress_step(w->ctx, 1) == SKY_OK;
  }
  return NULL;
}

static void test_threads(void **state) {
  sky_context *ctx = *state;
  sky_fail(ctx, SKY_E_RANGE, "mine");
  sky_progress_begin(ctx, "threads", (uint64_t)N_THREADS * 200);
  for (int round = 0; round < 3; round++) { /* later rounds take over the slots of dead threads */
    pthread_t threads[N_THREADS];
    worker w[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
      w[i] = (worker){ctx, i, false};
      assert_int_equal(pthread_create(&threads[i], NULL, fail_and_look, &w[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
      pthread_join(threads[i], NULL);
      assert_true(w[i].ok);
    }
  }
  sky_progress_end(ctx);
  assert_string_equal(sky_error(ctx), "mine");
  assert_int_equal(sky_context_warning_count(ctx), 3 * N_THREADS * 4);
}

/* ---- cancel and progress ---- */

static void test_cancel(void **state) {
  sky_context *ctx = *state;
  sky_progress_begin(ctx, "work", 10);
  assert_int_equal(sky_progress_step(ctx, 1), SKY_OK);
  assert_false(sky_cancelled(ctx));
  sky_cancel(ctx);
  assert_true(sky_cancelled(ctx));
  assert_fails(ctx, sky_progress_step(ctx, 1), SKY_E_CANCELLED, "cancelled");
  sky_progress_end(ctx);
}

static void progress_of_forty(sky_context *ctx) {
  sky_progress_begin(ctx, "outer", 40);
  sky_progress_begin(ctx, "inner", 2); /* nested: not shown */
  assert_int_equal(sky_progress_step(ctx, 2), SKY_OK);
  sky_progress_end(ctx);
  for (int i = 0; i < 40; i++)
    assert_int_equal(sky_progress_step(ctx, 1), SKY_OK);
  sky_progress_end(ctx);
}

static size_t lines_with(const char *text, const char *part) {
  size_t n = 0;
  for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
    n++;
  return n;
}

static void test_progress_plain(void **state) {
  sky_context_set_progress(*state, SKY_PROGRESS_PLAIN);
  char *text = captured(progress_of_forty, *state);
  assert_int_equal(lines_with(text, "\n"), 10); /* one line every 10 % */
  assert_int_equal(lines_with(text, "inner"), 0);
  assert_non_null(strstr(text, "outer:  50 % (20 of 40)"));
  assert_non_null(strstr(text, "outer: 100 % (40 of 40)"));
  assert_null(strchr(text, '\033'));
  free(text);
}

static void test_progress_json(void **state) {
  sky_context_set_progress(*state, SKY_PROGRESS_JSON);
  char *text = captured(progress_of_forty, *state);
  assert_int_equal(lines_with(text, "{\"progress\":{\"task\":\"outer\",\"done\":"), 10);
  assert_non_null(strstr(text, "\"done\":40,\"total\":40,"));
  free(text);
}

static void progress_in_one_leap(sky_context *ctx) {
  sky_progress_begin(ctx, "nothing", 0);
  sky_progress_end(ctx);
}

static void test_progress_none_and_empty(void **state) {
  sky_context_set_progress(*state, SKY_PROGRESS_NONE);
  char *text = captured(progress_of_forty, *state);
  assert_string_equal(text, "");
  free(text);
  sky_context_set_progress(*state, SKY_PROGRESS_PLAIN);
  text = captured(progress_in_one_leap, *state);
  assert_int_equal(lines_with(text, "100 %"), 1);
  free(text);
}

/* ---- terminal ---- */

static void work_on_terminal(sky_context *ctx) {
  sky_progress_begin(ctx, "orbits", 100);
  usleep(150000); /* longer than a redraw interval, so that the first step is drawn */
  assert_int_equal(sky_progress_step(ctx, 25), SKY_OK);
  sky_log(ctx, SKY_LOG_WARN, "one granule is bad");
  sky_progress_end(ctx);
}

/* stderr is a pseudo terminal while a context of this environment works. */
static void on_terminal(const char *term, const char *no_colour, char *out, size_t size) {
  int master, slave;
  if (openpty(&master, &slave, NULL, NULL, NULL) != 0) {
    print_message("no pseudo terminal here (is /dev/pts mounted?)\n");
    skip();
  }
  const int kept = dup(STDERR_FILENO);
  setenv("TERM", term, 1);
  setenv("NO_COLOR", no_colour, 1);
  fflush(stderr);
  dup2(slave, STDERR_FILENO);
  sky_context *ctx;
  const sky_status st = sky_context_create(&ctx);
  if (st == SKY_OK) work_on_terminal(ctx);
  sky_context_free(ctx);
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  assert_int_equal(st, SKY_OK);
  /* A terminal hands its text over in pieces. */
  struct pollfd more = {.fd = master, .events = POLLIN};
  size_t n = 0;
  while (n < size - 1 && poll(&more, 1, 300) == 1 && (more.revents & POLLIN) != 0) {
    const ssize_t got = read(master, out + n, size - 1 - n);
    if (got <= 0) break;
    n += (size_t)got;
  }
  assert_true(n > 0);
  out[n] = '\0';
  close(slave);
  close(master);
}

static void test_terminal(void **state) {
  (void)state;
  char text[2000];
  on_terminal("xterm", "", text, sizeof text);
  assert_non_null(strstr(text, "\r\033[Korbits:  25 % (25 of 100)"));
  /* The line is taken off before the log line, which has its colour. */
  assert_non_null(strstr(text, "\r\033[K\033[33mwarning\033[0m: one granule is bad\r\n"));
  on_terminal("xterm", "1", text, sizeof text);
  assert_non_null(strstr(text, "\r\033[Kwarning: one granule is bad\r\n"));
  assert_null(strstr(text, "\033[33m"));
  on_terminal("dumb", "", text, sizeof text);
  assert_null(strchr(text, '\033'));
  assert_null(strstr(text, "orbits")); /* lines of a task that is over at once are noise */
  assert_non_null(strstr(text, "warning: one granule is bad"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_status_table),  SKY_UNIT(test_error_stack),
      SKY_UNIT(test_settings),      SKY_UNIT(test_log_levels_and_warnings),
      SKY_UNIT(test_log_to_stderr), SKY_UNIT(test_threads),
      SKY_UNIT(test_cancel),        SKY_UNIT(test_progress_plain),
      SKY_UNIT(test_progress_json), SKY_UNIT(test_progress_none_and_empty),
      SKY_UNIT(test_terminal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
