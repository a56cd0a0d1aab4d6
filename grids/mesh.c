/* mesh.c: a base grid and the finer patches that replace its cells.
 *
 * Invariants: every edge of the base inside a patch is an edge of the patch, bit for bit; a place
 * lies in one mesh cell; first[0] = 0, first[n_patch] = n_cell. */
#include "grids/mesh.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/grid_area.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define SAME 1e-6 /* of a base cell: float noise of a patch's edges */

void sky_mesh_free(sky_mesh *m) {
  if (m == NULL) return;
  for (size_t p = 0; p < m->n_patch; p++) {
    if (m->patch != NULL) sky_grid_free(&m->patch[p]);
    if (m->id != NULL) sky_free(m->id[p]);
    if (m->of != NULL) sky_free(m->of[p]);
  }
  sky_free(m->patch);
  sky_free(m->id);
  sky_free(m->of);
  sky_free(m->first);
  sky_free(m->grid_cell);
  sky_free(m->below);
  memset(m, 0, sizeof *m);
}

/* ---- edges --------------------------------------------------------------------------------- */

/* Puts the patch's edges onto the base's: NULL, or what is wrong with them. */
static const char *snap_axis(const double *base, size_t nb, double *edge, size_t n) {
  const double near = SAME * (base[nb] - base[0]) / (double)nb;
  size_t j = 0, i = 0;
  if (edge[0] < base[0] - near || edge[n] > base[nb] + near) return "leaves the grid";
  while (j < nb && base[j] < edge[0] - near)
    j++;
  if (fabs(base[j] - edge[0]) > near) return "does not begin and end on edges of the grid's cells";
  for (; j <= nb && base[j] <= edge[n] + near; j++) {
    while (i < n && edge[i] < base[j] - near)
      i++;
    if (fabs(edge[i] - base[j]) > near) return "has cells that do not divide the grid's cells";
    edge[i] = base[j];
  }
  return i == n ? NULL : "does not begin and end on edges of the grid's cells";
}

static sky_status snap(sky_context *ctx, const sky_grid *base, const char *id, sky_grid *patch) {
  if (base->geographic) {
    const double turn = 360 * ceil((base->x_edge[0] - patch->x_edge[0]) / 360 - SAME);
    for (size_t i = 0; i <= patch->nx; i++)
      patch->x_edge[i] += turn;
  }
  const char *x = snap_axis(base->x_edge, base->nx, patch->x_edge, patch->nx);
  const char *y = snap_axis(base->y_edge, base->ny, patch->y_edge, patch->ny);
  const char *wrong = x != NULL ? x : y;
  if (base->geographic != patch->geographic ||
      (!base->geographic && strcmp(base->crs, patch->crs) != 0))
    wrong = "is in another crs than the grid";
  if (wrong == NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "patch '%s' (%.10g, %.10g, %.10g, %.10g; cells %.6g x %.6g) %s",
                  id, patch->x_edge[0], patch->y_edge[0], patch->x_edge[patch->nx],
                  patch->y_edge[patch->ny], sky_grid_dx(patch), sky_grid_dy(patch), wrong);
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* Base cell below each cell of patch p; base cells that it takes are marked with p. */
static sky_status take(sky_context *ctx, const sky_mesh *m, size_t p, size_t *taken,
                       size_t *below) {
  const sky_grid *g = &m->patch[p];
  for (size_t c = 0; c < sky_grid_cells(g); c++) {
    double x, y;
    sky_grid_centre(g, c, &x, &y);
    below[c] = sky_grid_find(&m->patch[0], x, y);
    size_t *by = &taken[below[c]];
    if (*by != 0 && *by != p)
      return sky_fail(ctx, SKY_E_RANGE, "patch '%s' overlaps patch '%s'", m->id[p], m->id[*by]);
    *by = p;
  }
  return SKY_OK;
}

static sky_status number_cells(sky_context *ctx, sky_mesh *m) {
  size_t n_all = 0, n = 0, *taken = NULL, *below = NULL;
  sky_status st = SKY_OK;
  for (size_t p = 0; p < m->n_patch; p++)
    n_all += sky_grid_cells(&m->patch[p]);
  SKY_GO_ALLOC(taken, SKY_NEW0(ctx, size_t, sky_grid_cells(&m->patch[0])));
  SKY_GO_ALLOC(below, SKY_NEW(ctx, size_t, n_all)); /* of the patches, one after the other */
  SKY_GO_ALLOC(m->first, SKY_NEW0(ctx, size_t, m->n_patch + 1));
  SKY_GO_ALLOC(m->of, SKY_NEW0(ctx, size_t *, m->n_patch));
  SKY_GO_ALLOC(m->grid_cell, SKY_NEW(ctx, size_t, n_all));
  SKY_GO_ALLOC(m->below, SKY_NEW(ctx, size_t, n_all));
  for (size_t p = 1, at = 0; p < m->n_patch; at += sky_grid_cells(&m->patch[p++]))
    SKY_GO(take(ctx, m, p, taken, below + at));
  const size_t *next = below;
  for (size_t p = 0; p < m->n_patch; p++) {
    const size_t cells = sky_grid_cells(&m->patch[p]);
    SKY_GO_ALLOC(m->of[p], SKY_NEW(ctx, size_t, cells));
    for (size_t c = 0; c < cells; c++) {
      m->of[p][c] = SIZE_MAX;
      if (p == 0 && taken[c] != 0) continue;
      m->of[p][c] = n;
      m->grid_cell[n] = c;
      m->below[n++] = p == 0 ? c : *next++;
    }
    m->first[p + 1] = n;
  }
  m->n_cell = n;
cleanup:
  sky_free(taken);
  sky_free(below);
  return st;
}

sky_status sky_mesh_create(sky_context *ctx, const sky_grid *base, const sky_grid *patches,
                           const char *const *ids, size_t n_patches, sky_mesh *out) {
  sky_mesh m = {.n_patch = n_patches + 1};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(m.patch, SKY_NEW0(ctx, sky_grid, m.n_patch));
  SKY_GO_ALLOC(m.id, SKY_NEW0(ctx, char *, m.n_patch));
  for (size_t p = 0; p < m.n_patch; p++) {
    SKY_GO(sky_grid_copy(ctx, p == 0 ? base : &patches[p - 1], &m.patch[p]));
    SKY_GO_ALLOC(m.id[p], sky_strdup(ctx, p == 0 ? "" : ids[p - 1]));
    for (size_t k = 0; k < p; k++)
      if (strcmp(m.id[k], m.id[p]) == 0) {
        st = sky_fail(ctx, SKY_E_RANGE, "two patches have the id '%s'", m.id[p]);
        goto cleanup;
      }
    if (p > 0) SKY_GO(snap(ctx, &m.patch[0], m.id[p], &m.patch[p]));
  }
  SKY_GO(number_cells(ctx, &m));
  *out = m;
  return SKY_OK;
cleanup:
  sky_mesh_free(&m);
  return st;
}

/* ---- cells --------------------------------------------------------------------------------- */

static size_t patch_of(const sky_mesh *m, size_t cell) {
  size_t p = 0;
  while (cell >= m->first[p + 1])
    p++;
  return p;
}

sky_status sky_mesh_areas(sky_context *ctx, const sky_mesh *m, double *area) {
  if (m->n_patch == 1) return sky_grid_areas(ctx, &m->patch[0], area);
  for (size_t p = 0; p < m->n_patch; p++) {
    double *all = SKY_NEW(ctx, double, sky_grid_cells(&m->patch[p]));
    if (all == NULL) return SKY_E_NOMEM;
    const sky_status st = sky_grid_areas(ctx, &m->patch[p], all);
    for (size_t c = m->first[p]; c < m->first[p + 1] && st == SKY_OK; c++)
      area[c] = all[m->grid_cell[c]];
    sky_free(all);
    SKY_TRY(st);
  }
  return SKY_OK;
}

void sky_mesh_centre(const sky_mesh *m, size_t cell, double *x, double *y) {
  sky_grid_centre(&m->patch[patch_of(m, cell)], m->grid_cell[cell], x, y);
}

double sky_mesh_distance(const sky_mesh *m, size_t a, size_t b) {
  double xa, ya, xb, yb;
  sky_mesh_centre(m, a, &xa, &ya);
  sky_mesh_centre(m, b, &xb, &yb);
  return m->patch[0].geographic ? sky_distance(xa, ya, xb, yb) : hypot(xb - xa, yb - ya);
}

/* ---- polygons ------------------------------------------------------------------------------ */

/* Keeps the cells of patch p that nothing replaces, under their mesh numbers; appends them. */
static sky_status append_coverage(sky_context *ctx, const sky_mesh *m, size_t p,
                                  const sky_coverage *of_patch, sky_coverage *out) {
  const size_t n = out->n + of_patch->n;
  size_t *cell = sky_realloc(ctx, out->cell, out->n, n, sizeof *cell);
  if (cell == NULL) return SKY_E_NOMEM;
  out->cell = cell;
  double *fraction = sky_realloc(ctx, out->fraction, out->n, n, sizeof *fraction);
  if (fraction == NULL) return SKY_E_NOMEM;
  out->fraction = fraction;
  for (size_t k = 0; k < of_patch->n; k++) {
    const size_t c = m->of[p][of_patch->cell[k]];
    if (c == SIZE_MAX) continue;
    out->cell[out->n] = c;
    out->fraction[out->n++] = of_patch->fraction[k];
  }
  return SKY_OK;
}

sky_status sky_mesh_coverage(sky_context *ctx, const sky_zone *zone, const sky_mesh *m,
                             sky_coverage *out) {
  sky_coverage all = {0};
  sky_status st = SKY_OK;
  if (m->n_patch == 1) return sky_zone_coverage(ctx, zone, &m->patch[0], out);
  for (size_t p = 0; p < m->n_patch && st == SKY_OK; p++) {
    sky_coverage c = {0};
    st = p == 0 ? sky_zone_coverage(ctx, zone, &m->patch[p], &c)
                : sky_zone_fractions(ctx, zone, &m->patch[p], &c);
    if (p == 0) all = (sky_coverage){.area_zone = c.area_zone, .area_in = c.area_in};
    if (st == SKY_OK) st = append_coverage(ctx, m, p, &c, &all);
    sky_coverage_free(&c);
  }
  if (st != SKY_OK) {
    sky_coverage_free(&all);
    return st;
  }
  *out = all;
  return SKY_OK;
}

/* ---- fields -------------------------------------------------------------------------------- */

sky_status sky_mesh_splitter(sky_context *ctx, const sky_grid *src, const sky_mesh *m,
                             sky_splitter **out) {
  if (m->n_patch == 1) return sky_splitter_create(ctx, src, &m->patch[0], out);
  return sky_splitter_create_parts(ctx, src, m->patch, m->of, m->n_patch, out);
}

sky_status sky_mesh_regrid_extensive(sky_context *ctx, const sky_grid *src, const double *amount,
                                     const sky_mesh *m, double *out, sky_audit *audit) {
  if (m->n_patch == 1) return sky_regrid_extensive(ctx, src, amount, &m->patch[0], out, audit);
  sky_splitter *s = NULL;
  SKY_TRY(sky_mesh_splitter(ctx, src, m, &s));
  const sky_status st = sky_splitter_extensive(ctx, s, amount, m->n_cell, out, audit);
  sky_splitter_free(s);
  return st;
}

void sky_mesh_to_base(const sky_mesh *m, const double *area, const double *value, double *out) {
  for (size_t c = 0; c < sky_grid_cells(&m->patch[0]); c++)
    out[c] = m->of[0][c] == SIZE_MAX ? NAN : value[m->of[0][c]];
  for (size_t p = 1; p < m->n_patch; p++) {
    const sky_grid *g = &m->patch[p];
    /* The cells of g in one base cell are a block: it begins where `below` is met first. */
    for (size_t c = 0; c < sky_grid_cells(g); c++) {
      const size_t base = m->below[m->of[p][c]], ix = c % g->nx, iy = c / g->nx;
      if (ix > 0 && m->below[m->of[p][c - 1]] == base) continue;
      if (iy > 0 && m->below[m->of[p][c - g->nx]] == base) continue;
      sky_acc sum = {0, 0}, weight = {0, 0};
      for (size_t y = iy; y < g->ny && m->below[m->of[p][y * g->nx + ix]] == base; y++) {
        for (size_t x = ix; x < g->nx; x++) {
          const size_t cell = m->of[p][y * g->nx + x];
          if (m->below[cell] != base) break;
          if (isnan(value[cell])) continue;
          sky_acc_add(&sum, value[cell] * area[cell]);
          sky_acc_add(&weight, area[cell]);
        }
      }
      if (sky_acc_value(&weight) > 0) out[base] = sky_acc_value(&sum) / sky_acc_value(&weight);
    }
  }
}

void sky_mesh_to_patch(const sky_mesh *m, size_t p, const double *value, double *out) {
  for (size_t c = 0; c < sky_grid_cells(&m->patch[p]); c++)
    out[c] = m->of[p][c] == SIZE_MAX ? NAN : value[m->of[p][c]];
}
