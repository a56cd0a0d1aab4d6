/* reference.h: areas of transitions from a reference sample, by the stratified estimator of
 * Olofsson et al. (2014), Remote Sens. Environ. 148, Eq. 9 to 11: the mapped transitions are the
 * strata, the sample says what they are in truth. Equations in reference.md. */
#ifndef SKY_ALGORITHMS_SINK_REFERENCE_H
#define SKY_ALGORITHMS_SINK_REFERENCE_H

#include "algorithms/sink/tensor.h"

typedef struct sky_reference {
  size_t n_class;
  double *units; /* [n*n] of the sample in stratum h = from * n + to */
  double *share; /* [n*n*n*n] share[h*n*n + k]: of them, that are transition k in truth */
} sky_reference;

SKY_NODISCARD sky_status sky_reference_create(sky_context *ctx, size_t n_class, sky_reference *out);
void sky_reference_free(sky_reference *r); /* NULL-safe, zeroes */
/* count units mapped as from -> to that are true_from -> true_to; then finish, once. */
void sky_reference_add(sky_reference *r, size_t from, size_t to, size_t true_from, size_t true_to,
                       double count);
void sky_reference_finish(sky_reference *r);

/* The first stratum with area in the tensor, but less than two units: h; SIZE_MAX if there is none.
 */
size_t sky_reference_gap(const sky_reference *r, const sky_tensor *t);
/* area: [n*n] as mapped, of one zone; out: [n*n] estimated, with the same sum. */
void sky_reference_areas(const sky_reference *r, const double *area, double *out);
/* Variance of Σ_h Σ_k share_hk g_hk due to the sample; g: [n*n*n*n], m2 of stratum h × value of k.
 */
double sky_reference_variance(const sky_reference *r, const double *g);

#endif
