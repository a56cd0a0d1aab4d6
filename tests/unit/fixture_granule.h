/* fixture_granule.h: tiny granules in the layouts of real products, every value by formula, one row
 * for each drop reason. Written with netCDF-C; any failure ends the test. */
#ifndef SKY_TESTS_FIXTURE_GRANULE_H
#define SKY_TESTS_FIXTURE_GRANULE_H

#include <stdbool.h>
#include <stddef.h>

/* OCO/ACOS Lite: 8 soundings on 4 levels. Rows: 0 good, 1 quality 1, 2 latitude fill, 3 XCO2 of
 * 700 ppm, 4 a hole in the kernel, 5 good at 179.9 E, 6 good at 179.9 W, 7 XCO2 fill. */
#define LITE_N 8
#define LITE_K 4

typedef struct lite_options {
  bool surface_first;     /* level order of the file; default top first */
  const char *x_units;    /* NULL = "ppm" */
  const char *omit;       /* variable left out, or NULL */
  bool acos;              /* Platform = GOSAT and no vertices */
  const char *reversed;   /* this one variable is stored in the wrong order, or NULL */
  bool bad_quality_sense; /* quality flag inverted */
  bool bad_kernel;        /* weights that sum to 2 */
} lite_options;

void fixture_write_lite(const char *path, const lite_options *o);
/* What row i, level k (0 = surface) holds, in ppm, hPa and 1. */
double lite_x(size_t i);
double lite_pressure(size_t i, size_t k);
double lite_weight(size_t k);
double lite_ak(size_t i, size_t k);
double lite_profile(size_t i, size_t k);
double lite_prior(size_t i);

/* TROPOMI CH4 operational: 2 scanlines of 3 pixels, 3 layers. Pixels: 0 good, 1 qa 0.49, 2 XCH4
 * fill, 3 snow, 4 water, 5 good with qa 0.5. */
#define S5P_N 6
#define S5P_K 3

typedef struct s5p_options {
  bool surface_first; /* layers and altitudes start at the surface */
  bool no_altitude;   /* the product's own rule decides: top first */
  bool empty_corrected, no_corrected;
  const char *omit;     /* last part of a path, or NULL */
  bool reversed_layers; /* top-first altitudes, but layer arrays from the surface */
} s5p_options;

void fixture_write_s5p(const char *path, const s5p_options *o);
double s5p_x(size_t i); /* ppb, corrected; the uncorrected one is 10 ppb more */
double s5p_dry(size_t i, size_t k);
double s5p_sub(size_t i, size_t k);
double s5p_ak(size_t i, size_t k);
double s5p_surface_pressure(size_t i); /* Pa */
double s5p_step(size_t i);             /* Pa */

/* A fresh file name in the test's work folder. */
const char *fixture_path(const char *name);

#endif
