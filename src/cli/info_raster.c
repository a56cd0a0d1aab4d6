/* info_raster.c: see info_raster.h. */
#include "src/cli/info_raster.h"

#include <math.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/engine/raster_source.h"

#define CELLS_MAX ((size_t)1 << 27) /* statistics are taken of so many: seconds */

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

typedef struct raster_sums {
  double n, low, high;
  sky_acc sum;
} raster_sums;

static sky_status add_block(sky_context *ctx, const sky_source *s, const sky_window *w, double *v,
                            raster_sums *t) {
  SKY_TRY(sky_source_convert(ctx, s, w, v));
  for (size_t i = 0; i < w->ny; i++)
    for (size_t k = 0; k < w->nx; k++) {
      const double x = v[i * SKY_BAND + k];
      if (isnan(x)) continue;
      t->n++;
      t->low = fmin(t->low, x);
      t->high = fmax(t->high, x);
      sky_acc_add(&t->sum, x);
    }
  return SKY_OK;
}

/* Of the cells with a value, each counted once; band by band. */
static sky_status add_statistics(sky_context *ctx, cJSON *o, const char *path, sky_source *s) {
  const sky_grid *g = sky_source_grid(s);
  raster_sums t = {.low = INFINITY, .high = -INFINITY};
  sky_status st = SKY_OK;
  double *v;
  SKY_GO_ALLOC(v, SKY_NEW(ctx, double, (size_t)SKY_BAND *SKY_BAND));
  for (size_t iy = 0; iy < g->ny; iy += SKY_BAND) {
    const size_t ny = g->ny - iy < SKY_BAND ? g->ny - iy : SKY_BAND;
    const sky_window band = {0, iy, g->nx, ny};
    SKY_GO(sky_source_load(ctx, s, &band));
    const char *bad = sky_source_bad(s, &band);
    if (bad != NULL) {
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: a block cannot be read: %s", path, bad);
      goto cleanup;
    }
    for (size_t ix = 0; ix < g->nx; ix += SKY_BAND) {
      const sky_window w = {ix, iy, g->nx - ix < SKY_BAND ? g->nx - ix : SKY_BAND, ny};
      SKY_GO(add_block(ctx, s, &w, v, &t));
    }
  }
  cJSON_AddNumberToObject(o, "valid", t.n);
  if (t.n == 0) goto cleanup;
  cJSON_AddNumberToObject(o, "min", t.low);
  cJSON_AddNumberToObject(o, "max", t.high);
  cJSON_AddNumberToObject(o, "mean", sky_acc_value(&t.sum) / t.n);
cleanup:
  sky_free(v);
  return st;
}

/* It is one unless its unit says otherwise. */
static sky_status other_raster(sky_context *ctx, const char *path, cJSON *o) {
  const sky_raster_input in = {.path = path, .band = 1, .kind = SKY_PIXEL_VALUE};
  sky_source *s;
  sky_error_clear(ctx);
  SKY_TRY(sky_source_open(ctx, &in, NULL, &s));
  const sky_raster_facts *f = sky_source_facts(s);
  const sky_grid *g = sky_source_grid(s);
  const double cell[2] = {sky_grid_dx(g), sky_grid_dy(g)};
  cJSON_AddStringToObject(o, "product", "raster");
  add_grid(o, g);
  cJSON_AddItemToObject(o, "cell", cJSON_CreateDoubleArray(cell, 2));
  cJSON_AddStringToObject(o, "type", f->type);
  if (f->unit[0] != '\0') cJSON_AddStringToObject(o, "units", f->unit);
  if (f->has_nodata && isnan(f->nodata)) cJSON_AddStringToObject(o, "nodata", "nan");
  if (f->has_nodata && !isnan(f->nodata)) cJSON_AddNumberToObject(o, "nodata", f->nodata);
  if (!f->has_nodata) cJSON_AddStringToObject(o, "nodata", f->masked ? "mask" : "none");
  const sky_status st = sky_grid_cells(g) <= CELLS_MAX ? add_statistics(ctx, o, path, s) : SKY_OK;
  sky_source_close(s);
  return st;
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
