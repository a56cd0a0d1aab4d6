/* problem.c: the exchange file of an inverse problem (problem.h) -> sky_problem.
 *
 * Flux units are the file's own. Q is low rank + diagonal where the file holds q_variance (with
 * q_factor and q_sign); else Q = S (D ⊗ E) S with models named by the attribute `cov`,
 * distances of cell centres xc, yc (km, or great circles where their unit is degree) against Lx_km,
 * of time steps against Lt_steps. S and R^½ are the variables x_sd and r_sd, or the constants
 * sigma_q and sigma_r. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/covariance.h"
#include "skyflux/problem.h"
#include "src/core/memory.h"
#include "src/read/nc.h"
#include "src/read/problem_array.h"
#include "src/read/problem_levels.h"
#include "src/read/problem_noise.h"
#include "src/read/problem_sectors.h"

static sky_status positive_attribute(sky_context *ctx, sky_nc *f, const char *name, double *out) {
  SKY_TRY(sky_problem_number(ctx, f, name, out));
  if (*out > 0 && isfinite(*out)) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "%s: %s: %g (expected a number > 0)", sky_nc_path(f), name,
                  *out);
}

/* ---- covariance models ---------------------------------------------------------------------- */

/* "spherical in space and time, …" or "exponential in space and none in time, …" */
static sky_status parse_models(sky_context *ctx, sky_nc *f, const char *text, sky_problem *p) {
  char clause[96] = "", space[32] = "", time[32] = "";
  const size_t length = strcspn(text, ",");
  int one = -1, two = -1; /* set only where the whole pattern matches */
  if (length < sizeof clause) memcpy(clause, text, length);
  if (sscanf(clause, " %31s in space and time %n", space, &one) == 1 && one == (int)length) {
    SKY_TRY(sky_correlation_parse(ctx, space, &p->space));
    p->time = p->space;
    return SKY_OK;
  }
  if (sscanf(clause, " %31s in space and %31s in time %n", space, time, &two) == 2 &&
      two == (int)length) {
    SKY_TRY(sky_correlation_parse(ctx, space, &p->space));
    return sky_correlation_parse(ctx, time, &p->time);
  }
  return sky_fail(ctx, SKY_E_FORMAT,
                  "%s: cov: '%s' (expected 'MODEL in space and time' or 'MODEL in space and MODEL "
                  "in time')",
                  sky_nc_path(f), text);
}

static sky_status read_covariance(sky_context *ctx, sky_nc *f, sky_problem *p) {
  SKY_TRY(positive_attribute(ctx, f, "Lx_km", &p->length_km));
  SKY_TRY(positive_attribute(ctx, f, "Lt_steps", &p->length_steps));
  char *text;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "cov", &text));
  if (text == NULL)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: cov: attribute missing (names the covariance models)",
                    sky_nc_path(f));
  sky_status st = parse_models(ctx, f, text, p);
  if (st == SKY_E_JOB) /* an unknown model is the file's fault here */
    st = sky_fail_in(ctx, SKY_E_FORMAT, "%s: cov: '%s': ", sky_nc_path(f), text);
  sky_free(text);
  return st;
}

/* Standard deviations: one constant attribute for all, where there is no variable. */
static sky_status constant_sd(sky_context *ctx, sky_nc *f, const char *attribute, size_t n,
                              double **out) {
  double constant;
  SKY_TRY(positive_attribute(ctx, f, attribute, &constant));
  *out = SKY_NEW(ctx, double, n);
  if (*out == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    (*out)[i] = constant;
  return SKY_OK;
}

/* Kilometres or degrees: the unit of both axes decides which distance is meant. */
static sky_status read_axis_unit(sky_context *ctx, sky_nc *f, const char *var, bool *degrees) {
  static const char *const known[] = {"degree", "degrees", "degrees_east", "degrees_north"};
  sky_nc_var axis;
  SKY_TRY(sky_nc_info(ctx, f, var, &axis));
  *degrees = false;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(axis.units, known[i]) == 0) *degrees = true;
  if (*degrees || axis.units[0] == '\0' || strcmp(axis.units, "km") == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_UNITS, "%s: %s: unit '%s' (expected km or degree)", sky_nc_path(f),
                  var, axis.units);
}

static sky_status read_axes(sky_context *ctx, sky_nc *f, sky_problem *p) {
  bool y_degrees;
  SKY_TRY(sky_problem_vector(ctx, f, "xc", "cell", SIZE_MAX, &p->n_cell, &p->xc));
  SKY_TRY(sky_problem_vector(ctx, f, "yc", "cell", p->n_cell, NULL, &p->yc));
  SKY_TRY(read_axis_unit(ctx, f, "xc", &p->geographic));
  SKY_TRY(read_axis_unit(ctx, f, "yc", &y_degrees));
  if (y_degrees == p->geographic) return SKY_OK;
  return sky_fail(ctx, SKY_E_UNITS, "%s: xc and yc: one is in degrees, the other in km",
                  sky_nc_path(f));
}

/* Q = Σ_k sign_k f_k f_kᵀ + diag(variance); x_sd follows from it. The solver looks at the values.
 */
static sky_status read_low_rank(sky_context *ctx, sky_nc *f, sky_problem *p) {
  const size_t m = p->n_state;
  char *model;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "cov", &model));
  const bool both = model != NULL;
  sky_free(model);
  if (both)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: both cov and q_variance state the prior covariance",
                    sky_nc_path(f));
  SKY_TRY(sky_problem_state(ctx, f, p, "q_variance", &p->q_var));
  if (sky_nc_has(f, "q_factor") || sky_nc_has(f, "q_sign")) {
    SKY_TRY(sky_problem_vector(ctx, f, "q_sign", "rank", SIZE_MAX, &p->q_rank, &p->q_sign));
    const sky_axis axis[] = {{"rank", p->q_rank}, {"state", m}};
    SKY_TRY(sky_problem_array(ctx, f, p, "q_factor", 2, axis, NULL, &p->q_factor));
  }
  if (sky_nc_has(f, "x_sd")) return sky_problem_state(ctx, f, p, "x_sd", &p->x_sd);
  p->x_sd = SKY_NEW(ctx, double, m);
  if (p->x_sd == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < m; i++) {
    double var = p->q_var[i];
    for (size_t k = 0; k < p->q_rank; k++)
      var += p->q_sign[k] * p->q_factor[k * m + i] * p->q_factor[k * m + i];
    p->x_sd[i] = sqrt(fmax(var, 0.0));
  }
  return SKY_OK;
}

static sky_status fill_covariance(sky_context *ctx, sky_nc *f, sky_problem *p) {
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_has(f, "r_sd") ? sky_problem_vector(ctx, f, "r_sd", "obs", p->n_obs, NULL, &p->r_sd)
                               : constant_sd(ctx, f, "sigma_r", p->n_obs, &p->r_sd));
  if (sky_nc_has(f, "q_variance")) return read_low_rank(ctx, f, p);
  if (sky_problem_has_levels(f)) return sky_problem_read_levels(ctx, f, p);
  SKY_GO(read_covariance(ctx, f, p));
  SKY_GO(sky_nc_has(f, "x_sd") ? sky_problem_state(ctx, f, p, "x_sd", &p->x_sd)
                               : constant_sd(ctx, f, "sigma_q", p->n_state, &p->x_sd));
  SKY_GO(sky_problem_read_sectors(ctx, f, p));
  SKY_GO_ALLOC(p->E, SKY_NEW(ctx, double, p->n_cell * p->n_cell));
  SKY_GO_ALLOC(p->D, SKY_NEW(ctx, double, p->n_time * p->n_time));
  sky_problem_correlate(ctx, p);
cleanup:
  return st;
}

/* Background offsets: group(obs) counts from 0, -1 = none; b0, b_sd (background). */
static sky_status read_groups(sky_context *ctx, sky_nc *f, sky_problem *p) {
  double *group = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_problem_vector(ctx, f, "group", "obs", p->n_obs, NULL, &group));
  SKY_GO(sky_problem_vector(ctx, f, "b0", "background", SIZE_MAX, &p->n_background, &p->b0));
  SKY_GO(sky_problem_vector(ctx, f, "b_sd", "background", p->n_background, NULL, &p->b_sd));
  SKY_GO_ALLOC(p->group, SKY_NEW(ctx, int32_t, p->n_obs));
  for (size_t i = 0; i < p->n_obs; i++) {
    if (!(group[i] >= -1 && group[i] < (double)p->n_background) || floor(group[i]) != group[i]) {
      st = sky_fail(ctx, SKY_E_RANGE, "%s: group[%zu]: %g (expected a whole number -1..%zu)",
                    sky_nc_path(f), i, group[i], p->n_background - 1);
      goto cleanup;
    }
    p->group[i] = (int32_t)group[i];
  }
cleanup:
  sky_free(group);
  return st;
}

/* more [count] behind the n values of *v. */
static sky_status append(sky_context *ctx, double **v, size_t n, const double *more, size_t count) {
  double *grown = sky_realloc(ctx, *v, n, n + count, sizeof **v);
  if (grown == NULL) return SKY_E_NOMEM;
  memcpy(grown + n, more, count * sizeof *more);
  *v = grown;
  return SKY_OK;
}

/* regressor(regressor,obs), regressor_mean and regressor_sd(regressor): the last columns of B. */
static sky_status read_regressors(sky_context *ctx, sky_nc *f, sky_problem *p) {
  double *mean = NULL, *sd = NULL;
  size_t count;
  sky_status st = SKY_OK;
  SKY_GO(sky_problem_vector(ctx, f, "regressor_mean", "regressor", SIZE_MAX, &count, &mean));
  SKY_GO(sky_problem_vector(ctx, f, "regressor_sd", "regressor", count, NULL, &sd));
  const sky_axis axis[] = {{"regressor", count}, {"obs", p->n_obs}};
  SKY_GO(sky_problem_array(ctx, f, p, "regressor", 2, axis, NULL, &p->regressor));
  SKY_GO(append(ctx, &p->b0, p->n_background, mean, count));
  SKY_GO(append(ctx, &p->b_sd, p->n_background, sd, count));
  p->n_regressor = count;
  p->n_background += count;
cleanup:
  sky_free(mean);
  sky_free(sd);
  return st;
}

static sky_status read_background(sky_context *ctx, sky_nc *f, sky_problem *p) {
  if (sky_nc_has(f, "group")) SKY_TRY(read_groups(ctx, f, p));
  return sky_nc_has(f, "regressor") ? read_regressors(ctx, f, p) : SKY_OK;
}

/* ---- sizes and Jacobian --------------------------------------------------------------------- */

static sky_status read_sizes(sky_context *ctx, sky_nc *f, sky_problem *p) {
  const sky_axis any[] = {{"state", SIZE_MAX}};
  double nt = 0;
  SKY_TRY(positive_attribute(ctx, f, "nt", &nt));
  if (floor(nt) != nt || nt > (double)SIZE_MAX / 2)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: nt: %g (expected a whole number of time steps)",
                    sky_nc_path(f), nt);
  SKY_TRY(sky_problem_vector(ctx, f, "y", "obs", SIZE_MAX, &p->n_obs, &p->y));
  SKY_TRY(read_axes(ctx, f, p));
  p->n_time = (size_t)nt;
  SKY_TRY(sky_problem_array(ctx, f, p, "x0", 1, any, &p->n_state, &p->x0));
  if ((double)p->n_cell * nt != (double)p->n_state)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: x0: %zu values are not %zu cells x nt = %g",
                    sky_nc_path(f), p->n_state, p->n_cell, nt);
  if (p->n_cell > SKY_DENSE_CELL_LIMIT && !sky_nc_has(f, "q_variance") &&
      !sky_problem_has_levels(f))
    return sky_fail(ctx, SKY_E_SIZE,
                    "%s: %zu cells per time step exceed the limit of %d for a dense spatial "
                    "covariance",
                    sky_nc_path(f), p->n_cell, SKY_DENSE_CELL_LIMIT);
  return SKY_OK;
}

/* Row pointers 0 … nnz that never fall, columns that ascend inside 0 … n_state-1. */
static sky_status check_rows(sky_context *ctx, sky_nc *f, size_t nnz, const double *rowptr,
                             const double *col, const sky_problem *p) {
  if (rowptr[0] != 0 || rowptr[p->n_obs] != (double)nnz)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: H_rowptr: runs from %g to %g (expected 0 to %zu)",
                    sky_nc_path(f), rowptr[0], rowptr[p->n_obs], nnz);
  for (size_t i = 0; i < p->n_obs; i++) {
    const double begin = rowptr[i], end = rowptr[i + 1];
    if (!(end >= begin && end <= (double)nnz) || floor(end) != end)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: H_rowptr[%zu]: %g (expected a whole number %g..%zu)",
                      sky_nc_path(f), i + 1, end, begin, nnz);
    for (size_t k = (size_t)begin; k < (size_t)end; k++)
      if (!(col[k] >= 0 && col[k] < (double)p->n_state) || floor(col[k]) != col[k] ||
          (k > (size_t)begin && col[k] <= col[k - 1]))
        return sky_fail(ctx, SKY_E_FORMAT,
                        "%s: H_col[%zu]: %g in row %zu (expected rising whole numbers 0..%zu)",
                        sky_nc_path(f), k, col[k], i, p->n_state - 1);
  }
  return SKY_OK;
}

static sky_status read_jacobian(sky_context *ctx, sky_nc *f, sky_problem *p) {
  double *rowptr = NULL, *col = NULL;
  size_t nnz = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_problem_vector(ctx, f, "H_data", "nnz", SIZE_MAX, &nnz, &p->val));
  SKY_GO(sky_problem_vector(ctx, f, "H_col", "nnz", nnz, NULL, &col));
  SKY_GO(sky_problem_vector(ctx, f, "H_rowptr", "rowp", p->n_obs + 1, NULL, &rowptr));
  SKY_GO(check_rows(ctx, f, nnz, rowptr, col, p));
  SKY_GO_ALLOC(p->col, SKY_NEW(ctx, int32_t, nnz));
  SKY_GO_ALLOC(p->rowptr, SKY_NEW(ctx, size_t, p->n_obs + 1));
  for (size_t k = 0; k < nnz; k++)
    p->col[k] = (int32_t)col[k];
  for (size_t i = 0; i <= p->n_obs; i++)
    p->rowptr[i] = (size_t)rowptr[i];
cleanup:
  sky_free(rowptr);
  sky_free(col);
  return st;
}

sky_status sky_problem_read(sky_context *ctx, const char *path, sky_problem *out) {
  sky_nc *f = NULL;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(read_sizes(ctx, f, out));
  SKY_GO(read_jacobian(ctx, f, out));
  if (sky_nc_has(f, "x_true")) SKY_GO(sky_problem_state(ctx, f, out, "x_true", &out->x_true));
  SKY_GO(read_background(ctx, f, out));
  SKY_GO(fill_covariance(ctx, f, out));
  SKY_GO(sky_problem_read_noise(ctx, f, out));
cleanup:
  sky_nc_close(f);
  if (st != SKY_OK) sky_problem_free(out);
  return st;
}
