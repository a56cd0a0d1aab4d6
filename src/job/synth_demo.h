/* synth_demo.h: the demo scene: an invented city with known truth in the real products' layouts. */
#ifndef SKY_JOB_SYNTH_DEMO_H
#define SKY_JOB_SYNTH_DEMO_H

#include "skyflux/context.h"

/* The shipped scene; chosen before its result was looked at. */
#define SKY_SYNTH_DEMO_SEED 1

/* Writes into dir (made if absent): two TROPOMI CH4 granules, column footprints, a flux inventory,
 * the true flux, zones.geojson, demo.yaml and truth.csv. Needs the program ncgen (SKY_E_MISSING
 * else). The same dir and seed give the same bytes. */
SKY_NODISCARD sky_status sky_synth_demo(sky_context *ctx, const char *dir, uint64_t seed);

#endif
