/* sink_local.h: what is known of each zone itself, in the place of rows of the factor set (Tier 2):
 * biomass and soil carbon of its classes from rasters, ages of its forest from a table. */
#ifndef SKY_JOB_SINK_LOCAL_H
#define SKY_JOB_SINK_LOCAL_H

#include "algorithms/sink/factors.h"
#include "algorithms/sink/legend.h"
#include "src/core/text.h"
#include "src/engine/raster_pass.h"
#include "grids/zone.h"

typedef struct sky_local_options {
  const char *biomass, *biomass_sd; /* raster of t d.m./ha above ground; sd: raster, or a relative
                                     * number ("0.2") */
  const char *soil, *soil_sd;       /* raster of t C/ha, and its sd */
  const char *ages; /* FILE.csv: zone_id, young, old, primary; or a raster of 1 (up to 20 years), 2
                     * (older), 3 (primary); NULL, as the others */
} sky_local_options;

bool sky_local_ages_table(const sky_local_options *opt);
bool sky_local_any(const sky_local_options *opt);
/* Rasters, which need a map of classes. */
bool sky_local_rasters(const sky_local_options *opt);
/* sd of a raster that is a share of it, not a raster. */
bool sky_local_share(const char *sd);
/* SKY_E_USAGE: a raster without its sd. */
SKY_NODISCARD sky_status sky_local_check(sky_context *ctx, const sky_local_options *opt);

/* present: [SKY_SINK_CLASSES] what the zones have. out: [n_zone], the caller frees it; sources
 * point into opt, ids into zones. map: classes by legend, on grid; the means are over the pixels
 * that have the class there. SKY_E_RANGE: biomass or soil below 0 or beyond what land can hold;
 * shares of a zone that do not sum to 1. */
SKY_NODISCARD sky_status sky_local_make(sky_context *ctx, const sky_local_options *opt,
                                        const char *map, const sky_legend *legend,
                                        const sky_grid *grid, const sky_zones *zones, size_t n_zone,
                                        const bool *present, size_t tile, sky_sink_local **out);
/* As comments: what each zone has. */
void sky_local_put(const sky_sink_local *l, size_t n_zone, sky_text *t);

#endif
