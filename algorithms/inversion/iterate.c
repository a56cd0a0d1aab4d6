/* iterate.c: see iterate.h and iterate.md.
 *
 * Right-hand sides b_0 = R^-½ d and b_z = R^-½ H Q a_z of one system A u = b. With all u_i every
 * number of a zone is a product of two of them: G_ij = b_iᵀ A⁻¹ b_j. */
#include "algorithms/inversion/iterate.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/banded.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/iteration.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define NEXT_CHECK 1.1 /* the basis grows by this before its bounds are looked at again */

/* ---- right-hand sides ----------------------------------------------------------------------- */

static void innovation(sky_iteration *it) {
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

/* Unknowns of the zones, row by row: ptr [nz+1], list. */
static sky_status zone_lists(const sky_iteration *it, size_t **ptr, int32_t **list) {
  const size_t m = it->p->n_state, nz = it->nz;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(*ptr, SKY_NEW0(it->ctx, size_t, nz + 1));
  for (size_t i = 0; i < nz * m; i++)
    (*ptr)[i / m + 1] += it->zones->W[i] != 0;
  for (size_t z = 0; z < nz; z++)
    (*ptr)[z + 1] += (*ptr)[z];
  SKY_GO_ALLOC(*list, SKY_NEW(it->ctx, int32_t, (*ptr)[nz]));
  for (size_t i = 0, k = 0; i < nz * m; i++)
    if (it->zones->W[i] != 0) (*list)[k++] = (int32_t)(i % m);
cleanup:
  return st;
}

static double sum_over(const double *a, const double *q, const int32_t *list, size_t n) {
  sky_acc sum = {0, 0};
  for (size_t k = 0; k < n; k++)
    sky_acc_add(&sum, a[list[k]] * q[list[k]]);
  return sky_acc_value(&sum);
}

/* b_z and the prior covariance of the totals, a few zones at a time. */
static sky_status zone_sides(sky_iteration *it) {
  const size_t m = it->p->n_state, nz = it->nz;
  double *QW = NULL;
  size_t *ptr = NULL;
  int32_t *list = NULL;
  sky_status st = SKY_OK;
  SKY_GO(zone_lists(it, &ptr, &list));
  SKY_GO_ALLOC(QW, SKY_NEW(it->ctx, double, it->op.batch *m));
  for (size_t first = 0; first < nz; first += it->op.batch) {
    const size_t width = nz - first < it->op.batch ? nz - first : it->op.batch;
    sky_covariance_apply(it->ctx, &it->op.q, it->zones->W + first * m, width, it->op.work, QW);
    sky_obs_operator_observe(&it->op, QW, width, it->b + (1 + first) * it->n);
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(it->ctx))
    for (size_t a = first; a < nz; a++)
      for (size_t z = first; z < first + width && z <= a; z++) {
        const double c = sum_over(it->zones->W + a * m, QW + (z - first) * m, list + ptr[a],
                                  ptr[a + 1] - ptr[a]);
        it->out->zone_inventory_cov[a * nz + z] = c;
        it->out->zone_inventory_cov[z * nz + a] = c;
      }
    SKY_GO(sky_progress_step(it->ctx, width));
  }
cleanup:
  sky_free(QW);
  sky_free(ptr);
  sky_free(list);
  return st;
}

/* ---- iteration ------------------------------------------------------------------------------ */

/* W = A V of the newest block, from the store where it is there. */
static sky_status product(sky_iteration *it) {
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
  const double rows = (kernels ? 6 : 1) * nz * m; /* the zones, and zone_A with what it takes */
  return sky_problem_held_bytes(p) + 8 * (4 * (nz + 1) * n + rows + 3 * m) +
         sky_obs_operator_bytes(p, float32) +
         sky_posterior_bytes(p->n_state, p->n_obs, p->n_background, 0);
}

/* Bytes with a basis of so many vectors. */
static double bytes_held(const sky_iteration *it, size_t basis) {
  const double n = (double)it->n, k = (double)basis, nb = (double)it->nb;
  return 8 * (k * (n + 3 * nb) + 2 * k * k) + sky_nearby_bytes(it->near) +
         sky_iterate_bytes(it->p, it->nz, it->o->float32, it->o->kernels);
}

static sky_status check_memory(const sky_iteration *it, size_t basis) {
  const double need = bytes_held(it, basis), budget = (double)sky_context_memory(it->ctx);
  if (need <= budget) return SKY_OK;
  return sky_fail(it->ctx, SKY_E_NOMEM,
                  "iteration: a basis of %zu vectors of %zu observations needs %.0f MB, the memory "
                  "budget is %.0f MB (--memory, or a larger --tolerance)",
                  basis, it->n, ceil(need / 1e6), budget / 1e6);
}

/* With neighbours: bounds |r_i|² of rᵀA⁻¹r, from r = -R^-½ G⁻¹ V_newᵀ Y. */
static sky_status residual_norms(sky_iteration *it) {
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
static sky_status solve_basis(sky_iteration *it) {
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
static void reported_errors(const sky_iteration *it, const double *error, double *total,
                            double *sd) {
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
static void lower_bound(sky_iteration *it) {
  for (size_t i = 0; i < it->nb; i++) {
    it->G[i * it->nb + i] = 0;
    for (size_t q = 0; q < it->k.start; q++)
      it->G[i * it->nb + i] += it->k.B[i * it->k.start + q] * it->coef[q * it->nb + i];
  }
}

static sky_status iterate(sky_iteration *it) {
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
static void to_near(sky_iteration *it, double *v) {
  if (it->near == NULL) return;
  for (size_t i = 0; i < it->nb; i++)
    sky_noise_colour(&it->op.r, v + i * it->n);
  memcpy(it->W, v, it->nb * it->n * sizeof *v);
  sky_nearby_apply(it->ctx, it->near, it->W, it->nb, v);
}

/* v = R^½ᵀ Gᵀ v */
static void from_near(sky_iteration *it, double *v) {
  if (it->near == NULL) return;
  memcpy(it->W, v, it->nb * it->n * sizeof *v);
  sky_nearby_transpose_apply(it->ctx, it->near, it->W, it->nb, v);
  for (size_t i = 0; i < it->nb; i++)
    sky_noise_colour_transposed(&it->op.r, v + i * it->n);
}

/* A whole basis is made in the space of A, whose eigenvalues the maps are made of. */
static sky_status solve_iterative(sky_iteration *it) {
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
static sky_status solve_banded(sky_iteration *it) {
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
static void finish_solutions(sky_iteration *it) {
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

/* ---- the whole ------------------------------------------------------------------------------ */

/* All of a posterior; zone_A, which is as large as all zones' states, only if it is wanted. */
static sky_status alloc_posterior(sky_context *ctx, const sky_problem *p, size_t nz, bool kernels,
                                  sky_posterior *out) {
  sky_status st = SKY_OK;
  SKY_TRY(sky_posterior_alloc(ctx, p->n_state, p->n_obs, p->n_background, 0, out));
  double **per_zone[] = {&out->prior_total,    &out->prior_sd,           &out->total,
                         &out->total_sd,       &out->zone_dofs,          &out->zone_dofs_half,
                         &out->zone_reduction, &out->zone_sensitivity,   &out->zone_own_response,
                         &out->zone_noise_var, &out->zone_inventory_var, &out->zone_null_sd,
                         &out->zone_detectable};
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

/* Bounds of an iteration in exact arithmetic may fall below what rounding leaves: n products in a
 * sum, and a total that is known to no more than its own digits. */
static void bound_rounding(sky_iteration *it) {
  sky_iterate_report *r = it->report;
  const sky_posterior *out = it->out;
  const double sum = (double)it->n * DBL_EPSILON;
  r->total_error = fmax(r->total_error, sum);
  r->sd_error = fmax(r->sd_error, sum);
  r->state_error = fmax(r->state_error, sum);
  for (size_t z = 0; z < it->nz; z++)
    if (out->total_sd[z] > 0)
      r->total_error =
          fmax(r->total_error, 4 * DBL_EPSILON * fabs(out->total[z]) / out->total_sd[z]);
}

static sky_status run(sky_iteration *it) {
  innovation(it);
  SKY_TRY(zone_sides(it));
  SKY_TRY(it->o->banded ? solve_banded(it) : solve_iterative(it));
  finish_solutions(it);
  if (it->report->total_error > it->o->tolerance || it->report->sd_error > it->o->tolerance)
    sky_log(it->ctx, SKY_LOG_WARN,
            "iteration: rounding ends it at errors of %.2g sd (totals) and %.2g (their sd), above "
            "the tolerance %.2g",
            it->report->total_error, it->report->sd_error, it->o->tolerance);
  SKY_TRY(sky_iteration_answer(it));
  bound_rounding(it);
  return SKY_OK;
}

sky_status sky_problem_iterate(sky_context *ctx, const sky_problem *p, const sky_functionals *zones,
                               const sky_iterate_options *options, sky_posterior *out,
                               sky_iterate_report *report) {
  sky_iteration it = {
      .ctx = ctx, .p = p, .zones = zones, .o = options, .out = out, .report = report};
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
