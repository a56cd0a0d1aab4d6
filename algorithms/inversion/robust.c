/* robust.c: IRLS for Huber's loss through the dual: HQHᵀ is built once, a round is one
 * factorisation (Huber 1981, Robust Statistics, ch. 7). */
#include "algorithms/inversion/robust.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

#define CLOSE 1e-10 /* largest relative change of a weight */
enum { ROUNDS = 500 };

/* r_i² (1-f): what the loss looks at. */
static double own_variance(const sky_problem *p, size_t i) {
  const double share = p->track != NULL ? sky_track_share(p->track, i) : 0;
  return p->r_sd[i] * p->r_sd[i] * (1 - share);
}

/* New r_sd from the own errors ε = V w of the present ones; returns the largest change of a weight.
 */
static double reweight(const sky_problem *p, const sky_dual *d, double k, double *r_sd) {
  double change = 0;
  for (size_t i = 0; i < p->n_obs; i++) {
    const double given = own_variance(p, i), shared = p->r_sd[i] * p->r_sd[i] - given;
    const double now = r_sd[i] * r_sd[i] - shared, before = given / now;
    const double t = now * fabs(d->w[i]) / sqrt(given), weight = t > k ? k / t : 1;
    change = fmax(change, fabs(weight - before) / before);
    r_sd[i] = weight < 1 ? sqrt(shared + given / weight) : p->r_sd[i];
  }
  return change;
}

static sky_status check(sky_context *ctx, const sky_problem *p, double k) {
  if (!(k > 0) || !isfinite(k))
    return sky_fail(ctx, SKY_E_RANGE, "huber: %g (expected a number > 0)", k);
  for (size_t i = 0; i < p->n_obs; i++) {
    if (!(p->r_sd[i] > 0))
      return sky_fail(ctx, SKY_E_RANGE, "huber: r_sd[%zu] = %g (expected > 0)", i, p->r_sd[i]);
    if (p->track != NULL && !(sky_track_share(p->track, i) < 1))
      return sky_fail(ctx, SKY_E_RANGE,
                      "huber: the error of observation %zu is all correlated along its track, and "
                      "the loss is on an observation's own part (expected a share below 1)",
                      i);
  }
  return SKY_OK;
}

/* Shares of the errors r_sd, of which the correlated part is that of p. */
static sky_status dilute(sky_context *ctx, const sky_problem *p, const double *r_sd, double *share,
                         sky_track *t) {
  if (t == NULL) return SKY_OK;
  for (size_t i = 0; i < p->n_obs; i++) {
    const double ratio = p->r_sd[i] / r_sd[i];
    share[i] = sky_track_share(p->track, i) * ratio * ratio;
  }
  return sky_track_dilute(ctx, t, share);
}

static sky_status copy_track(sky_context *ctx, const sky_problem *p, sky_track **out) {
  *out = NULL;
  if (p->track == NULL) return SKY_OK;
  size_t *all = SKY_NEW(ctx, size_t, p->n_obs);
  if (all == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n_obs; i++)
    all[i] = i;
  const sky_status st = sky_track_select(ctx, p->track, p->n_obs, all, out);
  sky_free(all);
  return st;
}

sky_status sky_huber_apply(sky_context *ctx, double k, const sky_drift *drift, sky_problem *p,
                           size_t *n_changed, size_t *rounds) {
  double *r_sd = NULL, *share = NULL, *G = NULL;
  sky_track *track = NULL;
  sky_dual d = {0};
  double change = 1;
  sky_status st = SKY_OK;
  SKY_TRY(check(ctx, p, k));
  SKY_GO_ALLOC(r_sd, SKY_NEW(ctx, double, p->n_obs));
  SKY_GO_ALLOC(share, SKY_NEW(ctx, double, p->n_obs));
  SKY_GO(copy_track(ctx, p, &track));
  const sky_noise noise = {p->n_obs, r_sd, track};
  memcpy(r_sd, p->r_sd, p->n_obs * sizeof *r_sd);
  SKY_GO(sky_dual_room(ctx, p, "the reweighting", 0));
  SKY_GO(sky_dual_make(ctx, p, &d));
  if (drift != NULL) SKY_GO(sky_drift_columns(ctx, p, drift, &d, &G));
  for (*rounds = 0; *rounds < ROUNDS && change > CLOSE; ++*rounds) {
    if (*rounds > 0 || drift != NULL) SKY_GO(sky_dual_factor(ctx, &noise, &d));
    if (drift != NULL) SKY_GO(sky_drift_remove(ctx, drift->n, G, &d));
    change = reweight(p, &d, k, r_sd);
    SKY_GO(dilute(ctx, p, r_sd, share, track));
  }
  if (change > CLOSE)
    SKY_GO(sky_fail(ctx, SKY_E_RANGE, "huber: weights still change by %g after %d rounds", change,
                    (int)ROUNDS));
  *n_changed = 0;
  for (size_t i = 0; i < p->n_obs; i++)
    *n_changed += r_sd[i] > p->r_sd[i];
  if (p->track != NULL) SKY_GO(sky_track_dilute(ctx, p->track, share));
  memcpy(p->r_sd, r_sd, p->n_obs * sizeof *r_sd);
cleanup:
  sky_dual_free(&d);
  sky_track_free(track);
  sky_free(G);
  sky_free(share);
  sky_free(r_sd);
  return st;
}
