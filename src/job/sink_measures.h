/* sink_measures.h: a table of measures (algorithms/sink/measures.h) for the zones of a sink, and
 * global warming potentials.
 *
 * Columns zone_id, measure, area_ha; and where the measure asks for them: climate, type, detail,
 * credit, years, days, salinity_ppt, nitrogen_kg, organic, organic_t_ha, ditch_fraction,
 * rate_t_c_ha_yr, rate_sd. */
#ifndef SKY_JOB_SINK_MEASURES_H
#define SKY_JOB_SINK_MEASURES_H

#include "algorithms/sink/measures.h"
#include "src/job/sink_table.h"

typedef struct sky_sink_gwp { /* kg CO2 per kg; CH4 not fossil */
  const char *set;
  double of[SKY_MEASURE_GASES];
} sky_sink_gwp;

/* SKY_E_USAGE lists the sets. */
SKY_NODISCARD sky_status sky_sink_gwp_find(sky_context *ctx, const char *set, sky_sink_gwp *out);

typedef struct sky_zone_measure {
  size_t zone;
  const char *name; /* of the measure */
  sky_measure measure;
} sky_zone_measure;

typedef struct sky_zone_measures {
  sky_table *table;
  sky_factor_rows rows;
  size_t n;
  sky_zone_measure *item; /* in the order of the table */
} sky_zone_measures;

/* SKY_E_RANGE: a zone that there is not, an area beyond its zone, rewetted and standing credit of
 * one measure in one table, biomass that the maps count already. */
SKY_NODISCARD sky_status sky_zone_measures_read(sky_context *ctx, const char *path,
                                                const sky_sink *s, sky_zone_measures *out);
void sky_zone_measures_free(sky_zone_measures *m); /* NULL-safe, zeroes */

typedef struct sky_measure_sum { /* kg/yr to the atmosphere */
  bool any;
  double gas[SKY_MEASURE_GASES], sd[SKY_MEASURE_GASES];
  double co2e, co2e_sd; /* of all gases; NaN without potentials */
} sky_measure_sum;

/* Of one zone and class (0: all). */
SKY_NODISCARD sky_status sky_zone_measures_sum(sky_context *ctx, const sky_zone_measures *m,
                                               size_t zone, int cls, const sky_sink_gwp *gwp,
                                               sky_measure_sum *out);
#endif
