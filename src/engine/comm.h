/* comm.h: the few collective calls of skyflux; comm_serial.c is the one-rank form, an MPI form
 * implements the same calls. No floating-point allreduce (design law 6): blocks are gathered in
 * rank order and summed with sum.h. */
#ifndef SKY_ENGINE_COMM_H
#define SKY_ENGINE_COMM_H

#include "skyflux/context.h"

typedef struct sky_comm sky_comm;

SKY_NODISCARD sky_status sky_comm_create(sky_context *ctx, sky_comm **out);
void sky_comm_free(sky_comm *c);
int sky_comm_rank(const sky_comm *c);
int sky_comm_size(const sky_comm *c);
SKY_NODISCARD sky_status sky_comm_barrier(sky_comm *c);
SKY_NODISCARD sky_status sky_comm_bcast(sky_comm *c, void *data, size_t bytes, int root);
/* Concatenate every rank's bytes in rank order into all (allocated by the caller, sum of sizes). */
SKY_NODISCARD sky_status sky_comm_allgather(sky_comm *c, const void *mine, size_t bytes, void *all,
                                            size_t all_bytes);
/* Next index of a shared counter, < total; SIZE_MAX when there is none left. */
size_t sky_comm_next(sky_comm *c, size_t total);

#endif
