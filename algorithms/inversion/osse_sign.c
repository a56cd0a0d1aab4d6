/* osse_sign.c: members of an experiment whose fluxes are not negative, each sampled (osse.md §2).
 *
 * Truths come from the planned prior (osse_prior.h): exp of a Gaussian field, or a Gaussian field
 * cut at zero, every THIN-th draw of one chain of exact dynamics. */
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/control.h"
#include "algorithms/inversion/lognormal.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/osse_prior.h"
#include "algorithms/inversion/truncated.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

#define THIN 8      /* draws of a cut prior from one truth to the next */
#define SETTLING 64 /* draws before the first */

typedef struct experiment {
  sky_problem p;     /* the caller's, with its own y */
  sky_problem drawn; /* the caller's, with the prior that truths come from */
  const sky_osse_plan *plan;
  const sky_osse_sampling *how;
  size_t nz;
  const double *W;
  double *lower, *upper;     /* [n_state] */
  double *truths;            /* [members*n_state] */
  double *prior, *b, *noise; /* [n_obs], [n_background], [n_obs] */
  double *truth;             /* [nz] */
} experiment;

/* ---- truths ---------------------------------------------------------------------------------- */

/* exp(μ + C u), the prior of lognormal.h */
static sky_status draw_lognormal(sky_context *ctx, experiment *e) {
  const sky_problem *p = &e->drawn;
  const size_t m = p->n_state;
  double *sd = NULL, *u = NULL;
  sky_control c = {0};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(sd, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(u, SKY_NEW(ctx, double, m));
  for (size_t i = 0; i < m; i++) {
    if (!(p->x0[i] > 0))
      SKY_GO(sky_fail(ctx, SKY_E_RANGE, "problem: x0[%zu] = %g (expected > 0: log-normal)", i,
                      p->x0[i]));
    sd[i] = sqrt(log1p(pow(p->x_sd[i] / p->x0[i], 2)));
  }
  SKY_GO(sky_control_build(ctx, p, sd, &c));
  for (size_t k = 0; k < e->plan->members; k++) {
    for (size_t i = 0; i < m; i++)
      u[i] = sky_rng_normal(e->plan->seed, 4 * k, i);
    for (size_t i = 0; i < m; i++) {
      double z = log(p->x0[i]) - 0.5 * sd[i] * sd[i];
      for (size_t j = 0; j <= i; j++)
        z += c.C[i * c.n + j] * u[j];
      e->truths[k * m + i] = exp(z);
    }
  }
cleanup:
  sky_control_free(&c);
  sky_free(sd);
  sky_free(u);
  return st;
}

/* N(x0, Q) cut at zero, by the dynamics that also sample the posterior (checked on their own
 * against closed forms, truncated.md). */
static sky_status draw_truncated(sky_context *ctx, experiment *e) {
  const sky_problem *p = &e->drawn;
  const size_t m = p->n_state;
  const sky_sampling plan = {
      .n_chain = 1, .n_draw = THIN * e->plan->members, .n_warmup = SETTLING, .seed = e->plan->seed};
  double *P = NULL, *start = NULL, *unit = NULL;
  sky_control c = {0};
  sky_sampled drawn = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_control_build(ctx, p, NULL, &c));
  SKY_GO_ALLOC(P, SKY_NEW(ctx, double, m *m));
  SKY_GO_ALLOC(unit, SKY_NEW0(ctx, double, m *m));
  SKY_GO_ALLOC(start, SKY_NEW(ctx, double, m));
  sky_gram(ctx, m, c.n, c.C, c.C, P);
  for (size_t i = 0; i < m; i++) {
    start[i] = fmax(p->x0[i], 0);
    unit[i * m + i] = 1;
  }
  const sky_gaussian prior = {m, c.n, p->x0, c.C, P};
  SKY_GO(sky_truncated_draw(ctx, &prior, e->lower, e->upper, start, unit, m, &plan, &drawn));
  for (size_t k = 0; k < e->plan->members; k++)
    memcpy(e->truths + k * m, drawn.zone + (THIN * k + THIN - 1) * m, m * sizeof *e->truths);
cleanup:
  sky_control_free(&c);
  sky_sampled_free(&drawn);
  sky_free(P);
  sky_free(start);
  sky_free(unit);
  return st;
}

/* ---- members --------------------------------------------------------------------------------- */

/* Streams of random numbers of a member as in osse_run.c: state, offsets, noise. */
static void observe_truth(sky_context *ctx, experiment *e, size_t k) {
  sky_problem *p = &e->p;
  const double *x = e->truths + k * p->n_state;
  for (size_t g = 0; g < p->n_background; g++)
    e->b[g] = p->b0[g] + p->b_sd[g] * sky_rng_normal(e->plan->seed, 4 * k + 1, g);
  sky_problem_observe(ctx, p, x, p->n_background > 0 ? e->b : NULL, p->y);
  sky_osse_noise(p, e->plan, 4 * k + 2, e->noise);
  for (size_t i = 0; i < p->n_obs; i++)
    p->y[i] += e->noise[i];
  for (size_t z = 0; z < e->nz; z++) {
    e->truth[z] = 0;
    for (size_t i = 0; i < p->n_state; i++)
      e->truth[z] += e->W[z * p->n_state + i] * x[i];
  }
}

static sky_status sample_member(sky_context *ctx, experiment *e, size_t k, sky_osse *out) {
  sky_sampling how = e->how->draws;
  sky_lognormal mode = {0};
  sky_sampled drawn = {0};
  how.seed = e->plan->seed + 0x100000000 * (k + 1); /* none of the truths' */
  sky_progress_begin(ctx, "member", 1);             /* its steps are none of the experiment's */
  sky_status st =
      e->how->lognormal
          ? sky_lognormal_sample(ctx, &e->p, e->W, e->nz, &how, &mode, &drawn)
          : sky_truncated_sample(ctx, &e->p, e->lower, e->upper, e->W, e->nz, &how, &drawn);
  sky_progress_end(ctx);
  if (st == SKY_OK) st = sky_osse_add_draws(ctx, out, &drawn, e->truth);
  sky_lognormal_free(&mode);
  sky_sampled_free(&drawn);
  return st;
}

static sky_status prepare(sky_context *ctx, experiment *e, const sky_problem *p) {
  sky_status st = SKY_OK;
  e->p = *p;
  e->p.y = NULL;
  SKY_GO_ALLOC(e->p.y, SKY_NEW(ctx, double, p->n_obs));
  memcpy(e->p.y, p->y, p->n_obs * sizeof *p->y); /* until a member's own */
  SKY_GO_ALLOC(e->lower, SKY_NEW0(ctx, double, p->n_state));
  SKY_GO_ALLOC(e->upper, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(e->truths, SKY_NEW(ctx, double, e->plan->members * p->n_state));
  SKY_GO_ALLOC(e->b, SKY_NEW(ctx, double, p->n_background));
  SKY_GO_ALLOC(e->noise, SKY_NEW(ctx, double, p->n_obs));
  SKY_GO_ALLOC(e->truth, SKY_NEW(ctx, double, e->nz));
  for (size_t i = 0; i < p->n_state; i++)
    e->upper[i] = INFINITY;
  SKY_GO(sky_osse_prior_make(ctx, p, e->plan, &e->drawn));
  SKY_GO(e->how->lognormal ? draw_lognormal(ctx, e) : draw_truncated(ctx, e));
cleanup:
  return st; /* what is there is freed by sky_osse_sample */
}

sky_status sky_osse_sample(sky_context *ctx, const sky_problem *p, size_t n_zone, const double *W,
                           const sky_osse_plan *plan, const sky_osse_sampling *how, sky_osse *out) {
  experiment e = {.drawn = *p, .plan = plan, .how = how, .nz = n_zone, .W = W};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_osse_check(ctx, plan));
  SKY_TRY(sky_sampling_check(ctx, &how->draws));
  SKY_TRY(sky_problem_check(ctx, p));
  sky_progress_begin(ctx, "osse", plan->members);
  SKY_GO(sky_osse_begin(ctx, n_zone, p->n_obs, out));
  sky_progress_begin(ctx, "truths", 1);
  st = prepare(ctx, &e, p);
  sky_progress_end(ctx);
  SKY_GO(st);
  for (size_t k = 0; k < plan->members; k++) {
    observe_truth(ctx, &e, k);
    SKY_GO(sample_member(ctx, &e, k, out));
    SKY_GO(sky_progress_step(ctx, 1));
  }
  sky_osse_finish(out);
cleanup:
  sky_progress_end(ctx);
  sky_osse_prior_free(p, &e.drawn);
  double *const all[] = {e.p.y, e.lower, e.upper, e.truths, e.b, e.noise, e.truth};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    sky_free(all[i]);
  if (st != SKY_OK) sky_osse_free(out);
  return st;
}
