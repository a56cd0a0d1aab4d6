/* grid_run.h: one run of `skyflux grid`, for its command, its reading and its table of zones. */
#ifndef SKY_CLI_GRID_RUN_H
#define SKY_CLI_GRID_RUN_H

#include <cjson/cJSON.h>

#include "src/cli/grid_args.h"
#include "src/cli/reading_args.h"
#include "src/engine/journal.h"
#include "src/job/gridding.h"
#include "src/read/zones_ogr.h"

#define SKY_GRID_WHOLE INT64_MIN /* the one period without --daily */

typedef struct sky_grid_command {
  sky_selection sel;
  sky_reading_args reading;
  sky_grid_args grid;
  const char *output, *gas, *table, *baseline, *zones;
  sky_zones_options zone;
  sky_bins_options bins;
  double timeout, correlation;
  bool merge, daily;
  sky_shard shard;
} sky_grid_command;

typedef struct sky_grid_period { /* a day, or everything */
  int64_t day;
  sky_gridding *gridding;
  char *path; /* of its output */
} sky_grid_period;

typedef struct sky_grid_run {
  sky_grid_command a;
  char **files;           /* of named folders, everything below them */
  size_t n_files, passed; /* passed over: in a folder and no product of the gas */
  sky_level3 head;        /* what every period starts from */
  sky_grid_period *period;
  size_t n_period;
  char *const *named; /* as on the command line */
  int n_named;
  size_t drops[SKY_DROP_COUNT];
  sky_granule_failures failed;
} sky_grid_run;

/* The sums of a day, or SKY_GRID_WHOLE; made if they are new. */
SKY_NODISCARD sky_status sky_grid_period_of(sky_context *ctx, sky_grid_run *r, int64_t day,
                                            sky_gridding **out);
/* What a new product starts from: all of head but granules and counts. */
SKY_NODISCARD sky_status sky_grid_head(sky_context *ctx, const sky_level3 *head, sky_level3 *out);

/* Soundings of all files into the periods that they belong to. */
SKY_NODISCARD sky_status sky_grid_read(sky_context *ctx, sky_grid_run *r);
/* The error of a run without a good sounding: says why. */
SKY_NODISCARD sky_status sky_grid_nothing(sky_context *ctx, const sky_grid_run *r);

/* Concentrations of the zones: to --table, to stdout as CSV, or into *json. */
SKY_NODISCARD sky_status sky_grid_zones(sky_context *ctx, const sky_grid_run *r, bool json,
                                        cJSON **out);
#endif
