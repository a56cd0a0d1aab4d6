/* preset.h: named grids (ancillary/grids.csv): a coordinate system and a cell, laid over a box. */
#ifndef SKY_GRIDS_PRESET_H
#define SKY_GRIDS_PRESET_H

#include "grids/grid.h"
#include "src/core/table.h"

/* The table: columns id, title, crs, cell, for, source; the caller frees it. */
SKY_NODISCARD sky_status sky_grid_presets(sky_context *ctx, sky_table **out);

/* box: west, south, east, north in degrees; west > east crosses the antimeridian. Edges lie on
 * whole multiples of the cell, on the box or just outside it. "utm": the zone of 6 degrees that
 * holds the centre of the box, northern or southern by its latitude. SKY_E_RANGE for an unknown
 * preset (with the nearest name) and for a box that one UTM zone cannot hold (beyond 84 N or 80 S,
 * or wider than 12 degrees). */
SKY_NODISCARD sky_status sky_grid_from_preset(sky_context *ctx, const char *id, const double box[4],
                                              sky_grid *out);

#endif
