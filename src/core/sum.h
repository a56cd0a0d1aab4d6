/* sum.h: deterministic sums (design law 6).
 *
 * Fixed blocks of SKY_SUM_BLOCK elements, each summed with Neumaier compensation, combined in block
 * order with compensation: the result depends on the data only, not on threads. NaN propagates. */
#ifndef SKY_CORE_SUM_H
#define SKY_CORE_SUM_H

#include <stddef.h>

#define SKY_SUM_BLOCK 4096

typedef struct sky_acc { /* compensated accumulator: value = hi + lo */
  double hi, lo;
} sky_acc;

static inline void sky_acc_add(sky_acc *a, double v) {
  const double t = a->hi + v;
  const double ah = a->hi < 0 ? -a->hi : a->hi, av = v < 0 ? -v : v;
  a->lo += ah >= av ? (a->hi - t) + v : (v - t) + a->hi;
  a->hi = t;
}
static inline double sky_acc_value(const sky_acc *a) {
  return a->hi + a->lo;
}

double sky_sum(const double *x, size_t n);
double sky_dot(const double *x, const double *y, size_t n);

#endif
