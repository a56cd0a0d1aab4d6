/* osse_pool.c: see osse_pool.h. */
#include "algorithms/inversion/osse_pool.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "src/core/memory.h"

#define SINGULAR 1e-8 /* eigenvalue of a correlation that is rounding: zones that nest */

void sky_osse_pool_add(sky_osse_pool *p, double value, double mean, double variance) {
  p->sum += value;
  p->mean += mean;
  p->variance += variance;
}

double sky_osse_chi2(double dof, double z) {
  const double a = 2 / (9 * dof), root = 1 - a + z * sqrt(a);
  return root > 0 ? dof * root * root * root : 0;
}

/* Satterthwaite: the sum is mean/dof times χ² of dof = 2 mean²/variance. */
void sky_osse_pool_finish(sky_osse_pool *p, double z) {
  const double dof = 2 * p->mean * p->mean / p->variance;
  p->ratio = p->sum / p->mean;
  p->low = sky_osse_chi2(dof, -z) / dof;
  p->high = sky_osse_chi2(dof, z) / dof;
}

/* ---- zones together -------------------------------------------------------------------------- */

sky_status sky_osse_joint_make(sky_context *ctx, size_t n, const double *cov, sky_osse_joint *out) {
  sky_status st = SKY_OK;
  *out = (sky_osse_joint){.n = n};
  SKY_GO_ALLOC(out->sd, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(out->V, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(out->value, SKY_NEW(ctx, double, n));
  for (size_t i = 0; i < n; i++)
    out->sd[i] = sqrt(fmax(cov[i * n + i], 0));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      const double s = out->sd[i] * out->sd[j], rho = s > 0 ? cov[i * n + j] / s : 0;
      out->V[i * n + j] = rho;
      out->square += rho * rho;
    }
  sky_blas_single();
  /* column-major: eigenvectors come as rows, their values rising */
  if (LAPACKE_dsyev(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, out->V, (lapack_int)n, out->value) !=
      0)
    SKY_GO(sky_fail(ctx, SKY_E_NOT_SPD, "osse: the covariance of the zones has no eigenvalues"));
  for (size_t k = 0; k < n; k++)
    out->rank += out->value[k] > SINGULAR * out->value[n - 1];
cleanup:
  if (st != SKY_OK) sky_osse_joint_free(out);
  return st;
}

void sky_osse_joint_free(sky_osse_joint *j) {
  sky_free(j->sd);
  sky_free(j->V);
  sky_free(j->value);
  memset(j, 0, sizeof *j);
}

void sky_osse_joint_forms(const sky_osse_joint *j, const double *miss, double *own, double *joint) {
  const size_t n = j->n;
  *own = *joint = 0;
  for (size_t i = 0; i < n; i++)
    if (j->sd[i] > 0) *own += miss[i] / j->sd[i] * (miss[i] / j->sd[i]);
  for (size_t k = n - j->rank; k < n; k++) {
    double along = 0;
    for (size_t i = 0; i < n; i++)
      if (j->sd[i] > 0) along += j->V[k * n + i] * miss[i] / j->sd[i];
    *joint += along * along / j->value[k];
  }
}

/* ---- draws ----------------------------------------------------------------------------------- */

typedef struct half { /* draws begin … end-1 */
  const sky_sampled *drawn;
  size_t begin, end;
} half;

static void moments(const half *h, double *mean, double *cov) {
  const size_t nz = h->drawn->n_zone;
  const double n = (double)(h->end - h->begin);
  memset(mean, 0, nz * sizeof *mean);
  memset(cov, 0, nz * nz * sizeof *cov);
  for (size_t k = h->begin; k < h->end; k++)
    for (size_t z = 0; z < nz; z++)
      mean[z] += h->drawn->zone[k * nz + z] / n;
  for (size_t k = h->begin; k < h->end; k++)
    for (size_t a = 0; a < nz; a++)
      for (size_t b = 0; b < nz; b++)
        cov[a * nz + b] +=
            (h->drawn->zone[k * nz + a] - mean[a]) * (h->drawn->zone[k * nz + b] - mean[b]) / n;
}

sky_status sky_osse_joint_ranks(sky_context *ctx, const sky_sampled *drawn, const double *truth,
                                double *own, double *joint) {
  const size_t nz = drawn->n_zone, all = drawn->n_chain * drawn->n_draw;
  const half first = {drawn, 0, all / 2}, second = {drawn, all / 2, all};
  double *mean = NULL, *cov = NULL, *miss = NULL, at[2], of[2];
  size_t above[2] = {0, 0};
  sky_osse_joint j = {0};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(mean, SKY_NEW(ctx, double, nz));
  SKY_GO_ALLOC(miss, SKY_NEW(ctx, double, nz));
  SKY_GO_ALLOC(cov, SKY_NEW(ctx, double, nz *nz));
  moments(&first, mean, cov);
  SKY_GO(sky_osse_joint_make(ctx, nz, cov, &j));
  for (size_t z = 0; z < nz; z++)
    miss[z] = truth[z] - mean[z];
  sky_osse_joint_forms(&j, miss, &at[0], &at[1]);
  for (size_t k = second.begin; k < second.end; k++) {
    for (size_t z = 0; z < nz; z++)
      miss[z] = drawn->zone[k * nz + z] - mean[z];
    sky_osse_joint_forms(&j, miss, &of[0], &of[1]);
    above[0] += of[0] > at[0];
    above[1] += of[1] > at[1];
  }
  const double n = (double)(second.end - second.begin);
  *own = -2 * log(((double)above[0] + 0.5) / (n + 1));
  *joint = -2 * log(((double)above[1] + 0.5) / (n + 1));
cleanup:
  sky_osse_joint_free(&j);
  sky_free(mean);
  sky_free(miss);
  sky_free(cov);
  return st;
}
