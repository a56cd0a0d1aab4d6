/* fractions.c: see fractions.h and fractions.md.
 *
 *     t_ii = min(f_i, g_i),  t_ij = (f_i - t_ii)(g_j - t_jj) / Σ_k (g_k - t_kk)   for i != j */
#include "algorithms/sink/fractions.h"

#include <math.h>

double sky_fraction_close(double *f, size_t n, size_t *bad) {
  double sum = 0;
  *bad = SIZE_MAX;
  for (size_t i = 0; i < n; i++) {
    sum += f[i];
    if (!isnan(f[i]) && !(f[i] >= 0 && f[i] <= 1 + SKY_FRACTION_TOLERANCE) && *bad == SIZE_MAX)
      *bad = i;
  }
  if (!(sum <= 1 + SKY_FRACTION_TOLERANCE) || *bad != SIZE_MAX) return sum;
  for (size_t i = 0; i < n && sum > 1; i++)
    f[i] /= sum;
  f[n] = sum > 1 ? 0 : 1 - sum;
  return sum;
}

void sky_fraction_transitions(const double *before, const double *after, size_t n, double *t) {
  double moved = 0;
  for (size_t k = 0; k < n; k++)
    moved += fmax(after[k] - before[k], 0);
  for (size_t i = 0; i < n; i++) {
    const double lost = fmax(before[i] - after[i], 0);
    for (size_t j = 0; j < n; j++) {
      const double gained = fmax(after[j] - before[j], 0);
      t[i * n + j] = i == j ? fmin(before[i], after[i]) : moved > 0 ? lost * (gained / moved) : 0;
    }
  }
}
