/* chains.c: R-hat, effective sample sizes and Monte-Carlo error (chains.md).
 *
 * Chains are split in halves. Rank-normalised: z = Φ⁻¹((r - 3/8)/(S + 1/4)), r the mean rank among
 * all S draws. R-hat is the larger of that of z and that of the folded |x - median|; the bulk size
 * is that of z, the tail size the smaller of those of the indicators x <= q05 and x <= q95. */
#include "algorithms/inversion/chains.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define MIN_DRAWS 8
#define SQRT_HALF 0.70710678118654752440
#define SQRT_TWO_PI 2.50662827463100050242

typedef struct halves { /* m half chains of n draws, one after another */
  size_t m, n;
  double *v;
} halves;

double sky_normal_quantile(double p) {
  const double tail = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(tail));
  /* Abramowitz & Stegun 26.2.23, then Halley's steps on the complementary error function */
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                     (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int k = 0; k < 3; k++) {
    const double e = (0.5 * erfc(x * SQRT_HALF) - tail) * SQRT_TWO_PI * exp(0.5 * x * x);
    x += e / (1 - 0.5 * x * e);
  }
  return p < 0.5 ? -x : x;
}

const char *sky_chain_verdict_text(sky_chain_verdict verdict) {
  switch (verdict) {
    case SKY_CHAINS_CONVERGED:
      return "converged";
    case SKY_CHAINS_NOT_FINITE:
      return "not converged: draws that are no finite numbers";
    case SKY_CHAINS_CONSTANT:
      return "not converged: constant chains";
    case SKY_CHAINS_DIVERGENT:
      return "not converged: draws diverged";
    case SKY_CHAINS_APART:
      return "not converged: chains differ (R-hat)";
    case SKY_CHAINS_SHORT:
      return "not converged: too few effective draws";
  }
  return "not converged";
}

/* ---- order ---------------------------------------------------------------------------------- */

typedef struct ranked {
  double value;
  size_t at;
} ranked;

static int by_value(const void *a, const void *b) {
  const ranked *p = a, *q = b;
  if (p->value != q->value) return p->value < q->value ? -1 : 1;
  return p->at < q->at ? -1 : p->at > q->at;
}

static void sort_values(const double *v, size_t n, ranked *order) {
  for (size_t i = 0; i < n; i++)
    order[i] = (ranked){v[i], i};
  qsort(order, n, sizeof *order, by_value);
}

/* Linear between the order statistics (type 7 of Hyndman & Fan 1996). */
static double quantile_of(const ranked *order, size_t n, double p) {
  const double at = p * (double)(n - 1);
  const size_t low = (size_t)at;
  if (low + 1 >= n) return order[n - 1].value;
  return order[low].value + (at - (double)low) * (order[low + 1].value - order[low].value);
}

static void rank_normalise(ranked *order, const double *v, size_t n, double *z) {
  sort_values(v, n, order);
  for (size_t i = 0; i < n;) {
    size_t end = i + 1;
    while (end < n && order[end].value == order[i].value)
      end++;
    const double rank = 0.5 * (double)(i + 1 + end);
    const double score = sky_normal_quantile((rank - 0.375) / ((double)n + 0.25));
    for (; i < end; i++)
      z[order[i].at] = score;
  }
}

/* ---- variances ------------------------------------------------------------------------------ */

static double mean_of(const double *v, size_t n) {
  return sky_sum(v, n) / (double)n;
}

/* Σ (v_i - mean)(v_(i+lag) - mean) / n */
static double autocovariance(const double *v, size_t n, double mean, size_t lag) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i + lag < n; i++)
    sky_acc_add(&sum, (v[i] - mean) * (v[i + lag] - mean));
  return sky_acc_value(&sum) / (double)n;
}

typedef struct spread {
  double within, total; /* W and var⁺ */
} spread;

/* mean [m] of every half chain on the way. */
static spread spread_of(const halves *h, double *mean) {
  const double n = (double)h->n;
  sky_acc within = {0, 0}, between = {0, 0};
  for (size_t k = 0; k < h->m; k++) {
    mean[k] = mean_of(h->v + k * h->n, h->n);
    sky_acc_add(&within, autocovariance(h->v + k * h->n, h->n, mean[k], 0) * n / (n - 1));
  }
  const double grand = mean_of(mean, h->m);
  for (size_t k = 0; k < h->m; k++)
    sky_acc_add(&between, (mean[k] - grand) * (mean[k] - grand));
  spread s = {.within = sky_acc_value(&within) / (double)h->m};
  s.total = s.within * (n - 1) / n + sky_acc_value(&between) / (double)(h->m - 1);
  return s;
}

static double rhat_of(const halves *h, double *mean) {
  const spread s = spread_of(h, mean);
  return s.within > 0 ? sqrt(s.total / s.within) : INFINITY;
}

/* ρ_t = 1 - (W - mean autocovariance)/var⁺ */
static double correlation(const halves *h, const double *mean, const spread *s, size_t lag) {
  sky_acc sum = {0, 0};
  for (size_t k = 0; k < h->m; k++)
    sky_acc_add(&sum, autocovariance(h->v + k * h->n, h->n, mean[k], lag));
  const double n = (double)h->n;
  return 1 - (s->within - sky_acc_value(&sum) / (double)h->m * n / (n - 1)) / s->total;
}

/* Geyer's initial monotone sequence of ρ_2t + ρ_2t+1, at most S log10 S. */
static double ess_of(const halves *h, double *mean) {
  const spread s = spread_of(h, mean);
  const double all = (double)(h->m * h->n);
  if (!(s.within > 0)) return 0;
  double tau = -1, last = INFINITY;
  for (size_t t = 0; t + 1 < h->n; t += 2) {
    const double even = t == 0 ? 1 : correlation(h, mean, &s, t);
    double pair = even + correlation(h, mean, &s, t + 1);
    if (pair <= 0) {
      if (even > 0) tau += even; /* the odd term alone made the pair negative */
      break;
    }
    pair = pair < last ? pair : last;
    tau += 2 * pair;
    last = pair;
  }
  tau = fmax(tau, 1 / log10(all));
  return all / tau;
}

/* ---- summary -------------------------------------------------------------------------------- */

static void indicate(const halves *h, double limit, double *out) {
  for (size_t i = 0; i < h->m * h->n; i++)
    out[i] = h->v[i] <= limit ? 1 : 0;
}

static bool has_constant(const halves *h) {
  for (size_t k = 0; k < h->m; k++) {
    size_t i = 1;
    while (i < h->n && h->v[k * h->n + i] == h->v[k * h->n])
      i++;
    if (i == h->n) return true;
  }
  return false;
}

/* Which of all draws bears the pooled moments: every one, also the middle of odd chains. */
static void moments(const double *all, size_t n, ranked *order, sky_chain_summary *out) {
  static const double level[SKY_CHAIN_QUANTILES] = {0.025, 0.16, 0.5, 0.84, 0.975};
  sort_values(all, n, order);
  out->mean = mean_of(all, n);
  out->sd = sqrt(autocovariance(all, n, out->mean, 0) * (double)n / (double)(n - 1));
  for (int k = 0; k < SKY_CHAIN_QUANTILES; k++)
    out->quantile[k] = quantile_of(order, n, level[k]);
  out->median = out->quantile[2];
}

static void diagnose(const halves *h, const ranked *sorted, size_t n_all, ranked *order,
                     double *work, double *mean, sky_chain_summary *out) {
  const size_t S = h->m * h->n;
  const halves z = {h->m, h->n, work};
  const double q05 = quantile_of(sorted, n_all, 0.05), q95 = quantile_of(sorted, n_all, 0.95);
  out->mc_error = out->sd / sqrt(ess_of(h, mean));
  indicate(h, q05, work);
  const double low = ess_of(&z, mean);
  indicate(h, q95, work);
  out->ess_tail = fmin(low, ess_of(&z, mean));
  rank_normalise(order, h->v, S, work);
  out->ess_bulk = ess_of(&z, mean);
  out->rhat = rhat_of(&z, mean);
  for (size_t i = 0; i < S; i++) /* folded, in place of the draws: they are not needed again */
    h->v[i] = fabs(h->v[i] - out->median);
  rank_normalise(order, h->v, S, work);
  out->rhat = fmax(out->rhat, rhat_of(&z, mean));
}

static sky_chain_verdict judge(const sky_chain_summary *s, size_t n_chain, size_t n_draw,
                               size_t divergent) {
  if ((double)divergent > SKY_DIVERGENT_LIMIT * (double)(n_chain * n_draw))
    return SKY_CHAINS_DIVERGENT;
  if (!(s->rhat < SKY_RHAT_LIMIT)) return SKY_CHAINS_APART;
  if (!(fmin(s->ess_bulk, s->ess_tail) >= SKY_ESS_PER_CHAIN * (double)n_chain))
    return SKY_CHAINS_SHORT;
  return SKY_CHAINS_CONVERGED;
}

static void unknown(sky_chain_summary *out, sky_chain_verdict verdict) {
  out->rhat = out->mc_error = INFINITY;
  out->ess_bulk = out->ess_tail = 0;
  out->verdict = verdict;
}

sky_status sky_chain_summarise(sky_context *ctx, const double *draws, size_t n_chain, size_t n_draw,
                               size_t stride, size_t divergent, sky_chain_summary *out) {
  sky_status st = SKY_OK;
  const size_t half = n_draw / 2, S = 2 * half * n_chain, all = n_chain * n_draw;
  double *value = NULL, *split = NULL, *work = NULL, *mean = NULL;
  ranked *sorted = NULL, *order = NULL;
  memset(out, 0, sizeof *out);
  if (n_chain < 1 || n_draw < MIN_DRAWS)
    return sky_fail(ctx, SKY_E_RANGE, "chains: %zu chains of %zu draws (expected >= 1 of >= %d)",
                    n_chain, n_draw, MIN_DRAWS);
  SKY_GO_ALLOC(value, SKY_NEW(ctx, double, all));
  SKY_GO_ALLOC(split, SKY_NEW(ctx, double, S));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, S));
  SKY_GO_ALLOC(mean, SKY_NEW(ctx, double, 2 * n_chain));
  SKY_GO_ALLOC(sorted, SKY_NEW(ctx, ranked, all));
  SKY_GO_ALLOC(order, SKY_NEW(ctx, ranked, S));
  for (size_t i = 0; i < all; i++) {
    value[i] = draws[i * stride];
    if (!isfinite(value[i])) {
      out->mean = out->median = out->sd = INFINITY;
      for (int k = 0; k < SKY_CHAIN_QUANTILES; k++)
        out->quantile[k] = INFINITY;
      unknown(out, SKY_CHAINS_NOT_FINITE);
      goto cleanup;
    }
  }
  for (size_t c = 0; c < n_chain; c++) { /* an odd chain lends its middle draw to neither half */
    memcpy(split + 2 * c * half, value + c * n_draw, half * sizeof *split);
    memcpy(split + (2 * c + 1) * half, value + (c + 1) * n_draw - half, half * sizeof *split);
  }
  const halves h = {2 * n_chain, half, split};
  moments(value, all, sorted, out);
  if (has_constant(&h)) {
    unknown(out, divergent >= all ? SKY_CHAINS_DIVERGENT : SKY_CHAINS_CONSTANT);
    goto cleanup;
  }
  diagnose(&h, sorted, all, order, work, mean, out);
  if (!isfinite(out->mc_error)) out->mc_error = INFINITY;
  out->verdict = judge(out, n_chain, n_draw, divergent);
cleanup:
  sky_free(value);
  sky_free(split);
  sky_free(work);
  sky_free(mean);
  sky_free(sorted);
  sky_free(order);
  return st;
}
