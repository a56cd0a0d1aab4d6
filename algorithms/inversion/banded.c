/* banded.c: see banded.h and compact.md.
 *
 * Ψ = K + U Uᵀ with the band K = H Q Hᵀ + R and U = B diag(b_sd). With C = I + Uᵀ K⁻¹ U = L Lᵀ and
 * F = L⁻¹ Uᵀ K⁻¹: Ψ⁻¹ = K⁻¹ - Fᵀ F, |Ψ| = |K| |C|. Nothing is divided by b_sd. */
#include "algorithms/inversion/banded.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/band.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/compact.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/offsets.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

struct sky_banded {
  const sky_problem *p;
  size_t n, nb;
  sky_noise noise;
  sky_compact *compact;
  const size_t *order; /* [n] observation at a place */
  size_t *first;       /* [n] by place; also as far as errors along a track reach */
  sky_band band;
  double *F;    /* [nb*n] */
  double *L;    /* [nb*nb] */
  double *byob; /* [n*nb] Fᵀ by place, while DOFS are summed up */
};

/* ---- K -------------------------------------------------------------------------------------- */

/* Errors along a track join observations that the prior does not. */
static void reach_back(const sky_banded *b) {
  memcpy(b->first, sky_compact_first(b->compact), b->n * sizeof *b->first);
  if (b->noise.track == NULL) return;
  for (size_t i = 0; i < b->n; i++)
    for (size_t j = 0; j < b->first[i]; j++)
      if (sky_noise_element(&b->noise, b->order[i], b->order[j]) != 0) b->first[i] = j;
}

static void fill_row(void *user, size_t at, const double *element) {
  const sky_banded *b = user;
  const size_t own = sky_compact_first(b->compact)[at];
  for (size_t j = own; j <= at; j++)
    *sky_band_element(&b->band, at, j) = element[j - own];
  for (size_t j = b->noise.track != NULL ? b->first[at] : at; j <= at; j++)
    *sky_band_element(&b->band, at, j) += sky_noise_element(&b->noise, b->order[at], b->order[j]);
}

static sky_status open_order(sky_context *ctx, const sky_problem *p, sky_banded **out) {
  sky_banded *b = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_GO_ALLOC(b, SKY_NEW0(ctx, sky_banded, 1));
  b->p = p;
  b->n = p->n_obs;
  b->nb = p->n_background;
  b->noise = sky_problem_noise(p);
  st = sky_compact_create(ctx, p, false, &b->compact);
  if (st != SKY_OK) SKY_GO(sky_fail_in(ctx, st, "banded solution: "));
  b->order = sky_compact_order(b->compact);
  SKY_GO_ALLOC(b->first, SKY_NEW(ctx, size_t, b->n));
  reach_back(b);
  *out = b;
cleanup:
  if (st != SKY_OK) sky_banded_free(b);
  return st;
}

/* Bytes beside those of the band. */
static double bytes_beside(const sky_context *ctx, const sky_banded *b) {
  const double n = (double)b->n, nb = (double)b->nb;
  return sky_compact_bytes(ctx, b->compact) + 8 * (3 * n + 2 * nb * n + 2 * nb * nb);
}

/* ---- offsets -------------------------------------------------------------------------------- */

static sky_status solve_band(sky_context *ctx, const sky_banded *b, size_t count, double *v) {
  double *X = SKY_NEW(ctx, double, b->n *count);
  if (X == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < b->n; k++)
    for (size_t q = 0; q < count; q++)
      X[k * count + q] = v[q * b->n + b->order[k]];
  sky_band_solve(&b->band, count, X);
  for (size_t k = 0; k < b->n; k++)
    for (size_t q = 0; q < count; q++)
      v[q * b->n + b->order[k]] = X[k * count + q];
  sky_free(X);
  return SKY_OK;
}

static sky_status add_offsets(sky_context *ctx, sky_banded *b) {
  const sky_problem *p = b->p;
  const size_t n = b->n, nb = b->nb;
  double *U = NULL;
  sky_status st = SKY_OK;
  if (nb == 0) return SKY_OK;
  SKY_GO_ALLOC(b->F, SKY_NEW(ctx, double, nb *n));
  SKY_GO_ALLOC(b->L, SKY_NEW(ctx, double, nb *nb));
  SKY_GO_ALLOC(U, SKY_NEW(ctx, double, nb *n));
  sky_offsets_columns(p, U);
  for (size_t g = 0; g < nb; g++)
    cblas_dscal((int)n, p->b_sd[g], U + g * n, 1);
  memcpy(b->F, U, nb * n * sizeof *U);
  SKY_GO(solve_band(ctx, b, nb, b->F));
  sky_gram(ctx, nb, n, U, b->F, b->L);
  for (size_t g = 0; g < nb; g++)
    b->L[g * nb + g] += 1;
  SKY_GO(sky_cholesky(ctx, nb, b->L));
  sky_cholesky_forward(ctx, nb, b->L, n, b->F);
cleanup:
  sky_free(U);
  return st;
}

/* ---- the whole ------------------------------------------------------------------------------ */

sky_status sky_banded_create(sky_context *ctx, const sky_problem *p, double held,
                             sky_banded **out) {
  sky_banded *b = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_GO(open_order(ctx, p, &b));
  SKY_GO(sky_band_create(ctx, b->n, b->first, held + bytes_beside(ctx, b), &b->band));
  SKY_GO(sky_compact_rows(ctx, b->compact, 0, b->n, fill_row, b));
  st = sky_band_cholesky(ctx, &b->band);
  if (st != SKY_OK) SKY_GO(sky_fail_in(ctx, st, "observation-space covariance: "));
  SKY_GO(add_offsets(ctx, b));
  *out = b;
cleanup:
  if (st != SKY_OK) sky_banded_free(b);
  return st;
}

void sky_banded_free(sky_banded *b) {
  if (b == NULL) return;
  sky_compact_free(b->compact);
  sky_free(b->first);
  sky_band_free(&b->band);
  sky_free(b->F);
  sky_free(b->L);
  sky_free(b->byob);
  sky_free(b);
}

sky_status sky_banded_plan(sky_context *ctx, const sky_problem *p, double *bytes, double *work) {
  sky_banded *b = NULL;
  SKY_TRY(open_order(ctx, p, &b));
  *bytes = sky_band_bytes(b->n, b->first) + bytes_beside(ctx, b);
  *work = 0;
  for (size_t i = 0; i < b->n; i++)
    *work += (double)(i - b->first[i]) * (double)(i - b->first[i]);
  sky_banded_free(b);
  return SKY_OK;
}

sky_status sky_banded_solve(sky_context *ctx, const sky_banded *b, size_t count, double *v) {
  const size_t n = b->n, nb = b->nb;
  double *t = SKY_NEW(ctx, double, count *nb);
  if (t == NULL) return SKY_E_NOMEM;
  for (size_t q = 0; q < count; q++)
    for (size_t g = 0; g < nb; g++)
      t[q * nb + g] = sky_dot(b->F + g * n, v + q * n, n);
  const sky_status st = solve_band(ctx, b, count, v);
  for (size_t q = 0; q < count; q++)
    for (size_t g = 0; g < nb; g++)
      cblas_daxpy((int)n, -t[q * nb + g], b->F + g * n, 1, v + q * n, 1);
  sky_free(t);
  return st;
}

double sky_banded_logdet(const sky_banded *b) {
  return sky_band_logdet(&b->band) + (b->nb > 0 ? sky_cholesky_logdet(b->nb, b->L) : 0);
}

double sky_banded_share(const sky_banded *b) {
  const double t = SKY_BAND_TILE, n = (double)b->n;
  return fmin(1, (double)b->band.start[b->band.tiles] * t * t / (0.5 * n * n));
}

/* ---- degrees of freedom --------------------------------------------------------------------- */

/* tr(R Ψ⁻¹); all of R lies in the band. */
static double noise_trace(const sky_banded *b) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < b->n; i++) {
    sky_acc_add(&sum, sky_noise_element(&b->noise, b->order[i], b->order[i]) *
                          *sky_band_element(&b->band, i, i));
    for (size_t j = b->noise.track != NULL ? b->first[i] : i; j < i; j++)
      sky_acc_add(&sum, 2 * sky_noise_element(&b->noise, b->order[i], b->order[j]) *
                            *sky_band_element(&b->band, i, j));
  }
  for (size_t g = 0; g < b->nb; g++)
    sky_acc_add(&sum, -sky_noise_variance(&b->noise, b->F + g * b->n, 1));
  return sky_acc_value(&sum);
}

/* Posterior variance of b: diag(b_sd C⁻¹ b_sd); returns tr(I - C⁻¹). */
static sky_status offset_variance(sky_context *ctx, const sky_banded *b, double *var,
                                  double *dofs) {
  const size_t nb = b->nb;
  *dofs = 0;
  if (nb == 0) return SKY_OK;
  double *X = SKY_NEW0(ctx, double, nb *nb);
  if (X == NULL) return SKY_E_NOMEM;
  for (size_t g = 0; g < nb; g++)
    X[g * nb + g] = 1;
  sky_cholesky_forward(ctx, nb, b->L, nb, X);
  for (size_t g = 0; g < nb; g++) {
    double rest = 0;
    for (size_t k = g; k < nb; k++)
      rest += X[k * nb + g] * X[k * nb + g];
    *dofs += 1 - rest;
    var[g] = b->p->b_sd[g] * b->p->b_sd[g] * rest;
  }
  sky_free(X);
  return SKY_OK;
}

/* Element of Ψ⁻¹ for two places that the prior joins. */
static double inverse_element(const void *user, size_t at, size_t j) {
  const sky_banded *b = user;
  const double value = *sky_band_element(&b->band, at > j ? at : j, at > j ? j : at);
  double offsets = 0;
  for (size_t g = 0; g < b->nb; g++)
    offsets += b->byob[at * b->nb + g] * b->byob[j * b->nb + g];
  return value - offsets;
}

sky_status sky_banded_inform(sky_context *ctx, sky_banded *b, const sky_functionals *zones,
                             sky_banded_dofs *out) {
  SKY_TRY(sky_band_inverse(ctx, &b->band));
  SKY_TRY(offset_variance(ctx, b, out->b_var, &out->offsets));
  out->state = (double)b->n - noise_trace(b) - out->offsets;
  b->byob = SKY_NEW(ctx, double, b->n * b->nb);
  if (b->byob == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < b->n; k++)
    for (size_t g = 0; g < b->nb; g++)
      b->byob[k * b->nb + g] = b->F[g * b->n + b->order[k]];
  return sky_compact_inside(ctx, b->compact, zones, inverse_element, b, out->zone);
}
