/* zonal.h: statistics and class areas of zones over rasters, in one pass. */
#ifndef SKY_ENGINE_ZONAL_H
#define SKY_ENGINE_ZONAL_H

#include "grids/quantile.h"
#include "src/engine/raster_pass.h"

/* Layers that are made of the rasters, block by block; statistics are of them alone. */
typedef struct sky_zonal_layers {
  size_t n;
  void *user;
  /* b->pixel is set; out: [n] of [SKY_BAND*SKY_BAND], laid out as the pixels, NaN is masked. Any
   * thread. */
  sky_status (*make)(sky_context *ctx, void *user, const sky_raster_block *b, double *const *out);
} sky_zonal_layers;

typedef struct sky_zonal_options {
  sky_zonal_weight weight;
  bool classes; /* the rasters hold classes (SKY_PIXEL_CLASS), to be cross-tabulated */
  bool squares; /* variances are wanted */
  bool quantiles;
  bool by; /* the last raster holds further weights, of which no statistics are made */
  /* [zones] another zone that a zone's cells count for as well, or SIZE_MAX; no way comes back to
   * where it began. Zones that get cells so have no rings. NULL: none. */
  const size_t *add_to;
  const sky_zonal_layers *layers; /* not with `classes` or `by`; NULL: the rasters themselves */
} sky_zonal_options;

/* Covered cells of one combination of classes: code[raster]. */
typedef struct sky_zonal_class {
  const int32_t *code;
  sky_zonal_size size;
} sky_zonal_class;

typedef struct sky_zonal_zone {
  double area;            /* of the whole zone, m2 */
  double coverage;        /* share of it that the raster's cells cover */
  sky_zonal_size inside;  /* the raster's cells in it */
  sky_zonal_size unread;  /* of these, what could not be read */
  sky_zonal_size nodata;  /* classes: without a class in one raster or more */
  sky_zonal_total *value; /* [rasters], else NULL */
  size_t n_class;         /* ascending by code */
  sky_zonal_class *class_;
} sky_zonal_zone;

typedef struct sky_zonal {
  size_t n_zone, n_raster; /* or layers */
  sky_zonal_zone *zone;    /* in the order of the zones */
  sky_raster_report report;
  sky_quantiles *quantiles; /* of zone*n_raster + raster; NULL unless they are wanted */
  void *memory;             /* what the zones point into */
} sky_zonal;

/* pass NULL: the defaults; of a shard, no zones come out. Blocks that cannot be read are counted in
 * `unread` and in the report, and no failure. The same numbers for any number of threads and any
 * tile. SKY_E_RANGE for a zone that covers cells of the grid that have no place on Earth. */
SKY_NODISCARD sky_status sky_zonal_make(sky_context *ctx, sky_raster_set *set,
                                        const sky_zones *zones, const sky_zonal_options *opt,
                                        const sky_pass_options *pass, sky_zonal *out);
void sky_zonal_free(sky_zonal *z); /* NULL-safe */
#endif
