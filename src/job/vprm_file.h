/* vprm_file.h: the NetCDF of hourly fluxes, written a few hours at a time. */
#ifndef SKY_JOB_VPRM_FILE_H
#define SKY_JOB_VPRM_FILE_H

#include "src/job/vprm.h"

#define SKY_VPRM_PIECE 24 /* hours in one piece of the file */

typedef struct sky_vprm_file sky_vprm_file;

/* Refused (SKY_E_NOMEM) when the file of this many hours does not fit the memory budget. */
SKY_NODISCARD sky_status sky_vprm_file_create(sky_context *ctx, const sky_vprm_options *opt,
                                              const sky_vprm_set *set, const sky_grid *grid,
                                              sky_vprm_file **out);
/* One hour, mol m-2 s-1. */
SKY_NODISCARD sky_status sky_vprm_file_put(sky_vprm_file *f, double start, const double *gpp,
                                           const double *respiration);
SKY_NODISCARD sky_status sky_vprm_file_commit(sky_vprm_file *f); /* frees f in every case */
void sky_vprm_file_abort(sky_vprm_file *f);                      /* NULL-safe */

#endif
