/* synth_city_draw.c: exact draws from low rank + diagonal with signs.
 *
 * Q = P Pᵀ + (D - N Nᵀ): P the factors of positive sign, N of negative, D = diag(variance). As each
 * factor of negative sign is the constraint of some shares (algorithms/inventory/gridder.md), the
 * bracket is positive semi-definite. With U = D^-1/2 N and Uᵀ U = V Λ Vᵀ (Λ <= 1),
 *
 *   D - N Nᵀ = D^1/2 (I - U Uᵀ) D^1/2,  (I - U Uᵀ)^1/2 = I - U V diag(1/(1 + √(1 - λ))) Vᵀ Uᵀ,
 *
 * so P z + D^1/2 (I - U Uᵀ)^1/2 z' with z, z' ~ N(0, I) has the covariance Q. Singular directions
 * (the sum of shares) are exact. Eigenvalues by cyclic Jacobi rotations (Golub & Van Loan
 * 2013, 8.5). */
#include "src/job/synth_city_draw.h"

#include <math.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

/* One rotation that makes a[p][q] zero; v collects the rotations. */
static void rotate(size_t n, double *a, double *v, size_t p, size_t q) {
  const double theta = 0.5 * (a[q * n + q] - a[p * n + p]) / a[p * n + q];
  const double t = copysign(1.0, theta) / (fabs(theta) + sqrt(1 + theta * theta));
  const double c = 1 / sqrt(1 + t * t), s = t * c;
  for (size_t k = 0; k < n; k++) {
    const double x = a[k * n + p], y = a[k * n + q];
    a[k * n + p] = c * x - s * y;
    a[k * n + q] = s * x + c * y;
  }
  for (size_t k = 0; k < n; k++) {
    const double x = a[p * n + k], y = a[q * n + k];
    a[p * n + k] = c * x - s * y;
    a[q * n + k] = s * x + c * y;
  }
  for (size_t k = 0; k < n; k++) {
    const double x = v[k * n + p], y = v[k * n + q];
    v[k * n + p] = c * x - s * y;
    v[k * n + q] = s * x + c * y;
  }
}

/* a [n*n] symmetric -> eigenvalues on its diagonal, eigenvectors in the columns of v. */
static void eigen(size_t n, double *a, double *v) {
  for (size_t i = 0; i < n * n; i++)
    v[i] = i % (n + 1) == 0;
  for (int sweep = 0; sweep < 60; sweep++) {
    double off = 0;
    for (size_t p = 0; p < n; p++)
      for (size_t q = p + 1; q < n; q++)
        off = fmax(off, fabs(a[p * n + q]));
    if (off < 1e-15) return;
    for (size_t p = 0; p < n; p++)
      for (size_t q = p + 1; q < n; q++)
        if (fabs(a[p * n + q]) > 1e-17) rotate(n, a, v, p, q);
  }
}

/* u [r*n_cell]: D^-1/2 N, one row a factor. z -> (I - U Uᵀ)^1/2 z. */
static sky_status project(sky_context *ctx, size_t r, size_t n, const double *u, double *z) {
  double *gram = NULL, *v = NULL, *along = NULL, *back = NULL;
  sky_status st = SKY_OK;
  if (r == 0) return SKY_OK;
  SKY_GO_ALLOC(gram, SKY_NEW(ctx, double, r *r));
  SKY_GO_ALLOC(v, SKY_NEW(ctx, double, r *r));
  SKY_GO_ALLOC(along, SKY_NEW(ctx, double, r));
  SKY_GO_ALLOC(back, SKY_NEW0(ctx, double, r));
  for (size_t i = 0; i < r; i++) {
    along[i] = sky_dot(u + i * n, z, n);
    for (size_t j = 0; j <= i; j++)
      gram[i * r + j] = gram[j * r + i] = sky_dot(u + i * n, u + j * n, n);
  }
  eigen(r, gram, v);
  for (size_t k = 0; k < r; k++) {
    const double lambda = gram[k * r + k];
    if (lambda > 1 + 1e-9) {
      st = sky_fail(ctx, SKY_E_RANGE, "layer: its covariance is not positive (1 - %.12g)", lambda);
      goto cleanup;
    }
    double coordinate = 0;
    for (size_t i = 0; i < r; i++)
      coordinate += v[i * r + k] * along[i];
    coordinate /= 1 + sqrt(fmax(0.0, 1 - lambda));
    for (size_t i = 0; i < r; i++)
      back[i] += v[i * r + k] * coordinate;
  }
  for (size_t i = 0; i < r; i++)
    for (size_t c = 0; c < n; c++)
      z[c] -= u[i * n + c] * back[i];
cleanup:
  sky_free(gram);
  sky_free(v);
  sky_free(along);
  sky_free(back);
  return st;
}

sky_status sky_layer_draw(sky_context *ctx, const sky_layer *l, uint64_t seed, uint64_t stream,
                          double *out) {
  const size_t n = l->n_cell;
  double *z = NULL, *u = NULL;
  size_t r = 0;
  sky_status st = SKY_OK;
  if (l->variance == NULL) return sky_fail(ctx, SKY_E_RANGE, "layer: it states no error");
  SKY_GO_ALLOC(z, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(u, SKY_NEW0(ctx, double, (l->rank > 0 ? l->rank : 1) * n));
  for (size_t c = 0; c < n; c++) {
    z[c] = sky_rng_normal(seed, stream, l->rank + c);
    out[c] = isnan(l->flux[c]) ? 0 : l->flux[c];
  }
  for (size_t k = 0; k < l->rank; k++) {
    const double *f = l->factor + k * n;
    if (l->sign[k] > 0) {
      const double g = sky_rng_normal(seed, stream, k);
      for (size_t c = 0; c < n; c++)
        out[c] += g * f[c];
      continue;
    }
    for (size_t c = 0; c < n; c++) {
      if (f[c] == 0) continue;
      if (!(l->variance[c] > 0)) {
        st = sky_fail(ctx, SKY_E_RANGE, "layer: cell %zu has a negative variance", c);
        goto cleanup;
      }
      u[r * n + c] = f[c] / sqrt(l->variance[c]);
    }
    r++;
  }
  SKY_GO(project(ctx, r, n, u, z));
  for (size_t c = 0; c < n; c++)
    out[c] += sqrt(l->variance[c]) * z[c];
cleanup:
  sky_free(z);
  sky_free(u);
  return st;
}
