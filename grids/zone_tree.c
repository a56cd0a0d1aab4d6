/* zone_tree.c: see zone_tree.h. The check walks over the blocks of the grid band by band; in each,
 * the covered fraction of a zone less those of its parts is taken cell by cell. */
#include "grids/zone_tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grids/cell_area.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define NOISE 1e-9 /* of a cell: rounding of sums of fractions */

void sky_zone_tree_free(sky_zone_tree *t) {
  if (t == NULL) return;
  sky_free(t->parent);
  sky_free(t->add_to);
  sky_free(t->part_of);
  sky_free(t->children);
  sky_free(t->parts);
  memset(t, 0, sizeof *t);
}

/* ---- relations ------------------------------------------------------------------------------ */

static int by_id(const void *key, const void *zone) {
  return strcmp(key, ((const sky_zone *)zone)->id);
}

static sky_status find_parents(sky_context *ctx, const sky_zones *zones, sky_zone_tree *t) {
  for (size_t z = 0; z < t->n; z++) {
    const char *id = zones->zone[z].parent;
    if (id == NULL) continue;
    const sky_zone *p = bsearch(id, zones->zone, zones->n, sizeof *zones->zone, by_id);
    if (p == NULL)
      return sky_fail(ctx, SKY_E_FORMAT,
                      "zone '%s': its parent '%s' is no zone (a feature without geometry is the "
                      "sum of its children)",
                      zones->zone[z].id, id);
    t->parent[z] = (size_t)(p - zones->zone);
    t->children[t->parent[z]]++;
  }
  return SKY_OK;
}

/* Every way up must end within n steps. */
static sky_status check_cycles(sky_context *ctx, const sky_zones *zones, const sky_zone_tree *t) {
  unsigned char *sound = SKY_NEW0(ctx, unsigned char, t->n);
  if (sound == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  for (size_t z = 0; z < t->n && st == SKY_OK; z++) {
    size_t steps = 0, p = z;
    for (; p != SKY_NO_ZONE && !sound[p] && steps <= t->n; steps++)
      p = t->parent[p];
    if (steps > t->n)
      st = sky_fail(ctx, SKY_E_FORMAT, "zone '%s' is its own ancestor (parent '%s')",
                    zones->zone[p].id, zones->zone[p].parent);
    for (p = z; st == SKY_OK && p != SKY_NO_ZONE && !sound[p]; p = t->parent[p])
      sound[p] = 1;
  }
  sky_free(sound);
  return st;
}

static bool is_sum(const sky_zone_tree *t, const sky_zones *zones, size_t z) {
  return t->children[z] > 0 && zones->zone[z].n_rings == 0 && !zones->zone[z].damaged;
}

static void find_sums(sky_zones *zones, sky_zone_tree *t) {
  for (size_t z = 0; z < t->n; z++) {
    size_t p = t->parent[z];
    if (p != SKY_NO_ZONE && is_sum(t, zones, p)) t->add_to[z] = p;
    while (p != SKY_NO_ZONE && zones->zone[p].n_rings == 0)
      p = t->parent[p];
    if (p == SKY_NO_ZONE || zones->zone[z].n_rings == 0) continue;
    t->part_of[z] = p;
    t->parts[p]++;
  }
  for (size_t z = 0; z < t->n; z++) {
    if (!is_sum(t, zones, z)) continue;
    sky_free(zones->zone[z].defect);
    zones->zone[z].defect = NULL;
  }
}

sky_status sky_zone_tree_create(sky_context *ctx, sky_zones *zones, sky_zone_tree *out) {
  sky_status st = SKY_OK;
  sky_zone_tree t = {.n = zones->n};
  SKY_GO_ALLOC(t.parent, SKY_NEW(ctx, size_t, t.n));
  SKY_GO_ALLOC(t.add_to, SKY_NEW(ctx, size_t, t.n));
  SKY_GO_ALLOC(t.part_of, SKY_NEW(ctx, size_t, t.n));
  SKY_GO_ALLOC(t.children, SKY_NEW0(ctx, size_t, t.n));
  SKY_GO_ALLOC(t.parts, SKY_NEW0(ctx, size_t, t.n));
  for (size_t z = 0; z < t.n; z++)
    t.parent[z] = t.add_to[z] = t.part_of[z] = SKY_NO_ZONE;
  SKY_GO(find_parents(ctx, zones, &t));
  SKY_GO(check_cycles(ctx, zones, &t));
  find_sums(zones, &t);
  *out = t;
  return SKY_OK;
cleanup:
  sky_zone_tree_free(&t);
  return st;
}

/* ---- the check ------------------------------------------------------------------------------ */

typedef struct member { /* a shape in the check of a zone */
  size_t whole;
  uint32_t shape;
  int sign;
} member;

typedef struct check {
  const sky_zone_tree *t;
  const sky_grid *grid;
  sky_cover *cover;
  sky_cell_area *cell_area;
  sky_cover_part part;
  member *member; /* of the present band: [2 for each of its shapes] */
  size_t n_member, capacity;
  double *step;   /* [SKY_BAND*(SKY_BAND+1)] spans by their ends */
  double *single; /* [SKY_BAND*SKY_BAND] edge cells */
  double *area;   /* the same */
  struct {
    sky_acc uncovered, overlap;
  } * sum; /* [n] */
} check;

static int by_whole(const void *a, const void *b) {
  const member *m = a, *n = b;
  if (m->whole != n->whole) return m->whole < n->whole ? -1 : 1;
  return (m->shape > n->shape) - (m->shape < n->shape);
}

static sky_status find_members(sky_context *ctx, check *c, size_t band) {
  const uint32_t *shape;
  const size_t n = sky_cover_band_shapes(c->cover, band, &shape);
  c->n_member = 0;
  if (2 * n > c->capacity) {
    sky_free(c->member);
    c->capacity = 0;
    c->member = SKY_NEW(ctx, member, 2 * n);
    if (c->member == NULL) return SKY_E_NOMEM;
    c->capacity = 2 * n;
  }
  for (size_t i = 0; i < n; i++) {
    const size_t z = sky_cover_zone(c->cover, shape[i]);
    if (c->t->parts[z] > 0) c->member[c->n_member++] = (member){z, shape[i], 1};
    if (c->t->part_of[z] != SKY_NO_ZONE)
      c->member[c->n_member++] = (member){c->t->part_of[z], shape[i], -1};
  }
  qsort(c->member, c->n_member, sizeof *c->member, by_whole);
  return SKY_OK;
}

static void add_part(check *c, int sign) {
  for (size_t k = 0; k < c->part.n_span; k++) {
    double *row = c->step + c->part.span[k].row * (SKY_BAND + 1);
    row[c->part.span[k].x0] += sign;
    row[c->part.span[k].x1] -= sign;
  }
  for (size_t k = 0; k < c->part.n_edge; k++)
    c->single[c->part.edge[k].row * SKY_BAND + c->part.edge[k].x] +=
        sign * c->part.edge[k].fraction;
}

static void sum_up(check *c, size_t whole, const sky_window *w) {
  for (size_t r = 0; r < w->ny; r++) {
    double run = 0;
    for (size_t x = 0; x < w->nx; x++) {
      run += c->step[r * (SKY_BAND + 1) + x];
      const double f = run + c->single[r * SKY_BAND + x];
      if (fabs(f) < NOISE) continue;
      const double a = f * c->area[r * SKY_BAND + (c->grid->geographic ? 0 : x)];
      sky_acc_add(f > 0 ? &c->sum[whole].uncovered : &c->sum[whole].overlap, fabs(a));
    }
  }
}

/* One zone and its parts, member[0..n-1], in one block. */
static sky_status check_block(sky_context *ctx, check *c, const member *m, size_t n, size_t band,
                              const sky_window *w) {
  bool any = false;
  for (size_t i = 0; i < n; i++) {
    if (!sky_cover_near(c->cover, m[i].shape, w->ix0, w->nx)) continue;
    if (!any) {
      memset(c->step, 0, SKY_BAND * (SKY_BAND + 1) * sizeof *c->step);
      memset(c->single, 0, SKY_BAND * SKY_BAND * sizeof *c->single);
    }
    any = true;
    SKY_TRY(sky_cover_find(ctx, c->cover, m[i].shape, band, w->ix0, w->nx, &c->part));
    add_part(c, m[i].sign);
  }
  if (!any) return SKY_OK;
  SKY_TRY(sky_cell_area_find(ctx, c->cell_area, band, w->ix0, w->nx, c->area));
  sum_up(c, m->whole, w);
  return SKY_OK;
}

static sky_status check_band(sky_context *ctx, check *c, size_t band) {
  sky_window w;
  SKY_TRY(find_members(ctx, c, band));
  sky_cover_band_rows(c->cover, band, &w);
  for (size_t first = 0, n; first < c->n_member; first += n) {
    n = 1;
    while (first + n < c->n_member && c->member[first + n].whole == c->member[first].whole)
      n++;
    for (w.ix0 = 0; w.ix0 < c->grid->nx; w.ix0 += SKY_BAND) {
      w.nx = c->grid->nx - w.ix0 < SKY_BAND ? c->grid->nx - w.ix0 : SKY_BAND;
      SKY_TRY(check_block(ctx, c, c->member + first, n, band, &w));
    }
  }
  return SKY_OK;
}

sky_status sky_zone_tree_check(sky_context *ctx, const sky_zone_tree *t, const sky_zones *zones,
                               const sky_grid *grid, sky_zone_closing *closing) {
  sky_status st = SKY_OK;
  check c = {.t = t, .grid = grid};
  SKY_GO(sky_cover_create(ctx, zones, grid, &c.cover));
  SKY_GO(sky_cell_area_create(ctx, grid, &c.cell_area));
  SKY_GO_ALLOC(c.step, SKY_NEW(ctx, double, SKY_BAND *(SKY_BAND + 1)));
  SKY_GO_ALLOC(c.single, SKY_NEW(ctx, double, SKY_BAND *SKY_BAND));
  SKY_GO_ALLOC(c.area, SKY_NEW(ctx, double, SKY_BAND *SKY_BAND));
  SKY_GO_ALLOC(c.sum, sky_calloc(ctx, t->n, sizeof *c.sum));
  for (size_t band = 0; band < sky_cover_bands(c.cover); band++)
    SKY_GO(check_band(ctx, &c, band));
  for (size_t z = 0; z < t->n; z++)
    closing[z] =
        (sky_zone_closing){sky_acc_value(&c.sum[z].uncovered), sky_acc_value(&c.sum[z].overlap)};
cleanup:
  sky_cover_part_free(&c.part);
  sky_cell_area_free(c.cell_area);
  sky_cover_free(c.cover);
  sky_free(c.member);
  sky_free(c.step);
  sky_free(c.single);
  sky_free(c.area);
  sky_free(c.sum);
  return st;
}
