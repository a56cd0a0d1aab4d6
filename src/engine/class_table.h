/* class_table.h: areas of classes in each cell of a row. */
#ifndef SKY_ENGINE_CLASS_TABLE_H
#define SKY_ENGINE_CLASS_TABLE_H

#include "skyflux/context.h"

typedef struct sky_class_table sky_class_table;

SKY_NODISCARD sky_status sky_class_table_create(sky_context *ctx, sky_class_table **out);
void sky_class_table_free(sky_class_table *t); /* NULL-safe */
/* A row of empty cells; the classes that were seen stay known. */
SKY_NODISCARD sky_status sky_class_table_start(sky_context *ctx, sky_class_table *t, size_t cells);
/* code: SKY_PIXEL_NODATA counts as a class, too. Areas of a cell must sum to less than 2^64. */
SKY_NODISCARD sky_status sky_class_table_add(sky_context *ctx, sky_class_table *t, size_t cell,
                                             int32_t code, uint64_t area);
/* The class with the largest area, of equal ones the smallest code; nodata only if there is no
 * other. *share: of all its area that is not nodata. */
int32_t sky_class_table_largest(const sky_class_table *t, size_t cell, double *share);

#endif
