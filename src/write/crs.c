/* crs.c: coordinate reference systems through OSR. */
#include "src/write/crs.h"

#include <cpl_conv.h>
#include <math.h>
#include <ogr_api.h>
#include <ogr_srs_api.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/engine/gdal_start.h"

struct sky_crs {
  OGRSpatialReferenceH srs;
  char *wkt; /* owned by CPL */
  OGRCoordinateTransformationH to_lonlat, from_lonlat;
};

/* Transformations between srs and WGS 84 longitude, latitude. */
static bool connect_lonlat(sky_crs *crs) {
  OGRSpatialReferenceH wgs84 = OSRNewSpatialReference(NULL);
  if (OSRImportFromEPSG(wgs84, 4326) == OGRERR_NONE) {
    OSRSetAxisMappingStrategy(wgs84, OAMS_TRADITIONAL_GIS_ORDER);
    crs->to_lonlat = OCTNewCoordinateTransformation(crs->srs, wgs84);
    crs->from_lonlat = OCTNewCoordinateTransformation(wgs84, crs->srs);
  }
  OSRDestroySpatialReference(wgs84);
  return crs->to_lonlat != NULL && crs->from_lonlat != NULL;
}

sky_status sky_crs_create(sky_context *ctx, const char *definition, sky_crs **out) {
  static const char *const wkt2[] = {"FORMAT=WKT2_2019", "MULTILINE=NO", NULL};
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_TRY(sky_gdal_start(ctx));
  sky_crs *crs = SKY_NEW0(ctx, sky_crs, 1);
  if (crs == NULL) return SKY_E_NOMEM;
  crs->srs = OSRNewSpatialReference(NULL);
  if (crs->srs == NULL || OSRSetFromUserInput(crs->srs, definition) != OGRERR_NONE ||
      OSRExportToWktEx(crs->srs, &crs->wkt, wkt2) != OGRERR_NONE) {
    st = sky_gdal_fail(ctx, SKY_E_FORMAT, "'%s' is not a coordinate reference system", definition);
    goto cleanup;
  }
  OSRSetAxisMappingStrategy(crs->srs, OAMS_TRADITIONAL_GIS_ORDER);
  if (!connect_lonlat(crs)) {
    st = sky_gdal_fail(ctx, SKY_E_FORMAT, "'%s' has no way to longitude and latitude", definition);
    goto cleanup;
  }
  *out = crs;
  return SKY_OK;

cleanup:
  sky_crs_free(crs);
  return st;
}

void sky_crs_free(sky_crs *crs) {
  if (crs == NULL) return;
  if (crs->from_lonlat != NULL) OCTDestroyCoordinateTransformation(crs->from_lonlat);
  if (crs->to_lonlat != NULL) OCTDestroyCoordinateTransformation(crs->to_lonlat);
  OSRDestroySpatialReference(crs->srs);
  CPLFree(crs->wkt);
  sky_free(crs);
}

const char *sky_crs_wkt(const sky_crs *crs) {
  return crs->wkt;
}
void *sky_crs_handle(const sky_crs *crs) {
  return crs->srs;
}

/* Points that fail become NaN. */
static void transform(OGRCoordinateTransformationH way, size_t n, double *x, double *y) {
  enum { PART = 1024 }; /* OCT counts with int */
  int done[PART];
  for (size_t at = 0; at < n; at += PART) {
    const int part = n - at > PART ? PART : (int)(n - at);
    OCTTransformEx(way, part, x + at, y + at, NULL, done);
    for (int i = 0; i < part; i++) {
      if (!done[i] || !isfinite(x[at + (size_t)i])) x[at + (size_t)i] = y[at + (size_t)i] = NAN;
    }
  }
}

sky_status sky_crs_to_lonlat(sky_context *ctx, const sky_crs *crs, size_t n, double *x, double *y) {
  transform(crs->to_lonlat, n, x, y);
  for (size_t i = 0; i < n; i++) {
    if (!isnan(x[i])) continue;
    return sky_gdal_fail(ctx, SKY_E_RANGE, "a point of the grid has no longitude and latitude");
  }
  return SKY_OK;
}

void sky_crs_from_lonlat(const sky_crs *crs, size_t n, double *x, double *y) {
  transform(crs->from_lonlat, n, x, y);
}

bool sky_crs_geometry_to_lonlat(const sky_crs *crs, void *geometry) {
  return OGR_G_Transform(geometry, crs->to_lonlat) == OGRERR_NONE;
}

static void add(sky_crs_mapping *m, const char *name, double value) {
  for (size_t i = 0; i < m->n; i++) { /* the second parallel of a conic joins the first */
    if (strcmp(m->parameter[i].name, name) != 0) continue;
    m->parameter[i].value[m->parameter[i].n++] = value;
    return;
  }
  m->parameter[m->n++] = (sky_crs_parameter){.name = name, .n = 1, .value = {value, 0}};
}

/* One row per projection: OGC WKT 1 name, CF name, and which CF parameter each OGC one becomes. */
typedef struct projection {
  const char *ogc, *cf;
  struct {
    const char *ogc, *cf;
  } parameter[5];
} projection;

#define ORIGIN \
  { SRS_PP_LATITUDE_OF_ORIGIN, "latitude_of_projection_origin" }
#define CENTRE \
  { SRS_PP_CENTRAL_MERIDIAN, "longitude_of_central_meridian" }
#define LONGITUDE(p) \
  { p, "longitude_of_projection_origin" }
#define PARALLEL_1 \
  { SRS_PP_STANDARD_PARALLEL_1, "standard_parallel" }

static const projection projections[] = {
    {SRS_PT_TRANSVERSE_MERCATOR,
     "transverse_mercator",
     {ORIGIN, CENTRE, {SRS_PP_SCALE_FACTOR, "scale_factor_at_central_meridian"}}},
    {SRS_PT_LAMBERT_CONFORMAL_CONIC_2SP, "lambert_conformal_conic", {ORIGIN, CENTRE, PARALLEL_1}},
    {SRS_PT_ALBERS_CONIC_EQUAL_AREA, "albers_conical_equal_area", {ORIGIN, CENTRE, PARALLEL_1}},
    {SRS_PT_LAMBERT_AZIMUTHAL_EQUAL_AREA,
     "lambert_azimuthal_equal_area",
     {{SRS_PP_LATITUDE_OF_CENTER, "latitude_of_projection_origin"},
      LONGITUDE(SRS_PP_LONGITUDE_OF_CENTER)}},
    {SRS_PT_MERCATOR_1SP,
     "mercator",
     {LONGITUDE(SRS_PP_CENTRAL_MERIDIAN),
      {SRS_PP_SCALE_FACTOR, "scale_factor_at_projection_origin"}}},
    {SRS_PT_MERCATOR_2SP, "mercator", {LONGITUDE(SRS_PP_CENTRAL_MERIDIAN), PARALLEL_1}},
    {SRS_PT_CYLINDRICAL_EQUAL_AREA, "lambert_cylindrical_equal_area", {CENTRE, PARALLEL_1}},
    {SRS_PT_SINUSOIDAL, "sinusoidal", {LONGITUDE(SRS_PP_LONGITUDE_OF_CENTER)}},
};

static void add_projection(OGRSpatialReferenceH srs, const char *ogc, sky_crs_mapping *m) {
  for (size_t i = 0; i < sizeof projections / sizeof projections[0]; i++) {
    if (strcmp(projections[i].ogc, ogc) != 0) continue;
    m->mapping = projections[i].cf;
    for (size_t k = 0; k < 5 && projections[i].parameter[k].ogc != NULL; k++) {
      add(m, projections[i].parameter[k].cf,
          OSRGetProjParm(srs, projections[i].parameter[k].ogc, 0, NULL));
    }
    OGRErr missing = OGRERR_NONE;
    const double second = OSRGetProjParm(srs, SRS_PP_STANDARD_PARALLEL_2, 0, &missing);
    if (missing == OGRERR_NONE) add(m, "standard_parallel", second);
    add(m, "false_easting", OSRGetProjParm(srs, SRS_PP_FALSE_EASTING, 0, NULL));
    add(m, "false_northing", OSRGetProjParm(srs, SRS_PP_FALSE_NORTHING, 0, NULL));
  }
}

void sky_crs_cf(const sky_crs *crs, sky_crs_mapping *out) {
  memset(out, 0, sizeof *out);
  if (OSRIsGeographic(crs->srs)) {
    out->mapping = "latitude_longitude";
  } else {
    const char *ogc = OSRGetAttrValue(crs->srs, "PROJECTION", 0);
    if (ogc != NULL) add_projection(crs->srs, ogc, out);
  }
  add(out, "longitude_of_prime_meridian", OSRGetPrimeMeridian(crs->srs, NULL));
  add(out, "semi_major_axis", OSRGetSemiMajor(crs->srs, NULL));
  add(out, "inverse_flattening", OSRGetInvFlattening(crs->srs, NULL));
}
