/* invert_sign.c: the posterior of fluxes that are not negative (solve_sign.h) in the shape of a
 * Gaussian one: the mean and sd of the draws, or the mode alone without an sd. It is no linear
 * estimate, so there is no averaging kernel: what compares through one is NaN. */
#include <math.h>
#include <string.h>

#include "algorithms/inversion/dual.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/job/inverting.h"

static void unknown(double *a, size_t n) {
  for (size_t i = 0; a != NULL && i < n; i++)
    a[i] = NAN;
}

static void take_state(const sky_problem *p, sky_inverting *v) {
  const sky_signed *s = &v->sign;
  const size_t m = p->n_state;
  memcpy(v->post.x, s->drawn ? s->sampled.mean : sky_signed_mode(s), m * sizeof(double));
  if (s->drawn)
    memcpy(v->post.sd, s->sampled.sd, m * sizeof(double));
  else
    unknown(v->post.sd, m);
  unknown(v->post.ak, m);
  memset(v->cell_mode, 0, v->n_cell * sizeof(double));
  for (size_t k = 0; k < m; k++)
    if (k / v->n_cell % v->n_layer < v->n_sector)
      v->cell_mode[k % v->n_cell] += sky_signed_mode(s)[k] / (double)v->n_time;
}

/* Of the mode: it has one value of every offset. */
static void take_observations(const sky_problem *p, sky_inverting *v) {
  sky_posterior *out = &v->post;
  const sky_signed *s = &v->sign;
  if (p->n_background > 0) memcpy(out->b, sky_signed_offsets(s), p->n_background * sizeof(double));
  unknown(out->b_post_sd, p->n_background);
  sky_solve_simulate(p, p->x0, p->b0, out->simulated_prior);
  sky_solve_simulate(p, sky_signed_mode(s), out->b, out->simulated);
  for (size_t i = 0; i < p->n_obs; i++)
    out->residual[i] = p->y[i] - out->simulated[i];
  out->jb = s->lognormal ? s->mode.jb : s->bounded.jb;
  out->jo = s->lognormal ? s->mode.jo : s->bounded.jo;
  out->dofs = out->dofs_background = out->chi2 = out->neg_log_evidence = NAN;
}

/* Sample covariance of the rows' totals over all draws. */
static void draws_covariance(const sky_sampled *s, double *cov) {
  const size_t nz = s->n_zone, n = s->n_chain * s->n_draw;
  for (size_t a = 0; a < nz; a++)
    for (size_t b = 0; b <= a; b++) {
      sky_acc sum = {0, 0};
      for (size_t k = 0; k < n; k++)
        sky_acc_add(&sum, (s->zone[k * nz + a] - s->summary[a].mean) *
                              (s->zone[k * nz + b] - s->summary[b].mean));
      cov[a * nz + b] = cov[b * nz + a] = sky_acc_value(&sum) / (double)(n - 1);
    }
}

static sky_status take_rows(sky_context *ctx, const sky_problem *p, sky_inverting *v) {
  const sky_signed *s = &v->sign;
  sky_posterior *out = &v->post;
  const size_t m = p->n_state, nr = v->n_row;
  double *HQW = NULL, *prior = NULL;
  double *const none[] = {out->zone_dofs,         out->zone_reduction,  out->zone_sensitivity,
                          out->zone_own_response, out->zone_noise_var,  out->zone_inventory_var,
                          out->zone_null_sd,      out->zone_detectable, out->total_sd};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(HQW, SKY_NEW(ctx, double, nr * p->n_obs));
  SKY_GO_ALLOC(prior, SKY_NEW(ctx, double, nr *nr));
  SKY_GO(sky_dual_zones(ctx, p, nr, v->W, HQW, prior));
  for (size_t k = 0; k < sizeof none / sizeof *none; k++)
    unknown(none[k], nr);
  unknown(out->zone_A, nr * m);
  unknown(out->zone_cov, nr * nr);
  unknown(out->zone_inventory_cov, nr * nr);
  for (size_t r = 0; r < nr; r++) {
    const double *w = v->W + r * m;
    out->prior_total[r] = sky_dot(w, p->x0, m) + v->constant[r];
    out->prior_sd[r] = sqrt(sky_variance(prior[r * nr + r]));
    out->total[r] =
        v->constant[r] + (s->drawn ? s->sampled.summary[r].mean : sky_dot(w, out->x, m));
    if (s->drawn) out->total_sd[r] = s->sampled.summary[r].sd;
  }
  if (s->drawn) draws_covariance(&s->sampled, out->zone_cov);
cleanup:
  sky_free(HQW);
  sky_free(prior);
  return st;
}

static sky_sampling sampling_of(const sky_node *node) {
  const double draws = sky_node_number(node, "samples.draws");
  if (isnan(draws)) return (sky_sampling){0};
  return (sky_sampling){.n_chain = (size_t)sky_node_number(node, "samples.chains"),
                        .n_draw = (size_t)draws,
                        .n_warmup = sky_signed_warmup((size_t)draws),
                        .seed = (uint64_t)sky_node_number(node, "samples.seed")};
}

sky_status sky_inverting_signed(sky_context *ctx, const sky_problem *p, sky_inverting *v) {
  v->how = sampling_of(v->node);
  v->method = "exact";
  SKY_TRY(sky_solve_signed(ctx, strcmp(sky_node_text(v->node, "sign"), "lognormal") == 0, &v->how,
                           p, v->n_row, v->W, &v->sign));
  v->estimate = v->sign.drawn ? "mean of draws" : sky_signed_mode_name(&v->sign);
  v->cell_mode = SKY_NEW(ctx, double, v->n_cell);
  if (v->cell_mode == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_posterior_alloc(ctx, p->n_state, p->n_obs, p->n_background, v->n_row, &v->post));
  take_state(p, v);
  take_observations(p, v);
  return take_rows(ctx, p, v);
}
