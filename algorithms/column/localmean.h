/* localmean.h: masked normalised convolution. Pure function.
 *
 * With the mask m (1 where x is not NaN) and a Gaussian kernel K over (2h+1)² pixels
 *     mean = (K * m x) / (K * m),   variance = (K * m x²) / (K * m) - mean²,
 *     n    = (K * m)² / (K² * m)                             (effective number of pixels)
 * Knutsson & Westin 1993, CVPR, 515. K is a product of two 1-D kernels, so it is applied along
 * lines and then across them. What lies beyond the edges is masked. */
#ifndef SKY_ALGORITHMS_LOCALMEAN_H
#define SKY_ALGORITHMS_LOCALMEAN_H

#include "skyflux/context.h"

/* x, mean, variance, count [ny*nx], x the fastest; variance and count may be NULL. sigma: pixels;
 * half: h pixels. NaN where no valid pixel is within reach. */
SKY_NODISCARD sky_status sky_local_mean(sky_context *ctx, size_t nx, size_t ny, const double *x,
                                        double sigma, size_t half, double *mean, double *variance,
                                        double *count);
#endif
