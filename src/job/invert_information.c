/* invert_information.c: the posterior of ready-made normal equations: state elements are the labels
 * of an IMI state vector, scale factors of the prior emission. */
#include <string.h>

#include "algorithms/inversion/covariance.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/job/correlation.h"
#include "src/job/inverting.h"

/* kg yr-1 of a flux field in one zone. */
static double zone_mass(const sky_inverting *v, size_t z, const double *flux) {
  sky_acc sum = {0};
  for (size_t k = 0; k < v->cover[z].n; k++) {
    const size_t c = v->cover[z].cell[k];
    sky_acc_add(&sum, sky_or_zero(flux[c]) * v->area[c] * v->cover[z].fraction[k] * v->kg);
  }
  return sky_acc_value(&sum);
}

/* Emission of a flux field in each state element, kg yr-1. */
static void element_mass(const sky_inverting *v, const sky_information *info, const double *flux,
                         double *mass) {
  memset(mass, 0, info->n * sizeof(double));
  for (size_t c = 0; c < v->n_cell; c++)
    if (info->label[c] > 0) mass[info->label[c] - 1] += sky_or_zero(flux[c]) * v->area[c] * v->kg;
}

/* Covariance of the compared inventory between elements, in units of scale factors, as sd and
 * correlation: Σ_{c∈i,d∈j} s_c s_d ρ(c,d) / (m_i m_j). An element without prior emission has none:
 * no scale factor can express the inventory there. The boundary keeps its prior error, which is not
 * the inventory's but enters the null difference all the same. */
static sky_status element_covariance(sky_context *ctx, sky_inverting *v,
                                     const sky_information *info, const double *prior_mass,
                                     double boundary_sd) {
  const double length = sky_node_number(v->compared, "uncertainty.length");
  const size_t n = info->n;
  double *mass = NULL;
  sky_correlation model;
  sky_status st = SKY_OK;
  if (isnan(sky_node_number(v->compared, "uncertainty.sigma"))) return SKY_OK;
  SKY_TRY(sky_job_correlation(ctx, sky_node_get(v->compared, "uncertainty"), &model));
  SKY_GO_ALLOC(v->compared_sd, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(v->compared_E, SKY_NEW0(ctx, double, n *n));
  SKY_GO_ALLOC(mass, SKY_NEW(ctx, double, v->n_cell)); /* s_c, 0 where there is no scale factor */
  for (size_t c = 0; c < v->n_cell; c++) {
    const int32_t label = info->label[c];
    mass[c] = label > 0 && prior_mass[label - 1] != 0.0
                  ? sky_inverting_cell_sd(v, v->compared_flux[c]) * v->area[c] * v->kg /
                        prior_mass[label - 1]
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

/* The same where the inventory states factors and a diagonal: both sum over an element's cells. */
static sky_status element_low_rank(sky_context *ctx, sky_inverting *v, const sky_information *info,
                                   const double *prior_mass, double boundary_sd) {
  const sky_layer *own = &v->bottom_up;
  const size_t n = info->n;
  v->compared_factor = SKY_NEW0(ctx, double, own->rank *n);
  v->compared_var = SKY_NEW0(ctx, double, n);
  if (v->compared_factor == NULL || v->compared_var == NULL) return SKY_E_NOMEM;
  for (size_t c = 0; c < v->n_cell; c++) {
    const int32_t label = info->label[c];
    if (label <= 0 || prior_mass[label - 1] == 0.0) continue;
    const size_t i = (size_t)label - 1;
    const double scale = v->area[c] * v->kg / prior_mass[i];
    v->compared_var[i] += own->variance[c] * scale * scale;
    for (size_t k = 0; k < own->rank; k++)
      v->compared_factor[k * n + i] += own->factor[k * v->n_cell + c] * scale;
  }
  for (size_t i = n - info->n_boundary; i < n; i++)
    v->compared_var[i] = boundary_sd * boundary_sd;
  return SKY_OK;
}

static sky_status label_functionals(sky_context *ctx, const sky_information *info,
                                    sky_inverting *v) {
  v->W = SKY_NEW0(ctx, double, v->zones.n * info->n);
  v->constant = SKY_NEW0(ctx, double, v->zones.n);
  if (v->W == NULL || v->constant == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < v->zones.n; z++) {
    sky_acc fixed = {0};
    for (size_t k = 0; k < v->cover[z].n; k++) {
      const size_t c = v->cover[z].cell[k];
      const double mass =
          sky_or_zero(v->prior_flux[c]) * v->area[c] * v->cover[z].fraction[k] * v->kg;
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

static void label_fields(sky_inverting *v, const sky_information *info) {
  for (size_t c = 0; c < v->n_cell; c++) {
    const double fixed = v->unscaled_flux != NULL ? sky_or_zero(v->unscaled_flux[c]) : 0.0;
    const double prior = v->prior_flux[c];
    v->cell[0][0][c] = prior + fixed;
    v->cell[0][1][c] = v->cell[0][2][c] = v->cell[0][3][c] = NAN;
    if (info->label[c] <= 0) continue;
    const size_t i = (size_t)info->label[c] - 1;
    v->cell[0][1][c] = prior * v->post.x[i] + fixed;
    v->cell[0][2][c] = fabs(prior) * v->post.sd[i];
    v->cell[0][3][c] = v->post.ak[i];
  }
}

sky_status sky_inverting_information(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                     sky_facts *facts, sky_inverting *v) {
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
    SKY_GO((v->bottom_up.variance != NULL ? element_low_rank : element_covariance)(ctx, v, &info,
                                                                                   mass, boundary));
  }
  const sky_information_problem p = {
      .n = info.n, .F = info.F, .g = info.g, .x0 = x0, .x_sd = x_sd, .gamma = info.gamma};
  const sky_functionals zones = sky_inverting_functionals(v);
  SKY_GO(sky_information_solve(ctx, &p, &zones, NULL, NULL, &v->post));
  v->kernel = true;
  v->method = "information";
  v->estimate = "mean";
  sky_inverting_see(v, x0, n_emission);
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
