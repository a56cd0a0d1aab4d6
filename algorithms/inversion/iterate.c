/* iterate.c: see iterate.h and iterate.md.
 *
 * Right-hand sides b_0 = R^-½ d and b_z = R^-½ H Q a_z of one system A u = b. With all u_i every
 * number of a zone is a product of two of them: G_ij = b_iᵀ A⁻¹ b_j. */
#include "algorithms/inversion/iterate.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/fusion/compare.h"
#include "algorithms/inversion/banded.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/krylov.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/obs_operator.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "algorithms/inversion/trace.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836
#define NEXT_CHECK 1.1 /* the basis grows by this before its bounds are looked at again */

typedef struct iteration {
  sky_context *ctx;
  const sky_problem *p;
  const sky_functionals *zones;
  const sky_iterate_options *o;
  sky_posterior *out;
  sky_iterate_report *report;
  sky_obs_operator op;
  sky_nearby *near; /* what the iteration is preconditioned with, or NULL: R alone */
  sky_krylov k;
  size_t n, nz, nb;  /* observations, zones, right-hand sides: nz + 1 */
  size_t index;      /* of the next product in the store */
  double *b, *u, *r; /* [nb*n] right-hand sides, solutions, residuals */
  double *G;         /* [nb*nb] */
  double *error;     /* [nb] bound of b_iᵀA⁻¹b_i - its value */
  double *W;         /* [nb*n] scratch */
  double *Y;         /* [nb*nb] residuals on the newest block */
  double *L, *coef;  /* of the last solution */
  double logdet;     /* of Ψ, by the banded factor */
  double *inside;    /* [nz] DOFS of zones, by the same */
} iteration;

/* ---- right-hand sides ----------------------------------------------------------------------- */

static void innovation(iteration *it) {
  const sky_problem *p = it->p;
  double *d = it->b, *prior = it->out->simulated_prior;
  sky_sparse_apply(it->ctx, &it->op.H, p->x0, 1, prior);
  for (size_t i = 0; i < it->n; i++) {
    sky_acc offset = {0, 0};
    sky_offsets_add(p, i, p->b0, &offset);
    prior[i] += sky_acc_value(&offset);
    d[i] = p->y[i] - prior[i];
  }
  sky_noise_whiten(&it->op.r, d);
}

/* b_z and the prior covariance of the totals, a few zones at a time. */
static sky_status zone_sides(iteration *it) {
  const size_t m = it->p->n_state, nz = it->nz;
  double *QW = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(QW, SKY_NEW(it->ctx, double, it->op.batch *m));
  for (size_t first = 0; first < nz; first += it->op.batch) {
    const size_t width = nz - first < it->op.batch ? nz - first : it->op.batch;
    sky_covariance_apply(it->ctx, &it->op.q, it->zones->W + first * m, width, it->op.work, QW);
    sky_obs_operator_observe(&it->op, QW, width, it->b + (1 + first) * it->n);
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(it->ctx))
    for (size_t a = first; a < nz; a++)
      for (size_t z = first; z < first + width && z <= a; z++) {
        const double c = sky_dot(it->zones->W + a * m, QW + (z - first) * m, m);
        it->out->zone_inventory_cov[a * nz + z] = c;
        it->out->zone_inventory_cov[z * nz + a] = c;
      }
    SKY_GO(sky_progress_step(it->ctx, width));
  }
cleanup:
  sky_free(QW);
  return st;
}

/* ---- iteration ------------------------------------------------------------------------------ */

/* W = A V of the newest block, from the store where it is there. */
static sky_status product(iteration *it) {
  const size_t s = it->k.count - it->k.done;
  const double *v = it->k.V + it->k.done * it->n;
  const sky_product_store *store = it->o->store;
  bool found = false;
  if (store != NULL)
    SKY_TRY(store->load(it->ctx, store->user, it->index, s * it->n, it->W, &found));
  if (!found) {
    sky_obs_operator_apply(&it->op, v, s, it->W);
    it->report->products += s;
    if (store != NULL) SKY_TRY(store->save(it->ctx, store->user, it->index, s * it->n, it->W));
  }
  it->index++;
  return sky_progress_step(it->ctx, s);
}

double sky_iterate_bytes(const sky_problem *p, size_t n_zone, bool float32, bool kernels) {
  const double n = (double)p->n_obs, m = (double)p->n_state, nz = (double)n_zone;
  const double c = (double)p->n_cell, nt = (double)p->n_time, r = (double)p->q_rank;
  const double given = (2 * m + 2 * n) * 8 + (double)p->rowptr[p->n_obs] * 12;
  const double prior = p->levels != NULL  ? sky_levels_bytes(p->levels) / 8
                       : p->q_var != NULL ? r * (m + n + 1) + m
                                          : c * c + nt * nt;
  const double rows = (kernels ? 6 : 1) * nz * m; /* the zones, and zone_A with what it takes */
  return given + 8 * (prior + 4 * (nz + 1) * n + rows) + sky_obs_operator_bytes(p, float32) +
         sky_posterior_bytes(p->n_state, p->n_obs, p->n_background, 0);
}

/* Bytes with a basis of so many vectors. */
static double bytes_held(const iteration *it, size_t basis) {
  const double n = (double)it->n, k = (double)basis, nb = (double)it->nb;
  return 8 * (k * (n + 3 * nb) + 2 * k * k) + sky_nearby_bytes(it->near) +
         sky_iterate_bytes(it->p, it->nz, it->o->float32, it->o->kernels);
}

static sky_status check_memory(const iteration *it, size_t basis) {
  const double need = bytes_held(it, basis), budget = (double)sky_context_memory(it->ctx);
  if (need <= budget) return SKY_OK;
  return sky_fail(it->ctx, SKY_E_NOMEM,
                  "iteration: a basis of %zu vectors of %zu observations needs %.0f MB, the memory "
                  "budget is %.0f MB (--memory, or a larger --tolerance)",
                  basis, it->n, ceil(need / 1e6), budget / 1e6);
}

/* With neighbours: bounds |r_i|² of rᵀA⁻¹r, from r = -R^-½ G⁻¹ V_newᵀ Y. */
static sky_status residual_norms(iteration *it) {
  const size_t n = it->n, nb = it->nb, fresh = it->k.count - it->k.done;
  double *X = SKY_NEW(it->ctx, double, fresh *n), *N = SKY_NEW(it->ctx, double, fresh *fresh);
  const bool room = X != NULL && N != NULL;
  if (room) {
    memcpy(X, it->k.V + it->k.done * n, fresh * n * sizeof *X);
    sky_nearby_solve(it->ctx, it->near, fresh, X);
    for (size_t q = 0; q < fresh; q++)
      sky_noise_whiten(&it->op.r, X + q * n);
    sky_gram(it->ctx, fresh, n, X, X, N);
    for (size_t i = 0; i < nb; i++) {
      it->error[i] = 0;
      for (size_t q = 0; q < fresh; q++)
        for (size_t s = 0; s < fresh; s++)
          it->error[i] += it->Y[q * nb + i] * N[q * fresh + s] * it->Y[s * nb + i];
    }
  }
  sky_free(X);
  sky_free(N);
  return room ? SKY_OK : SKY_E_NOMEM;
}

/* Solves in the present basis; Y and error bounds are known afterwards. */
static sky_status solve_basis(iteration *it) {
  const size_t k = it->k.done;
  sky_free(it->L);
  sky_free(it->coef);
  it->coef = NULL;
  it->L = SKY_NEW(it->ctx, double, k *k);
  if (it->L == NULL) return SKY_E_NOMEM;
  it->coef = SKY_NEW(it->ctx, double, k * it->nb);
  if (it->coef == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_krylov_solve(&it->k, it->L, it->coef));
  sky_krylov_residual(&it->k, it->coef, it->Y);
  return it->near != NULL ? residual_norms(it) : sky_krylov_gap(&it->k, it->L, it->Y, it->error);
}

/* Error bounds of the reported numbers from those of the diagonal of G. */
static void reported_errors(const iteration *it, const double *error, double *total, double *sd) {
  *total = *sd = 0;
  for (size_t z = 0; z < it->nz; z++) {
    const double prior = it->out->zone_inventory_cov[z * it->nz + z];
    const double var = prior - it->G[(z + 1) * it->nb + z + 1];
    if (prior <= 0) continue; /* a zone that the state cannot move */
    *total = fmax(*total, sqrt(error[0] * error[z + 1] / var));
    *sd = fmax(*sd, error[z + 1] / (2 * (var - error[z + 1])));
    if (!(var > error[z + 1])) *total = *sd = INFINITY;
  }
}

/* G of the basis alone: a lower bound, exact where the residual is. */
static void lower_bound(iteration *it) {
  for (size_t i = 0; i < it->nb; i++) {
    it->G[i * it->nb + i] = 0;
    for (size_t q = 0; q < it->k.start; q++)
      it->G[i * it->nb + i] += it->k.B[i * it->k.start + q] * it->coef[q * it->nb + i];
  }
}

static sky_status iterate(iteration *it) {
  const bool whole = it->n <= it->o->complete;
  const double *tolerance = &it->o->tolerance;
  size_t next_unit = 0, check = 2 * it->nb;
  bool converged = false;
  sky_krylov *k = &it->k;
  for (;;) {
    if (k->count == k->done) {
      if (!whole || k->count == it->n) break;
      SKY_TRY(sky_krylov_extend(k, it->W, &next_unit));
      if (k->count == k->done) break;
    }
    SKY_TRY(check_memory(it, k->count + it->nb));
    SKY_TRY(product(it));
    SKY_TRY(sky_krylov_step(k, it->W));
    if (whole || (k->done < check && k->count > k->done)) continue;
    double total, sd;
    SKY_TRY(solve_basis(it));
    lower_bound(it);
    reported_errors(it, it->error, &total, &sd);
    sky_log(it->ctx, SKY_LOG_DEBUG, "basis %zu: error of totals %.2g sd, of their sd %.2g", k->done,
            total, sd);
    converged = total <= *tolerance && sd <= *tolerance;
    if (converged) break;
    check = (size_t)ceil((double)k->done * NEXT_CHECK);
  }
  it->report->basis = k->done;
  it->report->complete = k->done == it->n;
  return converged ? SKY_OK : solve_basis(it);
}

/* v = G R^½ v, where there are neighbours: from the space of A to that of G Ψ Gᵀ. */
static void to_near(iteration *it, double *v) {
  if (it->near == NULL) return;
  for (size_t i = 0; i < it->nb; i++)
    sky_noise_colour(&it->op.r, v + i * it->n);
  memcpy(it->W, v, it->nb * it->n * sizeof *v);
  sky_nearby_apply(it->ctx, it->near, it->W, it->nb, v);
}

/* v = R^½ᵀ Gᵀ v */
static void from_near(iteration *it, double *v) {
  if (it->near == NULL) return;
  memcpy(it->W, v, it->nb * it->n * sizeof *v);
  sky_nearby_transpose_apply(it->ctx, it->near, it->W, it->nb, v);
  for (size_t i = 0; i < it->nb; i++)
    sky_noise_colour_transposed(&it->op.r, v + i * it->n);
}

/* A whole basis is made in the space of A, whose eigenvalues the maps are made of. */
static sky_status solve_iterative(iteration *it) {
  if (it->n > it->o->complete)
    SKY_TRY(sky_nearby_create(it->ctx, it->p, bytes_held(it, 4 * it->nb), &it->near));
  it->op.near = it->near;
  memcpy(it->u, it->b, it->nb * it->n * sizeof *it->u);
  to_near(it, it->u);
  SKY_TRY(sky_krylov_start(it->ctx, it->n, it->nb, it->u, &it->k));
  SKY_TRY(iterate(it));
  sky_krylov_combine(&it->k, it->nb, it->coef, it->u);
  from_near(it, it->u);
  it->op.near = NULL;
  return SKY_OK;
}

/* u = R^½ᵀ Ψ⁻¹ R^½ b. Its residual by the operator, an independent product, is the judge: A >= I,
 * so rᵀA⁻¹r <= |r|². */
static sky_status solve_banded(iteration *it) {
  sky_posterior *out = it->out;
  sky_banded *c = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_banded_create(it->ctx, it->p, bytes_held(it, 0), &c));
  sky_log(it->ctx, SKY_LOG_DEBUG, "the band holds %.3g of the covariance of the observations",
          sky_banded_share(c));
  memcpy(it->u, it->b, it->nb * it->n * sizeof *it->u);
  for (size_t i = 0; i < it->nb; i++)
    sky_noise_colour(&it->op.r, it->u + i * it->n);
  SKY_GO(sky_banded_solve(it->ctx, c, it->nb, it->u));
  for (size_t i = 0; i < it->nb; i++)
    sky_noise_colour_transposed(&it->op.r, it->u + i * it->n);
  it->logdet = sky_banded_logdet(c);
  sky_banded_dofs dofs = {.zone = it->inside, .b_var = out->b_post_sd};
  SKY_GO(sky_banded_inform(it->ctx, c, it->zones, &dofs));
  out->dofs = dofs.state;
  out->dofs_background = dofs.offsets;
  for (size_t g = 0; g < it->p->n_background; g++)
    out->b_post_sd[g] = sqrt(sky_variance(out->b_post_sd[g]));
cleanup:
  sky_banded_free(c);
  return st;
}

/* ---- what follows from the solutions -------------------------------------------------------- */

/* u, the true residuals r = b - A u, G with its first-order correction, and bounds of what is left:
 * |r_i|_A⁻¹ <= √gap_i + |what rounding added to the residual|. */
static void finish_solutions(iteration *it) {
  const bool plain = !it->o->banded && it->near == NULL; /* else r itself is all there is */
  const size_t n = it->n, nb = it->nb, fresh = plain ? it->k.count - it->k.done : 0;
  if (!plain) memset(it->error, 0, nb * sizeof *it->error);
  sky_obs_operator_apply(&it->op, it->u, nb, it->W);
  it->report->products += nb;
  for (size_t i = 0; i < nb * n; i++)
    it->r[i] = it->b[i] - it->W[i];
  memcpy(it->W, it->r, nb * n * sizeof *it->W);
  for (size_t i = 0; i < nb; i++) {
    for (size_t q = 0; q < fresh; q++)
      cblas_daxpy((int)n, it->Y[q * nb + i], it->k.V + (it->k.done + q) * n, 1, it->W + i * n, 1);
    const double rounding = cblas_dnrm2((int)n, it->W + i * n, 1);
    it->error[i] = (sqrt(it->error[i]) + rounding) * (sqrt(it->error[i]) + rounding);
  }
  for (size_t i = 0; i < nb; i++)
    for (size_t j = 0; j <= i; j++) {
      const double value =
          0.5 *
          (sky_dot(it->u + i * n, it->b + j * n, n) + sky_dot(it->u + j * n, it->b + i * n, n) +
           sky_dot(it->r + i * n, it->u + j * n, n) + sky_dot(it->r + j * n, it->u + i * n, n));
      it->G[i * nb + j] = it->G[j * nb + i] = value;
    }
  it->report->state_error = sqrt(it->error[0]);
  reported_errors(it, it->error, &it->report->total_error, &it->report->sd_error);
}

static void fill_mean(iteration *it) {
  const sky_problem *p = it->p;
  sky_posterior *out = it->out;
  const size_t n = it->n;
  sky_obs_operator_lift(&it->op, it->u, 1);
  for (size_t i = 0; i < p->n_state; i++)
    out->x[i] = p->x0[i] + it->op.qu[i];
  out->jb = sky_dot(it->op.u, it->op.qu, p->n_state);
  sky_obs_operator_groups(&it->op, it->u, out->b);
  for (size_t g = 0; g < p->n_background; g++) {
    const double step = p->b_sd[g] * p->b_sd[g] * out->b[g];
    out->jb += step * out->b[g];
    out->b[g] = p->b0[g] + step;
  }
  sky_sparse_apply(it->ctx, &it->op.H, out->x, 1, out->simulated);
  for (size_t i = 0; i < n; i++) {
    sky_acc offset = {0, 0};
    sky_offsets_add(p, i, out->b, &offset);
    out->simulated[i] += sky_acc_value(&offset);
    out->residual[i] = p->y[i] - out->simulated[i];
  }
  out->jo = sky_dot(it->u, it->u, n);
  out->chi2 = it->G[0];
}

static double share_of(const sky_functionals *z, const double *a, size_t i) {
  return a[i] == 0 ? 0 : z->whole != NULL ? a[i] / z->whole[i] : 1;
}

/* aᵀA p = (K a)ᵀ H p: for p = x0 everywhere, and for x0 inside the zone alone. */
static void fill_responses(iteration *it, size_t z, double *part, double *seen) {
  const size_t m = it->p->n_state, n = it->n;
  const double *a = it->zones->W + z * m, *u = it->u + (z + 1) * n,
               prior = sky_dot(a, it->p->x0, m);
  it->out->zone_sensitivity[z] = it->out->zone_own_response[z] = NAN;
  if (prior == 0) return;
  sky_obs_operator_observe(&it->op, it->p->x0, 1, seen);
  it->out->zone_sensitivity[z] = sky_dot(u, seen, n) / prior;
  for (size_t i = 0; i < m; i++)
    part[i] = share_of(it->zones, a, i) * it->p->x0[i];
  sky_obs_operator_observe(&it->op, part, 1, seen);
  it->out->zone_own_response[z] = sky_dot(u, seen, n) / prior;
}

static void fill_zones(iteration *it) {
  const sky_problem *p = it->p;
  sky_posterior *out = it->out;
  const size_t n = it->n, nz = it->nz, nb = it->nb, m = p->n_state;
  for (size_t z = 0; z < nz; z++) {
    const double *u = it->u + (z + 1) * n, *a = it->zones->W + z * m;
    const double constant = it->zones->constant != NULL ? it->zones->constant[z] : 0;
    for (size_t k = 0; k < nz; k++)
      out->zone_cov[z * nz + k] = out->zone_inventory_cov[z * nz + k] - it->G[(z + 1) * nb + k + 1];
    const double prior_var = sky_variance(out->zone_inventory_cov[z * nz + z]);
    const double post_var = sky_variance(out->zone_cov[z * nz + z]);
    out->prior_total[z] = sky_dot(a, p->x0, m) + constant;
    out->total[z] = out->prior_total[z] + it->G[(z + 1) * nb];
    out->prior_sd[z] = sqrt(prior_var);
    out->total_sd[z] = sqrt(post_var);
    out->zone_reduction[z] = prior_var > 0 ? 1 - post_var / prior_var : 0;
    double noise = sky_dot(u, u, n); /* kᵀ(R + BΣBᵀ)k with k = R^-½ᵀ u */
    sky_obs_operator_groups(&it->op, u, it->op.sums);
    for (size_t g = 0; g < p->n_background; g++)
      noise += p->b_sd[g] * p->b_sd[g] * it->op.sums[g] * it->op.sums[g];
    out->zone_noise_var[z] = noise;
    /* aᵀA Q Aᵀa = kᵀHQHᵀk: what A holds beyond noise */
    const double whole = sky_dot(u, it->b + (z + 1) * n, n) - sky_dot(u, it->r + (z + 1) * n, n);
    out->zone_inventory_var[z] = sky_variance(whole - noise);
    out->zone_null_sd[z] = sqrt(noise + out->zone_inventory_var[z]);
    fill_responses(it, z, it->op.qu, it->op.y);
    out->zone_detectable[z] = sky_detectable(noise, out->zone_own_response[z]);
  }
}

static double prior_variance(const sky_problem *p, size_t i) {
  const double var = p->x_sd[i] * p->x_sd[i];
  if (p->q_var != NULL || p->levels != NULL) return var;
  const size_t t = i / p->n_cell, c = i % p->n_cell;
  return var * p->D[t * p->n_time + t] * p->E[c * p->n_cell + c];
}

/* A⁻¹ = Σ_k m_k m_kᵀ, m_k = rows of L⁻¹V, which V becomes: sd and averaging kernel of every unknown
 * and offset. */
static sky_status fill_maps(iteration *it) {
  const sky_problem *p = it->p;
  sky_posterior *out = it->out;
  const size_t n = it->n, m = p->n_state, basis = it->k.done;
  sky_cholesky_forward(it->ctx, basis, it->L, n, it->k.V);
  for (size_t i = 0; i < m; i++) {
    out->sd[i] = prior_variance(p, i);
    out->ak[i] = 0;
  }
  memset(out->b_post_sd, 0, p->n_background * sizeof *out->b_post_sd);
  for (size_t first = 0; first < basis; first += it->op.batch) {
    const size_t width = basis - first < it->op.batch ? basis - first : it->op.batch;
    sky_obs_operator_lift(&it->op, it->k.V + first * n, width);
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(it->ctx))
    for (size_t i = 0; i < m; i++)
      for (size_t k = 0; k < width; k++) {
        const double q = it->op.qu[k * m + i];
        out->sd[i] -= q * q;
        out->ak[i] += q * it->op.u[k * m + i];
      }
    for (size_t k = first; k < first + width; k++) {
      sky_obs_operator_groups(&it->op, it->k.V + k * n, it->op.sums);
      for (size_t g = 0; g < p->n_background; g++)
        out->b_post_sd[g] += it->op.sums[g] * it->op.sums[g];
    }
    SKY_TRY(sky_progress_step(it->ctx, width));
  }
  for (size_t i = 0; i < m; i++)
    out->sd[i] = sqrt(sky_variance(out->sd[i]));
  out->dofs = sky_sum(out->ak, m);
  for (size_t g = 0; g < p->n_background; g++) {
    const double ak = p->b_sd[g] * p->b_sd[g] * out->b_post_sd[g];
    out->b_post_sd[g] = p->b_sd[g] * sqrt(sky_variance(1 - ak));
    out->dofs_background += ak;
  }
  for (size_t z = 0; z < it->nz; z++) {
    sky_acc sum = {0, 0};
    for (size_t i = 0; i < m; i++)
      sky_acc_add(&sum, share_of(it->zones, it->zones->W + z * m, i) * out->ak[i]);
    out->zone_dofs[z] = sky_acc_value(&sum);
  }
  return SKY_OK;
}

static void fill_unknown(size_t n, double *v) {
  for (size_t i = 0; i < n; i++)
    v[i] = NAN;
}

/* DOFS, maps and evidence: exact from a whole basis or a band, else estimated or left out. */
static sky_status fill_traces(iteration *it) {
  const sky_problem *p = it->p;
  sky_posterior *out = it->out;
  double logdet = sky_noise_logdet(&it->op.r);
  if (it->report->complete) {
    logdet += sky_cholesky_logdet(it->n, it->L);
    SKY_TRY(fill_maps(it));
  } else {
    fill_unknown(p->n_state, out->sd);
    fill_unknown(p->n_state, out->ak);
  }
  if (it->o->banded) {
    logdet = it->logdet;
    memcpy(out->zone_dofs, it->inside, it->nz * sizeof *out->zone_dofs);
  } else if (!it->report->complete) {
    sky_estimate dofs = {NAN, NAN}, log_a = {NAN, NAN};
    size_t steps = 0;
    if (!it->o->skip_trace)
      SKY_TRY(sky_trace_estimate(&it->op, it->o->seed, &dofs, &log_a, &steps));
    it->report->products += steps * SKY_TRACE_PROBES;
    out->dofs = dofs.value;
    it->report->dofs_half = dofs.half;
    logdet += log_a.value;
    it->report->evidence_half = 0.5 * log_a.half;
    out->dofs_background = p->n_background > 0 ? NAN : 0;
    fill_unknown(p->n_background, out->b_post_sd);
    fill_unknown(it->nz, out->zone_dofs);
  }
  out->neg_log_evidence = 0.5 * (out->chi2 + logdet + (double)it->n * LOG_2PI);
  return SKY_OK;
}

/* aᵀA = (Hᵀ R^-½ u_z)ᵀ, and what it shows of layers and of a compared inventory. The totals stay
 * those of G, which are closer than W x̂. */
static sky_status fill_kernels(iteration *it) {
  const size_t n = it->n, nz = it->nz, m = it->p->n_state;
  sky_posterior *out = it->out;
  for (size_t first = 0; first < nz; first += it->op.batch) {
    const size_t width = nz - first < it->op.batch ? nz - first : it->op.batch;
    sky_obs_operator_lift(&it->op, it->u + (1 + first) * n, width);
    memcpy(out->zone_A + first * m, it->op.u, width * m * sizeof *out->zone_A);
  }
  for (size_t z = 0; z < nz; z++) {
    out->prior_sd[z] *= out->prior_sd[z];
    out->zone_inventory_var[z] = 0;
  }
  SKY_TRY(sky_zone_inventory(it->ctx, it->zones, &it->op.q, out));
  sky_posterior_zones(it->zones, it->p->n_cell, it->p->x0, out);
  for (size_t z = 0; z < nz; z++)
    out->total[z] = out->prior_total[z] + it->G[(z + 1) * it->nb];
  return SKY_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* All of a posterior; zone_A, which is as large as all zones' states, only if it is wanted. */
static sky_status alloc_posterior(sky_context *ctx, const sky_problem *p, size_t nz, bool kernels,
                                  sky_posterior *out) {
  sky_status st = SKY_OK;
  SKY_TRY(sky_posterior_alloc(ctx, p->n_state, p->n_obs, p->n_background, 0, out));
  double **per_zone[] = {&out->prior_total,        &out->prior_sd,          &out->total,
                         &out->total_sd,           &out->zone_dofs,         &out->zone_reduction,
                         &out->zone_sensitivity,   &out->zone_own_response, &out->zone_noise_var,
                         &out->zone_inventory_var, &out->zone_null_sd,      &out->zone_detectable};
  double **square[] = {&out->zone_cov, &out->zone_inventory_cov};
  sky_free(out->zone_A);
  out->zone_A = NULL;
  out->n_zone = nz;
  if (kernels) SKY_GO_ALLOC(out->zone_A, SKY_NEW(ctx, double, nz * p->n_state));
  for (size_t i = 0; i < sizeof per_zone / sizeof per_zone[0]; i++) {
    sky_free(*per_zone[i]);
    SKY_GO_ALLOC(*per_zone[i], SKY_NEW0(ctx, double, nz));
  }
  for (size_t i = 0; i < sizeof square / sizeof square[0]; i++) {
    sky_free(*square[i]);
    SKY_GO_ALLOC(*square[i], SKY_NEW0(ctx, double, nz *nz));
  }
cleanup:
  return st;
}

static sky_status check_options(sky_context *ctx, const sky_problem *p, const sky_functionals *z,
                                const sky_iterate_options *o) {
  if (!(o->tolerance > 0 && o->tolerance < 1))
    return sky_fail(ctx, SKY_E_RANGE, "iteration: tolerance %g (expected above 0 and below 1)",
                    o->tolerance);
  if (z == NULL || z->n_zone == 0)
    return sky_fail(ctx, SKY_E_RANGE,
                    "iteration: no zone (expected one at least: its convergence "
                    "is judged by the totals)");
  if (o->kernels) return sky_zone_inventory_check(ctx, z, p->n_cell, p->q_var != NULL);
  if (z->n_layer > 1 || z->inventory_var != NULL || z->inventory_sd != NULL ||
      z->inventory_E != NULL || z->inventory_D != NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "iteration: layers, and an inventory with its own covariance, need kernels");
  return SKY_OK;
}

static sky_status run(iteration *it) {
  innovation(it);
  SKY_TRY(zone_sides(it));
  SKY_TRY(it->o->banded ? solve_banded(it) : solve_iterative(it));
  finish_solutions(it);
  if (it->report->total_error > it->o->tolerance || it->report->sd_error > it->o->tolerance)
    sky_log(it->ctx, SKY_LOG_WARN,
            "iteration: rounding ends it at errors of %.2g sd (totals) and %.2g (their sd), above "
            "the tolerance %.2g",
            it->report->total_error, it->report->sd_error, it->o->tolerance);
  fill_mean(it);
  fill_zones(it);
  if (it->o->kernels) SKY_TRY(fill_kernels(it));
  return fill_traces(it);
}

sky_status sky_problem_iterate(sky_context *ctx, const sky_problem *p, const sky_functionals *zones,
                               const sky_iterate_options *options, sky_posterior *out,
                               sky_iterate_report *report) {
  iteration it = {.ctx = ctx, .p = p, .zones = zones, .o = options, .out = out, .report = report};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  memset(report, 0, sizeof *report);
  SKY_TRY(check_options(ctx, p, zones, options));
  it.n = p->n_obs;
  it.nz = zones->n_zone;
  it.nb = it.nz + 1;
  SKY_TRY(sky_obs_operator_open(ctx, p, options->float32, &it.op));
  sky_progress_begin(ctx, "invert", it.nz + 2 * it.n);
  SKY_GO(alloc_posterior(ctx, p, it.nz, options->kernels, out));
  double **arrays[] = {&it.b, &it.u, &it.r, &it.W};
  for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
    SKY_GO_ALLOC(*arrays[i], SKY_NEW0(ctx, double, it.nb *it.n));
  SKY_GO_ALLOC(it.G, SKY_NEW0(ctx, double, it.nb *it.nb));
  SKY_GO_ALLOC(it.Y, SKY_NEW0(ctx, double, it.nb *it.nb));
  SKY_GO_ALLOC(it.inside, SKY_NEW0(ctx, double, it.nz));
  SKY_GO_ALLOC(it.error, SKY_NEW0(ctx, double, it.nb));
  SKY_GO(run(&it));
cleanup:
  sky_progress_end(ctx);
  sky_obs_operator_close(&it.op);
  sky_nearby_free(it.near);
  sky_free(it.Y);
  sky_free(it.inside);
  sky_krylov_free(&it.k);
  sky_free(it.b);
  sky_free(it.u);
  sky_free(it.r);
  sky_free(it.W);
  sky_free(it.G);
  sky_free(it.error);
  sky_free(it.L);
  sky_free(it.coef);
  if (st != SKY_OK) sky_posterior_free(out);
  return st;
}
