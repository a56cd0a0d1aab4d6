/* matern.c: see matern.h and matern.md.
 *
 * 2 K_μ(s) = ∫ exp(μ t - s cosh t) dt over the real line (DLMF 10.32.9), by the trapezoidal rule,
 * which converges exponentially for an integrand that is analytic in a strip (Trefethen & Weideman
 * 2014, SIAM Rev. 56, 385). All terms are positive, so nothing cancels; the peak, at
 * sinh t = μ/s, stands outside the sum, so nothing overflows. */
#include "algorithms/inversion/matern.h"

#include <math.h>

#define STEP 0.6 /* of the rule; with c + 8 it leaves an error below 1e-16 (matern.md §2) */
#define NEGLIGIBLE 1e-19 /* of the peak */

/* ∫ exp(μ τ + … ) dτ over the integrand divided by its peak; c = √(s² + μ²), μ >= 0. The exponent
 * at a distance a > 0 right of the peak is μ(a - sinh a) - c(cosh a - 1), and left of it
 * μ(1 - e^-a - a) - (c - μ)(cosh a - 1). */
static double around_peak(double mu, double s, double c) {
  const double h = STEP / sqrt(c + 8), below = s * (s / (c + mu)); /* c - μ */
  double sum = 1, right = 1, left = 1;
  for (int k = 1; right > NEGLIGIBLE || left > NEGLIGIBLE; k++) {
    const double a = k * h, half = sinh(a / 2), rise = 2 * half * half; /* cosh a - 1 */
    right = right > NEGLIGIBLE ? exp(mu * (a - sinh(a)) - c * rise) : 0;
    left = left > NEGLIGIBLE ? exp(-mu * (expm1(-a) + a) - below * rise) : 0;
    sum += right + left;
  }
  return h * sum;
}

/* (s/2)^μ 2 K_μ(s)/Γ(ν), as a square: its factors alone may be out of range. */
static double over_gamma(double mu, double s, double nu) {
  int sign;
  const double c = hypot(s, mu), fall = exp(-s / 2);
  if (fall == 0) return 0; /* whatever μ <= SKY_MATERN_MOST is */
  const double peak = mu * log((mu + c) / 2) - mu * (mu / (c + s)) - lgamma_r(nu, &sign);
  const double root = fall * exp(peak / 2);
  return root * root * around_peak(mu, s, c);
}

double sky_matern(double nu, double s) {
  if (isnan(nu) || isnan(s)) return NAN;
  if (s == 0) return 1;
  return fmin(1, over_gamma(nu, s, nu));
}

double sky_matern_slope(double nu, double s) {
  if (isnan(nu) || isnan(s)) return NAN;
  if (s == 0) return 0;
  const double k = over_gamma(fabs(nu - 1), s, nu); /* K_ν-1 = K_1-ν */
  return k > 0 ? 2 * pow(s / 2, 2 * fmin(nu, 1)) * k : 0;
}

double sky_matern_reach(double nu, double least) {
  double low = 0, high = 1;
  while (sky_matern(nu, high) >= least)
    high *= 2;
  for (int k = 0; k < 60; k++) {
    const double middle = (low + high) / 2;
    if (sky_matern(nu, middle) >= least)
      low = middle;
    else
      high = middle;
  }
  return high;
}
