/* fractions.h: transitions of a pixel of which only the shares of its classes are known, at two
 * dates (fractions.md). */
#ifndef SKY_ALGORITHMS_SINK_FRACTIONS_H
#define SKY_ALGORITHMS_SINK_FRACTIONS_H

#include "skyflux/context.h"

#define SKY_FRACTION_TOLERANCE 0.02 /* by which shares may sum to more than 1: they are rounded */

/* Shares f[0..n-1] of one date, in place: f[n] becomes what no class has; a sum above 1 is scaled
 * to 1. Returns the sum as it came: NaN with a NaN among them, above 1 + SKY_FRACTION_TOLERANCE or
 * with a share outside 0..1 + SKY_FRACTION_TOLERANCE not usable (then f is as it was). *bad: the
 * first share that is outside, SIZE_MAX if none is. */
double sky_fraction_close(double *f, size_t n, size_t *bad);

/* before, after: [n], each with the sum 1. t: [n*n], t[i*n+j] the share that goes from i to j:
 * what can have stayed has stayed, the rest is shared out in proportion. Rows sum to before,
 * columns to after. */
void sky_fraction_transitions(const double *before, const double *after, size_t n, double *t);

#endif
