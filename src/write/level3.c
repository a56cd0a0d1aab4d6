/* level3.c: see level3.h. The layout is read back by sky_level3_read (read/level3.h); docs/grid.md
 * describes it. Sums are stored for the cells that have any, gathered as CF-1.11 §8.2. */
#include "src/write/level3.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/write/cog_stream.h"
#include "src/write/nc_chunks.h"

#define ROWS SKY_NCW_ROWS /* of a part of a field */
#define COLUMNS SKY_NCW_COLUMNS
#define GATHERED 65536 /* cells of a part of the sums */
#define LEVEL 1        /* of deflate: higher ones shrink these numbers by some percent only */

/* ---- fields --------------------------------------------------------------------------------- */

typedef enum field { FIELD_MEAN, FIELD_SIGMA, FIELD_COVERAGE, FIELD_VALID, FIELD_COUNT } field;
#define N_FIELDS 5

static const struct field_kind {
  const char *suffix, *long_name, *unit; /* unit NULL: the gas's */
  char type;
  double fill; /* of cells without soundings */
} fields[N_FIELDS] = {
    {"", "mean column-averaged dry-air mole fraction", NULL, 'd', NAN},
    {"_uncertainty", "1-sigma uncertainty of the mean", NULL, 'f', NAN},
    {"_coverage", "how often the cell is covered: sum of the weights", "1", 'd', 0},
    {"_valid_fraction", "share of the cell that is covered, at most (passes may overlap)", "1", 'f',
     0},
    {"_count", "number of soundings that touch the cell", "1", 'i', 0}};

static double field_value(const sky_level3 *l, field f, const sky_bin *b, double scale) {
  switch (f) {
    case FIELD_MEAN:
      return sky_bin_mean(b) * scale;
    case FIELD_SIGMA:
      return sky_bin_sigma(b, l->correlation) * scale;
    case FIELD_COVERAGE:
      return sky_bin_weight(b);
    case FIELD_VALID:
      return fmin(1, sky_bin_weight(b));
    case FIELD_COUNT:
      return b->n;
  }
  return NAN;
}

/* CF has a standard name for these two gases. */
static const char *standard_name(const char *gas) {
  if (strcmp(gas, "co2") == 0) return "dry_atmosphere_mole_fraction_of_carbon_dioxide";
  if (strcmp(gas, "ch4") == 0) return "dry_atmosphere_mole_fraction_of_methane";
  return NULL;
}

typedef struct writer {
  sky_context *ctx;
  const sky_level3 *l;
  const sky_species *gas;
  const sky_bin_source *source;
  sky_ncw *nc;
  char name[N_FIELDS][32];
  size_t n_cell; /* with soundings */
  sky_chunks *chunks;
  size_t width, held;    /* of a chunk of fields; elements of the chunks of a row of them */
  double *row[N_FIELDS]; /* [held], see place_of */
  void *chunk;           /* [ROWS*width] in the type of a field */
  uint64_t *gather;      /* [9*GATHERED] */
} writer;

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static sky_status define_field(writer *w, field f) {
  const sky_grid *g = &w->l->grid;
  const struct field_kind *k = &fields[f];
  const char *name = w->name[f], *cf = standard_name(w->l->gas);
  const size_t chunk[2] = {least(ROWS, g->ny), least(COLUMNS, g->nx)};
  SKY_TRY(sky_ncw_var_chunked(w->nc, name, k->type, g->geographic ? "lat,lon" : "y,x", chunk, LEVEL,
                              &k->fill));
  SKY_TRY(sky_ncw_att(w->nc, name, "long_name", k->long_name));
  if (f == FIELD_MEAN && cf != NULL) SKY_TRY(sky_ncw_att(w->nc, name, "standard_name", cf));
  SKY_TRY(sky_ncw_att(w->nc, name, "units", k->unit != NULL ? k->unit : w->gas->column_unit));
  SKY_TRY(sky_ncw_att(w->nc, name, "grid_mapping", "crs"));
  SKY_TRY(sky_ncw_att(w->nc, name, "coordinates", g->geographic ? "time" : "time lat lon"));
  SKY_TRY(sky_ncw_att(w->nc, name, "cell_measures", "area: cell_area"));
  if (f != FIELD_MEAN) return SKY_OK;
  char list[160] = "";
  for (int i = FIELD_SIGMA; i < N_FIELDS; i++) {
    const size_t at = strlen(list);
    snprintf(list + at, sizeof list - at, "%s%s", at > 0 ? " " : "", w->name[i]);
  }
  SKY_TRY(sky_ncw_att(w->nc, name, "ancillary_variables", list));
  return sky_ncw_att(w->nc, name, "cell_methods", "time: area: mean");
}

/* ---- sums ----------------------------------------------------------------------------------- */

static const struct sum_kind {
  const char *name, *long_name;
  int level; /* the lower bits of products do not shrink */
} sums[] = {
    {"sum_w", "sum of weights, in quanta of 2^-40", LEVEL},
    {"sum_wx_low", "sum of weight times value, in quanta of 2^-40 times 2^-64: lower 64 bits", 0},
    {"sum_wx_high", "the same, upper 64 bits (two's complement)", LEVEL},
    {"sum_ww_low", "sum of squared weights, in quanta of 2^-80: lower 64 bits", 0},
    {"sum_ww_high", "the same, upper 64 bits", LEVEL},
    {"sum_ws_low", "sum of weight times variance, in quanta of 2^-40 times 2^-88: lower 64 bits",
     LEVEL},
    {"sum_ws_high", "the same, upper 64 bits", LEVEL},
    {"sum_n", "soundings that touch the cell, plus 2^32 times those of them that have a sigma",
     LEVEL}};
#define N_SUMS (sizeof sums / sizeof sums[0])

static sky_status define_sums(writer *w) {
  const size_t chunk = least(GATHERED, w->n_cell);
  const double none = 0;
  SKY_TRY(sky_ncw_dim(w->nc, "cell", w->n_cell));
  SKY_TRY(sky_ncw_var_chunked(w->nc, "cell", 'u', "cell", &chunk, LEVEL, &none));
  SKY_TRY(sky_ncw_att(w->nc, "cell", "long_name", "index of the cell, row by row from the south"));
  SKY_TRY(sky_ncw_att(w->nc, "cell", "compress", w->l->grid.geographic ? "lat lon" : "y x"));
  for (size_t i = 0; i < N_SUMS; i++) {
    SKY_TRY(sky_ncw_var_chunked(w->nc, sums[i].name, 'u', "cell", &chunk, sums[i].level, &none));
    SKY_TRY(sky_ncw_att(w->nc, sums[i].name, "long_name", sums[i].long_name));
    SKY_TRY(sky_ncw_att(w->nc, sums[i].name, "units", "1"));
  }
  return SKY_OK;
}

static void gather(writer *w, size_t i, size_t cell, const sky_bin *b) {
  const uint64_t word[N_SUMS] = {b->w,
                                 (uint64_t)(sky_u128)b->wx,
                                 (uint64_t)((sky_u128)b->wx >> 64),
                                 (uint64_t)b->ww,
                                 (uint64_t)(b->ww >> 64),
                                 (uint64_t)b->ws,
                                 (uint64_t)(b->ws >> 64),
                                 b->n | (uint64_t)b->n_sigma << 32};
  w->gather[i] = cell;
  for (size_t k = 0; k < N_SUMS; k++)
    w->gather[(k + 1) * GATHERED + i] = word[k];
}

/* The last chunk is filled up. */
static sky_status put_sums(writer *w, size_t first, size_t n) {
  if (n == 0) return SKY_OK;
  for (size_t k = 0; k <= N_SUMS; k++)
    memset(w->gather + k * GATHERED + n, 0, (GATHERED - n) * sizeof *w->gather);
  SKY_TRY(sky_chunks_put(w->chunks, "cell", &first, w->gather));
  for (size_t k = 0; k < N_SUMS; k++)
    SKY_TRY(sky_chunks_put(w->chunks, sums[k].name, &first, w->gather + (k + 1) * GATHERED));
  return SKY_OK;
}

/* ---- what it is ----------------------------------------------------------------------------- */

static sky_status put_time(writer *w) {
  double bounds[2] = {INFINITY, -INFINITY};
  for (size_t i = 0; i < w->l->n_granule; i++) {
    bounds[0] = fmin(bounds[0], w->l->granule[i].start);
    bounds[1] = fmax(bounds[1], w->l->granule[i].end);
  }
  const double middle = 0.5 * (bounds[0] + bounds[1]);
  char text[2][32];
  for (size_t i = 0; i < 2; i++)
    sky_time_format(bounds[i], text[i], sizeof text[i]);
  SKY_TRY(sky_ncw_var(w->nc, "time", 'd', ""));
  SKY_TRY(sky_ncw_att(w->nc, "time", "standard_name", "time"));
  SKY_TRY(sky_ncw_att(w->nc, "time", "long_name", "middle between first and last sounding"));
  SKY_TRY(sky_ncw_att(w->nc, "time", "units", "seconds since 1970-01-01 00:00:00"));
  SKY_TRY(sky_ncw_att(w->nc, "time", "calendar", "standard"));
  SKY_TRY(sky_ncw_att(w->nc, "time", "bounds", "time_bnds"));
  SKY_TRY(sky_ncw_put(w->nc, "time", &middle));
  SKY_TRY(sky_ncw_var(w->nc, "time_bnds", 'd', "bnds"));
  SKY_TRY(sky_ncw_put(w->nc, "time_bnds", bounds));
  SKY_TRY(sky_ncw_att(w->nc, "", "time_coverage_start", text[0]));
  return sky_ncw_att(w->nc, "", "time_coverage_end", text[1]);
}

static sky_status put_granules(writer *w) {
  const sky_level3 *l = w->l;
  sky_status st = SKY_OK;
  const char **text = NULL;
  double *times = NULL;
  SKY_GO_ALLOC(text, SKY_NEW(w->ctx, const char *, 2 * l->n_granule));
  SKY_GO_ALLOC(times, SKY_NEW(w->ctx, double, 2 * l->n_granule));
  for (size_t i = 0; i < l->n_granule; i++) {
    text[i] = l->granule[i].name;
    text[l->n_granule + i] = l->granule[i].product;
    times[2 * i] = l->granule[i].start;
    times[2 * i + 1] = l->granule[i].end;
  }
  SKY_GO(sky_ncw_dim(w->nc, "granule", l->n_granule));
  SKY_GO(sky_ncw_var(w->nc, "granule", 's', "granule"));
  SKY_GO(sky_ncw_att(w->nc, "granule", "long_name", "file that soundings were read from"));
  SKY_GO(sky_ncw_put_strings(w->nc, "granule", text));
  SKY_GO(sky_ncw_var(w->nc, "granule_product", 's', "granule"));
  SKY_GO(sky_ncw_att(w->nc, "granule_product", "long_name", "its reader"));
  SKY_GO(sky_ncw_put_strings(w->nc, "granule_product", text + l->n_granule));
  SKY_GO(sky_ncw_var(w->nc, "granule_time", 'd', "granule,bnds"));
  SKY_GO(sky_ncw_att(w->nc, "granule_time", "long_name", "first and last sounding that counts"));
  SKY_GO(sky_ncw_att(w->nc, "granule_time", "units", "seconds since 1970-01-01 00:00:00"));
  SKY_GO(sky_ncw_put(w->nc, "granule_time", times));
cleanup:
  sky_free(text);
  sky_free(times);
  return st;
}

static sky_status put_globals(writer *w, const char *const *attrs) {
  const sky_level3 *l = w->l;
  const sky_bins_total *t = &l->total;
  SKY_TRY(sky_ncw_globals(w->nc, attrs));
  SKY_TRY(sky_ncw_att(w->nc, "", "skyflux_content", SKY_LEVEL3_CONTENT));
  SKY_TRY(sky_ncw_att(w->nc, "", "processing_level", "L3"));
  SKY_TRY(sky_ncw_att(w->nc, "", "gas", l->gas));
  SKY_TRY(sky_ncw_att(w->nc, "", "crs", l->grid.crs));
  SKY_TRY(sky_ncw_att(w->nc, "", "method",
                      l->options.method == SKY_BINS_EXACT ? "exact" : "oversample"));
  SKY_TRY(
      sky_ncw_att(w->nc, "", "weights", l->options.measure == SKY_QUAD_AREA ? "area" : "planar"));
  if (l->options.method == SKY_BINS_OVERSAMPLE) {
    for (size_t i = 0; i < 3; i++)
      SKY_TRY(sky_ncw_att_num(w->nc, "", SKY_LEVEL3_EXPONENT[i], l->options.k[i]));
    SKY_TRY(sky_ncw_att_num(w->nc, "", "sigma_reference", l->options.sigma_reference));
  }
  SKY_TRY(sky_ncw_att_num(w->nc, "", "error_correlation", l->correlation));
  const struct {
    const char *name, *long_name;
    uint64_t value;
  } totals[] = {
      {"soundings", "soundings given", t->n},
      {"soundings_outside", "of them outside the grid", t->outside},
      {"soundings_crossed", "of them left out: corners not in order", t->crossed},
      {"soundings_degenerate", "of them left out: pixel without area", t->degenerate},
      {"cells2_low", "sum of squared cells per sounding, in quanta of 2^-40: lower 64 bits",
       (uint64_t)t->cells2},
      {"cells2_high", "the same, upper 64 bits", (uint64_t)(t->cells2 >> 64)}};
  for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
    SKY_TRY(sky_ncw_var(w->nc, totals[i].name, 'u', ""));
    SKY_TRY(sky_ncw_att(w->nc, totals[i].name, "long_name", totals[i].long_name));
    SKY_TRY(sky_ncw_att(w->nc, totals[i].name, "units", "1"));
    SKY_TRY(sky_ncw_put_u64(w->nc, totals[i].name, &totals[i].value));
  }
  return SKY_OK;
}

/* ---- the walk over the cells ---------------------------------------------------------------- */

static sky_status check_cell(sky_context *ctx, size_t cell, const sky_bin *b) {
  if (b->w < UINT64_MAX && b->n < UINT32_MAX) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE,
                  "cell %zu: more than 16777216 full covers or 4294967295 soundings; grid shorter "
                  "periods",
                  cell);
}

static sky_status count_cells(writer *w) {
  size_t cell;
  sky_bin b;
  w->n_cell = w->source->cells;
  if (w->n_cell > 0) return SKY_OK;
  SKY_TRY(w->source->rewind(w->source->user));
  for (;; w->n_cell++) {
    SKY_TRY(w->source->next(w->source->user, &cell, &b));
    if (cell == SIZE_MAX) break;
  }
  if (w->n_cell == 0) return sky_fail(w->ctx, SKY_E_NODATA, "no cell of the grid has a sounding");
  return SKY_OK;
}

/* Rows are held chunk by chunk. */
static size_t place_of(const writer *w, size_t row, size_t ix) {
  const size_t first = ix / COLUMNS * COLUMNS;
  return first * ROWS + row * w->width + (ix - first);
}

/* In the type of the field, into w->chunk. */
static void convert(writer *w, size_t f, size_t at, size_t n) {
  float *real = w->chunk;
  int32_t *whole = w->chunk;
  const double *from = w->row[f] + at;
  for (size_t i = 0; i < n && fields[f].type == 'f'; i++)
    real[i] = (float)from[i];
  for (size_t i = 0; i < n && fields[f].type == 'i'; i++)
    whole[i] = (int32_t)fmin(from[i], INT32_MAX);
}

/* Chunks without soundings are not written: they are what the fill value says. */
static sky_status put_chunks(writer *w, size_t row) {
  const sky_grid *g = &w->l->grid;
  const size_t n = least(ROWS, g->ny) * w->width;
  for (size_t first = 0; first < g->nx; first += COLUMNS) {
    const size_t start[2] = {row, first}, at = first * ROWS;
    bool any = false;
    for (size_t i = at; i < at + n && !any; i++)
      any = w->row[FIELD_COUNT][i] > 0;
    for (size_t f = 0; f < N_FIELDS && any; f++) {
      convert(w, f, at, n);
      SKY_TRY(sky_chunks_put(w->chunks, w->name[f], start,
                             fields[f].type == 'd' ? w->row[f] + at : w->chunk));
    }
  }
  return SKY_OK;
}

static sky_status put_cells(writer *w) {
  const sky_grid *g = &w->l->grid;
  size_t cell, gathered = 0, first = 0;
  sky_bin b;
  SKY_TRY(w->source->rewind(w->source->user));
  SKY_TRY(w->source->next(w->source->user, &cell, &b));
  for (size_t row = 0; row < g->ny; row += ROWS) {
    const size_t rows = least(ROWS, g->ny - row), base = row * g->nx, n = rows * g->nx;
    for (size_t f = 0; f < N_FIELDS; f++)
      for (size_t i = 0; i < w->held; i++)
        w->row[f][i] = fields[f].fill;
    while (cell < base + n) {
      const size_t at = place_of(w, cell / g->nx - row, cell % g->nx);
      SKY_TRY(check_cell(w->ctx, cell, &b));
      for (size_t f = 0; f < N_FIELDS; f++)
        w->row[f][at] = field_value(w->l, (field)f, &b, w->gas->column_scale);
      gather(w, gathered++, cell, &b);
      if (gathered == GATHERED) {
        SKY_TRY(put_sums(w, first, gathered));
        first += gathered;
        gathered = 0;
      }
      SKY_TRY(w->source->next(w->source->user, &cell, &b));
    }
    SKY_TRY(put_chunks(w, row));
    SKY_TRY(sky_progress_step(w->ctx, rows));
  }
  return put_sums(w, first, gathered);
}

static void name_fields(writer *w) {
  for (size_t f = 0; f < N_FIELDS; f++)
    snprintf(w->name[f], sizeof w->name[f], "x%s%s", w->l->gas, fields[f].suffix);
}

sky_status sky_level3_write(sky_context *ctx, const char *path, const sky_level3 *l,
                            const sky_bin_source *source, const char *const *attrs) {
  writer w = {.ctx = ctx, .l = l, .gas = sky_species_find(l->gas), .source = source};
  sky_status st = SKY_OK;
  name_fields(&w);
  SKY_TRY(count_cells(&w));
  w.width = least(COLUMNS, l->grid.nx);
  w.held = (l->grid.nx + w.width - 1) / w.width * w.width * ROWS;
  for (size_t f = 0; f < N_FIELDS; f++)
    SKY_GO_ALLOC(w.row[f], SKY_NEW(ctx, double, w.held));
  SKY_GO_ALLOC(w.chunk, SKY_NEW(ctx, double, ROWS *w.width));
  SKY_GO_ALLOC(w.gather, SKY_NEW(ctx, uint64_t, (N_SUMS + 1) * GATHERED));
  sky_progress_begin(ctx, "writing", l->grid.ny);
  SKY_GO(sky_ncw_create_file(ctx, path, &w.nc));
  SKY_GO(put_globals(&w, attrs));
  SKY_GO(sky_ncw_grid(w.nc, &l->grid));
  SKY_GO(put_time(&w));
  for (size_t f = 0; f < N_FIELDS; f++)
    SKY_GO(define_field(&w, (field)f));
  SKY_GO(define_sums(&w));
  SKY_GO(put_granules(&w));
  SKY_GO(sky_chunks_open(w.nc, &w.chunks));
  SKY_GO(put_cells(&w));
  st = sky_chunks_close(w.chunks);
  w.chunks = NULL;
  if (st != SKY_OK) goto cleanup;
  st = sky_ncw_commit(w.nc);
  w.nc = NULL;

cleanup:
  sky_progress_end(ctx);
  if (w.chunks != NULL && sky_chunks_close(w.chunks) != SKY_OK && st == SKY_OK) st = SKY_E_DISK;
  sky_ncw_abort(w.nc);
  for (size_t f = 0; f < N_FIELDS; f++)
    sky_free(w.row[f]);
  sky_free(w.chunk);
  sky_free(w.gather);
  return st;
}

/* ---- GeoTIFF -------------------------------------------------------------------------------- */

#define N_COGS 4

typedef struct cogs {
  char *path[N_COGS];
  sky_field field[N_COGS];
  sky_cog *stream[N_COGS];
  double *rows[N_COGS]; /* [SKY_BAND*nx] */
} cogs;

static const struct {
  const char *suffix;
  field f;
} cog_files[N_COGS] = {{"", FIELD_MEAN},
                       {"_uncertainty", FIELD_SIGMA},
                       {"_count", FIELD_COUNT},
                       {"_valid", FIELD_VALID}};

static sky_status open_cogs(writer *w, const char *path, const char *const *tags, cogs *c) {
  const sky_grid *g = &w->l->grid;
  const int stem = (int)(strlen(path) - strlen(".tif"));
  for (size_t i = 0; i < N_COGS; i++) {
    const field f = cog_files[i].f;
    const sky_cog_options options = {.tags = tags};
    c->field[i] = (sky_field){.name = w->name[f],
                              .long_name = fields[f].long_name,
                              .standard_name = f == FIELD_MEAN ? standard_name(w->l->gas) : NULL,
                              .unit = fields[f].unit != NULL ? fields[f].unit : w->gas->column_unit,
                              .kind = SKY_FIELD_INTENSIVE};
    c->path[i] = sky_sprintf(w->ctx, "%.*s%s.tif", stem, path, cog_files[i].suffix);
    c->rows[i] = SKY_NEW(w->ctx, double, SKY_BAND * g->nx);
    if (c->path[i] == NULL || c->rows[i] == NULL) return SKY_E_NOMEM;
    SKY_TRY(sky_cog_open(w->ctx, c->path[i], g, &c->field[i], &options, &c->stream[i]));
  }
  return SKY_OK;
}

/* Blocks count from the north-west, cells from the south-west. */
static sky_status put_blocks(writer *w, cogs *c) {
  const sky_grid *g = &w->l->grid;
  const size_t bands = (g->ny + SKY_BAND - 1) / SKY_BAND;
  size_t cell;
  sky_bin b;
  SKY_TRY(w->source->rewind(w->source->user));
  SKY_TRY(w->source->next(w->source->user, &cell, &b));
  for (size_t band = bands; band-- > 0;) {
    const size_t north = g->ny - band * SKY_BAND, south = north > SKY_BAND ? north - SKY_BAND : 0;
    const size_t base = south * g->nx, n = (north - south) * g->nx;
    for (size_t i = 0; i < N_COGS; i++)
      for (size_t k = 0; k < n; k++)
        c->rows[i][k] = NAN;
    while (cell < base + n) {
      SKY_TRY(check_cell(w->ctx, cell, &b));
      for (size_t i = 0; i < N_COGS; i++)
        c->rows[i][cell - base] = field_value(w->l, cog_files[i].f, &b, w->gas->column_scale);
      SKY_TRY(w->source->next(w->source->user, &cell, &b));
    }
    for (size_t i = 0; i < N_COGS; i++)
      for (size_t column = 0; column * SKY_BAND < g->nx; column++)
        SKY_TRY(
            sky_cog_put(w->ctx, c->stream[i], column, band, c->rows[i] + column * SKY_BAND, g->nx));
  }
  return SKY_OK;
}

sky_status sky_level3_write_cogs(sky_context *ctx, const char *path, const sky_level3 *l,
                                 const sky_bin_source *source, const char *const *tags) {
  writer w = {.ctx = ctx, .l = l, .gas = sky_species_find(l->gas), .source = source};
  cogs c = {0};
  sky_status st = SKY_OK;
  name_fields(&w);
  SKY_TRY(count_cells(&w));
  SKY_GO(open_cogs(&w, path, tags, &c));
  SKY_GO(put_blocks(&w, &c));
  for (size_t i = N_COGS; i-- > 0;) { /* the mean last: where it is, the others are */
    sky_cog *stream = c.stream[i];
    c.stream[i] = NULL;
    SKY_GO(sky_cog_finish(ctx, stream));
  }
cleanup:
  for (size_t i = 0; i < N_COGS; i++) {
    sky_cog_abort(c.stream[i]);
    sky_free(c.path[i]);
    sky_free(c.rows[i]);
  }
  return st;
}
