/* met.c: see met.h. */
#include "src/read/met.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/timeutil.h"
#include "src/read/gridded.h"

#define HOUR 3600.0
#define DAY 86400.0
#define T_MIN 180.0
#define T_MAX 340.0
#define SW_MAX 1500.0 /* W m-2: above the solar constant nothing is true */
#define SW_NOISE 0.5  /* W m-2 below 0 that the packing of the archive makes */

void sky_met_free(sky_met *m) {
  if (m == NULL) return;
  sky_grid_free(&m->grid);
  sky_free(m->end);
  sky_free(m->t2m);
  sky_free(m->shortwave);
  memset(m, 0, sizeof *m);
}

static sky_status find_variable(sky_context *ctx, const sky_nc *f, const char *const *names,
                                const char *what, const char **out) {
  for (size_t i = 0; names[i] != NULL; i++) {
    *out = names[i];
    if (sky_nc_has(f, names[i])) return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_FORMAT, "%s: no variable of %s (%s)", sky_nc_path(f), what, names[0]);
}

/* Values in the order of g->grid. */
static sky_status read_variable(sky_context *ctx, sky_nc *f, const char *var, const char *to,
                                sky_gridded *g, double **out) {
  sky_nc_var info;
  double *raw = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_gridded_open(ctx, f, var, g));
  if (!g->has_time)
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: %s: no dimension of time", sky_nc_path(f), var));
  if (g->info.units[0] == '\0')
    sky_log(ctx, SKY_LOG_INFO, "%s: %s states no unit: taken as '%s'", sky_nc_path(f), var, to);
  SKY_GO(sky_nc_read_as(ctx, f, var, to, to, &info, &raw));
  const size_t cells = sky_grid_cells(&g->grid);
  SKY_GO_ALLOC(*out, SKY_NEW(ctx, double, g->n_time *cells));
  for (size_t t = 0; t < g->n_time; t++)
    for (size_t c = 0; c < cells; c++)
      (*out)[t * cells + c] = raw[sky_gridded_at(g, t, c)];
cleanup:
  sky_free(raw);
  return st;
}

static sky_status check_time(sky_context *ctx, const sky_nc *f, const char *name, const double *t,
                             size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (isfinite(t[i]) && (i == 0 || fabs(t[i] - t[i - 1] - HOUR) < 1)) continue;
    char when[24];
    sky_time_format(t[i], when, sizeof when);
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: %s: step %zu (%s) is not one hour after the one before; hourly steps "
                    "without a gap are needed",
                    sky_nc_path(f), name, i, when);
  }
  return SKY_OK;
}

static sky_status check_range(sky_context *ctx, const sky_met *m, const char *path,
                              const char *what, const double *v, double low, double high,
                              const char *unit) {
  const size_t cells = sky_grid_cells(&m->grid);
  for (size_t i = 0; i < m->n * cells; i++) {
    if (isnan(v[i]) || (v[i] >= low && v[i] <= high)) continue;
    char when[24];
    sky_time_format(m->end[i / cells], when, sizeof when);
    return sky_fail(ctx, SKY_E_RANGE, "%s: %s: %.6g %s at %s is not between %g and %g", path, what,
                    v[i], unit, when, low, high);
  }
  return SKY_OK;
}

/* ---- radiation ------------------------------------------------------------------------------ */

/* Sums without a unit that are rates in truth: an hour of day has more than 1500 J m-2. */
static sky_status check_sums(sky_context *ctx, const sky_met *m, const char *path,
                             const char *what) {
  double most = 0;
  for (size_t i = 0; i < m->n * sky_grid_cells(&m->grid); i++)
    if (m->shortwave[i] > most) most = m->shortwave[i];
  if (most == 0 || most > SW_MAX) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT,
                  "%s: %s states no unit, and its largest value is %.6g: by day that is W m-2, not "
                  "the J m-2 of ERA5; give it the attribute units (J m-2), or the name msdwswrf",
                  path, what, most);
}

/* Whole hours since the last 00 UTC at the end of step i: 1..24. */
static int hour_of(const sky_met *m, size_t i) {
  const int h = (int)lround(fmod(m->end[i], DAY) / HOUR);
  return h <= 0 ? 24 + h : h;
}

/* Never falls within a UTC day, and is not all dark. */
static bool rises_by_day(const sky_met *m) {
  const size_t cells = sky_grid_cells(&m->grid);
  bool light = false;
  for (size_t i = 1; i < m->n; i++) {
    if (hour_of(m, i) == 1) continue;
    for (size_t c = 0; c < cells; c++) {
      const double now = m->shortwave[i * cells + c], before = m->shortwave[(i - 1) * cells + c];
      if (now < before - SW_NOISE * HOUR) return false;
      light = light || now > SW_NOISE * HOUR;
    }
  }
  return light;
}

/* J m-2 since 00 UTC -> J m-2 of the hour, from the last step down, as each needs the one before.
 */
static void take_differences(sky_met *m) {
  const size_t cells = sky_grid_cells(&m->grid);
  for (size_t i = m->n; i-- > 1;)
    for (size_t c = 0; c < cells && hour_of(m, i) != 1; c++)
      m->shortwave[i * cells + c] -= m->shortwave[(i - 1) * cells + c];
  if (hour_of(m, 0) == 1) return;
  m->n--; /* what fell before the file begins is not known */
  memmove(m->end, m->end + 1, m->n * sizeof *m->end);
  memmove(m->t2m, m->t2m + cells, m->n * cells * sizeof *m->t2m);
  memmove(m->shortwave, m->shortwave + cells, m->n * cells * sizeof *m->shortwave);
}

static sky_status to_rate(sky_context *ctx, const char *path, sky_accumulation how, sky_met *m) {
  const size_t cells = sky_grid_cells(&m->grid);
  if (how == SKY_ACCUMULATED_AUTO && m->n < 24)
    return sky_fail(ctx, SKY_E_USAGE,
                    "%s: %zu hours do not tell how radiation is accumulated; say --accumulated "
                    "hour (ERA5) or day (ERA5-Land)",
                    path, m->n);
  m->by_day = how == SKY_ACCUMULATED_DAY || (how == SKY_ACCUMULATED_AUTO && rises_by_day(m));
  if (m->by_day) take_differences(m);
  sky_log(
      ctx, SKY_LOG_INFO, "%s: radiation accumulated %s", path,
      m->by_day ? "since 00 UTC: differences of steps" : "over the hour that ends at each step");
  for (size_t i = 0; i < m->n * cells; i++)
    m->shortwave[i] /= HOUR;
  return SKY_OK;
}

/* Mean of the hour's two ends, from the last step down. */
static void mean_temperature(sky_met *m) {
  const size_t cells = sky_grid_cells(&m->grid);
  for (size_t i = m->n * cells; i-- > cells;)
    m->t2m[i] = 0.5 * (m->t2m[i] + m->t2m[i - cells]);
}

static sky_status read_all(sky_context *ctx, sky_nc *f, sky_accumulation how, sky_met *out) {
  static const char *const warm[] = {"t2m", "2t", NULL};
  static const char *const sums[] = {"ssrd", NULL};
  static const char *const rates[] = {"msdwswrf", "avg_sdswrf", NULL};
  const char *path = sky_nc_path(f), *t = NULL, *s = NULL;
  const bool rate = sky_nc_has(f, rates[0]) || sky_nc_has(f, rates[1]);
  sky_gridded gt = {0}, gs = {0};
  size_t n = 0;
  sky_status st = SKY_OK;
  SKY_GO(find_variable(ctx, f, warm, "2-m temperature", &t));
  SKY_GO(find_variable(ctx, f, rate ? rates : sums, "downward shortwave radiation", &s));
  SKY_GO(read_variable(ctx, f, t, "K", &gt, &out->t2m));
  SKY_GO(read_variable(ctx, f, s, rate ? "W m-2" : "J m-2", &gs, &out->shortwave));
  if (gt.n_time != gs.n_time || !sky_grid_equal(&gt.grid, &gs.grid))
    SKY_GO(
        sky_fail(ctx, SKY_E_FORMAT, "%s: %s and %s are on different grids or steps", path, t, s));
  SKY_GO(sky_nc_read_time(ctx, f, gt.time_dim, &n, &out->end));
  if (n != gt.n_time || n == 0)
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu times for %zu steps", path, gt.time_dim, n,
                    gt.n_time));
  SKY_GO(check_time(ctx, f, gt.time_dim, out->end, n));
  SKY_GO(sky_grid_copy(ctx, &gt.grid, &out->grid));
  out->n = n;
  SKY_GO(check_range(ctx, out, path, t, out->t2m, T_MIN, T_MAX, "K"));
  mean_temperature(out);
  if (!rate && gs.info.units[0] == '\0') SKY_GO(check_sums(ctx, out, path, s));
  if (!rate) SKY_GO(to_rate(ctx, path, how, out));
  SKY_GO(check_range(ctx, out, path, s, out->shortwave, -SW_NOISE, SW_MAX, "W m-2"));
  for (size_t i = 0; i < out->n * sky_grid_cells(&out->grid); i++) {
    if (out->shortwave[i] < 0) out->shortwave[i] = 0;
    out->nodata += (size_t)(isnan(out->t2m[i]) != 0) + (size_t)(isnan(out->shortwave[i]) != 0);
  }
cleanup:
  sky_gridded_free(&gt);
  sky_gridded_free(&gs);
  return st;
}

sky_status sky_met_read(sky_context *ctx, const char *path, sky_accumulation how, sky_met *out) {
  sky_nc *f = NULL;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_nc_open(ctx, path, &f));
  const sky_status st = read_all(ctx, f, how, out);
  sky_nc_close(f);
  if (st != SKY_OK) sky_met_free(out);
  return st;
}
