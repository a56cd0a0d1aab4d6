/* signal_error.c: forward model, density and draws with an error that grows with the signal
 * (signal_error.md).
 *
 * The sampler's variable is v = (ln x, ln b, ln((σ - low)/(high - σ))), free of bounds. */
#include "algorithms/inversion/signal_error.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836
#define SQRT_HALF 0.70710678118654752440
#define MAX_ITERATION 1000
#define MAX_HALVING 60
#define SETTLED 1e-6        /* posterior sd */
#define LEAST_CURVATURE 0.1 /* of the prior, in logarithms: it may be concave far from its mean */

typedef struct model {
  const sky_signal_model *m;
  size_t n;     /* n_x + n_b + 1 */
  double *mode; /* [n] of v */
  double *L;    /* [n*n] Fisher information and prior curvature, factored */
} model;

void sky_signal_simulate(const sky_signal_model *m, const double *x, const double *b, double sigma,
                         const sky_signal_forward *out) {
  for (size_t i = 0; i < m->n_obs; i++) {
    const double mu = sky_dot(m->Hx + i * m->n_x, x, m->n_x);
    const double bc = sky_dot(m->Hb + i * m->n_b, b, m->n_b);
    const double epsilon = hypot(m->error[i], sigma * mu);
    const double u = (m->y[i] - mu - bc) / epsilon;
    out->mu[i] = mu;
    out->mu_bc[i] = bc;
    out->epsilon[i] = epsilon;
    out->log_likelihood[i] = -0.5 * (LOG_2PI + u * u) - log(epsilon);
  }
}

/* ln density of N(mean, sd²) cut at 0, of ln x. */
static double log_cut_normal(double x, double mean, double sd) {
  const double u = (x - mean) / sd;
  return -0.5 * (LOG_2PI + u * u) - log(sd) - log(0.5 * erfc(-mean / sd * SQRT_HALF)) + log(x);
}

double sky_signal_log_prior(const sky_signal_model *m, const double *x, const double *b,
                            double sigma) {
  const double width = m->sigma_high - m->sigma_low;
  double sum = log((sigma - m->sigma_low) / width) + log((m->sigma_high - sigma) / width);
  for (size_t j = 0; j < m->n_x; j++)
    sum += log_cut_normal(x[j], m->x_mean, m->x_sd);
  for (size_t k = 0; k < m->n_b; k++)
    sum += log_cut_normal(b[k], m->b_mean, m->b_sd);
  return sum;
}

/* ---- potential ------------------------------------------------------------------------------ */

/* theta [n] = (x, b, σ) and slope [n] = dθ/dv. */
static void parameters(const model *s, const double *v, double *theta, double *slope) {
  const size_t last = s->n - 1;
  for (size_t j = 0; j < last; j++)
    theta[j] = slope[j] = exp(v[j]);
  const double width = s->m->sigma_high - s->m->sigma_low, share = 1 / (1 + exp(-v[last]));
  theta[last] = s->m->sigma_low + width * share;
  slope[last] = width * share * (1 - share);
}

typedef struct observed {                             /* one observation of a state */
  double mu, residual, variance, dlog_mu, dlog_sigma; /* d ln ε by μ and by σ */
} observed;

static observed observe(const sky_signal_model *m, const double *theta, size_t i) {
  const double sigma = theta[m->n_x + m->n_b];
  observed o = {.mu = cblas_ddot((int)m->n_x, m->Hx + i * m->n_x, 1, theta, 1)};
  o.residual = m->y[i] - o.mu - cblas_ddot((int)m->n_b, m->Hb + i * m->n_b, 1, theta + m->n_x, 1);
  o.variance = m->error[i] * m->error[i] + sigma * sigma * o.mu * o.mu;
  o.dlog_mu = sigma * sigma * o.mu / o.variance;
  o.dlog_sigma = sigma * o.mu * o.mu / o.variance;
  return o;
}

/* U and, with gradient [n], its slope in v; work [2n]. */
static double potential_v(const model *s, const double *v, double *gradient, double *work) {
  const sky_signal_model *m = s->m;
  const size_t last = s->n - 1;
  double *theta = work, *slope = work + s->n;
  parameters(s, v, theta, slope);
  double U = 0;
  if (gradient != NULL) memset(gradient, 0, s->n * sizeof *gradient);
  for (size_t i = 0; i < m->n_obs; i++) {
    const observed o = observe(m, theta, i);
    const double pull = o.residual / o.variance, excess = o.residual * pull - 1;
    U += 0.5 * (log(o.variance) + o.residual * pull);
    if (gradient == NULL) continue;
    for (size_t j = 0; j < m->n_x; j++)
      gradient[j] -= m->Hx[i * m->n_x + j] * (pull + excess * o.dlog_mu);
    for (size_t k = 0; k < m->n_b; k++)
      gradient[m->n_x + k] -= m->Hb[i * m->n_b + k] * pull;
    gradient[last] -= excess * o.dlog_sigma;
  }
  for (size_t j = 0; j < last; j++) {
    const double mean = j < m->n_x ? m->x_mean : m->b_mean, sd = j < m->n_x ? m->x_sd : m->b_sd;
    const double u = (theta[j] - mean) / sd;
    U += 0.5 * u * u - v[j];
    if (gradient != NULL) gradient[j] = (gradient[j] + u / sd) * slope[j] - 1;
  }
  const double share = (theta[last] - m->sigma_low) / (m->sigma_high - m->sigma_low);
  U -= log(share) + log1p(-share);
  if (gradient != NULL) gradient[last] = gradient[last] * slope[last] - (1 - 2 * share);
  return U;
}

/* L of Σ (∂m ∂mᵀ/ε² + 2 ∂lnε ∂lnεᵀ) + curvature of the prior, in v; work [4n]. */
static sky_status whiten(sky_context *ctx, const model *s, const double *v, double *work) {
  const sky_signal_model *m = s->m;
  const size_t n = s->n, last = n - 1;
  double *theta = work, *slope = theta + n, *mean = slope + n, *spread = mean + n;
  parameters(s, v, theta, slope);
  memset(s->L, 0, n * n * sizeof *s->L);
  for (size_t i = 0; i < m->n_obs; i++) {
    const observed o = observe(m, theta, i);
    const double weight = 1 / sqrt(o.variance);
    for (size_t j = 0; j < last; j++) {
      const double h = (j < m->n_x ? m->Hx[i * m->n_x + j] : m->Hb[i * m->n_b + j - m->n_x]);
      mean[j] = h * slope[j] * weight;
      spread[j] = j < m->n_x ? sqrt(2) * o.dlog_mu * h * slope[j] : 0;
    }
    mean[last] = 0;
    spread[last] = sqrt(2) * o.dlog_sigma * slope[last];
    for (size_t j = 0; j < n; j++)
      for (size_t k = 0; k <= j; k++)
        s->L[j * n + k] += mean[j] * mean[k] + spread[j] * spread[k];
  }
  for (size_t j = 0; j < last; j++) {
    const double centre = j < m->n_x ? m->x_mean : m->b_mean, sd = j < m->n_x ? m->x_sd : m->b_sd;
    const double curvature = theta[j] * (2 * theta[j] - centre) / (sd * sd);
    s->L[j * n + j] += fmax(curvature, LEAST_CURVATURE);
  }
  const double share = (theta[last] - m->sigma_low) / (m->sigma_high - m->sigma_low);
  s->L[last * n + last] += fmax(2 * share * (1 - share), LEAST_CURVATURE);
  return sky_cholesky(ctx, n, s->L);
}

/* ---- mode ----------------------------------------------------------------------------------- */

static void solve_lower(const model *s, CBLAS_TRANSPOSE transpose, double *x) {
  cblas_dtrsv(CblasRowMajor, CblasLower, transpose, CblasNonUnit, (int)s->n, s->L, (int)s->n, x, 1);
}

/* Fisher scoring with a line search; work [7n]. */
static sky_status find_mode(sky_context *ctx, const model *s, double *work) {
  const size_t n = s->n;
  double *g = work + 4 * n, *step = g + n, *trial = step + n, distance = INFINITY;
  for (int iteration = 0; iteration < MAX_ITERATION; iteration++) {
    const double value = potential_v(s, s->mode, g, work);
    SKY_TRY(whiten(ctx, s, s->mode, work));
    memcpy(step, g, n * sizeof *step);
    solve_lower(s, CblasNoTrans, step);
    distance = sqrt(sky_dot(step, step, n));
    if (distance < SETTLED) return SKY_OK;
    solve_lower(s, CblasTrans, step);
    double t = 1;
    int k = 0;
    for (; k < MAX_HALVING; k++, t *= 0.5) {
      for (size_t j = 0; j < n; j++)
        trial[j] = s->mode[j] - t * step[j];
      if (potential_v(s, trial, NULL, work) <= value - 1e-4 * t * distance * distance) break;
    }
    if (k == MAX_HALVING) break;
    memcpy(s->mode, trial, n * sizeof *trial);
  }
  if (distance < 1e-3) return SKY_OK; /* rounding of U ends the search; whitening needs no more */
  return sky_fail(ctx, SKY_E_NODATA, "signal error: the mode is still %g posterior sd away",
                  distance);
}

/* ---- draws ---------------------------------------------------------------------------------- */

static void unwhiten(const model *s, const double *q, double *v) {
  memcpy(v, q, s->n * sizeof *v);
  solve_lower(s, CblasTrans, v);
  for (size_t j = 0; j < s->n; j++)
    v[j] += s->mode[j];
}

static double potential(const void *user, const double *q, double *gradient, double *work) {
  const model *s = user;
  double *v = work + 2 * s->n;
  unwhiten(s, q, v);
  const double U = potential_v(s, v, gradient, work);
  solve_lower(s, CblasNoTrans, gradient);
  return U;
}

static void record(void *user, size_t chain, const double *q, double *row, double *work) {
  const model *s = user;
  (void)chain;
  unwhiten(s, q, work);
  parameters(s, work, row, work + s->n);
}

static sky_status check(sky_context *ctx, const sky_signal_model *m) {
  if (m->n_obs == 0 || m->n_x == 0 || m->n_b == 0)
    return sky_fail(ctx, SKY_E_NODATA,
                    "signal error: %zu observations, %zu fluxes, %zu curtains (expected some)",
                    m->n_obs, m->n_x, m->n_b);
  if (!(m->x_mean > 0 && m->x_sd > 0 && m->b_mean > 0 && m->b_sd > 0 && m->sigma_low >= 0 &&
        m->sigma_high > m->sigma_low && isfinite(m->sigma_high)))
    return sky_fail(ctx, SKY_E_RANGE,
                    "signal error: prior x %g ± %g, b %g ± %g, sigma %g..%g (expected numbers > 0)",
                    m->x_mean, m->x_sd, m->b_mean, m->b_sd, m->sigma_low, m->sigma_high);
  for (size_t i = 0; i < m->n_obs; i++)
    if (!(m->error[i] > 0 && isfinite(m->error[i]) && isfinite(m->y[i])))
      return sky_fail(ctx, SKY_E_RANGE,
                      "signal error: observation %zu is %g ± %g (expected an error > 0)", i,
                      m->y[i], m->error[i]);
  return SKY_OK;
}

sky_status sky_signal_sample(sky_context *ctx, const sky_signal_model *m, const sky_sampling *how,
                             double *rows, sky_hmc_report *report) {
  sky_status st = SKY_OK;
  model s = {.m = m, .n = m->n_x + m->n_b + 1};
  double *work = NULL;
  SKY_TRY(check(ctx, m));
  SKY_GO_ALLOC(s.mode, SKY_NEW0(ctx, double, s.n));
  SKY_GO_ALLOC(s.L, SKY_NEW(ctx, double, s.n *s.n));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, 7 * s.n));
  for (size_t j = 0; j + 1 < s.n; j++)
    s.mode[j] = log(j < m->n_x ? m->x_mean : m->b_mean);
  sky_blas_single();
  SKY_GO(find_mode(ctx, &s, work));
  const sky_hmc_target target = {.dim = s.n,
                                 .n_work = 3 * s.n,
                                 .n_row = s.n,
                                 .user = &s,
                                 .potential = potential,
                                 .record = record};
  SKY_GO(sky_hmc_run(ctx, &target, how, rows, report));
cleanup:
  sky_free(s.mode);
  sky_free(s.L);
  sky_free(work);
  return st;
}
