/* grid_args.h: the options of commands that name a target grid: --like FILE, --preset NAME, or
 * --crs CRS --box W,S,E,N --cell SIZE. */
#ifndef SKY_CLI_GRID_ARGS_H
#define SKY_CLI_GRID_ARGS_H

#include "grids/grid.h"

typedef struct sky_grid_args {
  const char *like, *preset, *crs, *box, *cell;
} sky_grid_args;

/* Where inputs lie: what an absent --crs and --box mean. */
typedef struct sky_grid_extent {
  const char *crs;
  double box[4]; /* west, south, east, north in coordinates of crs */
} sky_grid_extent;

/* Rows for a command's table of options. */
#define SKY_GRID_OPTIONS                                                            \
  {"like", 0, "FILE", "grid of this raster, or of this gridded product"},           \
      {"preset", 0, "NAME", "a preset's grid around --box (skyflux list grids)"},   \
      {"crs", 0, "CRS", "coordinate system of the grid (EPSG:4326)"},               \
      {"box", 0, "W,S,E,N", "its box, in coordinates of the system (the globe)"}, { \
    "cell", 0, "SIZE", "its cells: 0.1 (degrees), '1 km', or two sizes 'DX,DY'"     \
  }

/* True if name is one of these options; its value is kept. */
bool sky_grid_args_take(sky_grid_args *a, const char *name, const char *value);
/* SKY_E_USAGE unless they name one grid. */
SKY_NODISCARD sky_status sky_grid_args_check(sky_context *ctx, const sky_grid_args *a);
/* The grid that they say; SKY_E_USAGE otherwise. Without --box the one of own, out to whole
 * multiples of the cell (own NULL: the globe, of a geographic system only). */
SKY_NODISCARD sky_status sky_grid_args_make(sky_context *ctx, const sky_grid_args *a,
                                            const sky_grid_extent *own, sky_grid *out);
#endif
