/* synth_overpass.c: one TROPOMI overpass of a scene: pixels, surface, cloud, quality, granule. */
#include "src/job/synth_overpass.h"

#include <math.h>
#include <stdio.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/job/synth_files.h"
#include "src/job/synth_plume.h"

static const double RADIANS = 3.14159265358979323846 / 180.0;
static const double EARTH = 6371008.8;       /* m, mean radius */
static const double GRAVITY = 9.80665;       /* m s-2 */
static const double M_AIR = 0.0289652;       /* kg mol-1, dry air */
static const double P_TOP = 10.0;            /* Pa, top of the product's layers */
static const double SCANLINE_SECONDS = 1.08; /* 7 km along track */
static const double HEADING = -12.0;         /* degrees from north, ascending orbit */
static const double SCALE_HEIGHT = 8000.0;   /* m */

/* Shapes seen in the product, top to surface: averaging kernel and a-priori mole fraction (ppb). */
static const double KERNEL[SKY_SYNTH_LAYERS] = {0.780, 0.905, 0.978, 1.016, 1.047, 1.055,
                                                1.013, 1.004, 1.004, 1.003, 1.002, 0.999};
static const double PROFILE[SKY_SYNTH_LAYERS] = {1416, 1839, 1865, 1866, 1867, 1870,
                                                 1873, 1877, 1882, 1890, 1901, 1909};

enum { /* streams of random numbers; the overpass number is added */
       STREAM_FAILED = 200,
       STREAM_SURFACE = 300,
       STREAM_KERNEL = 400
};

enum { QA_GOOD = 100, QA_CLOUD_EDGE = 40, QA_NONE = 0 };

static const size_t LENGTH[SKY_SYNTH_FIELD_COUNT] = {
#define LENGTH_OF(name, length, digits) length,
    SKY_SYNTH_FIELDS(LENGTH_OF)
#undef LENGTH_OF
};

void sky_overpass_free(sky_overpass *o) {
  for (size_t f = 0; f < SKY_SYNTH_FIELD_COUNT; f++) {
    sky_free(o->field[f]);
    o->field[f] = NULL;
  }
}

/* Degrees of a point that lies (cross, along) metres from the middle of the scene. */
static void place(const sky_grid *grid, double cross, double along, double *lon, double *lat) {
  const double lon0 = 0.5 * (grid->x_edge[0] + grid->x_edge[grid->nx]);
  const double lat0 = 0.5 * (grid->y_edge[0] + grid->y_edge[grid->ny]);
  const double s = sin(HEADING * RADIANS), c = cos(HEADING * RADIANS);
  *lat = lat0 + (along * c - cross * s) / (EARTH * RADIANS);
  *lon = lon0 + (along * s + cross * c) / (EARTH * RADIANS * cos(lat0 * RADIANS));
}

static void create_pixel(sky_overpass *o, const sky_grid *grid, uint64_t seed, uint64_t number,
                         size_t i) {
  const sky_overpass_place *at = &o->place;
  const double size = at->pixel;
  const double along = ((double)(i / at->pixels) - 0.5 * ((double)at->scanlines - 1)) * size;
  const double cross = ((double)(i % at->pixels) - 0.5 * ((double)at->pixels - 1)) * size;
  static const double CORNER[4][2] = {{-0.5, -0.5}, {0.5, -0.5}, {0.5, 0.5}, {-0.5, 0.5}};
  double lon, lat;
  place(grid, cross, along, &lon, &lat);
  for (size_t c = 0; c < 4; c++) {
    place(grid, cross + CORNER[c][0] * size, along + CORNER[c][1] * size,
          &SKY_OVERPASS_FIELD(o, longitude_bounds)[4 * i + c],
          &SKY_OVERPASS_FIELD(o, latitude_bounds)[4 * i + c]);
  }
  const double height = at->altitude(at->user, lon, lat);
  const double pressure = 101325 * exp(-height / SCALE_HEIGHT);
  const double interval = (pressure - P_TOP) / SKY_SYNTH_LAYERS;
  const double grey = sky_rng_uniform(seed, STREAM_SURFACE + number, i);
  SKY_OVERPASS_FIELD(o, longitude)[i] = lon;
  SKY_OVERPASS_FIELD(o, latitude)[i] = lat;
  SKY_OVERPASS_FIELD(o, surface_altitude)[i] = height;
  SKY_OVERPASS_FIELD(o, surface_pressure)[i] = pressure;
  SKY_OVERPASS_FIELD(o, pressure_interval)[i] = interval;
  SKY_OVERPASS_FIELD(o, surface_classification)[i] = at->surface(at->user, lon, lat, height);
  SKY_OVERPASS_FIELD(o, surface_albedo_SWIR)[i] = 0.14 + 0.10 * grey;
  SKY_OVERPASS_FIELD(o, surface_albedo_NIR)[i] = 0.20 + 0.10 * grey;
  SKY_OVERPASS_FIELD(o, aerosol_optical_thickness_SWIR)[i] = 0.05 + 0.05 * grey;
  SKY_OVERPASS_FIELD(o, chi_square_SWIR)[i] = 700 + 200 * grey;
  SKY_OVERPASS_FIELD(o, degrees_of_freedom_methane)[i] = 1.1 + 0.2 * grey;
  SKY_OVERPASS_FIELD(o, solar_zenith_angle)[i] = lat - at->declination; /* local noon */
  SKY_OVERPASS_FIELD(o, viewing_zenith_angle)[i] = fabs(atan2(cross, 824000.0)) / RADIANS;
  for (size_t k = 0; k <= SKY_SYNTH_LAYERS; k++) { /* level 0 = top */
    const double p = P_TOP + (double)k * interval;
    SKY_OVERPASS_FIELD(o, altitude_levels)[13 * i + k] = height + SCALE_HEIGHT * log(pressure / p);
  }
  for (size_t k = 0; k < SKY_SYNTH_LAYERS; k++) {
    const double air = interval / (GRAVITY * M_AIR);
    const double wobble = 0.01 * sky_rng_normal(seed, STREAM_KERNEL + number, i);
    double mean = 0;
    for (size_t j = 0; j < SKY_SYNTH_LAYERS; j++)
      mean += PROFILE[j] / SKY_SYNTH_LAYERS;
    SKY_OVERPASS_FIELD(o, dry_air_subcolumns)[12 * i + k] = air;
    SKY_OVERPASS_FIELD(o, methane_profile_apriori)
    [12 * i + k] = air * SKY_OVERPASS_PRIOR * PROFILE[k] / mean;
    /* The kernel is best known at the surface and varies above. */
    SKY_OVERPASS_FIELD(o, column_averaging_kernel)
    [12 * i + k] = KERNEL[k] + wobble * (11.0 - (double)k) / 11.0;
  }
  const double overcast = at->cloud(at->user, seed, number, lon, lat);
  const bool failed = sky_rng_uniform(seed, STREAM_FAILED + number, i) < 0.01;
  SKY_OVERPASS_FIELD(o, qa_value)
  [i] = overcast > 0.7 || failed ? QA_NONE : overcast > 0.55 ? QA_CLOUD_EDGE : QA_GOOD;
}

bool sky_overpass_good(const sky_overpass *o, size_t i) {
  const unsigned class = (unsigned)SKY_OVERPASS_FIELD(o, surface_classification)[i];
  return SKY_OVERPASS_FIELD(o, qa_value)[i] >= 50 && (class & 0xF9) != 184 && (class & 3) != 1;
}

static void create_clusters(sky_overpass *o, const sky_grid *grid) {
  const size_t block = o->place.block;
  const double share = 1.0 / (double)(block * block);
  for (size_t c = 0; c < sky_overpass_clusters(o); c++) {
    o->cluster_lon[c] = o->cluster_lat[c] = o->cluster_air[c] = 0;
    o->cluster_used[c] = false;
    const double row = (double)(block * (c / (o->place.pixels / block)));
    o->cluster_time[c] = o->start + (row + 0.5 * (double)(block - 1)) * SCANLINE_SECONDS;
  }
  for (size_t i = 0; i < sky_overpass_pixels(o); i++) {
    const size_t c = sky_overpass_cluster(o, i);
    o->cluster_lon[c] += share * SKY_OVERPASS_FIELD(o, longitude)[i];
    o->cluster_lat[c] += share * SKY_OVERPASS_FIELD(o, latitude)[i];
    o->cluster_air[c] +=
        share * SKY_SYNTH_LAYERS * SKY_OVERPASS_FIELD(o, dry_air_subcolumns)[12 * i];
    if (sky_overpass_good(o, i) && sky_grid_find(grid, SKY_OVERPASS_FIELD(o, longitude)[i],
                                                 SKY_OVERPASS_FIELD(o, latitude)[i]) != SIZE_MAX) {
      o->cluster_used[c] = true;
    }
  }
}

sky_status sky_overpass_create(sky_context *ctx, const sky_grid *grid, uint64_t seed,
                               uint64_t number, sky_overpass *o) {
  sky_status st = SKY_OK;
  o->start = 86400.0 * (double)sky_days_from_civil(o->year, o->month, o->day) + o->first_second;
  for (size_t f = 0; f < SKY_SYNTH_FIELD_COUNT; f++) {
    SKY_GO_ALLOC(o->field[f], SKY_NEW0(ctx, double, sky_overpass_pixels(o) * LENGTH[f]));
  }
  for (size_t i = 0; i < sky_overpass_pixels(o); i++)
    create_pixel(o, grid, seed, number, i);
  create_clusters(o, grid);
cleanup:
  if (st != SKY_OK) sky_overpass_free(o);
  return st;
}

void sky_overpass_footprint(const sky_overpass *o, size_t cluster, const sky_grid *grid,
                            const double *area, double *row) {
  const sky_plume plume = {.lon = o->cluster_lon[cluster],
                           .lat = o->cluster_lat[cluster],
                           .speed = o->wind_speed,
                           .from = o->wind_from,
                           .width = o->place.width,
                           .air = o->cluster_air[cluster]};
  sky_plume_footprint(&plume, grid, area, row);
}

void sky_overpass_retrieve(sky_overpass *o, const double *x, double precision) {
  for (size_t i = 0; i < sky_overpass_pixels(o); i++) {
    const bool retrieved = SKY_OVERPASS_FIELD(o, qa_value)[i] > QA_NONE;
    const double albedo_bias = 60e-9 * (SKY_OVERPASS_FIELD(o, surface_albedo_SWIR)[i] - 0.2);
    SKY_OVERPASS_FIELD(o, methane_mixing_ratio_bias_corrected)[i] = retrieved ? 1e9 * x[i] : NAN;
    SKY_OVERPASS_FIELD(o, methane_mixing_ratio)[i] = retrieved ? 1e9 * (x[i] + albedo_bias) : NAN;
    SKY_OVERPASS_FIELD(o, methane_mixing_ratio_precision)[i] = retrieved ? 1e9 * precision : NAN;
  }
}

/* A quoted CDL list of the scanlines' times. */
static char *scanline_times(sky_context *ctx, const sky_overpass *o) {
  sky_text t = {.ctx = ctx};
  for (size_t s = 0; s < o->place.scanlines; s++) {
    const double at = o->start + SCANLINE_SECONDS * (double)s;
    char iso[32];
    sky_time_format(floor(at), iso, sizeof iso); /* YYYY-MM-DDThh:mm:ssZ */
    sky_text_printf(&t, "%s\"%.19s.%06dZ\"", s == 0 ? "" : ", ", iso,
                    (int)(1e6 * (at - floor(at))));
  }
  return sky_text_take(&t);
}

/* "20190212T054012" of a time. */
static void stamp(double at, char out[16]) {
  char iso[32];
  sky_time_format(at, iso, sizeof iso);
  (void)snprintf(out, 16, "%.4s%.2s%.2sT%.2s%.2s%.2s", iso, iso + 5, iso + 8, iso + 11, iso + 14,
                 iso + 17);
}

sky_status sky_overpass_write(sky_context *ctx, const sky_overpass *o, const char *dir) {
  char *path = NULL, *times = NULL;
  sky_status st = SKY_OK;
  const double day = o->start - o->first_second;
  const double end = o->start + SCANLINE_SECONDS * ((double)o->place.scanlines - 1);
  char name[96], from[16], to[16], made[16], iso_day[32], iso_from[32], iso_to[32], digits[3][24];
  stamp(o->start - 3000, from); /* an orbit of 101 minutes around the scene */
  stamp(o->start + 3090, to);
  stamp(day + 6 * 86400, made);
  (void)snprintf(name, sizeof name, "S5P_TEST_L2__CH4____%s_%s_%05d_01_010202_%s", from, to,
                 o->orbit, made);
  sky_time_format(day, iso_day, sizeof iso_day);
  sky_time_format(o->start, iso_from, sizeof iso_from);
  sky_time_format(end, iso_to, sizeof iso_to);
  (void)snprintf(digits[0], sizeof digits[0], "%d", o->orbit);
  (void)snprintf(digits[1], sizeof digits[1], "%zu", o->place.scanlines);
  (void)snprintf(digits[2], sizeof digits[2], "%zu", o->place.pixels);
  double delta[SKY_SYNTH_SCANLINES], index[SKY_SYNTH_SCANLINES] = {0};
  for (size_t s = 0; s < o->place.scanlines; s++) {
    delta[s] = floor(1000 * (o->first_second + SCANLINE_SECONDS * (double)s) + 0.5);
  }
  for (size_t s = 0; s < SKY_SYNTH_SCANLINES; s++)
    index[s] = (double)s;
  const double since_2010 = day - 86400.0 * (double)sky_days_from_civil(2010, 1, 1);
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/%s.nc", dir, name));
  SKY_GO_ALLOC(times, scanline_times(ctx, o));
  const sky_synth_value values[] = {
#define VALUE_OF(field_name, length, n_digits) \
  {.name = #field_name,                        \
   .number = o->field[SKY_SYNTH_##field_name], \
   .count = sky_overpass_pixels(o) * (length), \
   .digits = (n_digits)},
      SKY_SYNTH_FIELDS(VALUE_OF)
#undef VALUE_OF
          {.name = "granule", .text = name},
      {.name = "scene", .text = o->place.scene},
      {.name = "time_reference", .text = iso_day},
      {.name = "reference_seconds", .number = &day, .count = 1, .digits = 17},
      {.name = "time_coverage_start", .text = iso_from},
      {.name = "time_coverage_end", .text = iso_to},
      {.name = "orbit", .text = digits[0]},
      {.name = "scanlines", .text = digits[1]},
      {.name = "ground_pixels", .text = digits[2]},
      {.name = "time_utc", .text = times},
      {.name = "time", .number = &since_2010, .count = 1, .digits = 17},
      {.name = "delta_time", .number = delta, .count = o->place.scanlines, .digits = 17},
      {.name = "scanline", .number = index, .count = o->place.scanlines, .digits = 6},
      {.name = "ground_pixel", .number = index, .count = o->place.pixels, .digits = 6},
      {.name = "corner", .number = index, .count = 4, .digits = 6},
      {.name = "layer", .number = index, .count = SKY_SYNTH_LAYERS, .digits = 6},
      {.name = "level", .number = index, .count = SKY_SYNTH_LAYERS + 1, .digits = 6}};
  SKY_GO(
      sky_synth_write_netcdf(ctx, path, "s5p_l2_ch4.cdl", values, sizeof values / sizeof *values));
cleanup:
  sky_free(path);
  sky_free(times);
  return st;
}
