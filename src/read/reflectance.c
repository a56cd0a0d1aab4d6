/* reflectance.c: see reflectance.h. */
#include "src/read/reflectance.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/gridded.h"

#define SPHERE 6371007.181 /* m: the radius of the MODIS land grid */
#define SINUSOIDAL "+proj=sinu +lon_0=0 +R=6371007.181 +units=m +no_defs +type=crs"

enum { RED, NIR, BLUE, SWIR, STATE, QUALITY, BANDS };
static const char *const names[BANDS] = {"sur_refl_b01", "sur_refl_b02",        "sur_refl_b03",
                                         "sur_refl_b06", "sur_refl_state_500m", "sur_refl_qc_500m"};

void sky_reflectance_free(sky_reflectance *r) {
  if (r == NULL) return;
  sky_grid_free(&r->grid);
  sky_free(r->evi);
  sky_free(r->lswi);
  memset(r, 0, sizeof *r);
}

static sky_status check_system(sky_context *ctx, sky_nc *f) {
  char *mapping = NULL, *name = NULL;
  double radius = NAN;
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_attr_text(ctx, f, names[RED], "grid_mapping", &mapping));
  if (mapping != NULL && sky_nc_has(f, mapping)) {
    SKY_GO(sky_nc_attr_text(ctx, f, mapping, "grid_mapping_name", &name));
    SKY_GO(sky_nc_attr_number(ctx, f, mapping, "semi_major_axis", &radius));
  }
  if (name == NULL || strcmp(name, "sinusoidal") != 0 || !(fabs(radius - SPHERE) < 0.01))
    st = sky_fail(ctx, SKY_E_FORMAT,
                  "%s: %s: grid mapping '%s' of radius %.3f m, expected 'sinusoidal' of %.3f m",
                  sky_nc_path(f), names[RED], name != NULL ? name : "", radius, SPHERE);
cleanup:
  sky_free(mapping);
  sky_free(name);
  return st;
}

static sky_status read_axis(sky_context *ctx, sky_nc *f, const char *name, size_t n, double **out) {
  sky_nc_var info;
  SKY_TRY(sky_nc_info(ctx, f, name, &info));
  if (info.ndims != 1 || info.count != n || n < 2)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values for %zu cells", sky_nc_path(f), name,
                    info.count, n);
  return sky_nc_read(ctx, f, name, &info, out);
}

static sky_status read_grid(sky_context *ctx, sky_nc *f, sky_gridded *g) {
  double *x = NULL, *y = NULL;
  int ix, iy;
  sky_status st = SKY_OK;
  SKY_GO(sky_gridded_shape(ctx, f, names[RED], g, &ix, &iy));
  SKY_GO(read_axis(ctx, f, g->info.dim[ix], g->info.size[ix], &x));
  SKY_GO(read_axis(ctx, f, g->info.dim[iy], g->info.size[iy], &y));
  st = sky_grid_from_centres(ctx, SINUSOIDAL, x, g->info.size[ix], y, g->info.size[iy], &g->grid,
                             &g->flip_x, &g->flip_y);
  if (st != SKY_OK) sky_fail_in(ctx, st, "%s: ", sky_nc_path(f));
cleanup:
  sky_free(x);
  sky_free(y);
  return st;
}

static sky_status read_bands(sky_context *ctx, sky_nc *f, size_t count, double *band[BANDS]) {
  for (size_t b = 0; b < BANDS; b++) {
    sky_nc_var info;
    if (!sky_nc_has(f, names[b]))
      return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: variable missing", sky_nc_path(f), names[b]);
    SKY_TRY(sky_nc_info(ctx, f, names[b], &info));
    if (info.count != count)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, %s has %zu", sky_nc_path(f), names[b],
                      info.count, names[RED], count);
    SKY_TRY(sky_gridded_values(ctx, f, names[b], &info, &band[b]));
    for (size_t i = 0; i < count && b < STATE; i++)
      if (band[b][i] > 2)
        return sky_fail(ctx, SKY_E_UNITS,
                        "%s: %s: %g is no reflectance (0..1.6): integers need their scale_factor",
                        sky_nc_path(f), names[b], band[b][i]);
  }
  return SKY_OK;
}

static void make_indices(const sky_gridded *g, double *const band[BANDS], sky_reflectance *out) {
  for (size_t c = 0; c < sky_grid_cells(&g->grid); c++) {
    const size_t i = sky_gridded_at(g, 0, c);
    double v[BANDS];
    bool there = true;
    for (size_t b = 0; b < BANDS; b++) {
      v[b] = band[b][i];
      there = there && !isnan(v[b]);
    }
    out->evi[c] = out->lswi[c] = NAN;
    if (!there || v[STATE] < 0 || v[STATE] > UINT32_MAX || v[QUALITY] < 0 ||
        v[QUALITY] > UINT32_MAX) {
      out->nodata++;
      continue;
    }
    const sky_modis_flag flag = sky_modis_quality((uint32_t)v[STATE], (uint32_t)v[QUALITY]);
    out->by_flag[flag]++;
    if (flag != SKY_MODIS_GOOD) continue;
    const double evi = sky_evi(v[RED], v[NIR], v[BLUE]), lswi = sky_lswi(v[NIR], v[SWIR]);
    if (isnan(evi) || isnan(lswi)) {
      out->implausible++;
      continue;
    }
    out->evi[c] = evi;
    out->lswi[c] = lswi;
  }
}

static sky_status read_all(sky_context *ctx, sky_nc *f, sky_reflectance *out) {
  sky_gridded g = {0};
  double *band[BANDS] = {NULL}, *time = NULL;
  size_t n = 0;
  sky_status st = SKY_OK;
  if (!sky_nc_has(f, names[RED]))
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: %s: variable missing", sky_nc_path(f), names[RED]));
  SKY_GO(check_system(ctx, f));
  SKY_GO(read_grid(ctx, f, &g));
  SKY_GO(sky_nc_read_time(ctx, f, "time", &n, &time));
  if (n != 1 || !isfinite(time[0]))
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: time: %zu values, expected one composite",
                    sky_nc_path(f), n));
  out->time = time[0];
  SKY_GO(read_bands(ctx, f, sky_grid_cells(&g.grid), band));
  SKY_GO_ALLOC(out->evi, SKY_NEW(ctx, double, sky_grid_cells(&g.grid)));
  SKY_GO_ALLOC(out->lswi, SKY_NEW(ctx, double, sky_grid_cells(&g.grid)));
  make_indices(&g, band, out);
  SKY_GO(sky_grid_copy(ctx, &g.grid, &out->grid));
cleanup:
  for (size_t b = 0; b < BANDS; b++)
    sky_free(band[b]);
  sky_free(time);
  sky_gridded_free(&g);
  return st;
}

sky_status sky_reflectance_read(sky_context *ctx, const char *path, sky_reflectance *out) {
  sky_nc *f = NULL;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_nc_open(ctx, path, &f));
  const sky_status st = read_all(ctx, f, out);
  sky_nc_close(f);
  if (st != SKY_OK) sky_reflectance_free(out);
  return st;
}
