/* oversample.h: a pixel's sensitivity over the grid as a two-dimensional super-Gaussian.
 *
 *   S = exp(-(|x/w_x|^k1 + |y/w_y|^k2)^k3),  w = FWHM / (2 (ln 2)^(1/(k k3)))
 *                                                                 Sun et al. 2018, AMT 11, 6679
 * x, y: the pixel's own coordinates, by the perspective transform that takes its corners to those
 * of a rectangle; y runs along the edge from corner 0 to corner 1, x across it. */
#ifndef SKY_ALGORITHMS_OVERSAMPLE_H
#define SKY_ALGORITHMS_OVERSAMPLE_H

#include "grids/quad.h"

#define SKY_OVERSAMPLE_CUT 1e-6 /* S below it is none */

typedef struct sky_oversample {
  double k[3];
  double scale[2]; /* (ln 2)^(1/(k1 k3)), (ln 2)^(1/(k2 k3)) */
  double exponent; /* (-ln CUT)^(1/k3) */
  double reach[2]; /* where S is cut on the axes, in half pixels */
  double integral; /* ∫∫ S over a pixel's area, in pixels */
} sky_oversample;

/* k: three exponents above 0, or zeros for 4, 2, 1. */
SKY_NODISCARD sky_status sky_oversample_init(sky_context *ctx, const double k[3],
                                             sky_oversample *s);
/* S at u, v: half pixels from the centre (1 is the edge, where S is one half). */
double sky_oversample_at(const sky_oversample *s, double u, double v);

/* Rows that a pixel reaches: half-open, none if row0 == row1. Corners as in sky_quad_overlap. */
void sky_oversample_rows(const sky_oversample *s, const sky_grid *g, const double x[4],
                         const double y[4], size_t *row0, size_t *row1);
/* Append S × (area of the cell / area of the pixel) at the centres of the cells of rows
 * row0..row1-1, as `fraction`. */
SKY_NODISCARD sky_status sky_oversample_spread(sky_context *ctx, const sky_oversample *s,
                                               const sky_grid *g, const double x[4],
                                               const double y[4], size_t row0, size_t row1,
                                               sky_overlaps *out);

#endif
