/* synth_city_oco.c: snapshot area maps of OCO-3: three swaths of eight footprints over the city.
 *
 * Values on 20 levels of equal pressure steps, weights by the trapezoidal rule; kernel and profile
 * have the shape of a retrieval over land. Pixels over water or below thin cloud are flagged bad,
 * those below thick cloud are not in the product. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/job/synth_city_pass.h"
#include "src/job/synth_files.h"
#include "src/job/synth_plume.h"

enum { ACROSS = 24, ALONG = 24, SWATH = 8, BLOCK = 2, LEVELS = 20, VERTICES = 4 };
static const double PIXEL = 2200, HEADING = 12; /* m; degrees from north */
static const double SIGMA = 0.5e-6;             /* mol mol-1 */
static const double GRAVITY = 9.80665, M_AIR = 0.0289652;
static const uint64_t SCENE = 4203; /* seed of cloud and quality, the same for every truth */
enum { STREAM_CLOUD = 100, STREAM_FAILED = 200, STREAM_GREY = 300 };

/* Top to surface: normalised kernel, and the profile over its column. */
static const double KERNEL[LEVELS] = {0.38,  0.47, 0.59,  0.69,  0.76,  0.82, 0.86,
                                      0.90,  0.93, 0.95,  0.97,  0.99,  1.00, 1.01,
                                      1.015, 1.02, 1.024, 1.025, 1.024, 1.023};
static const double SHAPE[LEVELS] = {-8,  -2.2, -0.4, 0,   0.1, 0.2, 0.3, 0.3, 0.4, 0.4,
                                     0.5, 0.5,  0.6,  0.6, 0.7, 0.7, 0.8, 0.9, 1.0, 1.1}; /* ppm */

static double weight(size_t k) {
  return (k == 0 || k == LEVELS - 1 ? 0.5 : 1.0) / (LEVELS - 1);
}

static double level(double surface, size_t k) {
  return surface * fmax((double)k / (LEVELS - 1), 1e-4);
}

/* mol mol-1: the growth of autumn. */
static double prior_profile(const sky_city_day *d, size_t k) {
  double mean = 0;
  for (size_t j = 0; j < LEVELS; j++)
    mean += weight(j) * SHAPE[j];
  return 1e-6 * (417.4 + 0.02 * (30 * (d->month - 10) + d->day) + SHAPE[k] - mean);
}

static void corner(double cross, double along, double *x, double *y) {
  const double s = sin(HEADING / 57.29577951308232), c = cos(HEADING / 57.29577951308232);
  *x = SKY_CITY_WEST + 0.5 * SKY_CITY_SIDE + cross * c + along * s;
  *y = SKY_CITY_SOUTH + 0.5 * SKY_CITY_SIDE - cross * s + along * c;
}

static double grey_of(int code) {
  return code == 80 ? 0.02 : code == 50 ? 0.24 : code == 40 ? 0.20 : 0.14;
}

/* False where thick cloud lets nothing through. */
static bool make_sounding(const sky_city_scene *scene, size_t day, const sky_waves *cloud, size_t i,
                          sky_city_sounding *s) {
  const sky_city_day *d = &sky_city_days[day];
  const size_t row = i / ACROSS, column = i % ACROSS;
  const double cross = PIXEL * ((double)column - 0.5 * (ACROSS - 1));
  const double along = PIXEL * ((double)row - 0.5 * (ALONG - 1));
  double x, y;
  int cover[2];
  corner(cross, along, &x, &y);
  const double overcast =
      sky_waves_at(cloud, 1e-3 * (x - SKY_CITY_WEST), 1e-3 * (y - SKY_CITY_SOUTH));
  if (overcast > 1.6) return false;
  sky_city_cover(scene->land, x, y, cover);
  memset(s, 0, sizeof *s);
  for (int k = 0; k < 9; k++) { /* nine points of the pixel */
    double px, py;
    corner(cross + PIXEL / 3 * (k % 3 - 1), along + PIXEL / 3 * (k / 3 - 1), &px, &py);
    s->land += (sky_city_height(scene->land, px, py) > 0) / 9.0;
  }
  s->row = row;
  s->column = column;
  s->block = row / BLOCK * (ACROSS / BLOCK) + column / BLOCK;
  s->cloudy = overcast > 1.3 || sky_rng_uniform(SCENE, STREAM_FAILED + day, i) < 0.03;
  s->good = !s->cloudy && s->land > 0.8;
  s->pressure = 101400 * exp(-fmax(0.0, sky_city_height(scene->land, x, y)) / 8000);
  s->albedo = grey_of(cover[1]) + 0.02 * sky_rng_uniform(SCENE, STREAM_GREY + day, i);
  s->time =
      sky_city_midnight(day) + 3600 * d->hour + 40.0 * (double)(column / SWATH) + 0.7 * (double)row;
  s->lon = x;
  s->lat = y;
  for (size_t k = 0; k < LEVELS; k++)
    s->prior += weight(k) * prior_profile(d, k);
  return true;
}

sky_status sky_city_oco_create(sky_context *ctx, const sky_city_scene *scene, sky_city_pass *p) {
  const size_t most = (size_t)ACROSS * ALONG;
  sky_waves cloud;
  sky_waves_make(SCENE, STREAM_CLOUD + p->day, 0.35, &cloud);
  p->sigma = SIGMA;
  p->n_block = most / (BLOCK * BLOCK);
  p->sounding = SKY_NEW(ctx, sky_city_sounding, most);
  p->block = SKY_NEW0(ctx, sky_city_block, p->n_block);
  if (p->sounding == NULL || p->block == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < most; i++) {
    sky_city_sounding *s = &p->sounding[p->n];
    if (!make_sounding(scene, p->day, &cloud, i, s)) continue;
    SKY_TRY(sky_crs_to_lonlat(ctx, scene->crs, 1, &s->lon, &s->lat));
    s->good = s->good && sky_grid_find(&scene->native, s->lon, s->lat) != SIZE_MAX;
    p->n++;
  }
  for (size_t i = 0; i < p->n; i++) {
    sky_city_block *b = &p->block[p->sounding[i].block];
    double pressure[LEVELS];
    const double surface = p->sounding[i].pressure;
    for (size_t k = 0; k < LEVELS; k++)
      pressure[k] = level(surface, k);
    const sky_city_weather w = sky_city_winds_at(scene->winds, p->sounding[i].time,
                                                 p->sounding[i].lon, p->sounding[i].lat);
    b->air =
        surface / (GRAVITY * M_AIR) / sky_city_kernel(LEVELS, pressure, KERNEL, surface, w.depth);
  }
  sky_city_blocks_close(p);
  for (size_t k = 0; k < p->n_block; k++) {
    p->block[k].width = BLOCK * PIXEL / sqrt(12.0);
    p->block[k].start = sky_city_midnight(p->day) + 3600 * sky_city_days[p->day].hour - 300;
    p->block[k].period = 1200;
  }
  return SKY_OK;
}

/* ---- the file ---- */

enum { /* variables of one number a sounding, in the order of NAME */
       LATITUDE,
       LONGITUDE,
       TIME,
       SOLAR,
       SENSOR,
       QUALITY,
       BITS,
       XCO2,
       UNCERTAINTY,
       APRIORI,
       SURFACE,
       PSURF,
       RAW,
       AOD,
       ALBEDO_1,
       ALBEDO_2,
       ALBEDO_3,
       SUN_AZIMUTH,
       LOOK_AZIMUTH,
       LAND,
       AIRMASS,
       ALTITUDE,
       MODE,
       FOOTPRINT,
       ORBIT,
       SINGLE
};
static const struct {
  const char *name;
  int digits;
} NAME[SINGLE] = {{"latitude", 9},
                  {"longitude", 9},
                  {"time", 17},
                  {"solar_zenith_angle", 6},
                  {"sensor_zenith_angle", 6},
                  {"xco2_quality_flag", 2},
                  {"xco2_qf_bitflag", 9},
                  {"xco2", 9},
                  {"xco2_uncertainty", 5},
                  {"xco2_apriori", 9},
                  {"surface_type", 2},
                  {"psurf", 8},
                  {"xco2_raw", 8},
                  {"aod_total", 4},
                  {"albedo_o2a", 5},
                  {"albedo_wco2", 5},
                  {"albedo_sco2", 5},
                  {"solar_azimuth_angle", 5},
                  {"sensor_azimuth_angle", 5},
                  {"land_fraction", 3},
                  {"airmass", 5},
                  {"altitude", 6},
                  {"operation_mode", 2},
                  {"footprint", 2},
                  {"orbit", 9}};
enum { DATE, VERTEX_LAT, VERTEX_LON, PRESSURE, PROFILE, AK, WEIGHT, MULTIPLE };
static const struct {
  const char *name;
  size_t each;
  int digits;
} TABLE[MULTIPLE] = {{"date", 6, 5},
                     {"vertex_latitude", VERTICES, 9},
                     {"vertex_longitude", VERTICES, 9},
                     {"pressure_levels", LEVELS, 8},
                     {"co2_profile_apriori", LEVELS, 8},
                     {"xco2_averaging_kernel", LEVELS, 6},
                     {"pressure_weight", LEVELS, 9}};

static void fill_single(const sky_city_pass *p, size_t i, double *const v[SINGLE]) {
  const sky_city_sounding *s = &p->sounding[i];
  const sky_city_day *d = &sky_city_days[p->day];
  const double sun = 22 + 8 * (d->month - 9) + 12 * fabs(d->hour - 4.6) / 2;
  const double look = 5 + 30 * (double)(s->column / SWATH) / 2;
  v[LATITUDE][i] = s->lat;
  v[LONGITUDE][i] = s->lon;
  v[TIME][i] = s->time;
  v[SOLAR][i] = sun;
  v[SENSOR][i] = look;
  v[QUALITY][i] = s->cloudy || s->land <= 0.8;
  v[BITS][i] = (s->cloudy ? 4 : 0) + (s->land <= 0.8 ? 64 : 0);
  v[XCO2][i] = 1e6 * s->x;
  v[UNCERTAINTY][i] = 1e6 * p->sigma;
  v[APRIORI][i] = 1e6 * s->prior;
  v[SURFACE][i] = s->land > 0.5;
  v[PSURF][i] = 1e-2 * s->pressure;
  v[RAW][i] = 1e6 * s->x - 1.2 + 4 * (s->albedo - 0.2);
  v[AOD][i] = s->cloudy ? 0.45 : 0.06 + 0.3 * s->albedo;
  v[ALBEDO_1][i] = 1.2 * s->albedo;
  v[ALBEDO_2][i] = 1.1 * s->albedo;
  v[ALBEDO_3][i] = s->albedo;
  v[SUN_AZIMUTH][i] = 180 + 15 * (d->hour - 4.6);
  v[LOOK_AZIMUTH][i] = 90 + HEADING;
  v[LAND][i] = nearbyint(100 * s->land);
  v[AIRMASS][i] = 1 / cos(sun / 57.29577951308232) + 1 / cos(look / 57.29577951308232);
  v[ALTITUDE][i] = -8000 * log(s->pressure / 101400);
  v[MODE][i] = 4;
  v[FOOTPRINT][i] = (double)(1 + s->column % SWATH);
  v[ORBIT][i] = (double)(24800 + 15 * (30 * (d->month - 10) + d->day));
}

static sky_status fill_multiple(sky_context *ctx, const sky_city_scene *scene,
                                const sky_city_pass *p, size_t i, double *const v[MULTIPLE],
                                char id[24]) {
  static const double OFF[VERTICES][2] = {{-0.5, -0.5}, {0.5, -0.5}, {0.5, 0.5}, {-0.5, 0.5}};
  const sky_city_sounding *s = &p->sounding[i];
  char iso[32];
  int part[6];
  sky_time_format(floor(s->time), iso, sizeof iso);
  (void)sscanf(iso, "%d-%d-%dT%d:%d:%d", &part[0], &part[1], &part[2], &part[3], &part[4],
               &part[5]);
  for (size_t k = 0; k < 6; k++)
    v[DATE][6 * i + k] = part[k];
  (void)snprintf(id, 24, "%.4s%.2s%.2s%.2s%.2s%.2s%d%zu", iso, iso + 5, iso + 8, iso + 11, iso + 14,
                 iso + 17, (int)(10 * (s->time - floor(s->time))), 1 + s->column % SWATH);
  for (size_t k = 0; k < VERTICES; k++) {
    corner(PIXEL * ((double)s->column - 0.5 * (ACROSS - 1) + OFF[k][0]),
           PIXEL * ((double)s->row - 0.5 * (ALONG - 1) + OFF[k][1]),
           &v[VERTEX_LON][VERTICES * i + k], &v[VERTEX_LAT][VERTICES * i + k]);
  }
  for (size_t k = 0; k < LEVELS; k++) {
    v[PRESSURE][LEVELS * i + k] = 1e-2 * level(s->pressure, k);
    v[PROFILE][LEVELS * i + k] = 1e6 * prior_profile(&sky_city_days[p->day], k);
    v[AK][LEVELS * i + k] = KERNEL[k];
    v[WEIGHT][LEVELS * i + k] = weight(k);
  }
  return sky_crs_to_lonlat(ctx, scene->crs, VERTICES, &v[VERTEX_LON][VERTICES * i],
                           &v[VERTEX_LAT][VERTICES * i]);
}

sky_status sky_city_oco_write(sky_context *ctx, const sky_city_scene *scene, const sky_city_pass *p,
                              const char *dir) {
  const sky_city_day *d = &sky_city_days[p->day];
  double *single[SINGLE] = {NULL}, *multiple[MULTIPLE] = {NULL}, index[LEVELS], sigma_b[LEVELS];
  char count[24], *ids = NULL, *path = NULL;
  sky_text t = {.ctx = ctx};
  sky_status st = SKY_OK;
  for (size_t v = 0; v < SINGLE; v++)
    SKY_GO_ALLOC(single[v], SKY_NEW(ctx, double, p->n));
  for (size_t v = 0; v < MULTIPLE; v++)
    SKY_GO_ALLOC(multiple[v], SKY_NEW(ctx, double, p->n *TABLE[v].each));
  for (size_t i = 0; i < p->n; i++) {
    char id[24];
    fill_single(p, i, single);
    SKY_GO(fill_multiple(ctx, scene, p, i, multiple, id));
    sky_text_printf(&t, "%s%sULL", i > 0 ? ", " : "", id);
  }
  for (size_t k = 0; k < LEVELS; k++) {
    index[k] = (double)k;
    sigma_b[k] = level(1, k);
  }
  (void)snprintf(count, sizeof count, "%zu", p->n);
  SKY_GO_ALLOC(ids, sky_text_take(&t));
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/oco3_LtCO2_%02d%02d%02d_B10400Br_240115000000s.nc4", dir,
                                 SKY_CITY_YEAR % 100, d->month, d->day));
  sky_synth_value values[SINGLE + MULTIPLE + 4] = {
      {.name = "soundings", .text = count},
      {.name = "sounding_id", .text = ids},
      {.name = "levels", .number = index, .count = LEVELS, .digits = 3},
      {.name = "SigmaB", .number = sigma_b, .count = LEVELS, .digits = 8}};
  for (size_t v = 0; v < SINGLE; v++)
    values[4 + v] = (sky_synth_value){
        .name = NAME[v].name, .number = single[v], .count = p->n, .digits = NAME[v].digits};
  for (size_t v = 0; v < MULTIPLE; v++)
    values[4 + SINGLE + v] = (sky_synth_value){.name = TABLE[v].name,
                                               .number = multiple[v],
                                               .count = p->n * TABLE[v].each,
                                               .digits = TABLE[v].digits};
  SKY_GO(
      sky_synth_write_netcdf(ctx, path, "oco3_lite.cdl", values, sizeof values / sizeof *values));
cleanup:
  for (size_t v = 0; v < SINGLE; v++)
    sky_free(single[v]);
  for (size_t v = 0; v < MULTIPLE; v++)
    sky_free(multiple[v]);
  sky_text_free(&t);
  sky_free(ids);
  sky_free(path);
  return st;
}
