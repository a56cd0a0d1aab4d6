/* vegetation.c: see vegetation.h. */
#include "algorithms/sink/vegetation.h"

#include <math.h>

#define VALID_MIN -0.01 /* MOD09A1 user guide: -100 and 16000 times 0.0001 */
#define VALID_MAX 1.6

static bool is_valid(double r) {
  return r >= VALID_MIN && r <= VALID_MAX;
}

static double index_of(double above, double below) {
  const double v = below > 0 ? above / below : (double)NAN;
  return v >= -1 && v <= 1 ? v : (double)NAN;
}

double sky_evi(double red, double nir, double blue) {
  if (!is_valid(red) || !is_valid(nir) || !is_valid(blue)) return NAN;
  return index_of(2.5 * (nir - red), nir + 6 * red - 7.5 * blue + 1);
}

double sky_lswi(double nir, double swir) {
  return is_valid(nir) && is_valid(swir) ? index_of(nir - swir, nir + swir) : (double)NAN;
}

sky_modis_flag sky_modis_quality(uint32_t state, uint32_t quality) {
  static const int bands[] = {1, 2, 3, 6}; /* four bits each, from bit 2 */
  const uint32_t cloud = state & 3u;
  if (cloud == 1 || cloud == 2 || (state >> 10 & 1u) != 0) return SKY_MODIS_CLOUD;
  if ((state >> 2 & 1u) != 0) return SKY_MODIS_SHADOW;
  if ((state >> 6 & 3u) == 3) return SKY_MODIS_AEROSOL;
  if ((state >> 12 & 1u) != 0 || (state >> 15 & 1u) != 0) return SKY_MODIS_SNOW;
  for (size_t i = 0; i < sizeof bands / sizeof *bands; i++)
    if ((quality >> (2 + 4 * (bands[i] - 1)) & 15u) != 0) return SKY_MODIS_BAND;
  return SKY_MODIS_GOOD;
}

/* Row i of penalty Δ²ᵀΔ² on its diagonal, and one and two beside it. */
static void penalty_row(size_t i, size_t n, double penalty, double row[3]) {
  row[0] = row[1] = row[2] = 0;
  for (size_t k = i < 2 ? 0 : i - 2; k <= i && k + 2 < n; k++) { /* z[k] - 2 z[k+1] + z[k+2] */
    static const double d[3] = {1, -2, 1};
    const size_t at = i - k;
    for (size_t j = 0; at + j < 3; j++)
      row[j] += penalty * d[at] * d[at + j];
  }
}

/* L D Lᵀ of the banded normal matrix; two values determine the straight lines that the penalty
 * leaves free. */
void sky_season_fit(const double *y, const double *w, size_t n, double penalty, double *z,
                    double *work) {
  double *diagonal = work, *one = work + n, *two = work + 2 * n, *right = work + 3 * n;
  size_t seen = 0;
  double sum = 0, weight = 0;
  for (size_t i = 0; i < n; i++) {
    const bool use = !isnan(y[i]) && w[i] > 0;
    const double wi = use ? w[i] : 0;
    double row[3];
    penalty_row(i, n, penalty, row);
    diagonal[i] = row[0] + wi;
    one[i] = row[1];
    two[i] = row[2];
    right[i] = use ? wi * y[i] : 0;
    sum += right[i];
    weight += wi;
    seen += use;
  }
  if (seen < 2 || n < 3) {
    for (size_t i = 0; i < n; i++)
      z[i] = seen == 0 ? (double)NAN : seen == n ? y[i] : sum / weight;
    return;
  }
  for (size_t i = 0; i < n; i++) { /* one, two become the columns of L below the diagonal */
    if (i >= 1) diagonal[i] -= one[i - 1] * one[i - 1] * diagonal[i - 1];
    if (i >= 2) diagonal[i] -= two[i - 2] * two[i - 2] * diagonal[i - 2];
    const double cross = i >= 1 ? one[i - 1] * two[i - 1] * diagonal[i - 1] : 0;
    one[i] = (one[i] - cross) / diagonal[i];
    two[i] /= diagonal[i];
    z[i] = right[i] - (i >= 1 ? one[i - 1] * z[i - 1] : 0) - (i >= 2 ? two[i - 2] * z[i - 2] : 0);
  }
  for (size_t i = n; i-- > 0;) {
    z[i] /= diagonal[i];
    if (i + 1 < n) z[i] -= one[i] * z[i + 1];
    if (i + 2 < n) z[i] -= two[i] * z[i + 2];
  }
}
