/* fixture_granule.c: see fixture_granule.h. */
#include "tests/unit/fixture_granule.h"

#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NC(call)                                                            \
  do {                                                                      \
    const int rc_ = (call);                                                 \
    if (rc_ != NC_NOERR) {                                                  \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, nc_strerror(rc_)); \
      exit(1);                                                              \
    }                                                                       \
  } while (0)

const char *fixture_path(const char *name) {
  static char path[4][256];
  static int next;
  const char *base = getenv("TMPDIR");
  char *out = path[next++ % 4];
  snprintf(out, sizeof path[0], "%s/skyflux-%ld-%s", base != NULL ? base : P_tmpdir, (long)getpid(),
           name);
  return out;
}

typedef struct writer {
  int file, group;
  const char *omit;
} writer;

/* Define and write one variable of floats (or another type) in one go. */
static int put(writer *w, const char *name, nc_type type, int ndims, const int *dims,
               const char *units, const double *data) {
  if (w->omit != NULL && strcmp(w->omit, name) == 0) return -1;
  int id;
  NC(nc_def_var(w->group, name, type, ndims, dims, &id));
  if (units != NULL) NC(nc_put_att_text(w->group, id, "units", strlen(units), units));
  if (data != NULL) NC(nc_put_var_double(w->group, id, data));
  return id;
}

/* --- Lite --------------------------------------------------------------------------------------
 */

#define LITE_FILL -999999.0

double lite_x(size_t i) {
  return 390.0 + (double)i;
}
double lite_pressure(size_t i, size_t k) {
  return 1000.0 + (double)i - 300.0 * (double)k;
}
double lite_weight(size_t k) {
  static const double W[LITE_K] = {0.25, 0.375, 0.25, 0.125};
  return W[k];
}
double lite_ak(size_t i, size_t k) {
  return 1.0 - 0.125 * (double)k + 0.03125 * (double)i;
}
double lite_profile(size_t i, size_t k) {
  return 400.0 + (double)i - 4.0 * (double)k;
}
double lite_prior(size_t i) {
  double sum = 0;
  for (size_t k = 0; k < LITE_K; ++k)
    sum += lite_weight(k) * lite_profile(i, k);
  return sum;
}

static size_t file_level(const lite_options *o, const char *name, size_t k) {
  bool from_surface = o->surface_first;
  if (o->reversed != NULL && strcmp(o->reversed, name) == 0) from_surface = !from_surface;
  return from_surface ? k : LITE_K - 1 - k;
}

static void put_levels(writer *w, const lite_options *o, const char *name, const int *dims,
                       const char *units, double (*value)(size_t, size_t)) {
  double data[LITE_N * LITE_K];
  for (size_t i = 0; i < LITE_N; ++i) {
    for (size_t k = 0; k < LITE_K; ++k)
      data[i * LITE_K + file_level(o, name, k)] = value(i, k);
  }
  if (strcmp(name, "xco2_averaging_kernel") == 0) data[4 * LITE_K + 1] = LITE_FILL;
  const int id = put(w, name, NC_FLOAT, 2, dims, units, data);
  const float fill = (float)LITE_FILL;
  if (id >= 0) NC(nc_put_att_float(w->group, id, "missing_value", NC_FLOAT, 1, &fill));
}

static double weight_at(size_t i, size_t k) {
  (void)i;
  return lite_weight(k);
}
static double double_weight_at(size_t i, size_t k) {
  (void)i;
  return 2.0 * lite_weight(k);
}

static void put_row(writer *w, const char *name, const int *dims, const char *units,
                    const double *data) {
  const int id = put(w, name, NC_FLOAT, 1, dims, units, data);
  const float fill = (float)LITE_FILL;
  if (id >= 0) NC(nc_put_att_float(w->group, id, "missing_value", NC_FLOAT, 1, &fill));
}

void fixture_write_lite(const char *path, const lite_options *o) {
  writer w = {.omit = o->omit};
  int dims[2], corner;
  NC(nc_create(path, NC_NETCDF4 | NC_CLOBBER, &w.file));
  w.group = w.file;
  NC(nc_def_dim(w.file, "sounding_id", LITE_N, &dims[0]));
  NC(nc_def_dim(w.file, "levels", LITE_K, &dims[1]));
  NC(nc_def_dim(w.file, "vertices", 4, &corner));
  const char *platform = o->acos ? "GOSAT" : "OCO-2";
  NC(nc_put_att_string(w.file, NC_GLOBAL, "Platform", 1, &platform));
  double x[LITE_N], sigma[LITE_N], prior[LITE_N], lat[LITE_N], lon[LITE_N], time[LITE_N];
  double flag[LITE_N], corners[LITE_N * 4];
  unsigned long long ids[LITE_N];
  for (size_t i = 0; i < LITE_N; ++i) {
    x[i] = lite_x(i);
    sigma[i] = 0.5;
    prior[i] = lite_prior(i);
    lat[i] = 10.0 + (double)i;
    lon[i] = 100.0 + (double)i;
    time[i] = 1.5e9 + 60.0 * (double)i;
    flag[i] = (i == 1) != o->bad_quality_sense;
    ids[i] = 2017071402400000ull + i;
    for (size_t c = 0; c < 4; ++c)
      corners[4 * i + c] = lat[i] + 0.25 * (double)c;
  }
  lat[2] = LITE_FILL;
  x[3] = 700.0;
  lon[5] = 179.9;
  lon[6] = -179.9;
  x[7] = LITE_FILL;
  put_row(&w, "xco2", dims, o->x_units != NULL ? o->x_units : "ppm", x);
  put_row(&w, "xco2_x2019", dims, "ppm", prior);
  put_row(&w, "xco2_uncertainty", dims, o->x_units != NULL ? o->x_units : "ppm", sigma);
  put_row(&w, "xco2_apriori", dims, "ppm", prior);
  put_row(&w, "latitude", dims, "degrees_north", lat);
  put_row(&w, "longitude", dims, "degrees_east", lon);
  put(&w, "time", NC_DOUBLE, 1, dims, "seconds since 1970-01-01 00:00:00", time);
  put(&w, "xco2_quality_flag", NC_BYTE, 1, dims, "none", flag);
  int id;
  NC(nc_def_var(w.file, "sounding_id", NC_UINT64, 1, dims, &id));
  NC(nc_put_var_ulonglong(w.file, id, ids));
  put_levels(&w, o, "pressure_levels", dims, "hPa", lite_pressure);
  put_levels(&w, o, "pressure_weight", dims, "none", o->bad_kernel ? double_weight_at : weight_at);
  put_levels(&w, o, "xco2_averaging_kernel", dims, "none", lite_ak);
  put_levels(&w, o, "co2_profile_apriori", dims, "ppm", lite_profile);
  if (!o->acos) {
    const int corner_dims[2] = {dims[0], corner};
    put(&w, "vertex_latitude", NC_FLOAT, 2, corner_dims, "degrees_north", corners);
    put(&w, "vertex_longitude", NC_FLOAT, 2, corner_dims, "degrees_east", corners);
  }
  NC(nc_close(w.file));
}

/* --- TROPOMI -----------------------------------------------------------------------------------
 */

double s5p_x(size_t i) {
  return 1800.0 + 4.0 * (double)i;
}
double s5p_dry(size_t i, size_t k) {
  return 100000.0 + 64.0 * (double)i - 1024.0 * (double)k;
}
double s5p_sub(size_t i, size_t k) {
  return s5p_dry(i, k) * (1850e-9 - 200e-9 * (double)k + 1e-9 * (double)i);
}
double s5p_ak(size_t i, size_t k) {
  return 1.125 - 0.25 * (double)k + 0.03125 * (double)i;
}
double s5p_surface_pressure(size_t i) {
  return 100000.0 + 128.0 * (double)i;
}
double s5p_step(size_t i) {
  return (s5p_surface_pressure(i) - 10.0) / S5P_K;
}

static void put_layers(writer *w, const s5p_options *o, const char *name, const int *dims,
                       const char *units, double (*value)(size_t, size_t)) {
  double data[S5P_N * S5P_K];
  const bool from_surface = o->surface_first != o->reversed_layers;
  for (size_t i = 0; i < S5P_N; ++i) {
    for (size_t k = 0; k < S5P_K; ++k) {
      data[i * S5P_K + (from_surface ? k : S5P_K - 1 - k)] = value(i, k);
    }
  }
  put(w, name, NC_DOUBLE, 4, dims, units, data);
}

static void put_swath(writer *w, const char *name, const int *dims, const char *units,
                      double (*value)(size_t)) {
  double data[S5P_N];
  for (size_t i = 0; i < S5P_N; ++i)
    data[i] = value(i);
  put(w, name, NC_DOUBLE, 3, dims, units, data);
}

static double corrected(size_t i) {
  return i == 2 ? (double)NC_FILL_FLOAT : s5p_x(i);
}
static double uncorrected(size_t i) {
  return i == 2 ? (double)NC_FILL_FLOAT : s5p_x(i) + 10;
}
static double all_fill(size_t i) {
  (void)i;
  return (double)NC_FILL_FLOAT;
}
static double precision(size_t i) {
  return 2.0 + (double)i;
}
static double latitude(size_t i) {
  return 30.0 + (double)(i / 3);
}
static double longitude(size_t i) {
  return 50.0 + (double)(i % 3);
}
static double surface_class(size_t i) {
  return i == 3 ? 184 + 2 : i == 4 ? 1 : 148;
}

static void put_qa(writer *w, const int *dims) {
  static const unsigned char QA[S5P_N] = {100, 49, 100, 100, 100, 50};
  const float scale = 0.01f, offset = 0.0f;
  const unsigned char fill = 255;
  int id;
  if (w->omit != NULL && strcmp(w->omit, "qa_value") == 0) return;
  NC(nc_def_var(w->group, "qa_value", NC_UBYTE, 3, dims, &id));
  NC(nc_put_att_uchar(w->group, id, "_FillValue", NC_UBYTE, 1, &fill));
  NC(nc_put_att_float(w->group, id, "scale_factor", NC_FLOAT, 1, &scale));
  NC(nc_put_att_float(w->group, id, "add_offset", NC_FLOAT, 1, &offset));
  NC(nc_put_var_uchar(w->group, id, QA));
}

static void put_altitude(writer *w, const s5p_options *o, const int *dims, int level) {
  const int all[4] = {dims[0], dims[1], dims[2], level};
  double data[S5P_N * (S5P_K + 1)];
  if (o->no_altitude) return;
  for (size_t i = 0; i < S5P_N; ++i) {
    for (size_t k = 0; k <= S5P_K; ++k) {
      data[i * (S5P_K + 1) + (o->surface_first ? k : S5P_K - k)] = 20000.0 * (double)k;
    }
  }
  put(w, "altitude_levels", NC_FLOAT, 4, all, "m", data);
}

void fixture_write_s5p(const char *path, const s5p_options *o) {
  writer w = {.omit = o->omit};
  int product, support, geo, detail, input, dims[4], level;
  NC(nc_create(path, NC_NETCDF4 | NC_CLOBBER, &w.file));
  NC(nc_def_grp(w.file, "PRODUCT", &product));
  NC(nc_def_grp(product, "SUPPORT_DATA", &support));
  NC(nc_def_grp(support, "GEOLOCATIONS", &geo));
  NC(nc_def_grp(support, "DETAILED_RESULTS", &detail));
  NC(nc_def_grp(support, "INPUT_DATA", &input));
  NC(nc_def_dim(product, "time", 1, &dims[0]));
  NC(nc_def_dim(product, "scanline", 2, &dims[1]));
  NC(nc_def_dim(product, "ground_pixel", 3, &dims[2]));
  NC(nc_def_dim(product, "layer", S5P_K, &dims[3]));
  NC(nc_def_dim(product, "level", S5P_K + 1, &level));
  w.group = product;
  const double reference = 252460800.0, delta[2] = {1000.0, 2500.0};
  put(&w, "time", NC_INT, 1, dims, "seconds since 2010-01-01 00:00:00", &reference);
  put(&w, "delta_time", NC_INT, 2, dims, "milliseconds", delta);
  put_swath(&w, "latitude", dims, "degrees_north", latitude);
  put_swath(&w, "longitude", dims, "degrees_east", longitude);
  put_swath(&w, "methane_mixing_ratio", dims, "1e-9", uncorrected);
  put_swath(&w, "methane_mixing_ratio_precision", dims, "1e-9", precision);
  if (!o->no_corrected) {
    put_swath(&w, "methane_mixing_ratio_bias_corrected", dims, "1e-9",
              o->empty_corrected ? all_fill : corrected);
  }
  put_qa(&w, dims);
  w.group = detail;
  put_layers(&w, o, "column_averaging_kernel", dims, "1", s5p_ak);
  w.group = input;
  put_layers(&w, o, "dry_air_subcolumns", dims, "mol m-2", s5p_dry);
  put_layers(&w, o, "methane_profile_apriori", dims, "mol m-2", s5p_sub);
  put_swath(&w, "surface_pressure", dims, "Pa", s5p_surface_pressure);
  put_swath(&w, "pressure_interval", dims, "Pa", s5p_step);
  put_swath(&w, "surface_classification", dims, "1", surface_class);
  put_altitude(&w, o, dims, level);
  NC(nc_close(w.file));
}
