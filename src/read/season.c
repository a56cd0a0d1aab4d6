/* season.c: see season.h. */
#include "src/read/season.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/timeutil.h"
#include "src/read/gridded.h"

void sky_season_free(sky_season *s) {
  if (s == NULL) return;
  sky_grid_free(&s->grid);
  sky_free(s->time);
  sky_free(s->evi);
  sky_free(s->lswi);
  sky_free(s->evi_min);
  sky_free(s->evi_max);
  sky_free(s->lswi_min);
  sky_free(s->lswi_max);
  memset(s, 0, sizeof *s);
}

static sky_status read_index(sky_context *ctx, sky_nc *f, const char *var, sky_gridded *g,
                             double **out, double **least, double **most) {
  double *raw = NULL;
  sky_status st = SKY_OK;
  if (!sky_nc_has(f, var))
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: %s: variable missing", sky_nc_path(f), var));
  SKY_GO(sky_gridded_open(ctx, f, var, g));
  SKY_GO(sky_gridded_values(ctx, f, var, &g->info, &raw));
  const size_t cells = sky_grid_cells(&g->grid);
  SKY_GO_ALLOC(*out, SKY_NEW(ctx, double, g->n_time *cells));
  SKY_GO_ALLOC(*least, SKY_NEW(ctx, double, cells));
  SKY_GO_ALLOC(*most, SKY_NEW(ctx, double, cells));
  for (size_t c = 0; c < cells; c++)
    (*least)[c] = (*most)[c] = NAN;
  for (size_t t = 0; t < g->n_time; t++) {
    for (size_t c = 0; c < cells; c++) {
      const double v = raw[sky_gridded_at(g, t, c)];
      if (fabs(v) > 1)
        SKY_GO(sky_fail(ctx, SKY_E_RANGE, "%s: %s: %g is not between -1 and 1", sky_nc_path(f), var,
                        v));
      (*out)[t * cells + c] = v;
      (*least)[c] = fmin((*least)[c], v);
      (*most)[c] = fmax((*most)[c], v);
    }
  }
cleanup:
  sky_free(raw);
  return st;
}

static sky_status read_all(sky_context *ctx, sky_nc *f, sky_season *out) {
  sky_gridded a = {0}, b = {0};
  size_t n = 0;
  sky_status st = SKY_OK;
  SKY_GO(read_index(ctx, f, "evi", &a, &out->evi, &out->evi_min, &out->evi_max));
  SKY_GO(read_index(ctx, f, "lswi", &b, &out->lswi, &out->lswi_min, &out->lswi_max));
  if (!a.has_time || a.n_time < 2 || a.n_time != b.n_time || !sky_grid_equal(&a.grid, &b.grid))
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT,
                    "%s: evi and lswi need the same grid and the same times, two at least",
                    sky_nc_path(f)));
  SKY_GO(sky_nc_read_time(ctx, f, a.time_dim, &n, &out->time));
  if (n != a.n_time)
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu times for %zu steps", sky_nc_path(f),
                    a.time_dim, n, a.n_time));
  for (size_t i = 0; i < n; i++)
    if (!isfinite(out->time[i]) || (i > 0 && !(out->time[i] > out->time[i - 1])))
      SKY_GO(
          sky_fail(ctx, SKY_E_FORMAT, "%s: %s: steps do not ascend", sky_nc_path(f), a.time_dim));
  out->n = n;
  SKY_GO(sky_grid_copy(ctx, &a.grid, &out->grid));
cleanup:
  sky_gridded_free(&a);
  sky_gridded_free(&b);
  return st;
}

sky_status sky_season_read(sky_context *ctx, const char *path, sky_season *out) {
  sky_nc *f = NULL;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_nc_open(ctx, path, &f));
  const sky_status st = read_all(ctx, f, out);
  sky_nc_close(f);
  if (st != SKY_OK) sky_season_free(out);
  return st;
}

sky_status sky_season_at(sky_context *ctx, const sky_season *s, double time, double *evi,
                         double *lswi) {
  const size_t cells = sky_grid_cells(&s->grid);
  size_t i = 0;
  if (!(time >= s->time[0] && time <= s->time[s->n - 1])) {
    char when[24], first[24], last[24];
    sky_time_format(time, when, sizeof when);
    sky_time_format(s->time[0], first, sizeof first);
    sky_time_format(s->time[s->n - 1], last, sizeof last);
    return sky_fail(ctx, SKY_E_COVERAGE, "the series of EVI and LSWI (%s to %s) does not reach %s",
                    first, last, when);
  }
  while (i + 2 < s->n && s->time[i + 1] <= time)
    i++;
  const double second = (time - s->time[i]) / (s->time[i + 1] - s->time[i]);
  for (size_t c = 0; c < cells; c++) {
    const size_t a = i * cells + c, b = a + cells;
    evi[c] = (1 - second) * s->evi[a] + second * s->evi[b];
    lswi[c] = (1 - second) * s->lswi[a] + second * s->lswi[b];
  }
  return SKY_OK;
}
