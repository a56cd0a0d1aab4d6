/* nc_chunks.h: chunks of NetCDF-4 variables written as they lie in the file, under the lane.
 *
 * netCDF-C converts, shuffles and deflates with zlib, three times slower than libdeflate, whose
 * streams every reader takes for its own. A file is defined through sky_ncw first. */
#ifndef SKY_WRITE_NC_CHUNKS_H
#define SKY_WRITE_NC_CHUNKS_H

#include "src/write/nc_write.h"

typedef struct sky_chunks sky_chunks;

/* Ends what sky_ncw_* may do with w but sky_ncw_commit and sky_ncw_abort (after
 * sky_chunks_close). Only for sky_ncw_create_file. */
SKY_NODISCARD sky_status sky_chunks_open(sky_ncw *w, sky_chunks **out);
/* One whole chunk, in the type of the variable, little-endian as this machine is; start: its first
 * element along each dimension. Beyond the rim of the variable it may hold anything. */
SKY_NODISCARD sky_status sky_chunks_put(sky_chunks *c, const char *var, const size_t *start,
                                        const void *data);
SKY_NODISCARD sky_status sky_chunks_close(sky_chunks *c); /* NULL-safe; frees c in every case */

#endif
