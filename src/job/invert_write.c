/* invert_write.c: the posterior of stage invert as stages/posterior-GAS.nc. */
#include <string.h>

#include "src/core/memory.h"
#include "src/job/inverting.h"
#include "src/job/stage_file.h"

/* The zones of the prior layer out of a covariance of all functionals. */
static double *zone_block(sky_context *ctx, const sky_inverting *v, const double *cov) {
  const size_t nz = v->zones.n;
  double *block = SKY_NEW(ctx, double, nz *nz);
  for (size_t z = 0; block != NULL && z < nz; z++)
    memcpy(block + z * nz, cov + z * v->n_row, nz * sizeof *block);
  return block;
}

typedef struct output {
  sky_stage_dim dim[8];
  sky_stage_var var[48];
  size_t n_dims, n_vars;
} output;

static void put(output *o, const char *name, const char *dims, const char *unit,
                const double *value) {
  o->var[o->n_vars++] = (sky_stage_var){name, dims, unit, value, NULL};
}

static void put_zones(output *o, const sky_inverting *v, const double *covered, const double *cov,
                      const double *inventory_cov) {
  static const char *const kg = "kg year-1";
  const sky_posterior *p = &v->post;
  const size_t nz = v->zones.n;
  put(o, "zone_prior", "zone", kg, p->prior_total);
  put(o, "zone_prior_sd", "zone", kg, p->prior_sd);
  put(o, "zone_posterior", "zone", kg, p->total);
  put(o, "zone_posterior_sd", "zone", kg, p->total_sd);
  put(o, "zone_dofs", "zone", "1", p->zone_dofs);
  put(o, "zone_sensitivity", "zone", "1", p->zone_sensitivity);
  put(o, "zone_own_response", "zone", "1", p->zone_own_response);
  put(o, "zone_null_sd", "zone", kg, p->zone_null_sd);
  put(o, "zone_detectable", "zone", kg, p->zone_detectable);
  put(o, "zone_seen", "zone", kg, v->seen);
  put(o, "zone_covered", "zone", "1", covered);
  put(o, "zone_covariance", "zone,zone2", "kg2 year-2", cov);
  if (inventory_cov != NULL)
    put(o, "zone_inventory_covariance", "zone,zone2", "kg2 year-2", inventory_cov);
  if (v->n_layer == 1) return;
  put(o, "sink_zone_prior", "zone", kg, p->prior_total + nz);
  put(o, "sink_zone_prior_sd", "zone", kg, p->prior_sd + nz);
  put(o, "sink_zone_posterior", "zone", kg, p->total + nz);
  put(o, "sink_zone_posterior_sd", "zone", kg, p->total_sd + nz);
  put(o, "net_zone_posterior", "zone", kg, p->total + 2 * nz);
  put(o, "net_zone_posterior_sd", "zone", kg, p->total_sd + 2 * nz);
}

static void put_cells(output *o, const sky_inverting *v) {
  static const char *const flux = "mol m-2 s-1";
  put(o, "cell_prior", "cell", flux, v->cell[0][0]);
  put(o, "cell_posterior", "cell", flux, v->cell[0][1]);
  put(o, "cell_sd", "cell", flux, v->cell[0][2]);
  put(o, "cell_ak", "cell", "1", v->cell[0][3]);
  put(o, "x", "state", "1", v->post.x);
  put(o, "x_sd", "state", "1", v->post.sd);
  if (v->n_layer > 1) {
    put(o, "sink_prior", "cell", flux, v->cell[1][0]);
    put(o, "sink_posterior", "cell", flux, v->cell[1][1]);
    put(o, "sink_sd", "cell", flux, v->cell[1][2]);
  }
  if (v->base_sd != NULL) {
    put(o, "base_sd", "base_cell", flux, v->base_sd);
    put(o, "base_ak", "base_cell", "1", v->base_ak);
  }
}

/* The information form has no observations and no background. */
static void put_observations(output *o, const sky_inverting *v) {
  const sky_posterior *p = &v->post;
  if (p->n_obs == 0) return;
  put(o, "residual", "obs", "mol mol-1", p->residual);
  put(o, "simulated_prior", "obs", "mol mol-1", p->simulated_prior);
  put(o, "simulated", "obs", "mol mol-1", p->simulated);
  if (p->n_background == 0) return;
  put(o, "background", "background", "mol mol-1", p->b);
  put(o, "background_sd", "background", "mol mol-1", p->b_post_sd);
}

sky_status sky_inverting_write(sky_context *ctx, const char *path, const sky_inverting *v,
                               char *const *tags) {
  const sky_posterior *p = &v->post;
  const bool stated = v->compared_sd != NULL || v->bottom_up.variance != NULL;
  double *covered = NULL, *cov = NULL, *inventory_cov = NULL;
  output o = {.dim = {{"cell", v->n_cell},
                      {"state", v->n_state},
                      {"zone", v->zones.n},
                      {"zone2", v->zones.n}},
              .n_dims = 4};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(covered, SKY_NEW(ctx, double, v->zones.n));
  SKY_GO_ALLOC(cov, zone_block(ctx, v, p->zone_cov));
  if (stated) SKY_GO_ALLOC(inventory_cov, zone_block(ctx, v, p->zone_inventory_cov));
  for (size_t z = 0; z < v->zones.n; z++)
    covered[z] = v->cover[z].area_zone > 0 ? v->cover[z].area_in / v->cover[z].area_zone : 0.0;
  if (p->n_obs > 0) o.dim[o.n_dims++] = (sky_stage_dim){"obs", p->n_obs};
  if (p->n_background > 0) o.dim[o.n_dims++] = (sky_stage_dim){"background", p->n_background};
  if (v->base_sd != NULL)
    o.dim[o.n_dims++] = (sky_stage_dim){"base_cell", sky_grid_cells(&v->mesh.patch[0])};
  put_cells(&o, v);
  put_zones(&o, v, covered, cov, inventory_cov);
  put_observations(&o, v);
  SKY_GO(sky_stage_file_write(ctx, path, o.dim, o.n_dims, o.var, o.n_vars, NULL, 0, tags));
cleanup:
  sky_free(covered);
  sky_free(cov);
  sky_free(inventory_cov);
  return st;
}
