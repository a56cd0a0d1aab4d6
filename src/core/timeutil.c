/* timeutil.c: UTC time as seconds since 1970-01-01, without leap seconds.
 *
 * Civil dates follow Hinnant, "chrono-compatible low-level date algorithms": a year starts in
 * March, so the leap day is its last day; 400 years have 146097 days. */
#include "src/core/timeutil.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int64_t sky_days_from_civil(int year, int month, int day) {
  const int64_t y = (int64_t)year - (month <= 2);
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t yoe = y - era * 400;
  const int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

void sky_civil_from_days(int64_t days, int *year, int *month, int *day) {
  const int64_t z = days + 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const int64_t doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  *day = (int)(doy - (153 * mp + 2) / 5 + 1);
  *month = (int)(mp < 10 ? mp + 3 : mp - 9);
  *year = (int)(yoe + era * 400 + (*month <= 2));
}

static int month_days(int year, int month) {
  static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : DAYS[month - 1];
}

/* Unsigned integer of min..max digits; false leaves *p. */
static bool digits(const char **p, int min, int max, int *out) {
  int n = 0, value = 0;
  while (n < max && isdigit((unsigned char)(*p)[n]))
    value = value * 10 + ((*p)[n++] - '0');
  if (n < min || isdigit((unsigned char)(*p)[n])) return false;
  *p += n;
  *out = value;
  return true;
}

static bool character(const char **p, const char *set) {
  if (**p == '\0' || strchr(set, **p) == NULL) return false;
  (*p)++;
  return true;
}

/* "hh:mm[:ss[.fff]]" in seconds; second 60 (a leap second) is the next minute's 0. */
static bool clock_time(const char **p, double *seconds) {
  int h, m, s = 0;
  if (!digits(p, 1, 2, &h) || !character(p, ":") || !digits(p, 1, 2, &m)) return false;
  double fraction = 0;
  if (character(p, ":")) {
    if (!digits(p, 1, 2, &s)) return false;
    if (character(p, ".")) {
      double scale = 0.1;
      if (!isdigit((unsigned char)**p)) return false;
      for (; isdigit((unsigned char)**p); (*p)++, scale *= 0.1)
        fraction += scale * (**p - '0');
    }
  }
  if (h > 24 || m > 59 || s > 60 || (h == 24 && (m > 0 || s > 0 || fraction > 0))) return false;
  *seconds = 3600.0 * h + 60.0 * m + s + fraction;
  return true;
}

/* "", "Z", "UTC", "GMT", "+hh", "+hhmm", "+hh:mm": seconds that local time is ahead of UTC. */
static bool zone(const char **p, double *ahead) {
  *ahead = 0;
  if (strncasecmp(*p, "utc", 3) == 0 || strncasecmp(*p, "gmt", 3) == 0) {
    *p += 3;
    return true;
  }
  if (character(p, "Zz")) return true;
  const char sign = **p;
  if (!character(p, "+-")) return true;
  int n = 0, h, m = 0;
  while (isdigit((unsigned char)(*p)[n]))
    n++;
  if (n == 4) {
    h = ((*p)[0] - '0') * 10 + ((*p)[1] - '0');
    m = ((*p)[2] - '0') * 10 + ((*p)[3] - '0');
    *p += 4;
  } else {
    if (!digits(p, 1, 2, &h)) return false;
    if (character(p, ":") && !digits(p, 2, 2, &m)) return false;
  }
  if (h > 14 || m > 59) return false;
  *ahead = (sign == '-' ? -1 : 1) * (3600.0 * h + 60.0 * m);
  return true;
}

static bool parse(const char *text, double *seconds) {
  const char *p = text;
  while (isspace((unsigned char)*p))
    p++;
  int year, month, day;
  if (!digits(&p, 4, 4, &year) || !character(&p, "-") || !digits(&p, 1, 2, &month) ||
      !character(&p, "-") || !digits(&p, 1, 2, &day)) {
    return false;
  }
  if (month < 1 || month > 12 || day < 1 || day > month_days(year, month)) return false;
  double time = 0, ahead = 0;
  if (*p == 'T' || *p == 't' || *p == ' ') {
    p++;
    while (*p == ' ')
      p++;
    if (isdigit((unsigned char)*p) && !clock_time(&p, &time)) return false;
    while (*p == ' ')
      p++;
  }
  if (!zone(&p, &ahead)) return false;
  while (isspace((unsigned char)*p))
    p++;
  if (*p != '\0') return false;
  *seconds = 86400.0 * (double)sky_days_from_civil(year, month, day) + time - ahead;
  return true;
}

sky_status sky_time_parse(sky_context *ctx, const char *text, double *seconds) {
  if (parse(text, seconds)) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE,
                  "'%s' is not a time (expected e.g. '2023-04-02' or '2023-04-02T15:09:00Z')",
                  text);
}

sky_status sky_time_cf(sky_context *ctx, const char *units, double *seconds_per_unit,
                       double *epoch) {
  static const struct {
    const char *name;
    double seconds;
  } UNIT[] = {{"s", 1},
              {"sec", 1},
              {"secs", 1},
              {"second", 1},
              {"seconds", 1},
              {"min", 60},
              {"mins", 60},
              {"minute", 60},
              {"minutes", 60},
              {"h", 3600},
              {"hr", 3600},
              {"hrs", 3600},
              {"hour", 3600},
              {"hours", 3600},
              {"d", 86400},
              {"day", 86400},
              {"days", 86400},
              {"ms", 1e-3},
              {"msec", 1e-3},
              {"millisecond", 1e-3},
              {"milliseconds", 1e-3},
              {"us", 1e-6},
              {"microsecond", 1e-6},
              {"microseconds", 1e-6},
              {"ns", 1e-9},
              {"nanosecond", 1e-9},
              {"nanoseconds", 1e-9}};
  const char *p = units;
  while (isspace((unsigned char)*p))
    p++;
  const size_t n = strcspn(p, " \t");
  const char *since = p + n + strspn(p + n, " \t");
  if (strncasecmp(since, "since", 5) == 0 && isspace((unsigned char)since[5])) {
    for (size_t i = 0; i < sizeof UNIT / sizeof *UNIT; i++) {
      if (strlen(UNIT[i].name) != n || strncasecmp(p, UNIT[i].name, n) != 0) continue;
      if (!parse(since + 5, epoch)) break;
      *seconds_per_unit = UNIT[i].seconds;
      return SKY_OK;
    }
  }
  return sky_fail(ctx, SKY_E_UNITS,
                  "'%s' is not a time unit (expected e.g. 'hours since 2018-05-05 00:00:00')",
                  units);
}

void sky_time_format(double seconds, char *out, size_t size) {
  const double limit = 86400.0 * 366 * 9000; /* four-digit years */
  if (size > 0) out[0] = '\0';
  if (!(fabs(seconds) < limit)) return;
  const int64_t t = (int64_t)floor(seconds + 0.5);
  const int64_t days = (t >= 0 ? t : t - 86399) / 86400;
  const int s = (int)(t - days * 86400);
  int year, month, day;
  sky_civil_from_days(days, &year, &month, &day);
  snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, day, s / 3600, s / 60 % 60,
           s % 60);
}
