/* factors.h: emission factors with their source, from the tables of ancillary/. Method: account.md.
 *
 * A name emits one gas. One unit of a fuel emits CO2, k·c: k in tce per unit (1 tce = 29.3076 GJ),
 * c in t CO2 per tce. c comes from one of three places, and the answer says which: heat  NCV ·
 * carbon content · oxidation · 44/12 of one row of co2_fuel_factors; k is that row's NCV, so that
 * calorific values of two editions are never mixed (a row without NCV takes standard_coal_factors
 * of the edition asked for) tce   the per-tce factor of coal, oil or gas; k from
 * standard_coal_factors user  the user's own table, fuel by fuel Other activities emit k·c with k =
 * 1 and c in t of their gas per unit: `table`, a row of ch4_n2o_factors by its code, or `user`, the
 * user's own table, whose unit names the gas. Electricity takes the average factor of the year's
 * grid, purchased heat its default per GJ. A row that is not verified is refused unless the rules
 * allow it by name, table:key:edition. There is no fall-back: not to another year, nor edition, nor
 * grid. */
#ifndef SKY_ALGORITHMS_FACTORS_H
#define SKY_ALGORITHMS_FACTORS_H

#include "skyflux/context.h"
#include "src/core/table.h"

#define SKY_GJ_PER_TCE 29.3076 /* 7000 kcal (IT) per kg of standard coal */

typedef enum sky_carbon { SKY_CARBON_HEAT = 0, SKY_CARBON_TCE = 1 } sky_carbon;

typedef enum sky_grid_level {
  SKY_GRID_UNSET = 0, /* electricity is an error: the choice is the user's */
  SKY_GRID_NATIONAL,
  SKY_GRID_REGIONAL,
  SKY_GRID_PROVINCIAL
} sky_grid_level;

typedef enum sky_gas { SKY_GAS_CO2 = 0, SKY_GAS_CH4, SKY_GAS_N2O } sky_gas;
#define SKY_N_GAS 3
const char *sky_gas_id(sky_gas gas); /* as in species.csv: "co2", "ch4", "n2o" */

typedef enum sky_scope { SKY_SCOPE_1 = 1, SKY_SCOPE_2 = 2 } sky_scope; /* direct; power and heat */

typedef struct sky_factor_rules {
  int year; /* of the grid factor */
  sky_grid_level grid;
  const char *grid_region; /* grid or province, in Chinese or English; NULL: the row's region */
  sky_carbon carbon;
  const char *coal_edition;   /* of standard_coal_factors: "2008", "2020" */
  const char *carbon_edition; /* of co2_fuel_factors: "2011", "2015" */
  const char *const *allow;   /* n_allow texts table:key:edition */
  size_t n_allow;
  double
      factor_sd; /* relative sd of every factor of the tables; NaN: the tables' own (account.md) */
} sky_factor_rules;

/* One row of a table; texts are owned by the factors. */
typedef struct sky_factor_row {
  const char *table, *key; /* table NULL: there is none */
  char edition[16];        /* "-" where the table has none */
  const char *name, *value, *unit, *source, *verified;
  int line;
  bool allowed; /* not verified, allowed by the rules */
} sky_factor_row;

/* What an amount is measured in; base units t, m3, GJ, tce, one (animal, well), ha. */
typedef enum sky_measure {
  SKY_MEASURE_NONE = 0,
  SKY_MEASURE_MASS,
  SKY_MEASURE_VOLUME,
  SKY_MEASURE_ENERGY,
  SKY_MEASURE_TCE,
  SKY_MEASURE_COUNT,
  SKY_MEASURE_AREA
} sky_measure;

typedef struct sky_factor {
  const char *method; /* "heat", "tce", "user", "grid", "purchased heat", "table" */
  sky_gas gas;
  sky_scope scope;
  double k, c;                 /* t of the gas = base units · k · c */
  double k_sd, c_sd;           /* relative, one standard deviation */
  sky_factor_row k_row, c_row; /* k_row.table is NULL where k is a definition or c's own NCV */
  sky_factor_row sd_row;       /* behind c_sd; table NULL: c_row's own range, or a number given */
} sky_factor;

typedef struct sky_factors sky_factors;

/* rules: copied but for its texts, which outlive the factors. user: table or NULL, owned by the
 * caller and outliving them: header fuel,value,unit,sd_percent,source; unit tCO2/tce or kgCO2/tce
 * (c, 1 to 4 t CO2 per tce), tce/t, kgce/m3 … (k), or tCO2/t, kgCO2/kWh, kgCH4/head, m3CH4/t,
 * kgN2O/t, kgN2O-N/t … (k·c at once, also of processes). SKY_E_USAGE: an allowed row that no table
 * has. */
SKY_NODISCARD sky_status sky_factors_create(sky_context *ctx, const sky_factor_rules *rules,
                                            const sky_table *user, const char *user_name,
                                            sky_factors **out);
void sky_factors_free(sky_factors *f);

/* amount · scale = base units of *measure. SKY_E_UNITS if unit measures none of the six. */
SKY_NODISCARD sky_status sky_factor_unit(sky_context *ctx, const char *unit, sky_measure *measure,
                                         double *scale);
const char *sky_measure_units(sky_measure m); /* for messages: "t, kg, kt …" */

/* The factor of a fuel measured so, for an activity of region. Failures name what is legal. */
SKY_NODISCARD sky_status sky_factors_find(sky_context *ctx, const sky_factors *f, const char *fuel,
                                          sky_measure measure, const char *region, sky_factor *out);
/* k alone, tce per base unit (t or m3). */
SKY_NODISCARD sky_status sky_factors_coal(sky_context *ctx, const sky_factors *f, const char *fuel,
                                          double *k, sky_factor_row *row);
/* All rows of all tables, in order (`skyflux list factors`). False past the end. */
bool sky_factors_at(const sky_factors *f, size_t i, sky_factor_row *out);

/* True if two rows are the same row. */
bool sky_factor_row_same(const sky_factor_row *a, const sky_factor_row *b);

#endif
