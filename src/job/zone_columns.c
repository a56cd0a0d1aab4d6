/* zone_columns.c: see zone_columns.h. */
#include "src/job/zone_columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/grid_area.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define DEG (M_PI / 180)

typedef struct piece { /* of a zone in a cell */
  size_t cell, zone;
  double area;
} piece;

typedef struct sums {             /* over some cells of a zone */
  sky_acc a, ax, a2, a2v, av, as; /* Σ a, a x, a² s, a² σ² s, a σ², a σ */
} sums;

typedef struct tally {
  sums all, now, then; /* one product's cells; the cells that both have */
  size_t cells;
} tally;

static void tally_cell(sums *t, double a, const sky_bin *b) {
  const double share = sky_bin_share(b), rms = sky_bin_rms(b);
  sky_acc_add(&t->a, a);
  sky_acc_add(&t->ax, a * sky_bin_mean(b));
  sky_acc_add(&t->a2, a * a * share);
  sky_acc_add(&t->a2v, a * a * share * rms * rms);
  sky_acc_add(&t->av, a * rms * rms);
  sky_acc_add(&t->as, a * rms);
}

static double mean_of(const sums *t) {
  return sky_acc_value(&t->ax) / sky_acc_value(&t->a);
}

/* The independent part is at most that of one sounding. */
static double variance_of(const sums *t, double correlation, double inflation) {
  const double a = sky_acc_value(&t->a), s = sky_acc_value(&t->as) / a;
  const double single = sky_acc_value(&t->av) / a;
  const double free = inflation * sky_acc_value(&t->a2v) / (a * a);
  if (isnan(free)) return NAN;
  return (1 - correlation) * fmin(free, single) + correlation * s * s;
}

static double effective_of(const sums *t, double inflation) {
  const double a = sky_acc_value(&t->a);
  return fmax(1, a * a / (inflation * sky_acc_value(&t->a2)));
}

/* ---- pieces --------------------------------------------------------------------------------- */

static int by_cell(const void *a, const void *b) {
  const piece *p = a, *q = b;
  if (p->cell != q->cell) return p->cell < q->cell ? -1 : 1;
  return (p->zone > q->zone) - (p->zone < q->zone);
}

typedef struct areas { /* of cells */
  const sky_grid *grid;
  double *cell; /* projected grids; else computed */
} areas;

static double cell_area(const areas *a, size_t cell) {
  const sky_grid *g = a->grid;
  if (a->cell != NULL) return a->cell[cell];
  const size_t iy = cell / g->nx, ix = cell % g->nx;
  return sky_ellipsoid_band(g->y_edge[iy], g->y_edge[iy + 1]) *
         (g->x_edge[ix + 1] - g->x_edge[ix]) * DEG;
}

typedef struct pieces {
  size_t n, capacity;
  piece *item;
} pieces;

static sky_status append(sky_context *ctx, const sky_coverage *c, size_t zone, const areas *a,
                         pieces *list) {
  if (list->n + c->n > list->capacity) {
    const size_t capacity = 2 * list->capacity + c->n;
    piece *grown = sky_realloc(ctx, list->item, list->n, capacity, sizeof *grown);
    if (grown == NULL) return SKY_E_NOMEM;
    list->item = grown;
    list->capacity = capacity;
  }
  for (size_t i = 0; i < c->n; i++)
    list->item[list->n++] = (piece){c->cell[i], zone, c->fraction[i] * cell_area(a, c->cell[i])};
  return SKY_OK;
}

static sky_status make_pieces(sky_context *ctx, const sky_zones *zones, const sky_grid *grid,
                              sky_zone_column *out, pieces *list) {
  areas a = {grid, NULL};
  sky_status st = SKY_OK;
  if (!grid->geographic) {
    SKY_GO_ALLOC(a.cell, SKY_NEW(ctx, double, sky_grid_cells(grid)));
    SKY_GO(sky_grid_areas(ctx, grid, a.cell));
  }
  for (size_t z = 0; z < zones->n; z++) {
    sky_coverage c = {0};
    SKY_GO(sky_zone_coverage(ctx, &zones->zone[z], grid, &c));
    out[z] = (sky_zone_column){.area = c.area_zone, .reason = c.n == 0 ? "outside the grid" : ""};
    st = append(ctx, &c, z, &a, list);
    sky_coverage_free(&c);
    if (st != SKY_OK) goto cleanup;
  }
  if (list->n > 0) qsort(list->item, list->n, sizeof *list->item, by_cell);
cleanup:
  sky_free(a.cell);
  return st;
}

/* ---- the walk over the cells ---------------------------------------------------------------- */

typedef struct walk {
  const sky_bin_source *source;
  size_t cell;
  sky_bin bin;
  sky_u128 ww; /* Σ w² over all cells */
} walk;

static sky_status step(walk *w) {
  SKY_TRY(w->source->next(w->source->user, &w->cell, &w->bin));
  if (w->cell != SIZE_MAX) w->ww += w->bin.ww;
  return SKY_OK;
}

static sky_status start(walk *w, const sky_bin_source *source) {
  *w = (walk){.source = source, .cell = SIZE_MAX};
  if (source == NULL) return SKY_OK;
  SKY_TRY(source->rewind(source->user));
  return step(w);
}

/* To the first cell from `cell` on, and to the end for SIZE_MAX. */
static sky_status advance(walk *w, size_t cell) {
  while (w->cell < cell)
    SKY_TRY(step(w));
  return SKY_OK;
}

static void put_piece(const piece *p, const walk *now, const walk *then, tally *t) {
  const bool has = now->cell == p->cell, had = then->cell == p->cell;
  if (has) {
    tally_cell(&t->all, p->area, &now->bin);
    t->cells++;
  }
  if (has && had) {
    tally_cell(&t->now, p->area, &now->bin);
    tally_cell(&t->then, p->area, &then->bin);
  }
}

static void conclude(sky_zone_column *c, const tally *t, const sky_level3 *l, double inflation,
                     const sky_level3 *base, double base_inflation) {
  c->mean = c->sigma = c->baseline = c->change = c->change_sigma = NAN;
  c->cells = t->cells;
  c->observed = fmin(1, sky_acc_value(&t->all.a) / c->area);
  c->common = base != NULL ? fmin(1, sky_acc_value(&t->now.a) / c->area) : NAN;
  if (c->reason[0] != '\0') return;
  if (t->cells == 0) {
    c->reason = "no sounding in the zone";
    return;
  }
  c->mean = mean_of(&t->all);
  c->sigma = sqrt(variance_of(&t->all, l->correlation, inflation));
  c->effective = effective_of(&t->all, inflation);
  if (base == NULL) return;
  if (!(c->common > 0)) {
    c->reason = "no cell with soundings both now and in the baseline";
    return;
  }
  c->baseline = mean_of(&t->then);
  c->change = mean_of(&t->now) - c->baseline;
  c->change_sigma = sqrt(variance_of(&t->now, l->correlation, inflation) +
                         variance_of(&t->then, base->correlation, base_inflation));
}

sky_status sky_zone_columns(sky_context *ctx, const sky_zones *zones, const sky_level3 *l,
                            const sky_bin_source *source, const sky_level3 *base,
                            const sky_bin_source *base_source, sky_zone_column *out) {
  pieces list = {0};
  tally *t = NULL;
  walk now, then;
  sky_status st = SKY_OK;
  if (base != NULL && !sky_grid_equal(&l->grid, &base->grid))
    return sky_fail(ctx, SKY_E_FORMAT, "the baseline has another grid");
  if (base != NULL && strcmp(l->gas, base->gas) != 0)
    return sky_fail(ctx, SKY_E_FORMAT, "the baseline is of another gas, %s", base->gas);
  SKY_GO(make_pieces(ctx, zones, &l->grid, out, &list));
  SKY_GO_ALLOC(t, SKY_NEW0(ctx, tally, zones->n));
  SKY_GO(start(&now, source));
  SKY_GO(start(&then, base_source));
  for (size_t i = 0; i < list.n; i++) {
    const piece *p = &list.item[i];
    SKY_GO(advance(&now, p->cell));
    SKY_GO(advance(&then, p->cell));
    put_piece(p, &now, &then, &t[p->zone]);
  }
  SKY_GO(advance(&now, SIZE_MAX));
  SKY_GO(advance(&then, SIZE_MAX));
  for (size_t z = 0; z < zones->n; z++)
    conclude(&out[z], &t[z], l, sky_level3_inflation(l, now.ww), base,
             base != NULL ? sky_level3_inflation(base, then.ww) : 1);
cleanup:
  sky_free(list.item);
  sky_free(t);
  return st;
}
