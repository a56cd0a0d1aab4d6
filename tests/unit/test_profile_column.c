/* Column and kernel of a retrieved profile: hand values, gravity of WGS 84, and a kernel given as a
 * matrix. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "algorithms/column/profile_column.h"

enum { N = 4 };
static const double P[N] = {100000, 60000, 20000, 1000}, Z[N] = {0, 0, 0, 0};
static const double DRY[N] = {0, 0, 0, 0}, C[N] = {340e-9, 330e-9, 320e-9, 100e-9};
static const double CA[N] = {330e-9, 330e-9, 325e-9, 110e-9};

/* NIMA TR8350.2, table 3.4 (equator and pole); the free-air gradient of 3.086e-6 s-2. */
static void test_gravity(void **state) {
  (void)state;
  assert_true(fabs(sky_gravity(0, 0) - 9.7803253359) < 1e-12);
  assert_true(fabs(sky_gravity(90, 0) - 9.8321849378) < 1e-8);
  assert_true(sky_gravity(-35, 0) == sky_gravity(35, 0));
  assert_true(fabs((sky_gravity(45, 0) - sky_gravity(45, 1000)) / 1000 - 3.08e-6) < 0.01e-6);
}

/* Same gravity and no water: half gaps of pressure: 20, 40, 29.5, 9.5 of 99 (hPa/10). */
static void test_weights(void **state) {
  (void)state;
  const sky_profile p = {
      .n = N, .pressure = P, .altitude = Z, .water = DRY, .retrieved = C, .prior = CA};
  const double want[N] = {20. / 99, 40. / 99, 29.5 / 99, 9.5 / 99};
  double w[N], x, column = 0;
  assert_true(sky_profile_weights(&p, w, &x));
  for (int k = 0; k < N; ++k) {
    assert_true(fabs(w[k] - want[k]) < 1e-15);
    column += want[k] * C[k];
  }
  assert_true(fabs(x - column) < 1e-21);
}

/* Wet air holds less dry air; from the top it is the same air. */
static void test_water_and_order(void **state) {
  (void)state;
  const double wet[N] = {0.02, 0.004, 0, 0}, z[N] = {0, 4000, 12000, 30000};
  double w[N], v[N], x, y, up[5][N];
  sky_profile p = {
      .n = N, .pressure = P, .altitude = z, .water = wet, .retrieved = C, .latitude = 40};
  assert_true(sky_profile_weights(&p, w, &x));
  const double gap[3] = {40000 / (sky_gravity(40, 2000) * (0.0289652 + 0.012 * 0.01801528)),
                         40000 / (sky_gravity(40, 8000) * (0.0289652 + 0.002 * 0.01801528)),
                         19000 / (sky_gravity(40, 21000) * 0.0289652)};
  assert_true(fabs(w[0] - 0.5 * gap[0] / (gap[0] + gap[1] + gap[2])) < 1e-15);
  for (int k = 0; k < N; ++k) {
    up[0][k] = P[N - 1 - k];
    up[1][k] = z[N - 1 - k];
    up[2][k] = wet[N - 1 - k];
    up[3][k] = C[N - 1 - k];
  }
  p.pressure = up[0];
  p.altitude = up[1];
  p.water = up[2];
  p.retrieved = up[3];
  assert_true(sky_profile_weights(&p, v, &y));
  for (int k = 0; k < N; ++k)
    assert_true(fabs(v[k] - w[N - 1 - k]) < 1e-15);
  assert_true(fabs(x - y) < 1e-21);
}

/* A = 1 (every level its own vector) is a kernel of 1. Then A = s l r' by hand. */
static void test_kernel(void **state) {
  (void)state;
  const double one[N] = {1, 1, 1, 1};
  const double unit[N * 5] = {1, 0, 0, 0, 9, 0, 1, 0, 0, 9, 0, 0, 1, 0, 9, 0, 0, 0, 1, 9};
  sky_profile p = {.n = N,
                   .rank = N,
                   .stride = 5,
                   .pressure = P,
                   .altitude = Z,
                   .water = DRY,
                   .retrieved = C,
                   .prior = CA,
                   .value = one,
                   .left = unit,
                   .right = unit};
  double w[N], ak[N], x, xa;
  assert_true(sky_profile_weights(&p, w, &x) && sky_profile_kernel(&p, w, &xa, ak));
  double column = 0;
  for (int k = 0; k < N; ++k) {
    assert_true(fabs(ak[k] - 1) < 1e-15);
    column += w[k] * CA[k];
  }
  assert_true(fabs(xa - column) < 1e-21);
  const double s[1] = {0.5}, l[N] = {0.1, 0.4, 0.3, 0.2}, r[N] = {0.6, 0.2, 0.1, 0};
  p.rank = 1;
  p.stride = N;
  p.value = s;
  p.left = l;
  p.right = r;
  assert_true(sky_profile_kernel(&p, w, &xa, ak));
  for (int j = 0; j < N; ++j) {
    double sum = 0;
    for (int i = 0; i < N; ++i)
      sum += w[i] * CA[i] * (0.5 * l[i] * r[j]);
    assert_true(fabs(ak[j] - sum / (w[j] * CA[j])) < 1e-15);
  }
}

static void test_refusals(void **state) {
  (void)state;
  const double bent[N] = {100000, 60000, 70000, 1000}, hole[N] = {340e-9, NAN, 320e-9, 1e-9};
  double w[N], x;
  sky_profile p = {.n = N, .pressure = bent, .altitude = Z, .water = DRY, .retrieved = C};
  assert_false(sky_profile_weights(&p, w, &x));
  assert_true(isnan(x));
  p.pressure = P;
  p.retrieved = hole;
  assert_false(sky_profile_weights(&p, w, &x));
  p.retrieved = C;
  p.n = 1;
  assert_false(sky_profile_weights(&p, w, &x));
  p.n = N;
  p.prior = hole;
  assert_true(sky_profile_weights(&p, w, &x));
  assert_false(sky_profile_kernel(&p, w, &x, w));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gravity), cmocka_unit_test(test_weights),
                                     cmocka_unit_test(test_water_and_order),
                                     cmocka_unit_test(test_kernel),
                                     cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
