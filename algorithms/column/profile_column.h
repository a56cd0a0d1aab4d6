/* profile_column.h: the column, and the column's averaging kernel, of a retrieved profile. Pure.
 *
 * Weights are the dry air that belongs to a level: half of each gap between neighbours,
 *     D = Δp / [g(φ, z) (M_d + h M_w)]                                        mol m-2
 * with the mean water h (mol per mol of dry air) and height z of the gap and gravity of WGS 84.
 * The retrieval's state is ln c, its kernel A = Σ_r s_r l_r r_r' (a truncated singular value
 * decomposition): ln ĉ = ln c_a + A (ln c - ln c_a). Linear about the prior, the kernel of the
 * column a_j = Σ_i w_i c_a,i A_ij / (w_j c_a,j) is the normalised one of column.h: X = X_a + Σ_j
 * w_j a_j (c_j - c_a,j). Levels in either order. */
#ifndef SKY_ALGORITHMS_PROFILE_COLUMN_H
#define SKY_ALGORITHMS_PROFILE_COLUMN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sky_profile { /* one sounding; arrays of n levels, pressure monotonic */
  size_t n, rank;
  size_t stride;                      /* between vectors in left and right */
  const double *pressure, *altitude;  /* Pa, m */
  const double *water;                /* mol per mol of dry air */
  const double *retrieved, *prior;    /* mol per mol of dry air */
  const double *value, *left, *right; /* s_r [rank]; l_r, r_r [rank * stride] */
  double latitude;                    /* degrees */
} sky_profile;

/* Gravity, m s-2: Somigliana's formula on WGS 84, falling with the square of the distance from the
 * Earth's centre. */
double sky_gravity(double latitude, double altitude);

/* weight [n], their sum 1, and the column Σ w·retrieved. False if a value is not finite, or the
 * pressures are not monotonic. */
bool sky_profile_weights(const sky_profile *p, double *weight, double *column);
/* prior column and kernel [n] from the weights; false if a value is not finite or a prior not above
 * 0. */
bool sky_profile_kernel(const sky_profile *p, const double *weight, double *prior, double *ak);

#endif
