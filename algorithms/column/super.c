/* super.c: see super.h and column.md. */
#include "algorithms/column/super.h"

#include <math.h>

double sky_superobs_sigma(size_t n, const double *sigma, double correlation,
                          double representation) {
  double square = 0;
  for (size_t i = 0; i < n; i++)
    square += sigma[i] * sigma[i];
  square /= (double)n;
  return sqrt(square * ((1 - correlation) / (double)n + correlation) +
              representation * representation);
}

double sky_superobs_floor(double sigma, double correlation, double representation) {
  return sqrt(correlation * sigma * sigma + representation * representation);
}
