/* fuzz.h: what the harnesses share. Each feeds bytes to code of ours and stops the program where an
 * invariant does not hold; what is refused is refused with a message. Built with libFuzzer by
 *   cmake -B build-fuzz -DCMAKE_C_COMPILER=clang -DSKYFLUX_SANITIZE=fuzzer . && ninja -C build-fuzz
 * fuzz build-fuzz/tests/fuzz_table -max_total_time=600 new tests/fuzz/corpus/table and without it
 * as a test that runs the corpora (driver.c). */
#ifndef SKY_TESTS_FUZZ_H
#define SKY_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skyflux/context.h"

#define HOLDS(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      abort();                                                                      \
    }                                                                               \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One quiet context for the whole run. */
static inline sky_context *fuzz_context(void) {
  static sky_context *ctx;
  if (ctx == NULL) {
    HOLDS(sky_context_create(&ctx) == SKY_OK);
    sky_context_set_log(ctx, NULL, NULL, SKY_LOG_ERROR);
    sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
    sky_context_set_threads(ctx, 1);
    sky_context_set_memory(ctx, (size_t)256 << 20);
  }
  sky_error_clear(ctx);
  return ctx;
}

/* A failure has a message. */
static inline void fuzz_refused(sky_context *ctx, sky_status st) {
  HOLDS(st == SKY_OK || sky_error(ctx)[0] != '\0');
}

static inline char *fuzz_text(const uint8_t *data, size_t size) { /* ends with a NUL */
  char *text = malloc(size + 1);
  HOLDS(text != NULL);
  if (size > 0) memcpy(text, data, size);
  text[size] = '\0';
  return text;
}
#endif
