/* column.c: what a retrieval sees of a profile, and the mean of many retrievals (column.md). */
#include "algorithms/column/column.h"

#include <math.h>
#include <stdlib.h>

/* Levels above a padded top have weight 0 or NaN, and anything in their profiles. */
static int counts(double weight) {
  return !isnan(weight) && weight != 0;
}

double sky_column_mean(size_t n_levels, const double *weight, const double *profile) {
  double sum = 0;
  for (size_t k = 0; k < n_levels; k++)
    if (counts(weight[k])) sum += weight[k] * profile[k];
  return sum;
}

double sky_column_apply(size_t n_levels, double prior, const double *weight, const double *ak,
                        const double *prior_profile, const double *profile) {
  double sum = prior;
  for (size_t k = 0; k < n_levels; k++)
    if (counts(weight[k])) sum += weight[k] * ak[k] * (profile[k] - prior_profile[k]);
  return sum;
}

double sky_superobs_sigma(size_t n, const double *sigma, double correlation,
                          double representation) {
  double square = 0;
  for (size_t i = 0; i < n; i++)
    square += sigma[i] * sigma[i];
  square /= (double)n;
  return sqrt(square * ((1 - correlation) / (double)n + correlation) +
              representation * representation);
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

double sky_quantile(size_t n, const double *x, double q, double *work) {
  if (n == 0 || !(q >= 0 && q <= 1)) return NAN;
  for (size_t i = 0; i < n; i++) {
    if (isnan(x[i])) return NAN;
    work[i] = x[i];
  }
  qsort(work, n, sizeof *work, ascending);
  const double position = q * (double)(n - 1);
  const size_t below = (size_t)position;
  if (below + 1 >= n) return work[n - 1];
  const double part = position - (double)below;
  return work[below] + part * (work[below + 1] - work[below]);
}
