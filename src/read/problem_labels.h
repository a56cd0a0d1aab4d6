/* problem_labels.h: what a problem file may say beside the problem: which sounding belongs to which
 * overpass and sensor, which unknown to which sector, and the columns of an unknown mean.
 *
 * Variables, all optional: overpass(obs), sensor(obs), sector(state): whole numbers from 0;
 * drift(drift,state). Attributes nx, ny: cells run as iy*nx + ix. */
#ifndef SKY_READ_PROBLEM_LABELS_H
#define SKY_READ_PROBLEM_LABELS_H

#include "skyflux/problem.h"

typedef struct sky_problem_labels {
  size_t n_overpass, n_sensor, n_sector, n_drift; /* 0 = not stated */
  int32_t *overpass, *sensor;                     /* [n_obs] */
  int32_t *sector;                                /* [n_state] */
  double *drift;                                  /* [n_drift*n_state] */
  size_t nx, ny;                                  /* 0 = not stated; else nx*ny = n_cell */
} sky_problem_labels;

SKY_NODISCARD sky_status sky_problem_labels_read(sky_context *ctx, const char *path,
                                                 const sky_problem *p, sky_problem_labels *out);
void sky_problem_labels_free(sky_problem_labels *l); /* NULL-safe, zeroes */

#endif
