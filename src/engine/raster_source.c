/* raster_source.c: a file's band on its own grid, or resampled onto another. */
#include "src/engine/raster_source.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/engine/resample.h"

struct sky_source {
  sky_raster_input in;
  sky_raster_file *file;
  sky_raster_facts facts;   /* blocks counted in cells of the grid that it delivers on */
  sky_raster_tile tile;     /* on the file's own grid */
  const sky_grid *target;   /* NULL: the file's own */
  sky_separable *separable; /* one of these two */
  sky_across *across;
  sky_resampled resampled; /* a tile of the target */
};

void sky_source_close(sky_source *s) {
  if (s == NULL) return;
  sky_separable_free(s->separable);
  sky_across_free(s->across);
  sky_resampled_free(&s->resampled);
  sky_raster_tile_free(&s->tile);
  sky_raster_file_close(s->file);
  sky_free(s);
}

const sky_grid *sky_source_grid(const sky_source *s) {
  return s->target != NULL ? s->target : sky_raster_file_grid(s->file);
}
const sky_raster_facts *sky_source_facts(const sky_source *s) {
  return &s->facts;
}
bool sky_source_resampled(const sky_source *s) {
  return s->target != NULL;
}

size_t sky_source_bytes(const sky_source *s, size_t tile_x, size_t tile_y) {
  const sky_raster_facts *f = sky_raster_file_facts(s->file);
  if (s->across != NULL) return sky_across_bytes(s->across, tile_x, tile_y);
  if (s->separable != NULL) return sky_separable_bytes(s->separable, tile_x, tile_y);
  return f->pixel_bytes * (tile_x * tile_y + f->block_x * f->block_y);
}

sky_status sky_source_same_grid(sky_context *ctx, const sky_source *a, const sky_source *b) {
  return sky_raster_file_same_grid(ctx, a->file, b->file);
}

/* ---- opening -------------------------------------------------------------------------------- */

static size_t in_target(size_t cells, double cell, double target_cell) {
  const double n = ceil((double)cells * cell / target_cell);
  return n > 1 ? (size_t)n : 1;
}

/* A block as wide as the file is one as wide as the target: tiles should not cut it. */
static void count_blocks(sky_source *s) {
  const sky_grid *g = sky_raster_file_grid(s->file), *t = s->target;
  sky_raster_facts *f = &s->facts;
  f->native = f->native && sky_grid_same_system(g, t);
  if (!f->native) return;
  f->block_x = f->block_x >= g->nx ? t->nx : in_target(f->block_x, sky_grid_dx(g), sky_grid_dx(t));
  f->block_y = in_target(f->block_y, sky_grid_dy(g), sky_grid_dy(t));
}

sky_status sky_source_open(sky_context *ctx, const sky_raster_input *in, const sky_grid *target,
                           sky_source **out) {
  sky_status st = SKY_OK;
  sky_source *s = NULL;
  SKY_GO_ALLOC(s, SKY_NEW0(ctx, sky_source, 1));
  s->in = *in;
  SKY_GO(sky_raster_file_open(ctx, in, &s->file));
  s->facts = *sky_raster_file_facts(s->file);
  if (target != NULL && !sky_grid_equal(sky_raster_file_grid(s->file), target)) {
    s->target = target;
    s->facts.bytes = false;
    count_blocks(s);
    if (in->sampling == SKY_SAMPLE_CLASS) sky_raster_file_as_classes(s->file);
    if (sky_grid_same_system(sky_raster_file_grid(s->file), target))
      SKY_GO(sky_separable_create(ctx, s->file, in, target, &s->separable));
    else
      SKY_GO(sky_across_create(ctx, s->file, in, target, &s->across));
  }
  *out = s;
  return SKY_OK;
cleanup:
  sky_source_close(s);
  return st;
}

/* ---- reading -------------------------------------------------------------------------------- */

sky_status sky_source_load(sky_context *ctx, sky_source *s, const sky_window *tile) {
  if (s->target == NULL) return sky_raster_file_load(ctx, s->file, tile, &s->tile);
  SKY_TRY(sky_resampled_start(ctx, &s->resampled, tile, s->target));
  if (s->across != NULL) return sky_across_load(ctx, s->across, tile, &s->resampled);
  return sky_separable_load(ctx, s->separable, tile, &s->resampled);
}

/* The tile's row and column of a window's south-western cell. */
static void place_in_tile(const sky_source *s, const sky_window *w, size_t *row, size_t *column) {
  *row = w->iy0 - s->resampled.tile.iy0;
  *column = w->ix0 - s->resampled.tile.ix0;
}

static const sky_resampled_block *block_at(const sky_source *s, const sky_window *w) {
  size_t row, column;
  place_in_tile(s, w, &row, &column);
  return sky_resampled_block_of(&s->resampled, row, column);
}

const char *sky_source_bad(const sky_source *s, const sky_window *w) {
  if (s->target == NULL) return sky_raster_file_bad(s->file, &s->tile, w);
  const sky_resampled_block *b = block_at(s, w);
  return b->bad[0] != '\0' ? b->bad : NULL;
}

const sky_source_audit *sky_source_audit_of(const sky_source *s, const sky_window *w) {
  return &block_at(s, w)->audit;
}

static bool in_window(const sky_window *w, const sky_window *tile) {
  return w->ix0 >= tile->ix0 && w->iy0 >= tile->iy0 && w->ix0 + w->nx <= tile->ix0 + tile->nx &&
         w->iy0 + w->ny <= tile->iy0 + tile->ny;
}

static void put_row(sky_pixel_kind kind, const double *v, size_t n, void *out) {
  if (kind == SKY_PIXEL_VALUE) {
    memcpy(out, v, n * sizeof *v);
    return;
  }
  int32_t *code = out;
  for (size_t i = 0; i < n; i++)
    code[i] = isnan(v[i]) ? SKY_PIXEL_NODATA : (int32_t)v[i];
}

sky_status sky_source_convert(sky_context *ctx, const sky_source *s, const sky_window *w,
                              void *out) {
  const size_t size = s->in.kind == SKY_PIXEL_VALUE ? sizeof(double) : sizeof(int32_t);
  const sky_resampled *r = &s->resampled;
  if (s->target != NULL && !in_window(w, &r->tile))
    return sky_fail(ctx, SKY_E_INTERNAL, "%s: window outside the tile", s->in.path);
  for (size_t row = 0; row < w->ny; row++) {
    char *to = (char *)out + row * SKY_BAND * size;
    if (s->target == NULL) {
      SKY_TRY(sky_raster_file_row(ctx, s->file, &s->tile, w->iy0 + row, w->ix0, w->nx, to));
    } else {
      const size_t at = (w->iy0 + row - r->tile.iy0) * r->tile.nx + w->ix0 - r->tile.ix0;
      put_row(s->in.kind, r->value + at, w->nx, to);
    }
  }
  return SKY_OK;
}

void sky_source_valid(const sky_source *s, const sky_window *w, double *out) {
  const sky_resampled *r = &s->resampled;
  for (size_t row = 0; row < w->ny; row++)
    memcpy(out + row * SKY_BAND,
           r->valid + (w->iy0 + row - r->tile.iy0) * r->tile.nx + w->ix0 - r->tile.ix0,
           w->nx * sizeof *out);
}

sky_byte_rows sky_source_byte_rows(const sky_source *s, const sky_window *w) {
  return sky_raster_file_byte_rows(s->file, &s->tile, w);
}
