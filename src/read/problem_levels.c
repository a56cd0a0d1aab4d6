/* problem_levels.c: see problem_levels.h. */
#include "src/read/problem_levels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/levels.h"
#include "src/core/memory.h"
#include "src/read/problem_array.h"
#include "src/read/problem_sectors.h"

#define MOST_LEVELS 16

bool sky_problem_has_levels(const sky_nc *f) {
  return sky_nc_has(f, "level_length");
}

static sky_status whole_number(sky_context *ctx, sky_nc *f, const char *var, size_t k, double value,
                               size_t *out) {
  if (!(value >= 1 && value <= 1e6) || floor(value) != value)
    return sky_fail(ctx, SKY_E_RANGE, "%s: %s[%zu]: %g (expected a whole number 1..1000000)",
                    sky_nc_path(f), var, k, value);
  *out = (size_t)value;
  return SKY_OK;
}

static sky_status parse_model(sky_context *ctx, sky_nc *f, const char *name, sky_correlation *out) {
  const sky_status st = sky_correlation_parse(ctx, name, out);
  return st == SKY_E_JOB ? sky_fail_in(ctx, SKY_E_FORMAT, "%s: ", sky_nc_path(f)) : st;
}

static sky_status parse_models(sky_context *ctx, sky_nc *f, size_t n, sky_level *level) {
  char *text = NULL, *rest = NULL;
  size_t k = 0;
  sky_status st = SKY_OK;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "level_models", &text));
  for (char *name = text != NULL ? strtok_r(text, " ", &rest) : NULL; name != NULL && k <= n;
       name = strtok_r(NULL, " ", &rest), k++)
    if (k < n) SKY_GO(parse_model(ctx, f, name, &level[k].model));
  if (k != n)
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: level_models: %zu models (expected %zu, one for a level)",
                  sky_nc_path(f), k, n);
cleanup:
  sky_free(text);
  return st;
}

static sky_status read_levels(sky_context *ctx, sky_nc *f, size_t n, sky_level *level) {
  static const char *const names[] = {"level_x0", "level_y0", "level_dx",    "level_dy",
                                      "level_nx", "level_ny", "level_sigma", "level_length"};
  double *v[8] = {NULL};
  sky_status st = SKY_OK;
  for (size_t i = 0; i < 8; i++)
    SKY_GO(sky_problem_vector(ctx, f, names[i], "level", n, NULL, &v[i]));
  for (size_t k = 0; k < n; k++) {
    level[k] = (sky_level){.x0 = v[0][k],
                           .y0 = v[1][k],
                           .dx = v[2][k],
                           .dy = v[3][k],
                           .sigma = v[6][k],
                           .length = v[7][k]};
    SKY_GO(whole_number(ctx, f, "level_nx", k, v[4][k], &level[k].nx));
    SKY_GO(whole_number(ctx, f, "level_ny", k, v[5][k], &level[k].ny));
  }
  SKY_GO(parse_models(ctx, f, n, level));
cleanup:
  for (size_t i = 0; i < 8; i++)
    sky_free(v[i]);
  return st;
}

/* Every sector repeats the mesh. */
static sky_status check_sectors(sky_context *ctx, sky_nc *f, const sky_problem *p, size_t n_mesh,
                                const double *width) {
  for (size_t c = n_mesh; c < p->n_cell; c++) {
    const size_t m = c % n_mesh;
    if (p->xc[c] != p->xc[m] || p->yc[c] != p->yc[m] || width[c] != width[m])
      return sky_fail(
          ctx, SKY_E_FORMAT,
          "%s: cell %zu is not cell %zu of another sector (expected the same xc, yc and "
          "cell_width)",
          sky_nc_path(f), c, m);
  }
  return SKY_OK;
}

/* Squares of cell_width around the centres of the n_mesh cells of one sector. */
static sky_status read_bounds(sky_context *ctx, sky_nc *f, const sky_problem *p, size_t n_mesh,
                              double **out) {
  double *width = NULL, *b = NULL;
  sky_status st = SKY_OK;
  if (p->geographic)
    return sky_fail(ctx, SKY_E_UNITS, "%s: xc, yc: levels need plane coordinates (km), not degrees",
                    sky_nc_path(f));
  SKY_GO(sky_problem_vector(ctx, f, "cell_width", "cell", p->n_cell, NULL, &width));
  SKY_GO(check_sectors(ctx, f, p, n_mesh, width));
  SKY_GO_ALLOC(b, SKY_NEW(ctx, double, 4 * n_mesh));
  for (size_t c = 0; c < n_mesh; c++) {
    b[4 * c] = p->xc[c] - width[c] / 2;
    b[4 * c + 1] = p->yc[c] - width[c] / 2;
    b[4 * c + 2] = p->xc[c] + width[c] / 2;
    b[4 * c + 3] = p->yc[c] + width[c] / 2;
  }
  *out = b;
cleanup:
  sky_free(width);
  return st;
}

static sky_status read_time(sky_context *ctx, sky_nc *f, size_t n, double *D) {
  sky_correlation model;
  double length;
  char *name = NULL;
  SKY_TRY(sky_problem_number(ctx, f, "Lt_steps", &length));
  if (!(length > 0 && isfinite(length)))
    return sky_fail(ctx, SKY_E_RANGE, "%s: Lt_steps: %g (expected a number > 0)", sky_nc_path(f),
                    length);
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "cov_time", &name));
  if (name == NULL)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: cov_time: attribute missing (names a correlation)",
                    sky_nc_path(f));
  const sky_status st = parse_model(ctx, f, name, &model);
  sky_free(name);
  for (size_t i = 0; st == SKY_OK && i < n * n; i++)
    D[i] = sky_correlation_value(model, fabs((double)(i / n) - (double)(i % n)), length);
  return st;
}

sky_status sky_problem_read_levels(sky_context *ctx, sky_nc *f, sky_problem *p) {
  sky_level level[MOST_LEVELS];
  double *scale[MOST_LEVELS] = {NULL}, *bounds = NULL, *D = NULL, *M = NULL;
  size_t n_sector;
  sky_nc_var info;
  sky_status st = SKY_OK;
  SKY_TRY(sky_nc_info(ctx, f, "level_length", &info));
  const size_t n = info.count;
  if (n < 1 || n > MOST_LEVELS)
    return sky_fail(ctx, SKY_E_RANGE, "%s: %zu levels (expected 1..%d)", sky_nc_path(f), n,
                    MOST_LEVELS);
  SKY_GO(sky_problem_read_mixing(ctx, f, p, &n_sector, &M));
  SKY_GO(read_levels(ctx, f, n, level));
  for (size_t k = 0; k < n; k++) {
    char name[32];
    snprintf(name, sizeof name, "level_scale%zu", k);
    if (!sky_nc_has(f, name)) continue;
    SKY_GO(sky_problem_vector(ctx, f, name, "point",
                              p->n_time * n_sector * level[k].nx * level[k].ny, NULL, &scale[k]));
    level[k].scale = scale[k];
  }
  SKY_GO(read_bounds(ctx, f, p, p->n_cell / n_sector, &bounds));
  SKY_GO_ALLOC(D, SKY_NEW(ctx, double, p->n_time * p->n_time));
  SKY_GO(read_time(ctx, f, p->n_time, D));
  const sky_levels_spec spec = {.n_mesh = p->n_cell / n_sector,
                                .n_sector = n_sector,
                                .n_time = p->n_time,
                                .bounds = bounds,
                                .D = D,
                                .M = M,
                                .n_level = n,
                                .level = level};
  st = sky_levels_create(ctx, &spec, &p->levels);
  if (st != SKY_OK) {
    st = sky_fail_in(ctx, st, "%s: ", sky_nc_path(f));
    goto cleanup;
  }
  SKY_GO_ALLOC(p->x_sd, SKY_NEW(ctx, double, p->n_state));
  for (size_t i = 0; i < p->n_state; i++)
    p->x_sd[i] = sqrt(sky_levels_variance(p->levels)[i]);
cleanup:
  for (size_t k = 0; k < MOST_LEVELS; k++)
    sky_free(scale[k]);
  sky_free(bounds);
  sky_free(D);
  sky_free(M);
  return st;
}
