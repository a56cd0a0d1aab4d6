/* vprm.h: hourly fluxes of vegetation by VPRM, from files to files (docs/vprm.md).
 *
 * On the grid of the season of EVI and LSWI. The NetCDF holds gpp, respiration and nee (to the
 * atmosphere positive), time being the start of each hour, so that it reads as an inventory of CO2
 * (variable nee): a prior of the inversion. */
#ifndef SKY_JOB_VPRM_H
#define SKY_JOB_VPRM_H

#include "algorithms/sink/vprm_sets.h"
#include "grids/zone.h"
#include "src/read/met.h"
#include "src/read/zones_ogr.h"

typedef struct sky_vprm_options {
  char **met; /* hours in files, which follow each other without a gap, in order of time */
  size_t n_met;
  sky_accumulation accumulated;
  const char *season;              /* NetCDF of `skyflux indices` */
  const char *landcover, *classes; /* map and CSV code,class; or */
  const char *const *fractions;    /* "CLASS=FILE" */
  size_t n_fraction;
  const char *set, *parameters; /* built-in set, or CSV */
  const char *out, *map;        /* NetCDF of hours; GeoTIFF of mean NEE, or NULL */
  const char *zones;            /* NULL: none */
  sky_zones_options zone;
} sky_vprm_options;

typedef struct sky_vprm_flux { /* over the period; mol CO2 m-2 s-1 or t CO2; NaN: none */
  double gpp, respiration, nee;
} sky_vprm_flux;

typedef struct sky_vprm_zone {
  double area, covered; /* m2; share of it in cells with fluxes */
  sky_vprm_flux total;  /* t CO2 over the period in the covered part */
  const char *reason;   /* why there is none; "" */
} sky_vprm_zone;

typedef struct sky_vprm_result {
  size_t hours, cells, valid; /* valid: cells with fluxes at every hour */
  double start, end;          /* s since 1970 */
  sky_vprm_flux mean, total;  /* over the valid cells */
  double area;                /* of them, m2 */
  char set[64], crs[256];
  sky_zones zones;     /* of opt->zones */
  sky_vprm_zone *zone; /* [zones.n] */
} sky_vprm_result;

SKY_NODISCARD sky_status sky_vprm_make(sky_context *ctx, const sky_vprm_options *opt,
                                       sky_vprm_result *out);
void sky_vprm_result_free(sky_vprm_result *r); /* NULL-safe, zeroes */

#endif
