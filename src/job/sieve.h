/* sieve.h: a class map without the patches below a minimum area (algorithms/sink/patches.md). */
#ifndef SKY_JOB_SIEVE_H
#define SKY_JOB_SIEVE_H

#include "algorithms/sink/patches.h"

typedef struct sky_sieve_options {
  const char *map, *out; /* class raster; .tif */
  double minimum;        /* m2 */
  bool diagonal, mask;   /* patches.h */
} sky_sieve_options;

/* Writes a COG on the grid of the map: bytes where the codes are 0 to 254, else 32 bits. Memory:
 * with the runs of the map. */
SKY_NODISCARD sky_status sky_sieve(sky_context *ctx, const sky_sieve_options *opt,
                                   sky_patch_report *report);
#endif
