/* localmean.c: see localmean.h. Every pixel is summed in the same order whatever the threads. */
#include "algorithms/column/localmean.h"

#include <math.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

/* out row = Σ_k g[k] · (in row shifted by k - half); padded with nothing. */
static void along(size_t nx, const double *restrict in, const double *g, size_t half,
                  double *restrict out) {
  for (size_t i = 0; i < nx; ++i)
    out[i] = 0;
  for (size_t k = 0; k <= 2 * half; ++k) {
    const size_t from = k < half ? half - k : 0; /* first i with i + k - half >= 0 */
    const size_t to = nx + half > k ? (nx + half - k < nx ? nx + half - k : nx) : 0;
    const double w = g[k];
    const double *shifted = in + from + k - half;
    for (size_t i = from; i < to; ++i)
      out[i] += w * shifted[i - from];
  }
}

/* The kernel over a field, in place; work [ny*nx]. */
static void smooth(size_t nx, size_t ny, double *f, const double *g, size_t half, int threads,
                   double *work) {
  const int64_t rows = (int64_t)ny, reach = (int64_t)half;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t y = 0; y < rows; ++y)
    along(nx, f + (size_t)y * nx, g, half, work + (size_t)y * nx);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t y = 0; y < rows; ++y) {
    double *restrict out = f + (size_t)y * nx;
    for (size_t i = 0; i < nx; ++i)
      out[i] = 0;
    for (int64_t k = -reach; k <= reach; ++k) {
      if (y + k < 0 || y + k >= rows) continue;
      const double w = g[k + reach];
      const double *restrict in = work + (size_t)(y + k) * nx;
      for (size_t i = 0; i < nx; ++i)
        out[i] += w * in[i];
    }
  }
}

/* Values are taken about their own mean, so that the variance does not cancel. */
static double centre_of(size_t n, const double *x) {
  sky_acc sum = {0, 0};
  size_t count = 0;
  for (size_t i = 0; i < n; ++i) {
    if (isnan(x[i])) continue;
    sky_acc_add(&sum, x[i]);
    ++count;
  }
  return count > 0 ? sky_acc_value(&sum) / (double)count : 0;
}

sky_status sky_local_mean(sky_context *ctx, size_t nx, size_t ny, const double *x, double sigma,
                          size_t half, double *mean, double *variance, double *count) {
  const size_t n = nx * ny;
  const int threads = sky_context_threads(ctx);
  double *g = NULL, *weight = NULL, *square = NULL, *norm = NULL, *work = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(g, SKY_NEW(ctx, double, 2 * (2 * half + 1)));
  SKY_GO_ALLOC(weight, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, n));
  if (variance != NULL) SKY_GO_ALLOC(square, SKY_NEW(ctx, double, n));
  if (count != NULL) SKY_GO_ALLOC(norm, SKY_NEW(ctx, double, n));
  double *g2 = g + 2 * half + 1;
  for (size_t k = 0; k <= 2 * half; ++k) {
    const double d = ((double)k - (double)half) / sigma;
    g[k] = exp(-d * d / 2);
    g2[k] = g[k] * g[k];
  }
  const double centre = centre_of(n, x);
  for (size_t i = 0; i < n; ++i) {
    const bool valid = !isnan(x[i]);
    const double v = valid ? x[i] - centre : 0;
    weight[i] = valid;
    mean[i] = v;
    if (square != NULL) square[i] = v * v;
    if (norm != NULL) norm[i] = valid;
  }
  smooth(nx, ny, weight, g, half, threads, work);
  smooth(nx, ny, mean, g, half, threads, work);
  if (square != NULL) smooth(nx, ny, square, g, half, threads, work);
  if (norm != NULL) smooth(nx, ny, norm, g2, half, threads, work);
  for (size_t i = 0; i < n; ++i) {
    const bool any = weight[i] > 0;
    const double m = any ? mean[i] / weight[i] : NAN;
    mean[i] = m + centre;
    if (variance != NULL) variance[i] = any ? fmax(square[i] / weight[i] - m * m, 0) : NAN;
    if (count != NULL) count[i] = any ? weight[i] * weight[i] / norm[i] : 0;
  }
cleanup:
  sky_free(g);
  sky_free(weight);
  sky_free(square);
  sky_free(norm);
  sky_free(work);
  return st;
}
