/* offsets.c: the columns of B, group by group and then the regressors. A group's column is 1 at its
 * observations: it is never stored. */
#include "algorithms/inversion/offsets.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "src/core/memory.h"

static size_t n_group(const sky_problem *p) {
  return p->n_background - p->n_regressor;
}

static bool has_group(const sky_problem *p, size_t i) {
  return p->group != NULL && p->group[i] >= 0;
}

sky_status sky_offsets_check(sky_context *ctx, const sky_problem *p) {
  if (p->n_background == 0) return SKY_OK;
  if (p->n_regressor > p->n_background || (n_group(p) > 0 && p->group == NULL) ||
      (p->n_regressor > 0 && p->regressor == NULL))
    return sky_fail(ctx, SKY_E_RANGE,
                    "problem: %zu regressors of %zu columns do not fit the arrays group and "
                    "regressor",
                    p->n_regressor, p->n_background);
  for (size_t i = 0; i < p->n_obs && p->group != NULL; i++)
    if (p->group[i] < -1 || p->group[i] >= (int64_t)n_group(p))
      return sky_fail(ctx, SKY_E_RANGE, "problem: group[%zu] = %d (expected -1..%zu)", i,
                      p->group[i], n_group(p) - 1);
  SKY_TRY(
      sky_problem_check_values(ctx, "regressor", p->regressor, p->n_regressor * p->n_obs, false));
  SKY_TRY(sky_problem_check_values(ctx, "b0", p->b0, p->n_background, false));
  return sky_problem_check_values(ctx, "b_sd", p->b_sd, p->n_background, true);
}

void sky_offsets_add(const sky_problem *p, size_t i, const double *b, sky_acc *sum) {
  if (has_group(p, i)) sky_acc_add(sum, b[p->group[i]]);
  for (size_t r = 0; r < p->n_regressor; r++)
    sky_acc_add(sum, p->regressor[r * p->n_obs + i] * b[n_group(p) + r]);
}

void sky_offsets_scatter(const sky_problem *p, size_t i, double v, double *sums) {
  if (has_group(p, i)) sums[p->group[i]] += v;
  for (size_t r = 0; r < p->n_regressor; r++)
    sums[n_group(p) + r] += p->regressor[r * p->n_obs + i] * v;
}

void sky_offsets_sums(const sky_problem *p, const double *v, size_t stride, double *sums) {
  if (p->n_background == 0) return;
  memset(sums, 0, p->n_background * sizeof *sums);
  for (size_t i = 0; i < p->n_obs; i++)
    sky_offsets_scatter(p, i, v[i * stride], sums);
}

double sky_offsets_element(const sky_problem *p, size_t i, size_t j) {
  double sum = 0;
  if (has_group(p, i) && p->group[i] == p->group[j])
    sum = p->b_sd[p->group[i]] * p->b_sd[p->group[i]];
  for (size_t r = 0; r < p->n_regressor; r++) {
    const double *column = p->regressor + r * p->n_obs, sd = p->b_sd[n_group(p) + r];
    sum += sd * sd * column[i] * column[j];
  }
  return sum;
}

void sky_offsets_covariance(const sky_problem *p, size_t i, double *row) {
  if (has_group(p, i)) {
    const double var = p->b_sd[p->group[i]] * p->b_sd[p->group[i]];
    for (size_t j = 0; j <= i; j++)
      if (p->group[j] == p->group[i]) row[j] += var;
  }
  for (size_t r = 0; r < p->n_regressor; r++) {
    const double *column = p->regressor + r * p->n_obs;
    const double sd = p->b_sd[n_group(p) + r];
    for (size_t j = 0; j <= i; j++)
      row[j] += sd * sd * column[i] * column[j];
  }
}

void sky_offsets_columns(const sky_problem *p, double *C) {
  memset(C, 0, p->n_background * p->n_obs * sizeof *C);
  for (size_t i = 0; i < p->n_obs; i++)
    if (has_group(p, i)) C[(size_t)p->group[i] * p->n_obs + i] = 1;
  if (p->n_regressor > 0)
    memcpy(C + n_group(p) * p->n_obs, p->regressor, p->n_regressor * p->n_obs * sizeof *C);
}
