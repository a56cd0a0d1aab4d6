/* longitude.c: one spelling for a longitude.
 *
 * A double holds 113.1 and 473.1 with different errors, so that a shift by 360° changes the last
 * bits of a number. Two steps undo that. Counted from 180 to 540, where doubles are the coarsest of
 * -180..180, 0..360 and 180..540, a shift has lost no more than is lost there. Numbers that are
 * meant as decimals or as fractions of an arc second (multiples of 1e-9° and 1e-7") are then taken
 * as such. */
#include "grids/longitude.h"

#include <math.h>

#define LATTICE 3.6e10   /* steps a degree */
#define MEANT 2.2737e-13 /* 2^-42 degrees: farther from the lattice, a number is not of it */

double sky_longitude(double lon) {
  double y = lon + 360 * (1 - floor((lon + 180) / 360));
  if (y >= 540) y -= 360; /* rounding */
  const double step = nearbyint(y * LATTICE);
  return fabs(step / LATTICE - y) <= MEANT ? (step - 360 * LATTICE) / LATTICE : y - 360;
}

void sky_longitudes(size_t n, const double *lon, double near, double *out) {
  if (n == 0) return;
  const double first = sky_longitude(lon[0]);
  const double turn = first + 360 * nearbyint((near - first) / 360) - lon[0];
  for (size_t i = 0; i < n; i++) {
    const double c = sky_longitude(lon[i]);
    out[i] = c + 360 * nearbyint((lon[i] + turn - c) / 360);
  }
}
