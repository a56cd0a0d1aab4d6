/* memory.h: what past transitions between maps of several dates still do to the carbon of the land:
 * losses at once, litter and soil over 20 years, young stands until they have their stock, rewetted
 * soil over 40. Closed forms: the cost does not depend on the years (memory.md).
 *
 * Inside: kg of carbon and m2; positive = the land gains carbon. */
#ifndef SKY_ALGORITHMS_SINK_MEMORY_H
#define SKY_ALGORITHMS_SINK_MEMORY_H

#include "algorithms/sink/factors.h"
#include "algorithms/sink/tensor.h"

typedef enum sky_memory_part {
  SKY_MEMORY_BIOMASS,
  SKY_MEMORY_DEAD, /* litter and dead wood */
  SKY_MEMORY_SOIL,
  SKY_MEMORY_PARTS
} sky_memory_part;

typedef struct sky_memory { /* of one site */
  size_t n_date;
  const double *years;                       /* [n_date] ascending */
  const sky_sink_set *set[SKY_TENSOR_DATES]; /* what holds at each date: management may change */
  double rewet[2]; /* share of SOC_REF that soil of cropland gains when it becomes wetland, in years
                    * 1-20 and 21-40; 0, 0: not known */
} sky_memory;

/* Area of 1 m2 that had class cls[d] at date d: adds scale × (carbon at time `to` less that at time
 * `from`) to part, and its derivatives to grad[d][factor of set[d]] (grad NULL: not wanted). Beyond
 * the last date it keeps its last class; before the first one it has its first. */
void sky_memory_add(const sky_memory *m, const uint16_t *cls, double from, double to, double scale,
                    double part[SKY_MEMORY_PARTS], double *const *grad);

#endif
