/* gridded_cells.c: curvilinear grids, from two-dimensional longitudes and latitudes (CF 1.8, 5.2)
 * and the corners of their cells (7.1). */
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/gridded.h"

typedef struct plane { /* the horizontal dimensions of a variable */
  const char *x, *y;
  size_t nx, ny;
} plane;

/* Dimensions y and x in either order, and then others; *sx, *sy: their strides. */
static bool lies_in(const plane *p, const sky_nc_var *v, int ndims, size_t *sx, size_t *sy) {
  if (v->ndims != ndims) return false;
  const size_t rest = ndims == 3 ? v->size[2] : 1;
  const bool rows = strcmp(v->dim[0], p->y) == 0 && strcmp(v->dim[1], p->x) == 0;
  const bool columns = strcmp(v->dim[0], p->x) == 0 && strcmp(v->dim[1], p->y) == 0;
  *sx = rows ? rest : rest * p->ny;
  *sy = rows ? rest * p->nx : rest;
  return rows || columns;
}

static bool one_of(const char *name, const char *const *list) {
  for (; *list != NULL; list++)
    if (strcmp(name, *list) == 0) return true;
  return false;
}

typedef struct kind {
  const char *what, *names[5], *units[7];
} kind;

static const kind longitude = {
    "longitudes",
    {"lon", "longitude", "XLONG", "nav_lon", NULL},
    {"degrees_east", "degree_east", "degree_E", "degrees_E", "degreeE", "degreesE", NULL}};
static const kind latitude = {
    "latitudes",
    {"lat", "latitude", "XLAT", "nav_lat", NULL},
    {"degrees_north", "degree_north", "degree_N", "degrees_N", "degreeN", "degreesN", NULL}};

/* The variable of the plane that is of a kind, by its unit or name; *out NULL: none. */
static sky_status find(sky_context *ctx, sky_nc *f, const plane *p, const kind *k, char **out) {
  char **names = NULL;
  size_t n = 0, sx, sy;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_GO(sky_nc_variables(ctx, f, &names, &n));
  for (size_t i = 0; i < n; i++) {
    sky_nc_var v;
    SKY_GO(sky_nc_info(ctx, f, names[i], &v));
    if (!lies_in(p, &v, 2, &sx, &sy)) continue;
    if (!one_of(names[i], k->names) && !one_of(v.units, k->units)) continue;
    if (*out != NULL) {
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: %s and %s are both %s of (%s, %s)", sky_nc_path(f),
                    *out, names[i], k->what, p->y, p->x);
      goto cleanup;
    }
    SKY_GO_ALLOC(*out, sky_strdup(ctx, names[i]));
  }
cleanup:
  for (size_t i = 0; i < n && names != NULL; i++)
    sky_free(names[i]);
  sky_free(names);
  if (st != SKY_OK) {
    sky_free(*out);
    *out = NULL;
  }
  return st;
}

/* The name of the variable of corners; NULL: none. */
static sky_status find_bounds(sky_context *ctx, sky_nc *f, const char *name, char **out) {
  static const char *const endings[] = {"_bnds", "_bounds"};
  SKY_TRY(sky_nc_attr_text(ctx, f, name, "bounds", out));
  for (size_t i = 0; i < 2 && *out == NULL; i++) {
    *out = sky_sprintf(ctx, "%s%s", name, endings[i]);
    if (*out == NULL) return SKY_E_NOMEM;
    if (sky_nc_has(f, *out)) return SKY_OK;
    sky_free(*out);
    *out = NULL;
  }
  return SKY_OK;
}

/* [ny*nx*n_corner], whatever the order in the file. */
static sky_status read_plane(sky_context *ctx, sky_nc *f, const plane *p, const char *name,
                             size_t n_corner, double **out) {
  sky_nc_var v;
  double *raw = NULL, *to = NULL;
  size_t sx, sy;
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_info(ctx, f, name, &v));
  if (!lies_in(p, &v, n_corner > 1 ? 3 : 2, &sx, &sy) || (n_corner > 1 && v.size[2] != n_corner)) {
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: %s: expected dimensions (%s, %s%s)", sky_nc_path(f), name,
                  p->y, p->x, n_corner > 1 ? ", 4" : "");
    goto cleanup;
  }
  SKY_GO(sky_gridded_values(ctx, f, name, &v, &raw));
  SKY_GO_ALLOC(to, SKY_NEW(ctx, double, v.count));
  for (size_t i = 0; i < v.count; i++) {
    const size_t cell = i / n_corner;
    to[i] = raw[cell / p->nx * sy + cell % p->nx * sx + i % n_corner];
  }
  *out = to;
cleanup:
  sky_free(raw);
  return st;
}

static sky_status read_cells(sky_context *ctx, sky_nc *f, const plane *p, const char *lon_name,
                             const char *lat_name, sky_curvilinear *cells) {
  char *lon_bounds = NULL, *lat_bounds = NULL;
  double *lon = NULL, *lat = NULL;
  sky_status st = SKY_OK;
  SKY_GO(find_bounds(ctx, f, lon_name, &lon_bounds));
  SKY_GO(find_bounds(ctx, f, lat_name, &lat_bounds));
  const bool bounded = lon_bounds != NULL && lat_bounds != NULL;
  SKY_GO(read_plane(ctx, f, p, bounded ? lon_bounds : lon_name, bounded ? 4 : 1, &lon));
  SKY_GO(read_plane(ctx, f, p, bounded ? lat_bounds : lat_name, bounded ? 4 : 1, &lat));
  if (!bounded)
    sky_log(ctx, SKY_LOG_WARN,
            "%s: %s, %s: no bounds; corners of cells are means of the centres around them, "
            "mirrored at the rim",
            sky_nc_path(f), lon_name, lat_name);
  st = bounded ? sky_curvilinear_from_corners(ctx, p->nx, p->ny, lon, lat, cells)
               : sky_curvilinear_from_centres(ctx, p->nx, p->ny, lon, lat, cells);
  if (st != SKY_OK)
    st = sky_fail_in(ctx, st, "%s: %s, %s: ", sky_nc_path(f), bounded ? lon_bounds : lon_name,
                     bounded ? lat_bounds : lat_name);
cleanup:
  sky_free(lon_bounds);
  sky_free(lat_bounds);
  sky_free(lon);
  sky_free(lat);
  return st;
}

static sky_status has_axis(sky_context *ctx, sky_nc *f, const char *dim, bool *yes) {
  sky_nc_var v;
  *yes = sky_nc_has(f, dim);
  if (*yes) SKY_TRY(sky_nc_info(ctx, f, dim, &v));
  *yes = *yes && v.ndims == 1;
  return SKY_OK;
}

/* The axes of the variable say where it lies. */
static sky_status has_axes(sky_context *ctx, sky_nc *f, const plane *p, bool *yes) {
  bool x, y;
  char *crs = NULL;
  SKY_TRY(has_axis(ctx, f, p->x, &x));
  SKY_TRY(has_axis(ctx, f, p->y, &y));
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "crs", &crs));
  *yes = x && y && (strcmp(p->x, "x") != 0 || crs != NULL);
  sky_free(crs);
  return SKY_OK;
}

/* A grid that counts cells: no coordinate system is equal to its own. */
static sky_status counting_grid(sky_context *ctx, size_t nx, size_t ny, sky_grid *g) {
  sky_status st = SKY_OK;
  *g = (sky_grid){.crs = "curvilinear", .nx = nx, .ny = ny};
  SKY_GO_ALLOC(g->x_edge, SKY_NEW(ctx, double, nx + 1));
  SKY_GO_ALLOC(g->y_edge, SKY_NEW(ctx, double, ny + 1));
  for (size_t i = 0; i <= nx; i++)
    g->x_edge[i] = (double)i;
  for (size_t i = 0; i <= ny; i++)
    g->y_edge[i] = (double)i;
cleanup:
  return st;
}

sky_status sky_gridded_open_cells(sky_context *ctx, sky_nc *f, const char *var, sky_gridded *g,
                                  sky_curvilinear *cells) {
  char *lon = NULL, *lat = NULL;
  bool axes;
  int x, y;
  sky_status st = SKY_OK;
  memset(cells, 0, sizeof *cells);
  SKY_GO(sky_gridded_shape(ctx, f, var, g, &x, &y));
  const plane p = {g->info.dim[x], g->info.dim[y], g->info.size[x], g->info.size[y]};
  SKY_GO(has_axes(ctx, f, &p, &axes));
  if (!axes) SKY_GO(find(ctx, f, &p, &longitude, &lon));
  if (!axes) SKY_GO(find(ctx, f, &p, &latitude, &lat));
  if (lon == NULL || lat == NULL) {
    st = sky_gridded_open(ctx, f, var, g);
    goto cleanup;
  }
  SKY_GO(read_cells(ctx, f, &p, lon, lat, cells));
  SKY_GO(counting_grid(ctx, p.nx, p.ny, &g->grid));
cleanup:
  sky_free(lon);
  sky_free(lat);
  if (st != SKY_OK) {
    sky_curvilinear_free(cells);
    sky_gridded_free(g);
  }
  return st;
}
