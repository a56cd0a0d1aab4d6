/* sector_table.c: see sector_table.h. */
#include "src/job/sector_table.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/stage_file.h"
#include "src/write/json_out.h"

#define TONNE 1e3 /* kg */

enum { PRIOR, PRIOR_SD, POSTERIOR, POSTERIOR_SD, REDUCTION, DOFS, SENSITIVITY, N_COLUMNS };

static const struct {
  const char *name, *of_zone, *of_grid, *of_sum; /* NULL: empty there */
  double scale;
} COLUMNS[N_COLUMNS] = {
    {"prior_t_yr", "sector_zone_prior", "sector_total_prior", "zone_prior", TONNE},
    {"prior_sd_t_yr", "sector_zone_prior_sd", "sector_total_prior_sd", "zone_prior_sd", TONNE},
    {"posterior_t_yr", "sector_zone_posterior", "sector_total_posterior", "zone_posterior", TONNE},
    {"posterior_sd_t_yr", "sector_zone_posterior_sd", "sector_total_posterior_sd",
     "zone_posterior_sd", TONNE},
    {"reduction", "sector_zone_reduction", NULL, NULL, 1},
    {"dofs", "sector_zone_dofs", "sector_total_dofs", "zone_dofs", 1},
    {"sensitivity", "sector_zone_sensitivity", NULL, "zone_sensitivity", 1},
};

typedef struct table {
  size_t n_zone, n_sector;
  const sky_node *sectors;
  double *zone[N_COLUMNS], *grid[N_COLUMNS], *sum[N_COLUMNS];
} table;

static sky_status read_column(sky_context *ctx, const char *path, const char *var, size_t n,
                              double **out) {
  return var == NULL ? SKY_OK : sky_stage_file_read(ctx, path, var, n, out);
}

/* One row; values: [N_COLUMNS] arrays of which it takes element i. */
static void put_row(sky_text *t, const char *id, const char *name, const char *sector,
                    double *const *values, size_t i) {
  sky_text_csv(t, id);
  sky_text_put(t, ",");
  sky_text_csv(t, name);
  sky_text_put(t, ",");
  sky_text_csv(t, sector);
  for (size_t k = 0; k < N_COLUMNS; k++) {
    char number[32] = "";
    if (values[k] != NULL && !isnan(values[k][i]))
      sky_number_text(values[k][i] / COLUMNS[k].scale, number);
    sky_text_put(t, ",");
    sky_text_put(t, number);
  }
  sky_text_put(t, "\n");
}

static const char *sector_name(const table *t, size_t l) {
  return sky_node_text(sky_node_item(t->sectors, l), "name");
}

static void put_table(sky_text *text, const table *t, const sky_zones *zones) {
  sky_text_put(text, "zone_id,zone_name,sector");
  for (size_t k = 0; k < N_COLUMNS; k++) {
    sky_text_put(text, ",");
    sky_text_put(text, COLUMNS[k].name);
  }
  sky_text_put(text, "\n");
  for (size_t z = 0; z < t->n_zone; z++) {
    const sky_zone *zone = &zones->zone[z];
    for (size_t l = 0; l < t->n_sector; l++)
      put_row(text, zone->id, zone->name, sector_name(t, l), t->zone, l * t->n_zone + z);
    put_row(text, zone->id, zone->name, "all", t->sum, z);
  }
  for (size_t l = 0; l < t->n_sector; l++)
    put_row(text, "", "whole grid", sector_name(t, l), t->grid, l);
}

sky_status sky_sector_table_write(sky_context *ctx, const sky_job *job, const char *gas) {
  table t = {.sectors = sky_node_get(sky_job_inversion(job, gas), "sectors")};
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_text text = {.ctx = ctx};
  char *in = NULL, *out = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  t.n_zone = zones.n;
  t.n_sector = sky_node_count(t.sectors);
  SKY_GO_ALLOC(in, sky_sprintf(ctx, "%s/posterior-%s.nc", job->stage_dir, gas));
  SKY_GO_ALLOC(out, sky_sprintf(ctx, "%s/sectors-%s.csv", job->out, gas));
  for (size_t k = 0; k < N_COLUMNS; k++) {
    SKY_GO(read_column(ctx, in, COLUMNS[k].of_zone, t.n_zone * t.n_sector, &t.zone[k]));
    SKY_GO(read_column(ctx, in, COLUMNS[k].of_grid, t.n_sector, &t.grid[k]));
    SKY_GO(read_column(ctx, in, COLUMNS[k].of_sum, t.n_zone, &t.sum[k]));
  }
  put_table(&text, &t, &zones);
  if (text.failed) SKY_GO(SKY_E_NOMEM);
  SKY_GO(sky_file_write_text(ctx, out, text.data, text.length));
cleanup:
  for (size_t k = 0; k < N_COLUMNS; k++) {
    sky_free(t.zone[k]);
    sky_free(t.grid[k]);
    sky_free(t.sum[k]);
  }
  sky_text_free(&text);
  sky_free(in);
  sky_free(out);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  return st;
}
