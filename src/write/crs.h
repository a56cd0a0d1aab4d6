/* crs.h: a grid's coordinate reference system as the writers need it: WKT, CF grid mapping, and
 * geographic coordinates. Through OSR; axis order is always x, y (longitude, latitude). */
#ifndef SKY_WRITE_CRS_H
#define SKY_WRITE_CRS_H

#include "skyflux/context.h"

typedef struct sky_crs sky_crs;

/* SKY_E_FORMAT if GDAL does not know the definition. */
SKY_NODISCARD sky_status sky_crs_create(sky_context *ctx, const char *definition, sky_crs **out);
void sky_crs_free(sky_crs *crs);
const char *sky_crs_wkt(const sky_crs *crs); /* WKT2:2019, as CF's crs_wkt wants it; owned by crs */
void *sky_crs_handle(const sky_crs *crs);    /* OGRSpatialReferenceH; owned by crs */
/* x, y [n] -> longitude, latitude (WGS 84, degrees) in place. SKY_E_RANGE if a point has none. */
SKY_NODISCARD sky_status sky_crs_to_lonlat(sky_context *ctx, const sky_crs *crs, size_t n,
                                           double *x, double *y);

/* The way back; a point that has none becomes NaN. */
void sky_crs_from_lonlat(const sky_crs *crs, size_t n, double *x, double *y);
/* An OGRGeometryH in crs -> longitude, latitude in place; false if that fails. */
bool sky_crs_geometry_to_lonlat(const sky_crs *crs, void *geometry);

/* CF conventions 1.11, Appendix F. mapping is the grid_mapping_name, NULL for a projection that CF
 * has not named (crs_wkt alone describes it then). A conic with two parallels has two values in
 * one. */
#define SKY_CRS_MAX_PARAMETERS 10
typedef struct sky_crs_parameter {
  const char *name;
  size_t n;
  double value[2];
} sky_crs_parameter;
typedef struct sky_crs_mapping {
  const char *mapping;
  size_t n;
  sky_crs_parameter parameter[SKY_CRS_MAX_PARAMETERS];
} sky_crs_mapping;
void sky_crs_cf(const sky_crs *crs, sky_crs_mapping *out);

#endif
