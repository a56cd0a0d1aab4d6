/* fields.h: the gridded results of a job in display units, for the GeoTIFFs and the report. */
#ifndef SKY_JOB_FIELDS_H
#define SKY_JOB_FIELDS_H

#include "src/job/facts.h"
#include "src/write/cog.h"

#define SKY_FIELDS_MAX 64 /* kinds × gases */

typedef struct sky_fields {
  sky_grid grid;
  size_t n;
  sky_field field[SKY_FIELDS_MAX];
  const char *kind[SKY_FIELDS_MAX]; /* "prior", "posterior", … */
  double *value[SKY_FIELDS_MAX];
  char *name[SKY_FIELDS_MAX], *long_name[SKY_FIELDS_MAX], *standard_name[SKY_FIELDS_MAX];
} sky_fields;

/* Zero-initialise first; freed by sky_fields_free, also after a failure. */
SKY_NODISCARD sky_status sky_fields_load(sky_context *ctx, const sky_job *job, sky_fields *f);
void sky_fields_free(sky_fields *f);

#endif
