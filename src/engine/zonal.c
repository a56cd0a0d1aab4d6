/* zonal.c: zonal statistics as a kernel of the raster engine.
 *
 * A block's part holds one entry for every zone that covers some of it; merging adds entries to
 * the zones' totals. Values and classes, counts and areas come from the same coverage, so that they
 * agree. */
#include "src/engine/zonal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grids/cell_area.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/engine/class_ids.h"
#include "src/engine/zonal_part.h"

#define CELLS (SKY_BAND * SKY_BAND)
#define MASS_TOLERANCE 1e-6 /* of the audit (design law 3) */
#define QUANTILE_BYTES                                                       \
  ((size_t)SKY_QUANTILE_VALUES * 80) /* lists with room to grow, and sorting \
                                      */

/* ---- results -------------------------------------------------------------------------------- */

typedef struct class_sum {
  sky_acc cells, area;
} class_sum;

typedef struct total {
  sky_acc inside_cells, inside_area, unread_cells, unread_area, nodata_cells, nodata_area;
  sky_zonal_total *value; /* [rasters] */
  size_t n_class, capacity;
  int32_t *code; /* [capacity*rasters], ascending */
  class_sum *sum;
} total;

typedef struct totals {
  sky_context *ctx;
  size_t n_zone, n_raster;
  sky_zonal_weight weight;
  total *zone;
  sky_zonal_total *value; /* [zones*rasters] */
  sky_quantiles *quantiles;
  sky_zonal_class *class_;
  sky_zonal_zone *result;
} totals;

static void totals_free(totals *t) {
  if (t == NULL) return;
  for (size_t z = 0; z < t->n_zone && t->zone != NULL; z++) {
    sky_free(t->zone[z].code);
    sky_free(t->zone[z].sum);
  }
  sky_free(t->zone);
  sky_free(t->value);
  sky_quantiles_free(t->quantiles);
  sky_free(t->class_);
  sky_free(t->result);
  sky_free(t);
}

void sky_zonal_free(sky_zonal *z) {
  if (z == NULL) return;
  totals_free(z->memory);
  memset(z, 0, sizeof *z);
}

static sky_status totals_make(sky_context *ctx, size_t n_zone, size_t n_raster,
                              const sky_zonal_options *opt, totals **out) {
  sky_status st = SKY_OK;
  totals *t;
  SKY_GO_ALLOC(t, SKY_NEW0(ctx, totals, 1));
  t->ctx = ctx;
  t->n_zone = n_zone;
  t->n_raster = n_raster;
  t->weight = opt->weight;
  SKY_GO_ALLOC(t->zone, SKY_NEW0(ctx, total, n_zone));
  SKY_GO_ALLOC(t->result, SKY_NEW0(ctx, sky_zonal_zone, n_zone));
  if (!opt->classes) {
    SKY_GO_ALLOC(t->value, SKY_NEW(ctx, sky_zonal_total, n_zone * n_raster));
    for (size_t i = 0; i < n_zone * n_raster; i++)
      sky_zonal_total_start(&t->value[i]);
    for (size_t z = 0; z < n_zone; z++)
      t->zone[z].value = t->value + z * n_raster;
    if (opt->quantiles)
      SKY_GO(sky_quantiles_create(ctx, n_zone * n_raster, SKY_QUANTILE_VALUES, &t->quantiles));
  }
  *out = t;
  return SKY_OK;
cleanup:
  totals_free(t);
  return st;
}

static int compare_codes(const int32_t *a, const int32_t *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  return 0;
}

static sky_status grow_classes(sky_context *ctx, total *z, size_t n_raster) {
  if (z->n_class < z->capacity) return SKY_OK;
  const size_t grown = 2 * z->capacity + 8;
  int32_t *code = sky_realloc(ctx, z->code, z->n_class, grown, n_raster * sizeof *code);
  if (code == NULL) return SKY_E_NOMEM;
  z->code = code;
  class_sum *sum = sky_realloc(ctx, z->sum, z->n_class, grown, sizeof *sum);
  if (sum == NULL) return SKY_E_NOMEM;
  z->sum = sum;
  z->capacity = grown;
  return SKY_OK;
}

static sky_status add_class(sky_context *ctx, total *z, size_t n_raster, const int32_t *code,
                            const sky_zonal_size *size) {
  size_t low = 0, high = z->n_class;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (compare_codes(z->code + mid * n_raster, code, n_raster) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  if (low == z->n_class || compare_codes(z->code + low * n_raster, code, n_raster) != 0) {
    SKY_TRY(grow_classes(ctx, z, n_raster));
    memmove(z->code + (low + 1) * n_raster, z->code + low * n_raster,
            (z->n_class - low) * n_raster * sizeof *z->code);
    memmove(z->sum + low + 1, z->sum + low, (z->n_class - low) * sizeof *z->sum);
    memcpy(z->code + low * n_raster, code, n_raster * sizeof *code);
    z->sum[low] = (class_sum){{0, 0}, {0, 0}};
    z->n_class++;
  }
  sky_acc_add(&z->sum[low].cells, size->cells);
  sky_acc_add(&z->sum[low].area, size->area);
  return SKY_OK;
}

/* ---- one block ------------------------------------------------------------------------------ */

typedef struct job {
  const sky_zones *zones;
  const sky_grid *grid;
  const sky_zonal_options *opt;
  size_t n_raster, n_input; /* layers, if there are any; rasters */
  bool bytes;               /* classes are counted where they lie */
  sky_cover *cover;
  totals *totals;
} job;

typedef struct worker {
  sky_cover_part cover;
  sky_cell_area *cell_area;
  sky_class_ids *ids;
  double *area;         /* [CELLS] */
  uint64_t *fixed;      /* [CELLS] */
  uint64_t *scratch;    /* [(CELLS+1)*SKY_ZONAL_LANES], zero */
  sky_zonal_size *size; /* [CELLS+1] */
  sky_quantile_scratch quantiles;
  sky_byte_rows rows[2];
  double **layer; /* [n_raster] of [CELLS], of `layers` */
  double *layers;
} worker;

static size_t worker_bytes(const job *j) {
  size_t bytes = CELLS * (sizeof(double) + 16 * 8) + (1 << 16);
  if (j->opt->quantiles) bytes += CELLS * 2 * (sizeof(uint64_t) + sizeof(double));
  if (j->opt->layers != NULL) bytes += j->n_raster * CELLS * sizeof(double);
  if (j->opt->classes)
    bytes += sky_class_ids_bytes(j->n_raster) + CELLS * sizeof(uint64_t) +
             (CELLS + 1) * (SKY_ZONAL_LANES * sizeof(uint64_t) + sizeof(sky_zonal_size));
  return bytes;
}

static void worker_stop(void *w) {
  worker *x = w;
  sky_cover_part_free(&x->cover);
  sky_cell_area_free(x->cell_area);
  sky_class_ids_free(x->ids);
  sky_quantile_scratch_free(&x->quantiles);
  sky_free(x->area);
  sky_free(x->fixed);
  sky_free(x->scratch);
  sky_free(x->size);
  sky_free(x->layer);
  sky_free(x->layers);
  sky_free(x);
}

static sky_status start_layers(sky_context *ctx, const job *j, worker *w) {
  w->layer = SKY_NEW(ctx, double *, j->n_raster);
  w->layers = SKY_NEW(ctx, double, j->n_raster *CELLS);
  if (w->layer == NULL || w->layers == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < j->n_raster; i++)
    w->layer[i] = w->layers + i * CELLS;
  return SKY_OK;
}

static sky_status worker_start(sky_context *ctx, void *user, void **out) {
  const job *j = user;
  worker *w = *out = SKY_NEW0(ctx, worker, 1);
  if (w == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_cell_area_create(ctx, j->grid, &w->cell_area));
  w->area = SKY_NEW(ctx, double, CELLS);
  if (w->area == NULL) return SKY_E_NOMEM;
  if (j->opt->layers != NULL) return start_layers(ctx, j, w);
  if (!j->opt->classes) return SKY_OK;
  SKY_TRY(sky_class_ids_create(ctx, j->n_raster, &w->ids));
  w->fixed = SKY_NEW(ctx, uint64_t, CELLS);
  w->scratch = SKY_NEW0(ctx, uint64_t, (CELLS + 1) * SKY_ZONAL_LANES);
  w->size = SKY_NEW(ctx, sky_zonal_size, CELLS + 1);
  return w->fixed != NULL && w->scratch != NULL && w->size != NULL ? SKY_OK : SKY_E_NOMEM;
}

static bool wanted(void *user, const sky_window *w) {
  const job *j = user;
  const size_t top = j->grid->ny - w->iy0 - w->ny;
  for (size_t band = top / SKY_BAND; band * SKY_BAND < top + w->ny; band++) {
    const uint32_t *shape;
    const size_t n = sky_cover_band_shapes(j->cover, band, &shape);
    for (size_t i = 0; i < n; i++)
      if (sky_cover_near(j->cover, shape[i], w->ix0, w->nx)) return true;
  }
  return false;
}

static sky_status add_values(sky_context *ctx, const job *j, worker *w,
                             const sky_zonal_block *block, const sky_raster_block *b,
                             sky_zonal_part *p) {
  const sky_zonal_options *opt = j->opt;
  SKY_TRY(sky_zonal_part_need_values(ctx, p, j->n_raster, opt->quantiles));
  for (size_t k = 0; k < j->n_raster; k++, p->n_value++) {
    const double *pixel = opt->layers != NULL ? w->layer[k] : b->pixel[k];
    sky_zonal_value_block(block, &w->cover, pixel, opt->weight, opt->squares,
                          &p->value[p->n_value]);
    if (opt->by)
      sky_zonal_by_block(block, &w->cover, pixel, b->pixel[j->n_raster], opt->weight,
                         &p->value[p->n_value]);
    if (!opt->quantiles) continue;
    p->list[p->n_value] = (sky_quantile_list){0};
    SKY_TRY(sky_quantile_block(ctx, block, &w->cover, pixel, opt->weight, &w->quantiles,
                               &p->list[p->n_value]));
  }
  return SKY_OK;
}

static sky_status add_classes(sky_context *ctx, const job *j, worker *w,
                              const sky_zonal_block *block, sky_zonal_part *p) {
  if (j->bytes) sky_class_ids_count_bytes(w->ids, w->rows, block, &w->cover, w->scratch, w->size);
  const size_t n = sky_class_ids_count(w->ids);
  if (!j->bytes)
    sky_zonal_class_block(block, &w->cover, sky_class_ids_cells(w->ids), n, w->scratch, w->size);
  SKY_TRY(sky_zonal_part_need_sizes(ctx, p, n));
  for (size_t i = 0; i < n; i++) {
    if (!(w->size[i].cells > 0)) continue;
    p->id[p->n_size] = (uint32_t)i;
    p->size[p->n_size++] = w->size[i];
  }
  return SKY_OK;
}

/* What all zones of a block share: its cell areas, its classes. */
static sky_status start_block(sky_context *ctx, const job *j, worker *w, const sky_raster_block *b,
                              sky_zonal_block *block, sky_zonal_part **out) {
  sky_zonal_part *p = *out = SKY_NEW0(ctx, sky_zonal_part, 1);
  if (p == NULL) return SKY_E_NOMEM;
  *block = (sky_zonal_block){.nx = b->window.nx,
                             .ny = b->window.ny,
                             .by_row = j->grid->geographic,
                             .area = w->area,
                             .fixed = w->fixed};
  SKY_TRY(sky_cell_area_find(ctx, w->cell_area, b->band, b->window.ix0, b->window.nx, w->area));
  if (j->opt->layers != NULL && b->pixel != NULL)
    return j->opt->layers->make(ctx, j->opt->layers->user, b, w->layer);
  if (!j->opt->classes || b->pixel == NULL) return SKY_OK;
  block->unit = sky_zonal_fix(w->area, block->nx, block->ny, block->by_row, w->fixed);
  if (j->bytes) {
    for (size_t k = 0; k < j->n_raster; k++)
      w->rows[k] = sky_source_byte_rows(b->source[k], &b->window);
    sky_class_ids_begin(w->ids);
  } else {
    sky_class_ids_find(w->ids, b->pixel, block->nx, block->ny);
  }
  return SKY_OK;
}

/* The codes of all ids. */
static sky_status end_block(sky_context *ctx, const job *j, worker *w, const sky_raster_block *b,
                            sky_zonal_part *p) {
  if (!j->opt->classes || b->pixel == NULL) return SKY_OK;
  const size_t n = sky_class_ids_count(w->ids) * j->n_raster;
  p->code = SKY_NEW(ctx, int32_t, n);
  if (p->code == NULL) return SKY_E_NOMEM;
  p->n_code = n;
  memset(p->code, 0, j->n_raster * sizeof *p->code); /* of id 0, nodata */
  memcpy(p->code + j->n_raster, sky_class_ids_codes(w->ids) + j->n_raster,
         (n - j->n_raster) * sizeof *p->code);
  return SKY_OK;
}

static sky_status add_entry(sky_context *ctx, const job *j, worker *w, const sky_raster_block *b,
                            const sky_zonal_block *block, size_t zone, sky_zonal_part *p) {
  SKY_TRY(sky_zonal_part_need_entry(ctx, p));
  sky_zonal_entry *e = &p->entry[p->n];
  *e = (sky_zonal_entry){.zone = zone,
                         .unread = b->pixel == NULL,
                         .inside = sky_zonal_cover(block, &w->cover),
                         .first = j->opt->classes ? p->n_size : p->n_value};
  if (isnan(e->inside.area))
    return sky_fail(ctx, SKY_E_RANGE, "zone '%s' covers cells of the raster that lie off the Earth",
                    j->zones->zone[zone].id);
  p->n++;
  if (e->unread) return SKY_OK;
  if (!j->opt->classes) return add_values(ctx, j, w, block, b, p);
  SKY_TRY(add_classes(ctx, j, w, block, p));
  e->n = p->n_size - e->first;
  return SKY_OK;
}

/* What is resampled must come out as what went in. */
static sky_status check_mass(sky_context *ctx, const sky_raster_block *b, size_t n) {
  for (size_t k = 0; k < n && b->pixel != NULL; k++) {
    if (!sky_source_resampled(b->source[k])) continue;
    const sky_source_audit *a = sky_source_audit_of(b->source[k], &b->window);
    const double in = sky_acc_value(&a->in), gross = sky_acc_value(&a->gross);
    const double rest =
        in - sky_acc_value(&a->out) - sky_acc_value(&a->outside) - sky_acc_value(&a->lost);
    if (!(fabs(rest) <= MASS_TOLERANCE * gross))
      return sky_fail(ctx, SKY_E_MASS,
                      "raster %zu, block %zu: resampling takes in %.9g and leaves %.3g of it over",
                      k + 1, b->index, in, rest);
  }
  return SKY_OK;
}

static sky_status map(sky_context *ctx, void *user, void *state, const sky_raster_block *b,
                      void **out) {
  const job *j = user;
  worker *w = state;
  sky_zonal_part **p = (sky_zonal_part **)out;
  sky_zonal_block block = {0};
  const uint32_t *shape;
  const size_t n = sky_cover_band_shapes(j->cover, b->band, &shape);
  for (size_t i = 0; i < n; i++) {
    if (!sky_cover_near(j->cover, shape[i], b->window.ix0, b->window.nx)) continue;
    SKY_TRY(
        sky_cover_find(ctx, j->cover, shape[i], b->band, b->window.ix0, b->window.nx, &w->cover));
    if (w->cover.n_span + w->cover.n_edge == 0) continue;
    if (*p == NULL) SKY_TRY(start_block(ctx, j, w, b, &block, p));
    SKY_TRY(add_entry(ctx, j, w, b, &block, sky_cover_zone(j->cover, shape[i]), *p));
  }
  if (*p == NULL) return SKY_OK;
  SKY_TRY(check_mass(ctx, b, j->n_input));
  return end_block(ctx, j, w, b, *p);
}

/* One zone's entry of a block to the totals of a zone. */
static sky_status add_to(sky_context *ctx, const job *j, const sky_zonal_part *p,
                         const sky_zonal_entry *e, size_t zone) {
  total *z = &j->totals->zone[zone];
  sky_acc_add(&z->inside_cells, e->inside.cells);
  sky_acc_add(&z->inside_area, e->inside.area);
  if (e->unread) {
    sky_acc_add(&z->unread_cells, e->inside.cells);
    sky_acc_add(&z->unread_area, e->inside.area);
  } else if (!j->opt->classes) {
    for (size_t k = 0; k < j->n_raster; k++) {
      sky_zonal_total_add(&z->value[k], &p->value[e->first + k], j->opt->weight);
      if (j->opt->quantiles)
        SKY_TRY(sky_quantiles_add(ctx, j->totals->quantiles, zone * j->n_raster + k,
                                  &p->list[e->first + k]));
    }
  }
  for (size_t k = e->first; k < e->first + e->n; k++) {
    if (p->id[k] == 0) {
      sky_acc_add(&z->nodata_cells, p->size[k].cells);
      sky_acc_add(&z->nodata_area, p->size[k].area);
    } else {
      SKY_TRY(add_class(ctx, z, j->n_raster, p->code + p->id[k] * j->n_raster, &p->size[k]));
    }
  }
  return SKY_OK;
}

static size_t next_zone(const job *j, size_t zone) {
  return j->opt->add_to != NULL ? j->opt->add_to[zone] : SIZE_MAX;
}

static sky_status merge(sky_context *ctx, void *user, size_t block, void *from) {
  const job *j = user;
  sky_zonal_part *p = from;
  sky_status st = SKY_OK;
  (void)block;
  for (size_t i = 0; i < p->n && st == SKY_OK; i++)
    for (size_t z = p->entry[i].zone; z != SIZE_MAX && st == SKY_OK; z = next_zone(j, z))
      st = add_to(ctx, j, p, &p->entry[i], z);
  sky_zonal_part_free(p);
  return st;
}

static sky_status pack(sky_context *ctx, void *user, const void *part, sky_text *to) {
  (void)ctx;
  (void)user;
  return sky_zonal_part_pack(part, to);
}

static sky_status unpack(sky_context *ctx, void *user, const char *bytes, size_t n, void **out) {
  const job *j = user;
  return sky_zonal_part_unpack(ctx, bytes, n, j->zones->n, (sky_zonal_part **)out);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static sky_zonal_size size_of(const sky_acc *cells, const sky_acc *area) {
  return (sky_zonal_size){sky_acc_value(cells), sky_acc_value(area)};
}

/* Of a zone's area, at most all of it. */
static double share(double part, double whole) {
  return whole > 0 ? fmin(1, part / whole) : part > 0 ? 1 : 0;
}

/* Areas and covered shares of zones that others add to. */
static void add_areas(const job *j, const sky_zonal_zone *from, size_t zone) {
  for (size_t z = next_zone(j, zone); z != SIZE_MAX; z = next_zone(j, z)) {
    sky_zonal_zone *to = &j->totals->result[z];
    const double all = to->area + from->area;
    const double covered = to->coverage * to->area + from->coverage * from->area;
    to->coverage = to->coverage == 1 && from->coverage == 1 ? 1 : share(covered, all);
    to->area = all;
  }
}

static sky_status take(sky_context *ctx, const job *j, sky_zonal *out) {
  totals *t = j->totals;
  size_t classes = 0;
  for (size_t z = 0; z < t->n_zone; z++)
    classes += t->zone[z].n_class;
  t->class_ = SKY_NEW(ctx, sky_zonal_class, classes);
  double *area = SKY_NEW(ctx, double, t->n_zone);
  sky_status st = t->class_ != NULL && area != NULL ? SKY_OK : SKY_E_NOMEM;
  if (st == SKY_OK) st = sky_zones_area(ctx, j->zones, j->grid, area);
  classes = 0;
  for (size_t z = 0; z < t->n_zone && st == SKY_OK; z++) {
    total *from = &t->zone[z];
    sky_zonal_zone *to = &t->result[z];
    *to = (sky_zonal_zone){.inside = size_of(&from->inside_cells, &from->inside_area),
                           .unread = size_of(&from->unread_cells, &from->unread_area),
                           .nodata = size_of(&from->nodata_cells, &from->nodata_area),
                           .value = from->value,
                           .n_class = from->n_class,
                           .class_ = t->class_ + classes};
    to->area = area[z];
    const bool whole = sky_cover_inside(j->cover, z) || j->zones->zone[z].n_rings == 0;
    to->coverage = whole ? 1 : share(to->inside.area, to->area);
    for (size_t k = 0; k < from->n_class; k++)
      t->class_[classes++] = (sky_zonal_class){from->code + k * t->n_raster,
                                               size_of(&from->sum[k].cells, &from->sum[k].area)};
  }
  for (size_t z = 0; z < t->n_zone && st == SKY_OK; z++) {
    sky_zonal_zone *to = &t->result[z];
    if (j->zones->zone[z].n_rings > 0) add_areas(j, to, z);
  }
  for (size_t z = 0; z < t->n_zone && st == SKY_OK; z++)
    if (!(t->result[z].area > 0)) t->result[z].coverage = 0;
  sky_free(area);
  out->n_zone = t->n_zone;
  out->n_raster = t->n_raster;
  out->zone = t->result;
  out->quantiles = t->quantiles;
  return st;
}

/* Zones and options, in few lines. */
static sky_status make_stamp(sky_context *ctx, const job *j, const char *head, char **out) {
  sky_text geometry = {.ctx = ctx}, t = {.ctx = ctx};
  char hex[65];
  for (size_t z = 0; z < j->zones->n; z++) {
    const sky_zone *zone = &j->zones->zone[z];
    sky_text_add(&geometry, zone->id, strlen(zone->id) + 1);
    for (size_t r = 0; r < zone->n_rings; r++) {
      const sky_ring *ring = &zone->ring[r];
      sky_text_add(&geometry, (const char *)&ring->n, sizeof ring->n);
      sky_text_add(&geometry, (const char *)ring->x, ring->n * sizeof *ring->x);
      sky_text_add(&geometry, (const char *)ring->y, ring->n * sizeof *ring->y);
    }
  }
  if (head != NULL) sky_text_put(&t, head);
  if (!geometry.failed) sky_sha256(geometry.data, geometry.length, hex);
  const sky_zonal_options *o = j->opt;
  if (!geometry.failed)
    sky_text_printf(&t, "zones: %zu, sha256 %s\nparts: %s%s%s%s, by %s\n", j->zones->n, hex,
                    o->classes          ? "classes"
                    : o->layers != NULL ? "layers"
                                        : "values",
                    o->squares ? ", squares" : "", o->quantiles ? ", quantiles" : "",
                    o->by ? ", further weights" : "",
                    o->weight == SKY_WEIGHT_AREA ? "area" : "fraction");
  const bool failed = geometry.failed;
  sky_text_free(&geometry);
  *out = sky_text_take(&t);
  return *out != NULL && !failed ? SKY_OK : SKY_E_NOMEM;
}

/* Zones with their edges in bands, and what is summed up. */
static size_t fixed_bytes(const job *j) {
  size_t sides = 0;
  for (size_t z = 0; z < j->zones->n; z++)
    for (size_t r = 0; r < j->zones->zone[z].n_rings; r++)
      sides += j->zones->zone[z].ring[r].n;
  size_t sum = sides * (2 + 8) * sizeof(double);
  sum += j->zones->n * (sizeof(total) + sizeof(sky_zonal_zone) + 256);
  if (!j->opt->classes) sum += j->zones->n * j->n_raster * sizeof(sky_zonal_total);
  if (j->opt->quantiles) sum += QUANTILE_BYTES;
  return sum;
}

/* Of a block's part: some zones, and what they may hold. */
static size_t part_bytes(const job *j) {
  size_t bytes = sizeof(sky_zonal_part) +
                 16 * (sizeof(sky_zonal_entry) + j->n_raster * sizeof(sky_zonal_values));
  if (j->opt->quantiles) bytes += CELLS * j->n_raster * (sizeof(uint64_t) + sizeof(double));
  return bytes;
}

sky_status sky_zonal_make(sky_context *ctx, sky_raster_set *set, const sky_zones *zones,
                          const sky_zonal_options *opt, const sky_pass_options *pass,
                          sky_zonal *out) {
  sky_status st = SKY_OK;
  sky_zonal z = {0};
  sky_pass_options how = pass != NULL ? *pass : (sky_pass_options){0};
  char *stamp = NULL;
  job j = {.zones = zones,
           .grid = sky_raster_set_grid(set),
           .opt = opt,
           .n_input = sky_raster_set_count(set)};
  j.n_raster = opt->layers != NULL ? opt->layers->n : j.n_input - opt->by;
  SKY_GO(sky_cover_create(ctx, zones, j.grid, &j.cover));
  SKY_GO(totals_make(ctx, zones->n, j.n_raster, opt, &j.totals));
  SKY_GO(make_stamp(ctx, &j, how.stamp, &stamp));
  how.stamp = stamp;
  j.bytes = opt->classes && j.n_raster <= 2;
  for (size_t i = 0; i < j.n_raster; i++)
    j.bytes = j.bytes && sky_raster_set_facts(set, i)->bytes;
  const sky_raster_kernel kernel = {.user = &j,
                                    .unconverted = j.bytes,
                                    .fixed_bytes = fixed_bytes(&j),
                                    .worker_bytes = worker_bytes(&j),
                                    .part_bytes = part_bytes(&j),
                                    .start = worker_start,
                                    .stop = worker_stop,
                                    .wanted = wanted,
                                    .map = map,
                                    .merge = merge,
                                    .drop = sky_zonal_part_free,
                                    .part_size = sky_zonal_part_size,
                                    .pack = pack,
                                    .unpack = unpack};
  SKY_GO(sky_raster_pass(ctx, set, "zonal statistics", &how, &kernel, &z.report));
  if (how.shard.shards == 0) SKY_GO(take(ctx, &j, &z));
  z.memory = j.totals;
  j.totals = NULL;
  *out = z;
cleanup:
  sky_free(stamp);
  sky_cover_free(j.cover);
  totals_free(j.totals);
  return st;
}
