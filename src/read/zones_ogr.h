/* zones_ogr.h: polygons from any OGR source, in the CRS of a target grid. */
#ifndef SKY_READ_ZONES_OGR_H
#define SKY_READ_ZONES_OGR_H

#include "grids/zone.h"

typedef struct sky_zones_options {
  const char *layer;            /* NULL = first */
  const char *id;               /* attribute of the id; required */
  const char *name;             /* attribute of the name; NULL = id */
  const char *where;            /* OGR SQL where clause; NULL = all */
  const char *level;            /* constant level label; NULL = "zone" */
  const char *level_attribute;  /* attribute of the level; NULL = the constant */
  const char *parent_attribute; /* attribute of the enclosing zone's id; NULL = no zone has one */
  const char *assume_crs;       /* used when the file has none; NULL = SKY_E_FORMAT then */
  bool keep_defects;            /* zones without a usable geometry stay, with the reason */
} sky_zones_options;

/* Sorted by id. Duplicate ids are errors. So are features without a valid polygon of some area
 * (they are named), unless keep_defects: then they are zones without rings, `defect` tells why.
 * Rings that are not closed are closed; holes, parts and repeated vertices are as OGC simple
 * features have them, and what they do not allow (rings that cross themselves or each other, parts
 * that overlap) is not repaired. Into another coordinate system edges follow their images within
 * SKY_RING_TOLERANCE (ring_transform.h). */
SKY_NODISCARD sky_status sky_zones_read(sky_context *ctx, const char *path,
                                        const sky_zones_options *opt, const sky_grid *grid,
                                        sky_zones *out);
/* Every file that the dataset consists of (a shapefile's sidecars, a geodatabase's parts), sorted;
 * appended to *list (malloc'd array of malloc'd strings). */
SKY_NODISCARD sky_status sky_zones_files(sky_context *ctx, const char *path, char ***list,
                                         size_t *count);
#endif
