/* osse.c: scores of an ensemble with known truth, and their limits (osse.md). */
#include "algorithms/inversion/osse.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/osse_pool.h"
#include "src/core/memory.h"

#define NORMAL_68 0.99445788320975312
#define NORMAL_95 1.9599639845400545
#define PI 3.14159265358979323846
#define FALSE_ALARM 1e-3 /* of a whole experiment */

static double normal_cdf(double z) {
  return 0.5 * erfc(-z / sqrt(2));
}

static double normal_tail(double z) {
  return 0.5 * erfc(z / sqrt(2));
}

/* P(χ² > x) for SKY_OSSE_BINS - 1 = 9 degrees of freedom, an odd number: a finite sum (Abramowitz
 * and Stegun 1972, 26.4.4). */
static double rank_tail(double x) {
  double term = sqrt(2 * x / PI) * exp(-x / 2), sum = erfc(sqrt(x / 2));
  for (int i = 1; i <= (SKY_OSSE_BINS - 2) / 2; i++) {
    sum += term;
    term *= x / (2 * i + 1);
  }
  return sum;
}

/* x with tail(x) = t, of a falling function, by bisection. */
static double solve_tail(double (*tail)(double), double t) {
  double low = 0, high = 1000;
  for (int i = 0; i < 200; i++) {
    const double mid = 0.5 * (low + high);
    if (tail(mid) > t)
      low = mid;
    else
      high = mid;
  }
  return 0.5 * (low + high);
}

/* Smallest and largest count that n trials of chance p leave with at most `tail` beyond each. */
static void binomial_limits(size_t n, double p, double tail, size_t *low, size_t *high) {
  double below = 0;
  *low = 0;
  *high = n;
  for (size_t k = 0; k <= n; k++) {
    const double log_pmf = lgamma((double)n + 1) - lgamma((double)k + 1) -
                           lgamma((double)(n - k) + 1) + (double)k * log(p) +
                           (double)(n - k) * log1p(-p);
    below += exp(log_pmf);
    if (below <= tail) *low = k + 1;
    if (1 - below <= tail) {
      *high = k;
      return;
    }
  }
}

sky_status sky_osse_begin(sky_context *ctx, size_t n_zone, size_t n_obs, sky_osse *out) {
  *out = (sky_osse){.n_zone = n_zone, .n_obs = n_obs};
  out->zone = SKY_NEW0(ctx, sky_osse_zone, n_zone);
  return out->zone != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* Every zone counts for itself, and all of them once together. */
static sky_status pool_gaussian(sky_context *ctx, sky_osse *s, const double *total,
                                const double *cov, const double *truth) {
  const size_t nz = s->n_zone;
  double *miss = SKY_NEW(ctx, double, nz), own, joint;
  sky_osse_joint j = {0};
  sky_status st = miss != NULL ? sky_osse_joint_make(ctx, nz, cov, &j) : SKY_E_NOMEM;
  if (st == SKY_OK) {
    for (size_t z = 0; z < nz; z++)
      miss[z] = truth[z] - total[z];
    sky_osse_joint_forms(&j, miss, &own, &joint);
    sky_osse_pool_add(&s->own, own, (double)nz, 2 * j.square);
    sky_osse_pool_add(&s->joint, joint, (double)j.rank, 2 * (double)j.rank);
  }
  sky_osse_joint_free(&j);
  sky_free(miss);
  return st;
}

sky_status sky_osse_add(sky_context *ctx, sky_osse *s, const double *total, const double *cov,
                        const double *truth, double jb, double jo, double dofs) {
  for (size_t z = 0; z < s->n_zone; z++) {
    sky_osse_zone *zone = &s->zone[z];
    const double miss = (truth[z] - total[z]) / sqrt(cov[z * s->n_zone + z]);
    const double rank = normal_cdf(miss) * SKY_OSSE_BINS;
    zone->inside68 += fabs(miss) < NORMAL_68;
    zone->inside95 += fabs(miss) < NORMAL_95;
    zone->scores += miss * miss;
    zone->rank[rank < SKY_OSSE_BINS - 1 ? (size_t)rank : SKY_OSSE_BINS - 1]++;
    zone->sum += total[z] - truth[z];
    zone->square += (total[z] - truth[z]) * (total[z] - truth[z]);
  }
  s->n_member++;
  s->jb_per_dofs += jb / dofs;
  s->j_per_n += (jb + jo) / (double)s->n_obs;
  s->jb_sd += 2 / dofs; /* Jb = Σ a χ²₁ with a <= 1, so var(Jb/DOFS) = 2Σa²/DOFS² <= 2/DOFS */
  return pool_gaussian(ctx, s, total, cov, truth);
}

/* z with Φ(z) = p, 0 < p < 1 */
static double normal_score(double p) {
  return p < 0.5 ? -solve_tail(normal_tail, p) : solve_tail(normal_tail, 1 - p);
}

/* Few draws widen no interval and are no fault of a member; chains that disagree or stand are. */
static bool chains_agree(const sky_chain_summary *c) {
  return c->verdict == SKY_CHAINS_CONVERGED ||
         ((c->verdict == SKY_CHAINS_APART || c->verdict == SKY_CHAINS_SHORT) &&
          c->rhat < SKY_OSSE_RHAT);
}

sky_status sky_osse_add_draws(sky_context *ctx, sky_osse *s, const sky_sampled *drawn,
                              const double *truth) {
  const size_t n = drawn->n_chain * drawn->n_draw;
  double own, joint;
  bool converged = true;
  for (size_t z = 0; z < s->n_zone; z++) {
    sky_osse_zone *zone = &s->zone[z];
    const sky_chain_summary *c = &drawn->summary[z];
    const double miss = c->mean - truth[z];
    size_t below = 0;
    for (size_t k = 0; k < n; k++)
      below += drawn->zone[k * drawn->n_zone + z] < truth[z];
    zone->inside68 += truth[z] > c->quantile[1] && truth[z] < c->quantile[3];
    zone->inside95 += truth[z] > c->quantile[0] && truth[z] < c->quantile[4];
    const double score = normal_score(((double)below + 0.5) / ((double)n + 1));
    zone->rank[below * SKY_OSSE_BINS / (n + 1)]++;
    zone->scores += score * score;
    zone->sum += miss;
    zone->square += miss * miss;
    converged = converged && chains_agree(c);
  }
  s->n_member++;
  s->n_unconverged += !converged;
  s->jb_per_dofs = s->j_per_n = NAN;
  SKY_TRY(sky_osse_joint_ranks(ctx, drawn, truth, &own, &joint));
  sky_osse_pool_add(&s->own, own, 2, 4);
  sky_osse_pool_add(&s->joint, joint, 2, 4);
  return SKY_OK;
}

static void finish_zone(const sky_osse *s, sky_osse_zone *zone) {
  const double n = (double)s->n_member, flat = n / SKY_OSSE_BINS;
  zone->bias = zone->sum / n;
  zone->spread = zone->scores / n;
  zone->rmse = sqrt(zone->square / n);
  zone->bias_sd = sqrt(fmax(zone->square / n - zone->bias * zone->bias, 0) / n);
  for (size_t b = 0; b < SKY_OSSE_BINS; b++) {
    const double off = (double)zone->rank[b] - flat;
    zone->rank_chi2 += off * off / flat;
  }
  zone->good = zone->inside68 >= s->low68 && zone->inside68 <= s->high68 &&
               zone->inside95 >= s->low95 && zone->inside95 <= s->high95 &&
               zone->spread >= s->spread_low && zone->spread <= s->spread_high &&
               zone->rank_chi2 <= s->rank_limit &&
               fabs(zone->bias) <= s->normal_limit * zone->bias_sd;
}

static bool inside(const sky_osse_pool *p) {
  return p->ratio >= p->low && p->ratio <= p->high;
}

void sky_osse_finish(sky_osse *s) {
  const bool cost = !isnan(s->j_per_n);
  const double n = (double)s->n_member, tests = 5 * (double)s->n_zone + (cost ? 4 : 2);
  const double share = FALSE_ALARM / tests;
  s->jb_per_dofs /= n;
  s->j_per_n /= n;
  s->jb_sd = sqrt(s->jb_sd) / n;
  s->j_sd = sqrt(2 / (double)s->n_obs / n);
  s->normal_limit = solve_tail(normal_tail, share / 2);
  binomial_limits(s->n_member, 0.68, share / 2, &s->low68, &s->high68);
  binomial_limits(s->n_member, 0.95, share / 2, &s->low95, &s->high95);
  s->rank_limit = solve_tail(rank_tail, share);
  s->spread_low = sky_osse_chi2(n, -s->normal_limit) / n;
  s->spread_high = sky_osse_chi2(n, s->normal_limit) / n;
  sky_osse_pool_finish(&s->own, s->normal_limit);
  sky_osse_pool_finish(&s->joint, s->normal_limit);
  s->judged = (double)s->n_unconverged <= SKY_OSSE_UNCONVERGED * n;
  s->calibrated = !cost || (fabs(s->jb_per_dofs - 1) <= s->normal_limit * s->jb_sd &&
                            fabs(s->j_per_n - 1) <= s->normal_limit * s->j_sd);
  s->calibrated = s->judged && s->calibrated && inside(&s->own) && inside(&s->joint);
  for (size_t z = 0; z < s->n_zone; z++) {
    finish_zone(s, &s->zone[z]);
    s->calibrated = s->calibrated && s->zone[z].good;
  }
}

void sky_osse_free(sky_osse *s) {
  if (s == NULL) return;
  sky_free(s->zone);
  memset(s, 0, sizeof *s);
}
