/* clip.c: cells of one coordinate system cut by the cells of another.
 *
 * The outline of a cell is projected, in pieces so short that a chord leaves the true line by less
 * than CHORD of a cell, and the polygon is cut exactly by the cells of the other grid (zone.h).
 * Cells that share a side share its points, so that their polygons leave no gap. Where one system
 * is geographic the cells of the other are projected to it, because there the cut measures true
 * areas: the covered fraction of a source cell is its share, or the covered fraction of a target
 * cell times its area. Between two projections the plane is used within one target cell, whose true
 * area weighs it. Shares of a source cell that lies whole in the target are scaled to sum to 1,
 * which corrects the last digits.
 *
 * Rows of cells are worked on by threads, each with its own PROJ context, and joined in their
 * order: results do not depend on the number of threads. */
#include "grids/clip.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "grids/grid_area.h"
#include "grids/projection.h"
#include "grids/regrid.h"
#include "grids/zone.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define CHORD 1e-6     /* of the smallest cell */
#define PIECES_MAX 512 /* of one side */
#define TORN 0.25      /* sagitta over chord: the side runs over the seam of the map */
#define SLACK 0.25     /* area of the parts against the true area of the cell: torn or lost */
#define WHOLE 1e-9     /* shares that sum to 1 but for this do so */
#define POLE 1e-9      /* degrees */
#define METRES_PER_DEGREE 111e3
#define WIDE 60.0 /* degrees of longitude that a projection holds safely */

void sky_clip_free(sky_clip *c) {
  if (c == NULL) return;
  sky_free(c->start);
  sky_free(c->cell);
  sky_free(c->share);
  memset(c, 0, sizeof *c);
}

/* ---- outlines ------------------------------------------------------------------------------ */

typedef struct tracer {
  sky_projection t;
  bool geographic; /* the system that it goes to */
  double tolerance;
  size_t n, capacity;
  double *x, *y; /* the outline */
} tracer;

static void tracer_close(tracer *w) {
  sky_projection_close(&w->t);
  sky_free(w->x);
  sky_free(w->y);
}

static sky_status tracer_open(sky_context *ctx, const sky_grid *from, const sky_grid *to,
                              double cell, tracer *w) {
  *w = (tracer){.geographic = to->geographic, .tolerance = CHORD * cell};
  return sky_projection_open(ctx, sky_grid_system(from), sky_grid_system(to), &w->t);
}

static double turn_to(double x, double target) {
  return 360 * nearbyint((target - x) / 360);
}

static sky_status add_point(sky_context *ctx, tracer *w, double x, double y) {
  if (w->n == w->capacity) {
    const size_t grown = 2 * w->capacity + 64;
    double *p = sky_realloc(ctx, w->x, w->n, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    w->x = p;
    p = sky_realloc(ctx, w->y, w->n, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    w->y = p;
    w->capacity = grown;
  }
  w->x[w->n] = x;
  w->y[w->n++] = y;
  return SKY_OK;
}

static bool is_pole(const tracer *w, double y) {
  return w->geographic && fabs(y) > 90 - POLE;
}

/* One side without its last point, but with it if that is a pole, which has the longitude of each
 * side that meets there. A side is always cut from its lower end, so that the cell beyond it gets
 * the same points. SKY_E_COVERAGE: no image in one piece. */
static sky_status add_side(sky_context *ctx, tracer *w, double x0, double y0, double x1,
                           double y1) {
  const bool back = x1 < x0 || y1 < y0;
  const double lx = back ? x1 : x0, ly = back ? y1 : y0, dx = fabs(x1 - x0), dy = fabs(y1 - y0);
  double ax, ay, bx, by, mx, my;
  if (!sky_project(&w->t, PJ_FWD, lx, ly, &ax, &ay) ||
      !sky_project(&w->t, PJ_FWD, lx + dx, ly + dy, &bx, &by) ||
      !sky_project(&w->t, PJ_FWD, lx + 0.5 * dx, ly + 0.5 * dy, &mx, &my))
    return SKY_E_COVERAGE;
  if (is_pole(w, ay)) ax = bx;
  if (is_pole(w, by)) bx = ax;
  const double turned = w->geographic ? bx + turn_to(bx, ax) : bx, middle = 0.5 * (ax + turned);
  if (w->geographic) mx += turn_to(mx, middle);
  const double dev_x = mx - middle, dev_y = my - 0.5 * (ay + by);
  if (hypot(dev_x, dev_y) > fmax(TORN * hypot(turned - ax, by - ay), 1e3 * w->tolerance))
    return SKY_E_COVERAGE;
  /* Degrees of longitude count as they are long on the ground. */
  const double sagitta = hypot(w->geographic ? cos(my * M_PI / 180) * dev_x : dev_x, dev_y);
  const size_t n = (size_t)fmin(PIECES_MAX, fmax(1, ceil(sqrt(sagitta / w->tolerance))));
  const size_t points = is_pole(w, back ? ay : by) ? n + 1 : n;
  for (size_t i = 0; i < points; i++) {
    const size_t k = back ? n - i : i;
    const double f = (double)k / (double)n;
    double x = k == 0 ? ax : bx, y = k == 0 ? ay : by;
    if (k > 0 && k < n && !sky_project(&w->t, PJ_FWD, lx + f * dx, ly + f * dy, &x, &y))
      return SKY_E_COVERAGE;
    SKY_TRY(add_point(ctx, w, x, y));
  }
  return SKY_OK;
}

typedef struct extent {
  double west, south, east, north;
} extent;

/* The outline of cells, side by side, without jumps of longitude; the ring is the caller's. */
static sky_status trace_cells(sky_context *ctx, tracer *w, const double *x, size_t nx,
                              const double *y, size_t ny, sky_ring *out) {
  w->n = 0;
  for (size_t i = 0; i < nx; i++)
    SKY_TRY(add_side(ctx, w, x[i], y[0], x[i + 1], y[0]));
  for (size_t i = 0; i < ny; i++)
    SKY_TRY(add_side(ctx, w, x[nx], y[i], x[nx], y[i + 1]));
  for (size_t i = nx; i-- > 0;)
    SKY_TRY(add_side(ctx, w, x[i + 1], y[ny], x[i], y[ny]));
  for (size_t i = ny; i-- > 0;)
    SKY_TRY(add_side(ctx, w, x[0], y[i + 1], x[0], y[i]));
  const sky_ring ring = {.n = w->n, .x = w->x, .y = w->y};
  if (w->geographic) return sky_ring_unwrap(ctx, &ring, w->x[0], out);
  return sky_ring_densify(ctx, &ring, INFINITY, out);
}

static sky_status trace_box(sky_context *ctx, tracer *w, const extent *e, sky_ring *out) {
  return trace_cells(ctx, w, (const double[]){e->west, e->east}, 1,
                     (const double[]){e->south, e->north}, 1, out);
}

static extent extent_of(const sky_ring *r) {
  extent e = {INFINITY, INFINITY, -INFINITY, -INFINITY};
  for (size_t i = 0; i < r->n; i++) {
    e.west = fmin(e.west, r->x[i]);
    e.east = fmax(e.east, r->x[i]);
    e.south = fmin(e.south, r->y[i]);
    e.north = fmax(e.north, r->y[i]);
  }
  return e;
}

static extent box_of(const sky_grid *g) {
  return (extent){g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny]};
}

static bool inside(bool geographic, const extent *e, const extent *box) {
  double shift = 0;
  if (e->south < box->south || e->north > box->north) return false;
  if (geographic && box->east - box->west >= 360 - 1e-9) return true;
  if (geographic) shift = 360 * ceil((box->west - e->west) / 360);
  return e->west + shift >= box->west && e->east + shift <= box->east;
}

static bool apart(bool geographic, const extent *e, const extent *box) {
  double shift = 0;
  if (e->south >= box->north || e->north <= box->south) return true;
  if (geographic) shift = 360 * (floor((box->west - e->east) / 360) + 1);
  return e->west + shift >= box->east || e->east + shift <= box->west;
}

/* Where `other` lies in the system of g, with a margin; everywhere where that cannot be said: the
 * globe has no outline in a projection. */
static sky_status reach(sky_context *ctx, const sky_grid *g, const sky_grid *other, extent *out) {
  const extent box = box_of(other);
  const double cell = fmax(sky_grid_dx(g), sky_grid_dy(g));
  tracer w = {0};
  sky_ring ring = {0};
  *out = (extent){-INFINITY, -INFINITY, INFINITY, INFINITY};
  if (other->geographic && box.east - box.west > WIDE) return SKY_OK;
  sky_status st = tracer_open(ctx, other, g, cell, &w);
  if (st == SKY_OK) st = trace_box(ctx, &w, &box, &ring);
  if (st == SKY_OK) {
    const extent e = extent_of(&ring);
    const double mx = cell + 0.01 * (e.east - e.west), my = cell + 0.01 * (e.north - e.south);
    *out = (extent){e.west - mx, e.south - my, e.east + mx, e.north + my};
  }
  sky_free(ring.x);
  sky_free(ring.y);
  tracer_close(&w);
  return st == SKY_E_COVERAGE ? SKY_OK : st;
}

/* ---- cells --------------------------------------------------------------------------------- */

typedef struct share {
  size_t from, to; /* cell of the source, number of the target cell */
  double part;
} share;

typedef struct row { /* of cells that are projected */
  const sky_grid *grid;
  const size_t *of; /* their numbers if they are target cells, SIZE_MAX = replaced, or NULL */
  size_t iy;
  sky_status status;
  size_t failed; /* column */
  size_t n, capacity;
  share *share;
} row;

typedef struct cut {
  const sky_grid *src, *part;
  size_t *const *of;
  size_t n_parts;
  bool back;                /* target cells are projected, not source cells */
  double *src_area, **area; /* m2, [n_parts]; not if back */
  extent near, box;
  size_t n_rows;
  row *row;
} cut;

static sky_status add_share(sky_context *ctx, row *r, size_t from, size_t to, double part) {
  if (to == SIZE_MAX) return SKY_OK;
  if (r->n == r->capacity) {
    const size_t grown = 2 * r->capacity + 64;
    share *s = sky_realloc(ctx, r->share, r->n, grown, sizeof *s);
    if (s == NULL) return SKY_E_NOMEM;
    r->share = s;
    r->capacity = grown;
  }
  r->share[r->n++] = (share){from, to, part};
  return SKY_OK;
}

/* A target cell in the source's system: shares are the covered fractions of source cells. */
static sky_status cut_source(sky_context *ctx, const cut *j, const sky_zone *zone, size_t to,
                             row *r) {
  sky_coverage c = {0};
  sky_status st = sky_zone_fractions(ctx, zone, j->src, &c);
  for (size_t k = 0; k < c.n && st == SKY_OK; k++)
    st = add_share(ctx, r, c.cell[k], to, c.fraction[k]);
  sky_coverage_free(&c);
  return st;
}

/* A source cell in the target's system: shares of its area. */
static sky_status cut_target(sky_context *ctx, const cut *j, const sky_zone *zone, size_t from,
                             bool whole, row *r) {
  const size_t before = r->n;
  const double area = j->src_area[from];
  sky_acc sum = {0, 0};
  for (size_t p = 0; p < j->n_parts; p++) {
    sky_coverage c = {0};
    sky_status st = sky_zone_fractions(ctx, zone, &j->part[p], &c);
    for (size_t k = 0; k < c.n && st == SKY_OK; k++)
      st = add_share(ctx, r, from, j->of != NULL ? j->of[p][c.cell[k]] : c.cell[k],
                     c.fraction[k] * j->area[p][c.cell[k]]);
    sky_coverage_free(&c);
    SKY_TRY(st);
  }
  for (size_t k = before; k < r->n; k++)
    sky_acc_add(&sum, r->share[k].part);
  const double found = sky_acc_value(&sum);
  if (found > area * (1 + SLACK) || (whole && found < area * (1 - SLACK))) return SKY_E_COVERAGE;
  for (size_t k = before; k < r->n; k++)
    r->share[k].part /= whole ? found : fmax(found, area);
  return SKY_OK;
}

static sky_status cut_cell(sky_context *ctx, const cut *j, tracer *w, size_t ix, row *r) {
  const sky_grid *g = r->grid;
  const double *x = g->x_edge + ix, *y = g->y_edge + r->iy;
  const size_t cell = r->iy * g->nx + ix;
  sky_ring ring = {0};
  sky_status st = trace_cells(ctx, w, x, 1, y, 1, &ring);
  if (st == SKY_OK) {
    const extent e = extent_of(&ring);
    const sky_zone zone = {.geographic = w->geographic, .n_rings = 1, .ring = &ring};
    if (!apart(w->geographic, &e, &j->box))
      st = j->back ? cut_source(ctx, j, &zone, r->of != NULL ? r->of[cell] : cell, r)
                   : cut_target(ctx, j, &zone, cell, inside(w->geographic, &e, &j->box), r);
  }
  sky_free(ring.x);
  sky_free(ring.y);
  return st;
}

static sky_status cut_row(sky_context *ctx, const cut *j, tracer *w, row *r) {
  const sky_grid *g = r->grid;
  for (size_t ix = 0; ix < g->nx; ix++) {
    const extent e = {g->x_edge[ix], g->y_edge[r->iy], g->x_edge[ix + 1], g->y_edge[r->iy + 1]};
    if (r->of != NULL && r->of[r->iy * g->nx + ix] == SIZE_MAX) continue;
    if (isfinite(j->near.west) && apart(g->geographic, &e, &j->near)) continue;
    r->failed = ix;
    SKY_TRY(cut_cell(ctx, j, w, ix, r));
  }
  return SKY_OK;
}

static double smallest_cell(const sky_grid *g, size_t n) {
  double cell = INFINITY;
  for (size_t p = 0; p < n; p++)
    cell = fmin(cell, fmin(sky_grid_dx(&g[p]), sky_grid_dy(&g[p])));
  return cell;
}

/* The cell that chords are measured by. */
static double chord_cell(const sky_grid *from, size_t n_from, const sky_grid *to, size_t n_to) {
  const double cell = smallest_cell(to, n_to);
  if (!to->geographic) return cell; /* a small cell cut from a large one must keep its area */
  return fmin(cell, smallest_cell(from, n_from) / METRES_PER_DEGREE);
}

static void cut_rows(sky_context *ctx, const cut *j) {
  const sky_grid *from = j->back ? j->part : j->src, *to = j->back ? j->src : j->part;
  const double cell = chord_cell(from, j->back ? j->n_parts : 1, to, j->back ? 1 : j->n_parts);
#pragma omp parallel num_threads(sky_context_threads(ctx))
  {
    tracer w = {0};
    const sky_status opened = tracer_open(ctx, from, to, cell, &w);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < j->n_rows; i++)
      j->row[i].status = opened == SKY_OK ? cut_row(ctx, j, &w, &j->row[i]) : opened;
    tracer_close(&w);
  }
}

/* What went wrong in the first row that failed; threads have no voice of their own. */
static sky_status first_fault(sky_context *ctx, const cut *j) {
  for (size_t i = 0; i < j->n_rows; i++) {
    const row *r = &j->row[i];
    if (r->status == SKY_OK) continue;
    if (r->status == SKY_E_NOMEM) return sky_fail(ctx, SKY_E_NOMEM, "out of memory");
    return sky_fail(ctx, r->status,
                    "cannot regrid from %s to %s: the cell at %.9g, %.9g has no image in one piece",
                    j->src->crs, j->part->crs, r->grid->x_edge[r->failed], r->grid->y_edge[r->iy]);
  }
  return SKY_OK;
}

/* Lists by source cell, target cells in the order of the rows. */
static sky_status join_rows(sky_context *ctx, const cut *j, sky_clip *out) {
  sky_clip c = {.n = sky_grid_cells(j->src)};
  size_t n = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(c.start, SKY_NEW0(ctx, size_t, c.n + 2));
  for (size_t i = 0; i < j->n_rows; n += j->row[i++].n)
    for (size_t k = 0; k < j->row[i].n; k++)
      c.start[j->row[i].share[k].from + 2]++;
  SKY_GO_ALLOC(c.cell, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(c.share, SKY_NEW(ctx, double, n));
  for (size_t i = 0; i < c.n; i++) {
    if (c.start[i + 2] > c.longest) c.longest = c.start[i + 2];
    c.start[i + 2] += c.start[i + 1];
  }
  for (size_t i = 0; i < j->n_rows; i++) /* start[from + 1] runs up to its end */
    for (size_t k = 0; k < j->row[i].n; k++) {
      const share *s = &j->row[i].share[k];
      const size_t at = c.start[s->from + 1]++;
      c.cell[at] = s->to;
      c.share[at] = s->part;
    }
  *out = c;
  return SKY_OK;
cleanup:
  sky_clip_free(&c);
  return st;
}

/* Sums to 1 where nothing is missing; more than that would be cells over each other. */
static sky_status close_sums(sky_context *ctx, const cut *j, sky_clip *c) {
  for (size_t i = 0; i < c->n; i++) {
    sky_acc sum = {0, 0};
    for (size_t k = c->start[i]; k < c->start[i + 1]; k++)
      sky_acc_add(&sum, c->share[k]);
    const double total = sky_acc_value(&sum);
    if (total > 1 + 1e-6)
      return sky_fail(ctx, SKY_E_COVERAGE,
                      "cannot regrid from %s to %s: target cells lie over each other at %.9g, %.9g",
                      j->src->crs, j->part->crs, j->src->x_edge[i % j->src->nx],
                      j->src->y_edge[i / j->src->nx]);
    if (total < 1 - WHOLE) continue;
    for (size_t k = c->start[i]; k < c->start[i + 1]; k++)
      c->share[k] /= total;
  }
  return SKY_OK;
}

static sky_status prepare(sky_context *ctx, cut *j) {
  const size_t n_grids = j->back ? j->n_parts : 1;
  const sky_grid *g = j->back ? j->part : j->src;
  j->box = box_of(j->back ? j->src : j->part);
  for (size_t p = 0; p < n_grids; p++)
    j->n_rows += g[p].ny;
  j->row = SKY_NEW0(ctx, row, j->n_rows);
  if (j->row == NULL) return SKY_E_NOMEM;
  for (size_t p = 0, at = 0; p < n_grids; p++)
    for (size_t iy = 0; iy < g[p].ny; iy++)
      j->row[at++] =
          (row){.grid = &g[p], .iy = iy, .of = j->back && j->of != NULL ? j->of[p] : NULL};
  SKY_TRY(reach(ctx, g, j->back ? j->src : j->part, &j->near));
  if (j->back) return SKY_OK;
  j->src_area = SKY_NEW(ctx, double, sky_grid_cells(j->src));
  j->area = SKY_NEW0(ctx, double *, j->n_parts);
  if (j->src_area == NULL || j->area == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_grid_areas(ctx, j->src, j->src_area));
  for (size_t p = 0; p < j->n_parts; p++) {
    j->area[p] = SKY_NEW(ctx, double, sky_grid_cells(&j->part[p]));
    if (j->area[p] == NULL) return SKY_E_NOMEM;
    SKY_TRY(sky_grid_areas(ctx, &j->part[p], j->area[p]));
  }
  return SKY_OK;
}

sky_status sky_clip_make(sky_context *ctx, const sky_grid *src, const sky_grid *part,
                         size_t *const *of, size_t n_parts, sky_clip *out) {
  cut j = {.src = src, .part = part, .of = of, .n_parts = n_parts, .back = src->geographic};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(prepare(ctx, &j));
  cut_rows(ctx, &j);
  SKY_GO(first_fault(ctx, &j));
  SKY_GO(join_rows(ctx, &j, out));
  SKY_GO(close_sums(ctx, &j, out));
cleanup:
  if (st != SKY_OK) sky_clip_free(out);
  for (size_t i = 0; j.row != NULL && i < j.n_rows; i++)
    sky_free(j.row[i].share);
  for (size_t p = 0; j.area != NULL && p < n_parts; p++)
    sky_free(j.area[p]);
  sky_free(j.area);
  sky_free(j.row);
  sky_free(j.src_area);
  return st;
}

/* ---- a grid over another ------------------------------------------------------------------- */

sky_status sky_grid_covers(sky_context *ctx, const sky_grid *outer, const sky_grid *in,
                           bool *covers) {
  *covers = sky_grid_contains(outer, in);
  if (*covers || sky_grid_same_system(outer, in)) return SKY_OK;
  const extent box = box_of(in);
  const double dx = sky_grid_dx(outer), dy = sky_grid_dy(outer);
  tracer w = {0};
  sky_ring ring = {0};
  sky_status st = tracer_open(ctx, in, outer, fmin(dx, dy), &w);
  if (st == SKY_OK) st = trace_box(ctx, &w, &box, &ring);
  if (st == SKY_OK) {
    const extent e = extent_of(&ring);
    extent room = box_of(outer);
    room = (extent){room.west - 1e-4 * dx, room.south - 1e-4 * dy, room.east + 1e-4 * dx,
                    room.north + 1e-4 * dy};
    *covers = inside(outer->geographic, &e, &room);
  }
  sky_free(ring.x);
  sky_free(ring.y);
  tracer_close(&w);
  return st == SKY_E_COVERAGE ? SKY_OK : st; /* not even an image of it */
}

/* ---- for callers that walk over a large grid in pieces -------------------------------------- */

struct sky_tracer {
  tracer w;
  bool geographic; /* `from` is */
};

void sky_tracer_free(sky_tracer *t) {
  if (t == NULL) return;
  tracer_close(&t->w);
  sky_free(t);
}

sky_status sky_tracer_create(sky_context *ctx, const sky_grid *from, const sky_grid *to,
                             sky_tracer **out) {
  sky_tracer *t = SKY_NEW0(ctx, sky_tracer, 1);
  if (t == NULL) return SKY_E_NOMEM;
  const sky_status st = tracer_open(ctx, from, to, chord_cell(from, 1, to, 1), &t->w);
  t->geographic = from->geographic;
  if (st == SKY_OK)
    *out = t;
  else
    sky_tracer_free(t);
  return st;
}

sky_status sky_tracer_outline(sky_context *ctx, sky_tracer *t, const double *x, size_t nx,
                              const double *y, size_t ny, sky_ring *out) {
  return trace_cells(ctx, &t->w, x, nx, y, ny, out);
}

bool sky_tracer_point(const sky_tracer *t, double x, double y, double near, double *to_x,
                      double *to_y) {
  double back_x, back_y;
  if (!sky_project(&t->w.t, PJ_FWD, x, y, to_x, to_y)) return false;
  if (t->geographic) return true; /* every longitude and latitude is a place */
  return sky_project(&t->w.t, PJ_INV, *to_x, *to_y, &back_x, &back_y) && fabs(back_x - x) <= near &&
         fabs(back_y - y) <= near;
}

sky_status sky_clip_reach(sky_context *ctx, const sky_grid *g, const sky_grid *other,
                          double box[4]) {
  extent e;
  SKY_TRY(reach(ctx, g, other, &e));
  memcpy(box, (const double[]){e.west, e.south, e.east, e.north}, 4 * sizeof *box);
  return SKY_OK;
}

bool sky_clip_apart(const sky_grid *g, const double box[4], const double near[4]) {
  const extent e = {box[0], box[1], box[2], box[3]}, n = {near[0], near[1], near[2], near[3]};
  return isfinite(n.west) && apart(g->geographic, &e, &n);
}
