/* stage_inventory.c: one inventory -> SI flux on the job's mesh, exact totals per zone, mass audit.
 *
 * Gridded files: mass per cell (flux × ellipsoidal area) is carried to the mesh by conservative
 * sums, zone totals are taken on the file's own cells with exact coverage (of curvilinear files on
 * those of the mesh). The 1-sigma of a zone
 * total keeps the spatial correlation of the inventory's own errors: Var = Σ_ij f_i f_j s_i s_j
 * ρ(d_ij). Workbooks: regional totals; the sum of the regions stands beside the zone that `region`
 * names. Tables of activity: job_activity.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/covariance.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/job/correlation.h"
#include "src/job/job_account.h"
#include "src/job/job_flux.h"
#include "src/job/stage.h"
#include "src/read/workbook.h"

#define TG 1e9 /* kg */

typedef struct inventory {
  sky_mesh mesh; /* the job's */
  sky_zones zones;
  sky_coverage *cover; /* on the mesh */
  double *area;        /* [cells] m2 */
  sky_layer layer;
  sky_sectors sectors;              /* of the inversion whose prior it is */
  sky_layer part[SKY_SECTORS_MOST]; /* [sectors.n] */
} inventory;

static void inventory_free(inventory *inv) {
  sky_job_coverage_free(inv->cover, inv->zones.n);
  sky_zones_free(&inv->zones);
  sky_mesh_free(&inv->mesh);
  sky_free(inv->area);
  sky_layer_free(&inv->layer);
  for (size_t l = 0; l < SKY_SECTORS_MOST; l++)
    sky_layer_free(&inv->part[l]);
  sky_sectors_free(&inv->sectors);
}

static sky_status layer_create(sky_context *ctx, const inventory *inv, sky_layer *layer) {
  SKY_TRY(sky_layer_create(ctx, inv->mesh.n_cell, inv->zones.n, layer));
  for (size_t c = 0; c < layer->n_cell; c++)
    layer->flux[c] = NAN;
  return SKY_OK;
}

static sky_status inventory_create(sky_context *ctx, const sky_job *job, const char *id,
                                   inventory *inv) {
  sky_status st = SKY_OK;
  SKY_GO(sky_job_mesh(ctx, job, &inv->mesh));
  SKY_GO(sky_job_zones(ctx, job, &inv->mesh, &inv->zones, &inv->cover));
  const size_t n = inv->mesh.n_cell;
  SKY_GO_ALLOC(inv->area, SKY_NEW(ctx, double, n));
  SKY_GO(sky_mesh_areas(ctx, &inv->mesh, inv->area));
  SKY_GO(layer_create(ctx, inv, &inv->layer));
  SKY_GO(sky_sectors_open(ctx, job, id, &inv->sectors));
  for (size_t l = 0; l < inv->sectors.n; l++)
    SKY_GO(layer_create(ctx, inv, &inv->part[l]));
cleanup:
  return st;
}

/* The file's flux on the job's mesh, and the audit in kg. */
static sky_status flux_to_grid(sky_context *ctx, const sky_flux *f, double kg, inventory *inv,
                               sky_facts *facts, const char *id) {
  sky_audit audit;
  SKY_TRY(sky_job_flux_to_mesh(ctx, id, f, &inv->mesh, inv->layer.flux, inv->layer.valid, &audit));
  sky_fact(facts, "audit", id,
           "%.6g Tg/yr in the file, %.6g in the grid, %.6g outside, residual %.1e of the total; "
           "%.0f cells without data",
           audit.in * kg / TG, audit.out * kg / TG, audit.outside * kg / TG,
           audit.in != 0.0 ? fabs(audit.residual / audit.in) : fabs(audit.residual), audit.nodata);
  sky_fact_number(facts, "in_kg_yr", audit.in * kg);
  sky_fact_number(facts, "grid_kg_yr", audit.out * kg);
  sky_fact_number(facts, "outside_kg_yr", audit.outside * kg);
  sky_fact_number(facts, "residual_kg_yr", audit.residual * kg);
  return SKY_OK;
}

/* Total of one zone over the cells it covers; valid: share of a cell with data, NULL = all. */
static void zone_total(const sky_coverage *cover, const double *flux, const double *cell_area,
                       const double *valid, double kg, size_t z, sky_layer *layer) {
  sky_acc mass = {0}, area = {0};
  for (size_t k = 0; k < cover->n; k++) {
    const size_t c = cover->cell[k];
    if (isnan(flux[c])) continue;
    const double inside = cover->fraction[k] * cell_area[c];
    sky_acc_add(&mass, flux[c] * inside * kg);
    sky_acc_add(&area, valid != NULL ? inside * valid[c] : inside);
  }
  if (sky_acc_value(&area) > 0.0) {
    layer->zone_total[z] = sky_acc_value(&mass);
    layer->zone_covered[z] = fmin(1.0, sky_acc_value(&area) / cover->area_zone);
  }
}

static void zone_totals_on_mesh(double kg, const inventory *inv, sky_layer *layer) {
  for (size_t z = 0; z < inv->zones.n; z++)
    zone_total(&inv->cover[z], layer->flux, inv->area, layer->valid, kg, z, layer);
}

/* On the file's own cells, the rings in its system; of a curvilinear file on those of the mesh. */
static sky_status zone_totals(sky_context *ctx, const sky_job *job, const sky_flux *f, double kg,
                              const inventory *inv, sky_layer *layer) {
  const bool same = sky_grid_same_system(&f->grid, &inv->mesh.patch[0]);
  sky_zones there = {0};
  sky_status st = SKY_OK;
  if (f->cells.nx > 0) {
    zone_totals_on_mesh(kg, inv, layer);
    return SKY_OK;
  }
  if (!same) SKY_GO(sky_job_zones_for(ctx, job, &f->grid, &there));
  const sky_zones *zones = same ? &inv->zones : &there;
  for (size_t z = 0; z < zones->n; z++) {
    sky_coverage cover = {0};
    SKY_GO(sky_zone_coverage(ctx, &zones->zone[z], &f->grid, &cover));
    zone_total(&cover, f->flux, f->area, NULL, kg, z, layer);
    sky_coverage_free(&cover);
  }
cleanup:
  sky_zones_free(&there);
  return st;
}

/* 1-sigma of each zone total from the inventory's own error model. */
static sky_status zone_uncertainty(sky_context *ctx, const sky_job *job, const sky_node *node,
                                   double kg, inventory *inv) {
  const double sigma = sky_node_number(node, "uncertainty.sigma");
  const double floor_flux = sky_node_number(node, "uncertainty.floor");
  const double length = sky_node_number(node, "uncertainty.length");
  sky_correlation model;
  if (isnan(sigma)) return SKY_OK;
  SKY_TRY(sky_job_correlation(ctx, sky_node_get(node, "uncertainty"), &model));
  for (size_t z = 0; z < inv->zones.n; z++) {
    const sky_coverage *cover = &inv->cover[z];
    /* The error model lives on the mesh: no statement for a zone that is not all in it. */
    if (isnan(inv->layer.zone_total[z]) || cover->area_in < SKY_ZONE_COMPLETE * cover->area_zone)
      continue;
    if (cover->n > SKY_DENSE_CELL_LIMIT)
      return sky_fail(
          ctx, SKY_E_SIZE,
          "%s: zone '%s' has %zu grid cells; correlated inventory errors are limited to "
          "%d cells a zone",
          sky_jobfile_path(job->file), inv->zones.zone[z].id, cover->n, SKY_DENSE_CELL_LIMIT);
    double *s = SKY_NEW(ctx, double, cover->n);
    if (s == NULL) return SKY_E_NOMEM;
    for (size_t k = 0; k < cover->n; k++) {
      const size_t c = cover->cell[k];
      const double relative = isnan(inv->layer.flux[c]) ? 0.0 : sigma * inv->layer.flux[c];
      const double least = isnan(floor_flux) ? 0.0 : floor_flux;
      s[k] = sqrt(relative * relative + least * least) * inv->area[c] * cover->fraction[k] * kg;
    }
    sky_acc var = {0};
    for (size_t i = 0; i < cover->n; i++)
      for (size_t j = 0; j < cover->n; j++)
        sky_acc_add(
            &var,
            s[i] * s[j] *
                sky_correlation_value(
                    model, sky_mesh_distance(&inv->mesh, cover->cell[i], cover->cell[j]), length));
    inv->layer.zone_sd[z] = sqrt(sky_acc_value(&var));
    sky_free(s);
  }
  return SKY_OK;
}

static void record_flux(sky_facts *facts, const char *id, const sky_node *node, const sky_flux *f,
                        bool other_time) {
  const double independent = sky_node_number(node, "total");
  const double stated = isnan(independent) ? f->stated_total : independent;
  char when[24];
  char cells[128];
  if (f->cells.nx > 0)
    snprintf(cells, sizeof cells,
             "%zu by %zu cells of a curvilinear grid, zone totals on the cells of the job's grid",
             f->cells.nx, f->cells.ny);
  else
    snprintf(cells, sizeof cells, "cells %.4g by %.4g %s", sky_grid_dx(&f->grid),
             sky_grid_dy(&f->grid), f->grid.geographic ? "degrees" : "m");
  sky_time_format(f->time_start, when, sizeof when);
  sky_fact(facts, "sources", id, "%s%s%s, %zu variable%s, %s%s%.10s", f->title,
           f->title[0] != '\0' ? "; " : "", f->units, f->n_sectors, f->n_sectors == 1 ? "" : "s",
           cells, when[0] != '\0' ? ", from " : "", when);
  const int year = (int)sky_node_integer(node, "year", 0);
  if (year > 0) sky_fact(facts, "sources", id, "emissions of the year %d", year);
  sky_fact(
      facts, "sources", id,
      "totals per year are the mean flux of the time steps used, times one year (365.2425 days)");
  if (other_time)
    sky_fact(facts, "sources", id,
             "no time step falls into the job's period: the mean of %zu steps from %.10s is used",
             f->n_times, when);
  if (!isnan(stated))
    sky_fact(facts, "audit", id, "independent total %.6g Tg/yr, read %.6g Tg/yr (%+.2f %%)",
             stated / TG, f->total / TG, 100.0 * (f->total / stated - 1.0));
  sky_fact_number(facts, "total_kg_yr", f->total);
  sky_fact_number(facts, "independent_total_kg_yr", stated);
}

/* What each sector takes of the file, as layers of their own. */
static sky_status read_sectors(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                               double kg, const sky_flux *f, inventory *inv, sky_facts *facts) {
  const size_t n = sky_grid_cells(&f->grid);
  sky_flux one = *f;
  sky_audit audit;
  sky_status st = SKY_OK;
  if (inv->sectors.n == 0) return SKY_OK;
  one.flux = NULL;
  SKY_GO_ALLOC(one.flux, SKY_NEW(ctx, double, n));
  for (size_t l = 0; l < inv->sectors.n; l++) {
    sky_layer *layer = &inv->part[l];
    SKY_GO(sky_job_flux_sector(ctx, job, stage->id, f, &inv->sectors, l, one.flux));
    SKY_GO(
        sky_job_flux_to_mesh(ctx, stage->id, &one, &inv->mesh, layer->flux, layer->valid, &audit));
    SKY_GO(zone_totals(ctx, job, &one, kg, inv, layer));
    sky_fact(facts, "sources", stage->id, "sector %s: %.6g Tg/yr in the file, %.6g in the grid",
             inv->sectors.name[l], audit.in * kg / TG, audit.out * kg / TG);
  }
cleanup:
  sky_free(one.flux);
  return st;
}

static sky_status read_gridded(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                               const sky_node *node, inventory *inv, sky_facts *facts) {
  sky_flux f = {0};
  bool other_time;
  const double kg = sky_species_find(stage->gas)->molar_mass * SKY_SECONDS_PER_YEAR;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_flux(ctx, job, stage->id, &f, &other_time));
  SKY_GO(flux_to_grid(ctx, &f, kg, inv, facts, stage->id));
  SKY_GO(zone_totals(ctx, job, &f, kg, inv, &inv->layer));
  SKY_GO(zone_uncertainty(ctx, job, node, kg, inv));
  record_flux(facts, stage->id, node, &f, other_time);
  SKY_GO(read_sectors(ctx, job, stage, kg, &f, inv, facts));
cleanup:
  sky_flux_free(&f);
  return st;
}

static sky_status read_workbook(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                const sky_node *node, inventory *inv, sky_facts *facts) {
  const char *region = sky_node_text(node, "region");
  const int year = (int)sky_node_integer(node, "year", 0);
  sky_workbook book = {0};
  sky_acc scope1 = {0}, stated = {0};
  bool found = false;
  char key[160];
  sky_status st = SKY_OK;
  SKY_GO(sky_workbook_read(ctx, sky_node_text(node, "file"), year, &book));
  for (size_t i = 0; i < book.n; i++) {
    sky_acc_add(&scope1, book.item[i].scope1);
    sky_acc_add(&stated, book.item[i].stated_total);
    snprintf(key, sizeof key, "%s %d", book.item[i].region, book.item[i].year);
    sky_fact(facts, "Bottom-up regions", stage->id, "%s: %.2f Mt/yr CO2 in scope 1", key,
             book.item[i].scope1 / TG);
    sky_fact_number(facts, key, book.item[i].scope1);
  }
  sky_fact(facts, "sources", stage->id, "workbook %s, %zu regions, unit %s", book.format, book.n,
           book.unit);
  const double book_total = sky_acc_value(&stated);
  if (isnan(book_total))
    sky_fact(facts, "audit", stage->id, "sum over regions %.2f Mt/yr; the workbook states no total",
             sky_acc_value(&scope1) / TG);
  else
    sky_fact(facts, "audit", stage->id,
             "sum over regions %.2f Mt/yr from sectors and fuels, %.2f as the workbook states",
             sky_acc_value(&scope1) / TG, book_total / TG);
  sky_fact_number(facts, "total_kg_yr", sky_acc_value(&scope1));
  sky_fact_number(facts, "independent_total_kg_yr", book_total);
  sky_fact_number(facts, "regions", (double)book.n);
  for (size_t z = 0; region != NULL && z < inv->zones.n; z++) {
    if (strcmp(inv->zones.zone[z].id, region) != 0) continue;
    inv->layer.zone_total[z] = sky_acc_value(&scope1);
    inv->layer.zone_covered[z] = 1.0;
    found = true;
  }
  if (region != NULL && !found) {
    char *where = sky_node_where(ctx, job->file, node);
    st = sky_fail(ctx, SKY_E_JOB, "%sregion: no zone has the id '%s'", where != NULL ? where : "",
                  region);
    sky_free(where);
  }
cleanup:
  sky_workbook_free(&book);
  return st;
}

/* stages/inventory-ID.nc, and inventory-ID+SECTOR.nc of every sector. */
static sky_status write_layers(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                               const inventory *inv) {
  char *path = NULL, **tags = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  for (size_t l = 0; l <= inv->sectors.n; l++) {
    SKY_GO_ALLOC(path, sky_job_path(ctx, job, stage->outputs[1 + l]));
    SKY_GO(sky_layer_write(ctx, path, l == 0 ? &inv->layer : &inv->part[l - 1], tags));
    sky_free(path);
    path = NULL;
  }
cleanup:
  sky_tags_free(tags);
  sky_free(path);
  return st;
}

sky_status sky_stage_inventory(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  const sky_node *node = sky_job_find(job, "inventories", "id", stage->id);
  const sky_inventory_format format = sky_job_inventory_format(node);
  inventory inv = {0};
  sky_facts facts = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(inventory_create(ctx, job, stage->id, &inv));
  if (format == SKY_INVENTORY_WORKBOOK)
    SKY_GO(read_workbook(ctx, job, stage, node, &inv, &facts));
  else if (format == SKY_INVENTORY_ACTIVITY)
    SKY_GO(sky_job_activity(ctx, job, stage->id,
                            &(sky_activity_place){&inv.mesh, inv.area, &inv.zones, inv.cover},
                            &inv.sectors, &inv.layer, inv.part, &facts));
  else
    SKY_GO(read_gridded(ctx, job, stage, node, &inv, &facts));
  SKY_GO(write_layers(ctx, job, stage, &inv));
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_facts_free(&facts);
  inventory_free(&inv);
  return st;
}
