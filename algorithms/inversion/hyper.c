/* hyper.c: covariance parameters by (restricted) maximum likelihood (hyper.md).
 *
 *   g_i = ½ [tr(P ∂_iΨ) - uᵀ ∂_iΨ u],  F_ij = ½ tr(P ∂_iΨ P ∂_jΨ)      Michalak et al. 2005
 *   P = Ψ⁻¹, u = Ψ⁻¹d; restricted: P = Ψ⁻¹ - Ψ⁻¹G(GᵀΨ⁻¹G)⁻¹GᵀΨ⁻¹, u = P(y - B b0)
 *
 * ∂_iΨ comes from the same Gram routine as Ψ, with another E, D or x_sd. */
#include "algorithms/inversion/hyper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836
#define DECREMENT 1e-5 /* standard deviations from the optimum */
#define LONGEST 1.0    /* of a step, in any logarithm */
#define RUNAWAY 12.0   /* of a logarithm from the given value */
#define NORMAL_975 1.9599639845400545

/* ---- parameters ----------------------------------------------------------------------------- */

static bool in_group(const int32_t *label, int32_t group, size_t i) {
  return group < 0 || label[i] == group;
}

/* The common value of a group; NaN if values differ; -1 if the group is empty. */
static double common_value(const double *v, size_t n, const int32_t *label, int32_t group) {
  double common = -1;
  for (size_t i = 0; i < n; i++) {
    if (!in_group(label, group, i)) continue;
    if (common >= 0 && v[i] != common) return NAN;
    common = v[i];
  }
  return common;
}

void sky_hyper_label(const sky_hyper *h, char label[SKY_HYPER_LABEL]) {
  static const char *const names[] = {"length", "tau", "sigma_q", "sigma_r"};
  if (h->group < 0)
    snprintf(label, SKY_HYPER_LABEL, "%s", names[h->kind]);
  else
    snprintf(label, SKY_HYPER_LABEL, "%s of %s %d", names[h->kind],
             h->kind == SKY_HYPER_SIGMA_Q ? "sector" : "sensor", h->group);
}

static sky_status add_parameter(sky_context *ctx, sky_hyper_kind kind, int32_t group, double given,
                                sky_tuning *t) {
  if (t->n == SKY_HYPER_MAX)
    return sky_fail(ctx, SKY_E_SIZE, "tune: more than %d parameters", (int)SKY_HYPER_MAX);
  if (given <= 0) {
    char label[SKY_HYPER_LABEL];
    sky_hyper_label(&(sky_hyper){.kind = kind, .group = group}, label);
    return sky_fail(ctx, SKY_E_RANGE,
                    "tune: %s has no given value > 0 to start from (no members, no model, or 0)",
                    label);
  }
  t->param[t->n++] = (sky_hyper){.kind = kind,
                                 .group = group,
                                 .factor = 1,
                                 .given = given,
                                 .value = isnan(given) ? 1 : given,
                                 .log_sd = NAN,
                                 .low = NAN,
                                 .high = NAN,
                                 .gradient = NAN};
  return SKY_OK;
}

static sky_status add_groups(sky_context *ctx, sky_hyper_kind kind, const double *v, size_t n,
                             const int32_t *label, size_t n_group, sky_tuning *t) {
  if (n_group == 0) return add_parameter(ctx, kind, -1, common_value(v, n, NULL, -1), t);
  for (size_t g = 0; g < n_group; g++)
    SKY_TRY(add_parameter(ctx, kind, (int32_t)g, common_value(v, n, label, (int32_t)g), t));
  return SKY_OK;
}

sky_status sky_hyper_list(sky_context *ctx, const sky_problem *p, const sky_hyper_choice *choice,
                          sky_tuning *t) {
  memset(t, 0, sizeof *t);
  if ((choice->length || choice->time || choice->n_sector > 0) && p->q_var != NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "tune: a low-rank prior has one tunable scale, no lengths and no sectors");
  if (choice->length)
    SKY_TRY(add_parameter(ctx, SKY_HYPER_LENGTH, -1,
                          p->space.kind == SKY_CORR_NONE ? 0 : p->length_km, t));
  if (choice->time)
    SKY_TRY(add_parameter(ctx, SKY_HYPER_TIME, -1,
                          p->time.kind == SKY_CORR_NONE ? 0 : p->length_steps, t));
  if (choice->sigma_q)
    SKY_TRY(add_groups(ctx, SKY_HYPER_SIGMA_Q, p->x_sd, p->n_state, choice->sector,
                       choice->n_sector, t));
  if (choice->sigma_r)
    SKY_TRY(
        add_groups(ctx, SKY_HYPER_SIGMA_R, p->r_sd, p->n_obs, choice->sensor, choice->n_sensor, t));
  return t->n > 0 ? SKY_OK : sky_fail(ctx, SKY_E_RANGE, "tune: no parameter is chosen");
}

void sky_hyper_apply(sky_context *ctx, const sky_hyper_choice *choice, const sky_tuning *t,
                     sky_problem *p) {
  bool lengths = false;
  for (size_t k = 0; k < t->n; k++) {
    const sky_hyper *h = &t->param[k];
    if (h->kind == SKY_HYPER_LENGTH) p->length_km *= h->factor;
    if (h->kind == SKY_HYPER_TIME) p->length_steps *= h->factor;
    lengths = lengths || h->kind == SKY_HYPER_LENGTH || h->kind == SKY_HYPER_TIME;
    if (h->kind == SKY_HYPER_SIGMA_Q)
      for (size_t i = 0; i < p->n_state; i++)
        if (in_group(choice->sector, h->group, i)) p->x_sd[i] *= h->factor;
    if (h->kind == SKY_HYPER_SIGMA_R)
      for (size_t i = 0; i < p->n_obs; i++)
        if (in_group(choice->sensor, h->group, i)) p->r_sd[i] *= h->factor;
    if (h->kind == SKY_HYPER_SIGMA_Q && p->q_var != NULL) {
      for (size_t i = 0; i < p->n_state; i++)
        p->q_var[i] *= h->factor * h->factor;
      for (size_t i = 0; i < p->q_rank * p->n_state; i++)
        p->q_factor[i] *= h->factor;
    }
  }
  if (lengths) sky_problem_correlate(ctx, p);
}

/* ---- a problem that may be changed ---------------------------------------------------------- */

typedef struct bench { /* p with its own x_sd, r_sd and prior; spare arrays for the derivatives */
  sky_problem p;
  double *spare; /* [max(n_cell², n_time², n_state)] */
} bench;

static sky_status copy_array(sky_context *ctx, const double *from, size_t n, double **to) {
  *to = NULL;
  if (from == NULL) return SKY_OK;
  *to = SKY_NEW(ctx, double, n);
  if (*to == NULL) return SKY_E_NOMEM;
  memcpy(*to, from, n * sizeof *from);
  return SKY_OK;
}

static void free_bench(bench *b) {
  sky_free(b->p.x_sd);
  sky_free(b->p.r_sd);
  sky_free(b->p.E);
  sky_free(b->p.D);
  sky_free(b->p.q_var);
  sky_free(b->p.q_factor);
  sky_free(b->spare);
}

static sky_status make_bench(sky_context *ctx, const sky_problem *p, bench *b) {
  const size_t cells = p->n_cell * p->n_cell, times = p->n_time * p->n_time;
  const size_t kronecker = p->q_var != NULL ? 0 : cells > times ? cells : times;
  sky_status st = SKY_OK;
  b->p = *p;
  b->p.x_sd = b->p.r_sd = b->p.E = b->p.D = b->p.q_var = b->p.q_factor = b->spare = NULL;
  SKY_GO(copy_array(ctx, p->x_sd, p->n_state, &b->p.x_sd));
  SKY_GO(copy_array(ctx, p->r_sd, p->n_obs, &b->p.r_sd));
  SKY_GO(copy_array(ctx, p->E, cells, &b->p.E));
  SKY_GO(copy_array(ctx, p->D, times, &b->p.D));
  SKY_GO(copy_array(ctx, p->q_var, p->n_state, &b->p.q_var));
  SKY_GO(copy_array(ctx, p->q_factor, p->q_rank * p->n_state, &b->p.q_factor));
  SKY_GO_ALLOC(b->spare, SKY_NEW(ctx, double, kronecker > p->n_state ? kronecker : p->n_state));
cleanup:
  return st; /* what is there is freed by free_bench */
}

/* ---- derivatives of Ψ ----------------------------------------------------------------------- */

/* ∂/∂log σ_s of H S C S Hᵀ with S = diag(σ_s(i) …): with G_s, G_c of the sector and of the rest
 * alone, G + G_s - G_c (the mixed parts count once, the sector's twice). */
static sky_status slope_sector(sky_context *ctx, const bench *b, const sky_hyper_choice *choice,
                               int32_t group, double *other, double *dpsi) {
  const size_t n2 = b->p.n_obs * b->p.n_obs;
  sky_problem part = b->p;
  SKY_TRY(sky_problem_gram(ctx, &b->p, dpsi));
  if (group < 0) {
    for (size_t i = 0; i < n2; i++)
      dpsi[i] *= 2;
    return SKY_OK;
  }
  part.x_sd = b->spare;
  for (int inside = 1; inside >= 0; inside--) {
    for (size_t i = 0; i < b->p.n_state; i++)
      part.x_sd[i] = (choice->sector[i] == group) == (inside != 0) ? b->p.x_sd[i] : 0;
    SKY_TRY(sky_problem_gram(ctx, &part, other));
    for (size_t i = 0; i < n2; i++)
      dpsi[i] += inside ? other[i] : -other[i];
  }
  return SKY_OK;
}

static sky_status slope(sky_context *ctx, const bench *b, const sky_hyper_choice *choice,
                        const sky_hyper *h, double *other, double *dpsi) {
  const size_t n = b->p.n_obs;
  sky_problem part = b->p;
  switch (h->kind) {
    case SKY_HYPER_LENGTH:
      sky_problem_correlate_space_slope(ctx, &b->p, b->spare);
      part.E = b->spare;
      return sky_problem_gram(ctx, &part, dpsi);
    case SKY_HYPER_TIME:
      sky_problem_correlate_time_slope(ctx, &b->p, b->spare);
      part.D = b->spare;
      return sky_problem_gram(ctx, &part, dpsi);
    case SKY_HYPER_SIGMA_Q:
      return slope_sector(ctx, b, choice, h->group, other, dpsi);
    case SKY_HYPER_SIGMA_R:
      break;
  }
  memset(dpsi, 0, n * n * sizeof *dpsi);
  const sky_noise noise = sky_problem_noise(&b->p);
  for (size_t i = 0; i < n; i++) { /* (1_i + 1_j) R_ij */
    sky_noise_covariance(&noise, i, dpsi + i * n);
    for (size_t j = 0; j <= i; j++) {
      dpsi[i * n + j] *=
          in_group(choice->sensor, h->group, i) + in_group(choice->sensor, h->group, j);
      dpsi[j * n + i] = dpsi[i * n + j];
    }
  }
  return SKY_OK;
}

/* ---- likelihood ----------------------------------------------------------------------------- */

/* P over Ψ⁻¹ and u over w, and the likelihood's further terms. */
static sky_status restrict_to_contrasts(sky_context *ctx, const sky_problem *p,
                                        const sky_drift *drift, sky_dual *d, double *nll) {
  const size_t n = d->n, q = drift->n, m = p->n_state;
  double *G = NULL, *SG = NULL, *C = NULL, *beta = NULL, *v = NULL, *ones = NULL;
  double logdet;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(G, SKY_NEW(ctx, double, q *n));
  SKY_GO_ALLOC(SG, SKY_NEW(ctx, double, q *n));
  SKY_GO_ALLOC(C, SKY_NEW(ctx, double, q *q));
  SKY_GO_ALLOC(beta, SKY_NEW(ctx, double, q));
  SKY_GO_ALLOC(v, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(ones, SKY_NEW(ctx, double, m));
  for (size_t i = 0; i < m; i++)
    ones[i] = 1;
  for (size_t j = 0; j < q; j++)
    sky_problem_observe(ctx, p, drift->X != NULL ? drift->X + j * m : ones, NULL, G + j * n);
  sky_problem_observe(ctx, p, p->x0, NULL, v);
  for (size_t i = 0; i < n; i++)
    v[i] += d->d[i];
  SKY_GO(sky_drift_fit(ctx, d, q, G, v, SG, C, beta, &logdet));
  for (size_t j = 0; j < q; j++)
    for (size_t k = 0; k < q; k++)
      for (size_t a = 0; a < n; a++) {
        const double f = C[j * q + k] * SG[j * n + a];
        for (size_t b = 0; b < n; b++)
          d->inverse[a * n + b] -= f * SG[k * n + b];
      }
  for (size_t i = 0; i < n; i++)
    d->w[i] = sky_dot(d->inverse + i * n, v, n);
  *nll = 0.5 *
         (sky_dot(v, d->w, n) + sky_cholesky_logdet(n, d->L) + logdet + (double)(n - q) * LOG_2PI);
cleanup:
  sky_free(G);
  sky_free(SG);
  sky_free(C);
  sky_free(beta);
  sky_free(v);
  sky_free(ones);
  return st;
}

/* Σ_ab M_ab N_ba */
static double trace_product(sky_context *ctx, size_t n, const double *M, const double *N,
                            double *rows) {
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t a = 0; a < n; a++) {
    sky_acc sum = {0, 0};
    for (size_t b = 0; b < n; b++)
      sky_acc_add(&sum, M[a * n + b] * N[b * n + a]);
    rows[a] = sky_acc_value(&sum);
  }
  return sky_sum(rows, n);
}

/* Gradient and Fisher information; M: [n_param] matrices P ∂Ψ, held together. */
static sky_status derivatives(sky_context *ctx, const bench *b, const sky_hyper_choice *choice,
                              const sky_tuning *list, const sky_dual *d, double *gradient,
                              double *fisher) {
  const size_t n = d->n, k = list->n;
  double *M = NULL, *dpsi = NULL, *other = NULL, *rows = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(M, SKY_NEW(ctx, double, k *n *n));
  SKY_GO_ALLOC(dpsi, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(other, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(rows, SKY_NEW(ctx, double, n));
  for (size_t i = 0; i < k; i++) {
    double *Mi = M + i * n * n;
    SKY_GO(slope(ctx, b, choice, &list->param[i], other, dpsi));
    sky_product(ctx, n, n, n, d->inverse, dpsi, Mi);
    sky_acc trace = {0, 0}, quadratic = {0, 0};
    for (size_t a = 0; a < n; a++) {
      sky_acc_add(&trace, Mi[a * n + a]);
      sky_acc_add(&quadratic, d->w[a] * sky_dot(dpsi + a * n, d->w, n));
    }
    gradient[i] = 0.5 * (sky_acc_value(&trace) - sky_acc_value(&quadratic));
    for (size_t j = 0; j <= i && fisher != NULL; j++)
      fisher[i * k + j] = fisher[j * k + i] = 0.5 * trace_product(ctx, n, Mi, M + j * n * n, rows);
  }
cleanup:
  sky_free(M);
  sky_free(dpsi);
  sky_free(other);
  sky_free(rows);
  return st;
}

sky_status sky_hyper_evaluate(sky_context *ctx, const sky_problem *p,
                              const sky_hyper_choice *choice, const double *theta, double *nll,
                              double *gradient, double *fisher) {
  bench b = {0};
  sky_dual d = {0};
  sky_tuning *list = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(list, SKY_NEW(ctx, sky_tuning, 1));
  SKY_GO(sky_hyper_list(ctx, p, choice, list));
  for (size_t k = 0; k < list->n; k++)
    list->param[k].factor = exp(theta[k]);
  SKY_GO(make_bench(ctx, p, &b));
  sky_hyper_apply(ctx, choice, list, &b.p);
  SKY_GO(sky_dual_room(ctx, p, "the tuning", gradient != NULL ? list->n + SKY_HYPER_SQUARES : 0));
  SKY_GO(sky_dual_make(ctx, &b.p, &d));
  if (choice->drift != NULL)
    SKY_GO(restrict_to_contrasts(ctx, &b.p, choice->drift, &d, nll));
  else
    *nll = sky_dual_evidence(&d);
  if (gradient != NULL) SKY_GO(derivatives(ctx, &b, choice, list, &d, gradient, fisher));
cleanup:
  free_bench(&b);
  sky_dual_free(&d);
  sky_free(list);
  return st;
}

/* ---- search --------------------------------------------------------------------------------- */

typedef struct search {
  size_t n;
  double theta[SKY_HYPER_MAX], g[SKY_HYPER_MAX], step[SKY_HYPER_MAX];
  double F[SKY_HYPER_MAX * SKY_HYPER_MAX], L[SKY_HYPER_MAX * SKY_HYPER_MAX];
  double damping;
} search;

/* step = -(F + damping diag F)⁻¹ g, no logarithm moving further than LONGEST. */
static sky_status find_step(sky_context *ctx, search *s, double damping) {
  const size_t n = s->n;
  memcpy(s->L, s->F, n * n * sizeof *s->L);
  for (size_t i = 0; i < n; i++) {
    s->L[i * n + i] *= 1 + damping;
    s->step[i] = -s->g[i];
  }
  const sky_status st = sky_cholesky(ctx, n, s->L);
  if (st != SKY_OK)
    return sky_fail_in(ctx, st, "tune: the data do not tell a parameter (Fisher information): ");
  sky_cholesky_forward(ctx, n, s->L, 1, s->step);
  sky_cholesky_backward(ctx, n, s->L, 1, s->step);
  double longest = 0;
  for (size_t i = 0; i < n; i++)
    longest = fmax(longest, fabs(s->step[i]));
  for (size_t i = 0; i < n && longest > LONGEST; i++)
    s->step[i] *= LONGEST / longest;
  return SKY_OK;
}

/* Tries steps of rising damping until one lowers the likelihood's negative logarithm. */
static sky_status take_step(sky_context *ctx, const sky_problem *p, const sky_hyper_choice *choice,
                            search *s, sky_tuning *t, bool *moved) {
  double trial[SKY_HYPER_MAX], nll;
  char label[SKY_HYPER_LABEL];
  *moved = false;
  for (int attempt = 0; attempt < 20 && !*moved; attempt++) {
    SKY_TRY(find_step(ctx, s, s->damping));
    for (size_t i = 0; i < s->n; i++) {
      trial[i] = s->theta[i] + s->step[i];
      if (fabs(trial[i]) > RUNAWAY) {
        sky_hyper_label(&t->param[i], label);
        return sky_fail(ctx, SKY_E_RANGE,
                        "tune: %s ran to %g times its given value: the data do not hold it", label,
                        exp(trial[i]));
      }
    }
    SKY_TRY(sky_hyper_evaluate(ctx, p, choice, trial, &nll, NULL, NULL));
    t->evaluations++;
    *moved = nll < t->nll;
    s->damping = *moved ? s->damping / 10 : fmax(10 * s->damping, 1e-3);
    if (s->damping < 1e-6) s->damping = 0;
  }
  if (*moved) {
    memcpy(s->theta, trial, s->n * sizeof *trial);
    t->nll = nll;
  }
  return SKY_OK;
}

static sky_status finish(sky_context *ctx, search *s, sky_tuning *t) {
  const size_t n = s->n;
  double rows[SKY_HYPER_MAX * SKY_HYPER_MAX] = {0};
  SKY_TRY(find_step(ctx, s, 0)); /* leaves the factor of F in L */
  for (size_t i = 0; i < n; i++)
    rows[i * n + i] = 1;
  sky_cholesky_forward_rows(ctx, n, s->L, n, rows);
  sky_gram(ctx, n, n, rows, rows, t->cov);
  for (size_t i = 0; i < n; i++) {
    sky_hyper *h = &t->param[i];
    h->factor = exp(s->theta[i]);
    h->value = isnan(h->given) ? h->factor : h->given * h->factor;
    h->log_sd = sqrt(t->cov[i * n + i]);
    h->low = h->value * exp(-NORMAL_975 * h->log_sd);
    h->high = h->value * exp(NORMAL_975 * h->log_sd);
    h->gradient = s->g[i];
  }
  return SKY_OK;
}

static sky_status run_search(sky_context *ctx, const sky_problem *p, const sky_hyper_choice *choice,
                             search *s, sky_tuning *t) {
  const size_t most = choice->max_iterations > 0 ? choice->max_iterations : 100;
  bool moved = true;
  s->n = t->n;
  for (t->iterations = 0;; t->iterations++) {
    SKY_TRY(sky_hyper_evaluate(ctx, p, choice, s->theta, &t->nll, s->g, s->F));
    t->evaluations++;
    if (t->iterations == 0) t->nll_given = t->nll;
    SKY_TRY(find_step(ctx, s, 0));
    sky_acc decrement = {0, 0};
    for (size_t i = 0; i < s->n; i++)
      sky_acc_add(&decrement, -s->g[i] * s->step[i]);
    t->decrement = sqrt(fmax(sky_acc_value(&decrement), 0));
    if (t->decrement < DECREMENT) return finish(ctx, s, t);
    if (!moved || t->iterations == most)
      return sky_fail(ctx, SKY_E_RANGE,
                      "tune: not converged after %zu iterations: %g standard deviations from the "
                      "optimum (expected < %g)",
                      t->iterations, t->decrement, DECREMENT);
    SKY_TRY(take_step(ctx, p, choice, s, t, &moved));
  }
}

sky_status sky_hyper_tune(sky_context *ctx, const sky_problem *p, const sky_hyper_choice *choice,
                          sky_tuning *out) {
  SKY_TRY(sky_problem_check_elements(ctx, p));
  SKY_TRY(sky_hyper_list(ctx, p, choice, out));
  search *s = SKY_NEW0(ctx, search, 1);
  if (s == NULL) return SKY_E_NOMEM;
  const sky_status st = run_search(ctx, p, choice, s, out);
  sky_free(s);
  return st;
}
