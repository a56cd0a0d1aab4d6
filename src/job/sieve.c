/* sieve.c: see sieve.h. Bands of rows from the north, in and out. */
#include "src/job/sieve.h"

#include <string.h>

#include "grids/cell_area.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/raster.h"
#include "src/write/cog_stream.h"

typedef struct work {
  sky_raster *map;
  const sky_grid *grid;
  sky_cell_area *cell_area;
  sky_patches *patches;
  sky_cog *cog;
  int32_t *cls;  /* [SKY_BAND*nx] row 0 the southernmost of the band */
  double *area;  /* [SKY_BAND*nx] */
  double *block; /* [SKY_BAND*SKY_BAND] */
  bool bytes;    /* all codes fit */
} work;

static size_t bands(const work *w) {
  return (w->grid->ny + SKY_BAND - 1) / SKY_BAND;
}

static size_t rows_of(const work *w, size_t band) {
  const size_t top = band * SKY_BAND, left = w->grid->ny - top;
  return left < SKY_BAND ? left : SKY_BAND;
}

/* Areas of the band's cells. */
static sky_status find_areas(sky_context *ctx, const work *w, size_t band, size_t rows) {
  const size_t nx = w->grid->nx;
  for (size_t ix0 = 0; ix0 < nx; ix0 += SKY_BAND) {
    const size_t n = nx - ix0 < SKY_BAND ? nx - ix0 : SKY_BAND;
    SKY_TRY(sky_cell_area_find(ctx, w->cell_area, band, ix0, n, w->block));
    for (size_t row = 0; row < rows; row++)
      for (size_t x = 0; x < n; x++)
        w->area[row * nx + ix0 + x] = w->block[row * SKY_BAND + (w->grid->geographic ? 0 : x)];
  }
  return SKY_OK;
}

static sky_status read_band(sky_context *ctx, work *w, size_t band) {
  const size_t nx = w->grid->nx, rows = rows_of(w, band);
  const size_t south = w->grid->ny - band * SKY_BAND - rows;
  SKY_TRY(sky_raster_classes(ctx, w->map, south, rows, 0, nx, w->cls));
  SKY_TRY(find_areas(ctx, w, band, rows));
  for (size_t row = rows; row-- > 0;) {
    const int32_t *cls = w->cls + row * nx;
    for (size_t x = 0; x < nx; x++)
      w->bytes = w->bytes && (cls[x] == SKY_CLASS_NODATA || (cls[x] >= 0 && cls[x] < 255));
    SKY_TRY(sky_patches_add(ctx, w->patches, cls, w->area + row * nx));
  }
  return SKY_OK;
}

static sky_status write_band(sky_context *ctx, work *w, size_t band) {
  const size_t nx = w->grid->nx, rows = rows_of(w, band);
  for (size_t k = 0; k < rows; k++)
    sky_patches_row(w->patches, band * SKY_BAND + k, w->cls + (rows - 1 - k) * nx);
  for (size_t column = 0; column * SKY_BAND < nx; column++)
    SKY_TRY(sky_cog_put(ctx, w->cog, column, band, w->cls + column * SKY_BAND, nx));
  return SKY_OK;
}

static sky_status sieve(sky_context *ctx, const sky_sieve_options *opt, work *w,
                        sky_patch_report *report) {
  static const sky_field field = {"land_cover", "land cover", NULL, "1", SKY_FIELD_CLASS, NULL};
  static const char *const tags[] = {"SOURCE=skyflux " SKYFLUX_VERSION " sieve", NULL};
  const size_t n = bands(w);
  for (size_t band = 0; band < n; band++) {
    SKY_TRY(read_band(ctx, w, band));
    SKY_TRY(sky_progress_step(ctx, 1));
  }
  SKY_TRY(sky_patches_finish(ctx, w->patches, opt->minimum, opt->mask, report));
  const sky_cog_options how = {.type = w->bytes ? SKY_COG_UINT8 : SKY_COG_INT32,
                               .pixels = SKY_PIXEL_CLASS,
                               .tags = tags,
                               .no_style = true};
  SKY_TRY(sky_cog_open(ctx, opt->out, w->grid, &field, &how, &w->cog));
  for (size_t band = 0; band < n; band++) {
    SKY_TRY(write_band(ctx, w, band));
    SKY_TRY(sky_progress_step(ctx, 1));
  }
  sky_cog *cog = w->cog;
  w->cog = NULL;
  return sky_cog_finish(ctx, cog);
}

sky_status sky_sieve(sky_context *ctx, const sky_sieve_options *opt, sky_patch_report *report) {
  sky_status st = SKY_OK;
  work w = {.bytes = true};
  if (sky_file_same(opt->map, opt->out))
    return sky_fail(ctx, SKY_E_USAGE, "sieve: -o %s is the map itself", opt->out);
  SKY_GO(sky_raster_open(ctx, opt->map, &w.map));
  w.grid = sky_raster_grid(w.map);
  SKY_GO(sky_cell_area_create(ctx, w.grid, &w.cell_area));
  SKY_GO(sky_patches_create(ctx, w.grid->nx, opt->diagonal, &w.patches));
  SKY_GO_ALLOC(w.cls, SKY_NEW(ctx, int32_t, SKY_BAND * w.grid->nx));
  SKY_GO_ALLOC(w.area, SKY_NEW(ctx, double, SKY_BAND *w.grid->nx));
  SKY_GO_ALLOC(w.block, SKY_NEW(ctx, double, SKY_BAND *SKY_BAND));
  sky_progress_begin(ctx, "sieve", 2 * bands(&w));
  st = sieve(ctx, opt, &w, report);
  sky_progress_end(ctx);
cleanup:
  sky_cog_abort(w.cog);
  sky_patches_free(w.patches);
  sky_cell_area_free(w.cell_area);
  sky_raster_close(w.map);
  sky_free(w.cls);
  sky_free(w.area);
  sky_free(w.block);
  return st;
}
