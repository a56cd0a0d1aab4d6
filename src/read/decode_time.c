/* decode_time.c: time of every row, s since 1970-01-01 UTC, by the product's rule. */
#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/timeutil.h"
#include "src/read/decode.h"

static sky_status time_from_text(decoder *d, double *time) {
  size_t count = 0;
  char **text = NULL;
  SKY_TRY(sky_nc_read_strings(d->ctx, d->f, d->path[SKY_ROLE_TIME], &count, &text));
  sky_status st = count == d->n ? SKY_OK : decode_wrong_count(d, SKY_ROLE_TIME, count, d->n);
  for (size_t i = 0; i < d->n && st == SKY_OK; ++i) {
    if (text[i][0] == '\0' || sky_time_parse(d->ctx, text[i], &time[i]) != SKY_OK) time[i] = NAN;
  }
  if (st == SKY_OK) sky_error_clear(d->ctx);
  sky_file_list_free(text, count);
  return st;
}

/* One reference plus an offset per row or per scanline (the leading dimensions of a row). */
static sky_status time_from_offset(decoder *d, const double *reference, size_t n_reference,
                                   double *time) {
  sky_nc_var info;
  double *delta = NULL;
  if (n_reference != 1) return decode_wrong_count(d, SKY_ROLE_TIME, n_reference, 1);
  SKY_TRY(decode_read(d, SKY_ROLE_DELTA_TIME, &info, &delta));
  sky_status st = SKY_OK;
  if (info.count == 0 ? d->n > 0 : d->n % info.count != 0) {
    st = decode_wrong_count(d, SKY_ROLE_DELTA_TIME, info.count, d->n);
  } else if (d->n > 0) {
    const size_t pixels = d->n / info.count;
    for (size_t i = 0; i < d->n; ++i)
      time[i] = reference[0] + delta[i / pixels];
  }
  sky_free(delta);
  return st;
}

static sky_status time_from_cf(decoder *d, double *time) {
  size_t count = 0;
  double *read = NULL;
  SKY_TRY(sky_nc_read_time(d->ctx, d->f, d->path[SKY_ROLE_TIME], &count, &read));
  sky_status st = SKY_OK;
  if (d->r->time == SKY_TIME_REFERENCE_DELTA) {
    st = time_from_offset(d, read, count, time);
  } else if (count != d->n) {
    st = decode_wrong_count(d, SKY_ROLE_TIME, count, d->n);
  } else if (count > 0) {
    memcpy(time, read, count * sizeof *time);
  }
  sky_free(read);
  return st;
}

/* A date that is none (month 13, a fraction of a day in `day`) is missing. */
static double civil_time(double year, double month, double day, double hour) {
  if (!(year >= 1900 && year <= 2200 && month >= 1 && month <= 12 && day >= 1 && day <= 31) ||
      floor(year) != year || floor(month) != month || floor(day) != day || !isfinite(hour)) {
    return NAN;
  }
  return (double)sky_days_from_civil((int)year, (int)month, (int)day) * 86400.0 + hour * 3600.0;
}

static sky_status time_from_parts(decoder *d, double *time) {
  double *part[4] = {NULL, NULL, NULL, NULL};
  sky_status st = SKY_OK;
  for (int k = 0; k < 4; ++k)
    SKY_GO(decode_read_rows(d, (sky_role)(SKY_ROLE_YEAR + k), &part[k]));
  for (size_t i = 0; i < d->n; ++i)
    time[i] = civil_time(part[0][i], part[1][i], part[2][i], part[3][i]);
cleanup:
  for (int k = 0; k < 4; ++k)
    sky_free(part[k]);
  return st;
}

sky_status decode_times(decoder *d, double **out) {
  double *time = SKY_NEW(d->ctx, double, d->n);
  if (time == NULL) return SKY_E_NOMEM;
  const sky_status st = d->r->time == SKY_TIME_ISO     ? time_from_text(d, time)
                        : d->r->time == SKY_TIME_PARTS ? time_from_parts(d, time)
                                                       : time_from_cf(d, time);
  if (st != SKY_OK) {
    sky_free(time);
    time = NULL;
  }
  *out = time;
  return st;
}
