/* fixture_gridded.c: see fixture_gridded.h. Any failure ends the test. */
#include "tests/unit/fixture_gridded.h"

#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ok(int err) {
  if (err == NC_NOERR) return;
  fprintf(stderr, "fixture: %s\n", nc_strerror(err));
  abort();
}

int fx_create(const char *path) {
  int nc;
  ok(nc_create(path, NC_NETCDF4 | NC_CLOBBER, &nc));
  return nc;
}

void fx_close(int nc) {
  ok(nc_close(nc));
}

int fx_dim(int nc, const char *name, size_t n) {
  int id;
  ok(nc_def_dim(nc, name, n, &id));
  return id;
}

int fx_axis(int nc, const char *name, size_t n, double first, double step, const char *units) {
  const int dim = fx_dim(nc, name, n);
  double *v = malloc(n * sizeof *v);
  for (size_t i = 0; i < n; i++)
    v[i] = first + step * (double)i;
  fx_var(nc, name, 1, &dim, units, NULL, v);
  free(v);
  return dim;
}

void fx_var(int nc, const char *name, int ndims, const int *dims, const char *units,
            const double *fill, const double *values) {
  int id;
  ok(nc_def_var(nc, name, NC_DOUBLE, ndims, dims, &id));
  if (fill != NULL) ok(nc_def_var_fill(nc, id, 0, fill));
  if (units != NULL) ok(nc_put_att_text(nc, id, "units", strlen(units), units));
  ok(nc_put_var_double(nc, id, values));
}

void fx_text(int nc, const char *var, const char *name, const char *text) {
  int id = NC_GLOBAL;
  if (var != NULL) ok(nc_inq_varid(nc, var, &id));
  ok(nc_put_att_text(nc, id, name, strlen(text), text));
}
