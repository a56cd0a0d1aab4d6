/* plan.h: what a job would do, printed before anything runs; and checks of finished outputs. */
#ifndef SKY_JOB_PLAN_H
#define SKY_JOB_PLAN_H

#include <cjson/cJSON.h>

#include "src/job/job.h"

/* Stages with inputs (count, bytes), outputs, whether they are up to date, and the grid, state size
 * and peak memory of each inversion. Writes nothing. The caller deletes *out. */
SKY_NODISCARD sky_status sky_job_plan(sky_context *ctx, const sky_job *job, cJSON **out);

/* Compare the outputs in a job's folder with the checksums of its run.json. *out: {"files",
 * "changed": [names], "missing": [names]}. SKY_E_MISSING if there is no run.json. */
SKY_NODISCARD sky_status sky_outputs_verify(sky_context *ctx, const char *folder, cJSON **out);

#endif
