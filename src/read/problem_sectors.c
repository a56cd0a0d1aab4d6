/* problem_sectors.c: see problem_sectors.h. */
#include "src/read/problem_sectors.h"

#include <lapacke.h>
#include <math.h>

#include "src/core/memory.h"
#include "src/read/problem_array.h"

#define MOST_SECTORS 64
#define SEMIDEFINITE 1e-12 /* an eigenvalue below 0 that is rounding */

sky_status sky_problem_read_mixing(sky_context *ctx, sky_nc *f, const sky_problem *p, size_t *n,
                                   double **out) {
  sky_nc_var info;
  double *M = NULL, *A = NULL, value[MOST_SECTORS];
  sky_status st = SKY_OK;
  *n = 1;
  if (!sky_nc_has(f, "sector_mixing")) return SKY_OK;
  SKY_TRY(sky_nc_info(ctx, f, "sector_mixing", &info));
  *n = (size_t)lround(sqrt((double)info.count));
  if (info.ndims != 2 || info.size[0] != info.size[1] || *n < 1 || *n > MOST_SECTORS ||
      *n * *n != info.count || p->n_cell % *n != 0)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: sector_mixing: %zu values for %zu cells (expected n*n, n a divisor of the "
                    "cells, at most %d)",
                    sky_nc_path(f), info.count, p->n_cell, MOST_SECTORS);
  SKY_GO(sky_nc_read(ctx, f, "sector_mixing", &info, &M));
  SKY_GO_ALLOC(A, SKY_NEW(ctx, double, info.count));
  for (size_t i = 0; i < info.count; i++) {
    const size_t a = i / *n, b = i % *n;
    if (!isfinite(M[i]) || M[i] != M[b * *n + a])
      SKY_GO(sky_fail(ctx, SKY_E_RANGE,
                      "%s: sector_mixing[%zu,%zu] is %g (expected a symmetric matrix)",
                      sky_nc_path(f), a, b, M[i]));
    A[i] = M[i];
  }
  if (LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'N', 'L', (lapack_int)*n, A, (lapack_int)*n, value) != 0 ||
      value[0] < -SEMIDEFINITE * fabs(value[*n - 1]))
    SKY_GO(sky_fail(ctx, SKY_E_RANGE,
                    "%s: sector_mixing has the eigenvalue %g (expected none below 0)",
                    sky_nc_path(f), value[0]));
  *out = M;
  M = NULL;
cleanup:
  sky_free(M);
  sky_free(A);
  return st;
}

/* Every sector repeats the mesh. */
static sky_status check_places(sky_context *ctx, sky_nc *f, const sky_problem *p) {
  const size_t width = p->n_cell / p->n_sector;
  for (size_t c = width; c < p->n_cell; c++)
    if (p->xc[c] != p->xc[c % width] || p->yc[c] != p->yc[c % width])
      return sky_fail(
          ctx, SKY_E_FORMAT,
          "%s: cell %zu is not cell %zu of another sector (expected the same xc and yc)",
          sky_nc_path(f), c, c % width);
  return SKY_OK;
}

/* Variances are x_sd's; sectors that mix have one length, or E need not be a correlation. */
static sky_status check_mixing(sky_context *ctx, sky_nc *f, const sky_problem *p) {
  const size_t n = p->n_sector;
  for (size_t a = 0; a < n; a++) {
    if (fabs(p->mixing[a * n + a] - 1) > SEMIDEFINITE)
      return sky_fail(ctx, SKY_E_RANGE,
                      "%s: sector_mixing[%zu,%zu] is %g (expected 1 beside cov: x_sd has the "
                      "variances)",
                      sky_nc_path(f), a, a, p->mixing[a * n + a]);
    for (size_t b = 0; p->sector_reach != NULL && b < a; b++)
      if (p->mixing[a * n + b] != 0 && p->sector_reach[a] != p->sector_reach[b])
        return sky_fail(ctx, SKY_E_RANGE,
                        "%s: sector_reach of %zu is %g, of %zu %g (expected one length where "
                        "sector_mixing is not 0)",
                        sky_nc_path(f), a, p->sector_reach[a], b, p->sector_reach[b]);
  }
  return SKY_OK;
}

sky_status sky_problem_read_sectors(sky_context *ctx, sky_nc *f, sky_problem *p) {
  if (!sky_nc_has(f, "sector_mixing")) return SKY_OK;
  SKY_TRY(sky_problem_read_mixing(ctx, f, p, &p->n_sector, &p->mixing));
  SKY_TRY(check_places(ctx, f, p));
  if (sky_nc_has(f, "sector_reach")) {
    SKY_TRY(
        sky_problem_vector(ctx, f, "sector_reach", "sector", p->n_sector, NULL, &p->sector_reach));
    for (size_t k = 0; k < p->n_sector; k++)
      if (!(p->sector_reach[k] > 0 && isfinite(p->sector_reach[k])))
        return sky_fail(ctx, SKY_E_RANGE, "%s: sector_reach[%zu]: %g (expected a number > 0)",
                        sky_nc_path(f), k, p->sector_reach[k]);
  }
  return check_mixing(ctx, f, p);
}
