/* Memory: alignment, overflow, growth, fault injection. */
#include "src/core/memory.h"
#include "tests/support/sky_cmocka.h"

static void test_alignment(void **state) {
  sky_context *ctx = *state;
  for (size_t n = 0; n < 200; n += 13) {
    char *p = SKY_NEW(ctx, char, n);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    memset(p, 1, n);
    sky_free(p);
  }
  double *z = SKY_NEW0(ctx, double, 100);
  for (size_t i = 0; i < 100; i++)
    assert_true(z[i] == 0.0);
  sky_free(z);
  sky_free(NULL);
}

static void test_overflow(void **state) {
  sky_context *ctx = *state;
  assert_null(sky_malloc(ctx, SIZE_MAX, 8));
  assert_non_null(strstr(sky_error(ctx), "18446744073709551615 items of 8 bytes"));
  assert_null(sky_malloc(ctx, (size_t)1 << 33, (size_t)1 << 33));
  assert_null(sky_calloc(ctx, SIZE_MAX - 3, 1));
  assert_null(sky_malloc(ctx, PTRDIFF_MAX, 1));
  assert_null(sky_realloc(ctx, NULL, 0, SIZE_MAX / 2, 4));
}

static void test_growth(void **state) {
  sky_context *ctx = *state;
  int *p = SKY_NEW(ctx, int, 3);
  for (int i = 0; i < 3; i++)
    p[i] = i;
  p = sky_realloc(ctx, p, 3, 1000, sizeof *p);
  assert_int_equal((uintptr_t)p % 64, 0);
  for (int i = 0; i < 3; i++)
    assert_int_equal(p[i], i);
  p = sky_realloc(ctx, p, 1000, 2, sizeof *p);
  assert_int_equal(p[1], 1);
  sky_memory_fail_at(ctx, 1);
  assert_null(sky_realloc(ctx, p, 2, 5000, sizeof *p));
  assert_int_equal(p[1], 1); /* untouched */
  sky_free(p);
}

static void test_nth_allocation_fails(void **state) {
  sky_context *ctx = *state;
  const uint64_t before = sky_memory_count(ctx);
  sky_memory_fail_at(ctx, 3);
  void *a = sky_malloc(ctx, 1, 1);
  char *b = sky_strdup(ctx, "text");
  assert_non_null(a);
  assert_string_equal(b, "text");
  assert_null(sky_sprintf(ctx, "%d", 1));
  assert_non_null(strstr(sky_error(ctx), "out of memory"));
  char *c = sky_sprintf(ctx, "%s-%03d", "a", 7); /* only the n-th fails */
  assert_string_equal(c, "a-007");
  assert_int_equal(sky_memory_count(ctx) - before, 4);
  sky_memory_fail_at(ctx, 1);
  sky_memory_fail_at(ctx, 0);
  void *d = sky_malloc(ctx, 1, 1);
  assert_non_null(d);
  sky_free(a);
  sky_free(b);
  sky_free(c);
  sky_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_alignment),
      SKY_UNIT(test_overflow),
      SKY_UNIT(test_growth),
      SKY_UNIT(test_nth_allocation_fails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
