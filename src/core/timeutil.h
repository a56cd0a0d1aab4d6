/* timeutil.h: time as seconds since 1970-01-01 UTC (double, no leap seconds). */
#ifndef SKY_CORE_TIMEUTIL_H
#define SKY_CORE_TIMEUTIL_H

#include "skyflux/context.h"

/* "2023-04-02", "2023-04-02T15:09:00Z", "2018-05-02 06:28:01.123", "2013-01-01 00:00:00Z",
 * "2025-5-1" (no zero padding); local offsets "+08:00" are applied. */
SKY_NODISCARD sky_status sky_time_parse(sky_context *ctx, const char *text, double *seconds);

/* CF units "hours since 2018-05-05 00:00:00 GMT" -> seconds per unit and the epoch. Calendars other
 * than standard/gregorian/proleptic_gregorian are refused by the caller. */
SKY_NODISCARD sky_status sky_time_cf(sky_context *ctx, const char *units, double *seconds_per_unit,
                                     double *epoch);

/* ISO 8601 "YYYY-MM-DDThh:mm:ssZ" (seconds rounded); out holds at least 24 bytes. "" for NaN. */
void sky_time_format(double seconds, char *out, size_t size);

/* Civil date <-> days since 1970-01-01 (proleptic Gregorian). */
int64_t sky_days_from_civil(int year, int month, int day);
void sky_civil_from_days(int64_t days, int *year, int *month, int *day);

#endif
