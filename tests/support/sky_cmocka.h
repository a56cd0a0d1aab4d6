/* sky_cmocka.h: cmocka with the headers it wants, and a context per test. */
#ifndef SKY_TESTS_CMOCKA_H
#define SKY_TESTS_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "skyflux/context.h"

static inline void sky_test_no_log(void *user, sky_log_level level, const char *line) {
  (void)user;
  (void)level;
  (void)line;
}

/* Setup and teardown: *state is a quiet context. */
static inline int sky_test_setup(void **state) {
  sky_context *ctx = NULL;
  if (sky_context_create(&ctx) != SKY_OK) return -1;
  sky_context_set_log(ctx, sky_test_no_log, NULL, SKY_LOG_DEBUG);
  sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  *state = ctx;
  return 0;
}

static inline int sky_test_teardown(void **state) {
  sky_context_free(*state);
  return 0;
}

#define SKY_UNIT(f) cmocka_unit_test_setup_teardown((f), sky_test_setup, sky_test_teardown)

/* expr returns status and the message holds `part`. */
#define assert_fails(ctx, expr, status, part)                                            \
  do {                                                                                   \
    sky_error_clear(ctx);                                                                \
    assert_int_equal((expr), (status));                                                  \
    if (strstr(sky_error(ctx), (part)) == NULL) {                                        \
      fail_msg("message '%s' does not hold '%s'", sky_error(ctx), (const char *)(part)); \
    }                                                                                    \
  } while (0)

/* |a - b| <= relative * |b| */
#define assert_close(a, b, relative)                                                    \
  do {                                                                                  \
    const double sky_a_ = (a), sky_b_ = (b);                                            \
    const double sky_d_ = sky_a_ > sky_b_ ? sky_a_ - sky_b_ : sky_b_ - sky_a_;          \
    const double sky_m_ = sky_b_ < 0 ? -sky_b_ : sky_b_;                                \
    if (!(sky_d_ <= (relative)*sky_m_)) fail_msg("%.17g is not %.17g", sky_a_, sky_b_); \
  } while (0)

#endif
