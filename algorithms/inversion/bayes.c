/* bayes.c: exact linear Gaussian inversion in observation space (bayes.md).
 *
 *   Ψ = H Q Hᵀ + B Σ_b Bᵀ + R,  Ψ w = d = y - H x0 - B b0                     Rodgers 2000, ch. 4
 *   x̂ = x0 + Q Hᵀ w,  b̂ = b0 + Σ_b Bᵀ w,  P = Q - Q Hᵀ Ψ⁻¹ H Q,  A = Q Hᵀ Ψ⁻¹ H
 *
 * H Q is never held whole (rows.h); Ψ, its factor and what is needed of its inverse share one
 * profile (gram.h), in which observations stand by place, sorted by time. Units are free but
 * consistent. No constant is added to any diagonal, so results do not depend on the units. */
#include "algorithms/inversion/bayes.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "algorithms/inversion/band_rows.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/gram.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836

typedef struct solver {
  sky_context *ctx;
  const sky_problem *p;
  const sky_functionals *zones; /* or NULL */
  sky_posterior *out;
  sky_noise noise;
  sky_covariance q;
  sky_rows rows;
  sky_band psi;      /* Ψ, then its factor L, then Ψ⁻¹ */
  double *row;       /* [n_obs] scratch */
  double *d, *w;     /* [n_obs] by observation; Ψ⁻¹ d */
  bool kernel, maps; /* wanted: the averaging kernel's diagonal; that and the sd of all unknowns */
} solver;

/* ---- what is wanted -------------------------------------------------------------------------- */

static size_t zone_count(const sky_functionals *zones) {
  return zones != NULL ? zones->n_zone : 0;
}

static bool wants_maps(const sky_functionals *zones) {
  return zones == NULL || !zones->totals_only;
}

/* DOFS of a zone that has all of every unknown are those of the state. */
static bool wants_kernel(const sky_problem *p, const sky_functionals *zones) {
  if (wants_maps(zones)) return true;
  for (size_t z = 0; z < zones->n_zone; z++)
    for (size_t i = 0; i < p->n_state; i++) {
      const double a = zones->W[z * p->n_state + i];
      if (a == 0 || (zones->whole != NULL && a != zones->whole[i])) return true;
    }
  return false;
}

double sky_problem_held_bytes(const sky_problem *p) {
  const double n = (double)p->n_obs, c = (double)p->n_cell, nt = (double)p->n_time, m = c * nt;
  const double prior = p->levels != NULL  ? sky_levels_bytes(p->levels) / 8
                       : p->q_var != NULL ? (double)p->q_rank * (m + 1) + m
                                          : c * c + nt * nt;
  const double state = 2 * m + (p->x_true != NULL ? m : 0) + (p->xc != NULL ? 2 * c : 0);
  return (state + 3 * n + 1 + prior) * 8 + (double)p->rowptr[p->n_obs] * 12;
}

double sky_problem_bytes(const sky_problem *p, const sky_functionals *zones) {
  const double n = (double)p->n_obs, m = (double)p->n_state, tile = SKY_BAND_TILE;
  const double nz = (double)zone_count(zones), tiles = ceil(n / tile);
  const double triangle = tiles * (tiles + 1) / 2 * tile * tile;
  double part = fmax(3 * m, 6 * nz * m + nz * n); /* one after another */
  part = fmax(part, (double)p->n_background * n);
  part = fmax(part, tiles * tile * tile);
  part = fmax(part, sky_gram_kernel_bytes(p) / 8);
  if (wants_maps(zones)) part = fmax(part, (double)p->n_cell * n);
  return sky_problem_held_bytes(p) + sky_rows_bytes(p) +
         sky_posterior_bytes(p->n_state, p->n_obs, p->n_background, zone_count(zones)) +
         (triangle + part + 3 * n) * 8;
}

static sky_status check_memory(sky_context *ctx, const sky_problem *p,
                               const sky_functionals *zones) {
  const double need = sky_problem_bytes(p, zones);
  if (need <= (double)sky_context_memory(ctx)) return SKY_OK;
  return sky_fail(
      ctx, SKY_E_NOMEM,
      "inversion of %zu observations, %zu cells x %zu times and %zu zones needs %.0f MB, "
      "the memory budget is %.0f MB (--memory)",
      p->n_obs, p->n_cell, p->n_time, zone_count(zones), ceil(need / 1e6),
      (double)sky_context_memory(ctx) / 1e6);
}

/* ---- H --------------------------------------------------------------------------------------- */

void sky_problem_observe(sky_context *ctx, const sky_problem *p, const double *x, const double *b,
                         double *out) {
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < p->n_obs; i++) {
    sky_acc sum = {0, 0};
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      sky_acc_add(&sum, p->val[k] * x[p->col[k]]);
    if (b != NULL) sky_offsets_add(p, i, b, &sum);
    out[i] = sky_acc_value(&sum);
  }
}

void sky_problem_transpose(const sky_problem *p, const double *v, size_t stride, double *out) {
  memset(out, 0, p->n_state * sizeof *out);
  for (size_t i = 0; i < p->n_obs; i++)
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      out[p->col[k]] += p->val[k] * v[i * stride];
}

/* ---- Ψ --------------------------------------------------------------------------------------- */

/* s->row [0..i] = R_ij, or with offsets R_ij + (B Σ_b Bᵀ)_ij; returns the first j to look at. */
static size_t noise_row(solver *s, size_t i, bool offsets) {
  const size_t from = s->noise.track != NULL || (offsets && s->p->n_background > 0) ? 0 : i;
  memset(s->row + from, 0, (i + 1 - from) * sizeof *s->row);
  sky_noise_covariance(&s->noise, i, s->row);
  if (offsets && s->p->n_background > 0) sky_offsets_covariance(s->p, i, s->row);
  return from;
}

static double *element(const solver *s, size_t i, size_t j) {
  const size_t a = s->rows.place[i], b = s->rows.place[j];
  return sky_band_element(&s->psi, a > b ? a : b, a > b ? b : a);
}

/* The profile of Ψ: errors and offsets may join what H Q Hᵀ does not. */
static sky_status create_psi(solver *s) {
  const size_t n = s->p->n_obs, *place = s->rows.place;
  size_t *first = SKY_NEW(s->ctx, size_t, n);
  if (first == NULL) return SKY_E_NOMEM;
  memcpy(first, s->rows.first, n * sizeof *first);
  for (size_t i = 0; i < n; i++)
    for (size_t j = noise_row(s, i, true); j <= i; j++) {
      if (s->row[j] == 0) continue;
      const size_t last = place[i] > place[j] ? i : j, before = last == i ? j : i;
      if (place[before] < first[place[last]]) first[place[last]] = place[before];
    }
  const sky_status st = sky_band_create(s->ctx, n, first, 0, &s->psi);
  sky_free(first);
  return st;
}

static sky_status factor_psi(solver *s) {
  const size_t n = s->p->n_obs;
  SKY_TRY(create_psi(s));
  SKY_TRY(sky_gram_fill(&s->rows, &s->psi));
  if (!s->kernel) sky_rows_finish(&s->rows); /* and no maps */
  for (size_t i = 0; i < n; i++)
    for (size_t j = noise_row(s, i, true); j <= i; j++)
      if (s->row[j] != 0) *element(s, i, j) += s->row[j];
  sky_status st = sky_band_cholesky(s->ctx, &s->psi);
  if (st == SKY_OK && !isfinite(sky_band_logdet(&s->psi)))
    st = sky_fail(s->ctx, SKY_E_NOT_SPD, "numbers beyond the range of double");
  return st == SKY_OK
             ? SKY_OK
             : sky_fail_in(s->ctx, st, "covariance of the observations, in the order of time: ");
}

/* v [n_obs] from places to observations; in place. */
static void by_observation(const solver *s, double *v) {
  memcpy(s->row, v, s->p->n_obs * sizeof *v);
  for (size_t k = 0; k < s->p->n_obs; k++)
    v[s->rows.order[k]] = s->row[k];
}

static void by_place(const solver *s, double *v) {
  memcpy(s->row, v, s->p->n_obs * sizeof *v);
  for (size_t k = 0; k < s->p->n_obs; k++)
    v[k] = s->row[s->rows.order[k]];
}

/* ---- the mean -------------------------------------------------------------------------------- */

static sky_status solve_mean(solver *s) {
  const sky_problem *p = s->p;
  sky_posterior *out = s->out;
  const size_t n = p->n_obs, m = p->n_state;
  double *u = NULL, *qu = NULL, *work = NULL; /* Hᵀw, Q Hᵀ w, scratch */
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(u, SKY_NEW(s->ctx, double, m));
  SKY_GO_ALLOC(qu, SKY_NEW(s->ctx, double, m));
  SKY_GO_ALLOC(work, SKY_NEW(s->ctx, double, m));
  sky_problem_observe(s->ctx, p, p->x0, p->b0, out->simulated_prior);
  for (size_t i = 0; i < n; i++)
    s->d[i] = s->w[i] = p->y[i] - out->simulated_prior[i];
  by_place(s, s->w);
  sky_band_forward_rows(s->ctx, &s->psi, 1, 0, s->w);
  sky_band_backward_rows(s->ctx, &s->psi, 1, s->w);
  by_observation(s, s->w);

  sky_problem_transpose(p, s->w, 1, u);
  sky_covariance_apply(s->ctx, &s->q, u, 1, work, qu);
  for (size_t i = 0; i < p->n_state; i++)
    out->x[i] = p->x0[i] + qu[i];
  out->jb = sky_dot(u, qu, p->n_state);

  sky_offsets_sums(p, s->w, 1, out->b);
  for (size_t g = 0; g < p->n_background; g++) {
    const double step = p->b_sd[g] * p->b_sd[g] * out->b[g];
    out->jb += step * out->b[g];
    out->b[g] = p->b0[g] + step;
  }
  sky_problem_observe(s->ctx, p, out->x, out->b, out->simulated);
  for (size_t i = 0; i < n; i++)
    out->residual[i] = p->y[i] - out->simulated[i];
  out->jo = sky_noise_variance(&s->noise, s->w, 1); /* R w = y - H x̂ - B b̂, also where r_sd is 0 */
  out->chi2 = sky_dot(s->d, s->w, n);
  out->neg_log_evidence = 0.5 * (out->chi2 + sky_band_logdet(&s->psi) + (double)n * LOG_2PI);
cleanup:
  sky_free(u);
  sky_free(qu);
  sky_free(work);
  return st;
}

/* ---- with the factor: zones, offsets, maps --------------------------------------------------- */

/* cov -= ZᵀZ with the rows of Z = L⁻¹HQWᵀ */
static void reduce_covariance(solver *s, size_t nz, const double *Z, double *cov) {
  const size_t n = s->p->n_obs;
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(s->ctx))
  for (size_t a = 0; a < nz; a++)
    for (size_t b = 0; b <= a; b++) {
      cov[a * nz + b] -= sky_dot(Z + a * n, Z + b * n, n);
      cov[b * nz + a] = cov[a * nz + b];
    }
}

/* aᵀ K (R + B Σ_b Bᵀ) Kᵀ a with k = Kᵀa = Ψ⁻¹HQa; sums: scratch [n_background] */
static double noise_variance(const solver *s, const double *k, double *sums) {
  const sky_problem *p = s->p;
  sky_acc sum = {sky_noise_variance(&s->noise, k, 1), 0};
  sky_offsets_sums(p, k, 1, sums);
  for (size_t g = 0; g < p->n_background; g++) {
    const double e = p->b_sd[g] * sums[g];
    sky_acc_add(&sum, e * e);
  }
  return sky_acc_value(&sum);
}

static sky_status solve_zones(solver *s) {
  const sky_problem *p = s->p;
  const sky_functionals *zones = s->zones;
  sky_posterior *out = s->out;
  const size_t nz = zone_count(zones), n = p->n_obs, m = p->n_state;
  double *QW = NULL, *Z = NULL, *work = NULL, *sums = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(QW, SKY_NEW(s->ctx, double, nz *m));
  SKY_GO_ALLOC(work, SKY_NEW(s->ctx, double, nz *m));
  SKY_GO_ALLOC(Z, SKY_NEW(s->ctx, double, nz *n));
  SKY_GO_ALLOC(sums, SKY_NEW(s->ctx, double, nz * p->n_background));

  sky_covariance_apply(s->ctx, &s->q, zones->W, nz, work, QW);
  sky_gram(s->ctx, nz, m, zones->W, QW, out->zone_cov);
  for (size_t z = 0; z < nz; z++) {
    out->prior_sd[z] = out->zone_cov[z * nz + z];
    sky_problem_observe(s->ctx, p, QW + z * m, NULL, Z + z * n);
    by_place(s, Z + z * n);
  }
  sky_band_forward_rows(s->ctx, &s->psi, nz, 0, Z);
  reduce_covariance(s, nz, Z, out->zone_cov);
  sky_band_backward_rows(s->ctx, &s->psi, nz, Z);
  for (size_t z = 0; z < nz; z++)
    by_observation(s, Z + z * n);
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(s->ctx))
  for (size_t z = 0; z < nz; z++) {
    sky_problem_transpose(p, Z + z * n, 1, out->zone_A + z * m);
    out->zone_noise_var[z] = noise_variance(s, Z + z * n, sums + z * p->n_background);
  }
  SKY_GO(sky_zone_inventory(s->ctx, zones, &s->q, out));
cleanup:
  sky_free(QW);
  sky_free(work);
  sky_free(Z);
  sky_free(sums);
  return st;
}

/* Posterior sd of the offsets and their DOFS: C = L⁻¹ B, P_gg = σ²(1 - σ²|C_g|²). */
static sky_status solve_background(solver *s) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, nb = p->n_background;
  sky_posterior *out = s->out;
  if (nb == 0) return SKY_OK;
  double *C = SKY_NEW(s->ctx, double, nb *n);
  if (C == NULL) return SKY_E_NOMEM;
  sky_offsets_columns(p, C);
  for (size_t g = 0; g < nb; g++)
    by_place(s, C + g * n);
  sky_band_forward_rows(s->ctx, &s->psi, nb, 0, C);
  sky_acc dofs = {0, 0};
  for (size_t g = 0; g < nb; g++) {
    const double ak = p->b_sd[g] * p->b_sd[g] * sky_dot(C + g * n, C + g * n, n);
    out->b_post_sd[g] = p->b_sd[g] * sqrt(sky_variance(1 - ak));
    sky_acc_add(&dofs, ak);
  }
  out->dofs_background = sky_acc_value(&dofs);
  sky_free(C);
  return SKY_OK;
}

/* Y [n_cell*n_obs] = (H Q)ᵀ of step t by place; returns the first place that is not zero. */
static size_t rows_of_step(solver *s, size_t t, double *Y) {
  const size_t nc = s->p->n_cell, n = s->p->n_obs;
  size_t first = s->rows.tiles;
  memset(Y, 0, nc * n * sizeof *Y);
  sky_rows_step(&s->rows, t);
#pragma omp parallel for schedule(dynamic) num_threads((int)s->rows.workers) reduction(min : first)
  for (size_t tile = 0; tile < s->rows.tiles; tile++) {
    const double *hq = sky_rows_tile(&s->rows, t, tile, (size_t)omp_get_thread_num());
    const size_t at = tile * SKY_ROWS_TILE, width = n - at < SKY_ROWS_TILE ? n - at : SKY_ROWS_TILE;
    if (hq == NULL) continue;
    if (tile < first) first = tile;
    for (size_t c = 0; c < nc; c++)
      memcpy(Y + c * n + at, hq + c * SKY_ROWS_TILE, width * sizeof *Y);
  }
  return first * SKY_ROWS_TILE;
}

/* P_ii = Q_ii - |L⁻¹ (HQ)_i|² */
static sky_status solve_sd(solver *s) {
  const sky_problem *p = s->p;
  const size_t n = p->n_obs, nc = p->n_cell;
  double *Y = SKY_NEW(s->ctx, double, nc *n);
  sky_status st = Y != NULL ? SKY_OK : SKY_E_NOMEM;
  for (size_t t = 0; st == SKY_OK && t < p->n_time; t++) {
    const size_t first = rows_of_step(s, t, Y);
    if (first < n) sky_band_forward_rows(s->ctx, &s->psi, nc, first, Y);
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(s->ctx))
    for (size_t c = 0; c < nc; c++) {
      double prior = p->x_sd[t * nc + c] * p->x_sd[t * nc + c];
      if (sky_problem_is_kronecker(p)) prior = prior * p->D[t * p->n_time + t] * p->E[c * nc + c];
      s->out->sd[t * nc + c] = sqrt(sky_variance(prior - sky_dot(Y + c * n, Y + c * n, n)));
    }
    st = sky_progress_step(s->ctx, 1);
  }
  sky_free(Y);
  return st;
}

/* ---- with the inverse: degrees of freedom ---------------------------------------------------- */

/* n - tr(Ψ⁻¹R) counts the state and the offsets; all of R lies in the profile. */
static double trace_dofs(solver *s) {
  sky_acc sum = {(double)s->p->n_obs, 0};
  for (size_t i = 0; i < s->p->n_obs; i++)
    for (size_t j = noise_row(s, i, false); j <= i; j++)
      if (s->row[j] != 0) sky_acc_add(&sum, -(i == j ? 1 : 2) * s->row[j] * *element(s, i, j));
  sky_acc_add(&sum, -s->out->dofs_background);
  return sky_acc_value(&sum);
}

static sky_status solve_dofs(solver *s) {
  sky_posterior *out = s->out;
  SKY_TRY(sky_band_inverse(s->ctx, &s->psi));
  out->dofs = trace_dofs(s);
  if (s->kernel) return sky_gram_kernel(&s->rows, &s->psi, out->ak);
  for (size_t i = 0; i < s->p->n_state; i++)
    out->ak[i] = NAN;
  return SKY_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static sky_status run_solver(solver *s) {
  const size_t nz = zone_count(s->zones);
  sky_posterior *out = s->out;
  SKY_TRY(factor_psi(s));
  SKY_TRY(solve_mean(s));
  if (nz > 0) SKY_TRY(solve_zones(s));
  SKY_TRY(solve_background(s));
  if (s->maps) SKY_TRY(solve_sd(s));
  for (size_t i = 0; !s->maps && i < s->p->n_state; i++)
    out->sd[i] = NAN;
  SKY_TRY(solve_dofs(s));
  if (nz > 0) sky_posterior_zones(s->zones, s->p->n_cell, s->p->x0, out);
  for (size_t z = 0; !s->kernel && z < nz; z++)
    out->zone_dofs[z] = out->dofs;
  return SKY_OK;
}

static sky_status alloc_solver(solver *s) {
  const size_t n = s->p->n_obs;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(s->row, SKY_NEW(s->ctx, double, n));
  SKY_GO_ALLOC(s->d, SKY_NEW(s->ctx, double, n));
  SKY_GO_ALLOC(s->w, SKY_NEW(s->ctx, double, n));
cleanup:
  return st;
}

sky_status sky_problem_solve(sky_context *ctx, const sky_problem *p, const sky_functionals *zones,
                             sky_posterior *out) {
  const size_t nz = zone_count(zones);
  solver s = {.ctx = ctx, .p = p, .zones = zones, .out = out};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_problem_check(ctx, p));
  if (nz > 0)
    SKY_TRY(sky_zone_inventory_check(ctx, zones, p->n_cell, !sky_problem_is_kronecker(p)));
  SKY_TRY(check_memory(ctx, p, zones));
  s.q = sky_problem_covariance(p);
  s.noise = sky_problem_noise(p);
  s.maps = wants_maps(zones);
  s.kernel = wants_kernel(p, zones);
  sky_progress_begin(ctx, "invert", (1 + (uint64_t)s.maps + (uint64_t)s.kernel) * p->n_time);
  SKY_GO(sky_posterior_alloc(ctx, p->n_state, p->n_obs, p->n_background, nz, out));
  SKY_GO(sky_rows_create(ctx, p, &s.rows));
  SKY_GO(alloc_solver(&s));
  SKY_GO(run_solver(&s));
cleanup:
  sky_progress_end(ctx);
  sky_band_free(&s.psi);
  sky_rows_free(&s.rows);
  sky_free(s.row);
  sky_free(s.d);
  sky_free(s.w);
  if (st != SKY_OK) sky_posterior_free(out);
  return st;
}
