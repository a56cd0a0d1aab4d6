/* sum.c: sums whose value depends on the data alone (Neumaier 1974, doi:10.1002/zamm.19740540106).
 *
 * Blocks have a fixed length, so a caller that sums blocks in several threads and combines them in
 * block order gets the same bits. */
#include "src/core/sum.h"

double sky_sum(const double *x, size_t n) {
  sky_acc total = {0, 0};
  for (size_t b = 0; b < n; b += SKY_SUM_BLOCK) {
    const size_t end = n - b > SKY_SUM_BLOCK ? b + SKY_SUM_BLOCK : n;
    sky_acc block = {0, 0};
    for (size_t i = b; i < end; i++)
      sky_acc_add(&block, x[i]);
    sky_acc_add(&total, block.hi);
    sky_acc_add(&total, block.lo);
  }
  return sky_acc_value(&total);
}

double sky_dot(const double *x, const double *y, size_t n) {
  sky_acc total = {0, 0};
  for (size_t b = 0; b < n; b += SKY_SUM_BLOCK) {
    const size_t end = n - b > SKY_SUM_BLOCK ? b + SKY_SUM_BLOCK : n;
    sky_acc block = {0, 0};
    for (size_t i = b; i < end; i++)
      sky_acc_add(&block, x[i] * y[i]);
    sky_acc_add(&total, block.hi);
    sky_acc_add(&total, block.lo);
  }
  return sky_acc_value(&total);
}
