/* boundary.c: see boundary.h. Dimensions are found by name, in any order. */
#include "src/read/boundary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/nc.h"

static const char SIDE[SKY_SIDES] = {'n', 'e', 's', 'w'};

void sky_curtains_free(sky_curtains *c) {
  sky_free(c->time);
  sky_free(c->lon);
  sky_free(c->lat);
  sky_free(c->height);
  for (int k = 0; k < SKY_SIDES; ++k) {
    sky_free(c->along[k]);
    sky_free(c->value[k]);
  }
  memset(c, 0, sizeof *c);
}

size_t sky_curtains_size(const sky_curtains *c) {
  size_t n = 0;
  for (int k = 0; k < SKY_SIDES; ++k)
    n += c->n_height * c->n_along[k];
  return n;
}

static sky_status read_axis(sky_context *ctx, sky_nc *f, const char *name, size_t n, double **out) {
  sky_nc_var info;
  SKY_TRY(sky_nc_info(ctx, f, name, &info));
  if (info.count != n)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu", sky_nc_path(f), name,
                    info.count, n);
  SKY_TRY(sky_nc_read(ctx, f, name, &info, out));
  for (size_t k = 1; k < n; ++k)
    if (!((*out)[k] > (*out)[k - 1]))
      return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: does not ascend", sky_nc_path(f), name);
  return SKY_OK;
}

/* (time, height, along) from whatever order the file has. */
static sky_status read_side(sky_context *ctx, sky_nc *f, const char *var, int side,
                            sky_curtains *c) {
  sky_nc_var info;
  double *raw = NULL;
  int dim[3] = {-1, -1, -1}; /* time, height, along */
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_info(ctx, f, var, &info));
  for (int d = 0; d < info.ndims; ++d) {
    const int role = strcmp(info.dim[d], "time") == 0     ? 0
                     : strcmp(info.dim[d], "height") == 0 ? 1
                                                          : 2;
    dim[role] = d;
  }
  if (info.ndims != 3 || dim[0] < 0 || dim[1] < 0 || dim[2] < 0)
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT,
                    "%s: %s: dimensions are not time, height and one along the side",
                    sky_nc_path(f), var));
  const size_t nt = info.size[dim[0]], nh = info.size[dim[1]], na = info.size[dim[2]];
  if (c->n_height != 0 && (nt != c->n || nh != c->n_height))
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: %s: another shape than the other sides", sky_nc_path(f),
                    var));
  c->n = nt;
  c->n_height = nh;
  c->n_along[side] = na;
  SKY_GO(read_axis(ctx, f, info.dim[dim[2]], na, &c->along[side]));
  SKY_GO(sky_nc_read(ctx, f, var, &info, &raw));
  size_t stride[3] = {info.size[1] * info.size[2], info.size[2], 1};
  SKY_GO_ALLOC(c->value[side], SKY_NEW(ctx, double, info.count));
  for (size_t t = 0, at = 0; t < nt; ++t)
    for (size_t h = 0; h < nh; ++h)
      for (size_t a = 0; a < na; ++a)
        c->value[side][at++] = raw[t * stride[dim[0]] + h * stride[dim[1]] + a * stride[dim[2]]];
cleanup:
  sky_free(raw);
  return st;
}

static sky_status read_all(sky_context *ctx, sky_nc *f, const char *prefix, sky_curtains *c) {
  for (int k = 0; k < SKY_SIDES; ++k) {
    char var[32];
    snprintf(var, sizeof var, "%s%c", prefix, SIDE[k]);
    SKY_TRY(read_side(ctx, f, var, k, c));
  }
  SKY_TRY(read_axis(ctx, f, "height", c->n_height, &c->height));
  size_t n = 0;
  SKY_TRY(sky_nc_read_time(ctx, f, "time", &n, &c->time));
  if (n == c->n) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: time: %zu values, expected %zu", sky_nc_path(f), n, c->n);
}

static sky_status read_place(sky_context *ctx, sky_nc *f, const char *var, size_t n, double **out) {
  sky_nc_var info;
  SKY_TRY(sky_nc_info(ctx, f, var, &info));
  if (info.count == n) return sky_nc_read(ctx, f, var, &info, out);
  return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu", sky_nc_path(f), var,
                  info.count, n);
}

static sky_status open_and_read(sky_context *ctx, const char *path, const char *prefix, bool exits,
                                sky_curtains *out) {
  sky_nc *f = NULL;
  double levels = 0;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(read_all(ctx, f, prefix, out));
  if (exits) {
    SKY_GO(read_place(ctx, f, "release_lon", out->n, &out->lon));
    SKY_GO(read_place(ctx, f, "release_lat", out->n, &out->lat));
    if (sky_nc_attr_number(ctx, f, "", "max_level", &levels) == SKY_OK && levels > 0)
      out->levels = (size_t)levels;
    else
      sky_error_clear(ctx);
  }
cleanup:
  sky_nc_close(f);
  if (st != SKY_OK) sky_curtains_free(out);
  return st;
}

sky_status sky_boundary_read(sky_context *ctx, const char *path, sky_curtains *out) {
  return open_and_read(ctx, path, "vmr_", false, out);
}
sky_status sky_exits_read(sky_context *ctx, const char *path, sky_curtains *out) {
  return open_and_read(ctx, path, "particle_locations_", true, out);
}

/* --- curtains where the particles left ---------------------------------------------------------
 */

/* Index below x and its share of the next one; the ends hold beyond. */
static size_t bracket(size_t n, const double *axis, double x, double *part) {
  size_t k = 0;
  *part = 0;
  if (!(x > axis[0]) || n == 1) return 0;
  if (x >= axis[n - 1]) {
    *part = 1;
    return n - 2;
  }
  while (axis[k + 1] <= x)
    ++k;
  *part = (x - axis[k]) / (axis[k + 1] - axis[k]);
  return k;
}

/* Both describe the same domain: its edges are the ends of the axes. */
static bool same_domain(const sky_curtains *a, const sky_curtains *b) {
  for (int k = 0; k < SKY_SIDES; ++k) {
    const size_t n = a->n_along[k], m = b->n_along[k];
    if (n == 0 || m == 0 || fabs(a->along[k][0] - b->along[k][0]) > 1 ||
        fabs(a->along[k][n - 1] - b->along[k][m - 1]) > 1)
      return false;
  }
  return true;
}

sky_status sky_boundary_at(sky_context *ctx, const sky_curtains *boundary, size_t at,
                           const sky_curtains *exits, double *vmr) {
  if (!same_domain(boundary, exits)) {
    const double *lon = boundary->along[SKY_SIDE_NORTH], *lat = boundary->along[SKY_SIDE_EAST];
    const double *other = exits->along[SKY_SIDE_NORTH], *up = exits->along[SKY_SIDE_EAST];
    return sky_fail(ctx, SKY_E_COVERAGE,
                    "the curtains stand around %g..%g E, %g..%g N, the footprints' domain is "
                    "%g..%g E, %g..%g N",
                    lon[0], lon[boundary->n_along[SKY_SIDE_NORTH] - 1], lat[0],
                    lat[boundary->n_along[SKY_SIDE_EAST] - 1], other[0],
                    other[exits->n_along[SKY_SIDE_NORTH] - 1], up[0],
                    up[exits->n_along[SKY_SIDE_EAST] - 1]);
  }
  const size_t H = boundary->n_height;
  for (int side = 0; side < SKY_SIDES; ++side) {
    const size_t A = boundary->n_along[side];
    const double *v = boundary->value[side] + at * H * A;
    for (size_t h = 0; h < exits->n_height; ++h) {
      double up, beside;
      const size_t i = bracket(H, boundary->height, exits->height[h], &up);
      const size_t next = H > 1 ? A : 0;
      for (size_t a = 0; a < exits->n_along[side]; ++a) {
        const size_t j = bracket(A, boundary->along[side], exits->along[side][a], &beside);
        const double *p = v + i * A + j;
        const size_t right = A > 1 ? 1 : 0;
        const double low = p[0] + beside * (p[right] - p[0]);
        const double high = p[next] + beside * (p[next + right] - p[next]);
        *vmr++ = low + up * (high - low);
      }
    }
  }
  return SKY_OK;
}
