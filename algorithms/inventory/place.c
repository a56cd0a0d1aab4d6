/* place.c: mass-conserving placement (place.h, place.md). */
#include "algorithms/inventory/place.h"

#include <float.h>
#include <math.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define CLOSE_ULP 4
#define CLOSE_ROUNDS 8

static double compensated(const double *x, size_t n) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    sky_acc_add(&sum, x[i]);
  return sky_acc_value(&sum);
}

static bool legal(double v) {
  return isfinite(v) && v >= 0;
}

static sky_status check(sky_context *ctx, const sky_place_task *t) {
  bool any = false;
  if (!legal(t->total) || !legal(t->total_sd))
    return sky_fail(ctx, SKY_E_RANGE, "%s: total %g or its sd %g is not a finite number >= 0",
                    t->region, t->total, t->total_sd);
  if (!(isfinite(t->gamma) && t->gamma > 0) || !legal(t->alpha))
    return sky_fail(ctx, SKY_E_RANGE, "%s: gamma %g is not > 0, or alpha %g not >= 0", t->region,
                    t->gamma, t->alpha);
  for (size_t i = 0; i < t->n; i++) {
    if (!legal(t->inside[i]))
      return sky_fail(ctx, SKY_E_RANGE, "%s: cell %zu: area %g m2 is not a finite number >= 0",
                      t->region, i, t->inside[i]);
    if (t->points != NULL && !legal(t->points[i]))
      return sky_fail(ctx, SKY_E_RANGE, "%s: cell %zu: point emission %g is not >= 0", t->region, i,
                      t->points[i]);
    for (size_t p = 0; p < t->n_proxies; p++) {
      if (!isnan(t->proxy[p][i]) && !legal(t->proxy[p][i]))
        return sky_fail(ctx, SKY_E_RANGE, "%s: cell %zu: proxy %zu is %g, not a number >= 0",
                        t->region, i, p + 1, t->proxy[p][i]);
    }
    any = any || t->inside[i] > 0;
  }
  if (any) return SKY_OK;
  return sky_fail(ctx, SKY_E_COVERAGE, "%s: no cell of the grid lies inside", t->region);
}

/* w of one proxy (NULL: area), in share; its sum. */
static double weigh(const sky_place_task *t, const double *proxy, double *share, size_t *no_data) {
  *no_data = 0;
  for (size_t i = 0; i < t->n; i++) {
    double w = t->inside[i];
    if (proxy != NULL && isnan(proxy[i])) {
      *no_data += w > 0;
      w = 0;
    } else if (proxy != NULL) {
      w *= t->gamma == 1 ? proxy[i] : pow(proxy[i], t->gamma);
      if (t->points != NULL) w = fmax(w - t->alpha * t->points[i], 0);
    }
    share[i] = w;
  }
  return compensated(share, t->n);
}

/* Shares of the first proxy that says anything here; area is the last of the chain. */
static sky_status spread(sky_context *ctx, const sky_place_task *t, double *share,
                         sky_placed *out) {
  double sum = 0;
  out->proxy = SKY_PLACE_UNIFORM;
  for (size_t p = 0; p < t->n_proxies && !(sum > 0); p++) {
    sum = weigh(t, t->proxy[p], share, &out->no_data);
    if (sum > 0) out->proxy = p;
  }
  if (!(sum > 0)) sum = weigh(t, NULL, share, &out->no_data);
  if (!isfinite(sum))
    return sky_fail(ctx, SKY_E_RANGE, "%s: the weights overflow (gamma %g)", t->region, t->gamma);
  for (size_t i = 0; i < t->n; i++)
    share[i] /= sum;
  return SKY_OK;
}

/* The rounding that is left goes to the largest cell, where it is relatively smallest. */
static sky_status close_sum(sky_context *ctx, const char *region, double total, size_t n,
                            double *emission) {
  size_t largest = 0;
  for (size_t i = 1; i < n; i++)
    if (emission[i] > emission[largest]) largest = i;
  double left = total - compensated(emission, n);
  for (int round = 0; round < CLOSE_ROUNDS && left != 0; round++) {
    emission[largest] += left;
    left = total - compensated(emission, n);
  }
  if (fabs(left) <= CLOSE_ULP * DBL_EPSILON / 2 * total) return SKY_OK;
  return sky_fail(ctx, SKY_E_MASS, "%s: placed cells miss the total %.17g by %g", region, total,
                  left);
}

sky_status sky_place(sky_context *ctx, const sky_place_task *t, double *emission, double *share,
                     sky_placed *out) {
  *out = (sky_placed){.total = t->total, .proxy = SKY_PLACE_UNIFORM};
  SKY_TRY(check(ctx, t));
  const double points = t->points != NULL ? compensated(t->points, t->n) : 0;
  const bool exceed = points > t->total;
  if (exceed && t->excess == SKY_PLACE_ERROR)
    return sky_fail(ctx, SKY_E_RANGE, "%s: points emit %g kg, the total is %g kg", t->region,
                    points, t->total);
  const double factor = exceed && t->excess == SKY_PLACE_SCALE ? t->total / points : 1;
  out->excess = exceed ? points - t->total : 0;
  out->points = points * factor;
  out->rest = exceed ? 0 : t->total - points;
  if (exceed && t->excess == SKY_PLACE_KEEP) out->total = points;
  if (!exceed) SKY_TRY(spread(ctx, t, share, out));
  for (size_t i = 0; i < t->n; i++) {
    const double a = t->points != NULL ? t->points[i] * factor : 0;
    if (exceed) share[i] = t->points[i] / points;
    emission[i] = a + out->rest * (exceed ? 0 : share[i]);
  }
  return close_sum(ctx, t->region, out->total, t->n, emission);
}

double sky_place_spread(double rest, double total_var, double kappa) {
  return (rest * rest + total_var) / (kappa + 1);
}
