/* sink_flux.c: see sink_flux.h. */
#include "src/job/sink_flux.h"

#include <math.h>
#include <stdio.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/job/job_flux.h"

#define TONNE 1e3
#define RANGE_95 1.96

typedef struct work {
  const sky_job *job;
  const sky_node *node;
  const char *id;
  sky_mesh mesh;
  sky_zones zones;
  sky_coverage *cover;
  double *area; /* [cells] m2 */
  double kg;    /* kg yr-1 of 1 mol s-1 */
} work;

static void work_free(work *w) {
  sky_job_coverage_free(w->cover, w->zones.n);
  sky_zones_free(&w->zones);
  sky_mesh_free(&w->mesh);
  sky_free(w->area);
}

/* The file's mean flux on the mesh. */
static sky_status fill_flux(sky_context *ctx, work *w, sky_facts *facts, sky_layer *l) {
  sky_flux f = {0};
  sky_audit audit;
  bool other_time;
  char when[24];
  sky_status st = SKY_OK;
  SKY_GO(sky_job_sink_flux(ctx, w->job, w->id, &f, &other_time));
  SKY_GO(sky_job_flux_to_mesh(ctx, w->id, &f, &w->mesh, l->flux, l->valid, &audit));
  sky_time_format(f.time_start, when, sizeof when);
  sky_fact(facts, "audit", w->id,
           "%.6g t CO2 a year in the file, %.6g in the grid, %.6g outside, residual %.1e of the "
           "total; %.0f cells without data",
           audit.in * w->kg / TONNE, audit.out * w->kg / TONNE, audit.outside * w->kg / TONNE,
           audit.in != 0 ? fabs(audit.residual / audit.in) : fabs(audit.residual), audit.nodata);
  sky_fact(facts, "sources", w->id, "%s%s%s, mean of %zu time step%s%s%.10s", f.title,
           f.title[0] != '\0' ? "; " : "", f.units, f.n_times, f.n_times == 1 ? "" : "s",
           when[0] != '\0' ? " from " : "", when);
  if (other_time)
    sky_fact(facts, "warnings", w->id,
             "no time step of %s falls into the job's period: the mean of all its %zu steps stands "
             "for it",
             sky_node_text(w->node, "flux"), f.n_times);
cleanup:
  sky_flux_free(&f);
  return st;
}

static sky_status fill_errors(sky_context *ctx, const work *w, sky_layer *l) {
  const double sigma = sky_node_number(w->node, "sigma");
  const double own = sky_node_number(w->node, "cell_sd");
  const double least = sky_node_number(w->node, "floor");
  l->rank = 1;
  l->factor = SKY_NEW(ctx, double, l->n_cell);
  l->sign = SKY_NEW(ctx, double, 1);
  l->variance = SKY_NEW(ctx, double, l->n_cell);
  if (l->factor == NULL || l->sign == NULL || l->variance == NULL) return SKY_E_NOMEM;
  l->sign[0] = 1;
  for (size_t c = 0; c < l->n_cell; c++) {
    const bool there = !isnan(l->flux[c]);
    const double flux = there ? l->flux[c] : 0;
    l->factor[c] = sigma * flux;
    l->variance[c] = there ? own * flux * own * flux + least * least : 0;
  }
  return SKY_OK;
}

/* Sum over the cells; a part of a zone is not the zone's. */
static void fill_zone(const work *w, size_t z, sky_facts *facts, sky_layer *l) {
  const sky_coverage *cover = &w->cover[z];
  const sky_zone *zone = &w->zones.zone[z];
  sky_acc mass = {0, 0}, area = {0, 0};
  for (size_t k = 0; k < cover->n; k++) {
    const size_t c = cover->cell[k];
    const double inside = cover->fraction[k] * w->area[c];
    if (isnan(l->flux[c])) continue;
    sky_acc_add(&mass, l->flux[c] * inside * w->kg);
    sky_acc_add(&area, inside * l->valid[c]);
  }
  l->zone_covered[z] = fmin(1, sky_acc_value(&area) / cover->area_zone);
  const bool whole = l->zone_covered[z] >= SKY_ZONE_COMPLETE;
  if (whole) {
    l->zone_total[z] = sky_acc_value(&mass);
    l->zone_sd[z] = sky_layer_zone_sd(l, w->area, cover, w->kg);
  }
  if (zone->role != SKY_ZONE_REPORT) return;
  const double t = l->zone_total[z] / TONNE, half = RANGE_95 * l->zone_sd[z] / TONNE;
  if (whole)
    sky_fact(facts, "Sinks", zone->name,
             "net exchange %.3g t CO2 a year (95 %% range %.3g to %.3g; negative = uptake), at the "
             "mean of the hours used.",
             t, t - half, t + half);
  else
    sky_fact(facts, "warnings", zone->name, "no sink: %s has fluxes for %.3g %% of the zone", w->id,
             100 * l->zone_covered[z]);
}

sky_status sky_sink_flux_layer(sky_context *ctx, const sky_job *job, const char *id,
                               sky_facts *facts, sky_layer *layer) {
  work w = {.job = job,
            .node = sky_job_find(job, "sinks", "id", id),
            .id = id,
            .kg = sky_species_find("co2")->molar_mass * SKY_SECONDS_PER_YEAR};
  sky_status st = SKY_OK;
  SKY_GO(sky_job_mesh(ctx, job, &w.mesh));
  SKY_GO(sky_job_zones(ctx, job, &w.mesh, &w.zones, &w.cover));
  SKY_GO_ALLOC(w.area, SKY_NEW(ctx, double, w.mesh.n_cell));
  SKY_GO(sky_mesh_areas(ctx, &w.mesh, w.area));
  SKY_GO(sky_layer_create(ctx, w.mesh.n_cell, w.zones.n, layer));
  SKY_GO(fill_flux(ctx, &w, facts, layer));
  SKY_GO(fill_errors(ctx, &w, layer));
  for (size_t z = 0; z < w.zones.n; z++)
    fill_zone(&w, z, facts, layer);
cleanup:
  work_free(&w);
  return st;
}
