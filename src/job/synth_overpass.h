/* synth_overpass.h: one overpass of the demo scene: where the pixels lie, what they would see. */
#ifndef SKY_JOB_SYNTH_OVERPASS_H
#define SKY_JOB_SYNTH_OVERPASS_H

#include "grids/grid.h"

enum {
  SKY_SYNTH_SCANLINES = 32,
  SKY_SYNTH_PIXELS = 26, /* across track */
  SKY_SYNTH_N = SKY_SYNTH_SCANLINES * SKY_SYNTH_PIXELS,
  SKY_SYNTH_LAYERS = 12,
  SKY_SYNTH_CLUSTER_ROWS = SKY_SYNTH_SCANLINES / 2, /* 2 x 2 pixels share a receptor */
  SKY_SYNTH_CLUSTER_COLUMNS = SKY_SYNTH_PIXELS / 2,
  SKY_SYNTH_CLUSTERS = SKY_SYNTH_CLUSTER_ROWS * SKY_SYNTH_CLUSTER_COLUMNS
};

/* The variables of a pixel as the product names them, with their length per pixel and the digits
 * that are written. Layers and levels run from the top down, as in the product. */
#define SKY_SYNTH_FIELDS(F)                    \
  F(longitude, 1, 9)                           \
  F(latitude, 1, 9)                            \
  F(qa_value, 1, 3)                            \
  F(methane_mixing_ratio, 1, 9)                \
  F(methane_mixing_ratio_precision, 1, 9)      \
  F(methane_mixing_ratio_bias_corrected, 1, 9) \
  F(solar_zenith_angle, 1, 7)                  \
  F(viewing_zenith_angle, 1, 7)                \
  F(latitude_bounds, 4, 9)                     \
  F(longitude_bounds, 4, 9)                    \
  F(column_averaging_kernel, 12, 7)            \
  F(surface_albedo_SWIR, 1, 6)                 \
  F(surface_albedo_NIR, 1, 6)                  \
  F(aerosol_optical_thickness_SWIR, 1, 6)      \
  F(chi_square_SWIR, 1, 7)                     \
  F(degrees_of_freedom_methane, 1, 6)          \
  F(surface_altitude, 1, 7)                    \
  F(surface_classification, 1, 3)              \
  F(methane_profile_apriori, 12, 9)            \
  F(altitude_levels, 13, 9)                    \
  F(dry_air_subcolumns, 12, 9)                 \
  F(surface_pressure, 1, 9)                    \
  F(pressure_interval, 1, 9)

enum {
#define SKY_SYNTH_ENUM(name, length, digits) SKY_SYNTH_##name,
  SKY_SYNTH_FIELDS(SKY_SYNTH_ENUM)
#undef SKY_SYNTH_ENUM
      SKY_SYNTH_FIELD_COUNT
};

typedef struct sky_overpass {
  /* Given. */
  int year, month, day;
  int orbit;
  double first_second; /* of the first scanline, s after 00 UTC */
  double wind_speed;   /* m s-1, of the whole boundary layer */
  double wind_from;    /* degrees clockwise from north */
  /* Made. */
  double start;                         /* s since 1970 */
  double *field[SKY_SYNTH_FIELD_COUNT]; /* [SKY_SYNTH_N * length] */
  double cluster_lon[SKY_SYNTH_CLUSTERS], cluster_lat[SKY_SYNTH_CLUSTERS];
  double cluster_time[SKY_SYNTH_CLUSTERS]; /* s since 1970 */
  double cluster_air[SKY_SYNTH_CLUSTERS];  /* dry air, mol m-2 */
  bool cluster_used[SKY_SYNTH_CLUSTERS];   /* holds a good pixel inside the grid */
} sky_overpass;

/* Geometry, surface, cloud and quality of every pixel; no methane yet. */
SKY_NODISCARD sky_status sky_overpass_create(sky_context *ctx, const sky_grid *grid, uint64_t seed,
                                             uint64_t number, sky_overpass *o);
void sky_overpass_free(sky_overpass *o);

static inline size_t sky_overpass_cluster(size_t pixel) {
  return pixel / SKY_SYNTH_PIXELS / 2 * SKY_SYNTH_CLUSTER_COLUMNS + pixel % SKY_SYNTH_PIXELS / 2;
}

/* Column footprint of a cluster on the grid, (mol/mol)/(mol m-2 s-1); row [cells]. */
void sky_overpass_footprint(const sky_overpass *o, size_t cluster, const sky_grid *grid,
                            const double *area, double *row);

/* Retrieve methane: enhancement [SKY_SYNTH_CLUSTERS] mol mol-1, offset of the background, mol
 * mol-1. */
void sky_overpass_retrieve(sky_overpass *o, uint64_t seed, uint64_t number, double offset,
                           const double *enhancement);

/* The granule file in dir, named by the product's rule. */
SKY_NODISCARD sky_status sky_overpass_write(sky_context *ctx, const sky_overpass *o,
                                            const char *dir);
#endif
