/* zone_relation.c: see zone_relation.h. The intersection is GEOS's, through OGR. */
#include "src/job/zone_relation.h"

#include <math.h>
#include <ogr_api.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/write/zone_geometry.h"

#define TURN 360.0

typedef struct box {
  double x0, y0, x1, y1;
} box;

static box box_of(const sky_zone *z) {
  box b = {INFINITY, INFINITY, -INFINITY, -INFINITY};
  for (size_t r = 0; r < z->n_rings; r++) {
    for (size_t i = 0; i < z->ring[r].n; i++) {
      const double x = z->ring[r].x[i], y = z->ring[r].y[i];
      b = (box){fmin(b.x0, x), fmin(b.y0, y), fmax(b.x1, x), fmax(b.y1, y)};
    }
  }
  return b;
}

/* Moves every point by whole turns of longitude. */
static void shift(OGRGeometryH g, double dx) {
  for (int i = 0; i < OGR_G_GetPointCount(g); i++)
    OGR_G_SetPoint_2D(g, i, OGR_G_GetX(g, i) + dx, OGR_G_GetY(g, i));
  for (int i = 0; i < OGR_G_GetGeometryCount(g); i++)
    shift(OGR_G_GetGeometryRef(g, i), dx);
}

void sky_zone_clear(sky_zone *z) {
  for (size_t r = 0; r < z->n_rings; r++) {
    sky_free(z->ring[r].x);
    sky_free(z->ring[r].y);
  }
  sky_free(z->ring);
  memset(z, 0, sizeof *z);
}

static size_t count_rings(OGRGeometryH g) {
  const OGRwkbGeometryType type = wkbFlatten(OGR_G_GetGeometryType(g));
  const int n = OGR_G_GetGeometryCount(g);
  if (type == wkbPolygon) return (size_t)n;
  size_t rings = 0;
  for (int i = 0; i < n; i++)
    rings += count_rings(OGR_G_GetGeometryRef(g, i));
  return rings;
}

/* Appends the rings of all polygons in g; points and lines, where zones only touch, are none. */
static sky_status add_rings(sky_context *ctx, OGRGeometryH g, sky_zone *z) {
  const bool polygon = wkbFlatten(OGR_G_GetGeometryType(g)) == wkbPolygon;
  for (int i = 0; i < OGR_G_GetGeometryCount(g); i++) {
    OGRGeometryH part = OGR_G_GetGeometryRef(g, i);
    if (!polygon) SKY_TRY(add_rings(ctx, part, z));
    const int n = OGR_G_GetPointCount(part) - 1; /* closed, unlike ours */
    if (!polygon || n < 3) continue;
    sky_ring *r = &z->ring[z->n_rings++];
    *r = (sky_ring){.n = (size_t)n, .hole = i > 0};
    r->x = SKY_NEW(ctx, double, r->n);
    r->y = SKY_NEW(ctx, double, r->n);
    if (r->x == NULL || r->y == NULL) return SKY_E_NOMEM;
    for (int k = 0; k < n; k++) {
      r->x[k] = OGR_G_GetX(part, k);
      r->y[k] = OGR_G_GetY(part, k);
    }
  }
  return SKY_OK;
}

sky_status sky_zone_relate(sky_context *ctx, const sky_zone *a, const sky_zone *b,
                           sky_zone_relation *out, sky_zone *both) {
  const box p = box_of(a), q = box_of(b);
  const double turns = a->geographic ? round((p.x0 + p.x1 - q.x0 - q.x1) / (2 * TURN)) * TURN : 0;
  OGRGeometryH g = NULL, h = NULL, shared = NULL;
  sky_status st = SKY_OK;
  *out = SKY_ZONES_APART;
  if (both != NULL) memset(both, 0, sizeof *both);
  if (!(p.x0 < q.x1 + turns && q.x0 + turns < p.x1 && p.y0 < q.y1 && q.y0 < p.y1)) return SKY_OK;
  SKY_TRY(sky_gdal_start(ctx));
  g = sky_zone_geometry(a);
  h = sky_zone_geometry(b);
  if (turns != 0) shift(h, turns);
  shared = OGR_G_Intersection(g, h);
  if (shared == NULL) {
    st = sky_gdal_fail(ctx, SKY_E_FORMAT, "zones '%s' and '%s': no intersection", a->id, b->id);
    goto cleanup;
  }
  const double area_a = OGR_G_Area(g), area_b = OGR_G_Area(h), area = OGR_G_Area(shared);
  if (area <= (1 - SKY_ZONE_COMPLETE) * fmin(area_a, area_b)) goto cleanup;
  if (area >= SKY_ZONE_COMPLETE * area_a)
    *out = SKY_ZONE_WITHIN;
  else if (area >= SKY_ZONE_COMPLETE * area_b)
    *out = SKY_ZONE_HOLDS;
  else
    *out = SKY_ZONES_CROSS;
  if (*out != SKY_ZONES_CROSS || both == NULL) goto cleanup;
  both->geographic = a->geographic;
  SKY_GO_ALLOC(both->ring, SKY_NEW0(ctx, sky_ring, count_rings(shared)));
  SKY_GO(add_rings(ctx, shared, both));
cleanup:
  OGR_G_DestroyGeometry(shared);
  OGR_G_DestroyGeometry(h);
  OGR_G_DestroyGeometry(g);
  if (st != SKY_OK && both != NULL) sky_zone_clear(both);
  return st;
}
