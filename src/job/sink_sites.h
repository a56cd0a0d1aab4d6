/* sink_sites.h: which factor set and soil type hold in which place of the maps.
 *
 * Without maps of climate and soil all places are one site. With them, tables say what their codes
 * mean: columns code, set (skyflux list sink-sets) and code, type (HAC …; empty: no soil carbon).
 */
#ifndef SKY_JOB_SINK_SITES_H
#define SKY_JOB_SINK_SITES_H

#include "algorithms/sink/plots.h"
#include "algorithms/sink/stock.h"

typedef struct sky_site_options {
  const char *factors, *pools;           /* one of them, or climate_sets */
  const char *soil;                      /* of all places; NULL: none, or soil_types */
  const char *plots;                     /* table of an inventory, with sets; NULL */
  const char *overrides;                 /* table of own values of factor rows, with sets; NULL */
  const char *tillage, *input, *grazing; /* NULL: as the reference */
  const char *climate_sets, *soil_types; /* tables; NULL */
  const sky_sink_local *local; /* what is known of the one zone that the sites are for; NULL */
  const sky_legend *legend;
  const bool *also; /* [n_class] may be anywhere, and change, whatever the maps show; NULL */
  const char *const *allowed;
  size_t n_allowed;
} sky_site_options;

typedef struct sky_site {
  const char *factors, *soil; /* names; of the options or the tables */
  bool *present, *changed;    /* [n_class] anywhere; in the zones of the table */
  sky_sink_set set;
  size_t *factor; /* [set.n_factor] numbers in sky_sites.factor */
} sky_site;

typedef struct sky_sites {
  size_t n, n_factor;
  sky_site *site;
  size_t *of_place;               /* [places] */
  const sky_sink_factor **factor; /* [n_factor] each table row once */
  sky_table *climates, *soils, *overrides;
} sky_sites;

/* n_zone: zones of the table, the first of the strata's; those behind count for `present` alone.
 * SKY_E_RANGE names a code of the maps without a row. */
SKY_NODISCARD sky_status sky_sites_make(sky_context *ctx, const sky_strata *strata, size_t n_zone,
                                        const sky_site_options *opt, sky_sites *out);
void sky_sites_free(sky_sites *s); /* NULL-safe, zeroes */
#endif
