/* synth_overpass.c: one overpass of the demo scene.
 *
 * Transport is a steady Gaussian plume of the vertical column. A source of Q mol s-1 in a wind U
 * leaves, at the downwind distance s and the crosswind distance n, the column
 *
 *     dN = Q / (sqrt(2 pi) sigma U) * exp(-n^2 / (2 sigma^2))           [mol m-2]
 *
 * Its integral over n is Q/U at every s: mass is conserved. sigma^2 = sigma_0^2 + (K t)^2 with the
 * travel time t = s/U, K = 0.5 m s-1 (Heffter 1965, long ranges) and sigma_0 from the width of the
 * cluster of soundings that shares a footprint. A cell of flux F and area A emits Q = F A, so that
 * the column footprint is
 *
 *     h = A / (sqrt(2 pi) sigma U N_air) * exp(-n^2 / (2 sigma^2)) * Phi(s / sigma_0)
 *
 * in (mol/mol)/(mol m-2 s-1), with N_air = (p_s - p_top) / (g M_air), 3.57e5 mol m-2 at 1013 hPa;
 * Phi, the normal distribution function, is the share of the cluster downwind of the cell. */
#include "src/job/synth_overpass.h"

#include <math.h>
#include <stdio.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/job/synth_files.h"

static const double RADIANS = 3.14159265358979323846 / 180.0;
static const double EARTH = 6371008.8;       /* m, mean radius */
static const double GRAVITY = 9.80665;       /* m s-2 */
static const double M_AIR = 0.0289652;       /* kg mol-1, dry air */
static const double P_TOP = 10.0;            /* Pa, top of the product's layers */
static const double PIXEL = 7000.0;          /* m */
static const double SCANLINE_SECONDS = 1.08; /* 7 km along track */
static const double HEADING = -12.0;         /* degrees from north, ascending orbit */
static const double SIGMA_0 = 4041.0;        /* m, standard deviation of a 14 km wide box */
static const double SPREAD = 0.5;            /* m s-1, Heffter 1965 */
static const double SCALE_HEIGHT = 8000.0;   /* m */
static const double CLOUD_EDGE = 116.55;     /* degrees east: cloud on the ridge, every day */
static const double PRIOR_COLUMN = 1880e-9;  /* mol mol-1, background of the product's a-priori */
static const double PRECISION = 10e-9;       /* mol mol-1 */

/* Shapes seen in the product, top to surface: averaging kernel and a-priori mole fraction (ppb). */
static const double KERNEL[SKY_SYNTH_LAYERS] = {0.780, 0.905, 0.978, 1.016, 1.047, 1.055,
                                                1.013, 1.004, 1.004, 1.003, 1.002, 0.999};
static const double PROFILE[SKY_SYNTH_LAYERS] = {1416, 1839, 1865, 1866, 1867, 1870,
                                                 1873, 1877, 1882, 1890, 1901, 1909};

enum { /* streams of random numbers; the overpass number is added */
       STREAM_CLOUD = 100,
       STREAM_FAILED = 200,
       STREAM_SURFACE = 300,
       STREAM_KERNEL = 400,
       STREAM_NOISE = 500,
       STREAM_CLUSTER = 600,
       STREAM_TRANSPORT = 700
};

enum { QA_GOOD = 100, QA_CLOUD_EDGE = 40, QA_NONE = 0 };
enum { CLASS_CROPLAND = 20, CLASS_URBAN = 12, CLASS_SNOW = 188 }; /* land, covers the majority */

#define FIELD(o, name) ((o)->field[SKY_SYNTH_##name])

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

/* A ridge in the northwest reaches the snow line. */
static double altitude(double lon, double lat) {
  const double x = (lon - 115.25) / 0.25, y = (lat - 40.75) / 0.25;
  return 350 + 120 * (lat - 40.0) + 1700 * exp(-0.5 * (x * x + y * y));
}

static uint8_t surface_class(double lon, double lat, double height) {
  if (height > 1500) return CLASS_SNOW;
  const double x = (lon - 115.97) / 0.12, y = (lat - 40.03) / 0.10;
  return x * x + y * y < 1 ? CLASS_URBAN : CLASS_CROPLAND;
}

/* A smooth field of waves, about N(0,1): above 0.7 cloud, just below it its edge. */
static double cloud(uint64_t seed, uint64_t number, double lon, double lat) {
  enum { WAVES = 8 };
  double sum = 0;
  for (uint64_t w = 0; w < WAVES; w++) {
    const uint64_t stream = STREAM_CLOUD + number;
    const double kx = 9 * (sky_rng_uniform(seed, stream, 3 * w) - 0.5);
    const double ky = 9 * (sky_rng_uniform(seed, stream, 3 * w + 1) - 0.5);
    const double phase = 360 * RADIANS * sky_rng_uniform(seed, stream, 3 * w + 2);
    sum += cos(kx * (lon - 116) + ky * (lat - 40) + phase);
  }
  return lon > CLOUD_EDGE ? 9 : sum / sqrt(0.5 * WAVES);
}

static void create_pixel(sky_overpass *o, const sky_grid *grid, uint64_t seed, uint64_t number,
                         size_t i) {
  const double along = ((double)(i / SKY_SYNTH_PIXELS) - 0.5 * (SKY_SYNTH_SCANLINES - 1)) * PIXEL;
  const double cross = ((double)(i % SKY_SYNTH_PIXELS) - 0.5 * (SKY_SYNTH_PIXELS - 1)) * PIXEL;
  static const double CORNER[4][2] = {{-0.5, -0.5}, {0.5, -0.5}, {0.5, 0.5}, {-0.5, 0.5}};
  double lon, lat;
  place(grid, cross, along, &lon, &lat);
  for (size_t c = 0; c < 4; c++) {
    place(grid, cross + CORNER[c][0] * PIXEL, along + CORNER[c][1] * PIXEL,
          &FIELD(o, longitude_bounds)[4 * i + c], &FIELD(o, latitude_bounds)[4 * i + c]);
  }
  const double height = altitude(lon, lat);
  const double pressure = 101325 * exp(-height / SCALE_HEIGHT);
  const double interval = (pressure - P_TOP) / SKY_SYNTH_LAYERS;
  const double grey = sky_rng_uniform(seed, STREAM_SURFACE + number, i);
  FIELD(o, longitude)[i] = lon;
  FIELD(o, latitude)[i] = lat;
  FIELD(o, surface_altitude)[i] = height;
  FIELD(o, surface_pressure)[i] = pressure;
  FIELD(o, pressure_interval)[i] = interval;
  FIELD(o, surface_classification)[i] = surface_class(lon, lat, height);
  FIELD(o, surface_albedo_SWIR)[i] = 0.14 + 0.10 * grey;
  FIELD(o, surface_albedo_NIR)[i] = 0.20 + 0.10 * grey;
  FIELD(o, aerosol_optical_thickness_SWIR)[i] = 0.05 + 0.05 * grey;
  FIELD(o, chi_square_SWIR)[i] = 700 + 200 * grey;
  FIELD(o, degrees_of_freedom_methane)[i] = 1.1 + 0.2 * grey;
  FIELD(o, solar_zenith_angle)[i] = lat + 13.9; /* local noon, declination of mid-February */
  FIELD(o, viewing_zenith_angle)[i] = fabs(atan2(cross, 824000.0)) / RADIANS;
  for (size_t k = 0; k <= SKY_SYNTH_LAYERS; k++) { /* level 0 = top */
    const double p = P_TOP + (double)k * interval;
    FIELD(o, altitude_levels)[13 * i + k] = height + SCALE_HEIGHT * log(pressure / p);
  }
  for (size_t k = 0; k < SKY_SYNTH_LAYERS; k++) {
    const double air = interval / (GRAVITY * M_AIR);
    const double wobble = 0.01 * sky_rng_normal(seed, STREAM_KERNEL + number, i);
    double mean = 0;
    for (size_t j = 0; j < SKY_SYNTH_LAYERS; j++)
      mean += PROFILE[j] / SKY_SYNTH_LAYERS;
    FIELD(o, dry_air_subcolumns)[12 * i + k] = air;
    FIELD(o, methane_profile_apriori)[12 * i + k] = air * PRIOR_COLUMN * PROFILE[k] / mean;
    /* The kernel is best known at the surface and varies above. */
    FIELD(o, column_averaging_kernel)[12 * i + k] = KERNEL[k] + wobble * (11.0 - (double)k) / 11.0;
  }
  const double overcast = cloud(seed, number, lon, lat);
  const bool failed = sky_rng_uniform(seed, STREAM_FAILED + number, i) < 0.01;
  FIELD(o, qa_value)
  [i] = overcast > 0.7 || failed ? QA_NONE : overcast > 0.55 ? QA_CLOUD_EDGE : QA_GOOD;
}

static bool good(const sky_overpass *o, size_t i) {
  return FIELD(o, qa_value)[i] >= 50 && FIELD(o, surface_classification)[i] != CLASS_SNOW;
}

static void create_clusters(sky_overpass *o, const sky_grid *grid) {
  for (size_t c = 0; c < SKY_SYNTH_CLUSTERS; c++) {
    o->cluster_lon[c] = o->cluster_lat[c] = o->cluster_air[c] = 0;
    o->cluster_used[c] = false;
    const size_t row = c / SKY_SYNTH_CLUSTER_COLUMNS;
    o->cluster_time[c] = o->start + (2.0 * (double)row + 0.5) * SCANLINE_SECONDS;
  }
  for (size_t i = 0; i < SKY_SYNTH_N; i++) {
    const size_t c = sky_overpass_cluster(i);
    o->cluster_lon[c] += 0.25 * FIELD(o, longitude)[i];
    o->cluster_lat[c] += 0.25 * FIELD(o, latitude)[i];
    o->cluster_air[c] += 0.25 * SKY_SYNTH_LAYERS * FIELD(o, dry_air_subcolumns)[12 * i];
    if (good(o, i) &&
        sky_grid_find(grid, FIELD(o, longitude)[i], FIELD(o, latitude)[i]) != SIZE_MAX) {
      o->cluster_used[c] = true;
    }
  }
}

sky_status sky_overpass_create(sky_context *ctx, const sky_grid *grid, uint64_t seed,
                               uint64_t number, sky_overpass *o) {
  sky_status st = SKY_OK;
  o->start = 86400.0 * (double)sky_days_from_civil(o->year, o->month, o->day) + o->first_second;
  for (size_t f = 0; f < SKY_SYNTH_FIELD_COUNT; f++) {
    SKY_GO_ALLOC(o->field[f], SKY_NEW0(ctx, double, SKY_SYNTH_N *LENGTH[f]));
  }
  for (size_t i = 0; i < SKY_SYNTH_N; i++)
    create_pixel(o, grid, seed, number, i);
  create_clusters(o, grid);
cleanup:
  if (st != SKY_OK) sky_overpass_free(o);
  return st;
}

void sky_overpass_footprint(const sky_overpass *o, size_t cluster, const sky_grid *grid,
                            const double *area, double *row) {
  enum { SUB = 3 }; /* points a side that a cell is averaged over */
  const double u = -sin(o->wind_from * RADIANS), v = -cos(o->wind_from * RADIANS);
  const double lon0 = o->cluster_lon[cluster], lat0 = o->cluster_lat[cluster];
  for (size_t cell = 0; cell < sky_grid_cells(grid); cell++) {
    const double *x = grid->x_edge + cell % grid->nx, *y = grid->y_edge + cell / grid->nx;
    double mean = 0;
    for (size_t k = 0; k < SUB * SUB; k++) {
      const double lon = x[0] + (x[1] - x[0]) * ((double)(k % SUB) + 0.5) / SUB;
      const double lat = y[0] + (y[1] - y[0]) * ((double)(k / SUB) + 0.5) / SUB;
      const double dx = (lon0 - lon) * RADIANS * EARTH * cos(0.5 * (lat + lat0) * RADIANS);
      const double dy = (lat0 - lat) * RADIANS * EARTH;
      const double s = dx * u + dy * v; /* the receptor lies s downwind of the cell */
      const double n = dx * v - dy * u;
      const double drift = s > 0 ? SPREAD * s / o->wind_speed : 0;
      const double sigma = sqrt(SIGMA_0 * SIGMA_0 + drift * drift);
      if (s < -4 * SIGMA_0 || fabs(n) > 5 * sigma) continue;
      mean += 0.5 * erfc(-s / SIGMA_0 * sqrt(0.5)) * exp(-0.5 * (n / sigma) * (n / sigma)) / sigma;
    }
    mean /= SUB * SUB * sqrt(360 * RADIANS);
    row[cell] = area[cell] * mean / (o->wind_speed * o->cluster_air[cluster]);
  }
}

void sky_overpass_retrieve(sky_overpass *o, uint64_t seed, uint64_t number, double offset,
                           const double *enhancement) {
  /* Errors of soundings that share a cluster correlate by 0.3, and the transport of each cluster
   * adds 3 ppb: what the job of the scene states. */
  const double shared = 0.3, transport = 3e-9;
  for (size_t i = 0; i < SKY_SYNTH_N; i++) {
    const size_t c = sky_overpass_cluster(i);
    double x = 0;
    for (size_t k = 0; k < SKY_SYNTH_LAYERS; k++) {
      const double air = FIELD(o, dry_air_subcolumns)[12 * i + k];
      const double prior = FIELD(o, methane_profile_apriori)[12 * i + k] / air;
      /* Fresh methane sits in the two lowest layers, about the boundary layer. */
      const double fresh = k + 2 >= SKY_SYNTH_LAYERS ? 0.5 * SKY_SYNTH_LAYERS * enhancement[c] : 0;
      const double kernel = FIELD(o, column_averaging_kernel)[12 * i + k];
      x += (prior + kernel * (offset + fresh)) / SKY_SYNTH_LAYERS;
    }
    x += PRECISION * sqrt(1 - shared) * sky_rng_normal(seed, STREAM_NOISE + number, i) +
         PRECISION * sqrt(shared) * sky_rng_normal(seed, STREAM_CLUSTER + number, c) +
         transport * sky_rng_normal(seed, STREAM_TRANSPORT + number, c);
    const bool retrieved = FIELD(o, qa_value)[i] > QA_NONE;
    const double albedo_bias = 60e-9 * (FIELD(o, surface_albedo_SWIR)[i] - 0.2);
    FIELD(o, methane_mixing_ratio_bias_corrected)[i] = retrieved ? 1e9 * x : NAN;
    FIELD(o, methane_mixing_ratio)[i] = retrieved ? 1e9 * (x + albedo_bias) : NAN;
    FIELD(o, methane_mixing_ratio_precision)[i] = retrieved ? 1e9 * PRECISION : NAN;
  }
}

/* A quoted CDL list of the scanlines' times. */
static char *scanline_times(sky_context *ctx, const sky_overpass *o) {
  sky_text t = {.ctx = ctx};
  for (size_t s = 0; s < SKY_SYNTH_SCANLINES; s++) {
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
  const double end = o->start + SCANLINE_SECONDS * (SKY_SYNTH_SCANLINES - 1);
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
  (void)snprintf(digits[1], sizeof digits[1], "%d", SKY_SYNTH_SCANLINES);
  (void)snprintf(digits[2], sizeof digits[2], "%d", SKY_SYNTH_PIXELS);
  double delta[SKY_SYNTH_SCANLINES], index[SKY_SYNTH_SCANLINES];
  for (size_t s = 0; s < SKY_SYNTH_SCANLINES; s++) {
    index[s] = (double)s;
    delta[s] = floor(1000 * (o->first_second + SCANLINE_SECONDS * (double)s) + 0.5);
  }
  const double since_2010 = day - 86400.0 * (double)sky_days_from_civil(2010, 1, 1);
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/%s.nc", dir, name));
  SKY_GO_ALLOC(times, scanline_times(ctx, o));
  const sky_synth_value values[] = {
#define VALUE_OF(field_name, length, n_digits) \
  {.name = #field_name,                        \
   .number = o->field[SKY_SYNTH_##field_name], \
   .count = (size_t)SKY_SYNTH_N * (length),    \
   .digits = (n_digits)},
      SKY_SYNTH_FIELDS(VALUE_OF)
#undef VALUE_OF
          {.name = "granule", .text = name},
      {.name = "time_reference", .text = iso_day},
      {.name = "reference_seconds", .number = &day, .count = 1, .digits = 17},
      {.name = "time_coverage_start", .text = iso_from},
      {.name = "time_coverage_end", .text = iso_to},
      {.name = "orbit", .text = digits[0]},
      {.name = "scanlines", .text = digits[1]},
      {.name = "ground_pixels", .text = digits[2]},
      {.name = "time_utc", .text = times},
      {.name = "time", .number = &since_2010, .count = 1, .digits = 17},
      {.name = "delta_time", .number = delta, .count = SKY_SYNTH_SCANLINES, .digits = 17},
      {.name = "scanline", .number = index, .count = SKY_SYNTH_SCANLINES, .digits = 6},
      {.name = "ground_pixel", .number = index, .count = SKY_SYNTH_PIXELS, .digits = 6},
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
