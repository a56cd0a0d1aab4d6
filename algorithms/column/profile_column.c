/* profile_column.c: see profile_column.h. */
#include "algorithms/column/profile_column.h"

#include <math.h>

#define M_DRY 0.0289652        /* kg mol-1, of dry air */
#define M_WATER 0.01801528     /* kg mol-1 */
#define EARTH_RADIUS 6371008.8 /* m, mean */
#define DEGREE 0.017453292519943295

double sky_gravity(double latitude, double altitude) {
  /* NIMA TR8350.2 (WGS 84), Eq. 4-1 */
  const double s = sin(latitude * DEGREE), s2 = s * s;
  const double surface =
      9.7803253359 * (1 + 0.00193185265241 * s2) / sqrt(1 - 0.00669437999014 * s2);
  const double ratio = EARTH_RADIUS / (EARTH_RADIUS + altitude);
  return surface * ratio * ratio;
}

bool sky_profile_weights(const sky_profile *p, double *weight, double *column) {
  double sum = 0, x = 0;
  *column = NAN;
  if (p->n < 2) return false;
  const double sense = p->pressure[0] > p->pressure[1] ? 1 : -1;
  for (size_t k = 0; k < p->n; ++k)
    weight[k] = 0;
  for (size_t k = 0; k + 1 < p->n; ++k) {
    const double gap = sense * (p->pressure[k] - p->pressure[k + 1]);
    const double height = 0.5 * (p->altitude[k] + p->altitude[k + 1]);
    const double water = 0.5 * (p->water[k] + p->water[k + 1]);
    const double dry = gap / (sky_gravity(p->latitude, height) * (M_DRY + water * M_WATER));
    if (!(dry > 0)) return false;
    weight[k] += 0.5 * dry;
    weight[k + 1] += 0.5 * dry;
    sum += dry;
  }
  for (size_t k = 0; k < p->n; ++k) {
    weight[k] /= sum;
    x += weight[k] * p->retrieved[k];
  }
  if (isfinite(x)) *column = x;
  return isfinite(x);
}

bool sky_profile_kernel(const sky_profile *p, const double *weight, double *prior, double *ak) {
  double x = 0;
  *prior = NAN;
  for (size_t k = 0; k < p->n; ++k) {
    if (!(p->prior[k] > 0)) return false;
    x += weight[k] * p->prior[k];
    ak[k] = 0;
  }
  bool sound = isfinite(x);
  for (size_t r = 0; r < p->rank; ++r) { /* Σ_i w_i c_a,i l_ri, then times s_r r_rj */
    const double *l = p->left + r * p->stride, *right = p->right + r * p->stride;
    double seen = 0;
    for (size_t k = 0; k < p->n; ++k)
      seen += weight[k] * p->prior[k] * l[k];
    for (size_t k = 0; k < p->n; ++k)
      ak[k] += seen * p->value[r] * right[k];
  }
  for (size_t k = 0; k < p->n; ++k) {
    ak[k] /= weight[k] * p->prior[k];
    sound = sound && isfinite(ak[k]);
  }
  if (sound) *prior = x;
  return sound;
}
