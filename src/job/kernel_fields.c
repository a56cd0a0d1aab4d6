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

/* Of patch p of the mesh; p = 0: of the job's grid, area means where a patch replaces a cell. */
static sky_status fill(sky_context *ctx, const sky_mesh *mesh, size_t p, const sky_zones *zones,
                       const char *gas, const double *area, const double *kernel, rasters *r) {
  const size_t n = sky_grid_cells(&mesh->patch[p]);
  sky_status st = SKY_OK;
  r->n = zones->n;
  SKY_GO_ALLOC(r->field, SKY_NEW0(ctx, sky_field, r->n));
  SKY_GO_ALLOC(r->name, SKY_NEW0(ctx, char *, r->n));
  SKY_GO_ALLOC(r->long_name, SKY_NEW0(ctx, char *, r->n));
  SKY_GO_ALLOC(r->value, SKY_NEW(ctx, double, r->n *n));
  for (size_t z = 0; z < r->n; z++) {
    const double *row = kernel + z * mesh->n_cell;
    SKY_GO_ALLOC(r->name[z], sky_sprintf(ctx, "kernel_%zu", z + 1));
    SKY_GO_ALLOC(
        r->long_name[z],
        sky_sprintf(ctx,
                    "%s: part of a flux change here that arrives in the total of %s "
                    "(%s)",
                    sky_species_find(gas)->formula, zones->zone[z].name, zones->zone[z].id));
    if (p == 0)
      sky_mesh_to_base(mesh, area, row, r->value + z * n);
    else
      sky_mesh_to_patch(mesh, p, row, r->value + z * n);
    r->field[z] = (sky_field){.name = r->name[z],
                              .long_name = r->long_name[z],
                              .unit = "1",
                              .kind = SKY_FIELD_INTENSIVE,
                              .value = r->value + z * n};
  }
cleanup:
  return st;
}

/* GAS_kernel_N.tif, GAS_kernel_N_PATCH.tif */
static sky_status write_tiffs(sky_context *ctx, const sky_job *job, const char *gas,
                              const sky_mesh *mesh, size_t p, const rasters *r,
                              const char *const *tags) {
  for (size_t z = 0; z < r->n; z++) {
    char *path = sky_sprintf(ctx, "%s/%s_%s%s%s.tif", job->out, gas, r->name[z], p > 0 ? "_" : "",
                             p > 0 ? mesh->id[p] : "");
    const sky_status st =
        path == NULL ? SKY_E_NOMEM : sky_cog_write(ctx, path, &mesh->patch[p], &r->field[z], tags);
    sky_free(path);
    SKY_TRY(st);
  }
  return SKY_OK;
}

static sky_status write_patch(sky_context *ctx, const sky_job *job, const char *gas,
                              const sky_mesh *mesh, size_t p, const sky_zones *zones,
                              const double *area, const double *kernel, const char *const *attrs) {
  rasters r = {0};
  char *out = NULL;
  sky_status st = SKY_OK;
  SKY_GO(fill(ctx, mesh, p, zones, gas, area, kernel, &r));
  SKY_GO(write_tiffs(ctx, job, gas, mesh, p, &r, attrs));
  SKY_GO_ALLOC(out, sky_sprintf(ctx, "%s/kernels-%s%s%s.nc", job->out, gas, p > 0 ? "-" : "",
                                p > 0 ? mesh->id[p] : ""));
  SKY_GO(sky_fields_nc_write(ctx, out, &mesh->patch[p], r.field, r.n, attrs));
cleanup:
  rasters_free(&r);
  sky_free(out);
  return st;
}

sky_status sky_kernel_fields_write(sky_context *ctx, const sky_job *job, const char *gas,
                                   const char *const *attrs, sky_facts *facts) {
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  double *area = NULL, *kernel = NULL;
  char *in = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, mesh.n_cell));
  SKY_GO(sky_mesh_areas(ctx, &mesh, area));
  SKY_GO_ALLOC(in, sky_sprintf(ctx, "%s/posterior-%s.nc", job->stage_dir, gas));
  SKY_GO(sky_stage_file_read(ctx, in, "zone_kernel", zones.n * mesh.n_cell, &kernel));
  for (size_t p = 0; p < mesh.n_patch; p++)
    SKY_GO(write_patch(ctx, job, gas, &mesh, p, &zones, area, kernel, attrs));
  for (size_t z = 0; z < zones.n; z++)
    sky_fact(facts, "Averaging kernels", zones.zone[z].name, "%s_kernel_%zu.tif%s", gas, z + 1,
             mesh.n_patch > 1 ? ", and with the id of each patch" : "");
cleanup:
  sky_free(area);
  sky_free(kernel);
  sky_free(in);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  return st;
}
