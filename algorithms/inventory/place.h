/* place.h: the total of a region on grid cells, by points and a proxy. Method: place.md.
 *
 * Points first: e = a + R·w/Σw with R = E - Σa and w = f·p^γ (less α·a, at least 0). The placed
 * cells sum to the total (Neumaier's sum in cell order) within 4 ulp. Pure functions without
 * allocation; the result does not depend on threads, as every region is one call. */
#ifndef SKY_ALGORITHMS_PLACE_H
#define SKY_ALGORITHMS_PLACE_H

#include "skyflux/context.h"

typedef enum sky_place_excess {                      /* when points exceed the total */
                                SKY_PLACE_SCALE = 0, /* points times E/A */
                                SKY_PLACE_KEEP,      /* points as they are; the excess is told */
                                SKY_PLACE_ERROR
} sky_place_excess;

#define SKY_PLACE_UNIFORM SIZE_MAX /* the last of the fall-back chain: area alone */

typedef struct sky_place_task {
  const char *region;   /* for messages */
  size_t n;             /* cells that meet the region */
  const double *inside; /* area of each cell inside the region, m² (exact coverage · cell area) */
  const double *points; /* known emission of each cell, kg; NULL = none */
  size_t n_proxies;
  const double *const *proxy; /* in order of preference, each n, >= 0 per m²; NaN = no data */
  double gamma;               /* exponent of the proxy, 1 by default */
  double alpha; /* share of points taken off the weight (assets have a proxy too); 0 = none */
  double total, total_sd; /* E, kg */
  sky_place_excess excess;
} sky_place_task;

typedef struct sky_placed {
  size_t proxy;   /* the one used, or SKY_PLACE_UNIFORM */
  double points;  /* Σa as placed */
  double rest;    /* R, placed by the proxy */
  double total;   /* Σe: the task's, or Σa with SKY_PLACE_KEEP */
  double excess;  /* Σa - E where the points exceed the total, else 0 */
  size_t no_data; /* cells without data in the proxy used: weight 0 */
} sky_placed;

/* emission, share: n each. share sums to 1: how the uncertain part is spread. SKY_E_COVERAGE if no
 * cell lies inside; SKY_E_RANGE for a value that is not legal, or points > total with
 * SKY_PLACE_ERROR. */
SKY_NODISCARD sky_status sky_place(sky_context *ctx, const sky_place_task *task, double *emission,
                                   double *share, sky_placed *out);

/* Spread v, kg², of the placed cells around their shares, which are Dirichlet with concentration
 * κ > 0 (INFINITY: the proxy is certain):
 *   Cov = share shareᵀ σ_E² + v (diag share - share shareᵀ),   v = (R² + σ_E²)/(κ + 1)
 * so the variance of the total stays σ_E². rest: R, kg; total_var: σ_E², kg². */
double sky_place_spread(double rest, double total_var, double kappa);

#endif
