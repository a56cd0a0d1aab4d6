/* solve.c: see solve.h.
 *
 * A checkpoint is a journal of the products A v of the iteration, in their order: everything else
 * follows from them, so a run that goes on ends with the bytes of one that was not killed. */
#include "src/job/solve.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/inversion/banded.h"
#include "algorithms/inversion/compact.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/posterior.h"
#include "algorithms/inversion/smoother.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/engine/journal.h"

#define COMPLETE 2048 /* observations up to which an iteration is carried to the end */
#define PROBE_SEED 20261130

/* ---- checkpoint ----------------------------------------------------------------------------- */

static sky_status load(sky_context *ctx, void *user, size_t index, size_t count, double *data,
                       bool *found) {
  const sky_journal *j = user;
  const sky_journal_record *r = sky_journal_find(j, index);
  *found = r != NULL;
  if (r == NULL) return SKY_OK;
  if (r->size != count * sizeof *data)
    return sky_fail(ctx, SKY_E_READ, "checkpoint: product %zu has %llu bytes (expected %zu)", index,
                    (unsigned long long)r->size, count * sizeof *data);
  sky_text bytes = {.ctx = ctx};
  const sky_status st = sky_journal_read(ctx, j, r, &bytes);
  if (st == SKY_OK) memcpy(data, bytes.data, count * sizeof *data);
  sky_text_free(&bytes);
  return st;
}

static sky_status save(sky_context *ctx, void *user, size_t index, size_t count,
                       const double *data) {
  sky_text part = {.ctx = ctx}, record = {.ctx = ctx};
  sky_text_add(&part, (const char *)data, count * sizeof *data);
  sky_journal_put(&record, index, false, &part);
  sky_status st = SKY_E_NOMEM;
  if (!part.failed && !record.failed) st = sky_journal_append(ctx, user, &record);
  sky_text_free(&part);
  sky_text_free(&record);
  return st;
}

/* What tuning, screening and reweighting changed since the file was read. */
static sky_status statistics(sky_context *ctx, const sky_problem *p, char hex[65]) {
  sky_text bytes = {.ctx = ctx};
  sky_text_add(&bytes, (const char *)p->y, p->n_obs * sizeof *p->y);
  sky_text_add(&bytes, (const char *)p->r_sd, p->n_obs * sizeof *p->r_sd);
  sky_text_add(&bytes, (const char *)p->x_sd, p->n_state * sizeof *p->x_sd);
  sky_text_add(&bytes, (const char *)&p->length_km, sizeof p->length_km);
  sky_text_add(&bytes, (const char *)&p->length_steps, sizeof p->length_steps);
  if (!bytes.failed) sky_sha256(bytes.data, bytes.length, hex);
  const bool failed = bytes.failed;
  sky_text_free(&bytes);
  return failed ? SKY_E_NOMEM : SKY_OK;
}

static sky_status open_checkpoint(sky_context *ctx, const sky_solve_options *o,
                                  const sky_problem *p, sky_journal **out) {
  char sum[65], stated[65];
  *out = NULL;
  if (o->checkpoint == NULL) return SKY_OK;
  SKY_TRY(sky_file_sha256(ctx, o->problem, sum));
  SKY_TRY(statistics(ctx, p, stated));
  char *stamp = sky_sprintf(ctx,
                            "products of skyflux %s invert\nproblem %s\nstatistics %s\nfloat32 "
                            "%d\n",
                            SKYFLUX_VERSION, sum, stated, o->float32);
  if (stamp == NULL) return SKY_E_NOMEM;
  const sky_shard all = {0, 0};
  sky_status st = sky_journal_open(ctx, o->checkpoint, all, stamp, false, out);
  if (st == SKY_E_USAGE && o->renew) {
    sky_error_clear(ctx);
    st = sky_journal_open(ctx, o->checkpoint, all, stamp, true, out);
  }
  sky_free(stamp);
  if (st == SKY_E_USAGE)
    return sky_fail(ctx, st,
                    "checkpoint %s: is damaged, or belongs to another problem, statistics or "
                    "precision, or to a process at work (remove it, or name another file)",
                    o->checkpoint);
  if (st == SKY_OK && sky_journal_count(*out) > 0)
    sky_log(ctx, SKY_LOG_INFO, "going on after %zu products in %s", sky_journal_count(*out),
            o->checkpoint);
  return st;
}

static sky_status iterate(sky_context *ctx, const sky_solve_options *o, bool banded,
                          const sky_problem *p, const sky_functionals *zones, sky_posterior *out,
                          sky_iterate_report *report) {
  sky_journal *journal = NULL;
  SKY_TRY(open_checkpoint(ctx, o, p, &journal));
  const sky_product_store store = {journal, load, save};
  const sky_iterate_options options = {
      .tolerance = o->tolerance > 0 ? o->tolerance : SKY_SOLVE_TOLERANCE,
      .float32 = o->float32,
      .kernels = o->kernels,
      .banded = banded,
      .skip_trace = banded,
      .complete = COMPLETE,
      .seed = PROBE_SEED,
      .store = journal != NULL ? &store : NULL,
  };
  const sky_status st = sky_problem_iterate(ctx, p, zones, &options, out, report);
  sky_journal_close(journal);
  if (st == SKY_OK && o->checkpoint != NULL) unlink(o->checkpoint);
  return st;
}

/* ---- choice --------------------------------------------------------------------------------- */

/* The band is exact, fits the budget and takes no more than the largest exact solution that is
 * chosen. */
static sky_status choose_banded(sky_context *ctx, const sky_solve_options *o, const sky_problem *p,
                                size_t n_zone, bool *chosen) {
  const double budget = (double)sky_context_memory(ctx), most = SKY_SOLVE_MOST_EXACT;
  double need, work;
  *chosen = false;
  if (!sky_compact_exact(p)) return SKY_OK;
  SKY_TRY(sky_banded_plan(ctx, p, &need, &work));
  need += sky_iterate_bytes(p, n_zone, o->float32, o->kernels);
  *chosen = need <= budget && 3 * work <= most * most * most;
  sky_log(ctx, SKY_LOG_INFO,
          "method: a band takes %.0f MB of %.0f MB and %.2g of the work of an exact solution of %d "
          "observations",
          ceil(need / 1e6), budget / 1e6, 3 * work / (most * most * most), SKY_SOLVE_MOST_EXACT);
  return SKY_OK;
}

sky_status sky_solve_method(sky_context *ctx, const sky_solve_options *o, const sky_problem *p,
                            const sky_functionals *zones, const char **method) {
  const double need = sky_problem_bytes(p, zones), budget = (double)sky_context_memory(ctx);
  bool banded = false;
  *method = o->method;
  if (o->method != NULL) return SKY_OK;
  const bool exact = p->n_obs <= SKY_SOLVE_MOST_EXACT && need <= budget;
  if (!exact) SKY_TRY(choose_banded(ctx, o, p, zones != NULL ? zones->n_zone : 0, &banded));
  *method = exact ? "exact" : banded ? "banded" : "iterative";
  sky_log(ctx, SKY_LOG_INFO,
          "method: %s (an exact solution of %zu observations takes %.0f MB of %.0f MB; it is "
          "chosen up to %d observations)",
          *method, p->n_obs, ceil(need / 1e6), budget / 1e6, SKY_SOLVE_MOST_EXACT);
  return SKY_OK;
}

/* A zone whose constant is missing has no total, which is no fault of the numbers. */
static sky_status check_answer(sky_context *ctx, const sky_functionals *zones,
                               const sky_posterior *out) {
  SKY_TRY(sky_answer_finite(ctx, "chi2", out->chi2));
  SKY_TRY(sky_answer_finite(ctx, "Jb", out->jb));
  SKY_TRY(sky_answer_finite(ctx, "Jo", out->jo));
  for (size_t z = 0; z < out->n_zone; z++) {
    if (zones->constant == NULL || !isnan(zones->constant[z]))
      SKY_TRY(sky_answer_finite(ctx, "a total", out->total[z]));
    SKY_TRY(sky_answer_finite(ctx, "the sd of a total", out->total_sd[z]));
  }
  return SKY_OK;
}

sky_status sky_solve_gaussian(sky_context *ctx, const sky_solve_options *o, const char *method,
                              const sky_problem *p, const sky_functionals *zones,
                              sky_posterior *out, sky_iterate_report *report) {
  memset(report, 0, sizeof *report);
  const bool banded = strcmp(method, "banded") == 0;
  SKY_TRY(banded || strcmp(method, "iterative") == 0
              ? iterate(ctx, o, banded, p, zones, out, report)
              : sky_problem_solve(ctx, p, zones, out));
  const sky_status st = check_answer(ctx, zones, out);
  if (st != SKY_OK) sky_posterior_free(out);
  return st;
}

/* ---- geostatistics -------------------------------------------------------------------------- */

void sky_solve_simulate(const sky_problem *p, const double *x, const double *b, double *out) {
  for (size_t i = 0; i < p->n_obs; i++) {
    sky_acc sum = {0, 0};
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      sky_acc_add(&sum, p->val[k] * x[p->col[k]]);
    sky_offsets_add(p, i, b, &sum);
    out[i] = sky_acc_value(&sum);
  }
}

static void unknown(double *v, size_t n) {
  for (size_t i = 0; i < n; i++)
    v[i] = NAN;
}

static void take_geostat(const sky_problem *p, const sky_functionals *zones, const sky_geostat *g,
                         sky_posterior *out) {
  const size_t m = p->n_state, nz = zones->n_zone;
  memcpy(out->x, g->x, m * sizeof *g->x);
  memcpy(out->sd, g->sd, m * sizeof *g->sd);
  memcpy(out->ak, g->ak, m * sizeof *g->ak);
  if (p->n_background > 0) memcpy(out->b, g->b, p->n_background * sizeof *g->b);
  memcpy(out->residual, g->residual, p->n_obs * sizeof *g->residual);
  memcpy(out->simulated, g->simulated, p->n_obs * sizeof *g->simulated);
  sky_solve_simulate(p, p->x0, p->b0, out->simulated_prior);
  memcpy(out->total_sd, g->total_sd, nz * sizeof *g->total_sd);
  memcpy(out->zone_cov, g->zone_cov, nz * nz * sizeof *g->zone_cov);
  memcpy(out->zone_A, g->zone_A, nz * m * sizeof *g->zone_A);
  unknown(out->b_post_sd, p->n_background);
  out->dofs = g->dofs;
  out->chi2 = g->chi2;
  out->jb = g->jb;
  out->jo = g->jo;
  out->dofs_background = p->n_background > 0 ? NAN : 0;
  out->neg_log_evidence = NAN;
  memcpy(out->total, g->total, nz * sizeof *g->total);
}

sky_status sky_solve_geostat(sky_context *ctx, const sky_problem *p, const sky_drift *drift,
                             const sky_functionals *zones, sky_posterior *out) {
  sky_geostat g = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_geostat_solve(ctx, p, drift, zones, &g));
  SKY_GO(sky_posterior_alloc(ctx, p->n_state, p->n_obs, p->n_background, zones->n_zone, out));
  take_geostat(p, zones, &g, out);
  sky_posterior_zones(zones, p->n_cell, p->x0, out);
  double *const of_prior[] = {out->prior_sd,           out->zone_reduction, out->zone_noise_var,
                              out->zone_inventory_var, out->zone_null_sd,   out->zone_detectable};
  for (size_t k = 0; k < sizeof of_prior / sizeof *of_prior; k++)
    unknown(of_prior[k], zones->n_zone);
  unknown(out->zone_inventory_cov, zones->n_zone * zones->n_zone);
cleanup:
  sky_geostat_free(&g);
  return st;
}

/* ---- step by step --------------------------------------------------------------------------- */

static sky_status prior_zones(sky_context *ctx, const sky_problem *p, const sky_functionals *zones,
                              sky_posterior *out) {
  const size_t nz = zones->n_zone, m = p->n_state;
  const sky_covariance q = sky_problem_covariance(p);
  double *work = NULL, *QW = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, nz *m));
  SKY_GO_ALLOC(QW, SKY_NEW(ctx, double, nz *m));
  sky_covariance_apply(ctx, &q, zones->W, nz, work, QW);
  for (size_t z = 0; z < nz; z++) {
    const double *w = zones->W + z * m;
    out->prior_total[z] = sky_dot(w, p->x0, m) + zones->constant[z];
    out->prior_sd[z] = sqrt(sky_variance(sky_dot(w, QW + z * m, m)));
    out->total_sd[z] = sqrt(sky_variance(out->zone_cov[z * nz + z]));
    out->zone_reduction[z] =
        out->prior_sd[z] > 0 ? 1 - pow(out->total_sd[z] / out->prior_sd[z], 2) : 0;
    out->total[z] += zones->constant[z];
  }
cleanup:
  sky_free(work);
  sky_free(QW);
  return st;
}

sky_status sky_solve_smoother(sky_context *ctx, const sky_problem *p, size_t lag,
                              const sky_functionals *zones, sky_posterior *out) {
  const size_t nz = zones->n_zone;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_posterior_alloc(ctx, p->n_state, p->n_obs, p->n_background, nz, out));
  sky_smoothed s = {.x = out->x,
                    .sd = out->sd,
                    .b = out->b,
                    .b_sd = out->b_post_sd,
                    .total = out->total,
                    .cov = out->zone_cov};
  SKY_GO(sky_smoother_totals(ctx, p, lag, nz, zones->W, &s));
  SKY_GO(prior_zones(ctx, p, zones, out));
  sky_solve_simulate(p, p->x0, p->b0, out->simulated_prior);
  sky_solve_simulate(p, out->x, out->b, out->simulated);
  for (size_t i = 0; i < p->n_obs; i++)
    out->residual[i] = p->y[i] - out->simulated[i];
  double *const of_kernel[] = {out->zone_dofs,      out->zone_sensitivity,   out->zone_own_response,
                               out->zone_noise_var, out->zone_inventory_var, out->zone_null_sd,
                               out->zone_detectable};
  for (size_t k = 0; k < sizeof of_kernel / sizeof *of_kernel; k++)
    unknown(of_kernel[k], nz);
  unknown(out->ak, p->n_state);
  unknown(out->zone_A, nz * p->n_state);
  unknown(out->zone_inventory_cov, nz * nz);
  out->chi2 = s.chi2;
  out->neg_log_evidence = s.neg_log_evidence;
  out->dofs = out->dofs_background = out->jb = out->jo = NAN;
cleanup:
  if (st != SKY_OK) sky_posterior_free(out);
  return st;
}
