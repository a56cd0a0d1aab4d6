/* invert_geostat.c: `skyflux invert --method geostatistical`: numbers and the posterior file. */
#include <math.h>
#include <stdio.h>

#include "algorithms/inversion/geostat.h"
#include "src/cli/invert_modes.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/write/nc_write.h"

static sky_status put_variable(sky_ncw *w, const char *name, const char *dims, const char *what,
                               const double *data) {
  SKY_TRY(sky_ncw_var(w, name, 'd', dims));
  SKY_TRY(sky_ncw_att(w, name, "units", "1"));
  SKY_TRY(sky_ncw_att(w, name, "long_name", what));
  return sky_ncw_put(w, name, data);
}

enum { ZONE_COLUMNS = 2 };

static void zone_columns(const sky_geostat *g, sky_zone_column column[ZONE_COLUMNS]) {
  column[0] = (sky_zone_column){"posterior_total", "posterior total", g->total};
  column[1] =
      (sky_zone_column){"posterior_sd", "posterior sd of the total, drift included", g->total_sd};
}

static sky_status put_file(sky_ncw *w, const sky_problem *p, const sky_geostat *g,
                           const sky_invert_zones *zones) {
  sky_zone_column column[ZONE_COLUMNS];
  SKY_TRY(sky_ncw_att(w, "", "title", "posterior of a geostatistical inversion"));
  SKY_TRY(sky_ncw_att(w, "", "source", "skyflux " SKYFLUX_VERSION " invert"));
  SKY_TRY(sky_ncw_dim(w, "time", p->n_time));
  SKY_TRY(sky_ncw_dim(w, "cell", p->n_cell));
  SKY_TRY(sky_ncw_dim(w, "obs", p->n_obs));
  SKY_TRY(sky_ncw_dim(w, "drift", g->n_drift));
  SKY_TRY(sky_ncw_dim(w, "drift_too", g->n_drift));
  SKY_TRY(put_variable(w, "posterior", "time,cell", "posterior mean, units of the problem", g->x));
  SKY_TRY(put_variable(w, "posterior_sd", "time,cell", "posterior sd, drift included", g->sd));
  SKY_TRY(put_variable(w, "averaging_kernel", "time,cell",
                       "diagonal of the averaging kernel, drift included", g->ak));
  SKY_TRY(put_variable(w, "beta", "drift", "drift coefficient", g->beta));
  SKY_TRY(put_variable(w, "beta_covariance", "drift,drift_too", "covariance of the coefficients",
                       g->beta_cov));
  SKY_TRY(
      put_variable(w, "simulated", "obs", "observation that the posterior predicts", g->simulated));
  SKY_TRY(
      put_variable(w, "residual", "obs", "observation minus posterior prediction", g->residual));
  zone_columns(g, column);
  return sky_invert_zones_put(w, zones, column, ZONE_COLUMNS, g->zone_cov);
}

static sky_status write_file(sky_context *ctx, const char *path, const sky_problem *p,
                             const sky_geostat *g, const sky_invert_zones *zones) {
  sky_ncw *w = NULL;
  SKY_TRY(sky_ncw_create(ctx, path, &w));
  const sky_status st = put_file(w, p, g, zones);
  if (st == SKY_OK) return sky_ncw_commit(w);
  sky_ncw_abort(w);
  return st;
}

static sky_status answer_geostat(sky_context *ctx, const sky_problem *p, const sky_geostat *g,
                                 cJSON *a) {
  const double n = (double)p->n_obs;
  double sd[64];
  const size_t q = g->n_drift < 64 ? g->n_drift : 64;
  for (size_t j = 0; j < q; j++)
    sd[j] = sqrt(g->beta_cov[j * g->n_drift + j]);
  SKY_TRY(sky_invert_number(ctx, a, "observations", n));
  SKY_TRY(sky_invert_number(ctx, a, "unknowns", (double)p->n_state));
  SKY_TRY(sky_invert_numbers(ctx, a, "beta", g->beta, q));
  SKY_TRY(sky_invert_numbers(ctx, a, "beta_sd", sd, q));
  SKY_TRY(sky_invert_number(ctx, a, "posterior_total", g->total[0]));
  SKY_TRY(sky_invert_number(ctx, a, "posterior_total_sd", g->total_sd[0]));
  SKY_TRY(sky_invert_number(ctx, a, "mean_posterior_sd",
                            sky_sum(g->sd, p->n_state) / (double)p->n_state));
  SKY_TRY(sky_invert_number(ctx, a, "dofs", g->dofs));
  SKY_TRY(sky_invert_number(ctx, a, "chi2_per_rest", g->chi2 / (n - (double)g->n_drift)));
  SKY_TRY(sky_invert_number(ctx, a, "jb", g->jb));
  SKY_TRY(sky_invert_number(ctx, a, "jo", g->jo));
  return sky_invert_number(ctx, a, "neg_log_restricted", g->neg_log_restricted);
}

sky_status sky_invert_geostat(sky_context *ctx, const sky_problem *p, const sky_problem_labels *l,
                              const char *output, const sky_invert_zones *zones, cJSON *answer) {
  const sky_drift drift = {.n = l->n_drift > 0 ? l->n_drift : 1, .X = l->drift};
  sky_geostat g = {0};
  sky_zone_column column[ZONE_COLUMNS];
  sky_status st = SKY_OK;
  if (drift.n > 64)
    return sky_fail(ctx, SKY_E_SIZE, "drift: %zu columns (expected at most 64)", drift.n);
  const sky_functionals wanted = {
      .n_zone = zones->rows.n, .W = zones->rows.W, .constant = zones->rows.constant};
  SKY_GO(sky_geostat_solve(ctx, p, &drift, &wanted, &g));
  if (output != NULL) SKY_GO(write_file(ctx, output, p, &g, zones));
  SKY_GO(sky_invert_zones_kernels(ctx, zones, p, g.zone_A));
  SKY_GO(answer_geostat(ctx, p, &g, answer));
  zone_columns(&g, column);
  SKY_GO(sky_invert_zones_answer(ctx, zones, column, ZONE_COLUMNS, answer));
cleanup:
  sky_geostat_free(&g);
  return st;
}
