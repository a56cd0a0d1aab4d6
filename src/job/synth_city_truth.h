/* synth_city_truth.h: what the satellites saw of the true fluxes of the invented city. */
#ifndef SKY_JOB_SYNTH_CITY_TRUTH_H
#define SKY_JOB_SYNTH_CITY_TRUTH_H

#include "src/job/synth_city_flux.h"

/* Needs the inputs in dir. Draws the truth, writes dir/truth.csv and dir/truth/, and fills the
 * columns of the soundings. pass and footprint: [SKY_CITY_PASSES], those of the files. */
SKY_NODISCARD sky_status sky_city_truth_make(sky_context *ctx, const sky_city_scene *scene,
                                             const char *dir, uint64_t seed, sky_city_case which,
                                             sky_city_pass *pass, const sky_footprints *footprint);
#endif
