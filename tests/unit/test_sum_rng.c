/* Deterministic sums and counter-based random numbers. */
#include <math.h>

#include "src/core/rng.h"
#include "src/core/sum.h"
#include "tests/support/sky_cmocka.h"

static void test_sum_ill_conditioned(void **state) {
  (void)state;
  const double x[] = {1.0, 1e100, 1.0, -1e100};
  assert_true(x[0] + x[1] + x[2] + x[3] == 0.0); /* what a plain sum makes of it */
  assert_true(sky_sum(x, 4) == 2.0);
  /* Across block boundaries. */
  const size_t n = 3 * SKY_SUM_BLOCK + 5;
  double *y = calloc(n, sizeof *y);
  assert_non_null(y);
  for (size_t i = 0; i < n; i++)
    y[i] = 1.0;
  y[0] = 1e17;
  y[n - 1] = -1e17;
  assert_true(sky_sum(y, n) == (double)(n - 2));
  y[SKY_SUM_BLOCK + 1] = NAN;
  assert_true(isnan(sky_sum(y, n)));
  free(y);
  assert_true(sky_sum(NULL, 0) == 0.0);
}

static void test_dot(void **state) {
  (void)state;
  const double x[] = {1e10, 3.0, 1e10}, y[] = {1e10, 0.5, -1e10};
  assert_true(sky_dot(x, y, 3) == 1.5);
}

/* kat_vectors of Random123: philox4x32, 10 rounds. */
static void test_philox_known_answers(void **state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } KAT[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t k = 0; k < sizeof KAT / sizeof *KAT; k++) {
    uint32_t out[4];
    sky_rng_philox4x32(KAT[k].counter, KAT[k].key, out);
    assert_memory_equal(out, KAT[k].out, sizeof out);
  }
}

static void test_distributions(void **state) {
  (void)state;
  enum { N = 200000 };
  double mean = 0, square = 0, normal = 0, variance = 0, lag = 0, last = 0;
  for (uint64_t i = 0; i < N; i++) {
    const double u = sky_rng_uniform(7, 3, i), z = sky_rng_normal(7, 4, i);
    assert_true(u > 0 && u < 1);
    mean += u / N;
    square += u * u / N;
    normal += z / N;
    variance += z * z / N;
    lag += z * last / N;
    last = z;
  }
  /* Five standard errors each. */
  assert_true(fabs(mean - 0.5) < 5 * sqrt(1.0 / 12 / N));
  assert_true(fabs(square - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N));
  assert_true(fabs(normal) < 5 * sqrt(1.0 / N));
  assert_true(fabs(variance - 1) < 5 * sqrt(2.0 / N));
  assert_true(fabs(lag) < 5 * sqrt(1.0 / N));
  assert_true(sky_rng_uniform(7, 3, 1) != sky_rng_uniform(8, 3, 1));
  assert_true(sky_rng_uniform(7, 3, 1) != sky_rng_uniform(7, 4, 1));
  assert_true(sky_rng_uniform(7, 3, 1) != sky_rng_uniform(7, 3, UINT64_C(1) << 32 | 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sum_ill_conditioned),
      cmocka_unit_test(test_dot),
      cmocka_unit_test(test_philox_known_answers),
      cmocka_unit_test(test_distributions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
