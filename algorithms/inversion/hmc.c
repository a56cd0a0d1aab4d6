/* hmc.c: leapfrog HMC with unit mass and jittered path length (hmc.md). */
#include "algorithms/inversion/hmc.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

#define TARGET 0.9         /* acceptance aimed at */
#define PATH 1.57079632679 /* a quarter turn makes draws of N(0, I) independent */
#define JITTER 0.3         /* of the path, either way */
#define MAX_LEAPS 1024
#define DIVERGENT 1000.0 /* error of the energy */
#define SCATTER 2.0      /* starts are drawn from N(0, SCATTER² I) */
#define GAMMA 0.05       /* dual averaging: Hoffman & Gelman 2014, sec. 3.2 */
#define OFFSET 10.0
#define KAPPA 0.75

typedef struct chain {
  const sky_hmc_target *target;
  uint64_t seed, stream, count; /* count: random numbers taken */
  double *q, *g, *q1, *g1, *p, *work;
  double potential;
  double step, log_mean, statistic, centre; /* dual averaging */
  double acceptance;                        /* sum of kept draws */
  size_t divergent;
} chain;

static void adapt(chain *c, size_t k, double accepted) {
  const double n = (double)(k + 1), weight = pow(n, -KAPPA);
  c->statistic += (TARGET - accepted - c->statistic) / (n + OFFSET);
  const double log_step = c->centre - sqrt(n) / GAMMA * c->statistic;
  c->log_mean = weight * log_step + (1 - weight) * c->log_mean;
  c->step = exp(log_step);
}

/* One trajectory; the probability of acceptance, 0 if it diverged. */
static double leap(chain *c, bool *diverged) {
  const size_t n = c->target->dim;
  double kinetic = 0;
  for (size_t i = 0; i < n; i++) {
    c->p[i] = sky_rng_normal(c->seed, c->stream, c->count++);
    kinetic += c->p[i] * c->p[i];
  }
  const double before = c->potential + 0.5 * kinetic;
  const double path =
      PATH * (1 + JITTER * (2 * sky_rng_uniform(c->seed, c->stream, c->count++) - 1));
  const double leaps = fmin(fmax(ceil(path / c->step), 1), MAX_LEAPS);
  double potential = c->potential;
  memcpy(c->q1, c->q, n * sizeof *c->q);
  memcpy(c->g1, c->g, n * sizeof *c->g);
  for (double l = 0; l < leaps && isfinite(potential); l++) {
    for (size_t i = 0; i < n; i++) {
      c->p[i] -= 0.5 * c->step * c->g1[i];
      c->q1[i] += c->step * c->p[i];
    }
    potential = c->target->potential(c->target->user, c->q1, c->g1, c->work);
    for (size_t i = 0; i < n; i++)
      c->p[i] -= 0.5 * c->step * c->g1[i];
  }
  kinetic = 0;
  for (size_t i = 0; i < n; i++)
    kinetic += c->p[i] * c->p[i];
  const double error = potential + 0.5 * kinetic - before;
  const double draw = sky_rng_uniform(c->seed, c->stream, c->count++);
  *diverged = !(error <= DIVERGENT);
  if (*diverged) return 0;
  const double accepted = error <= 0 ? 1 : exp(-error);
  if (draw < accepted) {
    memcpy(c->q, c->q1, n * sizeof *c->q);
    memcpy(c->g, c->g1, n * sizeof *c->g);
    c->potential = potential;
  }
  return accepted;
}

/* A start of finite potential, nearer to the mode with every try. */
static sky_status start(sky_context *ctx, chain *c) {
  const size_t n = c->target->dim;
  double scatter = SCATTER;
  for (int k = 0; k < 30; k++, scatter *= 0.7) {
    for (size_t i = 0; i < n; i++)
      c->q[i] = scatter * sky_rng_normal(c->seed, c->stream, c->count++);
    c->potential = c->target->potential(c->target->user, c->q, c->g, c->work);
    if (isfinite(c->potential)) {
      c->step = pow((double)n, -0.25);
      c->centre = log(10 * c->step);
      c->log_mean = log(c->step);
      return SKY_OK;
    }
  }
  return sky_fail(ctx, SKY_E_RANGE, "sampling: the density is no finite number near its mode");
}

static sky_status run_chain(sky_context *ctx, chain *c, size_t index, const sky_sampling *how,
                            double *rows) {
  SKY_TRY(start(ctx, c));
  bool diverged;
  for (size_t k = 0; k < how->n_warmup; k++) {
    adapt(c, k, leap(c, &diverged));
    SKY_TRY(sky_progress_step(ctx, 1));
  }
  c->step = exp(c->log_mean);
  for (size_t k = 0; k < how->n_draw; k++) {
    c->acceptance += leap(c, &diverged);
    c->divergent += diverged;
    c->target->record(c->target->user, index, c->q, rows + k * c->target->n_row, c->work);
    SKY_TRY(sky_progress_step(ctx, 1));
  }
  return SKY_OK;
}

sky_status sky_hmc_run(sky_context *ctx, const sky_hmc_target *target, const sky_sampling *how,
                       double *rows, sky_hmc_report *out) {
  const size_t n = target->dim, each = 5 * n + target->n_work, chains = how->n_chain;
  sky_status st = SKY_OK;
  double *room = NULL;
  chain *c = NULL;
  sky_status *done = NULL;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_sampling_check(ctx, how));
  SKY_GO_ALLOC(room, SKY_NEW0(ctx, double, chains *each));
  SKY_GO_ALLOC(c, SKY_NEW0(ctx, chain, chains));
  SKY_GO_ALLOC(done, SKY_NEW0(ctx, sky_status, chains));
#pragma omp parallel for schedule(dynamic, 1) num_threads(sky_context_threads(ctx))
  for (size_t k = 0; k < chains; k++) {
    double *own = room + k * each;
    c[k] = (chain){.target = target, .seed = how->seed, .stream = k};
    c[k].q = own;
    c[k].g = own + n;
    c[k].q1 = own + 2 * n;
    c[k].g1 = own + 3 * n;
    c[k].p = own + 4 * n;
    c[k].work = own + 5 * n;
    done[k] = run_chain(ctx, &c[k], k, how, rows + k * how->n_draw * target->n_row);
  }
  out->step_least = INFINITY;
  for (size_t k = 0; k < chains; k++) {
    if (st == SKY_OK && done[k] != SKY_OK)
      st = done[k] == SKY_E_CANCELLED
               ? done[k]
               : sky_fail(ctx, done[k], "sampling: chain %zu found no start of finite density", k);
    out->divergent += c[k].divergent;
    out->acceptance += c[k].acceptance / (double)(chains * how->n_draw);
    out->step_least = fmin(out->step_least, c[k].step);
    out->step_most = fmax(out->step_most, c[k].step);
  }
cleanup:
  sky_free(room);
  sky_free(c);
  sky_free(done);
  return st;
}
