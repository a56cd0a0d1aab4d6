/* stage_invert.c: the posterior of one gas and of every zone total.
 *
 * Observation space: the problem of stage_footprint. Information form: state elements are the
 * labels of an IMI state vector, scale factors of the prior emission. Both end in one file: fields
 * on the grid and, per zone, what the comparison needs (with the compared inventory seen through
 * the kernel). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/covariance.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/job/facts.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/read/flux.h"
#include "skyflux/problem.h"

typedef struct inversion {
  const sky_node *node, *compared; /* compared: the inventory to be tested, or NULL */
  char gas[8];
  double kg; /* mol m-2 s-1 × m2 -> kg yr-1 */
  sky_mesh mesh;
  sky_zones zones;
  sky_coverage *cover;
  double *area;
  size_t n_cell, n_time, n_state;
  size_t n_emission;     /* information form: the state elements before the boundary */
  double *prior_flux;    /* [cells] scaled by the state */
  double *unscaled_flux; /* [cells] or NULL */
  double *compared_flux; /* [cells] or NULL */
  double *W;             /* [zones*state] kg yr-1 per unit of state */
  double *constant;      /* [zones] kg yr-1 */
  double *x_compared;    /* [state] the compared inventory as a state, or NULL */
  double *compared_sd, *compared_E, *compared_D; /* its own covariance, or NULL */
  double *seen;                                  /* [zones] kg yr-1, NaN without inventory */
  double *cell[4];                               /* prior, posterior, sd (mol m-2 s-1), ak */
  sky_posterior post;
} inversion;

static void inversion_free(inversion *v) {
  double *const arrays[] = {v->area,       v->prior_flux, v->unscaled_flux, v->compared_flux,
                            v->W,          v->constant,   v->x_compared,    v->compared_sd,
                            v->compared_E, v->compared_D, v->seen,          v->cell[0],
                            v->cell[1],    v->cell[2],    v->cell[3]};
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    sky_free(arrays[k]);
  sky_job_coverage_free(v->cover, v->zones.n);
  sky_zones_free(&v->zones);
  sky_mesh_free(&v->mesh);
  sky_posterior_free(&v->post);
}

/* One variable of stages/inventory-ID.nc; NULL id gives NULL. */
static sky_status inventory_variable(sky_context *ctx, const sky_job *job, const char *id,
                                     const char *var, size_t n, double **out) {
  *out = NULL;
  if (id == NULL) return SKY_OK;
  char *path = sky_sprintf(ctx, "%s/inventory-%s.nc", job->stage_dir, id);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_stage_file_read(ctx, path, var, n, out);
  sky_free(path);
  return st;
}

static sky_status prepare(sky_context *ctx, const sky_job *job, inversion *v) {
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
  SKY_GO(inventory_variable(ctx, job, sky_node_text(v->node, "prior"), "cell_flux", v->n_cell,
                            &v->prior_flux));
  SKY_GO(inventory_variable(ctx, job, sky_node_text(v->node, "unscaled"), "cell_flux", v->n_cell,
                            &v->unscaled_flux));
  SKY_GO(inventory_variable(ctx, job, compared, "cell_flux", v->n_cell, &v->compared_flux));
  SKY_GO_ALLOC(v->constant, SKY_NEW0(ctx, double, v->zones.n));
  SKY_GO_ALLOC(v->seen, SKY_NEW(ctx, double, v->zones.n));
  for (int k = 0; k < 4; k++)
    SKY_GO_ALLOC(v->cell[k], SKY_NEW(ctx, double, v->n_cell));
cleanup:
  return st;
}

static double or_zero(double x) {
  return isnan(x) ? 0.0 : x;
}

/* kg yr-1 of a flux field in one zone. */
static double zone_mass(const inversion *v, size_t z, const double *flux) {
  sky_acc sum = {0};
  for (size_t k = 0; k < v->cover[z].n; k++) {
    const size_t c = v->cover[z].cell[k];
    sky_acc_add(&sum, or_zero(flux[c]) * v->area[c] * v->cover[z].fraction[k] * v->kg);
  }
  return sky_acc_value(&sum);
}

/* --- observation space ---------------------------------------------------------------------------
 */

typedef struct cell_distance {
  const sky_mesh *mesh;
} cell_distance;

static double distance_of(const void *user, size_t i, size_t k) {
  return sky_mesh_distance(((const cell_distance *)user)->mesh, i, k);
}

/* 1-sigma of one cell of the compared inventory, in the unit of its flux. */
static double compared_cell_sd(const inversion *v, double flux) {
  return hypot(sky_node_number(v->compared, "uncertainty.sigma") * or_zero(flux),
               or_zero(sky_node_number(v->compared, "uncertainty.floor")));
}

/* The compared inventory's own covariance on the grid's cells. It is one number a cell for all time
 * steps, so its error is the same in all of them. */
static sky_status compared_covariance(sky_context *ctx, inversion *v) {
  const double sigma = sky_node_number(v->compared, "uncertainty.sigma");
  const double length = sky_node_number(v->compared, "uncertainty.length");
  const cell_distance user = {&v->mesh};
  sky_correlation model;
  if (isnan(sigma)) return SKY_OK;
  SKY_TRY(
      sky_correlation_parse(ctx, sky_node_text(v->compared, "uncertainty.correlation"), &model));
  v->compared_sd = SKY_NEW(ctx, double, v->n_state);
  v->compared_E = SKY_NEW(ctx, double, v->n_cell * v->n_cell);
  v->compared_D = SKY_NEW(ctx, double, v->n_time * v->n_time);
  if (v->compared_sd == NULL || v->compared_E == NULL || v->compared_D == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < v->n_state; k++)
    v->compared_sd[k] = compared_cell_sd(v, v->x_compared[k]);
  for (size_t k = 0; k < v->n_time * v->n_time; k++)
    v->compared_D[k] = 1.0;
  sky_correlation_matrix(ctx, model, length, distance_of, &user, v->n_cell, v->compared_E);
  return SKY_OK;
}

/* W and constants: totals are those of the prior file's own cells plus what the state moves. */
static sky_status grid_functionals(sky_context *ctx, const sky_job *job, const double *x0,
                                   inversion *v) {
  double *native = NULL, *unscaled = NULL;
  sky_status st = SKY_OK;
  SKY_GO(inventory_variable(ctx, job, sky_node_text(v->node, "prior"), "zone_total", v->zones.n,
                            &native));
  SKY_GO(inventory_variable(ctx, job, sky_node_text(v->node, "unscaled"), "zone_total", v->zones.n,
                            &unscaled));
  SKY_GO_ALLOC(v->W, SKY_NEW0(ctx, double, v->zones.n * v->n_state));
  for (size_t z = 0; z < v->zones.n; z++) {
    double *w = v->W + z * v->n_state;
    sky_acc mesh = {0};
    for (size_t t = 0; t < v->n_time; t++) {
      for (size_t k = 0; k < v->cover[z].n; k++) {
        const size_t c = v->cover[z].cell[k], s = t * v->n_cell + c;
        w[s] = v->area[c] * v->cover[z].fraction[k] * v->kg / (double)v->n_time;
        sky_acc_add(&mesh, w[s] * x0[s]);
      }
    }
    v->constant[z] = or_zero(native[z]) - sky_acc_value(&mesh);
    if (unscaled != NULL) v->constant[z] += or_zero(unscaled[z]);
  }
cleanup:
  sky_free(native);
  sky_free(unscaled);
  return st;
}

/* Time means of the state as fields; the sd of one step as root mean square over the steps. */
static void grid_fields(inversion *v, const double *x0) {
  const double n = (double)v->n_time;
  for (size_t c = 0; c < v->n_cell; c++) {
    double prior = 0, post = 0, var = 0, ak = 0;
    for (size_t t = 0; t < v->n_time; t++) {
      const size_t s = t * v->n_cell + c;
      prior += x0[s] / n;
      post += v->post.x[s] / n;
      var += v->post.sd[s] * v->post.sd[s] / n;
      ak += v->post.ak[s] / n;
    }
    const double fixed = v->unscaled_flux != NULL ? or_zero(v->unscaled_flux[c]) : 0.0;
    v->cell[0][c] = prior + fixed;
    v->cell[1][c] = post + fixed;
    v->cell[2][c] = sqrt(var);
    v->cell[3][c] = ak;
  }
}

static sky_status solve_observations(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                     inversion *v) {
  sky_problem p = {0};
  char *path = sky_sprintf(ctx, "%s/problem-%s.nc", job->stage_dir, stage->gas);
  sky_status st = SKY_OK;
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_problem_read(ctx, path, &p));
  v->n_state = p.n_state;
  v->n_time = p.n_time;
  SKY_GO(grid_functionals(ctx, job, p.x0, v));
  if (v->compared_flux != NULL) {
    SKY_GO_ALLOC(v->x_compared, SKY_NEW(ctx, double, v->n_state));
    for (size_t s = 0; s < v->n_state; s++)
      v->x_compared[s] = or_zero(v->compared_flux[s % v->n_cell]);
    SKY_GO(compared_covariance(ctx, v));
  }
  const sky_functionals zones = {.n_zone = v->zones.n,
                                 .W = v->W,
                                 .constant = v->constant,
                                 .inventory_sd = v->compared_sd,
                                 .inventory_E = v->compared_E,
                                 .inventory_D = v->compared_D};
  SKY_GO(sky_problem_solve(ctx, &p, &zones, &v->post));
  for (size_t z = 0; z < v->zones.n; z++) {
    const double *a = v->post.zone_A + z * v->n_state;
    sky_acc seen = {0};
    for (size_t s = 0; v->x_compared != NULL && s < v->n_state; s++)
      sky_acc_add(&seen, a[s] * (v->x_compared[s] - p.x0[s]));
    v->seen[z] = v->x_compared != NULL ? v->post.prior_total[z] + sky_acc_value(&seen) : NAN;
  }
  grid_fields(v, p.x0);
cleanup:
  sky_problem_free(&p);
  sky_free(path);
  return st;
}

/* --- information form ----------------------------------------------------------------------------
 */

/* Emission of a flux field in each state element, kg yr-1. */
static void element_mass(const inversion *v, const sky_information *info, const double *flux,
                         double *mass) {
  memset(mass, 0, info->n * sizeof(double));
  for (size_t c = 0; c < v->n_cell; c++)
    if (info->label[c] > 0) mass[info->label[c] - 1] += or_zero(flux[c]) * v->area[c] * v->kg;
}

/* Covariance of the compared inventory between elements, in units of scale factors, as sd and
 * correlation: Σ_{c∈i,d∈j} s_c s_d ρ(c,d) / (m_i m_j). An element without prior emission has none:
 * no scale factor can express the inventory there. The boundary keeps its prior error, which is not
 * the inventory's but enters the null difference all the same. */
static sky_status element_covariance(sky_context *ctx, inversion *v, const sky_information *info,
                                     const double *prior_mass, double boundary_sd) {
  const double length = sky_node_number(v->compared, "uncertainty.length");
  const size_t n = info->n;
  double *mass = NULL;
  sky_correlation model;
  sky_status st = SKY_OK;
  if (isnan(sky_node_number(v->compared, "uncertainty.sigma"))) return SKY_OK;
  SKY_TRY(
      sky_correlation_parse(ctx, sky_node_text(v->compared, "uncertainty.correlation"), &model));
  SKY_GO_ALLOC(v->compared_sd, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(v->compared_E, SKY_NEW0(ctx, double, n *n));
  SKY_GO_ALLOC(mass, SKY_NEW(ctx, double, v->n_cell)); /* s_c, 0 where there is no scale factor */
  for (size_t c = 0; c < v->n_cell; c++) {
    const int32_t label = info->label[c];
    mass[c] =
        label > 0 && prior_mass[label - 1] != 0.0
            ? compared_cell_sd(v, v->compared_flux[c]) * v->area[c] * v->kg / prior_mass[label - 1]
            : 0.0;
  }
  double *C = v->compared_E;
  for (size_t c = 0; c < v->n_cell; c++) {
    if (mass[c] == 0.0) continue;
    double *row = C + (size_t)(info->label[c] - 1) * n;
    for (size_t d = 0; d < v->n_cell; d++)
      if (mass[d] != 0.0)
        row[info->label[d] - 1] +=
            mass[c] * mass[d] *
            sky_correlation_value(model, sky_mesh_distance(&v->mesh, c, d), length);
  }
  for (size_t i = n - info->n_boundary; i < n; i++)
    C[i * n + i] = boundary_sd * boundary_sd;
  for (size_t i = 0; i < n; i++)
    v->compared_sd[i] = sqrt(C[i * n + i]);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      const double s = v->compared_sd[i] * v->compared_sd[k];
      C[i * n + k] = i == k ? 1.0 : (s > 0.0 ? C[i * n + k] / s : 0.0);
    }
cleanup:
  sky_free(mass);
  return st;
}

static sky_status label_functionals(sky_context *ctx, const sky_information *info, inversion *v) {
  v->W = SKY_NEW0(ctx, double, v->zones.n * info->n);
  if (v->W == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < v->zones.n; z++) {
    sky_acc fixed = {0};
    for (size_t k = 0; k < v->cover[z].n; k++) {
      const size_t c = v->cover[z].cell[k];
      const double mass = or_zero(v->prior_flux[c]) * v->area[c] * v->cover[z].fraction[k] * v->kg;
      if (info->label[c] > 0)
        v->W[z * info->n + (size_t)info->label[c] - 1] += mass;
      else
        sky_acc_add(&fixed, mass);
    }
    v->constant[z] = sky_acc_value(&fixed);
    if (v->unscaled_flux != NULL) v->constant[z] += zone_mass(v, z, v->unscaled_flux);
  }
  return SKY_OK;
}

static void label_fields(inversion *v, const sky_information *info) {
  for (size_t c = 0; c < v->n_cell; c++) {
    const double fixed = v->unscaled_flux != NULL ? or_zero(v->unscaled_flux[c]) : 0.0;
    const double prior = v->prior_flux[c];
    v->cell[0][c] = prior + fixed;
    v->cell[1][c] = v->cell[2][c] = v->cell[3][c] = NAN;
    if (info->label[c] <= 0) continue;
    const size_t i = (size_t)info->label[c] - 1;
    v->cell[1][c] = prior * v->post.x[i] + fixed;
    v->cell[2][c] = fabs(prior) * v->post.sd[i];
    v->cell[3][c] = v->post.ak[i];
  }
}

static sky_status solve_information(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                    sky_facts *facts, inversion *v) {
  const double sigma = sky_node_number(v->node, "sigma");
  double boundary = sky_node_number(v->node, "boundary_sd") * 1e9; /* the file's unit: ppb */
  sky_information info = {0};
  double *x0 = NULL, *x_sd = NULL, *mass = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_information(ctx, job, stage->gas, &info));
  if (v->mesh.n_patch > 1 || !sky_grid_equal(&info.grid, &v->mesh.patch[0])) {
    st = sky_fail(
        ctx, SKY_E_COVERAGE,
        "%s: the state vector's grid differs from the job's grid, or the job's has patches",
        sky_node_text(v->node, "information.state"));
    goto cleanup;
  }
  if (isnan(boundary)) boundary = info.boundary_sd;
  if (info.n_boundary > 0 && isnan(boundary)) {
    st = sky_fail(ctx, SKY_E_JOB,
                  "%s: inversions.boundary_sd: missing, neither the job nor %s states it for %zu "
                  "boundary elements",
                  sky_jobfile_path(job->file), sky_node_text(v->node, "information.result"),
                  info.n_boundary);
    goto cleanup;
  }
  v->n_state = info.n;
  v->n_time = 1;
  const size_t n_emission = info.n - info.n_boundary;
  SKY_GO_ALLOC(x0, SKY_NEW(ctx, double, info.n));
  SKY_GO_ALLOC(x_sd, SKY_NEW(ctx, double, info.n));
  SKY_GO_ALLOC(mass, SKY_NEW(ctx, double, 2 * info.n));
  for (size_t i = 0; i < info.n; i++) {
    x0[i] = i < n_emission ? 1.0 : 0.0;
    x_sd[i] = i < n_emission ? sigma : boundary;
  }
  element_mass(v, &info, v->prior_flux, mass);
  SKY_GO(label_functionals(ctx, &info, v));
  if (v->compared_flux != NULL) {
    SKY_GO_ALLOC(v->x_compared, SKY_NEW0(ctx, double, info.n));
    element_mass(v, &info, v->compared_flux, mass + info.n);
    for (size_t i = 0; i < n_emission; i++) {
      v->x_compared[i] = mass[i] != 0.0 ? mass[info.n + i] / mass[i] : x0[i];
      if (mass[i] == 0.0 && mass[info.n + i] != 0.0)
        sky_fact(facts, "warnings", sky_node_text(v->compared, "id"),
                 "%.3g t/yr lie in state element %zu, which has no prior emission to scale: not "
                 "compared there",
                 mass[info.n + i] / 1e3, i + 1);
    }
    SKY_GO(element_covariance(ctx, v, &info, mass, boundary));
  }
  const sky_information_problem p = {
      .n = info.n, .F = info.F, .g = info.g, .x0 = x0, .x_sd = x_sd, .gamma = info.gamma};
  const sky_functionals zones = {.n_zone = v->zones.n,
                                 .W = v->W,
                                 .constant = v->constant,
                                 .inventory_sd = v->compared_sd,
                                 .inventory_E = v->compared_E};
  SKY_GO(sky_information_solve(ctx, &p, &zones, NULL, NULL, &v->post));
  for (size_t z = 0; z < v->zones.n; z++) {
    const double *a = v->post.zone_A + z * info.n;
    sky_acc seen = {0};
    for (size_t i = 0; v->x_compared != NULL && i < n_emission; i++)
      sky_acc_add(&seen, a[i] * (v->x_compared[i] - x0[i]));
    v->seen[z] = v->x_compared != NULL ? v->post.prior_total[z] + sky_acc_value(&seen) : NAN;
  }
  label_fields(v, &info);
  v->n_emission = n_emission;
  sky_fact(facts, "inputs", sky_species_find(stage->gas)->formula,
           "ready-made information: %zu emission elements and %zu boundary elements, gamma %g, "
           "prior sd %g (the file states %g)",
           n_emission, info.n_boundary, info.gamma, sigma, info.prior_sd);
cleanup:
  sky_free(x0);
  sky_free(x_sd);
  sky_free(mass);
  sky_information_free(&info);
  return st;
}

/* --- results -------------------------------------------------------------------------------------
 */

static sky_status write_posterior(sky_context *ctx, const char *path, const inversion *v,
                                  char *const *tags) {
  const sky_posterior *p = &v->post;
  double *covered = SKY_NEW(ctx, double, v->zones.n);
  if (covered == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < v->zones.n; z++)
    covered[z] = v->cover[z].area_zone > 0 ? v->cover[z].area_in / v->cover[z].area_zone : 0.0;
  const sky_stage_dim dims[] = {{"cell", v->n_cell},  {"state", v->n_state},
                                {"zone", v->zones.n}, {"zone2", v->zones.n},
                                {"obs", p->n_obs},    {"background", p->n_background}};
  const sky_stage_var vars[] = {
      {"cell_prior", "cell", "mol m-2 s-1", v->cell[0], NULL},
      {"cell_posterior", "cell", "mol m-2 s-1", v->cell[1], NULL},
      {"cell_sd", "cell", "mol m-2 s-1", v->cell[2], NULL},
      {"cell_ak", "cell", "1", v->cell[3], NULL},
      {"x", "state", "1", p->x, NULL},
      {"x_sd", "state", "1", p->sd, NULL},
      {"zone_prior", "zone", "kg year-1", p->prior_total, NULL},
      {"zone_prior_sd", "zone", "kg year-1", p->prior_sd, NULL},
      {"zone_posterior", "zone", "kg year-1", p->total, NULL},
      {"zone_posterior_sd", "zone", "kg year-1", p->total_sd, NULL},
      {"zone_dofs", "zone", "1", p->zone_dofs, NULL},
      {"zone_sensitivity", "zone", "1", p->zone_sensitivity, NULL},
      {"zone_null_sd", "zone", "kg year-1", p->zone_null_sd, NULL},
      {"zone_detectable", "zone", "kg year-1", p->zone_detectable, NULL},
      {"zone_seen", "zone", "kg year-1", v->seen, NULL},
      {"zone_covered", "zone", "1", covered, NULL},
      {"zone_covariance", "zone,zone2", "kg2 year-2", p->zone_cov, NULL},
      {"residual", "obs", "mol mol-1", p->residual, NULL},
      {"simulated_prior", "obs", "mol mol-1", p->simulated_prior, NULL},
      {"simulated", "obs", "mol mol-1", p->simulated, NULL},
      {"background", "background", "mol mol-1", p->b, NULL},
      {"background_sd", "background", "mol mol-1", p->b_post_sd, NULL},
  };
  /* The information form has no observations and no background. */
  const size_t n_vars = p->n_obs > 0 ? sizeof vars / sizeof *vars : 17;
  const size_t n_dims = p->n_obs == 0 ? 4 : p->n_background > 0 ? 6 : 5;
  const sky_status st = sky_stage_file_write(
      ctx, path, dims, n_dims, vars, p->n_obs > 0 && p->n_background == 0 ? n_vars - 2 : n_vars,
      NULL, 0, tags);
  sky_free(covered);
  return st;
}

/* Mean and root mean square of simulated minus observed, in the gas's column unit. */
static void misfit(const double *residual, const double *shift, size_t n, double scale,
                   double *mean, double *rms) {
  double sum = 0.0, square = 0.0;
  for (size_t i = 0; i < n; i++) {
    const double d = -(residual[i] + (shift != NULL ? shift[i] : 0.0)) * scale;
    sum += d;
    square += d * d;
  }
  *mean = sum / (double)n;
  *rms = sqrt(square / (double)n);
}

static void record_information(sky_facts *facts, const inversion *v) {
  const char *formula = sky_species_find(v->gas)->formula;
  const double emission = sky_sum(v->post.ak, v->n_emission);
  sky_fact(
      facts, "diagnostics", formula,
      "degrees of freedom for signal %.4g for the emissions and %.4g for the boundary (trace of "
      "the averaging kernel %.6g)",
      emission, v->post.dofs - emission, v->post.dofs);
  sky_fact(facts, "diagnostics", formula,
           "innovation chi2, Jo and the evidence need the observations themselves and are not "
           "available from normal equations");
  sky_fact_number(facts, "dofs", emission);
  sky_fact_number(facts, "dofs_with_boundary", v->post.dofs);
}

static sky_status record_observations(sky_context *ctx, sky_facts *facts, const inversion *v) {
  const sky_posterior *p = &v->post;
  const sky_species *species = sky_species_find(v->gas);
  const double n = (double)p->n_obs, all_dofs = p->dofs + or_zero(p->dofs_background);
  double mean[2], rms[2];
  double *moved = SKY_NEW(ctx, double, p->n_obs);
  if (moved == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n_obs; i++)
    moved[i] = p->simulated[i] - p->simulated_prior[i];
  misfit(p->residual, moved, p->n_obs, species->column_scale, &mean[0], &rms[0]);
  misfit(p->residual, NULL, p->n_obs, species->column_scale, &mean[1], &rms[1]);
  sky_free(moved);
  sky_fact(facts, "diagnostics", species->formula,
           "forward comparison: simulated minus observed %.3g %s in the mean and %.3g rms with the "
           "prior and the unadjusted background, %.3g and %.3g with the posterior",
           mean[0], species->column_unit, rms[0], mean[1], rms[1]);
  sky_fact(facts, "diagnostics", species->formula, "degrees of freedom for signal %.4g", p->dofs);
  sky_fact(facts, "diagnostics", species->formula,
           "%zu observations, innovation chi2 per observation %.4g, Jb/DOFS %.4g, Jo/(n-DOFS) "
           "%.4g, -log evidence %.6g",
           p->n_obs, p->chi2 / n, p->jb / all_dofs, p->jo / (n - all_dofs), p->neg_log_evidence);
  sky_fact_number(facts, "time_steps", (double)v->n_time);
  sky_fact_number(facts, "dofs", p->dofs);
  sky_fact_number(facts, "dofs_background", p->dofs_background);
  sky_fact_number(facts, "chi2_innovation_per_obs", p->chi2 / n);
  sky_fact_number(facts, "jb", p->jb);
  sky_fact_number(facts, "jo", p->jo);
  sky_fact_number(facts, "neg_log_evidence", p->neg_log_evidence);
  return SKY_OK;
}

sky_status sky_stage_invert(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  inversion v = {.node = sky_job_inversion(job, stage->gas)};
  sky_facts facts = {0};
  char *path = NULL, **tags = NULL;
  sky_status st = SKY_OK;
  snprintf(v.gas, sizeof v.gas, "%s", stage->gas);
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(prepare(ctx, job, &v));
  if (sky_node_get(v.node, "information") != NULL)
    SKY_GO(solve_information(ctx, job, stage, &facts, &v));
  else
    SKY_GO(solve_observations(ctx, job, stage, &v));
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  SKY_GO(write_posterior(ctx, path, &v, tags));
  sky_fact_number(&facts, "observations", (double)v.post.n_obs);
  if (v.post.n_obs == 0)
    record_information(&facts, &v);
  else
    SKY_GO(record_observations(ctx, &facts, &v));
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_tags_free(tags);
  sky_free(path);
  sky_facts_free(&facts);
  inversion_free(&v);
  return st;
}
