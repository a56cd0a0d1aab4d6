/* Runs tests/golden/jobfile.gold: every bad job says exactly what it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "src/core/file.h"
#include "src/core/jobfile.h"
#include "src/core/memory.h"
#include "src/core/text.h"

#define GOLD SKYFLUX_SOURCE "/tests/golden/jobfile.gold"
#define SETS_MAX 16

static const char base[] =
    "job: {name: a, output: out/a}\n"
    "grid: {box: [0, 50, 2, 52], cell: 0.1 degree}\n"
    "soundings: [{files: [a.nc], gases: [ch4]}]\n"
    "zones: {file: z.gpkg, id: id}\n";

typedef struct gold_case {
  char *name;
  sky_text job, expected;
  const char *sets[SETS_MAX];
  size_t n_sets;
} gold_case;

static bool run_case(sky_context *ctx, gold_case *c) {
  char *job = sky_text_take(&c->job), *expected = sky_text_take(&c->expected);
  sky_jobfile *file = NULL;
  assert_non_null(job);
  assert_non_null(expected);
  const sky_status st =
      sky_jobfile_parse(ctx, "job.yaml", job, strlen(job), c->sets, c->n_sets, &file);
  const char *said = st == SKY_OK ? "" : sky_error(ctx);
  const bool right = strcmp(said, expected) == 0 && (st == SKY_OK ? file != NULL : file == NULL) &&
                     (st == SKY_OK || st == SKY_E_JOB);
  if (!right) {
    fprintf(stderr, "case %s: %s\n--- expected\n%s\n--- said\n%s\n", c->name, sky_status_name(st),
            expected, said);
  }
  sky_jobfile_free(file);
  sky_free(job);
  sky_free(expected);
  c->n_sets = 0;
  return right;
}

static void test_gold(void **state) {
  (void)state;
  sky_context *ctx = NULL;
  char *text = NULL, *rest = NULL;
  size_t length = 0, n_cases = 0, n_wrong = 0;
  assert_int_equal(sky_context_create(&ctx), SKY_OK);
  assert_int_equal(sky_file_read_text(ctx, GOLD, &text, &length), SKY_OK);
  gold_case c = {.job = {.ctx = ctx}, .expected = {.ctx = ctx}};
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    if (strncmp(line, "case ", 5) == 0) {
      if (c.name != NULL) n_wrong += !run_case(ctx, &c);
      c.name = line + 5;
      n_cases++;
    } else if (strcmp(line, "base") == 0) {
      sky_text_put(&c.job, base);
    } else if (strncmp(line, "| ", 2) == 0) {
      sky_text_printf(&c.job, "%s\n", line + 2);
    } else if (strncmp(line, "> ", 2) == 0) {
      sky_text_printf(&c.expected, "%s%s", c.expected.length > 0 ? "\n" : "", line + 2);
    } else if (strncmp(line, "set ", 4) == 0) {
      assert_true(c.n_sets < SETS_MAX);
      c.sets[c.n_sets++] = line + 4;
    } else if (line[0] != '#') {
      fail_msg("%s: not understood: %s", GOLD, line);
    }
  }
  n_wrong += !run_case(ctx, &c);
  assert_true(n_cases > 40);
  assert_int_equal(n_wrong, 0);
  sky_free(text);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gold)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
