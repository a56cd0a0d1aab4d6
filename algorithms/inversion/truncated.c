/* truncated.c: exact Hamiltonian dynamics of a Gaussian between walls (truncated.md).
 *
 *   x(t) = mean + v sin t + (x - mean) cos t,  v ~ N(0, P), t = 0 … π/2    Pakman & Paninski 2014
 *   at wall i: ẋ_i -> -ẋ_i by ẋ -= 2 ẋ_i P_i / P_ii
 *
 * The wall acts along column P_i in the metric P⁻¹, so a bounce costs one column, and P⁻¹ never
 * appears. */
#include "algorithms/inversion/truncated.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bounded.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/control.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

#define QUARTER 1.57079632679489661923
#define TWO_PI 6.28318530717958647693
#define MAX_BOUNCES 10000000 /* of one draw */
#define TOUCH 1e-9           /* rad; a wall is not hit again sooner by rounding */

typedef struct walk {
  const sky_gaussian *g;
  const double *lower, *upper;
  uint64_t seed, stream, count;
  double *x, *v, *z;
} walk;

/* First time in (0, left) at which a wall is hit; SIZE_MAX if none. */
static size_t next_wall(const walk *w, size_t last, double *when) {
  const sky_gaussian *g = w->g;
  size_t wall = SIZE_MAX;
  for (size_t i = 0; i < g->n; i++) {
    const double a = w->v[i], b = w->x[i] - g->mean[i], u2 = a * a + b * b;
    const double low = w->lower[i] - g->mean[i], high = w->upper[i] - g->mean[i];
    /* in a quarter turn a sin t + b cos t stays within these sums: most elements are done here */
    const bool near_low = fmin(a, 0) + fmin(b, 0) <= low;
    const bool near_high = fmax(a, 0) + fmax(b, 0) >= high;
    const bool hits_low = near_low && (low > 0 || low * low < u2);
    const bool hits_high = near_high && (high < 0 || high * high < u2);
    if (u2 == 0 || (!hits_low && !hits_high)) continue;
    const double u = sqrt(u2), phase = atan2(a, b);
    for (int side = 0; side < 2; side++) {
      if (side == 0 ? !hits_low : !hits_high) continue;
      const double c = fmin(fmax((side == 0 ? low : high) / u, -1), 1);
      double t = side == 0 ? phase + acos(c) : phase - acos(c);
      t -= TWO_PI * floor(t / TWO_PI);
      if (t > TWO_PI - TOUCH) t = 0; /* on the wall already, to rounding, and leaving or touching */
      if (i == last && t < TOUCH) continue;
      if (t < *when) {
        *when = t;
        wall = i;
      }
    }
  }
  return wall;
}

static void advance(walk *w, double t) {
  const double s = sin(t), c = cos(t);
  for (size_t i = 0; i < w->g->n; i++) {
    const double b = w->x[i] - w->g->mean[i], a = w->v[i];
    w->x[i] = w->g->mean[i] + a * s + b * c;
    w->v[i] = a * c - b * s;
  }
}

static void bounce(walk *w, size_t i) {
  const size_t n = w->g->n;
  const double *P = w->g->P + i * n;
  const bool low = fabs(w->x[i] - w->lower[i]) < fabs(w->x[i] - w->upper[i]);
  const double speed = w->v[i];
  w->x[i] = low ? w->lower[i] : w->upper[i];
  if (low ? speed >= 0 : speed <= 0) return; /* rounding: it leaves the wall already */
  for (size_t j = 0; j < n; j++)
    w->v[j] -= 2 * speed * (P[j] / P[i]);
}

static sky_status draw(sky_context *ctx, walk *w) {
  const sky_gaussian *g = w->g;
  for (size_t k = 0; k < g->k; k++)
    w->z[k] = sky_rng_normal(w->seed, w->stream, w->count++);
  cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)g->n, (int)g->k, 1.0, g->T, (int)g->k, w->z, 1, 0.0,
              w->v, 1);
  double left = QUARTER;
  size_t last = SIZE_MAX;
  for (size_t k = 0; k < MAX_BOUNCES; k++) {
    double t = left;
    const size_t wall = next_wall(w, last, &t);
    advance(w, t);
    if (wall == SIZE_MAX) {
      for (size_t i = 0; i < g->n; i++)
        w->x[i] = fmin(fmax(w->x[i], w->lower[i]), w->upper[i]);
      return SKY_OK;
    }
    bounce(w, wall);
    last = wall;
    left -= t;
  }
  return sky_fail(ctx, SKY_E_RANGE, "sampling: more than %d bounces in one draw", MAX_BOUNCES);
}

/* From the mode along a scatter of two posterior sd, clipped to the walls. */
static void start(walk *w, const double *mode) {
  const sky_gaussian *g = w->g;
  for (size_t k = 0; k < g->k; k++)
    w->z[k] = 2 * sky_rng_normal(w->seed, w->stream, w->count++);
  cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)g->n, (int)g->k, 1.0, g->T, (int)g->k, w->z, 1, 0.0,
              w->v, 1);
  for (size_t i = 0; i < g->n; i++)
    w->x[i] = fmin(fmax(mode[i] + w->v[i], w->lower[i]), w->upper[i]);
}

static sky_status check(sky_context *ctx, const sky_gaussian *g, const double *lower,
                        const double *upper, const double *mode) {
  for (size_t i = 0; i < g->n; i++) {
    if (!(lower[i] < upper[i]))
      return sky_fail(ctx, SKY_E_RANGE, "bounds[%zu]: %g..%g (expected lower < upper)", i, lower[i],
                      upper[i]);
    if (!(mode[i] >= lower[i] && mode[i] <= upper[i]))
      return sky_fail(ctx, SKY_E_RANGE, "sampling: start[%zu] = %g (expected %g..%g)", i, mode[i],
                      lower[i], upper[i]);
  }
  return SKY_OK;
}

static sky_status walk_chain(sky_context *ctx, walk *w, const sky_sampling *how, const double *W,
                             size_t chain, double *sums, sky_sampled *out) {
  start(w, out->mode);
  for (size_t k = 0; k < how->n_warmup + how->n_draw; k++) {
    SKY_TRY(draw(ctx, w));
    SKY_TRY(sky_progress_step(ctx, 1));
    if (k >= how->n_warmup)
      sky_sampled_record(out->n_state, out->n_zone, W, out->mode, w->x, sums,
                         out->zone + (chain * how->n_draw + k - how->n_warmup) * out->n_zone);
  }
  return SKY_OK;
}

sky_status sky_truncated_draw(sky_context *ctx, const sky_gaussian *g, const double *lower,
                              const double *upper, const double *mode, const double *W,
                              size_t n_zone, const sky_sampling *how, sky_sampled *out) {
  const size_t n = g->n, chains = how->n_chain, each = 2 * n + g->k;
  sky_status st = SKY_OK;
  double *room = NULL, *sums = NULL;
  sky_status *done = NULL;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_sampling_check(ctx, how));
  SKY_TRY(check(ctx, g, lower, upper, mode));
  SKY_TRY(sky_sampled_alloc(ctx, n, n_zone, how, out));
  SKY_GO_ALLOC(room, SKY_NEW0(ctx, double, chains *each));
  SKY_GO_ALLOC(sums, SKY_NEW0(ctx, double, chains * 2 * n));
  SKY_GO_ALLOC(done, SKY_NEW0(ctx, sky_status, chains));
  memcpy(out->mode, mode, n * sizeof *mode);
  out->acceptance = 1;
  sky_blas_single();
#pragma omp parallel for schedule(dynamic, 1) num_threads(sky_context_threads(ctx))
  for (size_t k = 0; k < chains; k++) {
    double *own = room + k * each;
    walk w = {.g = g, .lower = lower, .upper = upper, .seed = how->seed, .stream = k};
    w.x = own;
    w.v = own + n;
    w.z = own + 2 * n;
    done[k] = walk_chain(ctx, &w, how, W, k, sums + k * 2 * n, out);
  }
  for (size_t k = 0; k < chains && st == SKY_OK; k++)
    if (done[k] != SKY_OK)
      st = done[k] == SKY_E_CANCELLED
               ? done[k]
               : sky_fail(ctx, done[k], "sampling: chain %zu did not end a draw", k);
  if (st == SKY_OK) st = sky_sampled_finish(ctx, sums, W, out);
cleanup:
  sky_free(room);
  sky_free(sums);
  sky_free(done);
  if (st != SKY_OK) sky_sampled_free(out);
  return st;
}

/* mean [n] = x0 + C (LLᵀ)⁻¹ Cᵀ Hᵀ R⁻¹ d of state and offsets, T = C L⁻ᵀ in place of C. */
static sky_status posterior_root(sky_context *ctx, const sky_problem *p, sky_control *c,
                                 double *mean) {
  const size_t n = c->n;
  sky_status st = SKY_OK;
  double *L = NULL, *r = NULL, *g = NULL, *u = NULL;
  SKY_GO_ALLOC(L, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(r, SKY_NEW(ctx, double, p->n_obs));
  SKY_GO_ALLOC(g, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(u, SKY_NEW0(ctx, double, n));
  SKY_GO(sky_control_hessian(ctx, c, NULL, L));
  memcpy(mean, p->x0, p->n_state * sizeof *mean);
  if (p->n_background > 0) memcpy(mean + p->n_state, p->b0, p->n_background * sizeof *mean);
  (void)sky_control_residual(p, mean, r);
  sky_control_adjoint(p, r, g);
  sky_cholesky_forward_rows(ctx, n, L, n, c->C); /* T */
  cblas_dgemv(CblasRowMajor, CblasTrans, (int)n, (int)n, 1.0, c->C, (int)n, g, 1, 0.0, u, 1);
  cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)n, (int)n, 1.0, c->C, (int)n, u, 1, 1.0, mean, 1);
cleanup:
  sky_free(L);
  sky_free(r);
  sky_free(g);
  sky_free(u);
  return st;
}

sky_status sky_truncated_sample(sky_context *ctx, const sky_problem *p, const double *lower,
                                const double *upper, const double *W, size_t n_zone,
                                const sky_sampling *how, sky_sampled *out) {
  sky_status st = SKY_OK;
  sky_control c = {0};
  sky_bounded mode = {0};
  double *mean = NULL, *P = NULL;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_sampling_check(ctx, how));
  SKY_GO(sky_bounded_solve(ctx, p, lower, upper, &mode));
  SKY_GO(sky_control_build(ctx, p, NULL, &c));
  SKY_GO_ALLOC(mean, SKY_NEW(ctx, double, c.n));
  SKY_GO_ALLOC(P, SKY_NEW(ctx, double, p->n_state * p->n_state));
  sky_blas_single();
  SKY_GO(posterior_root(ctx, p, &c, mean));
  sky_gram(ctx, p->n_state, c.n, c.C, c.C, P);
  const sky_gaussian g = {p->n_state, c.n, mean, c.C, P};
  SKY_GO(sky_truncated_draw(ctx, &g, lower, upper, mode.x, W, n_zone, how, out));
cleanup:
  sky_control_free(&c);
  sky_bounded_free(&mode);
  sky_free(mean);
  sky_free(P);
  return st;
}
