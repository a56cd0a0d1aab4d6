/* Flux files whose longitudes and latitudes are two-dimensional: against the same cells read by
 * their axes, onto geographic, nested and projected grids, and cells that are none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/memory.h"
#include "src/job/job_flux.h"
#include "tests/support/sky_cmocka.h"
#include "tests/unit/fixture_gridded.h"

#define DATA SKYFLUX_DATA "/data/"
#define NX 15
#define NY 12
#define CELLS (NX * NY)

static const sky_flux_options all = {
    .gas = "co2", .start = NAN, .end = NAN, .stated_dx = NAN, .stated_dy = NAN};

typedef struct made {
  double flux[CELLS], lon[CELLS], lat[CELLS], lon_corner[4 * CELLS], lat_corner[4 * CELLS];
} made;

/* Cells of 0.4 x 0.3 degrees across the antimeridian; one without data. */
static made make(void) {
  static const double to_x[4] = {-0.5, 0.5, 0.5, -0.5}, to_y[4] = {-0.5, -0.5, 0.5, 0.5};
  made m;
  for (int i = 0; i < CELLS; i++) {
    const double x = 177.2 + 0.4 * (i % NX), y = 50.15 + 0.3 * (i / NX);
    m.flux[i] = i == 40 ? -999 : 1e-7 * (1 + (i * 7919) % 101);
    m.lon[i] = x > 180 ? x - 360 : x;
    m.lat[i] = y;
    for (int k = 0; k < 4; k++) {
      const double corner = x + 0.4 * to_x[k];
      m.lon_corner[4 * i + k] = corner > 180 ? corner - 360 : corner;
      m.lat_corner[4 * i + k] = y + 0.3 * to_y[k];
    }
  }
  return m;
}

static const double fill = -999;

static void write_regular(const char *path, const made *m) {
  const int nc = fx_create(path);
  const int dims[2] = {fx_axis(nc, "lat", NY, 50.15, 0.3, "degrees_north"),
                       fx_axis(nc, "lon", NX, 177.2, 0.4, "degrees_east")};
  fx_var(nc, "emis", 2, dims, "mol m-2 s-1", &fill, m->flux);
  fx_close(nc);
}

static void write_cells(const char *path, const made *m, bool bounds) {
  const int nc = fx_create(path);
  int dims[3] = {fx_dim(nc, "nj", NY)};
  dims[1] = fx_dim(nc, "ni", NX);
  dims[2] = fx_dim(nc, "corner", 4);
  fx_var(nc, "emis", 2, dims, "mol m-2 s-1", &fill, m->flux);
  fx_var(nc, "lon", 2, dims, "degrees_east", NULL, m->lon);
  fx_var(nc, "lat", 2, dims, "degrees_north", NULL, m->lat);
  if (bounds) {
    fx_var(nc, "lon_bnds", 3, dims, NULL, NULL, m->lon_corner);
    fx_var(nc, "corners_of_lat", 3, dims, NULL, NULL, m->lat_corner);
    fx_text(nc, "lat", "bounds", "corners_of_lat");
  }
  fx_close(nc);
}

/* The same with columns first. */
static void write_turned(const char *path, const made *m) {
  made t;
  for (int i = 0; i < CELLS; i++) {
    const int to = i % NX * NY + i / NX;
    t.flux[to] = m->flux[i];
    t.lon[to] = m->lon[i];
    t.lat[to] = m->lat[i];
    memcpy(&t.lon_corner[4 * to], &m->lon_corner[4 * i], 4 * sizeof(double));
    memcpy(&t.lat_corner[4 * to], &m->lat_corner[4 * i], 4 * sizeof(double));
  }
  const int nc = fx_create(path);
  int dims[3] = {fx_dim(nc, "x", NX)};
  dims[1] = fx_dim(nc, "y", NY);
  dims[2] = fx_dim(nc, "corner", 4);
  fx_var(nc, "emis", 2, dims, "mol m-2 s-1", &fill, t.flux);
  fx_var(nc, "here", 2, dims, "degrees_east", NULL, t.lon);
  fx_var(nc, "there", 2, dims, "degrees_north", NULL, t.lat);
  fx_var(nc, "here_bnds", 3, dims, NULL, NULL, t.lon_corner);
  fx_var(nc, "there_bounds", 3, dims, NULL, NULL, t.lat_corner);
  fx_close(nc);
}

typedef struct carried {
  double *flux, *valid, total;
  sky_audit audit;
} carried;

static carried carry(sky_context *ctx, const char *path, const sky_flux_options *opt,
                     const sky_mesh *m) {
  carried c = {.flux = malloc(m->n_cell * sizeof(double)),
               .valid = malloc(m->n_cell * sizeof(double))};
  sky_flux f;
  if (sky_flux_read(ctx, path, opt, &f) != SKY_OK) fail_msg("%s", sky_error(ctx));
  if (sky_job_flux_to_mesh(ctx, path, &f, m, c.flux, c.valid, &c.audit) != SKY_OK)
    fail_msg("%s", sky_error(ctx));
  assert_true(c.audit.gross > 0 && fabs(c.audit.residual) <= 1e-12 * c.audit.gross);
  c.total = f.total;
  sky_flux_free(&f);
  return c;
}

static void carried_free(carried *c) {
  free(c->flux);
  free(c->valid);
}

/* Totals, audit and cells agree: tolerance of the sums, and of a cell's amount and area. */
static void same(const carried *a, const carried *b, size_t n, double sums, double cells) {
  size_t filled = 0;
  assert_close(a->total, b->total, sums);
  assert_close(a->audit.in, b->audit.in, sums);
  assert_true(fabs(a->audit.out - b->audit.out) <= fmax(sums, cells) * b->audit.in);
  assert_true(fabs(a->audit.outside - b->audit.outside) <= fmax(sums, cells) * b->audit.in);
  assert_true(a->audit.nodata == b->audit.nodata);
  for (size_t i = 0; i < n; i++) {
    const double fa = a->valid[i] > 0 ? a->flux[i] : 0, fb = b->valid[i] > 0 ? b->flux[i] : 0;
    if (!(fabs(fa - fb) <= cells * 1e-5) || !(fabs(a->valid[i] - b->valid[i]) <= cells))
      fail_msg("cell %zu: %.17g and %.17g, valid %.17g and %.17g", i, fa, fb, a->valid[i],
               b->valid[i]);
    filled += fb > 0;
  }
  assert_true(filled > n / 4);
}

/* A base that holds part of the file, with a patch where patched. */
static sky_mesh mesh_of(sky_context *ctx, bool patched) {
  sky_grid base, patch;
  const char *const id = "fine";
  sky_mesh m;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 178, 49, -176, 53, 0.5, 0.5, &base), SKY_OK);
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 179, 51, 180.5, 52, 0.1, 0.1, &patch),
                   SKY_OK);
  assert_int_equal(sky_mesh_create(ctx, &base, &patch, &id, patched ? 1 : 0, &m), SKY_OK);
  sky_grid_free(&base);
  sky_grid_free(&patch);
  return m;
}

static void a_regular_grid_in_disguise(void **state) {
  sky_context *ctx = *state;
  const made m = make();
  write_regular("curv_regular.nc", &m);
  write_cells("curv_cells.nc", &m, true);
  write_turned("curv_turned.nc", &m);
  write_cells("curv_centres.nc", &m, false);
  for (int patched = 0; patched < 2; patched++) {
    sky_mesh to = mesh_of(ctx, patched == 1);
    carried want = carry(ctx, "curv_regular.nc", &all, &to);
    carried cells = carry(ctx, "curv_cells.nc", &all, &to);
    carried turned = carry(ctx, "curv_turned.nc", &all, &to);
    carried centres = carry(ctx, "curv_centres.nc", &all, &to);
    assert_true(want.audit.outside > 0.1 * want.audit.in && want.audit.nodata == 1);
    same(&cells, &want, to.n_cell, 1e-10, 1e-10);
    same(&turned, &want, to.n_cell, 1e-10, 1e-10);
    /* corners by the sphere lie up to 1e-3 of a cell beside the parallels */
    same(&centres, &want, to.n_cell, 1e-5, 1e-3);
    carried_free(&want);
    carried_free(&cells);
    carried_free(&turned);
    carried_free(&centres);
    sky_mesh_free(&to);
  }
}

/* The rectilinear path follows the parallels within a cell, chords of 0.4 degrees leave them. */
static void onto_a_projected_grid(void **state) {
  sky_context *ctx = *state;
  sky_grid g;
  sky_mesh to;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:32660", 550e3, 5550e3, 850e3, 5850e3, 2e4, 2e4, &g),
                   SKY_OK);
  assert_int_equal(sky_mesh_create(ctx, &g, NULL, NULL, 0, &to), SKY_OK);
  carried want = carry(ctx, "curv_regular.nc", &all, &to);
  carried cells = carry(ctx, "curv_cells.nc", &all, &to);
  assert_true(want.audit.outside > 0.1 * want.audit.in);
  same(&cells, &want, to.n_cell, 1e-10, 1e-2);
  carried_free(&want);
  carried_free(&cells);
  sky_mesh_free(&to);
  sky_grid_free(&g);
}

/* Longitudes and latitudes by the formulas of the rotation, pole at 43 N 170 W. */
static void write_berlin(const char *path, const sky_flux *f) {
  const size_t nx = f->grid.nx, n = sky_grid_cells(&f->grid);
  const double deg = M_PI / 180;
  double *lon = malloc(n * sizeof *lon), *lat = malloc(n * sizeof *lat);
  for (size_t i = 0; i < n; i++) {
    const double b = (2.3 + 0.1 * (double)(i / nx)) * deg,
                 l = (-1.6 + 0.1 * (double)(i % nx)) * deg;
    lat[i] = asin(cos(43 * deg) * cos(b) * cos(l) + sin(43 * deg) * sin(b)) / deg;
    lon[i] =
        10 + atan2(sin(l) * cos(b), sin(43 * deg) * cos(l) * cos(b) - cos(43 * deg) * sin(b)) / deg;
  }
  const int nc = fx_create(path);
  int dims[2] = {fx_dim(nc, "rlat", f->grid.ny)};
  dims[1] = fx_dim(nc, "rlon", nx);
  fx_var(nc, "CO2", 2, dims, "mol m-2 s-1", NULL, f->flux);
  fx_var(nc, "lon", 2, dims, "degrees_east", NULL, lon);
  fx_var(nc, "lat", 2, dims, "degrees_north", NULL, lat);
  fx_close(nc);
  free(lon);
  free(lat);
}

static void berlin_without_its_pole(void **state) {
  sky_context *ctx = *state;
  const char *const file = DATA "inventories/emis_2015_Berlin-coarse.nc";
  if (access(file, R_OK) != 0) skip();
  sky_flux_options opt = all;
  opt.variable = "CO2_*";
  sky_flux f;
  sky_grid g;
  sky_mesh to;
  assert_int_equal(sky_flux_read(ctx, file, &opt, &f), SKY_OK);
  assert_int_equal(f.n_sectors, 13);
  write_berlin("curv_berlin.nc", &f);
  sky_flux_free(&f);
  for (int part = 0; part < 2; part++) {
    const double north = part ? 53 : 58;
    assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 5, 47, 22, north, 0.25, 0.25, &g), SKY_OK);
    assert_int_equal(sky_mesh_create(ctx, &g, NULL, NULL, 0, &to), SKY_OK);
    carried want = carry(ctx, file, &opt, &to);
    carried cells = carry(ctx, "curv_berlin.nc", &all, &to);
    assert_close(cells.total, want.total, 1e-6);
    assert_close(cells.audit.in, want.audit.in, 1e-6);
    assert_true(fabs(cells.audit.out - want.audit.out) <= (part ? 1e-4 : 1e-6) * want.audit.in);
    assert_true(part ? cells.audit.outside > 0.01 * want.audit.in : cells.audit.outside == 0);
    double off = 0, size = 0;
    for (size_t i = 0; i < to.n_cell; i++) {
      if (isnan(want.flux[i])) continue;
      off += fabs(cells.flux[i] - want.flux[i]);
      size += fabs(want.flux[i]);
    }
    assert_true(off < 2e-3 * size);
    carried_free(&want);
    carried_free(&cells);
    sky_mesh_free(&to);
    sky_grid_free(&g);
  }
  unlink("curv_berlin.nc");
}

static void cells_that_are_none(void **state) {
  sky_context *ctx = *state;
  const size_t bad = 2 * NX + 3;
  sky_flux f = {0};
  made m = make();
  double *x = &m.lon_corner[4 * bad], *y = &m.lat_corner[4 * bad], kept = x[1];
  x[1] = x[0]; /* south-west, north-east, south-east, north-west */
  x[0] = kept;
  write_cells("curv_bad.nc", &m, true);
  assert_fails(
      ctx, sky_flux_read(ctx, "curv_bad.nc", &all, &f), SKY_E_FORMAT,
      "curv_bad.nc: lon_bnds, corners_of_lat: cell 3 of row 2 (both from 0) has edges that "
      "cross");
  for (int k = 1; k < 4; k++) {
    x[k] = x[0];
    y[k] = y[0];
  }
  write_cells("curv_bad.nc", &m, true);
  assert_fails(ctx, sky_flux_read(ctx, "curv_bad.nc", &all, &f), SKY_E_FORMAT,
               "cell 3 of row 2 (both from 0) has no area");
  m = make();
  m.lat[bad] = NAN; /* its south-western neighbour is the first that needs it */
  write_cells("curv_bad.nc", &m, false);
  assert_fails(ctx, sky_flux_read(ctx, "curv_bad.nc", &all, &f), SKY_E_FORMAT,
               "cell 2 of row 1 (both from 0) has no area, or a corner that is no place");
  unlink("curv_bad.nc");
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  sky_mesh to = mesh_of(ctx, true);
  double *flux = malloc(to.n_cell * sizeof *flux), *valid = malloc(to.n_cell * sizeof *valid);
  for (int bounds = 0; bounds < 2; bounds++) {
    const char *const path = bounds ? "curv_cells.nc" : "curv_centres.nc";
    sky_status st = SKY_E_NOMEM;
    uint64_t n = 1;
    for (; n < 1000 && st != SKY_OK; n++) {
      sky_flux f = {0};
      sky_audit audit;
      sky_memory_fail_at(ctx, n);
      st = sky_flux_read(ctx, path, &all, &f);
      if (st == SKY_OK) st = sky_job_flux_to_mesh(ctx, path, &f, &to, flux, valid, &audit);
      sky_memory_fail_at(ctx, 0);
      if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
      sky_flux_free(&f);
    }
    assert_int_equal(st, SKY_OK);
    assert_true(n > 20);
  }
  free(flux);
  free(valid);
  sky_mesh_free(&to);
  unlink("curv_regular.nc");
  unlink("curv_cells.nc");
  unlink("curv_turned.nc");
  unlink("curv_centres.nc");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(a_regular_grid_in_disguise), SKY_UNIT(onto_a_projected_grid),
      SKY_UNIT(berlin_without_its_pole),    SKY_UNIT(cells_that_are_none),
      SKY_UNIT(allocations_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
