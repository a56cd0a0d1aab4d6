/* Files: complete or absent, sweep, globbing, checksums, embedded tables. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "tests/support/sky_cmocka.h"

static int enter_folder(void **state) {
  (void)state;
  char folder[] = "file_test_XXXXXX";
  return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

/* In the folder of this run; removes the files that tests leave. */
static int leave_folder(void **state) {
  (void)state;
  char here[4096];
  char command[4200];
  if (getcwd(here, sizeof here) == NULL || chdir("..") != 0) return -1;
  snprintf(command, sizeof command, "rm -rf '%s'", here);
  return system(command);
}

static void test_part_names(void **state) {
  static const char *const CASE[][2] = {
      {"out/map.tif", "out/.part.map.tif"}, {"map.tif", ".part.map.tif"}, {"/m", "/.part.m"}};
  for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
    char *part = sky_file_part(*state, CASE[i][0]);
    assert_string_equal(part, CASE[i][1]);
    sky_free(part);
  }
  assert_string_equal(sky_file_base("a/b/c.nc"), "c.nc");
  assert_string_equal(sky_file_base("c.nc"), "c.nc");
}

static void test_write_and_read(void **state) {
  sky_context *ctx = *state;
  char *text;
  size_t length;
  assert_int_equal(sky_file_mkdirs(ctx, "a/b//c/"), SKY_OK);
  assert_int_equal(sky_file_mkdirs(ctx, "a/b/c"), SKY_OK);
  assert_int_equal(sky_file_write_text(ctx, "a/b/c/x.txt", "one", 3), SKY_OK);
  assert_int_equal(sky_file_write_text(ctx, "a/b/c/x.txt", "other", 5), SKY_OK);
  assert_int_equal(sky_file_read_text(ctx, "a/b/c/x.txt", &text, &length), SKY_OK);
  assert_int_equal(length, 5);
  assert_string_equal(text, "other");
  sky_free(text);
  assert_false(sky_file_exists("a/b/c/.part.x.txt"));
  /* Longer than the first buffer, and of exactly its size. */
  for (size_t n = 65536; n <= 200000; n += 134464) {
    char *big = calloc(n, 1);
    assert_non_null(big);
    memset(big, 'z', n);
    assert_int_equal(sky_file_write_text(ctx, "big", big, n), SKY_OK);
    assert_int_equal(sky_file_read_text(ctx, "big", &text, &length), SKY_OK);
    assert_int_equal(length, n);
    assert_int_equal(strlen(text), n);
    assert_memory_equal(text, big, n);
    sky_free(text);
    free(big);
  }
  assert_fails(ctx, sky_file_read_text(ctx, "a/none", &text, &length), SKY_E_MISSING, "a/none");
  assert_fails(ctx, sky_file_read_text(ctx, "a", &text, &length), SKY_E_MISSING, "directory");
  assert_fails(ctx, sky_file_mkdirs(ctx, "big/x"), SKY_E_DISK, "big");
  assert_fails(ctx, sky_file_write_text(ctx, "none/x", "t", 1), SKY_E_DISK, "none/x");
}

/* The old file stays and no part is left, when the disk is full … */
static void test_disk_full(void **state) {
  sky_context *ctx = *state;
  char *text;
  size_t length;
  assert_int_equal(sky_file_write_text(ctx, "full.txt", "old", 3), SKY_OK);
  assert_int_equal(symlink("/dev/full", ".part.full.txt"), 0);
  assert_fails(ctx, sky_file_write_text(ctx, "full.txt", "new", 3), SKY_E_DISK,
               "full.txt: cannot write: No space left on device");
  assert_false(sky_file_exists(".part.full.txt"));
  /* … and when the limit comes in the middle of the text. */
  static char big[100000];
  struct rlimit old, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 5000;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const sky_status st = sky_file_write_text(ctx, "full.txt", big, sizeof big);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  assert_int_equal(st, SKY_E_DISK);
  assert_false(sky_file_exists(".part.full.txt"));
  assert_int_equal(sky_file_read_text(ctx, "full.txt", &text, &length), SKY_OK);
  assert_string_equal(text, "old");
  sky_free(text);
}

static void test_commit_needs_the_part(void **state) {
  sky_context *ctx = *state;
  assert_fails(ctx, sky_file_commit(ctx, "never.tif"), SKY_E_DISK, "never.tif");
  assert_int_equal(mkdir("taken", 0777), 0);
  assert_fails(ctx, sky_file_write_text(ctx, "taken", "t", 1), SKY_E_DISK, "taken");
  assert_false(sky_file_exists(".part.taken"));
}

static void touch(const char *path) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fclose(f);
}

static void test_discard_and_sweep(void **state) {
  sky_context *ctx = *state;
  assert_int_equal(sky_file_mkdirs(ctx, "s/sub"), SKY_OK);
  touch("s/.part.a.gpkg");
  touch("s/.part.a.gpkg-journal");
  sky_file_discard("s/a.gpkg");
  assert_false(sky_file_exists("s/.part.a.gpkg"));
  assert_false(sky_file_exists("s/.part.a.gpkg-journal"));
  touch("s/.part.b");
  touch("s/.part.c.tif");
  touch("s/keep.part");
  touch("s/sub/.part.d");
  sky_file_sweep(ctx, "s");
  assert_false(sky_file_exists("s/.part.b"));
  assert_false(sky_file_exists("s/.part.c.tif"));
  assert_true(sky_file_exists("s/keep.part"));
  assert_true(sky_file_exists("s/sub/.part.d")); /* not recursive */
  sky_file_sweep(ctx, "no such folder");
}

static void test_glob(void **state) {
  sky_context *ctx = *state;
  char **list = NULL;
  size_t n = 0;
  assert_int_equal(sky_file_mkdirs(ctx, "g"), SKY_OK);
  static const char *const NAMES[] = {"b.nc", "B.nc", "a10.nc", "a2.nc", ".part.z.nc", "x[1].nc"};
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    char path[64];
    snprintf(path, sizeof path, "g/%s", NAMES[i]);
    touch(path);
  }
  assert_int_equal(sky_file_glob(ctx, "g/b.nc", &list, &n), SKY_OK);
  assert_int_equal(sky_file_glob(ctx, "g/x[1].nc", &list, &n), SKY_OK);
  assert_int_equal(sky_file_glob(ctx, "g/*.nc", &list, &n), SKY_OK);
  static const char *const EXPECT[] = {"g/b.nc",  "g/x[1].nc", "g/B.nc",   "g/a10.nc",
                                       "g/a2.nc", "g/b.nc",    "g/x[1].nc"};
  assert_int_equal(n, sizeof EXPECT / sizeof *EXPECT);
  for (size_t i = 0; i < n; i++)
    assert_string_equal(list[i], EXPECT[i]);
  assert_fails(ctx, sky_file_glob(ctx, "g/*.tif", &list, &n), SKY_E_MISSING, "g/*.tif");
  assert_fails(ctx, sky_file_glob(ctx, "g/none.nc", &list, &n), SKY_E_MISSING, "g/none.nc");
  for (uint64_t nth = 1; nth <= 6; nth++) {
    sky_memory_fail_at(ctx, nth);
    assert_int_equal(sky_file_glob(ctx, "g/*.nc", &list, &n), SKY_E_NOMEM);
    assert_int_equal(n, sizeof EXPECT / sizeof *EXPECT);
  }
  sky_memory_fail_at(ctx, 0);
  sky_file_list_free(list, n);
  sky_file_list_free(NULL, 0);
}

/* FIPS 180-2, appendix B. */
static void test_sha256(void **state) {
  sky_context *ctx = *state;
  char hex[65];
  sky_sha256("abc", 3, hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  sky_sha256("", 0, hex);
  assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  char *million = malloc(1000000);
  assert_non_null(million);
  memset(million, 'a', 1000000);
  assert_int_equal(sky_file_write_text(ctx, "million", million, 1000000), SKY_OK);
  free(million);
  assert_int_equal(sky_file_sha256(ctx, "million", hex), SKY_OK);
  assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  assert_fails(ctx, sky_file_sha256(ctx, "none", hex), SKY_E_MISSING, "none");
}

static void test_embedded(void **state) {
  sky_context *ctx = *state;
  size_t length, file_length;
  char *text;
  const char *embedded = sky_embedded("species.csv", &length);
  assert_non_null(embedded);
  assert_int_equal(
      sky_file_read_text(ctx, SKYFLUX_SOURCE "/ancillary/species.csv", &text, &file_length),
      SKY_OK);
  assert_int_equal(length, file_length);
  assert_memory_equal(embedded, text, length + 1); /* with its NUL */
  sky_free(text);
  assert_null(sky_embedded("none.csv", &length));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_part_names),
      SKY_UNIT(test_write_and_read),
      SKY_UNIT(test_disk_full),
      SKY_UNIT(test_commit_needs_the_part),
      SKY_UNIT(test_discard_and_sweep),
      SKY_UNIT(test_glob),
      SKY_UNIT(test_sha256),
      SKY_UNIT(test_embedded),
  };
  return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
