/* fuzz_declare.c: readers declared in YAML: what is accepted is consistent and says itself again.
 */
#include "src/read/declare.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sky_context *ctx = fuzz_context();
  sky_declared *first = NULL, *second = NULL;
  char *text = fuzz_text(data, size);
  const sky_status st = sky_declared_parse(ctx, "products.yaml", text, &first);
  fuzz_refused(ctx, st);
  if (st == SKY_OK && first != NULL) {
    HOLDS(sky_declared_total(first) > sky_reader_count() - 1);
    for (size_t i = 0; i < sky_declared_total(first); ++i) {
      const sky_reader *r = sky_declared_at(first, i);
      HOLDS(r->id != NULL && r->gases[0] != NULL && r->marker[0] != NULL);
      HOLDS(sky_reader_field(r, SKY_ROLE_X) != NULL && strlen(r->id) < 32);
    }
    HOLDS(sky_declared_parse(ctx, "again", sky_declared_text(first), &second) == SKY_OK);
    HOLDS(sky_declared_total(first) == sky_declared_total(second));
  }
  sky_declared_free(first);
  sky_declared_free(second);
  free(text);
  return 0;
}
