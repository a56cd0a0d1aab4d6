/* invert_write.c: the posterior of stage invert as stages/posterior-GAS.nc. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
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
  sky_stage_dim dim[16];
  sky_stage_var var[64 + 4 * SKY_SECTORS_MOST];
  size_t n_dims, n_vars;
} output;

static void put(output *o, const char *name, const char *dims, const char *unit,
                const double *value) {
  o->var[o->n_vars++] = (sky_stage_var){name, dims, unit, value, NULL, NULL};
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
  put(o, "zone_dofs_half", "zone", "1", p->zone_dofs_half);
  put(o, "zone_sensitivity", "zone", "1", p->zone_sensitivity);
  put(o, "zone_own_response", "zone", "1", p->zone_own_response);
  put(o, "zone_null_sd", "zone", kg, p->zone_null_sd);
  put(o, "zone_detectable", "zone", kg, p->zone_detectable);
  put(o, "zone_seen", "zone", kg, v->seen);
  put(o, "zone_covered", "zone", "1", covered);
  put(o, "zone_covariance", "zone,zone2", "kg2 year-2", cov);
  if (inventory_cov != NULL)
    put(o, "zone_inventory_covariance", "zone,zone2", "kg2 year-2", inventory_cov);
  if (v->n_layer == v->n_sector) return;
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
  if (v->n_sector == 1) {
    put(o, "cell_sd", "cell", flux, v->cell[0][2]);
    put(o, "cell_ak", "cell", "1", v->cell[0][3]);
  }
  put(o, "x", "state", "1", v->post.x);
  put(o, "x_sd", "state", "1", v->post.sd);
  if (v->n_layer > v->n_sector) {
    put(o, "sink_prior", "cell", flux, v->cell[1][0]);
    put(o, "sink_posterior", "cell", flux, v->cell[1][1]);
    put(o, "sink_sd", "cell", flux, v->cell[1][2]);
  }
  if (v->base_sd != NULL && v->n_sector == 1) {
    put(o, "base_sd", "base_cell", flux, v->base_sd);
    put(o, "base_ak", "base_cell", "1", v->base_ak);
  }
}

typedef struct sector_output {
  double *covariance, *kernel; /* of zones by sector; of sectors */
  char name[4 * SKY_SECTORS_MOST][80], names[SKY_SECTORS_MOST * 64];
} sector_output;

/* Rows of the functionals: zones by sector, then sectors. */
static sky_status put_sectors(sky_context *ctx, output *o, const sky_inverting *v,
                              sector_output *s) {
  static const char *const fields[] = {"prior", "posterior", "sd", "ak"};
  static const char *const by = "sector,zone", *const kg = "kg year-1";
  const sky_posterior *p = &v->post;
  const size_t n = v->n_sector, nz = v->zones.n, a = v->first_sector, b = a + n * nz;
  sky_status st = SKY_OK;
  if (n == 1) return SKY_OK;
  SKY_GO_ALLOC(s->covariance, SKY_NEW(ctx, double, n *nz *n *nz));
  SKY_GO_ALLOC(s->kernel, SKY_NEW(ctx, double, n *n));
  for (size_t k = 0; k < n * nz; k++)
    memcpy(s->covariance + k * n * nz, p->zone_cov + (a + k) * v->n_row + a,
           n * nz * sizeof(double));
  SKY_GO(sky_inverting_sector_kernel(ctx, v, s->kernel));
  o->dim[o->n_dims++] = (sky_stage_dim){"sector", n};
  o->dim[o->n_dims++] = (sky_stage_dim){"sector2", n};
  o->dim[o->n_dims++] = (sky_stage_dim){"sector_zone", n * nz};
  o->dim[o->n_dims++] = (sky_stage_dim){"sector_zone2", n * nz};
  put(o, "sector_zone_prior", by, kg, p->prior_total + a);
  put(o, "sector_zone_prior_sd", by, kg, p->prior_sd + a);
  put(o, "sector_zone_posterior", by, kg, p->total + a);
  put(o, "sector_zone_posterior_sd", by, kg, p->total_sd + a);
  put(o, "sector_zone_dofs", by, "1", p->zone_dofs + a);
  put(o, "sector_zone_sensitivity", by, "1", p->zone_sensitivity + a);
  put(o, "sector_zone_reduction", by, "1", p->zone_reduction + a);
  put(o, "sector_zone_covariance", "sector_zone,sector_zone2", "kg2 year-2", s->covariance);
  put(o, "sector_total_prior", "sector", kg, p->prior_total + b);
  put(o, "sector_total_prior_sd", "sector", kg, p->prior_sd + b);
  put(o, "sector_total_posterior", "sector", kg, p->total + b);
  put(o, "sector_total_posterior_sd", "sector", kg, p->total_sd + b);
  put(o, "sector_total_dofs", "sector", "1", p->zone_dofs + b);
  put(o, "sector_kernel", "sector,sector2", "1", s->kernel);
  for (size_t l = 0; l < n; l++) {
    const char *id = sky_node_text(sky_node_item(sky_node_get(v->node, "sectors"), l), "name");
    const size_t used = strlen(s->names);
    snprintf(s->names + used, sizeof s->names - used, "%s%s", l > 0 ? " " : "", id);
    for (size_t k = 0; k < 4; k++) {
      char *name = s->name[4 * l + k];
      snprintf(name, sizeof s->name[0], "sector_%s_%s", id, fields[k]);
      put(o, name, "cell", k == 3 ? "1" : "mol m-2 s-1", v->cell[2 + l][k]);
    }
  }
cleanup:
  return st;
}

/* The information form has no observations and no background. spread: three arrays [n_given], for
 * those of the problem; NaN where one was left out. */
static void put_observations(output *o, const sky_inverting *v, double *spread) {
  const sky_posterior *p = &v->post;
  const double *const values[] = {p->residual, p->simulated_prior, p->simulated};
  static const char *const names[] = {"residual", "simulated_prior", "simulated"};
  if (p->n_obs == 0) return;
  for (size_t k = 0; k < 3; k++) {
    double *all = spread + k * v->n_given;
    for (size_t i = 0; i < v->n_given; i++)
      all[i] = v->kept != NULL ? NAN : values[k][i];
    for (size_t i = 0; v->kept != NULL && i < p->n_obs; i++)
      all[v->kept[i]] = values[k][i];
    put(o, names[k], "obs", "mol mol-1", all);
  }
  if (p->n_background == 0) return;
  put(o, "background", "background", "mol mol-1", p->b);
  put(o, "background_sd", "background", "mol mol-1", p->b_post_sd);
}

/* What the draws say of each zone, beside mean and sd; totals in kg year-1. */
#define OF(member) offsetof(sky_chain_summary, member)
#define QUANTILE(k) (OF(quantile) + (k) * sizeof(double))
static const struct {
  const char *name;
  size_t offset;
  bool total;
} DRAWN[] = {{"zone_median", OF(median), true},     {"zone_mc_error", OF(mc_error), false},
             {"zone_q025", QUANTILE(0), true},      {"zone_q16", QUANTILE(1), true},
             {"zone_q84", QUANTILE(3), true},       {"zone_q975", QUANTILE(4), true},
             {"zone_rhat", OF(rhat), false},        {"zone_ess_bulk", OF(ess_bulk), false},
             {"zone_ess_tail", OF(ess_tail), false}};
enum { N_DRAWN = sizeof DRAWN / sizeof *DRAWN };

/* table: [(1 + N_DRAWN) * zones] */
static void put_signed(output *o, const sky_inverting *v, double *table) {
  const size_t nz = v->zones.n, m = v->n_state;
  const double *mode = sky_signed_mode(&v->sign);
  if (v->cell_mode == NULL) return;
  for (size_t z = 0; z < nz; z++)
    table[z] = v->constant[z] + sky_dot(v->W + z * m, mode, m);
  put(o, "zone_mode", "zone", "kg year-1", table);
  put(o, "cell_mode", "cell", "mol m-2 s-1", v->cell_mode);
  for (size_t k = 0; v->sign.drawn && k < N_DRAWN; k++) {
    double *column = table + (k + 1) * nz;
    for (size_t z = 0; z < nz; z++) {
      memcpy(column + z, (const char *)&v->sign.sampled.summary[z] + DRAWN[k].offset,
             sizeof *column);
      if (DRAWN[k].total) column[z] += v->constant[z];
    }
    put(o, DRAWN[k].name, "zone",
        strstr(DRAWN[k].name, "ess") || strstr(DRAWN[k].name, "rhat") ? "1" : "kg year-1", column);
  }
}

/* What of a change in a cell, the same in all time steps, arrives in a zone's total: aᵀA over the
 * mass of the cell. Sectors share the change as the prior divides the cell. */
static void zone_kernels(const sky_inverting *v, double *kernel) {
  const size_t step = v->n_layer * v->n_cell;
  for (size_t z = 0; z < v->zones.n; z++)
    for (size_t c = 0; c < v->n_cell; c++) {
      sky_acc sum = {0, 0};
      for (size_t k = 0; k < v->n_time * v->n_sector; k++) {
        const size_t t = k / v->n_sector, l = k % v->n_sector;
        const double a = v->post.zone_A[z * v->n_state + t * step + l * v->n_cell + c];
        sky_acc_add(&sum, v->share != NULL ? v->share[l * v->n_cell + c] * a : a);
      }
      kernel[z * v->n_cell + c] = sky_acc_value(&sum) / (v->whole[c] * (double)v->n_time);
    }
}

sky_status sky_inverting_write(sky_context *ctx, const char *path, const sky_inverting *v,
                               char *const *tags) {
  const sky_posterior *p = &v->post;
  const bool stated = v->compared_sd != NULL || v->bottom_up.variance != NULL;
  const bool rows = v->whole != NULL && v->kernel && sky_node_bool(v->node, "kernels");
  double *covered = NULL, *cov = NULL, *inventory_cov = NULL, *spread = NULL, *table = NULL,
         *kernel = NULL;
  output o = {.dim = {{"cell", v->n_cell},
                      {"state", v->n_state},
                      {"zone", v->zones.n},
                      {"zone2", v->zones.n}},
              .n_dims = 4};
  sector_output *sectors = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(sectors, SKY_NEW0(ctx, sector_output, 1));
  SKY_GO_ALLOC(covered, SKY_NEW(ctx, double, v->zones.n));
  SKY_GO_ALLOC(cov, zone_block(ctx, v, p->zone_cov));
  if (stated) SKY_GO_ALLOC(inventory_cov, zone_block(ctx, v, p->zone_inventory_cov));
  for (size_t z = 0; z < v->zones.n; z++)
    covered[z] = v->cover[z].area_zone > 0 ? v->cover[z].area_in / v->cover[z].area_zone : 0.0;
  SKY_GO_ALLOC(spread, SKY_NEW(ctx, double, 3 * v->n_given + 1));
  SKY_GO_ALLOC(table, SKY_NEW(ctx, double, (1 + N_DRAWN) * v->zones.n));
  if (rows) SKY_GO_ALLOC(kernel, SKY_NEW(ctx, double, v->zones.n * v->n_cell));
  if (p->n_obs > 0) o.dim[o.n_dims++] = (sky_stage_dim){"obs", v->n_given};
  if (p->n_background > 0) o.dim[o.n_dims++] = (sky_stage_dim){"background", p->n_background};
  if (v->base_sd != NULL)
    o.dim[o.n_dims++] = (sky_stage_dim){"base_cell", sky_grid_cells(&v->mesh.patch[0])};
  put_cells(&o, v);
  put_zones(&o, v, covered, cov, inventory_cov);
  SKY_GO(put_sectors(ctx, &o, v, sectors));
  put_observations(&o, v, spread);
  put_signed(&o, v, table);
  if (v->smoothing_sd != NULL) put(&o, "zone_smoothing_sd", "zone", "kg year-1", v->smoothing_sd);
  if (rows) {
    zone_kernels(v, kernel);
    put(&o, "zone_kernel", "zone,cell", "1", kernel);
  }
  const sky_stage_att atts[] = {
      {"method", v->method, 0}, {"estimate", v->estimate, 0}, {"sectors", sectors->names, 0}};
  SKY_GO(sky_stage_file_write(ctx, path, o.dim, o.n_dims, o.var, o.n_vars, atts,
                              v->n_sector > 1 ? 3 : 2, tags));
cleanup:
  if (sectors != NULL) {
    sky_free(sectors->covariance);
    sky_free(sectors->kernel);
  }
  sky_free(sectors);
  sky_free(covered);
  sky_free(cov);
  sky_free(inventory_cov);
  sky_free(spread);
  sky_free(table);
  sky_free(kernel);
  return st;
}
