/* obs_operator.c: see obs_operator.h. */
#include "algorithms/inversion/obs_operator.h"

#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"

#define BATCH_ELEMENTS 8e6 /* of one array of state vectors */
#define MOST_VECTORS 32

static size_t batch_of(const sky_problem *p) {
  const double fit = BATCH_ELEMENTS / (double)p->n_state;
  return fit < 2 ? 2 : fit > MOST_VECTORS ? MOST_VECTORS : (size_t)fit;
}

sky_status sky_obs_operator_open(sky_context *ctx, const sky_problem *p, bool float32,
                                 sky_obs_operator *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_problem_check(ctx, p));
  for (size_t i = 0; i < p->n_obs; i++)
    if (!(p->r_sd[i] > 0))
      return sky_fail(
          ctx, SKY_E_RANGE,
          "problem: r_sd[%zu] = %g (expected a number > 0: the iterative method divides "
          "by it)",
          i, p->r_sd[i]);
  out->ctx = ctx;
  out->p = p;
  out->q = sky_problem_covariance(p);
  out->r = sky_problem_noise(p);
  out->batch = batch_of(p);
  sky_blas_single();
  SKY_GO(sky_sparse_create(ctx, p->n_obs, p->n_state, p->rowptr, p->col, p->val, float32, &out->H));
  SKY_GO_ALLOC(out->y, SKY_NEW(ctx, double, out->batch * p->n_obs));
  SKY_GO_ALLOC(out->t, SKY_NEW(ctx, double, out->batch * p->n_obs));
  SKY_GO_ALLOC(out->u, SKY_NEW(ctx, double, out->batch * p->n_state));
  SKY_GO_ALLOC(out->qu, SKY_NEW(ctx, double, out->batch * p->n_state));
  SKY_GO_ALLOC(out->work,
               SKY_NEW(ctx, double, sky_problem_is_kronecker(p) ? out->batch * p->n_state : 0));
  SKY_GO_ALLOC(out->sums, SKY_NEW(ctx, double, p->n_background));
cleanup:
  if (st != SKY_OK) sky_obs_operator_close(out);
  return st;
}

void sky_obs_operator_close(sky_obs_operator *op) {
  if (op == NULL) return;
  sky_sparse_free(&op->H);
  sky_free(op->y);
  sky_free(op->t);
  sky_free(op->u);
  sky_free(op->qu);
  sky_free(op->work);
  sky_free(op->sums);
  memset(op, 0, sizeof *op);
}

double sky_obs_operator_bytes(const sky_problem *p, bool float32) {
  const double vectors = (double)batch_of(p);
  return sky_sparse_bytes(p->n_state, p->rowptr[p->n_obs], float32) +
         8 * (2 * vectors * (double)p->n_obs +
              (sky_problem_is_kronecker(p) ? 3 : 2) * vectors * (double)p->n_state);
}

void sky_obs_operator_lift(sky_obs_operator *op, const double *v, size_t count) {
  const size_t n = op->p->n_obs;
  if (op->near != NULL) {
    memcpy(op->t, v, count * n * sizeof *v);
    sky_nearby_transpose_apply(op->ctx, op->near, op->t, count, op->y);
  } else {
    memcpy(op->y, v, count * n * sizeof *v);
    for (size_t k = 0; k < count; k++)
      sky_noise_whiten_transposed(&op->r, op->y + k * n);
  }
  sky_sparse_transpose_apply(op->ctx, &op->H, op->y, count, op->u);
  sky_covariance_apply(op->ctx, &op->q, op->u, count, op->work, op->qu);
}

void sky_obs_operator_observe(const sky_obs_operator *op, const double *x, size_t count,
                              double *out) {
  const size_t n = op->p->n_obs;
  sky_sparse_apply(op->ctx, &op->H, x, count, out);
  for (size_t k = 0; k < count; k++)
    sky_noise_whiten(&op->r, out + k * n);
}

void sky_obs_operator_groups(const sky_obs_operator *op, const double *v, double *sums) {
  const sky_problem *p = op->p;
  if (p->n_background == 0) return;
  memcpy(op->y, v, p->n_obs * sizeof *v);
  sky_noise_whiten_transposed(&op->r, op->y);
  sky_offsets_sums(p, op->y, 1, sums);
}

/* out += B Σ_b Bᵀ y */
static void add_offsets(sky_obs_operator *op, const double *y, double *out) {
  const sky_problem *p = op->p;
  if (p->n_background == 0) return;
  sky_offsets_sums(p, y, 1, op->sums);
  for (size_t g = 0; g < p->n_background; g++)
    op->sums[g] *= p->b_sd[g] * p->b_sd[g];
  for (size_t i = 0; i < p->n_obs; i++) {
    sky_acc offset = {0, 0};
    sky_offsets_add(p, i, op->sums, &offset);
    out[i] += sky_acc_value(&offset);
  }
}

/* out = R^-½ out + v */
static void finish_white(const sky_obs_operator *op, const double *v, double *out) {
  sky_noise_whiten(&op->r, out);
  for (size_t i = 0; i < op->p->n_obs; i++)
    out[i] += v[i];
}

/* out = G (out + R y) of all vectors; y is overwritten. */
static void finish_near(sky_obs_operator *op, size_t count, double *out) {
  const size_t n = op->p->n_obs;
  for (size_t k = 0; k < count; k++) {
    sky_noise_colour_transposed(&op->r, op->y + k * n);
    sky_noise_colour(&op->r, op->y + k * n);
  }
  for (size_t i = 0; i < count * n; i++)
    op->t[i] = out[i] + op->y[i];
  sky_nearby_apply(op->ctx, op->near, op->t, count, out);
}

void sky_obs_operator_apply(sky_obs_operator *op, const double *v, size_t count, double *out) {
  const size_t n = op->p->n_obs;
  for (size_t first = 0; first < count; first += op->batch) {
    const size_t width = count - first < op->batch ? count - first : op->batch;
    sky_obs_operator_lift(op, v + first * n, width);
    sky_sparse_apply(op->ctx, &op->H, op->qu, width, out + first * n);
    for (size_t k = 0; k < width; k++)
      add_offsets(op, op->y + k * n, out + (first + k) * n);
    if (op->near != NULL)
      finish_near(op, width, out + first * n);
    else
      for (size_t k = first; k < first + width; k++)
        finish_white(op, v + k * n, out + k * n);
  }
}

void sky_obs_operator_noise(const sky_obs_operator *op, const double *v, double *out) {
  const size_t n = op->p->n_obs;
  memcpy(out, v, n * sizeof *v);
  if (op->near == NULL) return;
  sky_nearby_transpose_apply(op->ctx, op->near, out, 1, op->t);
  sky_noise_colour_transposed(&op->r, op->t);
  sky_noise_colour(&op->r, op->t);
  sky_nearby_apply(op->ctx, op->near, op->t, 1, out);
}

sky_status sky_obs_operator_noise_trace(const sky_obs_operator *op, double *trace) {
  *trace = (double)op->p->n_obs;
  return op->near != NULL ? sky_nearby_noise(op->ctx, op->near, trace) : SKY_OK;
}

double sky_obs_operator_logdet(const sky_obs_operator *op) {
  return op->near != NULL ? sky_nearby_logdet(op->near) : -sky_noise_logdet(&op->r);
}
