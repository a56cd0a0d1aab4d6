/* declare.h: readers that a user declares in YAML, beside the built-in ones.
 *
 * The section `products` of a job file, or a file with that section alone (keys: products.def), is
 * turned into the same rows that readers.def holds, and worker processes get it as text. A declared
 * reader with the id of a built-in one replaces it. */
#ifndef SKY_READ_DECLARE_H
#define SKY_READ_DECLARE_H

#include "src/core/jobfile.h"
#include "src/read/product.h"

typedef struct sky_declared sky_declared;

/* From the section `products` of a job (which lives longer than *out); *out is NULL without one.
 * Errors name file, line and key. */
SKY_NODISCARD sky_status sky_declared_create(sky_context *ctx, const sky_jobfile *job,
                                             sky_declared **out);
/* From a file, or a text (name: for messages), with `products` alone. */
SKY_NODISCARD sky_status sky_declared_read(sky_context *ctx, const char *path, sky_declared **out);
SKY_NODISCARD sky_status sky_declared_parse(sky_context *ctx, const char *name, const char *text,
                                            sky_declared **out);
void sky_declared_free(sky_declared *d); /* NULL-safe */
/* What sky_declared_parse takes; owned by d. */
const char *sky_declared_text(const sky_declared *d);

/* All readers, declared ones first; d may be NULL: the built-in ones. */
size_t sky_declared_total(const sky_declared *d);
const sky_reader *sky_declared_at(const sky_declared *d, size_t i);
const sky_reader *sky_declared_find(const sky_declared *d, const char *id); /* NULL if unknown */

#endif
