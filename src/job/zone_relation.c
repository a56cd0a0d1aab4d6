/* zone_relation.c: see zone_relation.h. The intersection is GEOS's, through OGR. */
#include "src/job/zone_relation.h"

#include <math.h>
#include <ogr_api.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/engine/gdal_start.h"
#include "src/write/zone_geometry.h"

#define TURN 360.0
#define WARNINGS 10 /* pairs of zones that are named */

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

/* turns: to be added to the longitudes of q. */
static bool boxes_meet(const box *p, const box *q, bool geographic, double *turns) {
  *turns = geographic ? round((p->x0 + p->x1 - q->x0 - q->x1) / (2 * TURN)) * TURN : 0;
  return p->x0 < q->x1 + *turns && q->x0 + *turns < p->x1 && p->y0 < q->y1 && q->y0 < p->y1;
}

sky_status sky_zone_relate(sky_context *ctx, const sky_zone *a, const sky_zone *b,
                           sky_zone_relation *out, sky_zone *both) {
  const box p = box_of(a), q = box_of(b);
  double turns;
  OGRGeometryH g = NULL, h = NULL, shared = NULL;
  sky_status st = SKY_OK;
  *out = SKY_ZONES_APART;
  if (both != NULL) memset(both, 0, sizeof *both);
  if (!boxes_meet(&p, &q, a->geographic, &turns)) return SKY_OK;
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

/* Share of the smaller of two zones of one level that both hold; 0: nothing to warn of. */
static sky_status shared_part(sky_context *ctx, const sky_zone *a, const sky_zone *b,
                              const sky_grid *grid, bool levels, double smaller, double *share) {
  sky_zone both;
  sky_zone_relation relation;
  *share = 0;
  SKY_TRY(sky_zone_relate(ctx, a, b, &relation, &both));
  if (relation != SKY_ZONES_CROSS) {
    *share = levels && relation != SKY_ZONES_APART ? 1 : 0;
    return SKY_OK;
  }
  const sky_status st = sky_zone_area(ctx, &both, grid, share);
  *share /= smaller;
  sky_zone_clear(&both);
  return st;
}

sky_status sky_zones_warn(sky_context *ctx, const sky_zones *zones, const sky_coverage *cover,
                          const sky_grid *grid, bool levels) {
  size_t found = 0;
  box *of = SKY_NEW(ctx, box, zones->n);
  sky_status st = of != NULL ? SKY_OK : SKY_E_NOMEM;
  for (size_t i = 0; i < zones->n && st == SKY_OK; i++) {
    const sky_zone *a = &zones->zone[i];
    of[i] = box_of(a);
    for (size_t k = 0; k < i && st == SKY_OK; k++) {
      const sky_zone *b = &zones->zone[k];
      double turns, share;
      if (!boxes_meet(&of[i], &of[k], a->geographic, &turns) || strcmp(a->level, b->level) != 0)
        continue;
      st = shared_part(ctx, a, b, grid, levels, fmin(cover[i].area_zone, cover[k].area_zone),
                       &share);
      if (st != SKY_OK || share == 0 || ++found > WARNINGS) continue;
      sky_log(ctx, SKY_LOG_WARN,
              "zones '%s' and '%s' of level '%s' share %.3g %% of the smaller one: a sum over the "
              "level counts it twice",
              b->id, a->id, a->level, 100 * share);
    }
  }
  if (found > WARNINGS)
    sky_log(ctx, SKY_LOG_WARN, "%zu more pairs of zones overlap", found - WARNINGS);
  sky_free(of);
  return st;
}
