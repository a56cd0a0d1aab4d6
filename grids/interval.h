/* interval.h: where a number lies among ascending edges. */
#ifndef SKY_GRIDS_INTERVAL_H
#define SKY_GRIDS_INTERVAL_H

#include <stddef.h>

/* The interval of edge[0..n] that holds v, edge[0] <= v <= edge[n]: lower edges inclusive, the last
 * upper one too. Exact on edges; one comparison where the intervals are of equal width. */
static inline size_t sky_interval(const double *edge, size_t n, double v) {
  const double guess = (v - edge[0]) / (edge[n] - edge[0]) * (double)n;
  const size_t i = guess >= (double)n ? n - 1 : (size_t)guess;
  if (v >= edge[i] && v < edge[i + 1]) return i;
  size_t low = 0, high = n; /* rounding, or cells of unequal width */
  while (high - low > 1) {
    const size_t mid = low + (high - low) / 2;
    if (v >= edge[mid])
      low = mid;
    else
      high = mid;
  }
  return low;
}

#endif
