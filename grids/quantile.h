/* quantile.h: quantiles of weighted values that come block by block, exact or with a known bound.
 *
 * The q-quantile is the smallest value at which the weights of it and of all smaller values reach q
 * of the whole (the inverse of the distribution function; no interpolation). All distinct values
 * are kept as long as a fixed number of them suffices for all zones together; beyond it, values are
 * kept to fewer bits of their mantissa, which bounds the relative error. What is kept depends on
 * the blocks and their order alone. */
#ifndef SKY_GRIDS_QUANTILE_H
#define SKY_GRIDS_QUANTILE_H

#include "grids/zonal.h"

#define SKY_QUANTILE_VALUES 16777216 /* distinct values kept at most, of all zones: 256 MB */

/* Distinct values as keys that order as the values do, ascending, with their weights. */
typedef struct sky_quantile_list {
  size_t n, capacity;
  uint64_t *key;
  double *weight;
} sky_quantile_list;
void sky_quantile_list_free(sky_quantile_list *l); /* NULL-safe */

/* A thread's buffers; start with {0}. */
typedef struct sky_quantile_scratch {
  size_t capacity;
  uint64_t *key[2];
  double *weight[2];
} sky_quantile_scratch;
void sky_quantile_scratch_free(sky_quantile_scratch *s); /* NULL-safe */

/* The covered cells of a block; NaN is masked. The caller frees *out. */
SKY_NODISCARD sky_status sky_quantile_block(sky_context *ctx, const sky_zonal_block *b,
                                            const sky_cover_part *c, const double *value,
                                            sky_zonal_weight weight, sky_quantile_scratch *scratch,
                                            sky_quantile_list *out);

/* The distributions of all zones (and rasters). */
typedef struct sky_quantiles sky_quantiles;
SKY_NODISCARD sky_status sky_quantiles_create(sky_context *ctx, size_t n, size_t most,
                                              sky_quantiles **out);
void sky_quantiles_free(sky_quantiles *q); /* NULL-safe */
SKY_NODISCARD sky_status sky_quantiles_add(sky_context *ctx, sky_quantiles *q, size_t which,
                                           const sky_quantile_list *l);
/* share in 0..1; NaN without values. After the last add. */
SKY_NODISCARD sky_status sky_quantiles_get(sky_context *ctx, sky_quantiles *q, size_t which,
                                           double share, double *value);
/* Bound of the relative error of all of them; 0: exact. */
double sky_quantiles_error(const sky_quantiles *q);

#endif
