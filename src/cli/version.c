/* version.c: `skyflux --version`. Versions are those of the libraries that run, not of the headers.
 */
#include "src/cli/version.h"

#include <cblas.h>
#include <dlfcn.h>
#include <fftw3.h>
#include <gdal.h>
#include <netcdf.h>
#include <proj.h>
#include <stdio.h>
#include <string.h>
#include <udunits2.h>

#include "src/core/lane.h"

/* netCDF brings HDF5 along; its version is asked where netCDF is linked. NULL without HDF5. */
static const char *hdf5_version(char *out, size_t size) {
  int (*ask)(unsigned *, unsigned *, unsigned *) = NULL;
  void *symbol = dlsym(RTLD_DEFAULT, "H5get_libversion");
  unsigned v[3];
  if (symbol == NULL) return NULL;
  memcpy(&ask, &symbol, sizeof ask); /* ISO C has no cast from object to function pointer */
  sky_lane_lock();
  const int failed = ask(&v[0], &v[1], &v[2]);
  sky_lane_unlock();
  if (failed < 0) return NULL;
  snprintf(out, size, "%u.%u.%u", v[0], v[1], v[2]);
  return out;
}

sky_status sky_version_print(sky_context *ctx) {
  char hdf5[32];
  (void)ctx;
  sky_lane_lock();
  const char *netcdf = nc_inq_libvers();
  ut_status unit_status;
  const char *units = ut_get_path_xml(NULL, &unit_status);
  sky_lane_unlock();
  const char *with = hdf5_version(hdf5, sizeof hdf5);
  printf("skyflux %s (%s build, compiler %s)\n", SKYFLUX_VERSION, SKYFLUX_BUILD, __VERSION__);
  printf("GDAL %s\n", GDALVersionInfo("RELEASE_NAME"));
  printf("PROJ %s\n", proj_info().version);
  printf("netCDF %s\n", netcdf);
  printf("HDF5 %s\n", with == NULL ? "not linked" : with);
  printf("%s\n", openblas_get_config());
  printf("FFTW %s\n", fftw_version);
  printf("udunits2 with %s\n", units == NULL ? "no database" : units);
  return SKY_OK;
}
