/* sink_fractions.c: see sink_fractions.h. Each pixel gives a layer for each transition, and one for
 * what lacks a class; their areas are those of the tensor. */
#include "src/job/sink_fractions.h"

#include <math.h>
#include <string.h>

#include "algorithms/sink/factor_rows.h"
#include "algorithms/sink/fractions.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/engine/zonal.h"

#define SIDE (SKY_SINK_CLASSES + 1) /* classes, and what has none */

/* ---- the table ------------------------------------------------------------------------------ */

void sky_fractions_free(sky_fractions *f) {
  if (f == NULL) return;
  for (size_t d = 0; d < 2; d++)
    for (size_t c = 0; c < SKY_SINK_CLASSES; c++)
      sky_free(f->band[d][c].path);
  memset(f, 0, sizeof *f);
}

static char *beside(sky_context *ctx, const char *table, const char *file) {
  const size_t folder = (size_t)(sky_file_base(table) - table);
  return *file == '/' ? sky_strdup(ctx, file)
                      : sky_sprintf(ctx, "%.*s%s", (int)folder, table, file);
}

typedef struct reading {
  sky_context *ctx;
  const sky_table *t;
  sky_fractions *f;
} reading;

static sky_status number(const reading *r, size_t row, const char *column, double fallback,
                         double *out) {
  const size_t c = sky_table_find(r->t, column);
  *out = NAN;
  if (c != SIZE_MAX) SKY_TRY(sky_table_number(r->ctx, r->t, row, c, out));
  if (isnan(*out)) *out = fallback;
  return SKY_OK;
}

/* The two years of the table. */
static sky_status read_years(const reading *r) {
  double low = INFINITY, high = -INFINITY;
  for (size_t row = 0; row < sky_table_rows(r->t); row++) {
    double year;
    SKY_TRY(number(r, row, "year", NAN, &year));
    low = fmin(low, year);
    high = fmax(high, year);
  }
  for (size_t row = 0; row < sky_table_rows(r->t); row++) {
    double year;
    SKY_TRY(number(r, row, "year", NAN, &year));
    if (!(year >= 1900 && year <= 2200) || (year != low && year != high) || low == high)
      return sky_fail(r->ctx, SKY_E_RANGE,
                      "%s:%d: year '%s': expected two years in all, of 1900 to 2200", r->f->table,
                      sky_table_line(r->t, row), sky_factor_cell(r->t, row, "year"));
  }
  r->f->years[0] = low;
  r->f->years[1] = high;
  return SKY_OK;
}

static sky_status read_band(const reading *r, size_t row,
                            sky_fraction_band band[2][SKY_SINK_CLASSES]) {
  const char *unit = sky_factor_cell(r->t, row, "unit"), *path = r->f->table;
  const int line = sky_table_line(r->t, row);
  double year, cls, n;
  SKY_TRY(number(r, row, "year", NAN, &year));
  SKY_TRY(number(r, row, "class", NAN, &cls));
  SKY_TRY(number(r, row, "band", 1, &n));
  if (!(cls >= 1 && cls <= SKY_SINK_CLASSES) || cls != floor(cls) || !(n >= 1 && n <= 65535) ||
      n != floor(n))
    return sky_fail(r->ctx, SKY_E_RANGE,
                    "%s:%d: class %g, band %g: expected a class of 1 to %d and a band from 1", path,
                    line, cls, n, SKY_SINK_CLASSES);
  const bool percent = strcmp(unit, "percent") == 0;
  if (!percent && *unit != '\0' && strcmp(unit, "1") != 0)
    return sky_fail(r->ctx, SKY_E_RANGE, "%s:%d: unit '%s' is not one of 1, percent", path, line,
                    unit);
  sky_fraction_band *b = &band[year == r->f->years[1]][(size_t)cls - 1];
  if (b->path != NULL)
    return sky_fail(r->ctx, SKY_E_RANGE, "%s:%d: class %g of %g occurs twice", path, line, cls,
                    year);
  *b = (sky_fraction_band){beside(r->ctx, path, sky_factor_cell(r->t, row, "file")), (int)n,
                           percent ? 0.01 : 1};
  return b->path != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* Classes in ascending order, each at both dates; they become f's. */
static sky_status take_bands(const reading *r, sky_fraction_band band[2][SKY_SINK_CLASSES]) {
  sky_fractions *f = r->f;
  for (size_t c = 0; c < SKY_SINK_CLASSES; c++) {
    const size_t there = band[0][c].path != NULL, then = band[1][c].path != NULL;
    if (there != then)
      return sky_fail(r->ctx, SKY_E_RANGE, "%s: class %zu (%s) has no map of %g", f->table, c + 1,
                      sky_sink_class_name((int)c + 1), f->years[there]);
    if (!there) continue;
    f->number[f->n] = (int)c + 1;
    for (size_t d = 0; d < 2; d++) {
      f->band[d][f->n] = band[d][c];
      band[d][c].path = NULL;
    }
    f->n++;
  }
  return SKY_OK;
}

sky_status sky_fractions_read(sky_context *ctx, const char *path, sky_fractions *out) {
  static const char *const needed[3] = {"year", "class", "file"};
  sky_fraction_band band[2][SKY_SINK_CLASSES] = {0};
  sky_fractions f = {.table = path};
  sky_table *t = NULL;
  sky_status st = SKY_OK;
  SKY_TRY(sky_table_read(ctx, path, &t));
  const reading r = {ctx, t, &f};
  for (size_t i = 0; i < 3; i++)
    if (sky_table_find(t, needed[i]) == SIZE_MAX)
      SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", path, needed[i]));
  if (sky_table_rows(t) == 0) SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: no rows", path));
  SKY_GO(read_years(&r));
  for (size_t row = 0; row < sky_table_rows(t); row++)
    SKY_GO(read_band(&r, row, band));
  SKY_GO(take_bands(&r, band));
  *out = f;
  f = (sky_fractions){0};
cleanup:
  for (size_t d = 0; d < 2; d++)
    for (size_t c = 0; c < SKY_SINK_CLASSES; c++)
      sky_free(band[d][c].path);
  sky_table_free(t);
  sky_fractions_free(&f);
  return st;
}

sky_status sky_fractions_legend(sky_context *ctx, const sky_fractions *f, sky_legend *out) {
  sky_text text = {.ctx = ctx};
  sky_table *t = NULL;
  sky_text_put(&text, "code,name,class\n");
  for (size_t c = 0; c < f->n; c++)
    sky_text_printf(&text, "%d,%s,%d\n", f->number[c], sky_sink_class_name(f->number[c]),
                    f->number[c]);
  if (text.failed) {
    sky_text_free(&text);
    return SKY_E_NOMEM;
  }
  sky_status st = sky_table_parse(ctx, f->table, text.data, text.length, &t);
  if (st == SKY_OK) st = sky_legend_from_table(ctx, t, f->table, out);
  sky_table_free(t);
  sky_text_free(&text);
  return st;
}

/* ---- pixels --------------------------------------------------------------------------------- */

static sky_status refuse(sky_context *ctx, const sky_fractions *f, const sky_grid *grid,
                         const sky_raster_block *b, size_t cell, size_t date, double sum,
                         size_t bad, double share) {
  const size_t x = b->window.ix0 + cell % SKY_BAND;
  const size_t y = grid->ny - 1 - (b->window.iy0 + cell / SKY_BAND);
  if (bad != SIZE_MAX)
    return sky_fail(ctx, SKY_E_RANGE,
                    "%s: pixel (%zu, %zu) has a share of %g of class %d, expected 0 to 1 (is its "
                    "unit in %s right?)",
                    f->band[date][bad].path, x, y, share, f->number[bad], f->table);
  return sky_fail(ctx, SKY_E_RANGE,
                  "%s: at pixel (%zu, %zu) the shares of %g sum to %.6g, expected at most 1 (up to "
                  "%g is taken for rounding)",
                  f->table, x, y, f->years[date], sum, 1 + SKY_FRACTION_TOLERANCE);
}

typedef struct work {
  const sky_fractions *f;
  const sky_grid *grid;
} work;

/* Layers i*n + j, and n*n for what has no class at one of the dates. */
static sky_status make_layers(sky_context *ctx, void *user, const sky_raster_block *b,
                              double *const *out) {
  const work *w = user;
  const sky_fractions *f = w->f;
  const size_t n = f->n, side = n + 1;
  for (size_t y = 0; y < b->window.ny; y++) {
    for (size_t x = 0; x < b->window.nx; x++) {
      const size_t cell = y * SKY_BAND + x;
      double share[2][SIDE], t[SIDE * SIDE], known = 0;
      bool whole = true;
      for (size_t d = 0; d < 2; d++) {
        size_t bad;
        for (size_t c = 0; c < n; c++)
          share[d][c] = ((const double *)b->pixel[d * n + c])[cell] * f->band[d][c].scale;
        const double sum = sky_fraction_close(share[d], n, &bad);
        if (bad != SIZE_MAX || sum > 1 + SKY_FRACTION_TOLERANCE)
          return refuse(ctx, f, w->grid, b, cell, d, sum, bad, bad < n ? share[d][bad] : 0);
        whole = whole && !isnan(sum);
      }
      if (whole) sky_fraction_transitions(share[0], share[1], side, t);
      for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
          const double v = whole ? t[i * side + j] : 0;
          out[i * n + j][cell] = v;
          known += v;
        }
      out[n * n][cell] = 1 - known;
    }
  }
  return SKY_OK;
}

/* ---- areas ---------------------------------------------------------------------------------- */

static sky_status take_zone(sky_context *ctx, const sky_fractions *f, size_t z,
                            const sky_zonal_zone *from, sky_strata *s) {
  const sky_place anywhere = {SKY_TENSOR_ANY, SKY_TENSOR_ANY};
  s->inside[z] = from->inside.area;
  s->nodata[z] = sky_acc_value(&from->value[f->n * f->n].integral);
  for (size_t i = 0; i < f->n; i++) {
    for (size_t j = 0; j < f->n; j++) {
      const double area = sky_acc_value(&from->value[i * f->n + j].integral);
      const uint16_t cls[2] = {(uint16_t)(f->number[i] - 1), (uint16_t)(f->number[j] - 1)};
      if (area > 0) SKY_TRY(sky_strata_add(ctx, s, z, anywhere, cls, area));
    }
  }
  return SKY_OK;
}

/* What a stopped run has left depends on what the bands mean, too. */
static char *make_stamp(sky_context *ctx, const sky_fractions *f, const char *head) {
  sky_text t = {.ctx = ctx};
  if (head != NULL) sky_text_put(&t, head);
  for (size_t d = 0; d < 2; d++)
    for (size_t c = 0; c < f->n; c++)
      sky_text_printf(&t, "fraction: %.15g class %d band %d scale %g\n", f->years[d], f->number[c],
                      f->band[d][c].band, f->band[d][c].scale);
  return sky_text_take(&t);
}

/* in: [2*n], which the set refers to. */
static sky_status open_bands(sky_context *ctx, const sky_fractions *f, sky_raster_input *in,
                             sky_raster_set **out) {
  for (size_t i = 0; i < 2 * f->n; i++) {
    const sky_fraction_band *b = &f->band[i / f->n][i % f->n];
    in[i] = (sky_raster_input){.path = b->path, .band = b->band, .kind = SKY_PIXEL_VALUE};
  }
  return sky_raster_set_open(ctx, in, 2 * f->n, NULL, out);
}

sky_status sky_fractions_check(sky_context *ctx, const sky_fractions *f) {
  sky_raster_input in[2 * SKY_SINK_CLASSES];
  sky_raster_set *set = NULL;
  const sky_status st = open_bands(ctx, f, in, &set);
  sky_raster_set_close(set);
  return st;
}

sky_status sky_sink_fraction_areas(sky_context *ctx, const sky_fractions *f,
                                   const sky_pass_options *pass, const sky_zones *zones,
                                   sky_strata *out) {
  sky_status st = SKY_OK;
  sky_raster_input in[2 * SKY_SINK_CLASSES];
  sky_raster_set *set = NULL;
  sky_zonal zonal = {0};
  sky_strata strata = {0};
  sky_pass_options how = *pass;
  char *stamp = NULL;
  work w = {.f = f};
  const sky_zonal_layers layers = {f->n * f->n + 1, &w, make_layers};
  const sky_zonal_options opt = {.weight = SKY_WEIGHT_AREA, .layers = &layers};
  SKY_GO_ALLOC(stamp, make_stamp(ctx, f, pass->stamp));
  how.stamp = stamp;
  SKY_GO(open_bands(ctx, f, in, &set));
  w.grid = sky_raster_set_grid(set);
  SKY_GO(sky_strata_create(ctx, zones->n, 2, SKY_SINK_CLASSES, &strata));
  SKY_GO(sky_zonal_make(ctx, set, zones, &opt, &how, &zonal));
  if (zonal.report.unread > 0)
    SKY_GO(sky_fail(ctx, SKY_E_READ, "%zu of %zu blocks of the fractions could not be read",
                    zonal.report.unread, zonal.report.blocks));
  for (size_t z = 0; z < zonal.n_zone; z++)
    SKY_GO(take_zone(ctx, f, z, &zonal.zone[z], &strata));
  SKY_GO(sky_strata_finish(ctx, &strata));
  *out = strata;
  strata = (sky_strata){0};
cleanup:
  sky_free(stamp);
  sky_zonal_free(&zonal);
  sky_raster_set_close(set);
  sky_strata_free(&strata);
  return st;
}
