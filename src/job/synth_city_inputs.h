/* synth_city_inputs.h: what the bottom-up half of the city's job reads: zones, activity, factors,
 * proxies, land cover; and the job file. */
#ifndef SKY_JOB_SYNTH_CITY_INPUTS_H
#define SKY_JOB_SYNTH_CITY_INPUTS_H

#include "src/job/synth_city.h"
#include "src/job/synth_city_pass.h"

SKY_NODISCARD sky_status sky_city_inputs_write(sky_context *ctx, const sky_city_scene *scene,
                                               const char *dir);
/* out: where to write it. layers_only: without observations, as the truth needs it. */
SKY_NODISCARD sky_status sky_city_job_write(sky_context *ctx, const sky_city_scene *scene,
                                            const char *dir, uint64_t seed, sky_city_case which,
                                            bool layers_only, const char *out);
#endif
