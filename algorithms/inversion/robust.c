/* robust.c: IRLS for Huber's loss through the dual: HQHᵀ is built once, a round is one
 * factorisation (Huber 1981, Robust Statistics, ch. 7). */
#include "algorithms/inversion/robust.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

#define CLOSE 1e-10 /* largest relative change of a weight */
enum { ROUNDS = 500 };

/* New r_sd from the residuals R w of the present ones; returns the largest change of a weight. */
static double reweight(const sky_problem *p, const sky_dual *d, double k, double *r_sd) {
  double change = 0;
  for (size_t i = 0; i < p->n_obs; i++) {
    const double t = fabs(r_sd[i] * r_sd[i] * d->w[i]) / p->r_sd[i];
    const double weight = t > k ? k / t : 1;
    const double before = (p->r_sd[i] / r_sd[i]) * (p->r_sd[i] / r_sd[i]);
    change = fmax(change, fabs(weight - before) / before);
    r_sd[i] = p->r_sd[i] / sqrt(weight);
  }
  return change;
}

sky_status sky_huber_weights(sky_context *ctx, const sky_problem *p, double k, double *r_sd,
                             size_t *n_changed, size_t *rounds) {
  const sky_noise noise = {p->n_obs, r_sd, NULL};
  sky_dual d = {0};
  double change = 1;
  sky_status st = SKY_OK;
  if (!(k > 0) || !isfinite(k))
    return sky_fail(ctx, SKY_E_RANGE, "huber: %g (expected a number > 0)", k);
  if (p->track != NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "huber: the loss is one of single residuals: errors correlated along a track "
                    "have none");
  for (size_t i = 0; i < p->n_obs; i++)
    if (!(p->r_sd[i] > 0))
      return sky_fail(ctx, SKY_E_RANGE, "huber: r_sd[%zu] = %g (expected > 0)", i, p->r_sd[i]);
  memcpy(r_sd, p->r_sd, p->n_obs * sizeof *r_sd);
  SKY_GO(sky_dual_room(ctx, p, "the reweighting", 0));
  SKY_GO(sky_dual_make(ctx, p, &d));
  for (*rounds = 0; *rounds < ROUNDS && change > CLOSE; ++*rounds) {
    if (*rounds > 0) SKY_GO(sky_dual_factor(ctx, &noise, &d));
    change = reweight(p, &d, k, r_sd);
  }
  if (change > CLOSE)
    SKY_GO(sky_fail(ctx, SKY_E_RANGE, "huber: weights still change by %g after %d rounds", change,
                    (int)ROUNDS));
  *n_changed = 0;
  for (size_t i = 0; i < p->n_obs; i++)
    *n_changed += r_sd[i] > p->r_sd[i];
cleanup:
  sky_dual_free(&d);
  return st;
}
