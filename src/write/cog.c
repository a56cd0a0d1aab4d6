/* cog.c: one field in memory as a Cloud Optimized GeoTIFF: all its blocks, put by all threads. */
#include "src/write/cog.h"

#include "src/core/memory.h"
#include "src/write/cog_stream.h"

/* The blocks of a pair of bands, so that tiles fill up one after the other. */
static sky_status put_bands(sky_context *ctx, sky_cog *c, const sky_grid *g, const double *value,
                            size_t pair) {
  const size_t columns = (g->nx - 1) / SKY_BAND + 1, bands = (g->ny - 1) / SKY_BAND + 1;
  for (size_t column = 0; column < columns; column++) {
    for (size_t band = 2 * pair; band < 2 * pair + 2 && band < bands; band++) {
      const size_t south = g->ny > (band + 1) * SKY_BAND ? g->ny - (band + 1) * SKY_BAND : 0;
      SKY_TRY(sky_cog_put(ctx, c, column, band, value + south * g->nx + column * SKY_BAND, g->nx));
    }
  }
  return SKY_OK;
}

sky_status sky_cog_write(sky_context *ctx, const char *path, const sky_grid *grid,
                         const sky_field *field, const char *const *tags) {
  const sky_cog_options options = {.tags = tags};
  sky_cog *c = NULL;
  SKY_TRY(sky_cog_open(ctx, path, grid, field, &options, &c));
  const size_t pairs = (grid->ny - 1) / (2 * SKY_BAND) + 1;
  sky_status st = SKY_OK;
  for (size_t p = 0; p < pairs && st == SKY_OK; p++)
    st = put_bands(ctx, c, grid, field->value, p);
  if (st == SKY_OK) return sky_cog_finish(ctx, c);
  sky_cog_abort(c);
  return st;
}
