/* Time: the spellings of real files, round trips, calendars. */
#include <math.h>

#include "src/core/timeutil.h"
#include "tests/support/sky_cmocka.h"

static void test_parse(void **state) {
  sky_context *ctx = *state;
  static const struct {
    const char *text;
    double seconds;
  } CASE[] = {
      {"1970-01-01", 0},
      {"2023-04-02", 1680393600},
      {"2023-04-02T15:09:00Z", 1680448140},
      {"2018-05-02 06:28:01.123", 1525242481.123},
      {"2013-01-01 00:00:00Z", 1356998400},
      {"2010-01-01 00:00:00", 1262304000},
      {"2025-5-1", 1746057600},
      {"2025-5-1 6:5:4", 1746057600 + 6 * 3600 + 5 * 60 + 4},
      {"2018-05-05 00:00:00 GMT", 1525478400},
      {"1970-01-01 00:00:00 UTC", 0},
      {"2020-01-01T08:00:00+08:00", 1577836800},
      {"2019-12-31 19:00:00-0500", 1577836800},
      {"2020-01-01 00:00:00+00", 1577836800},
      {"2020-01-01T00:00", 1577836800},
      {"2000-02-29", 951782400},
      {"1969-12-31T23:59:59Z", -1},
      {"2016-12-31T23:59:60Z", 1483228800}, /* leap second = the next minute */
      {"2016-12-31T24:00:00Z", 1483228800},
      {" 2023-04-02 ", 1680393600},
  };
  for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
    double t = NAN;
    if (sky_time_parse(ctx, CASE[i].text, &t) != SKY_OK) fail_msg("%s", sky_error(ctx));
    if (!(fabs(t - CASE[i].seconds) < 1e-6)) fail_msg("%s: %.6f", CASE[i].text, t);
  }
}

static void test_parse_refuses(void **state) {
  sky_context *ctx = *state;
  static const char *const BAD[] = {
      "",
      "2023",
      "2023-13-01",
      "2023-02-29",
      "1900-02-29",
      "2023-04-31",
      "2023-00-10",
      "2023-04-02T25:00",
      "2023-04-02T24:00:01",
      "2023-04-02T12:60",
      "2023-04-02 12:00 noon",
      "20230402",
      "02-04-2023",
      "2023-04-02T12",
      "2023-04-02T12:00:00.",
      "2023-04-02+99:00",
      "now",
      "2023-04-023",
      "-2023-04-02",
      "2023-04-02T12:00:00+8:5",
  };
  for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
    double t;
    if (sky_time_parse(ctx, BAD[i], &t) == SKY_OK) fail_msg("'%s' was taken as %.0f", BAD[i], t);
    assert_non_null(strstr(sky_error(ctx), "is not a time"));
  }
}

static void test_cf(void **state) {
  sky_context *ctx = *state;
  static const struct {
    const char *units;
    double unit, epoch;
  } CASE[] = {
      {"hours since 2018-05-05 00:00:00 GMT", 3600, 1525478400},
      {"seconds since 1970-01-01 00:00:00", 1, 0},
      {"days since 2013-01-01 00:00:00Z", 86400, 1356998400},
      {"hours since 2025-5-1", 3600, 1746057600},
      {"minutes since 2010-01-01", 60, 1262304000},
      {"milliseconds since 2018-05-05 00:00:00", 1e-3, 1525478400},
      {"Days Since 2013-01-01T00:00:00", 86400, 1356998400},
  };
  for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
    double unit, epoch;
    if (sky_time_cf(ctx, CASE[i].units, &unit, &epoch) != SKY_OK) fail_msg("%s", sky_error(ctx));
    assert_true(unit == CASE[i].unit);
    assert_true(epoch == CASE[i].epoch);
  }
  static const char *const BAD[] = {"months since 2013-01-01", "hours",      "hours since",     "",
                                    "hours since yesterday",   "2013-01-01", "hours 2013-01-01"};
  for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
    double unit, epoch;
    assert_fails(ctx, sky_time_cf(ctx, BAD[i], &unit, &epoch), SKY_E_UNITS, "is not a time unit");
  }
}

static void test_round_trip(void **state) {
  sky_context *ctx = *state;
  int64_t expect = sky_days_from_civil(1599, 12, 31);
  for (int64_t days = expect; days < 200000; days += 1) { /* every day of 1599 to 2517 */
    int y, m, d;
    sky_civil_from_days(days, &y, &m, &d);
    if (sky_days_from_civil(y, m, d) != days) fail_msg("%d-%d-%d", y, m, d);
  }
  char text[24];
  for (double t = -5e9; t < 9e9; t += 12345678) {
    double back;
    sky_time_format(t, text, sizeof text);
    assert_int_equal(sky_time_parse(ctx, text, &back), SKY_OK);
    assert_true(back == t);
  }
  sky_time_format(NAN, text, sizeof text);
  assert_string_equal(text, "");
  sky_time_format(INFINITY, text, sizeof text);
  assert_string_equal(text, "");
  sky_time_format(1680448139.6, text, sizeof text);
  assert_string_equal(text, "2023-04-02T15:09:00Z");
  sky_time_format(-0.6, text, sizeof text);
  assert_string_equal(text, "1969-12-31T23:59:59Z");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_parse),
      SKY_UNIT(test_parse_refuses),
      SKY_UNIT(test_cf),
      SKY_UNIT(test_round_trip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
