/* sink_table.c: see sink_table.h. Maps -> area tensor -> stock change and uptake -> table. */
#include "src/job/sink_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/job.h"
#include "src/job/sink_areas.h"

void sky_sink_close(sky_sink *s) {
  sky_raster_close(s->map);
  sky_fractions_free(&s->fractions);
  sky_legend_free(&s->legend);
  sky_free(s->seen);
  sky_zones_free(&s->zones);
  sky_free(s->area);
  sky_strata_free(&s->areas);
  sky_tensor_free(&s->tensor);
  sky_free(s->shown);
  sky_free(s->changed);
  sky_sites_free(&s->sites);
  sky_free(s->local);
  sky_free(s->rows);
  sky_free(s->change);
  sky_reference_free(&s->reference);
  memset(s, 0, sizeof *s);
}

/* ---- maps ----------------------------------------------------------------------------------- */

bool sky_sink_legend_is_file(const char *legend) {
  const size_t n = strlen(legend);
  return n >= 4 && strcmp(legend + n - 4, ".csv") == 0;
}

static sky_status read_legend(sky_context *ctx, const char *name, sky_legend *out) {
  if (!sky_sink_legend_is_file(name)) return sky_legend_builtin(ctx, name, out);
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, name, &t));
  const sky_status st = sky_legend_from_table(ctx, t, name, out);
  sky_table_free(t);
  return st;
}

/* A picture of a map, or a file of years: which band would be the classes is anyone's guess. */
static sky_status one_band(sky_context *ctx, const sky_raster *r) {
  const int n = sky_raster_bands(r);
  if (n == 1) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT,
                  "%s: %d bands, a map of classes has 1 (gdal_translate -b N takes one out)",
                  sky_raster_path(r), n);
}

/* The table says what the maps are, of when, and what they mean. */
static sky_status open_fractions(sky_context *ctx, sky_sink *s) {
  SKY_TRY(sky_fractions_read(ctx, s->opt.fractions, &s->fractions));
  s->opt.n_date = 2;
  memcpy(s->opt.years, s->fractions.years, sizeof s->fractions.years);
  s->opt.legend = s->opt.fractions;
  SKY_TRY(sky_fractions_legend(ctx, &s->fractions, &s->legend));
  SKY_TRY(sky_raster_open(ctx, s->fractions.band[0][0].path, &s->map));
  s->grid = sky_raster_grid(s->map);
  return SKY_OK;
}

/* "legend:NAME:CODE", as an allowed row is called. */
static void legend_key(const sky_legend *l, size_t i, char key[128]) {
  snprintf(key, 128, "legend:%s:%d", l->name, (int)l->row[i].low);
}

/* A misspelt permission must not look like one that was not needed. */
static sky_status check_allowed(sky_context *ctx, const sky_sink *s) {
  for (size_t k = 0; k < s->opt.n_allowed; k++) {
    char key[128] = "";
    for (size_t i = 0; i < s->legend.n && strcmp(key, s->opt.allowed[k]) != 0; i++)
      legend_key(&s->legend, i, key);
    if (strcmp(key, s->opt.allowed[k]) != 0)
      SKY_TRY(sky_factor_allowed_check(ctx, s->opt.allowed[k]));
  }
  return SKY_OK;
}

sky_status sky_sink_open(sky_context *ctx, const sky_sink_options *opt, sky_sink *s) {
  sky_status st = SKY_OK;
  sky_raster *other = NULL;
  *s = (sky_sink){.opt = *opt};
  if (opt->fractions != NULL) {
    SKY_GO(open_fractions(ctx, s));
    SKY_GO(check_allowed(ctx, s));
    goto cleanup;
  }
  SKY_GO(sky_raster_open(ctx, opt->maps[0], &s->map));
  SKY_GO(one_band(ctx, s->map));
  for (size_t d = 1; d < opt->n_date; d++) {
    SKY_GO(sky_raster_open(ctx, opt->maps[d], &other));
    SKY_GO(one_band(ctx, other));
    SKY_GO(sky_raster_same_grid(ctx, s->map, other));
    sky_raster_close(other);
    other = NULL;
  }
  SKY_GO(read_legend(ctx, opt->legend, &s->legend));
  SKY_GO(check_allowed(ctx, s));
  s->grid = sky_raster_grid(s->map);
cleanup:
  sky_raster_close(other);
  if (st != SKY_OK) sky_sink_close(s);
  return st;
}

/* Legend rows that the maps show and nobody has verified. */
static sky_status check_legend(sky_context *ctx, const sky_sink *s) {
  sky_text refused = {.ctx = ctx};
  size_t n = 0;
  for (size_t i = 0; i < s->legend.n; i++) {
    const sky_legend_row *row = &s->legend.row[i];
    char key[128];
    bool good = !s->seen[i] || row->verified;
    legend_key(&s->legend, i, key);
    for (size_t k = 0; k < s->opt.n_allowed && !good; k++)
      good = strcmp(s->opt.allowed[k], key) == 0;
    if (good) continue;
    sky_text_printf(&refused, "%s'%s'", n++ > 0 ? ", " : "", key);
  }
  char *list = sky_text_take(&refused);
  sky_status st = SKY_OK;
  if (n > 0 && list == NULL)
    st = SKY_E_NOMEM;
  else if (n > 0)
    st = sky_fail(ctx, SKY_E_RANGE,
                  "legend rows that nobody verified (%zu): allow each with --allow-unverified (in "
                  "a job: allow_unverified) or give your own legend: %s",
                  n, list);
  sky_free(list);
  return st;
}

/* ---- from areas to rows --------------------------------------------------------------------- */

/* Classes that occur in the zones of the table, and those that change there. */
static void find_classes(sky_sink *s) {
  for (size_t k = 0; k < s->areas.n; k++) {
    const sky_stratum *a = &s->areas.stratum[k];
    if (a->zone >= s->n_zone || !(a->area > 0)) continue;
    for (size_t d = 0; d < s->areas.n_date; d++)
      s->shown[a->cls[d]] = true;
    for (size_t d = 0; d + 1 < s->areas.n_date; d++)
      if (a->cls[d] != a->cls[d + 1]) s->changed[a->cls[d]] = s->changed[a->cls[d + 1]] = true;
  }
}

/* Class of a cell of the sample: of the table's classes, by number, or by code with pools. */
static sky_status sample_class(sky_context *ctx, const sky_sink *s, const sky_table *t, size_t row,
                               const char *column, size_t *out) {
  const size_t c = sky_table_find(t, column);
  double id = 0;
  if (c == SIZE_MAX)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", s->opt.reference, column);
  SKY_TRY(sky_table_number(ctx, t, row, c, &id));
  for (*out = 0; *out < s->n_class; ++*out)
    if (id == (s->opt.pools != NULL ? s->legend.row[*out].low : (double)*out + 1)) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "%s:%d: %s '%s' is not a class of the table", s->opt.reference,
                  sky_table_line(t, row), column, sky_table_cell(t, row, c));
}

static sky_status read_units(sky_context *ctx, sky_sink *s, const sky_table *t, size_t row) {
  static const char *const columns[4] = {"map_1", "map_2", "true_1", "true_2"};
  const size_t c = sky_table_find(t, "units");
  size_t cls[4];
  double units = 1;
  for (size_t i = 0; i < 4; i++)
    SKY_TRY(sample_class(ctx, s, t, row, columns[i], &cls[i]));
  if (c != SIZE_MAX) SKY_TRY(sky_table_number(ctx, t, row, c, &units));
  if (!(units > 0))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: units %g, expected above 0", s->opt.reference,
                    sky_table_line(t, row), units);
  sky_reference_add(&s->reference, cls[0], cls[1], cls[2], cls[3], units);
  s->shown[cls[2]] = s->shown[cls[3]] = s->changed[cls[2]] = s->changed[cls[3]] = true;
  return SKY_OK;
}

static sky_status read_reference(sky_context *ctx, sky_sink *s) {
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, s->opt.reference, &t));
  sky_status st = sky_reference_create(ctx, s->n_class, &s->reference);
  for (size_t row = 0; row < sky_table_rows(t) && st == SKY_OK; row++)
    st = read_units(ctx, s, t, row);
  sky_table_free(t);
  if (st == SKY_OK) sky_reference_finish(&s->reference);
  return st;
}

static sky_status make_areas(sky_context *ctx, sky_sink *s) {
  if (s->fractions.n > 0)
    return sky_sink_fraction_areas(ctx, &s->fractions, &s->opt.pass, &s->zones, &s->areas);
  const sky_areas_options opt = {.maps = s->opt.maps,
                                 .n_map = s->opt.n_date,
                                 .climate = s->opt.climate,
                                 .soil = s->opt.soil_map,
                                 .grid = s->grid,
                                 .legend = &s->legend,
                                 .by_code = s->opt.pools != NULL,
                                 .persistence = s->opt.persistence,
                                 .pass = s->opt.pass};
  return sky_sink_areas(ctx, &opt, &s->zones, s->seen, &s->areas);
}

sky_site_options sky_sink_site_options(const sky_sink *s) {
  return (sky_site_options){.factors = s->opt.factors,
                            .pools = s->opt.pools,
                            .soil = s->opt.soil,
                            .plots = s->opt.plots,
                            .overrides = s->opt.overrides,
                            .tillage = s->opt.tillage,
                            .input = s->opt.input,
                            .grazing = s->opt.grazing,
                            .climate_sets = s->opt.climate_sets,
                            .soil_types = s->opt.soil_types,
                            .legend = &s->legend,
                            .also = s->reference.n_class > 0 ? s->changed : NULL,
                            .allowed = s->opt.allowed,
                            .n_allowed = s->opt.n_allowed};
}

sky_status sky_sink_need_parts(sky_context *ctx, const sky_sink *s, const char *what) {
  size_t i = 0;
  if (!s->totals) return SKY_OK;
  while (!s->sites.site[i].set.totals)
    i++;
  return sky_fail(
      ctx, SKY_E_USAGE,
      "%s: factor set '%s' is of stocks of whole ecosystems: it has no annual uptake, "
      "and no biomass, litter and soil apart (skyflux sink has its table and --compare)",
      what, s->sites.site[i].set.name);
}

static sky_status make_sites(sky_context *ctx, sky_sink *s) {
  const sky_site_options opt = sky_sink_site_options(s);
  SKY_TRY(sky_sites_make(ctx, &s->areas, s->n_zone, &opt, &s->sites));
  s->set = &s->sites.site[0].set;
  for (size_t i = 0; i < s->sites.n; i++)
    s->stocks = s->stocks || s->sites.site[i].set.stocks;
  for (size_t i = 0; i < s->sites.n; i++)
    s->totals = s->totals || s->sites.site[i].set.totals;
  if (s->opt.plots != NULL || sky_local_any(&s->opt.local))
    return sky_sink_need_parts(ctx, s, "plots, biomass, soil carbon and forest ages");
  return SKY_OK;
}

/* The sites of one period, of the zones of the table. */
typedef struct period_sites {
  size_t n;
  sky_tensor *tensor;
  sky_sink_site *site;
} period_sites;

static void period_free(period_sites *p) {
  for (size_t i = 0; i < p->n && p->tensor != NULL; i++)
    sky_tensor_free(&p->tensor[i]);
  sky_free(p->tensor);
  sky_free(p->site);
}

/* period_free it in any case. */
static sky_status period_make(sky_context *ctx, const sky_sink *s, size_t period, period_sites *p) {
  *p = (period_sites){.n = s->sites.n};
  p->tensor = SKY_NEW0(ctx, sky_tensor, p->n);
  p->site = SKY_NEW0(ctx, sky_sink_site, p->n);
  if (p->tensor == NULL || p->site == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n; i++) {
    const sky_site *site = &s->sites.site[i];
    SKY_TRY(sky_tensor_make(ctx, &s->areas, s->sites.of_place, i, period, &p->tensor[i]));
    p->tensor[i].n_zone = s->n_zone;
    p->site[i] = (sky_sink_site){&p->tensor[i], &site->set, site->factor};
  }
  return SKY_OK;
}

static sky_sink_how how_of(const sky_sink *s, double years) {
  return (sky_sink_how){.years = years,
                        .accuracy = s->opt.accuracy,
                        .places = s->opt.places,
                        .correlation = s->opt.correlation,
                        .reference = s->reference.n_class > 0 ? &s->reference : NULL};
}

/* One zone, with what is known of it: views of the tensors of a period, and sites of its own. */
typedef struct zone_sites {
  sky_sites sites;
  sky_tensor *tensor;
  sky_sink_site *site;
} zone_sites;

static void zone_free(zone_sites *v) {
  sky_sites_free(&v->sites);
  sky_free(v->tensor);
  sky_free(v->site);
}

static void zone_look(const zone_sites *v, const period_sites *p, size_t zone) {
  for (size_t i = 0; i < p->n; i++) {
    const sky_tensor *t = &p->tensor[i];
    v->tensor[i] = (sky_tensor){1, t->n_class, t->area + zone * t->n_class * t->n_class,
                                t->nodata + zone, t->inside + zone};
    v->site[i] = (sky_sink_site){&v->tensor[i], &v->sites.site[i].set, v->sites.site[i].factor};
  }
}

/* Places are the same, so its sites are in the order of all sites. zone_free it in any case. */
static sky_status zone_make(sky_context *ctx, const sky_sink *s, size_t zone, zone_sites *v) {
  sky_site_options opt = sky_sink_site_options(s);
  opt.local = &s->local[zone];
  *v = (zone_sites){.tensor = SKY_NEW(ctx, sky_tensor, s->sites.n)};
  v->site = SKY_NEW(ctx, sky_sink_site, s->sites.n);
  if (v->tensor == NULL || v->site == NULL) return SKY_E_NOMEM;
  return sky_sites_make(ctx, &s->areas, s->n_zone, &opt, &v->sites);
}

static sky_status fill_zones(sky_context *ctx, sky_sink *s, const period_sites *p,
                             const sky_sink_how *how, sky_sink_row *out) {
  const size_t step = s->n_class + 1;
  sky_status st = SKY_OK;
  for (size_t z = 0; z < s->n_zone && st == SKY_OK; z++) {
    zone_sites v;
    st = zone_make(ctx, s, z, &v);
    if (st == SKY_OK) {
      zone_look(&v, p, z);
      st = sky_sink_compute(ctx, v.site, p->n, how, out + z * step);
    }
    for (size_t c = 0; c < step && st == SKY_OK; c++)
      out[z * step + c].zone = z;
    zone_free(&v);
  }
  return st;
}

static sky_status change_zones(sky_context *ctx, sky_sink *s, const period_sites *before,
                               const period_sites *now, const sky_sink_how *how) {
  sky_status st = SKY_OK;
  for (size_t z = 0; z < s->n_zone && st == SKY_OK; z++) {
    zone_sites a, b;
    st = zone_make(ctx, s, z, &a);
    const sky_status other = zone_make(ctx, s, z, &b);
    if (st == SKY_OK) st = other;
    if (st == SKY_OK) {
      zone_look(&a, before, z);
      zone_look(&b, now, z);
      st = sky_sink_uptake_change(ctx, a.site, b.site, now->n, how,
                                  s->change + z * (s->n_class + 1));
    }
    zone_free(&a);
    zone_free(&b);
  }
  return st;
}

/* Rows of one period; those of the last stand first. */
static sky_status fill_period(sky_context *ctx, sky_sink *s, size_t period, const period_sites *p) {
  const size_t rows = s->n_zone * (s->n_class + 1);
  const double *years = s->opt.years + period;
  const sky_sink_how how = how_of(s, years[1] - years[0]);
  sky_sink_row *out = s->rows + (s->n_period - 1 - period) * rows;
  SKY_TRY(s->local != NULL ? fill_zones(ctx, s, p, &how, out)
                           : sky_sink_compute(ctx, p->site, p->n, &how, out));
  for (size_t i = 0; i < rows; i++)
    out[i].period = period;
  return SKY_OK;
}

static sky_status fill_periods(sky_context *ctx, sky_sink *s) {
  period_sites now = {0}, before = {0};
  const sky_sink_how how = how_of(s, 1); /* uptake knows no period */
  sky_status st = SKY_OK;
  for (size_t p = 0; p < s->n_period && st == SKY_OK; p++) {
    period_free(&before);
    before = now;
    st = period_make(ctx, s, p, &now);
    if (st == SKY_OK) st = fill_period(ctx, s, p, &now);
  }
  if (st == SKY_OK && s->n_period > 1) {
    s->change = SKY_NEW(ctx, sky_sink_estimate, s->n_zone * (s->n_class + 1));
    st = s->change == NULL ? SKY_E_NOMEM
         : s->local != NULL
             ? change_zones(ctx, s, &before, &now, &how)
             : sky_sink_uptake_change(ctx, before.site, now.site, now.n, &how, s->change);
  }
  period_free(&before);
  period_free(&now);
  return st;
}

/* A zone outside is said in its row; but if all of them are, a crs is wrong more often than not. */
static sky_status some_zone_inside(sky_context *ctx, const sky_sink *s) {
  const sky_grid *g = s->grid;
  for (size_t z = 0; z < s->n_zone; z++)
    if (s->areas.inside[z] > 0) return SKY_OK;
  if (s->n_zone == 0) return SKY_OK;
  const sky_zone *zone = &s->zones.zone[0];
  return sky_fail(
      ctx, SKY_E_NODATA,
      "%s: no zone lies in the maps, which span %.9g to %.9g, %.9g to %.9g in %s; zone '%s' "
      "has a corner at %.9g, %.9g there: the crs of the maps or of the zones is wrong, "
      "or they are of different places",
      sky_raster_path(s->map), g->x_edge[0], g->x_edge[g->nx], g->y_edge[0], g->y_edge[g->ny],
      g->crs, zone->id, zone->ring->x[0], zone->ring->y[0]);
}

sky_status sky_sink_make(sky_context *ctx, sky_sink *s) {
  sky_status st = SKY_OK;
  s->n_class = s->opt.pools != NULL ? s->legend.n : SKY_SINK_CLASSES;
  s->n_period = s->opt.n_date - 1;
  s->n_row = s->n_period * s->n_zone * (s->n_class + 1);
  SKY_GO_ALLOC(s->seen, SKY_NEW0(ctx, bool, s->legend.n));
  SKY_GO_ALLOC(s->shown, SKY_NEW0(ctx, bool, s->n_class));
  SKY_GO_ALLOC(s->changed, SKY_NEW0(ctx, bool, s->n_class));
  SKY_GO_ALLOC(s->area, SKY_NEW(ctx, double, s->n_zone));
  SKY_GO_ALLOC(s->rows, SKY_NEW(ctx, sky_sink_row, s->n_row));
  for (size_t z = 0; z < s->n_zone; z++)
    SKY_GO(sky_zone_area(ctx, &s->zones.zone[z], s->grid, &s->area[z]));
  SKY_GO(make_areas(ctx, s));
  if (s->opt.pass.shard.shards > 0) goto cleanup;
  SKY_GO(some_zone_inside(ctx, s));
  find_classes(s);
  SKY_GO(check_legend(ctx, s));
  if (s->opt.reference != NULL) SKY_GO(read_reference(ctx, s));
  SKY_GO(make_sites(ctx, s));
  if (sky_local_any(&s->opt.local))
    SKY_GO(sky_local_make(ctx, &s->opt.local, s->opt.maps[0], &s->legend, s->grid, &s->zones,
                          s->n_zone, s->shown, s->opt.pass.tile, &s->local));
  SKY_GO(sky_tensor_make(ctx, &s->areas, NULL, 0, s->n_period - 1, &s->tensor));
  SKY_GO(fill_periods(ctx, s));
cleanup:
  return st;
}

/* ---- labels --------------------------------------------------------------------------------- */

bool sky_sink_row_shown(const sky_sink *s, const sky_sink_row *row) {
  const sky_tensor *t = &s->tensor;
  const bool any = t->inside[row->zone] - t->nodata[row->zone] > 0;
  return row->cls == s->n_class || (any && s->shown[row->cls]);
}

const char *sky_sink_row_class(const sky_sink *s, const sky_sink_row *row) {
  return row->cls == s->n_class ? "all" : s->set->cls[row->cls].name;
}

const char *sky_sink_stock_label(const sky_sink *s, const sky_sink_row *row) {
  if (sky_sink_empty(s, row->zone)) return "no data";
  if (!s->stocks) return "no data: the set has no stocks";
  if (row->cls < s->n_class && !s->changed[row->cls]) return "no change of class";
  if (isnan(row->stock.value)) return "no data: a class that changed is not in the published set";
  if (s->fractions.n > 0)
    return "least change that fits the class fractions, not area estimate; map error unknown: "
           "interval from no change to the mapped one";
  if (s->reference.n_class > 0)
    return "area estimate from a reference sample (Olofsson et al. 2014)";
  return isnan(s->opt.accuracy) ? "map difference, not area estimate; map error unknown: interval "
                                  "from no change to the mapped one"
                                : "map difference, not area estimate; interval with map error";
}

const char *sky_sink_uptake_label(const sky_sink *s, const sky_sink_row *row) {
  bool growth = false, net = false;
  if (sky_sink_empty(s, row->zone)) return "no data";
  if (s->totals) return "no data: the set has no annual uptake";
  for (size_t i = 0; i < s->n_class; i++) {
    if (row->cls != s->n_class && row->cls != i) continue;
    for (size_t k = 0; k < s->sites.n; k++) {
      growth |= s->sites.site[k].set.cls[i].pool[SKY_POOL_GROWTH].n > 0;
      net |= s->sites.site[k].set.cls[i].pool[SKY_POOL_NET_FLUX].n > 0;
    }
  }
  if (growth) return "gross growth";
  if (net) return "net coefficient of the literature";
  return s->opt.pools != NULL ? "no gain given" : "no gain at tier 1";
}

double sky_sink_covered(const sky_sink *s, size_t zone) {
  return s->area[zone] > 0 ? s->tensor.inside[zone] / s->area[zone] : 0;
}

bool sky_sink_empty(const sky_sink *s, size_t zone) {
  return !(s->tensor.inside[zone] - s->tensor.nodata[zone] > 0);
}

const char *sky_sink_reason(const sky_sink *s, size_t zone, char out[SKY_SINK_REASON]) {
  const double covered = sky_sink_covered(s, zone);
  if (!(s->tensor.inside[zone] > 0)) return "outside the maps";
  if (sky_sink_empty(s, zone)) return "no class at both dates";
  if (covered >= SKY_ZONE_COMPLETE) return "";
  snprintf(out, SKY_SINK_REASON, "only %.3g %% of the zone lies in the maps", 100 * covered);
  return out;
}

bool sky_sink_no_gain(const sky_sink *s, size_t i) {
  for (size_t k = 0; k < s->sites.n; k++) {
    const sky_sink_pool *p = s->sites.site[k].set.cls[i].pool;
    if (p[SKY_POOL_GROWTH].n + p[SKY_POOL_GROWTH_YOUNG].n + p[SKY_POOL_NET_FLUX].n > 0)
      return false;
  }
  return true;
}
