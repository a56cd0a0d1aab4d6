/* stage_columns.c: what the satellites saw: column mean, 1-sigma and count per cell and per zone.
 *
 * The 1-sigma of a mean of n soundings keeps the correlated part of the single-sounding error
 * (algorithms/column: super-observation), so it does not vanish with n. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/column/bins.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/facts.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/read/granule.h"

/* Mean, 1-sigma and count of n bins. A sounding counts once, in the bin of its centre, as it does
 * in the rows of an inversion; `skyflux grid` shares it out by area. */
static void read_bins(const sky_bin *bin, size_t n, double correlation, double *out) {
  for (size_t b = 0; b < n; b++) {
    out[b] = sky_bin_mean(&bin[b]);
    out[n + b] = sky_bin_sigma(&bin[b], correlation);
    out[2 * n + b] = bin[b].n;
  }
}

static sky_status write_columns(sky_context *ctx, const char *path, size_t n_cells,
                                const double *cell, size_t n_zones, const double *zone,
                                char *const *tags) {
  const sky_stage_dim dims[] = {{"cell", n_cells}, {"zone", n_zones}};
  const sky_stage_var vars[] = {
      {"cell_mean", "cell", "mol mol-1", cell, NULL, NULL},
      {"cell_sigma", "cell", "mol mol-1", cell + n_cells, NULL, NULL},
      {"cell_count", "cell", "1", cell + 2 * n_cells, NULL, NULL},
      {"zone_mean", "zone", "mol mol-1", zone, NULL, NULL},
      {"zone_sigma", "zone", "mol mol-1", zone + n_zones, NULL, NULL},
      {"zone_count", "zone", "1", zone + 2 * n_zones, NULL, NULL},
  };
  return sky_stage_file_write(ctx, path, dims, 2, vars, 6, NULL, 0, tags);
}

sky_status sky_stage_columns(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  const sky_species *species = sky_species_find(stage->gas);
  const sky_node *inversion = sky_job_inversion(job, stage->gas);
  sky_soundings s = {0};
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_facts facts = {0};
  char *in = NULL, *out = NULL, **tags = NULL, name[64];
  sky_bin *bin = NULL;
  double *cell = NULL, *zone = NULL, *x = NULL, *y = NULL;
  /* The correlation that the inversion of this gas uses; fully stated in the job reference. */
  double correlation = inversion != NULL ? sky_node_number(inversion, "error.correlation") : NAN;
  sky_status st = SKY_OK;
  if (isnan(correlation)) correlation = sky_node_number(job->root, "columns.correlation");
  snprintf(name, sizeof name, "soundings-%s.nc", stage->gas);
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO_ALLOC(in, sky_job_stage_path(ctx, job, name));
  SKY_GO_ALLOC(out, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_soundings_read(ctx, in, &s));
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  const sky_grid *grid = &mesh.patch[0]; /* columns stay on the base */
  const size_t n_cells = sky_grid_cells(grid);
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, s.n));
  SKY_GO_ALLOC(y, SKY_NEW(ctx, double, s.n));
  SKY_GO(sky_grid_from_lonlat(ctx, grid, s.n, s.lon, s.lat, x, y));
  SKY_GO_ALLOC(bin, SKY_NEW0(ctx, sky_bin, n_cells + zones.n));
  SKY_GO_ALLOC(cell, SKY_NEW(ctx, double, 3 * n_cells));
  SKY_GO_ALLOC(zone, SKY_NEW(ctx, double, 3 * zones.n));
  for (size_t i = 0; i < s.n; i++) {
    if (s.drop[i] != SKY_DROP_NONE) continue;
    const sky_bin one = sky_bin_of(s.x[i], s.sigma[i]);
    const size_t at = sky_grid_find(grid, x[i], y[i]);
    if (at != SIZE_MAX) sky_bin_add(&bin[at], &one);
    for (size_t z = 0; z < zones.n; z++) /* zones may overlap */
      if (zones.zone[z].n_rings > 0 && sky_zone_contains(&zones.zone[z], x[i], y[i]))
        sky_bin_add(&bin[n_cells + z], &one);
  }
  read_bins(bin, n_cells, correlation, cell);
  read_bins(bin + n_cells, zones.n, correlation, zone);
  for (size_t z = 0; z < zones.n; z++) {
    const double count = zone[2 * zones.n + z];
    if (count > 0.0)
      sky_fact(&facts, "Columns", zones.zone[z].name,
               "X%s %.2f ± %.2f %s from %.0f soundings (error correlation %.2g)", species->formula,
               zone[z] * species->column_scale, zone[zones.n + z] * species->column_scale,
               species->column_unit, count, correlation);
    else
      sky_fact(&facts, "Columns", zones.zone[z].name, "X%s: no sounding", species->formula);
  }
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  SKY_GO(write_columns(ctx, out, n_cells, cell, zones.n, zone, tags));
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_tags_free(tags);
  sky_free(in);
  sky_free(out);
  sky_free(bin);
  sky_free(x);
  sky_free(y);
  sky_free(cell);
  sky_free(zone);
  sky_facts_free(&facts);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  sky_soundings_free(&s);
  return st;
}
