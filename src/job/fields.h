/* fields.h: the gridded results of a job in display units, for the GeoTIFFs and the report.
 *
 * On the job's grid fluxes of cells that a patch replaces are area-weighted means; their standard
 * deviation and kernel are those of the mean, which the inversion states, else nodata. */
#ifndef SKY_JOB_FIELDS_H
#define SKY_JOB_FIELDS_H

#include "src/job/facts.h"
#include "src/write/cog.h"

#define SKY_FIELDS_MAX 256 /* kinds × gases, and those of sectors */

typedef struct sky_fields {
  sky_grid grid;
  char *patch; /* id of the patch whose cells they are, "" for the job's grid */
  size_t n;
  sky_field field[SKY_FIELDS_MAX];
  const char *kind[SKY_FIELDS_MAX]; /* "prior", "posterior", … */
  double *value[SKY_FIELDS_MAX];
  char *name[SKY_FIELDS_MAX], *long_name[SKY_FIELDS_MAX], *standard_name[SKY_FIELDS_MAX];
} sky_fields;

/* All fields on the job's grid. Zero-initialise first; freed by sky_fields_free, also after a
 * failure. */
SKY_NODISCARD sky_status sky_fields_load(sky_context *ctx, const sky_job *job, sky_fields *f);
/* The fluxes on patch p >= 1 of the job's mesh. */
SKY_NODISCARD sky_status sky_fields_load_patch(sky_context *ctx, const sky_job *job, size_t p,
                                               sky_fields *f);
void sky_fields_free(sky_fields *f);

#endif
