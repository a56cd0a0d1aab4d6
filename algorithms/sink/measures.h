/* measures.h: what a piece of land takes up or gives off that two class maps cannot show: rice
 * fields, drained and rewetted soils, coastal wetlands, perennial crops, nitrogen, reservoirs,
 * projects. Each becomes a sum of products of factors with a source; equations in measures.md.
 *
 * Inside: kg of gas a year, positive = to the atmosphere. */
#ifndef SKY_ALGORITHMS_SINK_MEASURES_H
#define SKY_ALGORITHMS_SINK_MEASURES_H

#include "algorithms/sink/factor_rows.h"

#define SKY_MEASURE_TERMS 6
#define SKY_MEASURE_FACTORS 5

typedef enum sky_measure_gas {
  SKY_MEASURE_CO2,
  SKY_MEASURE_CH4, /* not fossil */
  SKY_MEASURE_N2O,
  SKY_MEASURE_GASES
} sky_measure_gas;

typedef struct sky_measure_input {
  const char *measure;                 /* a name of sky_measure_names */
  const char *climate, *type, *detail; /* cells of the factor tables, "" if not given */
  const char *credit;                  /* coastal: "rewetted", "standing" or "drained" */
  const char *organic;                 /* rice: kind of organic amendment, "" for none */
  const char *where;                   /* for messages and keys: "file:line" */
  double area;                         /* ha */
  double years;                        /* since planting, rewetting, flooding */
  double days, salinity, nitrogen;     /* of cultivation; ppt; kg N a year */
  double organic_amount, ditches;      /* t/ha; share of the area */
  double fuel, fuel_sd;                /* t d.m./ha that can burn */
  double rate, rate_sd, counted;       /* t C/ha/yr, positive = removal: of the project; what the
                                        * cover of its land counts already */
} sky_measure_input;                   /* numbers that are not given are NaN */

typedef struct sky_measure_term { /* scale × product of factors, kg/yr */
  sky_measure_gas gas;
  double scale;
  size_t n, factor[SKY_MEASURE_FACTORS];
} sky_measure_term;

typedef struct sky_measure {
  int cls; /* class 1..11 it belongs to */
  size_t n;
  sky_measure_term term[SKY_MEASURE_TERMS];
  const char *note; /* "" or why nothing more is counted; static */
} sky_measure;

/* Known measures, NULL behind the last. */
extern const char *const sky_measure_names[];

/* SKY_E_RANGE names `where` and the column that is missing or out of range; SKY_E_RANGE from the
 * tables where no row, or more than one, fits. */
SKY_NODISCARD sky_status sky_measure_make(sky_factor_rows *rows, const sky_measure_input *in,
                                          sky_measure *out);
/* kg/yr of one gas; grad (may be NULL) [factors] += derivatives. */
double sky_measure_value(const sky_measure *m, const sky_sink_factor *factor, sky_measure_gas gas,
                         double *grad);

#endif
