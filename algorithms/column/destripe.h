/* destripe.h: offsets of the detector pixels of a push-broom swath. Pure functions.
 *
 * x [line, pixel]:  r = x - median over pixels p-h..p+h of x(line, ·)
 *                   offset(line, p) = median over lines l-w..l+w of r(·, p)
 * after the stripe filter of TROPOMI (Borsdorff et al. 2019, AMT 12, 5443), X - med(X - med(X))
 * with 7 pixels to both sides and 60 lines to both sides. Offsets have median 0 along every line,
 * so that the filter moves no regional mean. */
#ifndef SKY_ALGORITHMS_DESTRIPE_H
#define SKY_ALGORITHMS_DESTRIPE_H

#include "skyflux/context.h"

typedef struct sky_destripe_options {
  int32_t half_width; /* h; 7 pixels */
  int32_t half_lines; /* w; 60 lines */
  size_t least;       /* residuals without which a pixel has no offset (0); 10 */
  double limit;       /* an offset beyond it (unit of x) cannot be corrected */
} sky_destripe_options;

/* One sounding per (line, pixel), both >= 0; rows with use[i] = 0, or index -1, or x NaN do not
 * count and get 0. offset [n] is what must be taken off x; lost[i] = 1 where |offset| > limit
 * (offset is 0 there). For stripes along the track call it with line and pixel changed over. */
SKY_NODISCARD sky_status sky_destripe(sky_context *ctx, size_t n, const int32_t *line,
                                      const int32_t *pixel, const double *x, const uint8_t *use,
                                      const sky_destripe_options *opt, double *offset,
                                      uint8_t *lost);

#endif
