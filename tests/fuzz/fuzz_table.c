/* fuzz_table.c: CSV tables: every cell of what is accepted can be asked for. */
#include <math.h>

#include "src/core/table.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sky_context *ctx = fuzz_context();
  sky_table *t = NULL;
  char *text = fuzz_text(data, size);
  const sky_status st = sky_table_parse(ctx, "t.csv", text, size, &t);
  fuzz_refused(ctx, st);
  if (st == SKY_OK) {
    sky_table_trim(t);
    int line = 0;
    for (size_t row = 0; row < sky_table_rows(t); ++row) {
      HOLDS(sky_table_line(t, row) > line);
      line = sky_table_line(t, row);
      for (size_t c = 0; c < sky_table_columns(t); ++c) {
        double x;
        HOLDS(sky_table_cell(t, row, c) != NULL && sky_table_header(t, c) != NULL);
        fuzz_refused(ctx, sky_table_number(ctx, t, row, c, &x));
      }
    }
    HOLDS(sky_table_find(t, "no such header, surely") == SIZE_MAX || sky_table_columns(t) > 0);
  }
  sky_table_free(t);
  free(text);
  return 0;
}
