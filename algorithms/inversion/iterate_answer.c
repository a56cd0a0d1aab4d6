/* iterate_answer.c: what follows from the solutions of iterate.c: the mean, zones, maps, traces. */
#include <math.h>
#include <string.h>

#include "algorithms/fusion/compare.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/iteration.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "algorithms/inversion/trace.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836

static void fill_mean(sky_iteration *it) {
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

/* aᵀA p = (K a)ᵀ H p: for p = x0 everywhere, and for x0 inside the zone alone. */
static void fill_responses(sky_iteration *it, size_t z, double *part, double *seen) {
  const size_t m = it->p->n_state, n = it->n;
  const double *a = it->zones->W + z * m, *u = it->u + (z + 1) * n,
               prior = sky_dot(a, it->p->x0, m);
  it->out->zone_sensitivity[z] = it->out->zone_own_response[z] = NAN;
  if (prior == 0) return;
  sky_obs_operator_observe(&it->op, it->p->x0, 1, seen);
  it->out->zone_sensitivity[z] = sky_dot(u, seen, n) / prior;
  for (size_t i = 0; i < m; i++)
    part[i] = sky_zone_share(it->zones, a, i) * it->p->x0[i];
  sky_obs_operator_observe(&it->op, part, 1, seen);
  it->out->zone_own_response[z] = sky_dot(u, seen, n) / prior;
}

static void fill_zones(sky_iteration *it) {
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
  if (!sky_problem_is_kronecker(p)) return var;
  const size_t t = i / p->n_cell, c = i % p->n_cell;
  return var * p->D[t * p->n_time + t] * p->E[c * p->n_cell + c];
}

/* A⁻¹ = Σ_k m_k m_kᵀ, m_k = rows of L⁻¹V, which V becomes: sd and averaging kernel of every unknown
 * and offset. */
static sky_status fill_maps(sky_iteration *it) {
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
      sky_acc_add(&sum, sky_zone_share(it->zones, it->zones->W + z * m, i) * out->ak[i]);
    out->zone_dofs[z] = sky_acc_value(&sum);
  }
  return SKY_OK;
}

static void fill_unknown(size_t n, double *v) {
  for (size_t i = 0; i < n; i++)
    v[i] = NAN;
}

/* By random probes, in the space that the iteration was made in. */
static sky_status estimate_traces(sky_iteration *it, double *logdet) {
  sky_posterior *out = it->out;
  sky_estimate *zone = SKY_NEW(it->ctx, sky_estimate, it->nz);
  if (zone == NULL) return SKY_E_NOMEM;
  sky_traces t = {.zone = zone};
  it->op.near = it->near;
  const sky_status st = sky_trace_estimate(&it->op, it->o->seed, it->zones, &t);
  it->op.near = NULL;
  it->report->products += t.products;
  out->dofs = t.dofs.value;
  it->report->dofs_half = t.dofs.half;
  *logdet = t.logdet.value;
  it->report->evidence_half = 0.5 * t.logdet.half;
  for (size_t z = 0; z < it->nz; z++) {
    out->zone_dofs[z] = zone[z].value;
    out->zone_dofs_half[z] = zone[z].half;
  }
  sky_free(zone);
  return st;
}

/* DOFS, maps and evidence: exact from a whole basis or a band, else estimated or left out. */
static sky_status fill_traces(sky_iteration *it) {
  const sky_problem *p = it->p;
  sky_posterior *out = it->out;
  double logdet = NAN;
  if (it->report->complete) {
    logdet = sky_noise_logdet(&it->op.r) + sky_cholesky_logdet(it->n, it->L);
    SKY_TRY(fill_maps(it));
  } else {
    fill_unknown(p->n_state, out->sd);
    fill_unknown(p->n_state, out->ak);
  }
  if (it->o->banded) {
    logdet = it->logdet;
    memcpy(out->zone_dofs, it->inside, it->nz * sizeof *out->zone_dofs);
  } else if (!it->report->complete) {
    out->dofs = it->report->dofs_half = it->report->evidence_half = NAN;
    out->dofs_background = p->n_background > 0 ? NAN : 0;
    fill_unknown(p->n_background, out->b_post_sd);
    fill_unknown(it->nz, out->zone_dofs);
    fill_unknown(it->nz, out->zone_dofs_half);
    if (!it->o->skip_trace) SKY_TRY(estimate_traces(it, &logdet));
  }
  out->neg_log_evidence = 0.5 * (out->chi2 + logdet + (double)it->n * LOG_2PI);
  return SKY_OK;
}

/* aᵀA = (Hᵀ R^-½ u_z)ᵀ, and what it shows of layers and of a compared inventory. The totals stay
 * those of G, which are closer than W x̂. */
static sky_status fill_kernels(sky_iteration *it) {
  const size_t n = it->n, nz = it->nz, m = it->p->n_state;
  sky_posterior *out = it->out;
  for (size_t first = 0; first < nz; first += it->op.batch) {
    const size_t width = nz - first < it->op.batch ? nz - first : it->op.batch;
    sky_obs_operator_lift(&it->op, it->u + (1 + first) * n, width);
    memcpy(out->zone_A + first * m, it->op.u, width * m * sizeof *out->zone_A);
  }
  for (size_t z = 0; z < nz; z++) {
    out->prior_sd[z] *= out->prior_sd[z];
    out->zone_inventory_var[z] = out->zone_null_sd[z] = 0;
  }
  SKY_TRY(sky_zone_inventory(it->ctx, it->zones, &it->op.q, out));
  sky_posterior_zones(it->zones, it->p->n_cell, it->p->x0, out);
  for (size_t z = 0; z < nz; z++)
    out->total[z] = out->prior_total[z] + it->G[(z + 1) * it->nb];
  return SKY_OK;
}

sky_status sky_iteration_answer(sky_iteration *it) {
  fill_mean(it);
  fill_zones(it);
  if (it->o->kernels) SKY_TRY(fill_kernels(it));
  return fill_traces(it);
}
