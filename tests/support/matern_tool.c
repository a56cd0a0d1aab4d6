/* Correlation and slope of Matérn models: lines of `nu s` from standard input. */
#include <stdio.h>

#include "algorithms/inversion/matern.h"

int main(void) {
  double nu, s;
  while (scanf("%lf %lf", &nu, &s) == 2)
    printf("%.17g %.17g\n", sky_matern(nu, s), sky_matern_slope(nu, s));
  return 0;
}
