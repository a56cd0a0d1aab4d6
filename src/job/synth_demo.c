/* synth_demo.c: the demo scene, matched case: the truth is one draw of what its job assumes.
 *
 * Inventory: a rural background and Gaussian hot spots (mines, landfill, gas grid). Truth:
 *     F = F_inventory (1 + sigma g),  g ~ N(0, exp(-d/L)),
 * with the sigma and L that the job states, so that the posterior must be calibrated. (Being
 * Gaussian, it makes a weak sink of one cell in 160.) One offset of the background per overpass and
 * every error are drawn as the job states them, too. The footprints in the file are those that made
 * the observations: transport error enters as noise only. */
#include "src/job/synth_demo.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/grid_area.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/covariance.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/job/synth_files.h"
#include "src/job/synth_overpass.h"
#include "src/job/synth_plume.h"
#include "src/read/flux.h"
#include "src/read/zones_ogr.h"

/* What demo.yaml states, and what the truth is drawn from. */
static const double SIGMA = 0.4;       /* relative error of the inventory */
static const double LENGTH = 20e3;     /* m, of its exponential correlation */
static const double OFFSET_SD = 15e-9; /* mol mol-1, background of an overpass */
static const double RURAL = 6e-9;      /* mol m-2 s-1 */

static const double PRECISION = 10e-9; /* mol mol-1, of a sounding */

enum { STREAM_TRUTH = 1, STREAM_OFFSET = 2 };
enum { /* the overpass number is added */
       STREAM_CLOUD = 100,
       STREAM_NOISE = 500,
       STREAM_CLUSTER = 600,
       STREAM_TRANSPORT = 700
};

static const struct {      /* hot spots of the inventory */
  double lon, lat, radius; /* degrees, m */
  double total;            /* t CH4 yr-1 */
} SPOT[] = {
    {115.75, 40.18, 7000, 260e3}, /* mines, northwest county */
    {116.20, 40.20, 7000, 90e3},  /* mines, northeast county */
    {115.78, 39.83, 6000, 180e3}, /* mines, southwest county */
    {116.22, 39.84, 5000, 60e3},  /* landfill, southeast county */
    {115.97, 40.03, 8000, 80e3},  /* gas grid and waste water of the town */
    {116.85, 39.34, 6000, 70e3},  /* below the cloud of the east ridge */
    {115.25, 39.40, 6000, 60e3},  /* outside every zone */
};

enum { OVERPASSES = 2 };

typedef struct scene {
  sky_grid grid;
  size_t n;
  double *area, *inventory, *truth; /* [n] m2, mol m-2 s-1 */
  double *row;                      /* [n] work */
  sky_overpass overpass[OVERPASSES];
  size_t n_receptors;
} scene;

static void scene_free(scene *s) {
  sky_grid_free(&s->grid);
  sky_free(s->area);
  sky_free(s->inventory);
  sky_free(s->truth);
  sky_free(s->row);
  for (size_t p = 0; p < OVERPASSES; p++)
    sky_overpass_free(&s->overpass[p]);
}

/* ---- fluxes ---- */

static void make_inventory(scene *s) {
  const double molar = sky_species_find("ch4")->molar_mass;
  const double pi = 3.14159265358979323846;
  for (size_t c = 0; c < s->n; c++) {
    double lon, lat;
    sky_grid_centre(&s->grid, c, &lon, &lat);
    s->inventory[c] = RURAL;
    for (size_t k = 0; k < sizeof SPOT / sizeof *SPOT; k++) {
      const double d = sky_distance(lon, lat, SPOT[k].lon, SPOT[k].lat) / SPOT[k].radius;
      const double rate = 1e3 * SPOT[k].total / SKY_SECONDS_PER_YEAR / molar; /* mol s-1 */
      s->inventory[c] += rate / (2 * pi * SPOT[k].radius * SPOT[k].radius) * exp(-0.5 * d * d);
    }
  }
}

static double cell_distance(const void *user, size_t i, size_t j) {
  return sky_grid_distance(user, i, j);
}

static sky_status draw_truth(sky_context *ctx, scene *s, uint64_t seed) {
  double *correlation = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(correlation, SKY_NEW(ctx, double, s->n * s->n));
  sky_correlation_matrix(ctx, (sky_correlation){SKY_CORR_EXPONENTIAL, 0}, LENGTH, cell_distance,
                         &s->grid, s->n, correlation);
  SKY_GO(sky_cholesky(ctx, s->n, correlation));
  for (size_t i = 0; i < s->n; i++)
    s->row[i] = sky_rng_normal(seed, STREAM_TRUTH, i);
  for (size_t i = 0; i < s->n; i++) {
    s->truth[i] = s->inventory[i] * (1 + SIGMA * sky_dot(correlation + i * s->n, s->row, i + 1));
  }
cleanup:
  sky_free(correlation);
  return st;
}

static sky_status make_scene(sky_context *ctx, scene *s) {
  SKY_TRY(sky_grid_from_box(ctx, "EPSG:4326", 115, 39, 117, 41, 0.05, 0.05, &s->grid));
  s->n = sky_grid_cells(&s->grid);
  s->area = SKY_NEW(ctx, double, s->n);
  s->inventory = SKY_NEW(ctx, double, s->n);
  s->truth = SKY_NEW(ctx, double, s->n);
  s->row = SKY_NEW(ctx, double, s->n);
  if (s->area == NULL || s->inventory == NULL || s->truth == NULL || s->row == NULL) {
    return SKY_E_NOMEM;
  }
  SKY_TRY(sky_grid_areas(ctx, &s->grid, s->area));
  make_inventory(s);
  return SKY_OK;
}

/* ---- the land below ---- */

enum { CLASS_CROPLAND = 20, CLASS_URBAN = 12, CLASS_SNOW = 188 }; /* land, covers the majority */
static const double CLOUD_EDGE = 116.55; /* degrees east: cloud on the ridge, every day */

/* A ridge in the northwest reaches the snow line. */
static double altitude(const void *user, double lon, double lat) {
  (void)user;
  const double x = (lon - 115.25) / 0.25, y = (lat - 40.75) / 0.25;
  return 350 + 120 * (lat - 40.0) + 1700 * exp(-0.5 * (x * x + y * y));
}

static uint8_t surface_class(const void *user, double lon, double lat, double height) {
  (void)user;
  if (height > 1500) return CLASS_SNOW;
  const double x = (lon - 115.97) / 0.12, y = (lat - 40.03) / 0.10;
  return x * x + y * y < 1 ? CLASS_URBAN : CLASS_CROPLAND;
}

static double cloud(const void *user, uint64_t seed, uint64_t number, double lon, double lat) {
  (void)user;
  if (lon > CLOUD_EDGE) return 9;
  sky_waves waves;
  sky_waves_make(seed, STREAM_CLOUD + number, 9, &waves);
  return sky_waves_at(&waves, lon - 116, lat - 40);
}

static const sky_overpass_place PLACE = {.scanlines = 32,
                                         .pixels = 26,
                                         .block = 2,
                                         .pixel = 7000,
                                         .width = 4041,        /* of a 14 km wide box */
                                         .declination = -13.9, /* mid-February */
                                         .scene = "demo",
                                         .altitude = altitude,
                                         .surface = surface_class,
                                         .cloud = cloud};

/* ---- observations ---- */

/* Errors of soundings that share a cluster correlate by 0.3, and the transport of each cluster
 * adds 3 ppb: what the job of the scene states. */
static sky_status retrieve(sky_context *ctx, sky_overpass *o, uint64_t seed, uint64_t number,
                           double offset, const double *enhancement) {
  const double shared = 0.3, transport = 3e-9;
  const size_t n = sky_overpass_pixels(o);
  double *column = SKY_NEW0(ctx, double, n);
  if (column == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    const size_t c = sky_overpass_cluster(o, i);
    double x = 0;
    for (size_t k = 0; k < SKY_SYNTH_LAYERS; k++) {
      const double air = SKY_OVERPASS_FIELD(o, dry_air_subcolumns)[12 * i + k];
      const double prior = SKY_OVERPASS_FIELD(o, methane_profile_apriori)[12 * i + k] / air;
      /* Fresh methane sits in the two lowest layers, about the boundary layer. */
      const double fresh = k + 2 >= SKY_SYNTH_LAYERS ? 0.5 * SKY_SYNTH_LAYERS * enhancement[c] : 0;
      const double kernel = SKY_OVERPASS_FIELD(o, column_averaging_kernel)[12 * i + k];
      x += (prior + kernel * (offset + fresh)) / SKY_SYNTH_LAYERS;
    }
    x += PRECISION * sqrt(1 - shared) * sky_rng_normal(seed, STREAM_NOISE + number, i) +
         PRECISION * sqrt(shared) * sky_rng_normal(seed, STREAM_CLUSTER + number, c) +
         transport * sky_rng_normal(seed, STREAM_TRANSPORT + number, c);
    column[i] = x;
  }
  sky_overpass_retrieve(o, column, PRECISION);
  sky_free(column);
  return SKY_OK;
}

static sky_status observe(sky_context *ctx, scene *s, uint64_t seed) {
  static const sky_overpass PLAN[OVERPASSES] = {{.year = 2019,
                                                 .month = 2,
                                                 .day = 12,
                                                 .orbit = 6907,
                                                 .first_second = 20412,
                                                 .wind_speed = 3.5,
                                                 .wind_from = 225},
                                                {.year = 2019,
                                                 .month = 2,
                                                 .day = 14,
                                                 .orbit = 6935,
                                                 .first_second = 18180,
                                                 .wind_speed = 4.5,
                                                 .wind_from = 305}};
  for (size_t p = 0; p < OVERPASSES; p++) {
    sky_overpass *o = &s->overpass[p];
    *o = PLAN[p];
    o->place = PLACE;
    SKY_TRY(sky_overpass_create(ctx, &s->grid, seed, p, o));
    double enhancement[SKY_SYNTH_CLUSTERS] = {0};
    for (size_t c = 0; c < sky_overpass_clusters(o); c++) {
      sky_overpass_footprint(o, c, &s->grid, s->area, s->row);
      enhancement[c] = sky_dot(s->row, s->truth, s->n);
      if (o->cluster_used[c]) s->n_receptors++;
    }
    const double offset = OFFSET_SD * sky_rng_normal(seed, STREAM_OFFSET, p);
    SKY_TRY(retrieve(ctx, o, seed, p, offset, enhancement));
  }
  return SKY_OK;
}

/* ---- footprint file ---- */

enum { HEIGHTS = 20 }; /* 1 km layers, as in the files of NAME */
enum { NORTH, EAST, SOUTH, WEST, SIDES };

typedef struct footprint_file { /* arrays of the file, time fastest */
  size_t n;                     /* receptors */
  double *fp, *time, *lon, *lat, *speed, *from, *pressure;
  double *left[SIDES]; /* [HEIGHTS * cells of the side * n] */
} footprint_file;

static void footprint_file_free(footprint_file *f) {
  double *all[] = {f->fp,         f->time,        f->lon,       f->lat,
                   f->speed,      f->from,        f->pressure,  f->left[NORTH],
                   f->left[EAST], f->left[SOUTH], f->left[WEST]};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    sky_free(all[i]);
}

static sky_status footprint_file_alloc(sky_context *ctx, const scene *s, footprint_file *f) {
  const size_t n = f->n = s->n_receptors;
  struct {
    double **array;
    size_t length;
  } all[] = {{&f->fp, s->n},
             {&f->time, 1},
             {&f->lon, 1},
             {&f->lat, 1},
             {&f->speed, 1},
             {&f->from, 1},
             {&f->pressure, 1},
             {&f->left[NORTH], HEIGHTS * s->grid.nx},
             {&f->left[EAST], HEIGHTS * s->grid.ny},
             {&f->left[SOUTH], HEIGHTS * s->grid.nx},
             {&f->left[WEST], HEIGHTS * s->grid.ny}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    *all[i].array = SKY_NEW0(ctx, double, n *all[i].length);
    if (*all[i].array == NULL) return SKY_E_NOMEM;
  }
  return SKY_OK;
}

/* Where the straight way upwind leaves the grid: its side and cell there; SIDES if it never meets
 * the grid. */
static int exit_side(const sky_grid *g, const sky_overpass *o, size_t cluster, size_t *cell) {
  const double rad = 3.14159265358979323846 / 180;
  const double lon = o->cluster_lon[cluster], lat = o->cluster_lat[cluster];
  const double dx = sin(o->wind_from * rad) / cos(lat * rad), dy = cos(o->wind_from * rad);
  const double x_out = dx > 0 ? g->x_edge[g->nx] : g->x_edge[0];
  const double y_out = dy > 0 ? g->y_edge[g->ny] : g->y_edge[0];
  const double tx = (x_out - lon) / dx, ty = (y_out - lat) / dy;
  const double t = tx < ty ? tx : ty;
  if (t < 0) return SIDES;
  const double x = lon + t * dx, y = lat + t * dy;
  if (tx < ty) {
    if (y < g->y_edge[0] || y > g->y_edge[g->ny]) return SIDES;
    *cell = sky_grid_find(g, x_out, y) / g->nx;
    return dx > 0 ? EAST : WEST;
  }
  if (x < g->x_edge[0] || x > g->x_edge[g->nx]) return SIDES;
  *cell = sky_grid_find(g, x, y_out) % g->nx;
  return dy > 0 ? NORTH : SOUTH;
}

static void put_receptor(const scene *s, const sky_overpass *o, size_t cluster, size_t r,
                         double *row, footprint_file *f) {
  const double year = 86400.0 * (double)sky_days_from_civil(2019, 1, 1);
  sky_overpass_footprint(o, cluster, &s->grid, s->area, row);
  for (size_t c = 0; c < s->n; c++)
    f->fp[c * f->n + r] = row[c];
  /* The period of a minute surrounds the soundings; milliseconds keep the times of a row apart. */
  f->time[r] = o->cluster_time[cluster] - year - 30 +
               0.001 * (double)(cluster % (o->place.pixels / o->place.block));
  f->lon[r] = o->cluster_lon[cluster];
  f->lat[r] = o->cluster_lat[cluster];
  f->speed[r] = o->wind_speed;
  f->from[r] = o->wind_from;
  f->pressure[r] = 1e-2 * (o->cluster_air[cluster] * 9.80665 * 0.0289652 + 10); /* hPa */
  size_t cell = 0;
  const int side = exit_side(&s->grid, o, cluster, &cell);
  if (side == SIDES) return;
  const size_t cells = side == NORTH || side == SOUTH ? s->grid.nx : s->grid.ny;
  for (size_t h = 0; h < HEIGHTS; h++) { /* particles spread like air; those above 20 km are lost */
    const double share = exp(-1000.0 * (double)h / 8000) - exp(-1000.0 * (double)(h + 1) / 8000);
    f->left[side][(h * cells + cell) * f->n + r] = share;
  }
}

/* Centres of the cells along an axis. */
static double *centres(sky_context *ctx, const double *edge, size_t n) {
  double *c = SKY_NEW(ctx, double, n);
  for (size_t i = 0; c != NULL && i < n; i++)
    c[i] = 0.5 * (edge[i] + edge[i + 1]);
  return c;
}

static sky_status write_footprints(sky_context *ctx, const scene *s, const char *path) {
  footprint_file f = {0};
  double *lon = NULL, *lat = NULL, height[HEIGHTS];
  char nx[24], ny[24], receptors[24];
  sky_status st = SKY_OK;
  SKY_GO(footprint_file_alloc(ctx, s, &f));
  size_t r = 0;
  for (size_t p = 0; p < OVERPASSES; p++) {
    for (size_t c = 0; c < sky_overpass_clusters(&s->overpass[p]); c++) {
      if (s->overpass[p].cluster_used[c]) put_receptor(s, &s->overpass[p], c, r++, s->row, &f);
    }
  }
  for (size_t h = 0; h < HEIGHTS; h++)
    height[h] = 500 + 1000 * (double)h;
  SKY_GO_ALLOC(lon, centres(ctx, s->grid.x_edge, s->grid.nx));
  SKY_GO_ALLOC(lat, centres(ctx, s->grid.y_edge, s->grid.ny));
  (void)snprintf(nx, sizeof nx, "%zu", s->grid.nx);
  (void)snprintf(ny, sizeof ny, "%zu", s->grid.ny);
  (void)snprintf(receptors, sizeof receptors, "%zu", f.n);
  const size_t n_x = HEIGHTS * s->grid.nx * f.n, n_y = HEIGHTS * s->grid.ny * f.n;
  const sky_synth_value values[] = {
      {.name = "receptors", .text = receptors},
      {.name = "nx", .text = nx},
      {.name = "ny", .text = ny},
      {.name = "time", .number = f.time, .count = f.n, .digits = 15},
      {.name = "lon", .number = lon, .count = s->grid.nx, .digits = 9},
      {.name = "lat", .number = lat, .count = s->grid.ny, .digits = 9},
      {.name = "fp", .number = f.fp, .count = s->n * f.n, .digits = 7},
      {.name = "wind_speed", .number = f.speed, .count = f.n, .digits = 6},
      {.name = "wind_direction", .number = f.from, .count = f.n, .digits = 6},
      {.name = "pressure", .number = f.pressure, .count = f.n, .digits = 7},
      {.name = "release_lon", .number = f.lon, .count = f.n, .digits = 9},
      {.name = "release_lat", .number = f.lat, .count = f.n, .digits = 9},
      {.name = "height", .number = height, .count = HEIGHTS, .digits = 6},
      {.name = "particle_locations_n", .number = f.left[NORTH], .count = n_x, .digits = 6},
      {.name = "particle_locations_e", .number = f.left[EAST], .count = n_y, .digits = 6},
      {.name = "particle_locations_s", .number = f.left[SOUTH], .count = n_x, .digits = 6},
      {.name = "particle_locations_w", .number = f.left[WEST], .count = n_y, .digits = 6}};
  SKY_GO(
      sky_synth_write_netcdf(ctx, path, "footprint.cdl", values, sizeof values / sizeof *values));
cleanup:
  footprint_file_free(&f);
  sky_free(lon);
  sky_free(lat);
  return st;
}

/* ---- the other files ---- */

static sky_status write_flux(sky_context *ctx, const scene *s, const double *flux,
                             const char *title, const char *source, const char *path) {
  double *lon = NULL, *lat = NULL;
  char nx[24], ny[24];
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(lon, centres(ctx, s->grid.x_edge, s->grid.nx));
  SKY_GO_ALLOC(lat, centres(ctx, s->grid.y_edge, s->grid.ny));
  (void)snprintf(nx, sizeof nx, "%zu", s->grid.nx);
  (void)snprintf(ny, sizeof ny, "%zu", s->grid.ny);
  const sky_synth_value values[] = {
      {.name = "nx", .text = nx},
      {.name = "ny", .text = ny},
      {.name = "title", .text = title},
      {.name = "source", .text = source},
      {.name = "flux", .number = flux, .count = s->n, .digits = 9},
      {.name = "lat", .number = lat, .count = s->grid.ny, .digits = 9},
      {.name = "lon", .number = lon, .count = s->grid.nx, .digits = 9}};
  SKY_GO(sky_synth_write_netcdf(ctx, path, "flux.cdl", values, sizeof values / sizeof *values));
cleanup:
  sky_free(lon);
  sky_free(lat);
  return st;
}

/* Totals of every zone: what the inventory says and what is true. */
static sky_status write_truth(sky_context *ctx, const scene *s, const char *zones_path,
                              const char *path) {
  const sky_zones_options options = {.id = "id", .name = "name", .level = "county"};
  const double molar = sky_species_find("ch4")->molar_mass;
  const double tonnes = molar * SKY_SECONDS_PER_YEAR * 1e-3;
  sky_text t = {.ctx = ctx};
  sky_zones zones = {0};
  char *text = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_zones_read(ctx, zones_path, &options, &s->grid, &zones));
  sky_text_put(&t, "zone_id,gas,truth_t_yr,inventory_t_yr\n");
  for (size_t z = 0; z < zones.n; z++) {
    sky_coverage cover = {0};
    SKY_GO(sky_zone_coverage(ctx, &zones.zone[z], &s->grid, &cover));
    sky_acc truth = {0}, inventory = {0};
    for (size_t i = 0; i < cover.n; i++) {
      const double weight = tonnes * s->area[cover.cell[i]] * cover.fraction[i];
      sky_acc_add(&truth, weight * s->truth[cover.cell[i]]);
      sky_acc_add(&inventory, weight * s->inventory[cover.cell[i]]);
    }
    sky_text_printf(&t, "%s,ch4,%.10g,%.10g\n", zones.zone[z].id, sky_acc_value(&truth),
                    sky_acc_value(&inventory));
    sky_coverage_free(&cover);
  }
  SKY_GO_ALLOC(text, sky_text_take(&t));
  SKY_GO(sky_file_write_text(ctx, path, text, strlen(text)));
cleanup:
  sky_text_free(&t);
  sky_free(text);
  sky_zones_free(&zones);
  return st;
}

static sky_status write_job(sky_context *ctx, const char *dir, const char *path) {
  sky_text t = {.ctx = ctx};
  sky_text_json(&t, dir); /* a JSON string is a YAML string */
  char *quoted = sky_text_take(&t);
  if (quoted == NULL) return SKY_E_NOMEM;
  const sky_synth_value values[] = {{.name = "dir", .text = quoted}};
  const sky_status st = sky_synth_write_text(ctx, path, "demo.yaml", values, 1);
  sky_free(quoted);
  return st;
}

static sky_status write_scene(sky_context *ctx, const scene *s, const char *dir) {
  static const char *const NAMES[] = {"zones.geojson",
                                      "inventory_ch4_demo_2019.nc",
                                      "truth_ch4_demo_2019.nc",
                                      "DEMO-column_PLUME_DEMO_201902.nc",
                                      "truth.csv",
                                      "demo.yaml"};
  enum { ZONES, INVENTORY, TRUTH, FOOTPRINTS, TOTALS, JOB, FILES };
  char *path[FILES] = {NULL};
  sky_status st = SKY_OK;
  for (size_t i = 0; i < FILES; i++) {
    SKY_GO_ALLOC(path[i], sky_sprintf(ctx, "%s/%s", dir, NAMES[i]));
  }
  for (size_t p = 0; p < OVERPASSES; p++)
    SKY_GO(sky_overpass_write(ctx, &s->overpass[p], dir));
  SKY_GO(write_footprints(ctx, s, path[FOOTPRINTS]));
  SKY_GO(write_flux(ctx, s, s->inventory, "Inventory of the demo scene", "demo-inventory",
                    path[INVENTORY]));
  SKY_GO(write_flux(ctx, s, s->truth, "True flux of the demo scene", "demo-truth", path[TRUTH]));
  SKY_GO(sky_synth_write_text(ctx, path[ZONES], "zones.geojson", NULL, 0));
  SKY_GO(write_truth(ctx, s, path[ZONES], path[TOTALS]));
  SKY_GO(write_job(ctx, dir, path[JOB])); /* last: a job file means that its scene is complete */
cleanup:
  for (size_t i = 0; i < FILES; i++)
    sky_free(path[i]);
  return st;
}

sky_status sky_synth_demo(sky_context *ctx, const char *dir, uint64_t seed) {
  scene s = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_file_mkdirs(ctx, dir));
  SKY_GO(make_scene(ctx, &s));
  SKY_GO(draw_truth(ctx, &s, seed));
  SKY_GO(observe(ctx, &s, seed));
  SKY_GO(write_scene(ctx, &s, dir));
cleanup:
  scene_free(&s);
  return st;
}
