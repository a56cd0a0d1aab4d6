/* sink_local.c: see sink_local.h. One pass: each raster gives a layer for each class, the pixels of
 * other classes masked, whose mean by area over a zone is what its class has. */
#include "src/job/sink_local.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/table.h"
#include "src/engine/zonal.h"

#define N SKY_SINK_CLASSES
#define MIN_VALID 0.5    /* of a pixel, that a coarser or finer raster must have */
#define MOST_AGB 2000.0  /* t d.m./ha */
#define MOST_SOIL 2000.0 /* t C/ha */
#define SHARE_TOLERANCE 1e-3

bool sky_local_any(const sky_local_options *o) {
  return o->biomass != NULL || o->soil != NULL || o->ages != NULL;
}

bool sky_local_ages_table(const sky_local_options *o) {
  const size_t n = o->ages != NULL ? strlen(o->ages) : 0;
  return n >= 4 && strcmp(o->ages + n - 4, ".csv") == 0;
}

bool sky_local_rasters(const sky_local_options *o) {
  return o->biomass != NULL || o->soil != NULL || (o->ages != NULL && !sky_local_ages_table(o));
}

bool sky_local_share(const char *sd) {
  double share;
  return sky_number_parse(sd, &share, NULL);
}

sky_status sky_local_check(sky_context *ctx, const sky_local_options *o) {
  if ((o->biomass == NULL) != (o->biomass_sd == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --biomass and --biomass-sd go together: a raster of t/ha, and its "
                    "standard deviation, as a raster or a share (0.2)");
  if ((o->soil == NULL) != (o->soil_sd == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "sink: --soil-carbon and --soil-carbon-sd go together: a raster of t C/ha, and "
                    "its standard deviation, as a raster or a share (0.2)");
  return SKY_OK;
}

/* ---- rasters -------------------------------------------------------------------------------- */

typedef struct quantity { /* one raster with its error */
  const char *path, *sd;  /* sd NULL: relative */
  double relative, most;
  const char *unit;
  size_t value, spread; /* numbers of the inputs; SIZE_MAX: none */
} quantity;

typedef struct work {
  const sky_legend *legend;
  size_t n_class, slot[N]; /* classes that the zones have, and which of them each is */
  size_t n, age; /* rasters of values beside the map; number of the input with ages, or SIZE_MAX */
  sky_raster_input in[6];
} work;

static size_t add_input(work *w, const char *path) {
  w->in[w->n + 1] = (sky_raster_input){.path = path,
                                       .band = 1,
                                       .kind = SKY_PIXEL_VALUE,
                                       .sampling = SKY_SAMPLE_INTENSIVE,
                                       .min_valid = MIN_VALID};
  return w->n++;
}

static void add_quantity(work *w, const char *path, const char *sd, double most, const char *unit,
                         quantity *q) {
  *q = (quantity){.path = path, .most = most, .unit = unit, .value = SIZE_MAX, .spread = SIZE_MAX};
  if (path == NULL) return;
  q->value = add_input(w, path);
  if (sky_number_parse(sd, &q->relative, NULL)) return;
  q->sd = sd;
  q->spread = add_input(w, sd);
}

/* Shares of the ages of forest: 1 where a pixel has it, 0 where it has another one. */
static sky_status make_ages(sky_context *ctx, const work *w, const sky_raster_block *b, size_t cell,
                            size_t cls, double *const *out) {
  const int32_t age = ((const int32_t *)b->pixel[w->age])[cell];
  const bool known = cls == 0 && age != SKY_PIXEL_NODATA;
  if (known && (age < 1 || age > SKY_FOREST_AGES))
    return sky_fail(ctx, SKY_E_RANGE,
                    "%s: age %d of forest, expected 1 (up to 20 years), 2 (older) or 3 (primary)",
                    w->in[w->age].path, (int)age);
  for (int k = 0; k < SKY_FOREST_AGES; k++)
    out[w->n * w->n_class + (size_t)k][cell] = known ? age == k + 1 : NAN;
  return SKY_OK;
}

static sky_status make_layers(sky_context *ctx, void *user, const sky_raster_block *b,
                              double *const *out) {
  const work *w = user;
  const int32_t *code = b->pixel[0];
  int32_t last = SKY_PIXEL_NODATA;
  size_t cls = SIZE_MAX;
  for (size_t y = 0; y < b->window.ny; y++) {
    for (size_t x = 0; x < b->window.nx; x++) {
      const size_t cell = y * SKY_BAND + x;
      if (code[cell] != last) {
        const size_t row =
            code[cell] == SKY_PIXEL_NODATA ? SIZE_MAX : sky_legend_find(w->legend, code[cell]);
        cls = row == SIZE_MAX || w->legend->row[row].number == 0
                  ? SIZE_MAX
                  : (size_t)w->legend->row[row].number - 1;
        last = code[cell];
      }
      const size_t slot = cls == SIZE_MAX ? SIZE_MAX : w->slot[cls];
      for (size_t k = 0; k < w->n; k++) {
        for (size_t c = 0; c < w->n_class; c++)
          out[k * w->n_class + c][cell] = NAN;
        if (slot != SIZE_MAX)
          out[k * w->n_class + slot][cell] = ((const double *)b->pixel[k + 1])[cell];
      }
      if (w->age != SIZE_MAX) SKY_TRY(make_ages(ctx, w, b, cell, cls, out));
    }
  }
  return SKY_OK;
}

static double mean_of(const work *w, const sky_zonal_zone *z, size_t input, size_t cls) {
  return sky_zonal_total_mean(&z->value[input * w->n_class + w->slot[cls]], SKY_WEIGHT_AREA);
}

static sky_status take(sky_context *ctx, const work *w, const quantity *q, const sky_zonal_zone *z,
                       const char *zone, double *mean, double *sd) {
  for (size_t c = 0; c < N && q->path != NULL; c++) {
    const double v = w->slot[c] == SIZE_MAX ? NAN : mean_of(w, z, q->value, c);
    if (isnan(v)) continue;
    if (!(v >= 0 && v <= q->most))
      return sky_fail(ctx, SKY_E_RANGE, "%s: %s of zone '%s' has %.6g %s, expected 0 to %g",
                      q->path, sky_sink_class_name((int)c + 1), zone, v, q->unit, q->most);
    const double s = q->sd == NULL ? q->relative * v : mean_of(w, z, q->spread, c);
    if (!(s >= 0))
      return sky_fail(ctx, SKY_E_RANGE,
                      "%s: no standard deviation of at least 0 for %s of zone '%s'",
                      q->sd != NULL ? q->sd : q->path, sky_sink_class_name((int)c + 1), zone);
    mean[c] = v;
    sd[c] = s;
  }
  return SKY_OK;
}

static sky_status read_rasters(sky_context *ctx, const sky_local_options *opt, const char *map,
                               const sky_legend *legend, const sky_grid *grid,
                               const sky_zones *zones, size_t n_zone, const bool *present,
                               size_t tile, sky_sink_local *local) {
  work w = {.legend = legend, .age = SIZE_MAX};
  quantity agb, soil;
  sky_raster_set *set = NULL;
  sky_zonal zonal = {0};
  sky_status st = SKY_OK;
  w.in[0] = (sky_raster_input){
      .path = map, .band = 1, .kind = SKY_PIXEL_CLASS, .sampling = SKY_SAMPLE_CLASS};
  add_quantity(&w, opt->biomass, opt->biomass_sd, MOST_AGB, "t d.m./ha above ground", &agb);
  add_quantity(&w, opt->soil, opt->soil_sd, MOST_SOIL, "t C/ha", &soil);
  for (size_t c = 0; c < N; c++)
    w.slot[c] = present[c] ? w.n_class++ : SIZE_MAX;
  const bool ages = opt->ages != NULL && !sky_local_ages_table(opt);
  const size_t inputs = w.n + 1 + ages;
  if (ages) {
    w.age = w.n + 1;
    w.in[w.age] = (sky_raster_input){
        .path = opt->ages, .band = 1, .kind = SKY_PIXEL_CLASS, .sampling = SKY_SAMPLE_CLASS};
  }
  const sky_zonal_layers layers = {w.n * w.n_class + (ages ? SKY_FOREST_AGES : 0), &w, make_layers};
  const sky_zonal_options how = {.weight = SKY_WEIGHT_AREA, .layers = &layers};
  const sky_pass_options pass = {.tile = tile};
  if (inputs == 1) return SKY_OK;
  SKY_GO(sky_raster_set_open(ctx, w.in, inputs, grid, &set));
  SKY_GO(sky_zonal_make(ctx, set, zones, &how, &pass, &zonal));
  if (zonal.report.unread > 0)
    SKY_GO(sky_fail(ctx, SKY_E_READ, "%zu of %zu blocks could not be read", zonal.report.unread,
                    zonal.report.blocks));
  for (size_t z = 0; z < n_zone; z++) {
    SKY_GO(take(ctx, &w, &agb, &zonal.zone[z], local[z].where, local[z].agb, local[z].agb_sd));
    SKY_GO(take(ctx, &w, &soil, &zonal.zone[z], local[z].where, local[z].soil, local[z].soil_sd));
    for (size_t k = 0; k < SKY_FOREST_AGES && ages; k++)
      local[z].age[k] =
          sky_zonal_total_mean(&zonal.zone[z].value[w.n * w.n_class + k], SKY_WEIGHT_AREA);
  }
cleanup:
  sky_zonal_free(&zonal);
  sky_raster_set_close(set);
  return st;
}

/* ---- ages ----------------------------------------------------------------------------------- */

static sky_status read_age(sky_context *ctx, const sky_table *t, const char *path, size_t row,
                           size_t n_zone, sky_sink_local *local) {
  static const char *const column[SKY_FOREST_AGES] = {"young", "old", "primary"};
  const char *id = sky_factor_cell(t, row, "zone_id");
  const int line = sky_table_line(t, row);
  double sum = 0;
  size_t z = 0;
  while (z < n_zone && strcmp(local[z].where, id) != 0)
    z++;
  if (z == n_zone) return sky_fail(ctx, SKY_E_RANGE, "%s:%d: '%s' is no zone", path, line, id);
  if (!isnan(local[z].age[0]))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: zone '%s' occurs twice", path, line, id);
  for (size_t k = 0; k < SKY_FOREST_AGES; k++) {
    double *share = &local[z].age[k];
    SKY_TRY(sky_table_number(ctx, t, row, sky_table_find(t, column[k]), share));
    if (!(*share >= 0 && *share <= 1))
      return sky_fail(ctx, SKY_E_RANGE, "%s:%d: %s %g, expected a share of 0 to 1", path, line,
                      column[k], *share);
    sum += *share;
  }
  if (fabs(sum - 1) > SHARE_TOLERANCE)
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: the shares of zone '%s' sum to %g, expected 1", path,
                    line, id, sum);
  return SKY_OK;
}

static sky_status read_ages(sky_context *ctx, const char *path, size_t n_zone,
                            sky_sink_local *local) {
  static const char *const needed[] = {"zone_id", "young", "old", "primary"};
  sky_table *t = NULL;
  sky_status st = SKY_OK;
  SKY_TRY(sky_table_read(ctx, path, &t));
  for (size_t i = 0; i < 4 && st == SKY_OK; i++)
    if (sky_table_find(t, needed[i]) == SIZE_MAX)
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", path, needed[i]);
  for (size_t row = 0; row < sky_table_rows(t) && st == SKY_OK; row++)
    st = read_age(ctx, t, path, row, n_zone, local);
  sky_table_free(t);
  return st;
}

/* ---- all ------------------------------------------------------------------------------------ */

sky_status sky_local_make(sky_context *ctx, const sky_local_options *opt, const char *map,
                          const sky_legend *legend, const sky_grid *grid, const sky_zones *zones,
                          size_t n_zone, const bool *present, size_t tile, sky_sink_local **out) {
  sky_sink_local *local = SKY_NEW(ctx, sky_sink_local, n_zone);
  if (local == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < n_zone; z++) {
    sky_sink_local *l = &local[z];
    *l = (sky_sink_local){.where = zones->zone[z].id,
                          .agb_source = opt->biomass,
                          .soil_source = opt->soil,
                          .age_source = opt->ages};
    for (size_t c = 0; c < N; c++)
      l->agb[c] = l->agb_sd[c] = l->soil[c] = l->soil_sd[c] = NAN;
    for (size_t k = 0; k < SKY_FOREST_AGES; k++)
      l->age[k] = NAN;
  }
  sky_status st = read_rasters(ctx, opt, map, legend, grid, zones, n_zone, present, tile, local);
  if (st == SKY_OK && sky_local_ages_table(opt)) st = read_ages(ctx, opt->ages, n_zone, local);
  if (st == SKY_OK)
    *out = local;
  else
    sky_free(local);
  return st;
}

static void put_class(const sky_sink_local *l, size_t c, sky_text *t) {
  if (!isnan(l->agb[c]))
    sky_text_printf(t, "# zone %s: above-ground biomass of %s = %.9g +- %.4g t d.m./ha\n", l->where,
                    sky_sink_class_name((int)c + 1), l->agb[c], l->agb_sd[c]);
  if (!isnan(l->soil[c]))
    sky_text_printf(t, "# zone %s: soil carbon of %s = %.9g +- %.4g t C/ha\n", l->where,
                    sky_sink_class_name((int)c + 1), l->soil[c], l->soil_sd[c]);
}

void sky_local_put(const sky_sink_local *local, size_t n_zone, sky_text *t) {
  for (size_t z = 0; z < n_zone && local != NULL; z++) {
    const sky_sink_local *l = &local[z];
    for (size_t c = 0; c < N; c++)
      put_class(l, c, t);
    if (!isnan(l->age[0]))
      sky_text_printf(t, "# zone %s: forest of up to 20 years %.9g, older %.9g, primary %.9g\n",
                      l->where, l->age[0], l->age[1], l->age[2]);
  }
}
