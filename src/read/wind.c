/* wind.c: see wind.h. Soundings come in any order, so steps are walked, not soundings. */
#include "src/read/wind.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/units.h"
#include "src/read/gridded.h"

#define FASTEST 150.0 /* m s-1 */

typedef struct winds {
  sky_context *ctx;
  sky_nc *f;
  const char *name[2]; /* east, north */
  sky_gridded g;
  double *time;        /* [g.n_time] */
  double *field[2][2]; /* [earlier, later][component] [cells]; NULL: not read yet */
  size_t step;         /* of the earlier */
} winds;

static sky_status find_names(winds *w) {
  static const char *const NAMES[][2] = {
      {"u10", "v10"}, {"10u", "10v"}, {"u100", "v100"}, {"100u", "100v"}};
  for (size_t k = 0; k < sizeof NAMES / sizeof NAMES[0]; k++) {
    if (!sky_nc_has(w->f, NAMES[k][0]) || !sky_nc_has(w->f, NAMES[k][1])) continue;
    w->name[0] = NAMES[k][0];
    w->name[1] = NAMES[k][1];
    return SKY_OK;
  }
  return sky_fail(w->ctx, SKY_E_FORMAT,
                  "%s: no variables of wind (u10 and v10, 10u and 10v, u100 and v100, 100u and "
                  "100v)",
                  sky_nc_path(w->f));
}

static sky_status read_axes(winds *w) {
  const char *path = sky_nc_path(w->f);
  sky_gridded north = {0};
  size_t n = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_gridded_open(w->ctx, w->f, w->name[0], &w->g));
  SKY_GO(sky_gridded_open(w->ctx, w->f, w->name[1], &north));
  if (!w->g.grid.geographic)
    SKY_GO(sky_fail(w->ctx, SKY_E_FORMAT,
                    "%s: %s: east and north are not told on a projected grid (expected longitude "
                    "and latitude)",
                    path, w->name[0]));
  if (!w->g.has_time || strcmp(w->g.info.dim[0], w->g.time_dim) != 0)
    SKY_GO(sky_fail(w->ctx, SKY_E_FORMAT, "%s: %s: the first dimension is not time", path,
                    w->name[0]));
  if (north.n_time != w->g.n_time || !sky_grid_equal(&north.grid, &w->g.grid) ||
      north.stride_x != w->g.stride_x || north.stride_y != w->g.stride_y)
    SKY_GO(sky_fail(w->ctx, SKY_E_FORMAT, "%s: %s and %s are on different grids or steps", path,
                    w->name[0], w->name[1]));
  SKY_GO(sky_nc_read_time(w->ctx, w->f, w->g.time_dim, &n, &w->time));
  for (size_t k = 0; k < n && n == w->g.n_time; k++)
    if (!isfinite(w->time[k]) || (k > 0 && !(w->time[k] > w->time[k - 1]))) n = 0;
  if (n == 0 || n != w->g.n_time)
    SKY_GO(sky_fail(w->ctx, SKY_E_FORMAT, "%s: %s: times do not ascend, one for each step", path,
                    w->g.time_dim));
cleanup:
  sky_gridded_free(&north);
  return st;
}

static sky_status read_component(winds *w, size_t step, int c, double **out) {
  const sky_nc_part part = {.dim = 0, .first = step, .count = 1};
  const size_t cells = sky_grid_cells(&w->g.grid);
  const char *units = w->g.info.units[0] != '\0' ? w->g.info.units : "m s-1";
  double *raw = NULL, scale, offset;
  size_t n = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_units_convert(w->ctx, units, "m s-1", &scale, &offset));
  SKY_GO(sky_nc_read_part(w->ctx, w->f, w->name[c], &part, &n, &raw));
  if (*out == NULL) SKY_GO_ALLOC(*out, SKY_NEW(w->ctx, double, cells));
  for (size_t k = 0; k < cells; k++) {
    const double v = raw[sky_gridded_at(&w->g, 0, k)] * scale + offset;
    if (fabs(v) > FASTEST)
      SKY_GO(sky_fail(w->ctx, SKY_E_RANGE, "%s: %s: %g m s-1 is not within ±%g", sky_nc_path(w->f),
                      w->name[c], v, FASTEST));
    (*out)[k] = v;
  }
cleanup:
  sky_free(raw);
  return st;
}

/* The steps k and k+1 (the last one twice), of which the first may be at hand. */
static sky_status hold(winds *w, size_t k) {
  const size_t next = k + 1 < w->g.n_time ? k + 1 : k;
  const bool follows = w->field[1][0] != NULL && w->step + 1 == k;
  for (int c = 0; c < 2; c++) {
    if (follows) {
      double *spare = w->field[0][c];
      w->field[0][c] = w->field[1][c];
      w->field[1][c] = spare;
    } else {
      SKY_TRY(read_component(w, k, c, &w->field[0][c]));
    }
    SKY_TRY(read_component(w, next, c, &w->field[1][c]));
  }
  w->step = k;
  return SKY_OK;
}

static double centre(const double *edge, size_t i) {
  return 0.5 * (edge[i] + edge[i + 1]);
}

/* Neighbours of v among n centres and the weight of the second; false outside. `turn`: the axis
 * closes after it (0: it does not). */
static bool between(const double *edge, size_t n, double v, double turn, size_t at[2], double *f) {
  size_t low = 0, high = n;
  if (!(v >= edge[0]) || !(v <= edge[n])) return false;
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    if (v >= edge[middle])
      low = middle;
    else
      high = middle;
  }
  const bool up = v >= centre(edge, low);
  const bool rim = up ? low + 1 == n : low == 0;
  at[0] = at[1] = low;
  *f = 0.0;
  if (rim && turn == 0.0) return true;
  at[0] = up ? low : (low + n - 1) % n;
  at[1] = up ? (low + 1) % n : low;
  const double a = centre(edge, at[0]) - (rim && !up ? turn : 0.0);
  const double b = centre(edge, at[1]) + (rim && up ? turn : 0.0);
  *f = (v - a) / (b - a);
  return true;
}

static double blend(const double *field, size_t nx, const size_t x[2], const size_t y[2], double fx,
                    double fy) {
  const double south = (1 - fx) * field[y[0] * nx + x[0]] + fx * field[y[0] * nx + x[1]];
  const double north = (1 - fx) * field[y[1] * nx + x[0]] + fx * field[y[1] * nx + x[1]];
  return (1 - fy) * south + fy * north;
}

static void interpolate(const winds *w, double time, double lon, double lat, double out[2]) {
  const sky_grid *g = &w->g.grid;
  const double turn = g->x_edge[g->nx] - g->x_edge[0] > 360.0 - 1e-6 ? 360.0 : 0.0;
  const double a = w->time[w->step], b = w->time[w->step + 1 < w->g.n_time ? w->step + 1 : w->step];
  const double ft = b > a ? (time - a) / (b - a) : 0.0;
  size_t x[2], y[2];
  double fx, fy;
  lon -= 360.0 * floor((lon - g->x_edge[0]) / 360.0);
  if (!between(g->x_edge, g->nx, lon, turn, x, &fx) || !between(g->y_edge, g->ny, lat, 0.0, y, &fy))
    return;
  for (int c = 0; c < 2; c++)
    out[c] = (1 - ft) * blend(w->field[0][c], g->nx, x, y, fx, fy) +
             ft * blend(w->field[1][c], g->nx, x, y, fx, fy);
}

/* The last step closes its interval. */
static bool in_step(const winds *w, size_t k, double time) {
  const size_t last = w->g.n_time - 1;
  if (k == last) return time == w->time[k];
  return time >= w->time[k] && (time < w->time[k + 1]);
}

static sky_status fill(winds *w, size_t n, const double *time, const double *lon, const double *lat,
                       double *east, double *north) {
  for (size_t k = 0; k < w->g.n_time; k++) {
    bool held = false;
    for (size_t i = 0; i < n; i++) {
      double v[2] = {NAN, NAN};
      if (!in_step(w, k, time[i])) continue;
      if (!held) SKY_TRY(hold(w, k));
      held = true;
      if (isfinite(lon[i]) && isfinite(lat[i])) interpolate(w, time[i], lon[i], lat[i], v);
      east[i] = v[0];
      north[i] = v[1];
    }
  }
  return SKY_OK;
}

sky_status sky_wind_read(sky_context *ctx, const char *path, size_t n, const double *time,
                         const double *lon, const double *lat, double *east, double *north) {
  winds w = {.ctx = ctx};
  sky_status st = SKY_OK;
  for (size_t i = 0; i < n; i++)
    east[i] = north[i] = NAN;
  SKY_GO(sky_nc_open(ctx, path, &w.f));
  SKY_GO(find_names(&w));
  SKY_GO(read_axes(&w));
  st = fill(&w, n, time, lon, lat, east, north);
cleanup:
  for (size_t k = 0; k < 4; k++)
    sky_free(w.field[k / 2][k % 2]);
  sky_free(w.time);
  sky_gridded_free(&w.g);
  sky_nc_close(w.f);
  return st;
}
