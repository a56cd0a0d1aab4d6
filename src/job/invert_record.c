/* invert_record.c: what stage invert found out, in sentences and numbers. */
#include <string.h>

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

static sky_status record_fit(sky_context *ctx, sky_facts *facts, const sky_inverting *v) {
  const sky_posterior *p = &v->post;
  const sky_species *species = sky_species_find(v->gas);
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
  return SKY_OK;
}

/* An estimate of DOFS holds the offsets' too; it says so and is not split by layers, nor are those
 * of a band, which has no averaging kernel of every unknown. */
static void record_dofs(sky_facts *facts, const sky_inverting *v) {
  const sky_posterior *p = &v->post;
  const char *formula = sky_species_find(v->gas)->formula;
  const bool estimated = v->report.basis > 0 && !v->report.complete;
  if (estimated) {
    sky_fact(facts, "diagnostics", formula,
             "degrees of freedom for signal %.4g, offsets included (an estimate, 95 %% interval "
             "+-%.2g)",
             p->dofs, v->report.dofs_half);
    sky_fact_number(facts, "dofs_half_width_95", v->report.dofs_half);
    double most = 0;
    for (size_t z = 0; z < v->zones.n; z++)
      most = fmax(most, p->zone_dofs_half[z]);
    sky_fact(facts, "diagnostics", formula,
             "degrees of freedom of zones are estimates as well, with 95 %% intervals up to +-%.2g "
             "(zone_dofs_half of posterior-%s.nc)",
             most, v->gas);
  } else if (v->n_layer == v->n_sector || isnan(p->ak[0])) {
    sky_fact(facts, "diagnostics", formula, "degrees of freedom for signal %.4g", p->dofs);
  } else {
    const double sink = layer_dofs(v, v->n_sector);
    sky_fact(facts, "diagnostics", formula,
             "degrees of freedom for signal %.4g for the emissions and %.4g for the ecosystems",
             p->dofs - sink, sink);
    sky_fact_number(facts, "dofs_prior", p->dofs - sink);
    sky_fact_number(facts, "dofs_sink", sink);
  }
}

static void record_gaussian(sky_facts *facts, const sky_inverting *v) {
  const sky_posterior *p = &v->post;
  const char *formula = sky_species_find(v->gas)->formula;
  const double n = (double)p->n_obs, all_dofs = p->dofs + sky_or_zero(p->dofs_background);
  record_dofs(facts, v);
  if (isnan(p->neg_log_evidence))
    sky_fact(facts, "diagnostics", formula,
             "%zu observations, chi2 per observation beyond the drift %.4g, Jb %.4g, Jo %.4g; the "
             "prior's mean is not used",
             p->n_obs, p->chi2 / (n - (double)v->n_layer), p->jb, p->jo);
  else
    sky_fact(facts, "diagnostics", formula,
             "%zu observations, innovation chi2 per observation %.4g, Jb/DOFS %.4g, Jo/(n-DOFS) "
             "%.4g, -log evidence %.6g",
             p->n_obs, p->chi2 / n, p->jb / all_dofs, p->jo / (n - all_dofs), p->neg_log_evidence);
  sky_fact_number(facts, "jb_per_dofs", p->jb / all_dofs);
  sky_fact_number(facts, "jo_per_rest", p->jo / (n - all_dofs));
  if (v->report.basis == 0) return;
  sky_fact(facts, "diagnostics", formula,
           "iteration: %zu vectors; totals are within %.2g of their sds of the exact ones, and "
           "these sds within %.2g of themselves (bounds)",
           v->report.basis, v->report.total_error, v->report.sd_error);
  sky_fact_number(facts, "total_error_bound", v->report.total_error);
  sky_fact_number(facts, "sd_error_bound", v->report.sd_error);
}

static void record_smoother(sky_facts *facts, const sky_inverting *v) {
  const sky_posterior *p = &v->post;
  const double lag = sky_node_number(v->node, "solver.lag");
  sky_fact(
      facts, "diagnostics", sky_species_find(v->gas)->formula,
      "%zu observations, innovation chi2 per observation %.4g, -log evidence %.6g; %zu steps, "
      "each corrected by soundings up to %g steps later, totals and backgrounds by all; degrees "
      "of freedom and averaging kernels are of other methods",
      p->n_obs, p->chi2 / (double)p->n_obs, p->neg_log_evidence, v->n_time,
      isnan(lag) ? (double)v->n_time - 1 : lag);
}

/* The worst zone decides whether the chains are called converged. */
static void record_draws(sky_facts *facts, const sky_inverting *v) {
  const char *formula = sky_species_find(v->gas)->formula;
  const sky_chain_summary *s = v->sign.sampled.summary, *worst = s;
  for (size_t z = 0; z < v->zones.n; z++) {
    const double t = v->constant[z];
    if (s[z].verdict > worst->verdict) worst = &s[z];
    if (s[z].sd == 0 || isnan(t)) continue; /* nothing of the zone moves */
    sky_fact(facts, "diagnostics", v->zones.zone[z].name,
             "%s: mean %.4g t/yr (Monte-Carlo error %.2g), median %.4g, %s %.4g, 95 %% interval "
             "%.4g to %.4g; R-hat %.4f, effective draws %.0f",
             formula, (s[z].mean + t) / 1e3, s[z].mc_error / 1e3, (s[z].median + t) / 1e3,
             sky_signed_mode_name(&v->sign), (v->sign.sampled.zone_mode[z] + t) / 1e3,
             (s[z].quantile[0] + t) / 1e3, (s[z].quantile[4] + t) / 1e3, s[z].rhat,
             fmin(s[z].ess_bulk, s[z].ess_tail));
  }
  double rhat = 0, ess = INFINITY, error = 0;
  for (size_t z = 0; z < v->zones.n; z++) {
    if (s[z].sd == 0) continue;
    rhat = fmax(rhat, s[z].rhat);
    ess = fmin(ess, fmin(s[z].ess_bulk, s[z].ess_tail));
    error = fmax(error, s[z].mc_error / s[z].sd);
  }
  sky_fact(facts, "diagnostics", formula, "%zu chains of %zu draws: %s", v->how.n_chain,
           v->how.n_draw, sky_chain_verdict_text(worst->verdict));
  if (worst->verdict != SKY_CHAINS_CONVERGED)
    sky_fact(facts, "warnings", formula, "chains: %s", sky_chain_verdict_text(worst->verdict));
  sky_fact_number(facts, "rhat", rhat);
  sky_fact_number(facts, "ess", ess);
  sky_fact_number(facts, "mc_error_per_sd", error);
  sky_fact_number(facts, "divergent", (double)v->sign.sampled.divergent);
  sky_fact_text(facts, "chains", sky_chain_verdict_text(worst->verdict));
}

static void record_signed(sky_facts *facts, const sky_inverting *v) {
  const char *formula = sky_species_find(v->gas)->formula;
  sky_fact(
      facts, "diagnostics", formula,
      "%s fluxes: posterior totals are the %s; Jb %.4g, Jo %.4g and the forward comparison are "
      "of the %s; degrees of freedom and averaging kernels are of Gaussian posteriors only",
      v->sign.lognormal ? "log-normal" : "non-negative", v->estimate, v->post.jb, v->post.jo,
      sky_signed_mode_name(&v->sign));
  if (v->sign.n_fixed > 0)
    sky_fact(facts, "diagnostics", formula,
             "%zu elements without prior flux stay at 0 (log-normal)", v->sign.n_fixed);
  if (!v->sign.lognormal) sky_fact_number(facts, "active_zeros", (double)v->sign.bounded.n_lower);
  if (v->sign.drawn)
    record_draws(facts, v);
  else
    sky_fact(facts, "warnings", formula,
             "a mode has no standard deviation, and its total is biased where many elements lie at "
             "a bound (inversions.samples gives both)");
}

sky_status sky_inverting_record_observations(sky_context *ctx, sky_facts *facts,
                                             const sky_inverting *v) {
  const sky_posterior *p = &v->post;
  SKY_TRY(record_fit(ctx, facts, v));
  sky_fact(facts, "diagnostics", sky_species_find(v->gas)->formula,
           "method: %s; a posterior total is the %s", v->method, v->estimate);
  if (v->cell_mode != NULL)
    record_signed(facts, v);
  else if (strcmp(v->method, "smoother") == 0)
    record_smoother(facts, v);
  else
    record_gaussian(facts, v);
  sky_fact_number(facts, "time_steps", (double)v->n_time);
  sky_fact_number(facts, "memory_bytes", v->bytes);
  sky_fact_number(facts, "dofs", p->dofs);
  sky_fact_number(facts, "dofs_background", p->dofs_background);
  sky_fact_number(facts, "chi2_innovation_per_obs", p->chi2 / (double)p->n_obs);
  sky_fact_number(facts, "jb", p->jb);
  sky_fact_number(facts, "jo", p->jo);
  sky_fact_number(facts, "neg_log_evidence", p->neg_log_evidence);
  return SKY_OK;
}
