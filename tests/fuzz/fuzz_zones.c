/* fuzz_zones.c: zones from GeoJSON: rings of what is accepted are whole and their numbers finite.
 */
#include <cpl_vsi.h>
#include <math.h>

#include "src/read/zones_ogr.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const PATH = "/vsimem/zones.geojson";
  sky_context *ctx = fuzz_context();
  static sky_grid grid;
  if (grid.nx == 0)
    HOLDS(sky_grid_from_box(ctx, "EPSG:4326", -10, -10, 10, 10, 1, 1, &grid) == SKY_OK);
  uint8_t *copy = (uint8_t *)fuzz_text(data, size);
  VSILFILE *f = VSIFileFromMemBuffer(PATH, copy, size, FALSE);
  HOLDS(f != NULL);
  VSIFCloseL(f);
  const sky_zones_options options = {.id = "id", .keep_defects = size % 2 == 0};
  sky_zones z = {0};
  const sky_status st = sky_zones_read(ctx, PATH, &options, &grid, &z);
  fuzz_refused(ctx, st);
  if (st == SKY_OK) HOLDS(z.n < 100000);
  sky_zones_free(&z);
  VSIUnlink(PATH);
  free(copy);
  return 0;
}
