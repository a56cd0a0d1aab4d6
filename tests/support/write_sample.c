/* write_sample.c: writes one of everything from invented data, for the scripts that open the files
 * with other programs. Usage: write_sample FOLDER [report-only] */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/write/nc_write.h"
#include "src/write/report.h"
#include "src/write/zone_table.h"

#define DIE(expr)                                                         \
  do {                                                                    \
    const sky_status die_ = (expr);                                       \
    if (die_ != SKY_OK) {                                                 \
      fprintf(stderr, "%s: %s\n", sky_status_name(die_), sky_error(ctx)); \
      return 1;                                                           \
    }                                                                     \
  } while (0)

static const char *const tags[] = {"TIFFTAG_SOFTWARE=skyflux 0.1.0", "JOB_SHA256=0123456789abcdef",
                                   NULL};
static const char *const globals[] = {"title=Invented fields", "source=skyflux 0.1.0",
                                      "history=skyflux run sample.yaml", "license=CC0-1.0", NULL};

/* A cell's value tells where it is: 1000*row from the south + column. */
static void fill(const sky_grid *g, double *v, double scale) {
  for (size_t i = 0; i < sky_grid_cells(g); i++) {
    v[i] = scale * (1000.0 * (double)(i / g->nx) + (double)(i % g->nx));
  }
}

static sky_status write_small(sky_context *ctx, const char *dir) {
  sky_status st = SKY_OK;
  sky_grid g = {0}, utm = {0};
  double value[60 * 40], increment[60 * 40];
  char path[512];
  SKY_GO(sky_grid_from_box(ctx, "EPSG:4326", -10, 40, 20, 60, 0.5, 0.5, &g));
  SKY_GO(sky_grid_from_box(ctx, "EPSG:32650", 400000, 4400000, 460000, 4440000, 1000, 1000, &utm));
  fill(&g, value, 1.0);
  for (size_t i = 0; i < 60 * 40; i++)
    increment[i] = sin(0.1 * (double)i);
  value[7] = NAN;
  const sky_field fields[] = {
      {"ch4_posterior", "CH4 posterior flux", "surface_upward_mole_flux_of_methane", "umol m-2 s-1",
       SKY_FIELD_INTENSIVE, value},
      {"ch4_posterior_sd", "standard deviation of the CH4 posterior flux", NULL, "umol m-2 s-1",
       SKY_FIELD_INTENSIVE, value},
      {"ch4_increment", "CH4 posterior minus prior", NULL, "umol m-2 s-1", SKY_FIELD_INTENSIVE,
       increment},
  };
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s.tif", dir, fields[i].name);
    SKY_GO(sky_cog_write(ctx, path, &g, &fields[i], tags));
  }
  snprintf(path, sizeof path, "%s/fields.nc", dir);
  SKY_GO(sky_fields_nc_write(ctx, path, &g, fields, 3, globals));
  snprintf(path, sizeof path, "%s/utm.tif", dir);
  SKY_GO(sky_cog_write(ctx, path, &utm, &fields[0], tags));
  snprintf(path, sizeof path, "%s/utm.nc", dir);
  SKY_GO(sky_fields_nc_write(ctx, path, &utm, fields, 3, globals));

cleanup:
  sky_grid_free(&g);
  sky_grid_free(&utm);
  return st;
}

/* Larger than a tile on both axes, so that there are overviews; sums must survive them. */
static sky_status write_large(sky_context *ctx, const char *dir) {
  sky_status st = SKY_OK;
  sky_grid g = {0};
  double *v = NULL;
  char path[512];
  SKY_GO(sky_grid_from_box(ctx, "EPSG:4326", 100, 20, 111, 27, 0.01, 0.01, &g));
  SKY_GO_ALLOC(v, SKY_NEW(ctx, double, sky_grid_cells(&g)));
  for (size_t i = 0; i < sky_grid_cells(&g); i++)
    v[i] = (double)(i % 7);
  v[0] = NAN;
  for (int kind = 0; kind < 3; kind++) {
    static const char *const names[] = {"mean", "sum", "class"};
    const sky_field f = {names[kind],          "invented", NULL, kind == 1 ? "t yr-1" : "1",
                         (sky_field_kind)kind, v};
    snprintf(path, sizeof path, "%s/large_%s.tif", dir, names[kind]);
    SKY_GO(sky_cog_write(ctx, path, &g, &f, tags));
  }

cleanup:
  sky_free(v);
  sky_grid_free(&g);
  return st;
}

static double west_x[] = {-8, 0, 0.5, 0.2, -7}, west_y[] = {42, 41, 50, 57, 56};
static double lake_x[] = {-5, -5, -3, -3}, lake_y[] = {48, 50, 50, 48};
static double isle_x[] = {-9.5, -9, -9, -9.5}, isle_y[] = {52, 52, 53, 53};
static double east_x[] = {0.5, 18, 19, 8, 0.2}, east_y[] = {50, 44, 57, 59, 57};

static sky_ring west_rings[] = {
    {5, west_x, west_y, false}, {4, lake_x, lake_y, true}, {4, isle_x, isle_y, false}};
static sky_ring east_rings[] = {{5, east_x, east_y, false}};
static sky_zone zone_list[] = {
    {.id = "east",
     .name = "East <b>\"Land\"</b>",
     .level = "state",
     .n_rings = 1,
     .ring = east_rings},
    {.id = "void", .name = "Nowhere, really", .level = "state", .role = SKY_ZONE_OUTSIDE},
    {.id = "west", .name = "West & Isle", .level = "state", .n_rings = 3, .ring = west_rings}};
static const sky_zones zones = {3, zone_list};

static const sky_zone_row rows[] = {
    {"east",
     "East <b>\"Land\"</b>",
     "state",
     "report",
     "ch4",
     812345.25,
     0.998,
     1234,
     1893.21,
     0.4,
     1.2e6,
     3.1e5,
     1.62e6,
     9.4e4,
     "mean",
     1.3e6,
     2.2e5,
     1.28e6,
     "gepa",
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     1.53e6,
     8.6e4,
     "posterior and inventory, fused",
     3.25,
     0.908,
     0.93,
     2.4e5,
     3.4,
     0.00067,
     0.0013,
     "higher",
     "top-down is 340 kt yr-1 above the inventory"},
    {"east",
     "East <b>\"Land\"</b>",
     "state",
     "report",
     "co2",
     812345.25,
     0.998,
     20,
     419.01,
     0.21,
     NAN,
     NAN,
     NAN,
     NAN,
     "",
     4.5e8,
     2.1e7,
     NAN,
     "edgar, v7",
     1.2e7,
     9e5,
     -3.1e7,
     6e6,
     NAN,
     NAN,
     NAN,
     NAN,
     4.5e8,
     2.1e7,
     "inventory alone: no footprints",
     NAN,
     NAN,
     NAN,
     INFINITY,
     NAN,
     NAN,
     NAN,
     "not comparable",
     "no footprints"},
    {"void",
     "Nowhere, really",
     "state",
     "report",
     "ch4",
     0,
     0,
     0,
     NAN,
     NAN,
     0,
     0,
     0,
     0,
     "mean",
     NAN,
     NAN,
     NAN,
     NULL,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NULL,
     0,
     0,
     0,
     INFINITY,
     NAN,
     NAN,
     NAN,
     "not comparable",
     "no cell of the grid"},
    {"west",
     "West & Isle",
     "state",
     "report",
     "ch4",
     655321.5,
     1,
     867,
     1880.5,
     0.6,
     8e5,
     2e5,
     7.9e5,
     1.9e5,
     "mean",
     7.6e5,
     1.1e5,
     7.9e5,
     "gepa",
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     NAN,
     7.9e5,
     1.9e5,
     "posterior; the inventory is its prior",
     0.2,
     0.0975,
     0.06,
     3.3e6,
     0.1,
     0.92,
     0.92,
     "insufficient information",
     "variance of the total falls by 9.8 % (20 % needed)\nsecond line"},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static sky_status write_zones(sky_context *ctx, const char *dir) {
  char path[512];
  snprintf(path, sizeof path, "%s/zones.csv", dir);
  SKY_TRY(sky_zone_table_csv(ctx, path, rows, N_ROWS));
  snprintf(path, sizeof path, "%s/zones.gpkg", dir);
  return sky_zone_table_gpkg(ctx, path, "EPSG:4326", &zones, rows, N_ROWS);
}

static sky_status write_report(sky_context *ctx, const char *dir) {
  sky_status st = SKY_OK;
  sky_grid g = {0};
  double flux[60 * 40], change[60 * 40];
  char path[512];
  SKY_GO(sky_grid_from_box(ctx, "EPSG:4326", -10, 40, 20, 60, 0.5, 0.5, &g));
  for (size_t i = 0; i < 60 * 40; i++) {
    const double x = (double)(i % 60) / 60 - 0.7, y = (double)(i / 60) / 40 - 0.6;
    flux[i] = 40 * exp(-30 * (x * x + y * y)) + 2;
    change[i] = 8 * exp(-60 * (x * x + y * y)) - 6 * exp(-60 * ((x + 0.4) * (x + 0.4) + y * y));
    if (i % 60 < 4 && i / 60 > 30) flux[i] = change[i] = NAN;
  }
  const sky_report_layer layers[] = {
      {"ch4", "Top-down flux", "nmol m-2 s-1", &g, flux, false},
      {"ch4", "Top-down minus prior", "nmol m-2 s-1", &g, change, true}};
  const sky_report_fact facts[] = {
      {"inputs", "TROPOMI CH4, blended", "3 orbits, 12 345 soundings, 4 321 good"},
      {"inputs", "Footprints", "NAME, 2 April 2023 <script>alert(1)</script>"},
      {"diagnostics", "Degrees of freedom for signal", "3.45"},
      {"diagnostics", "Innovation chi2 per observation", "1.08"},
      {"audit", "Inventory gepa, regridded", "in 2.06 Mt, out 1.9 Mt, outside 0.16 Mt"},
      {"sources", "Molar masses", "IUPAC 2021"},
      {"warnings", "job", "12 soundings lie outside the grid"},
  };
  const sky_report_headline headlines[] = {
      {"ch4", "Satellites see more methane from the East than its inventory says."},
      {"co2", "The West cannot be judged: too few <observations> reach it."}};
  const sky_report r = {
      "Invented region, CH4 & CO2",   "May 2018", NULL, layers, 2, &zones, rows, N_ROWS, facts,
      sizeof facts / sizeof facts[0], headlines,  2};
  snprintf(path, sizeof path, "%s/report.html", dir);
  SKY_GO(sky_report_write(ctx, path, &r));

cleanup:
  sky_grid_free(&g);
  return st;
}

/* A projected city with a finer patch, levels, and every column of the zone table; the park is the
 * patch. */
static double city_x[] = {252000, 296000, 290000, 258000};
static double city_y[] = {2503000, 2510000, 2546000, 2540000};
static double park_x[] = {270000, 274000, 274000, 270000};
static double park_y[] = {2520000, 2520000, 2524000, 2524000};
static sky_ring city_ring = {4, city_x, city_y, false}, park_ring = {4, park_x, park_y, false};
static sky_zone city_list[] = {
    {.id = "city", .name = "The city", .level = "city", .n_rings = 1, .ring = &city_ring},
    {.id = "park", .name = "The park", .level = "park", .n_rings = 1, .ring = &park_ring}};
static const sky_zones city_zones = {2, city_list};
static const sky_zone_row city_rows[] = {
    {.zone_id = "city",
     .zone_name = "The city",
     .level = "city",
     .role = "report",
     .gas = "co2",
     .area_km2 = 1500,
     .covered_fraction = 1,
     .n_soundings = 412,
     .column_mean = 421.7,
     .column_sd = 0.12,
     .prior = 2.51e7,
     .prior_sd = 3.1e6,
     .posterior = 2.2749e7,
     .posterior_sd = 1.44e6,
     .inventory = 2.51e7,
     .inventory_sd = 3.1e6,
     .inventory_seen = 2.47e7,
     .inventory_id = "account",
     .scope2 = 4.4e6,
     .scope2_sd = 3.9e5,
     .sink = -8.1e5,
     .sink_sd = 4.2e5,
     .sink_posterior = -7.65e5,
     .sink_posterior_sd = 3.97e5,
     .net_posterior = 2.1984e7,
     .net_posterior_sd = 1.39e6,
     .best = 2.2749e7,
     .best_sd = 1.44e6,
     .best_from = "posterior; the inventory is its prior",
     .dofs = 2.1,
     .reduction = 0.784,
     .sensitivity = 0.8,
     .detectable = 5.6e6,
     .z = -0.8,
     .p = 0.42,
     .q = 0.6,
     .status = "consistent",
     .reason = "not told from noise"},
    {.zone_id = "park",
     .zone_name = "The park",
     .level = "park",
     .role = "report",
     .gas = "co2",
     .area_km2 = 16,
     .covered_fraction = 1,
     .n_soundings = 0,
     .column_mean = NAN,
     .column_sd = NAN,
     .prior = 9.4e5,
     .prior_sd = 2.2e5,
     .posterior = 9.36e5,
     .posterior_sd = 2.1998e5,
     .inventory = 9.4e5,
     .inventory_sd = 2.2e5,
     .inventory_seen = 9.4e5,
     .inventory_id = "account",
     .scope2 = NAN,
     .scope2_sd = NAN,
     .sink = -310,
     .sink_sd = 120,
     .sink_posterior = -310.25,
     .sink_posterior_sd = 119.9,
     .net_posterior = 9.35e5,
     .net_posterior_sd = 2.2e5,
     .best = 9.4e5,
     .best_sd = 2.2e5,
     .best_from = "inventory alone",
     .dofs = 0.002,
     .reduction = 1.8e-4,
     .sensitivity = 0.01,
     .detectable = INFINITY,
     .z = NAN,
     .p = NAN,
     .q = NAN,
     .status = "insufficient information",
     .reason = "no observation sees it"},
};

/* One hot cell in the base, one in the patch. */
static sky_status write_city_report(sky_context *ctx, const char *dir) {
  sky_status st = SKY_OK;
  sky_grid base = {0}, patch = {0};
  double flux[48 * 48], fine[16 * 16];
  char path[512];
  SKY_GO(sky_grid_from_box(ctx, "EPSG:32649", 250000, 2500000, 298000, 2548000, 1000, 1000, &base));
  SKY_GO(sky_grid_from_box(ctx, "EPSG:32649", 270000, 2520000, 274000, 2524000, 250, 250, &patch));
  for (size_t i = 0; i < 48 * 48; i++)
    flux[i] = i == 40 * 48 + 5 ? 10 : 1;
  for (size_t i = 0; i < 16 * 16; i++)
    fine[i] = i == 3 * 16 + 11 ? 10 : 1;
  const sky_report_layer layers[] = {{"co2", "Top-down flux", "umol m-2 s-1", &base, flux, false},
                                     {"co2", "Top-down flux", "umol m-2 s-1", &patch, fine, false},
                                     {"ch4", "Top-down flux", "nmol m-2 s-1", &base, flux, false}};
  const sky_report_headline headline = {"co2", "The park cannot be seen."};
  const sky_report r = {.title = "City on a projected grid",
                        .crs = base.crs,
                        .layers = layers,
                        .n_layers = 3,
                        .zones = &city_zones,
                        .rows = city_rows,
                        .n_rows = 2,
                        .headlines = &headline,
                        .n_headlines = 1};
  snprintf(path, sizeof path, "%s/city.csv", dir);
  SKY_GO(sky_zone_table_csv(ctx, path, city_rows, 2));
  snprintf(path, sizeof path, "%s/city.html", dir);
  SKY_GO(sky_report_write(ctx, path, &r));

cleanup:
  sky_grid_free(&base);
  sky_grid_free(&patch);
  return st;
}

int main(int argc, char **argv) {
  sky_context *ctx = NULL;
  if (argc < 2 || sky_context_create(&ctx) != SKY_OK) return 2;
  if (argc < 3) {
    DIE(write_small(ctx, argv[1]));
    DIE(write_large(ctx, argv[1]));
  }
  DIE(write_zones(ctx, argv[1]));
  DIE(write_report(ctx, argv[1]));
  DIE(write_city_report(ctx, argv[1]));
  sky_context_free(ctx);
  return 0;
}
