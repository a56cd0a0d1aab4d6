/* h5_text.h: fixed-length strings of plain HDF5 files (NIES).
 *
 * netCDF-C 4.9 calls such a dataset one of NC_STRING and writes all of it into room for one string:
 * it must never be asked for them. */
#ifndef SKY_READ_H5_TEXT_H
#define SKY_READ_H5_TEXT_H

#include "skyflux/context.h"

/* All `rows` strings of `width` bytes each, one behind the other (malloc'd); *out is NULL, which is
 * no error, if the dataset has no strings of more than one byte. */
SKY_NODISCARD sky_status sky_h5_fixed_strings(sky_context *ctx, const char *path, const char *var,
                                              size_t rows, char **out, size_t *width);

#endif
