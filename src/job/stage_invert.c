/* stage_invert.c: the posterior of one gas and of every zone total.
 *
 * Observation space: the problem of stage_footprint. Information form: state elements are the
 * labels of an IMI state vector, scale factors of the prior emission. Both end in one file: fields
 * on the mesh and, per zone, what the comparison needs (with the compared inventory seen through
 * the kernel).
 *
 * One solve gives every linear functional of the state exactly: the zones of the prior and, with a
 * sink, those of the sink layer and of both (net); with sectors the zones and the whole of each;
 * then the base cells that a patch replaces (area means of the patch's cells, for the fields on the
 * base grid). */
#include "src/job/inverting.h"

#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/read/flux.h"

static void inverting_free(sky_inverting *v) {
  double *const arrays[] = {v->area,          v->prior_flux,
                            v->unscaled_flux, v->W,
                            v->whole,         v->constant,
                            v->x_compared,    v->compared_sd,
                            v->compared_E,    v->compared_D,
                            v->seen,          v->base_sd,
                            v->base_ak,       v->compared_factor,
                            v->compared_var,  v->cell_mode,
                            v->smoothing_sd,  v->share};
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    sky_free(arrays[k]);
  for (size_t k = 0; k < 4 * (2 + SKY_SECTORS_MOST); k++)
    sky_free(v->cell[k / 4][k % 4]);
  sky_free(v->replaced);
  sky_free(v->kept);
  sky_signed_free(&v->sign);
  sky_layer_free(&v->bottom_up);
  sky_job_coverage_free(v->cover, v->zones.n);
  sky_zones_free(&v->zones);
  sky_mesh_free(&v->mesh);
  sky_posterior_free(&v->post);
}

static sky_status prepare(sky_context *ctx, const sky_job *job, sky_inverting *v) {
  const sky_node *compare = sky_job_find(job, "compare", "gas", v->gas);
  const char *compared = compare != NULL ? sky_node_text(compare, "inventory") : NULL;
  sky_status st = SKY_OK;
  v->kg = sky_species_find(v->gas)->molar_mass * SKY_SECONDS_PER_YEAR;
  v->compared = compared != NULL ? sky_job_find(job, "inventories", "id", compared) : NULL;
  SKY_GO(sky_job_mesh(ctx, job, &v->mesh));
  SKY_GO(sky_job_zones(ctx, job, &v->mesh, &v->zones, &v->cover));
  v->n_cell = v->mesh.n_cell;
  SKY_GO_ALLOC(v->area, SKY_NEW(ctx, double, v->n_cell));
  SKY_GO(sky_mesh_areas(ctx, &v->mesh, v->area));
  SKY_GO(sky_inverting_variable(ctx, job, sky_node_text(v->node, "prior"), "cell_flux", v->n_cell,
                                &v->prior_flux));
  SKY_GO(sky_inverting_variable(ctx, job, sky_node_text(v->node, "unscaled"), "cell_flux",
                                v->n_cell, &v->unscaled_flux));
  if (compared != NULL) {
    SKY_GO(sky_layer_read(ctx, job, "inventory", compared, &v->bottom_up));
    v->compared_flux = v->bottom_up.flux;
  }
  v->n_sector = sky_sectors_count(v->node) > 1 ? sky_sectors_count(v->node) : 1;
  v->n_layer = v->n_sector + (sky_node_text(v->node, "sink") != NULL);
  v->n_row = v->zones.n;
  SKY_GO_ALLOC(v->seen, SKY_NEW(ctx, double, v->zones.n));
  for (size_t k = 0; k < 4 * (2 + SKY_SECTORS_MOST); k++) {
    const bool sink = k / 4 == 1 && v->n_layer > v->n_sector;
    const bool sector = v->n_sector > 1 && k / 4 >= 2 && k / 4 < 2 + v->n_sector;
    if (k / 4 == 0 || sink || sector)
      SKY_GO_ALLOC(v->cell[k / 4][k % 4], SKY_NEW(ctx, double, v->n_cell));
  }
cleanup:
  return st;
}

sky_status sky_stage_invert(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  sky_inverting v = {.node = sky_job_inversion(job, stage->gas)};
  sky_facts facts = {0};
  char *path = NULL, **tags = NULL;
  sky_status st = SKY_OK;
  snprintf(v.gas, sizeof v.gas, "%s", stage->gas);
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(prepare(ctx, job, &v));
  if (sky_node_get(v.node, "information") != NULL)
    SKY_GO(sky_inverting_information(ctx, job, stage, &facts, &v));
  else
    SKY_GO(sky_inverting_observations(ctx, job, stage, &facts, &v));
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  SKY_GO(sky_inverting_write(ctx, path, &v, tags));
  sky_fact_number(&facts, "observations", (double)v.post.n_obs);
  if (v.post.n_obs == 0)
    sky_inverting_record_information(&facts, &v);
  else
    SKY_GO(sky_inverting_record_observations(ctx, &facts, &v));
  SKY_GO(sky_inverting_record_sectors(ctx, &facts, &v));
  sky_fact_text(&facts, "method", v.method);
  sky_fact_text(&facts, "estimate", v.estimate);
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_tags_free(tags);
  sky_free(path);
  sky_facts_free(&facts);
  inverting_free(&v);
  return st;
}
