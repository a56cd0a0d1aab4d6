/* synth_overpass.h: one TROPOMI overpass of a scene: where the pixels lie, what they would see.
 * Blocks of pixels (clusters) share a footprint. */
#ifndef SKY_JOB_SYNTH_OVERPASS_H
#define SKY_JOB_SYNTH_OVERPASS_H

#include "grids/grid.h"

enum { /* at most */
       SKY_SYNTH_SCANLINES = 32,
       SKY_SYNTH_CLUSTERS = 208,
       SKY_SYNTH_LAYERS = 12
};

#define SKY_OVERPASS_PRIOR 1880e-9 /* mol mol-1, column of the product's a-priori */

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

typedef struct sky_overpass_place { /* what the satellite flies over */
  size_t scanlines, pixels;         /* of the granule, around the middle of the grid */
  size_t block;                     /* pixels a side of a cluster; divides both */
  double pixel;                     /* m, edge of a pixel */
  double width;                     /* m, standard deviation of a cluster's box */
  double declination;               /* degrees, of the sun */
  const char *scene;                /* name of the scene */
  const void *user;                 /* of the functions */
  double (*altitude)(const void *user, double lon, double lat);                  /* m */
  uint8_t (*surface)(const void *user, double lon, double lat, double altitude); /* class */
  /* About N(0,1): above 0.7 cloud, just below it its edge. */
  double (*cloud)(const void *user, uint64_t seed, uint64_t number, double lon, double lat);
} sky_overpass_place;

typedef struct sky_overpass {
  /* Given. */
  sky_overpass_place place;
  int year, month, day;
  int orbit;
  double first_second; /* of the first scanline, s after 00 UTC */
  double wind_speed;   /* m s-1, of the whole boundary layer */
  double wind_from;    /* degrees clockwise from north */
  /* Made. */
  double start;                         /* s since 1970 */
  double *field[SKY_SYNTH_FIELD_COUNT]; /* [pixels * length] */
  double cluster_lon[SKY_SYNTH_CLUSTERS], cluster_lat[SKY_SYNTH_CLUSTERS];
  double cluster_time[SKY_SYNTH_CLUSTERS]; /* s since 1970 */
  double cluster_air[SKY_SYNTH_CLUSTERS];  /* dry air, mol m-2 */
  bool cluster_used[SKY_SYNTH_CLUSTERS];   /* holds a good pixel inside the grid */
} sky_overpass;

/* Geometry, surface, cloud and quality of every pixel; no methane yet. */
SKY_NODISCARD sky_status sky_overpass_create(sky_context *ctx, const sky_grid *grid, uint64_t seed,
                                             uint64_t number, sky_overpass *o);
void sky_overpass_free(sky_overpass *o);

#define SKY_OVERPASS_FIELD(o, name) ((o)->field[SKY_SYNTH_##name])

static inline size_t sky_overpass_pixels(const sky_overpass *o) {
  return o->place.scanlines * o->place.pixels;
}
static inline size_t sky_overpass_clusters(const sky_overpass *o) {
  return sky_overpass_pixels(o) / (o->place.block * o->place.block);
}
static inline size_t sky_overpass_cluster(const sky_overpass *o, size_t pixel) {
  const size_t across = o->place.pixels, block = o->place.block;
  return pixel / across / block * (across / block) + pixel % across / block;
}
/* The product's rule keeps the pixel. */
bool sky_overpass_good(const sky_overpass *o, size_t pixel);

/* Column footprint of a cluster on the grid, (mol/mol)/(mol m-2 s-1); row [cells]. */
void sky_overpass_footprint(const sky_overpass *o, size_t cluster, const sky_grid *grid,
                            const double *area, double *row);

/* What the product says: x [pixels] bias-corrected column, mol mol-1, with its precision. */
void sky_overpass_retrieve(sky_overpass *o, const double *x, double precision);

/* The granule file in dir, named by the product's rule. */
SKY_NODISCARD sky_status sky_overpass_write(sky_context *ctx, const sky_overpass *o,
                                            const char *dir);
#endif
