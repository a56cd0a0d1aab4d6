/* raster_set.h: the inputs of a pass: rasters that are read on one grid. */
#ifndef SKY_ENGINE_RASTER_SET_H
#define SKY_ENGINE_RASTER_SET_H

#include "src/core/text.h"
#include "src/engine/raster_source.h"

typedef struct sky_raster_set sky_raster_set;

/* Opens all inputs once, to be read on the target grid; NULL: on that of the first input, which all
 * must share (SKY_E_COVERAGE names what differs). The paths and the target must outlive the set. */
SKY_NODISCARD sky_status sky_raster_set_open(sky_context *ctx, const sky_raster_input *inputs,
                                             size_t n, const sky_grid *target,
                                             sky_raster_set **out);
void sky_raster_set_close(sky_raster_set *s); /* NULL-safe */
const sky_grid *sky_raster_set_grid(const sky_raster_set *s);
size_t sky_raster_set_count(const sky_raster_set *s);
const sky_raster_input *sky_raster_set_input(const sky_raster_set *s, size_t input);
const sky_raster_facts *sky_raster_set_facts(const sky_raster_set *s, size_t input);

/* Another handle on an input, for a thread of its own; and the set's own one. */
SKY_NODISCARD sky_status sky_raster_set_reopen(sky_context *ctx, const sky_raster_set *s,
                                               size_t input, sky_source **out);
sky_source *sky_raster_set_source(sky_raster_set *s, size_t input);

/* What a result depends on, as lines: the grid; of each input, how it is read, and size and time of
 * change of all its files. */
SKY_NODISCARD sky_status sky_raster_set_stamp(sky_context *ctx, const sky_raster_set *s,
                                              sky_text *to);
#endif
