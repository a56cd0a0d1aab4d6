/* zone_geometry.c: rings to OGR geometry. */
#include "src/write/zone_geometry.h"

#include <string.h>

const sky_zone *sky_zone_find(const sky_zones *zones, const char *id) {
  for (size_t i = 0; zones != NULL && i < zones->n; i++) {
    if (strcmp(zones->zone[i].id, id) == 0) return &zones->zone[i];
  }
  return NULL;
}

static OGRGeometryH linear_ring(const sky_ring *r) {
  OGRGeometryH ring = OGR_G_CreateGeometry(wkbLinearRing);
  OGR_G_SetPointCount(ring, (int)r->n + 1); /* closed, unlike ours */
  for (size_t i = 0; i <= r->n; i++) {
    OGR_G_SetPoint_2D(ring, (int)i, r->x[i % r->n], r->y[i % r->n]);
  }
  return ring;
}

/* Rings come as OGR gave them: each outer ring is followed by its holes. */
OGRGeometryH sky_zone_geometry(const sky_zone *zone) {
  if (zone == NULL || zone->n_rings == 0) return NULL;
  OGRGeometryH multi = OGR_G_CreateGeometry(wkbMultiPolygon), polygon = NULL;
  for (size_t i = 0; i < zone->n_rings; i++) {
    if (polygon == NULL || !zone->ring[i].hole) {
      if (polygon != NULL) OGR_G_AddGeometryDirectly(multi, polygon);
      polygon = OGR_G_CreateGeometry(wkbPolygon);
    }
    OGR_G_AddGeometryDirectly(polygon, linear_ring(&zone->ring[i]));
  }
  OGR_G_AddGeometryDirectly(multi, polygon);
  return multi;
}
