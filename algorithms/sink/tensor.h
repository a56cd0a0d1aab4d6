/* tensor.h: the area tensor of class maps: zone × class at each date × place (climate and soil).
 *
 * Everything that follows (stock change, uptake, uncertainty) works on areas alone. They are m2 on
 * the WGS 84 ellipsoid, whatever the coordinate system of the map, and come from one pass of the
 * raster engine (src/job/sink_areas.h). What has no class at one of the dates, or no climate or
 * soil where maps of them are given, is kept apart; each zone is audited. */
#ifndef SKY_ALGORITHMS_SINK_TENSOR_H
#define SKY_ALGORITHMS_SINK_TENSOR_H

#include "skyflux/context.h"

#define SKY_TENSOR_NODATA UINT16_MAX
#define SKY_TENSOR_DATES 8
#define SKY_TENSOR_ANY INT32_MIN /* climate or soil where there is no map of it */

typedef struct sky_place { /* codes of the maps */
  int32_t climate, soil;
} sky_place;

typedef struct sky_stratum {
  size_t zone, place;
  uint16_t cls[SKY_TENSOR_DATES]; /* below n_class */
  double area;                    /* m2 */
} sky_stratum;

typedef struct sky_strata {
  size_t n_zone, n_date, n_class;
  size_t n, capacity;
  sky_stratum *stratum; /* after finish: ascending by zone, place, classes; none twice */
  size_t n_place, place_capacity;
  sky_place *place;
  double *nodata; /* [n_zone] m2 inside the maps that lacks something */
  double *inside; /* [n_zone] m2 of the zone inside the maps, summed on its own (audit) */
} sky_strata;

SKY_NODISCARD sky_status sky_strata_create(sky_context *ctx, size_t n_zone, size_t n_date,
                                           size_t n_class, sky_strata *out);
void sky_strata_free(sky_strata *s); /* NULL-safe, zeroes */
/* cls: [n_date]; one SKY_TENSOR_NODATA among them adds to the zone's nodata. */
SKY_NODISCARD sky_status sky_strata_add(sky_context *ctx, sky_strata *s, size_t zone,
                                        sky_place place, const uint16_t *cls, double area);
/* Sorts, and sums strata of the same kind. SKY_E_MASS if Σ area + nodata is not inside, to 1e-12
 * of it. */
SKY_NODISCARD sky_status sky_strata_finish(sky_context *ctx, sky_strata *s);

typedef struct sky_tensor { /* two dates, one place or several taken together */
  size_t n_zone, n_class;
  double *area;   /* [n_zone*n_class*n_class] m2; element ((zone*n_class)+from)*n_class + to */
  double *nodata; /* [n_zone] of the strata */
  double *inside; /* [n_zone] of the strata */
} sky_tensor;

/* Transitions from date to date + 1 in the places whose group[place] is `which` (group NULL: in
 * all). */
SKY_NODISCARD sky_status sky_tensor_make(sky_context *ctx, const sky_strata *s, const size_t *group,
                                         size_t which, size_t date, sky_tensor *out);
void sky_tensor_free(sky_tensor *t); /* NULL-safe, zeroes */

static inline double sky_tensor_at(const sky_tensor *t, size_t zone, size_t from, size_t to) {
  return t->area[(zone * t->n_class + from) * t->n_class + to];
}

#endif
