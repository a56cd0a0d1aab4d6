/* species.h: the gases, from ancillary/species.csv (source on every row). */
#ifndef SKY_CORE_SPECIES_H
#define SKY_CORE_SPECIES_H

#include "skyflux/context.h"

typedef struct sky_species {
  char id[8];         /* "co2", "ch4", "n2o" */
  char formula[16];   /* "CO2" */
  char long_name[32]; /* CF: "carbon_dioxide" */
  double molar_mass;  /* kg mol-1 */
  double column_min;  /* plausible column mole fraction, mol mol-1 */
  double column_max;
  char column_unit[8]; /* display: "ppm", "ppb" */
  double column_scale; /* mol mol-1 -> display */
  char source[128];
} sky_species;

#define SKY_N_AVOGADRO 6.02214076e23 /* mol-1, exact (SI 2019) */

/* NULL if unknown; the table is constant, owned by the library. */
const sky_species *sky_species_find(const char *id);
size_t sky_species_count(void);
const sky_species *sky_species_at(size_t i);

#endif
