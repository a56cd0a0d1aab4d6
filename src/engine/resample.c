/* resample.c: resampling within one CRS, where cells overlap as the product of their axes.
 *
 * A target row is made from its source rows one after the other. Values are summed down the columns
 * of the source first, which a compiler does many at a time, and across them once a target row:
 *     S(x) = Σ_y w(y) v(x, y),  V(x) = Σ_y w(y) [v valid],  mean = Σ_x f(x) S(x) / Σ_x f(x) V(x),
 * w the ellipsoid's area between parallels in the row (of plane grids its height), f the share of
 * the source column in the target's (Jones 1999, MWR 127, first order). Amounts are summed with
 * shares in place of w.
 *
 * Source rows are read by the file's rows of blocks and in stripes of target columns, of a width
 * that the tile has no say in.
 *
 * Areas of classes are whole numbers of 2^-62 of the target cell, so that their sums know no order
 * and equal areas are equal. */
#include "src/engine/resample.h"

#include <math.h>
#include <string.h>

#include "grids/axis.h"
#include "src/core/memory.h"
#include "src/engine/class_table.h"

#define STRIPE_BYTES 16e6    /* of source rows held at once */
#define UNIT_X 67108864.0    /* 2^26, of the target's width */
#define UNIT_Y 68719476736.0 /* 2^36, of its height */

/* ---- results -------------------------------------------------------------------------------- */

sky_status sky_resampled_start(sky_context *ctx, sky_resampled *r, const sky_window *tile,
                               const sky_grid *target) {
  const size_t n = tile->nx * tile->ny;
  const size_t columns = (tile->nx + SKY_BAND - 1) / SKY_BAND;
  const size_t blocks = columns * ((tile->ny + SKY_BAND - 1) / SKY_BAND);
  const size_t north = target->ny - tile->iy0 - tile->ny;
  if (tile->ix0 % SKY_BAND != 0 || north % SKY_BAND != 0)
    return sky_fail(ctx, SKY_E_INTERNAL, "a tile that does not begin with a block");
  r->tile = *tile;
  r->columns = columns;
  if (n > r->room) {
    sky_free(r->value);
    sky_free(r->valid);
    r->room = 0;
    r->value = SKY_NEW(ctx, double, n);
    r->valid = SKY_NEW(ctx, double, n);
    if (r->value == NULL || r->valid == NULL) return SKY_E_NOMEM;
    r->room = n;
  }
  if (blocks > r->block_room) {
    sky_free(r->block);
    r->block_room = 0;
    r->block = SKY_NEW(ctx, sky_resampled_block, blocks);
    if (r->block == NULL) return SKY_E_NOMEM;
    r->block_room = blocks;
  }
  memset(r->block, 0, blocks * sizeof *r->block);
  return SKY_OK;
}

void sky_resampled_free(sky_resampled *r) {
  if (r == NULL) return;
  sky_free(r->value);
  sky_free(r->valid);
  sky_free(r->block);
  memset(r, 0, sizeof *r);
}

sky_resampled_block *sky_resampled_block_of(const sky_resampled *r, size_t row, size_t column) {
  const size_t band = (r->tile.ny - 1 - row) / SKY_BAND;
  return &r->block[band * r->columns + column / SKY_BAND];
}

/* ---- one handle ----------------------------------------------------------------------------- */

typedef struct run { /* source columns first..first+n-1 */
  size_t first, n, at;
  sky_raster_tile tile;
} run;

typedef struct piece {    /* columns of the stripe in one block of the target */
  size_t column, columns; /* of the stripe */
  size_t at, n;           /* of source columns in the stripe */
  double *inside;         /* [n] their shares in the block, by its ends alone */
} piece;

struct sky_separable {
  sky_raster_file *file;
  const sky_raster_facts *facts;
  const sky_grid *from, *to;
  sky_sampling sampling;
  bool centre; /* classes by the centre */
  double min_valid;
  sky_axis from_x, from_y, to_x, to_y;
  sky_axis_overlap x, y;
  size_t chunk; /* source rows read at once */
  size_t wide;  /* target columns of a stripe: SKY_BAND times or a whole part of that */
  /* the stripe */
  size_t j0, columns, width;
  size_t n_run, run_room, n_piece, piece_room;
  run *run;
  piece *piece;
  size_t *local; /* [items]: source column in the stripe */
  size_t c0, c1; /* source rows held */
  size_t column_room, item_room;
  void *row; /* [width] */
  double *sum, *weight, *inside;
  uint64_t *part_x; /* [items] */
  sky_class_table *classes;
};

void sky_separable_free(sky_separable *s) {
  if (s == NULL) return;
  sky_axis_overlap_free(&s->x);
  sky_axis_overlap_free(&s->y);
  for (size_t i = 0; i < s->run_room; i++)
    sky_raster_tile_free(&s->run[i].tile);
  sky_free(s->run);
  sky_free(s->piece);
  sky_free(s->local);
  sky_free(s->row);
  sky_free(s->sum);
  sky_free(s->weight);
  sky_free(s->inside);
  sky_free(s->part_x);
  sky_class_table_free(s->classes);
  sky_free(s);
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Source columns under so many target columns. */
static double width_of(const sky_separable *s, size_t columns) {
  const double w = (double)columns * sky_grid_dx(s->to) / sky_grid_dx(s->from) + 2;
  return fmin(w, (double)s->from->nx + 2);
}

static double row_bytes(const sky_separable *s, double width) {
  return width * ((double)s->chunk * (double)s->facts->pixel_bytes + 4 * sizeof(double));
}

/* Rows of whole blocks, strips some at a time; stripes as wide as the memory for them allows. */
static void plan_reading(sky_separable *s) {
  const size_t by = s->facts->block_y;
  s->chunk = by >= 64 || !s->facts->native ? by : (64 + by - 1) / by * by;
  if (!s->facts->native) s->chunk = SKY_BAND;
  s->chunk = smaller(s->chunk, s->from->ny);
  s->wide = SKY_BAND;
  while (row_bytes(s, width_of(s, s->wide)) > STRIPE_BYTES && s->chunk > 64 && by > SKY_BAND)
    s->chunk = (s->chunk + 1) / 2; /* blocks so high that they are better read twice */
  while (s->wide > 1 && row_bytes(s, width_of(s, s->wide)) > STRIPE_BYTES)
    s->wide /= 2;
  while (s->wide >= SKY_BAND && s->wide < s->to->nx &&
         row_bytes(s, width_of(s, 2 * s->wide)) <= STRIPE_BYTES)
    s->wide *= 2;
}

size_t sky_separable_bytes(const sky_separable *s, size_t tile_x, size_t tile_y) {
  const double stripe = row_bytes(s, width_of(s, smaller(s->wide, tile_x)));
  const size_t block = s->facts->block_x * s->facts->block_y * s->facts->pixel_bytes;
  return tile_x * tile_y * 2 * sizeof(double) + (size_t)stripe + block;
}

sky_status sky_separable_create(sky_context *ctx, sky_raster_file *file, const sky_raster_input *in,
                                const sky_grid *target, sky_separable **out) {
  sky_status st = SKY_OK;
  sky_separable *s = NULL;
  SKY_GO_ALLOC(s, SKY_NEW0(ctx, sky_separable, 1));
  s->file = file;
  s->facts = sky_raster_file_facts(file);
  s->from = sky_raster_file_grid(file);
  s->to = target;
  s->sampling = in->kind == SKY_PIXEL_CLASS ? SKY_SAMPLE_CLASS : in->sampling;
  s->min_valid = in->min_valid;
  s->from_x = sky_axis_x(s->from);
  s->from_y = sky_axis_y(s->from);
  s->to_x = sky_axis_x(s->to);
  s->to_y = sky_axis_y(s->to);
  s->centre = sky_grid_dx(s->from) * sky_grid_dy(s->from) >=
              sky_grid_dx(s->to) * sky_grid_dy(s->to) * (1 - 1e-9);
  SKY_GO(sky_axis_overlap_make(ctx, &s->to_x, &s->from_x, &s->x));
  SKY_GO(sky_axis_overlap_make(ctx, &s->to_y, &s->from_y, &s->y));
  if (s->sampling == SKY_SAMPLE_CLASS) SKY_GO(sky_class_table_create(ctx, &s->classes));
  plan_reading(s);
  *out = s;
  return SKY_OK;
cleanup:
  sky_separable_free(s);
  return st;
}

/* ---- a stripe ------------------------------------------------------------------------------- */

static sky_status add_column(sky_context *ctx, sky_separable *s, size_t column) {
  if (s->n_run == s->run_room) {
    const size_t grown = s->run_room + 4;
    run *r = sky_realloc(ctx, s->run, s->run_room, grown, sizeof *r);
    if (r == NULL) return SKY_E_NOMEM;
    memset(r + s->run_room, 0, 4 * sizeof *r);
    s->run = r;
    s->run_room = grown;
  }
  run *r = &s->run[s->n_run++];
  r->first = column;
  r->n = 1;
  r->at = s->width++;
  return SKY_OK;
}

/* The source columns under the stripe, in the order of the target. */
static sky_status find_columns(sky_context *ctx, sky_separable *s) {
  const size_t first = s->x.start[s->j0], items = s->x.start[s->j0 + s->columns] - first;
  if (items > s->item_room) {
    sky_free(s->local);
    sky_free(s->part_x);
    s->item_room = 0;
    s->local = SKY_NEW(ctx, size_t, items);
    s->part_x = SKY_NEW(ctx, uint64_t, items);
    if (s->local == NULL || s->part_x == NULL) return SKY_E_NOMEM;
    s->item_room = items;
  }
  s->n_run = s->width = 0;
  for (size_t k = 0; k < items; k++) {
    const size_t column = s->x.index[first + k];
    run *r = s->n_run > 0 ? &s->run[s->n_run - 1] : NULL;
    const bool again = r != NULL && column == r->first + r->n - 1;
    if (r != NULL && column == r->first + r->n) {
      r->n++;
      s->width++;
    } else if (!again) {
      SKY_TRY(add_column(ctx, s, column));
    }
    s->local[k] = s->width - 1;
  }
  return SKY_OK;
}

/* A source column that the block meets under two turns has its share with the first. */
static sky_status find_pieces(sky_context *ctx, sky_separable *s) {
  const size_t first = s->x.start[s->j0];
  const size_t pieces = (s->columns + SKY_BAND - 1) / SKY_BAND;
  double *share = NULL;
  if (pieces > s->piece_room) {
    sky_free(s->piece);
    s->piece_room = 0;
    s->piece = SKY_NEW(ctx, piece, pieces);
    if (s->piece == NULL) return SKY_E_NOMEM;
    s->piece_room = pieces;
  }
  share = SKY_NEW(ctx, double, s->from->nx);
  if (share == NULL) return SKY_E_NOMEM;
  s->n_piece = pieces;
  size_t used = 0;
  for (size_t p = 0; p < pieces; p++) {
    piece *q = &s->piece[p];
    q->column = p * SKY_BAND;
    q->columns = smaller(SKY_BAND, s->columns - q->column);
    const size_t j = s->j0 + q->column, from = s->x.start[j], to = s->x.start[j + q->columns];
    sky_axis_overlap_inside(&s->to_x, &s->from_x, j, j + q->columns, share);
    q->at = from < to ? s->local[from - first] : 0;
    q->n = from < to ? s->local[to - 1 - first] + 1 - q->at : 0;
    q->inside = s->inside + used;
    used += q->n;
    for (size_t i = 0; i < s->n_run; i++)
      for (size_t c = 0; c < s->run[i].n; c++) {
        const size_t at = s->run[i].at + c, column = s->run[i].first + c;
        if (at < q->at || at >= q->at + q->n) continue;
        q->inside[at - q->at] = share[column];
        share[column] = 0;
      }
  }
  sky_free(share);
  return SKY_OK;
}

/* Parts of the target's width for the areas of classes. */
static void find_parts(sky_separable *s) {
  const size_t first = s->x.start[s->j0];
  for (size_t j = s->j0; j < s->j0 + s->columns; j++) {
    double all = 0;
    for (size_t k = s->x.start[j]; k < s->x.start[j + 1]; k++)
      all += s->x.share[k];
    for (size_t k = s->x.start[j]; k < s->x.start[j + 1]; k++)
      s->part_x[k - first] = (uint64_t)llrint(s->x.share[k] / all * UNIT_X);
  }
}

static sky_status start_stripe(sky_context *ctx, sky_separable *s, size_t j0, size_t columns) {
  s->j0 = j0;
  s->columns = columns;
  s->c0 = s->c1 = 0;
  SKY_TRY(find_columns(ctx, s));
  const size_t pieces = (columns + SKY_BAND - 1) / SKY_BAND;
  if (s->width + 2 * pieces > s->column_room) {
    sky_free(s->row);
    sky_free(s->sum);
    sky_free(s->weight);
    sky_free(s->inside);
    s->column_room = 0;
    const size_t n = s->width + 2 * pieces;
    s->row = SKY_NEW(ctx, double, n);
    s->sum = SKY_NEW(ctx, double, n);
    s->weight = SKY_NEW(ctx, double, n);
    s->inside = SKY_NEW(ctx, double, n);
    if (s->row == NULL || s->sum == NULL || s->weight == NULL || s->inside == NULL)
      return SKY_E_NOMEM;
    s->column_room = n;
  }
  if (s->sampling == SKY_SAMPLE_CLASS) {
    find_parts(s);
    return SKY_OK;
  }
  return find_pieces(ctx, s);
}

/* Hold the rows that are read with row iy: whole rows of the file's blocks. */
static sky_status hold_row(sky_context *ctx, sky_separable *s, size_t iy) {
  if (iy >= s->c0 && iy < s->c1) return SKY_OK;
  const size_t ny = s->from->ny, line = sky_raster_file_north_up(s->file) ? ny - 1 - iy : iy;
  const size_t first = line / s->chunk * s->chunk, n = smaller(s->chunk, ny - first);
  s->c0 = sky_raster_file_north_up(s->file) ? ny - first - n : first;
  s->c1 = s->c0 + n;
  for (size_t i = 0; i < s->n_run; i++) {
    const sky_window w = {s->run[i].first, s->c0, s->run[i].n, n};
    SKY_TRY(sky_raster_file_load(ctx, s->file, &w, &s->run[i].tile));
  }
  return SKY_OK;
}

/* Blocks of the target that need what could not be read. */
static void note_bad(const sky_separable *s, const run *r, size_t iy, size_t row,
                     sky_resampled *out) {
  const size_t first = s->x.start[s->j0];
  for (size_t j = 0; j < s->columns; j++) {
    const size_t from = s->x.start[s->j0 + j], to = s->x.start[s->j0 + j + 1];
    sky_resampled_block *b = sky_resampled_block_of(out, row, s->j0 + j - out->tile.ix0);
    for (size_t k = from; k < to && b->bad[0] == '\0'; k++) {
      const size_t at = s->local[k - first];
      if (at < r->at || at >= r->at + r->n) continue;
      const sky_window cell = {s->x.index[k], iy, 1, 1};
      const char *reason = sky_raster_file_bad(s->file, &r->tile, &cell);
      if (reason != NULL) strncpy(b->bad, reason, SKY_BAD_TEXT - 1);
    }
  }
}

/* What there is of a row that is partly unread. */
static sky_status get_cells(sky_context *ctx, sky_separable *s, const run *r, size_t iy) {
  for (size_t c = 0; c < r->n; c++) {
    const sky_window cell = {r->first + c, iy, 1, 1};
    double *value = (double *)s->row + r->at + c;
    int32_t *code = (int32_t *)s->row + r->at + c;
    void *to = s->sampling == SKY_SAMPLE_CLASS ? (void *)code : (void *)value;
    if (sky_raster_file_bad(s->file, &r->tile, &cell) == NULL)
      SKY_TRY(sky_raster_file_row(ctx, s->file, &r->tile, iy, r->first + c, 1, to));
    else if (s->sampling == SKY_SAMPLE_CLASS)
      *code = SKY_PIXEL_NODATA;
    else
      *value = NAN;
  }
  return SKY_OK;
}

/* Source row iy under the stripe into s->row; row: of the target, for what cannot be read. */
static sky_status get_row(sky_context *ctx, sky_separable *s, size_t iy, size_t row,
                          sky_resampled *out) {
  const size_t size = s->sampling == SKY_SAMPLE_CLASS ? sizeof(int32_t) : sizeof(double);
  SKY_TRY(hold_row(ctx, s, iy));
  for (size_t i = 0; i < s->n_run; i++) {
    const run *r = &s->run[i];
    const sky_window w = {r->first, iy, r->n, 1};
    if (r->tile.n_bad > 0 && sky_raster_file_bad(s->file, &r->tile, &w) != NULL) {
      SKY_TRY(get_cells(ctx, s, r, iy));
      note_bad(s, r, iy, row, out);
      continue;
    }
    SKY_TRY(sky_raster_file_row(ctx, s->file, &r->tile, iy, r->first, r->n,
                                (char *)s->row + r->at * size));
  }
  return SKY_OK;
}

/* ---- values --------------------------------------------------------------------------------- */

static void add_row(const double *restrict v, size_t n, double w, double area, double *restrict sum,
                    double *restrict weight) {
  for (size_t i = 0; i < n; i++) {
    const bool valid = v[i] == v[i];
    sum[i] += valid ? w * v[i] : 0;
    weight[i] += valid ? area : 0;
  }
}

/* What the row leaves beyond the target's northern or southern edge. */
static void audit_rest(const sky_separable *s, size_t row, double measure, sky_resampled *out) {
  const double *v = s->row;
  const size_t first = s->x.start[s->j0];
  for (size_t j = 0; j < s->columns; j++) {
    sky_source_audit *a = &sky_resampled_block_of(out, row, s->j0 + j - out->tile.ix0)->audit;
    for (size_t k = s->x.start[s->j0 + j]; k < s->x.start[s->j0 + j + 1]; k++) {
      const double value = v[s->local[k - first]];
      const double share = (s->x.share[k] + s->x.rest[k]) * measure;
      if (isnan(value)) continue;
      sky_acc_add(&a->in, value * share);
      sky_acc_add(&a->gross, fabs(value) * share);
      sky_acc_add(&a->outside, value * share);
    }
  }
}

/* What came in with a target row: its columns' sums by the ends of the block alone, and what the
 * target's western and eastern edges cut off. */
static void audit_row(const sky_separable *s, size_t row, double measure, double rows,
                      sky_resampled *out) {
  const size_t first = s->x.start[s->j0];
  for (size_t p = 0; p < s->n_piece; p++) {
    const piece *q = &s->piece[p];
    const double *sum = s->sum + q->at, *weight = s->weight + q->at;
    sky_source_audit *a =
        &sky_resampled_block_of(out, row, s->j0 + q->column - out->tile.ix0)->audit;
    for (size_t i = 0; i < q->n; i++) {
      sky_acc_add(&a->in, q->inside[i] * sum[i] * measure);
      sky_acc_add(&a->gross, q->inside[i] * fabs(sum[i]) * measure);
      if (weight[i] < 1 - 1e-9) sky_acc_add(&a->nodata, q->inside[i] * (1 - weight[i]) * rows);
    }
    const size_t j = s->j0 + q->column;
    for (size_t k = s->x.start[j]; k < s->x.start[j + q->columns]; k++) {
      if (s->x.rest[k] == 0) continue;
      const double cut = s->x.rest[k] * s->sum[s->local[k - first]] * measure;
      sky_acc_add(&a->in, cut);
      sky_acc_add(&a->gross, fabs(cut));
      sky_acc_add(&a->outside, cut);
    }
  }
}

/* Across the columns. measure: of the row, by which sums of densities become integrals. */
static void finish_values(const sky_separable *s, size_t row, double covered, double measure,
                          sky_resampled *out) {
  const size_t first = s->x.start[s->j0], column0 = s->j0 - out->tile.ix0;
  double *value = out->value + row * out->tile.nx + column0;
  double *valid = out->valid + row * out->tile.nx + column0;
  for (size_t j = 0; j < s->columns; j++) {
    const size_t from = s->x.start[s->j0 + j], to = s->x.start[s->j0 + j + 1];
    double sum = 0, weight = 0, all = 0;
    for (size_t k = from; k < to; k++) {
      const double share = s->x.share[k];
      sum += share * s->sum[s->local[k - first]];
      weight += share * s->weight[s->local[k - first]];
      all += share;
    }
    double part = weight > 0 ? weight / all : 0;
    if (part > 1 - 1e-9) part = 1;
    valid[j] = part * s->x.covered[s->j0 + j] * covered;
    value[j] = NAN;
    sky_source_audit *a = &sky_resampled_block_of(out, row, column0 + j)->audit;
    if (!(weight > 0)) continue;
    const bool kept = sky_resampled_kept(valid[j], s->min_valid);
    sky_acc_add(kept ? &a->out : &a->lost, sum * measure);
    if (!kept) continue;
    if (s->sampling == SKY_SAMPLE_EXTENSIVE)
      value[j] = sum;
    else if (to == from + 1) /* of one cell, its very value */
      value[j] = s->sum[s->local[from - first]] / s->weight[s->local[from - first]];
    else
      value[j] = sum / weight;
  }
}

static sky_status value_row(sky_context *ctx, sky_separable *s, size_t row, sky_resampled *out) {
  const size_t iy = out->tile.iy0 + row, from = s->y.start[iy], to = s->y.start[iy + 1];
  const bool extensive = s->sampling == SKY_SAMPLE_EXTENSIVE;
  const double dx = extensive ? 1 : sky_axis_measure(&s->from_x, 0);
  double area = 0, rows = 0;
  for (size_t k = to; k-- > from;) {
    area += s->y.share[k] * sky_axis_measure(&s->from_y, s->y.index[k]);
    rows += s->y.share[k];
  }
  memset(s->sum, 0, s->width * sizeof *s->sum);
  memset(s->weight, 0, s->width * sizeof *s->weight);
  for (size_t k = to; k-- > from && s->width > 0;) {
    const double whole = sky_axis_measure(&s->from_y, s->y.index[k]);
    const double part = s->y.share[k] * whole / area;
    SKY_TRY(get_row(ctx, s, s->y.index[k], row, out));
    add_row(s->row, s->width, extensive ? s->y.share[k] : part, part, s->sum, s->weight);
    if (s->y.rest[k] > 0) audit_rest(s, row, s->y.rest[k] * (extensive ? 1 : whole * dx), out);
  }
  const double measure = extensive ? 1 : area * dx;
  audit_row(s, row, measure, rows, out);
  finish_values(s, row, s->y.covered[iy], measure, out);
  return SKY_OK;
}

/* ---- classes -------------------------------------------------------------------------------- */

static sky_status centre_row(sky_context *ctx, sky_separable *s, size_t row, sky_resampled *out) {
  const size_t iy = s->y.centre[out->tile.iy0 + row], column0 = s->j0 - out->tile.ix0;
  const size_t first = s->x.start[s->j0];
  const int32_t *code = s->row;
  if (iy != SIZE_MAX && s->width > 0) SKY_TRY(get_row(ctx, s, iy, row, out));
  for (size_t j = 0; j < s->columns; j++) {
    const size_t at = row * out->tile.nx + column0 + j, centre = s->x.centre[s->j0 + j];
    int32_t found = SKY_PIXEL_NODATA;
    for (size_t k = s->x.start[s->j0 + j]; k < s->x.start[s->j0 + j + 1]; k++)
      if (s->x.index[k] == centre && iy != SIZE_MAX) found = code[s->local[k - first]];
    out->value[at] = found != SKY_PIXEL_NODATA ? (double)found : NAN;
    out->valid[at] = found != SKY_PIXEL_NODATA;
  }
  return SKY_OK;
}

/* Areas of a source row's classes, equal neighbours together. */
static sky_status add_classes(sky_context *ctx, sky_separable *s, uint64_t part_y) {
  const size_t first = s->x.start[s->j0];
  const int32_t *code = s->row;
  for (size_t j = 0; j < s->columns; j++) {
    const size_t to = s->x.start[s->j0 + j + 1] - first;
    for (size_t k = s->x.start[s->j0 + j] - first; k < to;) {
      const int32_t here = code[s->local[k]];
      uint64_t part = 0;
      for (; k < to && code[s->local[k]] == here; k++)
        part += s->part_x[k];
      SKY_TRY(sky_class_table_add(ctx, s->classes, j, here, part * part_y));
    }
  }
  return SKY_OK;
}

static sky_status class_row(sky_context *ctx, sky_separable *s, size_t row, sky_resampled *out) {
  const size_t iy = out->tile.iy0 + row, from = s->y.start[iy], to = s->y.start[iy + 1];
  const size_t column0 = s->j0 - out->tile.ix0;
  double area = 0;
  for (size_t k = to; k-- > from;)
    area += s->y.share[k] * sky_axis_measure(&s->from_y, s->y.index[k]);
  SKY_TRY(sky_class_table_start(ctx, s->classes, s->columns));
  for (size_t k = to; k-- > from && s->width > 0;) {
    const double part = s->y.share[k] * sky_axis_measure(&s->from_y, s->y.index[k]) / area;
    SKY_TRY(get_row(ctx, s, s->y.index[k], row, out));
    SKY_TRY(add_classes(ctx, s, (uint64_t)llrint(part * UNIT_Y)));
  }
  for (size_t j = 0; j < s->columns; j++) {
    const size_t at = row * out->tile.nx + column0 + j;
    double share;
    const int32_t code = sky_class_table_largest(s->classes, j, &share);
    out->valid[at] = share * s->x.covered[s->j0 + j] * s->y.covered[iy];
    out->value[at] = sky_resampled_kept(out->valid[at], s->min_valid) ? (double)code : NAN;
  }
  return SKY_OK;
}

/* ---- a tile --------------------------------------------------------------------------------- */

sky_status sky_separable_load(sky_context *ctx, sky_separable *s, const sky_window *tile,
                              sky_resampled *out) {
  for (size_t j = tile->ix0; j < tile->ix0 + tile->nx;) {
    const size_t end = smaller((j / s->wide + 1) * s->wide, tile->ix0 + tile->nx);
    SKY_TRY(start_stripe(ctx, s, j, end - j));
    for (size_t row = tile->ny; row-- > 0;) {
      if (s->sampling != SKY_SAMPLE_CLASS)
        SKY_TRY(value_row(ctx, s, row, out));
      else if (s->centre)
        SKY_TRY(centre_row(ctx, s, row, out));
      else
        SKY_TRY(class_row(ctx, s, row, out));
    }
    j = end;
  }
  return SKY_OK;
}
