/* bins.h: soundings on a grid: the sums of every cell from which mean, sigma and coverage follow.
 *
 *   w_ic  weight of sounding i in cell c: the share of the cell that its pixel covers (bins.md), or
 *         its super-Gaussian weight (oversample.md)
 *   mean  Σ w x / Σ w
 *   var   σ² [ (1-ρ) Σ w² / (Σ w)² + ρ ],  σ² = Σ w σ² / Σ w        Chen et al. 2023, ACP 23, 5945
 *
 * Each contribution is rounded once, to whole quanta; sums of whole numbers do not depend on their
 * order. So the same soundings give the same bytes whatever the order of granules, the threads, the
 * shards or the files that they were merged from. A field of one value stays that value exactly. */
#ifndef SKY_ALGORITHMS_BINS_H
#define SKY_ALGORITHMS_BINS_H

#include "grids/quad.h"

__extension__ typedef unsigned __int128 sky_u128;
__extension__ typedef __int128 sky_i128;

#define SKY_BIN_W 0x1p40 /* quanta of a weight of 1: 9e-13 of a cell */
#define SKY_BIN_X 0x1p64 /* quanta of 1 mol mol-1: 5e-20 */
#define SKY_BIN_S 0x1p88 /* quanta of 1 (mol mol-1)² */

typedef struct sky_bin { /* the sums of one cell; one cache line */
  sky_i128 wx;           /* Σ w x */
  sky_u128 ww, ws;       /* Σ w², Σ w σ² */
  uint64_t w;            /* Σ w; UINT64_MAX is overflow */
  uint32_t n, n_sigma;   /* soundings that touch the cell; those of them with a sigma */
} sky_bin;

void sky_bin_add(sky_bin *a, const sky_bin *b); /* a += b */
/* One sounding of weight 1; sigma NaN: unknown. Both within the bounds of sky_bins_put. */
sky_bin sky_bin_of(double value, double sigma);
double sky_bin_weight(const sky_bin *b); /* Σ w; of pixels: how often the cell is covered */
double sky_bin_mean(const sky_bin *b);   /* NaN without soundings */
/* Σ w² / (Σ w)²: one over the effective number of soundings. */
double sky_bin_share(const sky_bin *b);
double sky_bin_rms(const sky_bin *b); /* σ; NaN unless every sounding has one */
double sky_bin_sigma(const sky_bin *b, double correlation);

typedef enum sky_bins_method { SKY_BINS_EXACT = 0, SKY_BINS_OVERSAMPLE = 1 } sky_bins_method;

typedef struct sky_bins_options {
  sky_bins_method method;
  sky_quad_measure measure;
  double k[3];            /* exponents of the super-Gaussian; 0: the default 4, 2, 1 */
  double sigma_reference; /* oversampling: the sigma that has weight 1, mol mol-1 */
} sky_bins_options;

/* What became of the soundings. cells2: Σ (cells that a sounding covers)², for the variance of
 * means over several cells (bins.md). */
typedef struct sky_bins_total {
  uint64_t n;          /* given */
  uint64_t outside;    /* no cell of the grid is touched */
  uint64_t crossed;    /* corners not in order */
  uint64_t degenerate; /* pixel without area or place; oversampling: without sigma */
  sky_u128 cells2;     /* in quanta of SKY_BIN_W */
} sky_bins_total;

typedef struct sky_bins sky_bins;

/* grid must outlive the result; only cells that are touched cost memory (64 bytes each, in blocks
 * of 64), beside one pointer a block. SKY_E_NOMEM: these alone exceed the budget. */
SKY_NODISCARD sky_status sky_bins_create(sky_context *ctx, const sky_grid *grid,
                                         const sky_bins_options *opt, sky_bins **out);
void sky_bins_free(sky_bins *b); /* NULL-safe */

/* n soundings: corners [n*4] in the grid's coordinates (sky_grid_from_lonlat), or `points`: x, y
 * [n] are centres and each sounding counts in its centre's cell with weight 1. value, sigma [n] mol
 * mol-1; sigma NULL or NaN: unknown. Values must be finite and below 0.25 in magnitude
 * (SKY_E_RANGE). */
SKY_NODISCARD sky_status sky_bins_put(sky_context *ctx, sky_bins *b, size_t n, bool points,
                                      const double *x, const double *y, const double *value,
                                      const double *sigma);
/* Add the sums of one cell. */
SKY_NODISCARD sky_status sky_bins_put_cell(sky_context *ctx, sky_bins *b, size_t cell,
                                           const sky_bin *sums);

sky_bins_total *sky_bins_totals(sky_bins *b);
size_t sky_bins_memory(const sky_bins *b); /* bytes held */
/* The first cell from *cell on that has soundings; false if there is none. */
bool sky_bins_next(const sky_bins *b, size_t *cell, const sky_bin **sums);
void sky_bins_clear(sky_bins *b); /* drop all sums, keep the totals */

#endif
