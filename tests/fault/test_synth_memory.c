/* Making the demo scene when memory runs out: a message, no job file, nothing half-written. */
#include <dirent.h>
#include <unistd.h>

#include "tests/support/sky_cmocka.h"

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/synth_demo.h"

/* Files whose name starts with a dot are parts. Removes what is there. */
static size_t clear_folder(const char *dir, size_t *parts, int *has_job) {
  size_t n = 0;
  DIR *d = opendir(dir);
  assert_non_null(d);
  for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    n++;
    *parts += e->d_name[0] == '.';
    *has_job |= strcmp(e->d_name, "demo.yaml") == 0;
    assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
  }
  closedir(d);
  return n;
}

static void test_allocation_failures(void **state) {
  sky_context *ctx = *state;
  char dir[] = P_tmpdir "/skyflux-synth-XXXXXX";
  assert_non_null(mkdtemp(dir));
  size_t failures = 0;
  sky_status st = SKY_E_NOMEM;
  /* Every one of the first allocations, then ever larger steps: the writing repeats itself. */
  for (uint64_t nth = 1; st != SKY_OK; nth += 1 + nth / 3) {
    sky_memory_fail_at(ctx, nth);
    st = sky_synth_demo(ctx, dir, 1);
    sky_memory_fail_at(ctx, 0);
    size_t parts = 0;
    int has_job = 0;
    const size_t files = clear_folder(dir, &parts, &has_job);
    assert_int_equal(parts, 0);
    if (st == SKY_OK) {
      assert_int_equal(files, 8);
    } else {
      assert_int_equal(st, SKY_E_NOMEM);
      assert_string_not_equal(sky_error(ctx), "");
      assert_false(has_job);
      failures++;
    }
  }
  assert_true(failures >= 10);
  assert_int_equal(rmdir(dir), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_allocation_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
