/* memory.c: checked, aligned, countable allocation. */
#include "src/core/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "src/core/context_internal.h"

#define SKY_ALIGN ((size_t)64) /* one cache line, and the widest SIMD register */

/* Total bytes rounded up to the alignment, or 0 if they do not fit in an object. */
static size_t block_size(size_t count, size_t size) {
  if (size != 0 && count > (size_t)PTRDIFF_MAX / size) return 0;
  const size_t bytes = count * size;
  if (bytes > (size_t)PTRDIFF_MAX - SKY_ALIGN) return 0;
  return bytes < SKY_ALIGN ? SKY_ALIGN : (bytes + SKY_ALIGN - 1) / SKY_ALIGN * SKY_ALIGN;
}

/* Counts this allocation; true if it is the one that a test wants to fail. */
static bool injected_fault(sky_context *ctx) {
  if (ctx == NULL) return false;
  const uint64_t n = atomic_fetch_add(&ctx->allocations, 1) + 1;
  return n == atomic_load(&ctx->fail_at);
}

void *sky_malloc(sky_context *ctx, size_t count, size_t size) {
  const size_t bytes = block_size(count, size);
  void *p = bytes == 0 || injected_fault(ctx) ? NULL : aligned_alloc(SKY_ALIGN, bytes);
  if (p == NULL) {
    sky_fail(ctx, SKY_E_NOMEM, "out of memory: %zu items of %zu bytes", count, size);
  }
  return p;
}

void *sky_calloc(sky_context *ctx, size_t count, size_t size) {
  void *p = sky_malloc(ctx, count, size);
  if (p != NULL) memset(p, 0, block_size(count, size));
  return p;
}

void *sky_realloc(sky_context *ctx, void *p, size_t old_count, size_t count, size_t size) {
  /* realloc() may lose the alignment, so the items are copied. */
  void *grown = sky_malloc(ctx, count, size);
  if (grown == NULL) return NULL;
  const size_t kept = old_count < count ? old_count : count;
  if (p != NULL && kept * size > 0) memcpy(grown, p, kept * size);
  sky_free(p);
  return grown;
}

char *sky_strdup(sky_context *ctx, const char *s) {
  const size_t n = strlen(s) + 1;
  char *copy = SKY_NEW(ctx, char, n);
  if (copy != NULL) memcpy(copy, s, n);
  return copy;
}

char *sky_sprintf(sky_context *ctx, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  const int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n < 0) {
    sky_fail(ctx, SKY_E_NOMEM, "out of memory: text of format '%s'", fmt);
    return NULL;
  }
  char *text = SKY_NEW(ctx, char, (size_t)n + 1);
  if (text == NULL) return NULL;
  va_start(ap, fmt);
  vsnprintf(text, (size_t)n + 1, fmt, ap);
  va_end(ap);
  return text;
}

void sky_free(void *p) {
  free(p);
}

void sky_memory_trim(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void sky_memory_fail_at(sky_context *ctx, uint64_t nth) {
  atomic_store(&ctx->fail_at, nth == 0 ? 0 : atomic_load(&ctx->allocations) + nth);
}

uint64_t sky_memory_count(const sky_context *ctx) {
  return atomic_load(&ctx->allocations);
}
