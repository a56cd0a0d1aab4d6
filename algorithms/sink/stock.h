/* stock.h: carbon stock change and annual uptake of zones, from their area tensor.
 *
 * Inside: kg of carbon and m2. A stock change is positive where the land gains carbon; an uptake is
 * a flux to the atmosphere, so growth is negative (kg C yr-1). Equations, time rules and the error
 * model are in stock.md. */
#ifndef SKY_ALGORITHMS_SINK_STOCK_H
#define SKY_ALGORITHMS_SINK_STOCK_H

#include "algorithms/sink/factors.h"
#include "algorithms/sink/reference.h"

#define SKY_CO2_PER_C (44.0 / 12.0) /* as the IPCC guidelines write it */

typedef struct sky_sink_estimate {
  double value, sd;
  double low, high; /* 95 %: with what map error alone would show, see stock.md */
} sky_sink_estimate;

typedef struct sky_sink_row { /* one zone and class; class n_class is the whole zone */
  size_t zone, cls, period;   /* period: from date period to the next */
  double area[2];             /* m2 at both dates, of what has a class at both */
  double biomass, dead, soil; /* kg C, parts of `stock`; NaN for a set of totals, as is */
  double soil_unknown;        /* m2 that changed class without a soil row on both sides */
  sky_sink_estimate stock;    /* kg C over the period; NaN for a set without stocks, and of a set of
                               * totals where a class that it does not hold came or went */
  sky_sink_estimate uptake;   /* kg C yr-1 to the atmosphere; NaN for a set of totals */
} sky_sink_row;

typedef struct sky_sink_site { /* places that have one factor set: a climate with a soil */
  const sky_tensor *tensor;    /* of all zones, of these places */
  const sky_sink_set *set;
  const size_t *factor; /* [set->n_factor] number of the factor among those of all sites, the same
                         * for the same table row; NULL: there is one site */
} sky_sink_site;

typedef struct sky_sink_how {
  double years;       /* > 0 */
  double accuracy;    /* overall accuracy of each map in (0, 1]; NaN if not stated: then sd is of
                       * the factors alone, and the interval reaches to no change of class */
  double places;      /* independent places that a zone is made of, >= 1: the deviation of a place
                       * from the mean of its factor counts 1/places; NaN: does not count */
  double correlation; /* of both maps' errors, in [0, 1]: share of the second map's classes that
                       * repeat the first's; 0: independent */
  const sky_reference *reference; /* NULL, or what the areas are in truth: then the tensors are as
                                   * mapped, and accuracy does not count */
} sky_sink_how;

/* rows: [n_zone*(n_class+1)], ordered by zone, then class; sums over the sites (at least one). */
SKY_NODISCARD sky_status sky_sink_compute(sky_context *ctx, const sky_sink_site *site,
                                          size_t n_site, const sky_sink_how *how,
                                          sky_sink_row *rows);

/* Uptake of one period less that of another, kg C yr-1 to the atmosphere, [n_zone*(n_class+1)]: the
 * factors are the same in both, their errors cancel as far as the areas do; map errors add. The
 * sites are those of the two periods, in the same order with the same sets. */
SKY_NODISCARD sky_status sky_sink_uptake_change(sky_context *ctx, const sky_sink_site *before,
                                                const sky_sink_site *after, size_t n_site,
                                                const sky_sink_how *how, sky_sink_estimate *out);

/* A quantity linear in the areas: Σ_ij a_ij f_ij, f with its derivatives to the factors. */
typedef struct sky_linear {
  size_t n, m; /* classes, factors */
  double *f;   /* [n*n] kg m-2 (yr-1) */
  double *J;   /* [n*n*m] df/dfactor */
} sky_linear;

typedef enum sky_sink_quantity {
  SKY_SINK_BIOMASS = 1,
  SKY_SINK_DEAD = 2,
  SKY_SINK_SOIL = 4,
  SKY_SINK_STOCK = 7,
  SKY_SINK_UPTAKE = 8
} sky_sink_quantity;

SKY_NODISCARD sky_status sky_linear_make(sky_context *ctx, const sky_sink_set *set,
                                         sky_linear *out);
void sky_linear_free(sky_linear *l);
/* Fill f and J for one quantity and class (n: all classes together). */
void sky_linear_fill(const sky_sink_set *set, sky_sink_quantity quantity, size_t cls, double years,
                     sky_linear *l);

/* Expected area (m2) that a map error alone moves from i to j, [n*n], diagonal 0; all 0 for NaN.
 * landscape, [n*n]: the areas whose class shares say what a pixel is mistaken for (area itself, or
 * those of a larger piece of land that it is part of: then w is linear in area). */
void sky_sink_false_areas(const double *area, const double *landscape, size_t n, double accuracy,
                          double *w);

typedef struct sky_sink_variance {
  double factor; /* aᵀSa, S = J diag(sd²) Jᵀ */
  double area;   /* fᵀCov(a)f, Cov(a) = Σ w_ij² u_ij u_ijᵀ, u_ij = e_ij - ½ e_ii - ½ e_jj */
  double cross;  /* tr(S Cov a) */
} sky_sink_variance;

/* What a false area i -> j does to a quantity v, per m2: it was i or j all along. stride: of v. */
static inline double sky_linear_shift(const double *v, size_t stride, size_t n, size_t i,
                                      size_t j) {
  return v[(i * n + j) * stride] - 0.5 * (v[(i * n + i) * stride] + v[(j * n + j) * stride]);
}

/* area, w: [n*n]; by: the set's factors, [m]. */
sky_sink_variance sky_linear_variance(const sky_linear *l, const double *area, const double *w,
                                      const sky_sink_factor *by);

#endif
