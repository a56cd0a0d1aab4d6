/* sink_rasters.c: see sink_rasters.h. One table of each site and transition, looked up pixel by
 * pixel.
 */
#include "src/job/sink_rasters.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/sink_areas.h"
#include "src/write/cog_stream.h"

#define HECTARES_PER_TONNE_M2 10.0 /* kg/m2 -> t/ha */
#define CELLS (SKY_BAND * SKY_BAND)
#define MAPS 3

typedef struct target {
  const char *suffix;
  bool stocks;
  sky_field field;
} target;

static const target targets[MAPS] = {
    {"stock",
     true,
     {"carbon_stock", "carbon of the land at the last date", NULL, "t/hectare", SKY_FIELD_INTENSIVE,
      NULL}},
    {"stock_change",
     true,
     {"carbon_stock_change", "change of the carbon of the land, positive = gain", NULL, "t/hectare",
      SKY_FIELD_INTENSIVE, NULL}},
    {"removal",
     false,
     {"carbon_removal", "removal of carbon, positive = uptake by the land", NULL, "t/hectare/year",
      SKY_FIELD_INTENSIVE, NULL}}};

typedef struct work {
  const sky_sink *s;
  size_t n, input[2], climate, soil; /* numbers of the inputs; SIZE_MAX: none */
  double *value[MAPS];               /* [sites*n*n] */
  sky_cog *cog[MAPS];
} work;

/* ---- tables --------------------------------------------------------------------------------- */

static double stock_of(const sky_sink_set *set, size_t cls) {
  double sum = 0;
  for (int k = SKY_POOL_ABOVE; k <= SKY_POOL_SOIL; k++)
    sum += sky_sink_pool_value(set, &set->cls[cls].pool[k], 1, NULL);
  return sum;
}

static sky_status fill_site(sky_context *ctx, const work *w, size_t site, const bool *known) {
  const sky_sink_set *set = &w->s->sites.site[site].set;
  const size_t n = w->n, last = w->s->n_period;
  const double years = w->s->opt.years[last] - w->s->opt.years[last - 1];
  sky_linear l = {0};
  SKY_TRY(sky_linear_make(ctx, set, &l));
  for (int m = 0; m < MAPS; m++) {
    if (m == 1) sky_linear_fill(set, SKY_SINK_STOCK, n, years, &l);
    if (m == 2) sky_linear_fill(set, SKY_SINK_UPTAKE, n, years, &l);
    for (size_t t = 0; t < n * n; t++) {
      const double v = m == 0   ? stock_of(set, t % n)
                       : m == 1 ? l.f[t] * HECTARES_PER_TONNE_M2
                                : -l.f[t] * HECTARES_PER_TONNE_M2;
      w->value[m][site * n * n + t] = known[site * n * n + t] ? v + 0.0 : NAN;
    }
  }
  sky_linear_free(&l);
  return SKY_OK;
}

/* Factors were only asked for where a zone has the change of class. */
static sky_status fill_tables(sky_context *ctx, work *w) {
  const sky_strata *a = &w->s->areas;
  const size_t n = w->n, last = w->s->n_period, sites = w->s->sites.n;
  bool *known = SKY_NEW0(ctx, bool, sites *n *n);
  sky_status st = known == NULL ? SKY_E_NOMEM : SKY_OK;
  for (int m = 0; m < MAPS && st == SKY_OK; m++) {
    w->value[m] = SKY_NEW(ctx, double, sites *n *n);
    if (w->value[m] == NULL) st = SKY_E_NOMEM;
  }
  for (size_t k = 0; k < a->n && st == SKY_OK; k++) {
    const sky_stratum *s = &a->stratum[k];
    if (s->zone < w->s->n_zone)
      known[(w->s->sites.of_place[s->place] * n + s->cls[last - 1]) * n + s->cls[last]] = true;
  }
  for (size_t i = 0; i < sites && st == SKY_OK; i++)
    st = fill_site(ctx, w, i, known);
  sky_free(known);
  return st;
}

/* ---- pixels --------------------------------------------------------------------------------- */

/* Index of a code's class; SIZE_MAX: none. */
static size_t class_of(const work *w, int32_t code) {
  const sky_legend *l = &w->s->legend;
  const size_t row = code == SKY_PIXEL_NODATA ? SIZE_MAX : sky_legend_find(l, code);
  if (row == SIZE_MAX || l->row[row].number == 0) return SIZE_MAX;
  return w->s->opt.pools != NULL ? row : (size_t)l->row[row].number - 1;
}

static size_t site_of(const work *w, int32_t climate, int32_t soil) {
  const sky_strata *a = &w->s->areas;
  for (size_t i = 0; i < a->n_place; i++)
    if (a->place[i].climate == climate && a->place[i].soil == soil) return w->s->sites.of_place[i];
  return SIZE_MAX;
}

static int32_t code_at(const sky_raster_block *b, size_t input, size_t cell) {
  return input == SIZE_MAX ? SKY_TENSOR_ANY : ((const int32_t *)b->pixel[input])[cell];
}

/* Entry of the tables of each cell, SIZE_MAX: nodata; equal neighbours are looked up once. */
static void find_entries(const work *w, const sky_raster_block *b, size_t *entry) {
  int32_t last[4] = {0};
  size_t found = SIZE_MAX;
  bool first = true;
  for (size_t y = 0; y < b->window.ny; y++) {
    for (size_t x = 0; x < b->window.nx; x++) {
      const size_t cell = y * SKY_BAND + x;
      const int32_t code[4] = {code_at(b, w->input[0], cell), code_at(b, w->input[1], cell),
                               code_at(b, w->climate, cell), code_at(b, w->soil, cell)};
      if (first || memcmp(code, last, sizeof code) != 0) {
        const size_t i = class_of(w, code[0]), j = class_of(w, code[1]);
        const size_t site = site_of(w, code[2], code[3]);
        const bool good = i != SIZE_MAX && j != SIZE_MAX && site != SIZE_MAX;
        found = good ? (site * w->n + i) * w->n + j : SIZE_MAX;
        memcpy(last, code, sizeof code);
        first = false;
      }
      entry[cell] = found;
    }
  }
}

typedef struct worker {
  size_t entry[CELLS];
  double pixel[CELLS];
} worker;

static sky_status start(sky_context *ctx, void *user, void **out) {
  (void)user;
  *out = SKY_NEW(ctx, worker, 1);
  return *out != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status map(sky_context *ctx, void *user, void *by, const sky_raster_block *b,
                      void **part) {
  const work *w = user;
  worker *k = by;
  *part = NULL;
  if (b->pixel == NULL)
    return sky_fail(ctx, SKY_E_READ, "a block of the maps could not be read for the rasters");
  find_entries(w, b, k->entry);
  for (int m = 0; m < MAPS; m++) {
    if (w->cog[m] == NULL) continue;
    for (size_t y = 0; y < b->window.ny; y++)
      for (size_t x = 0; x < b->window.nx; x++) {
        const size_t e = k->entry[y * SKY_BAND + x];
        k->pixel[y * SKY_BAND + x] = e == SIZE_MAX ? NAN : w->value[m][e];
      }
    SKY_TRY(sky_cog_put(ctx, w->cog[m], b->column, b->band, k->pixel, SKY_BAND));
  }
  return SKY_OK;
}

/* ---- the pass ------------------------------------------------------------------------------- */

static sky_status open_cogs(sky_context *ctx, work *w, const char *prefix,
                            const char *const *tags) {
  const sky_cog_options how = {.tags = tags, .pixels = SKY_PIXEL_VALUE};
  for (int m = 0; m < MAPS; m++) {
    if (targets[m].stocks && !w->s->stocks) continue;
    char *path = sky_sprintf(ctx, "%s_%s.tif", prefix, targets[m].suffix);
    if (path == NULL) return SKY_E_NOMEM;
    const sky_status st = sky_cog_open(ctx, path, w->s->grid, &targets[m].field, &how, &w->cog[m]);
    sky_free(path);
    SKY_TRY(st);
  }
  return SKY_OK;
}

static sky_status paint(sky_context *ctx, work *w, sky_raster_set *set) {
  const sky_pass_options how = {.tile = w->s->opt.pass.tile};
  size_t bytes = 0;
  for (int m = 0; m < MAPS; m++)
    bytes += sky_cog_bytes(w->s->grid, SKY_COG_FLOAT32, sky_context_threads(ctx));
  const sky_raster_kernel kernel = {.user = w,
                                    .fixed_bytes = bytes,
                                    .worker_bytes = sizeof(worker),
                                    .start = start,
                                    .stop = sky_free,
                                    .map = map};
  sky_raster_report report;
  SKY_TRY(sky_raster_pass(ctx, set, "rasters", &how, &kernel, &report));
  for (int m = 0; m < MAPS; m++) {
    sky_cog *c = w->cog[m];
    w->cog[m] = NULL;
    if (c != NULL) SKY_TRY(sky_cog_finish(ctx, c));
  }
  return SKY_OK;
}

sky_status sky_sink_write_rasters(sky_context *ctx, const sky_sink *s, const char *prefix) {
  sky_status st = SKY_OK;
  work w = {.s = s, .n = s->n_class, .input = {0, 1}, .climate = SIZE_MAX, .soil = SIZE_MAX};
  static const char *const tags[] = {"SOURCE=skyflux " SKYFLUX_VERSION " sink", NULL};
  const char *const *map = s->opt.maps + s->n_period - 1;
  sky_raster_input in[4] = {{.path = map[0]}, {.path = map[1]}};
  size_t n = 2;
  sky_raster_set *set = NULL;
  if (s->opt.climate != NULL) in[w.climate = n++].path = s->opt.climate;
  if (s->opt.soil_map != NULL) in[w.soil = n++].path = s->opt.soil_map;
  for (size_t i = 0; i < n; i++) {
    in[i].band = 1;
    in[i].kind = SKY_PIXEL_CLASS;
    in[i].sampling = SKY_SAMPLE_CLASS;
  }
  SKY_GO(fill_tables(ctx, &w));
  SKY_GO(sky_raster_set_open(ctx, in, n, n > 2 ? s->grid : NULL, &set));
  SKY_GO(open_cogs(ctx, &w, prefix, tags));
  SKY_GO(paint(ctx, &w, set));
cleanup:
  for (int m = 0; m < MAPS; m++) {
    sky_cog_abort(w.cog[m]);
    sky_free(w.value[m]);
  }
  sky_raster_set_close(set);
  return st;
}
