/* zones_ogr.c: polygons of any OGR source, in the CRS of a grid.
 *
 * Axis order is always x, y (OAMS_TRADITIONAL_GIS_ORDER). Longitudes are unwrapped before a
 * transformation (so that no edge is cut the wrong way round the globe) and after. */
#include "src/read/zones_ogr.h"

#include <cpl_string.h>
#include <gdal.h>
#include <math.h>
#include <ogr_api.h>
#include <ogr_srs_api.h>
#include <stdlib.h>
#include <string.h>

#include "grids/longitude.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/read/ring_transform.h"

typedef struct source {
  const char *path;
  const sky_zones_options *opt;
  OGRLayerH layer;
  sky_ring_transform move;                             /* to the grid; .to NULL = same system */
  int id_field, name_field, level_field, parent_field; /* -1 = none */
} source;

static sky_status feature_failed(sky_context *ctx, sky_status st, const source *s, const char *id) {
  return sky_fail_in(ctx, st, "%s: feature '%s': ", s->path, id);
}

/* ---- rings ---------------------------------------------------------------------------------- */

static void ring_clear(sky_ring *r) {
  sky_free(r->x);
  sky_free(r->y);
  memset(r, 0, sizeof *r);
}

/* Replace *r by a function of it. */
static sky_status unwrap(sky_context *ctx, sky_ring *r, double near) {
  sky_ring u;
  SKY_TRY(sky_ring_unwrap(ctx, r, near, &u));
  ring_clear(r);
  *r = u;
  return SKY_OK;
}

/* OGR repeats the first vertex at the end; ours do not. */
static sky_status copy_ring(sky_context *ctx, OGRGeometryH g, bool hole, sky_ring *out) {
  int n = OGR_G_GetPointCount(g);
  if (n > 1 && OGR_G_GetX(g, 0) == OGR_G_GetX(g, n - 1) && OGR_G_GetY(g, 0) == OGR_G_GetY(g, n - 1))
    n--;
  if (n < 3) return sky_fail(ctx, SKY_E_FORMAT, "a ring of %d vertices", n);
  sky_ring r = {.n = (size_t)n, .hole = hole};
  r.x = SKY_NEW(ctx, double, r.n);
  r.y = SKY_NEW(ctx, double, r.n);
  if (r.x == NULL || r.y == NULL) {
    ring_clear(&r);
    return SKY_E_NOMEM;
  }
  for (int i = 0; i < n; i++) {
    r.x[i] = OGR_G_GetX(g, i);
    r.y[i] = OGR_G_GetY(g, i);
  }
  *out = r; /* the zone's, also if it is no good */
  for (size_t i = 0; i < r.n; i++)
    if (!isfinite(r.x[i]) || !isfinite(r.y[i]))
      return sky_fail(ctx, SKY_E_FORMAT, "vertex %zu is not finite", i);
  return SKY_OK;
}

/* GeoJSON in metres, or with latitude first, is the usual cause. */
static sky_status check_degrees(sky_context *ctx, const sky_ring *r) {
  for (size_t i = 0; i < r->n; i++)
    if (fabs(r->x[i]) > 720.0 || fabs(r->y[i]) > 90.0)
      return sky_fail(ctx, SKY_E_COVERAGE,
                      "vertex %.9g, %.9g is not a longitude and latitude (-720 to 720, -90 to 90), "
                      "as the crs of the file counts",
                      r->x[i], r->y[i]);
  return SKY_OK;
}

/* From the source's system to the grid's. */
static sky_status move_ring(sky_context *ctx, const source *s, const sky_ring *first, sky_ring *r) {
  if (s->move.to == NULL) return SKY_OK;
  SKY_TRY(sky_ring_transform_apply(ctx, &s->move, r));
  return s->move.to_geographic ? unwrap(ctx, r, sky_longitude(first->x[0])) : SKY_OK;
}

static void add_points(OGRGeometryH polygon, const sky_ring *r) {
  OGRGeometryH ring = OGR_G_CreateGeometry(wkbLinearRing);
  for (size_t i = 0; i <= r->n; i++)
    OGR_G_AddPoint_2D(ring, r->x[i % r->n], r->y[i % r->n]);
  OGR_G_AddGeometryDirectly(polygon, ring);
}

/* Valid as the file has it, or as unwrapped: in a file's own longitudes a polygon across the
 * antimeridian crosses itself, unwrapped the parts of one that was cut there share an edge. */
static sky_status check_validity(sky_context *ctx, OGRGeometryH as_read, const sky_zone *zone) {
  if (OGR_G_IsValid(as_read)) return SKY_OK;
  OGRGeometryH all = OGR_G_CreateGeometry(wkbMultiPolygon), polygon = NULL;
  for (size_t i = 0; i < zone->n_rings; i++) {
    if (!zone->ring[i].hole) {
      polygon = OGR_G_CreateGeometry(wkbPolygon);
      OGR_G_AddGeometryDirectly(all, polygon);
    }
    add_points(polygon, &zone->ring[i]);
  }
  const bool valid = OGR_G_IsValid(all) != 0;
  OGR_G_DestroyGeometry(all);
  return valid ? SKY_OK : sky_gdal_fail(ctx, SKY_E_FORMAT, "geometry is not valid");
}

static sky_status add_polygon(sky_context *ctx, const source *s, OGRGeometryH polygon,
                              sky_zone *zone) {
  const int n = OGR_G_GetGeometryCount(polygon);
  for (int i = 0; i < n; i++) {
    sky_ring *r = &zone->ring[zone->n_rings];
    const sky_status st = copy_ring(ctx, OGR_G_GetGeometryRef(polygon, i), i > 0, r);
    zone->n_rings += r->n > 0;
    SKY_TRY(st);
    if (s->move.from_geographic) SKY_TRY(check_degrees(ctx, r));
    if (s->move.from_geographic) SKY_TRY(unwrap(ctx, r, sky_longitude(zone->ring[0].x[0])));
  }
  return SKY_OK;
}

/* All vertices of each ring lie on one line, but for the rounding of coordinates. */
static bool is_flat(const sky_zone *zone) {
  for (size_t k = 0; k < zone->n_rings; k++) {
    const sky_ring *r = &zone->ring[k];
    double sum = 0, extent = 0, largest = 0;
    for (size_t i = 0; i < r->n; i++) {
      const size_t j = i + 1 < r->n ? i + 1 : 0;
      const double x = r->x[i] - r->x[0], y = r->y[i] - r->y[0];
      sum += fabs(x * (r->y[j] - r->y[0]) - (r->x[j] - r->x[0]) * y);
      extent = fmax(extent, fmax(fabs(x), fabs(y)));
      largest = fmax(largest, fmax(fabs(r->x[i]), fabs(r->y[i])));
    }
    if (sum > 1e-15 * (double)r->n * extent * largest) return false;
  }
  return true;
}

/* geometry: polygons only, curves already made linear. SKY_E_NODATA: there is nothing in it. */
static sky_status add_geometry(sky_context *ctx, const source *s, OGRGeometryH geometry,
                               sky_zone *zone) {
  const OGRwkbGeometryType type = wkbFlatten(OGR_G_GetGeometryType(geometry));
  if (type != wkbPolygon && type != wkbMultiPolygon)
    return sky_fail(ctx, SKY_E_FORMAT, "geometry is a %s, expected polygons",
                    OGRGeometryTypeToName(type));
  if (OGR_G_IsEmpty(geometry)) return sky_fail(ctx, SKY_E_NODATA, "geometry is empty");
  const bool single = type == wkbPolygon;
  const int parts = single ? 1 : OGR_G_GetGeometryCount(geometry);
  size_t rings = 0;
  for (int i = 0; i < parts; i++)
    rings += (size_t)OGR_G_GetGeometryCount(single ? geometry : OGR_G_GetGeometryRef(geometry, i));
  zone->ring = SKY_NEW0(ctx, sky_ring, rings);
  if (zone->ring == NULL) return SKY_E_NOMEM;
  for (int i = 0; i < parts; i++)
    SKY_TRY(add_polygon(ctx, s, single ? geometry : OGR_G_GetGeometryRef(geometry, i), zone));
  if (is_flat(zone)) return sky_fail(ctx, SKY_E_NODATA, "no area");
  SKY_TRY(check_validity(ctx, geometry, zone));
  for (size_t i = 0; i < zone->n_rings; i++)
    SKY_TRY(move_ring(ctx, s, zone->ring, &zone->ring[i]));
  return SKY_OK;
}

/* ---- features ------------------------------------------------------------------------------- */

static sky_status read_geometry(sky_context *ctx, const source *s, OGRFeatureH feature,
                                sky_zone *zone) {
  OGRGeometryH given = OGR_F_GetGeometryRef(feature);
  if (given == NULL) return sky_fail(ctx, SKY_E_NODATA, "no geometry");
  OGRGeometryH linear = OGR_G_GetLinearGeometry(given, 0, NULL);
  if (linear == NULL) return sky_fail(ctx, SKY_E_FORMAT, "geometry is not readable");
  const sky_status st = add_geometry(ctx, s, linear, zone);
  OGR_G_DestroyGeometry(linear);
  return st;
}

/* Without the rings that it has so far. */
static sky_status keep_defect(sky_context *ctx, sky_status why, sky_zone *zone) {
  for (size_t i = 0; i < zone->n_rings; i++)
    ring_clear(&zone->ring[i]);
  zone->n_rings = 0;
  zone->damaged = why != SKY_E_NODATA;
  zone->defect = sky_strdup(ctx, sky_error(ctx));
  sky_error_clear(ctx);
  return zone->defect != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status read_feature(sky_context *ctx, const source *s, OGRFeatureH feature,
                               sky_zone *zone) {
  const char *id = OGR_F_GetFieldAsString(feature, s->id_field);
  if (!OGR_F_IsFieldSetAndNotNull(feature, s->id_field) || id[0] == '\0')
    return sky_fail(ctx, SKY_E_FORMAT, "%s: feature %lld: attribute '%s' is empty", s->path,
                    (long long)OGR_F_GetFID(feature), s->opt->id);
  zone->geographic = s->move.to_geographic;
  zone->id = sky_strdup(ctx, id);
  zone->name = sky_strdup(ctx, OGR_F_GetFieldAsString(feature, s->name_field));
  const char *level = s->opt->level != NULL ? s->opt->level : "zone";
  if (s->level_field >= 0) level = OGR_F_GetFieldAsString(feature, s->level_field);
  zone->level = sky_strdup(ctx, level);
  if (zone->id == NULL || zone->name == NULL || zone->level == NULL) return SKY_E_NOMEM;
  const char *parent = s->parent_field >= 0 ? OGR_F_GetFieldAsString(feature, s->parent_field) : "";
  if (parent[0] != '\0') {
    zone->parent = sky_strdup(ctx, parent);
    if (zone->parent == NULL) return SKY_E_NOMEM;
  }
  const sky_status st = read_geometry(ctx, s, feature, zone);
  if (st == SKY_OK || st == SKY_E_NOMEM) return st;
  if (s->opt->keep_defects) return keep_defect(ctx, st, zone);
  return feature_failed(ctx, st == SKY_E_NODATA ? SKY_E_FORMAT : st, s, zone->id);
}

static int by_id(const void *a, const void *b) {
  return strcmp(((const sky_zone *)a)->id, ((const sky_zone *)b)->id);
}

static sky_status read_features(sky_context *ctx, const source *s, sky_zones *z) {
  size_t capacity = 0;
  sky_status st = SKY_OK;
  OGR_L_ResetReading(s->layer);
  for (OGRFeatureH f; st == SKY_OK && (f = OGR_L_GetNextFeature(s->layer)) != NULL;
       OGR_F_Destroy(f)) {
    if (z->n == capacity) {
      const size_t grown = capacity == 0 ? 64 : 2 * capacity;
      sky_zone *p = sky_realloc(ctx, z->zone, z->n, grown, sizeof *p);
      if (p == NULL) {
        st = SKY_E_NOMEM;
        continue;
      }
      z->zone = p;
      capacity = grown;
    }
    memset(&z->zone[z->n], 0, sizeof *z->zone);
    st = read_feature(ctx, s, f, &z->zone[z->n++]);
  }
  SKY_TRY(st);
  if (z->n == 0)
    return sky_fail(ctx, SKY_E_NODATA, "%s: no feature%s%s", s->path,
                    s->opt->where != NULL ? " where " : "",
                    s->opt->where != NULL ? s->opt->where : "");
  qsort(z->zone, z->n, sizeof *z->zone, by_id);
  for (size_t i = 1; i < z->n; i++)
    if (by_id(&z->zone[i - 1], &z->zone[i]) == 0)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: id '%s' (attribute '%s') occurs twice", s->path,
                      z->zone[i].id, s->opt->id);
  for (size_t i = 0; i < z->n; i++)
    if (!z->zone[i].damaged) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: no zone can be used; feature '%s': %s", s->path,
                  z->zone[0].id, z->zone[0].defect);
}

/* ---- source --------------------------------------------------------------------------------- */

static sky_status find_field(sky_context *ctx, const source *s, const char *name, int *index) {
  OGRFeatureDefnH d = OGR_L_GetLayerDefn(s->layer);
  *index = OGR_FD_GetFieldIndex(d, name);
  if (*index >= 0) return SKY_OK;
  char known[512] = "";
  for (int i = 0; i < OGR_FD_GetFieldCount(d); i++) {
    const char *field = OGR_Fld_GetNameRef(OGR_FD_GetFieldDefn(d, i));
    const size_t at = strlen(known);
    if (at + strlen(field) + 3 > sizeof known) break;
    strcat(strcat(known, at > 0 ? ", " : ""), field);
  }
  return sky_fail(ctx, SKY_E_FORMAT, "%s: no attribute '%s' (there are: %s)", s->path, name, known);
}

static sky_status open_layer(sky_context *ctx, GDALDatasetH data, source *s) {
  const char *name = s->opt->layer;
  s->layer = name != NULL ? GDALDatasetGetLayerByName(data, name) : GDALDatasetGetLayer(data, 0);
  if (s->layer == NULL)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no layer %s%s", s->path, name != NULL ? "named " : "",
                    name != NULL ? name : "at all");
  SKY_TRY(find_field(ctx, s, s->opt->id, &s->id_field));
  SKY_TRY(find_field(ctx, s, s->opt->name != NULL ? s->opt->name : s->opt->id, &s->name_field));
  s->level_field = s->parent_field = -1;
  if (s->opt->level_attribute != NULL)
    SKY_TRY(find_field(ctx, s, s->opt->level_attribute, &s->level_field));
  if (s->opt->parent_attribute != NULL)
    SKY_TRY(find_field(ctx, s, s->opt->parent_attribute, &s->parent_field));
  if (s->opt->where != NULL && OGR_L_SetAttributeFilter(s->layer, s->opt->where) != OGRERR_NONE)
    return sky_gdal_fail(ctx, SKY_E_USAGE, "%s: where '%s'", s->path, s->opt->where);
  return SKY_OK;
}

static sky_status import_crs(sky_context *ctx, const char *text, OGRSpatialReferenceH *out) {
  *out = OSRNewSpatialReference(NULL);
  if (OSRSetFromUserInput(*out, text) == OGRERR_NONE) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "crs '%s' is not known", text);
}

static sky_status open_transformation(sky_context *ctx, const sky_grid *grid, source *s) {
  sky_status st = SKY_OK;
  OGRSpatialReferenceH from = NULL, to = NULL;
  OGRSpatialReferenceH own = OGR_L_GetSpatialRef(s->layer);
  if (own != NULL) {
    from = OSRClone(own);
  } else if (s->opt->assume_crs != NULL) {
    SKY_GO(import_crs(ctx, s->opt->assume_crs, &from));
  } else {
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: the file states no crs; give one with assume_crs",
                  s->path);
    goto cleanup;
  }
  SKY_GO(import_crs(ctx, grid->crs, &to));
  OSRSetAxisMappingStrategy(from, OAMS_TRADITIONAL_GIS_ORDER);
  OSRSetAxisMappingStrategy(to, OAMS_TRADITIONAL_GIS_ORDER);
  s->move.from_geographic = OSRIsGeographic(from) != 0;
  s->move.to_geographic = grid->geographic;
  if (!OSRIsSame(from, to)) {
    s->move.to = OCTNewCoordinateTransformation(from, to);
    if (s->move.to == NULL)
      st = sky_fail(ctx, SKY_E_COVERAGE, "%s: no transformation from crs '%s' to '%s'", s->path,
                    OSRGetName(from), grid->crs);
  }
  sky_log(ctx, SKY_LOG_DEBUG, "%s: crs %s, grid %s", s->path, OSRGetName(from), grid->crs);
cleanup:
  OSRDestroySpatialReference(from);
  OSRDestroySpatialReference(to);
  return st;
}

static sky_status open_vector(sky_context *ctx, const char *path, GDALDatasetH *data) {
  SKY_TRY(sky_gdal_start(ctx));
  if (strncmp(path, "/vsi", 4) != 0 && !sky_file_exists(path))
    return sky_fail(ctx, SKY_E_MISSING, "%s: no such file", path);
  *data = GDALOpenEx(path, GDAL_OF_VECTOR | GDAL_OF_READONLY, NULL, NULL, NULL);
  if (*data != NULL) return SKY_OK;
  return sky_gdal_fail(ctx, SKY_E_READ, "%s: not a vector file that GDAL reads", path);
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

sky_status sky_zones_files(sky_context *ctx, const char *path, char ***list, size_t *count) {
  GDALDatasetH data = NULL;
  SKY_TRY(open_vector(ctx, path, &data));
  char **files = GDALGetFileList(data);
  const size_t before = *count, n = (size_t)CSLCount(files);
  sky_status st = SKY_OK;
  char **grown;
  SKY_GO_ALLOC(grown, sky_realloc(ctx, *list, before, before + n, sizeof *grown));
  *list = grown;
  for (size_t i = 0; i < n; i++) {
    SKY_GO_ALLOC(grown[*count], sky_strdup(ctx, files[i]));
    (*count)++;
  }
  qsort(grown + before, n, sizeof *grown, by_bytes);
cleanup:
  CSLDestroy(files);
  GDALClose(data);
  return st;
}

sky_status sky_zones_read(sky_context *ctx, const char *path, const sky_zones_options *opt,
                          const sky_grid *grid, sky_zones *out) {
  sky_status st = SKY_OK;
  sky_zones z = {0};
  source s = {.path = path, .opt = opt};
  GDALDatasetH data = NULL;
  if (opt->id == NULL) return sky_fail(ctx, SKY_E_USAGE, "%s: no attribute for the id", path);
  SKY_TRY(open_vector(ctx, path, &data));
  SKY_GO(open_layer(ctx, data, &s));
  SKY_GO(open_transformation(ctx, grid, &s));
  SKY_GO(read_features(ctx, &s, &z));
cleanup:
  OCTDestroyCoordinateTransformation(s.move.to);
  GDALClose(data);
  if (st != SKY_OK) {
    sky_zones_free(&z);
    return st;
  }
  *out = z;
  return SKY_OK;
}
