/* synth_city_draw.h: random draws of fluxes from the error that a layer states. */
#ifndef SKY_JOB_SYNTH_CITY_DRAW_H
#define SKY_JOB_SYNTH_CITY_DRAW_H

#include "src/job/layer.h"

/* out [n_cell] = flux + one draw of N(0, Q), Q = F diag(sign) Fᵀ + diag(variance) of the layer;
 * flux without data counts as 0. SKY_E_RANGE if the layer states no error, or if diag(variance)
 * does not outweigh the factors of negative sign. */
SKY_NODISCARD sky_status sky_layer_draw(sky_context *ctx, const sky_layer *l, uint64_t seed,
                                        uint64_t stream, double *out);
#endif
