/* comm_serial.c: the one-rank form of comm.h. Collective calls have nothing to exchange; the shared
 * counter is an atomic, so that several threads may draw from it. */
#include "src/engine/comm.h"

#include <stdatomic.h>
#include <string.h>

#include "src/core/memory.h"

struct sky_comm {
  sky_context *ctx;
  atomic_size_t next;
};

sky_status sky_comm_create(sky_context *ctx, sky_comm **out) {
  sky_comm *c = *out = SKY_NEW(ctx, sky_comm, 1);
  if (c == NULL) return SKY_E_NOMEM;
  c->ctx = ctx;
  atomic_init(&c->next, 0);
  return SKY_OK;
}

void sky_comm_free(sky_comm *c) {
  sky_free(c);
}

int sky_comm_rank(const sky_comm *c) {
  (void)c;
  return 0;
}

int sky_comm_size(const sky_comm *c) {
  (void)c;
  return 1;
}

sky_status sky_comm_barrier(sky_comm *c) {
  (void)c;
  return SKY_OK;
}

sky_status sky_comm_bcast(sky_comm *c, void *data, size_t bytes, int root) {
  (void)data;
  (void)bytes;
  if (root == 0) return SKY_OK;
  return sky_fail(c->ctx, SKY_E_INTERNAL, "broadcast from rank %d of 1", root);
}

sky_status sky_comm_allgather(sky_comm *c, const void *mine, size_t bytes, void *all,
                              size_t all_bytes) {
  if (all_bytes != bytes) {
    return sky_fail(c->ctx, SKY_E_INTERNAL, "gather of %zu bytes into %zu", bytes, all_bytes);
  }
  if (bytes > 0) memcpy(all, mine, bytes);
  return SKY_OK;
}

size_t sky_comm_next(sky_comm *c, size_t total) {
  /* Compare first: a counter that ran on past the end would wrap in the end. */
  size_t i = atomic_load(&c->next);
  while (i < total && !atomic_compare_exchange_weak(&c->next, &i, i + 1)) {
  }
  return i < total ? i : SIZE_MAX;
}
