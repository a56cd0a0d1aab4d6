/* memory.h: all allocation of skyflux, so that tests can fail the n-th one.
 *
 * Sizes are count × size with an overflow check. A NULL return has set SKY_E_NOMEM's message in
 * the context. Freed with sky_free (NULL-safe). 64-byte aligned (FFTW, SIMD kernels). */
#ifndef SKY_CORE_MEMORY_H
#define SKY_CORE_MEMORY_H

#include "skyflux/context.h"

void *sky_malloc(sky_context *ctx, size_t count, size_t size); /* uninitialised; count 0 is valid */
void *sky_calloc(sky_context *ctx, size_t count, size_t size);
/* Grow p (holding old_count items) to count items; on failure p is untouched and NULL returned. */
void *sky_realloc(sky_context *ctx, void *p, size_t old_count, size_t count, size_t size);
char *sky_strdup(sky_context *ctx, const char *s);
char *sky_sprintf(sky_context *ctx, const char *fmt, ...) SKY_PRINTF(2, 3); /* malloc'd text */
void sky_free(void *p);
/* Give what was freed back to the system, after many large arrays came and went: glibc's
 * aligned_alloc leaves holes that it does not use again (until 2.38), and resident memory grows. */
void sky_memory_trim(void);

#define SKY_NEW(ctx, T, n) ((T *)sky_malloc((ctx), (n), sizeof(T)))
#define SKY_NEW0(ctx, T, n) ((T *)sky_calloc((ctx), (n), sizeof(T)))

/* Tests: the n-th allocation from now on fails (1 = the next); 0 switches it off. */
void sky_memory_fail_at(sky_context *ctx, uint64_t nth);
uint64_t sky_memory_count(const sky_context *ctx); /* allocations made so far */

/* Return status s out of the current function if it is not SKY_OK. */
#define SKY_TRY(expr)                        \
  do {                                       \
    sky_status sky_try_ = (expr);            \
    if (sky_try_ != SKY_OK) return sky_try_; \
  } while (0)
/* Same, to the one cleanup label; needs a local `sky_status st`. */
#define SKY_GO(expr)                \
  do {                              \
    st = (expr);                    \
    if (st != SKY_OK) goto cleanup; \
  } while (0)
/* Allocation into an lvalue, else to cleanup. */
#define SKY_GO_ALLOC(ptr, expr) \
  do {                          \
    (ptr) = (expr);             \
    if ((ptr) == NULL) {        \
      st = SKY_E_NOMEM;         \
      goto cleanup;             \
    }                           \
  } while (0)

#endif
