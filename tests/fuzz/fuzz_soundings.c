/* fuzz_soundings.c: the block that a worker process sends: what is taken is packed to the same. */
#include "src/core/text.h"
#include "src/read/soundings.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sky_context *ctx = fuzz_context();
  sky_soundings s;
  const char *at = (const char *)data;
  size_t left = size;
  const sky_status st = sky_soundings_unpack(ctx, &at, &left, &s);
  fuzz_refused(ctx, st);
  HOLDS(left <= size);
  if (st == SKY_OK) {
    sky_text t = {.ctx = ctx};
    for (size_t i = 0; i < s.n; ++i) {
      HOLDS(s.drop[i] < SKY_DROP_COUNT && (size_t)s.granule[i] < s.n_granules);
      (void)sky_kernel_check(&s, i, 1e-4, 1e-4);
    }
    HOLDS(sky_soundings_pack(&s, &t) == SKY_OK);
    sky_text_free(&t);
  }
  sky_soundings_free(&s);
  return 0;
}
