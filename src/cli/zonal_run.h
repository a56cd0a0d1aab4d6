/* zonal_run.h: one run of `skyflux zonal`, for its command and its table. */
#ifndef SKY_CLI_ZONAL_RUN_H
#define SKY_CLI_ZONAL_RUN_H

#include <cjson/cJSON.h>

#include "grids/zone_tree.h"
#include "src/engine/zonal.h"
#include "src/read/zones_ogr.h"
#include "src/write/result_table.h"

#define SKY_STATS_MAX 32
#define SKY_KINDS_MAX 64

typedef enum sky_zonal_stat {
  SKY_STAT_VALID,
  SKY_STAT_AREA,
  SKY_STAT_COUNT,
  SKY_STAT_SUM,
  SKY_STAT_INTEGRAL,
  SKY_STAT_MEAN,
  SKY_STAT_WEIGHTED_MEAN,
  SKY_STAT_STDEV,
  SKY_STAT_VARIANCE,
  SKY_STAT_MIN,
  SKY_STAT_MAX,
  SKY_STAT_QUANTILE
} sky_zonal_stat;

typedef struct sky_area_unit {
  const char *name; /* also the end of columns */
  double m2;
} sky_area_unit;

typedef struct sky_zonal_args {
  const char *out, *by, *like;
  sky_sampling kind[SKY_KINDS_MAX]; /* of each raster on another grid, or one for all */
  size_t n_kind;
  cJSON *words; /* all that the result depends on */
  sky_zones_options zones;
  sky_zonal_options opt;
  sky_pass_options pass;
  sky_zonal_stat stat[SKY_STATS_MAX];
  double share[SKY_STATS_MAX];    /* of a quantile */
  char column[SKY_STATS_MAX][32]; /* its name */
  size_t n_stat;
  const sky_area_unit *unit; /* of areas */
} sky_zonal_args;

typedef struct sky_zonal_run {
  sky_zonal_args args;
  int n_raster;
  char **files;    /* rasters, then zones */
  sky_grid target; /* if rasters may be resampled */
  sky_raster_set *set;
  sky_zones zones;
  size_t damaged;            /* of them */
  sky_zone_tree tree;        /* .n 0: they are not within each other */
  sky_zone_closing *closing; /* [zones]; NULL without a tree */
  sky_zonal result;
  char **notes;
  size_t n_note, note_capacity;
  char **names; /* [n_raster] of columns */
  sky_result_column *column;
  char **column_names;
  size_t n_column;
  sky_result_cell *cell;
  const sky_zone **zone; /* [rows] */
  char **reasons;        /* [zones] */
  double *rest;          /* of parents: what their parts do not have, see zonal_table.c */
  char *journal, *stamp;
} sky_zonal_run;

/* The rows of all zones; t points into r. */
SKY_NODISCARD sky_status sky_zonal_table(sky_context *ctx, sky_zonal_run *r, sky_result_table *t);

#endif
