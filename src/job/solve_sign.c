/* solve_sign.c: see solve_sign.h. */
#include "src/job/solve_sign.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

enum { LEAST_WARMUP = 200 };

size_t sky_signed_warmup(size_t draws) {
  return draws / 2 > LEAST_WARMUP ? draws / 2 : LEAST_WARMUP;
}

const double *sky_signed_mode(const sky_signed *s) {
  return s->lognormal ? s->mode.mode : s->bounded.x;
}

const double *sky_signed_offsets(const sky_signed *s) {
  return s->lognormal ? s->mode.b : s->bounded.b;
}

const char *sky_signed_mode_name(const sky_signed *s) {
  return s->lognormal ? "MAP-median" : "MAP";
}

void sky_signed_free(sky_signed *s) {
  if (s == NULL) return;
  sky_bounded_free(&s->bounded);
  sky_lognormal_free(&s->mode);
  sky_sampled_free(&s->sampled);
  memset(s, 0, sizeof *s);
}

static sky_status check_mode(sky_context *ctx, const sky_problem *p, const sky_signed *s) {
  SKY_TRY(sky_answer_finite(ctx, "Jb", s->lognormal ? s->mode.jb : s->bounded.jb));
  SKY_TRY(sky_answer_finite(ctx, "Jo", s->lognormal ? s->mode.jo : s->bounded.jo));
  return sky_answer_finite(ctx, "the total of the mode", sky_sum(sky_signed_mode(s), p->n_state));
}

static sky_status nonnegative(sky_context *ctx, const sky_sampling *how, const sky_problem *p,
                              size_t n_zone, const double *W, sky_signed *out) {
  double *lower = NULL, *upper = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(lower, SKY_NEW0(ctx, double, p->n_state));
  SKY_GO_ALLOC(upper, SKY_NEW(ctx, double, p->n_state));
  for (size_t i = 0; i < p->n_state; i++)
    upper[i] = INFINITY;
  SKY_GO(sky_bounded_solve(ctx, p, lower, upper, &out->bounded));
  SKY_GO(check_mode(ctx, p, out)); /* before chains start from it */
  if (out->drawn) SKY_GO(sky_truncated_sample(ctx, p, lower, upper, W, n_zone, how, &out->sampled));
cleanup:
  sky_free(lower);
  sky_free(upper);
  return st;
}

/* ---- log-normal ----------------------------------------------------------------------------- */

/* ln 0 does not exist, so an element that is 0 for sure becomes 1 for sure and is seen by nobody.
 */
typedef struct moved {
  sky_problem p; /* val and x0 are its own */
  double *W;
} moved;

static bool is_fixed(const sky_problem *p, size_t i) {
  return p->x0[i] == 0 && p->x_sd[i] == 0;
}

static sky_status move_zeros(sky_context *ctx, const sky_problem *p, size_t n_zone, const double *W,
                             moved *out) {
  const size_t m = p->n_state, nnz = p->rowptr[p->n_obs];
  sky_status st = SKY_OK;
  double *val = NULL, *x0 = NULL;
  SKY_GO_ALLOC(val, SKY_NEW(ctx, double, nnz));
  SKY_GO_ALLOC(x0, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(out->W, SKY_NEW(ctx, double, n_zone *m));
  for (size_t k = 0; k < nnz; k++)
    val[k] = is_fixed(p, (size_t)p->col[k]) ? 0 : p->val[k];
  for (size_t i = 0; i < m; i++)
    x0[i] = is_fixed(p, i) ? 1 : p->x0[i];
  for (size_t k = 0; k < n_zone * m; k++)
    out->W[k] = is_fixed(p, k % m) ? 0 : W[k];
  out->p = *p;
  out->p.val = val;
  out->p.x0 = x0;
  return SKY_OK;
cleanup:
  sky_free(val);
  sky_free(x0);
  return st;
}

static void restore_zeros(const sky_problem *p, sky_signed *out) {
  double *const fields[] = {out->mode.mode, out->sampled.mode, out->sampled.mean};
  for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
    for (size_t i = 0; fields[k] != NULL && i < p->n_state; i++)
      if (is_fixed(p, i)) fields[k][i] = 0;
}

static sky_status lognormal(sky_context *ctx, const sky_sampling *how, const sky_problem *p,
                            size_t n_zone, const double *W, sky_signed *out) {
  moved without = {0};
  sky_status st = SKY_OK;
  for (size_t i = 0; i < p->n_state; i++)
    out->n_fixed += is_fixed(p, i);
  if (out->n_fixed > 0) SKY_GO(move_zeros(ctx, p, n_zone, W, &without));
  const sky_problem *q = out->n_fixed > 0 ? &without.p : p;
  const double *rows = out->n_fixed > 0 ? without.W : W;
  if (out->drawn)
    SKY_GO(sky_lognormal_sample(ctx, q, rows, n_zone, how, &out->mode, &out->sampled));
  else
    SKY_GO(sky_lognormal_solve(ctx, q, &out->mode));
  restore_zeros(p, out);
  SKY_GO(check_mode(ctx, p, out));
cleanup:
  if (out->n_fixed > 0) {
    sky_free(without.p.val);
    sky_free(without.p.x0);
  }
  sky_free(without.W);
  return st;
}

sky_status sky_solve_signed(sky_context *ctx, bool log_normal, const sky_sampling *how,
                            const sky_problem *p, size_t n_zone, const double *W, sky_signed *out) {
  memset(out, 0, sizeof *out);
  out->lognormal = log_normal;
  out->drawn = how->n_draw > 0;
  sky_progress_begin(ctx, "inversion",
                     out->drawn ? how->n_chain * (how->n_draw + how->n_warmup) : 1);
  sky_status st = log_normal ? lognormal(ctx, how, p, n_zone, W, out)
                             : nonnegative(ctx, how, p, n_zone, W, out);
  sky_progress_end(ctx);
  if (st == SKY_OK && out->drawn)
    st = sky_answer_finite(ctx, "the mean of the total", out->sampled.summary[0].mean);
  if (st != SKY_OK) sky_signed_free(out);
  return st;
}
