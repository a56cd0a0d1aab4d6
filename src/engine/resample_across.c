/* resample_across.c: resampling between two systems, by clipping.
 *
 * The outline of each target cell is carried into the source's system and cut by the source's cells
 * exactly (clip.h, cover.h), a patch of target cells at a time:
 *     mean = Σ f a v / Σ f a over valid cells,     sum = Σ f v,
 * f the covered fraction of a source cell and a its true area. Sums run over the source's bands of
 * SKY_BAND rows from the north, in each row over the whole cells and then those on the outline.
 *
 * The audit takes what came in from the outline of the whole patch, not from its cells. What lies
 * beyond the target is not looked at. A cell that has no image in one piece is nodata, and so is
 * one that has no place on Earth. Patches are powers of two cells wide, counted from the blocks of
 * the target, as large as the source rows under them may be. */
#include <math.h>
#include <string.h>

#include "grids/axis.h"
#include "grids/cell_area.h"
#include "grids/clip.h"
#include "src/core/memory.h"
#include "src/engine/class_table.h"
#include "src/engine/resample.h"

#define PATCH_MAX 32
#define PIXELS_MAX 1e6       /* source cells held at once */
#define UNIT 1099511627776.0 /* 2^40 of a target cell: area of classes */
#define METRES_PER_DEGREE 111e3
#define CLOSED 1e-6 /* of a target cell: covered as a whole */

typedef struct total {   /* of one target cell */
  double sum, area, all; /* f v (a), f a of valid cells, f a of all */
} total;

struct sky_across {
  sky_raster_file *file;
  const sky_raster_facts *facts;
  const sky_grid *from, *to;
  sky_sampling sampling;
  bool centre;
  double min_valid;
  double reach[4]; /* of the source in the target's system */
  size_t patch;    /* side, target cells */
  sky_tracer *tracer;
  sky_cell_area *from_area, *to_area;
  sky_class_table *classes;
  sky_zone zone[PATCH_MAX * PATCH_MAX + 1];
  sky_ring ring[PATCH_MAX * PATCH_MAX + 1];
  total total[PATCH_MAX * PATCH_MAX + 1];
  double target_area[PATCH_MAX * PATCH_MAX];
  const sky_resampled_block *area_of; /* the block whose areas are at hand */
  sky_cover_part part;
  sky_raster_tile tile;
  size_t room;
  double *value, *area; /* [rows*width] of the source window */
  double block_area[SKY_BAND * SKY_BAND];
};

void sky_across_free(sky_across *s) {
  if (s == NULL) return;
  sky_tracer_free(s->tracer);
  sky_cell_area_free(s->from_area);
  sky_cell_area_free(s->to_area);
  sky_class_table_free(s->classes);
  sky_cover_part_free(&s->part);
  sky_raster_tile_free(&s->tile);
  sky_free(s->value);
  sky_free(s->area);
  sky_free(s);
}

/* Height of a cell, m, by which cells of two systems are compared. */
static double height(const sky_grid *g) {
  return sky_grid_dy(g) * (g->geographic ? METRES_PER_DEGREE : 1);
}

sky_status sky_across_create(sky_context *ctx, sky_raster_file *file, const sky_raster_input *in,
                             const sky_grid *target, sky_across **out) {
  sky_status st = SKY_OK;
  sky_across *s = NULL;
  SKY_GO_ALLOC(s, SKY_NEW0(ctx, sky_across, 1));
  s->file = file;
  s->facts = sky_raster_file_facts(file);
  s->from = sky_raster_file_grid(file);
  s->to = target;
  s->sampling = in->kind == SKY_PIXEL_CLASS ? SKY_SAMPLE_CLASS : in->sampling;
  s->min_valid = in->min_valid;
  s->centre = height(s->from) >= height(target) * (1 - 1e-9);
  const double ratio = height(target) / height(s->from) * 1.5 + 1;
  for (s->patch = PATCH_MAX; s->patch > 1;) {
    if ((double)s->patch * ratio * SKY_BAND <= PIXELS_MAX) break;
    s->patch /= 2;
  }
  SKY_GO(sky_tracer_create(ctx, target, s->from, &s->tracer));
  SKY_GO(sky_clip_reach(ctx, target, s->from, s->reach));
  SKY_GO(sky_cell_area_create(ctx, s->from, &s->from_area));
  SKY_GO(sky_cell_area_create(ctx, target, &s->to_area));
  if (s->sampling == SKY_SAMPLE_CLASS) SKY_GO(sky_class_table_create(ctx, &s->classes));
  *out = s;
  return SKY_OK;
cleanup:
  sky_across_free(s);
  return st;
}

size_t sky_across_bytes(const sky_across *s, size_t tile_x, size_t tile_y) {
  const size_t block = s->facts->block_x * s->facts->block_y;
  return sizeof *s + tile_x * tile_y * 2 * sizeof(double) +
         (size_t)(2 * PIXELS_MAX) * (2 * sizeof(double) + s->facts->pixel_bytes) +
         block * s->facts->pixel_bytes;
}

/* ---- the outlines of a patch ---------------------------------------------------------------- */

typedef struct patch {
  size_t j0, i0, nx, ny; /* target cells */
  size_t n;              /* nx*ny; the outline is number n */
  size_t row, column;    /* of its first cell in the tile */
  sky_resampled_block *block;
  double west, east, south, north; /* of the outlines, longitudes near each other */
} patch;

static void free_outlines(sky_across *s, const patch *p) {
  for (size_t k = 0; k <= p->n; k++) {
    sky_free(s->ring[k].x);
    sky_free(s->ring[k].y);
  }
}

static void widen(const sky_across *s, patch *p, const sky_ring *r) {
  double west = INFINITY, east = -INFINITY;
  for (size_t i = 0; i < r->n; i++) {
    west = fmin(west, r->x[i]);
    east = fmax(east, r->x[i]);
    p->south = fmin(p->south, r->y[i]);
    p->north = fmax(p->north, r->y[i]);
  }
  const double near = isfinite(p->west) ? 0.5 * (p->west + p->east) : 0.5 * (west + east);
  const double turn = s->from->geographic ? 360 * nearbyint((near - 0.5 * (west + east)) / 360) : 0;
  p->west = fmin(p->west, west + turn);
  p->east = fmax(p->east, east + turn);
}

static sky_status trace(sky_context *ctx, sky_across *s, patch *p, size_t k, size_t j, size_t i,
                        size_t nx, size_t ny) {
  const double *x = s->to->x_edge + j, *y = s->to->y_edge + i;
  const double box[4] = {x[0], y[0], x[nx], y[ny]};
  s->ring[k] = (sky_ring){0};
  s->zone[k] = (sky_zone){.geographic = s->from->geographic, .ring = &s->ring[k]};
  if (sky_clip_apart(s->to, box, s->reach)) return SKY_OK;
  const sky_status st = sky_tracer_outline(ctx, s->tracer, x, nx, y, ny, &s->ring[k]);
  if (st == SKY_E_COVERAGE) return SKY_OK;
  SKY_TRY(st);
  s->zone[k].n_rings = 1;
  widen(s, p, &s->ring[k]);
  return SKY_OK;
}

/* The patch's own outline counts only where all its cells have one. */
static sky_status trace_patch(sky_context *ctx, sky_across *s, patch *p) {
  bool whole = true;
  p->west = p->south = INFINITY;
  p->east = p->north = -INFINITY;
  memset(s->total, 0, (p->n + 1) * sizeof *s->total);
  for (size_t k = 0; k <= p->n; k++)
    s->ring[k] = (sky_ring){0};
  for (size_t k = 0; k < p->n; k++) {
    SKY_TRY(trace(ctx, s, p, k, p->j0 + k % p->nx, p->i0 + k / p->nx, 1, 1));
    whole = whole && s->zone[k].n_rings > 0;
  }
  s->zone[p->n] = (sky_zone){.geographic = s->from->geographic, .ring = &s->ring[p->n]};
  return whole ? trace(ctx, s, p, p->n, p->j0, p->i0, p->nx, p->ny) : SKY_OK;
}

/* ---- the source under it -------------------------------------------------------------------- */

static size_t find(const double *edge, size_t n, double v) {
  size_t low = 0, high = n - 1; /* the last interval that does not begin above v */
  while (low < high) {
    const size_t mid = high - (high - low) / 2;
    *(edge[mid] <= v ? &low : &high) = edge[mid] <= v ? mid : mid - 1;
  }
  return low;
}

/* True areas of the window's cells: they depend on the source's own blocks only. */
static sky_status find_areas(sky_context *ctx, sky_across *s, const sky_window *w) {
  const sky_grid *g = s->from;
  const size_t band = (g->ny - w->iy0 - 1) / SKY_BAND;
  const size_t end = g->ny - band * SKY_BAND, first = end < SKY_BAND ? 0 : end - SKY_BAND;
  for (size_t x = w->ix0 / SKY_BAND * SKY_BAND; x < w->ix0 + w->nx; x += SKY_BAND) {
    const size_t nx = g->nx - x < SKY_BAND ? g->nx - x : SKY_BAND;
    SKY_TRY(sky_cell_area_find(ctx, s->from_area, band, x, nx, s->block_area));
    for (size_t r = 0; r < w->ny; r++) {
      const double *area = s->block_area + (w->iy0 + r - first) * SKY_BAND;
      for (size_t c = 0; c < nx; c++)
        if (x + c >= w->ix0 && x + c < w->ix0 + w->nx)
          s->area[r * w->nx + x + c - w->ix0] = area[g->geographic ? 0 : c];
    }
  }
  return SKY_OK;
}

static sky_status get_cells(sky_context *ctx, sky_across *s, size_t iy, const sky_window *w,
                            double *out) {
  int32_t code[SKY_BAND];
  for (size_t c = 0, n; c < w->nx; c += n) {
    n = w->nx - c < SKY_BAND ? w->nx - c : SKY_BAND;
    if (s->tile.n_bad > 0) n = 1;
    const sky_window cell = {w->ix0 + c, iy, n, 1};
    if (s->tile.n_bad > 0 && sky_raster_file_bad(s->file, &s->tile, &cell) != NULL) {
      out[c] = NAN;
    } else if (s->sampling == SKY_SAMPLE_CLASS) {
      SKY_TRY(sky_raster_file_row(ctx, s->file, &s->tile, iy, cell.ix0, n, code));
      for (size_t k = 0; k < n; k++)
        out[c + k] = code[k] == SKY_PIXEL_NODATA ? NAN : (double)code[k];
    } else {
      SKY_TRY(sky_raster_file_row(ctx, s->file, &s->tile, iy, cell.ix0, n, out + c));
    }
  }
  return SKY_OK;
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static bool holds(const sky_window *a, const sky_window *b) {
  return b->ix0 >= a->ix0 && b->ix0 + b->nx <= a->ix0 + a->nx && b->iy0 >= a->iy0 &&
         b->iy0 + b->ny <= a->iy0 + a->ny;
}

/* Have a window of the source at hand, with the rest of the file's blocks that it meets, which the
 * next patches will want. */
static sky_status hold(sky_context *ctx, sky_across *s, const sky_window *w) {
  const sky_grid *g = s->from;
  const size_t bx = s->facts->block_x, by = s->facts->block_y;
  const bool up = sky_raster_file_north_up(s->file);
  if (holds(&s->tile.window, w)) return SKY_OK;
  const size_t x0 = w->ix0 / bx * bx, x1 = smaller(((w->ix0 + w->nx - 1) / bx + 1) * bx, g->nx);
  size_t line0 = up ? g->ny - w->iy0 - w->ny : w->iy0, line1 = line0 + w->ny;
  line0 = line0 / by * by;
  line1 = smaller(((line1 - 1) / by + 1) * by, g->ny);
  const sky_window blocks = {x0, up ? g->ny - line1 : line0, x1 - x0, line1 - line0};
  const bool all = s->facts->native && (double)(blocks.nx * blocks.ny) <= 2 * PIXELS_MAX;
  return sky_raster_file_load(ctx, s->file, all ? &blocks : w, &s->tile);
}

/* Values and areas of a window of one band. */
static sky_status read_window(sky_context *ctx, sky_across *s, const sky_window *w,
                              sky_resampled_block *block) {
  if (w->nx * w->ny > s->room) {
    sky_free(s->value);
    sky_free(s->area);
    s->room = 0;
    s->value = SKY_NEW(ctx, double, w->nx * w->ny);
    s->area = SKY_NEW(ctx, double, w->nx * w->ny);
    if (s->value == NULL || s->area == NULL) return SKY_E_NOMEM;
    s->room = w->nx * w->ny;
  }
  SKY_TRY(hold(ctx, s, w));
  const char *reason = s->tile.n_bad > 0 ? sky_raster_file_bad(s->file, &s->tile, w) : NULL;
  if (reason != NULL) strncpy(block->bad, reason, SKY_BAD_TEXT - 1);
  for (size_t r = 0; r < w->ny; r++)
    SKY_TRY(get_cells(ctx, s, w->iy0 + r, w, s->value + r * w->nx));
  return find_areas(ctx, s, w);
}

/* ---- sums ----------------------------------------------------------------------------------- */

static sky_status add_cell(sky_context *ctx, sky_across *s, size_t k, size_t n, size_t at,
                           double fraction) {
  const double v = s->value[at], a = fraction * s->area[at];
  total *t = &s->total[k];
  if (isnan(a)) return SKY_OK; /* no place on Earth */
  t->all += a;
  if (s->sampling == SKY_SAMPLE_CLASS) {
    if (k == n) return SKY_OK;
    const int32_t code = isnan(v) ? SKY_PIXEL_NODATA : (int32_t)v;
    const double cell = s->target_area[k];
    return sky_class_table_add(ctx, s->classes, k, code, (uint64_t)llrint(a / cell * UNIT));
  }
  if (isnan(v)) return SKY_OK;
  t->area += a;
  t->sum += s->sampling == SKY_SAMPLE_EXTENSIVE ? fraction * v : a * v;
  return SKY_OK;
}

/* What the outline of the patch covers of a cell: the source's side of the audit. */
static void audit_cell(const sky_across *s, size_t at, double fraction, sky_source_audit *a) {
  const double v = s->value[at];
  const double share = s->sampling == SKY_SAMPLE_EXTENSIVE ? fraction : fraction * s->area[at];
  if (s->sampling == SKY_SAMPLE_CLASS || isnan(share)) return;
  if (isnan(v)) {
    sky_acc_add(&a->nodata, fraction);
    return;
  }
  sky_acc_add(&a->in, v * share);
  sky_acc_add(&a->gross, fabs(v) * share);
}

/* One outline over a window: rows from the north. */
static sky_status add_part(sky_context *ctx, sky_across *s, const patch *p, size_t k,
                           const sky_window *w) {
  const sky_cover_part *c = &s->part;
  size_t span = c->n_span, edge = c->n_edge;
  for (size_t r = w->ny; r-- > 0;) {
    size_t first = span;
    while (first > 0 && c->span[first - 1].row == r)
      first--;
    for (size_t i = first; i < span; i++)
      for (size_t x = c->span[i].x0; x < c->span[i].x1; x++) {
        if (k == p->n)
          audit_cell(s, r * w->nx + x, 1, &p->block->audit);
        else
          SKY_TRY(add_cell(ctx, s, k, p->n, r * w->nx + x, 1));
      }
    span = first;
    for (first = edge; first > 0 && c->edge[first - 1].row == r;)
      first--;
    for (size_t i = first; i < edge; i++) {
      const size_t at = r * w->nx + c->edge[i].x;
      if (k == p->n)
        audit_cell(s, at, c->edge[i].fraction, &p->block->audit);
      else
        SKY_TRY(add_cell(ctx, s, k, p->n, at, c->edge[i].fraction));
    }
    edge = first;
  }
  return SKY_OK;
}

/* Columns x0..x0+nx-1 of the source, rows south..north-1, band by band. */
static sky_status add_run(sky_context *ctx, sky_across *s, const patch *p, size_t x0, size_t nx,
                          size_t south, size_t north) {
  const sky_grid *g = s->from;
  const size_t band0 = (g->ny - north) / SKY_BAND, top = g->ny - band0 * SKY_BAND;
  const sky_zones zones = {p->n + 1, s->zone};
  sky_grid sub = *g; /* from the top of the first band, so that its bands are the source's */
  sub.nx = nx;
  sub.ny = top - south;
  sub.x_edge = g->x_edge + x0;
  sub.y_edge = g->y_edge + south;
  sky_cover *cover = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_cover_create(ctx, &zones, &sub, &cover));
  for (size_t b = 0; b < sky_cover_bands(cover); b++) {
    const uint32_t *shape;
    const size_t shapes = sky_cover_band_shapes(cover, b, &shape);
    sky_window rows;
    sky_cover_band_rows(cover, b, &rows);
    if (shapes == 0) continue;
    const sky_window w = {x0, south + rows.iy0, nx, smaller(rows.ny, north - south - rows.iy0)};
    SKY_GO(read_window(ctx, s, &w, p->block));
    for (size_t i = 0; i < shapes; i++) {
      SKY_GO(sky_cover_find(ctx, cover, shape[i], b, 0, nx, &s->part));
      SKY_GO(add_part(ctx, s, p, sky_cover_zone(cover, shape[i]), &w));
    }
  }
cleanup:
  sky_cover_free(cover);
  return st;
}

/* The runs of source columns under the patch, from west to east. */
static sky_status add_source(sky_context *ctx, sky_across *s, const patch *p) {
  const sky_grid *g = s->from;
  const double *x = g->x_edge, *y = g->y_edge;
  if (!(p->west < p->east) || p->south >= y[g->ny] || p->north <= y[0]) return SKY_OK;
  const size_t south = find(y, g->ny, p->south), north = find(y, g->ny, p->north) + 1;
  int first = 0, last = 0;
  if (g->geographic) {
    first = (int)ceil((x[0] - p->east) / 360);
    last = (int)floor((x[g->nx] - p->west) / 360);
  }
  if (g->geographic && last > first && p->east - p->west > 300) /* around a pole */
    return add_run(ctx, s, p, 0, g->nx, south, north);
  for (int k = last; k >= first; k--) {
    const double west = p->west + 360.0 * k, east = p->east + 360.0 * k;
    if (west >= x[g->nx] || east <= x[0]) continue;
    const size_t x0 = find(x, g->nx, west), x1 = find(x, g->nx, east) + 1;
    SKY_TRY(add_run(ctx, s, p, x0, x1 - x0, south, north));
  }
  return SKY_OK;
}

/* ---- results -------------------------------------------------------------------------------- */

static void finish_cell(sky_across *s, const patch *p, size_t k, sky_resampled *out) {
  const total *t = &s->total[k];
  const size_t at = (p->row + k / p->nx) * out->tile.nx + p->column + k % p->nx;
  double covered = t->all / s->target_area[k];
  double share = t->all > 0 ? t->area / t->all : 0;
  int32_t code = SKY_PIXEL_NODATA;
  if (!(covered < 1 - CLOSED)) covered = 1;
  if (s->sampling == SKY_SAMPLE_CLASS) code = sky_class_table_largest(s->classes, k, &share);
  out->valid[at] = t->all > 0 ? share * covered : 0;
  const bool kept = sky_resampled_kept(out->valid[at], s->min_valid);
  out->value[at] = NAN;
  if (s->sampling == SKY_SAMPLE_CLASS) {
    if (kept) out->value[at] = code;
    return;
  }
  sky_source_audit *a = &p->block->audit;
  if (t->area > 0) sky_acc_add(kept ? &a->out : &a->lost, t->sum);
  if (kept) out->value[at] = s->sampling == SKY_SAMPLE_EXTENSIVE ? t->sum : t->sum / t->area;
  if (s->zone[p->n].n_rings == 0 && t->area > 0) { /* no outline to take it from */
    sky_acc_add(&a->in, t->sum);
    sky_acc_add(&a->gross, fabs(t->sum));
  }
}

/* The class, or nothing, at the centres of the patch: no outline is needed. */
static sky_status add_centres(sky_context *ctx, sky_across *s, const patch *p, sky_resampled *out) {
  const double near = 1e-3 * fmin(sky_grid_dx(s->to), sky_grid_dy(s->to));
  for (size_t k = 0; k < p->n; k++) {
    const size_t cell = (p->i0 + k / p->nx) * s->to->nx + p->j0 + k % p->nx;
    const size_t at = (p->row + k / p->nx) * out->tile.nx + p->column + k % p->nx;
    double x, y, v = NAN;
    sky_grid_centre(s->to, cell, &x, &y);
    const bool there = !isnan(s->target_area[k]) && sky_tracer_point(s->tracer, x, y, near, &x, &y);
    const size_t from = there ? sky_grid_find(s->from, x, y) : SIZE_MAX;
    if (from != SIZE_MAX) {
      const sky_window w = {from % s->from->nx, from / s->from->nx, 1, 1};
      SKY_TRY(hold(ctx, s, &w));
      const char *reason = sky_raster_file_bad(s->file, &s->tile, &w);
      if (reason != NULL)
        strncpy(p->block->bad, reason, SKY_BAD_TEXT - 1);
      else
        SKY_TRY(get_cells(ctx, s, w.iy0, &w, &v));
    }
    out->value[at] = v;
    out->valid[at] = !isnan(v);
  }
  return SKY_OK;
}

static sky_status do_patch(sky_context *ctx, sky_across *s, patch *p, sky_resampled *out) {
  sky_status st = SKY_OK;
  if (s->sampling == SKY_SAMPLE_CLASS && s->centre) return add_centres(ctx, s, p, out);
  SKY_GO(trace_patch(ctx, s, p));
  if (s->sampling == SKY_SAMPLE_CLASS) SKY_GO(sky_class_table_start(ctx, s->classes, p->n));
  SKY_GO(add_source(ctx, s, p));
  for (size_t k = 0; k < p->n; k++)
    finish_cell(s, p, k, out);
cleanup:
  free_outlines(s, p);
  return st;
}

/* True areas of the patch's cells: s->target_area[cell]. */
static sky_status find_target_areas(sky_context *ctx, sky_across *s, const patch *p,
                                    double *block) {
  const sky_grid *g = s->to;
  const size_t band = (g->ny - p->i0 - 1) / SKY_BAND, x0 = p->j0 / SKY_BAND * SKY_BAND;
  const size_t nx = g->nx - x0 < SKY_BAND ? g->nx - x0 : SKY_BAND;
  const size_t end = g->ny - band * SKY_BAND, first = end < SKY_BAND ? 0 : end - SKY_BAND;
  if (s->area_of != p->block) {
    SKY_TRY(sky_cell_area_find(ctx, s->to_area, band, x0, nx, block));
    s->area_of = p->block;
  }
  for (size_t k = 0; k < p->n; k++) {
    const double *row = block + (p->i0 + k / p->nx - first) * SKY_BAND;
    s->target_area[k] = row[g->geographic ? 0 : p->j0 + k % p->nx - x0];
  }
  return SKY_OK;
}

sky_status sky_across_load(sky_context *ctx, sky_across *s, const sky_window *tile,
                           sky_resampled *out) {
  double *areas = SKY_NEW(ctx, double, SKY_BAND *SKY_BAND);
  sky_status st = areas != NULL ? SKY_OK : SKY_E_NOMEM;
  const size_t north = s->to->ny - tile->iy0 - tile->ny; /* lines above the tile */
  s->area_of = NULL;
  s->tile.window = (sky_window){0, 0, 0, 0};
  for (size_t by = 0; by < tile->ny; by += SKY_BAND)
    for (size_t bx = 0; bx < tile->nx; bx += SKY_BAND)
      for (size_t y = by; y < by + SKY_BAND && y < tile->ny; y += s->patch)
        for (size_t x = bx; x < bx + SKY_BAND && x < tile->nx; x += s->patch) {
          patch p = {.j0 = tile->ix0 + x, .column = x};
          p.nx = tile->nx - x < s->patch ? tile->nx - x : s->patch;
          p.ny = tile->ny - y < s->patch ? tile->ny - y : s->patch;
          p.i0 = s->to->ny - north - y - p.ny;
          p.row = p.i0 - tile->iy0;
          p.n = p.nx * p.ny;
          p.block = sky_resampled_block_of(out, p.row, p.column);
          if (st == SKY_OK) st = find_target_areas(ctx, s, &p, areas);
          if (st == SKY_OK) st = do_patch(ctx, s, &p, out);
        }
  sky_free(areas);
  return st;
}
