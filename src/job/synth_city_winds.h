/* synth_city_winds.h: the weather over the invented city, as ERA5 gives it. */
#ifndef SKY_JOB_SYNTH_CITY_WINDS_H
#define SKY_JOB_SYNTH_CITY_WINDS_H

#include "skyflux/context.h"

typedef enum sky_city_gas {
  SKY_CITY_CO2 = 0,
  SKY_CITY_CH4,
  SKY_CITY_N2O,
  SKY_CITY_GASES
} sky_city_gas;

/* The days of observation, in order of time; those of N2O stand together. No two gases share a day,
 * so that a sounding can only match a footprint that was made for it. */
typedef struct sky_city_day {
  int month, day; /* of 2023 */
  sky_city_gas gas;
  double hour;  /* UTC, of the overpass */
  double from;  /* degrees clockwise from north, wind at 100 m around noon */
  double speed; /* m s-1 */
} sky_city_day;
enum { SKY_CITY_DAYS = 15, SKY_CITY_N2O_DAYS = 3, SKY_CITY_YEAR = 2023 };
extern const sky_city_day sky_city_days[SKY_CITY_DAYS];
double sky_city_midnight(size_t day); /* s since 1970 */

typedef struct sky_city_winds sky_city_winds;
typedef struct sky_city_weather { /* at a place and time, interpolated */
  double u, v;                    /* m s-1, wind at 100 m */
  double depth;                   /* m, boundary layer */
} sky_city_weather;

SKY_NODISCARD sky_status sky_city_winds_create(sky_context *ctx, sky_city_winds **out);
void sky_city_winds_free(sky_city_winds *w);
/* Linear in time, bilinear in space; time inside one of the days. */
sky_city_weather sky_city_winds_at(const sky_city_winds *w, double time, double lon, double lat);
/* Hourly fields of the days on 0.25 degree. */
SKY_NODISCARD sky_status sky_city_winds_write(sky_context *ctx, const sky_city_winds *w,
                                              const char *path);
#endif
