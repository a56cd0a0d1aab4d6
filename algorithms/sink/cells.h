/* cells.h: the annual uptake of small pieces of land (the cells of a mesh) and its own error as low
 * rank + diagonal, for an inversion that takes it as a prior.
 *
 *     cov(c, d) = Σ_k F_kc F_kd + [c = d] variance_c
 *
 * Equations in stock.md, "Cells of a mesh". */
#ifndef SKY_ALGORITHMS_SINK_CELLS_H
#define SKY_ALGORITHMS_SINK_CELLS_H

#include "algorithms/sink/stock.h"

typedef struct sky_sink_cells {
  size_t n_cell, rank;
  double *uptake;   /* [cells] kg C yr-1 to the atmosphere */
  double *factor;   /* [rank*cells] kg C yr-1; all zero rows are left out */
  double *variance; /* [cells] (kg C yr-1)2 */
} sky_sink_cells;

/* site: of the uptake, as in sky_sink_compute; the zones of their tensors are the cells, which do
 * not overlap. how: its accuracy and correlation; there is no reference. cell_sd: relative standard
 * deviation of a class's uptake in one cell about the mean of the class. */
SKY_NODISCARD sky_status sky_sink_cells_make(sky_context *ctx, const sky_sink_site *site,
                                             size_t n_site, const sky_sink_how *how, double cell_sd,
                                             sky_sink_cells *out);
void sky_sink_cells_free(sky_sink_cells *c); /* NULL-safe, zeroes */

#endif
