/* info_raster.c: see info_raster.h. */
#include "src/cli/info_raster.h"

#include <math.h>

#include "src/core/memory.h"
#include "src/core/species.h"

static void add_grid(cJSON *o, const sky_grid *g) {
  const double box[4] = {g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny]};
  cJSON_AddStringToObject(o, "crs", g->crs);
  cJSON_AddNumberToObject(o, "columns", (double)g->nx);
  cJSON_AddNumberToObject(o, "rows", (double)g->ny);
  cJSON_AddItemToObject(o, g->geographic ? "bbox" : "extent", cJSON_CreateDoubleArray(box, 4));
}

static sky_status add_enhancement(sky_context *ctx, cJSON *o, const sky_enhancement *e) {
  const sky_species *gas = sky_species_find(e->gas);
  cJSON_AddStringToObject(o, "product", "enhancement");
  if (e->layer[0] != '\0') cJSON_AddStringToObject(o, "layer", e->layer);
  cJSON_AddStringToObject(o, "gas", gas != NULL ? e->gas : "unknown");
  cJSON_AddStringToObject(o, "units", e->unit);
  cJSON_AddNumberToObject(o, "mol_m2_per_unit", e->factor);
  cJSON_AddNumberToObject(o, "valid", (double)e->valid);
  cJSON_AddNumberToObject(o, "negative", (double)e->negative);
  if (gas == NULL || e->valid == 0) return SKY_OK;
  double kg;
  SKY_TRY(sky_enhancement_mass(ctx, e, &kg));
  cJSON_AddNumberToObject(o, "mass_kg", kg);
  return SKY_OK;
}

/* It is one unless its unit says otherwise. */
static sky_status other_raster(sky_context *ctx, const char *path, cJSON *o) {
  sky_raster *r;
  sky_error_clear(ctx);
  SKY_TRY(sky_raster_open(ctx, path, &r));
  cJSON_AddStringToObject(o, "product", "raster");
  add_grid(o, sky_raster_grid(r));
  sky_raster_close(r);
  return SKY_OK;
}

sky_status sky_info_raster(sky_context *ctx, const char *path,
                           const sky_enhancement_options *options, cJSON **out) {
  sky_enhancement e;
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", path);
  sky_status st = sky_enhancement_read(ctx, path, options, &e);
  if (st == SKY_OK) {
    st = add_enhancement(ctx, o, &e);
    add_grid(o, &e.grid);
  } else if (st == SKY_E_UNITS && options->unit == NULL) {
    st = other_raster(ctx, path, o);
  }
  sky_enhancement_free(&e);
  if (st != SKY_OK) {
    cJSON_Delete(o);
    o = NULL;
  }
  *out = o;
  return st;
}
