/* vprm.h: hourly GPP and respiration of vegetation on a grid (VPRM, Mahadevan et al. 2008).
 *
 *   GPP  = Σ_c f_c λ_c Ts_c(T) Ps_c Ws_c EVI PAR / (1 + PAR/PAR0_c)
 *   Reco = Σ_c f_c max(α_c max(T, Tlow_c) + β_c, 0)          NEE = Reco - GPP
 *
 * summed over the classes c of a cell by their share f_c of its area; the rest of the cell has no
 * flux. SI: fluxes mol m-2 s-1, PAR mol photons m-2 s-1, T in K at 2 m (α and β count from 0 °C).
 * NaN in an input that a cell needs is NaN in its fluxes. Cells are independent of each other:
 * same bytes for any thread count. */
#ifndef SKY_ALGORITHMS_SINK_VPRM_H
#define SKY_ALGORITHMS_SINK_VPRM_H

#include "skyflux/context.h"

#define SKY_VPRM_CELSIUS 273.15
#define SKY_VPRM_SW_PER_PAR 0.505e6 /* W m-2 of shortwave per mol photons m-2 s-1 of PAR */
#define SKY_VPRM_PHASE 0.55         /* of the EVI range: leaves are out */

typedef enum sky_vprm_pscale {
  SKY_PSCALE_ONE = 0,  /* evergreen: 1 */
  SKY_PSCALE_LSWI = 1, /* savanna, grassland: (1 + LSWI) / 2 */
  SKY_PSCALE_PHASE = 2 /* 1 from EVImin + 0.55 (EVImax - EVImin) on, else (1 + LSWI) / 2 */
} sky_vprm_pscale;

typedef enum sky_vprm_wscale {
  SKY_WSCALE_STANDARD = 0, /* (1 + LSWI) / (1 + LSWImax) */
  SKY_WSCALE_XERIC = 1     /* (LSWI - LSWImin) / (LSWImax - LSWImin) */
} sky_vprm_wscale;

typedef struct sky_vprm_class {
  char name[48];
  double lambda;                     /* mol CO2 per mol photons, > 0 */
  double par0;                       /* mol photons m-2 s-1, > 0 */
  double alpha, beta;                /* mol m-2 s-1 K-1, mol m-2 s-1 */
  double t_min, t_opt, t_max, t_low; /* K */
  sky_vprm_pscale pscale;
  sky_vprm_wscale wscale;
  /* The respiration of Gourdji et al. (2022) instead: β + α T + α2 T² + γ EVI + (k1 + k2 T + k3 T²)
   * Ws, T in °C, below t_crit as t_crit - t_mult (t_crit - T); its t_low is not used. */
  bool modified;
  double alpha2;     /* mol m-2 s-1 K-2 */
  double gamma;      /* mol m-2 s-1 */
  double k1, k2, k3; /* mol m-2 s-1, per K, per K2 */
  double t_crit;     /* K */
  double t_mult;     /* 1 */
} sky_vprm_class;

/* Ts of one temperature, K; 0 outside (t_min, t_max). */
double sky_vprm_tscale(const sky_vprm_class *c, double t);
double sky_vprm_pscale_of(const sky_vprm_class *c, double evi, double evi_min, double evi_max,
                          double lswi);
/* In [0, 1]; 1 where LSWI has no range (the limit LSWI -> LSWImax). */
double sky_vprm_wscale_of(const sky_vprm_class *c, double lswi, double lswi_min, double lswi_max);

typedef struct sky_vprm_season { /* vegetation of one day, [n_cell]; NaN without */
  const double *evi, *lswi, *evi_min, *evi_max, *lswi_min, *lswi_max;
} sky_vprm_season;

typedef struct sky_vprm_day { /* what the hours of a day share */
  size_t n_cell, n_class;
  const sky_vprm_class *cls; /* borrowed */
  const double *share;       /* borrowed, [n_class*n_cell] of the cell's area */
  double *light;             /* [n_class*n_cell] f λ Ps Ws EVI */
  double *base, *warm; /* [n_class*n_cell] γ EVI + β + k1 Ws, α + k2 Ws; NULL: none modified */
  double *warm2;       /* [n_class*n_cell] α2 + k3 Ws */
} sky_vprm_day;

/* cls and share must outlive the result. SKY_E_RANGE names a class whose parameters are not those
 * of a plant: λ, PAR0 <= 0, or not Tmin < Topt < Tmax. */
SKY_NODISCARD sky_status sky_vprm_day_create(sky_context *ctx, const sky_vprm_class *cls,
                                             size_t n_class, const double *share, size_t n_cell,
                                             sky_vprm_day *out);
void sky_vprm_day_free(sky_vprm_day *d); /* NULL-safe, zeroes */
/* EVI below 0 counts as 0. */
void sky_vprm_day_set(sky_vprm_day *d, const sky_vprm_season *s, int threads);

/* One step: t2m [n_cell] K, shortwave [n_cell] W m-2 -> gpp, reco [n_cell] mol m-2 s-1, both >= 0.
 * Shortwave below 0 counts as 0. */
void sky_vprm_hour(const sky_vprm_day *d, const double *t2m, const double *shortwave, int threads,
                   double *gpp, double *reco);

#endif
