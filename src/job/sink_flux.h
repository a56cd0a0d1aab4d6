/* sink_flux.h: a sink that is given as a flux of CO2 (NEE of `skyflux vprm`), as a layer of cells.
 *
 *     cov(c, d) = σ² flux_c flux_d + [c = d] (cell_sd² flux_c² + floor²)
 *
 * σ: what the parameters of a model are wrong by, they are wrong by everywhere; cell_sd: of each
 * cell alone. Cells without data are left as they are: no flux, no error. */
#ifndef SKY_JOB_SINK_FLUX_H
#define SKY_JOB_SINK_FLUX_H

#include "src/job/facts.h"
#include "src/job/layer.h"

/* layer: sky_layer_free it in any case. */
SKY_NODISCARD sky_status sky_sink_flux_layer(sky_context *ctx, const sky_job *job, const char *id,
                                             sky_facts *facts, sky_layer *layer);
#endif
