/* sink_areas.c: see sink_areas.h. The engine cross-tabulates codes; here they get their meaning. */
#include "src/job/sink_areas.h"

#include <string.h>
#include <unistd.h>

#include "src/core/memory.h"
#include "src/engine/zonal.h"

typedef struct work {
  const sky_areas_options *opt;
  sky_raster_input input[SKY_TENSOR_DATES + 2];
  size_t n_input, climate, soil; /* SIZE_MAX: none */
  bool *seen;
  sky_strata *strata;
} work;

static size_t add_input(work *w, const char *path) {
  if (path == NULL) return SIZE_MAX;
  w->input[w->n_input] = (sky_raster_input){
      .path = path, .band = 1, .kind = SKY_PIXEL_CLASS, .sampling = SKY_SAMPLE_CLASS};
  return w->n_input++;
}

static sky_status class_of(sky_context *ctx, const work *w, size_t map, int32_t code,
                           uint16_t *cls) {
  const sky_legend *l = w->opt->legend;
  const size_t row = sky_legend_find(l, code);
  if (row == SIZE_MAX)
    return sky_fail(ctx, SKY_E_RANGE, "%s: class %d has no row in legend %s", w->opt->maps[map],
                    (int)code, l->name);
  w->seen[row] = true;
  const int number = l->row[row].number;
  *cls = number == 0 ? SKY_TENSOR_NODATA : w->opt->by_code ? (uint16_t)row : (uint16_t)(number - 1);
  return SKY_OK;
}

static sky_status take_zone(sky_context *ctx, const work *w, size_t z, const sky_zonal_zone *from) {
  w->strata->inside[z] = from->inside.area;
  w->strata->nodata[z] = from->nodata.area;
  for (size_t k = 0; k < from->n_class; k++) {
    const sky_zonal_class *c = &from->class_[k];
    uint16_t cls[SKY_TENSOR_DATES];
    for (size_t d = 0; d < w->opt->n_map; d++)
      SKY_TRY(class_of(ctx, w, d, c->code[d], &cls[d]));
    for (size_t d = 1; d + 1 < w->opt->n_map && w->opt->persistence; d++)
      if (cls[d - 1] == cls[d + 1] && cls[d - 1] != SKY_TENSOR_NODATA &&
          cls[d] != SKY_TENSOR_NODATA)
        cls[d] = cls[d - 1];
    const sky_place place = {w->climate == SIZE_MAX ? SKY_TENSOR_ANY : c->code[w->climate],
                             w->soil == SIZE_MAX ? SKY_TENSOR_ANY : c->code[w->soil]};
    SKY_TRY(sky_strata_add(ctx, w->strata, z, place, cls, c->size.area));
  }
  return SKY_OK;
}

static void tell_facts(sky_context *ctx, const work *w, const sky_raster_set *set) {
  for (size_t i = 0; i < w->n_input; i++) {
    const sky_raster_facts *f = sky_raster_set_facts(set, i);
    if (i >= w->opt->n_map && !f->masked)
      sky_log(ctx, SKY_LOG_WARN, "%s: no nodata value and no mask, so every cell counts",
              w->input[i].path);
    if (strncmp(f->type, "Float", 5) == 0)
      sky_log(ctx, SKY_LOG_INFO, "%s: classes are stored as %s; each must be a whole number",
              w->input[i].path, f->type);
  }
}

/* Parts of a sink that silently miss blocks would be wrong sums. */
static sky_status all_read(sky_context *ctx, const sky_raster_report *r) {
  if (r->unread == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_READ, "%zu of %zu blocks of the maps could not be read", r->unread,
                  r->blocks);
}

sky_status sky_sink_areas(sky_context *ctx, const sky_areas_options *opt, const sky_zones *zones,
                          bool *seen, sky_strata *out) {
  sky_status st = SKY_OK;
  sky_strata strata = {0};
  work w = {.opt = opt, .seen = seen, .strata = &strata};
  sky_raster_set *set = NULL;
  sky_zonal zonal = {0};
  const sky_zonal_options how = {.weight = SKY_WEIGHT_AREA, .classes = true};
  bool passed = false;
  SKY_GO(sky_strata_create(ctx, zones->n, opt->n_map,
                           opt->by_code ? opt->legend->n : SKY_SINK_CLASSES, &strata));
  for (size_t d = 0; d < opt->n_map; d++)
    (void)add_input(&w, opt->maps[d]);
  w.climate = add_input(&w, opt->climate);
  w.soil = add_input(&w, opt->soil);
  const bool beside = w.n_input > opt->n_map;
  SKY_GO(sky_raster_set_open(ctx, w.input, w.n_input, beside ? opt->grid : NULL, &set));
  tell_facts(ctx, &w, set);
  SKY_GO(sky_zonal_make(ctx, set, zones, &how, &opt->pass, &zonal));
  passed = true;
  SKY_GO(all_read(ctx, &zonal.report));
  for (size_t z = 0; z < zonal.n_zone; z++)
    SKY_GO(take_zone(ctx, &w, z, &zonal.zone[z]));
  SKY_GO(sky_strata_finish(ctx, &strata));
  *out = strata;
  strata = (sky_strata){0};
cleanup:
  /* What is wrong with the maps or the legend will be changed, and the areas with it. */
  if (passed && st != SKY_OK && opt->pass.journal != NULL) unlink(opt->pass.journal);
  sky_zonal_free(&zonal);
  sky_raster_set_close(set);
  sky_strata_free(&strata);
  return st;
}
