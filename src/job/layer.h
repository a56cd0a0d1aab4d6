/* layer.h: one layer of surface flux on the job's mesh, as the stages that make it (inventory,
 * sink) hand it to those that use it: stages/inventory-ID.nc, stages/sink-ID.nc.
 *
 * A layer may state its own error as low rank + diagonal: cov(i, j) = Σ_k sign_k f_k,i f_k,j +
 * [i = j] variance_i. */
#ifndef SKY_JOB_LAYER_H
#define SKY_JOB_LAYER_H

#include "src/job/job.h"

typedef struct sky_layer {
  size_t n_cell, n_zone;
  double *flux;         /* [cells] mol m-2 s-1, to the atmosphere positive; NaN without data */
  double *valid;        /* [cells] share of the area with data */
  double *zone_total;   /* [zones] kg yr-1; NaN = nothing to say */
  double *zone_sd;      /* [zones] kg yr-1; NaN = not stated */
  double *zone_covered; /* [zones] share of the zone's area with data */
  double *zone_scope2;  /* [zones] kg yr-1 of purchased power and heat, beside the flux; NaN =
                           nothing  to say. From tables of activity (CO2) only */
  double *zone_scope2_sd;
  double
      *zone_share;  /* [zones*cells] of a cell's mass that is the zone's; NULL: its share of area */
  size_t rank;      /* own error; variance NULL: none is stated */
  double *factor;   /* [rank*cells] mol m-2 s-1 */
  double *sign;     /* [rank] +1, -1 */
  double *variance; /* [cells] (mol m-2 s-1)2 */
} sky_layer;

/* Zeroed flux 0, totals NaN; no own error. */
SKY_NODISCARD sky_status sky_layer_create(sky_context *ctx, size_t n_cell, size_t n_zone,
                                          sky_layer *out);
void sky_layer_free(sky_layer *l); /* NULL-safe, zeroes */

/* √(wᵀQw) of a zone by the layer's own error, kg yr-1; area: [cells] m2, kg: yr-1 of 1 mol s-1. */
double sky_layer_zone_sd(const sky_layer *l, const double *area, const sky_coverage *cover,
                         double kg);

SKY_NODISCARD sky_status sky_layer_write(sky_context *ctx, const char *path, const sky_layer *l,
                                         char *const *tags);
/* stages/KIND-ID.nc; kind "inventory" or "sink". */
SKY_NODISCARD sky_status sky_layer_read(sky_context *ctx, const sky_job *job, const char *kind,
                                        const char *id, sky_layer *out);

#endif
