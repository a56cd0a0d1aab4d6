/* hdf5_plain.h: a NetCDF-4 file -> the HDF5 file that a program without netCDF writes. */
#ifndef SKY_WRITE_HDF5_PLAIN_H
#define SKY_WRITE_HDF5_PLAIN_H

#include "skyflux/context.h"

/* In place: takes the dimensions and netCDF's own attributes away and gives texts (data and
 * attributes) a fixed length. Under the lane. */
SKY_NODISCARD sky_status sky_hdf5_make_plain(sky_context *ctx, const char *path);
#endif
