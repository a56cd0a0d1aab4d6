/* desroziers.c: Desroziers' fixed point for σ_r by sensor and σ_q (hyper.md §3).
 *
 *   E[(y - Hx̂)dᵀ] = R,  E[H(x̂ - x0)dᵀ] = HQHᵀ            Desroziers et al. 2005, Eq. 1-4
 *   y - Hx̂ - Bb̂ = R w, H(x̂ - x0) = HQHᵀ w */
#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/hyper.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define CLOSE 1e-9 /* relative change of every factor */

typedef struct point {
  double *G0, *B, *r; /* [n*n] HQHᵀ and BΣ_bBᵀ as given; [n] r_sd now */
} point;

/* Mean of residual × innovation over that of the variance: factor² of a sensor. */
static double ratio_r(const sky_dual *d, const sky_noise *r, const sky_hyper_choice *c,
                      int32_t group) {
  sky_acc found = {0, 0}, stated = {0, 0};
  for (size_t i = 0; i < d->n; i++) {
    if (group >= 0 && c->sensor[i] != group) continue;
    sky_acc_add(&found, sky_noise_row(r, i, d->w) * d->d[i]);
    sky_acc_add(&stated, sky_noise_element(r, i, i));
  }
  return sky_acc_value(&found) / sky_acc_value(&stated);
}

static double ratio_q(const sky_dual *d, const double *G0, double scale) {
  sky_acc found = {0, 0}, stated = {0, 0};
  for (size_t i = 0; i < d->n; i++) {
    sky_acc_add(&found, scale * sky_dot(G0 + i * d->n, d->w, d->n) * d->d[i]);
    sky_acc_add(&stated, scale * G0[i * d->n + i]);
  }
  return sky_acc_value(&found) / sky_acc_value(&stated);
}

/* One round; *change: the largest relative change of a factor. */
static sky_status iterate(sky_context *ctx, const sky_problem *p, const sky_hyper_choice *c,
                          const point *s, sky_dual *d, sky_tuning *t, double *change) {
  const size_t n = d->n;
  double scale = 1;
  memcpy(s->r, p->r_sd, n * sizeof *s->r);
  for (size_t k = 0; k < t->n; k++) {
    const sky_hyper *h = &t->param[k];
    if (h->kind == SKY_HYPER_SIGMA_Q) scale = h->factor * h->factor;
    for (size_t i = 0; h->kind == SKY_HYPER_SIGMA_R && i < n; i++)
      if (h->group < 0 || c->sensor[i] == h->group) s->r[i] *= h->factor;
  }
  for (size_t i = 0; i < n * n; i++)
    d->G[i] = scale * s->G0[i] + s->B[i];
  const sky_noise noise = {n, s->r, p->track};
  SKY_TRY(sky_dual_factor(ctx, &noise, d));
  *change = 0;
  for (size_t k = 0; k < t->n; k++) {
    sky_hyper *h = &t->param[k];
    const double ratio =
        h->kind == SKY_HYPER_SIGMA_Q ? ratio_q(d, s->G0, scale) : ratio_r(d, &noise, c, h->group);
    if (!(ratio > 0)) {
      char label[SKY_HYPER_LABEL];
      sky_hyper_label(h, label);
      return sky_fail(ctx, SKY_E_RANGE,
                      "tune: Desroziers' variance of %s is %g times the stated one (expected > 0)",
                      label, ratio);
    }
    h->factor *= sqrt(ratio);
    *change = fmax(*change, fabs(sqrt(ratio) - 1));
  }
  return SKY_OK;
}

sky_status sky_hyper_desroziers(sky_context *ctx, const sky_problem *p,
                                const sky_hyper_choice *choice, sky_tuning *out) {
  const size_t n = p->n_obs, most = choice->max_iterations > 0 ? choice->max_iterations : 1000;
  sky_dual d = {0};
  point s = {0};
  double change = 1;
  sky_status st = SKY_OK;
  if (choice->length || choice->time || choice->n_sector > 0 || choice->drift != NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "tune: Desroziers tells sigma_q of the whole state and sigma_r, no lengths, "
                    "sectors or drift");
  SKY_TRY(sky_hyper_list(ctx, p, choice, out));
  SKY_GO(sky_dual_room(ctx, p, "the tuning", 2));
  SKY_GO(sky_dual_make(ctx, p, &d));
  SKY_GO_ALLOC(s.G0, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(s.B, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(s.r, SKY_NEW(ctx, double, n));
  SKY_GO(sky_problem_gram(ctx, p, s.G0));
  for (size_t i = 0; i < n * n; i++)
    s.B[i] = d.G[i] - s.G0[i];
  out->nll_given = sky_dual_evidence(&d);
  for (out->iterations = 0; out->iterations < most && change > CLOSE; out->iterations++)
    SKY_GO(iterate(ctx, p, choice, &s, &d, out, &change));
  out->evaluations = out->iterations;
  out->decrement = change;
  if (change > CLOSE)
    SKY_GO(sky_fail(ctx, SKY_E_RANGE,
                    "tune: Desroziers' fixed point not reached after %zu rounds: last relative "
                    "change %g (expected <= %g)",
                    out->iterations, change, CLOSE));
  out->nll = sky_dual_evidence(&d);
  for (size_t k = 0; k < out->n; k++) {
    sky_hyper *h = &out->param[k];
    h->value = isnan(h->given) ? h->factor : h->given * h->factor;
  }
cleanup:
  sky_dual_free(&d);
  sky_free(s.G0);
  sky_free(s.B);
  sky_free(s.r);
  return st;
}
