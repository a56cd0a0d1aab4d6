/* gridding_write.h: the NetCDF of a gridded product, written by a worker process: libhdf5 writes it
 * to the disk while sums come, and crashes on some full ones. */
#ifndef SKY_JOB_GRIDDING_WRITE_H
#define SKY_JOB_GRIDDING_WRITE_H

#include "src/engine/worker.h"
#include "src/job/gridding.h"

/* attrs: "name=value" global attributes, NULL-terminated. All sums go to scratch files, which the
 * worker reads while this process waits. On failure no file is left; SKY_E_DISK with the path and
 * the reason if the worker died. */
SKY_NODISCARD sky_status sky_gridding_write(sky_context *ctx, sky_gridding *g, const char *path,
                                            const char *const *attrs);

/* Tasks of the worker processes, for main(). */
extern const sky_worker_task sky_gridding_worker_tasks[];
extern const size_t sky_gridding_worker_task_count;

#endif
