/* Places along a ground track: a made satellite on a great circle, swaths, stations, no track. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "algorithms/column/ground_track.h"

#define DEGREE 0.0174532925199432958
#define RADIUS 6371008.8

enum { SCANS = 40, ACROSS = 7, N = SCANS * ACROSS };

/* Scan k is k*step m along a great circle through (lon, lat) with a heading (degrees from north);
 * pixels lie across it, on both sides. One after another by rotations of vectors. */
static void fly(double lon, double lat, double heading, double step, double *lons, double *lats,
                double *times) {
  const double a = lon * DEGREE, b = lat * DEGREE, h = heading * DEGREE;
  const double c[3] = {cos(b) * cos(a), cos(b) * sin(a), sin(b)};
  const double east[3] = {-sin(a), cos(a), 0};
  const double north[3] = {-sin(b) * cos(a), -sin(b) * sin(a), cos(b)};
  for (int i = 0; i < N; i++) {
    const double along = step * (i / ACROSS) / RADIUS, across = 7e3 * (i % ACROSS - 3) / RADIUS;
    double p[3];
    for (int k = 0; k < 3; k++) {
      const double ahead = cos(h) * north[k] + sin(h) * east[k];
      const double right = cos(h) * east[k] - sin(h) * north[k];
      p[k] = cos(across) * (cos(along) * c[k] + sin(along) * ahead) + sin(across) * right;
    }
    lons[i] = atan2(p[1], p[0]) / DEGREE;
    lats[i] = atan2(p[2], hypot(p[0], p[1])) / DEGREE;
    times[i] = 1.7e9 + 0.84 * (i / ACROSS);
  }
}

static void test_swath(void **state) {
  (void)state;
  /* heading north-west, over the antimeridian, near the pole, and down */
  const double from[][3] = {{116, 39, -12}, {179.5, -40, 60}, {30, 88.9, 5}, {-70, 0, 193}};
  double lon[N], lat[N], time[N], along[N];
  for (size_t k = 0; k < 4; k++) {
    fly(from[k][0], from[k][1], from[k][2], 6e3, lon, lat, time);
    assert_true(sky_ground_track(N, lon, lat, time, along));
    for (int i = 0; i < N; i++) {
      const double gap = along[i] - along[0], want = 6e3 * (i / ACROSS);
      if (fabs(gap - want) > 1e-2 + 1e-6 * want) fail_msg("%zu %d: %g, not %g", k, i, gap, want);
    }
  }
}

static void test_order_and_scale_of_time(void **state) {
  (void)state;
  double lon[N], lat[N], time[N], along[N], other[N], back[N];
  fly(10, 50, -15, 6e3, lon, lat, time);
  assert_true(sky_ground_track(N, lon, lat, time, along));
  for (int i = 0; i < N; i++)
    back[i] = -time[i];
  assert_true(sky_ground_track(N, lon, lat, back, other));
  for (int i = 0; i < N; i++)
    assert_true(fabs(along[i] + other[i]) < 1e-2);
  /* shuffled: the same place for the same observation */
  for (int i = 0; i < N; i++) {
    const int k = i * 37 % N;
    back[i] = time[k];
    other[i] = lon[k];
  }
  double lats[N], there[N];
  for (int i = 0; i < N; i++)
    lats[i] = lat[i * 37 % N];
  assert_true(sky_ground_track(N, other, lats, back, there));
  for (int i = 0; i < N; i++)
    assert_true(fabs(there[i] - along[i * 37 % N]) < 1e-2);
}

static void test_no_track(void **state) {
  (void)state;
  double lon[N], lat[N], time[N], along[N];
  fly(10, 50, -15, 6e3, lon, lat, time);
  for (int i = 0; i < N; i++)
    time[i] = 5;
  assert_false(sky_ground_track(N, lon, lat, time, along)); /* a snapshot */
  for (int i = 0; i < N; i++) {
    lon[i] = 8.44;
    lat[i] = 49.1;
    time[i] = i;
  }
  assert_true(sky_ground_track(N, lon, lat, time, along)); /* a station */
  for (int i = 0; i < N; i++)
    assert_true(along[i] == 0);
  assert_true(sky_ground_track(1, lon, lat, time, along) && along[0] == 0);
}

static void test_mean_place(void **state) {
  (void)state;
  const double lon[] = {179.8, -179.6}, lat[] = {20, 20};
  double x, y;
  sky_mean_place(2, lon, lat, &x, &y);
  assert_true(fabs(x + 179.9) < 1e-9 && fabs(y - 20) < 1e-3 && y > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_swath), cmocka_unit_test(test_order_and_scale_of_time),
      cmocka_unit_test(test_no_track), cmocka_unit_test(test_mean_place)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
