/* stage_file.h: the plain NetCDF tables that stages hand to each other (dimensions, variables in SI
 * units, provenance tags as global attributes). */
#ifndef SKY_JOB_STAGE_FILE_H
#define SKY_JOB_STAGE_FILE_H

#include "skyflux/context.h"

typedef struct sky_stage_dim {
  const char *name;
  size_t size;
} sky_stage_dim;

typedef struct sky_stage_var {
  const char *name, *dims, *unit;
  const double *value;  /* double variable, or */
  const int32_t *index; /* int32 variable, or */
  char *const *text;    /* strings */
} sky_stage_var;

typedef struct sky_stage_att { /* global attribute: text if not NULL, else number */
  const char *name, *text;
  double number;
} sky_stage_att;

SKY_NODISCARD sky_status sky_stage_file_write(sky_context *ctx, const char *path,
                                              const sky_stage_dim *dims, size_t n_dims,
                                              const sky_stage_var *vars, size_t n_vars,
                                              const sky_stage_att *atts, size_t n_atts,
                                              char *const *tags);
/* All values of one variable; count must match (SIZE_MAX: any). malloc'd. */
SKY_NODISCARD sky_status sky_stage_file_read(sky_context *ctx, const char *path, const char *var,
                                             size_t count, double **out);

SKY_NODISCARD sky_status sky_stage_file_count(sky_context *ctx, const char *path, const char *var,
                                              size_t *count);

SKY_NODISCARD sky_status sky_stage_file_has(sky_context *ctx, const char *path, const char *var,
                                            bool *has);

#endif
