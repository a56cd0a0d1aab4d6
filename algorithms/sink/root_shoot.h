/* root_shoot.h: the root-to-shoot ratio R of a stand, by its above-ground biomass (root_shoot.md).
 *
 * The rows of IPCC 2019 V4 Table 4.4 of one zone and origin differ by a limit of the biomass. For
 * any biomass exactly one of them holds, and the limit itself belongs to the row that says "<=". */
#ifndef SKY_ALGORITHMS_SINK_ROOT_SHOOT_H
#define SKY_ALGORITHMS_SINK_ROOT_SHOOT_H

#include "algorithms/sink/factor_rows.h"

/* zone, stratum: cells of the table ("subtropical humid", "Asia natural"); agb: t d.m./ha, >= 0.
 * The factor is in `rows`. SKY_E_RANGE: no row, or several, hold for it: never a fill value. */
SKY_NODISCARD sky_status sky_root_shoot_find(sky_factor_rows *rows, const char *zone,
                                             const char *stratum, double agb, size_t *index);

#endif
