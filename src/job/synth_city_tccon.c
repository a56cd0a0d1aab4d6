/* synth_city_tccon.c: two ground stations that measure the column of N2O towards the sun.
 *
 * Levels as GGG2020 has them, z_i = i (0.4 + 0.02 i) km. The integration operator applies to wet
 * mole fractions: op_k = w_k / (g_k Σ_j w_j (1 - q_j)/g_j), w the trapezoidal pressure weights and
 * q water, so that Σ op_k c_k is the column of dry mole fraction. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/job/synth_city_pass.h"
#include "src/job/synth_files.h"

enum { LEVELS = 51, STATIONS = 2, HOURS = 5, PER_HOUR = 8, FIRST_HOUR = 2 };
enum { SPECTRA = HOURS * PER_HOUR, ALL = SPECTRA * SKY_CITY_N2O_DAYS };
static const double SIGMA = 2.6e-9; /* mol mol-1, of a spectrum */
static const double GRAVITY = 9.80665, M_AIR = 0.0289652;
static const struct {
  const char *id, *site, *location;
  double x, y; /* km from the southwest corner */
} STATION[STATIONS] = {{"xa", "langwan01", "Langwan, invented city, town hall", 25.5, 23.0},
                       {"xb", "langwan02", "Langwan, invented city, west of the kilns", 9.6, 29.2}};

typedef struct column { /* one station and time */
  double altitude[LEVELS], pressure[LEVELS], temperature[LEVELS], density[LEVELS]; /* km, Pa, K */
  double water[LEVELS], n2o[LEVELS], gravity[LEVELS], kernel[LEVELS], op[LEVELS];
  double prior; /* mol mol-1 */
} column;

/* gravity and density in the file's units; mole fractions are wet. */
static void make_column(double surface, column *c) {
  double weight[LEVELS], total = 0;
  for (size_t k = 0; k < LEVELS; k++) {
    const double i = (double)k, z = i * (0.4 + 0.02 * i);
    c->altitude[k] = z;
    c->temperature[k] = z < 12 ? 294 - 6.2 * z : z < 20 ? 219.6 : fmin(265.0, 219.6 + 2 * (z - 20));
    c->pressure[k] =
        k == 0 ? surface
               : c->pressure[k - 1] *
                     exp(-GRAVITY * M_AIR * 1e3 * (z - c->altitude[k - 1]) /
                         (8.314462618 * 0.5 * (c->temperature[k] + c->temperature[k - 1])));
    c->density[k] = 1e-6 * c->pressure[k] / (1.380649e-23 * c->temperature[k]);
    c->gravity[k] = 9.788 * pow(6371 / (6371 + z), 2);
    c->water[k] = 0.012 * exp(-z / 2) + 5e-6;
    c->n2o[k] = 336e-9 * (1 - c->water[k]) / (1 + exp((z - 24) / 4));
    c->kernel[k] = 0.5 + 1.8 / (1 + exp(-(z - 9.5) / 4));
  }
  for (size_t k = 0; k < LEVELS; k++) {
    const double above = k + 1 < LEVELS ? c->pressure[k + 1] : 0;
    const double below = k > 0 ? c->pressure[k - 1] : c->pressure[0];
    weight[k] = 0.5 * (below - above);
    total += weight[k] * (1 - c->water[k]) / c->gravity[k];
  }
  c->prior = 0;
  for (size_t k = 0; k < LEVELS; k++) {
    c->op[k] = weight[k] / c->gravity[k] / total;
    c->prior += c->op[k] * c->n2o[k];
  }
}

static double surface_pressure(const sky_city_scene *scene, size_t station) {
  const double x = SKY_CITY_WEST + 1e3 * STATION[station].x;
  const double y = SKY_CITY_SOUTH + 1e3 * STATION[station].y;
  return 101500 * exp(-fmax(0.0, sky_city_height(scene->land, x, y)) / 8000);
}

/* Soundings and blocks stand by station, day and time. */
static void create_day(const sky_city_scene *scene, sky_city_pass *p, size_t station, size_t day,
                       double lon, double lat, const column *c) {
  const double midnight = sky_city_midnight(p->day + day);
  const size_t group = station * SKY_CITY_N2O_DAYS + day;
  for (size_t i = 0; i < SPECTRA; i++) {
    const double hour = FIRST_HOUR + ((double)i + 0.5) / PER_HOUR;
    p->sounding[SPECTRA * group + i] =
        (sky_city_sounding){.lon = lon,
                            .lat = lat,
                            .time = midnight + floor(3600 * hour) + (double)station,
                            .prior = c->prior,
                            .pressure = c->pressure[0],
                            .albedo = 0.2,
                            .block = HOURS * group + i / PER_HOUR,
                            .good = true};
  }
  for (size_t h = 0; h < HOURS; h++) {
    sky_city_block *b = &p->block[HOURS * group + h];
    b->start = midnight + 3600.0 * (double)(FIRST_HOUR + h);
    b->period = 3600;
    const sky_city_weather w = sky_city_winds_at(scene->winds, b->start + 1800, lon, lat);
    b->air = c->pressure[0] / (GRAVITY * M_AIR) /
             sky_city_kernel(LEVELS, c->pressure, c->kernel, c->pressure[0], w.depth);
    b->width = 500;
  }
}

sky_status sky_city_tccon_create(sky_context *ctx, const sky_city_scene *scene, sky_city_pass *p) {
  p->sigma = SIGMA;
  p->n = (size_t)STATIONS * SKY_CITY_N2O_DAYS * SPECTRA;
  p->n_block = (size_t)STATIONS * SKY_CITY_N2O_DAYS * HOURS;
  p->sounding = SKY_NEW0(ctx, sky_city_sounding, p->n);
  p->block = SKY_NEW0(ctx, sky_city_block, p->n_block);
  if (p->sounding == NULL || p->block == NULL) return SKY_E_NOMEM;
  for (size_t t = 0; t < STATIONS; t++) {
    column c;
    double lon = SKY_CITY_WEST + 1e3 * STATION[t].x, lat = SKY_CITY_SOUTH + 1e3 * STATION[t].y;
    SKY_TRY(sky_crs_to_lonlat(ctx, scene->crs, 1, &lon, &lat));
    make_column(surface_pressure(scene, t), &c);
    for (size_t d = 0; d < SKY_CITY_N2O_DAYS; d++)
      create_day(scene, p, t, d, lon, lat, &c);
  }
  sky_city_blocks_close(p);
  return SKY_OK;
}

/* ---- the file ---- */

enum { /* variables of one number a spectrum */
       TIME,
       PRIOR_TIME,
       FLAG,
       YEAR,
       DAY,
       HOUR,
       LAT,
       LONG,
       ZOBS,
       SOLZEN,
       AZIM,
       TOUT,
       POUT,
       HOUT,
       WSPD,
       WDIR,
       XLUFT,
       XLUFT_E,
       XN2O,
       XN2O_E,
       AIRMASS,
       PRIOR_X,
       SINGLE
};
static const struct {
  const char *name;
  int digits;
} NAME[SINGLE] = {{"time", 17},     {"prior_time", 17}, {"extrapolation_flags_ak_xn2o", 2},
                  {"year", 5},      {"day", 5},         {"hour", 7},
                  {"lat", 9},       {"long", 9},        {"zobs", 4},
                  {"solzen", 5},    {"azim", 5},        {"tout", 4},
                  {"pout", 7},      {"hout", 4},        {"wspd", 3},
                  {"wdir", 4},      {"xluft", 5},       {"xluft_error", 3},
                  {"xn2o", 8},      {"xn2o_error", 4},  {"airmass", 5},
                  {"prior_xn2o", 8}};
enum { AK, TEMPERATURE, PRESSURE, DENSITY, WATER, N2O, PULL, OP, PROFILES };
static const struct {
  const char *name;
  double scale; /* to the file's unit */
} PROFILE[PROFILES] = {
    {"ak_xn2o", 1},       {"prior_temperature", 1},   {"prior_pressure", 1 / 101325.0},
    {"prior_density", 1}, {"prior_h2o", 1},           {"prior_n2o", 1e9},
    {"prior_gravity", 1}, {"integration_operator", 1}};

static void fill(const sky_city_scene *scene, const sky_city_pass *p, size_t station, size_t i,
                 double *const v[SINGLE]) {
  const sky_city_sounding *s = &p->sounding[ALL * station + i];
  const double midnight = sky_city_midnight(p->day + i / SPECTRA);
  const double hour = (s->time - midnight) / 3600, noon = hour + 7.4 - 12;
  const sky_city_weather w = sky_city_winds_at(scene->winds, s->time, s->lon, s->lat);
  const double from = 57.29577951308232 * atan2(-w.u, -w.v);
  const double sun = hypot(39.5, 15 * noon * 0.93); /* degrees: noon in mid-November at 21.6 N */
  v[TIME][i] = s->time;
  v[PRIOR_TIME][i] = midnight + 10800 * nearbyint(hour / 3);
  v[FLAG][i] = 0;
  v[YEAR][i] = SKY_CITY_YEAR;
  v[DAY][i] =
      floor((midnight - 86400.0 * (double)sky_days_from_civil(SKY_CITY_YEAR, 1, 1)) / 86400) + 1;
  v[HOUR][i] = hour;
  v[LAT][i] = s->lat;
  v[LONG][i] = s->lon;
  v[ZOBS][i] = fmax(0.0, -8 * log(s->pressure / 101500));
  v[SOLZEN][i] = sun;
  v[AZIM][i] = 180 + 20 * noon;
  v[TOUT][i] = 22 + 3 * cos(noon / 4);
  v[POUT][i] = 1e-2 * s->pressure;
  v[HOUT][i] = 62;
  v[WSPD][i] = 0.7 * hypot(w.u, w.v);
  v[WDIR][i] = from < 0 ? from + 360 : from;
  v[XLUFT][i] = 0.9995;
  v[XLUFT_E][i] = 0.0023;
  v[XN2O][i] = 1e9 * s->x;
  v[XN2O_E][i] = 1e9 * p->sigma;
  v[AIRMASS][i] = 1 / cos(sun / 57.29577951308232);
  v[PRIOR_X][i] = 1e9 * s->prior;
}

static sky_status write_station(sky_context *ctx, const sky_city_scene *scene,
                                const sky_city_pass *p, size_t station, const char *dir) {
  const sky_city_day *d = &sky_city_days[p->day], *last = d + SKY_CITY_N2O_DAYS - 1;
  double *single[SINGLE] = {NULL}, *profile[PROFILES] = {NULL}, ak_pressure[LEVELS];
  char count[24], *path = NULL;
  column c;
  sky_status st = SKY_OK;
  make_column(surface_pressure(scene, station), &c);
  const double *const source[PROFILES] = {c.kernel, c.temperature, c.pressure, c.density,
                                          c.water,  c.n2o,         c.gravity,  c.op};
  for (size_t k = 0; k < LEVELS; k++)
    ak_pressure[k] = 1e-2 * c.pressure[k];
  for (size_t v = 0; v < SINGLE; v++)
    SKY_GO_ALLOC(single[v], SKY_NEW(ctx, double, ALL));
  for (size_t v = 0; v < PROFILES; v++)
    SKY_GO_ALLOC(profile[v], SKY_NEW(ctx, double, (size_t)ALL *LEVELS));
  for (size_t i = 0; i < ALL; i++) {
    fill(scene, p, station, i, single);
    for (size_t v = 0; v < PROFILES; v++)
      for (size_t k = 0; k < LEVELS; k++)
        profile[v][LEVELS * i + k] = PROFILE[v].scale * source[v][k];
  }
  (void)snprintf(count, sizeof count, "%d", ALL);
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/%s%04d%02d%02d_%04d%02d%02d.public.qc.nc", dir,
                                 STATION[station].id, SKY_CITY_YEAR, d->month, d->day,
                                 SKY_CITY_YEAR, last->month, last->day));
  sky_synth_value values[SINGLE + PROFILES + 6] = {
      {.name = "spectra", .text = count},
      {.name = "site", .text = STATION[station].site},
      {.name = "location", .text = STATION[station].location},
      {.name = "prior_altitude", .number = c.altitude, .count = LEVELS, .digits = 6},
      {.name = "ak_altitude", .number = c.altitude, .count = LEVELS, .digits = 6},
      {.name = "ak_pressure", .number = ak_pressure, .count = LEVELS, .digits = 7}};
  for (size_t v = 0; v < SINGLE; v++)
    values[6 + v] = (sky_synth_value){
        .name = NAME[v].name, .number = single[v], .count = ALL, .digits = NAME[v].digits};
  for (size_t v = 0; v < PROFILES; v++)
    values[6 + SINGLE + v] = (sky_synth_value){
        .name = PROFILE[v].name, .number = profile[v], .count = (size_t)ALL * LEVELS, .digits = 8};
  SKY_GO(sky_synth_write_netcdf(ctx, path, "tccon.cdl", values, sizeof values / sizeof *values));
cleanup:
  for (size_t v = 0; v < SINGLE; v++)
    sky_free(single[v]);
  for (size_t v = 0; v < PROFILES; v++)
    sky_free(profile[v]);
  sky_free(path);
  return st;
}

sky_status sky_city_tccon_write(sky_context *ctx, const sky_city_scene *scene,
                                const sky_city_pass *p, const char *dir) {
  for (size_t t = 0; t < STATIONS; t++)
    SKY_TRY(write_station(ctx, scene, p, t, dir));
  return SKY_OK;
}
