/* job_flux.h: a gridded inventory of the job, and its flux on a mesh or another grid. */
#ifndef SKY_JOB_JOB_FLUX_H
#define SKY_JOB_JOB_FLUX_H

#include "grids/mesh.h"
#include "src/job/job.h"
#include "src/job/sectors.h"
#include "src/read/flux.h"

typedef enum sky_inventory_format {
  SKY_INVENTORY_FLUX,
  SKY_INVENTORY_WORKBOOK,
  SKY_INVENTORY_ACTIVITY
} sky_inventory_format;
/* Of an item of inventories: as it says, or by the ending of its file. Only a flux file has a flux
 * of its own (sky_job_flux); that of a table of activity is its layer (layer.h). */
sky_inventory_format sky_job_inventory_format(const sky_node *item);

/* The file behind inventories[id], as the mean over the steps of inventories[].year that lie in the
 * job's period; when there are none, of the whole year, or of all steps where no year is given:
 * *other_time tells. A file that serves as prior is refused when it is
 * decimated. */
SKY_NODISCARD sky_status sky_job_flux(sky_context *ctx, const sky_job *job, const char *id,
                                      sky_flux *out, bool *other_time);

/* The part of it that sector l of s takes, on the same grid, NaN where the whole f is NaN. */
SKY_NODISCARD sky_status sky_job_flux_sector(sky_context *ctx, const sky_job *job, const char *id,
                                             const sky_flux *f, const sky_sectors *s, size_t l,
                                             double *flux);

/* The same of sinks[id].flux, which has no year: CO2, a prior. */
SKY_NODISCARD sky_status sky_job_sink_flux(sky_context *ctx, const sky_job *job, const char *id,
                                           sky_flux *out, bool *other_time);

/* Mean flux of each cell of dst, mol m-2 s-1, by conservative sums of flux × area; cells without
 * any data are NaN, parts of cells without data count as 0. valid [cells]: share of the area with
 * data. audit in mol s-1; it closes to 1e-6 or SKY_E_MASS. */
SKY_NODISCARD sky_status sky_job_flux_to_mesh(sky_context *ctx, const char *what, const sky_flux *f,
                                              const sky_mesh *dst, double *flux, double *valid,
                                              sky_audit *audit);
SKY_NODISCARD sky_status sky_job_flux_to_grid(sky_context *ctx, const char *what, const sky_flux *f,
                                              const sky_grid *dst, double *flux, double *valid,
                                              sky_audit *audit);

#endif
