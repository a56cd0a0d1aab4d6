/* root_shoot.c: see root_shoot.h and root_shoot.md. */
#include "algorithms/sink/root_shoot.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/number.h"

/* "AGB <=125 t d.m./ha", "AGB >75 t d.m./ha": whether it holds; false for other words. */
static bool holds(const char *detail, double agb) {
  const char *at = NULL;
  double limit;
  if (strncmp(detail, "AGB <=", 6) == 0)
    return sky_number_parse(detail + 6, &limit, &at) && agb <= limit;
  if (strncmp(detail, "AGB >", 5) == 0)
    return sky_number_parse(detail + 5, &limit, &at) && agb > limit;
  return false;
}

sky_status sky_root_shoot_find(sky_factor_rows *rows, const char *zone, const char *stratum,
                               double agb, size_t *index) {
  const sky_table *t = NULL;
  size_t found = SIZE_MAX, n = 0;
  SKY_TRY(sky_factor_rows_source(rows, "ipcc_defaults", &t));
  for (size_t row = 0; row < sky_table_rows(t); row++) {
    if (strcmp(sky_factor_cell(t, row, "parameter"), "root:shoot R") != 0 ||
        strcmp(sky_factor_cell(t, row, "zone"), zone) != 0 ||
        strcmp(sky_factor_cell(t, row, "stratum"), stratum) != 0 ||
        !holds(sky_factor_cell(t, row, "detail"), agb))
      continue;
    found = row;
    n++;
  }
  if (n == 1 && agb >= 0) return sky_factor_rows_take(rows, "ipcc_defaults", t, found, index);
  return sky_fail(rows->ctx, SKY_E_RANGE,
                  "ipcc_defaults.csv has %zu root-to-shoot rows for '%s', '%s' at %g t d.m./ha, "
                  "expected 1",
                  n, zone, stratum, agb);
}
