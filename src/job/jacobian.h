/* jacobian.h: the rooms of stage footprint, and what they hand on (stage_footprint.c). */
#ifndef SKY_JOB_JACOBIAN_H
#define SKY_JOB_JACOBIAN_H

#include "src/job/facts.h"
#include "src/job/layer.h"
#include "src/job/sectors.h"
#include "src/read/footprint.h"
#include "skyflux/problem.h"
#include "skyflux/soundings.h"

struct sky_zone_weights; /* zone_weights.h */

typedef struct sky_jacobian {
  const sky_node *inversion;
  sky_mesh mesh;
  sky_footprints native, rows; /* rows: on the mesh */
  double *max_distance;        /* [receptors] m, of the job entry that the receptor came with */
  double *max_time;            /* [receptors] s */
  double *row_outside;         /* [rows] sensitivity outside the mesh */
  double *prior;               /* [native cells] mol m-2 s-1, NaN no data; NULL: on the mesh only */
  double *prior_valid;         /* [native cells] share of the cell with prior data */
  sky_layer layer[SKY_SECTORS_MOST + 1]; /* prior or its sectors, sink */
  size_t n_layer, n_sector;              /* n_sector: 1 without sectors */
  bool own;                              /* the layers' own covariance in place of sigma */
  size_t *first_row;                     /* [receptors+1] rows of a receptor stand together */
  double *x0, *x_sd;                     /* [n_state] */
  size_t n_cell, n_time;                 /* n_cell: mesh cells of all layers */
  double step_start, step;               /* s */
  size_t q_rank;                         /* own covariance, on the state */
  double *q_factor, *q_sign, *q_var;
  /* observations, one per receptor and sensor whose soundings matched */
  size_t n_obs, n_groups;
  size_t n_sensor;                  /* products that have observations */
  const char **sensor_name;         /* [n_sensor] reader ids, of the soundings */
  int32_t *sensor, *overpass;       /* [n_obs] labels from 0 */
  size_t n_regressor;               /* columns of the job, then offsets of sensors */
  double *regressor, *regressor_sd; /* [n_regressor*n_obs], [n_regressor] mol mol-1 */
  size_t *receptor;
  double *observed, *r_sd, *baseline, *fixed, *y, *time, *count, *prior_part, *unseen;
  int32_t *group;
  double *lon, *lat;                /* mean place of the soundings, degrees */
  int32_t *track;                   /* an overpass and product; NULL: errors are independent */
  double *along;                    /* place along the track, track_unit */
  double track_length, track_share; /* of their correlation */
  const char *track_unit;           /* "km" or "s" */
  double *own_sd;                   /* of the soundings' background; NULL without */
  double *b0, *b_sd;
  /* CSR */
  int32_t *rowptr, *col;
  double *val;
  size_t nnz;
  /* audit over the rows of observations: all, outside the grid, inside it at other times */
  double used_sum, used_outside, used_other_time;
} sky_jacobian;

/* jacobian_observations.c: super-observations of the soundings that match a receptor, their errors,
 * and what they share: sensors, regressors, background offsets. */
SKY_NODISCARD sky_status sky_jacobian_observe(sky_context *ctx, const sky_soundings *s,
                                              sky_facts *facts, sky_jacobian *j);
SKY_NODISCARD sky_status sky_jacobian_background(sky_context *ctx, const char *gas,
                                                 sky_facts *facts, sky_jacobian *j);
/* jacobian_track.c: tracks and places along them, where the job has error.along_track. */
SKY_NODISCARD sky_status sky_jacobian_track(sky_context *ctx, const char *gas, size_t n_overpass,
                                            sky_facts *facts, sky_jacobian *j);
/* jacobian_write.c: the problem file, and what is said of it. */
SKY_NODISCARD sky_status sky_jacobian_write(sky_context *ctx, const char *path,
                                            const sky_jacobian *j,
                                            const struct sky_zone_weights *zones,
                                            char *const *tags);
void sky_jacobian_record(sky_facts *facts, const char *gas, const sky_jacobian *j);
#endif
