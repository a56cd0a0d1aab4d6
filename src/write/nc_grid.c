/* nc_grid.c: grids and gridded fields in CF NetCDF.
 *
 * CF-1.11 §4 (coordinates), §5.6 (grid mapping, crs_wkt), §7.1 (bounds), §7.2 (cell measures),
 * §7.3 (cell methods), §3.4 (ancillary variables); ACDD-1.3 for the geospatial_* attributes.
 * Rows run south to north, as in grid.h. */
#include <math.h>
#include <string.h>

#include "grids/grid_area.h"
#include "src/core/memory.h"
#include "src/write/crs.h"
#include "src/write/nc_write.h"

typedef struct axis {
  const char *name, *bounds, *standard_name, *long_name, *unit, *letter;
} axis;

/* [geographic or projected][y, x] */
static const axis axes[2][2] = {
    {{"y", "y_bnds", "projection_y_coordinate", "northing", "m", "Y"},
     {"x", "x_bnds", "projection_x_coordinate", "easting", "m", "X"}},
    {{"lat", "lat_bnds", "latitude", "latitude of the cell centre", "degrees_north", "Y"},
     {"lon", "lon_bnds", "longitude", "longitude of the cell centre", "degrees_east", "X"}},
};

static const char *grid_dims(const sky_grid *g) {
  return g->geographic ? "lat,lon" : "y,x";
}

static sky_status put_axis(sky_ncw *w, const axis *a, const double *edge, size_t n) {
  sky_context *ctx = sky_ncw_context(w);
  sky_status st = SKY_OK;
  double *bounds = NULL, *centre = NULL;
  char *bounds_dims = NULL;
  SKY_GO_ALLOC(bounds, SKY_NEW(ctx, double, 2 * n));
  SKY_GO_ALLOC(centre, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(bounds_dims, sky_sprintf(ctx, "%s,bnds", a->name));
  for (size_t i = 0; i < n; i++) {
    bounds[2 * i] = edge[i];
    bounds[2 * i + 1] = edge[i + 1];
    centre[i] = 0.5 * (edge[i] + edge[i + 1]);
  }
  SKY_GO(sky_ncw_dim(w, a->name, n));
  SKY_GO(sky_ncw_var(w, a->name, 'd', a->name));
  SKY_GO(sky_ncw_att(w, a->name, "standard_name", a->standard_name));
  SKY_GO(sky_ncw_att(w, a->name, "long_name", a->long_name));
  SKY_GO(sky_ncw_att(w, a->name, "units", a->unit));
  SKY_GO(sky_ncw_att(w, a->name, "axis", a->letter));
  SKY_GO(sky_ncw_att(w, a->name, "bounds", a->bounds));
  SKY_GO(sky_ncw_put(w, a->name, centre));
  SKY_GO(sky_ncw_var(w, a->bounds, 'd', bounds_dims));
  SKY_GO(sky_ncw_put(w, a->bounds, bounds));

cleanup:
  sky_free(bounds_dims);
  sky_free(centre);
  sky_free(bounds);
  return st;
}

static sky_status put_mapping(sky_ncw *w, const sky_crs *crs) {
  sky_crs_mapping cf;
  const int32_t nothing = 0; /* the variable is a container of attributes */
  sky_crs_cf(crs, &cf);
  SKY_TRY(sky_ncw_var(w, "crs", 'i', ""));
  SKY_TRY(sky_ncw_att(w, "crs", "long_name", "coordinate reference system"));
  if (cf.mapping != NULL) {
    SKY_TRY(sky_ncw_att(w, "crs", "grid_mapping_name", cf.mapping));
  } else {
    sky_log(sky_ncw_context(w), SKY_LOG_WARN,
            "%s: CF has no grid_mapping_name for this projection; crs_wkt alone describes it",
            sky_ncw_path(w));
  }
  for (size_t i = 0; i < cf.n; i++) {
    const sky_crs_parameter *p = &cf.parameter[i];
    SKY_TRY(sky_ncw_att_nums(w, "crs", p->name, p->value, p->n));
  }
  SKY_TRY(sky_ncw_att(w, "crs", "crs_wkt", sky_crs_wkt(crs)));
  return sky_ncw_put_i32(w, "crs", &nothing);
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* A large field is stored in chunks, row of chunks by row of chunks. */
static sky_status define_cells(sky_ncw *w, const sky_grid *g, const char *name) {
  const size_t chunk[2] = {least(SKY_NCW_ROWS, g->ny), least(SKY_NCW_COLUMNS, g->nx)};
  if (sky_grid_cells(g) <= SKY_NCW_ROWS * SKY_NCW_COLUMNS)
    return sky_ncw_var(w, name, 'd', grid_dims(g));
  return sky_ncw_var_chunked(w, name, 'd', grid_dims(g), chunk, 1, NULL);
}

/* As much of a grid as is computed at a time: some rows from `first` on. A view of g. */
static sky_grid rows_of(const sky_grid *g, size_t first) {
  sky_grid part = *g;
  part.y_edge += first;
  part.ny = least(SKY_NCW_ROWS, g->ny - first);
  return part;
}

/* CF 5.6: a projected grid also carries the longitude and latitude of its cell centres. */
static sky_status put_lonlat(sky_ncw *w, const sky_crs *crs, const sky_grid *g) {
  sky_context *ctx = sky_ncw_context(w);
  sky_status st = SKY_OK;
  double *value[2] = {NULL, NULL}; /* latitude, longitude */
  for (size_t k = 0; k < 2; k++) {
    const axis *a = &axes[1][k];
    SKY_GO_ALLOC(value[k], SKY_NEW(ctx, double, SKY_NCW_ROWS * g->nx));
    SKY_GO(define_cells(w, g, a->name));
    SKY_GO(sky_ncw_att(w, a->name, "standard_name", a->standard_name));
    SKY_GO(sky_ncw_att(w, a->name, "long_name", a->long_name));
    SKY_GO(sky_ncw_att(w, a->name, "units", a->unit));
  }
  for (size_t row = 0; row < g->ny; row += SKY_NCW_ROWS) {
    const sky_grid part = rows_of(g, row);
    const size_t start[2] = {row, 0}, size[2] = {part.ny, part.nx}, n = sky_grid_cells(&part);
    for (size_t i = 0; i < n; i++)
      sky_grid_centre(&part, i, &value[1][i], &value[0][i]);
    SKY_GO(sky_crs_to_lonlat(ctx, crs, n, value[1], value[0]));
    for (size_t k = 0; k < 2; k++)
      SKY_GO(sky_ncw_put_block(w, axes[1][k].name, start, size, value[k]));
  }

cleanup:
  sky_free(value[1]);
  sky_free(value[0]);
  return st;
}

static sky_status put_area(sky_ncw *w, const sky_grid *g) {
  sky_context *ctx = sky_ncw_context(w);
  sky_status st = SKY_OK;
  double *area = NULL;
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, SKY_NCW_ROWS * g->nx));
  SKY_GO(define_cells(w, g, "cell_area"));
  SKY_GO(sky_ncw_att(w, "cell_area", "standard_name", "cell_area"));
  SKY_GO(sky_ncw_att(w, "cell_area", "long_name", "area of the cell on the WGS 84 ellipsoid"));
  SKY_GO(sky_ncw_att(w, "cell_area", "units", "m2"));
  SKY_GO(sky_ncw_att(w, "cell_area", "grid_mapping", "crs"));
  if (!g->geographic) SKY_GO(sky_ncw_att(w, "cell_area", "coordinates", "lat lon"));
  for (size_t row = 0; row < g->ny; row += SKY_NCW_ROWS) {
    const sky_grid part = rows_of(g, row);
    const size_t start[2] = {row, 0}, size[2] = {part.ny, part.nx};
    SKY_GO(sky_grid_areas(ctx, &part, area));
    SKY_GO(sky_ncw_put_block(w, "cell_area", start, size, area));
  }

cleanup:
  sky_free(area);
  return st;
}

/* Box of the grid in degrees: corners and edge midpoints (a projected edge is curved in longitude
 * and latitude, but discovery attributes need no more). */
static sky_status put_bounds(sky_ncw *w, const sky_crs *crs, const sky_grid *g) {
  static const char *const names[4] = {"geospatial_lon_min", "geospatial_lat_min",
                                       "geospatial_lon_max", "geospatial_lat_max"};
  double x[9], y[9];
  for (size_t i = 0; i < 9; i++) {
    const double fx = 0.5 * (double)(i % 3), fy = 0.5 * (double)(i / 3);
    x[i] = (1 - fx) * g->x_edge[0] + fx * g->x_edge[g->nx];
    y[i] = (1 - fy) * g->y_edge[0] + fy * g->y_edge[g->ny];
  }
  if (!g->geographic) SKY_TRY(sky_crs_to_lonlat(sky_ncw_context(w), crs, 9, x, y));
  double box[4] = {x[0], y[0], x[0], y[0]};
  for (size_t i = 1; i < 9; i++) {
    box[0] = fmin(box[0], x[i]);
    box[1] = fmin(box[1], y[i]);
    box[2] = fmax(box[2], x[i]);
    box[3] = fmax(box[3], y[i]);
  }
  for (size_t i = 0; i < 4; i++)
    SKY_TRY(sky_ncw_att_num(w, "", names[i], box[i]));
  SKY_TRY(sky_ncw_att(w, "", "geospatial_lat_units", "degrees_north"));
  return sky_ncw_att(w, "", "geospatial_lon_units", "degrees_east");
}

sky_status sky_ncw_grid(sky_ncw *w, const sky_grid *g) {
  sky_status st = SKY_OK;
  sky_crs *crs = NULL;
  SKY_GO(sky_crs_create(sky_ncw_context(w), g->crs, &crs));
  SKY_GO(sky_ncw_dim(w, "bnds", 2));
  SKY_GO(put_axis(w, &axes[g->geographic][0], g->y_edge, g->ny));
  SKY_GO(put_axis(w, &axes[g->geographic][1], g->x_edge, g->nx));
  SKY_GO(put_mapping(w, crs));
  if (!g->geographic) SKY_GO(put_lonlat(w, crs, g));
  SKY_GO(put_area(w, g));
  SKY_GO(put_bounds(w, crs, g));

cleanup:
  sky_crs_free(crs);
  return st;
}

sky_status sky_ncw_field(sky_ncw *w, const sky_grid *g, const sky_field *f) {
  static const char *const methods[] = {"area: mean", "area: sum", "area: mode"};
  SKY_TRY(sky_ncw_var(w, f->name, 'd', grid_dims(g)));
  SKY_TRY(sky_ncw_att_num(w, f->name, "_FillValue", NAN));
  SKY_TRY(sky_ncw_att(w, f->name, "long_name", f->long_name));
  if (f->standard_name != NULL) {
    SKY_TRY(sky_ncw_att(w, f->name, "standard_name", f->standard_name));
  }
  SKY_TRY(sky_ncw_att(w, f->name, "units", f->unit));
  SKY_TRY(sky_ncw_att(w, f->name, "grid_mapping", "crs"));
  if (!g->geographic) SKY_TRY(sky_ncw_att(w, f->name, "coordinates", "lat lon"));
  SKY_TRY(sky_ncw_att(w, f->name, "cell_methods", methods[f->kind]));
  SKY_TRY(sky_ncw_att(w, f->name, "cell_measures", "area: cell_area"));
  return sky_ncw_put(w, f->name, f->value);
}

/* "ch4_posterior_sd" and "ch4_posterior_ak" say how good "ch4_posterior" is: name_* are its
 * ancillary variables. */
static sky_status link_ancillary(sky_ncw *w, const sky_field *fields, size_t n, size_t i) {
  sky_context *ctx = sky_ncw_context(w);
  sky_status st = SKY_OK;
  char *list = NULL, *longer = NULL;
  const size_t length = strlen(fields[i].name);
  for (size_t k = 0; k < n; k++) {
    const char *other = fields[k].name;
    if (strncmp(other, fields[i].name, length) != 0 || other[length] != '_') continue;
    SKY_GO_ALLOC(longer, sky_sprintf(ctx, "%s%s%s", list == NULL ? "" : list,
                                     list == NULL ? "" : " ", other));
    sky_free(list);
    list = longer;
  }
  if (list != NULL) SKY_GO(sky_ncw_att(w, fields[i].name, "ancillary_variables", list));

cleanup:
  sky_free(list);
  return st;
}

static sky_status put_global(sky_ncw *w, const char *assignment) {
  sky_context *ctx = sky_ncw_context(w);
  const char *value = strchr(assignment, '=');
  if (value == NULL || value == assignment) {
    return sky_fail(ctx, SKY_E_INTERNAL, "%s: attribute '%s' is not name=value", sky_ncw_path(w),
                    assignment);
  }
  char *name = sky_sprintf(ctx, "%.*s", (int)(value - assignment), assignment);
  if (name == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_ncw_att(w, "", name, value + 1);
  sky_free(name);
  return st;
}

sky_status sky_ncw_globals(sky_ncw *w, const char *const *attrs) {
  for (size_t i = 0; attrs != NULL && attrs[i] != NULL; i++)
    SKY_TRY(put_global(w, attrs[i]));
  return SKY_OK;
}

sky_status sky_fields_nc_write(sky_context *ctx, const char *path, const sky_grid *grid,
                               const sky_field *fields, size_t n_fields, const char *const *attrs) {
  sky_status st = SKY_OK;
  sky_ncw *w = NULL;
  SKY_GO(sky_ncw_create(ctx, path, &w));
  SKY_GO(sky_ncw_globals(w, attrs));
  SKY_GO(sky_ncw_grid(w, grid));
  for (size_t i = 0; i < n_fields; i++) {
    SKY_GO(sky_ncw_field(w, grid, &fields[i]));
    SKY_GO(link_ancillary(w, fields, n_fields, i));
  }
  return sky_ncw_commit(w);

cleanup:
  sky_ncw_abort(w);
  return st;
}
