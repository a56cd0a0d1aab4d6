/* band.h: a symmetric positive definite matrix whose rows begin late, in tiles, and its Cholesky
 * factor, which fills nothing before a row's first element (compact.md §3).
 *
 * Same bits for any thread count. */
#ifndef SKY_ALGORITHMS_BAND_H
#define SKY_ALGORITHMS_BAND_H

#include "skyflux/context.h"

enum { SKY_BAND_TILE = 192 };

typedef struct sky_band {
  size_t n, tiles; /* tiles in a row of the whole; the last one is filled up with the identity */
  size_t *first;   /* [tiles] first tile of a row of tiles */
  size_t *start;   /* [tiles+1] tiles before a row of tiles */
  double *data;    /* [start[tiles]*SKY_BAND_TILE²] rows of tiles, each tile row-major */
} sky_band;

/* Zeros (ones below the end); first [n]: column of a row's first element, <= the row. SKY_E_NOMEM
 * also where it does not fit the memory budget beside `held` bytes. */
SKY_NODISCARD sky_status sky_band_create(sky_context *ctx, size_t n, const size_t *first,
                                         double held, sky_band *out);
void sky_band_free(sky_band *b); /* NULL-safe, zeroes */
double sky_band_bytes(size_t n, const size_t *first);
/* Element of the lower triangle, col in the row's tiles. */
double *sky_band_element(const sky_band *b, size_t row, size_t col);
/* b = L; SKY_E_NOT_SPD names the row. */
SKY_NODISCARD sky_status sky_band_cholesky(sky_context *ctx, sky_band *b);
/* X [n*m] = (L Lᵀ)⁻¹ X, m right-hand sides as columns. */
void sky_band_solve(const sky_band *b, size_t m, double *X);
double sky_band_logdet(const sky_band *b);
/* L -> the elements of (L Lᵀ)⁻¹ that lie in the tiles, both triangles in a diagonal tile. */
SKY_NODISCARD sky_status sky_band_inverse(sky_context *ctx, sky_band *b);

#endif
