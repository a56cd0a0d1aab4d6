/* synth_city.h: the invented city with known truth: three gases, accounts, sinks, satellites. */
#ifndef SKY_JOB_SYNTH_CITY_H
#define SKY_JOB_SYNTH_CITY_H

#include "skyflux/context.h"

/* The shipped scene; chosen before its result was looked at. */
#define SKY_SYNTH_CITY_SEED 1

typedef enum sky_city_case {
  SKY_CITY_MISMATCHED = 0, /* the truth comes from another model than the job assumes */
  SKY_CITY_MATCHED,        /* the truth is one draw of what the job assumes */
  SKY_CITY_STRONG_N2O,     /* mismatched, with a plant that emits 40 kt N2O a year */
  SKY_CITY_CASES
} sky_city_case;
extern const char *const sky_city_case_names[SKY_CITY_CASES];

/* Writes the scene and its job file city.yaml into dir (made if absent). Needs the program ncgen
 * (SKY_E_MISSING else). The same dir, seed and case give the same bytes; the seed draws truth and
 * errors, the ground, the weather and the geometry of the soundings stay. */
SKY_NODISCARD sky_status sky_synth_city(sky_context *ctx, const char *dir, uint64_t seed,
                                        sky_city_case which);

#endif
