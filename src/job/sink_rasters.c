/* sink_rasters.c: see sink_rasters.h. One table of each site and transition, looked up pixel by
 * pixel: the entry is a sum of the site's first one, the class before, and the class after, each
 * looked up by code, so that no pixel needs a branch. Nodata is one class more, of NaN.
 */
#include "src/job/sink_rasters.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/sink_areas.h"
#include "src/write/cog_stream.h"

#define HECTARES_PER_TONNE_M2 10.0 /* kg/m2 -> t/ha */
#define CELLS (SKY_BAND * SKY_BAND)
#define MAPS SKY_SINK_RASTERS
#define LOWEST (-32768) /* codes of the table of classes: int16 and uint16 */
#define CODES 98304

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
  size_t n, climate, soil; /* classes; numbers of the inputs, SIZE_MAX: none */
  size_t side, sites;      /* n + 1: nodata is class n; and site `sites` has none at all */
  uint32_t *cls;           /* [CODES] of a code */
  double *value[MAPS];     /* [(sites+1)*side*side] */
  sky_cog *cog[MAPS];
} work;

/* ---- tables --------------------------------------------------------------------------------- */

static double stock_of(const sky_sink_set *set, size_t cls) {
  double sum = 0;
  for (int k = SKY_POOL_ABOVE; k <= SKY_POOL_SOIL; k++)
    sum += sky_sink_pool_value(set, &set->cls[cls].pool[k], 1, NULL);
  return sum;
}

/* known: [sites*n*n] */
static sky_status fill_site(sky_context *ctx, const work *w, size_t site, const bool *known) {
  const sky_sink_set *set = &w->s->sites.site[site].set;
  const size_t n = w->n, side = w->side, last = w->s->n_period;
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
      if (known[site * n * n + t])
        w->value[m][(site * side + t / n) * side + t % n] = v + 0.0; /* no -0 */
    }
  }
  sky_linear_free(&l);
  return SKY_OK;
}

/* Factors were only asked for where a zone has the change of class. */
static sky_status fill_tables(sky_context *ctx, work *w) {
  const sky_strata *a = &w->s->areas;
  const size_t n = w->n, last = w->s->n_period, sites = w->sites;
  const size_t entries = (sites + 1) * w->side * w->side;
  bool *known = SKY_NEW0(ctx, bool, sites *n *n);
  sky_status st = known == NULL ? SKY_E_NOMEM : SKY_OK;
  for (int m = 0; m < MAPS && st == SKY_OK; m++) {
    w->value[m] = SKY_NEW(ctx, double, entries);
    if (w->value[m] == NULL) st = SKY_E_NOMEM;
    for (size_t i = 0; i < entries && st == SKY_OK; i++)
      w->value[m][i] = NAN;
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

/* Number of a code's class; n: none. */
static uint32_t class_of(const work *w, int32_t code) {
  const sky_legend *l = &w->s->legend;
  const size_t row = code == SKY_PIXEL_NODATA ? SIZE_MAX : sky_legend_find(l, code);
  if (row == SIZE_MAX || l->row[row].number == 0) return (uint32_t)w->n;
  return (uint32_t)(w->s->opt.pools != NULL ? row : (size_t)l->row[row].number - 1);
}

static sky_status fill_classes(sky_context *ctx, work *w) {
  w->cls = SKY_NEW(ctx, uint32_t, CODES);
  if (w->cls == NULL) return SKY_E_NOMEM;
  for (int32_t i = 0; i < CODES; i++)
    w->cls[i] = class_of(w, LOWEST + i);
  return SKY_OK;
}

static inline uint32_t class_at(const work *w, int32_t code) {
  const uint32_t at = (uint32_t)code - (uint32_t)LOWEST;
  return at < CODES ? w->cls[at] : class_of(w, code);
}

static uint32_t site_of(const work *w, int32_t climate, int32_t soil) {
  const sky_strata *a = &w->s->areas;
  for (size_t i = 0; i < a->n_place; i++)
    if (a->place[i].climate == climate && a->place[i].soil == soil)
      return (uint32_t)w->s->sites.of_place[i];
  return (uint32_t)w->sites;
}

typedef struct worker {
  uint32_t site[SKY_BAND], entry[CELLS]; /* of a row; of the tables */
  double pixel[CELLS];
} worker;

/* Sites of a row of cells; equal neighbours are looked up once. */
static void find_sites(const work *w, const sky_raster_block *b, size_t y, uint32_t *site) {
  const int32_t *map[2] = {NULL, NULL};
  int32_t last[2] = {SKY_TENSOR_ANY, SKY_TENSOR_ANY};
  uint32_t found = site_of(w, last[0], last[1]);
  if (w->climate != SIZE_MAX) map[0] = (const int32_t *)b->pixel[w->climate] + y * SKY_BAND;
  if (w->soil != SIZE_MAX) map[1] = (const int32_t *)b->pixel[w->soil] + y * SKY_BAND;
  for (size_t x = 0; x < b->window.nx; x++) {
    const int32_t code[2] = {map[0] != NULL ? map[0][x] : SKY_TENSOR_ANY,
                             map[1] != NULL ? map[1][x] : SKY_TENSOR_ANY};
    if (code[0] != last[0] || code[1] != last[1]) {
      found = site_of(w, code[0], code[1]);
      memcpy(last, code, sizeof last);
    }
    site[x] = found;
  }
}

static void find_entries(const work *w, const sky_raster_block *b, worker *k) {
  const uint32_t side = (uint32_t)w->side;
  for (size_t y = 0; y < b->window.ny; y++) {
    const int32_t *before = (const int32_t *)b->pixel[0] + y * SKY_BAND;
    const int32_t *after = (const int32_t *)b->pixel[1] + y * SKY_BAND;
    uint32_t *entry = k->entry + y * SKY_BAND;
    find_sites(w, b, y, k->site);
    for (size_t x = 0; x < b->window.nx; x++)
      entry[x] = (k->site[x] * side + class_at(w, before[x])) * side + class_at(w, after[x]);
  }
}

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
  find_entries(w, b, k);
  for (int m = 0; m < MAPS; m++) {
    if (w->cog[m] == NULL) continue;
    const double *value = w->value[m];
    for (size_t y = 0; y < b->window.ny; y++)
      for (size_t i = y * SKY_BAND; i < y * SKY_BAND + b->window.nx; i++)
        k->pixel[i] = value[k->entry[i]];
    SKY_TRY(sky_cog_put(ctx, w->cog[m], b->column, b->band, k->pixel, SKY_BAND));
  }
  return SKY_OK;
}

/* ---- the pass ------------------------------------------------------------------------------- */

static bool is_asked(const char *const *only, size_t n, const char *name) {
  for (size_t i = 0; i < n && only != NULL; i++)
    if (strcmp(only[i], name) == 0) return true;
  return only == NULL;
}

/* All that the pixels follow from: the maps, and what the tables make of their codes. A run that
 * was killed goes on with the tiles that it has written (cog_stream.h). */
static sky_status make_stamp(sky_context *ctx, const work *w, const sky_raster_set *set,
                             sky_text *to) {
  const size_t entries = (w->sites + 1) * w->side * w->side;
  const sky_strata *a = &w->s->areas;
  char hex[65];
  sky_sha256(w->cls, CODES * sizeof *w->cls, hex);
  sky_text_printf(to, "classes %zu %s\n", w->n, hex);
  for (int m = 0; m < MAPS; m++) {
    sky_sha256(w->value[m], entries * sizeof *w->value[m], hex);
    sky_text_printf(to, "%s %s\n", targets[m].suffix, hex);
  }
  for (size_t i = 0; i < a->n_place; i++)
    sky_text_printf(to, "place %d %d %zu\n", (int)a->place[i].climate, (int)a->place[i].soil,
                    w->s->sites.of_place[i]);
  return sky_raster_set_stamp(ctx, set, to);
}

/* Whether a raster lacks a block of the window. */
static bool wanted(void *user, const sky_window *win) {
  const work *w = user;
  const size_t ny = w->s->grid->ny, top = ny - win->iy0 - win->ny, end = ny - win->iy0;
  for (int m = 0; m < MAPS; m++)
    for (size_t band = top / SKY_BAND; w->cog[m] != NULL && band * SKY_BAND < end; band++)
      for (size_t column = win->ix0 / SKY_BAND; column * SKY_BAND < win->ix0 + win->nx; column++)
        if (!sky_cog_has(w->cog[m], column, band)) return true;
  return false;
}

static sky_status open_cogs(sky_context *ctx, work *w, const char *prefix, const char *stamp,
                            const char *const *only, size_t n) {
  static const char *const tags[] = {"SOURCE=skyflux " SKYFLUX_VERSION " sink", NULL};
  const sky_cog_options how = {.codec = SKY_COG_ZSTD,
                               .tags = tags,
                               .pixels = SKY_PIXEL_VALUE,
                               .stamp = stamp,
                               .fresh = w->s->opt.pass.fresh};
  for (int m = 0; m < MAPS; m++) {
    if (!is_asked(only, n, targets[m].suffix)) continue;
    if (targets[m].stocks && !w->s->stocks) {
      if (only == NULL) continue;
      return sky_fail(ctx, SKY_E_RANGE, "rasters: no '%s', as factors %s have no stocks",
                      targets[m].suffix, w->s->set->name);
    }
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
                                    .wanted = wanted,
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

sky_status sky_sink_write_rasters(sky_context *ctx, const sky_sink *s, const char *prefix,
                                  const char *const *only, size_t n_only) {
  sky_status st = SKY_OK;
  work w = {.s = s,
            .n = s->n_class,
            .climate = SIZE_MAX,
            .soil = SIZE_MAX,
            .side = s->n_class + 1,
            .sites = s->sites.n};
  const char *const *map = s->opt.maps + s->n_period - 1;
  sky_raster_input in[4] = {{.path = map[0]}, {.path = map[1]}};
  size_t n = 2;
  sky_raster_set *set = NULL;
  SKY_TRY(sky_sink_need_parts(ctx, s, "rasters"));
  sky_text stamp = {.ctx = ctx};
  if (s->opt.climate != NULL) in[w.climate = n++].path = s->opt.climate;
  if (s->opt.soil_map != NULL) in[w.soil = n++].path = s->opt.soil_map;
  for (size_t i = 0; i < n; i++) {
    in[i].band = 1;
    in[i].kind = SKY_PIXEL_CLASS;
    in[i].sampling = SKY_SAMPLE_CLASS;
  }
  SKY_GO(fill_classes(ctx, &w));
  SKY_GO(fill_tables(ctx, &w));
  SKY_GO(sky_raster_set_open(ctx, in, n, n > 2 ? s->grid : NULL, &set));
  SKY_GO(make_stamp(ctx, &w, set, &stamp));
  if (stamp.failed) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  SKY_GO(open_cogs(ctx, &w, prefix, stamp.data, only, n_only));
  SKY_GO(paint(ctx, &w, set));
cleanup:
  for (int m = 0; m < MAPS; m++) {
    sky_cog_abort(w.cog[m]);
    sky_free(w.value[m]);
  }
  sky_free(w.cls);
  sky_text_free(&stamp);
  sky_raster_set_close(set);
  return st;
}
