/* test_granule_damage.c: truncated and bit-flipped copies of real granules are skipped with a
 * reason, and the granule behind them is read, whatever happens to the worker. */
#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/granule.h"

#define N_CUT 10
#define N_FLIPPED 20
#define N_BAD (N_CUT + N_FLIPPED)
#define TIMEOUT 20.0 /* s */

static sky_context *ctx;
static char folder[256];

static int setup(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/skyflux damage XXXXXX", base != NULL ? base : P_tmpdir);
  if (mkdtemp(folder) == NULL || sky_context_create(&ctx) != SKY_OK) return 1;
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_ERROR);
  sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  rmdir(folder);
  sky_context_free(ctx);
  return 0;
}

static void real_file(const char *pattern, char path[512]) {
  char full[512];
  glob_t g;
  snprintf(full, sizeof full, "%s/data/%s", SKYFLUX_DATA, pattern);
  if (glob(full, 0, NULL, &g) != 0 || g.gl_pathc != 1) {
    print_message("no real file %s\n", full);
    globfree(&g);
    skip();
  }
  snprintf(path, 512, "%s", g.gl_pathv[0]);
  globfree(&g);
}

static uint64_t next_random(uint64_t *seed) { /* splitmix64 */
  uint64_t z = *seed += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

static char *write_copy(const char *name, int number, const char *bytes, size_t length) {
  char *path = sky_sprintf(ctx, "%s/%s-%02d.nc", folder, name, number);
  assert_non_null(path);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, length, f), length);
  assert_int_equal(fclose(f), 0);
  return path;
}

/* Copies cut at 0, 10, … 90 % and copies with bits flipped, half of them only in the structures at
 * the front of the file; then the file itself. */
static void damage(const char *original, char *paths[N_BAD + 1]) {
  char *bytes;
  size_t length;
  uint64_t seed = 20230402;
  assert_int_equal(sky_file_read_text(ctx, original, &bytes, &length), SKY_OK);
  for (int i = 0; i < N_CUT; ++i) {
    paths[i] = write_copy("cut", i, bytes, length / N_CUT * (size_t)i);
  }
  for (int i = 0; i < N_FLIPPED; ++i) {
    const size_t reach = i % 2 == 0 ? length : length / 20;
    size_t at[40];
    for (int k = 0; k < 40; ++k)
      at[k] = next_random(&seed) % reach;
    for (int k = 0; k < 40; ++k)
      bytes[at[k]] ^= (char)(1 << (k % 8));
    paths[N_CUT + i] = write_copy("flipped", i, bytes, length);
    for (int k = 39; k >= 0; --k)
      bytes[at[k]] ^= (char)(1 << (k % 8));
  }
  paths[N_BAD] = write_copy("intact", 0, bytes, length);
  sky_free(bytes);
}

static void check_real(const char *pattern, size_t n_intact) {
  static const sky_selection ALL = {.start = NAN, .end = NAN, .keep_dropped = true};
  char original[512], *paths[N_BAD + 1];
  size_t seen[2] = {0, 0}, skipped[2] = {0, 0};
  real_file(pattern, original);
  damage(original, paths);
  for (int round = 0; round < 2; ++round) { /* one worker, then three */
    sky_soundings s;
    sky_granule_failures failed;
    size_t drops[SKY_DROP_COUNT];
    sky_context_set_threads(ctx, 1 + 2 * round);
    assert_int_equal(
        sky_granules_read(ctx, paths, N_BAD + 1, "auto", NULL, &ALL, TIMEOUT, &s, drops, &failed),
        SKY_OK);
    assert_true(failed.n >= N_CUT);
    for (size_t i = 0; i < failed.n; ++i) {
      assert_true(failed.item[i].reason[0] != '\0');
      assert_true(failed.item[i].status != SKY_OK);
      if (i < N_CUT) assert_string_equal(failed.item[i].path, paths[i]);
    }
    /* The last granule is the intact one, complete. */
    assert_int_equal(s.n_granules, N_BAD + 1 - failed.n);
    assert_string_equal(s.granules[s.n_granules - 1], "intact-00.nc");
    size_t n = 0;
    for (size_t i = 0; i < s.n; ++i)
      n += s.granule[i] == (int32_t)s.n_granules - 1;
    assert_int_equal(n, n_intact);
    seen[round] = s.n;
    skipped[round] = failed.n;
    sky_granule_failures_free(&failed);
    sky_soundings_free(&s);
  }
  assert_int_equal(seen[0], seen[1]);
  assert_int_equal(skipped[0], skipped[1]);
  for (int i = 0; i <= N_BAD; ++i) {
    unlink(paths[i]);
    sky_free(paths[i]);
  }
}

static void test_acos(void **state) {
  (void)state;
  check_real("acos_oco_lite/*_090901_*.nc4", 985);
}
static void test_s5p(void **state) {
  (void)state;
  check_real("tropomi_ch4/*_07293_*.nc4", 3);
}

/* All bad: no soundings, every reason listed. */
static void test_all_bad(void **state) {
  (void)state;
  static const sky_selection ALL = {.start = NAN, .end = NAN};
  char *paths[2] = {write_copy("bad", 0, "nothing", 7), write_copy("bad", 1, "", 0)};
  sky_soundings s;
  sky_granule_failures failed;
  assert_int_equal(sky_granules_read(ctx, paths, 2, NULL, "co2", &ALL, TIMEOUT, &s, NULL, &failed),
                   SKY_E_NODATA);
  assert_int_equal(failed.n, 2);
  assert_int_equal(failed.item[0].status, SKY_E_FORMAT);
  assert_string_equal(failed.item[0].reason, "not a NetCDF file");
  assert_int_equal(s.n, 0);
  sky_granule_failures_free(&failed);
  for (int i = 0; i < 2; ++i) {
    unlink(paths[i]);
    sky_free(paths[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_acos),
      cmocka_unit_test(test_s5p),
      cmocka_unit_test(test_all_bad),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
