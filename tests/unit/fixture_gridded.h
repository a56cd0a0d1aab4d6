/* fixture_gridded.h: small NetCDF files made by the tests themselves. */
#ifndef SKY_TESTS_FIXTURE_GRIDDED_H
#define SKY_TESTS_FIXTURE_GRIDDED_H

#include <stddef.h>

/* A new NetCDF-4 file in the working folder; dimensions get a variable of their own by fx_axis. */
int fx_create(const char *path);
void fx_close(int nc);
int fx_dim(int nc, const char *name, size_t n);
/* Dimension and coordinate with first, first+step, … */
int fx_axis(int nc, const char *name, size_t n, double first, double step, const char *units);
/* A double variable; units NULL = none; fill NULL = none. */
void fx_var(int nc, const char *name, int ndims, const int *dims, const char *units,
            const double *fill, const double *values);
void fx_text(int nc, const char *var, const char *name, const char *text); /* var NULL = global */

#endif
