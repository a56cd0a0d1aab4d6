/* invert_record.c: what stage invert found out, in sentences and numbers. */
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/job/inverting.h"

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

void sky_inverting_record_information(sky_facts *facts, const sky_inverting *v) {
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

static double layer_dofs(const sky_inverting *v, size_t l) {
  sky_acc sum = {0};
  for (size_t s = 0; s < v->n_state; s++)
    if (s / v->n_cell % v->n_layer == l) sky_acc_add(&sum, v->post.ak[s]);
  return sky_acc_value(&sum);
}

sky_status sky_inverting_record_observations(sky_context *ctx, sky_facts *facts,
                                             const sky_inverting *v) {
  const sky_posterior *p = &v->post;
  const sky_species *species = sky_species_find(v->gas);
  const double n = (double)p->n_obs, all_dofs = p->dofs + sky_or_zero(p->dofs_background);
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
  if (v->n_layer == 1) {
    sky_fact(facts, "diagnostics", species->formula, "degrees of freedom for signal %.4g", p->dofs);
  } else {
    const double sink = layer_dofs(v, 1);
    sky_fact(facts, "diagnostics", species->formula,
             "degrees of freedom for signal %.4g for the emissions and %.4g for the ecosystems",
             p->dofs - sink, sink);
    sky_fact_number(facts, "dofs_prior", p->dofs - sink);
    sky_fact_number(facts, "dofs_sink", sink);
  }
  sky_fact(facts, "diagnostics", species->formula,
           "%zu observations, innovation chi2 per observation %.4g, Jb/DOFS %.4g, Jo/(n-DOFS) "
           "%.4g, -log evidence %.6g",
           p->n_obs, p->chi2 / n, p->jb / all_dofs, p->jo / (n - all_dofs), p->neg_log_evidence);
  sky_fact_number(facts, "time_steps", (double)v->n_time);
  sky_fact_number(facts, "memory_bytes", v->bytes);
  sky_fact_number(facts, "dofs", p->dofs);
  sky_fact_number(facts, "dofs_background", p->dofs_background);
  sky_fact_number(facts, "chi2_innovation_per_obs", p->chi2 / n);
  sky_fact_number(facts, "jb", p->jb);
  sky_fact_number(facts, "jo", p->jo);
  sky_fact_number(facts, "neg_log_evidence", p->neg_log_evidence);
  return SKY_OK;
}
