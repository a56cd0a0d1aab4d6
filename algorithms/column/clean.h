/* clean.h: which soundings are not to be believed: outliers, wrong positions, duplicates
 * (clean.md). Pure functions; any consistent unit of the column.
 *
 * Robust test of one value x_i among its neighbours: |x_i - m| > k max(1.4826 MAD, σ_i), m their
 * median and MAD = median |x - m|      Hampel 1974, JASA 69, 383; Leys et al. 2013, JESP 49, 764 */
#ifndef SKY_ALGORITHMS_CLEAN_H
#define SKY_ALGORITHMS_CLEAN_H

#include "skyflux/context.h"

#define SKY_MAD_TO_SIGMA 1.482602218505602 /* 1/Φ⁻¹(3/4): MAD of a normal distribution -> σ */

typedef struct sky_outlier_options {
  double threshold; /* k; 5 */
  double reach;     /* m, edge of the cubes whose 3x3x3 neighbourhood is compared; 6e4 */
  size_t least;     /* neighbours without which the 2·least+1 nearest in time are compared; 12 */
} sky_outlier_options;
#define SKY_OUTLIER_OPTIONS ((sky_outlier_options){.threshold = 5, .reach = 6e4, .least = 12})

/* What the tests look at; all [n]. Rows with use[i] = 0 neither count nor are tested. */
typedef struct sky_clean_set {
  size_t n;
  const double *time, *lat, *lon, *x, *sigma; /* s, degree, degree, column, its 1-sigma */
  const double *corner_lat, *corner_lon;      /* [n*4] or NULL */
  const int32_t *overpass;
  const uint8_t *use;
} sky_clean_set;

/* bad[i] = 1 for values far from those of the neighbourhood (same overpass), else 0. Those of an
 * overpass of fewer than `least` soundings are compared with the 2·least+1 nearest in latitude of
 * all, which must be `least` at least; time must not be NaN. */
SKY_NODISCARD sky_status sky_clean_outliers(sky_context *ctx, const sky_clean_set *s,
                                            const sky_outlier_options *opt, uint8_t *bad);

/* bad[i] = 1 for positions that cannot be right, else 0. With corners: the centre lies farther from
 * their centroid than their largest distance from it. Without: distance d to the mean direction of
 * the 21 soundings of the overpass nearest in time, |d - median d| > max(8·1.4826 MAD of d, 500
 * km); or it does not lie below the orbit of all (orbit.h). */
SKY_NODISCARD sky_status sky_clean_positions(sky_context *ctx, const sky_clean_set *s,
                                             uint8_t *bad);

/* One sounding as its place and time. Two are the same within SAME_TIME and SAME_PLACE. */
typedef struct sky_sighting {
  double time, lat, lon;
  size_t row;
} sky_sighting;
#define SKY_SAME_TIME 0.1                           /* s */
#define SKY_SAME_PLACE 0.005                        /* degree of a great circle */
void sky_sightings_sort(sky_sighting *s, size_t n); /* by time, then row */
/* a and b sorted: lost[row of b] = 1 for all of b that stand in a, too; returns how many got it
 * now. a == b: the later rows of one set that repeat an earlier one. */
size_t sky_clean_duplicates(const sky_sighting *a, size_t n_a, const sky_sighting *b, size_t n_b,
                            uint8_t *lost);

/* Order of versions: runs of digits by value, all else by character: "v9" < "v10". */
int sky_version_compare(const char *a, const char *b);

/* Median of x [n], which is reordered; NaN for n = 0. */
double sky_median(size_t n, double *x);
/* Median and 1.4826 MAD of x, which is overwritten. */
void sky_robust(size_t n, double *x, double *median, double *scale);

#endif
