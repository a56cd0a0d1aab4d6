/* lognormal.c: mode and draws of a log-normal posterior (lognormal.md).
 *
 *   v = (ln x, b) = m + C u,  u ~ N(0, I),  U(u) = ½|u|² + ½|R^-½(y - H x - B b)|²
 *   M = I + CᵀSFSC at the mode (S = diag(x), 1 for offsets) = L Lᵀ,  u = û + L⁻ᵀ q,  q the variable
 *   of the sampler; drawing, the data's part of U may go through F (lognormal.md) */
#include "algorithms/inversion/lognormal.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/control.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define MAX_ITERATION 500
#define MAX_HALVING 60
#define SETTLED 1e-8 /* posterior sd */

typedef struct model {
  const sky_problem *p;
  sky_control c;
  double *centre;  /* [n] μ, b0 */
  double *u;       /* [n] û */
  double *L;       /* [n*n] */
  const double *W; /* of the zones */
  size_t n_zone;
  const double *mode;
  double *sums;     /* [n_chain*2*n_state] */
  double *v, *pull; /* [n] v̂ and [H B]ᵀR⁻¹r̂, the data's part about the mode; NULL: through H */
  double misfit; /* |R^-½r̂|² */
} model;

void sky_lognormal_free(sky_lognormal *l) {
  if (l == NULL) return;
  sky_free(l->mode);
  sky_free(l->log_sd);
  sky_free(l->b);
  memset(l, 0, sizeof *l);
}

static void model_free(model *m) {
  sky_control_free(&m->c);
  sky_free(m->centre);
  sky_free(m->u);
  sky_free(m->L);
  sky_free(m->sums);
  sky_free(m->v);
  sky_free(m->pull);
}

/* v [n] = (exp(z), b) of u. */
static void state_of(const model *m, const double *u, double *v) {
  const size_t n = m->c.n;
  memcpy(v, u, n * sizeof *v);
  cblas_dtrmv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, m->c.C, (int)n, v, 1);
  for (size_t i = 0; i < n; i++) {
    v[i] += m->centre[i];
    if (i < m->c.n_state) v[i] = exp(v[i]);
  }
}

/* |R^-½ r|² of v, and g [n] = [H B]ᵀR⁻¹ r unless NULL, through H; r [n_obs]. */
static double data_through_h(const model *m, const double *v, double *g, double *r) {
  const double misfit = sky_control_residual(m->p, v, r);
  if (g != NULL) sky_control_adjoint(m->p, r, g);
  return misfit;
}

/* The same through F, with e = v - v̂: r = r̂ - [H B]e. */
static double data_through_f(const model *m, const double *v, double *g, double *e) {
  const size_t n = m->c.n;
  for (size_t i = 0; i < n; i++)
    e[i] = v[i] - m->v[i];
  memcpy(g, m->pull, n * sizeof *g);
  cblas_dsymv(CblasRowMajor, CblasLower, (int)n, -1.0, m->c.F, (int)n, e, 1, 1.0, g, 1);
  return m->misfit - sky_dot(e, m->pull, n) - sky_dot(e, g, n);
}

/* Numbers of observation space, or of the control, that potential_u needs. */
static size_t data_room(const model *m) {
  return m->p->n_obs > m->c.n ? m->p->n_obs : m->c.n;
}

/* U(u) and its gradient g [n]; work [n + data_room]; v of u is left in work. Without a gradient
 * always through H. */
static double potential_u(const model *m, const double *u, double *g, double *work) {
  const size_t n = m->c.n;
  double *v = work, *r = work + n;
  state_of(m, u, v);
  const double misfit =
      m->pull != NULL && g != NULL ? data_through_f(m, v, g, r) : data_through_h(m, v, g, r);
  if (g != NULL) {
    for (size_t i = 0; i < m->c.n_state; i++)
      g[i] *= v[i];
    cblas_dtrmv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)n, m->c.C, (int)n, g, 1);
    for (size_t i = 0; i < n; i++)
      g[i] = u[i] - g[i];
  }
  return 0.5 * (sky_dot(u, u, n) + misfit);
}

/* ---- mode ----------------------------------------------------------------------------------- */

static sky_status build(sky_context *ctx, const sky_problem *p, model *m) {
  sky_status st = SKY_OK;
  double *sd = NULL;
  for (size_t i = 0; i < p->n_state; i++)
    if (!(p->x0[i] > 0))
      return sky_fail(ctx, SKY_E_RANGE, "problem: x0[%zu] = %g (expected > 0: log-normal)", i,
                      p->x0[i]);
  const size_t n = p->n_state + p->n_background;
  m->p = p;
  SKY_GO_ALLOC(sd, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(m->centre, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(m->u, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(m->L, SKY_NEW(ctx, double, n *n));
  for (size_t i = 0; i < p->n_state; i++) {
    const double ratio = p->x_sd[i] / p->x0[i], s2 = log1p(ratio * ratio);
    sd[i] = sqrt(s2);
    m->centre[i] = log(p->x0[i]) - 0.5 * s2; /* mean -> median */
  }
  for (size_t g = 0; g < p->n_background; g++)
    m->centre[p->n_state + g] = p->b0[g];
  SKY_GO(sky_control_build(ctx, p, sd, &m->c));
  sky_blas_single();
cleanup:
  sky_free(sd);
  return st;
}

/* step = -M⁻¹ g; the decrement √(gᵀM⁻¹g) is returned. scale [n] from v. */
static sky_status newton_step(sky_context *ctx, model *m, const double *v, const double *g,
                              double *scale, double *step, double *decrement) {
  const size_t n = m->c.n;
  for (size_t i = 0; i < n; i++)
    scale[i] = i < m->c.n_state ? v[i] : 1;
  SKY_TRY(sky_control_hessian(ctx, &m->c, scale, m->L));
  memcpy(step, g, n * sizeof *step);
  cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, m->L, (int)n, step, 1);
  *decrement = sqrt(sky_dot(step, step, n));
  cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)n, m->L, (int)n, step, 1);
  for (size_t i = 0; i < n; i++)
    step[i] = -step[i];
  return SKY_OK;
}

static sky_status find_mode(sky_context *ctx, model *m, double *work, sky_lognormal *out) {
  const size_t n = m->c.n;
  double *v = work, *g = work + n + data_room(m), *scale = g + n, *step = scale + n;
  double *trial = step + n;
  double value = potential_u(m, m->u, g, work);
  for (out->n_iteration = 0; out->n_iteration < MAX_ITERATION; out->n_iteration++) {
    SKY_TRY(newton_step(ctx, m, v, g, scale, step, &out->gradient));
    if (out->gradient < SETTLED) return SKY_OK;
    double t = 1, next = INFINITY;
    int k = 0;
    for (; k < MAX_HALVING; k++, t *= 0.5) {
      for (size_t i = 0; i < n; i++)
        trial[i] = m->u[i] + t * step[i];
      next = potential_u(m, trial, NULL, work);
      if (next <= value - 1e-4 * t * out->gradient * out->gradient) break;
      /* near the mode the fall is below the rounding of U: a full step there is Newton's own */
      if (out->gradient < 1e-4 && next <= value + 1e-12 * fabs(value)) break;
    }
    if (k == MAX_HALVING) break;
    memcpy(m->u, trial, n * sizeof *trial);
    value = potential_u(m, m->u, g, work);
    SKY_TRY(sky_progress_step(ctx, 0));
  }
  return sky_fail(ctx, SKY_E_NODATA,
                  "log-normal mode: still %g posterior sd away after %zu iterations", out->gradient,
                  out->n_iteration);
}

static sky_status solve(sky_context *ctx, model *m, sky_lognormal *out) {
  const sky_problem *p = m->p;
  const size_t n = m->c.n;
  sky_status st = SKY_OK;
  double *work = NULL, *T = NULL;
  SKY_GO_ALLOC(out->mode, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(out->log_sd, SKY_NEW(ctx, double, p->n_state));
  SKY_GO_ALLOC(out->b, SKY_NEW(ctx, double, p->n_background));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, 5 * n + data_room(m)));
  SKY_GO_ALLOC(T, SKY_NEW(ctx, double, n *n));
  out->n_state = p->n_state;
  out->n_background = p->n_background;
  SKY_GO(find_mode(ctx, m, work, out));
  const double value = potential_u(m, m->u, NULL, work);
  memcpy(out->mode, work, p->n_state * sizeof *work);
  if (p->n_background > 0) memcpy(out->b, work + p->n_state, p->n_background * sizeof *work);
  out->jb = sky_dot(m->u, m->u, n);
  out->jo = 2 * value - out->jb;
  memcpy(T, m->c.C, n * n * sizeof *T); /* T = C L⁻ᵀ: its rows' lengths are the sd */
  sky_cholesky_forward_rows(ctx, n, m->L, n, T);
  for (size_t i = 0; i < p->n_state; i++)
    out->log_sd[i] = sqrt(sky_dot(T + i * n, T + i * n, n));
cleanup:
  sky_free(work);
  sky_free(T);
  return st;
}

sky_status sky_lognormal_solve(sky_context *ctx, const sky_problem *p, sky_lognormal *out) {
  model m = {0};
  memset(out, 0, sizeof *out);
  sky_status st = build(ctx, p, &m);
  if (st == SKY_OK) st = solve(ctx, &m, out);
  model_free(&m);
  if (st != SKY_OK) sky_lognormal_free(out);
  return st;
}

/* ---- draws ---------------------------------------------------------------------------------- */

/* A product with F costs n² multiplications, the two with H twice its elements: the cheaper one. */
static sky_status choose_data(sky_context *ctx, model *m) {
  const sky_problem *p = m->p;
  const size_t n = m->c.n;
  const double through_h = 2 * ((double)p->rowptr[p->n_obs] + (double)p->n_obs);
  sky_status st = SKY_OK;
  double *r = NULL;
  if ((double)n * (double)n > through_h) return SKY_OK;
  SKY_GO_ALLOC(r, SKY_NEW(ctx, double, p->n_obs));
  SKY_GO_ALLOC(m->v, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(m->pull, SKY_NEW(ctx, double, n));
  state_of(m, m->u, m->v);
  m->misfit = data_through_h(m, m->v, m->pull, r);
cleanup:
  sky_free(r);
  return st;
}

/* u [n] = û + L⁻ᵀ q */
static void unwhiten(const model *m, const double *q, double *u) {
  const size_t n = m->c.n;
  memcpy(u, q, n * sizeof *u);
  cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)n, m->L, (int)n, u, 1);
  for (size_t i = 0; i < n; i++)
    u[i] += m->u[i];
}

static double potential(const void *user, const double *q, double *gradient, double *work) {
  const model *m = user;
  const size_t n = m->c.n;
  double *u = work + n + data_room(m);
  unwhiten(m, q, u);
  const double value = potential_u(m, u, gradient, work);
  cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, m->L, (int)n, gradient,
              1);
  return value;
}

static void record(void *user, size_t chain, const double *q, double *row, double *work) {
  const model *m = user;
  const size_t n = m->c.n, ns = m->c.n_state;
  double *u = work + n;
  unwhiten(m, q, u);
  state_of(m, u, work);
  sky_sampled_record(ns, m->n_zone, m->W, m->mode, work, m->sums + chain * 2 * ns, row);
}

sky_status sky_lognormal_sample(sky_context *ctx, const sky_problem *p, const double *W,
                                size_t n_zone, const sky_sampling *how, sky_lognormal *mode,
                                sky_sampled *out) {
  model m = {.W = W, .n_zone = n_zone};
  sky_hmc_report report = {0};
  sky_status st = SKY_OK;
  memset(mode, 0, sizeof *mode);
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_sampling_check(ctx, how));
  SKY_GO(build(ctx, p, &m));
  SKY_GO(solve(ctx, &m, mode));
  SKY_GO(choose_data(ctx, &m));
  SKY_GO(sky_sampled_alloc(ctx, p->n_state, n_zone, how, out));
  SKY_GO_ALLOC(m.sums, SKY_NEW0(ctx, double, how->n_chain * 2 * p->n_state));
  memcpy(out->mode, mode->mode, p->n_state * sizeof *out->mode);
  m.mode = out->mode;
  const sky_hmc_target target = {.dim = m.c.n,
                                 .n_work = 2 * m.c.n + data_room(&m),
                                 .n_row = n_zone,
                                 .user = &m,
                                 .potential = potential,
                                 .record = record};
  SKY_GO(sky_hmc_run(ctx, &target, how, out->zone, &report));
  out->divergent = report.divergent;
  out->acceptance = report.acceptance;
  SKY_GO(sky_sampled_finish(ctx, m.sums, W, out));
cleanup:
  model_free(&m);
  if (st != SKY_OK) {
    sky_lognormal_free(mode);
    sky_sampled_free(out);
  }
  return st;
}
