/* posterior.c: memory of a posterior and what follows from a zone's covariance (bayes.md §4). */
#include "algorithms/inversion/posterior.h"

#include <math.h>
#include <string.h>

#include "algorithms/fusion/compare.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/noise.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define SHARE_ROUNDING 1e-9

sky_covariance sky_problem_covariance(const sky_problem *p) {
  return (sky_covariance){.n_cell = p->n_cell,
                          .n_time = p->n_time,
                          .sd = p->x_sd,
                          .E = p->E,
                          .D = p->D,
                          .rank = p->q_rank,
                          .factor = p->q_factor,
                          .sign = p->q_sign,
                          .var = p->q_var,
                          .levels = p->levels};
}

void sky_problem_free(sky_problem *p) {
  if (p == NULL) return;
  sky_free(p->rowptr);
  sky_free(p->col);
  sky_free(p->val);
  sky_free(p->y);
  sky_free(p->r_sd);
  sky_free(p->x0);
  sky_free(p->x_sd);
  sky_free(p->x_true);
  sky_free(p->E);
  sky_free(p->D);
  sky_free(p->mixing);
  sky_free(p->sector_reach);
  sky_free(p->q_factor);
  sky_free(p->q_sign);
  sky_free(p->q_var);
  sky_levels_free(p->levels);
  sky_track_free(p->track);
  sky_free(p->xc);
  sky_free(p->yc);
  sky_free(p->group);
  sky_free(p->regressor);
  sky_free(p->b0);
  sky_free(p->b_sd);
  memset(p, 0, sizeof *p);
}

/* Every array of a posterior with its length: one list for alloc, free and the memory plan. */
#define POSTERIOR_ARRAYS(ARRAY)     \
  ARRAY(x, n_state)                 \
  ARRAY(sd, n_state)                \
  ARRAY(ak, n_state)                \
  ARRAY(b, n_background)            \
  ARRAY(b_post_sd, n_background)    \
  ARRAY(residual, n_obs)            \
  ARRAY(simulated_prior, n_obs)     \
  ARRAY(simulated, n_obs)           \
  ARRAY(prior_total, n_zone)        \
  ARRAY(prior_sd, n_zone)           \
  ARRAY(total, n_zone)              \
  ARRAY(total_sd, n_zone)           \
  ARRAY(zone_dofs, n_zone)          \
  ARRAY(zone_dofs_half, n_zone)     \
  ARRAY(zone_reduction, n_zone)     \
  ARRAY(zone_sensitivity, n_zone)   \
  ARRAY(zone_own_response, n_zone)  \
  ARRAY(zone_noise_var, n_zone)     \
  ARRAY(zone_inventory_var, n_zone) \
  ARRAY(zone_null_sd, n_zone)       \
  ARRAY(zone_detectable, n_zone)    \
  ARRAY(zone_A, n_zone *n_state)    \
  ARRAY(zone_cov, n_zone *n_zone)   \
  ARRAY(zone_inventory_cov, n_zone *n_zone)

sky_status sky_answer_finite(sky_context *ctx, const char *what, double value) {
  if (isfinite(value)) return SKY_OK;
  return sky_fail(
      ctx, SKY_E_RANGE,
      "inversion: %s is %s: the numbers of the problem (y, x0, x_sd, r_sd, H) leave the "
      "range of double (expected a finite number)",
      what, isnan(value) ? "not a number" : "infinite");
}

sky_status sky_posterior_alloc(sky_context *ctx, size_t n_state, size_t n_obs, size_t n_background,
                               size_t n_zone, sky_posterior *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  out->n_state = n_state;
  out->n_obs = n_obs;
  out->n_background = n_background;
  out->n_zone = n_zone;
#define ALLOC(name, size) SKY_GO_ALLOC(out->name, SKY_NEW0(ctx, double, size));
  POSTERIOR_ARRAYS(ALLOC)
#undef ALLOC
  return SKY_OK;
cleanup:
  sky_posterior_free(out);
  return st;
}

double sky_posterior_bytes(size_t n_state, size_t n_obs, size_t n_background, size_t n_zone) {
  double count = 0;
#define COUNT(name, size) count += (double)(size);
  POSTERIOR_ARRAYS(COUNT)
#undef COUNT
  return count * sizeof(double);
}

void sky_posterior_free(sky_posterior *p) {
  if (p == NULL) return;
#define FREE(name, size) sky_free(p->name);
  POSTERIOR_ARRAYS(FREE)
#undef FREE
  memset(p, 0, sizeof *p);
}

/* Degrees of freedom of the state elements in the zone, each by its share. */
static double zone_dofs(const sky_functionals *zones, size_t n, const double *a, const double *ak) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    sky_acc_add(&sum, sky_zone_share(zones, a, i) * ak[i]);
  return sky_acc_value(&sum);
}

/* ---- layers and the compared inventory ------------------------------------------------------ */

static size_t layers(const sky_functionals *zones) {
  return zones->n_layer > 1 ? zones->n_layer : 1;
}

static bool touches(const sky_functionals *zones, size_t n_cell, size_t n, const double *a,
                    size_t layer) {
  const size_t width = n_cell / layers(zones);
  for (size_t t = layer * width; t < n; t += n_cell)
    for (size_t c = 0; c < width; c++)
      if (a[t + c] != 0) return true;
  return false;
}

static size_t sectors(const sky_functionals *zones) {
  return zones->n_sector > 1 ? zones->n_sector : 1;
}

/* Does the row a hold every sector, as the compared inventory does? */
static bool is_whole(const sky_functionals *zones, size_t n_cell, size_t n, const double *a) {
  for (size_t l = 0; l < sectors(zones); l++)
    if (!touches(zones, n_cell, n, a, l)) return false;
  return true;
}

static double share_in(const sky_functionals *zones, size_t width, size_t l, size_t c) {
  return sectors(zones) > 1 ? zones->sector_share[l * width + c] : 1;
}

/* The response aA of a row in two parts: to a change of what the zone is about (inside), divided
 * among sectors as the inventory is where the row is whole, and to everything else (rest). */
static void split_response(const sky_functionals *zones, size_t n_cell, size_t n, const double *a,
                           const double *aA, double *inside, double *rest) {
  const size_t width = n_cell / layers(zones), ns = sectors(zones);
  const bool whole = is_whole(zones, n_cell, n, a);
  for (size_t l = 0; l < layers(zones); l++) {
    const bool shared = whole && l < ns, own = touches(zones, n_cell, n, a, l);
    for (size_t t = 0; t < n; t += n_cell)
      for (size_t c = 0; c < width; c++) {
        const size_t i = t + l * width + c;
        double to = own ? aA[i] : 0;
        if (shared) to = 0;
        for (size_t k = 0; shared && k < ns; k++)
          to += share_in(zones, width, k, c) * aA[t + k * width + c];
        inside[i] = to;
        rest[i] = aA[i] - to;
      }
  }
}

static bool has_inventory(const sky_functionals *z) {
  return z->inventory_var != NULL || z->inventory_sd != NULL || z->inventory_E != NULL ||
         z->inventory_D != NULL;
}

/* out = B v: the inventory's own covariance of the sum of the sectors, divided among them, and the
 * prior's in other layers. work, part: as large as out. */
static void inventory_apply(sky_context *ctx, const sky_functionals *z, const sky_covariance *prior,
                            const double *v, double *work, double *part, double *out) {
  const size_t nz = z->n_zone, nl = layers(z), width = prior->n_cell / nl, nt = prior->n_time;
  const sky_covariance own = {
      .n_cell = width,
      .n_time = nt,
      .sd = z->inventory_sd != NULL ? z->inventory_sd : prior->sd,
      .E = z->inventory_E != NULL ? z->inventory_E : prior->E,
      .D = z->inventory_D != NULL ? z->inventory_D : prior->D,
      .rank = z->inventory_rank,
      .factor = z->inventory_factor,
      .sign = z->inventory_sign,
      .var = z->inventory_var,
  };
  if (has_inventory(z) && nl == 1) {
    sky_covariance_apply(ctx, &own, v, nz, work, out);
    return;
  }
  sky_covariance_apply(ctx, prior, v, nz, work, out);
  if (!has_inventory(z)) return;
  double *packed = part, *answer = part + nz * nt * width; /* nl >= 2: both fit */
  for (size_t k = 0; k < nz * nt; k++)
    for (size_t c = 0; c < width; c++) {
      const double *from = v + k * prior->n_cell + c;
      packed[k * width + c] = share_in(z, width, 0, c) * from[0];
      for (size_t l = 1; l < sectors(z); l++)
        packed[k * width + c] += share_in(z, width, l, c) * from[l * width];
    }
  sky_covariance_apply(ctx, &own, packed, nz, work, answer);
  for (size_t k = 0; k < nz * nt; k++)
    for (size_t l = 0; l < sectors(z); l++)
      for (size_t c = 0; c < width; c++)
        out[k * prior->n_cell + l * width + c] = share_in(z, width, l, c) * answer[k * width + c];
}

/* Shares that add up to 1 in every cell. */
static sky_status check_shares(sky_context *ctx, const sky_functionals *z, size_t n_cell) {
  const size_t width = n_cell / layers(z), ns = sectors(z);
  if (ns > layers(z) || (ns > 1 && z->sector_share == NULL))
    return sky_fail(ctx, SKY_E_RANGE,
                    "problem: %zu sectors in %zu layers (expected at most as many, with shares)",
                    ns, layers(z));
  for (size_t c = 0; ns > 1 && c < width; c++) {
    double sum = 0;
    for (size_t l = 0; l < ns; l++)
      sum += z->sector_share[l * width + c];
    if (!(fabs(sum - 1) <= SHARE_ROUNDING))
      return sky_fail(ctx, SKY_E_RANGE,
                      "problem: the sectors' shares of cell %zu add up to %g (expected 1)", c, sum);
  }
  return SKY_OK;
}

sky_status sky_zone_inventory_check(sky_context *ctx, const sky_functionals *z, size_t n_cell,
                                    bool low_rank) {
  if (n_cell % layers(z) != 0)
    return sky_fail(ctx, SKY_E_RANGE, "problem: %zu cells are not %zu equal layers", n_cell,
                    layers(z));
  if (has_inventory(z) && z->inventory_var == NULL && (low_rank || layers(z) > 1) &&
      (z->inventory_sd == NULL || z->inventory_E == NULL || z->inventory_D == NULL))
    return sky_fail(ctx, SKY_E_RANGE,
                    "problem: the inventory's covariance is not whole (expected inventory_sd, "
                    "inventory_E and inventory_D, as the prior has none of that shape)");
  return check_shares(ctx, z, n_cell);
}

sky_status sky_zone_inventory(sky_context *ctx, const sky_functionals *zones,
                              const sky_covariance *prior, sky_posterior *out) {
  const size_t nz = zones->n_zone, m = out->n_state;
  double *work = NULL, *inside = NULL, *rest = NULL, *applied = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, nz *m));
  SKY_GO_ALLOC(inside, SKY_NEW(ctx, double, nz *m));
  SKY_GO_ALLOC(rest, SKY_NEW(ctx, double, nz *m));
  SKY_GO_ALLOC(applied, SKY_NEW(ctx, double, nz *m));
  for (size_t z = 0; z < nz; z++)
    split_response(zones, prior->n_cell, m, zones->W + z * m, out->zone_A + z * m, inside + z * m,
                   rest + z * m);
  if (layers(zones) > 1) { /* else there is no rest */
    sky_covariance_apply(ctx, prior, rest, nz, work, applied);
    for (size_t z = 0; z < nz; z++) {
      out->zone_noise_var[z] += sky_dot(rest + z * m, applied + z * m, m);
      if (!has_inventory(zones))
        out->zone_null_sd[z] = 2 * sky_dot(inside + z * m, applied + z * m, m);
    }
  }
  inventory_apply(ctx, zones, prior, inside, work, rest, applied); /* rest: scratch from here */
  for (size_t z = 0; z < nz; z++)
    out->zone_inventory_var[z] += sky_dot(inside + z * m, applied + z * m, m);
  inventory_apply(ctx, zones, prior, zones->W, work, rest, applied);
  sky_gram(ctx, nz, m, zones->W, applied, out->zone_inventory_cov);
cleanup:
  sky_free(work);
  sky_free(inside);
  sky_free(rest);
  sky_free(applied);
  return st;
}

/* ---- totals --------------------------------------------------------------------------------- */

/* aᵀA p with p = x0 in the zone's own layers. */
static double response(const sky_functionals *zones, size_t n_cell, size_t n, const double *a,
                       const double *aA, const double *x0) {
  const size_t width = n_cell / layers(zones);
  if (layers(zones) == 1) return sky_dot(aA, x0, n);
  sky_acc sum = {0, 0};
  for (size_t l = 0; l < layers(zones); l++) {
    if (!touches(zones, n_cell, n, a, l)) continue;
    for (size_t t = l * width; t < n; t += n_cell)
      sky_acc_add(&sum, sky_dot(aA + t, x0 + t, width));
  }
  return sky_acc_value(&sum);
}

/* The same for a change inside the zone alone, relative to aᵀp: elsewhere nothing changes. */
static double own_response(const sky_functionals *zones, size_t n, const double *a,
                           const double *aA, const double *x0, double prior) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    sky_acc_add(&sum, sky_zone_share(zones, a, i) * aA[i] * x0[i]);
  return prior != 0 ? sky_acc_value(&sum) / prior : NAN;
}

void sky_posterior_zones(const sky_functionals *zones, size_t n_cell, const double *x0,
                         sky_posterior *out) {
  const size_t n = out->n_state;
  for (size_t z = 0; z < out->n_zone; z++) {
    const double *a = zones->W + z * n;
    const double constant = zones->constant != NULL ? zones->constant[z] : 0;
    const double prior = sky_dot(a, x0, n);
    const double prior_var = sky_variance(out->prior_sd[z]);
    const double post_var = sky_variance(out->zone_cov[z * out->n_zone + z]);
    out->prior_total[z] = prior + constant;
    out->total[z] = sky_dot(a, out->x, n) + constant;
    out->prior_sd[z] = sqrt(prior_var);
    out->total_sd[z] = sqrt(post_var);
    out->zone_dofs[z] = zone_dofs(zones, n, a, out->ak);
    out->zone_reduction[z] = prior_var > 0 ? 1 - post_var / prior_var : 0;
    out->zone_sensitivity[z] =
        prior != 0 ? response(zones, n_cell, n, a, out->zone_A + z * n, x0) / prior : NAN;
    out->zone_noise_var[z] = sky_variance(out->zone_noise_var[z]);
    out->zone_inventory_var[z] = sky_variance(out->zone_inventory_var[z]);
    out->zone_null_sd[z] = sqrt(
        sky_variance(out->zone_noise_var[z] + out->zone_inventory_var[z] + out->zone_null_sd[z]));
    out->zone_own_response[z] = own_response(zones, n, a, out->zone_A + z * n, x0, prior);
    out->zone_detectable[z] = sky_detectable(out->zone_noise_var[z], out->zone_own_response[z]);
  }
}
