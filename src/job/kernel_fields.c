/* kernel_fields.c: see kernel_fields.h. */
#include "src/job/kernel_fields.h"

#include <stdio.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/stage_file.h"
#include "src/write/cog.h"
#include "src/write/nc_write.h"

typedef struct rasters { /* of the zones */
  size_t n;
  sky_field *field;
  char **name, **long_name;
  double *value; /* [n * cells of the grid] */
} rasters;

static void rasters_free(rasters *r) {
  for (size_t z = 0; r->name != NULL && z < r->n; z++)
    sky_free(r->name[z]);
  for (size_t z = 0; r->long_name != NULL && z < r->n; z++)
    sky_free(r->long_name[z]);
  sky_free(r->name);
  sky_free(r->long_name);
  sky_free(r->field);
  sky_free(r->value);
}

static sky_status fill(sky_context *ctx, const sky_mesh *mesh, const sky_zones *zones,
                       const char *gas, const double *area, const double *kernel, rasters *r) {
  const size_t n = sky_grid_cells(&mesh->patch[0]);
  sky_status st = SKY_OK;
  r->n = zones->n;
  SKY_GO_ALLOC(r->field, SKY_NEW0(ctx, sky_field, r->n));
  SKY_GO_ALLOC(r->name, SKY_NEW0(ctx, char *, r->n));
  SKY_GO_ALLOC(r->long_name, SKY_NEW0(ctx, char *, r->n));
  SKY_GO_ALLOC(r->value, SKY_NEW(ctx, double, r->n *n));
  for (size_t z = 0; z < r->n; z++) {
    SKY_GO_ALLOC(r->name[z], sky_sprintf(ctx, "kernel_%zu", z + 1));
    SKY_GO_ALLOC(
        r->long_name[z],
        sky_sprintf(ctx,
                    "%s: part of a flux change here that arrives in the total of %s "
                    "(%s)",
                    sky_species_find(gas)->formula, zones->zone[z].name, zones->zone[z].id));
    sky_mesh_to_base(mesh, area, kernel + z * mesh->n_cell, r->value + z * n);
    r->field[z] = (sky_field){.name = r->name[z],
                              .long_name = r->long_name[z],
                              .unit = "1",
                              .kind = SKY_FIELD_INTENSIVE,
                              .value = r->value + z * n};
  }
cleanup:
  return st;
}

sky_status sky_kernel_fields_write(sky_context *ctx, const sky_job *job, const char *gas,
                                   const char *const *attrs) {
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  rasters r = {0};
  double *area = NULL, *kernel = NULL;
  char *in = NULL, *out = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, mesh.n_cell));
  SKY_GO(sky_mesh_areas(ctx, &mesh, area));
  SKY_GO_ALLOC(in, sky_sprintf(ctx, "%s/posterior-%s.nc", job->stage_dir, gas));
  SKY_GO_ALLOC(out, sky_sprintf(ctx, "%s/kernels-%s.nc", job->out, gas));
  SKY_GO(sky_stage_file_read(ctx, in, "zone_kernel", zones.n * mesh.n_cell, &kernel));
  SKY_GO(fill(ctx, &mesh, &zones, gas, area, kernel, &r));
  SKY_GO(sky_fields_nc_write(ctx, out, &mesh.patch[0], r.field, r.n, attrs));
cleanup:
  rasters_free(&r);
  sky_free(area);
  sky_free(kernel);
  sky_free(in);
  sky_free(out);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  return st;
}
