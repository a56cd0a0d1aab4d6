/* scratch.h: a private folder in which stages run while the job's output folder stays as it is. */
#ifndef SKY_JOB_SCRATCH_H
#define SKY_JOB_SCRATCH_H

#include "src/job/stage.h"

/* *scratch: the same job with a fresh folder below $TMPDIR (or /tmp) as its output. It borrows from
 * job, which must outlive it. */
SKY_NODISCARD sky_status sky_scratch_open(sky_context *ctx, const sky_job *job, sky_job *scratch);
/* Let the scratch folder show the outputs of a stage that are up to date in the job's own. */
SKY_NODISCARD sky_status sky_scratch_lend(sky_context *ctx, const sky_job *job,
                                          const sky_job *scratch, const sky_stage *stage);
/* Removes the folder with all that is in it. NULL-safe members. */
void sky_scratch_close(sky_job *scratch);

#endif
