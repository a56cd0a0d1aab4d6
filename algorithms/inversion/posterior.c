/* posterior.c: memory of a posterior and what follows from a zone's covariance (bayes.md §4). */
#include "algorithms/inversion/posterior.h"

#include <math.h>
#include <string.h>

#include "algorithms/fusion/compare.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

void sky_problem_free(sky_problem *p) {
  if (p == NULL) return;
  sky_free(p->rowptr);
  sky_free(p->col);
  sky_free(p->val);
  sky_free(p->y);
  sky_free(p->r_sd);
  sky_free(p->x0);
  sky_free(p->x_sd);
  sky_free(p->x_true);
  sky_free(p->E);
  sky_free(p->D);
  sky_free(p->xc);
  sky_free(p->yc);
  sky_free(p->group);
  sky_free(p->b0);
  sky_free(p->b_sd);
  memset(p, 0, sizeof *p);
}

/* Every array of a posterior with its length: one list for alloc, free and the memory plan. */
#define POSTERIOR_ARRAYS(ARRAY)     \
  ARRAY(x, n_state)                 \
  ARRAY(sd, n_state)                \
  ARRAY(ak, n_state)                \
  ARRAY(b, n_background)            \
  ARRAY(b_post_sd, n_background)    \
  ARRAY(residual, n_obs)            \
  ARRAY(simulated_prior, n_obs)     \
  ARRAY(simulated, n_obs)           \
  ARRAY(prior_total, n_zone)        \
  ARRAY(prior_sd, n_zone)           \
  ARRAY(total, n_zone)              \
  ARRAY(total_sd, n_zone)           \
  ARRAY(zone_dofs, n_zone)          \
  ARRAY(zone_reduction, n_zone)     \
  ARRAY(zone_sensitivity, n_zone)   \
  ARRAY(zone_noise_var, n_zone)     \
  ARRAY(zone_inventory_var, n_zone) \
  ARRAY(zone_null_sd, n_zone)       \
  ARRAY(zone_detectable, n_zone)    \
  ARRAY(zone_A, n_zone *n_state)    \
  ARRAY(zone_cov, n_zone *n_zone)

sky_status sky_posterior_alloc(sky_context *ctx, size_t n_state, size_t n_obs, size_t n_background,
                               size_t n_zone, sky_posterior *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  out->n_state = n_state;
  out->n_obs = n_obs;
  out->n_background = n_background;
  out->n_zone = n_zone;
#define ALLOC(name, size) SKY_GO_ALLOC(out->name, SKY_NEW0(ctx, double, size));
  POSTERIOR_ARRAYS(ALLOC)
#undef ALLOC
  return SKY_OK;
cleanup:
  sky_posterior_free(out);
  return st;
}

double sky_posterior_bytes(size_t n_state, size_t n_obs, size_t n_background, size_t n_zone) {
  double count = 0;
#define COUNT(name, size) count += (double)(size);
  POSTERIOR_ARRAYS(COUNT)
#undef COUNT
  return count * sizeof(double);
}

void sky_posterior_free(sky_posterior *p) {
  if (p == NULL) return;
#define FREE(name, size) sky_free(p->name);
  POSTERIOR_ARRAYS(FREE)
#undef FREE
  memset(p, 0, sizeof *p);
}

/* Degrees of freedom of the state elements that the zone touches. */
static double zone_dofs(size_t n, const double *a, const double *ak) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    if (a[i] != 0) sky_acc_add(&sum, ak[i]);
  return sky_acc_value(&sum);
}

void sky_posterior_zones(const sky_functionals *zones, const double *x0, sky_posterior *out) {
  const size_t n = out->n_state;
  for (size_t z = 0; z < out->n_zone; z++) {
    const double *a = zones->W + z * n;
    const double constant = zones->constant != NULL ? zones->constant[z] : 0;
    const double prior = sky_dot(a, x0, n);
    const double prior_var = sky_variance(out->prior_sd[z]);
    const double post_var = sky_variance(out->zone_cov[z * out->n_zone + z]);
    out->prior_total[z] = prior + constant;
    out->total[z] = sky_dot(a, out->x, n) + constant;
    out->prior_sd[z] = sqrt(prior_var);
    out->total_sd[z] = sqrt(post_var);
    out->zone_dofs[z] = zone_dofs(n, a, out->ak);
    out->zone_reduction[z] = prior_var > 0 ? 1 - post_var / prior_var : 0;
    out->zone_sensitivity[z] = prior != 0 ? sky_dot(out->zone_A + z * n, x0, n) / prior : NAN;
    out->zone_noise_var[z] = sky_variance(out->zone_noise_var[z]);
    out->zone_inventory_var[z] = sky_variance(out->zone_inventory_var[z]);
    out->zone_null_sd[z] = sqrt(out->zone_noise_var[z] + out->zone_inventory_var[z]);
    out->zone_detectable[z] = sky_detectable(out->zone_noise_var[z], out->zone_sensitivity[z]);
  }
}
