/* zone_geometry.h: a zone as an OGR multi-polygon, for GeoPackage and GeoJSON. */
#ifndef SKY_WRITE_ZONE_GEOMETRY_H
#define SKY_WRITE_ZONE_GEOMETRY_H

#include <ogr_api.h>

#include "grids/zone.h"

/* NULL if there is no zone or it has no rings. The caller destroys it. */
OGRGeometryH sky_zone_geometry(const sky_zone *zone);
/* By id; NULL if there is none. */
const sky_zone *sky_zone_find(const sky_zones *zones, const char *id);

#endif
