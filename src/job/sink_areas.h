/* sink_areas.h: class maps, and maps of climate and soil beside them, to the area tensor of zones:
 * one pass of the raster engine, with its shards, journal and memory budget. */
#ifndef SKY_JOB_SINK_AREAS_H
#define SKY_JOB_SINK_AREAS_H

#include "algorithms/sink/legend.h"
#include "algorithms/sink/tensor.h"
#include "src/engine/raster_pass.h"
#include "grids/zone.h"

typedef struct sky_areas_options {
  const char *const *maps; /* [n_map] paths, on one grid */
  size_t n_map;
  const char *climate, *soil; /* paths on any grid, taken as classes on that of the maps; NULL */
  const sky_grid *grid;       /* of the maps */
  const sky_legend *legend;   /* of the maps' codes */
  bool by_code;               /* classes are the legend's rows, not the 11 ecosystems */
  bool persistence;           /* a class that is back at the next date never left */
  sky_pass_options pass;
} sky_areas_options;

/* seen: [legend rows] set where a map has the row. Of a shard, empty strata. SKY_E_RANGE: a code
 * without a row in the legend (file and code); SKY_E_READ: blocks that cannot be read. */
SKY_NODISCARD sky_status sky_sink_areas(sky_context *ctx, const sky_areas_options *opt,
                                        const sky_zones *zones, bool *seen, sky_strata *out);
#endif
