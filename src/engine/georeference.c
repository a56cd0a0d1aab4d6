/* georeference.c: from a GDAL dataset's CRS and geotransform to a sky_grid. */
#include "src/engine/georeference.h"

#include <cpl_conv.h>
#include <math.h>
#include <ogr_srs_api.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"

#define SAME_GRID 1e-6 /* of a cell */

/* "EPSG:n" where the file says so, else a PROJ string. */
static sky_status crs_text(sky_context *ctx, const char *path, GDALDatasetH data, char out[256]) {
  OGRSpatialReferenceH srs = GDALGetSpatialRef(data);
  if (srs == NULL)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: the raster states no crs (gdal_edit.py -a_srs sets one)", path);
  const char *authority = OSRGetAuthorityName(srs, NULL), *code = OSRGetAuthorityCode(srs, NULL);
  if (authority != NULL && code != NULL && strcmp(authority, "EPSG") == 0) {
    snprintf(out, 256, "EPSG:%s", code);
    return SKY_OK;
  }
  char *text = NULL;
  const bool good = OSRExportToProj4(srs, &text) == OGRERR_NONE && text != NULL && *text != '\0' &&
                    strlen(text) + sizeof " +type=crs" <= 256;
  if (good) snprintf(out, 256, "%s +type=crs", text);
  CPLFree(text);
  if (good) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: crs '%s' has neither an EPSG code nor a short PROJ form",
                  path, OSRGetName(srs));
}

/* Float noise of a file's corner must not push a whole-globe raster over the pole. */
static double at_pole(double lat, double cell) {
  return fabs(lat) > 90 && fabs(lat) < 90 + SAME_GRID * cell ? copysign(90, lat) : lat;
}

sky_status sky_gdal_grid(sky_context *ctx, const char *path, GDALDatasetH data, sky_grid *out,
                         bool *north_up) {
  double t[6];
  char crs[256];
  const double nx = GDALGetRasterXSize(data), ny = GDALGetRasterYSize(data);
  if (GDALGetGeoTransform(data, t) != CE_None)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: the raster is not georeferenced", path);
  if (t[2] != 0 || t[4] != 0 || !(t[1] > 0) || !(fabs(t[5]) > 0))
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: the raster is rotated or mirrored (gdalwarp makes it north-up)", path);
  SKY_TRY(crs_text(ctx, path, data, crs));
  *north_up = t[5] < 0;
  const double dy = fabs(t[5]), end = t[3] + ny * t[5];
  double south = *north_up ? end : t[3], north = *north_up ? t[3] : end;
  if (OSRIsGeographic(GDALGetSpatialRef(data))) {
    south = at_pole(south, dy);
    north = at_pole(north, dy);
  }
  const sky_status st =
      sky_grid_from_box(ctx, crs, t[0], south, t[0] + nx * t[1], north, t[1], dy, out);
  return st == SKY_OK ? st : sky_fail_in(ctx, st, "%s: ", path);
}

static bool same_edges(double a, double b, double cell) {
  return fabs(a - b) <= SAME_GRID * cell;
}

sky_status sky_gdal_same_grid(sky_context *ctx, const char *path_a, GDALDatasetH a,
                              const sky_grid *g, const char *path_b, GDALDatasetH b,
                              const sky_grid *h) {
  const double dx = sky_grid_dx(g), dy = sky_grid_dy(g);
  if (strcmp(g->crs, h->crs) != 0 && !OSRIsSame(GDALGetSpatialRef(a), GDALGetSpatialRef(b)))
    return sky_fail(ctx, SKY_E_COVERAGE, "%s and %s are on different grids: crs '%s' and '%s'",
                    path_a, path_b, g->crs, h->crs);
  if (g->nx != h->nx || g->ny != h->ny)
    return sky_fail(ctx, SKY_E_COVERAGE,
                    "%s and %s are on different grids: %zu x %zu and %zu x %zu cells", path_a,
                    path_b, g->nx, g->ny, h->nx, h->ny);
  if (!same_edges(g->x_edge[0], h->x_edge[0], dx) || !same_edges(g->y_edge[0], h->y_edge[0], dy) ||
      !same_edges(g->x_edge[g->nx], h->x_edge[h->nx], dx) ||
      !same_edges(g->y_edge[g->ny], h->y_edge[h->ny], dy))
    return sky_fail(ctx, SKY_E_COVERAGE,
                    "%s and %s are on different grids: edges %.9g,%.9g,%.9g,%.9g and "
                    "%.9g,%.9g,%.9g,%.9g",
                    path_a, path_b, g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny],
                    h->x_edge[0], h->y_edge[0], h->x_edge[h->nx], h->y_edge[h->ny]);
  return SKY_OK;
}
