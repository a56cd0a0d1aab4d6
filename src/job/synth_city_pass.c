/* synth_city_pass.c: days of observation, their blocks and footprints.
 *
 * The footprint of a block is a steady Gaussian plume of the column (synth_plume.c) in the wind at
 * 100 m of the ERA5-like fields at the place and hour of the block, times the retrieval's kernel in
 * the middle of the boundary layer: fresh emissions are there. */
#include "src/job/synth_city_pass.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/job/synth_plume.h"
#include "src/write/nc_write.h"

#define DEGREE (180 / 3.14159265358979323846)

void sky_city_pass_free(sky_city_pass *p) {
  if (p == NULL) return;
  sky_free(p->sounding);
  sky_free(p->block);
  sky_overpass_free(&p->tropomi);
  memset(p, 0, sizeof *p);
}

void sky_city_blocks_close(sky_city_pass *p) {
  for (size_t i = 0; i < p->n; i++) {
    sky_city_block *b = &p->block[p->sounding[i].block];
    if (!p->sounding[i].good) continue;
    b->lon += p->sounding[i].lon;
    b->lat += p->sounding[i].lat;
    b->n++;
  }
  for (size_t k = 0; k < p->n_block; k++) {
    if (p->block[k].n == 0) continue;
    p->block[k].lon /= (double)p->block[k].n;
    p->block[k].lat /= (double)p->block[k].n;
  }
}

double sky_city_kernel(size_t n, const double *pressure, const double *kernel, double surface,
                       double depth) {
  const double at = surface * exp(-0.5 * depth / 8000);
  size_t below = 0, above = 0; /* the levels around it */
  double high = INFINITY, low = -INFINITY;
  for (size_t k = 0; k < n; k++) {
    if (pressure[k] >= at && pressure[k] < high) high = pressure[below = k];
    if (pressure[k] < at && pressure[k] > low) low = pressure[above = k];
  }
  if (isinf(high)) return kernel[above];
  if (isinf(low)) return kernel[below];
  return kernel[above] + (kernel[below] - kernel[above]) * (at - low) / (high - low);
}

sky_status sky_city_pass_create(sky_context *ctx, const sky_city_scene *scene, size_t day,
                                sky_city_pass *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  out->day = day;
  switch (sky_city_days[day].gas) {
    case SKY_CITY_CO2:
      SKY_GO(sky_city_oco_create(ctx, scene, out));
      break;
    case SKY_CITY_CH4:
      SKY_GO(sky_city_tropomi_create(ctx, scene, out));
      break;
    default:
      SKY_GO(sky_city_tccon_create(ctx, scene, out));
  }
  for (size_t k = 0; k < out->n_block; k++) {
    sky_city_block *b = &out->block[k];
    if (b->n == 0) continue;
    const sky_city_weather w =
        sky_city_winds_at(scene->winds, b->start + 0.5 * b->period, b->lon, b->lat);
    b->speed = hypot(w.u, w.v);
    b->from = DEGREE * atan2(-w.u, -w.v);
    if (b->from < 0) b->from += 360;
  }
cleanup:
  if (st != SKY_OK) sky_city_pass_free(out);
  return st;
}

sky_status sky_city_pass_write(sky_context *ctx, const sky_city_scene *scene, sky_city_pass *p,
                               const char *dir) {
  switch (sky_city_days[p->day].gas) {
    case SKY_CITY_CO2:
      return sky_city_oco_write(ctx, scene, p, dir);
    case SKY_CITY_CH4:
      return sky_city_tropomi_write(ctx, p, dir);
    default:
      return sky_city_tccon_write(ctx, scene, p, dir);
  }
}

/* ---- footprints ---- */

/* 10 bits of mantissa: half the size of the file for 5e-4 of the value. */
static double rounded(double v) {
  int e;
  const double m = frexp(v, &e);
  return ldexp(nearbyint(ldexp(m, 10)), e - 10);
}

static void add_row(const sky_city_scene *scene, const sky_city_block *b, double faster,
                    double turn, double *row, sky_footprints *f) {
  const sky_plume plume = {.lon = b->lon,
                           .lat = b->lat,
                           .speed = faster * b->speed,
                           .from = b->from + turn,
                           .width = b->width,
                           .air = b->air};
  const size_t n = sky_grid_cells(&scene->native), r = f->n_rows;
  sky_plume_footprint(&plume, &scene->native, scene->area, row);
  double most = 0;
  for (size_t c = 0; c < n; c++)
    most = fmax(most, row[c]);
  sky_acc sum = {0};
  size_t at = f->rowptr[r];
  for (size_t c = 0; c < n; c++) {
    if (row[c] < 1e-4 * most) continue;
    f->col[at] = (int32_t)c;
    f->val[at] = rounded(row[c]);
    sky_acc_add(&sum, f->val[at++]);
  }
  f->rowptr[r + 1] = at;
  f->sum[r] = sky_acc_value(&sum);
  f->receptor[r] = r;
  f->flux_time[r] = f->outside[r] = NAN;
  f->time[r] = b->start;
  f->period[r] = b->period;
  f->lon[r] = b->lon;
  f->lat[r] = b->lat;
  f->n_rows = f->n_receptors = r + 1;
}

sky_status sky_city_footprints(sky_context *ctx, const sky_city_scene *scene,
                               const sky_city_pass *p, const double *faster, const double *turn,
                               sky_footprints *f) {
  const size_t cells = sky_grid_cells(&scene->native);
  double *row = NULL;
  sky_status st = SKY_OK;
  size_t used = 0;
  memset(f, 0, sizeof *f);
  for (size_t k = 0; k < p->n_block; k++)
    used += p->block[k].n > 0;
  SKY_GO(sky_grid_copy(ctx, &scene->native, &f->grid));
  (void)snprintf(f->format, sizeof f->format, "openghg");
  f->column = true;
  double **const each[] = {&f->time,    &f->period,    &f->lon, &f->lat,
                           &f->outside, &f->flux_time, &f->sum};
  for (size_t i = 0; i < sizeof each / sizeof *each; i++)
    SKY_GO_ALLOC(*each[i], SKY_NEW(ctx, double, used));
  SKY_GO_ALLOC(f->receptor, SKY_NEW(ctx, size_t, used));
  SKY_GO_ALLOC(f->rowptr, SKY_NEW0(ctx, size_t, used + 1));
  SKY_GO_ALLOC(f->col, SKY_NEW(ctx, int32_t, used * cells));
  SKY_GO_ALLOC(f->val, SKY_NEW(ctx, double, used *cells));
  SKY_GO_ALLOC(row, SKY_NEW(ctx, double, cells));
  f->receptor_capacity = f->row_capacity = used;
  f->value_capacity = used * cells;
  for (size_t k = 0; k < p->n_block; k++)
    if (p->block[k].n > 0)
      add_row(scene, &p->block[k], faster == NULL ? 1 : faster[k], turn == NULL ? 0 : turn[k], row,
              f);
cleanup:
  sky_free(row);
  if (st != SKY_OK) sky_footprints_free(f);
  return st;
}

static sky_status put_axis(sky_context *ctx, sky_ncw *w, const char *name, const char *unit,
                           const double *edge, size_t n) {
  double *centre = SKY_NEW(ctx, double, n);
  if (centre == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    centre[i] = 0.5 * (edge[i] + edge[i + 1]);
  sky_status st = sky_ncw_var(w, name, 'f', name);
  if (st == SKY_OK) st = sky_ncw_att(w, name, "units", unit);
  if (st == SKY_OK) st = sky_ncw_put(w, name, centre);
  sky_free(centre);
  return st;
}

static sky_status put_each(sky_ncw *w, const char *name, char type, const char *unit,
                           const double *value) {
  SKY_TRY(sky_ncw_var(w, name, type, "time"));
  SKY_TRY(sky_ncw_att(w, name, "units", unit));
  return sky_ncw_put(w, name, value);
}

static sky_status put_footprints(sky_context *ctx, sky_ncw *w, const sky_city_pass *p,
                                 const sky_footprints *f) {
  const double year = 86400.0 * (double)sky_days_from_civil(SKY_CITY_YEAR, 1, 1);
  const size_t n = f->n_rows, cells = sky_grid_cells(&f->grid);
  double *fp = NULL, *time = NULL, *speed = NULL, *from = NULL;
  char period[64];
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(fp, SKY_NEW0(ctx, double, cells *n));
  SKY_GO_ALLOC(time, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(speed, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(from, SKY_NEW(ctx, double, n));
  size_t r = 0;
  for (size_t k = 0; k < p->n_block; k++) {
    if (p->block[k].n == 0) continue;
    time[r] = f->time[r] - year;
    speed[r] = p->block[k].speed;
    from[r] = p->block[k].from;
    for (size_t i = f->rowptr[r]; i < f->rowptr[r + 1]; i++)
      fp[(size_t)f->col[i] * n + r] = f->val[i];
    r++;
  }
  (void)snprintf(period, sizeof period, "%.12g hours", f->period[0] / 3600);
  SKY_GO(put_axis(ctx, w, "lon", "degrees_east", f->grid.x_edge, f->grid.nx));
  SKY_GO(put_axis(ctx, w, "lat", "degrees_north", f->grid.y_edge, f->grid.ny));
  SKY_GO(put_each(w, "time", 'd', "seconds since 2023-01-01 00:00:00", time));
  SKY_GO(sky_ncw_att(w, "time", "standard_name", "time"));
  SKY_GO(sky_ncw_att(w, "time", "calendar", "gregorian"));
  SKY_GO(sky_ncw_att(w, "time", "label", "left"));
  SKY_GO(sky_ncw_att(w, "time", "period", period));
  SKY_GO(put_each(w, "release_lon", 'f', "degrees_east", f->lon));
  SKY_GO(put_each(w, "release_lat", 'f', "degrees_north", f->lat));
  SKY_GO(put_each(w, "wind_speed", 'f', "m/s", speed));
  SKY_GO(put_each(w, "wind_direction", 'f', "degrees", from));
  SKY_GO(sky_ncw_var(w, "fp", 'f', "lat,lon,time"));
  SKY_GO(sky_ncw_att(w, "fp", "units", "(mol/mol)/(mol/m2/s)"));
  SKY_GO(sky_ncw_att(w, "fp", "loss_lifetime_hrs", "No loss applied"));
  SKY_GO(sky_ncw_put(w, "fp", fp));
cleanup:
  sky_free(fp);
  sky_free(time);
  sky_free(speed);
  sky_free(from);
  return st;
}

sky_status sky_city_footprints_write(sky_context *ctx, const sky_city_pass *p,
                                     const sky_footprints *f, const char *dir) {
  static const char *const MODEL[SKY_CITY_GASES] = {"PLUME-OCO3", "PLUME-TROPOMI", "PLUME-TCCON"};
  static const char *const GLOBAL[] = {"species=inert",
                                       "model=synthetic upwind Gaussian plume",
                                       "site=CITY",
                                       "inlet_height=column",
                                       "domain=CITY",
                                       "author=skyflux synth city",
                                       "note=weighted with the kernel of the boundary layer; "
                                       "values rounded to 10 bits of mantissa",
                                       NULL};
  const sky_city_day *d = &sky_city_days[p->day];
  sky_ncw *w = NULL;
  sky_status st = SKY_OK;
  char *path = sky_sprintf(ctx, "%s/CITY-column_%s_CITY_%04d%02d%02d.nc", dir, MODEL[d->gas],
                           SKY_CITY_YEAR, d->month, d->day);
  SKY_GO(path == NULL ? SKY_E_NOMEM : SKY_OK);
  SKY_GO(sky_ncw_create(ctx, path, &w));
  SKY_GO(sky_ncw_globals(w, GLOBAL));
  SKY_GO(sky_ncw_dim(w, "time", f->n_rows));
  SKY_GO(sky_ncw_dim(w, "lon", f->grid.nx));
  SKY_GO(sky_ncw_dim(w, "lat", f->grid.ny));
  SKY_GO(put_footprints(ctx, w, p, f));
  st = sky_ncw_commit(w);
  w = NULL;
cleanup:
  sky_ncw_abort(w);
  sky_free(path);
  return st;
}
