/* job_account.h: a table of activity of the job, read and accounted by the job's `account`, and the
 * layer that it makes. */
#ifndef SKY_JOB_JOB_ACCOUNT_H
#define SKY_JOB_JOB_ACCOUNT_H

#include "src/job/facts.h"
#include "src/job/layer.h"
#include "src/job/sectors.h"
#include "src/read/activity.h"

typedef struct sky_job_account {
  const char *path; /* owned by the job */
  sky_activity_file activity;
  sky_table *own; /* the user's factors, or NULL */
  const char **allow;
  sky_factors *factors;
  sky_account account;
} sky_job_account;

/* Every row's region is one of the zones, or SKY_E_RANGE names file:line, region and zones. */
SKY_NODISCARD sky_status sky_job_account_open(sky_context *ctx, const sky_job *job,
                                              const char *path, const sky_zones *zones,
                                              sky_job_account *out);
void sky_job_account_free(sky_job_account *a); /* NULL-safe members, zeroes */

typedef struct sky_activity_place { /* where an inventory is placed */
  const sky_mesh *mesh;
  const double *area; /* [cells] m2 */
  const sky_zones *zones;
  const sky_coverage *cover; /* [zones] on the mesh */
} sky_activity_place;

/* One gas of a table of activity as a layer (zeroed by sky_layer_create), facts included, and each
 * sector of s as another (part [s->n]), whose factors are those of the whole, cut. SKY_E_NODATA: a
 * sector without a source of the gas. */
SKY_NODISCARD sky_status sky_job_activity(sky_context *ctx, const sky_job *job, const char *id,
                                          const sky_activity_place *place, const sky_sectors *s,
                                          sky_layer *layer, sky_layer *part, sky_facts *facts);

#endif
