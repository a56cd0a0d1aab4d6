/* information.c: the normal equations and the labelled state vector of an IMI run.
 *
 * The matrix must be square and symmetric to rounding, the labels whole numbers 1..m that all
 * occur, with m <= n; the n - m last elements are the boundary. */
#include "src/read/information.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/gridded.h"

#define ASYMMETRY 1e-7 /* of the largest element: such files are sums of float32 products */

void sky_information_free(sky_information *i) {
  if (i == NULL) return;
  sky_free(i->F);
  sky_free(i->g);
  sky_free(i->label);
  sky_grid_free(&i->grid);
  memset(i, 0, sizeof *i);
}

static sky_status read_shape(sky_context *ctx, sky_nc *nc, const char *var, int ndims, size_t n,
                             double **out) {
  sky_nc_var info;
  SKY_TRY(sky_nc_info(ctx, nc, var, &info));
  bool fits = info.ndims == ndims;
  for (int d = 0; d < info.ndims && fits; d++)
    fits = info.size[d] == n;
  if (!fits)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: expected %d dimensions of %zu", sky_nc_path(nc),
                    var, ndims, n);
  SKY_TRY(sky_gridded_values(ctx, nc, var, &info, out));
  for (size_t i = 0; i < info.count; i++)
    if (!isfinite((*out)[i]))
      return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: element %zu is %g", sky_nc_path(nc), var, i,
                      (*out)[i]);
  return SKY_OK;
}

static sky_status check_symmetry(sky_context *ctx, const sky_nc *nc, const double *F, size_t n) {
  double largest = 0, worst = 0;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < n; k++) {
      largest = fmax(largest, fabs(F[i * n + k]));
      worst = fmax(worst, fabs(F[i * n + k] - F[k * n + i]));
    }
  }
  if (worst <= ASYMMETRY * largest) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: KTinvSoK: not symmetric (by %g of %g)", sky_nc_path(nc),
                  worst, largest);
}

/* A number that a run may leave out. */
static sky_status read_scalar(sky_context *ctx, sky_nc *nc, const char *var, double absent,
                              double *out) {
  sky_nc_var info;
  double *v = NULL;
  *out = absent;
  if (!sky_nc_has(nc, var)) return SKY_OK;
  SKY_TRY(sky_nc_info(ctx, nc, var, &info));
  if (info.count != 1)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected one", sky_nc_path(nc), var,
                    info.count);
  SKY_TRY(sky_nc_read(ctx, nc, var, &info, &v));
  *out = v[0];
  sky_free(v);
  return SKY_OK;
}

static sky_status read_result(sky_context *ctx, const char *path, sky_information *i) {
  sky_status st = SKY_OK;
  sky_nc *nc = NULL;
  sky_nc_var info;
  SKY_GO(sky_nc_open(ctx, path, &nc));
  SKY_GO(sky_nc_info(ctx, nc, "KTinvSoyKxA", &info));
  i->n = info.count;
  if (i->n == 0) {
    st = sky_fail(ctx, SKY_E_NODATA, "%s: KTinvSoyKxA: no state element", path);
    goto cleanup;
  }
  SKY_GO(read_shape(ctx, nc, "KTinvSoyKxA", 1, i->n, &i->g));
  SKY_GO(read_shape(ctx, nc, "KTinvSoK", 2, i->n, &i->F));
  SKY_GO(check_symmetry(ctx, nc, i->F, i->n));
  SKY_GO(read_scalar(ctx, nc, "gamma", 1, &i->gamma));
  SKY_GO(read_scalar(ctx, nc, "prior_err", NAN, &i->prior_sd));
  SKY_GO(read_scalar(ctx, nc, "prior_err_bc", NAN, &i->boundary_sd));
  if (!(i->gamma > 0))
    st = sky_fail(ctx, SKY_E_RANGE, "%s: gamma: %g, expected a positive number", path, i->gamma);
cleanup:
  sky_nc_close(nc);
  return st;
}

/* Every label 1..max must occur: a gap would shift all elements behind it. */
static sky_status check_labels(sky_context *ctx, const char *path, sky_information *i,
                               int32_t max) {
  bool *seen = SKY_NEW0(ctx, bool, (size_t)max + 1);
  if (seen == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  for (size_t c = 0; c < sky_grid_cells(&i->grid); c++)
    seen[i->label[c]] = true;
  for (int32_t k = 1; k <= max && st == SKY_OK; k++)
    if (!seen[k])
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: StateVector: no cell has label %d", path, k);
  sky_free(seen);
  return st;
}

static sky_status read_state(sky_context *ctx, const char *path, sky_information *i) {
  sky_status st = SKY_OK;
  sky_nc *nc = NULL;
  sky_gridded g = {0};
  double *v = NULL;
  int32_t max = 0;
  SKY_GO(sky_nc_open(ctx, path, &nc));
  SKY_GO(sky_gridded_open(ctx, nc, "StateVector", &g));
  if (g.n_time != 1) {
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: StateVector: %zu time steps, expected 1", path, g.n_time);
    goto cleanup;
  }
  SKY_GO(sky_gridded_values(ctx, nc, "StateVector", &g.info, &v));
  SKY_GO_ALLOC(i->label, SKY_NEW(ctx, int32_t, sky_grid_cells(&g.grid)));
  for (size_t c = 0; c < sky_grid_cells(&g.grid); c++) {
    const double label = v[sky_gridded_at(&g, 0, c)];
    if (!isnan(label) && (label < 0 || label > (double)i->n || label != nearbyint(label))) {
      st = sky_fail(ctx, SKY_E_FORMAT,
                    "%s: StateVector: label %g in cell %zu, the matrix has %zu elements", path,
                    label, c, i->n);
      goto cleanup;
    }
    i->label[c] = isnan(label) ? 0 : (int32_t)label;
    max = i->label[c] > max ? i->label[c] : max;
  }
  i->grid = g.grid;
  memset(&g.grid, 0, sizeof g.grid);
  i->n_boundary = i->n - (size_t)max;
  SKY_GO(check_labels(ctx, path, i, max));
cleanup:
  sky_free(v);
  sky_gridded_free(&g);
  sky_nc_close(nc);
  return st;
}

sky_status sky_information_read(sky_context *ctx, const char *result_path, const char *state_path,
                                sky_information *out) {
  sky_information i = {0};
  sky_status st = read_result(ctx, result_path, &i);
  if (st == SKY_OK) st = read_state(ctx, state_path, &i);
  if (st != SKY_OK) {
    sky_information_free(&i);
    return st;
  }
  *out = i;
  return SKY_OK;
}
