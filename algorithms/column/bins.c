/* bins.c: see bins.h and bins.md. */
#include "algorithms/column/bins.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "algorithms/column/oversample.h"
#include "src/core/memory.h"

#define BLOCK 64         /* cells of a row that are held together */
#define BAND 32          /* rows that one thread adds to at a time */
#define VALUE_MAX 0.25   /* mol mol-1, so that its quanta fit */
#define SIGMA_MAX 1.5e-4 /* mol mol-1, likewise */

struct sky_bins {
  sky_context *ctx;
  const sky_grid *grid;
  sky_quad_grid *quads;
  sky_bins_options opt;
  sky_oversample oversample;
  size_t blocks_per_row, n_band;
  sky_bin **block;    /* [ny*blocks_per_row], NULL: no sounding yet */
  size_t *band_block; /* [n_band] blocks held */
  sky_bins_total total;
};

/* ---- one cell ------------------------------------------------------------------------------- */

static inline uint64_t add_full(uint64_t a, uint64_t b) {
  uint64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint32_t add_count(uint32_t a, uint32_t b) {
  uint32_t sum;
  return __builtin_add_overflow(a, b, &sum) ? UINT32_MAX : sum;
}

void sky_bin_add(sky_bin *a, const sky_bin *b) {
  a->wx += b->wx;
  a->ww += b->ww;
  a->ws += b->ws;
  a->w = add_full(a->w, b->w);
  a->n = add_count(a->n, b->n);
  a->n_sigma = add_count(a->n_sigma, b->n_sigma);
}

static inline void add_one(sky_bin *a, uint64_t w, int64_t x, uint64_t s, bool has_sigma) {
  a->wx += (sky_i128)w * x;
  a->ww += (sky_u128)w * w;
  a->ws += (sky_u128)w * s;
  a->w = add_full(a->w, w);
  a->n = add_count(a->n, 1);
  a->n_sigma = add_count(a->n_sigma, has_sigma);
}

static inline int64_t value_quanta(double value) {
  return (int64_t)nearbyint(value * SKY_BIN_X);
}

static inline uint64_t variance_quanta(double sigma) {
  return sigma > 0 ? (uint64_t)(sigma * sigma * SKY_BIN_S + 0.5) : 0;
}

sky_bin sky_bin_of(double value, double sigma) {
  sky_bin b;
  memset(&b, 0, sizeof b);
  add_one(&b, (uint64_t)SKY_BIN_W, value_quanta(value), variance_quanta(sigma), sigma > 0);
  return b;
}

double sky_bin_weight(const sky_bin *b) {
  return (double)b->w / SKY_BIN_W;
}

/* Whole part and remainder, so that equal values give that value and no rounding. */
double sky_bin_mean(const sky_bin *b) {
  if (b->w == 0) return NAN;
  const sky_i128 whole = b->wx / b->w, rest = b->wx % b->w;
  return ((double)whole + (double)rest / (double)b->w) / SKY_BIN_X;
}

double sky_bin_share(const sky_bin *b) {
  return (double)b->ww / ((double)b->w * (double)b->w);
}

double sky_bin_rms(const sky_bin *b) {
  if (b->w == 0 || b->n_sigma != b->n) return NAN;
  return sqrt((double)b->ws / (double)b->w / SKY_BIN_S);
}

double sky_bin_sigma(const sky_bin *b, double correlation) {
  return sky_bin_rms(b) * sqrt((1 - correlation) * sky_bin_share(b) + correlation);
}

/* ---- the grid ------------------------------------------------------------------------------- */

/* The index of blocks alone, before anything is touched. */
static sky_status check_size(sky_context *ctx, const sky_grid *grid) {
  const double blocks = (double)grid->ny * ((double)(grid->nx / BLOCK) + 1);
  const double need = blocks * sizeof(sky_bin *), budget = (double)sky_context_memory(ctx);
  if (need <= budget) return SKY_OK;
  return sky_fail(ctx, SKY_E_NOMEM,
                  "grid of %zu x %zu cells: its index alone needs %.0f MB, the memory budget is "
                  "%.0f MB (--memory); choose larger cells or a smaller box",
                  grid->nx, grid->ny, need / 1e6, budget / 1e6);
}

sky_status sky_bins_create(sky_context *ctx, const sky_grid *grid, const sky_bins_options *opt,
                           sky_bins **out) {
  sky_status st = SKY_OK;
  sky_bins *b = NULL;
  *out = NULL;
  SKY_TRY(check_size(ctx, grid));
  SKY_GO_ALLOC(b, SKY_NEW0(ctx, sky_bins, 1));
  b->ctx = ctx;
  b->grid = grid;
  b->opt = *opt;
  b->blocks_per_row = (grid->nx + BLOCK - 1) / BLOCK;
  b->n_band = (grid->ny + BAND - 1) / BAND;
  SKY_GO_ALLOC(b->block, SKY_NEW0(ctx, sky_bin *, grid->ny * b->blocks_per_row));
  SKY_GO_ALLOC(b->band_block, SKY_NEW0(ctx, size_t, b->n_band));
  SKY_GO(sky_quad_grid_create(ctx, grid, opt->measure, &b->quads));
  if (opt->method == SKY_BINS_OVERSAMPLE) {
    SKY_GO(sky_oversample_init(ctx, opt->k, &b->oversample));
    if (!(opt->sigma_reference > 0))
      SKY_GO(sky_fail(ctx, SKY_E_INTERNAL, "oversampling without a reference sigma"));
  }
  *out = b;
  return SKY_OK;

cleanup:
  sky_bins_free(b);
  return st;
}

void sky_bins_clear(sky_bins *b) {
  for (size_t i = 0; i < b->grid->ny * b->blocks_per_row; i++) {
    sky_free(b->block[i]);
    b->block[i] = NULL;
  }
  memset(b->band_block, 0, b->n_band * sizeof *b->band_block);
}

void sky_bins_free(sky_bins *b) {
  if (b == NULL) return;
  if (b->block != NULL && b->band_block != NULL) sky_bins_clear(b);
  sky_free(b->block);
  sky_free(b->band_block);
  sky_quad_grid_free(b->quads);
  sky_free(b);
}

sky_bins_total *sky_bins_totals(sky_bins *b) {
  return &b->total;
}

size_t sky_bins_memory(const sky_bins *b) {
  size_t blocks = 0;
  for (size_t i = 0; i < b->n_band; i++)
    blocks += b->band_block[i];
  return blocks * BLOCK * sizeof(sky_bin) + b->grid->ny * b->blocks_per_row * sizeof(sky_bin *);
}

bool sky_bins_next(const sky_bins *b, size_t *cell, const sky_bin **sums) {
  const size_t nx = b->grid->nx;
  size_t row = *cell / nx, ix = *cell % nx;
  for (; row < b->grid->ny; row++, ix = 0) {
    while (ix < nx) {
      const sky_bin *block = b->block[row * b->blocks_per_row + ix / BLOCK];
      if (block == NULL) {
        ix = (ix / BLOCK + 1) * BLOCK;
        continue;
      }
      if (block[ix % BLOCK].n > 0) {
        *cell = row * nx + ix;
        *sums = &block[ix % BLOCK];
        return true;
      }
      ix++;
    }
  }
  return false;
}

/* One thread adds to the rows of a band at a time. NULL without memory. */
static inline sky_bin *bin_of(sky_bins *b, size_t row, size_t ix) {
  sky_bin **block = &b->block[row * b->blocks_per_row + ix / BLOCK];
  if (*block == NULL) {
    *block = SKY_NEW0(b->ctx, sky_bin, BLOCK);
    if (*block == NULL) return NULL;
    b->band_block[row / BAND]++;
  }
  return &(*block)[ix % BLOCK];
}

sky_status sky_bins_put_cell(sky_context *ctx, sky_bins *b, size_t cell, const sky_bin *sums) {
  (void)ctx;
  sky_bin *bin = bin_of(b, cell / b->grid->nx, cell % b->grid->nx);
  if (bin == NULL) return SKY_E_NOMEM;
  sky_bin_add(bin, sums);
  return SKY_OK;
}

/* ---- soundings ------------------------------------------------------------------------------ */

typedef enum fate { FATE_OUTSIDE, FATE_COUNTED, FATE_CROSSED, FATE_DEGENERATE } fate;

typedef struct chunk {
  size_t n;
  bool points;
  const double *x, *y, *value, *sigma;
  uint32_t *row0, *row1; /* [n] half-open */
  atomic_uchar *fate;    /* [n] */
  sky_u128 *cells2;      /* [threads] */
  size_t *start, *order; /* soundings by band: order[start[band]..start[band+1]) */
} chunk;

static sky_status check_values(sky_context *ctx, const chunk *c) {
  for (size_t i = 0; i < c->n; i++) {
    if (!(fabs(c->value[i]) < VALUE_MAX))
      return sky_fail(ctx, SKY_E_RANGE, "sounding %zu: column %g mol mol-1 is not within ±%g", i,
                      c->value[i], VALUE_MAX);
    if (c->sigma != NULL && (c->sigma[i] < 0 || c->sigma[i] > SIGMA_MAX))
      return sky_fail(ctx, SKY_E_RANGE, "sounding %zu: sigma %g mol mol-1 is not within 0..%g", i,
                      c->sigma[i], SIGMA_MAX);
  }
  return SKY_OK;
}

static double sigma_of(const chunk *c, size_t i) {
  return c->sigma != NULL ? c->sigma[i] : NAN;
}

/* (σ_reference/σ)². */
static double precision(const sky_bins *b, double sigma) {
  const double ratio = b->opt.sigma_reference / sigma;
  return ratio * ratio;
}

static sky_u128 quanta(double v, double unit) {
  return (sky_u128)(v * unit + 0.5);
}

/* Rows of sounding i and what it is; the cells that it covers, squared. */
static fate place(const sky_bins *b, const chunk *c, size_t i, size_t row[2], double *cells) {
  const sky_grid *g = b->grid;
  row[0] = row[1] = 0;
  if (c->points) {
    const size_t cell = sky_grid_find(g, c->x[i], c->y[i]);
    *cells = 1;
    if (cell == SIZE_MAX) return FATE_OUTSIDE;
    row[0] = cell / g->nx;
    row[1] = row[0] + 1;
    return FATE_COUNTED;
  }
  double area;
  const double *x = &c->x[4 * i], *y = &c->y[4 * i];
  const sky_quad_shape shape = sky_quad_classify(b->quads, x, y, &area);
  if (shape == SKY_QUAD_CROSSED) return FATE_CROSSED;
  if (shape == SKY_QUAD_DEGENERATE) return FATE_DEGENERATE;
  if (b->opt.method == SKY_BINS_OVERSAMPLE) {
    const double sigma = sigma_of(c, i);
    if (shape == SKY_QUAD_CONCAVE || !(sigma > 0)) return FATE_DEGENERATE;
    sky_oversample_rows(&b->oversample, g, x, y, &row[0], &row[1]);
    *cells = b->oversample.integral * precision(b, sigma);
  } else {
    sky_quad_rows(b->quads, x, y, &row[0], &row[1]);
    *cells = area / (sky_grid_dx(g) * sky_grid_dy(g));
  }
  return FATE_OUTSIDE; /* until a cell is touched */
}

static void place_all(const sky_bins *b, chunk *c) {
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(b->ctx))
  for (size_t i = 0; i < c->n; i++) {
    size_t row[2];
    double cells = 0;
    atomic_init(&c->fate[i], (unsigned char)place(b, c, i, row, &cells));
    c->row0[i] = (uint32_t)row[0];
    c->row1[i] = (uint32_t)row[1];
    c->cells2[i] = quanta(cells * cells, SKY_BIN_W);
  }
}

/* Soundings of each band in their order; one that reaches two bands is in both. */
static sky_status sort_by_band(sky_context *ctx, const sky_bins *b, chunk *c) {
  c->start = SKY_NEW0(ctx, size_t, b->n_band + 2);
  if (c->start == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < c->n; i++)
    for (size_t band = c->row0[i] / BAND; band * BAND < c->row1[i]; band++)
      c->start[band + 2]++;
  for (size_t band = 1; band <= b->n_band; band++)
    c->start[band + 1] += c->start[band];
  c->order = SKY_NEW(ctx, size_t, c->start[b->n_band + 1]);
  if (c->order == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < c->n; i++)
    for (size_t band = c->row0[i] / BAND; band * BAND < c->row1[i]; band++)
      c->order[c->start[band + 1]++] = i;
  return SKY_OK;
}

static sky_status put_one(sky_bins *b, chunk *c, size_t i, size_t row0, size_t row1,
                          sky_overlaps *o) {
  const double sigma = sigma_of(c, i);
  const int64_t x = value_quanta(c->value[i]);
  const bool has_sigma = sigma > 0;
  const uint64_t s = variance_quanta(sigma);
  double scale = SKY_BIN_W;
  o->n = 0;
  if (c->points) {
    SKY_TRY(sky_overlaps_room(b->ctx, o, 1));
    o->item[o->n++] = (sky_overlap){sky_grid_find(b->grid, c->x[i], c->y[i]), 0, 1};
  } else if (b->opt.method == SKY_BINS_OVERSAMPLE) {
    scale *= precision(b, sigma);
    SKY_TRY(sky_oversample_spread(b->ctx, &b->oversample, b->grid, &c->x[4 * i], &c->y[4 * i], row0,
                                  row1, o));
  } else {
    SKY_TRY(sky_quad_overlap_sound(b->ctx, b->quads, &c->x[4 * i], &c->y[4 * i], row0, row1, o));
  }
  bool touched = false;
  const size_t nx = b->grid->nx;
  size_t row = row0;
  for (size_t k = 0; k < o->n; k++) {
    const uint64_t w = (uint64_t)(o->item[k].fraction * scale + 0.5);
    if (w == 0) continue;
    if (o->item[k].cell < row * nx) row = row0; /* the next turn */
    while (o->item[k].cell >= (row + 1) * nx)
      row++;
    sky_bin *bin = bin_of(b, row, o->item[k].cell - row * nx);
    if (bin == NULL) return SKY_E_NOMEM;
    add_one(bin, w, x, s, has_sigma);
    touched = true;
  }
  if (touched) atomic_store_explicit(&c->fate[i], FATE_COUNTED, memory_order_relaxed);
  return SKY_OK;
}

static sky_status put_band(sky_bins *b, chunk *c, size_t band, sky_overlaps *o) {
  const size_t first = band * BAND;
  const size_t last = first + BAND < b->grid->ny ? first + BAND : b->grid->ny;
  for (size_t k = c->start[band]; k < c->start[band + 1]; k++) {
    const size_t i = c->order[k], row0 = c->row0[i], row1 = c->row1[i];
    SKY_TRY(put_one(b, c, i, row0 > first ? row0 : first, row1 < last ? row1 : last, o));
  }
  return SKY_OK;
}

static sky_status put_all(sky_context *ctx, sky_bins *b, chunk *c) {
  sky_status result = SKY_OK;
#pragma omp parallel num_threads(sky_context_threads(ctx))
  {
    sky_overlaps o = {0};
    sky_status st = SKY_OK;
#pragma omp for schedule(dynamic)
    for (size_t band = 0; band < b->n_band; band++)
      if (st == SKY_OK) st = put_band(b, c, band, &o);
    sky_overlaps_free(&o);
    if (st != SKY_OK) {
#pragma omp critical(sky_bins)
      result = st;
    }
  }
  if (result != SKY_OK) return sky_fail(ctx, result, "out of memory: sums of a grid");
  return SKY_OK;
}

static void count(sky_bins_total *t, const chunk *c) {
  t->n += c->n;
  for (size_t i = 0; i < c->n; i++) {
    const unsigned char f = atomic_load_explicit(&c->fate[i], memory_order_relaxed);
    t->outside += f == FATE_OUTSIDE;
    t->crossed += f == FATE_CROSSED;
    t->degenerate += f == FATE_DEGENERATE;
    if (f == FATE_COUNTED) t->cells2 += c->cells2[i];
  }
}

sky_status sky_bins_put(sky_context *ctx, sky_bins *b, size_t n, bool points, const double *x,
                        const double *y, const double *value, const double *sigma) {
  chunk c = {.n = n, .points = points, .x = x, .y = y, .value = value, .sigma = sigma};
  sky_status st = SKY_OK;
  SKY_TRY(check_values(ctx, &c));
  if (points && b->opt.method == SKY_BINS_OVERSAMPLE)
    return sky_fail(ctx, SKY_E_RANGE, "oversampling needs the corners of pixels; there are none");
  SKY_GO_ALLOC(c.row0, SKY_NEW(ctx, uint32_t, n));
  SKY_GO_ALLOC(c.row1, SKY_NEW(ctx, uint32_t, n));
  SKY_GO_ALLOC(c.fate, SKY_NEW(ctx, atomic_uchar, n));
  SKY_GO_ALLOC(c.cells2, SKY_NEW(ctx, sky_u128, n));
  place_all(b, &c);
  SKY_GO(sort_by_band(ctx, b, &c));
  SKY_GO(put_all(ctx, b, &c));
  count(&b->total, &c);
cleanup:
  sky_free(c.row0);
  sky_free(c.row1);
  sky_free(c.fate);
  sky_free(c.cells2);
  sky_free(c.start);
  sky_free(c.order);
  return st;
}
