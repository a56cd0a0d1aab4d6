/* zones_ogr.h: polygons from any OGR source, in the CRS of a target grid. */
#ifndef SKY_READ_ZONES_OGR_H
#define SKY_READ_ZONES_OGR_H

#include "grids/zone.h"

typedef struct sky_zones_options {
  const char *layer;           /* NULL = first */
  const char *id;              /* attribute of the id; required */
  const char *name;            /* attribute of the name; NULL = id */
  const char *where;           /* OGR SQL where clause; NULL = all */
  const char *level;           /* constant level label; NULL = "zone" */
  const char *level_attribute; /* attribute of the level; NULL = the constant */
  const char *assume_crs;      /* used when the file has none; NULL = SKY_E_FORMAT then */
} sky_zones_options;

/* Sorted by id. Duplicate ids, empty geometries and invalid rings are errors that name the feature.
 * Edges longer than 0.1° (or 10 km) are densified before transformation to the grid's CRS. */
SKY_NODISCARD sky_status sky_zones_read(sky_context *ctx, const char *path,
                                        const sky_zones_options *opt, const sky_grid *grid,
                                        sky_zones *out);
/* Every file that the dataset consists of (a shapefile's sidecars, a geodatabase's parts), sorted;
 * appended to *list (malloc'd array of malloc'd strings). */
SKY_NODISCARD sky_status sky_zones_files(sky_context *ctx, const char *path, char ***list,
                                         size_t *count);
#endif
