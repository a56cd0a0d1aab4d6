/* fork.h: one step in a forked copy of this process, which shares what is in memory: for output
 * that libhdf5 writes to the disk itself, since it may crash on a full one (engine/worker.h is for
 * steps that need nothing of the parent).
 *
 * Only the calling thread lives on in the copy: the step must not use OpenMP, and no other thread
 * may be inside a library. What it changes in memory is lost. */
#ifndef SKY_ENGINE_FORK_H
#define SKY_ENGINE_FORK_H

#include "skyflux/context.h"

typedef sky_status (*sky_fork_fn)(sky_context *ctx, void *user);

/* The step's own status and message; SKY_E_WORKER with a reason if the copy died. */
SKY_NODISCARD sky_status sky_fork_run(sky_context *ctx, sky_fork_fn fn, void *user);

#endif
