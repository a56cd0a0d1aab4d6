/* synth_city_winds.c: the winter monsoon over a coast in the subtropics, hour by hour.
 *
 * The wind of a day turns and freshens around its value at local noon, a sea breeze joins in the
 * afternoon, and over land it is weaker than over the sea. The wind at 10 m is that at 100 m by the
 * power law with an exponent of 1/7. */
#include "src/job/synth_city_winds.h"

#include <math.h>
#include <stdio.h>

#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/job/synth_files.h"

#define PI 3.14159265358979323846

const sky_city_day sky_city_days[SKY_CITY_DAYS] = {
    {10, 7, SKY_CITY_CO2, 5.4, 55, 4.0},    {10, 10, SKY_CITY_CH4, 5.75, 70, 3.6},
    {10, 17, SKY_CITY_CH4, 5.40, 25, 4.4},  {10, 21, SKY_CITY_CO2, 3.9, 125, 3.4},
    {10, 25, SKY_CITY_CH4, 5.95, 145, 3.2}, {11, 4, SKY_CITY_CO2, 6.6, 20, 4.6},
    {11, 8, SKY_CITY_CH4, 5.60, 350, 4.8},  {11, 11, SKY_CITY_N2O, 5.0, 52, 3.5},
    {11, 12, SKY_CITY_N2O, 5.0, 60, 3.2},   {11, 13, SKY_CITY_N2O, 5.0, 40, 4.0},
    {11, 16, SKY_CITY_CH4, 5.85, 95, 3.4},  {11, 22, SKY_CITY_CO2, 4.7, 85, 3.6},
    {11, 28, SKY_CITY_CH4, 5.50, 45, 4.2},  {12, 5, SKY_CITY_CH4, 5.70, 165, 3.0},
    {12, 10, SKY_CITY_CO2, 7.0, 335, 4.4}};

enum { NX = 4, NY = 4, CELLS = NX * NY, HOURS = 24 * SKY_CITY_DAYS };
static const double LON0 = 110.5, LAT0 = 22.0, STEP = 0.25; /* degrees; latitudes descend */
enum { U10, V10, U100, V100, BLH, SP, T2M, FIELDS };

struct sky_city_winds {
  double value[FIELDS][HOURS * CELLS];
};

double sky_city_midnight(size_t day) {
  return 86400.0 * (double)sky_days_from_civil(SKY_CITY_YEAR, sky_city_days[day].month,
                                               sky_city_days[day].day);
}

static void fill(sky_city_winds *w, size_t day, size_t hour, size_t cell) {
  const sky_city_day *d = &sky_city_days[day];
  const size_t k = (24 * day + hour) * CELLS + cell;
  const double lon = LON0 + STEP * (double)(cell % NX), lat = LAT0 - STEP * (double)(cell / NX);
  const double local = (double)hour + 7.4 - 12; /* hours from noon, the sun's time at 111 degrees */
  const double daily = cos(PI * local / 12);
  const double land = 1 / (1 + exp(-(lat - 21.45) / 0.1));
  const double speed = d->speed * (1 + 0.12 * (daily - 1)) * (1.1 - 0.1 * land);
  const double from = (d->from + 2.0 * local + 4 * (lon - 110.9)) * PI / 180;
  const double breeze =
      0.5 * fmax(0.0, cos(PI * (local - 3) / 12)); /* from the sea, in the south */
  const double shear = pow(0.1, 1.0 / 7);
  w->value[U100][k] = -speed * sin(from);
  w->value[V100][k] = -speed * cos(from) + breeze;
  w->value[U10][k] = shear * w->value[U100][k];
  w->value[V10][k] = shear * w->value[V100][k];
  w->value[BLH][k] = 250 + (900 * land + 350) * fmax(0.0, cos(PI * (local - 1) / 14));
  w->value[SP][k] = 101600 - 2500 * land * fmax(0.0, lat - 21.4) + 120 * cos(PI * local / 6);
  w->value[T2M][k] = 294 - 0.06 * (double)(30 * (d->month - 10) + d->day) + (2 + 3 * land) * daily;
}

sky_status sky_city_winds_create(sky_context *ctx, sky_city_winds **out) {
  *out = SKY_NEW(ctx, sky_city_winds, 1);
  if (*out == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < (size_t)HOURS * CELLS; k++)
    fill(*out, k / CELLS / 24, k / CELLS % 24, k % CELLS);
  return SKY_OK;
}

void sky_city_winds_free(sky_city_winds *w) {
  sky_free(w);
}

static double bilinear(const double *v, double x, double y) {
  const size_t i = x < NX - 1 ? (size_t)x : NX - 2, j = y < NY - 1 ? (size_t)y : NY - 2;
  const double a = x - (double)i, b = y - (double)j;
  const double *p = v + j * NX + i;
  return (1 - b) * ((1 - a) * p[0] + a * p[1]) + b * ((1 - a) * p[NX] + a * p[NX + 1]);
}

sky_city_weather sky_city_winds_at(const sky_city_winds *w, double time, double lon, double lat) {
  const double x = (lon - LON0) / STEP, y = (LAT0 - lat) / STEP;
  double out[FIELDS] = {0};
  for (size_t day = 0; day < SKY_CITY_DAYS; day++) {
    const double hour = (time - sky_city_midnight(day)) / 3600;
    if (hour < 0 || hour > 23) continue;
    const size_t h = hour < 23 ? (size_t)hour : 22;
    const double a = hour - (double)h;
    for (size_t f = 0; f < FIELDS; f++) {
      const double *v = w->value[f] + (24 * day + h) * CELLS;
      out[f] = (1 - a) * bilinear(v, x, y) + a * bilinear(v + CELLS, x, y);
    }
  }
  return (sky_city_weather){.u = out[U100], .v = out[V100], .depth = out[BLH]};
}

sky_status sky_city_winds_write(sky_context *ctx, const sky_city_winds *w, const char *path) {
  static const char *const NAME[FIELDS] = {"u10", "v10", "u100", "v100", "blh", "sp", "t2m"};
  double time[HOURS], lon[NX], lat[NY];
  char n_time[24], *version = NULL;
  sky_text t = {.ctx = ctx};
  for (size_t h = 0; h < HOURS; h++) {
    time[h] = sky_city_midnight(h / 24) + 3600.0 * (double)(h % 24);
    sky_text_put(&t, h > 0 ? ", \"0001\"" : "\"0001\"");
  }
  version = sky_text_take(&t);
  if (version == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < NX; i++)
    lon[i] = LON0 + STEP * (double)i;
  for (size_t i = 0; i < NY; i++)
    lat[i] = LAT0 - STEP * (double)i;
  (void)snprintf(n_time, sizeof n_time, "%d", HOURS);
  sky_synth_value values[FIELDS + 5] = {
      {.name = "hours", .text = n_time},
      {.name = "expver", .text = version},
      {.name = "valid_time", .number = time, .count = HOURS, .digits = 17},
      {.name = "longitude", .number = lon, .count = NX, .digits = 9},
      {.name = "latitude", .number = lat, .count = NY, .digits = 9}};
  for (size_t f = 0; f < FIELDS; f++) {
    values[5 + f] = (sky_synth_value){.name = NAME[f],
                                      .number = w->value[f],
                                      .count = (size_t)HOURS * CELLS,
                                      .digits = f < BLH   ? 5
                                                : f == SP ? 7
                                                          : 5};
  }
  const sky_status st =
      sky_synth_write_netcdf(ctx, path, "era5.cdl", values, sizeof values / sizeof *values);
  sky_free(version);
  return st;
}
