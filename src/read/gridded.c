/* gridded.c: shape, grid and strides of a NetCDF variable by the names of its dimensions. */
#include "src/read/gridded.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "src/core/memory.h"

#define DEG (M_PI / 180.0)

typedef enum role { ROLE_X, ROLE_Y, ROLE_TIME, ROLE_OTHER } role;

static role role_of(const char *dim) {
  static const struct {
    const char *name;
    role is;
  } known[] = {{"lon", ROLE_X},       {"longitude", ROLE_X},
               {"x", ROLE_X},         {"rlon", ROLE_X},
               {"lat", ROLE_Y},       {"latitude", ROLE_Y},
               {"y", ROLE_Y},         {"rlat", ROLE_Y},
               {"time", ROLE_TIME},   {"valid_time", ROLE_TIME},
               {"i", ROLE_X},         {"ni", ROLE_X},
               {"nx", ROLE_X},        {"j", ROLE_Y},
               {"nj", ROLE_Y},        {"ny", ROLE_Y},
               {"west_east", ROLE_X}, {"south_north", ROLE_Y}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(dim, known[i].name) == 0) return known[i].is;
  return ROLE_OTHER;
}

/* Position of the dimension with a role, or -1 (absent) or -2 (twice). */
static int find_role(const sky_nc_var *v, role r) {
  int found = -1;
  for (int d = 0; d < v->ndims; d++)
    if (role_of(v->dim[d]) == r) found = found == -1 ? d : -2;
  return found;
}

bool sky_gridded_suits(const sky_nc_var *info) {
  if (find_role(info, ROLE_X) < 0 || find_role(info, ROLE_Y) < 0) return false;
  for (int d = 0; d < info->ndims; d++)
    if (role_of(info->dim[d]) == ROLE_OTHER && info->size[d] != 1) return false;
  return find_role(info, ROLE_TIME) != -2;
}

static sky_status wrong_shape(sky_context *ctx, const sky_nc *f, const char *var,
                              const sky_nc_var *v) {
  char dims[SKY_NC_MAX_DIMS * 96] = "";
  for (int d = 0; d < v->ndims; d++) {
    const size_t at = strlen(dims);
    snprintf(dims + at, sizeof dims - at, "%s%s=%zu", d > 0 ? ", " : "", v->dim[d], v->size[d]);
  }
  return sky_fail(ctx, SKY_E_FORMAT,
                  "%s: %s: dimensions (%s), expected longitude, latitude and at most time beside "
                  "dimensions of size 1",
                  sky_nc_path(f), var, dims);
}

static sky_status read_axis(sky_context *ctx, sky_nc *f, const char *name, size_t n, double **out) {
  sky_nc_var info;
  SKY_TRY(sky_nc_info(ctx, f, name, &info));
  if (info.ndims != 1 || info.count != n)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: not a coordinate of %zu values", sky_nc_path(f),
                    name, n);
  return sky_nc_read(ctx, f, name, &info, out);
}

/* The name of the variable that holds a rotated pole: what var says, else the usual ones. */
static sky_status find_mapping(sky_context *ctx, sky_nc *f, const char *var, char **out) {
  static const char *const usual[] = {"rotated_pole", "rotated_latitude_longitude", "crs"};
  char *kind = NULL;
  SKY_TRY(sky_nc_attr_text(ctx, f, var, "grid_mapping", out));
  for (size_t i = 0; *out == NULL && i < sizeof usual / sizeof *usual; i++) {
    if (!sky_nc_has(f, usual[i])) continue;
    SKY_TRY(sky_nc_attr_text(ctx, f, usual[i], "grid_mapping_name", &kind));
    if (kind != NULL && strcmp(kind, "rotated_latitude_longitude") == 0) {
      *out = sky_strdup(ctx, usual[i]);
      if (*out == NULL) return SKY_E_NOMEM;
    }
    sky_free(kind);
  }
  if (*out != NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: dimensions rlon and rlat without a grid mapping",
                  sky_nc_path(f), var);
}

/* Longitude and latitude of a rotated pole (CF 1.8, appendix F) as a plate carrée in metres of a
 * sphere, in which a degree of either axis is the same length: the cells are what they were, and
 * places are found by the formulas of the sphere, as in the models that use such grids. */
static sky_status rotated_crs(sky_context *ctx, sky_nc *f, const char *var, char **crs) {
  static const char *const names[] = {"grid_north_pole_latitude", "grid_north_pole_longitude",
                                      "north_pole_grid_longitude"};
  double pole[3] = {NAN, NAN, 0};
  char *mapping = NULL;
  bool given = true;
  sky_status st = find_mapping(ctx, f, var, &mapping);
  for (int i = 0; i < 3 && st == SKY_OK; i++) {
    double v = NAN;
    st = sky_nc_attr_number(ctx, f, mapping, names[i], &v);
    if (!isnan(v)) pole[i] = v;
    given = given && !isnan(pole[i]);
  }
  if (st == SKY_OK && !given)
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %s and %s are needed", sky_nc_path(f), mapping,
                  names[0], names[1]);
  sky_free(mapping);
  SKY_TRY(st);
  *crs = sky_sprintf(ctx,
                     "+proj=ob_tran +o_proj=eqc +o_lat_p=%.12g +o_lon_p=%.12g +lon_0=%.12g "
                     "+R=%.12g +units=m +no_defs +type=crs",
                     pole[0], pole[2], remainder(pole[1] + 180, 360), SKY_WGS84_A);
  return *crs != NULL ? SKY_OK : SKY_E_NOMEM;
}

static void scale(double *v, size_t n, double factor) {
  for (size_t i = 0; i < n; i++)
    v[i] *= factor;
}

static sky_status read_grid(sky_context *ctx, sky_nc *f, const char *var, const char *x_dim,
                            size_t nx, const char *y_dim, size_t ny, sky_gridded *g) {
  sky_status st = SKY_OK;
  double *x = NULL, *y = NULL;
  char *crs = NULL;
  const bool rotated = strcmp(x_dim, "rlon") == 0;
  if (rotated) SKY_GO(rotated_crs(ctx, f, var, &crs));
  if (strcmp(x_dim, "x") == 0) {
    SKY_GO(sky_nc_attr_text(ctx, f, "", "crs", &crs));
    if (crs == NULL) {
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: dimensions x and y without a global attribute crs",
                    sky_nc_path(f));
      goto cleanup;
    }
  }
  SKY_GO(read_axis(ctx, f, x_dim, nx, &x));
  SKY_GO(read_axis(ctx, f, y_dim, ny, &y));
  g->spacing_x = fabs(x[nx - 1] - x[0]) / (double)(nx - 1);
  g->spacing_y = fabs(y[ny - 1] - y[0]) / (double)(ny - 1);
  if (rotated) {
    scale(x, nx, SKY_WGS84_A * DEG);
    scale(y, ny, SKY_WGS84_A * DEG);
  }
  st = sky_grid_from_centres(ctx, crs != NULL ? crs : "EPSG:4326", x, nx, y, ny, &g->grid,
                             &g->flip_x, &g->flip_y);
  if (st != SKY_OK) {
    st = sky_fail_in(ctx, st, "%s: ", sky_nc_path(f));
    goto cleanup;
  }
cleanup:
  sky_free(x);
  sky_free(y);
  sky_free(crs);
  return st;
}

void sky_gridded_free(sky_gridded *g) {
  if (g == NULL) return;
  sky_grid_free(&g->grid);
  memset(g, 0, sizeof *g);
}

sky_status sky_gridded_shape(sky_context *ctx, sky_nc *f, const char *var, sky_gridded *out, int *x,
                             int *y) {
  sky_gridded g = {.n_time = 1};
  SKY_TRY(sky_nc_info(ctx, f, var, &g.info));
  if (!sky_gridded_suits(&g.info)) return wrong_shape(ctx, f, var, &g.info);
  *x = find_role(&g.info, ROLE_X);
  *y = find_role(&g.info, ROLE_Y);
  const int t = find_role(&g.info, ROLE_TIME);
  size_t stride[SKY_NC_MAX_DIMS], step = 1;
  for (int d = g.info.ndims - 1; d >= 0; d--) {
    stride[d] = step;
    step *= g.info.size[d];
  }
  g.stride_x = stride[*x];
  g.stride_y = stride[*y];
  if (t >= 0) {
    g.has_time = true;
    g.n_time = g.info.size[t];
    g.stride_time = stride[t];
    memcpy(g.time_dim, g.info.dim[t], sizeof g.time_dim);
  }
  *out = g;
  return SKY_OK;
}

sky_status sky_gridded_open(sky_context *ctx, sky_nc *f, const char *var, sky_gridded *out) {
  sky_gridded g;
  int x, y;
  SKY_TRY(sky_gridded_shape(ctx, f, var, &g, &x, &y));
  SKY_TRY(read_grid(ctx, f, var, g.info.dim[x], g.info.size[x], g.info.dim[y], g.info.size[y], &g));
  *out = g;
  return SKY_OK;
}

sky_status sky_gridded_values(sky_context *ctx, sky_nc *f, const char *var, const sky_nc_var *info,
                              double **out) {
  const size_t budget = sky_context_memory(ctx);
  if (info->count > budget / sizeof(double))
    return sky_fail(ctx, SKY_E_NOMEM, "%s: %s: %zu values need %zu MB, the budget is %zu MB",
                    sky_nc_path(f), var, info->count, info->count / 131072 + 1, budget >> 20);
  return sky_nc_read(ctx, f, var, info, out);
}
