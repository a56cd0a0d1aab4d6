/* zone_table.h: the zone × gas × quantity table of a job, as CSV and GPKG.
 *
 * One row is one zone and gas. Values are in reporting units (t yr-1 of the gas, ppm/ppb); NaN
 * cells are empty, infinities "inf"; NULL text is empty. Numbers read back exactly. Columns are
 * fixed and documented in docs/outputs.md. */
#ifndef SKY_WRITE_ZONE_TABLE_H
#define SKY_WRITE_ZONE_TABLE_H

#include "grids/zone.h"

typedef struct sky_zone_row {
  const char *zone_id, *zone_name, *level, *role,
      *gas;                                        /* role: report, buffer, outside, boundary */
  double area_km2, covered_fraction;               /* covered: share of the zone inside the grid */
  double n_soundings, column_mean, column_sd;      /* column unit of the gas; sd of the mean */
  double prior, prior_sd, posterior, posterior_sd; /* t yr-1 */
  const char *posterior_is; /* "mean", "mean of draws", "MAP" or "MAP-median" */
  double inventory, inventory_sd, inventory_seen; /* t yr-1 */
  const char *inventory_id;
  double scope2, scope2_sd; /* t yr-1: purchased power and heat, never added */
  double sink, sink_sd;     /* t yr-1: flux of the ecosystems, uptake negative */
  double sink_posterior, sink_posterior_sd, net_posterior, net_posterior_sd; /* t yr-1 */
  double best, best_sd;                            /* t yr-1: inversion and inventory fused */
  const char *best_from;                           /* in words: of what best is made */
  double dofs, reduction, sensitivity, detectable; /* detectable: t yr-1 */
  double z, p, q;
  const char *status, *reason;
} sky_zone_row;

SKY_NODISCARD sky_status sky_zone_table_csv(sky_context *ctx, const char *path,
                                            const sky_zone_row *rows, size_t n);
SKY_NODISCARD sky_status sky_zone_table_read(sky_context *ctx, const char *path,
                                             sky_zone_row **rows,
                                             size_t *n); /* strings are owned by the rows */
void sky_zone_rows_free(sky_zone_row *rows, size_t n);
/* One layer "zones" (geometry + the row's columns; zones without rings get NULL geometry) with a
 * style categorised on status in layer_styles. Fixed OGR_CURRENT_DATE. crs: of the rings. zones may
 * be NULL; rows find their zone by id. */
SKY_NODISCARD sky_status sky_zone_table_gpkg(sky_context *ctx, const char *path, const char *crs,
                                             const sky_zones *zones, const sky_zone_row *rows,
                                             size_t n);
#endif
