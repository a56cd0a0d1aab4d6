/* sink_rasters.h: what a sink holds, as maps: stock at the last date, its change over the last
 * period, and removal a year, as Cloud Optimized GeoTIFFs on the grid of the maps. */
#ifndef SKY_JOB_SINK_RASTERS_H
#define SKY_JOB_SINK_RASTERS_H

#include "src/job/sink_table.h"

#define SKY_SINK_RASTERS 3 /* stock, stock_change, removal */

/* PREFIX_stock.tif, PREFIX_stock_change.tif (t C/ha), PREFIX_removal.tif (t C/ha/yr, positive =
 * uptake), by one more pass over the maps of a sink that was made. only [n]: of these names, and a
 * stock that no set has is SKY_E_RANGE; NULL: all that there are. Nodata where a date has no class,
 * and for changes of class that no zone has. */
SKY_NODISCARD sky_status sky_sink_write_rasters(sky_context *ctx, const sky_sink *s,
                                                const char *prefix, const char *const *only,
                                                size_t n);
#endif
