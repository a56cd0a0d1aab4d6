/* synth_city_pass.h: what one overpass (of the ground stations: three days) consists of: soundings,
 * and blocks of them that share a column footprint. */
#ifndef SKY_JOB_SYNTH_CITY_PASS_H
#define SKY_JOB_SYNTH_CITY_PASS_H

#include "src/job/synth_city_land.h"
#include "src/job/synth_city_winds.h"
#include "src/job/synth_overpass.h"
#include "src/read/footprint.h"

typedef struct sky_city_sounding {
  double lon, lat, time; /* time: s since 1970 */
  double prior, x;       /* column of the a-priori, retrieved; mol mol-1 */
  double pressure;       /* at the surface, Pa */
  double albedo;
  size_t block;
  bool good; /* the product's rule keeps it, and it lies in the box of the job */
  /* of the OCO file only */
  double land; /* share of the pixel */
  size_t row, column;
  bool cloudy;
} sky_city_sounding;

typedef struct sky_city_block {
  double lon, lat;      /* centroid of its good soundings */
  double width;         /* m, standard deviation of its box */
  double air;           /* dry air over the kernel of the boundary layer, mol m-2 */
  double start, period; /* s since 1970, s: of its footprint */
  double speed, from;   /* wind that the footprint was made with */
  size_t n;             /* good soundings */
} sky_city_block;

typedef struct sky_city_scene { /* what all days share */
  sky_city_land *land;
  sky_city_winds *winds;
  sky_crs *crs;
  sky_grid native; /* 0.01 degree, of the footprints; also the box of the soundings */
  double *area;    /* of its cells, m2 */
  bool strong_n2o;
} sky_city_scene;

enum { SKY_CITY_PASSES = SKY_CITY_DAYS - SKY_CITY_N2O_DAYS + 1 };

typedef struct sky_city_pass {
  size_t day; /* of sky_city_days, the first */
  size_t n, n_block;
  sky_city_sounding *sounding;
  sky_city_block *block;
  double sigma;         /* mol mol-1, of a sounding */
  sky_overpass tropomi; /* CH4 */
} sky_city_pass;

/* Geometry, quality, blocks and the wind that the footprints assume; no column yet. */
SKY_NODISCARD sky_status sky_city_pass_create(sky_context *ctx, const sky_city_scene *scene,
                                              size_t day, sky_city_pass *out);
void sky_city_pass_free(sky_city_pass *p); /* NULL-safe, zeroes */

/* The granules of the day, into dir. */
SKY_NODISCARD sky_status sky_city_pass_write(sky_context *ctx, const sky_city_scene *scene,
                                             sky_city_pass *p, const char *dir);

/* Footprints of the blocks that have a good sounding, in their order, as a file holds them (float,
 * 10 bits of mantissa). Wind of each block [n_block]: factor on its speed, turn in degrees; both
 * NULL: that of the files. */
SKY_NODISCARD sky_status sky_city_footprints(sky_context *ctx, const sky_city_scene *scene,
                                             const sky_city_pass *p, const double *faster,
                                             const double *turn, sky_footprints *out);
SKY_NODISCARD sky_status sky_city_footprints_write(sky_context *ctx, const sky_city_pass *p,
                                                   const sky_footprints *f, const char *dir);

/* One gas each. */
SKY_NODISCARD sky_status sky_city_oco_create(sky_context *ctx, const sky_city_scene *scene,
                                             sky_city_pass *p);
SKY_NODISCARD sky_status sky_city_oco_write(sky_context *ctx, const sky_city_scene *scene,
                                            const sky_city_pass *p, const char *dir);
SKY_NODISCARD sky_status sky_city_tropomi_create(sky_context *ctx, const sky_city_scene *scene,
                                                 sky_city_pass *p);
SKY_NODISCARD sky_status sky_city_tropomi_write(sky_context *ctx, sky_city_pass *p,
                                                const char *dir);
SKY_NODISCARD sky_status sky_city_tccon_create(sky_context *ctx, const sky_city_scene *scene,
                                               sky_city_pass *p);
SKY_NODISCARD sky_status sky_city_tccon_write(sky_context *ctx, const sky_city_scene *scene,
                                              const sky_city_pass *p, const char *dir);
/* Kernel at the middle of a boundary layer of that depth: pressure [n] Pa (either order). */
double sky_city_kernel(size_t n, const double *pressure, const double *kernel, double surface,
                       double depth);
/* Counts the good soundings of the blocks and puts those in their middle. */
void sky_city_blocks_close(sky_city_pass *p);
#endif
