/* stage_sink.c: one sink of the job: table per zone (sink-ID.csv), facts for the report, and the
 * NEE layer on the job's mesh (stages/sink-ID.nc).
 *
 * One pass over the maps gives the area tensor of the zones and, if the sink has a layer, of every
 * mesh cell: both in the maps' own system, pixels as they are, so that a zone made of cells has the
 * sum of its cells.
 *
 *     cell flux = CO2 uptake of the cell (kg yr-1) / (molar mass × seconds of a year × cell area)
 *
 * mol m-2 s-1, to the atmosphere positive. zone_total is the zone's own row (the polygon's exact
 * cut), NaN for a zone that lies in the maps in part; zone_sd is that of the layer's covariance,
 * wᵀQw, which an inversion starts from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/sink/cells.h"
#include "grids/mesh.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/text.h"
#include "src/job/facts.h"
#include "src/job/layer.h"
#include "src/job/sink_entry.h"
#include "src/job/sink_flux.h"
#include "src/job/stage.h"
#include "src/read/flux.h"
#include "src/write/crs.h"

#define AUDIT_TOLERANCE 1e-12
#define STEP_METRES 1000.0 /* pieces of cell edges that are moved to another system */
#define STEP_DEGREES 0.01
#define HECTARE 1e4

typedef struct work {
  const sky_job *job;
  const sky_node *node;
  sky_sink_entry entry;
  sky_sink sink;
  sky_mesh mesh;
  double *area; /* [cells] m2 */
  sky_sink_cells cells;
  sky_layer layer;
  sky_facts facts;
} work;

static void work_free(work *w) {
  sky_sink_entry_free(&w->entry);
  sky_sink_close(&w->sink);
  sky_mesh_free(&w->mesh);
  sky_free(w->area);
  sky_sink_cells_free(&w->cells);
  sky_layer_free(&w->layer);
  sky_facts_free(&w->facts);
}

/* ---- zones and cells in the system of the maps ---------------------------------------------- */

/* Moves the vertices of zones first..n-1 from the mesh's system to the maps'. */
static sky_status move_to_maps(sky_context *ctx, work *w, size_t first) {
  sky_crs *from = NULL, *to = NULL;
  sky_status st = SKY_OK;
  const bool geographic = w->sink.grid->geographic;
  SKY_GO(sky_crs_create(ctx, w->mesh.patch[0].crs, &from));
  SKY_GO(sky_crs_create(ctx, w->sink.grid->crs, &to));
  for (size_t z = first; z < w->sink.zones.n; z++) {
    sky_ring *r = w->sink.zones.zone[z].ring;
    if (!w->mesh.patch[0].geographic) SKY_GO(sky_crs_to_lonlat(ctx, from, r->n, r->x, r->y));
    if (!geographic) sky_crs_from_lonlat(to, r->n, r->x, r->y);
    w->sink.zones.zone[z].geographic = geographic;
  }
cleanup:
  sky_crs_free(from);
  sky_crs_free(to);
  return st;
}

/* The cells of the mesh, behind the zones of the table. */
static sky_status add_cells(sky_context *ctx, work *w) {
  const sky_grid *map = w->sink.grid, *base = &w->mesh.patch[0];
  const bool same = (map->geographic && base->geographic) || (strcmp(map->crs, base->crs) == 0);
  const double step = same ? INFINITY : base->geographic ? STEP_DEGREES : STEP_METRES;
  SKY_TRY(sky_mesh_outlines(ctx, &w->mesh, step, &w->sink.zones));
  return same ? SKY_OK : move_to_maps(ctx, w, w->sink.n_zone);
}

static sky_status run_sink(sky_context *ctx, work *w) {
  SKY_TRY(sky_sink_entry_read(ctx, w->job, w->node, &w->entry));
  SKY_TRY(sky_sink_open(ctx, &w->entry.opt, &w->sink));
  SKY_TRY(sky_job_zones_in(ctx, w->job, w->sink.grid, &w->sink.zones));
  w->sink.n_zone = w->sink.zones.n;
  if (sky_sink_entry_has_layer(w->node)) {
    SKY_TRY(sky_job_mesh(ctx, w->job, &w->mesh));
    SKY_TRY(add_cells(ctx, w));
  }
  return sky_sink_make(ctx, &w->sink);
}

/* ---- the layer ------------------------------------------------------------------------------ */

/* The cells' part of a tensor of all zones; owns nothing. */
static sky_tensor of_cells(const work *w, const sky_tensor *all) {
  sky_tensor t = *all;
  t.area += w->sink.n_zone * t.n_class * t.n_class;
  t.nodata += w->sink.n_zone;
  t.inside += w->sink.n_zone;
  t.n_zone = w->mesh.n_cell;
  return t;
}

/* Uptake of the cells and its error, over all sites. */
static sky_status make_cells(sky_context *ctx, work *w) {
  const sky_sink *s = &w->sink;
  const sky_sites *sites = &s->sites;
  const sky_sink_how how = {.accuracy = s->opt.accuracy, .correlation = s->opt.correlation};
  sky_tensor *all = SKY_NEW0(ctx, sky_tensor, sites->n);
  sky_tensor *cells = SKY_NEW0(ctx, sky_tensor, sites->n); /* views of all */
  sky_sink_site *site = SKY_NEW0(ctx, sky_sink_site, sites->n);
  sky_status st = all == NULL || cells == NULL || site == NULL ? SKY_E_NOMEM : SKY_OK;
  for (size_t i = 0; i < sites->n && st == SKY_OK; i++) {
    st = sky_tensor_make(ctx, &s->areas, sites->of_place, i, s->n_period - 1, &all[i]);
    if (st != SKY_OK) break;
    cells[i] = of_cells(w, &all[i]);
    site[i] = (sky_sink_site){&cells[i], &sites->site[i].set, sites->site[i].factor};
  }
  if (st == SKY_OK)
    st = sky_sink_cells_make(ctx, site, sites->n, &how, sky_node_number(w->node, "cell_sd"),
                             &w->cells);
  for (size_t i = 0; i < sites->n && all != NULL; i++)
    sky_tensor_free(&all[i]);
  sky_free(all);
  sky_free(cells);
  sky_free(site);
  return st;
}

/* The cells hold what the mesh's box holds, no more and no less. */
static sky_status audit_cells(sky_context *ctx, work *w, const sky_tensor *t, const char *id) {
  const size_t box = w->sink.n_zone + w->mesh.n_cell;
  const sky_acc nothing = {0, 0};
  sky_acc nodata = nothing;
  for (size_t c = 0; c < t->n_zone; c++)
    sky_acc_add(&nodata, t->nodata[c]);
  sky_audit a = {.in = w->sink.tensor.inside[box],
                 .gross = w->sink.tensor.inside[box],
                 .out = sky_sum(t->inside, t->n_zone)};
  a.residual = a.in - a.out;
  if (a.in == 0.0)
    return sky_fail(ctx, SKY_E_COVERAGE,
                    "%s: the maps (%.9g to %.9g, %.9g to %.9g; %s) lie outside the job's grid",
                    sky_raster_path(w->sink.map), w->sink.grid->x_edge[0],
                    w->sink.grid->x_edge[w->sink.grid->nx], w->sink.grid->y_edge[0],
                    w->sink.grid->y_edge[w->sink.grid->ny], w->sink.grid->crs);
  sky_fact(&w->facts, "audit", id,
           "%.9g ha of land cover in the grid, %.9g ha in its cells, residual %.1e of it; %.6g ha "
           "without a class at both dates",
           a.in / HECTARE, a.out / HECTARE, a.in > 0 ? fabs(a.residual) / a.in : 0,
           sky_acc_value(&nodata) / HECTARE);
  return sky_audit_check(ctx, id, "m2", &a, AUDIT_TOLERANCE);
}

/* kg C yr-1 of a cell -> mol CO2 m-2 s-1; and its reverse for CO2 below. */
static double flux_of(const work *w, size_t cell) {
  const double kg = sky_species_find("co2")->molar_mass * SKY_SECONDS_PER_YEAR;
  return SKY_CO2_PER_C / (kg * w->area[cell]);
}

static sky_status fill_cells(sky_context *ctx, work *w, const char *id) {
  const sky_tensor t = of_cells(w, &w->sink.tensor);
  sky_layer *l = &w->layer;
  SKY_TRY(audit_cells(ctx, w, &t, id));
  SKY_TRY(make_cells(ctx, w));
  const size_t n = l->n_cell;
  l->rank = w->cells.rank;
  l->factor = SKY_NEW(ctx, double, l->rank *n);
  l->sign = SKY_NEW(ctx, double, l->rank);
  l->variance = SKY_NEW(ctx, double, n);
  if (l->factor == NULL || l->sign == NULL || l->variance == NULL) return SKY_E_NOMEM;
  for (size_t c = 0; c < n; c++) {
    const double to_flux = flux_of(w, c), classed = t.inside[c] - t.nodata[c];
    l->valid[c] = fmin(1, fmax(0, classed) / w->area[c]);
    l->flux[c] = classed > 0 ? w->cells.uptake[c] * to_flux : NAN;
    l->variance[c] = w->cells.variance[c] * to_flux * to_flux;
    for (size_t k = 0; k < l->rank; k++)
      l->factor[k * n + c] = w->cells.factor[k * n + c] * to_flux;
  }
  for (size_t k = 0; k < l->rank; k++)
    l->sign[k] = 1;
  return SKY_OK;
}

static sky_status fill_zones(sky_context *ctx, work *w) {
  const sky_sink *s = &w->sink;
  const double kg = sky_species_find("co2")->molar_mass * SKY_SECONDS_PER_YEAR;
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  char reason[SKY_SINK_REASON];
  SKY_TRY(sky_job_zones(ctx, w->job, &w->mesh, &zones, &cover));
  for (size_t z = 0; z < s->n_zone; z++) {
    if (sky_sink_empty(s, z)) continue;
    w->layer.zone_covered[z] = fmin(1, (s->tensor.inside[z] - s->tensor.nodata[z]) / s->area[z]);
    if (*sky_sink_reason(s, z, reason) != '\0') continue; /* a part is not the zone's sink */
    w->layer.zone_total[z] =
        s->rows[z * (s->n_class + 1) + s->n_class].uptake.value * SKY_CO2_PER_C;
    /* The layer says nothing about a zone that is not all in it. */
    if (cover[z].area_in >= SKY_ZONE_COMPLETE * cover[z].area_zone)
      w->layer.zone_sd[z] = sky_layer_zone_sd(&w->layer, w->area, &cover[z], kg);
  }
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  return SKY_OK;
}

static sky_status make_layer(sky_context *ctx, work *w, const char *id) {
  SKY_TRY(sky_layer_create(ctx, w->mesh.n_cell, w->sink.n_zone, &w->layer));
  w->area = SKY_NEW(ctx, double, w->mesh.n_cell);
  if (w->area == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_mesh_areas(ctx, &w->mesh, w->area));
  SKY_TRY(fill_cells(ctx, w, id));
  return fill_zones(ctx, w);
}

/* ---- facts ---------------------------------------------------------------------------------- */

/* Three digits, without an exponent. */
static const char *plain(double v, char out[32]) {
  const double scale = v == 0 ? 1 : pow(10, fmax(0, floor(log10(fabs(v))) - 2));
  if (fabs(v) < 100)
    snprintf(out, 32, "%.3g", v);
  else
    snprintf(out, 32, "%.0f", scale * nearbyint(v / scale));
  return out;
}

/* "no uptake is counted for 12 ha of cropland, 3 ha of wetland" */
static void put_zero_classes(const sky_sink *s, size_t zone, sky_text *t) {
  char area[32];
  bool first = true;
  for (size_t i = 0; i < s->n_class; i++) {
    const sky_sink_row *row = &s->rows[zone * (s->n_class + 1) + i];
    if (!sky_sink_no_gain(s, i) || !(row->area[1] > 0)) continue;
    sky_text_printf(t, "%s%s ha of %s", first ? " Counted as zero by the method: " : ", ",
                    plain(row->area[1] / HECTARE, area), s->set->cls[i].name);
    first = false;
  }
  if (!first) sky_text_put(t, ".");
}

static void put_zone(const sky_sink *s, size_t zone, sky_text *t) {
  const sky_sink_row *row = &s->rows[zone * (s->n_class + 1) + s->n_class];
  double v[SKY_SINK_NUMBERS];
  char a[32], b[32], c[32];
  char text[SKY_SINK_REASON];
  const char *reason = sky_sink_reason(s, zone, text);
  if (sky_sink_empty(s, zone)) {
    sky_text_printf(t, "no statement: %s", reason);
    return;
  }
  if (*reason != '\0') sky_text_printf(t, "%s, and that part alone has: ", reason);
  sky_sink_numbers(s, row, v);
  sky_text_printf(t, "uptake %s t CO2 a year (95 %% range %s to %s; %s).",
                  plain(v[SKY_SINK_REMOVAL] * SKY_CO2_PER_C, a),
                  plain(v[SKY_SINK_REMOVAL_LOW] * SKY_CO2_PER_C, b),
                  plain(v[SKY_SINK_REMOVAL_HIGH] * SKY_CO2_PER_C, c),
                  sky_sink_uptake_label(s, row));
  if (s->stocks)
    sky_text_printf(
        t,
        " Stock change %.15g to %.15g: %s t C (95 %% range %s to %s; positive = the land "
        "gained carbon; %s).",
        s->opt.years[s->n_period - 1], s->opt.years[s->n_period],
        plain(v[SKY_SINK_STOCK_CHANGE], a), plain(v[SKY_SINK_STOCK_LOW], b),
        plain(v[SKY_SINK_STOCK_HIGH], c), sky_sink_stock_label(s, row));
  put_zero_classes(s, zone, t);
}

static sky_status zone_facts(sky_context *ctx, work *w) {
  const sky_sink *s = &w->sink;
  for (size_t z = 0; z < s->n_zone; z++) {
    const sky_zone *zone = &s->zones.zone[z];
    sky_text t = {.ctx = ctx};
    char why[SKY_SINK_REASON];
    if (zone->role != SKY_ZONE_REPORT) continue;
    put_zone(s, z, &t);
    char *text = sky_text_take(&t);
    if (text == NULL) return SKY_E_NOMEM;
    sky_fact(&w->facts, "Sinks", zone->name, "%s", text);
    sky_free(text);
    const char *reason = sky_sink_reason(s, z, why);
    if (*reason != '\0') sky_fact(&w->facts, "warnings", zone->name, "no sink: %s", reason);
  }
  return SKY_OK;
}

/* What the numbers are, and what they leave out. */
static void method_facts(work *w, const char *id) {
  const sky_sink *s = &w->sink;
  sky_fact(
      &w->facts, "Sinks", "what is counted",
      "uptake is the growth of land as the second map shows it; two maps hold no harvest, fire "
      "or decay, so gross growth is more than the net sink. Stock change is another view of "
      "the same land, not to be added to the uptake.%s",
      isnan(s->opt.accuracy)
          ? " The accuracy of the maps is not stated, so their mistakes are not in the standard "
            "deviations; the intervals reach from no change of class to the mapped one."
          : "");
  for (size_t i = 0; i < s->n_class; i++) {
    const sky_sink_class *cls = &s->set->cls[i];
    if (!s->shown[i] || *cls->note == '\0') continue;
    if (s->opt.pools != NULL && !sky_sink_no_gain(s, i)) continue;
    sky_fact(&w->facts, "Sinks", sky_sink_no_gain(s, i) ? "counted as zero" : "left out", "%s: %s",
             cls->name, cls->note);
  }
  const sky_sink_options *o = &s->opt;
  sky_fact(&w->facts, "sources", id,
           "land cover of %.15g and %.15g, cells %.4g by %.4g %s, legend %s, %s %s%s%s",
           o->years[s->n_period - 1], o->years[s->n_period], sky_grid_dx(s->grid),
           sky_grid_dy(s->grid), s->grid->geographic ? "degrees" : "m", s->legend.name,
           o->pools != NULL ? "pools" : "factors", o->climate != NULL ? "by climate" : s->set->name,
           o->soil != NULL || o->soil_map != NULL ? ", soil " : ", soil carbon not computed",
           o->soil != NULL       ? o->soil
           : o->soil_map != NULL ? "by map"
                                 : "");
}

/* What the job says itself, in the place of factor rows. */
static void own_facts(work *w, const char *id) {
  const sky_sink *s = &w->sink;
  const sky_local_options *l = &s->opt.local;
  for (size_t i = 0; i < s->sites.n_factor; i++) {
    const sky_sink_factor *f = s->sites.factor[i];
    if (f->own)
      sky_fact(&w->facts, "sources", id, "%.6g ± %.4g %s (%s) is the job's own, from %s", f->value,
               f->sd, f->unit, f->key, f->source);
  }
  if (l->biomass != NULL)
    sky_fact(&w->facts, "sources", id, "above-ground biomass of each zone from %s, sd %s",
             sky_file_base(l->biomass), sky_file_base(l->biomass_sd));
  if (l->soil != NULL)
    sky_fact(&w->facts, "sources", id, "soil carbon of each zone from %s, sd %s",
             sky_file_base(l->soil), sky_file_base(l->soil_sd));
  if (l->ages != NULL)
    sky_fact(&w->facts, "sources", id, "ages of each zone's forest from %s",
             sky_file_base(l->ages));
}

/* Rows that nobody checked, used because the job allows them. */
static void warn_unverified(work *w, const char *id) {
  const sky_sink *s = &w->sink;
  for (size_t i = 0; i < s->sites.n_factor; i++) {
    const sky_sink_factor *f = s->sites.factor[i];
    if (!f->verified)
      sky_fact(&w->facts, "warnings", id,
               "%.6g %s (%s) was never checked against its document; the job allows it", f->value,
               f->unit, f->key);
  }
  for (size_t i = 0; i < s->legend.n; i++)
    if (s->seen[i] && !s->legend.row[i].verified)
      sky_fact(&w->facts, "warnings", id,
               "class %d (%s) of legend %s was never checked; the job allows it",
               (int)s->legend.row[i].low, s->legend.row[i].name, s->legend.name);
}

static sky_status write_layer(sky_context *ctx, const work *w, const sky_stage *stage) {
  char *path = NULL, **tags = NULL, *name = sky_sprintf(ctx, "sink-%s.nc", stage->id);
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(path, name != NULL ? sky_job_stage_path(ctx, w->job, name) : NULL);
  SKY_GO(sky_job_tags(ctx, w->job, stage, &tags));
  SKY_GO(sky_layer_write(ctx, path, &w->layer, tags));
cleanup:
  sky_tags_free(tags);
  sky_free(path);
  sky_free(name);
  return st;
}

static sky_status from_maps(sky_context *ctx, work *w, const sky_stage *stage) {
  SKY_TRY(run_sink(ctx, w));
  SKY_TRY(sky_sink_need_parts(ctx, &w->sink, "sinks[].factors"));
  if (sky_sink_entry_has_layer(w->node)) SKY_TRY(make_layer(ctx, w, stage->id));
  SKY_TRY(zone_facts(ctx, w));
  method_facts(w, stage->id);
  own_facts(w, stage->id);
  warn_unverified(w, stage->id);
  return sky_sink_entry_write(ctx, w->job, w->node, &w->sink);
}

sky_status sky_stage_sink(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  work w = {.job = job, .node = sky_job_find(job, "sinks", "id", stage->id)};
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_create(ctx, &w.facts));
  if (sky_sink_entry_is_flux(w.node))
    SKY_GO(sky_sink_flux_layer(ctx, job, stage->id, &w.facts, &w.layer));
  else
    SKY_GO(from_maps(ctx, &w, stage));
  if (sky_sink_entry_has_layer(w.node)) SKY_GO(write_layer(ctx, &w, stage));
  SKY_GO(sky_facts_write(&w.facts, job, stage->name));
cleanup:
  work_free(&w);
  return st;
}
