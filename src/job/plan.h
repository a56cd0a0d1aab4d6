/* plan.h: what a job would do, printed before anything runs; and checks of finished outputs. */
#ifndef SKY_JOB_PLAN_H
#define SKY_JOB_PLAN_H

#include <cjson/cJSON.h>

#include "src/job/job.h"

/* Stages with inputs (count, bytes), outputs, seconds and whether they are up to date; per gas the
 * soundings, the size of the inverse problem, DOFS and what each zone would learn, from the stages
 * themselves in a scratch folder below $TMPDIR (quick: none of these, nothing is computed). Writes
 * nothing into the job's output folder. Returns what the run would end with, as far as the plan can
 * know: *out is set also when a stage fails for its data. The caller deletes *out. */
SKY_NODISCARD sky_status sky_job_plan(sky_context *ctx, const sky_job *job, bool quick,
                                      cJSON **out);

/* Compare the outputs in a job's folder with the checksums of its run.json. *out: {"files",
 * "changed": [names], "missing": [names]}. SKY_E_MISSING if there is no run.json. */
SKY_NODISCARD sky_status sky_outputs_verify(sky_context *ctx, const char *folder, cJSON **out);

#endif
