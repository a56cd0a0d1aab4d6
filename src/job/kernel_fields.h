/* kernel_fields.h: the averaging-kernel rows of the zones as rasters: kernels-GAS.nc and
 * GAS_kernel_N.tif, N: the zone's number in the order of zones.csv, from 1; on patches with -PATCH
 * and _PATCH. */
#ifndef SKY_JOB_KERNEL_FIELDS_H
#define SKY_JOB_KERNEL_FIELDS_H

#include "src/job/facts.h"
#include "src/job/job.h"

/* One field a zone on the job's grid (cells that a patch replaces: area means) and on each patch,
 * from stages/posterior-GAS.nc: what of a change of flux in a cell, the same in all time steps,
 * arrives in the zone's total. attrs: "name=value", NULL-terminated. The facts name the files. */
SKY_NODISCARD sky_status sky_kernel_fields_write(sky_context *ctx, const sky_job *job,
                                                 const char *gas, const char *const *attrs,
                                                 sky_facts *facts);
#endif
