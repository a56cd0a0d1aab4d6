/* class_ids.h: dense numbers for the combinations of classes that occur in one block. */
#ifndef SKY_ENGINE_CLASS_IDS_H
#define SKY_ENGINE_CLASS_IDS_H

#include "grids/zonal.h"
#include "src/engine/raster_source.h"

typedef struct sky_class_ids sky_class_ids;

/* For one thread; rasters >= 1. */
SKY_NODISCARD sky_status sky_class_ids_create(sky_context *ctx, size_t rasters,
                                              sky_class_ids **out);
void sky_class_ids_free(sky_class_ids *c); /* NULL-safe */
size_t sky_class_ids_bytes(size_t rasters);

/* Number the cells of a block: id 0 has no class in one raster or more. pixel: [rasters] of
 * int32_t, rows of SKY_BAND. */
void sky_class_ids_find(sky_class_ids *c, const void *const *pixel, size_t nx, size_t ny);
/* The same for one or two rasters of bytes, without ids of cells: begin a block, then number and
 * count the cells that zones cover, one zone at a time (as sky_zonal_class_block does). size: one
 * for every id that there is by then; scratch: zero before and after. */
void sky_class_ids_begin(sky_class_ids *c);
void sky_class_ids_count_bytes(sky_class_ids *c, const sky_byte_rows *rows,
                               const sky_zonal_block *b, const sky_cover_part *cover,
                               uint64_t *scratch, sky_zonal_size *size);

/* Of the last block: ids [ny*SKY_BAND]; how many there are, 0 included; and their codes
 * [count*rasters] (those of id 0 mean nothing). Valid until the next call. */
const uint32_t *sky_class_ids_cells(const sky_class_ids *c);
size_t sky_class_ids_count(const sky_class_ids *c);
const int32_t *sky_class_ids_codes(const sky_class_ids *c);

#endif
