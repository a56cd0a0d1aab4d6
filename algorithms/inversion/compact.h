/* compact.h: H Q Hᵀ element by element, where the prior is levels of bounded reach and footprints
 * are local: most observations share nothing, and along one axis the matrix is banded (compact.md).
 *
 * No FFT enters: correlations are added up grid point by grid point. */
#ifndef SKY_ALGORITHMS_COMPACT_H
#define SKY_ALGORITHMS_COMPACT_H

#include "skyflux/problem.h"

typedef struct sky_compact sky_compact;

/* Every level's model has a bounded support, so that the elements are those of the prior. */
bool sky_compact_exact(const sky_problem *p);
/* taper: models without bounds are cut (sky_level_view), the elements then those of another, still
 * semi-definite, matrix; else they are SKY_E_RANGE, as is a prior that is not levels. p must
 * outlive *out. */
SKY_NODISCARD sky_status sky_compact_create(sky_context *ctx, const sky_problem *p, bool taper,
                                            sky_compact **out);
void sky_compact_free(sky_compact *c); /* NULL-safe */
/* Observations sorted along one axis: [n_obs] which one stands at a place. */
const size_t *sky_compact_order(const sky_compact *c);
/* [n_obs] by place: the first place before that it reaches, or itself. Never falls. */
const size_t *sky_compact_first(const sky_compact *c);
double sky_compact_bytes(const sky_context *ctx, const sky_compact *c);
/* Multiplications of all rows, those of their last step (with each other) not counted. */
double sky_compact_work(const sky_compact *c);

/* element[j - first[at]] = (H Q Hᵀ) of the observations at places `at` and j, first[at] <= j <= at;
 * called from several threads, once for each place. */
typedef void sky_compact_row(void *user, size_t at, const double *element);
SKY_NODISCARD sky_status sky_compact_rows(sky_context *ctx, const sky_compact *c, size_t from,
                                          size_t end, sky_compact_row *row, void *user);

/* out [n_zone] = tr(X H P_z Q Hᵀ): the elements A_ii = (Q Hᵀ X H)_ii of a zone times its share of
 * them, X symmetric. element(user, at, j): X of two places of which one reaches the other. */
typedef double sky_compact_element(const void *user, size_t at, size_t j);
SKY_NODISCARD sky_status sky_compact_inside(sky_context *ctx, const sky_compact *c,
                                            const sky_functionals *zones,
                                            sky_compact_element *element, const void *user,
                                            double *out);
#endif
