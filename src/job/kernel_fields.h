/* kernel_fields.h: the averaging-kernel rows of the zones as rasters: kernels-GAS.nc. */
#ifndef SKY_JOB_KERNEL_FIELDS_H
#define SKY_JOB_KERNEL_FIELDS_H

#include "src/job/job.h"

/* One field a zone on the job's grid (cells that a patch replaces: area means), from
 * stages/posterior-GAS.nc: what of a change of flux in a cell arrives in the zone's total. attrs:
 * "name=value", NULL-terminated. */
SKY_NODISCARD sky_status sky_kernel_fields_write(sky_context *ctx, const sky_job *job,
                                                 const char *gas, const char *const *attrs);
#endif
