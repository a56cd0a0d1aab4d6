/* vprm.c: see vprm.h. A day's factors are made once; an hour reads them, temperature and radiation,
 * in blocks that stay in the first-level cache while the classes are added up. */
#include "algorithms/sink/vprm.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

#define BLOCK 512 /* cells: six arrays of them are 24 kB */

double sky_vprm_tscale(const sky_vprm_class *c, double t) {
  if (!(t > c->t_min && t < c->t_max)) return isnan(t) ? t : 0;
  const double product = (t - c->t_min) * (t - c->t_max), off = t - c->t_opt;
  return product / (product - off * off);
}

double sky_vprm_pscale_of(const sky_vprm_class *c, double evi, double evi_min, double evi_max,
                          double lswi) {
  if (c->pscale == SKY_PSCALE_ONE) return 1;
  const bool out =
      c->pscale == SKY_PSCALE_PHASE && evi >= evi_min + SKY_VPRM_PHASE * (evi_max - evi_min);
  return out ? 1 : (1 + lswi) / 2;
}

double sky_vprm_wscale_of(const sky_vprm_class *c, double lswi, double lswi_min, double lswi_max) {
  const double least = c->wscale == SKY_WSCALE_XERIC ? lswi_min : -1;
  const double range = lswi_max - least;
  if (isnan(lswi) || isnan(range)) return NAN;
  return range > 0 ? fmin(fmax((lswi - least) / range, 0), 1) : 1;
}

static sky_status check_class(sky_context *ctx, const sky_vprm_class *c) {
  if (!(c->lambda > 0) || !(c->par0 > 0))
    return sky_fail(ctx, SKY_E_RANGE,
                    "vprm: %s: lambda %g and PAR0 %g must be above 0 once their unit and sign are "
                    "taken into account",
                    c->name, c->lambda, c->par0);
  if (!(c->t_min < c->t_opt && c->t_opt < c->t_max))
    return sky_fail(ctx, SKY_E_RANGE,
                    "vprm: %s: temperatures must ascend, Tmin < Topt < Tmax: %g, %g, %g degC",
                    c->name, c->t_min - SKY_VPRM_CELSIUS, c->t_opt - SKY_VPRM_CELSIUS,
                    c->t_max - SKY_VPRM_CELSIUS);
  if (!isfinite(c->alpha) || !isfinite(c->beta) || (!c->modified && !isfinite(c->t_low)))
    return sky_fail(ctx, SKY_E_RANGE, "vprm: %s: alpha, beta and Tlow must be numbers", c->name);
  const double more[] = {c->alpha2, c->gamma, c->k1, c->k2, c->k3, c->t_crit, c->t_mult};
  for (size_t i = 0; c->modified && i < sizeof more / sizeof *more; i++)
    if (!isfinite(more[i]))
      return sky_fail(ctx, SKY_E_RANGE,
                      "vprm: %s: the modified respiration needs alpha2, gamma, k1, k2, k3, t_crit "
                      "and t_mult",
                      c->name);
  return SKY_OK;
}

sky_status sky_vprm_day_create(sky_context *ctx, const sky_vprm_class *cls, size_t n_class,
                               const double *share, size_t n_cell, sky_vprm_day *out) {
  bool modified = false;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  *out = (sky_vprm_day){.n_cell = n_cell, .n_class = n_class, .cls = cls, .share = share};
  for (size_t k = 0; k < n_class; k++) {
    SKY_GO(check_class(ctx, &cls[k]));
    modified = modified || cls[k].modified;
  }
  SKY_GO_ALLOC(out->light, SKY_NEW0(ctx, double, n_class *n_cell));
  if (modified) {
    SKY_GO_ALLOC(out->base, SKY_NEW0(ctx, double, n_class *n_cell));
    SKY_GO_ALLOC(out->warm, SKY_NEW0(ctx, double, n_class *n_cell));
    SKY_GO_ALLOC(out->warm2, SKY_NEW0(ctx, double, n_class *n_cell));
  }
cleanup:
  if (st != SKY_OK) sky_vprm_day_free(out);
  return st;
}

void sky_vprm_day_free(sky_vprm_day *d) {
  if (d == NULL) return;
  sky_free(d->light);
  sky_free(d->base);
  sky_free(d->warm);
  sky_free(d->warm2);
  memset(d, 0, sizeof *d);
}

/* A class that a cell has nothing of asks nothing of its vegetation. */
static void set_cell(sky_vprm_day *d, const sky_vprm_season *s, size_t i) {
  const double evi = isnan(s->evi[i]) ? s->evi[i] : fmax(s->evi[i], 0);
  for (size_t k = 0; k < d->n_class; k++) {
    const sky_vprm_class *c = &d->cls[k];
    const size_t at = k * d->n_cell + i;
    const double share = d->share[at];
    if (share == 0) {
      d->light[at] = 0;
      if (d->base != NULL) d->base[at] = d->warm[at] = d->warm2[at] = 0;
      continue;
    }
    const double w = sky_vprm_wscale_of(c, s->lswi[i], s->lswi_min[i], s->lswi_max[i]);
    const double p = sky_vprm_pscale_of(c, evi, s->evi_min[i], s->evi_max[i], s->lswi[i]);
    d->light[at] = share * c->lambda * p * w * evi;
    if (!c->modified) continue;
    d->base[at] = c->beta + c->gamma * evi + c->k1 * w;
    d->warm[at] = c->alpha + c->k2 * w;
    d->warm2[at] = c->alpha2 + c->k3 * w;
  }
}

void sky_vprm_day_set(sky_vprm_day *d, const sky_vprm_season *s, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (size_t i = 0; i < d->n_cell; i++)
    set_cell(d, s, i);
}

/* gpp += light Ts PAR / (1 + PAR/PAR0): one division for the two. */
static void add_gpp(const sky_vprm_class *c, size_t n, const double *restrict light,
                    const double *restrict t, const double *restrict par, double *restrict gpp) {
  const double t_min = c->t_min, t_opt = c->t_opt, t_max = c->t_max, per_par0 = 1 / c->par0;
  for (size_t i = 0; i < n; i++) {
    const double product = (t[i] - t_min) * (t[i] - t_max), off = t[i] - t_opt;
    const double up = product < 0 ? product : 0; /* 0 outside (Tmin, Tmax) */
    gpp[i] += light[i] * par[i] * up / ((up - off * off) * (1 + par[i] * per_par0));
  }
}

static void add_reco(const sky_vprm_class *c, size_t n, const double *restrict share,
                     const double *restrict t, double *restrict reco) {
  const double alpha = c->alpha, beta = c->beta, low = c->t_low;
  for (size_t i = 0; i < n; i++) {
    const double warm = t[i] > low ? t[i] : low;
    const double r = alpha * (warm - SKY_VPRM_CELSIUS) + beta;
    reco[i] += share[i] * (r > 0 ? r : 0);
  }
}

static void add_modified(const sky_vprm_class *c, size_t n, const double *restrict share,
                         const double *base, const double *warm, const double *warm2,
                         const double *restrict t, double *restrict reco) {
  for (size_t i = 0; i < n; i++) {
    const double damped = t[i] < c->t_crit ? c->t_crit - c->t_mult * (c->t_crit - t[i]) : t[i];
    const double x = damped - SKY_VPRM_CELSIUS, r = base[i] + (warm[i] + warm2[i] * x) * x;
    reco[i] += share[i] * (r < 0 ? 0 : r);
  }
}

static void run_block(const sky_vprm_day *d, size_t first, size_t n, const double *t,
                      const double *shortwave, double *gpp, double *reco) {
  double par[BLOCK];
  for (size_t i = 0; i < n; i++) {
    par[i] = shortwave[i] > 0 ? shortwave[i] / SKY_VPRM_SW_PER_PAR : 0;
    gpp[i] = reco[i] = 0;
  }
  for (size_t k = 0; k < d->n_class; k++) {
    const size_t at = k * d->n_cell + first;
    add_gpp(&d->cls[k], n, d->light + at, t, par, gpp);
    if (d->cls[k].modified)
      add_modified(&d->cls[k], n, d->share + at, d->base + at, d->warm + at, d->warm2 + at, t,
                   reco);
    else
      add_reco(&d->cls[k], n, d->share + at, t, reco);
  }
  for (size_t i = 0; i < n; i++) { /* what comparisons have swallowed */
    const double missing = t[i] * 0 + shortwave[i] * 0;
    gpp[i] += missing;
    reco[i] += missing + gpp[i] * 0;
  }
}

void sky_vprm_hour(const sky_vprm_day *d, const double *t2m, const double *shortwave, int threads,
                   double *gpp, double *reco) {
  const size_t blocks = (d->n_cell + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (size_t b = 0; b < blocks; b++) {
    const size_t at = b * BLOCK, n = d->n_cell - at < BLOCK ? d->n_cell - at : BLOCK;
    run_block(d, at, n, t2m + at, shortwave + at, gpp + at, reco + at);
  }
}
