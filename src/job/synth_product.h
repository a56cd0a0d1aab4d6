/* synth_product.h: one granule in a retrieval product's own layout, with known content.
 *
 * The layout stands in sample_scenes/products/NAME.cdl as the product's documents and public
 * readers describe it, never in what our readers declare. A placeholder there says what goes in, in
 * the file's own order and unit:
 *     @profile ch4 ppb down@       prior profile of CH4, the top first
 *     @x co2 ppm fill -999999@     a number where there is no value (default: the variable's fill)
 * Lines that start with "?word " belong to the versions of the product that have that word. */
#ifndef SKY_JOB_SYNTH_PRODUCT_H
#define SKY_JOB_SYNTH_PRODUCT_H

#include "src/job/synth_content.h"
#include "src/job/synth_files.h"

typedef struct sky_synth_product {
  const char *id, *title;
  const char *file;   /* name as the product gives it */
  const char *layout; /* template; NULL: a raster */
  const char *words;  /* of this version, each between blanks; "plain" = an HDF5 file without the
                         marks of netCDF */
  sky_content_plan plan;
} sky_synth_product;

size_t sky_synth_product_count(void);
const sky_synth_product *sky_synth_product_at(size_t i);
const sky_synth_product *sky_synth_product_find(const char *id);

/* path NULL: the product's own name in this folder. Beside it PATH.truth.csv. soundings 0: the
 * product's default; rounded up to whole rows. */
SKY_NODISCARD sky_status sky_synth_product_write(sky_context *ctx, const sky_synth_product *p,
                                                 const char *path, size_t soundings, uint64_t seed);

/* Every placeholder of a template -> its value (malloc'd list; free with the function below). */
SKY_NODISCARD sky_status sky_synth_values(sky_context *ctx, const sky_content *c,
                                          const char *template_text, sky_synth_value **out,
                                          size_t *n);
void sky_synth_values_free(sky_synth_value *v, size_t n);

/* An enhancement raster (ppm m) with a plume of known mass; synth_product_raster.c. */
SKY_NODISCARD sky_status sky_synth_raster_write(sky_context *ctx, const sky_synth_product *p,
                                                const char *path, uint64_t seed);
#endif
