/* noise.c: see noise.h and noise.md.
 *
 * Observations sorted along the track: with φ_k = exp(-(s_k - s_k-1)/length), 0 where an overpass
 * begins, ρ is semiseparable and ρ = L D Lᵀ, L_kj = g_k φ_k … φ_j+1 w_j with g = √share, by one
 * pass. */
#include "algorithms/inversion/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define SAME_PLACE 1e-10 /* a pivot of ρ that is rounding */

struct sky_track {
  size_t n;
  double length;
  int32_t *overpass;    /* [n] */
  double *along;        /* [n] */
  double *root;         /* [n] g, of each observation */
  size_t *order;        /* [n] observations by overpass, then along */
  double *phi, *w, *sd; /* [n] in that order; sd = √D */
};

/* ---- making --------------------------------------------------------------------------------- */

typedef struct place {
  int32_t overpass;
  double along;
  size_t index;
} place;

static int by_place(const void *a, const void *b) {
  const place *x = a, *y = b;
  if (x->overpass != y->overpass) return x->overpass < y->overpass ? -1 : 1;
  if (x->along != y->along) return x->along < y->along ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

static sky_status sort_places(sky_context *ctx, sky_track *t) {
  place *all = SKY_NEW(ctx, place, t->n);
  if (all == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < t->n; i++)
    all[i] = (place){t->overpass[i], t->along[i], i};
  qsort(all, t->n, sizeof *all, by_place);
  for (size_t k = 0; k < t->n; k++) {
    const bool first = k == 0 || all[k].overpass != all[k - 1].overpass;
    t->order[k] = all[k].index;
    t->phi[k] = first ? 0 : exp(-(all[k].along - all[k - 1].along) / t->length);
  }
  sky_free(all);
  return SKY_OK;
}

/* L and D by the recursion of noise.md §2. */
static sky_status factor(sky_context *ctx, sky_track *t) {
  double known = 0;
  for (size_t k = 0; k < t->n; k++) {
    const double g = t->root[t->order[k]];
    known *= t->phi[k] * t->phi[k];
    const double pivot = 1 - g * g * known;
    if (!(pivot > SAME_PLACE))
      return sky_fail(ctx, SKY_E_RANGE,
                      "noise: observations %zu and %zu of overpass %d are at one place along the "
                      "track (%g), and no part of their errors is independent (expected r_share "
                      "below 1, or different places)",
                      t->order[k - 1], t->order[k], t->overpass[t->order[k]],
                      t->along[t->order[k]]);
    t->sd[k] = sqrt(pivot);
    t->w[k] = g * (1 - known) / pivot;
    known += pivot * t->w[k] * t->w[k];
  }
  return SKY_OK;
}

static sky_status check(sky_context *ctx, size_t n, const double *along, double length,
                        double share) {
  if (!(length > 0 && isfinite(length)))
    return sky_fail(ctx, SKY_E_RANGE, "noise: r_length %g (expected a number > 0)", length);
  if (!(share > 0 && share <= 1))
    return sky_fail(ctx, SKY_E_RANGE, "noise: r_share %g (expected above 0, at most 1)", share);
  for (size_t i = 0; i < n; i++)
    if (!isfinite(along[i]))
      return sky_fail(ctx, SKY_E_RANGE, "noise: along_track[%zu] = %g (expected a finite number)",
                      i, along[i]);
  return SKY_OK;
}

static sky_status alloc_track(sky_context *ctx, size_t n, double length, sky_track **out) {
  sky_track *t = *out = SKY_NEW0(ctx, sky_track, 1);
  sky_status st = SKY_OK;
  if (t == NULL) return SKY_E_NOMEM;
  t->n = n;
  t->length = length;
  SKY_GO_ALLOC(t->overpass, SKY_NEW(ctx, int32_t, n));
  SKY_GO_ALLOC(t->along, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(t->root, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(t->order, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(t->phi, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(t->w, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(t->sd, SKY_NEW(ctx, double, n));
cleanup:
  return st;
}

sky_status sky_track_create(sky_context *ctx, size_t n, const int32_t *overpass,
                            const double *along, double length, double share, sky_track **out) {
  sky_track *t = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_TRY(check(ctx, n, along, length, share));
  SKY_GO(alloc_track(ctx, n, length, &t));
  memcpy(t->overpass, overpass, n * sizeof *overpass);
  memcpy(t->along, along, n * sizeof *along);
  for (size_t i = 0; i < n; i++)
    t->root[i] = sqrt(share);
  SKY_GO(sort_places(ctx, t));
  SKY_GO(factor(ctx, t));
  *out = t;
cleanup:
  if (st != SKY_OK) sky_track_free(t);
  return st;
}

void sky_track_free(sky_track *t) {
  if (t == NULL) return;
  sky_free(t->overpass);
  sky_free(t->along);
  sky_free(t->root);
  sky_free(t->order);
  sky_free(t->phi);
  sky_free(t->w);
  sky_free(t->sd);
  sky_free(t);
}

size_t sky_track_size(const sky_track *t) {
  return t->n;
}

sky_status sky_track_select(sky_context *ctx, const sky_track *t, size_t n, const size_t *index,
                            sky_track **out) {
  sky_track *part = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_GO(alloc_track(ctx, n, t->length, &part));
  for (size_t k = 0; k < n; k++) {
    part->overpass[k] = t->overpass[index[k]];
    part->along[k] = t->along[index[k]];
    part->root[k] = t->root[index[k]];
  }
  SKY_GO(sort_places(ctx, part));
  SKY_GO(factor(ctx, part));
  *out = part;
cleanup:
  if (st != SKY_OK) sky_track_free(part);
  return st;
}

int32_t sky_track_overpass(const sky_track *t, size_t i) {
  return t->overpass[i];
}

double sky_track_share(const sky_track *t, size_t i) {
  return t->root[i] * t->root[i];
}

sky_status sky_track_dilute(sky_context *ctx, sky_track *t, const double *share) {
  for (size_t i = 0; i < t->n; i++)
    t->root[i] = sqrt(share[i]);
  return factor(ctx, t);
}

/* ---- elements ------------------------------------------------------------------------------- */

sky_noise sky_problem_noise(const sky_problem *p) {
  return (sky_noise){p->n_obs, p->r_sd, p->track};
}

double sky_noise_element(const sky_noise *r, size_t i, size_t j) {
  const sky_track *t = r->track;
  if (i == j) return r->r_sd[i] * r->r_sd[i];
  if (t == NULL || t->overpass[i] != t->overpass[j]) return 0;
  return r->r_sd[i] * t->root[i] * r->r_sd[j] * t->root[j] *
         exp(-fabs(t->along[i] - t->along[j]) / t->length);
}

void sky_noise_covariance(const sky_noise *r, size_t i, double *row) {
  for (size_t j = r->track != NULL ? 0 : i; j <= i; j++)
    row[j] += sky_noise_element(r, i, j);
}

double sky_noise_row(const sky_noise *r, size_t i, const double *v) {
  if (r->track == NULL) return r->r_sd[i] * r->r_sd[i] * v[i];
  sky_acc sum = {0, 0};
  for (size_t j = 0; j < r->n; j++)
    sky_acc_add(&sum, sky_noise_element(r, i, j) * v[j]);
  return sky_acc_value(&sum);
}

double sky_noise_variance(const sky_noise *r, const double *v, size_t stride) {
  const sky_track *t = r->track;
  sky_acc sum = {0, 0};
  double before = 0; /* Σ_j φ … φ g_j e_j of those before */
  for (size_t k = 0; k < r->n; k++) {
    const size_t i = t != NULL ? t->order[k] : k;
    const double e = r->r_sd[i] * v[i * stride];
    sky_acc_add(&sum, e * e);
    if (t == NULL) continue;
    before *= t->phi[k];
    sky_acc_add(&sum, 2 * t->root[i] * e * before);
    before += t->root[i] * e;
  }
  return sky_acc_value(&sum);
}

double sky_noise_logdet(const sky_noise *r) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < r->n; i++)
    sky_acc_add(&sum, 2 * log(r->r_sd[i]) + (r->track != NULL ? 2 * log(r->track->sd[i]) : 0));
  return sky_acc_value(&sum);
}

/* ---- square roots --------------------------------------------------------------------------- */

void sky_noise_colour(const sky_noise *r, double *v) {
  const sky_track *t = r->track;
  double carried = 0;
  for (size_t k = 0; t != NULL && k < r->n; k++) { /* L √D */
    double *e = &v[t->order[k]];
    carried *= t->phi[k];
    const double own = t->sd[k] * *e;
    *e = own + t->root[t->order[k]] * carried;
    carried += t->w[k] * own;
  }
  for (size_t i = 0; i < r->n; i++)
    v[i] *= r->r_sd[i];
}

void sky_noise_colour_transposed(const sky_noise *r, double *v) {
  const sky_track *t = r->track;
  double carried = 0;
  for (size_t i = 0; i < r->n; i++)
    v[i] *= r->r_sd[i];
  for (size_t k = t != NULL ? r->n : 0; k-- > 0;) { /* √D Lᵀ */
    double *e = &v[t->order[k]];
    const double own = *e;
    *e = t->sd[k] * (own + t->w[k] * carried);
    carried = t->phi[k] * (carried + t->root[t->order[k]] * own);
  }
}

void sky_noise_whiten(const sky_noise *r, double *v) {
  const sky_track *t = r->track;
  double carried = 0;
  for (size_t i = 0; i < r->n; i++)
    v[i] *= 1 / r->r_sd[i];
  for (size_t k = 0; t != NULL && k < r->n; k++) { /* √D⁻¹ L⁻¹ */
    double *e = &v[t->order[k]];
    carried *= t->phi[k];
    const double own = *e - t->root[t->order[k]] * carried;
    *e = own / t->sd[k];
    carried += t->w[k] * own;
  }
}

void sky_noise_whiten_transposed(const sky_noise *r, double *v) {
  const sky_track *t = r->track;
  double carried = 0;
  for (size_t k = t != NULL ? r->n : 0; k-- > 0;) { /* L⁻ᵀ √D⁻¹ */
    double *e = &v[t->order[k]];
    *e = *e / t->sd[k] - t->w[k] * carried;
    carried = t->phi[k] * (carried + t->root[t->order[k]] * *e);
  }
  for (size_t i = 0; i < r->n; i++)
    v[i] *= 1 / r->r_sd[i];
}
