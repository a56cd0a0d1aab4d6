/* indices.c: see indices.h. Pixels are averaged by area onto the grid, composite by composite; then
 * every cell's series is fitted on equally spaced steps, each composite at the step next to it,
 * weighted by the share of the cell that it saw. */
#include "src/job/indices.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/regrid.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/reflectance.h"
#include "src/write/nc_write.h"

#define DAY 86400.0
#define TOLERANCE 1e-6 /* of the audit, design law 3 */

typedef struct season {
  const sky_indices_options *opt;
  size_t cells, n_composite, n_step;
  double *time;               /* [n_composite] */
  double *sum[2], *weight[2]; /* EVI, LSWI [n_composite*cells]: Σ share × mean, Σ share */
  double first;               /* time of step 0 */
  double *fit[2];             /* [n_step*cells] */
} season;

static void season_free(season *s) {
  sky_free(s->time);
  for (size_t k = 0; k < 2; k++) {
    sky_free(s->sum[k]);
    sky_free(s->weight[k]);
    sky_free(s->fit[k]);
  }
}

static sky_status season_create(sky_context *ctx, const sky_indices_options *opt, season *s) {
  sky_status st = SKY_OK;
  s->opt = opt;
  s->cells = sky_grid_cells(opt->grid);
  SKY_GO_ALLOC(s->time, SKY_NEW(ctx, double, opt->n_file));
  for (size_t k = 0; k < 2; k++) {
    SKY_GO_ALLOC(s->sum[k], SKY_NEW0(ctx, double, opt->n_file * s->cells));
    SKY_GO_ALLOC(s->weight[k], SKY_NEW0(ctx, double, opt->n_file * s->cells));
  }
cleanup:
  return st;
}

/* The composite of this time, a new one if there is none. */
static size_t composite_of(season *s, double time) {
  for (size_t i = 0; i < s->n_composite; i++)
    if (fabs(s->time[i] - time) < DAY / 2) return i;
  s->time[s->n_composite] = time;
  return s->n_composite++;
}

static sky_status add_pixels(sky_context *ctx, const char *path, const sky_reflectance *r,
                             double *work, season *s) {
  const double *const pixels[2] = {r->evi, r->lswi};
  double *mean = work, *share = work + s->cells;
  const size_t at = composite_of(s, r->time) * s->cells;
  for (size_t k = 0; k < 2; k++) {
    sky_audit audit;
    SKY_TRY(sky_regrid_intensive(ctx, &r->grid, pixels[k], s->opt->grid, 0, mean, share, &audit));
    SKY_TRY(sky_audit_check(ctx, path, k == 0 ? "m2 of EVI" : "m2 of LSWI", &audit, TOLERANCE));
    for (size_t c = 0; c < s->cells; c++) {
      if (isnan(mean[c])) continue;
      s->sum[k][at + c] += share[c] * mean[c];
      s->weight[k][at + c] += share[c];
    }
  }
  return SKY_OK;
}

static sky_status read_all(sky_context *ctx, season *s, sky_indices_result *out) {
  double *work = SKY_NEW(ctx, double, 2 * s->cells);
  sky_status st = work != NULL ? SKY_OK : SKY_E_NOMEM;
  for (size_t i = 0; i < s->opt->n_file && st == SKY_OK; i++) {
    sky_reflectance r = {0};
    const char *path = s->opt->files[i];
    st = sky_reflectance_read(ctx, path, &r);
    if (st == SKY_OK) {
      out->pixels += sky_grid_cells(&r.grid);
      out->good += r.by_flag[SKY_MODIS_GOOD] - r.implausible;
      sky_log(ctx, SKY_LOG_INFO,
              "%s: %zu good pixels of %zu; without data %zu, cloud %zu, shadow %zu, aerosol %zu, "
              "snow %zu, band quality %zu, no index %zu",
              path, r.by_flag[SKY_MODIS_GOOD] - r.implausible, sky_grid_cells(&r.grid), r.nodata,
              r.by_flag[SKY_MODIS_CLOUD], r.by_flag[SKY_MODIS_SHADOW], r.by_flag[SKY_MODIS_AEROSOL],
              r.by_flag[SKY_MODIS_SNOW], r.by_flag[SKY_MODIS_BAND], r.implausible);
      st = add_pixels(ctx, path, &r, work, s);
    }
    sky_reflectance_free(&r);
  }
  sky_free(work);
  return st;
}

static sky_status set_steps(sky_context *ctx, season *s) {
  double last = s->time[0];
  s->first = s->time[0];
  for (size_t i = 1; i < s->n_composite; i++) {
    s->first = fmin(s->first, s->time[i]);
    last = fmax(last, s->time[i]);
  }
  if (s->n_composite < 2)
    return sky_fail(ctx, SKY_E_NODATA, "%s: one composite is no season; two times at least",
                    s->opt->files[0]);
  s->n_step = (size_t)ceil((last - s->first) / (s->opt->every * DAY) - 1e-9) + 1;
  for (size_t k = 0; k < 2; k++) {
    s->fit[k] = SKY_NEW(ctx, double, s->n_step * s->cells);
    if (s->fit[k] == NULL) return SKY_E_NOMEM;
  }
  return SKY_OK;
}

/* work: [7*n_step] */
static void fit_cell(season *s, size_t k, size_t c, double *work) {
  double *y = work, *w = work + s->n_step, *z = work + 2 * s->n_step, *more = z + s->n_step;
  for (size_t i = 0; i < s->n_step; i++)
    y[i] = w[i] = 0;
  for (size_t i = 0; i < s->n_composite; i++) {
    const size_t at = i * s->cells + c;
    if (!(s->weight[k][at] > 0) || s->weight[k][at] < s->opt->min_valid) continue;
    const size_t step = (size_t)lround((s->time[i] - s->first) / (s->opt->every * DAY));
    y[step] += s->sum[k][at];
    w[step] += s->weight[k][at];
  }
  for (size_t i = 0; i < s->n_step; i++)
    y[i] = w[i] > 0 ? y[i] / w[i] : (double)NAN;
  sky_season_fit(y, w, s->n_step, s->opt->penalty, z, more);
  for (size_t i = 0; i < s->n_step; i++) /* a spline may leave what an index can be */
    s->fit[k][i * s->cells + c] = isnan(z[i]) ? z[i] : fmin(fmax(z[i], -1), 1);
}

static sky_status fit_all(sky_context *ctx, season *s, sky_indices_result *out) {
  const int threads = sky_context_threads(ctx);
  const size_t each = 7 * s->n_step;
  double *work = SKY_NEW(ctx, double, (size_t)threads *each);
  if (work == NULL) return SKY_E_NOMEM;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (int t = 0; t < threads; t++)
    for (size_t c = (size_t)t; c < s->cells; c += (size_t)threads)
      for (size_t k = 0; k < 2; k++)
        fit_cell(s, k, c, work + (size_t)t * each);
  for (size_t c = 0; c < s->cells; c++)
    out->seen += !isnan(s->fit[0][c]);
  sky_free(work);
  if (out->seen == 0)
    return sky_fail(ctx, SKY_E_NODATA, "%s: no cell of the grid has a good pixel",
                    s->opt->files[0]);
  return SKY_OK;
}

static sky_status put_index(sky_ncw *w, const season *s, size_t k) {
  static const char *const names[] = {"evi", "lswi"};
  static const char *const words[] = {"enhanced vegetation index, season without gaps",
                                      "land surface water index, season without gaps"};
  const sky_grid *g = s->opt->grid;
  SKY_TRY(sky_ncw_var(w, names[k], 'f', g->geographic ? "time,lat,lon" : "time,y,x"));
  SKY_TRY(sky_ncw_att_num(w, names[k], "_FillValue", NAN));
  SKY_TRY(sky_ncw_att(w, names[k], "long_name", words[k]));
  SKY_TRY(sky_ncw_att(w, names[k], "units", "1"));
  SKY_TRY(sky_ncw_att(w, names[k], "grid_mapping", "crs"));
  if (!g->geographic) SKY_TRY(sky_ncw_att(w, names[k], "coordinates", "lat lon"));
  SKY_TRY(sky_ncw_att(w, names[k], "cell_methods", "area: mean"));
  return sky_ncw_put(w, names[k], s->fit[k]);
}

static sky_status write_season(sky_context *ctx, const season *s) {
  char text[160];
  double *time = NULL;
  sky_ncw *w = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(time, SKY_NEW(ctx, double, s->n_step));
  for (size_t i = 0; i < s->n_step; i++)
    time[i] = s->first + (double)i * s->opt->every * DAY;
  SKY_GO(sky_ncw_create(ctx, s->opt->out, &w));
  SKY_GO(sky_ncw_att(w, "", "title", "Season of EVI and LSWI"));
  SKY_GO(sky_ncw_att(w, "", "skyflux_version", SKYFLUX_VERSION));
  SKY_GO(sky_ncw_att(w, "", "crs", s->opt->grid->crs));
  snprintf(text, sizeof text,
           "Whittaker fit, second differences, penalty %.9g, steps of %.9g days, composites with "
           "good pixels on %.9g of a cell at least",
           s->opt->penalty, s->opt->every, s->opt->min_valid);
  SKY_GO(sky_ncw_att(w, "", "method", text));
  for (size_t i = 0; i < s->opt->n_file; i++) {
    char hex[65];
    SKY_GO(sky_file_sha256(ctx, s->opt->files[i], hex));
    snprintf(text, sizeof text, "input_%zu", i + 1);
    SKY_GO(sky_ncw_att(w, "", text, hex));
  }
  SKY_GO(sky_ncw_dim(w, "time", s->n_step));
  SKY_GO(sky_ncw_var(w, "time", 'd', "time"));
  SKY_GO(sky_ncw_att(w, "time", "standard_name", "time"));
  SKY_GO(sky_ncw_att(w, "time", "units", "seconds since 1970-01-01 00:00:00"));
  SKY_GO(sky_ncw_att(w, "time", "calendar", "standard"));
  SKY_GO(sky_ncw_put(w, "time", time));
  SKY_GO(sky_ncw_grid(w, s->opt->grid));
  SKY_GO(put_index(w, s, 0));
  SKY_GO(put_index(w, s, 1));
  st = sky_ncw_commit(w);
  w = NULL;
cleanup:
  sky_ncw_abort(w);
  sky_free(time);
  return st;
}

sky_status sky_indices_make(sky_context *ctx, const sky_indices_options *opt,
                            sky_indices_result *out) {
  season s = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(season_create(ctx, opt, &s));
  SKY_GO(read_all(ctx, &s, out));
  SKY_GO(set_steps(ctx, &s));
  SKY_GO(fit_all(ctx, &s, out));
  SKY_GO(write_season(ctx, &s));
  out->composites = s.n_composite;
  out->steps = s.n_step;
  out->cells = s.cells;
cleanup:
  season_free(&s);
  return st;
}
