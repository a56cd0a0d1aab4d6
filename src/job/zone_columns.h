/* zone_columns.h: the concentration of zones in a gridded product, and its change since another
 * one: the indicators "concentration" and "change" of T/CI 231-2023, Table 1.
 *
 *   mean  Σ a x / Σ a over the cells with soundings, a: area of the cell within the zone
 *   var   (1-ρ) r Σ a² σ² s / (Σ a)² + ρ (Σ a σ / Σ a)²              (docs/grid.md)
 * s: one over the effective number of soundings of a cell; r: cells that move together, because a
 * pixel lies in several. The change is that of the cells which both have: not that of the place
 * where it happened to be looked at. */
#ifndef SKY_JOB_ZONE_COLUMNS_H
#define SKY_JOB_ZONE_COLUMNS_H

#include "grids/zone.h"
#include "src/write/level3.h"

typedef struct sky_zone_column { /* mole fractions mol mol-1, areas m2; NaN: none */
  double area;                   /* of the whole zone */
  double observed;               /* share of it in cells with soundings */
  double mean, sigma;
  double effective; /* soundings, as many independent ones */
  size_t cells;     /* with soundings, in part or whole */
  double baseline, change, change_sigma;
  double common;      /* share of the zone in cells that both have */
  const char *reason; /* why there is no mean or no change; "" */
} sky_zone_column;

/* base NULL: no baseline. Both products have the same grid (sky_grid_equal), else SKY_E_FORMAT. */
SKY_NODISCARD sky_status sky_zone_columns(sky_context *ctx, const sky_zones *zones,
                                          const sky_level3 *l, const sky_bin_source *source,
                                          const sky_level3 *base, const sky_bin_source *base_source,
                                          sky_zone_column *out);
#endif
