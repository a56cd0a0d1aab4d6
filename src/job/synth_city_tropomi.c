/* synth_city_tropomi.c: TROPOMI over the invented city: single pixels, each with its footprint. */
#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/job/synth_city_pass.h"
#include "src/job/synth_plume.h"

static const uint64_t SCENE = 5120; /* seed of cloud and quality, the same for every truth */
static const double SIGMA = 10e-9;  /* mol mol-1 */
enum { STREAM_CLOUD = 100 };
enum { CLASS_WATER = 1, CLASS_CROPLAND = 20, CLASS_URBAN = 12 };

static void plane(const void *user, double lon, double lat, double *x, double *y) {
  const sky_city_scene *scene = user;
  *x = lon;
  *y = lat;
  sky_crs_from_lonlat(scene->crs, 1, x, y);
}

static double altitude(const void *user, double lon, double lat) {
  double x, y;
  plane(user, lon, lat, &x, &y);
  return fmax(0.0, sky_city_height(((const sky_city_scene *)user)->land, x, y));
}

static uint8_t surface(const void *user, double lon, double lat, double height) {
  const sky_city_scene *scene = user;
  double x, y;
  plane(user, lon, lat, &x, &y);
  if (sky_city_height(scene->land, x, y) < 0) return CLASS_WATER;
  (void)height;
  return sky_city_value(scene->land, SKY_CITY_BUILT, x, y) > 0.4 ? CLASS_URBAN : CLASS_CROPLAND;
}

static double cloud(const void *user, uint64_t seed, uint64_t number, double lon, double lat) {
  sky_waves w;
  (void)user;
  sky_waves_make(seed, STREAM_CLOUD + number, 30, &w);
  return sky_waves_at(&w, lon - 110.9, lat - 21.6) - 0.5; /* a dry season */
}

sky_status sky_city_tropomi_create(sky_context *ctx, const sky_city_scene *scene,
                                   sky_city_pass *p) {
  const sky_city_day *d = &sky_city_days[p->day];
  sky_overpass *o = &p->tropomi;
  *o = (sky_overpass){.place = {.scanlines = 10,
                                .pixels = 10,
                                .block = 1,
                                .pixel = 7000,
                                .width = 2021, /* of a 7 km wide box */
                                .declination = -6.0 - 8 * (d->month - 10),
                                .scene = "city",
                                .user = scene,
                                .altitude = altitude,
                                .surface = surface,
                                .cloud = cloud},
                      .year = SKY_CITY_YEAR,
                      .month = d->month,
                      .day = d->day,
                      .orbit = 30970 + (int)(14.2 * (30 * (d->month - 10) + d->day)),
                      .first_second = 3600 * d->hour};
  SKY_TRY(sky_overpass_create(ctx, &scene->native, SCENE, p->day, o));
  p->sigma = SIGMA;
  p->n = p->n_block = sky_overpass_pixels(o);
  p->sounding = SKY_NEW0(ctx, sky_city_sounding, p->n);
  p->block = SKY_NEW0(ctx, sky_city_block, p->n);
  if (p->sounding == NULL || p->block == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n; i++) {
    sky_city_sounding *s = &p->sounding[i];
    sky_city_block *b = &p->block[i];
    double pressure[SKY_SYNTH_LAYERS];
    s->lon = SKY_OVERPASS_FIELD(o, longitude)[i];
    s->lat = SKY_OVERPASS_FIELD(o, latitude)[i];
    s->time = o->cluster_time[i];
    s->prior = SKY_OVERPASS_PRIOR;
    s->pressure = SKY_OVERPASS_FIELD(o, surface_pressure)[i];
    s->albedo = SKY_OVERPASS_FIELD(o, surface_albedo_SWIR)[i];
    s->block = i;
    s->good = o->cluster_used[i];
    for (size_t k = 0; k < SKY_SYNTH_LAYERS; k++) /* middle of the layer, from the top */
      pressure[k] = s->pressure - (SKY_SYNTH_LAYERS - 0.5 - (double)k) *
                                      SKY_OVERPASS_FIELD(o, pressure_interval)[i];
    const sky_city_weather w = sky_city_winds_at(scene->winds, s->time, s->lon, s->lat);
    b->air =
        o->cluster_air[i] / sky_city_kernel(SKY_SYNTH_LAYERS, pressure,
                                            SKY_OVERPASS_FIELD(o, column_averaging_kernel) + 12 * i,
                                            s->pressure, w.depth);
    b->width = o->place.width;
    b->start = o->start - 300;
    b->period = 1200;
  }
  sky_city_blocks_close(p);
  return SKY_OK;
}

sky_status sky_city_tropomi_write(sky_context *ctx, sky_city_pass *p, const char *dir) {
  double *x = SKY_NEW(ctx, double, p->n);
  if (x == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n; i++)
    x[i] = p->sounding[i].x;
  sky_overpass_retrieve(&p->tropomi, x, p->sigma);
  sky_free(x);
  return sky_overpass_write(ctx, &p->tropomi, dir);
}
