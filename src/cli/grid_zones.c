/* grid_zones.c: `skyflux grid --zones`: concentrations of zones and their change as a table. */
#include <math.h>
#include <stdio.h>

#include "src/cli/grid_run.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/zone_columns.h"
#include "src/read/level3.h"
#include "src/write/result_table.h"

#define ZONE_COLUMNS 14

static void fill_row(sky_result_cell *c, const sky_zone *zone, const sky_zone_column *v,
                     const char *unit, double scale) {
  *c++ = (sky_result_cell){zone->id, NAN};
  *c++ = (sky_result_cell){zone->name, NAN};
  const double numbers[] = {v->area / 1e4,           v->observed,
                            (double)v->cells,        v->effective > 0 ? v->effective : (double)NAN,
                            v->mean * scale,         v->sigma * scale,
                            v->baseline * scale,     v->change * scale,
                            v->change_sigma * scale, v->common};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    *c++ = (sky_result_cell){NULL, numbers[i]};
  *c++ = (sky_result_cell){unit, NAN};
  *c = (sky_result_cell){v->reason, NAN};
}

/* The table goes to a file, to stdout as CSV, or into *json. */
static sky_status put_table(sky_context *ctx, const sky_grid_run *r, const sky_zones *zones,
                            const sky_zone_column *value, bool json, cJSON **out) {
  static const sky_result_column COLUMNS[ZONE_COLUMNS] = {{"zone_id", SKY_CELL_TEXT},
                                                          {"zone_name", SKY_CELL_TEXT},
                                                          {"zone_area_ha", SKY_CELL_NUMBER},
                                                          {"observed", SKY_CELL_NUMBER},
                                                          {"cells", SKY_CELL_NUMBER},
                                                          {"effective_soundings", SKY_CELL_NUMBER},
                                                          {"concentration", SKY_CELL_NUMBER},
                                                          {"uncertainty", SKY_CELL_NUMBER},
                                                          {"baseline", SKY_CELL_NUMBER},
                                                          {"change", SKY_CELL_NUMBER},
                                                          {"change_uncertainty", SKY_CELL_NUMBER},
                                                          {"common", SKY_CELL_NUMBER},
                                                          {"unit", SKY_CELL_TEXT},
                                                          {"reason", SKY_CELL_TEXT}};
  const sky_species *gas = sky_species_find(r->head.gas);
  sky_result_cell *cell = NULL;
  const sky_zone **zone = NULL;
  char *note[3] = {NULL, NULL, NULL}, *text = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(cell, SKY_NEW(ctx, sky_result_cell, zones->n * ZONE_COLUMNS));
  SKY_GO_ALLOC(zone, SKY_NEW(ctx, const sky_zone *, zones->n));
  SKY_GO_ALLOC(note[0], sky_sprintf(ctx, "skyflux %s grid", SKYFLUX_VERSION));
  SKY_GO_ALLOC(note[1], sky_sprintf(ctx, "X%s; error correlation %g; zones %s%s%s", gas->formula,
                                    r->head.correlation, sky_file_base(r->a.zones),
                                    r->a.baseline != NULL ? "; baseline " : "",
                                    r->a.baseline != NULL ? sky_file_base(r->a.baseline) : ""));
  SKY_GO_ALLOC(note[2], sky_strdup(ctx,
                                   "concentration and change: indicators of T/CI 231-2023, "
                                   "Table 1; change over the cells observed in both"));
  for (size_t z = 0; z < zones->n; z++) {
    fill_row(cell + z * ZONE_COLUMNS, &zones->zone[z], &value[z], gas->column_unit,
             gas->column_scale);
    zone[z] = &zones->zone[z];
  }
  const sky_result_table t = {.name = "concentrations",
                              .notes = (const char *const *)note,
                              .n_note = 3,
                              .n_column = ZONE_COLUMNS,
                              .n_row = zones->n,
                              .column = COLUMNS,
                              .cell = cell,
                              .crs = r->head.grid.crs,
                              .zone = zone};
  if (r->a.table != NULL) SKY_GO(sky_result_write(ctx, r->a.table, &t));
  if (json) {
    *out = sky_result_json(&t);
    if (*out == NULL) st = SKY_E_NOMEM;
  } else if (r->a.table == NULL) {
    SKY_GO_ALLOC(text, sky_result_csv(ctx, &t));
    fputs(text, stdout);
  }
cleanup:
  sky_free(text);
  for (size_t i = 0; i < 3; i++)
    sky_free(note[i]);
  sky_free(cell);
  sky_free(zone);
  return st;
}

sky_status sky_grid_zones(sky_context *ctx, const sky_grid_run *r, bool json, cJSON **out) {
  sky_zones zones = {0};
  sky_zone_column *value = NULL;
  sky_level3 base = {0};
  sky_level3_file *sums = NULL;
  sky_bin_source source;
  sky_gridding *g = r->period[0].gridding;
  sky_status st = SKY_OK;
  SKY_GO(sky_zones_read(ctx, r->a.zones, &r->a.zone, &r->head.grid, &zones));
  SKY_GO_ALLOC(value, SKY_NEW0(ctx, sky_zone_column, zones.n));
  if (r->a.baseline != NULL) {
    SKY_GO(sky_level3_open(ctx, r->a.baseline, &base, &sums));
  }
  const sky_bin_source base_source = {
      .user = sums, .rewind = sky_level3_rewind, .next = sky_level3_next};
  SKY_GO(sky_gridding_source(g, &source));
  st = sky_zone_columns(ctx, &zones, sky_gridding_level3(g), &source,
                        r->a.baseline != NULL ? &base : NULL,
                        r->a.baseline != NULL ? &base_source : NULL, value);
  if (st == SKY_E_FORMAT) sky_fail_in(ctx, st, "%s: ", r->a.baseline);
  if (st == SKY_OK) st = put_table(ctx, r, &zones, value, json, out);
cleanup:
  sky_free(value);
  sky_zones_free(&zones);
  sky_level3_free(&base);
  sky_level3_close(sums);
  return st;
}
