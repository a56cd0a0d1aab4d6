/* factors.h: carbon pools and growth of the classes, as products of factors with a source each.
 *
 * A set (ancillary/sink_sets.csv) names, for each class and role, the row of a factor table; a
 * user's pool table gives the stocks of each map code directly. Either becomes the same thing:
 * classes whose pools are sums of products of factors, so that the error of one factor is one error
 * everywhere it is used.
 *
 * Unverified rows are refused unless the caller allows them one by one (factor_rows.h). */
#ifndef SKY_ALGORITHMS_SINK_FACTORS_H
#define SKY_ALGORITHMS_SINK_FACTORS_H

#include "algorithms/sink/factor_rows.h"
#include "algorithms/sink/legend.h"

typedef enum sky_sink_pool_kind { /* stocks t C/ha; growth and flux t C/ha/yr */
                                  SKY_POOL_ABOVE = 0,
                                  SKY_POOL_BELOW = 1,
                                  SKY_POOL_LITTER = 2,
                                  SKY_POOL_DEAD_WOOD = 3,
                                  SKY_POOL_SOIL = 4,
                                  SKY_POOL_GROWTH = 5, /* gain of land that stays in its class;
                                                          positive = removal */
                                  SKY_POOL_GROWTH_YOUNG =
                                      6,                 /* gain of land that came into the class */
                                  SKY_POOL_NET_FLUX = 7, /* published net coefficient; positive = to
                                                            the atmosphere */
                                  SKY_POOL_COUNT = 8
} sky_sink_pool_kind;

typedef struct sky_sink_term { /* product of up to four factors */
  size_t n, factor[4];
} sky_sink_term;

#define SKY_FOREST_AGES 3 /* up to 20 years, older, primary */

typedef struct sky_sink_pool { /* sum of products; n = 0: none, counts as zero */
  size_t n;
  sky_sink_term term[2 * SKY_FOREST_AGES];
} sky_sink_pool;

typedef struct sky_sink_class {
  int32_t id; /* class number, or map code of a user's pool table */
  int number; /* class 1..11 */
  char *name;
  char *note; /* what the method leaves out, and why; "" = nothing to say */
  bool known; /* the set has rows for it */
  sky_sink_pool pool[SKY_POOL_COUNT];
} sky_sink_class;

typedef struct sky_sink_set {
  char *name;
  bool dynamic; /* IPCC time rules; false: the stocks are those at the dates */
  bool stocks;  /* some class has a stock pool */
  bool totals;  /* stocks are published totals of ecosystems (in SKY_POOL_ABOVE): without parts and
                 * uptake, and a class without a row is not known, which is not zero */
  size_t n_factor, n_class;
  sky_sink_factor *factor;
  sky_sink_class *cls;
} sky_sink_set;

/* What is known of one zone, in the place of rows of the set (Tier 2, plots.md); NaN: nothing. */
typedef struct sky_sink_local {
  const char *where; /* the zone's id, for the keys of the factors */
  const char *agb_source, *soil_source, *age_source;
  double agb[SKY_SINK_CLASSES], agb_sd[SKY_SINK_CLASSES];   /* t d.m./ha above ground; counts for
                                                             * classes whose rows have AGB and R */
  double soil[SKY_SINK_CLASSES], soil_sd[SKY_SINK_CLASSES]; /* t C/ha */
  double age[SKY_FOREST_AGES];                              /* shares of forest that stays, Σ 1 */
} sky_sink_local;

typedef struct sky_sink_need { /* what the maps ask of the set, [n_class] */
  const bool *present, *changed;
  const char *soil;            /* soil type of SOC_REF ("HAC"), NULL: soil carbon is not computed */
  const char *tillage, *input; /* of cropland ("no-till", "low" …) and */
  const char *grazing;         /* of grassland ("severely degraded" …); NULL: as the reference */
  const char *const *allowed;  /* keys of unverified rows */
  size_t n_allowed;
  const sky_table *overrides; /* a user's own values of rows (factor_rows.h), NULL */
  const char *overrides_path;
  const sky_sink_local *local; /* NULL */
} sky_sink_need;

/* Set `name` for the 11 classes. SKY_E_USAGE: unknown set or soil; SKY_E_RANGE: a class without a
 * row (names class and file), or unverified rows that are not allowed (names each). Stocks are
 * asked for where a class changes, growth wherever it is present. */
SKY_NODISCARD sky_status sky_sink_set_builtin(sky_context *ctx, const char *name,
                                              const sky_sink_need *need, sky_sink_set *out);
/* From a user's table keyed by the codes of the legend: columns code (or lucode) and any of above,
 * below, litter, dead_wood, soil (t C/ha; C_above … C_dead too), gain (t C/ha/yr, positive =
 * removal), each with its <column>_sd. One class per legend row; SKY_E_RANGE names a present code
 * without a row. */
SKY_NODISCARD sky_status sky_sink_set_from_table(sky_context *ctx, const sky_table *table,
                                                 const char *path, const sky_legend *legend,
                                                 const bool *present, sky_sink_set *out);
void sky_sink_set_free(sky_sink_set *s); /* NULL-safe, zeroes */

/* Value of a pool in its unit per hectare; grad (may be NULL) [n_factor] += scale × derivative. */
double sky_sink_pool_value(const sky_sink_set *s, const sky_sink_pool *p, double scale,
                           double *grad);

/* Names of the built-in sets, in the order of the file; *names is sky_free'd, the strings are
 * inside it. */
SKY_NODISCARD sky_status sky_sink_set_names(sky_context *ctx, char ***names, size_t *n);

#endif
