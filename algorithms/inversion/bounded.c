/* bounded.c: bounded mode by block principal pivoting on the multipliers (bounded.md).
 *
 *   x = x̂ + P λ,  P = Q - GᵀG,  G = L⁻¹ H Q,  L Lᵀ = Ψ = HQHᵀ + BΣ_bBᵀ + R
 *   on the set A at a bound: P_AA λ_A = bound_A - x̂_A, else λ = 0     Júdice & Pires 1994
 *
 * All violated elements change sides while that lowers their number; after a few failures only the
 * last one does, which ends in finitely many steps for every positive definite P (Murty 1974). */
#include "algorithms/inversion/bounded.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define PATIENCE 10     /* full exchanges that may fail to lower the number of violations */
#define MAX_STEPS 10000 /* of the pivoting */
#define SLACK 1e-12     /* of a prior sd: closer to a bound is at it */

typedef struct bounded {
  sky_context *ctx;
  const sky_problem *p;
  sky_covariance q;
  const double *lower, *upper;
  double *H;             /* [n*m] dense rows */
  double *G;             /* [n*m] H Q, then L⁻¹ H Q */
  double *psi, *d, *w;   /* [n*n], [n], [n] */
  double *free_x;        /* [m] x̂ */
  double *work, *qv;     /* [m], and [n*m] for the first product */
  int8_t *side;          /* [m] -1 at lower, +1 at upper, 0 free */
  size_t *active;        /* [m] indices at a bound */
  double *Ga, *Paa, *la; /* [a*n], [a*a], [a] for the a active ones */
  size_t room;           /* a that they hold */
  sky_bounded *out;
} bounded;

void sky_bounded_free(sky_bounded *b) {
  if (b == NULL) return;
  sky_free(b->x);
  sky_free(b->lambda);
  sky_free(b->b);
  memset(b, 0, sizeof *b);
}

double sky_bounded_bytes(const sky_problem *p) {
  const double n = (double)p->n_obs, m = (double)p->n_state;
  return 8 * (3 * n * m + n * n + m * m / 4);
}

static sky_status check(sky_context *ctx, const sky_problem *p, const double *lower,
                        const double *upper) {
  SKY_TRY(sky_problem_check_elements(ctx, p));
  for (size_t i = 0; i < p->n_obs; i++)
    if (!(p->r_sd[i] > 0))
      return sky_fail(ctx, SKY_E_RANGE, "problem: r_sd[%zu] = %g (expected > 0 with bounds)", i,
                      p->r_sd[i]);
  for (size_t i = 0; i < p->n_state; i++) {
    if (!(lower[i] < upper[i]))
      return sky_fail(ctx, SKY_E_RANGE, "bounds[%zu]: %g..%g (expected lower < upper)", i, lower[i],
                      upper[i]);
    if (p->x_sd[i] == 0 && !(p->x0[i] >= lower[i] && p->x0[i] <= upper[i]))
      return sky_fail(ctx, SKY_E_RANGE,
                      "problem: x0[%zu] = %g cannot move and is outside its bounds %g..%g", i,
                      p->x0[i], lower[i], upper[i]);
  }
  const double need = sky_bounded_bytes(p);
  if (need <= (double)sky_context_memory(ctx)) return SKY_OK;
  return sky_fail(
      ctx, SKY_E_NOMEM,
      "bounded inversion of %zu observations and %zu unknowns needs %.0f MB, the memory "
      "budget is %.0f MB (--memory)",
      p->n_obs, p->n_state, ceil(need / 1e6), (double)sky_context_memory(ctx) / 1e6);
}

/* ---- operators ------------------------------------------------------------------------------ */

/* r = y - H x - B b */
static void residual(const sky_problem *p, const double *x, const double *b, double *r) {
  for (size_t i = 0; i < p->n_obs; i++) {
    sky_acc sum = {p->y[i], 0};
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      sky_acc_add(&sum, -p->val[k] * x[p->col[k]]);
    sky_acc offset = {0, 0};
    sky_offsets_add(p, i, b, &offset);
    r[i] = sky_acc_value(&sum) - sky_acc_value(&offset);
  }
}

/* out = Hᵀ w + λ */
static void adjoint(const sky_problem *p, const double *w, const double *lambda, double *out) {
  memcpy(out, lambda, p->n_state * sizeof *out);
  for (size_t i = 0; i < p->n_obs; i++)
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      out[p->col[k]] += p->val[k] * w[i];
}

/* b = b0 + Σ_b Bᵀ w */
static void offsets(const sky_problem *p, const double *w, double *b) {
  sky_offsets_sums(p, w, 1, b);
  for (size_t g = 0; g < p->n_background; g++)
    b[g] = p->b0[g] + p->b_sd[g] * p->b_sd[g] * b[g];
}

static double prior_element(const bounded *s, size_t i, size_t j) {
  const sky_problem *p = s->p;
  if (p->q_var == NULL)
    return p->x_sd[i] * p->x_sd[j] * p->D[(i / p->n_cell) * p->n_time + j / p->n_cell] *
           p->E[(i % p->n_cell) * p->n_cell + j % p->n_cell];
  double v = i == j ? p->q_var[i] : 0;
  for (size_t k = 0; k < p->q_rank; k++)
    v += p->q_sign[k] * p->q_factor[k * p->n_state + i] * p->q_factor[k * p->n_state + j];
  return v;
}

/* ---- the free mode -------------------------------------------------------------------------- */

static sky_status prepare(bounded *s) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, m = p->n_state;
  for (size_t i = 0; i < n; i++)
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      s->H[i * m + (size_t)p->col[k]] = p->val[k];
  sky_covariance_apply(s->ctx, &s->q, s->H, n, s->qv, s->G);
  sky_gram(s->ctx, n, m, s->H, s->G, s->psi);
  const sky_noise noise = sky_problem_noise(p);
  for (size_t i = 0; i < n; i++) {
    sky_noise_covariance(&noise, i, s->psi + i * n);
    sky_offsets_covariance(p, i, s->psi + i * n);
  }
  const sky_status st = sky_cholesky(s->ctx, n, s->psi);
  if (st != SKY_OK) return sky_fail_in(s->ctx, st, "observation-space covariance: ");
  sky_cholesky_forward(s->ctx, n, s->psi, m, s->G);
  residual(p, p->x0, p->b0, s->d);
  sky_cholesky_forward(s->ctx, n, s->psi, 1, s->d);
  memcpy(s->free_x, p->x0, m * sizeof *s->free_x);
  for (size_t i = 0; i < n; i++) /* x̂ = x0 + Gᵀ L⁻¹ d */
    for (size_t j = 0; j < m; j++)
      s->free_x[j] += s->G[i * m + j] * s->d[i];
  return SKY_OK;
}

/* ---- pivoting ------------------------------------------------------------------------------- */

static sky_status make_room(bounded *s, size_t a) {
  if (a <= s->room) return SKY_OK;
  sky_free(s->Ga);
  sky_free(s->Paa);
  sky_free(s->la);
  s->room = 0;
  s->Ga = SKY_NEW(s->ctx, double, a * s->p->n_obs);
  s->Paa = SKY_NEW(s->ctx, double, a *a);
  s->la = SKY_NEW(s->ctx, double, a);
  if (s->Ga == NULL || s->Paa == NULL || s->la == NULL) return SKY_E_NOMEM;
  s->room = a;
  return SKY_OK;
}

/* λ of the present sides. */
static sky_status multipliers(bounded *s) {
  const size_t n = s->p->n_obs, m = s->p->n_state;
  size_t a = 0;
  for (size_t i = 0; i < m; i++)
    if (s->side[i] != 0) s->active[a++] = i;
  memset(s->out->lambda, 0, m * sizeof *s->out->lambda);
  if (a == 0) return SKY_OK;
  SKY_TRY(make_room(s, a));
  for (size_t k = 0; k < a; k++) {
    const size_t i = s->active[k];
    for (size_t r = 0; r < n; r++)
      s->Ga[k * n + r] = s->G[r * m + i];
    s->la[k] = (s->side[i] < 0 ? s->lower[i] : s->upper[i]) - s->free_x[i];
  }
  sky_gram(s->ctx, a, n, s->Ga, s->Ga, s->Paa);
  for (size_t k = 0; k < a; k++)
    for (size_t l = 0; l <= k; l++)
      s->Paa[k * a + l] = prior_element(s, s->active[k], s->active[l]) - s->Paa[k * a + l];
  const sky_status st = sky_cholesky(s->ctx, a, s->Paa);
  if (st != SKY_OK) return sky_fail_in(s->ctx, st, "posterior covariance at the bounds: ");
  sky_cholesky_forward(s->ctx, a, s->Paa, 1, s->la);
  sky_cholesky_backward(s->ctx, a, s->Paa, 1, s->la);
  for (size_t k = 0; k < a; k++)
    s->out->lambda[s->active[k]] = s->la[k];
  return SKY_OK;
}

/* x = x̂ + Q λ - Gᵀ G λ */
static void state_of(bounded *s) {
  const size_t n = s->p->n_obs, m = s->p->n_state;
  double *x = s->out->x;
  sky_covariance_apply(s->ctx, &s->q, s->out->lambda, 1, s->work, s->qv);
  for (size_t j = 0; j < m; j++)
    x[j] = s->free_x[j] + s->qv[j];
  for (size_t i = 0; i < n; i++) {
    const double t = sky_dot(s->G + i * m, s->out->lambda, m);
    for (size_t j = 0; j < m; j++)
      x[j] -= s->G[i * m + j] * t;
  }
}

/* The side to which element i wants to go. */
static int8_t wanted(const bounded *s, size_t i) {
  const double slack = SLACK * s->p->x_sd[i], force = s->out->lambda[i] * s->p->x_sd[i];
  if (s->side[i] < 0) return force < -SLACK ? 0 : -1;
  if (s->side[i] > 0) return force > SLACK ? 0 : 1;
  if (s->p->x_sd[i] == 0) return 0;
  if (s->out->x[i] < s->lower[i] - slack) return -1;
  return s->out->x[i] > s->upper[i] + slack ? 1 : 0;
}

static sky_status pivot(bounded *s) {
  const size_t m = s->p->n_state;
  size_t best = SIZE_MAX;
  int patience = PATIENCE;
  for (s->out->n_iteration = 1; s->out->n_iteration <= MAX_STEPS; s->out->n_iteration++) {
    SKY_TRY(multipliers(s));
    state_of(s);
    size_t violated = 0, last = 0;
    for (size_t i = 0; i < m; i++)
      if (wanted(s, i) != s->side[i]) {
        violated++;
        last = i;
      }
    if (violated == 0) return SKY_OK;
    if (violated < best) {
      best = violated;
      patience = PATIENCE;
    } else if (patience > 0) {
      patience--;
    }
    const size_t first = patience > 0 ? 0 : last;
    for (size_t i = first; i <= last; i++)
      s->side[i] = wanted(s, i);
    SKY_TRY(sky_progress_step(s->ctx, 0));
  }
  return sky_fail(s->ctx, SKY_E_NOT_SPD,
                  "bounded inversion: %zu elements still violate a bound "
                  "after %d exchanges",
                  best, MAX_STEPS);
}

/* ---- answer --------------------------------------------------------------------------------- */

/* J, and the optimality conditions from x, b and λ alone, by H and Q themselves. */
static void finish(bounded *s) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, m = p->n_state;
  sky_bounded *out = s->out;
  for (size_t i = 0; i < m; i++) {
    if (s->side[i] == 0) continue;
    out->x[i] = s->side[i] < 0 ? s->lower[i] : s->upper[i];
    if (s->side[i] < 0)
      out->n_lower++;
    else
      out->n_upper++;
  }
  for (size_t i = 0; i < n; i++) /* w = Ψ⁻¹(d - HQλ) = L⁻ᵀ(L⁻¹d - Gλ) */
    s->w[i] = s->d[i] - sky_dot(s->G + i * m, out->lambda, m);
  sky_cholesky_backward(s->ctx, n, s->psi, 1, s->w);
  offsets(p, s->w, out->b);
  residual(p, out->x, out->b, s->w);
  const sky_noise noise = sky_problem_noise(p);
  sky_acc jb = {0, 0};
  sky_noise_whiten(&noise, s->w);
  out->jo = sky_dot(s->w, s->w, n);
  sky_noise_whiten_transposed(&noise, s->w);
  double *force = s->G, *step = s->G + m; /* G is not needed again; n >= 2 is made sure of */
  adjoint(p, s->w, out->lambda, force);
  sky_covariance_apply(s->ctx, &s->q, force, 1, s->work, step);
  double worst = 0;
  for (size_t i = 0; i < m; i++) {
    const double move = out->x[i] - p->x0[i], sd = p->x_sd[i];
    sky_acc_add(&jb, force[i] * step[i]);
    if (sd == 0) continue;
    worst = fmax(worst, fabs(move - step[i]) / sd);
    worst = fmax(worst, fmax(s->lower[i] - out->x[i], out->x[i] - s->upper[i]) / sd);
    worst = fmax(worst, (s->side[i] < 0   ? -out->lambda[i]
                         : s->side[i] > 0 ? out->lambda[i]
                                          : 0) *
                            sd);
  }
  for (size_t g = 0; g < p->n_background; g++)
    if (p->b_sd[g] > 0) {
      const double u = (out->b[g] - p->b0[g]) / p->b_sd[g];
      sky_acc_add(&jb, u * u);
    }
  out->kkt_residual = worst;
  out->jb = sky_acc_value(&jb);
}

sky_status sky_bounded_solve(sky_context *ctx, const sky_problem *p, const double *lower,
                             const double *upper, sky_bounded *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(check(ctx, p, lower, upper));
  const size_t n = p->n_obs, m = p->n_state, rows = n > 2 ? n : 2;
  bounded s = {.ctx = ctx, .p = p, .lower = lower, .upper = upper, .out = out};
  s.q = sky_problem_covariance(p);
  out->n_state = m;
  out->n_background = p->n_background;
  SKY_GO_ALLOC(out->x, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(out->lambda, SKY_NEW0(ctx, double, m));
  SKY_GO_ALLOC(out->b, SKY_NEW0(ctx, double, p->n_background));
  SKY_GO_ALLOC(s.H, SKY_NEW0(ctx, double, n *m));
  SKY_GO_ALLOC(s.G, SKY_NEW(ctx, double, rows *m));
  SKY_GO_ALLOC(s.qv, SKY_NEW(ctx, double, n *m));
  SKY_GO_ALLOC(s.psi, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(s.d, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(s.w, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(s.free_x, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(s.work, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(s.side, SKY_NEW0(ctx, int8_t, m));
  SKY_GO_ALLOC(s.active, SKY_NEW(ctx, size_t, m));
  SKY_GO(prepare(&s));
  SKY_GO(pivot(&s));
  finish(&s);
cleanup:
  sky_free(s.H);
  sky_free(s.G);
  sky_free(s.qv);
  sky_free(s.psi);
  sky_free(s.d);
  sky_free(s.w);
  sky_free(s.free_x);
  sky_free(s.work);
  sky_free(s.side);
  sky_free(s.active);
  sky_free(s.Ga);
  sky_free(s.Paa);
  sky_free(s.la);
  if (st != SKY_OK) sky_bounded_free(out);
  return st;
}
