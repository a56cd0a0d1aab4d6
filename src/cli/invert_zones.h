/* invert_zones.h: what `skyflux invert` says of the zones of a problem file: lines of the answer, a
 * table, variables of the posterior file, and the rows of the averaging kernel. */
#ifndef SKY_CLI_INVERT_ZONES_H
#define SKY_CLI_INVERT_ZONES_H

#include <cjson/cJSON.h>

#include "src/read/problem_zones.h"
#include "src/write/nc_write.h"

typedef struct sky_invert_zones {
  const char *csv, *kernels; /* files, or NULL */
  bool by_time;
  sky_problem_zones rows; /* row 0 is the total over everything */
} sky_invert_zones;

#define SKY_INVERT_ZONE_OPTIONS                                                                \
  {"zones-csv", 0, "FILE", "total and every zone of the problem file, one row each"},          \
      {"ak", 0, "FILE", "averaging-kernel row of every zone, over time and cells (NetCDF)"}, { \
    "by-time", 0, NULL, "every zone also step by step"                                         \
  }

typedef struct sky_zone_column { /* one number of every row; left out where all are NaN */
  const char *name, *long_name;
  const double *value; /* [rows] */
} sky_zone_column;

/* True where name is one of SKY_INVERT_ZONE_OPTIONS; then it is taken. */
bool sky_invert_zones_take(sky_invert_zones *z, const char *name, const char *value);
/* Reads the rows; --ak without kernels in the mode (has_kernels) is SKY_E_USAGE. */
SKY_NODISCARD sky_status sky_invert_zones_read(sky_context *ctx, const char *path,
                                               const sky_problem *p, bool has_kernels,
                                               sky_invert_zones *z);
void sky_invert_zones_free(sky_invert_zones *z); /* NULL-safe members */

/* "zones": [{name, columns …}] into an answer; NULL answer = no. The table as the options ask. */
SKY_NODISCARD sky_status sky_invert_zones_answer(sky_context *ctx, const sky_invert_zones *z,
                                                 const sky_zone_column *column, size_t n,
                                                 cJSON *answer);
/* Variables zone_name, zone_COLUMN and zone_covariance(zone,zone_too) (NULL = none) into a
 * posterior file, which gets the dimensions. */
SKY_NODISCARD sky_status sky_invert_zones_put(sky_ncw *w, const sky_invert_zones *z,
                                              const sky_zone_column *column, size_t n,
                                              const double *covariance);
/* The file of --ak, if asked for: zone_kernel(zone,time,cell) = aᵀA. */
SKY_NODISCARD sky_status sky_invert_zones_kernels(sky_context *ctx, const sky_invert_zones *z,
                                                  const sky_problem *p, const double *zone_A);
#endif
