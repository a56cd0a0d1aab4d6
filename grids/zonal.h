/* zonal.h: statistics of the cells of one block in one zone, and their combination over blocks.
 *
 * A block is at most SKY_BAND x SKY_BAND cells; arrays have rows of SKY_BAND, row 0 the
 * southernmost. A cell counts with the covered fraction f of its area A. All functions are pure;
 * a block's result depends on the block alone, and blocks are combined in a fixed order by the
 * caller, so that nothing depends on threads or tiles. */
#ifndef SKY_GRIDS_ZONAL_H
#define SKY_GRIDS_ZONAL_H

#include "grids/cover.h"
#include "src/core/sum.h"

/* Weight of a cell in means, deviations and shares: its true area f A, or f alone. */
typedef enum sky_zonal_weight { SKY_WEIGHT_AREA, SKY_WEIGHT_PLANAR } sky_zonal_weight;

typedef struct sky_zonal_block {
  size_t nx, ny;
  bool by_row;           /* area is set for the first cell of each row: all are equal */
  const double *area;    /* m2 */
  const uint64_t *fixed; /* area in units of `unit` m2, as `area`; for classes */
  double unit;
} sky_zonal_block;

/* area -> fixed: whole units of a power of two, at least 2^45 of them in the largest cell, so that
 * sums over a block are exact in 64 bits. Returns the unit. */
double sky_zonal_fix(const double *area, size_t nx, size_t ny, bool by_row, uint64_t *fixed);

typedef struct sky_zonal_size { /* Σ f, and Σ f A in m2 */
  double cells, area;
} sky_zonal_size;

/* All covered cells, whatever their value. NaN area: a covered cell has no place on Earth. */
sky_zonal_size sky_zonal_cover(const sky_zonal_block *b, const sky_cover_part *c);

/* ---- values ---- */

/* Of the covered cells with a value: Σ f v, Σ f A v, Σ w (v - mean)², extremes. */
typedef struct sky_zonal_values {
  sky_zonal_size valid;
  double sum, integral, m2, min, max;
  double by, by_value; /* Σ w g and Σ w g v with further weights g, see sky_zonal_by_block */
} sky_zonal_values;

/* value: NaN is masked. m2 is 0 unless `squares`. */
void sky_zonal_value_block(const sky_zonal_block *b, const sky_cover_part *c, const double *value,
                           sky_zonal_weight weight, bool squares, sky_zonal_values *out);

/* Sets by and by_value of *out; by: the weights g of the cells, NaN is masked. */
void sky_zonal_by_block(const sky_zonal_block *b, const sky_cover_part *c, const double *value,
                        const double *by, sky_zonal_weight weight, sky_zonal_values *out);

typedef struct sky_zonal_total {
  sky_acc cells, area, sum, integral, m2, by, by_value;
  double min, max;
} sky_zonal_total;

void sky_zonal_total_start(sky_zonal_total *t);
/* Variances by Chan, Golub & LeVeque (1983, doi:10.1080/00031305.1983.10483115), Eq. 2.1. */
void sky_zonal_total_add(sky_zonal_total *t, const sky_zonal_values *v, sky_zonal_weight weight);
double sky_zonal_total_mean(const sky_zonal_total *t, sky_zonal_weight weight); /* NaN: no cell */
/* Of the population: Σ w (v - mean)² / Σ w. */
double sky_zonal_total_variance(const sky_zonal_total *t, sky_zonal_weight weight);

/* ---- classes ---- */

#define SKY_ZONAL_LANES 8 /* numbers of scratch space an id */

/* size[id]: covered cells by id < n. scratch: [n*SKY_ZONAL_LANES], zero before and after. */
void sky_zonal_class_block(const sky_zonal_block *b, const sky_cover_part *c, const uint32_t *id,
                           size_t n, uint64_t *scratch, sky_zonal_size *size);

#endif
