/* quad.c: overlap of quadrilaterals with the cells of a grid, by Green's theorem, edge by edge.
 *
 * Area of a polygon right of x = x(s) is ∮ x ds, with s the equal-area coordinate of y: s(y) =
 * ∫ dA/dx dy (m2 per degree of longitude; Snyder 1987, Eq. 3-12), or y itself in the plane. Each
 * edge is cut at the rows and columns that it crosses. A piece within one cell adds the area to its
 * right within the cell, and ∫ ds to every cell east of it: one sweep along the row then gives all
 * areas, for any simple polygon, in a time that goes with the pieces and cells.
 *
 * s(y) is a polynomial of degree 5 in strips of at most 1° (error below 2e-17 of the sphere, 1e-15
 * of the strip), so that ∫ ds and ∫ x ds of a straight piece have closed forms without trigonometry
 * and without cancellation, however short the piece. Edges are walked from south to north whatever
 * their sense: neighbours that share one share its bits, and nothing is lost between them. */
#include "grids/quad.h"

#include <math.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "src/core/memory.h"

#define DEG (M_PI / 180)
#define STRIP_MAX 1.0 /* degrees of latitude */
#define DEGREE 5
#define GREAT_FROM 80.0 /* degrees of latitude */
#define GREAT_STEP 1.0  /* degrees of longitude */
#define AT_POLE (90 - 1e-9)
#define VERTICES_MAX (4 * 181 + 4)

typedef struct axis { /* edges of cells, ascending */
  ptrdiff_t n;
  const double *edge; /* [n+1] */
  double inverse;     /* 1/step if equally spaced, else 0 */
} axis;

typedef struct strip {
  double middle, inverse_half; /* t = (y - middle) * inverse_half in [-1, 1] */
  double c[DEGREE + 1];        /* s = Σ c[j] t^j */
} strip;

struct sky_quad_grid {
  const sky_grid *grid;
  sky_quad_measure measure;
  bool geographic, linear;
  axis column, strips;
  size_t strips_per_row;
  double *strip_edge;
  strip *strip;
  double *row_s, *inverse_row, *inverse_column; /* ∫ ds over a row, 1/it, 1/width */
};

/* ---- the grid ------------------------------------------------------------------------------- */

static axis make_axis(const double *edge, size_t n) {
  const double step = (edge[n] - edge[0]) / (double)n;
  axis a = {(ptrdiff_t)n, edge, 1 / step};
  for (size_t i = 0; i <= n; i++)
    if (fabs(edge[i] - (edge[0] + (double)i * step)) > 0.25 * step) a.inverse = 0;
  return a;
}

/* The cell that holds v, lower edge inclusive; -1 below, n at and above the last edge. */
static inline ptrdiff_t axis_find(const axis *a, double v) {
  if (v < a->edge[0]) return -1;
  if (v >= a->edge[a->n]) return a->n;
  if (a->inverse > 0) { /* rounding, and what make_axis allows, is at most one cell */
    ptrdiff_t i = (ptrdiff_t)((v - a->edge[0]) * a->inverse);
    if (i >= a->n) i = a->n - 1;
    if (v < a->edge[i]) return i - 1;
    return i + (v >= a->edge[i + 1]);
  }
  ptrdiff_t low = 0, high = a->n;
  while (high - low > 1) {
    const ptrdiff_t middle = low + (high - low) / 2;
    if (v < a->edge[middle])
      high = middle;
    else
      low = middle;
  }
  return low;
}

/* Interpolation of s in the Chebyshev nodes of the strip, as powers of t (Newton's form first). */
static void fit_strip(strip *s, double south, double north) {
  double t[DEGREE + 1], f[DEGREE + 1];
  const double half = 0.5 * (north - south);
  for (int i = 0; i <= DEGREE; i++) {
    t[i] = cos(M_PI * (i + 0.5) / (DEGREE + 1));
    f[i] = sky_ellipsoid_band(s->middle, s->middle + half * t[i]) * DEG;
  }
  for (int k = 1; k <= DEGREE; k++)
    for (int i = DEGREE; i >= k; i--)
      f[i] = (f[i] - f[i - 1]) / (t[i] - t[i - k]);
  memset(s->c, 0, sizeof s->c);
  for (int k = DEGREE; k >= 0; k--) { /* c = c·(t - t_k) + f_k */
    for (int j = DEGREE; j > 0; j--)
      s->c[j] = s->c[j - 1] - t[k] * s->c[j];
    s->c[0] = f[k] - t[k] * s->c[0];
  }
}

static void make_strip(sky_quad_grid *q, size_t k) {
  const double south = q->strip_edge[k], north = q->strip_edge[k + 1];
  strip *s = &q->strip[k];
  *s = (strip){.middle = 0.5 * (south + north), .inverse_half = 2 / (north - south)};
  if (q->linear)
    s->c[1] = 0.5 * (north - south);
  else
    fit_strip(s, south, north);
}

sky_status sky_quad_grid_create(sky_context *ctx, const sky_grid *grid, sky_quad_measure measure,
                                sky_quad_grid **out) {
  sky_status st = SKY_OK;
  double highest = 0;
  sky_quad_grid *q = NULL;
  *out = NULL;
  SKY_GO_ALLOC(q, SKY_NEW0(ctx, sky_quad_grid, 1));
  q->grid = grid;
  q->measure = measure;
  q->geographic = grid->geographic;
  q->linear = !grid->geographic || measure == SKY_QUAD_PLANAR;
  for (size_t i = 0; i < grid->ny; i++)
    highest = fmax(highest, grid->y_edge[i + 1] - grid->y_edge[i]);
  q->strips_per_row = q->linear ? 1 : (size_t)ceil(highest / STRIP_MAX - 1e-9);
  if (q->strips_per_row == 0) q->strips_per_row = 1;
  const size_t m = q->strips_per_row, n = grid->ny * m;
  SKY_GO_ALLOC(q->strip_edge, SKY_NEW(ctx, double, n + 1));
  SKY_GO_ALLOC(q->strip, SKY_NEW(ctx, strip, n));
  SKY_GO_ALLOC(q->row_s, SKY_NEW0(ctx, double, grid->ny));
  SKY_GO_ALLOC(q->inverse_row, SKY_NEW(ctx, double, grid->ny));
  SKY_GO_ALLOC(q->inverse_column, SKY_NEW(ctx, double, grid->nx));
  for (size_t k = 0; k < n; k++) {
    const double south = grid->y_edge[k / m], north = grid->y_edge[k / m + 1];
    q->strip_edge[k] = south + (north - south) * (double)(k % m) / (double)m;
  }
  q->strip_edge[n] = grid->y_edge[grid->ny];
  q->strips = make_axis(q->strip_edge, n);
  q->column = make_axis(grid->x_edge, grid->nx);
  for (size_t k = 0; k < n; k++) {
    make_strip(q, k);
    q->row_s[k / m] += 2 * (q->strip[k].c[1] + q->strip[k].c[3] + q->strip[k].c[5]);
  }
  for (size_t i = 0; i < grid->ny; i++)
    q->inverse_row[i] = 1 / q->row_s[i];
  for (size_t i = 0; i < grid->nx; i++)
    q->inverse_column[i] = 1 / (grid->x_edge[i + 1] - grid->x_edge[i]);
  *out = q;
  return SKY_OK;

cleanup:
  sky_quad_grid_free(q);
  return st;
}

void sky_quad_grid_free(sky_quad_grid *q) {
  if (q == NULL) return;
  sky_free(q->strip_edge);
  sky_free(q->strip);
  sky_free(q->row_s);
  sky_free(q->inverse_row);
  sky_free(q->inverse_column);
  sky_free(q);
}

double sky_quad_cell_area(const sky_quad_grid *q, size_t cell) {
  const size_t ix = cell % q->grid->nx;
  return q->row_s[cell / q->grid->nx] * (q->grid->x_edge[ix + 1] - q->grid->x_edge[ix]);
}

void sky_overlaps_free(sky_overlaps *o) {
  if (o == NULL) return;
  sky_free(o->item);
  sky_free(o->work);
  memset(o, 0, sizeof *o);
}

sky_status sky_overlaps_room(sky_context *ctx, sky_overlaps *o, size_t more) {
  if (o->n + more <= o->capacity) return SKY_OK;
  const size_t grown = 2 * o->capacity + more + 64;
  sky_overlap *p = sky_realloc(ctx, o->item, o->n, grown, sizeof *p);
  if (p == NULL) return SKY_E_NOMEM;
  o->item = p;
  o->capacity = grown;
  return SKY_OK;
}

/* ---- the outline: unwrapped, closed at a pole --------------------------------------------------
 */

typedef struct outline {
  size_t n;
  double x[VERTICES_MAX], y[VERTICES_MAX];
} outline;

static inline double wrapped(
    double dx) { /* into [-180, 180], exactly where there is nothing to do */
  return dx >= -180 && dx <= 180 ? dx : remainder(dx, 360);
}

static void push(outline *o, double x, double y) {
  o->x[o->n] = x;
  o->y[o->n++] = y;
}

/* Points between two corners on their great circle. */
static void push_great_circle(outline *o, double x1, double y1, double dx, double y2) {
  const int n = (int)ceil(fabs(dx) / GREAT_STEP);
  const double a[2] = {cos(y1 * DEG), sin(y1 * DEG)};
  const double b[3] = {cos(y2 * DEG) * cos(dx * DEG), cos(y2 * DEG) * sin(dx * DEG), sin(y2 * DEG)};
  for (int i = 1; i < n; i++) { /* equal parts of the chord will do */
    const double f = (double)i / n, g = 1 - f;
    const double u = g * a[0] + f * b[0], v = f * b[1], w = g * a[1] + f * b[2];
    push(o, x1 + atan2(v, u) / DEG, atan2(w, hypot(u, v)) / DEG);
  }
}

static bool is_great(const sky_quad_grid *q, double y1, double y2) {
  return q->measure == SKY_QUAD_AREA && y1 * y2 > 0 && fmin(fabs(y1), fabs(y2)) > GREAT_FROM &&
         fmax(fabs(y1), fabs(y2)) < AT_POLE;
}

/* The corners in one turn, great circles cut, closed at the pole. A corner at the pole has no
 * longitude of its own: it takes those of its neighbours. */
static void trace(const sky_quad_grid *q, const double x[4], const double y[4], outline *o) {
  const double start = fabs(y[0]) >= AT_POLE ? x[3] : x[0];
  double at = start;
  o->n = 0;
  for (size_t i = 0; i < 4; i++) {
    const size_t next = (i + 1) % 4;
    const bool pole = fabs(y[i]) >= AT_POLE, to_pole = fabs(y[next]) >= AT_POLE;
    const double dx = to_pole ? 0 : wrapped(x[next] - (pole ? at : x[i]));
    push(o, at, y[i]);
    if (pole)
      push(o, at + dx, y[i]);
    else if (is_great(q, y[i], y[next]) && fabs(dx) > GREAT_STEP)
      push_great_circle(o, at, y[i], dx, y[next]);
    at += dx;
  }
  if (fabs(at - start) < 180) return;
  const double pole = y[0] + y[1] + y[2] + y[3] > 0 ? 90 : -90; /* once around it */
  push(o, at, y[0]);
  push(o, at, pole);
  push(o, start, pole);
}

/* Most quadrilaterals are what they seem. */
static inline bool is_plain(const sky_quad_grid *q, const double x[4], const double y[4]) {
  if (!q->geographic) return true;
  for (size_t i = 0; i < 4; i++) {
    const double dx = x[i] - x[0];
    if (!(dx < 90 && dx > -90 && y[i] < GREAT_FROM && y[i] > -GREAT_FROM)) return false;
  }
  return true;
}

/* ---- its kind ------------------------------------------------------------------------------- */

static bool is_place(const sky_quad_grid *q, const double x[4], const double y[4]) {
  for (size_t i = 0; i < 4; i++)
    if (!isfinite(x[i]) || !isfinite(y[i]) ||
        (q->geographic && (fabs(y[i]) > 90 || fabs(x[i]) > 1080)))
      return false;
  return true;
}

/* By the turns at the corners: all one way, one the other way, or two each way. */
static sky_quad_shape classify_plane(const double x[4], const double y[4], double *area) {
  double extent = 0;
  int left = 0, right = 0;
  for (size_t i = 0; i < 4; i++) {
    const size_t b = (i + 1) & 3, c = (i + 2) & 3;
    const double ux = x[b] - x[i], uy = y[b] - y[i], vx = x[c] - x[b], vy = y[c] - y[b];
    const double turn = ux * vy - uy * vx;
    left += turn > 0;
    right += turn < 0;
    const double square = ux * ux + uy * uy;
    extent = square > extent ? square : extent;
  }
  /* Half the cross product of the diagonals. */
  *area = 0.5 * fabs((x[2] - x[0]) * (y[3] - y[1]) - (y[2] - y[0]) * (x[3] - x[1]));
  if (left == 2 && right == 2) return SKY_QUAD_CROSSED;
  if (!(*area > 1e-12 * extent)) return SKY_QUAD_DEGENERATE;
  return left > 0 && right > 0 ? SKY_QUAD_CONCAVE : SKY_QUAD_CONVEX;
}

sky_quad_shape sky_quad_classify(const sky_quad_grid *q, const double x[4], const double y[4],
                                 double *planar_area) {
  *planar_area = 0;
  if (!is_place(q, x, y)) return SKY_QUAD_DEGENERATE;
  if (is_plain(q, x, y)) return classify_plane(x, y, planar_area);
  double turn = 0;
  for (size_t i = 0; i < 4; i++)
    turn += wrapped(x[(i + 1) % 4] - x[i]);
  double u[4], v[4];
  if (fabs(turn) < 180 && fmax(fmax(y[0], y[1]), fmax(y[2], y[3])) < AT_POLE &&
      fmin(fmin(y[0], y[1]), fmin(y[2], y[3])) > -AT_POLE) {
    for (size_t i = 0; i < 4; i++)
      u[i] = x[0] + wrapped(x[i] - x[0]);
    return classify_plane(u, y, planar_area);
  }
  outline o; /* around or at the pole: seen from above it, but its area on the map */
  const double pole = y[0] + y[1] + y[2] + y[3] > 0 ? 90 : -90;
  for (size_t i = 0; i < 4; i++) {
    u[i] = fabs(pole - y[i]) * cos(x[i] * DEG);
    v[i] = fabs(pole - y[i]) * sin(x[i] * DEG);
  }
  const sky_quad_shape shape = classify_plane(u, v, planar_area);
  trace(q, x, y, &o);
  double twice = 0;
  for (size_t i = 0; i < o.n; i++) {
    const size_t next = (i + 1) % o.n;
    twice += (o.x[i] - o.x[0]) * (o.y[next] - o.y[0]) - (o.x[next] - o.x[0]) * (o.y[i] - o.y[0]);
  }
  *planar_area = 0.5 * fabs(twice);
  return shape;
}

/* ---- pieces of edges ------------------------------------------------------------------------ */

typedef struct edge { /* from south to north */
  double x1, y1, x2, y2, slope, sign;
} edge;

/* What pieces leave in a row: the area right of them in their column, and ∫ ds for the columns east
 * of it. Entry 0 is everything west of the first column. */
typedef struct row_sums {
  ptrdiff_t first, last; /* columns */
  double *area, *cover;  /* [last-first+2] */
  double size;           /* Σ |∫ ds| */
} row_sums;

/* ∫ ds between t1 and t2, and ∫ (x - mean of x) ds for x that grows by 1 between them. */
static inline void strip_integrals(const sky_quad_grid *q, const strip *s, double t1, double t2,
                                   double *ds, double *skew) {
  const double h = t2 - t1;
  if (q->linear) {
    *ds = s->c[1] * h;
    *skew = 0;
    return;
  }
  const double *c = s->c, t = 0.5 * (t1 + t2), h2 = h * h;
  const double d1 = c[1] + t * (2 * c[2] + t * (3 * c[3] + t * (4 * c[4] + t * 5 * c[5])));
  const double d2 = 2 * c[2] + t * (6 * c[3] + t * (12 * c[4] + t * 20 * c[5]));
  const double d3 = 6 * c[3] + t * (24 * c[4] + t * 60 * c[5]);
  const double d4 = 24 * c[4] + t * 120 * c[5];
  *ds = h * (d1 + h2 * (d3 / 24 + h2 * (c[5] / 16)));
  *skew = h2 * (d2 / 12 + h2 * (d4 / 480));
}

/* A piece in column c (of the whole grid) from (x1, t1) to (x2, t2). */
static inline void add_piece(const sky_quad_grid *q, const strip *s, row_sums *r, ptrdiff_t c,
                             double sign, double x1, double t1, double x2, double t2) {
  double ds, skew;
  strip_integrals(q, s, t1, t2, &ds, &skew);
  r->size += fabs(ds);
  if (c > r->last) return; /* nothing of the grid is east of it */
  if (c < r->first) {
    r->cover[0] += sign * ds;
    return;
  }
  const ptrdiff_t k = c - r->first + 1;
  const double east = q->column.edge[c + 1];
  r->area[k] += sign * (0.5 * ((east - x1) + (east - x2)) * ds - (x2 - x1) * skew);
  r->cover[k] += sign * ds;
}

static inline double between(double v, double a, double b) {
  const double low = a < b ? a : b, high = a < b ? b : a;
  return v < low ? low : v > high ? high : v;
}

/* The part of an edge within strip k, cut at the columns. */
static void add_edge(const sky_quad_grid *q, size_t k, const edge *e, row_sums *r) {
  const strip *s = &q->strip[k];
  const double south = q->strip_edge[k], north = q->strip_edge[k + 1];
  double x = e->x1, y = e->y1, x_end = e->x2, y_end = e->y2;
  if (y < south) {
    y = south;
    x = between(e->x1 + (south - e->y1) * e->slope, e->x1, e->x2);
  }
  if (y_end > north) {
    y_end = north;
    x_end = between(e->x1 + (north - e->y1) * e->slope, e->x1, e->x2);
  }
  if (!(y_end > y)) return;
  const double t_end = (y_end - s->middle) * s->inverse_half;
  double t = (y - s->middle) * s->inverse_half;
  ptrdiff_t c = axis_find(&q->column, x);
  const ptrdiff_t c_end = axis_find(&q->column, x_end), step = c_end > c ? 1 : -1;
  for (; c != c_end; c += step) {
    const double x_cut = q->column.edge[step > 0 ? c + 1 : c];
    const double y_cut = between(e->y1 + (x_cut - e->x1) / e->slope, y, y_end);
    const double t_cut = (y_cut - s->middle) * s->inverse_half;
    add_piece(q, s, r, c, e->sign, x, t, x_cut, t_cut);
    x = x_cut;
    y = y_cut;
    t = t_cut;
  }
  add_piece(q, s, r, c, e->sign, x, t, x_end, t_end);
}

/* ---- the overlap ---------------------------------------------------------------------------- */

/* Room for the sums of `columns` columns. */
static sky_status make_work(sky_context *ctx, sky_overlaps *o, size_t columns) {
  if (2 * columns <= o->work_size) return SKY_OK;
  double *p = SKY_NEW(ctx, double, 2 * columns);
  if (p == NULL) return SKY_E_NOMEM;
  sky_free(o->work);
  o->work = p;
  o->work_size = 2 * columns;
  return SKY_OK;
}

/* One sweep along a row; what lies below the rounding of the sums is none. */
static void sweep(const sky_quad_grid *q, size_t row, const row_sums *r, sky_overlaps *out) {
  double cover = r->cover[0];
  for (ptrdiff_t c = r->first; c <= r->last; c++) {
    const ptrdiff_t k = c - r->first + 1;
    const double width = q->column.edge[c + 1] - q->column.edge[c];
    const double area = fabs(r->area[k] + cover * width);
    cover += r->cover[k];
    if (!(area > 1e-15 * r->size * width)) continue;
    const double fraction = fmin(1, area * q->inverse_row[row] * q->inverse_column[c]);
    out->item[out->n++] = (sky_overlap){row * q->grid->nx + (size_t)c, area, fraction};
  }
}

/* Overlaps of a polygon on the map. */
static sky_status overlap_polygon(sky_context *ctx, const sky_quad_grid *q, edge *e, size_t n,
                                  double west, double east, double south, double north, size_t row0,
                                  size_t row1, sky_overlaps *out) {
  const ptrdiff_t m = (ptrdiff_t)q->strips_per_row;
  ptrdiff_t k0 = axis_find(&q->strips, south), k1 = axis_find(&q->strips, north);
  if (k0 < (ptrdiff_t)row0 * m) k0 = (ptrdiff_t)row0 * m;
  if (k1 >= (ptrdiff_t)row1 * m) k1 = (ptrdiff_t)row1 * m - 1;
  row_sums r = {axis_find(&q->column, west), axis_find(&q->column, east), NULL, NULL, 0};
  if (k0 > k1 || r.first >= q->column.n || r.last < 0) return SKY_OK;
  if (r.first < 0) r.first = 0;
  if (r.last >= q->column.n) r.last = q->column.n - 1;
  const size_t columns = (size_t)(r.last - r.first) + 2;
  const size_t rows = (size_t)(k1 / m - k0 / m) + 1;
  SKY_TRY(sky_overlaps_room(ctx, out, rows * columns));
  SKY_TRY(make_work(ctx, out, columns));
  r.area = out->work;
  r.cover = out->work + columns;
  for (ptrdiff_t k = k0; k <= k1;) {
    const ptrdiff_t row = k / m;
    memset(out->work, 0, 2 * columns * sizeof *out->work);
    r.size = 0;
    for (; k <= k1 && k / m == row; k++) {
      const double low = q->strip_edge[k], high = q->strip_edge[k + 1];
      for (size_t i = 0; i < n; i++)
        if (e[i].y1 < high && e[i].y2 > low) add_edge(q, (size_t)k, &e[i], &r);
    }
    sweep(q, (size_t)row, &r, out);
  }
  return SKY_OK;
}

/* Edges of a ring shifted by dx; level ones bound no area in this sense. Returns their number. */
static size_t make_edges(const double *x, const double *y, size_t n, double dx, edge *e) {
  size_t k = 0;
  for (size_t i = 0; i < n; i++) {
    const size_t next = i + 1 < n ? i + 1 : 0;
    const bool up = y[next] > y[i];
    const size_t a = up ? i : next, b = up ? next : i;
    if (y[a] == y[b]) continue;
    e[k] = (edge){x[a] + dx, y[a], x[b] + dx, y[b], 0, up ? 1 : -1};
    e[k].slope = (e[k].x2 - e[k].x1) / (e[k].y2 - e[k].y1);
    k++;
  }
  return k;
}

static sky_status overlap_ring(sky_context *ctx, const sky_quad_grid *q, const double *x,
                               const double *y, size_t n, edge *e, size_t row0, size_t row1,
                               sky_overlaps *out) {
  double west = x[0], east = x[0], south = y[0], north = y[0];
  for (size_t i = 1; i < n; i++) {
    west = x[i] < west ? x[i] : west;
    east = x[i] > east ? x[i] : east;
    south = y[i] < south ? y[i] : south;
    north = y[i] > north ? y[i] : north;
  }
  const double first = q->column.edge[0], last = q->column.edge[q->column.n];
  int turn0 = 0, turn1 = 0;
  if (q->geographic && (west < first || east > last)) { /* whole turns under which it may meet */
    turn0 = (int)ceil((first - east) / 360);
    turn1 = (int)floor((last - west) / 360);
  }
  for (int turn = turn0; turn <= turn1; turn++) {
    const double dx = 360.0 * turn;
    const size_t m = make_edges(x, y, n, dx, e);
    SKY_TRY(overlap_polygon(ctx, q, e, m, west + dx, east + dx, south, north, row0, row1, out));
  }
  return SKY_OK;
}

void sky_quad_rows(const sky_quad_grid *q, const double x[4], const double y[4], size_t *row0,
                   size_t *row1) {
  outline o;
  const double *at = y;
  size_t n = 4;
  *row0 = *row1 = 0;
  if (!is_plain(q, x, y)) {
    if (!is_place(q, x, y)) return;
    trace(q, x, y, &o);
    at = o.y;
    n = o.n;
  }
  double south = at[0], north = at[0];
  for (size_t i = 1; i < n; i++) {
    south = at[i] < south ? at[i] : south;
    north = at[i] > north ? at[i] : north;
  }
  const ptrdiff_t m = (ptrdiff_t)q->strips_per_row;
  ptrdiff_t k0 = axis_find(&q->strips, south), k1 = axis_find(&q->strips, north);
  if (k0 >= q->strips.n || k1 < 0) return;
  if (k0 < 0) k0 = 0;
  if (k1 >= q->strips.n) k1 = q->strips.n - 1;
  *row0 = (size_t)(k0 / m);
  *row1 = (size_t)(k1 / m) + 1;
}

sky_status sky_quad_overlap_sound(sky_context *ctx, const sky_quad_grid *q, const double x[4],
                                  const double y[4], size_t row0, size_t row1, sky_overlaps *out) {
  if (is_plain(q, x, y)) {
    edge e[4];
    return overlap_ring(ctx, q, x, y, 4, e, row0, row1, out);
  }
  outline o;
  edge e[VERTICES_MAX];
  trace(q, x, y, &o);
  return overlap_ring(ctx, q, o.x, o.y, o.n, e, row0, row1, out);
}

sky_status sky_quad_overlap(sky_context *ctx, const sky_quad_grid *q, const double x[4],
                            const double y[4], size_t row0, size_t row1, sky_overlaps *out) {
  double planar;
  if (sky_quad_classify(q, x, y, &planar) >= SKY_QUAD_CROSSED) return SKY_OK;
  return sky_quad_overlap_sound(ctx, q, x, y, row0, row1, out);
}
