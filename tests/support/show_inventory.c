/* show_inventory.c: what the readers make of a file, as JSON for the cross-checks in Python.
 *
 *   show_inventory flux FILE GAS VARIABLE [UNITS]
 *   show_inventory workbook FILE YEAR
 *   show_inventory zones FILE ID W,S,E,N CELL        coverage sums on a grid
 *   show_inventory regrid FILE VARIABLE W,S,E,N DX DY [CRS]  means on another grid (intensive) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grids/regrid.h"
#include "src/core/memory.h"
#include "src/read/flux.h"
#include "src/read/gridded.h"
#include "src/read/workbook.h"
#include "src/read/zones_ogr.h"

static sky_status show_flux(sky_context *ctx, char **a, int n) {
  const sky_flux_options opt = {.gas = a[1],
                                .variable = a[2],
                                .units = n > 3 ? a[3] : NULL,
                                .start = NAN,
                                .end = NAN,
                                .stated_dx = NAN,
                                .stated_dy = NAN};
  sky_flux f;
  SKY_TRY(sky_flux_read(ctx, a[0], &opt, &f));
  printf("{\"total\": %.17g, \"sectors\": {", f.total);
  for (size_t i = 0; i < f.n_sectors; i++)
    printf("%s\"%s\": %.17g", i > 0 ? ", " : "", f.sector[i], f.sector_total[i]);
  printf("}}\n");
  sky_flux_free(&f);
  return SKY_OK;
}

static sky_status show_workbook(sky_context *ctx, char **a) {
  sky_workbook w;
  SKY_TRY(sky_workbook_read(ctx, a[0], atoi(a[1]), &w));
  printf("{\"format\": \"%s\", \"unit\": \"%s\", \"items\": [\n", w.format, w.unit);
  for (size_t i = 0; i < w.n; i++) {
    const sky_region_total *r = &w.item[i];
    printf("[\"%s\", %d, %.17g, %.17g, %.17g, %zu, %zu]%s\n", r->region, r->year, r->scope1,
           r->scope2, isnan(r->stated_total) ? -1 : r->stated_total, r->n_sectors, r->n_fuels,
           i + 1 < w.n ? "," : "");
  }
  printf("]}\n");
  sky_workbook_free(&w);
  return SKY_OK;
}

static sky_status grid_of(sky_context *ctx, const char *crs, const char *box, double dx, double dy,
                          sky_grid *g) {
  double w, s, e, n;
  if (sscanf(box, "%lf,%lf,%lf,%lf", &w, &s, &e, &n) != 4)
    return sky_fail(ctx, SKY_E_USAGE, "box '%s'", box);
  return sky_grid_from_box(ctx, crs, w, s, e, n, dx, dy, g);
}

static sky_status show_zones(sky_context *ctx, char **a) {
  const sky_zones_options opt = {.id = a[1]};
  sky_grid g = {0};
  sky_zones z = {0};
  SKY_TRY(grid_of(ctx, "EPSG:4326", a[2], atof(a[3]), atof(a[3]), &g));
  sky_status st = sky_zones_read(ctx, a[0], &opt, &g, &z);
  printf("{");
  for (size_t i = 0; i < z.n && st == SKY_OK; i++) {
    sky_coverage c;
    st = sky_zone_coverage(ctx, &z.zone[i], &g, &c);
    if (st != SKY_OK) break;
    printf("%s\"%s\": [%.17g, %.17g, %zu]", i > 0 ? ",\n" : "", z.zone[i].id, c.area_zone,
           c.area_in, c.n);
    sky_coverage_free(&c);
  }
  printf("}\n");
  sky_zones_free(&z);
  sky_grid_free(&g);
  return st;
}

static sky_status show_regrid(sky_context *ctx, char **a, int n) {
  sky_status st = SKY_OK;
  sky_nc *nc = NULL;
  sky_gridded g = {0};
  sky_grid dst = {0};
  double *v = NULL, *in = NULL, *out = NULL;
  sky_audit audit;
  SKY_GO(sky_nc_open(ctx, a[0], &nc));
  SKY_GO(sky_gridded_open(ctx, nc, a[1], &g));
  SKY_GO(sky_gridded_values(ctx, nc, a[1], &g.info, &v));
  SKY_GO(grid_of(ctx, n > 5 ? a[5] : "EPSG:4326", a[2], atof(a[3]), atof(a[4]), &dst));
  SKY_GO_ALLOC(in, SKY_NEW(ctx, double, sky_grid_cells(&g.grid)));
  SKY_GO_ALLOC(out, SKY_NEW(ctx, double, sky_grid_cells(&dst)));
  for (size_t i = 0; i < sky_grid_cells(&g.grid); i++)
    in[i] = v[sky_gridded_at(&g, 0, i)];
  SKY_GO(sky_regrid_intensive(ctx, &g.grid, in, &dst, 0.5, out, NULL, &audit));
  SKY_GO(sky_audit_check(ctx, a[1], "1", &audit, 1e-12));
  printf("[");
  for (size_t i = 0; i < sky_grid_cells(&dst); i++)
    printf("%s%.17g", i > 0 ? ", " : "", out[i]);
  printf("]\n");
cleanup:
  sky_nc_close(nc);
  sky_gridded_free(&g);
  sky_grid_free(&dst);
  sky_free(v);
  sky_free(in);
  sky_free(out);
  return st;
}

int main(int argc, char **argv) {
  sky_context *ctx;
  if (sky_context_create(&ctx) != SKY_OK) return 1;
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_WARN);
  sky_status st = SKY_E_USAGE;
  char **a = argv + 2;
  const int n = argc - 2;
  if (n >= 3 && strcmp(argv[1], "flux") == 0) st = show_flux(ctx, a, n);
  if (n == 2 && strcmp(argv[1], "workbook") == 0) st = show_workbook(ctx, a);
  if (n == 4 && strcmp(argv[1], "zones") == 0) st = show_zones(ctx, a);
  if (n >= 5 && strcmp(argv[1], "regrid") == 0) st = show_regrid(ctx, a, n);
  if (st != SKY_OK) fprintf(stderr, "%s\n", sky_error(ctx));
  sky_context_free(ctx);
  return st == SKY_OK ? 0 : 1;
}
