/* Longitudes have one spelling, whatever turn they come in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "grids/interval.h"
#include "grids/longitude.h"
#include "src/core/rng.h"

static void same_bits_in_every_turn(void **state) {
  (void)state;
  for (uint64_t i = 0; i < 1000000; i++) {
    const double lon = 360 * sky_rng_uniform(1, 1, i) - 180, to_360 = lon < 0 ? lon + 360 : lon;
    const double c = sky_longitude(lon);
    assert_true(c >= -180 && c < 180 && fabs(c - lon) <= 2.9e-13);
    assert_true(sky_longitude(lon + 360) == c);
    assert_true(sky_longitude(to_360) == c);
    assert_true(sky_longitude(c) == c && sky_longitude(c + 360) == c);
  }
}

/* Decimals and arc seconds keep the double that stands for them, read in any turn. */
static void decimals_stay(void **state) {
  (void)state;
  for (int64_t i = -179999999; i < 180000000; i += 7919) {
    const double lon = (double)i / 1e6, second = (double)(i / 100) / 3600 / 4;
    assert_true(sky_longitude(lon) == lon);
    for (int turn = -2; turn <= 1; turn++) {
      assert_true(sky_longitude((double)(i + (int64_t)turn * 360000000) / 1e6) == lon);
      assert_true(sky_longitude(second + 360 * turn) == sky_longitude(second));
    }
  }
  assert_true(sky_longitude(180) == -180 && sky_longitude(-180) == -180);
  assert_true(sky_longitude(nextafter(180, 0)) == -180); /* nearer than 25 nm */
  assert_true(isnan(sky_longitude(NAN)) && isnan(sky_longitude(INFINITY)));
}

static void order_stays(void **state) {
  (void)state;
  const double world[4] = {-180, 180, 180, -180}, across[3] = {178, 183, 181.5};
  double out[4];
  sky_longitudes(4, world, 0, out);
  assert_true(out[0] == -180 && out[1] == 180 && out[2] == 180 && out[3] == -180);
  sky_longitudes(3, across, sky_longitude(178), out);
  assert_true(out[0] == 178 && out[1] == 183 && out[2] == 181.5);
  sky_longitudes(3, across, -180, out);
  assert_true(out[0] == -182 && out[1] == -177 && out[2] == -178.5);
}

static void intervals(void **state) {
  (void)state;
  double even[101], uneven[101];
  for (size_t i = 0; i <= 100; i++) {
    even[i] = -3 + 0.1 * (double)i;
    uneven[i] = exp(0.1 * (double)i);
  }
  for (size_t i = 0; i <= 100; i++) {
    const size_t want = i < 100 ? i : 99;
    assert_int_equal(sky_interval(even, 100, even[i]), want);
    assert_int_equal(sky_interval(uneven, 100, uneven[i]), want);
    if (i == 0) continue;
    assert_int_equal(sky_interval(even, 100, nextafter(even[i], -9)), i - 1);
    assert_int_equal(sky_interval(uneven, 100, nextafter(uneven[i], -9)), i - 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits_in_every_turn),
                                     cmocka_unit_test(decimals_stay), cmocka_unit_test(order_stays),
                                     cmocka_unit_test(intervals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
