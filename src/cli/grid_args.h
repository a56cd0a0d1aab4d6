/* grid_args.h: the options of commands that name a target grid: --like FILE, --preset NAME, or
 * --crs CRS --box W,S,E,N --cell SIZE. */
#ifndef SKY_CLI_GRID_ARGS_H
#define SKY_CLI_GRID_ARGS_H

#include "grids/grid.h"

typedef struct sky_grid_args {
  const char *like, *preset, *crs, *box, *cell;
} sky_grid_args;

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
/* The grid that they say; SKY_E_USAGE otherwise. */
SKY_NODISCARD sky_status sky_grid_args_make(sky_context *ctx, const sky_grid_args *a,
                                            sky_grid *out);
#endif
