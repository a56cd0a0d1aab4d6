/* zone_weights.h: what the flux of a cell adds to the total of a zone: the rows that a job asks of
 * its state, and the same as part of its problem file, so that `skyflux invert --problem` answers
 * for the job's zones (src/read/problem_zones.h). */
#ifndef SKY_JOB_ZONE_WEIGHTS_H
#define SKY_JOB_ZONE_WEIGHTS_H

#include "src/job/jacobian.h"

/* row [n_cell] of one layer: whole[c] (what a unit of flux in the whole cell is) times the zone's
 * part of it, by its share of the cell's mass where the layer knows it and has some there, else of
 * the area; 0 elsewhere. */
void sky_zone_row(const sky_layer *layer, size_t z, const sky_coverage *cover, const double *whole,
                  double *row);

typedef struct sky_zone_weights { /* CSR over the cells of all layers; kg yr-1 per mol m-2 s-1 */
  size_t n;
  char **name; /* [n] "ID"; with a sink "ID, sink" and "ID, net"; of a sector "ID, SECTOR" */
  int32_t *rowptr, *col;
  double *data;
  double *constant; /* [n] kg yr-1 that the state cannot move */
} sky_zone_weights;

/* The rows of all zones of the job, for its state j; without those whose layer has no total. */
SKY_NODISCARD sky_status sky_zone_weights_make(sky_context *ctx, const sky_job *job,
                                               const char *gas, const sky_jacobian *j,
                                               sky_zone_weights *out);
void sky_zone_weights_free(sky_zone_weights *r); /* NULL-safe, zeroes */
#endif
