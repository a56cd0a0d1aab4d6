/* decode_kernel.c: the vertical part of a sounding: levels or layers with index 0 at the surface,
 * weights that sum to 1, normalised kernel, prior profile and column (skyflux/soundings.h), from
 * the convention of the product. Orientation follows pressure, never the index.
 *
 * Products with less levels over mountains leave the ends of all arrays empty: such levels are cut
 * off, and the profile is padded above its top as in sky_soundings_append. */
#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/decode.h"

static void reverse(double *x, size_t n) {
  for (size_t a = 0, b = n; a + 1 < b; ++a) {
    const double t = x[--b];
    x[b] = x[a];
    x[a] = t;
  }
}

static void reverse_row(sky_soundings *s, size_t i) {
  const size_t K = s->n_levels;
  reverse(s->pressure + i * K, K);
  reverse(s->weight + i * K, K);
  reverse(s->ak + i * K, K);
  reverse(s->profile + i * K, K);
}

/* Is the pressure at the first finite end lower than at the last one? */
static bool top_first(const double *p, size_t n) {
  size_t a = 0, b = n;
  while (a < n && !isfinite(p[a]))
    ++a;
  while (b > a && !isfinite(p[b - 1]))
    --b;
  return b > a && p[a] < p[b - 1];
}

/* Pressures per level are in the file: they say which end is the surface. */
static sky_status orient_by_pressure(decoder *d) {
  const size_t K = d->n_levels;
  SKY_TRY(decode_gather(d, SKY_ROLE_PRESSURE, K, d->s.pressure));
  for (size_t i = 0; i < d->m; ++i) {
    if (top_first(d->s.pressure + i * K, K)) reverse_row(&d->s, i);
  }
  return SKY_OK;
}

/* Pressures of the K+1 boundaries: they orient, a layer gets the mean of its two, and the lowest
 * boundary is the surface where the product states no surface pressure. */
static sky_status orient_by_edges(decoder *d) {
  const size_t K = d->n_levels;
  double *edge = SKY_NEW(d->ctx, double, d->m *(K + 1));
  if (edge == NULL) return SKY_E_NOMEM;
  const sky_status st = decode_gather(d, SKY_ROLE_PRESSURE, K + 1, edge);
  for (size_t i = 0; i < d->m && st == SKY_OK; ++i) {
    double *p = edge + i * (K + 1);
    for (size_t k = 0; k < K; ++k)
      d->s.pressure[i * K + k] = (p[k] + p[k + 1]) / 2;
    const bool reversed = top_first(p, K + 1);
    if (reversed) reverse_row(&d->s, i);
    if (d->path[SKY_ROLE_SURFACE_PRESSURE] == NULL)
      d->s.surface_pressure[i] = reversed ? p[K] : p[0];
  }
  sky_free(edge);
  return st;
}

/* Layers of equal pressure thickness: mid pressures p_s - (k + 1/2)·Δp from the surface. The other
 * arrays come from the file, top first unless the layer altitudes say otherwise. */
static sky_status orient_by_steps(decoder *d) {
  const size_t K = d->n_levels;
  sky_status st = SKY_OK;
  double *step = NULL, *altitude = NULL;
  SKY_GO_ALLOC(step, SKY_NEW(d->ctx, double, d->m));
  SKY_GO(decode_gather(d, SKY_ROLE_PRESSURE_STEP, 1, step));
  if (d->path[SKY_ROLE_ALTITUDE] != NULL) {
    SKY_GO_ALLOC(altitude, SKY_NEW(d->ctx, double, d->m *(K + 1)));
    SKY_GO(decode_gather(d, SKY_ROLE_ALTITUDE, K + 1, altitude));
  }
  for (size_t i = 0; i < d->m; ++i) {
    const double *z = altitude != NULL ? altitude + i * (K + 1) : NULL;
    if (z == NULL || !(z[0] < z[K])) reverse_row(&d->s, i);
    for (size_t k = 0; k < K; ++k) {
      d->s.pressure[i * K + k] = d->s.surface_pressure[i] - ((double)k + 0.5) * step[i];
    }
  }
cleanup:
  sky_free(step);
  sky_free(altitude);
  return st;
}

/* --- ends without a value ----------------------------------------------------------------------
 */

/* One missing value of four is a hole in the kernel, and no end of it. */
static bool empty_level(const sky_soundings *s, size_t at) {
  return isnan(s->pressure[at]) && isnan(s->weight[at]) && isnan(s->ak[at]) &&
         isnan(s->profile[at]);
}

static void cut_ends(sky_soundings *s, size_t i) {
  const size_t K = s->n_levels, at = i * K;
  double *const array[4] = {s->pressure, s->weight, s->ak, s->profile};
  size_t a = 0, b = K;
  while (a < K && empty_level(s, at + a))
    ++a;
  while (b > a && empty_level(s, at + b - 1))
    --b;
  if (a == b || (a == 0 && b == K)) return; /* nothing there, or nothing missing */
  for (int v = 0; v < 4; ++v) {
    memmove(array[v] + at, array[v] + at + a, (b - a) * sizeof(double));
    for (size_t k = b - a; k < K; ++k)
      array[v][at + k] = v == 1 ? 0 : NAN;
  }
}

/* --- weights and prior -------------------------------------------------------------------------
 */

/* weight holds dry, profile holds the prior sub-columns. */
static void derive_from_subcolumns(sky_soundings *s) {
  const size_t K = s->n_levels;
  for (size_t i = 0; i < s->n; ++i) {
    double *w = s->weight + i * K, *c = s->profile + i * K;
    double dry = 0, gas = 0;
    for (size_t k = 0; k < K; ++k) {
      dry += w[k];
      gas += c[k];
    }
    s->prior[i] = gas / dry;
    for (size_t k = 0; k < K; ++k) {
      c[k] /= w[k];
      w[k] /= dry;
    }
  }
}

/* weight holds the operator, profile the wet mole fractions. */
static sky_status derive_from_operator(decoder *d) {
  const size_t count = d->m * d->n_levels;
  double *water = SKY_NEW(d->ctx, double, count);
  if (water == NULL) return SKY_E_NOMEM;
  const sky_status st = decode_gather(d, SKY_ROLE_WATER, d->n_levels, water);
  for (size_t i = 0; i < count && st == SKY_OK; ++i) {
    d->s.weight[i] *= 1.0 - water[i];
    d->s.profile[i] /= 1.0 - water[i];
  }
  sky_free(water);
  return st;
}

/* The product states no prior column: its own weights make it. */
static void derive_prior(sky_soundings *s) {
  const size_t K = s->n_levels;
  for (size_t i = 0; i < s->n; ++i) {
    double sum = 0;
    for (size_t k = 0; k < K; ++k) {
      if (s->weight[i * K + k] != 0) sum += s->weight[i * K + k] * s->profile[i * K + k];
    }
    s->prior[i] = sum;
  }
}

/* Kernel and prior must stand on the same levels. */
static sky_status check_axes(decoder *d) {
  if (sky_reader_field(d->r, SKY_ROLE_AK_AXIS) == NULL) return SKY_OK;
  double *a = NULL, *b = NULL;
  sky_nc_var info_a, info_b;
  sky_status st = SKY_OK;
  SKY_GO(decode_read(d, SKY_ROLE_AK_AXIS, &info_a, &a));
  SKY_GO(decode_read(d, SKY_ROLE_PROFILE_AXIS, &info_b, &b));
  bool same = info_a.count == d->n_levels && info_b.count == d->n_levels;
  for (size_t k = 0; k < d->n_levels && same; ++k)
    same = fabs(a[k] - b[k]) <= 1.0; /* m */
  if (!same) {
    st = sky_fail(d->ctx, SKY_E_FORMAT, "%s: %s and %s are not the same levels", sky_nc_path(d->f),
                  d->path[SKY_ROLE_AK_AXIS], d->path[SKY_ROLE_PROFILE_AXIS]);
  }
cleanup:
  sky_free(a);
  sky_free(b);
  return st;
}

sky_status decode_count_levels(decoder *d) {
  d->n_levels = 0;
  if (d->r->kernel == SKY_KERNEL_NONE || d->no_kernel[0] != '\0') return SKY_OK;
  if (d->r->kernel == SKY_KERNEL_LOG_SVD) {
    d->n_levels = decode_profile_levels(d->profiles);
    return SKY_OK;
  }
  sky_nc_var info;
  SKY_TRY(sky_nc_info(d->ctx, d->f, d->path[SKY_ROLE_AK], &info));
  d->n_levels = info.ndims > 0 ? info.size[info.ndims - 1] : 0;
  const bool shared = info.ndims == 1 && info.count != d->n;
  if (d->n_levels == 0 || (!shared && info.count != d->n * d->n_levels)) {
    return decode_wrong_count(d, SKY_ROLE_AK, info.count, d->n * d->n_levels);
  }
  return SKY_OK;
}

static sky_status orient(decoder *d) {
  switch (d->r->pressure) {
    case SKY_PRESSURE_STEPS_TOP_FIRST:
      return orient_by_steps(d);
    case SKY_PRESSURE_EDGES:
      return orient_by_edges(d);
    default:
      return orient_by_pressure(d);
  }
}

sky_status decode_kernels(decoder *d) {
  static const sky_role WEIGHT[] = {SKY_ROLE_WEIGHT, SKY_ROLE_DRY_SUBCOLUMN, SKY_ROLE_OPERATOR};
  const size_t K = d->n_levels;
  if (d->r->kernel == SKY_KERNEL_LOG_SVD) {
    decode_profile_kernels(d);
    return SKY_OK;
  }
  SKY_TRY(decode_gather(d, SKY_ROLE_PRIOR, 1, d->s.prior));
  SKY_TRY(decode_gather(d, SKY_ROLE_SURFACE_PRESSURE, 1, d->s.surface_pressure));
  if (K == 0) return SKY_OK;
  const sky_role profile =
      d->r->kernel == SKY_KERNEL_SUBCOLUMNS ? SKY_ROLE_PRIOR_SUBCOLUMN : SKY_ROLE_PROFILE;
  SKY_TRY(check_axes(d));
  SKY_TRY(decode_gather(d, SKY_ROLE_AK, K, d->s.ak));
  SKY_TRY(decode_gather(d, WEIGHT[d->r->kernel], K, d->s.weight));
  SKY_TRY(decode_gather(d, profile, K, d->s.profile));
  if (d->r->kernel == SKY_KERNEL_SUBCOLUMNS) derive_from_subcolumns(&d->s);
  if (d->r->kernel == SKY_KERNEL_WET_OPERATOR) SKY_TRY(derive_from_operator(d));
  SKY_TRY(orient(d));
  for (size_t i = 0; i < d->m; ++i)
    cut_ends(&d->s, i);
  if (d->path[SKY_ROLE_PRIOR] == NULL && d->r->kernel != SKY_KERNEL_SUBCOLUMNS) derive_prior(&d->s);
  return SKY_OK;
}
